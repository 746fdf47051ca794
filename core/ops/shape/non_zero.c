/* core/ops/shape/non_zero.c - NonZero: the coordinates of all elements other than 0, a column each:
 * [rank, how many]. ONNX NonZero-13.
 *
 * How many there are decides the output's shape, so that x must be known when the plan is made. */
#include "core/ops/args.h"
#include "core/ops/defs.h"

static bool is_set(const struct cb_tensor *x, size_t i)
{
    return cb_dtype_get(x->dtype)->is_float ? x->f[i] != 0 : x->i[i] != 0;
}

static size_t count_set(const struct cb_tensor *x)
{
    size_t set = 0;
    for (size_t i = 0; i < cb_tensor_count(x); i++)
        set += is_set(x, i);
    return set;
}

static struct cb_status infer(struct cb_node *node, const struct cb_arg in[], struct cb_arg out[])
{
    CB_TRY(cb_args_check(node, in));
    if (!in[0].known)
        return cb_fail(CB_ERR_UNSUPPORTED,
                       "%s: wants its input known before it runs, has a computed one", node->name);
    /* A scalar counts as one element of rank 1. */
    const int64_t rank = in[0].shape.rank > 0 ? in[0].shape.rank : 1;
    return cb_args_out(node, &out[0], CB_INT64,
                       &(struct cb_shape){ 2, { rank, (int64_t)count_set(in[0].known) } });
}

static void forward(const struct cb_op_call *call)
{
    const struct cb_tensor *x = call->in[0];
    const size_t columns = (size_t)call->out[0]->shape.dim[1];
    const int rank = (int)call->out[0]->shape.dim[0];
    size_t column = 0;
    for (size_t i = 0; i < cb_tensor_count(x) && column < columns; i++) {
        size_t rest = i;
        if (!is_set(x, i))
            continue;
        for (int k = rank - 1; k >= 0; k--) {
            const size_t dim = k < x->shape.rank ? (size_t)x->shape.dim[k] : 1;
            call->out[0]->i[(size_t)k * columns + column] = (int64_t)(rest % dim);
            rest /= dim;
        }
        column++;
    }
}

/* clang-format off */
const struct cb_op_def cb_op_non_zero = {
    .name = "NonZero", .min_in = 1, .max_in = 1, .max_out = 1, .sizes = 1u << 0,
    .result = cb_result_int64, .infer = infer, .forward = forward,
};
