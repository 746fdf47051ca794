/* core/ops/spatial/roi.c - RoiAlign and MaxRoiPool, channels last: regions of images, each to a
 * grid of bins.
 *
 * x [N, H, W, C], RoiAlign: rois [R, 4] (x1, y1, x2, y2) and images [R]; MaxRoiPool: rois [R, 5],
 * the image first; y [R, bins..., C]. ONNX RoiAlign-22 (arXiv:1703.06870), MaxRoiPool-22
 * (arXiv:1504.08083). An image that is not there gives 0. */
#include <math.h>
#include <string.h>

#include "core/ops/args.h"
#include "core/ops/defs.h"

enum { X, ROIS, IMAGES, CORNERS = 4 };

static struct cb_status check(const struct cb_node *node, const struct cb_arg in[], int numbers,
                              struct cb_arg *out)
{
    const struct cb_shape *x = &in[X].shape, *rois = &in[ROIS].shape;
    const union cb_attr *a = &node->attr;
    char s[CB_SHAPE_TEXT], t[CB_SHAPE_TEXT];
    CB_TRY(cb_args_check(node, in));
    CB_TRY(cb_args_want_float(node, &in[X]));
    CB_TRY(cb_args_want_float(node, &in[ROIS]));
    if (x->rank != 4 || x->dim[1] < 1 || x->dim[2] < 1 || rois->rank != 2 ||
        rois->dim[1] != numbers)
        return cb_fail(CB_ERR_MODEL, "%s: wants [N,H,W,C] and regions [R,%d], has %s and %s",
                       node->name, numbers, cb_shape_text(x, s), cb_shape_text(rois, t));
    for (int i = 0; i < 2; i++)
        if (a->roi.bins[i] < 1 || a->roi.bins[i] > INT16_MAX)
            return cb_fail(CB_ERR_MODEL, "%s: wants 1 to %d bins, has %lld", node->name, INT16_MAX,
                           (long long)a->roi.bins[i]);
    if (a->roi.samples < 0 || a->roi.samples > INT16_MAX || !isfinite(a->roi.scale))
        return cb_fail(CB_ERR_MODEL,
                       "%s: wants 0 to %d samples and a finite scale, has %lld and %g", node->name,
                       INT16_MAX, (long long)a->roi.samples, (double)a->roi.scale);
    const struct cb_shape y = { 4, { rois->dim[0], a->roi.bins[0], a->roi.bins[1], x->dim[3] } };
    return cb_args_out(node, out, in[X].dtype, &y);
}

static struct cb_status align_infer(struct cb_node *node, const struct cb_arg in[],
                                    struct cb_arg out[])
{
    char t[CB_SHAPE_TEXT];
    CB_TRY(check(node, in, CORNERS, &out[0]));
    if (in[IMAGES].dtype != CB_INT64 || in[IMAGES].shape.rank != 1 ||
        in[IMAGES].shape.dim[0] != in[ROIS].shape.dim[0])
        return cb_fail(CB_ERR_MODEL, "%s: wants the images int64 [%lld], has %s %s", node->name,
                       (long long)in[ROIS].shape.dim[0], cb_dtype_get(in[IMAGES].dtype)->name,
                       cb_shape_text(&in[IMAGES].shape, t));
    return cb_ok();
}

static struct cb_status pool_infer(struct cb_node *node, const struct cb_arg in[],
                                   struct cb_arg out[])
{
    return check(node, in, 1 + CORNERS, &out[0]);
}

struct picture {
    const float *x;
    float *dx;
    size_t height, width, channels;
};

static struct picture picture_of(const struct cb_op_call *call, size_t image)
{
    const struct cb_shape *x = &call->in[X]->shape;
    struct picture p = { .height = (size_t)x->dim[1],
                         .width = (size_t)x->dim[2],
                         .channels = (size_t)x->dim[3] };
    const size_t at = image * p.height * p.width * p.channels;
    p.x = call->in[X]->f + at;
    p.dx = call->din && call->din[X] ? call->din[X]->f + at : NULL;
    return p;
}

/* ---- RoiAlign: a bin is the average, or the maximum, of samples between pixels ---- */

struct sample {
    size_t at[CORNERS]; /* elements of the picture */
    float weight[CORNERS];
};

/* The two pixels of an axis under a place; false: too far outside. */
static bool between(float v, size_t n, size_t pixel[2], float weight[2])
{
    if (!(v >= -1 && v <= (float)n))
        return false;
    const float inside = fmaxf(v, 0);
    pixel[0] = (size_t)inside;
    if (pixel[0] >= n - 1) {
        pixel[0] = pixel[1] = n - 1;
        weight[1] = 0;
    } else {
        pixel[1] = pixel[0] + 1;
        weight[1] = inside - (float)pixel[0];
    }
    weight[0] = 1 - weight[1];
    return true;
}

