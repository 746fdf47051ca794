#include "core/model/calibration.h"

#include <math.h>
#include <string.h>

#define BUDGET ((size_t)4 << 30) /* address space: histograms, means of all channels */

enum { BINS = 2048, STEPS = 255, SAMPLES = 8192, SAMPLES_A_RUN = 128 };

static const double percentile = 1e-4; /* left out at each end */

/* Numbers that one value took. Zeros are no part of the histogram: a byte stands for them exactly.
 */
struct observed {
    float lo, hi;
    uint64_t count, *bins; /* [BINS] from lo to hi */
    float *peaks;          /* [channels] */
    const float *factors;  /* [channels]; NULL: 1 */
    double *means;         /* [channels] sums of each run's means */
    size_t channels;
    float *samples; /* [SAMPLES] some of the numbers: what rounding really does to them */
    size_t n_samples;
};

struct cb_calibration {
    struct cb_arena arena;
    struct cb_plan *plan;
    struct cb_session *session;
    struct observed *observed;
    int n, runs; /* runs: of the first time */
};

static const char *const names[] = { "mse", "percentile", "middle", "extremes" };

enum cb_calibration_method cb_calibration_method_find(const char *name)
{
    int i = 0;
    while (i < CB_CALIBRATION_METHODS && strcmp(names[i], name) != 0)
        i++;
    return (enum cb_calibration_method)i;
}

static struct cb_status make_means(struct cb_calibration *c, int i)
{
    const struct cb_tensor *t = cb_session_output(c->session, i);
    struct observed *o = &c->observed[i];
    if (t->shape.rank < 2)
        return cb_ok();
    o->channels = (size_t)t->shape.dim[1];
    CB_TRY(cb_arena_get(&c->arena, o->channels, sizeof *o->peaks, "peaks", &o->peaks));
    return cb_arena_get(&c->arena, o->channels, sizeof *o->means, "means", &o->means);
}

const char *cb_calibration_method_name(enum cb_calibration_method method)
{
    return names[method];
}

struct cb_status cb_calibration_create(const struct cb_engine *engine,
                                       const struct cb_calibration_options *options,
                                       struct cb_calibration **out)
{
    const struct cb_plan_options plan = { .inputs = options->inputs,
                                          .outputs = options->values,
                                          .n_outputs = options->n_values,
                                          .nhwc_input = options->nhwc_input };
    const size_t n = (size_t)options->n_values;
    struct cb_calibration *c;
    CB_TRY(cb_arena_begin(BUDGET, sizeof *c, &c));
    c->observed = cb_arena_alloc(&c->arena, n, sizeof *c->observed);
    c->n = options->n_values;
    struct cb_status st = cb_plan_create(engine, options->graph, options->weights, &plan, &c->plan);
    if (!st.code)
        st = cb_session_create(c->plan, &c->session);
    for (int i = 0; i < c->n && !st.code; i++)
        st = make_means(c, i);
    if (st.code)
        cb_calibration_destroy(c);
    else
        *out = c;
    return st;
}

void cb_calibration_destroy(struct cb_calibration *calibration)
{
    if (!calibration)
        return;
    cb_session_destroy(calibration->session);
    cb_plan_destroy(calibration->plan);
    cb_arena_deinit(&calibration->arena);
}

struct cb_tensor *cb_calibration_input(struct cb_calibration *calibration, int i)
{
    return cb_session_input(calibration->session, i);
}

static void see_extremes(struct observed *o, const float *x, size_t n)
{
    float lo = o->lo, hi = o->hi; /* 0 is always within */
    for (size_t i = 0; i < n; i++) {
        lo = x[i] < lo ? x[i] : lo;
        hi = x[i] > hi ? x[i] : hi;
    }
    o->lo = isfinite(lo) ? lo : o->lo;
    o->hi = isfinite(hi) ? hi : o->hi;
}

