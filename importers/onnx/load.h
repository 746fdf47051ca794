/* importers/onnx/load.h - an ONNX file becomes a graph. After this nobody knows what ONNX is.
 *
 * Values keep the names of the file and ONNX's [N,C,H,W], with Transposes around image operators.
 * What a rule adds has a name with an @ in it. 32-bit weights are not copied: `bytes` must live as
 * long as the graph. */
#pragma once

#include "core/base/file.h"
#include "core/graph/graph.h"
#include "importers/onnx/tensors.h"

struct cb_onnx_options {
    bool mapped;        /* bytes are a mapped file: pages of weights may be let go after packing */
    const char *folder; /* the file's folder, for external data; NULL: refused (uploads) */
    /* The graph's inputs, where If and Loop depend on them: shapes, and elements (or NULL). The
     * graph then holds for these alone. n_inputs 0: shapes are those that the file declares. */
    const struct cb_tensor *inputs;
    int n_inputs;
};

/* A declared input or output; shape.rank -1: not declared, a dim of -1: open. */
struct cb_onnx_io {
    const char *name;
    enum cb_dtype dtype;
    struct cb_shape shape;
};

struct cb_onnx_property {
    const char *key, *value;
};

struct cb_onnx_model {
    struct cb_graph graph;
    int64_t ir_version, opset;            /* opset of ai.onnx; 0: the file names none */
    const char *producer, *name;          /* "pytorch 2.1", the graph's name; "" when not said */
    const struct cb_onnx_property *props; /* metadata_props */
    int n_props;
    const struct cb_onnx_io *inputs, *outputs; /* graph.n_inputs, graph.n_outputs of them */
    struct cb_onnx_files files;                /* external data, mapped */
    bool decided; /* by the inputs' shapes or elements which nodes there are */
};

/* Everything is in `arena`, but for the external files.
 * Errors: CB_ERR_MODEL; CB_ERR_UNSUPPORTED names all that is (as many as the message holds), with
 * node and opset; CB_ERR_NOMEM; and for external data CB_ERR_INPUT, CB_ERR_NOT_FOUND, CB_ERR_IO. */
CB_MUST_USE struct cb_status cb_onnx_load(struct cb_arena *arena, struct cb_bytes bytes,
                                          const struct cb_onnx_options *options,
                                          struct cb_onnx_model *out);

/* Unmaps external files; twice is harmless. */
void cb_onnx_model_deinit(struct cb_onnx_model *model);
