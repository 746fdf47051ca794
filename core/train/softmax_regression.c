#include "core/train/softmax_regression.h"

#include <math.h>
#include <string.h>

#include "core/train/cross_entropy.h"
#include "core/train/lbfgs.h"

/* Strong to weak: each fit starts where the last one ended. */
static const double grid[] = { 10, 3, 1, 0.3, 0.1, 0.03, 0.01, 1e-3, 1e-4 };

size_t cb_regression_size(const struct cb_regression *r)
{
    return (r->inputs + 1) * r->classes;
}

static struct cb_status forward(struct cb_regression *r, const float *parameters)
{
    const float *b = parameters + r->inputs * r->classes;
    return cb_product_forward(&r->products, r->n, r->inputs, r->classes, r->x, parameters, b, -INFINITY, r->logits);
}

static struct cb_status evaluate(struct cb_regression *r, const float *parameters, float *gradient, double *loss)
{
    const size_t weights = r->inputs * r->classes;
    double square = 0;
    CB_TRY(forward(r, parameters));
    *loss = cb_cross_entropy(&(struct cb_cross_entropy){ r->n, r->classes, r->logits, r->labels, r->weight, r->logits },
                             r->products.engine->threads);
    CB_TRY(cb_product_to_weight(&r->products, r->n, r->inputs, r->classes, r->logits, r->x, r->packed, gradient));
    cb_product_to_bias(r->n, r->classes, r->logits, gradient + weights);
    for (size_t i = 0; i < weights; i++) {
        square += (double)parameters[i] * (double)parameters[i];
        gradient[i] = (float)((double)gradient[i] + r->l2 * (double)parameters[i]);
    }
    *loss += r->l2 / 2 * square;
    return cb_ok();
}

double cb_regression_loss(struct cb_regression *r, const float *parameters, float *gradient)
{
    double loss = NAN;
    if (r->st.code == CB_OK)
        r->st = evaluate(r, parameters, gradient, &loss);
    return r->st.code ? NAN : loss;
}

double cb_regression_judge(struct cb_regression *r, const float *parameters, const float *weight, int *correct)
{
    int right = 0;
    if (r->st.code || (r->st = forward(r, parameters)).code)
        return NAN;
    for (size_t i = 0; i < r->n; i++) {
        const float *row = r->logits + i * r->classes;
        size_t best = 0;
        for (size_t k = 1; k < r->classes; k++)
            best = row[k] > row[best] ? k : best;
        right += weight[i] > 0 && best == (size_t)r->labels[i];
    }
    if (correct)
        *correct = right;
    return cb_cross_entropy(&(struct cb_cross_entropy){ r->n, r->classes, r->logits, r->labels, weight, NULL },
                            r->products.engine->threads);
}

static double loss_of(void *ctx, const float *parameters, float *gradient)
{
    return cb_regression_loss(ctx, parameters, gradient);
}

static bool after_step(void *ctx, int step, double loss, const float *parameters)
{
    struct cb_regression *r = ctx;
    return !r->on_step || r->on_step(r->ctx, &(struct cb_regression_step){ step, loss, parameters });
}

struct cb_status cb_regression_fit(struct cb_regression *r, float *parameters)
{
    struct cb_lbfgs_result result;
    const struct cb_lbfgs problem = {
        .n = cb_regression_size(r), .loss = loss_of, .on_step = after_step, .ctx = r, .max_steps = r->max_steps,
        .tolerance = 1e-4,
    };
    CB_TRY(cb_lbfgs_run(&problem, r->products.scratch, parameters, &result));
    CB_TRY(r->st);
    return result.stopped ? cb_fail(CB_ERR_CANCELLED, "training was cancelled") : cb_ok();
}

/* One fold: parameters[folds][size] keep where each fold's last fit ended. */
struct fold {
    float *teach, *judge; /* [n] weights */
    float *parameters;
};

static struct cb_status prepare_fold(struct cb_regression *r, const float *weight, const int *fold, int which,
                                     struct fold *out)
{
    CB_TRY(cb_arena_get(r->products.scratch, r->n, sizeof(float), "fold", &out->teach));
    CB_TRY(cb_arena_get(r->products.scratch, r->n, sizeof(float), "fold", &out->judge));
    CB_TRY(cb_arena_get(r->products.scratch, cb_regression_size(r), sizeof(float), "fold", &out->parameters));
    for (size_t i = 0; i < r->n; i++) {
        out->teach[i] = fold[i] == which ? 0 : weight[i];
        out->judge[i] = fold[i] == which ? weight[i] : 0;
    }
    return cb_ok();
}

/* The mean cross-entropy of all folds at r->l2. */
static struct cb_status cross_validate(struct cb_regression *r, struct fold *fold, int folds, double *loss)
{
    *loss = 0;
    for (int k = 0; k < folds; k++) {
        r->weight = fold[k].teach;
        CB_TRY(cb_regression_fit(r, fold[k].parameters));
        *loss += cb_regression_judge(r, fold[k].parameters, fold[k].judge, NULL) / folds;
    }
    return r->st;
}

/* Walks down the grid until it has been worse than the best twice in a row. */
static struct cb_status search_grid(struct cb_regression *r, struct fold *fold, int folds, double *l2)
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

struct cb_status cb_regression_choose_l2(struct cb_regression *r, const int *fold, int folds, double *l2)
{
    const size_t mark = r->products.scratch->used;
    const float *weight = r->weight;
    const double kept = r->l2;
    struct fold *prepared;
    struct cb_status st;
    CB_TRY(cb_arena_get(r->products.scratch, (size_t)folds, sizeof *prepared, "folds", &prepared));
    for (int k = 0; k < folds; k++)
        CB_TRY(prepare_fold(r, weight, fold, k, &prepared[k]));
    st = search_grid(r, prepared, folds, l2);
    r->weight = weight;
    r->l2 = kept;
    cb_arena_rewind(r->products.scratch, mark);
    return st;
}
