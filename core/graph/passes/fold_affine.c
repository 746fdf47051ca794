/* y = (W x + b) * s + t per output channel is W' x + b' with W' = s W, b' = s b + t. */
#include "core/graph/passes/affine.h"
#include "core/graph/passes/passes.h"

#include <math.h>

/* The filter or matrix times `scale`: a new constant with the elements of the old one, which are
 * multiplied when they are packed. Channels are its axis 0, or its last. */
static struct cb_status scale_weights(struct cb_graph *g, int weights, bool channels_first,
                                      const struct cb_affine *a, int *out)
{
    const struct cb_value w = g->values[weights];
    const size_t channels = (size_t)w.shape.dim[channels_first ? 0 : w.shape.rank - 1];
    const struct cb_tensor t = cb_value_tensor(&w);
    struct cb_value *scaled;
    CB_TRY(cb_graph_add_constant(g, w.name, &t, out));
    scaled = &g->values[*out];
    for (size_t c = 0; w.scale && c < channels; c++)
        a->scale[c] *= w.scale[c];
    scaled->scale = a->scale;
    scaled->scale_last = !channels_first;
    scaled->mapped = w.mapped;
    scaled->durable = w.durable && a->durable;
    scaled->key = w.key && a->key ? cb_key_mix(w.key, a->key) : 0;
    return cb_ok();
}

static struct cb_status fold_bias(struct cb_pass *pass, struct cb_node *node, float beta,
                                  size_t channels, const struct cb_affine *a)
{
    struct cb_graph *g = pass->graph;
    const int old = node->n_in > 2 ? node->in[2] : -1;
    struct cb_tensor t = { .shape = { 1, { (int64_t)channels } }, .dtype = CB_FLOAT32 };
    const size_t step = old >= 0 && cb_shape_count(&g->values[old].shape) == 1 ? 0 : 1;
    int *in, index;
    CB_TRY(cb_arena_get(g->arena, channels, sizeof(float), node->name, &t.f));
    for (size_t c = 0; c < channels; c++) {
        const float b = old >= 0 ? beta * cb_affine_number(&g->values[old], c * step) : 0;
        t.f[c] = b * (a->scale ? a->scale[c] : 1) + a->shift[c];
    }
    CB_TRY(cb_graph_add_constant(g, node->name, &t, &index));
    CB_TRY(cb_arena_get(g->arena, 4, sizeof *in, node->name, &in));
    in[0] = node->in[0];
    in[1] = node->in[1];
    in[2] = index;
    in[3] = -1;
    node->in = in;
    node->n_in = 3;
    return cb_ok();
}

static bool is_open(float lo, float hi)
{
    return lo == -INFINITY && hi == INFINITY;
}

static bool takes_conv(const struct cb_graph *g, const struct cb_node *n)
{
    return n->op == CB_OP_CONV && cb_affine_is_constant(g, n->in[1]) &&
           (n->n_in < 4 || n->in[3] < 0) &&
           (n->n_in < 3 || n->in[2] < 0 || cb_affine_is_constant(g, n->in[2])) &&
           is_open(n->attr.conv.lo, n->attr.conv.hi);
}

/* Gemm, and MatMul by one matrix. */
static bool takes_product(const struct cb_graph *g, const struct cb_node *n, size_t channels)
{
    if ((n->op != CB_OP_MATMUL && n->op != CB_OP_GEMM) || !cb_affine_is_constant(g, n->in[1]) ||
        g->values[n->in[1]].shape.rank != 2 || (n->n_in > 3 && n->in[3] >= 0) ||
        (n->n_in > 2 && n->in[2] >= 0 && !cb_affine_is_per_channel(g, n->in[2], 2, channels)))
        return false;
    return n->op == CB_OP_MATMUL ? is_open(n->attr.matmul.lo, n->attr.matmul.hi)
                                 : is_open(n->attr.gemm.lo, n->attr.gemm.hi);
}

/* node becomes node followed by the affine map; its output takes over. */
static struct cb_status fold_into(struct cb_pass *pass, struct cb_node *node,
                                  const struct cb_affine *a, int out)
{
    struct cb_graph *g = pass->graph;
    const struct cb_shape *y = &g->values[out].shape;
    const size_t channels = (size_t)y->dim[y->rank - 1];
    const bool gemm = node->op == CB_OP_GEMM, conv = node->op == CB_OP_CONV;
    CB_TRY(fold_bias(pass, node, gemm ? node->attr.gemm.beta : 1, channels, a));
    if (a->scale)
        CB_TRY(scale_weights(g, node->in[1], conv || (gemm && node->attr.gemm.trans_b), a,
                             &node->in[1]));
    if (gemm)
        node->attr.gemm.beta = 1;
    *(conv ? &node->attr.conv.lo : gemm ? &node->attr.gemm.lo : &node->attr.matmul.lo) = a->lo;
    *(conv ? &node->attr.conv.hi : gemm ? &node->attr.gemm.hi : &node->attr.matmul.hi) = a->hi;
    node->out[0] = out;
    return cb_ok();
}

struct cb_status cb_pass_fold_affine(struct cb_pass *pass)
{
    struct cb_graph *g = pass->graph;
    const int own = g->n_values; /* constants from here on are this pass's, each for one node */
    int *producer, *uses, kept = 0;
    if (pass->train_weights)
        return cb_ok();
    CB_TRY(cb_graph_producers(g, g->arena, &producer));
    CB_TRY(cb_graph_uses(g, g->arena, &uses));
    for (int i = 0; i < g->n_nodes; i++) {
        struct cb_node *n = &g->nodes[i], *before;
        struct cb_affine a;
        int data, p;
        g->nodes[kept] = *n;
        for (int k = 0; k < n->n_out; k++)
            if (n->out[k] >= 0)
                producer[n->out[k]] = kept;
        kept++;
        if (n->out[0] < 0)
            continue;
        CB_TRY(cb_affine_find(g, n, &data, &a));
        if (!a.shift || data < 0 || g->values[data].shape.rank < 1 || (p = producer[data]) < 0 ||
            uses[data] != 1 || cb_pass_pinned(pass, data) ||
            !cb_shape_equal(&g->values[data].shape, &g->values[n->out[0]].shape))
            continue;
        before = &g->nodes[p];
        if (!takes_conv(g, before) &&
            !takes_product(g, before,
                           (size_t)g->values[data].shape.dim[g->values[data].shape.rank - 1]))
            continue;
        /* Weights that several nodes share are not copied for each. */
        if (a.scale && before->in[1] < own && uses[before->in[1]] > 1)
            continue;
        CB_TRY(fold_into(pass, before, &a, n->out[0]));
        producer[n->out[0]] = p;
        kept--;
    }
    g->n_nodes = kept;
    return cb_ok();
}
