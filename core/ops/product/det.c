/* core/ops/product/det.c - Det: the determinant of each matrix of x [..., M, M], by elimination
 * with the largest pivot of each column, in double. ONNX Det-22. */
#include <math.h>

#include "core/ops/args.h"
#include "core/ops/defs.h"

static struct cb_status det_infer(struct cb_node *node, const struct cb_arg in[],
                                  struct cb_arg out[])
{
    struct cb_shape y = in[0].shape;
    char text[CB_SHAPE_TEXT];
    CB_TRY(cb_args_check(node, in));
    CB_TRY(cb_args_want_float(node, &in[0]));
    if (y.rank < 2 || y.dim[y.rank - 1] != y.dim[y.rank - 2])
        return cb_fail(CB_ERR_MODEL, "%s: wants square matrices, has %s", node->name,
                       cb_shape_text(&y, text));
    y.rank -= 2;
    return cb_args_out(node, &out[0], in[0].dtype, &y);
}

static size_t order_of(const struct cb_op_call *call)
{
    const struct cb_shape *x = &call->in[0]->shape;
    return (size_t)x->dim[x->rank - 1];
}

static size_t det_scratch(const struct cb_op_call *call, bool backward)
{
    const size_t m = order_of(call);
    return backward ? 0 : m * m * sizeof(double);
}

/* Brings the largest of column k to its diagonal; whether rows changed places. */
static bool pivot(double *a, size_t m, size_t k)
{
    size_t best = k;
    for (size_t i = k + 1; i < m; i++)
        if (fabs(a[i * m + k]) > fabs(a[best * m + k]))
            best = i;
    for (size_t j = k; j < m && best != k; j++) {
        const double other = a[best * m + j];
        a[best * m + j] = a[k * m + j];
        a[k * m + j] = other;
    }
    return best != k;
}

/* Of the m x m matrix a, which is used up. */
static double determinant(double *a, size_t m)
{
    double product = 1;
    for (size_t k = 0; k < m; k++) {
        product = pivot(a, m, k) ? -product : product;
        product *= a[k * m + k];
        if (a[k * m + k] == 0)
            break; /* so is the rest of the column */
        for (size_t i = k + 1; i < m; i++) {
            const double factor = a[i * m + k] / a[k * m + k];
            for (size_t j = k + 1; j < m; j++)
                a[i * m + j] -= factor * a[k * m + j];
        }
    }
    return product;
}

static void det_forward(const struct cb_op_call *call)
{
    const size_t m = order_of(call), n = cb_tensor_count(call->out[0]);
    double *a = call->scratch;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < m * m; k++)
            a[k] = (double)call->in[0]->f[i * m * m + k];
        call->out[0]->f[i] = (float)determinant(a, m);
    }
}

/* clang-format off */
const struct cb_op_def cb_op_det = {
    .name = "Det", .min_in = 1, .max_in = 1, .max_out = 1,
    .infer = det_infer, .scratch = det_scratch, .forward = det_forward,
};
