/* importers/onnx/rules/image.c - operators on [N,C,spatial...]: their core forms are channels-last,
 * so each gets a Transpose before it and one after it. A pass moves and cancels them once shapes
 * are known. */
#include <string.h>

#include "importers/onnx/attrs.h"
#include "importers/onnx/rules/images.h"
#include "importers/onnx/rules/rules.h"

/* x with its channels last; made once for all nodes that read x. */
static struct cb_status to_channels_last(struct cb_onnx_node *node, int x, int *out)
{
    struct cb_onnx_import *im = node->import;
    const union cb_attr attr = { .transpose = { .rank = CB_PERM_TO_LAST } };
    if (x < im->n_named && im->channels_last[x] >= 0) {
        *out = im->channels_last[x];
        return cb_ok();
    }
    CB_TRY(cb_onnx_temp(node, x, "to_nhwc", out));
    CB_TRY(cb_onnx_add(node, CB_OP_TRANSPOSE, &attr, CB_ONNX_ARGS(x), CB_ONNX_ARGS(*out)));
    if (x < im->n_named)
        im->channels_last[x] = *out;
    return cb_ok();
}

/* Some operators of com.microsoft are channels-last from the start, and say so. */
struct cb_status cb_onnx_add_images(struct cb_onnx_node *node, const union cb_attr *attr,
                                    int images_in, int images_out)
{
    const union cb_attr back = { .transpose = { .rank = CB_PERM_FROM_LAST } };
    int in[5], out[3]; /* no image operator has more */
    bool last;
    CB_TRY(cb_onnx_attr_flag(node, "channels_last", false, &last));
    if (last)
        return cb_onnx_add_same(node, attr);
    for (int i = 0; i < node->n_in; i++)
        in[i] = node->in[i];
    for (int i = 0; i < node->n_out; i++)
        out[i] = node->out[i];
    for (int i = 0; i < images_in; i++)
        CB_TRY(to_channels_last(node, node->in[i], &in[i]));
    for (int i = 0; i < node->n_out && i < images_out; i++)
        if (node->out[i] >= 0)
            CB_TRY(cb_onnx_temp(node, node->out[i], "nhwc", &out[i]));
    CB_TRY(cb_onnx_add(node, node->rule->op, attr, (struct cb_onnx_args){ node->n_in, in },
                       (struct cb_onnx_args){ node->n_out, out }));
    for (int i = 0; i < node->n_out && i < images_out; i++)
        if (node->out[i] >= 0)
            CB_TRY(cb_onnx_add(node, CB_OP_TRANSPOSE, &back, CB_ONNX_ARGS(out[i]),
                               CB_ONNX_ARGS(node->out[i])));
    return cb_ok();
}

/* One image in. */
static struct cb_status add_image_op(struct cb_onnx_node *node, const union cb_attr *attr,
                                     int images_out)
{
    return cb_onnx_add_images(node, attr, 1, images_out);
}

/* A list of the window: `want` numbers of at least `least` (any count while want is -1, which sets
 * it). */
static struct cb_status read_numbers(const struct cb_onnx_node *node, const char *name,
                                     int64_t least, int per_axis, int *rank, struct cb_list *list)
{
    CB_TRY(cb_onnx_attr_list(node, name, list));
    if (list->count < 0)
        return cb_ok();
    if (*rank < 0 && list->count % per_axis == 0)
        *rank = list->count / per_axis;
    if (list->count != *rank * per_axis)
        return cb_fail(CB_ERR_MODEL, "%s has %d numbers for %d spatial axes", name, list->count,
                       *rank);
    for (int i = 0; i < list->count; i++)
        if (list->v[i] < least || list->v[i] > INT32_MAX)
            return cb_fail(CB_ERR_MODEL, "%s has a %lld", name, (long long)list->v[i]);
    return cb_ok();
}

struct cb_status cb_onnx_read_window(const struct cb_onnx_node *node, struct cb_window *w)
{
    static const char *const auto_pads[] = { "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER" };
    static const enum cb_auto_pad kinds[] = { CB_PAD_EXPLICIT, CB_PAD_VALID, CB_PAD_SAME_UPPER,
                                              CB_PAD_SAME_LOWER };
    struct cb_list kernel, strides, dilations, pads;
    int rank = -1, kind;
    CB_TRY(read_numbers(node, "kernel_shape", 1, 1, &rank, &kernel));
    CB_TRY(read_numbers(node, "strides", 1, 1, &rank, &strides));
    CB_TRY(read_numbers(node, "dilations", 1, 1, &rank, &dilations));
    CB_TRY(read_numbers(node, "pads", 0, 2, &rank, &pads));
    CB_TRY(cb_onnx_attr_word(node, "auto_pad", auto_pads, 4, &kind));
    CB_TRY(cb_onnx_attr_flag(node, "ceil_mode", false, &w->ceil_mode));
    if (rank > CB_MAX_SPATIAL)
        return cb_fail(CB_ERR_UNSUPPORTED, "a window over %d axes", rank);
    w->auto_pad = kinds[kind];
    w->rank = kernel.count < 0 ? 0 : rank;
    for (int i = 0; i < rank; i++) {
        w->kernel[i] = kernel.count < 0 ? 0 : kernel.v[i];
        w->stride[i] = strides.count < 0 ? 1 : strides.v[i];
        w->dilation[i] = dilations.count < 0 ? 1 : dilations.v[i];
        if (pads.count >= 0 && w->auto_pad == CB_PAD_EXPLICIT) {
            w->pad_begin[i] = pads.v[i];
            w->pad_end[i] = pads.v[rank + i];
        }
    }
    return cb_ok();
}

