#include "core/model/head.h"

#include <criterion/criterion.h>

#include "core/base/rng.h"
#include "core/train/head_trainer.h"
#include "tests/support/close.h"
#include "tests/support/run_graph.h"

enum { N = 2, C = 3, H = 4, W = 5, HIDDEN = 7, CLASSES = 4 };

struct world {
    struct cb_arena arena;
    struct cb_graph graph;
    struct cb_head head;
    float w1[HIDDEN * C], b1[HIDDEN], w2[CLASSES * HIDDEN], b2[CLASSES], x[N * C * H * W];
    int bottleneck, logits;
};

/* x -> Tanh -> bottleneck -> Neg -> y, of that shape. */
static void set_up(struct world *w, bool hidden, const struct cb_shape *shape, enum cb_dtype dtype)
{
    struct cb_rng rng = cb_rng_seed(31);
    int x, y;
    cr_assert_eq(cb_arena_init(&w->arena, 1 << 20).code, CB_OK);
    cb_graph_init(&w->graph, &w->arena);
    cr_assert_eq(cb_graph_add_value(&w->graph, "x", CB_FLOAT32, shape, &x).code, CB_OK);
    cr_assert_eq(cb_graph_add_value(&w->graph, "bottleneck", dtype, NULL, &w->bottleneck).code,
                 CB_OK);
    cr_assert_eq(cb_graph_add_value(&w->graph, "y", CB_FLOAT32, NULL, &y).code, CB_OK);
    cr_assert_eq(cb_graph_add_input(&w->graph, x).code, CB_OK);
    cr_assert_eq(
        cb_graph_add_node(&w->graph, CB_OP_TANH, "tanh", 1, &x, 1, &w->bottleneck, NULL).code,
        CB_OK);
    cr_assert_eq(
        cb_graph_add_node(&w->graph, CB_OP_NEG, "neg", 1, &w->bottleneck, 1, &y, NULL).code, CB_OK);
    cr_assert_eq(cb_graph_add_output(&w->graph, y).code, CB_OK);
    cb_rng_fill(&rng, CB_COUNT_OF(w->w1), w->w1);
    cb_rng_fill(&rng, CB_COUNT_OF(w->b1), w->b1);
    cb_rng_fill(&rng, CB_COUNT_OF(w->w2), w->w2);
    cb_rng_fill(&rng, CB_COUNT_OF(w->b2), w->b2);
    cb_rng_fill(&rng, CB_COUNT_OF(w->x), w->x);
    w->head = (struct cb_head){ .inputs = C,
                                .hidden = hidden ? HIDDEN : 0,
                                .classes = CLASSES,
                                .w1 = w->w1,
                                .b1 = w->b1,
                                .w2 = w->w2,
                                .b2 = w->b2 };
}

/* The graph's logits against the head run by itself on means over `area` elements. */
static void expect_same(struct world *w, const struct cb_shape *shape, size_t area)
{
    float features[N * C] = { 0 }, want[N * CLASSES], got[N * CLASSES];
    const struct cb_tensor x = { .shape = *shape, .dtype = CB_FLOAT32, .data = w->x };
    for (size_t i = 0; i < N * C * area; i++)
        features[i / area] += tanhf(w->x[i]) / (float)area;
    cb_head_run(&w->head, N, features, want);
    for (int passes = 0; passes < 2; passes++) {
        cr_assert_eq(run_graph(&w->graph, &x, -1, passes, CB_COUNT_OF(got), got), CB_COUNT_OF(got));
        cb_expect_close(CB_COUNT_OF(got), got, want, "area %zu, hidden %d, passes %d", area,
                        w->head.hidden, passes);
    }
}

static const struct {
    struct cb_shape shape;
    size_t area;
} forms[] = {
    { { 4, { N, C, H, W } }, H *W },
    { { 2, { N, C } }, 1 },
    { { 3, { N, C, H } }, H },
    { { 4, { N, C, 1, 1 } }, 1 },
};

Test(head, averages_whatever_stands_behind_the_channels)
{
    for (size_t i = 0; i < CB_COUNT_OF(forms); i++)
        for (int hidden = 0; hidden < 2; hidden++) {
            struct world w;
            set_up(&w, hidden, &forms[i].shape, CB_FLOAT32);
            cr_assert_eq(cb_head_attach(&w.graph, w.bottleneck, &w.head, 5, &w.logits).code, CB_OK);
            expect_same(&w, &forms[i].shape, forms[i].area);
            cb_arena_deinit(&w.arena);
        }
}

Test(head, takes_a_bottleneck_of_unknown_or_narrow_type)
{
    static const enum cb_dtype types[] = { CB_DTYPE_NONE, CB_FLOAT16 };
    for (size_t i = 0; i < CB_COUNT_OF(types); i++) {
        struct world w;
        set_up(&w, false, &forms[0].shape, types[i]);
        cr_assert_eq(cb_head_attach(&w.graph, w.bottleneck, &w.head, 5, &w.logits).code, CB_OK);
        expect_same(&w, &forms[0].shape, forms[0].area);
        cb_arena_deinit(&w.arena);
    }
}

Test(head, its_logits_become_the_only_output_and_the_graph_stays_sound)
{
    struct world w;
    set_up(&w, true, &forms[0].shape, CB_FLOAT32);
    cr_assert_eq(cb_graph_add_output(&w.graph, w.bottleneck).code, CB_OK);
    cr_assert_eq(cb_head_attach(&w.graph, w.bottleneck, &w.head, 5, &w.logits).code, CB_OK);
    cr_expect(w.graph.n_outputs == 1 && w.graph.outputs[0] == w.logits);
    const struct cb_status st = cb_graph_verify(&w.graph, "attach");
    cr_expect_eq(st.code, CB_OK, "%s", st.msg);
    cb_arena_deinit(&w.arena);
}

Test(head, keys_of_two_heads_differ)
{
    struct world a, b;
    set_up(&a, false, &forms[0].shape, CB_FLOAT32);
    set_up(&b, false, &forms[0].shape, CB_FLOAT32);
    cr_assert_eq(cb_head_attach(&a.graph, a.bottleneck, &a.head, 5, &a.logits).code, CB_OK);
    cr_assert_eq(cb_head_attach(&b.graph, b.bottleneck, &b.head, 6, &b.logits).code, CB_OK);
    const int v = cb_graph_find(&a.graph, "head@logits.weight");
    cr_assert(v >= 0 && v == cb_graph_find(&b.graph, "head@logits.weight"));
    cr_expect_neq(a.graph.values[v].key, b.graph.values[v].key);
    cb_arena_deinit(&a.arena);
    cb_arena_deinit(&b.arena);
}

Test(head, no_memory_is_said_at_every_budget)
{
    for (size_t left = 0; left < 6000; left += 64) {
        struct world w;
        set_up(&w, true, &forms[0].shape, CB_FLOAT32);
        w.arena.budget =
            w.arena.used + left < w.arena.budget ? w.arena.used + left : w.arena.budget;
        const enum cb_code code =
            cb_head_attach(&w.graph, w.bottleneck, &w.head, 5, &w.logits).code;
        cr_expect(code == CB_OK || code == CB_ERR_NOMEM, "%zu bytes: code %d", left, code);
        w.arena.budget = 1 << 20;
        cb_arena_deinit(&w.arena);
    }
}
