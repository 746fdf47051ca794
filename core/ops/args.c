#include "core/ops/args.h"

#include <math.h>
#include <string.h>

bool cb_args_given(const struct cb_node *node, const struct cb_arg in[], int i)
{
    return i < node->n_in && in[i].dtype != CB_DTYPE_NONE;
}

bool cb_args_is_float(const struct cb_arg *arg)
{
    return cb_dtype_get(arg->dtype)->is_float;
}

struct cb_status cb_args_check(const struct cb_node *node, const struct cb_arg in[])
{
    const struct cb_op_def *def = cb_op_get(node->op);
    if (node->n_in < def->min_in || node->n_in > def->max_in)
        return cb_fail(CB_ERR_MODEL, "%s: wants %d to %d inputs, has %d", node->name, def->min_in,
                       def->max_in, node->n_in);
    if (node->n_out < 1 || node->n_out > def->max_out)
        return cb_fail(CB_ERR_MODEL, "%s: wants 1 to %d outputs, has %d", node->name, def->max_out,
                       node->n_out);
    for (int i = 0; i < node->n_in; i++) {
        const bool optional = i >= def->min_in || (i < 32 && (def->params >> i & 1));
        if (!optional && in[i].dtype == CB_DTYPE_NONE)
            return cb_fail(CB_ERR_MODEL, "%s: wants input %d, has none", node->name, i);
        if (in[i].dtype != CB_DTYPE_NONE && !cb_shape_check(&in[i].shape))
            return cb_fail(CB_ERR_MODEL, "%s: wants a known shape of input %d, has an open one",
                           node->name, i);
    }
    return cb_ok();
}

struct cb_status cb_args_want_float(const struct cb_node *node, const struct cb_arg *arg)
{
    if (!cb_args_is_float(arg))
        return cb_fail(CB_ERR_MODEL, "%s: wants real numbers, has %s", node->name,
                       cb_dtype_get(arg->dtype)->name);
    return cb_ok();
}

struct cb_status cb_args_same_dtype(const struct cb_node *node, const struct cb_arg *a,
                                    const struct cb_arg *b)
{
    if (a->dtype != b->dtype)
        return cb_fail(CB_ERR_MODEL, "%s: wants inputs of one type, has %s and %s", node->name,
                       cb_dtype_get(a->dtype)->name, cb_dtype_get(b->dtype)->name);
    return cb_ok();
}

struct cb_status cb_args_axis(const struct cb_node *node, int64_t axis, int rank, int *out)
{
    const int k = cb_shape_axis(axis, rank);
    if (k < 0)
        return cb_fail(CB_ERR_MODEL, "%s: wants an axis of rank %d, has %lld", node->name, rank,
                       (long long)axis);
    *out = k;
    return cb_ok();
}

struct cb_status cb_args_axes(const struct cb_node *node, const struct cb_list *axes, int rank,
                              bool flags[CB_MAX_RANK])
{
    memset(flags, 0, CB_MAX_RANK * sizeof *flags);
    for (int i = 0; i < axes->count; i++) {
        int k = 0;
        CB_TRY(cb_args_axis(node, axes->v[i], rank, &k));
        if (flags[k])
            return cb_fail(CB_ERR_MODEL, "%s: wants each axis once, has %d twice", node->name, k);
        flags[k] = true;
    }
    return cb_ok();
}

struct cb_status cb_args_out(const struct cb_node *node, struct cb_arg *out, enum cb_dtype dtype,
                             const struct cb_shape *shape)
{
    char text[CB_SHAPE_TEXT];
    if (!cb_shape_check(shape))
        return cb_fail(CB_ERR_TOO_LARGE, "%s: wants at most %zu elements, has an output of %s",
                       node->name, CB_MAX_ELEMENTS, cb_shape_text(shape, text));
    out->dtype = dtype;
    out->shape = *shape;
    return cb_ok();
}

/* Input i as a known list of at most max numbers (a list or a single number). */
static struct cb_status want_known(const struct cb_node *node, const struct cb_arg *arg,
                                   const char *what, int max)
{
    if (!arg->known || !arg->known->data)
        return cb_fail(CB_ERR_UNSUPPORTED, "%s: wants %s known before it runs, has a computed one",
                       node->name, what);
    if (arg->shape.rank > 1 || cb_shape_count(&arg->shape) > (size_t)max)
        return cb_fail(CB_ERR_MODEL, "%s: wants at most %d numbers as %s, has %zu in rank %d",
                       node->name, max, what, cb_shape_count(&arg->shape), arg->shape.rank);
    return cb_ok();
}

