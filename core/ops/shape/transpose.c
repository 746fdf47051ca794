/* core/ops/shape/transpose.c - Transpose: y[i, j, ...] = x[..., with the axes in the order of
 * perm].
 *
 * Axes that stay together are merged. What is then a batch of matrices (channels to the last axis,
 * and back) is transposed in square blocks, so that reads and writes both use whole cache lines. */
#include <stdint.h>

#include "core/ops/args.h"
#include "core/ops/defs.h"
#include "core/ops/elementwise/walk.h"

#define BLOCK 16

struct matrix_job {
    size_t rows, columns, blocks; /* of x; blocks of columns */
    const void *x;
    void *y;
    size_t size;
};

/* Which axis of x stands at place i of y, for the ranks that name a permutation (op.h). */
static int axis_at(int kind, int i, int rank)
{
    const bool still = i == 0 || rank < 3;
    switch (kind) {
    case CB_PERM_TO_LAST: return still ? i : i == rank - 1 ? 1 : i + 1;
    case CB_PERM_FROM_LAST: return still ? i : i == 1 ? rank - 1 : i - 1;
    case CB_PERM_SWAP_LAST: return rank < 2 || i < rank - 2 ? i : 2 * rank - 3 - i;
    case CB_PERM_BATCH: return rank < 3 || i == rank - 1 ? i : i == rank - 2 ? 0 : i + 1;
    default: return rank - 1 - i;
    }
}

static struct cb_status transpose_infer(struct cb_node *node, const struct cb_arg in[],
                                        struct cb_arg out[])
{
    const struct cb_shape *x = &in[0].shape;
    const int given = node->attr.transpose.rank;
    int *perm = node->attr.transpose.perm;
    struct cb_shape y = { .rank = x->rank };
    bool seen[CB_MAX_RANK] = { false };
    CB_TRY(cb_args_check(node, in));
    if (given > 0 && given != x->rank)
        return cb_fail(CB_ERR_MODEL, "%s: wants rank %d, has rank %d", node->name, given, x->rank);
    for (int i = 0; i < x->rank && given <= 0; i++)
        perm[i] = axis_at(given, i, x->rank);
    for (int i = 0; i < x->rank; i++) {
        if (perm[i] < 0 || perm[i] >= x->rank || seen[perm[i]])
            return cb_fail(CB_ERR_MODEL, "%s: wants each axis once, has %d in place %d", node->name,
                           perm[i], i);
        seen[perm[i]] = true;
        y.dim[i] = x->dim[perm[i]];
    }
    node->attr.transpose.rank = x->rank;
    return cb_args_out(node, &out[0], in[0].dtype, &y);
}

/* Elements of 4 bytes, four at a time, at any address a float may have. */
typedef uint32_t four __attribute__((vector_size(16)));
typedef uint32_t four_anywhere __attribute__((vector_size(16), aligned(4), may_alias));

/* Four rows of four: x's rows are x_step apart, y's y_step. */
static void transpose_4x4(const uint32_t *x, size_t x_step, uint32_t *y, size_t y_step)
{
    const four a = *(const four_anywhere *)x, b = *(const four_anywhere *)(x + x_step);
    const four c = *(const four_anywhere *)(x + 2 * x_step);
    const four d = *(const four_anywhere *)(x + 3 * x_step);
    const four ab0 = __builtin_shufflevector(a, b, 0, 4, 1, 5);
    const four ab2 = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    const four cd0 = __builtin_shufflevector(c, d, 0, 4, 1, 5);
    const four cd2 = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    *(four_anywhere *)y = __builtin_shufflevector(ab0, cd0, 0, 1, 4, 5);
    *(four_anywhere *)(y + y_step) = __builtin_shufflevector(ab0, cd0, 2, 3, 6, 7);
    *(four_anywhere *)(y + 2 * y_step) = __builtin_shufflevector(ab2, cd2, 0, 1, 4, 5);
    *(four_anywhere *)(y + 3 * y_step) = __builtin_shufflevector(ab2, cd2, 2, 3, 6, 7);
}

/* A part of x. */
struct block {
    size_t r0, r1, c0, c1;
};

/* Element by element. */
#define TRANSPOSE_BLOCK(name, type)                                                                \
    static void name(const struct matrix_job *job, size_t base, const struct block *b)             \
    {                                                                                              \
        const type *x = (const type *)job->x + base;                                               \
        type *y = (type *)job->y + base;                                                           \
        for (size_t c = b->c0; c < b->c1; c++)                                                     \
            for (size_t r = b->r0; r < b->r1; r++)                                                 \
                y[c * job->rows + r] = x[r * job->columns + c];                                    \
    }

TRANSPOSE_BLOCK(transpose_block_8, uint8_t)
TRANSPOSE_BLOCK(transpose_block_32, uint32_t)
TRANSPOSE_BLOCK(transpose_block_64, uint64_t)

