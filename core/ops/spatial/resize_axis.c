#include "core/ops/spatial/resize_axis.h"

#include <math.h>
#include <string.h>

#include "core/base/arena.h"

#define FAR 0x1p33 /* beyond all pixels: a place further out is as good */

bool cb_resize_changes(const union cb_attr *attr, int axis, int64_t in, int64_t out)
{
    const double scale = attr->resize.scale[axis];
    return out != in || scale < 1 || scale > 1 || attr->resize.place == CB_PLACE_TF_CROP_AND_RESIZE;
}

/* In floats, as the roi is given: what begins at a pixel does so exactly, and is not outside. */
static double cropped_place(const union cb_attr *attr, int axis, const struct cb_resize_axis *a,
                            size_t j)
{
    const float begin = (float)attr->resize.roi[0][axis], end = (float)attr->resize.roi[1][axis];
    const float last = (float)(a->in - 1);
    const float x = a->out > 1
                        ? begin * last + (float)j * (end - begin) * last / (float)(a->out - 1)
                        : 0.5f * (begin + end) * last;
    return (double)x;
}

/* Where place j of y lies in x. */
static double place_of(const union cb_attr *attr, int axis, const struct cb_resize_axis *a,
                       size_t j, double scale)
{
    const double in = (double)a->in, out = (double)a->out, at = (double)j;
    switch (attr->resize.place) {
    case CB_PLACE_HALF_PIXEL_SYMMETRIC: {
        const double missing = 1 - out / (scale * in);
        return in / 2 * missing + (at + 0.5) / scale - 0.5;
    }
    case CB_PLACE_PYTORCH_HALF_PIXEL: return out > 1 ? (at + 0.5) / scale - 0.5 : 0;
    case CB_PLACE_ALIGN_CORNERS: return out > 1 ? at * (in - 1) / (out - 1) : 0;
    case CB_PLACE_ASYMMETRIC: return at / scale;
    case CB_PLACE_TF_HALF_PIXEL_FOR_NN: return (at + 0.5) / scale;
    case CB_PLACE_TF_CROP_AND_RESIZE: return cropped_place(attr, axis, a, j);
    default: return (at + 0.5) / scale - 0.5;
    }
}

/* Ties are decided on floats, as all who make such files have it: what is a tie in real numbers is
 * one there. */
static double round_place(enum cb_resize_round round, float x, bool smaller)
{
    switch (round) {
    case CB_ROUND_PREFER_CEIL: return (double)floorf(x + 0.5f);
    case CB_ROUND_FLOOR: return (double)floorf(x);
    case CB_ROUND_CEIL: return (double)ceilf(x);
    case CB_ROUND_SIMPLE: return (double)(smaller ? ceilf(x) : truncf(x));
    default: return (double)ceilf(x - 0.5f);
    }
}

/* How much wider than usual the filter is. */
static double widening(const union cb_attr *attr, int axis)
{
    const double scale = attr->resize.scale[axis];
    return attr->resize.antialias && scale < 1 ? 1 / scale : 1;
}

/* The first tap, relative to the pixel at or before the place; the last is as far behind the next
 * one. */
static int64_t first_tap(const union cb_attr *attr, int axis)
{
    const double reach = attr->resize.mode == CB_RESIZE_CUBIC ? 2 : 1;
    return (int64_t)floor(-reach * widening(attr, axis)) + 1;
}

size_t cb_resize_taps(const union cb_attr *attr, int axis, size_t in)
{
    if (attr->resize.mode == CB_RESIZE_NEAREST)
        return 1;
    const size_t taps = (size_t)(2 - 2 * first_tap(attr, axis));
    return taps < in ? taps : in;
}

/* The weight of a pixel at distance d from the place. Cubic: R. Keys, "Cubic convolution
 * interpolation for digital image processing", 1981. */
static double filter(const union cb_attr *attr, double d)
{
    const double a = (double)attr->resize.cubic;
    d = fabs(d);
    if (attr->resize.mode == CB_RESIZE_LINEAR)
        return d < 1 ? 1 - d : 0;
    if (d <= 1)
        return ((a + 2) * d - (a + 3)) * d * d + 1;
    return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

static int64_t clamped(int64_t v, int64_t most)
{
    return v < 0 ? 0 : v > most ? most : v;
}

static void fill_weights(const union cb_attr *attr, int axis, double x, uint32_t *first,
                         float *weight, const struct cb_resize_axis *a)
{
    const int64_t in = (int64_t)a->in, tap = first_tap(attr, axis), taps = 2 - 2 * tap;
    const int64_t begin = (int64_t)floor(x) + tap;
    const double wide = widening(attr, axis);
    const bool normal = attr->resize.exclude_outside || wide > 1;
    double sum = 0;
    *first = (uint32_t)clamped(begin, in - (int64_t)a->count);
    for (int pass = normal ? 0 : 1; pass < 2; pass++)
        for (int64_t i = begin; i < begin + taps; i++) {
            const double w = filter(attr, ((double)i - x) / wide);
            if (attr->resize.exclude_outside && (i < 0 || i >= in))
                continue;
            if (pass == 0)
                sum += w;
            else
                weight[clamped(i, in - 1) - *first] +=
                    (float)(normal ? (fabs(sum) > 0 ? w / sum : 0) : w);
        }
}

size_t cb_resize_table_bytes(const struct cb_resize_axis *a)
{
    return cb_align_up(a->out * a->count * sizeof *a->weight) +
           cb_align_up(a->out * sizeof *a->first) + cb_align_up(a->out * sizeof *a->outside);
}

void cb_resize_table_fill(const union cb_attr *attr, int axis, void *memory,
                          struct cb_resize_axis *a)
{
    const bool nearest = attr->resize.mode == CB_RESIZE_NEAREST;
    const double scale =
        nearest ? (double)(float)attr->resize.scale[axis] : attr->resize.scale[axis];
    char *at = memory;
    a->weight = (float *)(void *)at;
    at += cb_align_up(a->out * a->count * sizeof *a->weight);
    a->first = (uint32_t *)(void *)at;
    a->outside = (bool *)(at + cb_align_up(a->out * sizeof *a->first));
    memset(a->weight, 0, a->out * a->count * sizeof *a->weight);
    for (size_t j = 0; j < a->out; j++) {
        const double x = fmin(fmax(place_of(attr, axis, a, j, scale), -FAR), FAR);
        a->outside[j] =
            attr->resize.place == CB_PLACE_TF_CROP_AND_RESIZE && (x < 0 || x > (double)(a->in - 1));
        if (nearest) {
            const double near = round_place(attr->resize.round, (float)x, scale < 1);
            a->first[j] = (uint32_t)clamped((int64_t)near, (int64_t)a->in - 1);
            a->weight[j] = 1;
        } else {
            fill_weights(attr, axis, x, &a->first[j], a->weight + j * a->count, a);
        }
    }
}
