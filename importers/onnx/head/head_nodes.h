/* importers/onnx/head/head_nodes.h - a trained head as fields of a GraphProto: nodes, initialisers,
 * output. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/base/buf.h"
#include "core/model/head.h"

/* Field numbers of the ONNX specification, of the messages that are written. */
enum {
    CB_MODEL_IR_VERSION = 1,
    CB_MODEL_PRODUCER = 2,
    CB_MODEL_GRAPH = 7,
    CB_MODEL_OPSET = 8,
    CB_MODEL_METADATA = 14,
    CB_GRAPH_NODE = 1,
    CB_GRAPH_NAME = 2,
    CB_GRAPH_INITIALIZER = 5,
    CB_GRAPH_INPUT = 11,
    CB_GRAPH_OUTPUT = 12,
    CB_GRAPH_VALUE_INFO = 13,
    CB_TENSOR_DIMS = 1,
    CB_TENSOR_TYPE = 2,
    CB_TENSOR_NAME = 8,
    CB_TENSOR_RAW = 9,
    CB_ENTRY_KEY = 1,
    CB_ENTRY_VALUE = 2,
    CB_OPSET_DOMAIN = 1,
    CB_OPSET_VERSION = 2
};

/* Names of a head's weights, after the prefix. */
#define CB_HEAD_W1 "hidden.weight"
#define CB_HEAD_B1 "hidden.bias"
#define CB_HEAD_W2 "logits.weight"
#define CB_HEAD_B2 "logits.bias"

struct cb_head_nodes {
    const struct cb_head *head;
    const char *input, *output; /* tensors */
    const char *prefix;         /* of all other names, at most 32 bytes: "head." */
    int64_t opset, ir_version;
    bool cast, pool, flatten; /* what stands before the products */
};

/* Appends the fields. Weights are declared as inputs too where the IR version wants that (below
 * 4). */
void cb_head_nodes_put(const struct cb_head_nodes *nodes, struct cb_buf *graph);

/* A ValueInfoProto: float of those dimensions, -1 written as "N". */
void cb_onnx_put_value_info(struct cb_buf *graph, uint32_t field, const char *name, int rank,
                            const int64_t *dims);
