#include "core/graph/passes/quantised_constants.h"

#include <string.h>

enum { X, SCALE, ZERO };

/* Elements may be unaligned: they may lie in a mapped file. */
static float real_at(const struct cb_value *v, size_t i)
{
    float f;
    memcpy(&f, (const char *)v->data + i * sizeof f, sizeof f);
    return f;
}

static int64_t whole_at(const struct cb_value *v, size_t i)
{
    int64_t n;
    if (v->dtype == CB_QINT8)
        return ((const int8_t *)v->data)[i];
    memcpy(&n, (const char *)v->data + i * sizeof n, sizeof n);
    return n;
}

static const struct cb_value *input(const struct cb_graph *g, const struct cb_node *node, int k)
{
    return k < node->n_in && node->in[k] >= 0 ? &g->values[node->in[k]] : NULL;
}

static bool is_constant(const struct cb_value *v)
{
    return v && v->data;
}

bool cb_quantised_quantum(const struct cb_graph *graph, const struct cb_node *node,
                          struct cb_quantum *out)
{
    const struct cb_value *scale = input(graph, node, SCALE), *zero = input(graph, node, ZERO);
    const int whole = node->op == CB_OP_QUANTIZE ? node->out[0] : node->in[X];
    const enum cb_dtype dtype = graph->values[whole].dtype;
    if ((node->op != CB_OP_QUANTIZE && node->op != CB_OP_DEQUANTIZE) ||
        (dtype != CB_INT8 && dtype != CB_UINT8) || node->attr.quantise.block > 0 ||
        !is_constant(scale) || cb_shape_count(&scale->shape) != 1 ||
        (zero && (!is_constant(zero) || cb_shape_count(&zero->shape) != 1)))
        return false;
    const int64_t z = (zero ? whole_at(zero, 0) : 0) + (dtype == CB_INT8 ? 128 : 0);
    *out = (struct cb_quantum){ real_at(scale, 0), (int)z };
    return out->scale > 0 && z >= 0 && z <= 255;
}

/* All zeros are those of symmetric weights: 0 of int8, 128 of uint8. */
static bool is_symmetric(const struct cb_value *zero, enum cb_dtype dtype)
{
    const int64_t wanted = dtype == CB_UINT8 ? 128 : 0;
    if (!zero)
        return wanted == 0;
    if (!zero->data)
        return false;
    for (size_t i = 0; i < cb_shape_count(&zero->shape); i++)
        if (whole_at(zero, i) != wanted)
            return false;
    return true;
}

static bool fits(const struct cb_graph *g, const struct cb_node *node, int axis)
{
    const struct cb_value *w = input(g, node, X), *scale = input(g, node, SCALE);
    if (node->op != CB_OP_DEQUANTIZE || !is_constant(w) || !is_constant(scale) ||
        (w->dtype != CB_INT8 && w->dtype != CB_UINT8 && w->dtype != CB_QINT8) ||
        node->attr.quantise.block > 0 || w->shape.rank < 2 ||
        !is_symmetric(input(g, node, ZERO), w->dtype))
        return false;
    return cb_shape_count(&scale->shape) == 1 ||
           cb_shape_axis(node->attr.quantise.axis, w->shape.rank) == axis;
}

struct cb_status cb_quantised_weights_of(struct cb_pass *pass, const struct cb_node *node, int axis,
                                         struct cb_quantised_weights *out)
{
    struct cb_graph *g = pass->graph;
    *out = (struct cb_quantised_weights){ -1, -1 };
    if (!fits(g, node, axis))
        return cb_ok();
    const struct cb_value w = g->values[node->in[X]], s = g->values[node->in[SCALE]];
    const size_t count = cb_shape_count(&w.shape), m = (size_t)w.shape.dim[axis], each = count / m;
    struct cb_tensor bytes = { .shape = w.shape, .dtype = CB_QINT8 };
    struct cb_tensor scale = { .shape = { 1, { (int64_t)m } }, .dtype = CB_FLOAT32 };
    const int64_t shift = w.dtype == CB_UINT8 ? 128 : 0;
    if (axis > 0)
        bytes.shape = (struct cb_shape){ 2, { (int64_t)m, (int64_t)each } };
    const bool as_they_lie = w.dtype == CB_QINT8 && axis == 0;
    if (as_they_lie)
        bytes.data = (void *)(uintptr_t)w.data;
    else
        CB_TRY(cb_arena_get(pass->temporary, count, 1, w.name, &bytes.data));
    for (size_t i = 0; i < m && !as_they_lie; i++)
        for (size_t k = 0; k < each; k++)
            bytes.i8[i * each + k] =
                (int8_t)(whole_at(&w, axis > 0 ? k * m + i : i * each + k) - shift);
    CB_TRY(cb_arena_get(g->arena, m, sizeof(float), s.name, &scale.data));
    for (size_t i = 0; i < m; i++)
        scale.f[i] = real_at(&s, cb_shape_count(&s.shape) == 1 ? 0 : i);
    CB_TRY(cb_graph_add_constant(g, w.name, &bytes, &out->value));
    g->values[out->value].key = cb_key_mix(cb_key_mix(w.key, 0x6279746573u), (uint64_t)axis);
    /* A copy must not outlive the packing. */
    g->values[out->value].mapped = as_they_lie ? w.mapped : true;
    return cb_graph_add_constant(g, s.name, &scale, &out->scale);
}

/* The operator itself computes them, on aligned copies. */
static struct cb_status fold(struct cb_pass *pass, const struct cb_node *node)
{
    struct cb_graph *g = pass->graph;
    struct cb_value *y = &g->values[node->out[0]];
    struct cb_tensor in[3], out = { .shape = y->shape, .dtype = y->dtype };
    const struct cb_tensor *ins[3] = { NULL, NULL, NULL };
    struct cb_tensor *outs[1] = { &out };
    uint64_t key = 0x7265616cu;
    for (int k = 0; k < node->n_in; k++) {
        const struct cb_value *v = input(g, node, k);
        if (!v)
            continue;
        in[k] = cb_value_tensor(v);
        key = cb_key_mix(key, v->key);
        CB_TRY(cb_arena_get(pass->temporary, cb_tensor_count(&in[k]), cb_dtype_size(v->dtype),
                            v->name, &in[k].data));
        memcpy(in[k].data, v->data, cb_tensor_bytes(&in[k]));
        ins[k] = &in[k];
    }
    CB_TRY(cb_arena_get(pass->temporary, cb_tensor_count(&out), cb_dtype_size(out.dtype), y->name,
                        &out.data));
    cb_op_get(node->op)->forward(
        &(struct cb_op_call){ .node = node, .kernels = pass->kernels, .in = ins, .out = outs });
    y->data = out.data;
    y->key = key;
    y->mapped = true; /* must not outlive the packing */
    return cb_ok();
}

struct cb_status cb_quantised_fold_constants(struct cb_pass *pass)
{
    struct cb_graph *g = pass->graph;
    int kept = 0;
    for (int i = 0; i < g->n_nodes; i++) {
        const struct cb_node *n = &g->nodes[i];
        bool constant = n->op == CB_OP_DEQUANTIZE || n->op == CB_OP_QUANTIZE;
        for (int k = 0; k < n->n_in && constant; k++)
            constant =
                n->in[k] < 0 || (g->values[n->in[k]].data && !cb_pass_wanted(pass, n->in[k]));
        if (constant)
            CB_TRY(fold(pass, n));
        else
            g->nodes[kept++] = *n;
    }
    g->n_nodes = kept;
    return cb_ok();
}
