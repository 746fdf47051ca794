#include "core/kernels/conv_chain.h"

#include <string.h>

#include "core/kernels/gemm.h"
#include "core/kernels/sizes.h"

enum {
    BAND_BYTES = 1 << 18, /* of wide lines: they share the second-level cache with the weights */
    WIDE_BYTES = 1 << 17, /* of the wide tensor of an image, below which it stays there anyway */
    MOST_BYTES = 3 << 18, /* of everything that a band touches again and again */
    PART_LINES = 16,      /* in a part, where lines are expanded twice */
    PAGE = 4096,          /* pixels this far apart share a few lines of the first-level cache */
};

/* How the work is cut. */
struct form {
    size_t stride; /* floats from pixel to pixel of the wide tensors */
    size_t band;   /* output lines */
    size_t ring;   /* expanded lines that a band needs; 0: x is read as it lies */
    size_t parts;  /* of an image */
    size_t ring_bytes, worker_bytes;
    size_t weights[CB_CHAIN_STAGES + 1]; /* where each stage's begin in the packed block; its end */
};

/* Lines of the picture under a band; it may have fewer. */
static size_t band_lines(const struct cb_chain_shape *s, size_t band)
{
    return (band - 1) * s->stride[0] + s->kernel[0];
}

static size_t ring_lines(const struct cb_chain_shape *s, size_t band)
{
    return s->expand ? cb_size_min(band_lines(s, band), s->in[0]) : 0;
}

static size_t band_bytes(const struct cb_chain_shape *s, size_t stride, size_t band)
{
    const size_t pixels = ring_lines(s, band) * s->in[1] + band * s->out[1];
    return pixels * stride * sizeof(float);
}

static size_t parts_of(const struct cb_chain_shape *s, size_t threads)
{
    const size_t spread = threads > 1 && s->out[0] >= 2 * threads * PART_LINES ? 2 : 1;
    return cb_size_min(cb_size_divide(spread * threads, cb_size_max(s->n, 1)),
                       cb_size_max(s->out[0], 1));
}

/* What multiplies the last stage. With bfloat16 it stays on floats: the sums that come out of a
 * narrow linear layer are small beside their terms, and in MobileNet v2 the rounding of their
 * factors made most of the network's error. */
static struct cb_kernels on_floats(const struct cb_kernels *kernels)
{
    struct cb_kernels floats = *kernels;
    floats.bf16 = false;
    return floats;
}

static struct form form_of(const struct cb_kernels *kernels, const struct cb_chain_shape *s,
                           size_t threads)
{
    const size_t taps = s->kernel[0] * s->kernel[1];
    const struct cb_kernels floats = on_floats(kernels);
    struct form f = { .stride = s->mid, .band = 1, .parts = parts_of(s, threads) };
    if (s->mid * sizeof(float) % PAGE == 0)
        f.stride += kernels->vector > 1 ? kernels->vector : 4;
    while (f.band < s->out[0] && band_bytes(s, f.stride, f.band + 1) <= BAND_BYTES)
        f.band++;
    f.ring = ring_lines(s, f.band);
    f.ring_bytes = cb_size_bytes(f.ring * s->in[1], f.stride * sizeof(float));
    const size_t wide =
        s->project ? cb_size_bytes(f.band * s->out[1], f.stride * sizeof(float)) : 0;
    f.worker_bytes = cb_size_add(cb_size_bytes(s->kernel[0], 2 * sizeof(float *)),
                                 cb_size_add(f.ring_bytes, wide));
    const size_t bytes[CB_CHAIN_STAGES] = {
        s->expand ? cb_gemm_packed_bytes(kernels, s->cin, s->mid) : 0,
        cb_size_bytes(taps, s->mid * sizeof(float)),
        s->project ? cb_gemm_packed_bytes(&floats, s->mid, s->cout) : 0,
    };
    for (int i = 0; i < CB_CHAIN_STAGES; i++)
        f.weights[i + 1] = cb_size_add(f.weights[i], cb_size_bytes(bytes[i], 1));
    return f;
}

