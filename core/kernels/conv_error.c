/* core/kernels/conv_error.c - how far an algorithm is from sums in double. */
#include <math.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/rng.h"
#include "core/kernels/conv_parts.h"

enum {
    SIDE = 9,    /* outputs along each axis: a whole tile and a part of one */
    FILTERS = 8, /* that are looked at, over all output channels */
};

/* The shape with a small picture: outputs up to SIDE, and the input that they see. */
static struct cb_conv_shape small_shape(const struct cb_conv_shape *s)
{
    struct cb_conv_shape small = *s;
    small.n = 1;
    for (int i = 0; i < 3; i++) {
        small.out[i] = cb_size_min(s->out[i], i ? SIDE : 1);
        const size_t seen = (small.out[i] - 1) * s->stride[i] + (s->kernel[i] - 1) * s->dilation[i];
        small.in[i] = cb_size_min(s->in[i], seen + 1);
    }
    return small;
}

/* One output in double. */
static double sum_of(const struct cb_conv_shape *s, const float *const *rows, const char *w,
                     size_t filter)
{
    const size_t taps = cb_conv_taps(s), cin = s->cin / s->group;
    const size_t first = filter / (s->cout / s->group) * cin;
    double sum = 0;
    for (size_t c = 0; c < cin; c++)
        for (size_t t = 0; t < taps; t++) {
            float f;
            memcpy(&f, w + ((filter * cin + c) * taps + t) * sizeof f, sizeof f);
            sum += rows[t] ? (double)f * (double)rows[t][first + c] : 0;
        }
    return sum;
}

static double compare(const struct cb_conv_shape *s, const struct cb_conv_input *x, const void *w,
                      const float *y, const float **rows)
{
    const size_t step = cb_size_divide(s->cout, FILTERS);
    double errors = 0, squares = 0;
    for (size_t pixel = 0; pixel < cb_conv_pixels(s); pixel++) {
        const struct cb_conv_pixel at = cb_conv_pixel_at(s, pixel);
        cb_conv_fill_rows(s, x, &at, 1, NULL, 1, rows);
        for (size_t filter = 0; filter < s->cout; filter += step) {
            const double want = sum_of(s, rows, w, filter);
            const double error = (double)y[pixel * s->cout + filter] - want;
            errors += error * error;
            squares += want * want;
        }
    }
    return squares > 0 ? sqrt(errors / squares) : sqrt(errors);
}

double cb_conv_error(const struct cb_kernels *kernels, const struct cb_conv_shape *shape,
                     const struct cb_conv_algorithm *algorithm, const void *w, const void *packed)
{
    const struct cb_conv_shape s = small_shape(shape);
    const size_t in = s.in[0] * s.in[1] * s.in[2] * s.cin, out = cb_conv_pixels(&s) * s.cout;
    const size_t scratch = algorithm->scratch_bytes(kernels, &s, 1);
    const size_t rows_bytes = cb_conv_taps(&s) * sizeof(float *);
    struct cb_arena arena;
    double error = INFINITY;
    if (cb_arena_init(&arena, (in + out) * sizeof(float) + scratch + rows_bytes + 4 * CB_ALIGN)
            .code)
        return error;
    float *x = cb_arena_alloc(&arena, in, sizeof *x), *y = cb_arena_alloc(&arena, out, sizeof *y);
    const struct cb_conv_call call = {
        .shape = &s,
        .x = x,
        .packed = packed,
        .y = y,
        .y_stride = s.cout,
        .post = { .lo = -INFINITY, .hi = INFINITY },
        .scratch = cb_arena_alloc(&arena, scratch + 1, 1),
    };
    const float **rows = cb_arena_alloc(&arena, rows_bytes, 1);
    if (x && y && call.scratch && rows) {
        struct cb_rng rng = cb_rng_seed(1);
        cb_rng_fill(&rng, in, x);
        kernels->clamp(in, x, 0, INFINITY, x);
        algorithm->run(kernels, &call);
        error = compare(&s, &(struct cb_conv_input){ x, s.cin }, w, y, rows);
    }
    cb_arena_deinit(&arena);
    return error;
}
