#include "importers/onnx/head/head_nodes.h"

#include <stdio.h>
#include <string.h>

#include "importers/onnx/wire_writer.h"

#define NAME_BYTES 96 /* of the names that are made here */
#define FLOAT 1       /* TensorProto.DataType */

enum { NODE_INPUT = 1, NODE_OUTPUT = 2, NODE_NAME = 3, NODE_OP = 4, NODE_ATTRIBUTE = 5 };
enum {
    ATTRIBUTE_NAME = 1,
    ATTRIBUTE_I = 3,
    ATTRIBUTE_S = 4,
    ATTRIBUTE_TYPE = 20,
    IS_INT = 2,
    IS_STRING = 3
};
enum {
    INFO_NAME = 1,
    INFO_TYPE = 2,
    TYPE_TENSOR = 1,
    TENSOR_ELEMENT = 1,
    TENSOR_SHAPE = 2,
    SHAPE_DIM = 1,
    DIM_VALUE = 1,
    DIM_PARAM = 2
};

static struct cb_buf new_buf(void)
{
    struct cb_buf buf;
    cb_buf_init(&buf, SIZE_MAX / 2);
    return buf;
}

void cb_onnx_put_value_info(struct cb_buf *graph, uint32_t field, const char *name, int rank,
                            const int64_t *dims)
{
    struct cb_buf shape = new_buf(), tensor = new_buf(), type = new_buf(), info = new_buf();
    for (int i = 0; i < rank; i++) {
        struct cb_buf dim = new_buf();
        if (dims[i] < 0)
            cb_wire_put_text(&dim, DIM_PARAM, "N");
        else
            cb_wire_put_int(&dim, DIM_VALUE, (uint64_t)dims[i]);
        cb_wire_put_message(&shape, SHAPE_DIM, &dim);
    }
    cb_wire_put_int(&tensor, TENSOR_ELEMENT, FLOAT);
    cb_wire_put_message(&tensor, TENSOR_SHAPE, &shape);
    cb_wire_put_message(&type, TYPE_TENSOR, &tensor);
    cb_wire_put_text(&info, INFO_NAME, name);
    cb_wire_put_message(&info, INFO_TYPE, &type);
    cb_wire_put_message(graph, field, &info);
}

static void put_int_attribute(struct cb_buf *node, const char *name, int64_t value)
{
    struct cb_buf attribute = new_buf();
    cb_wire_put_text(&attribute, ATTRIBUTE_NAME, name);
    cb_wire_put_int(&attribute, ATTRIBUTE_I, (uint64_t)value);
    cb_wire_put_int(&attribute, ATTRIBUTE_TYPE, IS_INT);
    cb_wire_put_message(node, NODE_ATTRIBUTE, &attribute);
}

static void put_text_attribute(struct cb_buf *node, const char *name, const char *value)
{
    struct cb_buf attribute = new_buf();
    cb_wire_put_text(&attribute, ATTRIBUTE_NAME, name);
    cb_wire_put_text(&attribute, ATTRIBUTE_S, value);
    cb_wire_put_int(&attribute, ATTRIBUTE_TYPE, IS_STRING);
    cb_wire_put_message(node, NODE_ATTRIBUTE, &attribute);
}

/* The chain so far: `at` names the tensor that the next node reads. */
struct chain {
    const struct cb_head_nodes *nodes;
    struct cb_buf *graph;
    const char *at;
    char made[NAME_BYTES];
};

static struct cb_buf begin_node(const struct chain *c, const char *op)
{
    struct cb_buf node = new_buf();
    cb_wire_put_text(&node, NODE_OP, op);
    cb_wire_put_text(&node, NODE_INPUT, c->at);
    return node;
}

/* Ends a node: it is called PREFIXwhat, and so is its output, but for the last one's. */
static void end_node(struct chain *c, struct cb_buf *node, const char *what)
{
    snprintf(c->made, sizeof c->made, "%s%s", c->nodes->prefix, what);
    c->at = strcmp(what, "logits") ? c->made : c->nodes->output;
    cb_wire_put_text(node, NODE_NAME, c->made);
    cb_wire_put_text(node, NODE_OUTPUT, c->at);
    cb_wire_put_message(c->graph, CB_GRAPH_NODE, node);
}

