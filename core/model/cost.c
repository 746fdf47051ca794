#include "core/model/cost.h"

static const struct cb_shape *shape_of(const struct cb_graph *graph, int value)
{
    return &graph->values[value].shape;
}

/* Terms of the sum behind every element of the output. */
static uint64_t conv_depth(const struct cb_graph *graph, const struct cb_node *node)
{
    const struct cb_shape *w = shape_of(graph, node->in[1]); /* [M, C/group, kernel...] */
    return cb_shape_span(w, 1, w->rank);
}

/* Every element of x has a term in as many sums as its filter has numbers. */
static uint64_t conv_transpose_macs(const struct cb_graph *graph, const struct cb_node *node)
{
    const struct cb_shape *w = shape_of(graph, node->in[1]); /* [C, M/group, kernel...] */
    return cb_shape_count(shape_of(graph, node->in[0])) * cb_shape_span(w, 1, w->rank);
}

static uint64_t gemm_depth(const struct cb_graph *graph, const struct cb_node *node)
{
    return (uint64_t)shape_of(graph, node->in[0])->dim[node->attr.gemm.trans_a ? 0 : 1];
}

static uint64_t matmul_depth(const struct cb_graph *graph, const struct cb_node *node)
{
    const struct cb_shape *a = shape_of(graph, node->in[0]);
    return (uint64_t)a->dim[a->rank - 1];
}

static const struct {
    enum cb_op op;
    uint64_t (*depth)(const struct cb_graph *graph, const struct cb_node *node);
} rows[] = { { CB_OP_CONV, conv_depth },
             { CB_OP_GEMM, gemm_depth },
             { CB_OP_MATMUL, matmul_depth } };

/* A chain's stages: each element of what a stage makes has a sum of its own. */
static uint64_t chain_macs(const struct cb_graph *graph, const struct cb_node *node)
{
    enum { X, FILTER, EXPAND = 3, PROJECT = 5 };
    const struct cb_shape *w = shape_of(graph, node->in[FILTER]);
    const struct cb_shape *x = shape_of(graph, node->in[X]), *y = shape_of(graph, node->out[0]);
    const uint64_t made = cb_shape_span(y, 0, y->rank - 1) * (uint64_t)w->dim[0];
    uint64_t macs = made * cb_shape_span(w, 1, w->rank);
    if (node->in[EXPAND] >= 0)
        macs += cb_shape_count(x) * (uint64_t)w->dim[0];
    if (node->in[PROJECT] >= 0)
        macs += made * (uint64_t)y->dim[y->rank - 1];
    return macs;
}

uint64_t cb_cost_macs(const struct cb_graph *graph, const struct cb_node *node)
{
    if (node->op == CB_OP_CONV_CHAIN)
        return chain_macs(graph, node);
    if (node->op == CB_OP_CONV_TRANSPOSE)
        return conv_transpose_macs(graph, node);
    for (size_t i = 0; i < CB_COUNT_OF(rows); i++)
        if (rows[i].op == node->op)
            return cb_shape_count(shape_of(graph, node->out[0])) * rows[i].depth(graph, node);
    return 0;
}

uint64_t cb_cost_parameters(const struct cb_graph *graph, const struct cb_node *node)
{
    uint64_t sum = 0;
    for (int i = 0; i < node->n_in; i++) {
        const struct cb_value *v = node->in[i] < 0 ? NULL : &graph->values[node->in[i]];
        if (v && v->data && cb_dtype_get(v->dtype)->is_float)
            sum += cb_shape_count(&v->shape);
    }
    return sum;
}