struct cb_status cb_onnx_import_conv(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(CB_OP_CONV);
    CB_TRY(cb_onnx_read_window(node, &attr.conv.window));
    CB_TRY(cb_onnx_attr_int(node, "group", 1, &attr.conv.group));
    if (attr.conv.group < 1 || attr.conv.group > INT32_MAX)
        return cb_fail(CB_ERR_MODEL, "group is %lld", (long long)attr.conv.group);
    return add_image_op(node, &attr, 1);
}

struct cb_status cb_onnx_import_conv_transpose(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(CB_OP_CONV_TRANSPOSE);
    struct cb_list more;
    int rank = -1;
    CB_TRY(cb_onnx_read_window(node, &attr.conv_transpose.window));
    CB_TRY(read_numbers(node, "output_padding", 0, 1, &rank, &more));
    for (int i = 0; i < more.count && i < CB_MAX_SPATIAL; i++)
        attr.conv_transpose.more[i] = more.v[i];
    CB_TRY(cb_onnx_attr_list(node, "output_shape", &attr.conv_transpose.sizes));
    CB_TRY(cb_onnx_attr_int(node, "group", 1, &attr.conv_transpose.group));
    return add_image_op(node, &attr, 1);
}

struct cb_status cb_onnx_import_pool(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(node->rule->op);
    CB_TRY(cb_onnx_attr_wanted(node, "kernel_shape"));
    CB_TRY(cb_onnx_read_window(node, &attr.pool.window));
    CB_TRY(cb_onnx_attr_flag(node, "count_include_pad", false, &attr.pool.count_include_pad));
    CB_TRY(cb_onnx_attr_flag(node, "storage_order", false, &attr.pool.column_major));
    return add_image_op(node, &attr, 2);
}

struct cb_status cb_onnx_import_max_unpool(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(CB_OP_MAX_UNPOOL);
    CB_TRY(cb_onnx_attr_wanted(node, "kernel_shape"));
    CB_TRY(cb_onnx_read_window(node, &attr.unpool.window));
    return cb_onnx_add_images(node, &attr, 2, 1);
}

/* The modes' names until version 16 say that there are two axes. */
struct cb_status cb_onnx_import_grid_sample(struct cb_onnx_node *node)
{
    static const char *const modes[] = { "linear", "bilinear", "nearest", "cubic", "bicubic" };
    static const enum cb_resize_mode kinds[] = { CB_RESIZE_LINEAR, CB_RESIZE_LINEAR,
                                                 CB_RESIZE_NEAREST, CB_RESIZE_CUBIC,
                                                 CB_RESIZE_CUBIC };
    static const char *const paddings[] = { "zeros", "border", "reflection" };
    static const enum cb_pad_mode padding_kinds[] = { CB_PAD_CONSTANT, CB_PAD_EDGE,
                                                      CB_PAD_REFLECT };
    union cb_attr attr = cb_attr_default(CB_OP_GRID_SAMPLE);
    int mode, padding;
    CB_TRY(cb_onnx_attr_word(node, "mode", modes, 5, &mode));
    CB_TRY(cb_onnx_attr_word(node, "padding_mode", paddings, 3, &padding));
    CB_TRY(cb_onnx_attr_flag(node, "align_corners", false, &attr.sample.align_corners));
    attr.sample.mode = kinds[mode];
    attr.sample.padding = padding_kinds[padding];
    return add_image_op(node, &attr, 1);
}

struct cb_status cb_onnx_import_affine_grid(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(CB_OP_AFFINE_GRID);
    CB_TRY(cb_onnx_attr_flag(node, "align_corners", false, &attr.affine_grid.align_corners));
    return cb_onnx_add_same(node, &attr);
}

/* LpPool, and GlobalLpPool, which has no window. p was a real number in their first versions. */
struct cb_status cb_onnx_import_lp_pool(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(CB_OP_LP_POOL);
    const Onnx__AttributeProto *p = cb_onnx_attr_find(node, "p");
    int64_t whole = 2;
    if (p && p->has_f)
        attr.pool.p = p->f;
    else
        CB_TRY(cb_onnx_attr_int(node, "p", 2, &whole));
    if (!p || !p->has_f)
        attr.pool.p = (float)whole;
    if (strcmp(node->rule->op_type, "LpPool") == 0)
        CB_TRY(cb_onnx_attr_wanted(node, "kernel_shape"));
    CB_TRY(cb_onnx_read_window(node, &attr.pool.window));
    return add_image_op(node, &attr, 1);
}

