#include "core/ops/elementwise/walk.h"

#include <string.h>

void cb_walk_strides(const struct cb_shape *shape, ptrdiff_t step[CB_MAX_RANK])
{
    ptrdiff_t next = 1;
    for (int i = shape->rank - 1; i >= 0; i--) {
        step[i] = next;
        next *= (ptrdiff_t)shape->dim[i];
    }
}

void cb_walk_tensor_strides(const struct cb_tensor *tensor, ptrdiff_t step[CB_MAX_RANK])
{
    const struct cb_shape *s = &tensor->shape;
    ptrdiff_t next = (ptrdiff_t)cb_tensor_pixel_stride(tensor);
    if (s->rank > 0)
        step[s->rank - 1] = 1;
    for (int i = s->rank - 2; i >= 0; i--) {
        step[i] = next;
        next *= (ptrdiff_t)s->dim[i];
    }
}

struct cb_walk cb_walk_over(const struct cb_shape *shape)
{
    struct cb_walk walk = { .rank = shape->rank };
    for (int i = 0; i < shape->rank; i++)
        walk.dim[i] = (size_t)shape->dim[i];
    return walk;
}

void cb_walk_add_steps(struct cb_walk *walk, const ptrdiff_t step[])
{
    for (int i = 0; i < walk->rank; i++)
        walk->step[walk->operands][i] = step[i];
    walk->operands++;
}

void cb_walk_add_dense(struct cb_walk *walk)
{
    ptrdiff_t step[CB_WALK_RANK], next = 1;
    for (int i = walk->rank - 1; i >= 0; i--) {
        step[i] = next;
        next *= (ptrdiff_t)walk->dim[i];
    }
    cb_walk_add_steps(walk, step);
}

void cb_walk_add_broadcast(struct cb_walk *walk, const struct cb_shape *shape)
{
    ptrdiff_t step[CB_WALK_RANK], next = 1;
    for (int i = walk->rank - 1; i >= 0; i--) {
        const int k = i - (walk->rank - shape->rank);
        step[i] = k < 0 || shape->dim[k] == 1 ? 0 : next;
        if (k >= 0)
            next *= (ptrdiff_t)shape->dim[k];
    }
    cb_walk_add_steps(walk, step);
}

/* True when, for every operand, axis `outer` goes on where axis `inner` ends. */
static bool continues(const struct cb_walk *walk, int outer, int inner)
{
    for (int k = 0; k < walk->operands; k++)
        if (walk->step[k][outer] != walk->step[k][inner] * (ptrdiff_t)walk->dim[inner])
            return false;
    return true;
}

/* The same walk with axes of 1 left out and continuing axes merged; at least one axis. */
static struct cb_walk merge(const struct cb_walk *from)
{
    struct cb_walk to = { .operands = from->operands };
    for (int i = 0; i < from->rank; i++) {
        if (from->dim[i] == 1)
            continue;
        to.dim[to.rank] = from->dim[i];
        for (int k = 0; k < from->operands; k++)
            to.step[k][to.rank] = from->step[k][i];
        if (to.rank > 0 && continues(&to, to.rank - 1, to.rank)) {
            to.dim[to.rank - 1] *= to.dim[to.rank];
            for (int k = 0; k < to.operands; k++)
                to.step[k][to.rank - 1] = to.step[k][to.rank];
        } else {
            to.rank++;
        }
    }
    if (to.rank == 0) {
        to.rank = 1;
        to.dim[0] = 1;
    }
    return to;
}

struct walk_job {
    const struct cb_walk *walk;
    cb_walk_fn *fn;
    void *ctx;
};

