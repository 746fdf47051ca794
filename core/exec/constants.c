/* Where nodes find their constants: packed, as they lie, or as an aligned copy.
 *
 * First every block is claimed. What an earlier process made is compared with its checksum, by all
 * threads; what is small is made by all threads, one block each; what is large by all of them
 * together, one block after the other. Then the blocks that another plan makes are waited for. */
#include <string.h>

#include "core/base/checksum.h"
#include "core/base/file.h"
#include "core/exec/plan_internal.h"

#define LARGE_BYTES ((size_t)2 << 20) /* split among the threads */
#define COPIED 0x636f7079u

struct piece {
    struct cb_weights_block *block;
    int node, value; /* packed for the node, or a copy: -1 */
    enum cb_claim claim;
    const void **at; /* where the plan wants to find it */
};

struct placing {
    struct cb_plan *plan;
    const struct cb_arena *temporary;
    struct piece *pieces;
    int n_pieces;
    struct cb_packing *packing; /* one per worker; [0] is also for large pieces, all threads */
    size_t n_packing;
};

static struct cb_status claim(struct placing *p, struct piece piece, uint64_t key, size_t bytes)
{
    struct cb_plan *plan = p->plan;
    CB_TRY(cb_weights_claim(plan->weights, key, bytes, plan->graph.values[piece.value].durable,
                            &piece.block, &piece.claim));
    p->pieces[p->n_pieces++] = piece;
    return cb_ok();
}

/* Constants that nodes read as they lie: in place where they are aligned and will stay, else copied
 * once. */
static struct cb_status want_constant(struct placing *p, int value)
{
    struct cb_plan *plan = p->plan;
    const struct cb_value *v = &plan->graph.values[value];
    const struct cb_tensor t = cb_value_tensor(v);
    const uintptr_t at = (uintptr_t)v->data, base = (uintptr_t)p->temporary->base;
    if (plan->constant[value])
        return cb_ok();
    plan->constant[value] = v->data;
    if (!v->scale && at % cb_dtype_size(v->dtype) == 0 &&
        !(at >= base && at < base + p->temporary->budget))
        return cb_ok();
    return claim(p, (struct piece){ .node = -1, .value = value, .at = &plan->constant[value] },
                 cb_key_mix(v->key, COPIED), cb_tensor_bytes(&t));
}

static struct cb_status want_packed(struct placing *p, int i)
{
    struct cb_plan *plan = p->plan;
    const struct cb_node *n = &plan->graph.nodes[i];
    size_t bytes;
    uint64_t key;
    if (!cb_packing_key(&p->packing[0], n, &key, &bytes))
        return cb_ok();
    CB_TRY(claim(p, (struct piece){ .node = i, .value = n->in[1], .at = &plan->packed[i] }, key,
                 bytes));
    plan->packed[i] = cb_weights_data(p->pieces[p->n_pieces - 1].block);
    /* Backward reads them as they were, and packing may let them go. */
    return plan->on_path && plan->on_path[i] ? want_constant(p, n->in[1]) : cb_ok();
}

static struct cb_status want_all(struct placing *p)
{
    struct cb_plan *plan = p->plan;
    const struct cb_graph *g = &plan->graph;
    for (int i = 0; i < g->n_nodes; i++)
        CB_TRY(want_packed(p, i));
    for (int i = 0; i < g->n_nodes; i++)
        for (int k = 0; k < g->nodes[i].n_in; k++) {
            const int v = g->nodes[i].in[k];
            const bool only_packed =
                k == 1 && plan->packed[i] && !(plan->on_path && plan->on_path[i]);
            if (v >= 0 && g->values[v].data && !only_packed)
                CB_TRY(want_constant(p, v));
        }
    for (int i = 0; i < plan->n_outputs; i++)
        if (g->values[plan->outputs[i]].data)
            CB_TRY(want_constant(p, plan->outputs[i]));
    return cb_ok();
}

/* ---- what is lent ---- */

struct chunk {
    const struct cb_weights_block *block;
    size_t index;
    uint64_t sum;
};

static void sum_chunk(void *ctx, size_t i, size_t worker)
{
    struct chunk *c = (struct chunk *)ctx + i;
    (void)worker;
    c->sum = cb_checksum_chunk(cb_weights_data(c->block), cb_weights_length(c->block), c->index);
}

static size_t count_chunks(const struct placing *p)
{
    size_t n = 0;
    for (int i = 0; i < p->n_pieces; i++)
        if (p->pieces[i].claim == CB_CLAIM_LENT)
            n += cb_checksum_chunks(cb_weights_length(p->pieces[i].block));
    return n;
}

static void judge(struct placing *p, const struct chunk *chunks, uint64_t *sums)
{
    for (int i = 0; i < p->n_pieces; i++) {
        struct piece *piece = &p->pieces[i];
        if (piece->claim != CB_CLAIM_LENT)
            continue;
        const size_t n = cb_checksum_chunks(cb_weights_length(piece->block));
        for (size_t k = 0; k < n; k++)
            sums[k] = (chunks++)->sum;
        piece->claim =
            cb_weights_judge_lent(p->plan->weights, piece->block, cb_checksum_join(sums, n));
    }
}