struct cb_status cb_onnx_import_blocks(struct cb_onnx_node *node)
{
    static const char *const modes[] = { "DCR", "CRD" };
    union cb_attr attr = cb_attr_default(node->rule->op);
    int mode = 0;
    CB_TRY(cb_onnx_attr_wanted(node, "blocksize"));
    CB_TRY(cb_onnx_attr_int(node, "blocksize", 1, &attr.blocks.size));
    if (node->rule->op == CB_OP_DEPTH_TO_SPACE)
        CB_TRY(cb_onnx_attr_word(node, "mode", modes, 2, &mode));
    attr.blocks.channels_first = mode == 1;
    return add_image_op(node, &attr, 1);
}

struct cb_status cb_onnx_import_global_pool(struct cb_onnx_node *node)
{
    return add_image_op(node, NULL, 1);
}

struct cb_status cb_onnx_import_lrn(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(CB_OP_LRN);
    CB_TRY(cb_onnx_attr_wanted(node, "size"));
    CB_TRY(cb_onnx_attr_int(node, "size", 1, &attr.lrn.size));
    CB_TRY(cb_onnx_attr_float(node, "alpha", attr.lrn.alpha, &attr.lrn.alpha));
    CB_TRY(cb_onnx_attr_float(node, "beta", attr.lrn.beta, &attr.lrn.beta));
    CB_TRY(cb_onnx_attr_float(node, "bias", attr.lrn.bias, &attr.lrn.bias));
    if (attr.lrn.size < 1 || attr.lrn.size > INT32_MAX)
        return cb_fail(CB_ERR_MODEL, "size is %lld", (long long)attr.lrn.size);
    return add_image_op(node, &attr, 1);
}

/* spatial = 0 (until opset 8): parameters of shape [C,spatial...], so
 * y = (x - mean) / sqrt(var + epsilon) * scale + bias, elementwise. */
static struct cb_status import_batch_norm_full(struct cb_onnx_node *node, float epsilon)
{
    const int x = node->in[0], scale = node->in[1], bias = node->in[2], mean = node->in[3],
              var = node->in[4];
    int eps, shifted, safe, deviation, normal, scaled;
    CB_TRY(cb_onnx_add_scalar(node, "epsilon", cb_onnx_in(node, 4)->dtype, (double)epsilon, &eps));
    CB_TRY(cb_onnx_temp(node, x, "shifted", &shifted));
    CB_TRY(cb_onnx_temp(node, var, "safe", &safe));
    CB_TRY(cb_onnx_temp(node, var, "deviation", &deviation));
    CB_TRY(cb_onnx_temp(node, x, "normal", &normal));
    CB_TRY(cb_onnx_temp(node, x, "scaled", &scaled));
    CB_TRY(cb_onnx_add(node, CB_OP_SUB, NULL, CB_ONNX_ARGS(x, mean), CB_ONNX_ARGS(shifted)));
    CB_TRY(cb_onnx_add(node, CB_OP_ADD, NULL, CB_ONNX_ARGS(var, eps), CB_ONNX_ARGS(safe)));
    CB_TRY(cb_onnx_add(node, CB_OP_SQRT, NULL, CB_ONNX_ARGS(safe), CB_ONNX_ARGS(deviation)));
    CB_TRY(
        cb_onnx_add(node, CB_OP_DIV, NULL, CB_ONNX_ARGS(shifted, deviation), CB_ONNX_ARGS(normal)));
    CB_TRY(cb_onnx_add(node, CB_OP_MUL, NULL, CB_ONNX_ARGS(normal, scale), CB_ONNX_ARGS(scaled)));
    return cb_onnx_add(node, CB_OP_ADD, NULL, CB_ONNX_ARGS(scaled, bias),
                       CB_ONNX_ARGS(node->out[0]));
}

/* is_test of the first versions is 0 in many files that are meant for inference: it is not looked
 * at. */
struct cb_status cb_onnx_import_batch_norm(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(CB_OP_BATCH_NORM);
    bool spatial;
    CB_TRY(cb_onnx_attr_float(node, "epsilon", attr.batch_norm.epsilon, &attr.batch_norm.epsilon));
    CB_TRY(
        cb_onnx_attr_float(node, "momentum", attr.batch_norm.momentum, &attr.batch_norm.momentum));
    CB_TRY(cb_onnx_attr_flag(node, "training_mode", false, &attr.batch_norm.training));
    CB_TRY(cb_onnx_attr_flag(node, "spatial", true, &spatial));
    return spatial ? add_image_op(node, &attr, 1)
                   : import_batch_norm_full(node, attr.batch_norm.epsilon);
}
