/* tests/support/onnx_builder.h - small ONNX files, written field by field: the networks that tests
 * run.
 *
 *     struct onnx_builder b = onnx_begin(17);                    opset
 *     onnx_input(&b, "x", ONNX_FLOAT, ONNX_DIMS(-1, 3, 8, 8));   -1: an open size
 *     onnx_floats(&b, "w", ONNX_DIMS(4, 3, 1, 1), weights);
 *     onnx_node(&b, "Conv", "x w", "y");                         names between blanks
 *     onnx_attr_ints(&b, "strides", ONNX_DIMS(2, 2));            of the node before
 *     onnx_output(&b, "y", ONNX_FLOAT);
 *     struct cb_bytes file = onnx_end(&b);                       valid until onnx_free
 *     onnx_free(&b); */
#pragma once

#include "core/base/buf.h"
#include "core/base/file.h"

enum onnx_type {
    ONNX_FLOAT = 1,
    ONNX_UINT8 = 2,
    ONNX_INT32 = 6,
    ONNX_INT64 = 7,
    ONNX_FLOAT16 = 10
};

struct onnx_builder {
    struct cb_buf graph, node, model, properties;
    int opset;
    bool open; /* a node waits for attributes */
};

struct onnx_dims {
    int rank;
    const int64_t *dim;
};
#define ONNX_DIMS(...)                                                                             \
    (struct onnx_dims)                                                                             \
    {                                                                                              \
        (int)(sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)), (int64_t[])                   \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
#define ONNX_SCALAR                                                                                \
    (struct onnx_dims)                                                                             \
    {                                                                                              \
        0, NULL                                                                                    \
    }

struct onnx_builder onnx_begin(int opset);
void onnx_free(struct onnx_builder *b);

void onnx_input(struct onnx_builder *b, const char *name, enum onnx_type type,
                struct onnx_dims dims);
void onnx_output(struct onnx_builder *b, const char *name, enum onnx_type type);
void onnx_floats(struct onnx_builder *b, const char *name, struct onnx_dims dims,
                 const float *values);
void onnx_wholes(struct onnx_builder *b, const char *name, struct onnx_dims dims,
                 const int64_t *values);
/* Floats between -0.5 and 0.5 that only `seed` decides. */
void onnx_random(struct onnx_builder *b, const char *name, struct onnx_dims dims, uint64_t seed);
void onnx_node(struct onnx_builder *b, const char *op, const char *in, const char *out);
void onnx_attr_int(struct onnx_builder *b, const char *name, int64_t value);
void onnx_attr_float(struct onnx_builder *b, const char *name, float value);
void onnx_attr_text(struct onnx_builder *b, const char *name, const char *value);
void onnx_attr_ints(struct onnx_builder *b, const char *name, struct onnx_dims values);
void onnx_property(struct onnx_builder *b, const char *key, const char *value);
struct cb_bytes onnx_end(struct onnx_builder *b);

/* A TensorProto file, as test data sets have them. */
void onnx_tensor_file(const char *path, enum onnx_type type, struct onnx_dims dims, const void *raw,
                      size_t len);

/* The network that tests of models share: input "image" [N, 3, side, side] (0: open), Conv 3x3 with
 * 4 filters ("conv"), Relu ("features"), GlobalAveragePool, Flatten ("flat"), Gemm with `classes`
 * outputs ("logits"). Seeded weights. */
void onnx_small_classifier(struct onnx_builder *b, int side, int classes, uint64_t seed);