/* Compares what is lent with its checksums. Without memory for that, it is made anew. */
static void check_lent(struct placing *p)
{
    const size_t n = count_chunks(p);
    struct cb_arena arena = { 0 };
    struct chunk *chunks = NULL;
    uint64_t *sums = NULL;
    size_t at = 0;
    if (!n)
        return;
    if (cb_arena_init(&arena, n * (sizeof *chunks + sizeof *sums) + 4 * CB_ALIGN).code == CB_OK) {
        chunks = cb_arena_alloc(&arena, n, sizeof *chunks);
        sums = cb_arena_alloc(&arena, n, sizeof *sums);
    }
    for (int i = 0; i < p->n_pieces; i++) {
        struct piece *piece = &p->pieces[i];
        if (piece->claim != CB_CLAIM_LENT)
            continue;
        const size_t count = cb_checksum_chunks(cb_weights_length(piece->block));
        for (size_t k = 0; chunks && k < count; k++)
            chunks[at++] = (struct chunk){ .block = piece->block, .index = k };
        if (!chunks)
            piece->claim = cb_weights_judge_lent(p->plan->weights, piece->block, 0);
    }
    cb_threads_for(p->plan->engine->threads, at, sum_chunk, chunks);
    if (chunks)
        judge(p, chunks, sums);
    cb_arena_deinit(&arena);
}

/* ---- what is made ---- */

static void make(struct placing *p, const struct piece *piece, struct cb_packing *packing)
{
    const struct cb_value *v = &p->plan->graph.values[piece->value];
    void *data = cb_weights_data(piece->block);
    if (piece->node >= 0)
        cb_packing_write(packing, &p->plan->graph.nodes[piece->node], data, true);
    else
        memcpy(data, cb_packing_elements(packing, v), cb_weights_length(piece->block));
    cb_weights_finish(p->plan->weights, piece->block);
}

static bool is_empty(const struct piece *piece, bool large)
{
    return piece->claim == CB_CLAIM_EMPTY &&
           large == (cb_weights_length(piece->block) >= LARGE_BYTES);
}

static void make_small(void *ctx, size_t i, size_t worker)
{
    struct placing *p = ctx;
    if (is_empty(&p->pieces[i], false))
        make(p, &p->pieces[i], &p->packing[worker]);
}

/* The file's pages of what will be made are read ahead. */
static void make_all(struct placing *p)
{
    struct cb_threads *threads = p->plan->engine->threads;
    for (int i = 0; i < p->n_pieces; i++) {
        const struct cb_value *v = &p->plan->graph.values[p->pieces[i].value];
        if (p->pieces[i].claim == CB_CLAIM_EMPTY && v->mapped)
            cb_file_will_read(v->data, cb_shape_count(&v->shape) * sizeof(float));
    }
    cb_threads_for(threads, (size_t)p->n_pieces, make_small, p);
    p->packing[0].threads = threads;
    for (int i = 0; i < p->n_pieces; i++)
        if (is_empty(&p->pieces[i], true))
            make(p, &p->pieces[i], &p->packing[0]);
}

static struct cb_status begin(struct placing *p)
{
    struct cb_plan *plan = p->plan;
    const struct cb_graph *g = &plan->graph;
    const size_t most = (size_t)g->n_nodes + (size_t)g->n_values;
    const size_t workers = cb_threads_count(plan->engine->threads);
    const size_t scaled = cb_packing_largest_scaled(plan);
    CB_TRY(cb_arena_get(&plan->arena, (size_t)g->n_nodes, sizeof *plan->packed, "plan",
                        &plan->packed));
    CB_TRY(cb_arena_get(&plan->arena, (size_t)g->n_values, sizeof *plan->constant, "plan",
                        &plan->constant));
    CB_TRY(cb_arena_get(&plan->arena, most, sizeof *p->pieces, "plan", &p->pieces));
    CB_TRY(cb_arena_get(&plan->arena, workers, sizeof *p->packing, "plan", &p->packing));
    for (; p->n_packing < workers; p->n_packing++)
        CB_TRY(cb_packing_init(&p->packing[p->n_packing], plan, NULL, scaled));
    return cb_ok();
}

struct cb_status cb_plan_place_constants(struct cb_plan *plan, const struct cb_arena *temporary)
{
    struct placing p = { .plan = plan, .temporary = temporary };
    struct cb_status st = begin(&p);
    if (!st.code)
        st = want_all(&p);
    check_lent(&p);
    make_all(&p); /* what was claimed is made also after a failure: others may wait for it */
    for (int i = 0; i < p.n_pieces; i++) {
        cb_weights_wait(plan->weights, p.pieces[i].block);
        *p.pieces[i].at = cb_weights_data(p.pieces[i].block);
    }
    for (size_t i = 0; i < p.n_packing; i++)
        cb_packing_deinit(&p.packing[i]);
    return st;
}
