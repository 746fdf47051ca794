/* core/ops/shape/reverse_sequence.c - ReverseSequence: of each sequence of a batch the first
 * `length` elements along the time axis backwards, the rest as they are. ONNX ReverseSequence-10.
 *
 * Lengths that are known when the plan is made are checked; others are brought into range. The
 * permutation is its own inverse, so that the gradient takes the same way. */
#include <string.h>

#include "core/ops/args.h"
#include "core/ops/defs.h"

static struct cb_status check_lengths(const struct cb_node *node, const struct cb_arg *lengths,
                                      int64_t time)
{
    for (size_t i = 0; lengths->known && i < cb_shape_count(&lengths->shape); i++) {
        const int64_t length = cb_args_int_at(lengths->known, i);
        if (length < 0 || length > time)
            return cb_fail(CB_ERR_MODEL, "%s: wants lengths up to %lld, has %lld", node->name,
                           (long long)time, (long long)length);
    }
    return cb_ok();
}

static struct cb_status infer(struct cb_node *node, const struct cb_arg in[], struct cb_arg out[])
{
    const struct cb_shape *x = &in[0].shape;
    char text[CB_SHAPE_TEXT];
    int batch, time;
    CB_TRY(cb_args_check(node, in));
    CB_TRY(cb_args_axis(node, node->attr.sequence.batch_axis, x->rank, &batch));
    CB_TRY(cb_args_axis(node, node->attr.sequence.time_axis, x->rank, &time));
    if (batch == time)
        return cb_fail(CB_ERR_MODEL, "%s: wants two axes, has %d twice", node->name, batch);
    if (cb_args_is_float(&in[1]) || in[1].dtype == CB_BOOL || in[1].shape.rank != 1 ||
        in[1].shape.dim[0] != x->dim[batch])
        return cb_fail(CB_ERR_MODEL, "%s: wants %lld whole numbers as lengths, has %s of %s",
                       node->name, (long long)x->dim[batch], cb_dtype_get(in[1].dtype)->name,
                       cb_shape_text(&in[1].shape, text));
    CB_TRY(check_lengths(node, &in[1], x->dim[time]));
    return cb_args_out(node, &out[0], in[0].dtype, x);
}

/* The two axes: how long each is, and elements from one step along it to the next. What is inside
 * of both moves as one block. */
struct axes {
    size_t inner, batch, batch_step, time, time_step;
};

static struct axes axes_of(const struct cb_op_call *call)
{
    const struct cb_shape *x = &call->in[0]->shape;
    const int batch = cb_shape_axis(call->node->attr.sequence.batch_axis, x->rank);
    const int time = cb_shape_axis(call->node->attr.sequence.time_axis, x->rank);
    return (struct axes){
        .inner = cb_shape_span(x, (batch > time ? batch : time) + 1, x->rank),
        .batch = (size_t)x->dim[batch],
        .batch_step = cb_shape_span(x, batch + 1, x->rank),
        .time = (size_t)x->dim[time],
        .time_step = cb_shape_span(x, time + 1, x->rank),
    };
}

/* Where the block of `inner` elements that begins at `at` comes from. */
static size_t source(const struct axes *a, const int64_t *lengths, size_t at)
{
    const int64_t given = lengths[at / a->batch_step % a->batch];
    const size_t length = given < 0 ? 0 : (uint64_t)given > a->time ? a->time : (size_t)given;
    const size_t t = at / a->time_step % a->time;
    return t < length ? at + (length - 1 - t) * a->time_step - t * a->time_step : at;
}

static void forward(const struct cb_op_call *call)
{
    const size_t n = cb_tensor_count(call->in[0]), size = cb_dtype_size(call->in[0]->dtype);
    if (n == 0)
        return;
    const struct axes a = axes_of(call);
    for (size_t at = 0; at < n; at += a.inner)
        memcpy((char *)call->out[0]->data + at * size,
               (const char *)call->in[0]->data + source(&a, call->in[1]->i, at) * size,
               a.inner * size);
}

static void backward(const struct cb_op_call *call)
{
    const size_t n = cb_tensor_count(call->in[0]);
    if (n == 0 || !call->din[0] || !call->dout[0])
        return;
    const struct axes a = axes_of(call);
    for (size_t at = 0; at < n; at += a.inner)
        call->kernels->axpy(a.inner, 1.0f, call->dout[0]->f + source(&a, call->in[1]->i, at),
                            call->din[0]->f + at);
}

/* clang-format off */
const struct cb_op_def cb_op_reverse_sequence = {
    .name = "ReverseSequence", .min_in = 2, .max_in = 2, .max_out = 1,
    .infer = infer, .forward = forward, .backward = backward,
};