/* The same of whole numbers; how many there are. */
static struct cb_status want_wholes(const struct cb_node *node, const struct cb_arg *arg,
                                    const char *what, int max, int *count)
{
    CB_TRY(want_known(node, arg, what, max));
    if (cb_args_is_float(arg))
        return cb_fail(CB_ERR_MODEL, "%s: wants whole numbers as %s, has %s", node->name, what,
                       cb_dtype_get(arg->dtype)->name);
    *count = (int)cb_shape_count(&arg->shape);
    return cb_ok();
}

struct cb_status cb_args_list(const struct cb_node *node, const struct cb_arg in[], int i,
                              const char *what, struct cb_list *out)
{
    int count;
    if (!cb_args_given(node, in, i))
        return cb_ok();
    CB_TRY(want_wholes(node, &in[i], what, CB_MAX_RANK, &count));
    out->count = count;
    for (int k = 0; k < count; k++)
        out->v[k] = cb_args_int_at(in[i].known, (size_t)k);
    return cb_ok();
}

struct cb_status cb_args_pads(const struct cb_node *node, const struct cb_arg in[], int i,
                              struct cb_list *begin, struct cb_list *end)
{
    int count;
    if (!cb_args_given(node, in, i))
        return cb_ok();
    CB_TRY(want_wholes(node, &in[i], "pads", 2 * CB_MAX_RANK, &count));
    if (count % 2)
        return cb_fail(CB_ERR_MODEL, "%s: wants pads in pairs, has %d numbers", node->name, count);
    begin->count = end->count = count / 2;
    for (int k = 0; k < count / 2; k++) {
        begin->v[k] = cb_args_int_at(in[i].known, (size_t)k);
        end->v[k] = cb_args_int_at(in[i].known, (size_t)(count / 2 + k));
    }
    return cb_ok();
}

struct cb_status cb_args_number(const struct cb_node *node, const struct cb_arg in[], int i,
                                const char *what, double *out)
{
    if (!cb_args_given(node, in, i))
        return cb_ok();
    CB_TRY(want_known(node, &in[i], what, 1));
    if (cb_shape_count(&in[i].shape) != 1)
        return cb_fail(CB_ERR_MODEL, "%s: wants one number as %s, has none", node->name, what);
    *out = cb_args_number_at(in[i].known, 0);
    return cb_ok();
}

struct cb_status cb_args_numbers(const struct cb_node *node, const struct cb_arg in[], int i,
                                 const char *what, int max, int *count, double *out)
{
    if (!cb_args_given(node, in, i))
        return cb_ok();
    CB_TRY(want_known(node, &in[i], what, max));
    *count = (int)cb_shape_count(&in[i].shape);
    for (int k = 0; k < *count; k++)
        out[k] = cb_args_number_at(in[i].known, (size_t)k);
    return cb_ok();
}

int64_t cb_args_int_at(const struct cb_tensor *known, size_t k)
{
    int64_t value;
    memcpy(&value, (const char *)known->data + k * sizeof value, sizeof value);
    return value;
}

double cb_args_number_at(const struct cb_tensor *known, size_t k)
{
    float value;
    if (known->dtype == CB_UINT64)
        return (double)(uint64_t)cb_args_int_at(known, k);
    if (!cb_dtype_get(known->dtype)->is_float)
        return (double)cb_args_int_at(known, k);
    memcpy(&value, (const char *)known->data + k * sizeof value, sizeof value);
    return (double)value;
}

int64_t cb_args_to_int(double value)
{
    if (isnan(value))
        return 0;
    if (value >= 0x1p63)
        return INT64_MAX;
    if (value < -0x1p63)
        return INT64_MIN;
    return (int64_t)value;
}

enum cb_dtype cb_result_bool(const struct cb_node *node, const enum cb_dtype in[], int i)
{
    (void)node, (void)in, (void)i;
    return CB_BOOL;
}

enum cb_dtype cb_result_int64(const struct cb_node *node, const enum cb_dtype in[], int i)
{
    (void)node, (void)in, (void)i;
    return CB_INT64;
}
