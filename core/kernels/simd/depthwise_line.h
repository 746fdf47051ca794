/* core/kernels/simd/depthwise_line.h - depthwise convolution of a line of pixels: the sums of some
 * neighbouring pixels stay in registers, and so do the weights of a line of the kernel, while the
 * pixels under them are loaded once each. */
#pragma once

enum {
    LINE_PIXELS = 7, /* lines of 7, 14, 28, 56 and 112 pixels are the usual ones */
    LINE_FEW = 3,    /* for what is left at the end of a line */
};

#if defined(__clang__)
#define UNROLL_COLUMNS _Pragma("unroll")
#else
#define UNROLL_COLUMNS _Pragma("GCC unroll 32")
#endif

/* Where a block of pixels begins, and how many of them there are; channels c .. c + n. */
struct line_part {
    size_t pixel, count, c, n;
};

static ALWAYS_INLINE void finish_line(const struct cb_depthwise_line *d, const struct line_part *p,
                                      const int pixels, const size_t n, const vec *sums)
{
    const vec bias = d->post.bias ? vec_load_part(d->post.bias + p->c, n) : vec_all(0);
    UNROLL
    for (int i = 0; i < pixels; i++) {
        const size_t at = (p->pixel + (size_t)i) * d->out_stride + p->c;
        vec v = sums[i] + bias;
        if ((size_t)i >= p->count)
            return;
        if (d->post.residual)
            v += vec_load_part(d->post.residual + at, n);
        vec_store_part(d->out + at, n, vec_clamp(v, d->post.lo, d->post.hi));
    }
}

/* `pixels` pixels, a kernel of `taps` columns and its `stride`, all constants where this is
 * inlined. edge: some columns lie in the padding, or some pixels behind the line's end. */
static ALWAYS_INLINE void line_block(const struct cb_depthwise_line *d, const struct line_part *p,
                                     const int pixels, const int taps, const int stride,
                                     const bool edge, const size_t n)
{
    const size_t left = p->pixel * (size_t)stride - d->pad; /* wraps where it is in the padding */
    vec sums[LINE_PIXELS];
    UNROLL
    for (int i = 0; i < pixels; i++)
        sums[i] = vec_all(0);
    for (size_t l = 0; l < d->lines; l++) {
        const float *x = d->rows[l] + p->c, *w = d->w[l] + p->c;
        vec weights[LINE_PIXELS];
        UNROLL
        for (int t = 0; t < taps; t++)
            weights[t] = vec_load_part(w + (size_t)t * d->w_stride, n);
        UNROLL_COLUMNS
        for (int j = 0; j < (pixels - 1) * stride + taps; j++) {
            const size_t column = left + (size_t)j;
            if (edge && column >= d->width)
                continue;
            vec v = vec_load_part(x + column * d->pixel, n);
            if (taps <= 3) /* with more, what stays there is the weights */
                KEEP_IN_REGISTER(v);
            UNROLL
            for (int i = 0; i < pixels; i++)
                if (j - i * stride >= 0 && j - i * stride < taps)
                    sums[i] += v * weights[j - i * stride];
        }
    }
    finish_line(d, p, pixels, n, sums);
}

/* Any taps, stride and dilation. */
static ALWAYS_INLINE void line_block_of_any(const struct cb_depthwise_line *d,
                                            const struct line_part *p, const size_t n)
{
    const size_t left = p->pixel * d->stride - d->pad;
    vec sums[LINE_PIXELS];
    UNROLL
    for (int i = 0; i < LINE_FEW; i++)
        sums[i] = vec_all(0);
    for (size_t l = 0; l < d->lines; l++) {
        const float *x = d->rows[l] + p->c, *w = d->w[l] + p->c;
        for (size_t t = 0; t < d->taps; t++, w += d->w_stride) {
            const vec weight = vec_load_part(w, n);
            UNROLL
            for (int i = 0; i < LINE_FEW; i++) {
                const size_t column = left + (size_t)i * d->stride + t * d->dilation;
                if (column < d->width)
                    sums[i] += vec_load_part(x + column * d->pixel, n) * weight;
            }
        }
    }
    finish_line(d, p, LINE_FEW, n, sums);
}

typedef void line_block_fn(const struct cb_depthwise_line *d, const struct line_part *p);

