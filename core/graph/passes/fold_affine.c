/* y = (W x + b) * s + t per output channel is W' x + b' with W' = s W, b' = s b + t. */
#include "core/graph/passes/passes.h"

#include <math.h>
#include <string.h>

/* The constants of one node as scale and shift per channel. */
struct affine {
    float *scale; /* NULL: 1 */
    float *shift;
    uint64_t key;
    bool durable;
    float lo, hi;
};

static float read_float(const struct cb_value *v, size_t i)
{
    float f;
    memcpy(&f, (const char *)v->data + i * sizeof f, sizeof f); /* maybe unaligned */
    return f;
}

static bool is_float_constant(const struct cb_graph *g, int value)
{
    return value >= 0 && g->values[value].data && cb_dtype_get(g->values[value].dtype)->is_float;
}

/* A constant with one number for each of `channels` on the last axis, or a single one. */
static bool is_per_channel(const struct cb_graph *g, int value, int rank, size_t channels)
{
    const struct cb_shape *s;
    size_t count;
    if (!is_float_constant(g, value))
        return false;
    s = &g->values[value].shape;
    count = cb_shape_count(s);
    return s->rank <= rank && (count == 1 || (count == channels && s->rank > 0 &&
                                              s->dim[s->rank - 1] == (int64_t)channels));
}

static struct cb_status batch_norm_affine(struct cb_graph *g, const struct cb_node *n,
                                          size_t channels, struct affine *out)
{
    uint32_t epsilon;
    CB_TRY(cb_arena_get(g->arena, channels, sizeof(float), n->name, &out->scale));
    CB_TRY(cb_arena_get(g->arena, channels, sizeof(float), n->name, &out->shift));
    for (size_t c = 0; c < channels; c++) {
        const float gamma = read_float(&g->values[n->in[1]], c),
                    beta = read_float(&g->values[n->in[2]], c);
        const float mean = read_float(&g->values[n->in[3]], c),
                    var = read_float(&g->values[n->in[4]], c);
        const double s = gamma / sqrt((double)var + (double)n->attr.batch_norm.epsilon);
        out->scale[c] = (float)s;
        out->shift[c] = (float)(beta - mean * s);
    }
    for (int k = 1; k < 5; k++) {
        out->key = cb_key_mix(out->key, g->values[n->in[k]].key);
        out->durable &= g->values[n->in[k]].durable;
    }
    memcpy(&epsilon, &n->attr.batch_norm.epsilon, sizeof epsilon);
    out->key = cb_key_mix(out->key, epsilon);
    out->lo = n->attr.batch_norm.lo;
    out->hi = n->attr.batch_norm.hi;
    return cb_ok();
}

static struct cb_status arithmetic_affine(struct cb_graph *g, const struct cb_node *n, int constant,
                                          size_t channels, struct affine *out)
{
    const struct cb_value *v = &g->values[constant];
    const size_t step = cb_shape_count(&v->shape) == 1 ? 0 : 1;
    const bool scales = n->op == CB_OP_MUL || n->op == CB_OP_DIV;
    CB_TRY(cb_arena_get(g->arena, channels, sizeof(float), n->name, &out->shift));
    if (scales)
        CB_TRY(cb_arena_get(g->arena, channels, sizeof(float), n->name, &out->scale));
    for (size_t c = 0; c < channels; c++) {
        const float f = read_float(v, c * step);
        if (scales)
            out->scale[c] = n->op == CB_OP_MUL ? f : 1 / f;
        else
            out->shift[c] = n->op == CB_OP_ADD ? f : -f;
    }
    out->key = cb_key_mix(v->key, n->op);
    out->durable = v->durable;
    out->lo = n->op == CB_OP_ADD ? n->attr.binary.lo : -INFINITY;
    out->hi = n->op == CB_OP_ADD ? n->attr.binary.hi : INFINITY;
    return cb_ok();
}

/* Whether `n` scales and shifts channels of a value by constants; data: that value. scale and shift
 * are NULL if not. */
