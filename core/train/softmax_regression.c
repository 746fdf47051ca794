#include "core/train/softmax_regression.h"

#include <math.h>

#include "core/kernels/gemm.h"
#include "core/train/cross_entropy.h"
#include "core/train/lbfgs.h"

/* Strong to weak: each fit starts where the last one ended. */
static const double grid[] = { 10, 3, 1, 0.3, 0.1, 0.03, 0.01, 1e-3, 1e-4 };

/* Below this many multiplications waking the threads costs more than they save. */
#define WORTH_THREADS ((size_t)1 << 24)

static size_t size_of(const struct cb_regression *r)
{
    return r->inputs * r->classes;
}

static struct cb_threads *threads_for(const struct cb_regression *r)
{
    return r->n * size_of(r) < WORTH_THREADS ? NULL : r->engine->threads;
}

struct cb_status cb_regression_init(struct cb_regression *r, const float *x)
{
    const struct cb_kernels *k = &r->engine->kernels;
    CB_TRY(cb_arena_get(r->scratch, cb_gemm_packed_bytes(k, r->inputs, r->n), 1, "packed features",
                        &r->by_input));
    CB_TRY(cb_arena_get(r->scratch, cb_gemm_packed_bytes(k, r->n, r->inputs), 1, "packed features",
                        &r->by_row));
    CB_TRY(cb_arena_get(r->scratch, r->n * r->classes, sizeof(float), "logits", &r->logits));
    cb_gemm_pack(k, r->engine->threads, r->inputs, r->n, x, 1, r->inputs, r->by_input);
    cb_gemm_pack(k, r->engine->threads, r->n, r->inputs, x, r->inputs, 1, r->by_row);
    return cb_ok();
}

/* c[classes, n] = a[classes, k] times the packed matrix [k, n]. */
static void multiply(const struct cb_regression *r, size_t n, size_t k, const float *a,
                     const void *packed, float *c)
{
    const struct cb_gemm gemm = { .m = r->classes,
                                  .n = n,
                                  .k = k,
                                  .a = a,
                                  .lda = k,
                                  .packed = packed,
                                  .c = c,
                                  .ldc = n,
                                  .post = { .lo = -INFINITY, .hi = INFINITY } };
    cb_gemm_run(&r->engine->kernels, threads_for(r), &gemm);
}

/* Cross-entropy of the logits; with `gradient` they become the gradient. */
static double entropy(struct cb_regression *r, const float *weight, bool gradient)
{
    const struct cb_cross_entropy c = {
        .n = r->n,
        .classes = r->classes,
        .row_stride = 1,
        .class_stride = r->n,
        .logits = r->logits,
        .labels = r->labels,
        .weight = weight,
        .gradient = gradient ? r->logits : NULL,
    };
    return cb_cross_entropy(&c, threads_for(r));
}

double cb_regression_loss(struct cb_regression *r, const float *parameters, float *gradient)
{
    double loss, square = 0;
    multiply(r, r->n, r->inputs, parameters, r->by_input, r->logits);
    loss = entropy(r, r->weight, true);
    multiply(r, r->inputs, r->n, r->logits, r->by_row, gradient);
    for (size_t c = 0; c < r->classes; c++)
        for (size_t i = c * r->inputs; i + 1 < (c + 1) * r->inputs; i++) {
            square += (double)parameters[i] * (double)parameters[i];
            gradient[i] = (float)((double)gradient[i] + r->l2 * (double)parameters[i]);
        }
    return loss + r->l2 / 2 * square;
}

double cb_regression_judge(struct cb_regression *r, const float *parameters, const float *weight,
                           int *correct)
{
    int right = 0;
    multiply(r, r->n, r->inputs, parameters, r->by_input, r->logits);
    for (size_t i = 0; correct && i < r->n; i++) {
        size_t best = 0;
        for (size_t c = 1; c < r->classes; c++)
            best = r->logits[c * r->n + i] > r->logits[best * r->n + i] ? c : best;
        right += weight[i] > 0 && best == (size_t)r->labels[i];
    }
    if (correct)
        *correct = right;
    return entropy(r, weight, false);
}

