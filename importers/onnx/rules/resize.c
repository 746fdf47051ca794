/* importers/onnx/rules/resize.c - Resize and Upsample, which has become it. They name axes of x as
 * it is, so they need no transposes: a pass moves those that are there through. */

#include "importers/onnx/attrs.h"
#include "importers/onnx/rules/rules.h"

static struct cb_status read_mode(const struct cb_onnx_node *node, enum cb_resize_mode *out)
{
    static const char *const words[] = { "nearest", "linear", "cubic", "bilinear" };
    static const enum cb_resize_mode modes[] = { CB_RESIZE_NEAREST, CB_RESIZE_LINEAR,
                                                 CB_RESIZE_CUBIC, CB_RESIZE_LINEAR };
    int word;
    CB_TRY(cb_onnx_attr_word(node, "mode", words, 4, &word));
    *out = modes[word];
    return cb_ok();
}

/* With x, roi, scales, sizes (-1: absent). Whole numbers are interpolated as reals, whose fractions
 * are then dropped. */
static struct cb_status add_resize(struct cb_onnx_node *node, const union cb_attr *attr, int roi,
                                   int scales, int sizes)
{
    const union cb_attr to_real = { .cast = { CB_FLOAT32 } };
    const union cb_attr back = { .cast = { cb_onnx_in(node, 0)->dtype } };
    int real, resized;
    if (attr->resize.mode == CB_RESIZE_NEAREST || back.cast.to == CB_DTYPE_NONE ||
        cb_dtype_get(back.cast.to)->is_float)
        return cb_onnx_add(node, CB_OP_RESIZE, attr, CB_ONNX_ARGS(node->in[0], roi, scales, sizes),
                           CB_ONNX_ARGS(node->out[0]));
    CB_TRY(cb_onnx_step(node, CB_OP_CAST, &to_real, CB_ONNX_ARGS(node->in[0]), &real));
    CB_TRY(
        cb_onnx_step(node, CB_OP_RESIZE, attr, CB_ONNX_ARGS(real, roi, scales, sizes), &resized));
    return cb_onnx_add(node, CB_OP_CAST, &back, CB_ONNX_ARGS(resized), CB_ONNX_ARGS(node->out[0]));
}

static int input(const struct cb_onnx_node *node, int i)
{
    return i < node->n_in ? node->in[i] : -1;
}

struct cb_status cb_onnx_import_resize(struct cb_onnx_node *node)
{
    static const char *const places[] = { "half_pixel",         "half_pixel_symmetric",
                                          "pytorch_half_pixel", "align_corners",
                                          "asymmetric",         "tf_half_pixel_for_nn",
                                          "tf_crop_and_resize" };
    static const char *const rounds[] = { "round_prefer_floor", "round_prefer_ceil", "floor",
                                          "ceil" };
    static const char *const fits[] = { "stretch", "not_larger", "not_smaller" };
    union cb_attr attr = cb_attr_default(CB_OP_RESIZE);
    int place, round, fit;
    CB_TRY(read_mode(node, &attr.resize.mode));
    CB_TRY(cb_onnx_attr_word(node, "coordinate_transformation_mode", places, 7, &place));
    CB_TRY(cb_onnx_attr_word(node, "nearest_mode", rounds, 4, &round));
    CB_TRY(cb_onnx_attr_word(node, "keep_aspect_ratio_policy", fits, 3, &fit));
    attr.resize.place = (enum cb_resize_place)place;
    attr.resize.round = (enum cb_resize_round)round;
    attr.resize.fit = (enum cb_resize_fit)fit;
    CB_TRY(cb_onnx_attr_flag(node, "antialias", false, &attr.resize.antialias));
    CB_TRY(cb_onnx_attr_flag(node, "exclude_outside", false, &attr.resize.exclude_outside));
    CB_TRY(cb_onnx_attr_float(node, "cubic_coeff_a", -0.75f, &attr.resize.cubic));
    CB_TRY(cb_onnx_attr_float(node, "extrapolation_value", 0.0f, &attr.resize.outside));
    CB_TRY(cb_onnx_attr_list(node, "axes", &attr.resize.axes));
    return add_resize(node, &attr, input(node, 1), input(node, 2), input(node, 3));
}

/* Upsample-9 and Resize-10: the nearest pixel is the one before, or behind where y is smaller; a
 * linear one lies between those. */
struct cb_status cb_onnx_import_upsample(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(CB_OP_RESIZE);
    CB_TRY(read_mode(node, &attr.resize.mode));
    attr.resize.place = CB_PLACE_ASYMMETRIC;
    attr.resize.round = CB_ROUND_SIMPLE;
    return add_resize(node, &attr, -1, node->in[1], -1);
}

/* Upsample-7 has its scales as an attribute; Upsample-1 has two, of [N,C,H,W]. */
struct cb_status cb_onnx_import_upsample_1(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(CB_OP_RESIZE);
    const Onnx__AttributeProto *scales = cb_onnx_attr_find(node, "scales");
    float height, width;
    CB_TRY(read_mode(node, &attr.resize.mode));
    attr.resize.place = CB_PLACE_ASYMMETRIC;
    attr.resize.round = CB_ROUND_SIMPLE;
    if (scales) {
        if (scales->n_floats < 1 || scales->n_floats > CB_MAX_RANK)
            return cb_fail(CB_ERR_MODEL, "scales has %zu numbers", scales->n_floats);
        attr.resize.n_scales = (int)scales->n_floats;
        for (size_t i = 0; i < scales->n_floats; i++)
            attr.resize.scale[i] = (double)scales->floats[i];
        return add_resize(node, &attr, -1, -1, -1);
    }
    CB_TRY(cb_onnx_attr_wanted(node, "height_scale"));
    CB_TRY(cb_onnx_attr_wanted(node, "width_scale"));
    CB_TRY(cb_onnx_attr_float(node, "height_scale", 1.0f, &height));
    CB_TRY(cb_onnx_attr_float(node, "width_scale", 1.0f, &width));
    attr.resize.n_scales = 4;
    attr.resize.scale[0] = attr.resize.scale[1] = 1;
    attr.resize.scale[2] = (double)height;
    attr.resize.scale[3] = (double)width;
    return add_resize(node, &attr, -1, -1, -1);
}
