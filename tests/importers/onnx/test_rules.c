#include "importers/onnx/rules/rules.h"

#include <math.h>
#include <stdio.h>

#include "importers/onnx/limits.h"
#include "tests/importers/onnx/running.h"

/* A model of one node on x (and a, b: unknown inputs; c: the constant [1]), with these fields. */
static struct loading load_node(int opset, const char *fields)
{
    struct cb_buf text;
    cb_buf_init(&text, 1 << 16);
    cb_buf_printf(&text,
                  "1:8 8{2:%d} 7{ 1{3\"n\" %s} 5{8\"c\" 1:1 2:7 7:1} 5{8\"zero\" 2:1 4=0} "
                  "5{8\"yes\" 2:9 5:1}" IN("x", DIM(1) DIM(2) DIM(4) DIM(4)) IN("a", DIM(2))
                      IN("b", DIM(2)) OUT("x") "}",
                  opset, fields);
    struct loading l = load_text(text.data);
    cb_buf_deinit(&text);
    return l;
}

Test(onnx_rules, every_operator_of_the_first_tier_has_a_rule_in_every_opset)
{
    static const char path[] = "../shared/OPS.tsv";
    FILE *f = fopen(path, "r");
    char line[2048], op[64], tier[8];
    int since, found = 0;
    if (!f)
        cr_skip_test("%s is not here", path);
    while (fgets(line, sizeof line, f)) {
        if (sscanf(line, "%63[^\t]\t%d\t%7[^\t]", op, &since, tier) != 3 || strcmp(tier, "A") != 0)
            continue;
        if (since > CB_ONNX_NEWEST_OPSET)
            continue;
        cr_expect_not_null(cb_onnx_rule_find("", op, since), "%s-%d", op, since);
        cr_expect_not_null(cb_onnx_rule_find("", op, CB_ONNX_NEWEST_OPSET), "%s", op);
        found++;
    }
    fclose(f);
    cr_expect_gt(found, 100);
}

Test(onnx_rules, a_window_has_its_numbers_and_defaults)
{
    struct loading l = load_node(
        11, "1\"x\" 1\"a\" 2\"y\" 4\"Conv\" 5{1\"kernel_shape\" 8[3 5]} 5{1\"pads\" 8[1 2 3 4]}"
            "5{1\"strides\" 8:2 8:1} 5{1\"group\" 3:2}");
    expect_ok(l);
    const struct cb_node *conv = only_node(&l, CB_OP_CONV);
    const struct cb_window *w = &conv->attr.conv.window;
    cr_expect_eq(w->rank, 2);
    cr_expect(w->kernel[0] == 3 && w->kernel[1] == 5);
    cr_expect(w->pad_begin[0] == 1 && w->pad_begin[1] == 2 && w->pad_end[0] == 3 &&
              w->pad_end[1] == 4);
    cr_expect(w->stride[0] == 2 && w->stride[1] == 1 && w->dilation[0] == 1 && w->dilation[1] == 1);
    cr_expect_eq(conv->attr.conv.group, 2);
    cr_expect_eq(conv->attr.conv.hi, INFINITY);
    load_end(&l);
}

Test(onnx_rules, pads_are_ignored_with_auto_pad)
{
    struct loading l = load_node(
        11,
        "1\"x\" 1\"a\" 2\"y\" 4\"Conv\" 5{1\"auto_pad\" 4\"SAME_LOWER\"} 5{1\"pads\" 8[9 9 9 9]}");
    expect_ok(l);
    const struct cb_window *w = &only_node(&l, CB_OP_CONV)->attr.conv.window;
    cr_expect_eq(w->auto_pad, CB_PAD_SAME_LOWER);
    cr_expect_eq(w->pad_begin[0], 0);
    cr_expect_eq(w->rank, 0, "from the input");
    load_end(&l);
}

