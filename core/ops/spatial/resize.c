/* core/ops/spatial/resize.c - Resize: x's pixels at other places, along any axes.
 *
 * ONNX Resize-19 (and Upsample-9). Interpolation is separable: one pass for each axis that changes,
 * over the table of its taps (resize_axis.h); those that make it smaller come first. The nearest
 * pixel is copied in one pass, of any type. */
#include <math.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/ops/args.h"
#include "core/ops/defs.h"
#include "core/ops/elementwise/walk.h"
#include "core/ops/spatial/resize_axis.h"

enum {
    ROW = 512,  /* floats that are summed at a time */
    NARROW = 8, /* elements behind an axis, too few for the kernels */
};

#define MOST_SIZE ((double)CB_MAX_ELEMENTS)

/* ---- infer: sizes and scales of every axis ---- */

struct wanted {
    int n, axis[CB_MAX_RANK]; /* axes that the lists speak of */
    int n_scales, n_roi;      /* of the inputs, else of the attributes */
    double scale[CB_MAX_RANK], roi[2 * CB_MAX_RANK];
    struct cb_list sizes;
};

static struct cb_status read_wanted(const struct cb_node *node, const struct cb_arg in[],
                                    struct wanted *w)
{
    const union cb_attr *a = &node->attr;
    struct cb_list sizes = { .count = 0 };
    int n_scales = 0, n_roi = 0;
    bool seen[CB_MAX_RANK];
    CB_TRY(cb_args_axes(node, &a->resize.axes, in[0].shape.rank, seen));
    w->n = a->resize.axes.count >= 0 ? a->resize.axes.count : in[0].shape.rank;
    for (int i = 0; i < w->n; i++)
        w->axis[i] =
            a->resize.axes.count < 0 ? i : cb_shape_axis(a->resize.axes.v[i], in[0].shape.rank);
    CB_TRY(cb_args_numbers(node, in, 1, "the roi", 2 * CB_MAX_RANK, &n_roi, w->roi));
    CB_TRY(cb_args_numbers(node, in, 2, "scales", CB_MAX_RANK, &n_scales, w->scale));
    CB_TRY(cb_args_list(node, in, 3, "sizes", &sizes));
    if (n_scales && sizes.count)
        return cb_fail(CB_ERR_MODEL, "%s: wants scales or sizes, has both", node->name);
    if (n_roi % 2)
        return cb_fail(CB_ERR_MODEL, "%s: wants a roi of pairs, has %d numbers", node->name, n_roi);
    w->n_scales = n_scales ? n_scales : sizes.count ? -1 : a->resize.n_scales;
    w->sizes = sizes.count ? sizes : n_scales ? (struct cb_list){ .count = -1 } : a->resize.sizes;
    w->n_roi = n_roi ? n_roi / 2 : a->resize.n_roi;
    for (int i = 0; !n_scales && i < a->resize.n_scales; i++)
        w->scale[i] = a->resize.scale[i];
    for (int i = 0; !n_roi && i < a->resize.n_roi; i++) {
        w->roi[i] = a->resize.roi[0][i];
        w->roi[a->resize.n_roi + i] = a->resize.roi[1][i];
    }
    return cb_ok();
}

static struct cb_status check_wanted(const struct cb_node *node, const struct wanted *w)
{
    const bool crop = node->attr.resize.place == CB_PLACE_TF_CROP_AND_RESIZE;
    if (w->n_scales < 0 && w->sizes.count < 0)
        return cb_fail(CB_ERR_MODEL, "%s: wants scales or sizes, has none", node->name);
    if (w->n_scales >= 0 && w->n_scales != w->n)
        return cb_fail(CB_ERR_MODEL, "%s: wants %d scales, has %d", node->name, w->n, w->n_scales);
    if (w->sizes.count >= 0 && w->sizes.count != w->n)
        return cb_fail(CB_ERR_MODEL, "%s: wants %d sizes, has %d", node->name, w->n,
                       w->sizes.count);
    if (crop && w->n_roi != w->n)
        return cb_fail(CB_ERR_MODEL, "%s: wants a roi of %d axes, has %d", node->name, w->n,
                       w->n_roi);
    for (int i = 0; i < w->n_scales; i++)
        if (!(w->scale[i] > 0) || !isfinite(w->scale[i]))
            return cb_fail(CB_ERR_MODEL, "%s: wants scales above 0, has %g", node->name,
                           w->scale[i]);
    for (int i = 0; i < w->sizes.count; i++)
        if (w->sizes.v[i] < 0 || (double)w->sizes.v[i] > MOST_SIZE)
            return cb_fail(CB_ERR_MODEL, "%s: wants sizes of 0 to %g, has %lld", node->name,
                           MOST_SIZE, (long long)w->sizes.v[i]);
    for (int i = 0; crop && i < 2 * w->n; i++)
        if (!isfinite(w->roi[i]))
            return cb_fail(CB_ERR_MODEL, "%s: wants a finite roi, has %g", node->name, w->roi[i]);
    return cb_ok();
}

