#include "core/exec/stopwatch.h"

#include <string.h>

#include "core/base/clock.h"

#define MOST_BETWEEN ((size_t)32 << 20) /* what is larger than every cache acts like this */
#define LINE 64
#define RUNS 4       /* the fastest counts */
#define HOPELESS 1.5 /* times slower on the first run: no more of it */
#define CLEARLY 0.97 /* the first candidate's time counts as this part of it */

/* Weights of all nodes together: what passes through the caches between two runs of one node. */
static size_t weights_bytes(const struct cb_plan *plan)
{
    size_t sum = 0;
    for (int i = 0; i < plan->graph.n_nodes && sum < MOST_BETWEEN; i++) {
        const struct cb_node *n = &plan->graph.nodes[i];
        const int w = n->n_in > 1 ? n->in[1] : -1;
        if (w >= 0 && plan->graph.values[w].data && cb_op_get(n->op)->packed_bytes)
            sum += cb_shape_count(&plan->graph.values[w].shape) * sizeof(float);
    }
    return sum < MOST_BETWEEN ? sum : MOST_BETWEEN;
}

struct cb_status cb_stopwatch_init(struct cb_stopwatch *watch, struct cb_plan *plan,
                                   int64_t deadline)
{
    *watch = (struct cb_stopwatch){ .deadline = deadline, .between = weights_bytes(plan) };
    CB_TRY(cb_arena_init(&watch->arena, watch->between));
    return cb_packing_init(&watch->packing, plan, plan->engine->threads,
                           cb_packing_largest_scaled(plan));
}

void cb_stopwatch_deinit(struct cb_stopwatch *watch)
{
    cb_packing_deinit(&watch->packing);
    cb_arena_deinit(&watch->arena);
}

uint64_t cb_stopwatch_class(const struct cb_stopwatch *watch)
{
    uint64_t class = 0;
    while (watch->between >> 20 >> class)
        class ++;
    return class;
}

static void read_lines(const void *data, size_t bytes)
{
    const volatile uint8_t *p = data;
    for (size_t i = 0; i < bytes; i += LINE)
        (void)p[i];
}

struct reading {
    const uint8_t *data;
    size_t bytes, parts;
};

static void read_part(void *ctx, size_t i, size_t worker)
{
    const struct reading *r = ctx;
    const size_t from = r->bytes / r->parts * i, rest = r->bytes - from;
    (void)worker;
    read_lines(r->data + from, i + 1 < r->parts ? r->bytes / r->parts : rest);
}

static double time_run(struct cb_stopwatch *watch, const struct cb_op_def *def,
                       const struct cb_op_call *call)
{
    struct reading r = { watch->arena.base, watch->between, cb_threads_count(call->threads) };
    cb_threads_for(call->threads, r.parts, read_part, &r);
    read_lines(call->in[0]->data, cb_tensor_bytes(call->in[0]));
    const double began = cb_clock_ms();
    def->forward(call);
    return cb_clock_ms() - began;
}

/* Random numbers in [-1, 1) from a linear congruence; whole numbers are 0. */
static void fill(struct cb_tensor *t)
{
    uint32_t r = 12345;
    for (size_t i = 0, n = cb_tensor_count(t); cb_dtype_get(t->dtype)->is_float && i < n; i++) {
        r = r * 1664525u + 1013904223u;
        t->f[i] = (float)(r >> 8) / 8388608.0f - 1.0f;
    }
}

