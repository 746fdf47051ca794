/* Where every activation lies. Values that share memory (views, results written over their input,
 * slices of a whole) form a block; a block lives from the node that makes it, or the first of its
 * slices, to the last that reads it. Blocks are
 * placed largest first, each at the lowest offset where no block that lives at the same time lies
 * ("greedy by size", arXiv:2001.03288). */
#include <stdlib.h>
#include <string.h>

#include "core/exec/plan_internal.h"

/* The search is quadratic: in a network of more blocks, the smallest ones share nothing. */
#define MAX_SEARCHED 16384

struct block {
    int first, last; /* nodes; an input is there before node 0 */
    size_t bytes, offset;
};

struct layout {
    struct cb_plan *plan;
    int *block_of, *last; /* [n_values]; block -1: none */
    struct block *blocks;
    int n_blocks;
};

/* Of a value that only chunks see: a chunk's. */
static size_t value_bytes(const struct cb_plan *plan, int value)
{
    const struct cb_chunks *c = &plan->chunks;
    const struct cb_tensor t = cb_plan_tensor(plan, value, c->whole[value] ? c->end : 0);
    return cb_tensor_bytes(&t);
}

static void find_last_uses(struct layout *l)
{
    const struct cb_graph *g = &l->plan->graph;
    for (int v = 0; v < g->n_values; v++)
        l->last[v] = l->plan->kept[v] ? g->n_nodes : -1;
    for (int i = 0; i < g->n_nodes; i++)
        for (int k = 0; k < g->nodes[i].n_in; k++)
            if (g->nodes[i].in[k] >= 0 && l->last[g->nodes[i].in[k]] < i)
                l->last[g->nodes[i].in[k]] = i;
}

static void open_block(struct layout *l, int value, int at)
{
    const size_t bytes = cb_align_up(value_bytes(l->plan, value));
    const struct cb_chunks *c = &l->plan->chunks;
    struct block b = { .first = at, .last = at, .bytes = bytes };
    if (at < c->end && !(c->batched[value] && !c->whole[value])) { /* while chunks run */
        b.first = at < 0 ? at : 0;
        b.last = c->end - 1;
    }
    l->blocks[l->n_blocks] = b;
    l->block_of[value] = l->n_blocks++;
}

static void join_block(struct layout *l, int value, int block)
{
    l->block_of[value] = block;
    if (l->blocks[block].last < l->last[value])
        l->blocks[block].last = l->last[value];
}

/* The block whose memory out[0] of node i may take over; -1: none. */
static int shared_block(const struct layout *l, int i)
{
    const struct cb_node *n = &l->plan->graph.nodes[i];
    const struct cb_op_def *def = cb_op_get(n->op);
    const int b = n->n_in && n->in[0] >= 0 ? l->block_of[n->in[0]] : -1;
    if (b < 0 || (!def->view && !def->in_place) || l->plan->slice[n->in[0]].whole >= 0 ||
        (!def->view && i < l->plan->chunks.end &&
         (l->plan->chunks.whole[n->in[0]] || l->plan->chunks.whole[n->out[0]])))
        return -1;
    if (def->view)
        return b;
    if (l->blocks[b].last != i || value_bytes(l->plan, n->in[0]) != value_bytes(l->plan, n->out[0]))
        return -1;
    for (int k = 1; k < n->n_in; k++)
        if (n->in[k] >= 0 && l->block_of[n->in[k]] == b)
            return -1;
    return b;
}

/* The block of what node i makes as output k: its input's, its whole's, or a new one. */
static void place_output(struct layout *l, int i, int k)
{
    const int v = l->plan->graph.nodes[i].out[k], whole = l->plan->slice[v].whole;
    const int owner = whole < 0 ? v : whole;
    const int shared = k == 0 && whole < 0 && l->block_of[v] < 0 ? shared_block(l, i) : -1;
    if (shared >= 0) {
        join_block(l, v, shared);
        return;
    }
    if (l->block_of[owner] < 0)
        open_block(l, owner, i);
    join_block(l, v, l->block_of[owner]);
}

static void form_blocks(struct layout *l)
{
    const struct cb_graph *g = &l->plan->graph;
    for (int i = 0; i < g->n_inputs; i++)
        if (!g->values[g->inputs[i]].data && l->block_of[g->inputs[i]] < 0) {
            open_block(l, g->inputs[i], -1);
            join_block(l, g->inputs[i], l->block_of[g->inputs[i]]);
        }
    for (int i = 0; i < g->n_nodes; i++)
        for (int k = 0; k < g->nodes[i].n_out; k++)
            if (g->nodes[i].out[k] >= 0)
                place_output(l, i, k);
}

