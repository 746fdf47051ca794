/* core/kernels/quantised_depthwise.c - every channel has its own filter: vectors run along
 * channels. Weights less a zero that is not 0 have up to 9 bits and a sign: all taps are then gone
 * through PARTS times, with what of the weights a byte holds, and then with the rest. */
#include <string.h>

#include "core/kernels/quantised_parts.h"

enum { GROUP = CB_QUANTISED_GROUP, PIXELS = CB_QUANTISED_PIXELS, PARTS = 3 };

bool cb_quantised_depthwise_fits(const struct cb_conv_shape *s)
{
    return s->group == s->cin && s->group == s->cout && s->group > 1;
}

/* Taps, rounded up to whole groups. */
static size_t taps_of(const struct cb_conv_shape *s, bool zeros)
{
    return cb_size_divide(cb_conv_taps(s) * (zeros ? PARTS : 1), GROUP) * GROUP;
}

/* Channels' sums of weights, then weights [taps / GROUP][channels][GROUP]. */
size_t cb_quantised_depthwise_packed_bytes(const struct cb_conv_shape *s, bool zeros)
{
    const size_t channels = cb_quantised_channels(s->cout);
    return cb_size_add(cb_size_bytes(channels, sizeof(int32_t)),
                       cb_size_bytes(taps_of(s, zeros), channels));
}

void cb_quantised_depthwise_pack(const struct cb_conv_shape *s, const int8_t *w,
                                 const int64_t *w_zero, void *packed)
{
    const size_t channels = cb_quantised_channels(s->cout), taps = cb_conv_taps(s);
    const size_t all = w_zero ? PARTS * taps : taps;
    int32_t *sums = packed;
    int8_t *to = (int8_t *)packed + cb_size_bytes(channels, sizeof *sums);
    memset(packed, 0, cb_quantised_depthwise_packed_bytes(s, w_zero != NULL));
    for (size_t c = 0; c < s->cout; c++) {
        const size_t slot = cb_quantised_slot(s->cout, c);
        for (size_t k = 0; k < taps; k++, w++) {
            int rest = *w - (w_zero ? (int)w_zero[c] : 0);
            sums[slot] += rest;
            for (size_t t = k; t < all; t += taps) {
                const int part = rest > INT8_MAX ? INT8_MAX : rest < INT8_MIN ? INT8_MIN : rest;
                to[(t / GROUP * channels + slot) * GROUP + t % GROUP] = (int8_t)part;
                rest -= part;
            }
        }
    }
}

static size_t worker_bytes(const struct cb_conv_shape *s, bool zeros)
{
    return cb_size_add(cb_size_bytes(taps_of(s, zeros), PIXELS * sizeof(uint8_t *)),
                       cb_size_bytes(cb_quantised_channels(s->cout), PIXELS * sizeof(float)));
}

size_t cb_quantised_depthwise_scratch_bytes(const struct cb_conv_shape *s, bool zeros,
                                            size_t threads)
{
    const size_t channels = cb_quantised_channels(s->cout);
    return cb_size_add(
        cb_size_add(cb_size_bytes(channels, 1), cb_quantised_columns_bytes(channels)),
        cb_size_bytes(threads, worker_bytes(s, zeros)));
}

struct run {
    const struct cb_kernels *kernels;
    const struct cb_quantised_conv *call;
    struct cb_quantised_columns columns;
    struct cb_quantised_epilogue post;
    const uint8_t *zeros;
    char *workers;
};

/* Of taps that only fill the last group up the weights are 0: they may point anywhere, as long as
 * it is somewhere. */
