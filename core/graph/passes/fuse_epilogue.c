/* A tile that has just been computed is still in registers: adding the residual and clamping there
 * costs nothing; an activation finds it in the first-level cache. */
#include "core/graph/passes/match.h"

#include <math.h>

/* Where an operator keeps what happens to its sums; NULLs where it has no such thing. */
struct post {
    float *lo, *hi;
    struct cb_act *act;
};

static struct post post_of(struct cb_node *n)
{
    union cb_attr *a = &n->attr;
    switch (n->op) {
    case CB_OP_CONV: return (struct post){ &a->conv.lo, &a->conv.hi, &a->conv.act };
    case CB_OP_BATCH_NORM: return (struct post){ &a->batch_norm.lo, &a->batch_norm.hi, NULL };
    case CB_OP_GEMM: return (struct post){ &a->gemm.lo, &a->gemm.hi, &a->gemm.act };
    case CB_OP_MATMUL: return (struct post){ &a->matmul.lo, &a->matmul.hi, &a->matmul.act };
    case CB_OP_ADD: return (struct post){ &a->binary.lo, &a->binary.hi, NULL };
    default: return (struct post){ NULL, NULL, NULL };
    }
}

static bool has_act(struct post p)
{
    return p.act && p.act->kind != CB_ACT_NONE;
}

static bool is_open(struct post p)
{
    return p.lo && *p.lo == -INFINITY && *p.hi == INFINITY && !has_act(p);
}

struct fuser {
    struct cb_match m;
    bool *gone; /* per node */
};

/* Node i has become part of the node that makes its input, which makes its output now. */
static void absorb(struct fuser *f, int i, struct cb_node *before)
{
    const struct cb_node *n = &f->m.graph->nodes[i];
    before->out[0] = n->out[0];
    f->m.producer[n->out[0]] = f->m.producer[n->in[0]];
    f->gone[i] = true;
}

static bool fuse_clamp(struct fuser *f, int i)
{
    struct cb_node *n = &f->m.graph->nodes[i], *before;
    const bool relu = n->op == CB_OP_RELU;
    struct post p;
    if ((!relu && n->op != CB_OP_CLIP) ||
        !cb_dtype_get(f->m.graph->values[n->out[0]].dtype)->is_float)
        return false;
    for (int k = 1; k < n->n_in; k++)
        if (n->in[k] >= 0)
            return false; /* bounds that only the run will know */
    if (!(before = cb_match_private(&f->m, n->in[0])) || !is_open(p = post_of(before)) ||
        (before->op == CB_OP_BATCH_NORM && before->attr.batch_norm.training))
        return false;
    *p.lo = relu ? 0 : (float)n->attr.clip.lo;
    *p.hi = relu ? INFINITY : (float)n->attr.clip.hi;
    absorb(f, i, before);
    return true;
}

static struct cb_act act_of(const struct cb_node *n)
{
    static const enum cb_activation kinds[CB_OP_COUNT] = {
        [CB_OP_SIGMOID] = CB_ACT_SIGMOID,
        [CB_OP_SILU] = CB_ACT_SILU,
        [CB_OP_HARD_SIGMOID] = CB_ACT_HARD_SIGMOID,
        [CB_OP_HARD_SWISH] = CB_ACT_HARD_SWISH,
        [CB_OP_GELU] = CB_ACT_GELU,
        [CB_OP_TANH] = CB_ACT_TANH,
    };
    struct cb_act act = { kinds[n->op], n->attr.unary.alpha, n->attr.unary.beta };
    if (n->op == CB_OP_GELU && n->attr.unary.approximate)
        act.kind = CB_ACT_GELU_TANH;
    return act;
}

/* No gradient flows through an activation that is part of another operator. */
static bool fuse_act(struct fuser *f, int i)
{
    struct cb_node *n = &f->m.graph->nodes[i], *before;
    const struct cb_act act = act_of(n);
    struct post p;
    if (act.kind == CB_ACT_NONE || f->m.has_grad[n->in[0]] ||
        !(before = cb_match_private(&f->m, n->in[0])) || !(p = post_of(before)).act || has_act(p) ||
        !cb_dtype_get(f->m.graph->values[n->out[0]].dtype)->is_float)
        return false;
    *p.act = act;
    absorb(f, i, before);
    return true;
}

/* Which input of `before` operand `v` of an addition becomes: 3, a residual; 2, the bias of a
 * product; -1. */
static int slot_of(const struct fuser *f, const struct cb_node *before, int v,
                   const struct cb_shape *y)
{
    const struct cb_value *operand = &f->m.graph->values[v];
    if (cb_shape_equal(&operand->shape, y))
        return 3;
    const bool bias = before->op == CB_OP_MATMUL && operand->data && !f->m.has_grad[v] &&
                      operand->shape.rank == 1 && y->rank > 1 &&
                      operand->shape.dim[0] == y->dim[y->rank - 1];
    return bias && (before->n_in < 3 || before->in[2] < 0) ? 2 : -1;
}

/* The convolution, or product with one matrix, that makes operand k of an addition moves to the
 * addition's place, when the other operand is ready. */
static struct cb_status fuse_residual(struct fuser *f, int i, int k)
{
    struct cb_graph *g = f->m.graph;
    struct cb_node *add = &g->nodes[i], *before = cb_match_private(&f->m, add->in[k]);
    const struct cb_shape *y = &g->values[add->out[0]].shape;
    struct post p;
    int *in, slot;
    if (!before || (before->op != CB_OP_CONV && before->op != CB_OP_MATMUL) ||
        !is_open(p = post_of(before)) || (before->n_in > 3 && before->in[3] >= 0) ||
        (before->op == CB_OP_MATMUL && g->values[before->in[1]].shape.rank != 2) ||
        add->in[0] == add->in[1] || add->attr.binary.aligned ||
        !cb_dtype_get(g->values[add->out[0]].dtype)->is_float ||
        !cb_shape_equal(&g->values[add->in[k]].shape, y) ||
        (slot = slot_of(f, before, add->in[1 - k], y)) < 0)
        return cb_ok();
    CB_TRY(cb_arena_get(g->arena, 4, sizeof *in, add->name, &in));
    for (int a = 0; a < 3; a++)
        in[a] = a < before->n_in ? before->in[a] : -1;
    in[slot] = add->in[1 - k];
    f->gone[f->m.producer[add->in[k]]] = true;
    *p.lo = add->attr.binary.lo;
    *p.hi = add->attr.binary.hi;
    before->in = in;
    before->n_in = slot + 1;
    before->out[0] = add->out[0];
    *add = *before;
    return cb_ok();
}

struct cb_status cb_pass_fuse_epilogue(struct cb_pass *pass)
{
    struct cb_graph *g = pass->graph;
    struct fuser f = { 0 };
    int kept = 0;
    CB_TRY(cb_match_init(&f.m, pass));
    CB_TRY(cb_arena_get(g->arena, (size_t)g->n_nodes, sizeof *f.gone, "fuse-epilogue", &f.gone));
    for (int i = 0; i < g->n_nodes; i++) {
        if (g->nodes[i].out[0] < 0 || fuse_clamp(&f, i) || fuse_act(&f, i))
            continue;
        for (int k = 1; k >= 0 && g->nodes[i].op == CB_OP_ADD; k--)
            CB_TRY(fuse_residual(&f, i, k));
    }
    for (int i = 0; i < g->n_nodes; i++)
        if (!f.gone[i])
            g->nodes[kept++] = g->nodes[i];
    g->n_nodes = kept;
    return cb_ok();
}