static void see_means(struct observed *o, const struct cb_tensor *t)
{
    const size_t area = cb_shape_span(&t->shape, 2, t->shape.rank), n = (size_t)t->shape.dim[0];
    const float *x = t->f;
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < o->channels; c++, x += area) {
            double sum = 0;
            for (size_t k = 0; k < area; k++) {
                sum += (double)x[k];
                o->peaks[c] = fabsf(x[k]) > o->peaks[c] ? fabsf(x[k]) : o->peaks[c];
            }
            o->means[c] += sum / ((double)area * (double)n);
        }
}

static void see_samples(struct observed *o, const float *x, size_t n)
{
    const size_t step = n / SAMPLES_A_RUN + 1;
    for (size_t i = o->n_samples % step; i < n && o->n_samples < SAMPLES; i += step)
        if (x[i] < 0 || x[i] > 0)
            o->samples[o->n_samples++] = x[i];
}

static void see_numbers(struct observed *o, const float *x, size_t n)
{
    see_samples(o, x, n);
    const float scale = o->hi > o->lo ? BINS / (o->hi - o->lo) : 0;
    for (size_t i = 0; i < n; i++) {
        const float at = (x[i] - o->lo) * scale;
        if (!(at >= 0) || (x[i] >= 0 && x[i] <= 0)) /* NaN and zeros */
            continue;
        o->bins[at < BINS - 1 ? (size_t)at : BINS - 1]++;
        o->count++;
    }
}

/* The numbers as they will be once channels are divided by their factors. */
static void divide(const struct observed *o, const struct cb_tensor *t)
{
    const size_t area = cb_shape_span(&t->shape, 2, t->shape.rank);
    float *x = t->f;
    for (size_t i = 0; i < (size_t)t->shape.dim[0]; i++)
        for (size_t c = 0; c < o->channels; c++, x += area)
            for (size_t k = 0; k < area; k++)
                x[k] /= o->factors[c];
}

void cb_calibration_run(struct cb_calibration *calibration)
{
    cb_session_run(calibration->session);
    for (int i = 0; i < calibration->n; i++) {
        struct observed *o = &calibration->observed[i];
        const struct cb_tensor *t = cb_session_output(calibration->session, i);
        if (o->factors)
            divide(o, t);
        if (o->bins)
            see_numbers(o, t->f, cb_tensor_count(t));
        else
            see_extremes(o, t->f, cb_tensor_count(t));
        if (!o->bins && o->means)
            see_means(o, t);
        calibration->runs += !o->bins && i == 0;
    }
}

/* Extremes are at most as wide as the channels' peaks after division; one-sided ones stay so. */
static void divide_summary(struct observed *o, const float *factors)
{
    float most = 0;
    for (size_t c = 0; c < o->channels; c++) {
        most = o->peaks[c] / factors[c] > most ? o->peaks[c] / factors[c] : most;
        o->means[c] /= (double)factors[c];
    }
    o->factors = factors;
    o->lo = o->lo < 0 ? -most : 0;
    o->hi = o->hi > 0 ? most : 0;
}

struct cb_status cb_calibration_second(struct cb_calibration *calibration,
                                       const float *const *factors)
{
    for (int i = 0; i < calibration->n; i++) {
        struct observed *o = &calibration->observed[i];
        for (size_t c = 0; c < o->channels; c++)
            o->means[c] /= calibration->runs ? calibration->runs : 1;
        if (factors && factors[i] && o->channels)
            divide_summary(o, factors[i]);
        CB_TRY(cb_arena_get(&calibration->arena, BINS, sizeof(uint64_t), "histograms", &o->bins));
        CB_TRY(cb_arena_get(&calibration->arena, SAMPLES, sizeof(float), "samples", &o->samples));
    }
    return cb_ok();
}

static double middle_of(const struct observed *o, size_t bin)
{
    return (double)o->lo + ((double)bin + 0.5) * ((double)o->hi - (double)o->lo) / BINS;
}

