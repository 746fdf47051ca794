/* core/ops/elementwise/where.c - Where: y = condition ? a : b, all three broadcast. */
#include "core/ops/args.h"
#include "core/ops/defs.h"
#include "core/ops/elementwise/walk.h"

struct where_args {
    const struct cb_tensor *condition, *a, *b, *dy;
    struct cb_tensor *to; /* y of forward, da or db of backward */
    bool chosen;          /* backward: the value of the condition that chose this input */
};

static struct cb_status where_infer(struct cb_node *node, const struct cb_arg in[],
                                    struct cb_arg out[])
{
    char text[3][CB_SHAPE_TEXT];
    struct cb_shape ab, y;
    CB_TRY(cb_args_check(node, in));
    if (in[0].dtype != CB_BOOL)
        return cb_fail(CB_ERR_MODEL, "%s: wants a condition of bool, has %s", node->name,
                       cb_dtype_get(in[0].dtype)->name);
    CB_TRY(cb_args_same_dtype(node, &in[1], &in[2]));
    if (!cb_shape_broadcast(&in[1].shape, &in[2].shape, &ab) ||
        !cb_shape_broadcast(&in[0].shape, &ab, &y))
        return cb_fail(CB_ERR_MODEL, "%s: wants shapes that broadcast, has %s, %s and %s",
                       node->name, cb_shape_text(&in[0].shape, text[0]),
                       cb_shape_text(&in[1].shape, text[1]), cb_shape_text(&in[2].shape, text[2]));
    return cb_args_out(node, &out[0], in[1].dtype, &y);
}

#define WHERE_ROW(name, type, member)                                                              \
    static void name(void *ctx, const struct cb_walk_row *row)                                     \
    {                                                                                              \
        const struct where_args *w = ctx;                                                          \
        const int64_t *c = w->condition->i + row->at[0];                                           \
        const type *a = w->a->member + row->at[1], *b = w->b->member + row->at[2];                 \
        type *y = w->to->member + row->at[3];                                                      \
        for (ptrdiff_t i = 0; i < (ptrdiff_t)row->n; i++)                                          \
            y[i] = c[i * row->step[0]] ? a[i * row->step[1]] : b[i * row->step[2]];                \
    }

WHERE_ROW(choose_real, float, f)
WHERE_ROW(choose_whole, int64_t, i)

static void slope_row(void *ctx, const struct cb_walk_row *row)
{
    const struct where_args *w = ctx;
    const int64_t *c = w->condition->i + row->at[0];
    const float *dy = w->dy->f + row->at[3];
    float *to = w->to->f + row->at[4];
    for (ptrdiff_t i = 0; i < (ptrdiff_t)row->n; i++)
        if ((c[i * row->step[0]] != 0) == w->chosen)
            to[i * row->step[4]] += dy[i];
}

static struct cb_walk walk_of(const struct cb_op_call *call, const struct cb_shape *y)
{
    struct cb_walk walk = cb_walk_over(y);
    for (int i = 0; i < 3; i++)
        cb_walk_add_broadcast(&walk, &call->in[i]->shape);
    cb_walk_add_dense(&walk);
    return walk;
}

static void where_forward(const struct cb_op_call *call)
{
    const struct cb_walk walk = walk_of(call, &call->out[0]->shape);
    struct where_args args = { call->in[0], call->in[1], call->in[2], .to = call->out[0] };
    const bool real = cb_dtype_get(args.a->dtype)->is_float;
    cb_walk_run(&walk, call->threads, real ? choose_real : choose_whole, &args);
}

static void where_backward(const struct cb_op_call *call)
{
    for (int i = 1; i < 3; i++) {
        struct where_args args = {
            .condition = call->in[0], .dy = call->dout[0], .to = call->din[i], .chosen = i == 1
        };
        struct cb_walk walk = walk_of(call, &call->out[0]->shape);
        if (!args.dy || !args.to)
            continue;
        cb_walk_add_broadcast(&walk, &call->in[i]->shape);
        cb_walk_run(&walk, NULL, slope_row, &args);
    }
}

static enum cb_dtype where_result(const struct cb_node *node, const enum cb_dtype in[], int i)
{
    (void)node, (void)i;
    return in[1];
}

/* clang-format off */
const struct cb_op_def cb_op_where = {
    .name = "Where", .min_in = 3, .max_in = 3, .max_out = 1,
    .result = where_result, .infer = where_infer, .forward = where_forward, .backward = where_backward,
};
