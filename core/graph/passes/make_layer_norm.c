/* A normalisation along the last axes that a file spells out becomes one operator:
 *
 *     d = x - mean(x);  y = d / sqrt(mean(d^2) + epsilon) * scale + bias
 *
 * and the same without the mean. The division makes the operator, without scale and bias; the
 * product and the sum that follow join it when their turn comes. */
#include "core/graph/passes/match.h"

#include <math.h>

/* How many of the last axes of x `reduce` is the mean over; 0: none, or others. */
static int mean_axes(const struct cb_match *m, const struct cb_node *reduce)
{
    const struct cb_list *axes = &reduce->attr.reduce.axes;
    const int rank =
        reduce->op == CB_OP_REDUCE_MEAN ? m->graph->values[reduce->in[0]].shape.rank : 0;
    bool flags[CB_MAX_RANK] = { false };
    if (rank < 1 || !reduce->attr.reduce.keep_dims || axes->count < 1)
        return 0;
    for (int i = 0; i < axes->count; i++)
        flags[cb_shape_axis(axes->v[i], rank)] = true;
    for (int i = 0; i < axes->count; i++)
        if (!flags[rank - 1 - i])
            return 0;
    return axes->count;
}

/* The mean over the last `*axes` axes of what? -1: `value` is none. */
static int mean_of(const struct cb_match *m, int value, int *axes)
{
    const struct cb_node *n = cb_match_producer(m, value);
    *axes = n ? mean_axes(m, n) : 0;
    return *axes > 0 && !cb_pass_wanted(m->pass, value) ? n->in[0] : -1;
}

/* x where `value` is x - mean(x); -1 otherwise. */
static int centered(const struct cb_match *m, int value, int *axes)
{
    const struct cb_node *n = cb_match_producer(m, value);
    if (!n || n->op != CB_OP_SUB || n->attr.binary.aligned || cb_pass_wanted(m->pass, value))
        return -1;
    return mean_of(m, n->in[1], axes) == n->in[0] ? n->in[0] : -1;
}

/* v where `value` is v squared; -1 otherwise. */
static int squared(const struct cb_match *m, int value)
{
    const struct cb_node *n = cb_match_producer(m, value);
    double two;
    int v;
    if (!n || cb_pass_wanted(m->pass, value))
        return -1;
    if (cb_match_with_scalar(m, n, CB_OP_POW, &v, &two))
        return two == 2 ? v : -1;
    return n->op == CB_OP_MUL && n->in[0] == n->in[1] ? n->in[0] : -1;
}

struct norm {
    int x, axes;
    double epsilon;
    bool centered;
};

/* Whether `deviation` is sqrt(mean(square of `d`) + epsilon), d being x, or x - mean(x). */
static bool is_deviation(const struct cb_match *m, int deviation, int d, struct norm *out)
{
    const struct cb_node *root = cb_match_producer(m, deviation), *add;
    int variance, square, axes, x;
    if (!root || root->op != CB_OP_SQRT || cb_pass_wanted(m->pass, deviation))
        return false;
    add = cb_match_producer(m, root->in[0]);
    if (!cb_match_with_scalar(m, add, CB_OP_ADD, &variance, &out->epsilon) || out->epsilon < 0 ||
        cb_pass_wanted(m->pass, root->in[0]) ||
        (square = squared(m, mean_of(m, variance, &out->axes))) < 0)
        return false;
    x = centered(m, d, &axes);
    out->centered = x >= 0 && axes == out->axes;
    out->x = out->centered ? x : d;
    return square == d || (out->centered && centered(m, square, &axes) == x && axes == out->axes);
}

/* d / deviation, or d * (1 / deviation). */
static bool find_norm(const struct cb_match *m, const struct cb_node *n, struct norm *out)
{
    if (n->op == CB_OP_DIV)
        return !n->attr.binary.aligned && is_deviation(m, n->in[1], n->in[0], out);
    for (int k = 0; k < 2 && n->op == CB_OP_MUL && !n->attr.binary.aligned; k++) {
        const struct cb_node *inverse = cb_match_producer(m, n->in[k]);
        if (inverse && inverse->op == CB_OP_RECIPROCAL && !cb_pass_wanted(m->pass, n->in[k]) &&
            is_deviation(m, inverse->in[0], n->in[1 - k], out))
            return true;
    }
    return false;
}

static struct cb_status become_norm(struct cb_graph *g, struct cb_node *n, const struct norm *norm)
{
    int *in;
    CB_TRY(cb_arena_get(g->arena, 3, sizeof *in, n->name, &in));
    in[0] = norm->x;
    in[1] = in[2] = -1;
    cb_match_become(n, CB_OP_LAYER_NORM, 3, in);
    n->attr.layer_norm.axes = norm->axes;
    n->attr.layer_norm.epsilon = (float)norm->epsilon;
    n->attr.layer_norm.centered = norm->centered;
    return cb_ok();
}

/* A number for each place along the last axes of x. */
static bool is_along(const struct cb_graph *g, int value, const struct cb_node *norm)
{
    const struct cb_shape *s = &g->values[value].shape, *x = &g->values[norm->in[0]].shape;
    const int axes = norm->attr.layer_norm.axes;
    if (s->rank < axes || s->rank > x->rank)
        return false;
    for (int i = 1; i <= s->rank; i++)
        if (s->dim[s->rank - i] != (i <= axes ? x->dim[x->rank - i] : 1))
            return false;
    return true;
}

/* The product with a scale, or the sum with a bias, of a normalisation that nobody else reads. */
static bool join(struct cb_match *m, int i)
{
    struct cb_node *n = &m->graph->nodes[i];
    const int slot = n->op == CB_OP_MUL ? 1 : n->op == CB_OP_ADD ? 2 : 0;
    if (!slot || n->attr.binary.aligned ||
        (slot == 2 && (n->attr.binary.lo != -INFINITY || n->attr.binary.hi != INFINITY)))
        return false;
    for (int k = 0; k < 2; k++) {
        const struct cb_node *norm = cb_match_private(m, n->in[k]);
        const int with = n->in[1 - k];
        if (!norm || norm->op != CB_OP_LAYER_NORM || norm->in[2] >= 0 || norm->in[slot] >= 0 ||
            with < 0 || !is_along(m->graph, with, norm))
            continue;
        const int out = n->out[0];
        norm->in[slot] = with;
        const struct cb_node joined = *norm;
        n->op = joined.op;
        n->attr = joined.attr;
        n->in = joined.in;
        n->n_in = joined.n_in;
        n->out[0] = out;
        return true;
    }
    return false;
}

struct cb_status cb_pass_make_layer_norm(struct cb_pass *pass)
{
    struct cb_graph *g = pass->graph;
    struct cb_match m;
    CB_TRY(cb_match_init(&m, pass));
    for (int i = 0; i < g->n_nodes; i++) {
        struct cb_node *n = &g->nodes[i];
        struct norm norm;
        if (!cb_dtype_get(g->values[n->out[0]].dtype)->is_float || join(&m, i))
            continue;
        if (find_norm(&m, n, &norm) &&
            cb_shape_equal(&g->values[norm.x].shape, &g->values[n->out[0]].shape))
            CB_TRY(become_norm(g, n, &norm));
    }
    return cb_pass_drop_dead(pass);
}
