#include "core/ops/reduce/reduce_rows.h"

#include <math.h>

/* clang-format off */
/* id, acc with one more element v (s: the shift), two parts of a row put together */
#define REDUCTIONS(R)                                                          \
    R(sum, acc + v, acc + part)                                                \
    R(max, v > acc || v != v ? v : acc, part > acc || part != part ? part : acc) \
    R(min, v < acc || v != v ? v : acc, part < acc || part != part ? part : acc) \
    R(prod, acc *v, acc *part)                                                 \
    R(l1, acc + fabs(v), acc + part)                                           \
    R(sum_square, acc + v * v, acc + part)                                     \
    R(exp_sum, acc + exp(v - s), acc + part)
/* clang-format on */

#define LANES 8 /* partial results of a row: they do not wait for each other */

#define REDUCTION_ROWS(id, step, join)                                                             \
    static void id##_columns(size_t n, const float *x, const double *shift, double *to)            \
    {                                                                                              \
        (void)shift;                                                                               \
        for (size_t j = 0; j < n; j++) {                                                           \
            const double v = (double)x[j], acc = to[j], s = shift[j];                              \
            (void)s;                                                                               \
            to[j] = step;                                                                          \
        }                                                                                          \
    }                                                                                              \
    static void id##_row(size_t n, const float *x, const double *shift, double *to)                \
    {                                                                                              \
        double lane[LANES], acc = *to;                                                             \
        const double s = *shift;                                                                   \
        size_t i = 0;                                                                              \
        (void)s;                                                                                   \
        for (; i + LANES <= n; i += LANES)                                                         \
            for (size_t j = 0; j < LANES; j++) {                                                   \
                const double v = (double)x[i + j];                                                 \
                acc = i ? lane[j] : id##_start;                                                    \
                lane[j] = step;                                                                    \
            }                                                                                      \
        acc = *to;                                                                                 \
        for (size_t j = 0; i && j < LANES; j++) {                                                  \
            const double part = lane[j];                                                           \
            acc = join;                                                                            \
        }                                                                                          \
        for (; i < n; i++) {                                                                       \
            const double v = (double)x[i];                                                         \
            acc = step;                                                                            \
        }                                                                                          \
        *to = acc;                                                                                 \
    }

static const double sum_start = 0, l1_start = 0, sum_square_start = 0, exp_sum_start = 0,
                    prod_start = 1, max_start = (double)-INFINITY, min_start = (double)INFINITY;

REDUCTIONS(REDUCTION_ROWS)

static double finish_same(double acc, double shift, double n)
{
    (void)shift, (void)n;
    return acc;
}

static double finish_mean(double acc, double shift, double n)
{
    (void)shift;
    return acc / n;
}

static double finish_root(double acc, double shift, double n)
{
    (void)shift, (void)n;
    return sqrt(acc);
}

static double finish_log(double acc, double shift, double n)
{
    (void)n;
    return shift + log(acc);
}

static float slope_sum(float x, float y, double n, const struct cb_reduce_state *state)
{
    (void)x, (void)y, (void)n, (void)state;
    return 1.0f;
}

static float slope_mean(float x, float y, double n, const struct cb_reduce_state *state)
{
    (void)x, (void)y, (void)state;
    return (float)(1.0 / n);
}

/* Elements that share the extreme share the gradient. */
static float slope_extreme(float x, float y, double n, const struct cb_reduce_state *state)
{
    (void)n;
    return x == y ? (float)(1.0 / state->count) : 0.0f;
}

static void prepare_extreme(float x, float y, struct cb_reduce_state *state)
{
    state->count += x == y;
}

/* The product of all others: y / x, unless there are zeros. */
static float slope_prod(float x, float y, double n, const struct cb_reduce_state *state)
{
    (void)y, (void)n;
    if (state->count == 0)
        return (float)(state->product / (double)x);
    return state->count == 1 && x == 0 ? (float)state->product : 0.0f;
}

static void prepare_prod(float x, float y, struct cb_reduce_state *state)
{
    (void)y;
    if (x == 0)
        state->count++;
    else
        state->product *= (double)x;
}