static struct cb_status find_affine(struct cb_graph *g, const struct cb_node *n, int *data,
                                    struct affine *out)
{
    const struct cb_shape *y = &g->values[n->out[0]].shape;
    const size_t channels = y->rank > 0 ? (size_t)y->dim[y->rank - 1] : 0;
    *out = (struct affine){ .key = n->op, .durable = true };
    *data = n->in[0];
    if (n->op == CB_OP_BATCH_NORM) {
        for (int k = 1; k < 5; k++)
            if (n->in[k] < 0 || !is_per_channel(g, n->in[k], 1, channels) ||
                cb_shape_count(&g->values[n->in[k]].shape) != channels)
                return cb_ok();
        return n->attr.batch_norm.training ? cb_ok() : batch_norm_affine(g, n, channels, out);
    }
    if (n->op < CB_OP_ADD || n->op > CB_OP_DIV || n->attr.binary.aligned)
        return cb_ok();
    if (is_per_channel(g, n->in[1], y->rank, channels))
        return arithmetic_affine(g, n, n->in[1], channels, out);
    if ((n->op == CB_OP_ADD || n->op == CB_OP_MUL) &&
        is_per_channel(g, n->in[0], y->rank, channels)) {
        *data = n->in[1];
        return arithmetic_affine(g, n, n->in[0], channels, out);
    }
    return cb_ok();
}

/* The filter or matrix times `scale`: a new constant with the elements of the old one, which are
 * multiplied when they are packed. Channels are its axis 0, or its last. */
static struct cb_status scale_weights(struct cb_graph *g, int weights, bool channels_first,
                                      const struct affine *a, int *out)
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
                                  size_t channels, const struct affine *a)
{
    struct cb_graph *g = pass->graph;
    const int old = node->n_in > 2 ? node->in[2] : -1;
    struct cb_tensor t = { .shape = { 1, { (int64_t)channels } }, .dtype = CB_FLOAT32 };
    const size_t step = old >= 0 && cb_shape_count(&g->values[old].shape) == 1 ? 0 : 1;
    int *in, index;
    CB_TRY(cb_arena_get(g->arena, channels, sizeof(float), node->name, &t.f));
    for (size_t c = 0; c < channels; c++) {
        const float b = old >= 0 ? beta * read_float(&g->values[old], c * step) : 0;
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
    return n->op == CB_OP_CONV && is_float_constant(g, n->in[1]) && (n->n_in < 4 || n->in[3] < 0) &&
           (n->n_in < 3 || n->in[2] < 0 || is_float_constant(g, n->in[2])) &&
           is_open(n->attr.conv.lo, n->attr.conv.hi);
}

static bool takes_gemm(const struct cb_graph *g, const struct cb_node *n, size_t channels)
{
    if (n->op == CB_OP_MATMUL)
        return g->values[n->in[0]].shape.rank == 2 && g->values[n->in[1]].shape.rank == 2 &&
               is_float_constant(g, n->in[1]) && is_open(n->attr.matmul.lo, n->attr.matmul.hi);
    return n->op == CB_OP_GEMM && is_float_constant(g, n->in[1]) &&
           is_open(n->attr.gemm.lo, n->attr.gemm.hi) &&
           (n->n_in < 3 || n->in[2] < 0 || is_per_channel(g, n->in[2], 2, channels));
}

/* node becomes node followed by the affine map; its output takes over. */
static struct cb_status fold_into(struct cb_pass *pass, struct cb_node *node,
                                  const struct affine *a, int out)
{
    struct cb_graph *g = pass->graph;
    const struct cb_shape *y = &g->values[out].shape;
    const size_t channels = (size_t)y->dim[y->rank - 1];
    const bool conv = node->op == CB_OP_CONV;
    float beta = 1;
    if (node->op == CB_OP_MATMUL) {
        node->op = CB_OP_GEMM;
        node->attr = cb_attr_default(CB_OP_GEMM);
    }
    if (!conv)
        beta = node->attr.gemm.beta;
    CB_TRY(fold_bias(pass, node, beta, channels, a));
    if (a->scale)
        CB_TRY(scale_weights(g, node->in[1], conv || node->attr.gemm.trans_b, a, &node->in[1]));
    if (conv) {
        node->attr.conv.lo = a->lo;
        node->attr.conv.hi = a->hi;
    } else {
        node->attr.gemm.beta = 1;
        node->attr.gemm.lo = a->lo;
        node->attr.gemm.hi = a->hi;
    }
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
        struct affine a;
        int data, p;
        g->nodes[kept] = *n;
        for (int k = 0; k < n->n_out; k++)
            if (n->out[k] >= 0)
                producer[n->out[k]] = kept;
        kept++;
        if (n->out[0] < 0)
            continue;
        CB_TRY(find_affine(g, n, &data, &a));
        if (!a.shift || data < 0 || g->values[data].shape.rank < 1 || (p = producer[data]) < 0 ||
            uses[data] != 1 || cb_pass_pinned(pass, data) ||
            !cb_shape_equal(&g->values[data].shape, &g->values[n->out[0]].shape))
            continue;
        before = &g->nodes[p];
        if (!takes_conv(g, before) &&
            !takes_gemm(g, before,
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
