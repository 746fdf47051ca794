/* importers/onnx/rules/region.c - operators on parts of images, and Conv with what follows it. */
#include "importers/onnx/attrs.h"
#include "importers/onnx/rules/images.h"
#include "importers/onnx/rules/rules.h"

struct cb_status cb_onnx_import_roi_align(struct cb_onnx_node *node)
{
    static const char *const modes[] = { "avg", "max" };
    static const char *const places[] = { "half_pixel", "output_half_pixel" };
    union cb_attr attr = cb_attr_default(CB_OP_ROI_ALIGN);
    int mode, place = 1; /* of version 10 */
    CB_TRY(cb_onnx_attr_word(node, "mode", modes, 2, &mode));
    if (node->rule->since >= 16)
        CB_TRY(cb_onnx_attr_word(node, "coordinate_transformation_mode", places, 2, &place));
    CB_TRY(cb_onnx_attr_int(node, "output_height", 1, &attr.roi.bins[0]));
    CB_TRY(cb_onnx_attr_int(node, "output_width", 1, &attr.roi.bins[1]));
    CB_TRY(cb_onnx_attr_int(node, "sampling_ratio", 0, &attr.roi.samples));
    CB_TRY(cb_onnx_attr_float(node, "spatial_scale", 1.0f, &attr.roi.scale));
    attr.roi.max = mode == 1;
    attr.roi.half_pixel = place == 0;
    return cb_onnx_add_images(node, &attr, 1, 1);
}

struct cb_status cb_onnx_import_max_roi_pool(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(CB_OP_MAX_ROI_POOL);
    struct cb_list bins;
    CB_TRY(cb_onnx_attr_list(node, "pooled_shape", &bins));
    if (bins.count != 2)
        return cb_fail(CB_ERR_MODEL, "pooled_shape wants 2 numbers, has %d", bins.count);
    CB_TRY(cb_onnx_attr_float(node, "spatial_scale", 1.0f, &attr.roi.scale));
    attr.roi.bins[0] = bins.v[0];
    attr.roi.bins[1] = bins.v[1];
    return cb_onnx_add_images(node, &attr, 1, 1);
}

struct cb_status cb_onnx_import_col2im(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(CB_OP_COL2IM);
    CB_TRY(cb_onnx_read_window(node, &attr.col2im.window));
    return cb_onnx_add_same(node, &attr);
}

/* A Pad, whose pads may be negative: of size - dims, half (towards 0) before, the rest behind. All
 * of it but the Pad is known once x's shape is. */
struct cb_status cb_onnx_import_center_crop_pad(struct cb_onnx_node *node)
{
    const int x = node->in[0];
    const union cb_attr first = { .axis = { .axis = 0 } }, whole = { .cast = { CB_INT64 } };
    struct cb_list axes;
    int size, dims, named, numbers = -1, missing, two, begin, end, pads;
    CB_TRY(cb_onnx_attr_list(node, "axes", &axes));
    CB_TRY(cb_onnx_step(node, CB_OP_CAST, &whole, CB_ONNX_ARGS(node->in[1]), &size));
    CB_TRY(cb_onnx_step(node, CB_OP_SHAPE, NULL, CB_ONNX_ARGS(x), &dims));
    named = dims;
    if (axes.count >= 0) {
        CB_TRY(cb_onnx_add_ints(node, "axes", axes.count, axes.v, &numbers));
        CB_TRY(cb_onnx_step(node, CB_OP_GATHER, &first, CB_ONNX_ARGS(dims, numbers), &named));
    }
    CB_TRY(cb_onnx_add_scalar(node, "two", CB_INT64, 2, &two));
    CB_TRY(cb_onnx_step(node, CB_OP_SUB, NULL, CB_ONNX_ARGS(size, named), &missing));
    CB_TRY(cb_onnx_step(node, CB_OP_DIV, NULL, CB_ONNX_ARGS(missing, two), &begin));
    CB_TRY(cb_onnx_step(node, CB_OP_SUB, NULL, CB_ONNX_ARGS(missing, begin), &end));
    CB_TRY(cb_onnx_step(node, CB_OP_CONCAT, &first, CB_ONNX_ARGS(begin, end), &pads));
    return cb_onnx_add(node, CB_OP_PAD, NULL, CB_ONNX_ARGS(x, pads, -1, numbers),
                       CB_ONNX_ARGS(node->out[0]));
}

/* ---- FusedConv ---- */

/* com.microsoft FusedConv-1: activation(conv(x, w, bias?) + z?), as ONNX Runtime writes it: what it
 * fused, taken apart; passes fuse it again. */
struct cb_status cb_onnx_import_fused_conv(struct cb_onnx_node *node)
{
    struct cb_onnx_rule rule = *node->rule;
    struct cb_onnx_node conv = *node;
    const Onnx__AttributeProto *params = cb_onnx_attr_find(node, "activation_params");
    int sum;
    CB_TRY(cb_onnx_temp(node, node->out[0], "conv", &sum));
    rule.op = CB_OP_CONV;
    conv.rule = &rule;
    conv.n_in = node->n_in < 3 ? node->n_in : 3;
    conv.n_out = 1;
    conv.out = &sum;
    CB_TRY(cb_onnx_import_conv(&conv));
    if (cb_onnx_has(node, 3))
        CB_TRY(cb_onnx_step(node, CB_OP_ADD, NULL, CB_ONNX_ARGS(sum, node->in[3]), &sum));
    return cb_onnx_add_activation(node, params ? params->floats : NULL,
                                  params ? params->n_floats : 0, sum, node->out[0]);
}

/* com.microsoft NhwcMaxPool-1: of bytes, channels last as the core has them. */
struct cb_status cb_onnx_import_nhwc_max_pool(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(CB_OP_MAX_POOL);
    CB_TRY(cb_onnx_attr_wanted(node, "kernel_shape"));
    CB_TRY(cb_onnx_read_window(node, &attr.pool.window));
    return cb_onnx_add_same(node, &attr);
}