/* The node's call in memory of its own; all but the weights is random. */
static struct cb_status prepare(struct cb_stopwatch *watch, const struct cb_node *node,
                                struct cb_arena *arena, struct cb_op_call *call)
{
    struct cb_plan *plan = watch->packing.plan;
    struct cb_sketch *sketch = &watch->packing.sketch;
    size_t bytes = 0;
    cb_sketch_node(sketch, plan, node);
    for (int k = 0; k < 2 * plan->widest; k++)
        sketch->tensors[k].pixel_stride = 0; /* each in memory of its own */
    for (int k = 0; k < 2 * plan->widest; k++)
        if (k < plan->widest ? k < node->n_in : k - plan->widest < node->n_out)
            bytes += sketch->pointers[k] ? cb_align_up(cb_tensor_bytes(sketch->pointers[k])) : 0;
    if (bytes > plan->engine->plan_budget)
        return cb_fail(CB_ERR_TOO_LARGE, "%s: too large to be measured", node->name);
    CB_TRY(cb_arena_init(arena, bytes + CB_ALIGN));
    for (int k = 0; k < node->n_in; k++) {
        struct cb_tensor *t = sketch->pointers[k];
        if (t && k != 1) {
            CB_TRY(cb_arena_get(arena, 1, cb_tensor_bytes(t), node->name, &t->data));
            fill(t);
        }
    }
    for (int k = 0; k < node->n_out; k++) {
        struct cb_tensor *t = sketch->pointers[plan->widest + k];
        if (t)
            CB_TRY(cb_arena_get(arena, 1, cb_tensor_bytes(t), node->name, &t->data));
    }
    *call = sketch->call;
    call->threads = plan->engine->threads;
    return cb_ok();
}

/* Milliseconds with the algorithm that the node has; at most a few runs when `best` is much less,
 * and none when the time is up: then it is below 0. */
static double time_candidate(struct cb_stopwatch *watch, const struct cb_op_def *def,
                             const struct cb_node *node, double best)
{
    struct cb_arena arena = { 0 }, own = { 0 };
    struct cb_op_call call;
    double least = -1, ms;
    uint64_t key;
    size_t bytes, scratch = 0;
    if (cb_clock_ns() > watch->deadline || !cb_packing_key(&watch->packing, node, &key, &bytes) ||
        cb_arena_init(&own, cb_align_up(bytes)).code)
        return -1;
    void *packed = cb_arena_alloc(&own, bytes, 1);
    cb_packing_write(&watch->packing, node, packed, false);
    const struct cb_tensor weights = watch->packing.sketch.tensors[1];
    struct cb_status st = prepare(watch, node, &arena, &call);
    if (!st.code) {
        watch->packing.sketch.tensors[1].data = weights.data;
        call.packed = packed;
        scratch = def->scratch ? def->scratch(&call, false) : 0;
    }
    struct cb_arena work = { 0 };
    if (!st.code && cb_arena_init(&work, cb_align_up(scratch)).code == CB_OK) {
        call.scratch = scratch ? cb_arena_alloc(&work, scratch, 1) : NULL;
        ms = least = time_run(watch, def, &call); /* warms up, takes the page faults */
        for (int i = 0; i < RUNS && cb_clock_ns() < watch->deadline; i++) {
            if (best > 0 && ms > best * (i ? HOPELESS : 2 * HOPELESS))
                break;
            ms = time_run(watch, def, &call);
            least = ms < least ? ms : least;
        }
    }
    cb_arena_deinit(&work);
    cb_arena_deinit(&arena);
    cb_arena_deinit(&own);
    return cb_clock_ns() < watch->deadline ? least : -1;
}

bool cb_stopwatch_rank(struct cb_stopwatch *watch, const struct cb_op_def *def,
                       struct cb_node *node, const int *candidates, int n, uint8_t *order)
{
    double times[CB_ALGORITHMS_MAX], best = 0;
    /* Written once: pages that never were are all one and the same. */
    if (watch->between && !watch->arena.used)
        memset(cb_arena_alloc(&watch->arena, watch->between, 1), 1, watch->between);
    for (int i = 0; i < n; i++) {
        def->choose(node, candidates[i]);
        double ms = time_candidate(watch, def, node, best);
        int at = i;
        if (ms < 0)
            return false;
        ms *= i ? 1 : CLEARLY;
        best = i == 0 || ms < best ? ms : best;
        for (; at > 0 && times[at - 1] > ms; at--) {
            times[at] = times[at - 1];
            order[at] = order[at - 1];
        }
        times[at] = ms;
        order[at] = (uint8_t)candidates[i];
    }
    return true;
}