/* The mean squared error that rounding to 256 steps of lo .. hi brings to the samples within.
 * Pixels lie on a grid of their own: for them it may be far from a twelfth of a step squared. */
static double rounding_error(const struct observed *o, float lo, float hi)
{
    const float step = (hi - lo) / STEPS, zero = rintf(-lo / step);
    const float first = (0 - zero) * step, last = (STEPS - zero) * step;
    double sum = 0;
    size_t n = 0;
    for (size_t i = 0; i < o->n_samples; i++) {
        const float x = o->samples[i], e = rintf(x / step) * step - x;
        const bool within = x >= first && x <= last;
        sum += within ? (double)(e * e) : 0;
        n += within;
    }
    return n ? sum / (double)n : (double)(step * step) / 12;
}

/* The mean squared error of 256 steps of lo .. hi. */
static double error_of(const struct observed *o, double lo, double hi)
{
    const double rounding = rounding_error(o, (float)lo, (float)hi);
    double sum = 0;
    for (size_t b = 0; b < BINS; b++) {
        const double v = middle_of(o, b), out = v < lo ? lo - v : v > hi ? v - hi : 0;
        sum += (double)o->bins[b] * (out > 0 ? out * out : rounding);
    }
    return sum;
}

/* The best of 68 ranges, one end at a time: up to a thirtieth wider than the extremes, or shorter.
 */
static void least_error(const struct observed *o, float *lo, float *hi)
{
    double best_lo = (double)o->lo, best_hi = (double)o->hi, best = error_of(o, best_lo, best_hi);
    for (int end = 0; end < 2; end++)
        for (int i = -4; i < 64; i++) {
            const double part = i < 0 ? 1 - i / 128.0 : 1 - i / 64.0;
            const double from = end ? (double)o->lo * part : best_lo;
            const double to = end ? best_hi : (double)o->hi * part;
            const double error = to > from ? error_of(o, from, to) : INFINITY;
            if (error < best) {
                best = error;
                best_lo = end ? from : best_lo;
                best_hi = end ? best_hi : to;
            }
        }
    *lo = (float)best_lo;
    *hi = (float)best_hi;
}

static void leave_out(const struct observed *o, float *lo, float *hi)
{
    const double most = (double)o->count * percentile;
    double sum = 0;
    size_t first = 0, last = BINS - 1;
    for (; first < BINS - 1 && sum + (double)o->bins[first] <= most; first++)
        sum += (double)o->bins[first];
    for (sum = 0; last > first && sum + (double)o->bins[last] <= most; last--)
        sum += (double)o->bins[last];
    *lo = o->lo < 0 ? (float)fmin(middle_of(o, first), 0) : 0;
    *hi = o->hi > 0 ? (float)fmax(middle_of(o, last), 0) : 0;
}

void cb_calibration_range(const struct cb_calibration *calibration, int i,
                          enum cb_calibration_method method, float *lo, float *hi)
{
    const struct observed *o = &calibration->observed[i];
    *lo = o->lo;
    *hi = o->hi;
    if (!o->bins || o->count == 0 || method == CB_CALIBRATION_EXTREMES)
        return;
    if (method == CB_CALIBRATION_PERCENTILE)
        leave_out(o, lo, hi);
    else
        least_error(o, lo, hi);
    if (method == CB_CALIBRATION_MIDDLE) {
        *lo = (*lo + o->lo) / 2;
        *hi = (*hi + o->hi) / 2;
    }
}

const float *cb_calibration_peaks(const struct cb_calibration *calibration, int i, size_t *n)
{
    *n = calibration->observed[i].channels;
    return calibration->observed[i].peaks;
}

const double *cb_calibration_means(const struct cb_calibration *calibration, int i, size_t *n)
{
    *n = calibration->observed[i].channels;
    return calibration->observed[i].means;
}
