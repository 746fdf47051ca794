#include "core/ops/elementwise/elementwise_rows.h"

#include <math.h>

#include "core/ops/args.h"

/* --- real numbers --- */

static float clamp(float x, float lo, float hi)
{
    return x < lo ? lo : x > hi ? hi : x;
}

/* d(a^b)/db = y log a; for a <= 0 there is none to speak of. */
static float log_slope(float a, float y)
{
    return a > 0 ? y * logf(a) : 0.0f;
}

static float power(float a, float b)
{
    return b == 2.0f ? a * a : b == 0.5f ? sqrtf(a) : powf(a, b);
}

/* clang-format off */
/* id, y, dy/da, dy/db. At a tie of Min and Max the gradient is a's; NaN wins both. */
#define REAL_OPS(R)                                                                                \
    R(add, clamp(a + b, e->lo, e->hi), (y > e->lo && y < e->hi ? 1.0f : 0.0f),                     \
      (y > e->lo && y < e->hi ? 1.0f : 0.0f))                                                      \
    R(sub, a - b, 1.0f, -1.0f)                                                                     \
    R(mul, a *b, b, a)                                                                             \
    R(div, a / b, 1.0f / b, -y / b)                                                                \
    R(pow, power(a, b), (b == 0 ? 0.0f : b * powf(a, b - 1.0f)), log_slope(a, y))                \
    R(mod, fmodf(a, b), 1.0f, -truncf(a / b))                                                      \
    R(min, (a <= b || a != a ? a : b), (a <= b ? 1.0f : 0.0f), (a <= b ? 0.0f : 1.0f))             \
    R(max, (a >= b || a != a ? a : b), (a >= b ? 1.0f : 0.0f), (a >= b ? 0.0f : 1.0f))             \
    R(prelu, (a < 0 ? a * b : a), (a < 0 ? b : 1.0f), (a < 0 ? a : 0.0f))
/* clang-format on */

/* The loop of a row, with the steps that a broadcast gives known to the compiler. */
#define ROW_LOOP(type, value)                                                                      \
    if (row->step[0] == 1 && row->step[1] == 1) {                                                  \
        for (size_t i = 0; i < n; i++) {                                                           \
            const type a = pa[i], b = pb[i];                                                       \
            py[i] = value;                                                                         \
        }                                                                                          \
    } else if (row->step[0] == 1) {                                                                \
        const type b = *pb;                                                                        \
        for (size_t i = 0; i < n; i++) {                                                           \
            const type a = pa[i];                                                                  \
            py[i] = value;                                                                         \
        }                                                                                          \
    } else {                                                                                       \
        const type a = *pa;                                                                        \
        for (size_t i = 0; i < n; i++) {                                                           \
            const type b = pb[(ptrdiff_t)i * row->step[1]];                                        \
            py[i] = value;                                                                         \
        }                                                                                          \
    }

#define SLOPE_ROW(name, slope)                                                                     \
    static void name(void *ctx, const struct cb_walk_row *row)                                     \
    {                                                                                              \
        const struct cb_elementwise *e = ctx;                                                      \
        const float *pa = e->a->f + row->at[0], *pb = e->b->f + row->at[1];                        \
        const float *py = e->y->f + row->at[2], *dy = e->dy->f + row->at[2];                       \
        float *to = e->to->f + row->at[3];                                                         \
        double sum = 0;                                                                            \
        for (size_t i = 0; i < row->n; i++) {                                                      \
            const float a = pa[(ptrdiff_t)i * row->step[0]], b = pb[(ptrdiff_t)i * row->step[1]];  \
            const float y = py[i], d = dy[i] * (slope);                                            \
            (void)a, (void)b, (void)y;                                                             \
            if (row->step[3])                                                                      \
                to[(ptrdiff_t)i * row->step[3]] += d;                                              \
            else                                                                                   \
                sum += (double)d;                                                                  \
        }                                                                                          \
        if (!row->step[3])                                                                         \
            *to += (float)sum;                                                                     \
    }

