/* core/kernels/conv_backward_data.c - the derivative of convolution by its input: convolutions.
 *
 * dx[i] = sum over taps t, where (i + pad - t * dilation) / stride is an output o: dy[o] * w[t]. Of
 * the input pixels i = r + stride * j with the same rest r, all use the same taps, and o goes up by
 * one with j: so each rest (of each axis) is a convolution of dy with stride 1, whose kernel is
 * these taps in reverse order and whose inputs and outputs have changed places. The table of
 * algorithms runs it. */
#include "core/kernels/conv_parts.h"
#include "core/kernels/gemm.h"

#include <math.h>
#include <string.h>

enum { CHANNELS = 16 }; /* of a task that turns weights: what it reads lies together */

/* One axis for one rest. */
struct axis {
    size_t rest;
    size_t first, step, count;    /* taps of w: first, first + step, ... */
    size_t dilation, pad, pixels; /* of the convolution of dy */
};

static size_t gcd(size_t a, size_t b)
{
    while (b) {
        const size_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Taps `step` apart reach the same rest, those before have one each. */
static size_t step_of(const struct cb_conv_shape *s, int i)
{
    return s->stride[i] / gcd(s->stride[i], s->dilation[i]);
}

/* The rest that tap `first`, below the step, reaches. Differences below 0 wrap, as cb_conv_source
 * wants them. */
static struct axis axis_of(const struct cb_conv_shape *s, int i, size_t first)
{
    const size_t stride = s->stride[i], begin = first * s->dilation[i];
    struct axis a = { .first = first, .step = step_of(s, i) };
    a.dilation = s->dilation[i] / (stride / a.step);
    a.count = cb_size_divide(s->kernel[i] - first, a.step);
    a.rest = (begin + stride - s->pad[i] % stride) % stride;
    a.pixels = a.rest < s->in[i] ? cb_size_divide(s->in[i] - a.rest, stride) : 0;
    const size_t at = a.rest + s->pad[i];
    const size_t shift = at >= begin ? (at - begin) / stride : 0 - (begin - at) / stride;
    a.pad = (a.count - 1) * a.dilation - shift;
    return a;
}

struct rest {
    struct axis axis[3];
    struct cb_conv_shape shape; /* of the convolution of dy */
    bool any;                   /* some pixel */
};

/* Those that a tap reaches: a stride may be far larger than the kernel. */
static size_t rest_count(const struct cb_conv_shape *s, int i)
{
    return cb_size_min(step_of(s, i), s->kernel[i]);
}

static size_t all_rests(const struct cb_conv_shape *s)
{
    return rest_count(s, 0) * rest_count(s, 1) * rest_count(s, 2);
}

/* Every pixel has the rest 0: the result's are those of dx, in their order. */
static bool is_whole(const struct cb_conv_shape *s)
{
    for (int i = 0; i < 3; i++)
        if (s->stride[i] > 1 && s->in[i] > 1)
            return false;
    return true;
}

static struct rest rest_of(const struct cb_conv_shape *s, size_t number)
{
    const size_t n1 = rest_count(s, 1), n2 = rest_count(s, 2);
    const size_t first[] = { number / n2 / n1, number / n2 % n1, number % n2 };
    struct rest r = {
        .shape = { .n = s->n,
                   .cin = s->cout,
                   .cout = s->cin,
                   .group = s->group,
                   .stride = { 1, 1, 1 } },
        .any = true,
    };
    for (int i = 0; i < 3; i++) {
        r.axis[i] = axis_of(s, i, first[i]);
        r.shape.in[i] = s->out[i];
        r.shape.out[i] = r.axis[i].pixels;
        r.shape.kernel[i] = r.axis[i].count;
        r.shape.dilation[i] = r.axis[i].dilation;
        r.shape.pad[i] = r.axis[i].pad;
        r.any = r.any && r.axis[i].pixels > 0;
    }
    return r;
}

/* What lies in the scratch, one after the other; of the weights only where they are not packed. */
struct sizes {
    size_t turned, packed, run, result;
};

static const struct cb_conv_algorithm *algorithm_of(const struct cb_kernels *kernels,
                                                    const struct rest *r)
{
    return cb_conv_choose(kernels, &r->shape);
}

/* The product's weights are packed as they lie. */
static size_t turned_bytes(const struct cb_conv_algorithm *a, const struct cb_conv_shape *s)
{
    return a == &cb_conv_product
               ? 0
               : cb_size_bytes(s->cout * (s->cin / s->group), cb_conv_taps(s) * sizeof(float));
}

static struct sizes sizes_of(const struct cb_kernels *kernels, const struct cb_conv_shape *s,
                             size_t threads)
{
    struct sizes z = { 0 };
    for (size_t i = 0; i < all_rests(s); i++) {
        const struct rest r = rest_of(s, i);
        if (!r.any)
            continue;
        const struct cb_conv_algorithm *a = algorithm_of(kernels, &r);
        z.turned = cb_size_max(z.turned, turned_bytes(a, &r.shape));
        z.packed = cb_size_max(z.packed, cb_size_bytes(a->packed_bytes(kernels, &r.shape), 1));
        z.run = cb_size_max(z.run, cb_size_bytes(a->scratch_bytes(kernels, &r.shape, threads), 1));
        if (!is_whole(s))
            z.result = cb_size_max(z.result,
                                   cb_size_bytes(cb_conv_pixels(&r.shape), s->cin * sizeof(float)));
    }
    return z;
}

size_t cb_conv_data_scratch_bytes(const struct cb_kernels *kernels, const struct cb_conv_shape *s,
                                  size_t threads)
{
    const struct sizes z = sizes_of(kernels, s, threads);
    return cb_size_add(cb_size_add(z.turned, z.packed), cb_size_add(z.run, z.result));
}

struct data {
    const struct cb_kernels *kernels;
    const struct cb_conv_shape *s;
    const char *w;               /* maybe unaligned */
    float *turned, *result, *dx; /* turned, result: of the rest in hand */
    struct rest rest;
};

static size_t channel_blocks(const struct cb_conv_shape *s)
{
    return cb_size_divide(s->cin / s->group, CHANNELS);
}

static size_t tap_of(const struct axis *a, size_t i)
{
    return a->first + i * a->step;
}

/* One filter's taps for one channel, those of the rest in hand, in reverse. */
static void turn_taps(const struct data *d, size_t first, float *to)
{
    const struct axis *a = d->rest.axis;
    const size_t k1 = d->s->kernel[1], k2 = d->s->kernel[2];
    for (size_t t0 = a[0].count; t0-- > 0;)
        for (size_t t1 = a[1].count; t1-- > 0;)
            for (size_t t2 = a[2].count; t2-- > 0; to++) {
                const size_t tap =
                    (tap_of(a, t0) * k1 + tap_of(a + 1, t1)) * k2 + tap_of(a + 2, t2);
                memcpy(to, d->w + (first + tap) * sizeof *to, sizeof *to);
            }
}

/* turned[c][o][taps in reverse] = w[o][c][taps] for some input channels c of a group. */
static void turn_weights(void *ctx, size_t i, size_t worker)
{
    (void)worker;
    const struct data *d = ctx;
    const struct cb_conv_shape *s = d->s;
    const size_t cin = s->cin / s->group, cout = s->cout / s->group;
    const size_t taps = cb_conv_taps(s), taps_left = cb_conv_taps(&d->rest.shape);
    const size_t group = i / channel_blocks(s), begin = i % channel_blocks(s) * CHANNELS;
    const size_t end = cb_size_min(begin + CHANNELS, cin);
    for (size_t o = 0; o < cout; o++)
        for (size_t c = begin; c < end; c++)
            turn_taps(d, ((group * cout + o) * cin + c) * taps,
                      d->turned + ((group * cin + c) * cout + o) * taps_left);
}

static void pack_weights(struct data *d, struct cb_threads *threads,
                         const struct cb_conv_algorithm *a, void *packed)
{
    const struct cb_conv_shape *s = d->s;
    const struct axis *axis = d->rest.axis;
    const size_t taps = cb_conv_taps(s);
    const size_t line = axis[0].first * s->kernel[1] + axis[1].first;
    const size_t first = line * s->kernel[2] + axis[2].first;
    if (a == &cb_conv_product) { /* one tap: w as it lies is the matrix */
        cb_gemm_pack(d->kernels, threads, s->cout, s->cin, d->w + first * sizeof(float),
                     s->cin * taps, taps, packed);
        return;
    }
    cb_threads_for(threads, s->group * channel_blocks(s), turn_weights, d);
    a->pack(d->kernels, &d->rest.shape, threads, d->turned, NULL, packed);
}

/* Adds one line of the result to its pixels of dx. */
static void add_line(void *ctx, size_t line, size_t worker)
{
    (void)worker;
    const struct data *d = ctx;
    const struct cb_conv_shape *s = d->s, *r = &d->rest.shape;
    const struct cb_conv_pixel p = cb_conv_pixel_at(r, line * r->out[2]);
    const size_t i0 = d->rest.axis[0].rest + p.at[0] * s->stride[0];
    const size_t i1 = d->rest.axis[1].rest + p.at[1] * s->stride[1];
    const size_t number = (p.image * s->in[0] + i0) * s->in[1] + i1;
    const float *from = d->result + line * r->out[2] * s->cin;
    float *to = d->dx + (number * s->in[2] + d->rest.axis[2].rest) * s->cin;
    for (size_t i = 0; i < r->out[2]; i++, from += s->cin, to += s->stride[2] * s->cin)
        d->kernels->axpy(s->cin, 1, from, to);
}

static void run_rest(const struct data *d, struct cb_threads *threads, const float *dy,
                     const void *packed, void *scratch)
{
    const struct cb_conv_shape *s = &d->rest.shape;
    const bool whole = is_whole(d->s);
    const struct cb_conv_call call = {
        .shape = s,
        .x = dy,
        .packed = packed,
        .y = whole ? d->dx : d->result,
        .y_stride = s->cout,
        .post = { .residual = whole ? d->dx : NULL, .lo = -INFINITY, .hi = INFINITY },
        .scratch = scratch,
        .threads = threads,
    };
    algorithm_of(d->kernels, &d->rest)->run(d->kernels, &call);
    if (!whole)
        cb_threads_for(threads, cb_conv_lines(s), add_line, (void *)(uintptr_t)d);
}

void cb_conv_data_run(const struct cb_kernels *kernels, struct cb_threads *threads,
                      const struct cb_conv_shape *s, const float *dy, const float *w,
                      const void *packed, void *scratch, float *dx)
{
    const struct sizes z = sizes_of(kernels, s, cb_threads_count(threads));
    char *at = scratch, *run = at + (packed ? 0 : z.turned + z.packed);
    const char *next = packed;
    struct data d = {
        .kernels = kernels,
        .s = s,
        .w = (const char *)w,
        .turned = (float *)(void *)at,
        .result = (float *)(void *)(run + z.run),
        .dx = dx,
    };
    for (size_t i = 0; i < all_rests(s); i++) {
        d.rest = rest_of(s, i);
        if (!d.rest.any)
            continue;
        const struct cb_conv_algorithm *a = algorithm_of(kernels, &d.rest);
        if (!packed)
            pack_weights(&d, threads, a, at + z.turned);
        run_rest(&d, threads, dy, packed ? next : at + z.turned, run);
        if (packed)
            next += cb_size_bytes(a->packed_bytes(kernels, &d.rest.shape), 1);
    }
}

/* Packed, the rests lie one after the other; behind them is room to turn the largest one's. */
size_t cb_conv_data_packed_bytes(const struct cb_kernels *kernels, const struct cb_conv_shape *s)
{
    size_t bytes = sizes_of(kernels, s, 1).turned;
    for (size_t i = 0; i < all_rests(s); i++) {
        const struct rest r = rest_of(s, i);
        if (r.any)
            bytes = cb_size_add(
                bytes,
                cb_size_bytes(algorithm_of(kernels, &r)->packed_bytes(kernels, &r.shape), 1));
    }
    return bytes;
}

void cb_conv_data_pack(const struct cb_kernels *kernels, struct cb_threads *threads,
                       const struct cb_conv_shape *s, const void *w, void *packed)
{
    const size_t turned = sizes_of(kernels, s, 1).turned;
    char *at = packed, *end = at + cb_conv_data_packed_bytes(kernels, s) - turned;
    struct data d = { .kernels = kernels, .s = s, .w = w, .turned = (float *)(void *)end };
    for (size_t i = 0; i < all_rests(s); i++) {
        d.rest = rest_of(s, i);
        if (!d.rest.any)
            continue;
        const struct cb_conv_algorithm *a = algorithm_of(kernels, &d.rest);
        pack_weights(&d, threads, a, at);
        at += cb_size_bytes(a->packed_bytes(kernels, &d.rest.shape), 1);
    }
    memset(end, 0, turned); /* the block is kept in a file, which must not differ from run to run */
}