Test(onnx_rules, a_window_that_contradicts_itself_is_refused)
{
    static const struct {
        const char *attrs, *says;
    } cases[] = {
        { "5{1\"kernel_shape\" 8[3 3]} 5{1\"pads\" 8[1 1]}",
          "pads has 2 numbers for 2 spatial axes" },
        { "5{1\"kernel_shape\" 8[3 3]} 5{1\"strides\" 8[0 1]}", "strides has a 0" },
        { "5{1\"kernel_shape\" 8[3 99999999999]}", "kernel_shape has a 99999999999" },
        { "5{1\"kernel_shape\" 8[3 3]} 5{1\"pads\" 8[-1 0 0 0]}", "pads has a -1" },
        { "5{1\"auto_pad\" 4\"SAME\"}", "attribute auto_pad is \"SAME\"" },
        { "5{1\"group\" 3:0}", "group is 0" },
    };
    for (size_t i = 0; i < CB_COUNT_OF(cases); i++) {
        char fields[300];
        snprintf(fields, sizeof fields, "1\"x\" 1\"a\" 2\"y\" 4\"Conv\" %s", cases[i].attrs);
        struct loading l = load_node(11, fields);
        expect_fail(l, CB_ERR_MODEL, cases[i].says);
        load_end(&l);
    }
}

Test(onnx_rules, broadcasting_before_opset_7_is_aligned_at_an_axis)
{
    struct loading old =
        load_node(6, "1\"x\" 1\"a\" 2\"y\" 4\"Mul\" 5{1\"broadcast\" 3:1} 5{1\"axis\" 3:1}");
    struct loading new = load_node(7, "1\"x\" 1\"a\" 2\"y\" 4\"Mul\"");
    struct loading slope = load_node(6, "1\"x\" 1\"a\" 2\"y\" 4\"PRelu\"");
    expect_ok(old);
    expect_ok(new);
    expect_ok(slope);
    cr_expect(only_node(&old, CB_OP_MUL)->attr.binary.aligned &&
              only_node(&old, CB_OP_MUL)->attr.binary.axis == 1);
    cr_expect_not(only_node(&new, CB_OP_MUL)->attr.binary.aligned);
    cr_expect(only_node(&slope, CB_OP_PRELU)->attr.binary.aligned &&
              only_node(&slope, CB_OP_PRELU)->attr.binary.axis == 1);
    load_end(&old);
    load_end(&new);
    load_end(&slope);
}

Test(onnx_rules, softmax_flattens_until_opset_12)
{
    struct loading old = load_node(12, "1\"x\" 2\"y\" 4\"Softmax\""),
                   new = load_node(13, "1\"x\" 2\"y\" 4\"Softmax\"");
    const union cb_attr a = only_node(&old, CB_OP_SOFTMAX)->attr,
                        b = only_node(&new, CB_OP_SOFTMAX)->attr;
    cr_expect(a.softmax.flatten && a.softmax.axis == 1);
    cr_expect(!b.softmax.flatten && b.softmax.axis == -1);
    load_end(&old);
    load_end(&new);
}

Test(onnx_rules, clip_bounds_are_attributes_then_inputs)
{
    struct loading old = load_node(6, "1\"x\" 2\"y\" 4\"Clip\" 5{1\"max\" 2=6}");
    struct loading new = load_node(11, "1\"x\" 1\"\" 1\"zero\" 2\"y\" 4\"Clip\"");
    const struct cb_node *a = only_node(&old, CB_OP_CLIP), *b = only_node(&new, CB_OP_CLIP);
    cr_expect(a->attr.clip.hi == 6.0 && a->attr.clip.lo == -INFINITY && a->n_in == 1);
    cr_expect(b->n_in == 3 && b->in[1] == -1 && b->attr.clip.hi == INFINITY);
    load_end(&old);
    load_end(&new);
}

