#include "importers/onnx/import.h"

#include <string.h>

/* Element type of a node's output i, as far as it follows from the inputs' types. */
static enum cb_dtype result_dtype(const struct cb_graph *g, const struct cb_node *node, int i)
{
    const enum cb_dtype first =
        node->n_in && node->in[0] >= 0 ? g->values[node->in[0]].dtype : CB_DTYPE_NONE;
    switch (node->op) {
    case CB_OP_NOT:
    case CB_OP_EQUAL:
    case CB_OP_GREATER:
    case CB_OP_LESS:
    case CB_OP_GREATER_EQUAL:
    case CB_OP_LESS_EQUAL:
    case CB_OP_AND:
    case CB_OP_OR:
    case CB_OP_XOR: return CB_BOOL;
    case CB_OP_SHAPE:
    case CB_OP_SIZE:
    case CB_OP_ARG_MAX:
    case CB_OP_ARG_MIN: return CB_INT64;
    case CB_OP_MAX_POOL: return i ? CB_INT64 : first;
    case CB_OP_CAST: return node->attr.cast.to;
    case CB_OP_CONSTANT_OF_SHAPE: return node->attr.fill.dtype;
    case CB_OP_QUANTIZE:
        if (node->attr.quantise.to != CB_DTYPE_NONE)
            return node->attr.quantise.to;
        return node->n_in > 2 && node->in[2] >= 0 ? g->values[node->in[2]].dtype : CB_UINT8;
    case CB_OP_DEQUANTIZE:
        return node->attr.quantise.to ? node->attr.quantise.to : g->values[node->in[1]].dtype;
    case CB_OP_WHERE: return g->values[node->in[1]].dtype;
    default: return first;
    }
}

struct cb_status cb_onnx_add(struct cb_onnx_node *node, enum cb_op op, const union cb_attr *attr,
                             struct cb_onnx_args in, struct cb_onnx_args out)
{
    struct cb_graph *g = node->import->graph;
    struct cb_node *made;
    const char *name = node->name;
    if (op != node->rule->op &&
        !(name = cb_arena_printf(g->arena, "%s/%s", name, cb_op_get(op)->name)))
        return cb_fail(CB_ERR_NOMEM, "over the budget");
    CB_TRY(cb_graph_add_node(g, op, name, in.n, in.v, out.n, out.v, &made));
    made->attr = attr ? *attr : cb_attr_default(op);
    for (int i = 0; i < out.n; i++)
        if (out.v[i] >= 0)
            g->values[out.v[i]].dtype = result_dtype(g, made, i);
    return cb_ok();
}

struct cb_status cb_onnx_add_same(struct cb_onnx_node *node, const union cb_attr *attr)
{
    return cb_onnx_add(node, node->rule->op, attr, (struct cb_onnx_args){ node->n_in, node->in },
                       (struct cb_onnx_args){ node->n_out, node->out });
}

struct cb_status cb_onnx_temp(struct cb_onnx_node *node, int like, const char *what, int *out)
{
    struct cb_graph *g = node->import->graph;
    const char *name = cb_arena_printf(node->import->scratch, "%s@%s", g->values[like].name, what);
    if (!name)
        return cb_fail(CB_ERR_NOMEM, "over the budget");
    return cb_graph_add_value(g, name, g->values[like].dtype, &(struct cb_shape){ .rank = -1 },
                              out);
}

static struct cb_status add_constant(struct cb_onnx_node *node, const char *what,
                                     const struct cb_tensor *tensor, int *out)
{
    struct cb_graph *g = node->import->graph;
    const char *name = cb_arena_printf(node->import->scratch, "%s@%s", node->name, what);
    if (!name)
        return cb_fail(CB_ERR_NOMEM, "over the budget");
    CB_TRY(cb_graph_add_value(g, name, tensor->dtype, &tensor->shape, out));
    cb_onnx_set_constant(node->import, *out, tensor, false);
    return cb_ok();
}

struct cb_status cb_onnx_add_scalar(struct cb_onnx_node *node, const char *what,
                                    enum cb_dtype dtype, double value, int *out)
{
    struct cb_tensor t = { .dtype = dtype == CB_DTYPE_NONE ? CB_FLOAT32 : dtype };
    CB_TRY(cb_arena_get(node->import->graph->arena, 1, cb_dtype_size(t.dtype), what, &t.data));
    if (cb_dtype_get(t.dtype)->is_float)
        t.f[0] = (float)value;
    else
        t.i[0] = (int64_t)value;
    return add_constant(node, what, &t, out);
}

struct cb_status cb_onnx_add_ints(struct cb_onnx_node *node, const char *what, int count,
                                  const int64_t *v, int *out)
{
    struct cb_tensor t = { .dtype = CB_INT64, .shape = { 1, { count } } };
    CB_TRY(cb_arena_get(node->import->graph->arena, (size_t)count, sizeof *v, what, &t.data));
    memcpy(t.i, v, (size_t)count * sizeof *v);
    return add_constant(node, what, &t, out);
}

void cb_onnx_set_constant(struct cb_onnx_import *import, int v, const struct cb_tensor *tensor,
                          bool mapped)
{
    struct cb_value *value = &import->graph->values[v];
    value->dtype = tensor->dtype;
    value->shape = tensor->shape;
    value->data = tensor->data;
    value->key = cb_key_mix(1, (uint64_t)v);
    value->durable = true;
    value->mapped = mapped;
}

bool cb_onnx_known_scalar(const struct cb_onnx_node *node, int i, double *out)
{
    const struct cb_value *value = cb_onnx_has(node, i) ? cb_onnx_in(node, i) : NULL;
    if (!value || !value->data || cb_shape_count(&value->shape) != 1)
        return false;
    if (cb_dtype_get(value->dtype)->is_float) {
        float f;
        memcpy(&f, value->data, sizeof f);
        *out = (double)f;
    } else {
        int64_t n;
        memcpy(&n, value->data, sizeof n);
        *out = (double)n;
    }
    return true;
}
