#include "core/train/resampling.h"

#include <math.h>
#include <string.h>

#include "core/base/rng.h"
#include "core/model/softmax.h"
#include "core/train/split.h"

#define SCRATCH_BUDGET ((size_t)8 << 30) /* address space: a copy of the features, and a head */

/* Features of an example and its views, which follow it. */
static size_t example_size(const struct cb_head_job *job)
{
    return (size_t)job->inputs * (size_t)(job->views > 1 ? job->views : 1);
}

/* The job on the examples whose `takes` is true, copied into scratch with their views. */
static struct cb_status take_part(const struct cb_head_job *job, const bool *takes,
                                  struct cb_arena *scratch, struct cb_head_job *part)
{
    const size_t size = example_size(job);
    float *features;
    int *labels, n = 0;
    for (int i = 0; i < job->n; i++)
        n += takes[i];
    CB_TRY(cb_arena_get(scratch, (size_t)n * size, sizeof *features, "features", &features));
    CB_TRY(cb_arena_get(scratch, (size_t)n, sizeof *labels, "labels", &labels));
    *part = *job;
    part->features = features;
    part->labels = labels;
    part->n = 0;
    part->on_epoch = NULL;
    for (int i = 0; i < job->n; i++)
        if (takes[i]) {
            memcpy(features + (size_t)part->n * size, job->features + (size_t)i * size,
                   size * sizeof *features);
            labels[part->n++] = job->labels[i];
        }
    return cb_ok();
}

static void tell(const struct cb_resampling *r, int done, int total)
{
    if (r->on_step)
        r->on_step(r->ctx, done, total);
}

/* --- cross-validation --- */

/* What cb_head_train wants must be left when a fold is out. */
static struct cb_status check_folds(const struct cb_head_job *job, int folds,
                                    struct cb_arena *scratch)
{
    int *count;
    if (folds < 2 || folds > CB_MOST_FOLDS)
        return cb_fail(CB_ERR_INPUT, "folds is a number from 2 to %d, not %d", CB_MOST_FOLDS,
                       folds);
    CB_TRY(cb_arena_get(scratch, (size_t)job->classes, sizeof *count, "class counts", &count));
    for (int i = 0; i < job->n; i++)
        count[job->labels[i]]++;
    for (int c = 0; c < job->classes; c++)
        if (count[c] - (count[c] + folds - 1) / folds < 2)
            return cb_fail(CB_ERR_CONTENT,
                           "class %d has %d examples: %d-fold cross-validation wants 2 of each "
                           "class outside every fold",
                           c, count[c], folds);
    return cb_ok();
}

static struct cb_status run_fold(const struct cb_head_job *job, const int *fold, int which,
                                 struct cb_arena *scratch, float *probabilities)
{
    const size_t size = example_size(job), classes = (size_t)job->classes;
    struct cb_head_judgement judgement;
    struct cb_head_job part;
    struct cb_head head;
    bool *takes;
    CB_TRY(cb_arena_get(scratch, (size_t)job->n, sizeof *takes, "fold", &takes));
    for (int i = 0; i < job->n; i++)
        takes[i] = fold[i] != which;
    CB_TRY(take_part(job, takes, scratch, &part));
    CB_TRY(cb_head_train(&part, scratch, &head, &judgement));
    for (size_t i = 0; i < (size_t)job->n; i++)
        if (!takes[i]) {
            float *row = probabilities + i * classes;
            cb_head_run(&head, 1, job->features + i * size, row);
            cb_softmax_rows(1, classes, row, row);
        }
    return cb_ok();
}

static struct cb_status run_folds(const struct cb_resampling *r, int folds,
                                  struct cb_arena *scratch, float *probabilities)
{
    const struct cb_head_job *job = r->job;
    bool *none;
    int *fold;
    CB_TRY(check_folds(job, folds, scratch));
    CB_TRY(cb_arena_get(scratch, (size_t)job->n, sizeof *none, "folds", &none));
    CB_TRY(cb_split_folds(scratch, job->labels, job->n, job->classes, none, folds,
                          job->config->seed + 2, &fold));
    const size_t mark = scratch->used;
    for (int k = 0; k < folds; k++) {
        CB_TRY(cb_context(run_fold(job, fold, k, scratch, probabilities), "fold %d", k + 1));
        cb_arena_rewind(scratch, mark);
        tell(r, k + 1, folds);
    }
    return cb_ok();
}

struct cb_status cb_cross_validate(const struct cb_resampling *resampling, int folds,
                                   struct cb_arena *arena, struct cb_evaluation *out)
{
    const struct cb_head_job *job = resampling->job;
    struct cb_arena scratch;
    float *probabilities;
    CB_TRY(cb_arena_get(arena, (size_t)job->n * (size_t)job->classes, sizeof *probabilities,
                        "probabilities", &probabilities));
    CB_TRY(cb_arena_init(&scratch, SCRATCH_BUDGET));
    const struct cb_status st = run_folds(resampling, folds, &scratch, probabilities);
    cb_arena_deinit(&scratch);
    CB_TRY(st);
    return cb_evaluate(arena, probabilities, job->labels, job->n, job->classes, out);
}

/* --- learning curve --- */

/* One seed's split: who is held out, and in which order the others come. */
struct draw {
    bool *held_out, *takes;
    size_t *order;
    int *taken; /* [classes] */
    int n_held_out;
};