bool cb_chain_pays(const struct cb_kernels *kernels, const struct cb_chain_shape *s)
{
    const struct form f = form_of(kernels, s, 1);
    const size_t wide = s->expand ? s->in[0] * s->in[1] : s->out[0] * s->out[1];
    const size_t all = cb_size_add(f.weights[CB_CHAIN_STAGES], band_bytes(s, f.stride, f.band));
    return kernels->isa != CB_ISA_GENERIC && wide * s->mid * sizeof(float) > WIDE_BYTES &&
           all <= MOST_BYTES;
}

size_t cb_chain_packed_bytes(const struct cb_kernels *kernels, const struct cb_chain_shape *s)
{
    return form_of(kernels, s, 1).weights[CB_CHAIN_STAGES];
}

void cb_chain_pack(const struct cb_kernels *kernels, struct cb_threads *threads,
                   const struct cb_chain_shape *s, int stage, const void *w, void *packed)
{
    const struct form f = form_of(kernels, s, 1);
    const struct cb_kernels floats = on_floats(kernels);
    const size_t taps = s->kernel[0] * s->kernel[1];
    const char *from = w;
    char *to = (char *)packed + f.weights[stage];
    if (stage == CB_CHAIN_EXPAND)
        cb_gemm_pack_filters(kernels, threads, s->cin, s->mid, w, NULL, to);
    else if (stage == CB_CHAIN_PROJECT)
        cb_gemm_pack_filters(&floats, threads, s->mid, s->cout, w, NULL, to);
    else
        for (size_t c = 0; c < s->mid; c++)
            for (size_t t = 0; t < taps; t++, from += sizeof(float))
                memcpy(to + (t * s->mid + c) * sizeof(float), from, sizeof(float));
}

size_t cb_chain_scratch_bytes(const struct cb_kernels *kernels, const struct cb_chain_shape *s,
                              size_t threads)
{
    return cb_size_bytes(threads, form_of(kernels, s, threads).worker_bytes);
}

struct chain {
    const struct cb_kernels *kernels, *floats; /* floats: of the last stage */
    const struct cb_chain_call *call;
    struct form form;
};

/* Where a worker is: what lines of which image it makes, and its own memory. */
struct place {
    size_t image;
    size_t line, lines; /* of y: this band */
    size_t expanded;    /* lines of the image before this one are in the ring, or never needed */
    float *ring, *wide;
    const float **rows, **weights;
};

static const float *stage_weights(const struct chain *c, int stage)
{
    return (const float *)(const void *)((const char *)c->call->packed + c->form.weights[stage]);
}

/* Lines [expanded, end) of the picture go into the ring; together where they lie together there. */
static void expand(const struct chain *c, struct place *p, size_t end)
{
    const struct cb_chain_shape *s = c->call->shape;
    while (p->expanded < end) {
        const size_t slot = p->expanded % c->form.ring;
        const size_t lines = cb_size_min(end - p->expanded, c->form.ring - slot);
        cb_gemm_run(c->kernels, NULL,
                    &(struct cb_gemm){
                        .m = lines * s->in[1],
                        .n = s->mid,
                        .k = s->cin,
                        .a = c->call->x + (p->image * s->in[0] + p->expanded) * s->in[1] * s->cin,
                        .lda = s->cin,
                        .packed = stage_weights(c, CB_CHAIN_EXPAND),
                        .c = p->ring + slot * s->in[1] * c->form.stride,
                        .ldc = c->form.stride,
                        .post = c->call->post[CB_CHAIN_EXPAND],
                    });
        p->expanded += lines;
    }
}

