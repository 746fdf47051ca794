#include "core/image/resize.h"

#include <math.h>
#include <string.h>

#include "core/image/preprocess.h"
#include "core/image/resize_rows.h"

/* A filter, zero outside [-support, support]. */
struct filter {
    double support;
    double (*at)(double x);
};

static double triangle(double x)
{
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

/* R. Keys, Cubic convolution interpolation for digital image processing,
 * doi:10.1109/TASSP.1981.1163711 */
static double keys(double x, double a)
{
    x = fabs(x);
    if (x < 1.0)
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    if (x < 2.0)
        return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
    return 0.0;
}

static double cubic_smooth(double x)
{
    return keys(x, -0.5);
}

static double cubic_sharp(double x)
{
    return keys(x, -0.75);
}

/* [interpolation][antialias]; nearest has no filter. */
static const struct filter filters[][2] = {
    [CB_BILINEAR] = { { 1.0, triangle }, { 1.0, triangle } },
    [CB_BICUBIC] = { { 2.0, cubic_sharp }, { 2.0, cubic_smooth } },
};

/* One axis of a resize: `in` pixels become `out`, of which [from, from + n) are wanted. */
struct axis {
    int in, out, from, n;
};

static struct cb_status take_taps(struct cb_arena *arena, int n, double most,
                                  struct cb_resize_taps *taps)
{
    const size_t count = (size_t)n;
    taps->n = n;
    taps->stride = ((int)most + 1) & ~1;
    CB_TRY(cb_arena_get(arena, count, sizeof *taps->first, "resize", &taps->first));
    CB_TRY(cb_arena_get(arena, count, sizeof *taps->count, "resize", &taps->count));
    CB_TRY(cb_arena_get(arena, count, 2 * (size_t)taps->stride, "resize", &taps->hi));
    return cb_arena_get(arena, count, 2 * (size_t)taps->stride, "resize", &taps->lo);
}

static void put_tap(struct cb_resize_taps *taps, int i, int j, double weight)
{
    const size_t at = (size_t)i * (size_t)taps->stride + (size_t)j;
    const double scaled = weight * (1 << CB_RESIZE_BITS);
    const int k = (int)(scaled < 0.0 ? scaled - 0.5 : scaled + 0.5);
    taps->lo[at] = (int16_t)(k & 255);
    taps->hi[at] = (int16_t)((k - (k & 255)) / 256);
}

/* The filter is stretched by the scale when shrinking; at the edges what lies outside is left out
 * and the rest sums to 1 again. */
static struct cb_status antialias_taps(struct cb_arena *arena, const struct filter *filter,
                                       const struct axis *axis, struct cb_resize_taps *taps)
{
    const double scale = (double)axis->in / axis->out, stretch = scale < 1.0 ? 1.0 : scale;
    const double support = filter->support * stretch;
    const double most = fmin(ceil(support) * 2.0 + 1.0, axis->in);
    double *weight;
    CB_TRY(take_taps(arena, axis->n, most, taps));
    CB_TRY(cb_arena_get(arena, (size_t)taps->stride, sizeof *weight, "resize", &weight));
    for (int i = 0; i < axis->n; i++) {
        const double center = (axis->from + i + 0.5) * scale;
        const int first = (int)fmax(center - support + 0.5, 0.0);
        const int count = (int)fmin(center + support + 0.5, axis->in) - first;
        double sum = 0.0;
        for (int j = 0; j < count; j++) {
            weight[j] = filter->at((j + first - center + 0.5) * (1.0 / stretch));
            sum += weight[j];
        }
        taps->first[i] = first;
        taps->count[i] = count;
        for (int j = 0; j < count; j++)
            put_tap(taps, i, j, sum != 0.0 ? weight[j] / sum : weight[j]);
    }
    return cb_ok();
}

/* Interpolation at the centre of each output pixel; an edge pixel stands for those beyond it. */
static struct cb_status plain_taps(struct cb_arena *arena, const struct filter *filter,
                                   const struct axis *axis, struct cb_resize_taps *taps)
{
    const double scale = (double)axis->in / axis->out;
    const int reach = (int)filter->support;
    CB_TRY(take_taps(arena, axis->n, 2 * reach, taps));
    for (int i = 0; i < axis->n; i++) {
        const double center = (axis->from + i + 0.5) * scale - 0.5;
        const int left = (int)floor(center) - reach + 1, last = axis->in - 1;
        const int first = left < 0 ? 0 : left > last ? last : left;
        double weight[4] = { 0 };
        int count = 0;
        for (int j = 0; j < 2 * reach; j++) {
            const int at = left + j < 0 ? 0 : left + j > last ? last : left + j;
            weight[at - first] += filter->at(left + j - center);
            count = at - first + 1;
        }
        taps->first[i] = first;
        taps->count[i] = count;
        for (int j = 0; j < count; j++)
            put_tap(taps, i, j, weight[j]);
    }
    return cb_ok();
}

static struct cb_status axis_taps(struct cb_arena *arena, const struct cb_resize *how,
                                  const struct axis *axis, struct cb_resize_taps *taps)
{
    const struct filter *filter = &filters[how->interpolation][how->antialias];
    return how->antialias ? antialias_taps(arena, filter, axis, taps)
                          : plain_taps(arena, filter, axis, taps);
}

/* The source position of every wanted pixel, found by steps from 0 as Pillow does. */
static struct cb_status nearest_index(struct cb_arena *arena, const struct axis *axis, int **out)
{
    const double scale = (double)axis->in / axis->out;
    double at = scale * 0.5;
    CB_TRY(cb_arena_get(arena, (size_t)axis->n, sizeof **out, "resize", out));
    for (int i = 0; i < axis->from + axis->n; i++, at += scale)
        if (i >= axis->from)
            (*out)[i - axis->from] = (int)fmin(at, axis->in - 1);
    return cb_ok();
}

static struct cb_status nearest(struct cb_arena *arena, const struct cb_image *in,
                                const struct axis *across, const struct axis *down,
                                struct cb_image *out)
{
    int *column, *row;
    uint8_t *to = out->rgb;
    CB_TRY(nearest_index(arena, across, &column));
    CB_TRY(nearest_index(arena, down, &row));
    for (int y = 0; y < down->n; y++) {
        const uint8_t *from = in->rgb + (size_t)row[y] * (size_t)in->width * 3;
        for (int x = 0; x < across->n; x++, to += 3)
            memcpy(to, from + (size_t)column[x] * 3, 3);
    }
    return cb_ok();
}

/* The rows that the vertical pass will read. */
static void rows_needed(const struct cb_resize_taps *down, int *first, int *end)
{
    *first = down->first[0];
    *end = 0;
    for (int i = 0; i < down->n; i++) {
        const int stop = down->first[i] + down->count[i];
        if (down->first[i] < *first)
            *first = down->first[i];
        if (stop > *end)
            *end = stop;
    }
}

/* ITU-R 601 luma of n pixels, in all three channels. */
static void to_gray(size_t n, const uint8_t *rgb, uint8_t *gray)
{
    for (size_t i = 0; i < n; i++, rgb += 3, gray += 3)
        gray[0] = gray[1] = gray[2] = cb_luma(rgb);
}

/* Rows [first, end) of `in`, resized across, or cut where no resize is needed. */
static struct cb_status pass_across(struct cb_arena *arena, const struct cb_image *in,
                                    const struct cb_resize *how, int first, int end, uint8_t *to)
{
    const struct axis axis = { in->width, how->width, how->left, how->window_width };
    const size_t in_len = (size_t)in->width * 3, out_len = (size_t)axis.n * 3;
    struct cb_resize_taps taps;
    uint8_t *line = NULL;
    if (how->gray)
        CB_TRY(cb_arena_get(arena, in_len, 1, "resize", &line));
    if (axis.in != axis.out)
        CB_TRY(axis_taps(arena, how, &axis, &taps));
    for (int y = first; y < end; y++, to += out_len) {
        const uint8_t *row = in->rgb + (size_t)y * in_len;
        if (how->gray) {
            to_gray((size_t)in->width, row, line);
            row = line;
        }
        if (axis.in == axis.out)
            memcpy(to, row + (size_t)axis.from * 3, out_len);
        else
            cb_resize_row_across(&taps, in->width, row, to);
    }
    return cb_ok();
}

static struct cb_status two_passes(struct cb_arena *arena, const struct cb_image *in,
                                   const struct cb_resize *how, struct cb_image *out)
{
    const struct axis axis = { in->height, how->height, how->top, how->window_height };
    const size_t len = (size_t)how->window_width * 3;
    struct cb_resize_taps taps;
    uint8_t *between;
    int first, end;
    if (axis.in == axis.out)
        return pass_across(arena, in, how, axis.from, axis.from + axis.n, out->rgb);
    CB_TRY(axis_taps(arena, how, &axis, &taps));
    rows_needed(&taps, &first, &end);
    CB_TRY(cb_arena_get(arena, (size_t)(end - first), len, "resize", &between));
    CB_TRY(pass_across(arena, in, how, first, end, between));
    for (int i = 0; i < taps.n; i++) {
        taps.first[i] -= first;
        cb_resize_row_down(&taps, i, len, between, len, out->rgb + (size_t)i * len);
    }
    return cb_ok();
}

static bool inside(int from, int n, int of)
{
    return from >= 0 && n >= 1 && n <= of && from <= of - n;
}

struct cb_status cb_resize_run(struct cb_arena *arena, const struct cb_image *in,
                               const struct cb_resize *how, struct cb_image *out)
{
    const size_t start = arena->used;
    struct cb_image made = { how->window_width, how->window_height, NULL };
    struct cb_status st;
    if (in->width < 1 || in->height < 1 || how->width < 1 || how->height < 1)
        return cb_fail(CB_ERR_INPUT, "resize: from %d x %d to %d x %d: a side is below 1",
                       in->width, in->height, how->width, how->height);
    if (!inside(how->left, made.width, how->width) || !inside(how->top, made.height, how->height))
        return cb_fail(CB_ERR_INPUT, "resize: %d x %d at %d, %d is not inside %d x %d", made.width,
                       made.height, how->left, how->top, how->width, how->height);
    CB_TRY(cb_arena_get(arena, (size_t)made.width * 3, (size_t)made.height, "resize", &made.rgb));
    const size_t mark = arena->used;
    if (how->interpolation == CB_NEAREST)
        st = nearest(arena, in, &(struct axis){ in->width, how->width, how->left, made.width },
                     &(struct axis){ in->height, how->height, how->top, made.height }, &made);
    else
        st = two_passes(arena, in, how, &made);
    cb_arena_rewind(arena, st.code ? start : mark);
    if (!st.code)
        *out = made;
    return st;
}

struct cb_status cb_image_resize(struct cb_arena *arena, const struct cb_image *in, int width,
                                 int height, enum cb_interpolation interpolation, bool antialias,
                                 struct cb_image *out)
{
    return cb_resize_run(arena, in,
                         &(struct cb_resize){ .width = width,
                                              .height = height,
                                              .interpolation = interpolation,
                                              .antialias = antialias,
                                              .window_width = width,
                                              .window_height = height },
                         out);
}