/* The scale that all axes share so that none is larger, or smaller, than wanted. */
static double common_scale(const struct cb_node *node, const struct wanted *w,
                           const struct cb_shape *x)
{
    const bool least = node->attr.resize.fit == CB_FIT_NOT_LARGER;
    double common = 0;
    for (int i = 0; i < w->n; i++) {
        const double dim = (double)x->dim[w->axis[i]],
                     s = (double)w->sizes.v[i] / (dim > 0 ? dim : 1);
        common = i == 0 || (least ? s < common : s > common) ? s : common;
    }
    return common;
}

/* Size and scale of entry i. Sizes by scales are those of float arithmetic: so files' writers get
 * them. */
static void resize_entry(struct cb_node *node, const struct wanted *w, const struct cb_shape *x,
                         int i, double common)
{
    const int axis = w->axis[i];
    const double dim = (double)x->dim[axis];
    double *scale = &node->attr.resize.scale[axis];
    int64_t *size = &node->attr.resize.sizes.v[axis];
    if (w->sizes.count < 0) {
        *scale = w->scale[i];
        *size = (int64_t)fmin((double)floorf((float)dim * (float)*scale), 2 * MOST_SIZE);
    } else if (w->n_scales >= 0) {
        *scale = w->scale[i];
        *size = w->sizes.v[i];
    } else if (node->attr.resize.fit != CB_FIT_STRETCH) {
        *scale = common > 0 ? common : 1;
        *size = (int64_t)fmin(floor(common * dim + 0.5), 2 * MOST_SIZE);
    } else {
        *size = w->sizes.v[i];
        *scale = dim > 0 && *size > 0 ? (double)*size / dim : 1;
    }
    node->attr.resize.roi[0][axis] = w->n_roi == w->n ? w->roi[i] : 0;
    node->attr.resize.roi[1][axis] = w->n_roi == w->n ? w->roi[w->n_roi + i] : 1;
}

/* Whether an axis can be resized so, and its table is of a size that may be. */
static struct cb_status check_axis(const struct cb_node *node, const struct cb_shape *x, int axis)
{
    const union cb_attr *a = &node->attr;
    const int64_t in = x->dim[axis], out = a->resize.sizes.v[axis];
    if (in < 1 && out > 0)
        return cb_fail(CB_ERR_MODEL, "%s: wants elements along axis %d to make %lld of, has none",
                       node->name, axis, (long long)out);
    if (out < 1)
        return cb_ok();
    if (a->resize.antialias && 1 / a->resize.scale[axis] > 2.0 * (double)in + 2)
        return cb_fail(CB_ERR_MODEL, "%s: a scale of %g leaves nothing of axis %d of %lld",
                       node->name, a->resize.scale[axis], axis, (long long)in);
    if ((size_t)out > CB_MAX_ELEMENTS / cb_resize_taps(a, axis, (size_t)in))
        return cb_fail(CB_ERR_TOO_LARGE, "%s: axis %d of %lld would be %lld", node->name, axis,
                       (long long)in, (long long)out);
    return cb_ok();
}

static struct cb_status infer(struct cb_node *node, const struct cb_arg in[], struct cb_arg out[])
{
    const struct cb_shape *x = &in[0].shape;
    union cb_attr *a = &node->attr;
    struct wanted w;
    struct cb_shape y = *x;
    CB_TRY(cb_args_check(node, in));
    CB_TRY(read_wanted(node, in, &w));
    CB_TRY(check_wanted(node, &w));
    if (a->resize.mode != CB_RESIZE_NEAREST)
        CB_TRY(cb_args_want_float(node, &in[0]));
    a->resize.axes.count = -1;
    a->resize.sizes.count = a->resize.n_scales = a->resize.n_roi = x->rank;
    for (int i = 0; i < x->rank; i++) {
        a->resize.sizes.v[i] = x->dim[i];
        a->resize.scale[i] = 1;
        a->resize.roi[0][i] = 0;
        a->resize.roi[1][i] = 1;
    }
    const double common = common_scale(node, &w, x);
    for (int i = 0; i < w.n; i++)
        resize_entry(node, &w, x, i, common);
    a->resize.fit = CB_FIT_STRETCH;
    for (int i = 0; i < x->rank; i++) {
        CB_TRY(check_axis(node, x, i));
        y.dim[i] = a->resize.sizes.v[i];
    }
    return cb_args_out(node, &out[0], in[0].dtype, &y);
}

