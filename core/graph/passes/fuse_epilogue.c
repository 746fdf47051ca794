/* A tile that has just been computed is still in registers: adding the residual and clamping there
 * costs nothing. */
#include "core/graph/passes/passes.h"

#include <math.h>

struct bounds {
    float *lo, *hi;
};

/* Where an operator keeps its clamp; NULLs for those that have none. */
static struct bounds bounds_of(struct cb_node *n)
{
    switch (n->op) {
    case CB_OP_CONV: return (struct bounds){ &n->attr.conv.lo, &n->attr.conv.hi };
    case CB_OP_BATCH_NORM: return (struct bounds){ &n->attr.batch_norm.lo, &n->attr.batch_norm.hi };
    case CB_OP_GEMM: return (struct bounds){ &n->attr.gemm.lo, &n->attr.gemm.hi };
    case CB_OP_MATMUL: return (struct bounds){ &n->attr.matmul.lo, &n->attr.matmul.hi };
    case CB_OP_ADD: return (struct bounds){ &n->attr.binary.lo, &n->attr.binary.hi };
    default: return (struct bounds){ NULL, NULL };
    }
}

static bool is_open(struct bounds b)
{
    return b.lo && *b.lo == -INFINITY && *b.hi == INFINITY;
}

struct fuser {
    struct cb_pass *pass;
    struct cb_graph *graph;
    int *producer, *uses;
    bool *gone; /* per node */
};

/* The node that makes `value`, when nobody else reads it and it may be rewritten; NULL otherwise.
 */
static struct cb_node *private_producer(const struct fuser *f, int value)
{
    if (value < 0 || f->producer[value] < 0 || f->uses[value] != 1 ||
        cb_pass_pinned(f->pass, value))
        return NULL;
    return &f->graph->nodes[f->producer[value]];
}

static bool fuse_clamp(struct fuser *f, int i)
{
    struct cb_node *n = &f->graph->nodes[i], *before;
    const bool relu = n->op == CB_OP_RELU;
    struct bounds b;
    if ((!relu && n->op != CB_OP_CLIP) ||
        !cb_dtype_get(f->graph->values[n->out[0]].dtype)->is_float)
        return false;
    for (int k = 1; k < n->n_in; k++)
        if (n->in[k] >= 0)
            return false; /* bounds that only the run will know */
    if (!(before = private_producer(f, n->in[0])) || !is_open(b = bounds_of(before)) ||
        (before->op == CB_OP_BATCH_NORM && before->attr.batch_norm.training))
        return false;
    *b.lo = relu ? 0 : (float)n->attr.clip.lo;
    *b.hi = relu ? INFINITY : (float)n->attr.clip.hi;
    before->out[0] = n->out[0];
    f->producer[n->out[0]] = f->producer[n->in[0]];
    f->gone[i] = true;
    return true;
}

/* The convolution that makes operand k of an addition moves to the addition's place, when the other
 * operand is ready. */
static struct cb_status fuse_residual(struct fuser *f, int i, int k)
{
    struct cb_graph *g = f->graph;
    struct cb_node *add = &g->nodes[i], *conv = private_producer(f, add->in[k]);
    int *in;
    if (!conv || conv->op != CB_OP_CONV || !is_open(bounds_of(conv)) ||
        (conv->n_in > 3 && conv->in[3] >= 0) || add->in[0] == add->in[1] ||
        add->attr.binary.aligned ||
        !cb_shape_equal(&g->values[add->in[0]].shape, &g->values[add->in[1]].shape))
        return cb_ok();
    CB_TRY(cb_arena_get(g->arena, 4, sizeof *in, add->name, &in));
    for (int a = 0; a < 3; a++)
        in[a] = a < conv->n_in ? conv->in[a] : -1;
    in[3] = add->in[1 - k];
    f->gone[f->producer[add->in[k]]] = true;
    conv->attr.conv.lo = add->attr.binary.lo;
    conv->attr.conv.hi = add->attr.binary.hi;
    conv->in = in;
    conv->n_in = 4;
    conv->out[0] = add->out[0];
    *add = *conv;
    return cb_ok();
}

struct cb_status cb_pass_fuse_epilogue(struct cb_pass *pass)
{
    struct cb_graph *g = pass->graph;
    struct fuser f = { .pass = pass, .graph = g };
    int kept = 0;
    CB_TRY(cb_graph_producers(g, g->arena, &f.producer));
    CB_TRY(cb_graph_uses(g, g->arena, &f.uses));
    CB_TRY(cb_arena_get(g->arena, (size_t)g->n_nodes, sizeof *f.gone, "fuse-epilogue", &f.gone));
    for (int i = 0; i < g->n_nodes; i++) {
        if (g->nodes[i].out[0] < 0 || fuse_clamp(&f, i))
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
