/* core/kernels/scalar/winograd.c - the transforms of Winograd's convolution as products with small
 * matrices, one channel at a time: the reference of the fast ones. */
#include "core/kernels/scalar/winograd.h"

#include "core/kernels/winograd.h"

enum { N = CB_WINOGRAD_POINTS_MAX, NR = 16 };

void cb_scalar_winograd_input(const struct cb_winograd_input *t)
{
    const size_t n0 = t->points[0], n1 = t->points[1];
    for (size_t c = 0; c < t->channels; c++) {
        float half[N * N] = { 0 };
        for (size_t i = 0; i < n0; i++)
            for (size_t x = 0; x < n1; x++)
                for (size_t y = 0; y < n0; y++)
                    half[i * n1 + x] += cb_winograd_bt(n0, i, y) * t->rows[y * n1 + x][c];
        for (size_t i = 0; i < n0; i++)
            for (size_t j = 0; j < n1; j++) {
                float sum = 0;
                for (size_t x = 0; x < n1; x++)
                    sum += cb_winograd_bt(n1, j, x) * half[i * n1 + x];
                t->out[(i * n1 + j) * t->plane + c] = sum;
            }
    }
}

void cb_scalar_winograd_filter(const struct cb_winograd_filter *f)
{
    const size_t n0 = f->points[0], n1 = f->points[1], r0 = cb_winograd_rows(n0),
                 r1 = cb_winograd_rows(n1), k0 = f->taps[0], k1 = f->taps[1];
    for (size_t c = 0; c < NR; c++) {
        float half[N * N] = { 0 };
        for (size_t i = 0; i < r0; i++)
            for (size_t x = 0; x < k1; x++)
                for (size_t y = 0; y < k0; y++)
                    half[i * k1 + x] +=
                        (float)cb_winograd_g(n0, k0, i, y) * f->w[(y * k1 + x) * NR + c];
        for (size_t i = 0; i < r0; i++)
            for (size_t j = 0; j < r1; j++) {
                float sum = 0;
                for (size_t x = 0; x < k1; x++)
                    sum += (float)cb_winograd_g(n1, k1, j, x) * half[i * k1 + x];
                f->out[(i * r1 + j) * f->plane + c] = sum;
            }
    }
}

void cb_scalar_winograd_output(const struct cb_winograd_output *t)
{
    const size_t n0 = t->points[0], m0 = t->size[0], n1 = t->points[1], m1 = t->size[1];
    for (size_t c = 0; c < t->channels; c++) {
        float half[N * N] = { 0 };
        for (size_t i = 0; i < m0; i++)
            for (size_t x = 0; x < n1; x++)
                for (size_t y = 0; y < n0; y++)
                    half[i * n1 + x] += cb_winograd_at(n0, m0, i, y) * t->in[(y * n1 + x) * NR + c];
        for (size_t i = 0; i < t->inside[0]; i++)
            for (size_t j = 0; j < t->inside[1]; j++) {
                const size_t at = i * t->line + j * t->pixel + c;
                float v = t->post.bias ? t->post.bias[c] : 0;
                for (size_t x = 0; x < n1; x++)
                    v += cb_winograd_at(n1, m1, j, x) * half[i * n1 + x];
                if (t->post.residual)
                    v += t->post.residual[at];
                t->out[at] = v < t->post.lo ? t->post.lo : v > t->post.hi ? t->post.hi : v;
            }
    }
}

/* A vector of this set is one number. */
void cb_scalar_winograd_taps(const struct cb_winograd_taps *t)
{
    const size_t n = t->points, points = n * n;
    for (size_t c = 0; c < t->channels; c++) {
        float filter[3 * 3 * NR] = { 0 }, u[N * N * NR];
        for (size_t tap = 0; tap < 3 * 3; tap++)
            filter[tap * NR] = t->w[c * 3 * 3 + tap];
        cb_scalar_winograd_filter(&(struct cb_winograd_filter){
            .points = { n, n }, .taps = { 3, 3 }, .w = filter, .out = u, .plane = NR });
        for (size_t tile = 0; tile < t->tiles; tile++)
            for (size_t p = 0; p < points; p++)
                t->out[tile * t->step + p * NR] +=
                    t->in[p * t->plane + tile * t->row + c] * u[p * NR];
    }
}
