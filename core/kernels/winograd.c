#include "core/kernels/winograd.h"

#include <math.h>

/* Row i of B^T has the coefficients of the product of (x - q) over all finite points q but point i,
 * the last row of that over all of them; `norm` is its value at point i, up to a common sign. */
struct points {
    double at[CB_WINOGRAD_POINTS_MAX - 1], norm[CB_WINOGRAD_POINTS_MAX - 1];
    float bt[CB_WINOGRAD_POINTS_MAX][CB_WINOGRAD_POINTS_MAX];
};

#define ROOT_2 1.41421356237309505
#define R 1.41421356f
#define S 0.70710678f

/* clang-format off */
static const struct points points_4 = {
    .at = { 0, 1, -1 },
    .norm = { 1, 2, 2 },
    .bt = { { 1, 0, -1, 0 },
            { 0, 1, 1, 0 },
            { 0, -1, 1, 0 },
            { 0, -1, 0, 1 } },
};

static const struct points points_6 = {
    .at = { 0, 0.5 * ROOT_2, -0.5 * ROOT_2, ROOT_2, -ROOT_2 },
    .norm = { 1, -1.5, -1.5, 6, 6 },
    .bt = { { 1, 0, -2.5f, 0, 1, 0 },
            { 0, -R, -2, S, 1, 0 },
            { 0, R, -2, -S, 1, 0 },
            { 0, -S, -0.5f, R, 1, 0 },
            { 0, S, -0.5f, -R, 1, 0 },
            { 0, 1, 0, -2.5f, 0, 1 } },
};

static const struct points points_8 = {
    .at = { 0, 1, -1, 2, -2, 0.5, -0.5 },
    .norm = { 1, -4.5, -4.5, 90, 90, 1.40625, 1.40625 },
    .bt = { { 1, 0, -5.25f, 0, 5.25f, 0, -1, 0 },
            { 0, 1, 1, -4.25f, -4.25f, 1, 1, 0 },
            { 0, -1, 1, 4.25f, -4.25f, -1, 1, 0 },
            { 0, 0.5f, 0.25f, -2.5f, -1.25f, 2, 1, 0 },
            { 0, -0.5f, 0.25f, 2.5f, -1.25f, -2, 1, 0 },
            { 0, 2, 4, -2.5f, -5, 0.5f, 1, 0 },
            { 0, -2, 4, 2.5f, -5, -0.5f, 1, 0 },
            { 0, -1, 0, 5.25f, 0, -5.25f, 0, 1 } },
};

static const struct points *const sets[CB_WINOGRAD_POINTS_MAX + 1] = {
    [4] = &points_4, [6] = &points_6, [8] = &points_8,
};
/* clang-format on */

static const float strided_bt[5][5] = {
    { 1, 0, -1, 0, 0 }, { 0, 0, 1, 0, 0 }, { 0, 0, -1, 0, 1 }, { 0, 1, 0, 0, 0 }, { 0, 0, 0, 1, 0 },
};
static const float strided_at[2][5] = { { 1, 1, 0, 1, 0 }, { 0, 1, 1, 0, 1 } };
static const float strided_g[5][3] = {
    { 1, 0, 0 }, { 1, 0, 1 }, { 0, 0, 1 }, { 0, 1, 0 }, { 0, 1, 0 },
};

float cb_winograd_bt(size_t n, size_t i, size_t j)
{
    if (n == CB_WINOGRAD_STRIDED)
        return strided_bt[i][j];
    return n == 1 ? 1 : sets[n]->bt[i][j];
}

float cb_winograd_at(size_t n, size_t m, size_t i, size_t j)
{
    if (n == CB_WINOGRAD_STRIDED)
        return strided_at[i][j];
    if (n == 1)
        return 1;
    return j + 1 < n ? (float)pow(sets[n]->at[j], (double)i) : i + 1 == m;
}

double cb_winograd_g(size_t n, size_t k, size_t i, size_t j)
{
    if (n == CB_WINOGRAD_STRIDED)
        return (double)strided_g[i][j];
    if (n == 1)
        return 1;
    return i + 1 < n ? pow(sets[n]->at[i], (double)j) / sets[n]->norm[i] : j + 1 == k;
}
