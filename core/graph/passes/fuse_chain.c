/* A wide tensor that is made and read line by line never leaves the cache (kernels/conv_chain.h).
 */
#include "core/graph/passes/match.h"
#include "core/ops/spatial/conv_shape.h"

enum { X, WEIGHTS, BIAS, RESIDUAL, SCALE, SHIFT, CHAIN_INPUTS = 8 };

struct fuser {
    struct cb_match m;
    int *reader; /* [n_values] a node that reads it */
    bool *gone;  /* [n_nodes] */
};

static int input(const struct cb_node *n, int k)
{
    return k < n->n_in ? n->in[k] : -1;
}

/* A convolution over two axes, with constant weights and no prologue, through which no gradient
 * flows. */
static bool is_plain(const struct fuser *f, const struct cb_node *n)
{
    const struct cb_graph *g = f->m.graph;
    if (n->op != CB_OP_CONV || g->values[n->in[X]].shape.rank != 4 ||
        !g->values[n->in[WEIGHTS]].data || input(n, SCALE) >= 0 || input(n, SHIFT) >= 0)
        return false;
    for (int k = 0; k < n->n_in; k++)
        if (n->in[k] >= 0 && f->m.has_grad[n->in[k]])
            return false;
    return !f->m.has_grad[n->out[0]];
}

static bool is_pointwise(const struct fuser *f, const struct cb_node *n)
{
    if (!n || !is_plain(f, n))
        return false;
    const struct cb_value *v = f->m.graph->values;
    const struct cb_conv_shape s = cb_conv_shape_of(&n->attr.conv.window, n->attr.conv.group,
                                                    &v[n->in[X]].shape, &v[n->out[0]].shape);
    return cb_conv_takes_prologue(&s);
}

static bool is_depthwise(const struct fuser *f, const struct cb_node *n)
{
    if (!is_plain(f, n))
        return false;
    const struct cb_shape *w = &f->m.graph->values[n->in[WEIGHTS]].shape;
    const struct cb_window *window = &n->attr.conv.window;
    return n->attr.conv.group == w->dim[0] && w->dim[1] == 1 &&
           f->m.graph->values[n->in[X]].shape.dim[3] == w->dim[0] && window->dilation[0] == 1 &&
           window->dilation[1] == 1;
}

/* The stages that a chain could have: NULL where there is none. */
struct stages {
    struct cb_node *node[CB_CHAIN_STAGES];
};

static struct stages stages_around(const struct fuser *f, int i)
{
    struct cb_node *nodes = f->m.graph->nodes, *n = &nodes[i];
    struct cb_node *before = cb_match_private(&f->m, n->in[X]);
    struct stages s = { .node = { [CB_CHAIN_DEPTHWISE] = n } };
    const int y = n->out[0], reader = f->reader[y];
    if (is_pointwise(f, before) && input(before, RESIDUAL) < 0)
        s.node[CB_CHAIN_EXPAND] = before;
    if (input(n, RESIDUAL) < 0 && cb_match_private(&f->m, y) && reader >= 0 && !f->gone[reader] &&
        is_pointwise(f, &nodes[reader]) && nodes[reader].in[X] == y)
        s.node[CB_CHAIN_PROJECT] = &nodes[reader];
    return s;
}

static bool pays(const struct fuser *f, const struct stages *s)
{
    const struct cb_value *v = f->m.graph->values;
    const struct cb_node *expand = s->node[CB_CHAIN_EXPAND], *n = s->node[CB_CHAIN_DEPTHWISE],
                         *project = s->node[CB_CHAIN_PROJECT];
    const struct cb_node *first = expand ? expand : n, *last = project ? project : n;
    const struct cb_chain_shape shape =
        cb_chain_shape_of(&n->attr.conv.window, &v[first->in[X]].shape, &v[n->in[WEIGHTS]].shape,
                          expand != NULL, project != NULL, &v[last->out[0]].shape);
    return (expand || project) && cb_chain_pays(f->m.pass->kernels, &shape);
}

/* The most stages that pay. */
static bool choose(const struct fuser *f, struct stages *s)
{
    const struct stages all = *s;
    if (pays(f, s))
        return true;
    s->node[CB_CHAIN_PROJECT] = NULL;
    if (pays(f, s))
        return true;
    *s = all;
    s->node[CB_CHAIN_EXPAND] = NULL;
    return pays(f, s);
}

/* The last stage's node becomes the chain: what it adds is ready there. */
static struct cb_status merge(struct fuser *f, const struct stages *s)
{
    /* Where a chain keeps the weights of each stage; its bias comes behind. */
    static const int slots[CB_CHAIN_STAGES] = { 3, 1, 5 };
    struct cb_graph *g = f->m.graph;
    struct cb_node *n = s->node[CB_CHAIN_DEPTHWISE], *first = s->node[CB_CHAIN_EXPAND],
                   *last = s->node[CB_CHAIN_PROJECT];
    struct cb_node chain = { .op = CB_OP_CONV_CHAIN,
                             .name = n->name,
                             .n_in = CHAIN_INPUTS,
                             .n_out = 1,
                             .attr = cb_attr_default(CB_OP_CONV_CHAIN) };
    first = first ? first : n;
    last = last ? last : n;
    CB_TRY(cb_arena_get(g->arena, CHAIN_INPUTS, sizeof *chain.in, n->name, &chain.in));
    for (int k = 0; k < CHAIN_INPUTS; k++)
        chain.in[k] = -1;
    chain.attr.chain.window = n->attr.conv.window;
    for (int i = 0; i < CB_CHAIN_STAGES; i++) {
        struct cb_node *stage = s->node[i];
        if (!stage)
            continue;
        chain.in[slots[i]] = stage->in[WEIGHTS];
        chain.in[slots[i] + 1] = input(stage, BIAS);
        chain.attr.chain.lo[i] = stage->attr.conv.lo;
        chain.attr.chain.hi[i] = stage->attr.conv.hi;
        chain.attr.chain.act[i] = stage->attr.conv.act;
        f->gone[stage - g->nodes] = stage != last;
    }
    chain.in[0] = first->in[X];
    chain.in[CHAIN_INPUTS - 1] = input(last, RESIDUAL);
    chain.out = last->out;
    *last = chain;
    return cb_ok();
}

struct cb_status cb_pass_fuse_chain(struct cb_pass *pass)
{
    struct cb_graph *g = pass->graph;
    struct fuser f = { 0 };
    int kept = 0;
    if (!pass->kernels)
        return cb_ok();
    CB_TRY(cb_match_init(&f.m, pass));
    CB_TRY(cb_arena_get(g->arena, (size_t)g->n_nodes, sizeof *f.gone, "fuse-chain", &f.gone));
    CB_TRY(cb_arena_get(g->arena, (size_t)g->n_values, sizeof *f.reader, "fuse-chain", &f.reader));
    for (int v = 0; v < g->n_values; v++)
        f.reader[v] = -1;
    for (int i = 0; i < g->n_nodes; i++)
        for (int k = 0; k < g->nodes[i].n_in; k++)
            if (g->nodes[i].in[k] >= 0)
                f.reader[g->nodes[i].in[k]] = i;
    for (int i = 0; i < g->n_nodes; i++) {
        if (f.gone[i] || !is_depthwise(&f, &g->nodes[i]))
            continue;
        struct stages s = stages_around(&f, i);
        if (choose(&f, &s))
            CB_TRY(merge(&f, &s));
    }
    for (int i = 0; i < g->n_nodes; i++)
        if (!f.gone[i])
            g->nodes[kept++] = g->nodes[i];
    g->n_nodes = kept;
    return cb_ok();
}