static int larger_first(const void *a, const void *b)
{
    const struct block *x = *(struct block *const *)a, *y = *(struct block *const *)b;
    return x->bytes != y->bytes ? (x->bytes < y->bytes ? 1 : -1) : x->first - y->first;
}

/* The lowest offset where b fits among n placed blocks, which stand by their offsets. */
static void find_gap(struct block *b, struct block *const *placed, int n)
{
    b->offset = 0;
    for (int k = 0; k < n && placed[k]->offset < b->offset + b->bytes; k++) {
        const struct block *p = placed[k];
        if (p->first <= b->last && b->first <= p->last && p->offset + p->bytes > b->offset)
            b->offset = p->offset + p->bytes;
    }
}

static void insert_placed(struct block *b, struct block **placed, int n)
{
    int low = 0, high = n;
    while (low < high) {
        const int middle = low + (high - low) / 2;
        if (placed[middle]->offset <= b->offset)
            low = middle + 1;
        else
            high = middle;
    }
    memmove(placed + low + 1, placed + low, (size_t)(n - low) * sizeof *placed);
    placed[low] = b;
}

/* The end of the arena that the blocks need. `order` and `placed` have room for all blocks. */
static size_t place_blocks(struct layout *l, struct block **order, struct block **placed)
{
    size_t end = 0;
    for (int i = 0; i < l->n_blocks; i++)
        order[i] = &l->blocks[i];
    qsort(order, (size_t)l->n_blocks, sizeof *order, larger_first);
    for (int i = 0; i < l->n_blocks; i++) {
        struct block *b = order[i];
        b->offset = end;
        if (i < MAX_SEARCHED) {
            find_gap(b, placed, i);
            insert_placed(b, placed, i);
        }
        if (b->offset + b->bytes > end)
            end = b->offset + b->bytes;
    }
    return end;
}

static struct cb_status largest_scratch(struct cb_plan *plan, size_t *out)
{
    struct cb_sketch sketch;
    size_t most = 0;
    CB_TRY(cb_sketch_init(&sketch, plan));
    for (int i = 0; i < plan->graph.n_nodes; i++) {
        const struct cb_op_def *def = cb_op_get(plan->graph.nodes[i].op);
        if (!def->scratch)
            continue;
        cb_sketch_node(&sketch, plan, &plan->graph.nodes[i]);
        sketch.call.packed = plan->packed[i];
        for (int backward = 0; backward <= (plan->on_path && plan->on_path[i]); backward++) {
            const size_t bytes = def->scratch(&sketch.call, backward);
            if (bytes > most)
                most = bytes;
        }
    }
    *out = most;
    return cb_ok();
}

struct cb_status cb_plan_lay_out(struct cb_plan *plan)
{
    const struct cb_graph *g = &plan->graph;
    const size_t n_values = (size_t)g->n_values;
    struct layout l = { .plan = plan };
    struct block **order, **placed;
    size_t scratch;
    CB_TRY(cb_arena_get(&plan->arena, n_values, sizeof *l.block_of, "plan", &l.block_of));
    CB_TRY(cb_arena_get(&plan->arena, n_values, sizeof *l.last, "plan", &l.last));
    CB_TRY(cb_arena_get(&plan->arena, n_values, sizeof *l.blocks, "plan", &l.blocks));
    CB_TRY(cb_arena_get(&plan->arena, n_values, sizeof *order, "plan", &order));
    CB_TRY(cb_arena_get(&plan->arena, n_values, sizeof *placed, "plan", &placed));
    CB_TRY(cb_arena_get(&plan->arena, n_values, sizeof *plan->offset, "plan", &plan->offset));
    for (int v = 0; v < g->n_values; v++)
        l.block_of[v] = -1;
    find_last_uses(&l);
    form_blocks(&l);
    plan->scratch_offset = place_blocks(&l, order, placed);
    for (int v = 0; v < g->n_values; v++)
        plan->offset[v] = l.block_of[v] < 0
                              ? CB_NO_OFFSET
                              : l.blocks[l.block_of[v]].offset + plan->slice[v].at * sizeof(float);
    CB_TRY(largest_scratch(plan, &scratch));
    plan->activation_bytes = plan->scratch_offset + scratch;
    if (plan->activation_bytes > plan->engine->plan_budget)
        return cb_fail(CB_ERR_TOO_LARGE, "activations want %zu MB, the limit is %zu MB",
                       plan->activation_bytes >> 20, plan->engine->plan_budget >> 20);
    return cb_ok();
}