/* ---- passes, one for each axis that changes ---- */

struct resize {
    const struct cb_op_call *call;
    int n, number[CB_MAX_RANK]; /* which axes, in the order of the passes */
    struct cb_resize_axis axis[CB_MAX_RANK];
    size_t tables, part; /* bytes of the tables; of the largest result between two passes */
};

/* Those that become smallest first; of equals, those with few elements behind them do the work that
 * is less. */
static bool comes_before(const struct cb_resize_axis *inner, const struct cb_resize_axis *outer)
{
    const double a = (double)inner->out / (double)inner->in;
    const double b = (double)outer->out / (double)outer->in;
    return a < b || (a <= b && a > 1);
}

static struct resize resize_of(const struct cb_op_call *call)
{
    const union cb_attr *attr = &call->node->attr;
    struct resize r = { .call = call };
    const struct cb_shape *y = &call->out[0]->shape;
    struct cb_shape shape = call->in[0]->shape;
    for (int i = 0; i < shape.rank; i++) {
        struct cb_resize_axis a = { .in = (size_t)shape.dim[i], .out = (size_t)y->dim[i] };
        int at = r.n;
        if (!cb_resize_changes(attr, i, shape.dim[i], y->dim[i]) || !a.in || !a.out)
            continue;
        a.count = cb_resize_taps(attr, i, a.in);
        r.tables += cb_resize_table_bytes(&a);
        for (; at > 0 && comes_before(&a, &r.axis[at - 1]); at--) {
            r.axis[at] = r.axis[at - 1];
            r.number[at] = r.number[at - 1];
        }
        r.axis[at] = a;
        r.number[at] = i;
        r.n++;
    }
    for (int p = 0; p < r.n; p++) {
        r.axis[p].outer = cb_shape_span(&shape, 0, r.number[p]);
        r.axis[p].inner = cb_shape_span(&shape, r.number[p] + 1, shape.rank);
        shape.dim[r.number[p]] = (int64_t)r.axis[p].out;
        const size_t bytes = cb_align_up(cb_shape_count(&shape) * sizeof(float));
        if (p + 1 < r.n && bytes > r.part)
            r.part = bytes;
    }
    return r;
}

static void fill_tables(struct resize *r)
{
    char *at = r->call->scratch;
    for (int p = 0; p < r->n; p++) {
        cb_resize_table_fill(&r->call->node->attr, r->number[p], at, &r->axis[p]);
        at += cb_resize_table_bytes(&r->axis[p]);
    }
}

static bool is_crop(const struct cb_op_call *call)
{
    return call->node->attr.resize.place == CB_PLACE_TF_CROP_AND_RESIZE;
}

/* Tables, results between passes, and in backward dy without what stands outside. */
static size_t scratch(const struct cb_op_call *call, bool backward)
{
    const struct resize r = resize_of(call);
    const size_t own =
        backward && is_crop(call) ? cb_align_up(cb_tensor_count(call->out[0]) * sizeof(float)) : 0;
    return r.tables + 2 * r.part + own;
}

struct pass {
    const struct cb_resize_axis *axis;
    const struct cb_kernels *kernels;
    const float *from;
    float *to;
    size_t blocks; /* of what lies behind the axis, in backward */
};

static void sum_narrow(const struct cb_resize_axis *a, const float *weight, const float *from,
                       float *to)
{
    for (size_t i = 0; i < a->inner; i++) {
        float sum = 0;
        for (size_t t = 0; t < a->count; t++)
            sum += weight[t] * from[t * a->inner + i];
        to[i] = sum;
    }
}

/* Four floats at any address. */
typedef float four __attribute__((vector_size(16)));
typedef float four_anywhere __attribute__((vector_size(16), aligned(4), may_alias));

