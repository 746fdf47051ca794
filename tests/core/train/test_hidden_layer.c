#include "core/train/hidden_layer.h"

#include <criterion/criterion.h>
#include <math.h>

#include "core/base/rng.h"

enum {
    N = 7,
    INPUTS = 5,
    HIDDEN = 6,
    CLASSES = 3,
    SIZE = (INPUTS + 1) * HIDDEN + (HIDDEN + 1) * CLASSES
};

static const struct cb_engine *engine(struct cb_engine *e)
{
    *e = (struct cb_engine){ .kernels = cb_kernels_for(CB_ISA_GENERIC) };
    return e;
}

struct numbers {
    float x[N * INPUTS], weight[N], keep[N * HIDDEN], h[N * HIDDEN], dh[N * HIDDEN],
        logits[N * CLASSES], block[SIZE];
    int labels[N];
};

static struct cb_hidden_batch fill(struct numbers *v, uint64_t seed)
{
    struct cb_rng rng = cb_rng_seed(seed);
    cb_rng_fill(&rng, N * INPUTS, v->x);
    cb_rng_fill(&rng, SIZE, v->block);
    for (int i = 0; i < N; i++) {
        v->labels[i] = i % CLASSES;
        v->weight[i] = 0.5f + (float)i;
    }
    for (int i = 0; i < N * HIDDEN; i++)
        v->keep[i] = cb_rng_below(&rng, 3) ? 1.5f : 0;
    return (struct cb_hidden_batch){ .n = N,
                                     .x = v->x,
                                     .labels = v->labels,
                                     .weight = v->weight,
                                     .keep = v->keep,
                                     .h = v->h,
                                     .dh = v->dh,
                                     .logits = v->logits };
}

Test(hidden_layer, gradient_agrees_with_finite_differences)
{
    struct cb_engine e;
    struct cb_arena arena;
    struct cb_products products;
    struct numbers v;
    float gradient[SIZE], unused[SIZE];
    cr_assert_eq(cb_arena_init(&arena, 1 << 20).code, CB_OK);
    cr_assert_eq(
        cb_products_init(&products, engine(&e), &arena, N, (size_t[]){ INPUTS, HIDDEN, CLASSES })
            .code,
        CB_OK);
    for (uint64_t seed = 1; seed <= 3; seed++) {
        const struct cb_hidden_batch batch = fill(&v, seed);
        const struct cb_hidden_net net = cb_hidden_over(v.block, INPUTS, HIDDEN, CLASSES);
        int off = 0;
        cb_hidden_gradient(&products, &net, &batch, gradient);
        for (int i = 0; i < SIZE; i++) {
            const float kept = v.block[i], h = 2e-3f;
            v.block[i] = kept + h;
            const double up = cb_hidden_gradient(&products, &net, &batch, unused);
            v.block[i] = kept - h;
            const double down = cb_hidden_gradient(&products, &net, &batch, unused);
            v.block[i] = kept;
            off += fabs((up - down) / (2 * (double)h) - (double)gradient[i]) > 2e-3;
        }
        cr_expect(off <= 1, "seed %d: %d of %d differ (one may sit on relu's kink)", (int)seed, off,
                  SIZE);
    }
    cb_arena_deinit(&arena);
}

/* A ring around a blob: no line parts them. */
enum { RING = 200 };
static void ring(float x[RING * 2], int labels[RING], float teach[RING], float judge[RING])
{
    struct cb_rng rng = cb_rng_seed(12);
    for (int i = 0; i < RING; i++) {
        const float angle = cb_rng_uniform(&rng, 0, 6.2831853f), radius = i % 2 ? 2.0f : 0.5f;
        x[2 * i] = radius * cosf(angle) + 0.1f * cb_rng_normal(&rng);
        x[2 * i + 1] = radius * sinf(angle) + 0.1f * cb_rng_normal(&rng);
        labels[i] = i % 2;
        teach[i] = i % 4 < 2 ? 1 : 0;
        judge[i] = 1 - teach[i];
    }
}

struct watch {
    int epochs, correct, stop_at;
};

static bool watch_epoch(void *ctx, const struct cb_hidden_epoch *epoch)
{
    struct watch *w = ctx;
    w->epochs = epoch->epoch;
    w->correct = epoch->correct;
    return epoch->epoch != w->stop_at;
}

static enum cb_code train_ring(struct watch *w, float block[], float dropout,
                               struct cb_threads *threads, int *best)
{
    struct cb_engine e;
    struct cb_arena arena;
    float x[RING * 2], teach[RING], judge[RING];
    int labels[RING];
    struct cb_hidden_net net = cb_hidden_over(block, 2, 16, 2);
    ring(x, labels, teach, judge);
    engine(&e);
    e.threads = threads;
    cr_assert_eq(cb_arena_init(&arena, 1 << 22).code, CB_OK);
    const struct cb_hidden_training t = {
        .engine = &e,
        .scratch = &arena,
        .n = RING,
        .x = x,
        .labels = labels,
        .teach = teach,
        .judge = judge,
        .dropout = dropout,
        .rate = 0.01f,
        .decay = 0.01f,
        .epochs = 300,
        .patience = 20,
        .seed = 3,
        .on_epoch = watch_epoch,
        .ctx = w,
    };
    const enum cb_code code = cb_hidden_train(&t, &net, best).code;
    cr_expect_eq(arena.used, 0, "scratch memory is given back");
    cb_arena_deinit(&arena);
    return code;
}

Test(hidden_layer, learns_what_no_line_parts_and_stops_early)
{
    struct watch w = { 0 };
    float block[16 * 3 + 17 * 2];
    int best = 0;
    cr_assert_eq(train_ring(&w, block, 0.2f, NULL, &best), CB_OK);
    cr_expect(w.correct >= 98, "%d of 100", w.correct);
    cr_expect(best >= 1 && (w.epochs == 300 || w.epochs == best + 20), "best %d, last %d", best,
              w.epochs);
}

Test(hidden_layer, the_same_seed_gives_the_same_bits_on_any_number_of_threads)
{
    struct watch w = { 0 };
    float a[16 * 3 + 17 * 2], b[16 * 3 + 17 * 2];
    int best;
    struct cb_threads *threads;
    cr_assert_eq(cb_threads_create(3, &threads).code, CB_OK);
    cr_assert_eq(train_ring(&w, a, 0.5f, NULL, &best), CB_OK);
    cr_assert_eq(train_ring(&w, b, 0.5f, threads, &best), CB_OK);
    cr_expect_arr_eq(a, b, sizeof a);
    cb_threads_destroy(threads);
}

Test(hidden_layer, can_be_cancelled)
{
    struct watch w = { .stop_at = 4 };
    float block[16 * 3 + 17 * 2];
    int best;
    cr_expect_eq(train_ring(&w, block, 0, NULL, &best), CB_ERR_CANCELLED);
    cr_expect_eq(w.epochs, 4);
}
