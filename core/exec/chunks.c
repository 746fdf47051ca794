/* How much of a network runs a few images at a time. What a batch's early layers make is larger
 * than any cache: done image by image, it is read again before it has left. Late layers have small
 * activations and large weights, which are better read once for the whole batch. So the first part
 * of the nodes, as long as all of them treat images apart, runs for one chunk of images after the
 * other, and the rest once. */

#include "core/exec/plan_internal.h"
#include "core/ops/spatial/resize_axis.h"

/* Of one node's activations: more come from further away than the second-level cache. */
#define CACHE_BYTES ((size_t)3 << 19)

struct chunking {
    struct cb_plan *plan;
    const struct cb_graph *graph;
    int64_t images;
    double cache;
};

static bool is_batched(const struct chunking *c, int v)
{
    return v >= 0 && c->plan->chunks.batched[v];
}

static const struct cb_shape *shape_of(const struct chunking *c, int v)
{
    return &c->graph->values[v].shape;
}

/* A constant, or nothing. */
static bool is_fixed(const struct chunking *c, int v)
{
    return v < 0 || c->graph->values[v].data;
}

/* A constant that is the same for all images of something of that rank. */
static bool is_common(const struct chunking *c, int v, int rank)
{
    return is_fixed(c, v) && (v < 0 || shape_of(c, v)->rank < rank || shape_of(c, v)->dim[0] == 1);
}

/* Inputs from `from` on. */
static bool all_common(const struct chunking *c, const struct cb_node *n, int from, int rank)
{
    for (int k = from; k < n->n_in; k++)
        if (!is_common(c, n->in[k], rank))
            return false;
    return true;
}

/* Operands that are either the images', of the result's rank, or common to all; but for the weights
 * at `weights` (-1: none). */
static bool each_apart(const struct chunking *c, const struct cb_node *n, int rank, int weights)
{
    for (int k = 0; k < n->n_in; k++)
        if (k == weights)
            continue;
        else if (is_batched(c, n->in[k]) ? shape_of(c, n->in[k])->rank != rank
                                         : !is_common(c, n->in[k], rank))
            return false;
    return true;
}

/* All but the input and the residual are weights. */
static bool is_chain_apart(const struct chunking *c, const struct cb_node *n)
{
    const int residual = n->n_in > 7 ? n->in[7] : -1;
    for (int k = 1; k < n->n_in && k < 7; k++)
        if (!is_fixed(c, n->in[k]))
            return false;
    return is_batched(c, n->in[0]) && (residual < 0 || is_batched(c, residual));
}

static bool spares_images(const struct cb_list *axes, int rank)
{
    for (int i = 0; i < axes->count; i++)
        if (cb_shape_axis(axes->v[i], rank) == 0)
            return false;
    return axes->count > 0;
}

static bool is_apart_of_kind(const struct chunking *c, const struct cb_node *n)
{
    const int rank = shape_of(c, n->out[0])->rank, in_rank = shape_of(c, n->in[0])->rank;
    const union cb_attr *a = &n->attr;
    if (n->op >= CB_OP_RELU && n->op <= CB_OP_CAST)
        return all_common(c, n, 1, 1);
    if (n->op >= CB_OP_ADD && n->op <= CB_OP_WHERE)
        return (n->op == CB_OP_WHERE || !a->binary.aligned) && each_apart(c, n, rank, -1);
    if (n->op >= CB_OP_REDUCE_SUM && n->op <= CB_OP_REDUCE_SUM_SQUARE)
        return spares_images(&a->reduce.axes, in_rank);
    switch (n->op) {
    case CB_OP_CONV:
    case CB_OP_CONV_TRANSPOSE: return is_fixed(c, n->in[1]) && each_apart(c, n, rank, 1);
    case CB_OP_MATMUL:
        return is_fixed(c, n->in[1]) && each_apart(c, n, rank, 1) &&
               shape_of(c, n->in[1])->rank == 2;
    case CB_OP_CONV_CHAIN: return is_chain_apart(c, n);
    case CB_OP_GEMM: return !a->gemm.trans_a && is_fixed(c, n->in[1]) && each_apart(c, n, rank, 1);
    case CB_OP_DEPTH_TO_SPACE:
    case CB_OP_SPACE_TO_DEPTH:
    case CB_OP_LP_POOL:
    case CB_OP_MAX_POOL:
    case CB_OP_AVERAGE_POOL:
    case CB_OP_GLOBAL_AVERAGE_POOL:
    case CB_OP_GLOBAL_MAX_POOL:
    case CB_OP_LRN: return true;
    case CB_OP_BATCH_NORM: return !a->batch_norm.training && all_common(c, n, 1, in_rank);
    case CB_OP_LAYER_NORM: return a->layer_norm.axes < in_rank && all_common(c, n, 1, in_rank);
    case CB_OP_SOFTMAX:
    case CB_OP_LOG_SOFTMAX: return cb_shape_axis(a->softmax.axis, in_rank) > 0;
    case CB_OP_CONCAT: return cb_shape_axis(a->axis.axis, in_rank) > 0;
    case CB_OP_TRANSPOSE: return a->transpose.rank == in_rank && a->transpose.perm[0] == 0;
    case CB_OP_PAD: return a->pad.begin.v[0] == 0 && a->pad.end.v[0] == 0;
    case CB_OP_RESIZE: return !cb_resize_changes(a, 0, c->images, c->images);
    default: return cb_op_get(n->op)->view;
    }
}