/* Of one kernel: pixels whose columns all lie in the picture; any; any, of a part of a vector. */
struct line_form {
    size_t taps, stride;
    line_block_fn *inside, *edge, *part, *few, *few_part;
};

#define LINE_FORM(taps, stride)                                                                    \
    static void line_inside_##taps##_##stride(const struct cb_depthwise_line *d,                   \
                                              const struct line_part *p)                           \
    {                                                                                              \
        line_block(d, p, LINE_PIXELS, taps, stride, false, W);                                     \
    }                                                                                              \
    static void line_edge_##taps##_##stride(const struct cb_depthwise_line *d,                     \
                                            const struct line_part *p)                             \
    {                                                                                              \
        line_block(d, p, LINE_PIXELS, taps, stride, true, W);                                      \
    }                                                                                              \
    static void line_part_##taps##_##stride(const struct cb_depthwise_line *d,                     \
                                            const struct line_part *p)                             \
    {                                                                                              \
        line_block(d, p, LINE_PIXELS, taps, stride, true, p->n);                                   \
    }                                                                                              \
    static void line_few_##taps##_##stride(const struct cb_depthwise_line *d,                      \
                                           const struct line_part *p)                              \
    {                                                                                              \
        line_block(d, p, LINE_FEW, taps, stride, true, W);                                         \
    }                                                                                              \
    static void line_few_part_##taps##_##stride(const struct cb_depthwise_line *d,                 \
                                                const struct line_part *p)                         \
    {                                                                                              \
        line_block(d, p, LINE_FEW, taps, stride, true, p->n);                                      \
    }

#define LINE_FORMS(X) X(3, 1) X(3, 2) X(5, 1) X(5, 2) X(7, 1) X(7, 2)
LINE_FORMS(LINE_FORM)
#undef LINE_FORM

static void line_any(const struct cb_depthwise_line *d, const struct line_part *p)
{
    line_block_of_any(d, p, W);
}

static void line_any_part(const struct cb_depthwise_line *d, const struct line_part *p)
{
    line_block_of_any(d, p, p->n);
}

#define LINE_ROW(taps, stride)                                                                     \
    { taps,                                                                                        \
      stride,                                                                                      \
      line_inside_##taps##_##stride,                                                               \
      line_edge_##taps##_##stride,                                                                 \
      line_part_##taps##_##stride,                                                                 \
      line_few_##taps##_##stride,                                                                  \
      line_few_part_##taps##_##stride },
static const struct line_form line_forms[] = { LINE_FORMS(LINE_ROW) };
#undef LINE_ROW

static const struct line_form line_form_of_any = { 0,        0,        line_any,     line_any,
                                                   line_any, line_any, line_any_part };

static const struct line_form *line_form_of(const struct cb_depthwise_line *d)
{
    for (size_t i = 0; i < sizeof line_forms / sizeof *line_forms; i++)
        if (line_forms[i].taps == d->taps && line_forms[i].stride == d->stride && d->dilation == 1)
            return &line_forms[i];
    return &line_form_of_any;
}

/* The block for pixels p->pixel on. */
static line_block_fn *line_block_for(const struct cb_depthwise_line *d, const struct line_form *f,
                                     const struct line_part *p)
{
    const size_t left = p->pixel * d->stride - d->pad,
                 span = (LINE_PIXELS - 1) * d->stride + d->taps;
    if (p->count <= LINE_FEW)
        return p->n < W ? f->few_part : f->few;
    if (p->n < W)
        return f->part;
    return p->count == LINE_PIXELS && left < d->width && span <= d->width - left ? f->inside
                                                                                 : f->edge;
}

static void depthwise_line(const struct cb_depthwise_line *d)
{
    const struct line_form *f = line_form_of(d);
    const size_t most = f == &line_form_of_any ? LINE_FEW : LINE_PIXELS;
    struct line_part p = { 0 };
    for (; p.pixel < d->m; p.pixel += p.count) {
        p.count = d->m - p.pixel < most ? d->m - p.pixel : most;
        p.n = W;
        line_block_fn *block = line_block_for(d, f, &p);
        for (p.c = 0; p.c + W <= d->channels; p.c += W)
            block(d, &p);
        if (p.c < d->channels) {
            p.n = d->channels - p.c;
            line_block_for(d, f, &p)(d, &p);
        }
    }
}
