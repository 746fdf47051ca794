/* tests/support/onnx_builder.c - field numbers are those of the ONNX specification's onnx.proto. */
#include "tests/support/onnx_builder.h"

#include <assert.h>
#include <string.h>

#include "core/base/rng.h"

#define LIMIT ((size_t)64 << 20)

static void put_varint(struct cb_buf *out, uint64_t v)
{
    uint8_t bytes[10];
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        bytes[n++] = (uint8_t)(v | 0x80);
    bytes[n++] = (uint8_t)v;
    cb_buf_add(out, bytes, n);
}

static void put_int(struct cb_buf *out, uint32_t field, int64_t v)
{
    put_varint(out, field << 3);
    put_varint(out, (uint64_t)v);
}

static void put_bytes(struct cb_buf *out, uint32_t field, const void *data, size_t len)
{
    put_varint(out, field << 3 | 2);
    put_varint(out, len);
    cb_buf_add(out, data, len);
}

static void put_text(struct cb_buf *out, uint32_t field, const char *text)
{
    put_bytes(out, field, text, strlen(text));
}

/* A finished message as a field of another. */
static void put_message(struct cb_buf *out, uint32_t field, struct cb_buf *message)
{
    put_bytes(out, field, message->data ? message->data : "", message->len);
    cb_buf_deinit(message);
}

static struct cb_buf new_buf(void)
{
    struct cb_buf buf;
    cb_buf_init(&buf, LIMIT);
    return buf;
}

struct onnx_builder onnx_begin(int opset)
{
    return (struct onnx_builder){ .graph = new_buf(),
                                  .node = new_buf(),
                                  .model = new_buf(),
                                  .properties = new_buf(),
                                  .opset = opset };
}

void onnx_free(struct onnx_builder *b)
{
    cb_buf_deinit(&b->graph);
    cb_buf_deinit(&b->node);
    cb_buf_deinit(&b->model);
    cb_buf_deinit(&b->properties);
}

static void close_node(struct onnx_builder *b)
{
    if (b->open)
        put_bytes(&b->graph, 1, b->node.data, b->node.len);
    b->node.len = 0;
    b->open = false;
}

/* ValueInfoProto: name, type.tensor_type { elem_type, shape { dim { dim_value or dim_param } }
 * }. */
static void put_value(struct onnx_builder *b, uint32_t field, const char *name, enum onnx_type type,
                      const struct onnx_dims *dims)
{
    struct cb_buf value = new_buf(), outer = new_buf(), tensor = new_buf(), shape = new_buf();
    for (int i = 0; dims && i < dims->rank; i++) {
        struct cb_buf dim = new_buf();
        if (dims->dim[i] < 0)
            put_text(&dim, 2, "open");
        else
            put_int(&dim, 1, dims->dim[i]);
        put_message(&shape, 1, &dim);
    }
    put_int(&tensor, 1, type);
    if (dims)
        put_message(&tensor, 2, &shape);
    put_message(&outer, 1, &tensor);
    put_text(&value, 1, name);
    put_message(&value, 2, &outer);
    put_message(&b->graph, field, &value);
    cb_buf_deinit(&shape);
}

void onnx_input(struct onnx_builder *b, const char *name, enum onnx_type type,
                struct onnx_dims dims)
{
    put_value(b, 11, name, type, &dims);
}

void onnx_output(struct onnx_builder *b, const char *name, enum onnx_type type)
{
    put_value(b, 12, name, type, NULL);
}

static void put_tensor(struct cb_buf *out, enum onnx_type type, struct onnx_dims dims,
                       const void *raw, size_t len)
{
    for (int i = 0; i < dims.rank; i++)
        put_int(out, 1, dims.dim[i]);
    put_int(out, 2, type);
    put_bytes(out, 9, raw, len);
}

static size_t count(struct onnx_dims dims)
{
    size_t n = 1;
    for (int i = 0; i < dims.rank; i++)
        n *= (size_t)dims.dim[i];
    return n;
}

static void put_initializer(struct onnx_builder *b, const char *name, enum onnx_type type,
                            struct onnx_dims dims, struct cb_bytes raw)
{
    struct cb_buf tensor = new_buf();
    put_tensor(&tensor, type, dims, raw.data, raw.len);
    put_text(&tensor, 8, name);
    put_message(&b->graph, 5, &tensor);
}

void onnx_floats(struct onnx_builder *b, const char *name, struct onnx_dims dims,
                 const float *values)
{
    put_initializer(b, name, ONNX_FLOAT, dims,
                    (struct cb_bytes){ (const uint8_t *)values, count(dims) * 4 });
}

void onnx_wholes(struct onnx_builder *b, const char *name, struct onnx_dims dims,
                 const int64_t *values)
{
    put_initializer(b, name, ONNX_INT64, dims,
                    (struct cb_bytes){ (const uint8_t *)values, count(dims) * 8 });
}

