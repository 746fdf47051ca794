#include "importers/onnx/import.h"

#include <string.h>

#include "core/ops/args.h"

/* Element types of a node's outputs, as far as they follow from the inputs' types. */
static struct cb_status set_result_types(struct cb_onnx_import *import, const struct cb_node *node)
{
    struct cb_graph *g = import->graph;
    const struct cb_op_def *def = cb_op_get(node->op);
    enum cb_dtype *in;
    CB_TRY(cb_arena_get(import->scratch, (size_t)node->n_in + 1, sizeof *in, "types", &in));
    for (int i = 0; i < node->n_in; i++)
        in[i] = node->in[i] >= 0 ? g->values[node->in[i]].dtype : CB_DTYPE_NONE;
    for (int i = 0; i < node->n_out; i++)
        if (node->out[i] >= 0)
            g->values[node->out[i]].dtype = def->result ? def->result(node, in, i) : in[0];
    return cb_ok();
}

struct cb_status cb_onnx_add(struct cb_onnx_node *node, enum cb_op op, const union cb_attr *attr,
                             struct cb_onnx_args in, struct cb_onnx_args out)
{
    struct cb_graph *g = node->import->graph;
    struct cb_node *made;
    const char *name = node->name;
    if ((!node->rule || op != node->rule->op) &&
        !(name = cb_arena_printf(g->arena, "%s/%s", name, cb_op_get(op)->name)))
        return cb_fail(CB_ERR_NOMEM, "over the budget");
    CB_TRY(cb_graph_add_node(g, op, name, in.n, in.v, out.n, out.v, &made));
    made->attr = attr ? *attr : cb_attr_default(op);
    return set_result_types(node->import, made);
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

struct cb_status cb_onnx_step(struct cb_onnx_node *node, enum cb_op op, const union cb_attr *attr,
                              struct cb_onnx_args in, int *out)
{
    int made; /* `in` may be the list of *out alone */
    CB_TRY(cb_onnx_temp(node, node->out[0], cb_op_get(op)->name, &made));
    CB_TRY(cb_onnx_add(node, op, attr, in, CB_ONNX_ARGS(made)));
    *out = made;
    return cb_ok();
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
    const int64_t whole = cb_args_to_int(value);
    if (!cb_dtype_get(t.dtype)->is_float && (double)whole != value)
        return cb_fail(CB_ERR_MODEL, "wants real numbers, has %s, of which none is %g",
                       cb_dtype_get(t.dtype)->name, value);
    CB_TRY(cb_arena_get(node->import->graph->arena, 1, cb_dtype_size(t.dtype), what, &t.data));
    if (cb_dtype_get(t.dtype)->is_float)
        t.f[0] = (float)value;
    else
        t.i[0] = whole;
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
    value->durable = import->n_inputs == 0; /* else they decide which values there are */
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