static void fill_rows(const struct run *r, const struct cb_conv_pixel *p, size_t count,
                      const uint8_t **rows)
{
    const struct cb_conv_shape *s = r->call->shape;
    const uint8_t *x = r->call->x;
    const size_t taps = cb_conv_taps(s), all = taps_of(s, r->call->zeros);
    size_t tap = 0;
    for (size_t t0 = 0; t0 < s->kernel[0]; t0++)
        for (size_t t1 = 0; t1 < s->kernel[1]; t1++) {
            const size_t i0 = cb_conv_source(s, 0, p->at[0], t0);
            const size_t i1 = cb_conv_source(s, 1, p->at[1], t1);
            const size_t width = i0 < s->in[0] && i1 < s->in[1] ? s->in[2] : 0;
            const size_t line = ((p->image * s->in[0] + i0) * s->in[1] + i1) * s->in[2];
            for (size_t t2 = 0; t2 < s->kernel[2]; t2++, tap++, rows += PIXELS) {
                const size_t at = cb_conv_source(s, 2, p->at[2], t2);
                for (size_t i = 0; i < count; i++) {
                    const size_t i2 = at + i * s->stride[2];
                    rows[i] = i2 < width ? x + (line + i2) * s->cin : r->zeros;
                }
            }
        }
    for (; tap < all; tap++, rows += PIXELS)
        memcpy(rows, rows - taps * PIXELS, PIXELS * sizeof *rows);
}

static void run_line(void *ctx, size_t line, size_t worker)
{
    const struct run *r = ctx;
    const struct cb_quantised_conv *call = r->call;
    const struct cb_conv_shape *s = call->shape;
    const size_t channels = cb_quantised_channels(s->cout), c = s->cout;
    const bool zeros = call->zeros;
    char *scratch = r->workers + worker * worker_bytes(s, zeros);
    const uint8_t **rows = (const uint8_t **)(void *)scratch;
    float *reals =
        (float *)(void *)(scratch + cb_size_bytes(taps_of(s, zeros), PIXELS * sizeof(uint8_t *)));
    struct cb_conv_pixel pixel = cb_conv_pixel_at(s, line * s->out[2]);
    for (; pixel.at[2] < s->out[2]; pixel.at[2] += PIXELS) {
        const size_t at = (line * s->out[2] + pixel.at[2]) * c;
        const bool direct = cb_quantised_direct(call);
        struct cb_quantised_depthwise part = {
            .m = cb_size_min(s->out[2] - pixel.at[2], PIXELS),
            .taps = taps_of(s, zeros),
            .channels = c,
            .rows = rows,
            .w = (const int8_t *)call->packed + cb_size_bytes(channels, sizeof(int32_t)),
            .w_stride = channels * GROUP,
            .sums = call->sums ? call->sums + at : NULL,
            .bytes = direct ? call->bytes + at : NULL,
            .reals = call->reals ? call->reals + at : reals,
            .out_stride = c,
            .post = r->post,
        };
        fill_rows(r, &pixel, part.m, rows);
        r->kernels->quantised.depthwise(&part);
        if (direct || call->sums)
            continue;
        cb_kernels_activate(r->kernels, call->act, part.m, c, part.reals, c);
        if (call->bytes)
            r->kernels->quantised.quantise(part.m * c, reals, call->y_quantum, call->bytes + at);
    }
}

void cb_quantised_depthwise_run(const struct cb_kernels *kernels,
                                const struct cb_quantised_conv *call)
{
    const struct cb_conv_shape *s = call->shape;
    const size_t channels = cb_quantised_channels(s->cout), zeros = cb_size_bytes(channels, 1);
    const int32_t *sums = call->packed;
    struct run r = { .kernels = kernels, .call = call, .post = cb_quantised_post(call) };
    char *scratch = call->scratch;
    r.zeros = memset(scratch, call->x_quantum.zero, zeros);
    r.columns = cb_quantised_columns_in(scratch + zeros, channels);
    r.workers = scratch + zeros + cb_quantised_columns_bytes(channels);
    for (size_t c = 0; c < s->cout; c++) {
        const size_t slot = cb_quantised_slot(s->cout, c);
        cb_quantised_column(call, &r.columns, slot, c, sums[slot]);
    }
    r.post.start = r.columns.start;
    r.post.scale = r.columns.scale;
    r.post.shift = r.columns.shift;
    cb_threads_for(call->threads, cb_conv_lines(s), run_line, &r);
}
