/* core/ops/spatial/grid_sample.c - GridSample, channels last: y's pixels are x's at places that a
 * grid names.
 *
 * x [N, spatial..., C], grid [N, places..., axes], its last numbers (x, y, ..) from -1 to 1 along
 * the last axis first; y [N, places..., C]. ONNX GridSample-22. A place outside of x takes its
 * pixels from where the padding says: border and reflection move each pixel, which is the same as
 * moving the place. */
#include <math.h>
#include <string.h>

#include "core/ops/args.h"
#include "core/ops/defs.h"
#include "core/ops/elementwise/walk.h"

enum { X, GRID, TAPS = 4 };

#define FAR 0x1p30 /* beyond all pixels */

static struct cb_status infer(struct cb_node *node, const struct cb_arg in[], struct cb_arg out[])
{
    const struct cb_shape *x = &in[X].shape, *grid = &in[GRID].shape;
    char a[CB_SHAPE_TEXT], b[CB_SHAPE_TEXT];
    CB_TRY(cb_args_check(node, in));
    CB_TRY(cb_args_want_float(node, &in[X]));
    CB_TRY(cb_args_want_float(node, &in[GRID]));
    if (x->rank < 3 || grid->rank != x->rank || grid->dim[0] != x->dim[0] ||
        grid->dim[x->rank - 1] != x->rank - 2)
        return cb_fail(CB_ERR_MODEL,
                       "%s: wants [N,spatial...,C] and a grid [N,..,axes], has %s and %s",
                       node->name, cb_shape_text(x, a), cb_shape_text(grid, b));
    if (x->rank > CB_MAX_SPATIAL + 2)
        return cb_fail(CB_ERR_UNSUPPORTED, "%s: wants at most %d spatial axes, has %d", node->name,
                       CB_MAX_SPATIAL, x->rank - 2);
    struct cb_shape y = *grid;
    y.dim[y.rank - 1] = x->dim[x->rank - 1];
    for (int i = 1; i < x->rank - 1; i++)
        if (x->dim[i] < 1)
            return cb_fail(CB_ERR_MODEL, "%s: wants sizes of at least 1, has %s", node->name,
                           cb_shape_text(x, a));
    return cb_args_out(node, &out[0], in[X].dtype, &y);
}

/* Along one axis: the pixels under a place, -1 where there is 0; their weights, and how these
 * change with the grid's number. */
struct taps {
    int64_t pixel[TAPS];
    float weight[TAPS], slope[TAPS];
};

struct sampler {
    const struct cb_op_call *call;
    int axes, count; /* count: taps of an axis */
    int64_t size[CB_MAX_SPATIAL];
    size_t channels, area, places; /* pixels of an image of x, and of y */
};

static struct sampler sampler_of(const struct cb_op_call *call)
{
    const struct cb_shape *x = &call->in[X]->shape;
    const enum cb_resize_mode mode = call->node->attr.sample.mode;
    struct sampler s = { .call = call,
                         .axes = x->rank - 2,
                         .count = mode == CB_RESIZE_NEAREST  ? 1
                                  : mode == CB_RESIZE_LINEAR ? 2
                                                             : TAPS,
                         .channels = (size_t)x->dim[x->rank - 1],
                         .area = cb_shape_span(x, 1, x->rank - 1),
                         .places = cb_shape_span(&call->out[0]->shape, 1, x->rank - 1) };
    for (int i = 0; i < s.axes; i++)
        s.size[i] = x->dim[1 + i];
    return s;
}

/* The pixel that stands for pixel i of n. */
static int64_t padded(const union cb_attr *attr, int64_t i, int64_t n)
{
    const int64_t period = attr->sample.align_corners ? 2 * (n - 1) : 2 * n;
    if (i >= 0 && i < n)
        return i;
    if (attr->sample.padding == CB_PAD_CONSTANT)
        return -1;
    if (attr->sample.padding == CB_PAD_EDGE || period == 0)
        return i < 0 ? 0 : n - 1;
    i %= period;
    i += i < 0 ? period : 0;
    return i < n ? i : (attr->sample.align_corners ? period : period - 1) - i;
}

/* Keys' cubic with a = -0.75, and its derivative, at distance d. */
static void cubic(float d, float *weight, float *slope)
{
    const float a = -0.75f, side = d < 0 ? -1.0f : 1.0f, r = fabsf(d);
    if (r <= 1) {
        *weight = ((a + 2) * r - (a + 3)) * r * r + 1;
        *slope = side * (3 * (a + 2) * r - 2 * (a + 3)) * r;
    } else {
        *weight = ((a * r - 5 * a) * r + 8 * a) * r - 4 * a;
        *slope = side * ((3 * a * r - 10 * a) * r + 8 * a);
    }
}