static void put_weight(struct chain *c, const char *name, int rank, const int64_t *dims,
                       const float *data)
{
    struct cb_buf tensor = new_buf();
    char full[NAME_BYTES];
    size_t count = 1;
    snprintf(full, sizeof full, "%s%s", c->nodes->prefix, name);
    for (int i = 0; i < rank; i++) {
        cb_wire_put_int(&tensor, CB_TENSOR_DIMS, (uint64_t)dims[i]);
        count *= (size_t)dims[i];
    }
    cb_wire_put_int(&tensor, CB_TENSOR_TYPE, FLOAT);
    cb_wire_put_text(&tensor, CB_TENSOR_NAME, full);
    cb_wire_put_bytes(&tensor, CB_TENSOR_RAW, data, count * sizeof *data);
    cb_wire_put_message(c->graph, CB_GRAPH_INITIALIZER, &tensor);
    if (c->nodes->ir_version < 4)
        cb_onnx_put_value_info(c->graph, CB_GRAPH_INPUT, full, rank, dims);
}

struct layer {
    const char *what, *weight, *bias;
    int outs, ins;
    const float *w, *b;
};

/* Gemm-1 and Gemm-6 broadcast the bias only when told to. */
static void put_layer(struct chain *c, const struct layer *l)
{
    struct cb_buf node = begin_node(c, "Gemm");
    char name[NAME_BYTES];
    put_weight(c, l->weight, 2, (int64_t[]){ l->outs, l->ins }, l->w);
    put_weight(c, l->bias, 1, (int64_t[]){ l->outs }, l->b);
    snprintf(name, sizeof name, "%s%s", c->nodes->prefix, l->weight);
    cb_wire_put_text(&node, NODE_INPUT, name);
    snprintf(name, sizeof name, "%s%s", c->nodes->prefix, l->bias);
    cb_wire_put_text(&node, NODE_INPUT, name);
    put_int_attribute(&node, "transB", 1);
    if (c->nodes->opset < 7)
        put_int_attribute(&node, "broadcast", 1);
    end_node(c, &node, l->what);
}

/* What brings the trunk's tensor to float [N, inputs]. Cast-1 names the type. */
static void put_entry(struct chain *c)
{
    const struct cb_head_nodes *n = c->nodes;
    struct cb_buf node;
    if (n->cast) {
        node = begin_node(c, "Cast");
        if (n->opset < 6)
            put_text_attribute(&node, "to", "FLOAT");
        else
            put_int_attribute(&node, "to", FLOAT);
        end_node(c, &node, "cast");
    }
    if (n->pool) {
        node = begin_node(c, "GlobalAveragePool");
        end_node(c, &node, "pooled");
    }
    if (n->flatten) {
        node = begin_node(c, "Flatten");
        end_node(c, &node, "features");
    }
}

void cb_head_nodes_put(const struct cb_head_nodes *nodes, struct cb_buf *graph)
{
    const struct cb_head *h = nodes->head;
    struct chain c = { .nodes = nodes, .graph = graph, .at = nodes->input };
    put_entry(&c);
    if (h->hidden) {
        put_layer(&c, &(struct layer){ "hidden", CB_HEAD_W1, CB_HEAD_B1, h->hidden, h->inputs,
                                       h->w1, h->b1 });
        struct cb_buf node = begin_node(&c, "Relu");
        end_node(&c, &node, "active");
    }
    put_layer(&c, &(struct layer){ "logits", CB_HEAD_W2, CB_HEAD_B2, h->classes,
                                   h->hidden ? h->hidden : h->inputs, h->w2, h->b2 });
    cb_onnx_put_value_info(graph, CB_GRAPH_OUTPUT, nodes->output, 2, (int64_t[]){ -1, h->classes });
}