#define REAL_ROWS(id, value, slope_of_a, slope_of_b)                                               \
    static void id##_real(void *ctx, const struct cb_walk_row *row)                                \
    {                                                                                              \
        const struct cb_elementwise *e = ctx;                                                      \
        const float *pa = e->a->f + row->at[0], *pb = e->b->f + row->at[1];                        \
        float *py = e->to->f + row->at[2];                                                         \
        const size_t n = row->n;                                                                   \
        ROW_LOOP(float, (value))                                                                   \
    }                                                                                              \
    SLOPE_ROW(id##_slope_a, slope_of_a)                                                            \
    SLOPE_ROW(id##_slope_b, slope_of_b)

REAL_OPS(REAL_ROWS)

/* Where neither is broadcast along the row there is a kernel. */
static void add_row(void *ctx, const struct cb_walk_row *row)
{
    const struct cb_elementwise *e = ctx;
    if (row->step[0] == 1 && row->step[1] == 1)
        e->kernels->add(row->n, e->a->f + row->at[0], e->b->f + row->at[1], e->lo, e->hi,
                        e->to->f + row->at[2]);
    else
        add_real(ctx, row);
}

static void mul_row(void *ctx, const struct cb_walk_row *row)
{
    const struct cb_elementwise *e = ctx;
    if (row->step[0] == 1 && row->step[1] == 1)
        e->kernels->mul(row->n, e->a->f + row->at[0], e->b->f + row->at[1], e->to->f + row->at[2]);
    else
        mul_real(ctx, row);
}

/* --- whole numbers: computed unsigned, so that overflow wraps; u: the type is uint64 --- */

static bool less(int64_t a, int64_t b, bool u)
{
    return u ? (uint64_t)a < (uint64_t)b : a < b;
}

/* Towards zero. Division by zero gives 0; the one overflow wraps. */
static int64_t divide(int64_t a, int64_t b, bool u)
{
    if (b == 0)
        return 0;
    if (u)
        return (int64_t)((uint64_t)a / (uint64_t)b);
    return b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b;
}

/* The rest has the sign of b, or that of a when `of_a`. */
static int64_t modulo(int64_t a, int64_t b, bool u, bool of_a)
{
    int64_t r;
    if (b == 0)
        return 0;
    if (u)
        return (int64_t)((uint64_t)a % (uint64_t)b);
    r = b == -1 ? 0 : a % b;
    return r && !of_a && (r < 0) != (b < 0) ? r + b : r;
}

static int64_t whole_power(int64_t a, int64_t b, bool u)
{
    uint64_t result = 1, base = (uint64_t)a, exponent = (uint64_t)b;
    if (b < 0 && !u)
        return a == 1 ? 1 : a == -1 ? (b % 2 ? -1 : 1) : 0;
    for (; exponent; exponent >>= 1, base *= base)
        if (exponent & 1)
            result *= base;
    return (int64_t)result;
}

/* Unsigned; by 64 and more nothing is left. */
static int64_t shift(int64_t a, int64_t b, bool left)
{
    const uint64_t v = (uint64_t)a, by = (uint64_t)b;
    return by > 63 ? 0 : (int64_t)(left ? v << by : v >> by);
}

/* clang-format off */
#define WHOLE_OPS(W)                                             \
    W(add, (int64_t)((uint64_t)a + (uint64_t)b))                 \
    W(sub, (int64_t)((uint64_t)a - (uint64_t)b))                 \
    W(mul, (int64_t)((uint64_t)a * (uint64_t)b))                 \
    W(div, divide(a, b, u))                                      \
    W(pow, whole_power(a, b, u))                                 \
    W(mod, modulo(a, b, u, e->fmod))                             \
    W(min, less(b, a, u) ? b : a)                                \
    W(max, less(a, b, u) ? b : a)                                \
    W(prelu, less(a, 0, u) ? (int64_t)((uint64_t)a * (uint64_t)b) : a) \
    W(equal, a == b)                                             \
    W(greater, less(b, a, u))                                    \
    W(less, less(a, b, u))                                       \
    W(greater_equal, !less(a, b, u))                             \
    W(less_equal, !less(b, a, u))                                \
    W(bitwise_and, a & b)                                        \
    W(bitwise_or, a | b)                                         \
    W(bitwise_xor, a ^ b)                                        \
    W(shift_left, shift(a, b, true))                             \
    W(shift_right, shift(a, b, false))                           \
    W(and, a && b)                                               \
    W(or, a || b)                                                \
    W(xor, !a != !b)
/* clang-format on */

#define WHOLE_ROW(id, value)                                                                       \
    static void id##_whole(void *ctx, const struct cb_walk_row *row)                               \
    {                                                                                              \
        const struct cb_elementwise *e = ctx;                                                      \
        const int64_t *pa = e->a->i + row->at[0], *pb = e->b->i + row->at[1];                      \
        int64_t *to = e->to->i + row->at[2];                                                       \
        const bool u = e->a->dtype == CB_UINT64;                                                   \
        (void)u;                                                                                   \
        for (size_t i = 0; i < row->n; i++) {                                                      \
            const int64_t a = pa[(ptrdiff_t)i * row->step[0]];                                     \
            const int64_t b = pb[(ptrdiff_t)i * row->step[1]];                                     \
            to[i] = cb_dtype_wrap(e->to->dtype, value);                                            \
        }                                                                                          \
    }

WHOLE_OPS(WHOLE_ROW)

/* --- comparisons of real numbers --- */

#define COMPARE_ROW(id, value)                                                                     \
    static void id##_real(void *ctx, const struct cb_walk_row *row)                                \
    {                                                                                              \
        const struct cb_elementwise *e = ctx;                                                      \
        const float *pa = e->a->f + row->at[0], *pb = e->b->f + row->at[1];                        \
        int64_t *py = e->to->i + row->at[2];                                                       \
        const size_t n = row->n;                                                                   \
        ROW_LOOP(float, (value))                                                                   \
    }

COMPARE_ROW(equal, a == b)
COMPARE_ROW(greater, a > b)
COMPARE_ROW(less, a < b)
COMPARE_ROW(greater_equal, a >= b)
COMPARE_ROW(less_equal, a <= b)

void cb_elementwise_rows_pow_mixed(void *ctx, const struct cb_walk_row *row)
{
    const struct cb_elementwise *e = ctx;
    const bool real = cb_dtype_get(e->to->dtype)->is_float;
    for (size_t i = 0; i < row->n; i++) {
        const size_t ia = (size_t)(row->at[0] + (ptrdiff_t)i * row->step[0]);
        const size_t ib = (size_t)(row->at[1] + (ptrdiff_t)i * row->step[1]);
        const size_t iy = (size_t)row->at[2] + i;
        const double y = pow(cb_args_number_at(e->a, ia), cb_args_number_at(e->b, ib));
        if (real)
            e->to->f[iy] = (float)y;
        else
            e->to->i[iy] = cb_dtype_wrap(e->to->dtype, cb_args_to_int(y));
    }
}

#define ARITHMETIC(id)                                                                             \
    {                                                                                              \
        id##_real, id##_whole, id##_slope_a, id##_slope_b, .takes_whole = true                     \
    }
#define ORDER(id)                                                                                  \
    {                                                                                              \
        .real = id##_real, .whole = id##_whole, .takes_whole = true, .compares = true              \
    }
#define BITS(id)                                                                                   \
    {                                                                                              \
        .whole = id##_whole, .takes_whole = true                                                   \
    }
#define LOGIC(id)                                                                                  \
    {                                                                                              \
        .whole = id##_whole, .takes_bool = true, .compares = true                                  \
    }

static const struct cb_elementwise_rows rows[CB_OP_COUNT] = {
    [CB_OP_ADD] = { add_row, add_whole, add_slope_a, add_slope_b, .takes_whole = true },
    [CB_OP_SUB] = ARITHMETIC(sub),
    [CB_OP_MUL] = { mul_row, mul_whole, mul_slope_a, mul_slope_b, .takes_whole = true },
    [CB_OP_DIV] = ARITHMETIC(div),
    [CB_OP_POW] = ARITHMETIC(pow),
    [CB_OP_MOD] = ARITHMETIC(mod),
    [CB_OP_MIN] = ARITHMETIC(min),
    [CB_OP_MAX] = ARITHMETIC(max),
    [CB_OP_PRELU] = ARITHMETIC(prelu),
    [CB_OP_EQUAL] = { .real = equal_real,
                      .whole = equal_whole,
                      .takes_bool = true,
                      .takes_whole = true,
                      .compares = true },
    [CB_OP_GREATER] = ORDER(greater),
    [CB_OP_LESS] = ORDER(less),
    [CB_OP_GREATER_EQUAL] = ORDER(greater_equal),
    [CB_OP_LESS_EQUAL] = ORDER(less_equal),
    [CB_OP_BITWISE_AND] = BITS(bitwise_and),
    [CB_OP_BITWISE_OR] = BITS(bitwise_or),
    [CB_OP_BITWISE_XOR] = BITS(bitwise_xor),
    [CB_OP_SHIFT_LEFT] = BITS(shift_left),
    [CB_OP_SHIFT_RIGHT] = BITS(shift_right),
    [CB_OP_AND] = LOGIC(and),
    [CB_OP_OR] = LOGIC(or),
    [CB_OP_XOR] = LOGIC(xor),
};

const struct cb_elementwise_rows *cb_elementwise_rows_get(enum cb_op op)
{
    return &rows[op];
}