/* One output line of the depthwise convolution. */
static void filter(const struct chain *c, const struct place *p, size_t line, float *out)
{
    const struct cb_chain_shape *s = c->call->shape;
    const struct cb_epilogue *post = &c->call->post[CB_CHAIN_DEPTHWISE];
    const float *w = stage_weights(c, CB_CHAIN_DEPTHWISE);
    const size_t pixel = s->expand ? c->form.stride : s->cin;
    const size_t out_stride = s->project ? c->form.stride : s->cout;
    struct cb_depthwise_line part = {
        .m = s->out[1],
        .channels = s->mid,
        .taps = s->kernel[1],
        .stride = s->stride[1],
        .dilation = 1,
        .pad = s->pad[1],
        .rows = p->rows,
        .width = s->in[1],
        .pixel = pixel,
        .w = p->weights,
        .w_stride = s->mid,
        .out = out,
        .out_stride = out_stride,
        .post = *post,
    };
    for (size_t t = 0; t < s->kernel[0]; t++, w += s->kernel[1] * s->mid) {
        const size_t i = line * s->stride[0] + t - s->pad[0]; /* wraps in the padding */
        if (i >= s->in[0])
            continue;
        p->rows[part.lines] = s->expand ? p->ring + i % c->form.ring * s->in[1] * pixel
                                        : c->call->x + (p->image * s->in[0] + i) * s->in[1] * pixel;
        p->weights[part.lines++] = w;
    }
    if (post->residual)
        part.post.residual += (p->image * s->out[0] + line) * s->out[1] * s->cout;
    c->kernels->depthwise_line(&part);
    cb_kernels_activate(c->kernels, post->act, s->out[1], s->mid, out, out_stride);
}

static void project(const struct chain *c, const struct place *p, float *y)
{
    const struct cb_chain_shape *s = c->call->shape;
    struct cb_gemm gemm = {
        .m = p->lines * s->out[1],
        .n = s->cout,
        .k = s->mid,
        .a = p->wide,
        .lda = c->form.stride,
        .packed = stage_weights(c, CB_CHAIN_PROJECT),
        .c = y,
        .ldc = s->cout,
        .post = c->call->post[CB_CHAIN_PROJECT],
    };
    if (gemm.post.residual)
        gemm.post.residual += y - c->call->y;
    cb_gemm_run(c->floats, NULL, &gemm);
}

static void run_band(const struct chain *c, struct place *p)
{
    const struct cb_chain_shape *s = c->call->shape;
    const size_t first = p->line * s->stride[0], end = first + band_lines(s, p->lines);
    float *y = c->call->y + (p->image * s->out[0] + p->line) * s->out[1] * s->cout;
    if (s->expand) {
        p->expanded = cb_size_max(p->expanded, first - cb_size_min(first, s->pad[0]));
        expand(c, p, cb_size_min(end - cb_size_min(end, s->pad[0]), s->in[0]));
    }
    for (size_t i = 0; i < p->lines; i++)
        filter(c, p, p->line + i,
               s->project ? p->wide + i * s->out[1] * c->form.stride : y + i * s->out[1] * s->cout);
    if (s->project)
        project(c, p, y);
}

/* Lines of one part of an image, band by band. */
static void run_part(void *ctx, size_t part, size_t worker)
{
    const struct chain *c = ctx;
    const struct form *f = &c->form;
    const struct cb_chain_shape *s = c->call->shape;
    const size_t i = part % f->parts, end = s->out[0] * (i + 1) / f->parts;
    char *scratch = (char *)c->call->scratch + worker * f->worker_bytes;
    const size_t tables = cb_size_bytes(s->kernel[0], 2 * sizeof(float *));
    struct place p = {
        .image = part / f->parts,
        .line = s->out[0] * i / f->parts,
        .ring = (float *)(void *)(scratch + tables),
        .wide = (float *)(void *)(scratch + tables + f->ring_bytes),
        .rows = (const float **)(void *)scratch,
    };
    p.weights = p.rows + s->kernel[0];
    for (; p.line < end; p.line += p.lines) {
        p.lines = cb_size_min(f->band, end - p.line);
        run_band(c, &p);
    }
}

void cb_chain_run(const struct cb_kernels *kernels, const struct cb_chain_call *call)
{
    const struct cb_kernels floats = on_floats(kernels);
    struct chain c = {
        .kernels = kernels,
        .floats = &floats,
        .call = call,
        .form = form_of(kernels, call->shape, cb_threads_count(call->threads)),
    };
    cb_threads_for(call->threads, call->shape->n * c.form.parts, run_part, &c);
}