Test(onnx_rules, axes_and_pads_are_attributes_then_inputs)
{
    struct loading reduce =
        load_node(11, "1\"x\" 2\"y\" 4\"ReduceMean\" 5{1\"axes\" 8[2 3]} 5{1\"keepdims\" 3:0}");
    struct loading squeeze = load_node(13, "1\"x\" 1\"c\" 2\"y\" 4\"Squeeze\"");
    struct loading pad = load_node(2, "1\"x\" 2\"y\" 4\"Pad\" 5{1\"pads\" 8[0 0 1 2 0 0 3 4]} "
                                      "5{1\"mode\" 4\"edge\"} 5{1\"value\" 2=0.5}");
    const union cb_attr r = only_node(&reduce, CB_OP_REDUCE_MEAN)->attr,
                        p = only_node(&pad, CB_OP_PAD)->attr;
    cr_expect(r.reduce.axes.count == 2 && r.reduce.axes.v[1] == 3 && !r.reduce.keep_dims);
    cr_expect_eq(only_node(&squeeze, CB_OP_SQUEEZE)->attr.squeeze.axes.count, -1);
    cr_expect_eq(only_node(&squeeze, CB_OP_SQUEEZE)->n_in, 2);
    cr_expect(p.pad.begin.count == 4 && p.pad.begin.v[3] == 2 && p.pad.end.v[2] == 3);
    cr_expect(p.pad.mode == CB_PAD_EDGE && p.pad.value == 0.5);
    load_end(&reduce);
    load_end(&squeeze);
    load_end(&pad);
}

Test(onnx_rules, scales_of_upsample_are_attributes_then_inputs)
{
    struct loading first = load_node(1, "1\"x\" 2\"y\" 4\"Upsample\" 5{1\"height_scale\" 2=2.5} "
                                        "5{1\"width_scale\" 2=3} 5{1\"mode\" 4\"bilinear\"}");
    struct loading ninth = load_node(9, "1\"x\" 1\"a\" 2\"y\" 4\"Upsample\"");
    struct loading none = load_node(8, "1\"x\" 2\"y\" 4\"Upsample\"");
    expect_ok(first);
    expect_ok(ninth);
    const union cb_attr a = only_node(&first, CB_OP_RESIZE)->attr;
    cr_expect_eq(a.resize.mode, CB_RESIZE_LINEAR);
    cr_expect_eq(a.resize.place, CB_PLACE_ASYMMETRIC);
    cr_expect(a.resize.n_scales == 4 && a.resize.scale[1] == 1 && a.resize.scale[2] == 2.5 &&
              a.resize.scale[3] == 3);
    cr_expect_eq(only_node(&ninth, CB_OP_RESIZE)->attr.resize.round, CB_ROUND_SIMPLE);
    cr_expect_eq(only_node(&ninth, CB_OP_RESIZE)->attr.resize.n_scales, -1);
    expect_fail(none, CB_ERR_MODEL, "height_scale");
    load_end(&first);
    load_end(&ninth);
    load_end(&none);
}

Test(onnx_rules, resize_reads_its_words)
{
    struct loading l = load_node(
        19, "1\"x\" 1\"\" 1\"a\" 2\"y\" 4\"Resize\" 5{1\"mode\" 4\"cubic\"} "
            "5{1\"coordinate_transformation_mode\" 4\"half_pixel_symmetric\"} "
            "5{1\"nearest_mode\" 4\"ceil\"} 5{1\"keep_aspect_ratio_policy\" 4\"not_smaller\"} "
            "5{1\"antialias\" 3:1} 5{1\"axes\" 8[2 3]}");
    struct loading wrong = load_node(19, "1\"x\" 1\"\" 1\"a\" 2\"y\" 4\"Resize\" "
                                         "5{1\"coordinate_transformation_mode\" 4\"middle\"}");
    expect_ok(l);
    const union cb_attr a = only_node(&l, CB_OP_RESIZE)->attr;
    cr_expect_eq(a.resize.mode, CB_RESIZE_CUBIC);
    cr_expect_eq(a.resize.place, CB_PLACE_HALF_PIXEL_SYMMETRIC);
    cr_expect_eq(a.resize.round, CB_ROUND_CEIL);
    cr_expect_eq(a.resize.fit, CB_FIT_NOT_SMALLER);
    cr_expect(a.resize.antialias && a.resize.axes.count == 2);
    cr_expect_neq(wrong.st.code, CB_OK);
    load_end(&l);
    load_end(&wrong);
}