/* Whether each image of the output is made of the same image of the inputs. */
static bool is_apart(const struct chunking *c, const struct cb_node *n)
{
    bool any = false;
    for (int k = 1; k < n->n_out; k++)
        if (n->out[k] >= 0)
            return false;
    for (int k = 0; k < n->n_in; k++) {
        if (!is_fixed(c, n->in[k]) && !is_batched(c, n->in[k]))
            return false;
        any |= is_batched(c, n->in[k]);
    }
    return any && shape_of(c, n->out[0])->rank > 0 && n->in[0] >= 0 &&
           shape_of(c, n->out[0])->dim[0] == c->images && is_apart_of_kind(c, n);
}

static double bytes_of(const struct chunking *c, int v)
{
    const struct cb_tensor t = cb_value_tensor(&c->graph->values[v]);
    return (double)cb_tensor_bytes(&t);
}

/* Marks what is batched, up to the first node that mixes images, and ends where most is won: the
 * activations that stay near, less the weights that are read again. */
static int find_end(struct chunking *c, double *largest)
{
    const double again = (double)(c->images - 1);
    double won = 0, most = 0, top = 0;
    int end = 0;
    for (int i = 0; i < c->graph->n_nodes && is_apart(c, &c->graph->nodes[i]); i++) {
        const struct cb_node *n = &c->graph->nodes[i];
        double near = bytes_of(c, n->out[0]), weights = 0;
        c->plan->chunks.batched[n->out[0]] = true;
        for (int k = 0; k < n->n_in; k++)
            if (n->in[k] >= 0)
                *(is_batched(c, n->in[k]) ? &near : &weights) += bytes_of(c, n->in[k]);
        if (cb_op_get(n->op)->view)
            near = 0;
        top = near > top ? near : top;
        won += (near > c->cache ? near : 0) - again * weights;
        if (won > most) {
            most = won;
            end = i + 1;
            *largest = top / (double)c->images;
        }
    }
    return end;
}

/* What nodes outside, or the caller, read or write is there for the whole batch; and so is what
 * shares memory with it. */
static void mark_whole(struct cb_plan *plan)
{
    const struct cb_graph *g = &plan->graph;
    struct cb_chunks *chunks = &plan->chunks;
    bool changed = true;
    for (int v = 0; v < g->n_values; v++)
        chunks->whole[v] = chunks->batched[v] && plan->kept[v];
    for (int i = 0; i < g->n_inputs; i++)
        chunks->whole[g->inputs[i]] = chunks->batched[g->inputs[i]];
    for (int i = chunks->end; i < g->n_nodes; i++)
        for (int k = 0; k < g->nodes[i].n_in; k++)
            if (g->nodes[i].in[k] >= 0)
                chunks->whole[g->nodes[i].in[k]] |= chunks->batched[g->nodes[i].in[k]];
    while (changed) {
        changed = false;
        for (int i = 0; i < g->n_nodes; i++) {
            const struct cb_node *n = &g->nodes[i];
            const int a = n->out[0], slice = a < 0 ? -1 : plan->slice[a].whole;
            const int b = slice >= 0 ? slice : cb_op_get(n->op)->view ? n->in[0] : -1;
            if (a < 0 || b < 0 || !chunks->batched[a])
                continue;
            const bool whole = chunks->whole[a] || !chunks->batched[b] || chunks->whole[b];
            changed |=
                whole != chunks->whole[a] || (chunks->batched[b] && whole != chunks->whole[b]);
            chunks->whole[a] = whole;
            chunks->whole[b] |= whole && chunks->batched[b];
        }
    }
}

/* Everything that `end` leaves outside is not batched for us. */
static void forget_the_rest(struct cb_plan *plan)
{
    const struct cb_graph *g = &plan->graph;
    for (int i = plan->chunks.end; i < g->n_nodes; i++)
        for (int k = 0; k < g->nodes[i].n_out; k++)
            if (g->nodes[i].out[k] >= 0)
                plan->chunks.batched[g->nodes[i].out[k]] = false;
}

struct cb_status cb_plan_find_chunks(struct cb_plan *plan, bool none)
{
    const struct cb_graph *g = &plan->graph;
    struct cb_chunks *chunks = &plan->chunks;
    struct chunking c = { .plan = plan, .graph = g };
    double largest = 0;
    c.cache = (double)(plan->engine->cache_bytes ? plan->engine->cache_bytes : CACHE_BYTES);
    CB_TRY(cb_arena_get(&plan->arena, (size_t)g->n_values, 1, "plan", &chunks->batched));
    CB_TRY(cb_arena_get(&plan->arena, (size_t)g->n_values, 1, "plan", &chunks->whole));
    for (int i = 0; i < g->n_inputs; i++) {
        const struct cb_value *v = &g->values[g->inputs[i]];
        if (i == 0 && v->shape.rank > 0)
            c.images = v->shape.dim[0];
        none |= v->data || v->shape.rank < 1 || v->shape.dim[0] != c.images;
        chunks->batched[g->inputs[i]] = true;
    }
    if (none || plan->n_wrt || c.images < 2)
        return cb_ok();
    chunks->end = find_end(&c, &largest);
    chunks->images = c.images;
    while (chunks->images > 1 &&
           ((double)chunks->images * largest > c.cache || c.images % chunks->images))
        chunks->images--;
    chunks->count = c.images / chunks->images;
    if (chunks->count == 1)
        chunks->end = 0;
    forget_the_rest(plan);
    return cb_ok();
}

void cb_plan_finish_chunks(struct cb_plan *plan)
{
    if (plan->chunks.end)
        mark_whole(plan);
}