/* to = u * a + v * b: linear interpolation, in one sweep. */
static void mix(size_t n, float u, const float *a, float v, const float *b, float *to)
{
    const four us = { u, u, u, u }, vs = { v, v, v, v };
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        *(four_anywhere *)(to + i) =
            us * *(const four_anywhere *)(a + i) + vs * *(const four_anywhere *)(b + i);
    for (; i < n; i++)
        to[i] = u * a[i] + v * b[i];
}

static void sum_row(const struct pass *p, const float *weight, const float *from, float *to)
{
    const struct cb_resize_axis *a = p->axis;
    if (a->count == 2 && weight[0] > 0 && weight[1] > 0) {
        mix(a->inner, weight[0], from, weight[1], from + a->inner, to);
        return;
    }
    for (size_t begin = 0; begin < a->inner; begin += ROW) {
        const size_t n = a->inner - begin < ROW ? a->inner - begin : ROW;
        memset(to + begin, 0, n * sizeof *to);
        for (size_t t = 0; t < a->count; t++)
            if (weight[t] < 0 || weight[t] > 0)
                p->kernels->axpy(n, weight[t], from + t * a->inner + begin, to + begin);
    }
}

static void forward_rows(void *ctx, size_t begin, size_t end)
{
    const struct pass *p = ctx;
    const struct cb_resize_axis *a = p->axis;
    size_t o = begin / a->out, j = begin % a->out; /* rows may be short: no division for each */
    for (size_t row = begin; row < end; row++) {
        const float *from = p->from + (o * a->in + a->first[j]) * a->inner;
        const float *weight = a->weight + j * a->count;
        if (a->inner < NARROW)
            sum_narrow(a, weight, from, p->to + row * a->inner);
        else
            sum_row(p, weight, from, p->to + row * a->inner);
        if (++j == a->out) {
            j = 0;
            o++;
        }
    }
}

/* A block of what lies behind the axis, so that no two tasks add to one place. */
static void backward_blocks(void *ctx, size_t begin, size_t end)
{
    const struct pass *p = ctx;
    const struct cb_resize_axis *a = p->axis;
    for (size_t task = begin; task < end; task++) {
        const size_t o = task / p->blocks, i = task % p->blocks * ROW;
        const size_t n = a->inner - i < ROW ? a->inner - i : ROW;
        const float *from = p->from + o * a->out * a->inner + i;
        float *to = p->to + o * a->in * a->inner + i;
        for (size_t j = 0; j < a->out; j++)
            for (size_t t = 0; t < a->count; t++)
                p->kernels->axpy(n, a->weight[j * a->count + t], from + j * a->inner,
                                 to + (a->first[j] + t) * a->inner);
    }
}

/* value at every place of y that lies outside of x. */
static void set_outside(const struct resize *r, float value, const struct cb_tensor *y)
{
    const struct cb_shape *shape = &r->call->out[0]->shape;
    const int64_t whole = cb_dtype_wrap(y->dtype, cb_args_to_int((double)value));
    const bool real = cb_dtype_get(y->dtype)->is_float;
    for (int p = 0; p < r->n; p++) {
        const struct cb_resize_axis *a = &r->axis[p];
        const size_t inner = cb_shape_span(shape, r->number[p] + 1, shape->rank);
        const size_t rows = cb_shape_span(shape, 0, r->number[p] + 1);
        for (size_t row = 0; row < rows; row++)
            for (size_t i = row * inner; a->outside[row % a->out] && i < (row + 1) * inner; i++)
                if (real)
                    y->f[i] = value;
                else
                    y->i[i] = whole;
    }
}

static void interpolate(const struct resize *r)
{
    const struct cb_op_call *call = r->call;
    char *parts = (char *)call->scratch + r->tables;
    struct pass p = { .kernels = call->kernels, .from = call->in[0]->f };
    for (int i = 0; i < r->n; i++) {
        p.axis = &r->axis[i];
        p.to =
            i + 1 == r->n ? call->out[0]->f : (float *)(void *)(parts + (size_t)(i % 2) * r->part);
        cb_walk_range(call->threads, p.axis->outer * p.axis->out,
                      1 + CB_WALK_GRAIN / (p.axis->inner * p.axis->count), forward_rows, &p);
        p.from = p.to;
    }
}

/* ---- nearest: one pass over the rows of y up to the last axis that changes ---- */

struct gather {
    const struct cb_tensor *x;
    char *y;
    size_t size, inner; /* bytes of an element; elements that stay together */
    int last;
    size_t in[CB_MAX_RANK], out[CB_MAX_RANK];
    const uint32_t *from[CB_MAX_RANK]; /* NULL: as it is */
};

