#include "core/graph/passes/quantised_constants.h"

#include <math.h>
#include <stdlib.h>
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

static bool fits(const struct cb_graph *g, const struct cb_node *node, int axis)
{
    const struct cb_value *w = input(g, node, X), *scale = input(g, node, SCALE),
                          *zero = input(g, node, ZERO);
    if (node->op != CB_OP_DEQUANTIZE || !is_constant(w) || !is_constant(scale) ||
        (w->dtype != CB_INT8 && w->dtype != CB_UINT8 && w->dtype != CB_QINT8) ||
        node->attr.quantise.block > 0 || w->shape.rank < 2 || (zero && !is_constant(zero)))
        return false;
    return (cb_shape_count(&scale->shape) == 1 && (!zero || cb_shape_count(&zero->shape) == 1)) ||
           cb_shape_axis(node->attr.quantise.axis, w->shape.rank) == axis;
}

/* Weights as [m] outputs of `each` numbers, whatever axis the outputs are. */
struct weights {
    const struct cb_value *w, *zero;
    size_t m, each;
    bool last; /* outputs are the last axis */
};

static int64_t weight_at(const struct weights *w, size_t i, size_t k)
{
    return whole_at(w->w, w->last ? k * w->m + i : i * w->each + k);
}

static int64_t zero_at(const struct weights *w, size_t i)
{
    return w->zero ? whole_at(w->zero, cb_shape_count(&w->zero->shape) == 1 ? 0 : i) : 0;
}

static bool have_zeros(const struct weights *w)
{
    bool any = false;
    for (size_t i = 0; i < w->m; i++)
        any |= zero_at(w, i) != 0;
    return any;
}

/* Whether all weights less their zeros are signed bytes. */
static bool are_bytes(const struct weights *w)
{
    if (w->w->dtype != CB_UINT8 && !have_zeros(w))
        return true;
    for (size_t i = 0; i < w->m; i++)
        for (size_t k = 0; k < w->each; k++) {
            const int64_t v = weight_at(w, i, k) - zero_at(w, i);
            if (v < INT8_MIN || v > INT8_MAX)
                return false;
        }
    return true;
}

static struct cb_status add_zeros(struct cb_graph *g, const struct weights *w, int64_t shift,
                                  int *out)
{
    struct cb_tensor zeros = { .shape = { 1, { (int64_t)w->m } }, .dtype = CB_INT32 };
    const char *name = w->w->name;
    const uint64_t key = w->zero ? w->zero->key : 0x7a65726fu;
    CB_TRY(cb_arena_get(g->arena, w->m, sizeof *zeros.i, name, &zeros.data));
    for (size_t i = 0; i < w->m; i++)
        zeros.i[i] = zero_at(w, i) - shift;
    CB_TRY(cb_graph_add_constant(g, name, &zeros, out));
    g->values[*out].key = cb_key_mix(key, 0x7a65726fu);
    return cb_ok();
}

struct cb_status cb_quantised_weights_of(struct cb_pass *pass, const struct cb_node *node, int axis,
                                         struct cb_quantised_weights *out)
{
    struct cb_graph *g = pass->graph;
    *out = (struct cb_quantised_weights){ -1, -1, -1 };
    if (!fits(g, node, axis))
        return cb_ok();
    const struct cb_value w = g->values[node->in[X]], s = g->values[node->in[SCALE]];
    const struct cb_value *zero = input(g, node, ZERO);
    const struct cb_value z = zero ? *zero : (struct cb_value){ 0 };
    const size_t count = cb_shape_count(&w.shape), m = (size_t)w.shape.dim[axis], each = count / m;
    const struct weights view = { &w, zero ? &z : NULL, m, each, axis > 0 };
    struct cb_tensor bytes = { .shape = w.shape, .dtype = CB_QINT8 };
    struct cb_tensor scale = { .shape = { 1, { (int64_t)m } }, .dtype = CB_FLOAT32 };
    /* Zeros are taken off at once where that leaves bytes; else they are kept beside them. */
    const bool bytes_alone = are_bytes(&view);
    const int64_t shift = w.dtype == CB_UINT8 ? 128 : 0;
    if (axis > 0)
        bytes.shape = (struct cb_shape){ 2, { (int64_t)m, (int64_t)each } };
    const bool as_they_lie =
        w.dtype == CB_QINT8 && axis == 0 && (!bytes_alone || !have_zeros(&view));
    if (as_they_lie)
        bytes.data = (void *)(uintptr_t)w.data;
    else
        CB_TRY(cb_arena_get(pass->temporary, count, 1, w.name, &bytes.data));
    for (size_t i = 0; i < m && !as_they_lie; i++)
        for (size_t k = 0; k < each; k++)
            bytes.i8[i * each + k] =
                (int8_t)(weight_at(&view, i, k) - (bytes_alone ? zero_at(&view, i) : shift));
    CB_TRY(cb_arena_get(g->arena, m, sizeof(float), s.name, &scale.data));
    for (size_t i = 0; i < m; i++)
        scale.f[i] = real_at(&s, cb_shape_count(&s.shape) == 1 ? 0 : i);
    CB_TRY(cb_graph_add_constant(g, w.name, &bytes, &out->value));
    g->values[out->value].key = cb_key_mix(cb_key_mix(w.key, 0x6279746573u), (uint64_t)axis);
    if (zero)
        g->values[out->value].key = cb_key_mix(g->values[out->value].key, z.key);
    if (!bytes_alone)
        CB_TRY(add_zeros(g, &view, shift, &out->zero));
    /* A copy must not outlive the packing. */
    g->values[out->value].mapped = as_they_lie ? w.mapped : true;
    return cb_graph_add_constant(g, s.name, &scale, &out->scale);
}

