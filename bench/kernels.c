/* bench/kernels.c - GFLOP/s of convolutions and matrix products by shape, set and threads.
 *
 * bench-kernels [-a] [-b] [-c] [-q] [-f PART-OF-A-NAME] [-i ISA] [-t THREADS]; -a: every algorithm that
 * fits; -b: the derivatives too; -c: weights come from memory, as those of a large network do; -q: on
 * bytes, too. A
 * row shows the best and the median of its runs: on a shared machine the best is what the code can
 * do, the median what it got. One thread is timed by the CPU time that it used, several by the wall
 * clock. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/rng.h"
#include "core/kernels/conv_parts.h"
#include "core/kernels/gemm.h"
#include "core/kernels/quantised_conv.h"

enum { RUNS_MAX = 400, COLD_BYTES = 96 << 20 };
#define SECONDS 0.3

struct row {
    const char *name;
    size_t n, size, cin, cout;    /* square pictures */
    size_t kernel, stride, group; /* kernel 0: a matrix product [n, cin, cout] */
    size_t width;                 /* of the kernel; 0: square */
};

/* clang-format off */

static const struct row rows[] = {
    { "resnet 7x7/2 3>64 @224", 1, 224, 3, 64, 7, 2, 1, 0 },
    { "resnet 1x1 64>64 @56", 1, 56, 64, 64, 1, 1, 1, 0 },
    { "resnet 3x3 64>64 @56", 1, 56, 64, 64, 3, 1, 1, 0 },
    { "resnet 1x1 64>256 @56", 1, 56, 64, 256, 1, 1, 1, 0 },
    { "resnet 1x1 256>64 @56", 1, 56, 256, 64, 1, 1, 1, 0 },
    { "resnet 3x3 128>128 @28", 1, 28, 128, 128, 3, 1, 1, 0 },
    { "resnet 1x1 128>512 @28", 1, 28, 128, 512, 1, 1, 1, 0 },
    { "resnet 1x1/2 256>512 @56", 1, 56, 256, 512, 1, 2, 1, 0 },
    { "resnet 1x1/2 512>1024 @28", 1, 28, 512, 1024, 1, 2, 1, 0 },
    { "resnet 1x1/2 1024>2048 @14", 1, 14, 1024, 2048, 1, 2, 1, 0 },
    { "resnet 3x3/2 128>128 @56", 1, 56, 128, 128, 3, 2, 1, 0 },
    { "resnet 3x3 256>256 @14", 1, 14, 256, 256, 3, 1, 1, 0 },
    { "resnet 1x1 1024>256 @14", 1, 14, 1024, 256, 1, 1, 1, 0 },
    { "resnet 1x1 256>1024 @14", 1, 14, 256, 1024, 1, 1, 1, 0 },
    { "resnet 3x3 512>512 @7", 1, 7, 512, 512, 3, 1, 1, 0 },
    { "resnet 1x1 2048>512 @7", 1, 7, 2048, 512, 1, 1, 1, 0 },
    { "resnet 1x1 512>2048 @7", 1, 7, 512, 2048, 1, 1, 1, 0 },
    { "resnet fc 2048>1000", 1, 1, 2048, 1000, 0, 1, 1, 0 },
    { "resnet fc 2048>1000 x16", 16, 1, 2048, 1000, 0, 1, 1, 0 },
    { "vgg 3x3 3>64 @224", 1, 224, 3, 64, 3, 1, 1, 0 },
    { "vgg 3x3 64>64 @224", 1, 224, 64, 64, 3, 1, 1, 0 },
    { "vgg 3x3 256>256 @56", 1, 56, 256, 256, 3, 1, 1, 0 },
    { "vgg 3x3 512>512 @28", 1, 28, 512, 512, 3, 1, 1, 0 },
    { "vgg 3x3 512>512 @14", 1, 14, 512, 512, 3, 1, 1, 0 },
    { "vgg fc 25088>4096", 1, 1, 25088, 4096, 0, 1, 1, 0 },
    { "vgg fc 25088>4096 x16", 16, 1, 25088, 4096, 0, 1, 1, 0 },
    { "vgg 3x3 128>128 @112", 1, 112, 128, 128, 3, 1, 1, 0 },
    { "densenet 3x3 128>32 @56", 1, 56, 128, 32, 3, 1, 1, 0 },
    { "densenet 3x3 128>32 @14", 1, 14, 128, 32, 3, 1, 1, 0 },
    { "squeezenet 3x3 16>64 @55", 1, 55, 16, 64, 3, 1, 1, 0 },
    { "squeezenet 3x3 48>192 @13", 1, 13, 48, 192, 3, 1, 1, 0 },
    { "inception 3x3 96>96 @35", 1, 35, 96, 96, 3, 1, 1, 0 },
    { "inception 5x5 48>64 @35", 1, 35, 48, 64, 5, 1, 1, 0 },
    { "inception 1x7 160>160 @17", 1, 17, 160, 160, 1, 1, 1, 7 },
    { "inception 7x1 192>192 @17", 1, 17, 192, 192, 7, 1, 1, 1 },
    { "inception 1x3 384>384 @8", 1, 8, 384, 384, 1, 1, 1, 3 },
    { "resnet 3x3 256>256 @14 x8", 8, 14, 256, 256, 3, 1, 1, 0 },
    { "resnet 3x3 512>512 @7 x8", 8, 7, 512, 512, 3, 1, 1, 0 },
    { "alexnet 11x11/4 3>64 @224", 1, 224, 3, 64, 11, 4, 1, 0 },
    { "mobilenet 3x3/2 3>32 @224", 1, 224, 3, 32, 3, 2, 1, 0 },
    { "mobilenet 1x1 32>16 @112", 1, 112, 32, 16, 1, 1, 1, 0 },
    { "mobilenet 1x1 16>96 @112", 1, 112, 16, 96, 1, 1, 1, 0 },
    { "mobilenet 1x1 144>24 @56", 1, 56, 144, 24, 1, 1, 1, 0 },
    { "mobilenet 1x1 96>576 @14", 1, 14, 96, 576, 1, 1, 1, 0 },
    { "mobilenet 1x1 960>160 @7", 1, 7, 960, 160, 1, 1, 1, 0 },
    { "mobilenet dw 3x3 32 @112", 1, 112, 32, 32, 3, 1, 32, 0 },
    { "mobilenet dw 3x3/2 96 @112", 1, 112, 96, 96, 3, 2, 96, 0 },
    { "mobilenet dw 3x3 144 @56", 1, 56, 144, 144, 3, 1, 144, 0 },
    { "mobilenet dw 3x3 384 @14", 1, 14, 384, 384, 3, 1, 384, 0 },
    { "mobilenet dw 3x3 960 @7", 1, 7, 960, 960, 3, 1, 960, 0 },
    { "mobilenet dw 3x3/2 144 @56", 1, 56, 144, 144, 3, 2, 144, 0 },
    { "mobilenet dw 3x3 192 @28", 1, 28, 192, 192, 3, 1, 192, 0 },
    { "efficientnet dw 5x5/2 144 @56", 1, 56, 144, 144, 5, 2, 144, 0 },
    { "efficientnet dw 5x5 240 @28", 1, 28, 240, 240, 5, 1, 240, 0 },
    { "efficientnet dw 5x5 672 @14", 1, 14, 672, 672, 5, 1, 672, 0 },
    { "efficientnet dw 5x5 1152 @7", 1, 7, 1152, 1152, 5, 1, 1152, 0 },
    { "convnext dw 7x7 96 @56", 1, 56, 96, 96, 7, 1, 96, 0 },
    { "convnext dw 7x7 192 @28", 1, 28, 192, 192, 7, 1, 192, 0 },
    { "convnext dw 7x7 384 @14", 1, 14, 384, 384, 7, 1, 384, 0 },
    { "convnext dw 7x7 768 @7", 1, 7, 768, 768, 7, 1, 768, 0 },
    { "resnext 3x3 128 g32 @56", 1, 56, 128, 128, 3, 1, 32, 0 },
    { "resnext 3x3 256 g32 @28", 1, 28, 256, 256, 3, 1, 32, 0 },
    { "resnext 3x3 1024 g32 @7", 1, 7, 1024, 1024, 3, 1, 32, 0 },
};

