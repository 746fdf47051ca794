/* Receptive fields: those of published networks (Araujo, Norris and Sim's table has 435 for
 * ResNet-18, 212 for VGG-16's last pool, 195 for AlexNet's), and small ones worked by hand. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "core/exec/plan.h"
#include "core/model/receptive_field.h"
#include "importers/model/load.h"
#include "tests/support/onnx_builder.h"

struct bench {
    struct onnx_builder b;
    int n;       /* nodes so far */
    char at[16]; /* the value that the next layer takes */
    int channels;
    struct cb_model *model;
    struct cb_plan *plan;
    struct cb_arena arena;
    struct cb_field *fields;
};

static struct bench begin(struct onnx_dims input)
{
    struct bench t = { .b = onnx_begin(13), .at = "x", .channels = (int)input.dim[1] };
    onnx_input(&t.b, "x", ONNX_FLOAT, input);
    return t;
}

/* One node on `in` (names between blanks); its output is the next layer's input, and returned. */
static const char *node(struct bench *t, const char *op, const char *in)
{
    static char names[64][16]; /* of the nodes of the test that runs */
    char *name = names[t->n];
    snprintf(name, sizeof names[0], "v%d", ++t->n);
    onnx_node(&t->b, op, in, name);
    snprintf(t->at, sizeof t->at, "%s", name);
    return name;
}

static const char *conv(struct bench *t, int kernel, int stride, int pad)
{
    char in[64], weight[16];
    snprintf(weight, sizeof weight, "w%d", t->n);
    snprintf(in, sizeof in, "%s %s", t->at, weight);
    onnx_random(&t->b, weight, ONNX_DIMS(1, t->channels, kernel, kernel), 3);
    t->channels = 1;
    const char *out = node(t, "Conv", in);
    onnx_attr_ints(&t->b, "strides", ONNX_DIMS(stride, stride));
    onnx_attr_ints(&t->b, "pads", ONNX_DIMS(pad, pad, pad, pad));
    return out;
}

static const char *pool(struct bench *t, int kernel, int stride, int pad)
{
    const char *out = node(t, "MaxPool", t->at);
    onnx_attr_ints(&t->b, "kernel_shape", ONNX_DIMS(kernel, kernel));
    onnx_attr_ints(&t->b, "strides", ONNX_DIMS(stride, stride));
    onnx_attr_ints(&t->b, "pads", ONNX_DIMS(pad, pad, pad, pad));
    return out;
}

static const char *both(struct bench *t, const char *op, const char *a, const char *b)
{
    char in[48];
    snprintf(in, sizeof in, "%s %s", a, b);
    return node(t, op, in);
}

static void from(struct bench *t, const char *value)
{
    snprintf(t->at, sizeof t->at, "%s", value);
}

/* No more layers: fields can be asked for. */
static void solve(struct bench *t)
{
    static struct cb_engine engine;
    onnx_output(&t->b, t->at, ONNX_FLOAT);
    const struct cb_model_source source = { .bytes = onnx_end(&t->b), .graph_only = true };
    struct cb_status st = cb_model_load(&source, &t->model);
    cr_assert(st.code == CB_OK, "%s", st.msg);
    const struct cb_graph *g = &t->model->graph;
    const struct cb_tensor input = { .shape = g->values[g->inputs[0]].shape, .dtype = CB_FLOAT32 };
    const struct cb_plan_options options = { .inputs = &input,
                                             .no_passes = true,
                                             .shapes_only = true };
    engine =
        (struct cb_engine){ .kernels = cb_kernels_for(CB_ISA_GENERIC), .plan_budget = SIZE_MAX };
    st = cb_plan_create(&engine, g, t->model->weights, &options, &t->plan);
    cr_assert(st.code == CB_OK, "%s", st.msg);
    cr_assert(cb_arena_init(&t->arena, (size_t)1 << 24).code == CB_OK);
    cr_assert(
        cb_fields_find(cb_plan_graph(t->plan), g->inputs[0], false, &t->arena, &t->fields).code ==
        CB_OK);
}

static void finish(struct bench *t)
{
    cb_arena_deinit(&t->arena);
    cb_plan_destroy(t->plan);
    cb_model_destroy(t->model);
    onnx_free(&t->b);
}

static const struct cb_field *field(const struct bench *t, const char *value)
{
    const int v = cb_graph_find(&t->model->graph, value);
    cr_assert(v >= 0, "%s", value);
    return &t->fields[v];
}

static void expect_field(const struct bench *t, const char *value, int of, double start,
                         double size, double stride)
{
    const struct cb_field_axis *a = cb_field_along(field(t, value), of);
    cr_assert_not_null(a, "%s has no place along axis %d", value, of);
    cr_expect(a->start == start && cb_field_size(a) == size && a->stride == stride,
              "%s: from %g, size %g, stride %g", value, a->start, cb_field_size(a), a->stride);
}