static struct taps taps_of(const struct sampler *s, int axis, float g)
{
    const union cb_attr *attr = &s->call->node->attr;
    const float n = (float)s->size[axis];
    const float scale = attr->sample.align_corners ? (n - 1) / 2 : n / 2;
    const float at = attr->sample.align_corners ? (g + 1) / 2 * (n - 1) : ((g + 1) * n - 1) / 2;
    const float x = isnan(at) ? (float)-FAR : fminf(fmaxf(at, (float)-FAR), (float)FAR);
    const float below = s->count == 1 ? nearbyintf(x) : floorf(x), part = x - below;
    const int64_t first = (int64_t)below - (s->count == TAPS);
    struct taps t = { .weight = { 1 } };
    for (int i = 0; i < s->count; i++) {
        t.pixel[i] = padded(attr, first + i, s->size[axis]);
        if (s->count == 2) {
            t.weight[i] = i ? part : 1 - part;
            t.slope[i] = i ? scale : -scale;
        } else if (s->count == TAPS) {
            cubic(part - (float)(i - 1), &t.weight[i], &t.slope[i]);
            t.slope[i] *= scale;
        }
    }
    return t;
}

/* One pixel under a place. */
struct tap {
    size_t pixel; /* of its image; SIZE_MAX: 0 stands there */
    float weight, slope[CB_MAX_SPATIAL];
};

static int all_taps(const struct sampler *s)
{
    return s->axes == 1   ? s->count
           : s->axes == 2 ? s->count * s->count
                          : s->count * s->count * s->count;
}

static struct tap tap_of(const struct sampler *s, const struct taps *axis, int number)
{
    struct tap tap = { .weight = 1, .slope = { 1, 1, 1 } };
    int i[CB_MAX_SPATIAL];
    for (int k = s->axes - 1; k >= 0; number /= s->count, k--)
        i[k] = number % s->count;
    for (int k = 0; k < s->axes; k++) {
        const int64_t pixel = axis[k].pixel[i[k]];
        tap.pixel = pixel < 0 || tap.pixel == SIZE_MAX
                        ? SIZE_MAX
                        : tap.pixel * (size_t)s->size[k] + (size_t)pixel;
        tap.weight *= axis[k].weight[i[k]];
        for (int other = 0; other < s->axes; other++)
            tap.slope[other] *= other == k ? axis[k].slope[i[k]] : axis[k].weight[i[k]];
    }
    return tap;
}

static void taps_at(const struct sampler *s, size_t place, struct taps axis[CB_MAX_SPATIAL])
{
    const float *g = s->call->in[GRID]->f + place * (size_t)s->axes;
    for (int k = 0; k < s->axes; k++)
        axis[k] = taps_of(s, k, g[s->axes - 1 - k]);
}

static void forward_places(void *ctx, size_t begin, size_t end)
{
    const struct sampler *s = ctx;
    const int n = all_taps(s);
    for (size_t place = begin; place < end; place++) {
        const float *x = s->call->in[X]->f + place / s->places * s->area * s->channels;
        float *y = s->call->out[0]->f + place * s->channels;
        struct taps axis[CB_MAX_SPATIAL];
        taps_at(s, place, axis);
        memset(y, 0, s->channels * sizeof *y);
        for (int i = 0; i < n; i++) {
            const struct tap tap = tap_of(s, axis, i);
            if (tap.pixel != SIZE_MAX && (tap.weight < 0 || tap.weight > 0))
                s->call->kernels->axpy(s->channels, tap.weight, x + tap.pixel * s->channels, y);
        }
    }
}

static void forward(const struct cb_op_call *call)
{
    struct sampler s = sampler_of(call);
    const size_t work = (size_t)all_taps(&s) * s.channels;
    if (cb_tensor_count(call->out[0]))
        cb_walk_range(call->threads, (size_t)call->in[X]->shape.dim[0] * s.places,
                      1 + CB_WALK_GRAIN / work, forward_places, &s);
}

/* One image: no two write to the same place. */
static void backward_image(void *ctx, size_t image, size_t worker)
{
    (void)worker;
    const struct sampler *s = ctx;
    const struct cb_tensor *dx = s->call->din[X], *dgrid = s->call->din[GRID];
    const struct cb_kernels *k = s->call->kernels;
    const size_t first = image * s->area * s->channels;
    const int n = all_taps(s);
    for (size_t place = image * s->places; place < (image + 1) * s->places; place++) {
        const float *dy = s->call->dout[0]->f + place * s->channels;
        struct taps axis[CB_MAX_SPATIAL];
        taps_at(s, place, axis);
        for (int i = 0; i < n; i++) {
            const struct tap tap = tap_of(s, axis, i);
            if (tap.pixel == SIZE_MAX)
                continue;
            const size_t at = first + tap.pixel * s->channels;
            if (dx)
                k->axpy(s->channels, tap.weight, dy, dx->f + at);
            const float dot = dgrid ? k->dot(s->channels, dy, s->call->in[X]->f + at) : 0;
            for (int a = 0; dgrid && a < s->axes; a++)
                dgrid->f[place * (size_t)s->axes + (size_t)(s->axes - 1 - a)] += tap.slope[a] * dot;
        }
    }
}

static void backward(const struct cb_op_call *call)
{
    struct sampler s = sampler_of(call);
    if (call->dout[0] && (call->din[X] || call->din[GRID]))
        cb_threads_for(call->threads, (size_t)call->in[X]->shape.dim[0], backward_image, &s);
}

const struct cb_op_def cb_op_grid_sample = {
    .name = "GridSample",
    .min_in = 2,
    .max_in = 2,
    .max_out = 1,
    .infer = infer,
    .forward = forward,
    .backward = backward,
};
