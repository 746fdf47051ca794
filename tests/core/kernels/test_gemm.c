/* The matrix product against sums in double, on every set: shapes around the tile, zeros, strides,
 * both ways through the cache, both orders of B. */
#include "core/kernels/gemm.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/rng.h"
#include "tests/support/close.h"

struct product {
    size_t m, n, k, lda, ldc;
    bool transposed; /* B is given as [n, k] */
    bool bias, residual, in_place;
    float lo, hi;
};

static float *random_floats(struct cb_arena *arena, struct cb_rng *rng, size_t n)
{
    float *p = cb_arena_alloc(arena, n + 1, sizeof(float));
    cr_assert(p != NULL);
    cb_rng_fill(rng, n, p);
    return p;
}

/* What a product reads, and what must come out; gaps between the rows of C keep what they had. */
struct data {
    float *a, *bias, *residual, *before, *want;
    char *b; /* not aligned */
    size_t c_size;
};

static struct data data_of(struct cb_arena *arena, const struct product *p)
{
    struct cb_rng rng = cb_rng_seed(p->m * 1000003 + p->n * 1009 + p->k);
    struct data d = { .c_size = p->m * p->ldc };
    d.a = random_floats(arena, &rng, p->m * p->lda);
    float *b = random_floats(arena, &rng, p->k * p->n + 1);
    d.bias = random_floats(arena, &rng, p->n);
    d.before = random_floats(arena, &rng, d.c_size);
    d.residual = p->in_place ? d.before : random_floats(arena, &rng, d.c_size);
    d.want = random_floats(arena, &rng, d.c_size);
    memcpy(d.want, d.before, d.c_size * sizeof(float));
    for (size_t i = 0; i < p->m; i++)
        for (size_t j = 0; j < p->n; j++) {
            double sum = p->bias ? (double)d.bias[j] : 0;
            for (size_t k = 0; k < p->k; k++)
                sum += (double)d.a[i * p->lda + k] *
                       (double)b[p->transposed ? j * p->k + k : k * p->n + j];
            if (p->residual)
                sum += (double)d.residual[i * p->ldc + j];
            d.want[i * p->ldc + j] = (float)fmin(fmax(sum, (double)p->lo), (double)p->hi);
        }
    d.b = (char *)b + 1;
    memmove(d.b, b, p->k * p->n * sizeof(float));
    return d;
}

static void check(struct cb_arena *arena, struct cb_threads *threads, const struct product *p)
{
    const struct data d = data_of(arena, p);
    for (enum cb_isa isa = CB_ISA_GENERIC; isa <= cb_isa_best(); isa++) {
        const struct cb_kernels k = cb_kernels_for(isa);
        void *packed = cb_arena_alloc(arena, cb_gemm_packed_bytes(&k, p->k, p->n) + 1, 1);
        float *c = cb_arena_alloc(arena, d.c_size + 1, sizeof(float));
        cr_assert(packed && c);
        memset(packed, 0x7f, cb_gemm_packed_bytes(&k, p->k, p->n));
        memcpy(c, d.before, d.c_size * sizeof(float));
        cb_gemm_pack(&k, threads, p->k, p->n, d.b, p->transposed ? 1 : p->n,
                     p->transposed ? p->k : 1, packed);
        const struct cb_gemm gemm = {
            .m = p->m, .n = p->n, .k = p->k, .a = d.a, .lda = p->lda, .packed = packed, .c = c, .ldc = p->ldc,
            .post = {
                .bias = p->bias ? d.bias : NULL,
                .residual = !p->residual ? NULL : p->in_place ? c : d.residual,
                .lo = p->lo,
                .hi = p->hi,
            },
        };
        cb_gemm_run(&k, threads, &gemm);
        cb_expect_close(d.c_size, c, d.want, "%s, %zu x %zu x %zu, lda %zu", k.name, p->m, p->n,
                        p->k, p->lda);
    }
}

static struct cb_arena arena;
static struct cb_threads *threads;

static void begin(void)
{
    cr_assert_eq(cb_arena_init(&arena, (size_t)1 << 28).code, CB_OK);
    cr_assert_eq(cb_threads_create(2, &threads).code, CB_OK);
}