static bool sample_at(const struct picture *p, float y, float x, struct sample *s)
{
    size_t row[2], column[2];
    float wy[2], wx[2];
    if (!between(y, p->height, row, wy) || !between(x, p->width, column, wx))
        return false;
    for (int i = 0; i < CORNERS; i++) {
        s->at[i] = (row[i / 2] * p->width + column[i % 2]) * p->channels;
        s->weight[i] = wy[i / 2] * wx[i % 2];
    }
    return true;
}

/* One region: its first corner, the size of a bin, samples along both axes of one. */
struct region {
    float begin[2], bin[2];
    size_t samples[2];
};

/* More samples than 8 for each pixel of a side see nothing new: a hostile region may ask for any.
 */
static size_t sample_count(const union cb_attr *attr, float bin, size_t side)
{
    const float most = 8 * (float)side;
    const float wanted = attr->roi.samples ? (float)attr->roi.samples : ceilf(bin);
    return wanted >= 1 ? (size_t)fminf(wanted, most) : 0; /* NaN too */
}

static struct region region_of(const struct cb_op_call *call, const struct picture *p, size_t roi)
{
    const union cb_attr *attr = &call->node->attr;
    const float *corner = call->in[ROIS]->f + roi * CORNERS, scale = attr->roi.scale;
    const float offset = attr->roi.half_pixel ? 0.5f : 0;
    const size_t side[2] = { p->height, p->width };
    struct region r;
    for (int i = 0; i < 2; i++) { /* y, then x */
        const float begin = corner[1 - i] * scale - offset, end = corner[3 - i] * scale - offset;
        const float size = attr->roi.half_pixel ? end - begin : fmaxf(end - begin, 1);
        r.begin[i] = begin;
        r.bin[i] = size / (float)attr->roi.bins[i];
        r.samples[i] = sample_count(attr, r.bin[i], side[i]);
    }
    return r;
}

static bool region_sample(const struct picture *p, const struct region *r, const size_t bin[2],
                          size_t number, struct sample *s)
{
    const size_t i[2] = { number / r->samples[1], number % r->samples[1] };
    float at[2];
    for (int k = 0; k < 2; k++)
        at[k] = r->begin[k] + (float)bin[k] * r->bin[k] +
                ((float)i[k] + 0.5f) * r->bin[k] / (float)r->samples[k];
    return sample_at(p, at[0], at[1], s);
}

static size_t all_samples(const struct region *r)
{
    return r->samples[0] * r->samples[1];
}

static void average_bin(const struct cb_op_call *call, const struct picture *p,
                        const struct region *r, const size_t bin[2], float *y, const float *dy)
{
    const size_t n = all_samples(r);
    struct sample s;
    for (size_t i = 0; i < n; i++) {
        if (!region_sample(p, r, bin, i, &s))
            continue;
        for (int k = 0; k < CORNERS; k++) {
            const float weight = s.weight[k] / (float)n;
            if (dy)
                call->kernels->axpy(p->channels, weight, dy, p->dx + s.at[k]);
            else
                call->kernels->axpy(p->channels, weight, p->x + s.at[k], y);
        }
    }
}

/* ONNX's maximum is over the four weighted pixels of every sample, each for itself. */
static void max_bin(const struct picture *p, const struct region *r, const size_t bin[2], float *y,
                    const float *dy)
{
    const size_t n = all_samples(r);
    for (size_t c = 0; c < p->channels; c++) {
        float most = n ? -INFINITY : 0, weight = 0;
        size_t from = SIZE_MAX;
        struct sample s;
        for (size_t i = 0; i < n; i++) {
            if (!region_sample(p, r, bin, i, &s)) {
                from = most < 0 ? SIZE_MAX : from;
                most = fmaxf(most, 0);
                continue;
            }
            for (int k = 0; k < CORNERS; k++) {
                const float v = s.weight[k] * p->x[s.at[k] + c];
                if (!(v > most))
                    continue;
                most = v;
                weight = s.weight[k];
                from = s.at[k] + c;
            }
        }
        if (!dy)
            y[c] = most;
        else if (from != SIZE_MAX)
            p->dx[from] += weight * dy[c];
    }
}