static double loss_of(void *ctx, const float *parameters, float *gradient)
{
    return cb_regression_loss(ctx, parameters, gradient);
}

static bool after_step(void *ctx, int step, double loss, const float *parameters)
{
    struct cb_regression *r = ctx;
    return !r->on_step ||
           r->on_step(r->ctx, &(struct cb_regression_step){ step, loss, parameters });
}

struct cb_status cb_regression_fit(struct cb_regression *r, float *parameters)
{
    struct cb_lbfgs_result result;
    const struct cb_lbfgs problem = {
        .n = size_of(r),
        .loss = loss_of,
        .on_step = after_step,
        .ctx = r,
        .max_steps = r->max_steps,
        .tolerance = 1e-4,
    };
    CB_TRY(cb_lbfgs_run(&problem, r->scratch, parameters, &result));
    return result.stopped ? cb_fail(CB_ERR_CANCELLED, "training was cancelled") : cb_ok();
}

/* One fold: parameters[folds][size] keep where each fold's last fit ended. */
struct fold {
    float *teach, *judge; /* [n] weights */
    float *parameters;
};

static struct cb_status prepare_fold(struct cb_regression *r, const float *weight, const int *fold,
                                     int which, struct fold *out)
{
    CB_TRY(cb_arena_get(r->scratch, r->n, sizeof(float), "fold", &out->teach));
    CB_TRY(cb_arena_get(r->scratch, r->n, sizeof(float), "fold", &out->judge));
    CB_TRY(cb_arena_get(r->scratch, size_of(r), sizeof(float), "fold", &out->parameters));
    for (size_t i = 0; i < r->n; i++) {
        out->teach[i] = fold[i] == which ? 0 : weight[i];
        out->judge[i] = fold[i] == which && (!r->judges || r->judges[i]) ? weight[i] : 0;
    }
    return cb_ok();
}

/* The mean cross-entropy of all folds at r->l2. */
static struct cb_status cross_validate(struct cb_regression *r, struct fold *fold, int folds,
                                       double *loss)
{
    *loss = 0;
    for (int k = 0; k < folds; k++) {
        r->weight = fold[k].teach;
        CB_TRY(cb_regression_fit(r, fold[k].parameters));
        *loss += cb_regression_judge(r, fold[k].parameters, fold[k].judge, NULL) / folds;
    }
    return cb_ok();
}

/* Walks down the grid until it has been worse than the best twice in a row. */
static struct cb_status search_grid(struct cb_regression *r, struct fold *fold, int folds,
                                    double *l2)
{
    double best = INFINITY, loss;
    int worse = 0;
    for (size_t i = 0; i < CB_COUNT_OF(grid) && worse < 2; i++) {
        r->l2 = grid[i];
        CB_TRY(cross_validate(r, fold, folds, &loss));
        worse = loss < best ? 0 : worse + 1;
        if (loss < best) {
            best = loss;
            *l2 = grid[i];
        }
    }
    return cb_ok();
}

struct cb_status cb_regression_choose_l2(struct cb_regression *r, const int *fold, int folds,
                                         double *l2)
{
    const size_t mark = r->scratch->used;
    const float *weight = r->weight;
    const double kept = r->l2;
    struct fold *prepared;
    struct cb_status st;
    CB_TRY(cb_arena_get(r->scratch, (size_t)folds, sizeof *prepared, "folds", &prepared));
    for (int k = 0; k < folds; k++)
        CB_TRY(prepare_fold(r, weight, fold, k, &prepared[k]));
    st = search_grid(r, prepared, folds, l2);
    r->weight = weight;
    r->l2 = kept;
    cb_arena_rewind(r->scratch, mark);
    return st;
}
