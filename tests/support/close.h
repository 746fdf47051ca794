/* tests/support/close.h - how close two arrays of floats must be, and one place that says so.
 *
 * Data movement and elementwise kernels: equal to the last bit (NaN equals NaN). Sums of products,
 * whose order differs between instruction sets: normalised mean squared error at most
 * CB_CLOSE_SUMS. */
#pragma once

#include <criterion/criterion.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>

#define CB_CLOSE_SUMS 1e-10

/* sum (got - want)^2 / sum want^2; huge where only one of a pair is NaN or infinite. */
static inline double cb_close_nmse(size_t n, const float *got, const float *want)
{
    double error = 0, scale = 0;
    for (size_t i = 0; i < n; i++) {
        if (got[i] == want[i] || (isnan(got[i]) && isnan(want[i])))
            continue;
        if (!isfinite(got[i]) || !isfinite(want[i]))
            return HUGE_VAL;
        const double d = (double)got[i] - (double)want[i];
        error += d * d;
    }
    for (size_t i = 0; i < n; i++)
        if (isfinite(want[i]))
            scale += (double)want[i] * (double)want[i];
    return error == 0 ? 0 : scale > 0 ? error / scale : HUGE_VAL;
}

/* The first i where they differ; n when all are equal. */
static inline size_t cb_close_first_difference(size_t n, const float *got, const float *want)
{
    size_t i = 0;
    while (i < n && (got[i] == want[i] || (isnan(got[i]) && isnan(want[i]))))
        i++;
    return i;
}

/* The arguments after `want` say which case it was, as for printf. */
#define cb_expect_equal(n, got, want, ...)                                                         \
    do {                                                                                           \
        const size_t n_ = (n), at_ = cb_close_first_difference(n_, (got), (want));                 \
        if (at_ < n_) {                                                                            \
            char case_[160];                                                                       \
            snprintf(case_, sizeof case_, __VA_ARGS__);                                            \
            cr_expect(0, "%s: element %zu of %zu is %.9g, not %.9g", case_, at_, n_,               \
                      (double)(got)[at_], (double)(want)[at_]);                                    \
        }                                                                                          \
    } while (0)

#define cb_expect_close(n, got, want, ...)                                                         \
    do {                                                                                           \
        const size_t n_ = (n);                                                                     \
        const double nmse_ = cb_close_nmse(n_, (got), (want));                                     \
        if (!(nmse_ <= CB_CLOSE_SUMS)) {                                                           \
            char case_[160];                                                                       \
            const size_t at_ = cb_close_first_difference(n_, (got), (want));                       \
            snprintf(case_, sizeof case_, __VA_ARGS__);                                            \
            cr_expect(0, "%s: nmse %.3g; element %zu of %zu is %.9g, not %.9g", case_, nmse_, at_, \
                      n_, (double)(got)[at_], (double)(want)[at_]);                                \
        }                                                                                          \
    } while (0)