Test(onnx_rules, conv_transpose_has_sizes_and_more_at_the_end)
{
    struct loading l = load_node(11, "1\"x\" 1\"a\" 2\"y\" 4\"ConvTranspose\" "
                                     "5{1\"output_padding\" 8[1 2]} 5{1\"output_shape\" 8[7 9]}");
    struct loading wrong = load_node(11, "1\"x\" 1\"a\" 2\"y\" 4\"ConvTranspose\" "
                                         "5{1\"output_padding\" 8[1 -2]}");
    expect_ok(l);
    const union cb_attr a = only_node(&l, CB_OP_CONV_TRANSPOSE)->attr;
    cr_expect(a.conv_transpose.more[0] == 1 && a.conv_transpose.more[1] == 2);
    cr_expect(a.conv_transpose.sizes.count == 2 && a.conv_transpose.sizes.v[1] == 9);
    expect_fail(wrong, CB_ERR_MODEL, "output_padding has a -2");
    load_end(&l);
    load_end(&wrong);
}

/* Until version 16 there was one form, without the half pixel. */
Test(onnx_rules, roi_align_gained_its_half_pixel)
{
    struct loading l10 = load_node(10, "1\"x\" 1\"a\" 1\"b\" 2\"y\" 4\"RoiAlign\"");
    struct loading l16 = load_node(16, "1\"x\" 1\"a\" 1\"b\" 2\"y\" 4\"RoiAlign\"");
    expect_ok(l10);
    expect_ok(l16);
    cr_expect_not(only_node(&l10, CB_OP_ROI_ALIGN)->attr.roi.half_pixel);
    cr_expect(only_node(&l16, CB_OP_ROI_ALIGN)->attr.roi.half_pixel);
    load_end(&l10);
    load_end(&l16);
}

Test(onnx_rules, center_crop_pad_is_a_pad)
{
    struct loading l = load_node(18, "1\"x\" 1\"a\" 2\"y\" 4\"CenterCropPad\" 5{1\"axes\" 8[2 3]}");
    expect_ok(l);
    const struct cb_node *pad = only_node(&l, CB_OP_PAD);
    cr_expect_eq(pad->n_in, 4);
    cr_expect_eq(pad->in[2], -1);
    only_node(&l, CB_OP_GATHER);
    load_end(&l);
}

Test(onnx_rules, variadic_operators_become_chains)
{
    struct loading sum = load_node(8, "1\"x\" 1\"a\" 1\"b\" 2\"y\" 4\"Sum\""),
                   one = load_node(8, "1\"x\" 2\"y\" 4\"Max\"");
    struct loading mean = load_node(8, "1\"x\" 1\"a\" 2\"y\" 4\"Mean\"");
    expect_ok(sum);
    expect_ok(one);
    expect_ok(mean);
    cr_expect_eq(sum.model.graph.n_nodes, 2);
    cr_expect_eq(sum.model.graph.nodes[1].out[0], cb_graph_find(&sum.model.graph, "y"));
    cr_expect_eq(only_node(&one, CB_OP_IDENTITY)->n_in, 1);
    cr_expect_eq(mean.model.graph.nodes[1].op, CB_OP_DIV);
    load_end(&sum);
    load_end(&one);
    load_end(&mean);
}

