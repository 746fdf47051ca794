/* core/kernels/simd/quantised_lanes.h - included once for each width of LANES lanes of 16 bytes:
 * see quantised_depthwise.h. The set gives, with L for the lanes: lanes_L (the type), reals_L,
 * load_L(p), store_L(p, v), low8_L, high8_L, low16_L, high16_L (x86's unpacking within lanes),
 * dot_L(sum, x, w), finish_L(sum, scale, shift, lo, hi) to reals, round_L(v, zero), pack_L(a, b,
 * c, d) to bytes. */

#define PASTE_(a, b) a##b
#define PASTE(a, b) PASTE_(a, b)
#define L(name) PASTE(name, LANES)

enum { L(BYTES_) = 16 * LANES, L(WORDS_) = 4 * LANES };

static ALWAYS_INLINE L(lanes_) L(load_bytes_)(const uint8_t *p, size_t n)
{
    uint8_t part[L(BYTES_)] = { 0 };
    if (n == L(BYTES_))
        return L(load_)(p);
    memcpy(part, p, n);
    return L(load_)(part);
}

/* n channels' numbers of 32 bits from the four vectors in which they stand. */
static ALWAYS_INLINE void L(unweave_)(const void *from, size_t n, void *to)
{
    uint32_t woven[4][L(WORDS_)], flat[L(BYTES_)];
    memcpy(woven, from, sizeof woven);
    for (size_t l = 0; l < LANES; l++)
        for (size_t k = 0; k < 4; k++)
            memcpy(flat + 16 * l + 4 * k, &woven[k][4 * l], 4 * sizeof **woven);
    memcpy(to, flat, n * sizeof *flat);
}

/* Four vectors of sums of one pixel to its n channels. */
static ALWAYS_INLINE void L(finish_pixel_)(const struct cb_quantised_depthwise *d, size_t at,
                                           size_t n, const L(lanes_) sum[4], size_t slot,
                                           size_t step)
{
    const struct cb_quantised_epilogue *post = &d->post;
    L(reals_) v[4];
    if (d->sums) {
        L(unweave_)(sum, n, d->sums + at);
        return;
    }
    UNROLL
    for (int k = 0; k < 4; k++)
        v[k] = L(finish_)(sum[k], post->scale + slot + (size_t)k * step,
                          post->shift + slot + (size_t)k * step, post->lo, post->hi);
    if (d->bytes) {
        const L(lanes_) bytes =
            L(pack_)(L(round_)(v[0], post->zero), L(round_)(v[1], post->zero),
                     L(round_)(v[2], post->zero), L(round_)(v[3], post->zero));
        if (n == L(BYTES_)) {
            L(store_)(d->bytes + at, bytes);
        } else {
            uint8_t part[L(BYTES_)];
            L(store_)(part, bytes);
            memcpy(d->bytes + at, part, n);
        }
        return;
    }
    L(unweave_)(v, n, d->reals + at);
}

/* Channels c .. c + n of m pixels, the lanes from `lane` on of a run of `lanes`. */
static ALWAYS_INLINE void L(depthwise_pixels_)(const struct cb_quantised_depthwise *d, const int m,
                                               size_t run, size_t lanes, size_t lane,
                                               const bool whole)
{
    const size_t c = run + CB_QUANTISED_LANE * lane, slot = run + 4 * lane, step = 4 * lanes;
    const size_t n = whole ? L(BYTES_) : d->channels - c;
    const uint8_t *const *rows = d->rows;
    const int8_t *w = d->w + slot * CB_QUANTISED_GROUP;
    L(lanes_) sum[CB_QUANTISED_PIXELS][4];
    UNROLL
    for (int k = 0; k < 4; k++) {
        const L(lanes_) start = L(load_)(d->post.start + slot + (size_t)k * step);
        UNROLL
        for (int i = 0; i < m; i++)
            sum[i][k] = start;
    }
    for (size_t t = 0; t < d->taps; t += 4, rows += 4 * CB_QUANTISED_PIXELS, w += d->w_stride) {
        L(lanes_) weight[4];
        UNROLL
        for (int k = 0; k < 4; k++)
            weight[k] = L(load_)(w + (size_t)k * step * CB_QUANTISED_GROUP);
        UNROLL
        for (int i = 0; i < m; i++) {
            const L(lanes_) x0 = L(load_bytes_)(rows[i] + c, n),
                            x1 = L(load_bytes_)(rows[i + CB_QUANTISED_PIXELS] + c, n),
                            x2 = L(load_bytes_)(rows[i + 2 * CB_QUANTISED_PIXELS] + c, n),
                            x3 = L(load_bytes_)(rows[i + 3 * CB_QUANTISED_PIXELS] + c, n);
            const L(lanes_) low = L(low8_)(x0, x1), high = L(high8_)(x0, x1);
            const L(lanes_) low2 = L(low8_)(x2, x3), high2 = L(high8_)(x2, x3);
            sum[i][0] = L(dot_)(sum[i][0], L(low16_)(low, low2), weight[0]);
            sum[i][1] = L(dot_)(sum[i][1], L(high16_)(low, low2), weight[1]);
            sum[i][2] = L(dot_)(sum[i][2], L(low16_)(high, high2), weight[2]);
            sum[i][3] = L(dot_)(sum[i][3], L(high16_)(high, high2), weight[3]);
        }
    }
    for (int i = 0; i < m; i++)
        L(finish_pixel_)(d, (size_t)i * d->out_stride + c, n, sum[i], slot, step);
}

static void L(depthwise_run_)(const struct cb_quantised_depthwise *d, size_t run, size_t lanes,
                              size_t lane)
{
    if (run + CB_QUANTISED_LANE * (lane + LANES) > d->channels) {
        if (run + CB_QUANTISED_LANE * lane >= d->channels)
            return;
        for (struct cb_quantised_depthwise one = *d; one.m > 0; one.m--) {
            L(depthwise_pixels_)(&one, 1, run, lanes, lane, false);
            one.rows++;
            one.sums = one.sums ? one.sums + one.out_stride : NULL;
            one.bytes = one.bytes ? one.bytes + one.out_stride : NULL;
            one.reals = one.reals ? one.reals + one.out_stride : NULL;
        }
        return;
    }
    switch (d->m) {
    case 1: L(depthwise_pixels_)(d, 1, run, lanes, lane, true); return;
    case 2: L(depthwise_pixels_)(d, 2, run, lanes, lane, true); return;
    case 3: L(depthwise_pixels_)(d, 3, run, lanes, lane, true); return;
    case 4: L(depthwise_pixels_)(d, 4, run, lanes, lane, true); return;
    }
}

#undef L
#undef PASTE
#undef PASTE_
