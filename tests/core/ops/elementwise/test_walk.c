#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdatomic.h>

#include "core/ops/elementwise/walk.h"
#include "tests/support/op_case.h"

struct seen {
    size_t rows, elements, longest;
    ptrdiff_t sum[2]; /* of the places of both operands */
};

static void count_row(void *ctx, const struct cb_walk_row *row)
{
    struct seen *seen = ctx;
    seen->rows++;
    seen->elements += row->n;
    seen->longest = row->n > seen->longest ? row->n : seen->longest;
    for (ptrdiff_t i = 0; i < (ptrdiff_t)row->n; i++)
        for (int k = 0; k < 2; k++)
            seen->sum[k] += row->at[k] + i * row->step[k];
}

static struct seen walk_broadcast(struct cb_shape shape, struct cb_shape operand)
{
    struct seen seen = { 0 };
    struct cb_walk walk = cb_walk_over(&shape);
    cb_walk_add_dense(&walk);
    cb_walk_add_broadcast(&walk, &operand);
    cb_walk_run(&walk, NULL, count_row, &seen);
    return seen;
}

Test(walk, of_one_shape_is_one_row)
{
    const struct seen s = walk_broadcast(OP_SHAPE(2, 3, 5), OP_SHAPE(2, 3, 5));
    cr_expect(eq(sz, s.rows, 1));
    cr_expect(eq(sz, s.longest, 30));
    cr_expect(eq(i64, s.sum[0], 435));
    cr_expect(eq(i64, s.sum[1], 435));
}

Test(walk, of_a_broadcast_has_rows_as_long_as_can_be)
{
    struct seen s = walk_broadcast(OP_SHAPE(2, 3, 5), OP_SHAPE(5));
    cr_expect(eq(sz, s.rows, 6));
    cr_expect(eq(sz, s.longest, 5));
    cr_expect(eq(i64, s.sum[1], 60));
    s = walk_broadcast(OP_SHAPE(2, 3, 5), OP_SHAPE(1));
    cr_expect(eq(sz, s.rows, 1));
    cr_expect(eq(sz, s.longest, 30));
    cr_expect(eq(i64, s.sum[1], 0));
    s = walk_broadcast(OP_SHAPE(2, 3, 5), OP_SHAPE(2, 1, 1));
    cr_expect(eq(sz, s.rows, 2));
    cr_expect(eq(sz, s.longest, 15));
    cr_expect(eq(i64, s.sum[1], 15));
    s = walk_broadcast(OP_SHAPE(2, 3, 5, 4), OP_SHAPE(2, 1, 1, 4));
    cr_expect(eq(sz, s.rows, 30));
    cr_expect(eq(sz, s.longest, 4));
}

Test(walk, of_a_scalar_is_one_element_and_of_nothing_none)
{
    cr_expect(eq(sz, walk_broadcast(OP_SCALAR, OP_SCALAR).elements, 1));
    cr_expect(eq(sz, walk_broadcast(OP_SHAPE(3, 0), OP_SHAPE(1)).elements, 0));
}

struct marks {
    int *count;
};

static void mark_row(void *ctx, const struct cb_walk_row *row)
{
    const struct marks *marks = ctx;
    for (ptrdiff_t i = 0; i < (ptrdiff_t)row->n; i++)
        marks->count[row->at[0] + i * row->step[0]]++;
}

Test(walk, with_threads_visits_every_element_once)
{
    static int count[3 * 7 * 5000];
    struct cb_threads *threads = NULL;
    struct cb_walk walk = cb_walk_over(&OP_SHAPE(3, 7, 5000));
    const struct cb_shape transposed = OP_SHAPE(7, 3, 5000);
    ptrdiff_t step[CB_MAX_RANK];
    cb_walk_strides(&transposed, step);
    const ptrdiff_t swapped[] = { step[1], step[0], step[2] };
    cb_walk_add_steps(&walk, swapped);
    cr_assert(eq(int, (int)cb_threads_create(5, &threads).code, CB_OK));
    cb_walk_run(&walk, threads, mark_row, &(struct marks){ count });
    cb_threads_destroy(threads);
    for (size_t i = 0; i < CB_COUNT_OF(count); i++)
        cr_assert(count[i] == 1, "element %zu is visited %d times", i, count[i]);
}

static void add_range(void *ctx, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++)
        atomic_fetch_add((_Atomic size_t *)ctx, i);
}

Test(walk, range_covers_all_of_it_for_every_size)
{
    static const size_t sizes[] = { 0, 1, 2, 3, 5, 17, 64, 1000 };
    struct cb_threads *threads = NULL;
    cr_assert(eq(int, (int)cb_threads_create(3, &threads).code, CB_OK));
    for (size_t i = 0; i < CB_COUNT_OF(sizes); i++) {
        _Atomic size_t sum = 0;
        cb_walk_range(threads, sizes[i], 2, add_range, &sum);
        cr_expect(eq(sz, (size_t)sum, sizes[i] * (sizes[i] - (sizes[i] > 0)) / 2));
    }
    cb_threads_destroy(threads);
}
