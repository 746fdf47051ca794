#include "importers/onnx/byte_weights.h"

#include <string.h>

static bool is_dequantize(const Onnx__NodeProto *node)
{
    return node->op_type && strcmp(node->op_type, "DequantizeLinear") == 0;
}

/* Names that a graph and those in its nodes read. */
static size_t count_names(const Onnx__GraphProto *graph)
{
    size_t n = graph->n_output;
    for (size_t i = 0; i < graph->n_node; i++) {
        const Onnx__NodeProto *node = graph->node[i];
        n += node->n_input;
        for (size_t k = 0; k < node->n_attribute; k++)
            if (node->attribute[k]->g)
                n += count_names(node->attribute[k]->g);
    }
    return n;
}

/* `inner`: a graph in a node, whose DequantizeLinear may read another tensor of that name. */
static void add_names(struct cb_byte_weights *out, const Onnx__GraphProto *graph, bool inner)
{
    for (size_t i = 0; i < graph->n_node; i++) {
        const Onnx__NodeProto *node = graph->node[i];
        for (size_t k = 0; k < node->n_input; k++)
            cb_onnx_names_add(k == 0 && !inner && is_dequantize(node) ? &out->dequantised
                                                                      : &out->others,
                              node->input[k], 0);
        for (size_t k = 0; k < node->n_attribute; k++)
            if (node->attribute[k]->g)
                add_names(out, node->attribute[k]->g, true);
    }
    for (size_t i = 0; i < graph->n_output; i++)
        if (graph->output[i]->name)
            cb_onnx_names_add(&out->others, graph->output[i]->name, 0);
}

struct cb_status cb_byte_weights_find(const Onnx__GraphProto *graph, struct cb_arena *arena,
                                      struct cb_byte_weights *out)
{
    const size_t n = count_names(graph);
    CB_TRY(cb_onnx_names_init(&out->dequantised, arena, n));
    CB_TRY(cb_onnx_names_init(&out->others, arena, n));
    add_names(out, graph, false);
    (void)cb_onnx_names_sort(&out->dequantised);
    (void)cb_onnx_names_sort(&out->others);
    return cb_ok();
}

bool cb_byte_weights_has(const struct cb_byte_weights *weights, const char *name)
{
    return cb_onnx_names_find(&weights->dequantised, name) >= 0 &&
           cb_onnx_names_find(&weights->others, name) < 0;
}