void onnx_random(struct onnx_builder *b, const char *name, struct onnx_dims dims, uint64_t seed)
{
    struct cb_rng rng = cb_rng_seed(seed);
    struct cb_buf values = new_buf();
    for (size_t i = 0; i < count(dims); i++) {
        const float v = cb_rng_uniform(&rng, -0.5f, 0.5f);
        cb_buf_add(&values, &v, sizeof v);
    }
    onnx_floats(b, name, dims, (const float *)(const void *)values.data);
    cb_buf_deinit(&values);
}

static void put_names(struct cb_buf *out, uint32_t field, const char *names)
{
    while (*names) {
        const size_t len = strcspn(names, " ");
        put_bytes(out, field, names, len);
        names += len + (names[len] == ' ');
    }
}

void onnx_node(struct onnx_builder *b, const char *op, const char *in, const char *out)
{
    close_node(b);
    put_names(&b->node, 1, in);
    put_names(&b->node, 2, out);
    put_text(&b->node, 3, out);
    put_text(&b->node, 4, op);
    b->open = true;
}

enum { ATTR_FLOAT = 1, ATTR_INT = 2, ATTR_STRING = 3, ATTR_INTS = 7 };

void onnx_attr_int(struct onnx_builder *b, const char *name, int64_t value)
{
    struct cb_buf attr = new_buf();
    put_text(&attr, 1, name);
    put_int(&attr, 3, value);
    put_int(&attr, 20, ATTR_INT);
    put_message(&b->node, 5, &attr);
}

void onnx_attr_float(struct onnx_builder *b, const char *name, float value)
{
    struct cb_buf attr = new_buf();
    put_text(&attr, 1, name);
    put_varint(&attr, 2 << 3 | 5);
    cb_buf_add(&attr, &value, sizeof value);
    put_int(&attr, 20, ATTR_FLOAT);
    put_message(&b->node, 5, &attr);
}

void onnx_attr_text(struct onnx_builder *b, const char *name, const char *value)
{
    struct cb_buf attr = new_buf();
    put_text(&attr, 1, name);
    put_text(&attr, 4, value);
    put_int(&attr, 20, ATTR_STRING);
    put_message(&b->node, 5, &attr);
}

void onnx_attr_ints(struct onnx_builder *b, const char *name, struct onnx_dims values)
{
    struct cb_buf attr = new_buf();
    put_text(&attr, 1, name);
    for (int i = 0; i < values.rank; i++)
        put_int(&attr, 8, values.dim[i]);
    put_int(&attr, 20, ATTR_INTS);
    put_message(&b->node, 5, &attr);
}

void onnx_property(struct onnx_builder *b, const char *key, const char *value)
{
    struct cb_buf entry = new_buf();
    put_text(&entry, 1, key);
    put_text(&entry, 2, value);
    put_message(&b->properties, 14, &entry);
}

struct cb_bytes onnx_end(struct onnx_builder *b)
{
    struct cb_buf opset = new_buf();
    close_node(b);
    put_text(&b->graph, 2, "test");
    put_text(&opset, 1, "");
    put_int(&opset, 2, b->opset);
    put_int(&b->model, 1, 8);
    put_message(&b->model, 8, &opset);
    put_bytes(&b->model, 7, b->graph.data, b->graph.len);
    cb_buf_add(&b->model, b->properties.data, b->properties.len);
    assert(!b->model.failed);
    return (struct cb_bytes){ (const uint8_t *)b->model.data, b->model.len };
}

void onnx_tensor_file(const char *path, enum onnx_type type, struct onnx_dims dims, const void *raw,
                      size_t len)
{
    struct cb_buf tensor = new_buf();
    put_tensor(&tensor, type, dims, raw, len);
    const struct cb_status st = cb_file_write(path, tensor.data, tensor.len);
    assert(st.code == CB_OK);
    cb_buf_deinit(&tensor);
}

void onnx_small_classifier(struct onnx_builder *b, int side, int classes, uint64_t seed)
{
    const int64_t open = side ? side : -1;
    onnx_input(b, "image", ONNX_FLOAT, ONNX_DIMS(-1, 3, open, open));
    onnx_random(b, "conv.weight", ONNX_DIMS(4, 3, 3, 3), seed);
    onnx_random(b, "conv.bias", ONNX_DIMS(4), seed + 1);
    onnx_node(b, "Conv", "image conv.weight conv.bias", "conv");
    onnx_attr_ints(b, "pads", ONNX_DIMS(1, 1, 1, 1));
    onnx_node(b, "Relu", "conv", "features");
    onnx_node(b, "GlobalAveragePool", "features", "pooled");
    onnx_node(b, "Flatten", "pooled", "flat");
    onnx_random(b, "fc.weight", ONNX_DIMS(classes, 4), seed + 2);
    onnx_random(b, "fc.bias", ONNX_DIMS(classes), seed + 3);
    onnx_node(b, "Gemm", "flat fc.weight fc.bias", "logits");
    onnx_attr_int(b, "transB", 1);
    onnx_output(b, "logits", ONNX_FLOAT);
}
