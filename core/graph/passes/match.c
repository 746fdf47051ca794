#include "core/graph/passes/match.h"

#include <math.h>
#include <string.h>

static void find_gradients(struct cb_match *m)
{
    const struct cb_graph *g = m->graph;
    for (int v = 0; v < g->n_values; v++)
        m->has_grad[v] = cb_pass_wanted(m->pass, v);
    for (int i = 0; i < g->n_nodes; i++) {
        const struct cb_node *n = &g->nodes[i];
        bool any = false;
        for (int k = 0; k < n->n_in; k++)
            any |= n->in[k] >= 0 && m->has_grad[n->in[k]];
        for (int k = 0; k < n->n_out && any; k++)
            if (n->out[k] >= 0)
                m->has_grad[n->out[k]] = true;
    }
}

struct cb_status cb_match_init(struct cb_match *match, struct cb_pass *pass)
{
    struct cb_graph *g = pass->graph;
    struct cb_match m = { .pass = pass, .graph = g, .n_values = g->n_values };
    CB_TRY(cb_graph_producers(g, g->arena, &m.producer));
    CB_TRY(cb_graph_uses(g, g->arena, &m.uses));
    CB_TRY(cb_arena_get(g->arena, (size_t)g->n_values, sizeof *m.has_grad, "passes", &m.has_grad));
    find_gradients(&m);
    *match = m;
    return cb_ok();
}

struct cb_node *cb_match_producer(const struct cb_match *match, int value)
{
    if (value < 0 || value >= match->n_values || match->producer[value] < 0)
        return NULL;
    return &match->graph->nodes[match->producer[value]];
}

struct cb_node *cb_match_private(const struct cb_match *match, int value)
{
    struct cb_node *n = cb_match_producer(match, value);
    return n && match->uses[value] == 1 && !cb_pass_pinned(match->pass, value) ? n : NULL;
}

bool cb_match_scalar(const struct cb_match *match, int value, double *out)
{
    const struct cb_value *v = value < 0 ? NULL : &match->graph->values[value];
    float f;
    if (!v || !v->data || !cb_dtype_get(v->dtype)->is_float || cb_shape_count(&v->shape) != 1 ||
        cb_pass_wanted(match->pass, value))
        return false;
    memcpy(&f, v->data, sizeof f); /* maybe unaligned */
    *out = (double)f;
    return true;
}

bool cb_match_with_scalar(const struct cb_match *match, const struct cb_node *node, enum cb_op op,
                          int *other, double *scalar)
{
    if (!node || node->op != op || node->attr.binary.aligned)
        return false;
    if (op == CB_OP_ADD && (node->attr.binary.lo != -INFINITY || node->attr.binary.hi != INFINITY))
        return false;
    for (int k = 1; k >= 0; k--) {
        *other = node->in[1 - k];
        if (cb_match_scalar(match, node->in[k], scalar))
            return true;
        if (op != CB_OP_ADD && op != CB_OP_MUL)
            return false;
    }
    return false;
}

bool cb_match_near(double v, double want)
{
    return fabs(v - want) <= 1e-5 * fabs(want);
}

void cb_match_become(struct cb_node *node, enum cb_op op, int n_in, int *in)
{
    node->op = op;
    node->attr = cb_attr_default(op);
    node->n_in = n_in;
    node->in = in;
}