Test(receptive_field, of_vgg16)
{
    static const int depth[] = { 2, 2, 3, 3, 3 };
    struct bench t = begin(ONNX_DIMS(1, 1, 64, 64));
    const char *conv5_3 = NULL, *pool5 = NULL;
    for (int stage = 0; stage < 5; stage++) {
        for (int i = 0; i < depth[stage]; i++)
            conv5_3 = conv(&t, 3, 1, 1);
        pool5 = pool(&t, 2, 2, 0);
    }
    solve(&t);
    expect_field(&t, conv5_3, 0, -90, 196, 16);
    expect_field(&t, pool5, 1, -90, 212, 32);
    cr_expect(!field(&t, pool5)->whole);
    finish(&t);
}

Test(receptive_field, of_alexnet)
{
    struct bench t = begin(ONNX_DIMS(1, 1, 224, 224));
    conv(&t, 11, 4, 2);
    pool(&t, 3, 2, 0);
    conv(&t, 5, 1, 2);
    pool(&t, 3, 2, 0);
    for (int i = 0; i < 3; i++)
        conv(&t, 3, 1, 1);
    const char *last = pool(&t, 3, 2, 0);
    solve(&t);
    expect_field(&t, last, 0, -66, 195, 32);
    finish(&t);
}

/* Its blocks: two 3x3 convolutions beside nothing, or beside a 1x1 one of stride 2. */
Test(receptive_field, of_resnet18)
{
    struct bench t = begin(ONNX_DIMS(1, 1, 64, 64));
    conv(&t, 7, 2, 3);
    const char *x = pool(&t, 3, 2, 1);
    for (int block = 0; block < 8; block++) {
        const int stride = block % 2 == 0 && block > 0 ? 2 : 1;
        const char *skip = stride == 2 ? conv(&t, 1, 2, 0) : x;
        from(&t, x);
        conv(&t, 3, stride, 1);
        x = both(&t, "Add", conv(&t, 3, 1, 1), skip);
        node(&t, "Relu", x);
        x = node(&t, "Relu", x);
    }
    solve(&t);
    expect_field(&t, x, 0, -217, 435, 32);
    expect_field(&t, x, 1, -217, 435, 32);
    finish(&t);
}

Test(receptive_field, where_paths_meet_is_what_any_of_them_sees)
{
    struct bench t = begin(ONNX_DIMS(1, 1, 16, 16));
    const char *narrow = conv(&t, 1, 1, 0);
    from(&t, "x");
    t.channels = 1;
    const char *left = node(&t, "AveragePool", "x"); /* sees 2 places, all pads before */
    onnx_attr_ints(&t.b, "kernel_shape", ONNX_DIMS(2, 2));
    onnx_attr_ints(&t.b, "pads", ONNX_DIMS(1, 1, 0, 0));
    from(&t, "x");
    const char *wide = conv(&t, 5, 1, 2);
    const char *sum = both(&t, "Add", narrow, left);
    const char *joined = both(&t, "Concat", wide, sum);
    onnx_attr_int(&t.b, "axis", 1);
    solve(&t);
    expect_field(&t, sum, 0, -1, 2, 1);
    expect_field(&t, joined, 0, -2, 5, 1);
    finish(&t);
}

Test(receptive_field, of_dilated_convolutions_and_slices_moves_with_them)
{
    struct bench t = begin(ONNX_DIMS(1, 1, 33));
    const int64_t three = 3, thirty = 30, two = 2;
    onnx_random(&t.b, "w", ONNX_DIMS(1, 1, 2), 1);
    onnx_wholes(&t.b, "start", ONNX_DIMS(1), &three);
    onnx_wholes(&t.b, "end", ONNX_DIMS(1), &thirty);
    onnx_wholes(&t.b, "axis", ONNX_DIMS(1), &two);
    onnx_wholes(&t.b, "step", ONNX_DIMS(1), &two);
    const char *causal = node(&t, "Conv", "x w");
    onnx_attr_ints(&t.b, "dilations", ONNX_DIMS(4));
    onnx_attr_ints(&t.b, "pads", ONNX_DIMS(4, 0));
    const char *slice = node(&t, "Slice", "v1 start end axis step");
    solve(&t);
    expect_field(&t, causal, 0, -4, 5, 1);
    expect_field(&t, slice, 0, -1, 5, 2);
    finish(&t);
}

/* Every second output of a transposed 2x2 convolution sees the same input; of a 4x4 one with a pad
 * of 1 two each. */