static void end(void)
{
    cb_threads_destroy(threads);
    cb_arena_deinit(&arena);
}

Test(gemm, odd_shapes_and_zeros, .init = begin, .fini = end)
{
    static const size_t sizes[] = { 0, 1, 2, 5, 6, 7, 13, 14, 15, 16, 17, 29, 31, 32, 33, 65 };
    enum { COUNT = sizeof sizes / sizeof *sizes };
    for (size_t i = 0; i < COUNT * COUNT; i++, cb_arena_rewind(&arena, 0)) {
        const struct product p = {
            .m = sizes[i % COUNT],
            .n = sizes[i / COUNT],
            .k = sizes[(i * 7 + i / COUNT) % COUNT],
            .lda = 70,
            .ldc = 65 + i % 3,
            .transposed = i % 2,
            .bias = i % 3 == 0,
            .residual = i % 5 < 2,
            .in_place = i % 5 == 1,
            .lo = i % 7 ? -INFINITY : 0,
            .hi = i % 7 ? INFINITY : 1,
        };
        check(&arena, i % 16 == 0 ? threads : NULL, &p);
    }
}

Test(gemm, no_rows_of_b_give_the_epilogue_of_zero, .init = begin, .fini = end)
{
    const struct product p = {
        .m = 3, .n = 5, .lda = 1, .ldc = 5, .bias = true, .residual = true, .lo = -1, .hi = 0.5f
    };
    check(&arena, NULL, &p);
}

Test(gemm, tall_wide_and_deep_shapes_with_threads, .init = begin, .fini = end)
{
    /* clang-format off */
    static const struct product shapes[] = {
        { .m = 401, .n = 37, .k = 50, .lda = 50, .ldc = 37, .bias = true, .hi = INFINITY },
        { .m = 1, .n = 1001, .k = 130, .lda = 130, .ldc = 1001, .transposed = true, .lo = -9, .hi = 6 },
        { .m = 31, .n = 33, .k = 9001, .lda = 9001, .ldc = 40, .bias = true, .residual = true, .hi = 1 },
        { .m = 31, .n = 33, .k = 9001, .lda = 9001, .ldc = 40, .residual = true, .in_place = true,
          .lo = -INFINITY, .hi = INFINITY },
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++, cb_arena_rewind(&arena, 0))
        check(&arena, threads, &shapes[i]);
}

Test(gemm, rows_a_page_apart_give_the_same, .init = begin, .fini = end)
{
    static const size_t depths[] = { 0, 1, 255, 256, 257, 600, 1024 };
    for (size_t i = 0; i < sizeof depths / sizeof *depths; i++, cb_arena_rewind(&arena, 0)) {
        const struct product p = {
            .m = 4 + 11 * i,
            .n = 70,
            .k = depths[i],
            .lda = 1024,
            .ldc = 70,
            .bias = true,
            .residual = i % 2,
            .in_place = true,
            .lo = -2,
            .hi = 3,
        };
        check(&arena, threads, &p);
    }
}

Test(gemm, impossible_sizes_want_impossible_memory)
{
    const struct cb_kernels k = cb_kernels_for(cb_isa_best());
    cr_expect_eq(cb_gemm_packed_bytes(&k, SIZE_MAX / 8, 1000), SIZE_MAX);
}

Test(transpose_2d, swaps_rows_and_columns, .init = begin, .fini = end)
{
    static const size_t sizes[] = { 0, 1, 31, 32, 33, 100 };
    struct cb_rng rng = cb_rng_seed(1);
    const float *in = random_floats(&arena, &rng, 100 * 101);
    float *out = random_floats(&arena, &rng, 100 * 103);
    for (size_t i = 0; i < 36; i++) {
        const size_t rows = sizes[i % 6], columns = sizes[i / 6];
        cb_transpose_2d(i % 2 ? threads : NULL, rows, columns, in, 101, out, 103);
        for (size_t at = 0; at < rows * columns; at++)
            cr_assert(out[at % columns * 103 + at / columns] ==
                      in[at / columns * 101 + at % columns]);
    }
}
