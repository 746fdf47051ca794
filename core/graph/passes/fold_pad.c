#include "core/graph/passes/passes.h"

/* Zero padding of spatial axes only, nothing cropped. Both are channels last here. */
static bool fits(const struct cb_node *pad, const struct cb_node *conv, int rank)
{
    const int spatial = conv->attr.conv.window.rank;
    if (pad->attr.pad.mode != CB_PAD_CONSTANT || pad->attr.pad.value != 0 || rank != spatial + 2 ||
        pad->attr.pad.begin.count != rank || pad->attr.pad.end.count != rank)
        return false;
    for (int i = 0; i < rank; i++) {
        const bool is_spatial = i > 0 && i <= spatial;
        if (pad->attr.pad.begin.v[i] < 0 || pad->attr.pad.end.v[i] < 0 ||
            (!is_spatial && (pad->attr.pad.begin.v[i] || pad->attr.pad.end.v[i])))
            return false;
    }
    return true;
}

struct cb_status cb_pass_fold_pad(struct cb_pass *pass)
{
    struct cb_graph *g = pass->graph;
    const size_t mark = g->arena->used;
    int *producer;
    CB_TRY(cb_graph_producers(g, g->arena, &producer));
    for (int i = 0; i < g->n_nodes; i++) {
        struct cb_node *conv = &g->nodes[i];
        const struct cb_node *pad;
        if (conv->op != CB_OP_CONV || producer[conv->in[0]] < 0 ||
            cb_pass_pinned(pass, conv->in[0]))
            continue;
        pad = &g->nodes[producer[conv->in[0]]];
        if (pad->op != CB_OP_PAD || !fits(pad, conv, g->values[conv->in[0]].shape.rank))
            continue;
        for (int s = 0; s < conv->attr.conv.window.rank; s++) {
            conv->attr.conv.window.pad_begin[s] += pad->attr.pad.begin.v[s + 1];
            conv->attr.conv.window.pad_end[s] += pad->attr.pad.end.v[s + 1];
        }
        conv->in[0] = pad->in[0];
    }
    cb_arena_rewind(g->arena, mark);
    return cb_ok();
}
