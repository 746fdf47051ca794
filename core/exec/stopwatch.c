#include "core/exec/stopwatch.h"

#include <string.h>

#include "core/base/clock.h"

#define MOST_BETWEEN ((size_t)32 << 20) /* what is larger than every cache acts like this */
#define LINE 64
#define RUNS 4       /* the fastest counts */
#define HOPELESS 1.5 /* times slower on the first run: no more of it */
#define CLEARLY 0.97 /* the first candidate's time counts as this part of it */
/* Milliseconds that a byte of weights costs on top: memory is not always as idle as it is while
 * this measures; what others take of it, as a fifth of 20 GB/s. */
#define PRESSURE 1e-8

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
    for (int k = 0; k < 2 * plan->widest; k++) {
        const bool is_used = k < plan->widest ? k < node->n_in : k - plan->widest < node->n_out;
        if (!is_used || !sketch->pointers[k])
            continue;
        sketch->pointers[k]->pixel_stride = 0; /* alone, it lies dense */
        bytes += cb_align_up(cb_tensor_bytes(sketch->pointers[k]));
    }
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

/* One of those that compete. */
struct runner {
    int algorithm;
    struct cb_arena arena, scratch;
    size_t bytes; /* of weights, packed in `arena` */
    void *packed;
    struct cb_op_call call;
    double least; /* milliseconds; 0: not run yet */
    bool hopeless;
};

/* What the runners share: the tensors. */
struct race {
    const struct cb_op_def *def;
    struct cb_node *node; /* of the plan; has the algorithm of whoever runs */
    struct cb_arena arena;
    struct runner runner[CB_ALGORITHMS_MAX];
    int n;
    double best;
};

/* Packs with that algorithm. */
static struct cb_status enter(struct cb_stopwatch *watch, struct race *race, int algorithm)
{
    struct runner *r = &race->runner[race->n++];
    uint64_t key;
    size_t bytes;
    *r = (struct runner){ .algorithm = algorithm };
    race->def->choose(race->node, algorithm);
    if (!cb_packing_key(&watch->packing, race->node, &key, &bytes))
        return cb_fail(CB_ERR_UNSUPPORTED, "%s: nothing is packed", race->node->name);
    CB_TRY(cb_arena_init(&r->arena, cb_align_up(bytes)));
    CB_TRY(cb_arena_get(&r->arena, bytes, 1, race->node->name, &r->packed));
    r->bytes = bytes;
    cb_packing_write(&watch->packing, race->node, r->packed, false);
    return cb_ok();
}

/* All are packed: the tensors and the calls. */
static struct cb_status line_up(struct cb_stopwatch *watch, struct race *race)
{
    struct cb_tensor *weights = &watch->packing.sketch.tensors[1];
    void *elements = weights->data;
    struct cb_op_call call;
    CB_TRY(prepare(watch, race->node, &race->arena, &call));
    weights->data = elements;
    for (int i = 0; i < race->n; i++) {
        struct runner *r = &race->runner[i];
        r->call = call;
        r->call.packed = r->packed;
        race->def->choose(race->node, r->algorithm);
        const size_t scratch = race->def->scratch ? race->def->scratch(&r->call, false) : 0;
        CB_TRY(cb_arena_init(&r->scratch, scratch + CB_ALIGN));
        CB_TRY(cb_arena_get(&r->scratch, scratch, 1, race->node->name, &r->call.scratch));
    }
    return cb_ok();
}

/* Each that has hope runs once, in turn, so that what else the machine does hits all alike. */
static bool run_round(struct cb_stopwatch *watch, struct race *race, double hopeless)
{
    for (int i = 0; i < race->n; i++) {
        struct runner *r = &race->runner[i];
        if (r->hopeless)
            continue;
        if (cb_clock_ns() >= watch->deadline)
            return false;
        race->def->choose(race->node, r->algorithm);
        const double ms = time_run(watch, race->def, &r->call);
        r->least = r->least <= 0 || ms < r->least ? ms : r->least;
        race->best = race->best <= 0 || r->least < race->best ? r->least : race->best;
    }
    for (int i = 0; i < race->n; i++)
        race->runner[i].hopeless |= race->runner[i].least > race->best * hopeless;
    return true;
}

/* One run may have been interrupted: only who was slow twice is out. */
static bool run_slow_ones_again(struct cb_stopwatch *watch, struct race *race, double hopeless)
{
    for (int i = 0; i < race->n; i++) {
        struct runner *r = &race->runner[i];
        if (!r->hopeless)
            continue;
        if (cb_clock_ns() >= watch->deadline)
            return false;
        race->def->choose(race->node, r->algorithm);
        const double ms = time_run(watch, race->def, &r->call);
        r->least = ms < r->least ? ms : r->least;
        r->hopeless = r->least > race->best * hopeless;
    }
    return true;
}

static bool run_rounds(struct cb_stopwatch *watch, struct race *race)
{
    bool done = run_round(watch, race, 2 * HOPELESS) && /* warms up, takes the page faults */
                run_slow_ones_again(watch, race, 2 * HOPELESS);
    for (int i = 0; i < race->n; i++)
        race->runner[i].least = race->runner[i].hopeless ? race->runner[i].least : 0;
    for (int i = 0; i < RUNS && done; i++)
        done = run_round(watch, race, HOPELESS);
    return done;
}

bool cb_stopwatch_rank(struct cb_stopwatch *watch, const struct cb_op_def *def,
                       struct cb_node *node, const int *candidates, int n, uint8_t *order)
{
    struct race race = { .def = def, .node = node };
    double times[CB_ALGORITHMS_MAX];
    bool done = cb_clock_ns() < watch->deadline;
    /* Written once: pages that never were are all one and the same. */
    if (done && watch->between && !watch->arena.used)
        memset(cb_arena_alloc(&watch->arena, watch->between, 1), 1, watch->between);
    for (int i = 0; i < n && done; i++)
        done = enter(watch, &race, candidates[i]).code == CB_OK;
    done = done && line_up(watch, &race).code == CB_OK && run_rounds(watch, &race);
    for (int i = 0; i < n && done; i++) {
        const struct runner *r = &race.runner[i];
        const double ms = r->least * (i ? 1 : CLEARLY) + (double)r->bytes * PRESSURE;
        int at = i;
        for (; at > 0 && times[at - 1] > ms; at--) {
            times[at] = times[at - 1];
            order[at] = order[at - 1];
        }
        times[at] = ms;
        order[at] = (uint8_t)candidates[i];
    }
    for (int i = 0; i < race.n; i++) {
        cb_arena_deinit(&race.runner[i].scratch);
        cb_arena_deinit(&race.runner[i].arena);
    }
    cb_arena_deinit(&race.arena);
    return done;
}
