/* Which values lie inside another one's memory: the parts of a Concat along the last axis are
 * written straight to their places in the whole, as slices of its pixels, so that nothing is
 * copied.
 *
 * Concats are taken from the last to the first: an inner one may be a part of an outer one, and a
 * Concat whose parts already lie side by side in some whole (each block of a DenseNet is a
 * beginning of the next, arXiv:1608.06993) is nothing but a wider slice of it. A value stays dense
 * where its producer or one of its readers does not know slices, or somebody reads it after the
 * run. */
#include "core/exec/plan_internal.h"

struct slices {
    struct cb_plan *plan;
    struct cb_sketch sketch;
    int *producer;
    bool *knows; /* [n_values] all readers can read it as a slice */
};

static bool takes_stride(struct slices *s, const struct cb_node *n, int input)
{
    const struct cb_op_def *def = cb_op_get(n->op);
    if (!def->takes_stride)
        return false;
    cb_sketch_node(&s->sketch, s->plan, n);
    return def->takes_stride(&s->sketch.call, input);
}

static void ask_readers(struct slices *s)
{
    const struct cb_graph *g = &s->plan->graph;
    for (int v = 0; v < g->n_values; v++)
        s->knows[v] =
            !s->plan->kept[v] && !g->values[v].data && cb_dtype_get(g->values[v].dtype)->is_float;
    for (int i = 0; i < g->n_nodes; i++)
        for (int k = 0; k < g->nodes[i].n_in; k++) {
            const int v = g->nodes[i].in[k];
            if (v >= 0 && s->knows[v])
                s->knows[v] = takes_stride(s, &g->nodes[i], k);
        }
}

/* Whether the parts lie side by side in one whole, in their order. */
static bool side_by_side(const struct cb_plan *plan, const struct cb_node *n)
{
    const struct cb_slice *first = &plan->slice[n->in[0]];
    size_t at = first->at;
    for (int k = 0; k < n->n_in; k++) {
        const struct cb_slice *part = &plan->slice[n->in[k]];
        const struct cb_shape *shape = &plan->graph.values[n->in[k]].shape;
        if (part->whole < 0 || part->whole != first->whole || part->at != at)
            return false;
        at += (size_t)shape->dim[shape->rank - 1];
    }
    return true;
}

static bool can_move(struct slices *s, int value)
{
    const struct cb_plan *plan = s->plan;
    const int p = s->producer[value];
    return s->knows[value] && plan->slice[value].whole < 0 && p >= 0 &&
           plan->graph.nodes[p].out[0] == value && takes_stride(s, &plan->graph.nodes[p], -1) &&
           cb_shape_count(&plan->graph.values[value].shape) > 0;
}

static void place_parts(struct slices *s, const struct cb_node *n)
{
    struct cb_plan *plan = s->plan;
    const int y = n->out[0];
    const struct cb_shape *shape = &plan->graph.values[y].shape;
    struct cb_slice part = plan->slice[y];
    if (part.whole < 0 && s->knows[y] && side_by_side(plan, n)) {
        plan->slice[y] = plan->slice[n->in[0]];
        return;
    }
    if (part.whole < 0)
        part = (struct cb_slice){ .whole = y, .stride = (size_t)shape->dim[shape->rank - 1] };
    for (int k = 0; k < n->n_in; k++) {
        const int v = n->in[k];
        const struct cb_shape *size = &plan->graph.values[v].shape;
        if (can_move(s, v))
            plan->slice[v] = part;
        part.at += (size_t)size->dim[size->rank - 1];
    }
}

struct cb_status cb_plan_find_slices(struct cb_plan *plan, bool none)
{
    const struct cb_graph *g = &plan->graph;
    const size_t n_values = (size_t)g->n_values;
    struct slices s = { .plan = plan };
    CB_TRY(cb_arena_get(&plan->arena, n_values, sizeof *plan->slice, "plan", &plan->slice));
    CB_TRY(cb_arena_get(&plan->arena, n_values, sizeof *s.knows, "plan", &s.knows));
    CB_TRY(cb_sketch_init(&s.sketch, plan));
    CB_TRY(cb_graph_producers(g, &plan->arena, &s.producer));
    for (int v = 0; v < g->n_values; v++)
        plan->slice[v].whole = -1;
    if (none)
        return cb_ok();
    ask_readers(&s);
    for (int i = g->n_nodes - 1; i >= 0; i--)
        if (g->nodes[i].op == CB_OP_CONCAT && takes_stride(&s, &g->nodes[i], -1) &&
            cb_dtype_get(g->values[g->nodes[i].out[0]].dtype)->is_float)
            place_parts(&s, &g->nodes[i]);
    return cb_ok();
}