static float slope_l1(float x, float y, double n, const struct cb_reduce_state *state)
{
    (void)y, (void)n, (void)state;
    return (float)((x > 0) - (x < 0));
}

static float slope_l2(float x, float y, double n, const struct cb_reduce_state *state)
{
    (void)n, (void)state;
    return y == 0 ? 0.0f : x / y;
}

static float slope_log_sum(float x, float y, double n, const struct cb_reduce_state *state)
{
    (void)x, (void)n, (void)state;
    return expf(-y);
}

static float slope_log_sum_exp(float x, float y, double n, const struct cb_reduce_state *state)
{
    (void)n, (void)state;
    return expf(x - y);
}

static float slope_sum_square(float x, float y, double n, const struct cb_reduce_state *state)
{
    (void)y, (void)n, (void)state;
    return 2.0f * x;
}

static int64_t whole_sum(int64_t acc, int64_t x, bool is_unsigned)
{
    (void)is_unsigned;
    return (int64_t)((uint64_t)acc + (uint64_t)x);
}

static int64_t whole_max(int64_t acc, int64_t x, bool is_unsigned)
{
    return (is_unsigned ? (uint64_t)x > (uint64_t)acc : x > acc) ? x : acc;
}

static int64_t whole_min(int64_t acc, int64_t x, bool is_unsigned)
{
    return (is_unsigned ? (uint64_t)x < (uint64_t)acc : x < acc) ? x : acc;
}

static int64_t whole_prod(int64_t acc, int64_t x, bool is_unsigned)
{
    (void)is_unsigned;
    return (int64_t)((uint64_t)acc * (uint64_t)x);
}

static int64_t whole_l1(int64_t acc, int64_t x, bool is_unsigned)
{
    return (int64_t)((uint64_t)acc + (x < 0 && !is_unsigned ? 0 - (uint64_t)x : (uint64_t)x));
}

static int64_t whole_sum_square(int64_t acc, int64_t x, bool is_unsigned)
{
    (void)is_unsigned;
    return (int64_t)((uint64_t)acc + (uint64_t)x * (uint64_t)x);
}

#define ROWS(id) .columns = id##_columns, .row = id##_row

static const struct cb_reduce_rows rows[CB_OP_COUNT] = {
    [CB_OP_REDUCE_SUM] = { ROWS(sum), .finish = finish_same, .slope = slope_sum,
                           .whole = whole_sum },
    [CB_OP_REDUCE_MEAN] = { ROWS(sum), .finish = finish_mean, .slope = slope_mean,
                            .whole = whole_sum },
    [CB_OP_REDUCE_MAX] = { ROWS(max), .start = (double)-INFINITY, .finish = finish_same,
                           .slope = slope_extreme, .prepare = prepare_extreme, .whole = whole_max,
                           .takes_bool = true },
    [CB_OP_REDUCE_MIN] = { ROWS(min), .start = (double)INFINITY, .finish = finish_same,
                           .slope = slope_extreme, .prepare = prepare_extreme, .whole = whole_min,
                           .takes_bool = true },
    [CB_OP_REDUCE_PROD] = { ROWS(prod), .start = 1, .finish = finish_same, .slope = slope_prod,
                            .prepare = prepare_prod, .whole = whole_prod },
    [CB_OP_REDUCE_L1] = { ROWS(l1), .finish = finish_same, .slope = slope_l1, .whole = whole_l1 },
    [CB_OP_REDUCE_L2] = { ROWS(sum_square), .finish = finish_root, .slope = slope_l2,
                          .whole = whole_sum_square },
    [CB_OP_REDUCE_LOG_SUM] = { ROWS(sum), .finish = finish_log, .slope = slope_log_sum },
    [CB_OP_REDUCE_LOG_SUM_EXP] = { ROWS(exp_sum), .finish = finish_log,
                                   .slope = slope_log_sum_exp },
    [CB_OP_REDUCE_SUM_SQUARE] = { ROWS(sum_square), .finish = finish_same,
                                  .slope = slope_sum_square, .whole = whole_sum_square },
};

const struct cb_reduce_rows *cb_reduce_rows_get(enum cb_op op)
{
    return &rows[op];
}