Test(onnx_rules, dropout_is_the_identity_unless_it_trains)
{
    struct loading old = load_node(7, "1\"x\" 2\"y\" 2\"mask\" 4\"Dropout\"");
    struct loading none = load_node(13, "1\"x\" 1\"zero\" 1\"yes\" 2\"y\" 4\"Dropout\"");
    struct loading train = load_node(13, "1\"x\" 1\"\" 1\"yes\" 2\"y\" 4\"Dropout\"");
    struct loading open = load_node(13, "1\"x\" 1\"\" 1\"a\" 2\"y\" 4\"Dropout\"");
    expect_ok(old);
    expect_ok(none);
    expect_fail(train, CB_ERR_UNSUPPORTED, "Dropout (opset 13): training mode at n");
    cr_expect_eq(only_node(&open, CB_OP_DROPOUT)->n_in, 3);
    cr_expect_eq(value_of(&old, "mask")->dtype, CB_FLOAT32);
    cr_expect_eq(none.model.graph.n_nodes, 1);
    load_end(&old);
    load_end(&none);
    load_end(&train);
    load_end(&open);
}

Test(onnx_rules, constants_come_in_many_forms)
{
    static const struct {
        const char *attr;
        enum cb_dtype dtype;
        int rank;
        size_t count;
    } cases[] = {
        { "5{1\"value\" 20:4 5{1:2 2:7 7[3 4]}}", CB_INT64, 1, 2 },
        { "5{1\"value_int\" 20:2 3:3}", CB_INT64, 0, 1 },
        { "5{1\"value_int\" 20:2}", CB_INT64, 0, 1 },
        { "5{1\"value_ints\" 20:7 8[3 4 5]}", CB_INT64, 1, 3 },
        { "5{1\"value_ints\" 20:7}", CB_INT64, 1, 0 },
        { "5{1\"value_float\" 20:1 2=3}", CB_FLOAT32, 0, 1 },
        { "5{1\"value_floats\" 20:6 7=3 7=4}", CB_FLOAT32, 1, 2 },
    };
    for (size_t i = 0; i < CB_COUNT_OF(cases); i++) {
        char fields[200];
        snprintf(fields, sizeof fields, "2\"y\" 4\"Constant\" %s", cases[i].attr);
        struct loading l = load_node(13, fields);
        cr_assert_eq(l.st.code, CB_OK, "%s: %s", cases[i].attr, l.st.msg);
        const struct cb_value *y = value_of(&l, "y");
        cr_expect_not_null(y->data);
        cr_expect(y->dtype == cases[i].dtype && y->shape.rank == cases[i].rank, "%s",
                  cases[i].attr);
        cr_expect_eq(cb_shape_count(&y->shape), cases[i].count);
        cr_expect_eq(l.model.graph.n_nodes, 0);
        load_end(&l);
    }
    struct loading text = load_node(13, "2\"y\" 4\"Constant\" 5{1\"value_string\" 4\"a\"}");
    expect_fail(text, CB_ERR_UNSUPPORTED, "value_string");
    load_end(&text);
}

Test(onnx_rules, casts_name_their_type_by_number_or_by_name)
{
    struct loading old = load_node(1, "1\"x\" 2\"y\" 4\"Cast\" 5{1\"to\" 4\"FLOAT16\"}");
    struct loading new = load_node(9, "1\"x\" 2\"y\" 4\"Cast\" 5{1\"to\" 3:10}");
    struct loading like = load_node(15, "1\"x\" 1\"c\" 2\"y\" 4\"CastLike\"");
    cr_expect_eq(only_node(&old, CB_OP_CAST)->attr.cast.to, CB_FLOAT16);
    cr_expect_eq(only_node(&new, CB_OP_CAST)->attr.cast.to, CB_FLOAT16);
    cr_expect_eq(only_node(&like, CB_OP_CAST)->attr.cast.to, CB_INT64);
    cr_expect_eq(value_of(&like, "y")->dtype, CB_INT64);
    load_end(&old);
    load_end(&new);
    load_end(&like);
}

