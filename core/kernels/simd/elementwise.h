/* core/kernels/simd/elementwise.h - loops over plain arrays. Each body is written once, for a
 * vector of which `n` floats count; EACH_VECTOR runs it with n = W, a constant, and once more for
 * the rest. */
#pragma once

#define EACH_VECTOR(count, body)                                                                   \
    do {                                                                                           \
        const size_t n_ = (count);                                                                 \
        size_t at_ = 0;                                                                            \
        for (; at_ + W <= n_; at_ += W)                                                            \
            body(at_, W);                                                                          \
        if (at_ < n_)                                                                              \
            body(at_, n_ - at_);                                                                   \
    } while (0)

static void clamp(size_t n, const float *x, float lo, float hi, float *y)
{
#define BODY(i, part) vec_store_part(y + i, part, vec_clamp(vec_load_part(x + i, part), lo, hi))
    EACH_VECTOR(n, BODY);
#undef BODY
}

static void add(size_t n, const float *a, const float *b, float lo, float hi, float *y)
{
#define BODY(i, part)                                                                              \
    vec_store_part(y + i, part,                                                                    \
                   vec_clamp(vec_load_part(a + i, part) + vec_load_part(b + i, part), lo, hi))
    EACH_VECTOR(n, BODY);
#undef BODY
}

static void mul(size_t n, const float *a, const float *b, float *y)
{
#define BODY(i, part)                                                                              \
    vec_store_part(y + i, part, vec_load_part(a + i, part) * vec_load_part(b + i, part))
    EACH_VECTOR(n, BODY);
#undef BODY
}

static void affine(size_t n, const float *x, const float *scale, const float *shift, float lo,
                   float hi, float *y)
{
#define BODY(i, part)                                                                              \
    vec_store_part(y + i, part,                                                                    \
                   vec_clamp(vec_load_part(x + i, part) * vec_load_part(scale + i, part) +         \
                                 vec_load_part(shift + i, part),                                   \
                             lo, hi))
    EACH_VECTOR(n, BODY);
#undef BODY
}

static void axpy(size_t n, float a, const float *x, float *y)
{
#define BODY(i, part)                                                                              \
    vec_store_part(y + i, part,                                                                    \
                   vec_all(a) * vec_load_part(x + i, part) + vec_load_part(y + i, part))
    EACH_VECTOR(n, BODY);
#undef BODY
}

/* Four sums, so that the additions need not wait for each other. */
static float dot(size_t n, const float *a, const float *b)
{
    enum { SUMS = 4 };
    vec sums[SUMS] = { 0 };
    size_t done = 0;
    for (; done + SUMS * W <= n; done += SUMS * W) {
        UNROLL
        for (size_t j = 0; j < SUMS; j++)
            sums[j] += vec_load(a + done + j * W) * vec_load(b + done + j * W);
    }
    a += done;
    b += done;
#define BODY(i, part) sums[0] += vec_load_part(a + i, part) * vec_load_part(b + i, part)
    EACH_VECTOR(n - done, BODY);
#undef BODY
    return vec_sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
}