static void gather_rows(void *ctx, size_t begin, size_t end)
{
    const struct gather *g = ctx;
    const size_t bytes = g->inner * g->size, out = g->out[g->last];
    const uint32_t *from = g->from[g->last];
    for (size_t row = begin; row < end; row++) {
        size_t at = 0, step = 1;
        for (size_t k = (size_t)g->last, rest = row; k-- > 0; rest /= g->out[k]) {
            const size_t i = rest % g->out[k];
            at += step * (g->from[k] ? g->from[k][i] : i);
            step *= g->in[k];
        }
        const char *x = (const char *)g->x->data + at * g->in[g->last] * bytes;
        char *y = g->y + row * out * bytes;
        if (bytes == sizeof(uint32_t))
            for (size_t j = 0; j < out; j++)
                memcpy(y + j * sizeof(uint32_t), x + from[j] * sizeof(uint32_t), sizeof(uint32_t));
        else
            for (size_t j = 0; j < out; j++)
                memcpy(y + j * bytes, x + from[j] * bytes, bytes);
    }
}

static void copy_nearest(const struct resize *r)
{
    const struct cb_op_call *call = r->call;
    const struct cb_shape *x = &call->in[0]->shape, *y = &call->out[0]->shape;
    struct gather g = { .x = call->in[0],
                        .y = call->out[0]->data,
                        .size = cb_dtype_size(call->in[0]->dtype) };
    for (int i = 0; i < x->rank; i++) {
        g.in[i] = (size_t)x->dim[i];
        g.out[i] = (size_t)y->dim[i];
    }
    for (int p = 0; p < r->n; p++) {
        g.from[r->number[p]] = r->axis[p].first;
        g.last = r->number[p] > g.last ? r->number[p] : g.last;
    }
    g.inner = cb_shape_span(x, g.last + 1, x->rank);
    cb_walk_range(call->threads, cb_shape_span(y, 0, g.last),
                  1 + CB_WALK_GRAIN / (g.out[g.last] * g.inner), gather_rows, &g);
}

static void forward(const struct cb_op_call *call)
{
    struct resize r = resize_of(call);
    if (!cb_tensor_count(call->out[0]))
        return;
    fill_tables(&r);
    if (r.n == 0)
        memcpy(call->out[0]->data, call->in[0]->data, cb_tensor_bytes(call->in[0]));
    else if (call->node->attr.resize.mode == CB_RESIZE_NEAREST)
        copy_nearest(&r);
    else
        interpolate(&r);
    if (is_crop(call))
        set_outside(&r, call->node->attr.resize.outside, call->out[0]);
}

static void backward(const struct cb_op_call *call)
{
    struct resize r = resize_of(call);
    const struct cb_tensor *dy = call->dout[0];
    struct cb_tensor *dx = call->din[0];
    char *parts = (char *)call->scratch + r.tables;
    struct pass p = { .kernels = call->kernels, .from = dy ? dy->f : NULL };
    if (!dy || !dx || !cb_tensor_count(dy))
        return;
    fill_tables(&r);
    if (is_crop(call)) {
        struct cb_tensor own = *dy;
        own.data = memcpy(parts + 2 * r.part, dy->f, cb_tensor_bytes(dy));
        set_outside(&r, 0, &own);
        p.from = own.f;
    }
    if (r.n == 0)
        call->kernels->axpy(cb_tensor_count(dx), 1, p.from, dx->f);
    for (int i = r.n - 1; i >= 0; i--) {
        p.axis = &r.axis[i];
        p.blocks = (p.axis->inner + ROW - 1) / ROW;
        p.to = i == 0 ? dx->f : (float *)(void *)(parts + (size_t)(i % 2) * r.part);
        if (i > 0)
            memset(p.to, 0, p.axis->outer * p.axis->in * p.axis->inner * sizeof *p.to);
        cb_walk_range(call->threads, p.axis->outer * p.blocks, 1, backward_blocks, &p);
        p.from = p.to;
    }
}

const struct cb_op_def cb_op_resize = {
    .name = "Resize",
    .min_in = 1,
    .max_in = 4,
    .max_out = 1,
    .params = 1u << 1 | 1u << 2 | 1u << 3,
    .infer = infer,
    .scratch = scratch,
    .forward = forward,
    .backward = backward,
};