/* Elements of 4 bytes, four rows by four, then the edges. */
static void transpose_fours(const struct matrix_job *job, size_t base, const struct block *b)
{
    const uint32_t *x = (const uint32_t *)job->x + base;
    uint32_t *y = (uint32_t *)job->y + base;
    const size_t r1 = b->r0 + (b->r1 - b->r0) / 4 * 4, c1 = b->c0 + (b->c1 - b->c0) / 4 * 4;
    for (size_t r = b->r0; r < r1; r += 4)
        for (size_t c = b->c0; c < c1; c += 4)
            transpose_4x4(x + r * job->columns + c, job->columns, y + c * job->rows + r, job->rows);
    transpose_block_32(job, base, &(struct block){ b->r0, r1, c1, b->c1 });
    transpose_block_32(job, base, &(struct block){ r1, b->r1, b->c0, b->c1 });
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void transpose_blocks(void *ctx, size_t begin, size_t end)
{
    const struct matrix_job *job = ctx;
    for (size_t i = begin; i < end; i++) {
        const size_t base = i / job->blocks * job->rows * job->columns;
        struct block b = { .c0 = i % job->blocks * BLOCK };
        b.c1 = least(b.c0 + BLOCK, job->columns);
        for (; b.r0 < job->rows; b.r0 = b.r1) {
            b.r1 = least(b.r0 + BLOCK, job->rows);
            if (job->size == sizeof(uint32_t))
                transpose_fours(job, base, &b);
            else if (job->size == 1)
                transpose_block_8(job, base, &b);
            else
                transpose_block_64(job, base, &b);
        }
    }
}

/* True when y is a batch of matrices of x, each transposed: perm is some axes as they are, then two
 * groups that change places. */
static bool is_matrices(const struct cb_op_call *call, struct matrix_job *job, size_t *batch)
{
    const struct cb_shape *x = &call->in[0]->shape;
    const int *perm = call->node->attr.transpose.perm;
    int axes[CB_MAX_RANK], n = 0, same = 0, turn;
    for (int i = 0; i < x->rank; i++) /* axes of 1 do not count */
        if (x->dim[perm[i]] != 1)
            axes[n++] = perm[i];
    *batch = 1;
    for (int below = 0; same < n; same++, below++) {
        while (x->dim[below] == 1)
            below++;
        if (axes[same] != below)
            break;
        *batch *= (size_t)x->dim[below];
    }
    for (turn = same + 1; turn < n && axes[turn] > axes[turn - 1]; turn++)
        continue;
    if (same >= n || turn >= n)
        return false;
    for (int i = turn + 1; i < n; i++)
        if (axes[i] < axes[i - 1])
            return false;
    if (axes[n - 1] > axes[same])
        return false;
    job->rows = job->columns = 1;
    for (int i = same; i < n; i++)
        *(i < turn ? &job->columns : &job->rows) *= (size_t)x->dim[axes[i]];
    return true;
}

/* The walk over y: operand 0 steps through x. */
static struct cb_walk walk_of(const struct cb_op_call *call)
{
    const struct cb_shape *x = &call->in[0]->shape;
    const int *perm = call->node->attr.transpose.perm;
    ptrdiff_t stride[CB_MAX_RANK], step[CB_MAX_RANK];
    struct cb_walk walk = { .rank = x->rank };
    cb_walk_strides(x, stride);
    for (int i = 0; i < x->rank; i++) {
        walk.dim[i] = (size_t)x->dim[perm[i]];
        step[i] = stride[perm[i]];
    }
    cb_walk_add_steps(&walk, step);
    return walk;
}

static void transpose_forward(const struct cb_op_call *call)
{
    const struct cb_tensor *x = call->in[0];
    struct matrix_job job = { .x = x->data,
                              .y = call->out[0]->data,
                              .size = cb_dtype_size(x->dtype) };
    size_t batch;
    if (cb_tensor_count(x) == 0)
        return;
    if (is_matrices(call, &job, &batch)) {
        job.blocks = (job.columns + BLOCK - 1) / BLOCK;
        cb_walk_range(call->threads, batch * job.blocks, 1 + CB_WALK_GRAIN / (job.rows * BLOCK),
                      transpose_blocks, &job);
    } else {
        struct cb_walk walk = walk_of(call);
        cb_walk_add_dense(&walk);
        cb_walk_copy(&walk, call->threads, job.size, job.x, job.y);
    }
}

static void transpose_backward(const struct cb_op_call *call)
{
    struct cb_walk from_x, walk;
    if (!call->din[0] || !call->dout[0])
        return;
    from_x = walk_of(call);
    walk = (struct cb_walk){ .rank = from_x.rank };
    for (int i = 0; i < walk.rank; i++)
        walk.dim[i] = from_x.dim[i];
    cb_walk_add_dense(&walk);
    cb_walk_add_steps(&walk, from_x.step[0]);
    cb_walk_accumulate(&walk, call->threads, call->dout[0]->f, call->din[0]->f);
}

/* clang-format off */
const struct cb_op_def cb_op_transpose = {
    .name = "Transpose", .min_in = 1, .max_in = 1, .max_out = 1,
    .infer = transpose_infer, .forward = transpose_forward, .backward = transpose_backward,
};