static void align_roi(const struct cb_op_call *call, size_t roi, bool back)
{
    const union cb_attr *attr = &call->node->attr;
    const int64_t image = call->in[IMAGES]->i[roi];
    const size_t bins = (size_t)(attr->roi.bins[0] * attr->roi.bins[1]);
    const size_t channels = (size_t)call->in[X]->shape.dim[3];
    const bool there = image >= 0 && image < call->in[X]->shape.dim[0];
    const struct picture p = picture_of(call, there ? (size_t)image : 0);
    const struct region r = region_of(call, &p, roi);
    for (size_t b = 0; b < bins; b++) {
        const size_t bin[2] = { b / (size_t)attr->roi.bins[1], b % (size_t)attr->roi.bins[1] };
        const size_t at = (roi * bins + b) * channels;
        float *y = call->out[0]->f + at;
        const float *dy = back ? call->dout[0]->f + at : NULL;
        if (!back)
            memset(y, 0, channels * sizeof *y);
        if (!there)
            continue;
        if (attr->roi.max)
            max_bin(&p, &r, bin, y, dy);
        else
            average_bin(call, &p, &r, bin, y, dy);
    }
}

/* ---- MaxRoiPool: a bin is the maximum of the pixels that it touches ---- */

/* Bin `bin` of the pixels from `begin` to `end` of a side, cut to the picture. */
static void pool_span(const union cb_attr *attr, int axis, float begin, float end, size_t bin,
                      size_t side, size_t span[2])
{
    const float first = roundf(begin * attr->roi.scale), last = roundf(end * attr->roi.scale);
    const float size = fmaxf(last - first + 1, 1) / (float)attr->roi.bins[axis];
    const float from = floorf((float)bin * size) + first;
    const float to = ceilf((float)(bin + 1) * size) + first;
    span[0] = (size_t)fminf(fmaxf(from, 0), (float)side); /* NaN: 0 */
    span[1] = (size_t)fminf(fmaxf(to, 0), (float)side);
}

static void pool_bin(const struct picture *p, const size_t rows[2], const size_t columns[2],
                     float *y, const float *dy)
{
    for (size_t c = 0; c < p->channels; c++) {
        size_t best = SIZE_MAX;
        for (size_t i = rows[0]; i < rows[1]; i++)
            for (size_t j = columns[0]; j < columns[1]; j++) {
                const size_t at = (i * p->width + j) * p->channels + c;
                if (best == SIZE_MAX || p->x[at] > p->x[best])
                    best = at;
            }
        if (!dy)
            y[c] = best == SIZE_MAX ? 0 : p->x[best];
        else if (best != SIZE_MAX)
            p->dx[best] += dy[c];
    }
}

static void pool_roi(const struct cb_op_call *call, size_t roi, bool back)
{
    const union cb_attr *attr = &call->node->attr;
    const float *region = call->in[ROIS]->f + roi * (1 + CORNERS);
    const float images = (float)call->in[X]->shape.dim[0];
    const bool there = region[0] >= 0 && region[0] < images;
    const struct picture p = picture_of(call, there ? (size_t)region[0] : 0);
    const size_t bins = (size_t)(attr->roi.bins[0] * attr->roi.bins[1]);
    for (size_t b = 0; b < bins; b++) {
        const size_t at = (roi * bins + b) * p.channels;
        size_t rows[2] = { 0, 0 }, columns[2] = { 0, 0 };
        if (there) {
            pool_span(attr, 0, region[2], region[4], b / (size_t)attr->roi.bins[1], p.height, rows);
            pool_span(attr, 1, region[1], region[3], b % (size_t)attr->roi.bins[1], p.width,
                      columns);
        }
        pool_bin(&p, rows, columns, call->out[0]->f + at, back ? call->dout[0]->f + at : NULL);
    }
}

static void one_forward(void *ctx, size_t roi, size_t worker)
{
    (void)worker;
    const struct cb_op_call *call = ctx;
    (call->node->op == CB_OP_ROI_ALIGN ? align_roi : pool_roi)(call, roi, false);
}

static void forward(const struct cb_op_call *call)
{
    struct cb_op_call copy = *call;
    copy.din = NULL;
    cb_threads_for(call->threads, (size_t)call->in[ROIS]->shape.dim[0], one_forward, &copy);
}

/* Regions overlap: one after the other. */
static void backward(const struct cb_op_call *call)
{
    for (size_t roi = 0;
         call->dout[0] && call->din[X] && roi < (size_t)call->in[ROIS]->shape.dim[0]; roi++)
        (call->node->op == CB_OP_ROI_ALIGN ? align_roi : pool_roi)(call, roi, true);
}

const struct cb_op_def cb_op_roi_align = {
    .name = "RoiAlign",
    .min_in = 3,
    .max_in = 3,
    .max_out = 1,
    .infer = align_infer,
    .forward = forward,
    .backward = backward,
};

const struct cb_op_def cb_op_max_roi_pool = {
    .name = "MaxRoiPool",
    .min_in = 2,
    .max_in = 2,
    .max_out = 1,
    .infer = pool_infer,
    .forward = forward,
    .backward = backward,
};