Test(receptive_field, of_transposed_convolutions_has_a_stride_below_1)
{
    struct bench t = begin(ONNX_DIMS(1, 1, 8, 8));
    onnx_random(&t.b, "w2", ONNX_DIMS(1, 1, 2, 2), 1);
    onnx_random(&t.b, "w4", ONNX_DIMS(1, 1, 4, 4), 1);
    const char *small = node(&t, "ConvTranspose", "x w2");
    onnx_attr_ints(&t.b, "strides", ONNX_DIMS(2, 2));
    const char *large = node(&t, "ConvTranspose", "v1 w4");
    onnx_attr_ints(&t.b, "strides", ONNX_DIMS(2, 2));
    onnx_attr_ints(&t.b, "pads", ONNX_DIMS(1, 1, 1, 1));
    solve(&t);
    expect_field(&t, small, 0, -0.5, 1.5, 0.5);
    expect_field(&t, large, 0, -1, 2.25, 0.25);
    finish(&t);
}

/* Twice as large by the mean of two, then half by steps: stride 1 again, joined with what it was.
 */
Test(receptive_field, of_resized_maps_meets_the_path_beside_it)
{
    struct bench t = begin(ONNX_DIMS(1, 1, 8, 8));
    const float scales[] = { 1, 1, 2, 2 };
    onnx_floats(&t.b, "scales", ONNX_DIMS(4), scales);
    onnx_floats(&t.b, "roi", ONNX_DIMS(0), scales);
    const char *large = node(&t, "Resize", "x roi scales");
    onnx_attr_text(&t.b, "mode", "linear");
    const char *again = conv(&t, 1, 2, 0);
    const char *sum = both(&t, "Add", again, "x");
    solve(&t);
    expect_field(&t, large, 0, -1.25, 3, 0.5);
    expect_field(&t, sum, 0, -1.25, 3, 1);
    cr_expect(!field(&t, sum)->whole);
    finish(&t);
}

Test(receptive_field, of_blocks_made_channels_and_back_is_a_block)
{
    struct bench t = begin(ONNX_DIMS(1, 1, 8, 8));
    const char *deep = node(&t, "SpaceToDepth", "x");
    onnx_attr_int(&t.b, "blocksize", 2);
    const char *back = node(&t, "DepthToSpace", deep);
    onnx_attr_int(&t.b, "blocksize", 2);
    solve(&t);
    expect_field(&t, deep, 0, 0, 2, 2);
    expect_field(&t, back, 0, -1, 3, 1);
    finish(&t);
}

Test(receptive_field, behind_a_gate_is_the_path_beside_it_and_everything)
{
    struct bench t = begin(ONNX_DIMS(1, 1, 16, 16));
    const char *x = conv(&t, 3, 1, 1);
    const char *mean = node(&t, "GlobalAveragePool", x);
    const char *gated = both(&t, "Mul", x, node(&t, "Sigmoid", mean));
    solve(&t);
    expect_field(&t, gated, 0, -1, 3, 1);
    cr_expect(field(&t, gated)->whole && !field(&t, x)->whole);
    cr_expect(field(&t, mean)->whole && !cb_field_along(field(&t, mean), 0));
    finish(&t);
}

/* Channels shuffled stay where they are; a map folded into blocks of 2 sees blocks; a map made a
 * row of tokens has lost its places. */
Test(receptive_field, follows_axes_through_reshapes)
{
    struct bench t = begin(ONNX_DIMS(1, 4, 6, 6));
    const int64_t groups[] = { 1, 2, 2, 6, 6 }, back[] = { 1, 4, 6, 6 },
                  blocks[] = { 1, 4, 3, 2, 3, 2 }, row[] = { 1, 4, 36 };
    onnx_wholes(&t.b, "groups", ONNX_DIMS(5), groups);
    onnx_wholes(&t.b, "back", ONNX_DIMS(4), back);
    onnx_wholes(&t.b, "blocks", ONNX_DIMS(6), blocks);
    onnx_wholes(&t.b, "row", ONNX_DIMS(3), row);
    node(&t, "Reshape", "x groups");
    node(&t, "Transpose", "v1");
    onnx_attr_ints(&t.b, "perm", ONNX_DIMS(0, 2, 1, 3, 4));
    const char *shuffled = node(&t, "Reshape", "v2 back");
    const char *folded = node(&t, "Reshape", "v3 blocks"), *tokens = node(&t, "Reshape", "v3 row");
    node(&t, "Relu", "v4");
    onnx_output(&t.b, "v6", ONNX_FLOAT);
    from(&t, tokens);
    solve(&t);
    expect_field(&t, shuffled, 1, 0, 1, 1);
    expect_field(&t, folded, 0, 0, 2, 2);
    expect_field(&t, folded, 1, 0, 2, 2);
    cr_expect(!field(&t, folded)->whole);
    cr_expect(field(&t, tokens)->whole && !cb_field_along(field(&t, tokens), 0));
    finish(&t);
}

Test(receptive_field, of_what_looks_at_shapes_alone_is_nothing)
{
    struct bench t = begin(ONNX_DIMS(1, 1, 6, 6));
    const char *shape = node(&t, "Shape", "x");
    solve(&t);
    cr_expect(!field(&t, shape)->depends);
    finish(&t);
}