/* Elements [begin, end) of the merged walk. */
static void run_piece(void *ctx, size_t begin, size_t end)
{
    const struct walk_job *job = ctx;
    const struct cb_walk *w = job->walk;
    const int last = w->rank - 1;
    size_t index[CB_WALK_RANK], rest = begin;
    ptrdiff_t at[CB_WALK_OPERANDS] = { 0 };
    struct cb_walk_row row;

    for (int i = last; i >= 0; i--) {
        index[i] = rest % w->dim[i];
        rest /= w->dim[i];
        for (int k = 0; k < w->operands; k++)
            at[k] += w->step[k][i] * (ptrdiff_t)index[i];
    }
    for (int k = 0; k < w->operands; k++)
        row.step[k] = w->step[k][last];
    while (begin < end) {
        const size_t left = w->dim[last] - index[last];
        row.n = left < end - begin ? left : end - begin;
        for (int k = 0; k < w->operands; k++)
            row.at[k] = at[k];
        job->fn(job->ctx, &row);
        begin += row.n;
        /* to the start of the next row */
        for (int k = 0; k < w->operands; k++)
            at[k] -= w->step[k][last] * (ptrdiff_t)index[last];
        index[last] = 0;
        for (int i = last - 1; i >= 0; i--) {
            for (int k = 0; k < w->operands; k++)
                at[k] += w->step[k][i];
            if (++index[i] < w->dim[i])
                break;
            for (int k = 0; k < w->operands; k++)
                at[k] -= w->step[k][i] * (ptrdiff_t)w->dim[i];
            index[i] = 0;
        }
    }
}

void cb_walk_run(const struct cb_walk *walk, struct cb_threads *threads, cb_walk_fn *fn, void *ctx)
{
    size_t n = 1;
    struct cb_walk merged;
    for (int i = 0; i < walk->rank; i++)
        n *= walk->dim[i];
    if (n == 0)
        return;
    merged = merge(walk);
    cb_walk_range(threads, n, CB_WALK_GRAIN, run_piece, &(struct walk_job){ &merged, fn, ctx });
}

struct copy_job {
    size_t size;
    const char *from;
    char *to;
};

static void copy_row(void *ctx, const struct cb_walk_row *row)
{
    const struct copy_job *job = ctx;
    const ptrdiff_t size = (ptrdiff_t)job->size, n = (ptrdiff_t)row->n;
    const void *from = job->from + row->at[0] * size;
    void *to = job->to + row->at[1] * size;
    if (row->step[0] == 1 && row->step[1] == 1)
        memcpy(to, from, row->n * job->size);
    else if (job->size == 1)
        for (ptrdiff_t i = 0; i < n; i++)
            ((uint8_t *)to)[i * row->step[1]] = ((const uint8_t *)from)[i * row->step[0]];
    else if (job->size == sizeof(uint32_t))
        for (ptrdiff_t i = 0; i < n; i++)
            ((uint32_t *)to)[i * row->step[1]] = ((const uint32_t *)from)[i * row->step[0]];
    else
        for (ptrdiff_t i = 0; i < n; i++)
            ((uint64_t *)to)[i * row->step[1]] = ((const uint64_t *)from)[i * row->step[0]];
}

void cb_walk_copy(const struct cb_walk *walk, struct cb_threads *threads, size_t size,
                  const void *from, void *to)
{
    cb_walk_run(walk, threads, copy_row, &(struct copy_job){ size, from, to });
}

struct accumulate_job {
    const float *from;
    float *to;
};

static void accumulate_row(void *ctx, const struct cb_walk_row *row)
{
    const struct accumulate_job *job = ctx;
    const float *from = job->from + row->at[0];
    float *to = job->to + row->at[1];
    for (ptrdiff_t i = 0; i < (ptrdiff_t)row->n; i++)
        to[i * row->step[1]] += from[i * row->step[0]];
}

void cb_walk_accumulate(const struct cb_walk *walk, struct cb_threads *threads, const float *from,
                        float *to)
{
    cb_walk_run(walk, threads, accumulate_row, &(struct accumulate_job){ from, to });
}

struct range_job {
    size_t n, pieces;
    cb_range_fn *fn;
    void *ctx;
};

static void range_piece(void *ctx, size_t i, size_t worker)
{
    const struct range_job *job = ctx;
    const size_t share = job->n / job->pieces, more = job->n % job->pieces;
    const size_t begin = i * share + (i < more ? i : more);
    (void)worker;
    job->fn(job->ctx, begin, begin + share + (i < more));
}

void cb_walk_range(struct cb_threads *threads, size_t n, size_t grain, cb_range_fn *fn, void *ctx)
{
    const size_t most = cb_threads_count(threads);
    const size_t wanted = n / (grain ? grain : 1);
    struct range_job job = {
        .n = n, .pieces = wanted < most ? wanted : most, .fn = fn, .ctx = ctx
    };
    if (n == 0)
        return;
    if (job.pieces <= 1)
        fn(ctx, 0, n);
    else
        cb_threads_for(threads, job.pieces, range_piece, &job);
}
