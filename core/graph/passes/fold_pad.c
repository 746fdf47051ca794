#include "core/graph/passes/passes.h"

/* Padding of spatial axes only, nothing cropped. All are channels last here. */
static bool is_spatial(const struct cb_node *pad, int spatial, int rank)
{
    if (rank != spatial + 2 || pad->attr.pad.begin.count != rank || pad->attr.pad.end.count != rank)
        return false;
    for (int i = 0; i < rank; i++) {
        const bool inner = i > 0 && i <= spatial;
        if (pad->attr.pad.begin.v[i] < 0 || pad->attr.pad.end.v[i] < 0 ||
            (!inner && (pad->attr.pad.begin.v[i] || pad->attr.pad.end.v[i])))
            return false;
    }
    return true;
}

static bool is_nothing(const struct cb_node *pad)
{
    for (int i = 0; i < pad->attr.pad.begin.count; i++)
        if (pad->attr.pad.begin.v[i] || pad->attr.pad.end.v[i])
            return false;
    return true;
}

static bool has_pads(const struct cb_window *w)
{
    for (int i = 0; i < w->rank; i++)
        if (w->pad_begin[i] || w->pad_end[i])
            return true;
    return false;
}

/* The window whose own padding may take the place of `pad`: a convolution's, and that of an average
 * which counts the padding. */
static struct cb_window *window_for(const struct cb_node *pad, struct cb_node *n)
{
    const bool zeros = pad->attr.pad.mode == CB_PAD_CONSTANT && pad->attr.pad.value == 0;
    if (n->op == CB_OP_CONV)
        return zeros ? &n->attr.conv.window : NULL;
    if (n->op == CB_OP_MAX_POOL)
        return is_nothing(pad) ? &n->attr.pool.window : NULL;
    if (n->op != CB_OP_AVERAGE_POOL || !zeros)
        return NULL;
    struct cb_window *w = &n->attr.pool.window;
    if (is_nothing(pad))
        return w;
    if (w->ceil_mode || (has_pads(w) && !n->attr.pool.count_include_pad))
        return NULL;
    n->attr.pool.count_include_pad = true;
    return w;
}

struct cb_status cb_pass_fold_pad(struct cb_pass *pass)
{
    struct cb_graph *g = pass->graph;
    const size_t mark = g->arena->used;
    int *producer;
    CB_TRY(cb_graph_producers(g, g->arena, &producer));
    for (int i = 0; i < g->n_nodes; i++) {
        struct cb_node *n = &g->nodes[i];
        const struct cb_node *pad;
        struct cb_window *w;
        if ((n->op != CB_OP_CONV && n->op != CB_OP_MAX_POOL && n->op != CB_OP_AVERAGE_POOL) ||
            producer[n->in[0]] < 0 || cb_pass_pinned(pass, n->in[0]))
            continue;
        pad = &g->nodes[producer[n->in[0]]];
        if (pad->op != CB_OP_PAD ||
            !is_spatial(pad, g->values[n->in[0]].shape.rank - 2, g->values[n->in[0]].shape.rank) ||
            !(w = window_for(pad, n)))
            continue;
        for (int s = 0; s < w->rank; s++) {
            w->pad_begin[s] += pad->attr.pad.begin.v[s + 1];
            w->pad_end[s] += pad->attr.pad.end.v[s + 1];
        }
        n->in[0] = pad->in[0];
    }
    cb_arena_rewind(g->arena, mark);
    return cb_pass_drop_dead(pass);
}
