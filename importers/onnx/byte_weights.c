#include "importers/onnx/byte_weights.h"

#include <string.h>

static bool is_dequantize(const Onnx__NodeProto *node)
{
    return node->op_type && strcmp(node->op_type, "DequantizeLinear") == 0;
}

struct cb_status cb_byte_weights_find(const Onnx__GraphProto *graph, struct cb_arena *arena,
                                      struct cb_byte_weights *out)
{
    size_t n = graph->n_output + graph->n_input;
    for (size_t i = 0; i < graph->n_node; i++)
        n += graph->node[i]->n_input;
    CB_TRY(cb_onnx_names_init(&out->dequantised, arena, n));
    CB_TRY(cb_onnx_names_init(&out->others, arena, n));
    for (size_t i = 0; i < graph->n_node; i++)
        for (size_t k = 0; k < graph->node[i]->n_input; k++)
            cb_onnx_names_add(k == 0 && is_dequantize(graph->node[i]) ? &out->dequantised
                                                                      : &out->others,
                              graph->node[i]->input[k], 0);
    for (size_t i = 0; i < graph->n_output; i++)
        if (graph->output[i]->name)
            cb_onnx_names_add(&out->others, graph->output[i]->name, 0);
    (void)cb_onnx_names_sort(&out->dequantised);
    (void)cb_onnx_names_sort(&out->others);
    return cb_ok();
}

bool cb_byte_weights_has(const struct cb_byte_weights *weights, const char *name)
{
    return cb_onnx_names_find(&weights->dequantised, name) >= 0 &&
           cb_onnx_names_find(&weights->others, name) < 0;
}