/* Element i of what the DequantizeLinear `node` makes of constants whose zeros are 0. */
static float dequantised_at(const struct cb_graph *g, const struct cb_node *node, size_t i)
{
    const struct cb_value *x = input(g, node, X), *scale = input(g, node, SCALE);
    return (float)whole_at(x, i) * real_at(scale, cb_shape_count(&scale->shape) == 1 ? 0 : i);
}

static bool is_of_constants(const struct cb_graph *g, const struct cb_node *node)
{
    if (!node || node->op != CB_OP_DEQUANTIZE || !is_constant(input(g, node, X)) ||
        !is_constant(input(g, node, SCALE)))
        return false;
    const struct cb_value *zero = input(g, node, ZERO);
    for (size_t i = 0; zero && i < cb_shape_count(&zero->shape); i++)
        if (!zero->data || whole_at(zero, i) != 0)
            return false;
    return true;
}

struct cb_status cb_quantised_reals_of(struct cb_graph *g, int value,
                                       const struct cb_node *producer, size_t count, int *out)
{
    const struct cb_value *v = &g->values[value];
    struct cb_tensor t = { .shape = { 1, { (int64_t)count } }, .dtype = CB_FLOAT32 };
    const size_t n = cb_shape_count(&v->shape);
    *out = -1;
    if ((n != count && n != 1) || !cb_dtype_get(v->dtype)->is_float ||
        (!v->data && !is_of_constants(g, producer)))
        return cb_ok();
    CB_TRY(cb_arena_get(g->arena, count, sizeof *t.f, v->name, &t.data));
    for (size_t i = 0; i < count; i++) {
        const size_t k = n == 1 ? 0 : i;
        t.f[i] = v->data ? real_at(v, k) : dequantised_at(g, producer, k);
    }
    return cb_graph_add_constant(g, v->name, &t, out);
}

struct cb_status cb_quantised_sums_of(struct cb_graph *g, const struct cb_node *producer,
                                      const struct cb_quantised_weights *w, float x_scale,
                                      size_t depth, int *out)
{
    const struct cb_value *w_scale = &g->values[w->scale];
    const size_t count = cb_shape_count(&w_scale->shape);
    const int64_t room = INT32_MAX - (int64_t)depth * 255 * (w->zero < 0 ? 128 : 255);
    struct cb_tensor t = { .shape = w_scale->shape, .dtype = CB_INT32 };
    *out = -1;
    if (!is_of_constants(g, producer))
        return cb_ok();
    const struct cb_value *x = input(g, producer, X), *unit = input(g, producer, SCALE);
    if (x->dtype != CB_INT32 || cb_shape_count(&x->shape) != count)
        return cb_ok();
    CB_TRY(cb_arena_get(g->arena, count, sizeof *t.i, x->name, &t.data));
    for (size_t i = 0; i < count; i++) {
        const float u = real_at(unit, cb_shape_count(&unit->shape) == 1 ? 0 : i);
        t.i[i] = whole_at(x, i);
        if (fabsf(u / (real_at(w_scale, i) * x_scale) - 1) > 1e-6f || llabs(t.i[i]) > room)
            return cb_ok();
    }
    return cb_graph_add_constant(g, x->name, &t, out);
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