/* clang-format on */

/* One thing to time, whatever it is. */
enum kind { FORWARD, BACKWARD_DATA, BACKWARD_WEIGHTS, BYTES };

struct job {
    enum kind kind;
    const struct cb_kernels *kernels;
    struct cb_threads *threads;
    const struct cb_conv_algorithm *algorithm; /* NULL: the product */
    struct cb_conv_call call;
    float *w, *dx;
    size_t packed_bytes, copies; /* of the packed weights: as in a network, none is in the cache */
    char *packed;
    struct cb_gemm gemm;
    struct cb_quantised_conv bytes;
};

static void *take(struct cb_arena *arena, size_t bytes)
{
    void *p = cb_arena_alloc(arena, bytes + 1, 1);
    if (!p)
        exit(1);
    return p;
}

static float *numbers(struct cb_arena *arena, size_t n)
{
    struct cb_rng rng = cb_rng_seed(1);
    float *p = take(arena, n * sizeof(float));
    cb_rng_fill(&rng, n, p);
    return p;
}

static double now_ms(const struct cb_threads *threads)
{
    struct timespec t;
    if (cb_threads_count(threads) > 1)
        return cb_clock_ms();
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

static void run(const struct job *job)
{
    const struct cb_conv_call *call = &job->call;
    if (job->kind == BYTES)
        cb_quantised_conv_run(job->kernels, &job->bytes);
    else if (job->kind == BACKWARD_DATA)
        cb_conv_backward_data(job->kernels, job->threads, call->shape, call->y, job->w,
                              call->scratch, job->dx);
    else if (job->kind == BACKWARD_WEIGHTS)
        cb_conv_backward_weights(job->kernels, job->threads, call->shape, call->x, call->y,
                                 call->scratch, job->w);
    else if (job->algorithm)
        job->algorithm->run(job->kernels, call);
    else
        cb_gemm_run(job->kernels, job->threads, &job->gemm);
}

static struct cb_conv_shape shape_of(const struct row *r)
{
    const size_t out = (r->size - 1) / r->stride + 1, width = r->width ? r->width : r->kernel;
    return (struct cb_conv_shape){
        .n = r->n,
        .cin = r->cin,
        .cout = r->cout,
        .group = r->group,
        .in = { 1, r->size, r->size },
        .out = { 1, out, out },
        .kernel = { 1, r->kernel, width },
        .stride = { 1, r->stride, r->stride },
        .dilation = { 1, 1, 1 },
        .pad = { 0, r->kernel / 2, width / 2 },
    };
}

static double flops(const struct row *r, const struct cb_conv_shape *s)
{
    const double products = (double)r->cin * (double)r->cout;
    if (r->kernel == 0)
        return 2 * (double)r->n * products;
    return 2 * (double)(r->n * s->out[1] * s->out[2] * s->kernel[1] * s->kernel[2]) * products /
           (double)r->group;
}

static void copy_weights(struct job *job, struct cb_arena *arena, const void *packed)
{
    job->copies = COLD_BYTES / (job->packed_bytes + 1) + 1;
    job->packed = take(arena, job->copies * job->packed_bytes);
    for (size_t i = 0; i < job->copies; i++)
        memcpy(job->packed + i * job->packed_bytes, packed, job->packed_bytes);
}

static void prepare_conv(struct job *job, struct cb_arena *arena, const struct cb_conv_shape *s)
{
    const struct cb_conv_algorithm *a = job->algorithm;
    const size_t out = s->n * s->out[1] * s->out[2] * s->cout;
    const size_t threads = cb_threads_count(job->threads), in = s->n * s->in[1] * s->in[2] * s->cin;
    const size_t forward = a->scratch_bytes(job->kernels, s, threads);
    const size_t backward = cb_conv_backward_scratch_bytes(job->kernels, s, threads);
    float *w = job->w = numbers(arena, s->cout * (s->cin / s->group) * s->kernel[1] * s->kernel[2]);
    void *packed = take(arena, a->packed_bytes(job->kernels, s));
    a->pack(job->kernels, s, job->threads, w, NULL, packed);
    job->packed_bytes = a->packed_bytes(job->kernels, s);
    copy_weights(job, arena, packed);
    job->call = (struct cb_conv_call){
        .shape = s,
        .x = numbers(arena, in),
        .packed = packed,
        .y = numbers(arena, out),
        .y_stride = s->cout,
        .post = { .bias = numbers(arena, s->cout), .lo = 0, .hi = INFINITY },
        .scratch = take(arena, job->kind == FORWARD ? forward : backward),
        .threads = job->threads,
    };
    if (job->kind == BACKWARD_DATA)
        job->dx = numbers(arena, in);
}

static void prepare_product(struct job *job, struct cb_arena *arena, const struct row *r)
{
    void *packed = take(arena, cb_gemm_packed_bytes(job->kernels, r->cin, r->cout));
    cb_gemm_pack(job->kernels, job->threads, r->cin, r->cout, numbers(arena, r->cin * r->cout), 1,
                 r->cin, packed);
    job->gemm = (struct cb_gemm){
        .m = r->n,
        .n = r->cout,
        .k = r->cin,
        .a = numbers(arena, r->n * r->cin),
        .lda = r->cin,
        .packed = packed,
        .c = numbers(arena, r->n * r->cout),
        .ldc = r->cout,
        .post = { .bias = numbers(arena, r->cout), .lo = -INFINITY, .hi = INFINITY },
    };
}

/* A product is a convolution over one line of pixels. */
static void prepare_bytes(struct job *job, struct cb_arena *arena, const struct row *r,
                          struct cb_conv_shape *s)
{
    if (r->kernel == 0) {
        s->n = 1;
        s->in[2] = s->out[2] = r->n;
        s->in[1] = s->out[1] = s->kernel[1] = s->kernel[2] = 1;
        s->pad[1] = s->pad[2] = 0;
    }
    const size_t in = s->n * s->in[1] * s->in[2] * s->cin;
    const size_t weights = s->cout * (s->cin / s->group) * s->kernel[1] * s->kernel[2];
    uint8_t *x = take(arena, in + CB_QUANTISED_GROUP);
    int8_t *w = take(arena, weights);
    void *packed = take(arena, cb_quantised_conv_packed_bytes(job->kernels, s));
    for (size_t i = 0; i < in; i++)
        x[i] = (uint8_t)(i * 2654435761u >> 13);
    for (size_t i = 0; i < weights; i++)
        w[i] = (int8_t)(i * 2654435761u >> 11);
    cb_quantised_conv_pack(job->kernels, s, w, packed);
    job->bytes = (struct cb_quantised_conv){
        .shape = s,
        .x = x,
        .x_quantum = { 0.02f, 3 },
        .packed = packed,
        .w_scale = numbers(arena, s->cout),
        .bias = numbers(arena, s->cout),
        .bytes = take(arena, s->n * s->out[1] * s->out[2] * s->cout),
        .y_quantum = { 0.05f, 0 },
        .lo = 0,
        .hi = INFINITY,
        .scratch = take(arena, cb_quantised_conv_scratch_bytes(job->kernels, s,
                                                               cb_threads_count(job->threads))),
        .threads = job->threads,
    };
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(const struct row *r, enum kind kind, const struct cb_kernels *kernels,
                    const struct cb_conv_algorithm *algorithm, bool cold,
                    struct cb_threads *threads)
{
    static const char *const kinds[] = { "product", "d-data", "d-weights", "bytes" };
    struct cb_arena arena;
    if (cb_arena_init(&arena, (size_t)4 << 30).code)
        exit(1);
    struct job job = {
        .kind = kind, .kernels = kernels, .algorithm = algorithm, .threads = threads
    };
    struct cb_conv_shape s = shape_of(r);
    if (kind == BYTES)
        prepare_bytes(&job, &arena, r, &s);
    else if (r->kernel)
        prepare_conv(&job, &arena, &s);
    else
        prepare_product(&job, &arena, r);
    double ms[RUNS_MAX];
    size_t runs = 0;
    run(&job);
    const double end = cb_clock_ms() + 1e3 * SECONDS;
    while (runs < 5 || (runs < RUNS_MAX && cb_clock_ms() < end)) {
        const double start = now_ms(threads);
        if (cold && job.copies)
            job.call.packed = job.packed + runs % job.copies * job.packed_bytes;
        run(&job);
        ms[runs++] = now_ms(threads) - start;
    }
    qsort(ms, runs, sizeof *ms, by_value);
    const double work = flops(r, &s) / 1e6;
    const char *what = kind == FORWARD && job.algorithm ? job.algorithm->name : kinds[kind];
    const double error = job.algorithm && kind == FORWARD
                             ? cb_conv_error(kernels, &s, job.algorithm, job.w, job.call.packed)
                             : 0;
    printf("%-27s %-15s %-7s %zu  %8.3f ms  best %6.1f  median %6.1f GFLOP/s  error %.1e\n",
           r->name, what, kind == BYTES ? kernels->quantised.name : kernels->name, cb_threads_count(threads), ms[0], work / ms[0],
           work / ms[runs / 2], error);
    fflush(stdout);
    cb_arena_deinit(&arena);
}

/* The algorithm that is chosen, or every one that fits (but for the plain loops). */
static void measure_forms(const struct row *r, enum kind kind, const struct cb_kernels *kernels,
                          bool all, bool cold, struct cb_threads *threads)
{
    const struct cb_conv_shape s = shape_of(r);
    const struct cb_conv_algorithm *chosen = r->kernel ? cb_conv_choose(kernels, &s) : NULL;
    if (!all || kind != FORWARD || !chosen) {
        measure(r, kind, kernels, chosen, cold, threads);
        return;
    }
    for (size_t i = 0; i + 1 < cb_conv_algorithm_count; i++)
        if (cb_conv_algorithms[i]->fits(kernels, &s))
            measure(r, kind, kernels, cb_conv_algorithms[i], cold, threads);
}

int main(int argc, char **argv)
{
    const char *filter = "";
    enum cb_isa first = CB_ISA_GENERIC + 1, last = cb_isa_best();
    size_t count_first = 1, count_last = 2;
    enum kind kind_last = FORWARD;
    bool all = false, cold = false, bytes = false;
    for (int option; (option = getopt(argc, argv, "abcqf:i:t:")) != -1;) {
        if (option == 'b')
            kind_last = BACKWARD_WEIGHTS;
        else if (option == 'a')
            all = true;
        else if (option == 'c')
            cold = true;
        else if (option == 'q')
            bytes = true;
        else if (option == 'f')
            filter = optarg;
        else if (option == 'i')
            first = last = cb_isa_find(optarg);
        else if (option == 't')
            count_first = count_last = (size_t)atoi(optarg);
        else
            return 2;
    }
    for (size_t count = count_first; count <= count_last; count++) {
        struct cb_threads *threads;
        if (cb_threads_create(count, &threads).code)
            return 1;
        for (enum cb_isa isa = first; isa <= last; isa++) {
            const struct cb_kernels kernels = cb_kernels_for(isa);
            for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                for (enum kind kind = FORWARD; kind <= kind_last; kind++)
                    if (strstr(rows[i].name, filter) && (kind == FORWARD || rows[i].kernel))
                        measure_forms(&rows[i], kind, &kernels, all, cold, threads);
                if (bytes && strstr(rows[i].name, filter))
                    measure(&rows[i], BYTES, &kernels, NULL, false, threads);
            }
        }
        cb_threads_destroy(threads);
    }
    return 0;
}