Test(onnx_rules, layer_norm_works_along_the_last_axes)
{
    struct loading l = load_node(
        17, "1\"x\" 1\"a\" 1\"b\" 2\"y\" 2\"\" 2\"inv\" 4\"LayerNormalization\" 5{1\"axis\" 3:-2}");
    expect_ok(l);
    int means = 0;
    for (int i = 0; i < l.model.graph.n_nodes; i++)
        if (l.model.graph.nodes[i].op == CB_OP_REDUCE_MEAN) {
            const struct cb_list *axes = &l.model.graph.nodes[i].attr.reduce.axes;
            cr_expect(axes->count == 2 && axes->v[0] == -2 && axes->v[1] == -1);
            means++;
        }
    cr_expect_eq(means, 2, "of x, and of what is left squared");
    cr_expect_eq(only_node(&l, CB_OP_RECIPROCAL)->out[0], cb_graph_find(&l.model.graph, "inv"));
    load_end(&l);
}

Test(onnx_rules, a_positive_axis_needs_the_rank)
{
    struct loading known =
        load_node(17, "1\"x\" 1\"a\" 2\"y\" 4\"LayerNormalization\" 5{1\"axis\" 3:1}");
    struct loading open = load_node(
        17, "1\"x\" 1\"a\" 2\"y\" 4\"LayerNormalization\" 5{1\"axis\" 3:1}"
            "} 1{1\"y\" 1\"a\" 2\"z\" 3\"second\" 4\"LayerNormalization\" 5{1\"axis\" 3:1}");
    expect_ok(known);
    expect_fail(open, CB_ERR_UNSUPPORTED, "axis 1 of an input of unknown rank at second");
    load_end(&known);
    load_end(&open);
}

Test(onnx_rules, group_norm_scales_groups_then_channels)
{
    struct loading groups =
        load_node(18, "1\"x\" 1\"a\" 1\"b\" 2\"y\" 4\"GroupNormalization\" 5{1\"num_groups\" 3:2}");
    struct loading channels =
        load_node(21, "1\"x\" 1\"a\" 1\"b\" 2\"y\" 4\"GroupNormalization\" 5{1\"num_groups\" 3:2}");
    struct loading none = load_node(21, "1\"x\" 1\"a\" 1\"b\" 2\"y\" 4\"GroupNormalization\"");
    int reshapes[2] = { 0, 0 };
    expect_ok(groups);
    expect_ok(channels);
    for (int i = 0; i < groups.model.graph.n_nodes; i++)
        reshapes[0] += groups.model.graph.nodes[i].op == CB_OP_RESHAPE;
    for (int i = 0; i < channels.model.graph.n_nodes; i++)
        reshapes[1] += channels.model.graph.nodes[i].op == CB_OP_RESHAPE;
    cr_expect_eq(reshapes[0], 2, "into groups and back");
    cr_expect_eq(reshapes[1], 4, "and into channels and back");
    expect_fail(none, CB_ERR_MODEL, "attribute num_groups is missing");
    load_end(&groups);
    load_end(&channels);
    load_end(&none);
}

Test(onnx_rules, a_constant_that_is_quantised_and_back_is_folded)
{
    expect_run(MODEL(13, "5{8\"w\" 1:2 2:1 4=1 4=2.3} 5{8\"s\" 2:1 4=0.5} 5{8\"z\" 2:2 5:3}"
                         "1{1\"w\" 1\"s\" 1\"z\" 2\"q\" 4\"QuantizeLinear\"}"
                         "1{1\"q\" 1\"s\" 1\"z\" 2\"d\" 4\"DequantizeLinear\"}"
                         "1{1\"x\" 1\"d\" 2\"y\" 4\"Add\"}" IN("x", DIM(2)) OUT("y")),
               2, (const float[]){ 10, 20 }, FLOATS(11, 22.5f));
}