static struct cb_status open_draw(const struct cb_head_job *job, uint64_t seed,
                                  struct cb_arena *scratch, struct draw *draw)
{
    const size_t n = (size_t)job->n;
    struct cb_rng rng = cb_rng_seed(seed ^ 0x6375727665ULL); /* not the split's own numbers */
    *draw = (struct draw){ 0 };
    CB_TRY(cb_split_held_out(scratch, job->labels, job->n, job->classes, job->config->held_out,
                             seed, &draw->held_out));
    CB_TRY(cb_arena_get(scratch, n, sizeof *draw->order, "order", &draw->order));
    CB_TRY(cb_arena_get(scratch, n, sizeof *draw->takes, "part", &draw->takes));
    CB_TRY(cb_arena_get(scratch, (size_t)job->classes, sizeof *draw->taken, "part", &draw->taken));
    for (size_t i = 0; i < n; i++) {
        draw->order[i] = i;
        draw->n_held_out += draw->held_out[i];
    }
    cb_rng_shuffle(&rng, n, draw->order);
    return cb_ok();
}

/* The first `each` of every class in the draw's order: a larger part contains the smaller ones. */
static void pick(const struct cb_head_job *job, struct draw *draw, int each)
{
    memset(draw->taken, 0, (size_t)job->classes * sizeof *draw->taken);
    for (size_t k = 0; k < (size_t)job->n; k++) {
        const size_t i = draw->order[k];
        const int label = job->labels[i];
        draw->takes[i] = !draw->held_out[i] && draw->taken[label] < each;
        draw->taken[label] += draw->takes[i];
    }
}

static struct cb_status run_point(const struct cb_head_job *job, const struct draw *draw,
                                  struct cb_arena *scratch, int *n, double *accuracy)
{
    const size_t size = example_size(job);
    struct cb_head_job part;
    struct cb_head head;
    float *logits;
    int right = 0;
    CB_TRY(take_part(job, draw->takes, scratch, &part));
    CB_TRY(cb_head_train(&part, scratch, &head, NULL));
    CB_TRY(cb_arena_get(scratch, (size_t)job->classes, sizeof *logits, "logits", &logits));
    for (int i = 0; i < job->n; i++)
        if (draw->held_out[i]) {
            cb_head_run(&head, 1, job->features + (size_t)i * size, logits);
            right += cb_best_class(logits, job->classes) == job->labels[i];
        }
    *n = part.n;
    *accuracy = (double)right / draw->n_held_out;
    return cb_ok();
}

/* 1, 2, 5, 10, .. up to four fifths of the largest class's part that teaches, and all of it. Splits
 * of every seed are of the same sizes. */
static void lay_points(const struct cb_head_job *job, struct draw *draw, struct cb_curve *curve)
{
    static const int factor[] = { 1, 2, 5 };
    int largest = 0, power = 1;
    pick(job, draw, job->n);
    for (int c = 0; c < job->classes; c++)
        largest = draw->taken[c] > largest ? draw->taken[c] : largest;
    for (int k = 0; factor[k % 3] * power <= largest * 4 / 5 && curve->n + 1 < CB_CURVE_MOST; k++) {
        if (factor[k % 3] * power > 1 || !job->config->hidden)
            curve->point[curve->n++].per_class = factor[k % 3] * power;
        power *= k % 3 == 2 ? 10 : 1;
    }
    curve->point[curve->n++].per_class = largest;
}

static struct cb_status run_seed(const struct cb_resampling *r, int seed, struct cb_arena *scratch,
                                 struct cb_curve *curve)
{
    struct cb_head_config config = *r->job->config;
    struct cb_head_job job = *r->job;
    struct draw draw;
    double accuracy;
    config.seed += (uint64_t)seed;
    job.config = &config;
    CB_TRY(open_draw(&job, config.seed, scratch, &draw));
    if (seed == 0)
        lay_points(&job, &draw, curve);
    const size_t mark = scratch->used;
    for (int k = 0; k < curve->n; k++) {
        struct cb_curve_point *p = &curve->point[k];
        pick(&job, &draw, p->per_class);
        CB_TRY(run_point(&job, &draw, scratch, &p->n, &accuracy));
        cb_arena_rewind(scratch, mark);
        p->accuracy += accuracy / curve->seeds;
        p->least = seed ? fmin(p->least, accuracy) : accuracy;
        p->most = seed ? fmax(p->most, accuracy) : accuracy;
        const int right = (int)lround(p->accuracy * draw.n_held_out);
        p->interval = cb_wilson(right, draw.n_held_out); /* of the mean, once the last seed is in */
        tell(r, seed * curve->n + k + 1, curve->seeds * curve->n);
    }
    return cb_ok();
}

static struct cb_status check_curve(const struct cb_head_job *job, int seeds,
                                    struct cb_arena *scratch)
{
    int *count;
    if (seeds < 1)
        return cb_fail(CB_ERR_INPUT, "a learning curve wants at least 1 seed, not %d", seeds);
    CB_TRY(cb_arena_get(scratch, (size_t)job->classes, sizeof *count, "class counts", &count));
    for (int i = 0; i < job->n; i++)
        count[job->labels[i]]++;
    for (int c = 0; c < job->classes; c++)
        if (count[c] < 2)
            return cb_fail(CB_ERR_CONTENT, "class %d wants at least 2 examples, has %d", c,
                           count[c]);
    return cb_ok();
}

struct cb_status cb_learning_curve(const struct cb_resampling *resampling, int seeds,
                                   struct cb_curve *out)
{
    struct cb_curve curve = { .seeds = seeds };
    struct cb_arena scratch;
    CB_TRY(cb_arena_init(&scratch, SCRATCH_BUDGET));
    struct cb_status st = check_curve(resampling->job, seeds, &scratch);
    for (int seed = 0; seed < seeds && st.code == CB_OK; seed++) {
        cb_arena_rewind(&scratch, 0);
        st = run_seed(resampling, seed, &scratch, &curve);
    }
    cb_arena_deinit(&scratch);
    if (st.code == CB_OK)
        *out = curve;
    return st;
}
