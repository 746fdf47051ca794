#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <criterion/parameterized.h>
#include <math.h>

#include "tests/support/gradcheck.h"

/* Of 1 2 3 4 along one axis, to n places by `scale`; 0: the size is wanted. */
static struct op_case line(enum cb_resize_mode mode, enum cb_resize_place place, double scale,
                           int64_t n)
{
    struct op_case c = op_case_make(CB_OP_RESIZE);
    c.node.attr.resize.mode = mode;
    c.node.attr.resize.place = place;
    op_case_add(&c, OP_SHAPE(4), OP_FLOATS(1, 2, 3, 4));
    if (scale > 0) {
        c.node.attr.resize.n_scales = 1;
        c.node.attr.resize.scale[0] = scale;
    } else {
        c.node.attr.resize.sizes = (struct cb_list){ 1, { n } };
    }
    return c;
}

static void expect_line(struct op_case *c, int n, const float *want)
{
    op_case_run(c);
    op_case_run(c); /* infer finds what it left */
    op_case_expect_shape(c, 0, OP_SHAPE(n));
    op_case_expect_floats(c, 0, 1e-6, want);
}

#define expect_of(mode, place, scale, n, ...)                                                      \
    do {                                                                                           \
        struct op_case c_ = line(mode, place, scale, n);                                           \
        expect_line(&c_, n, OP_FLOATS(__VA_ARGS__));                                               \
        op_case_free(&c_);                                                                         \
    } while (0)

Test(resize, places_pixels_as_its_transformation_says)
{
    const enum cb_resize_mode linear = CB_RESIZE_LINEAR;
    expect_of(linear, CB_PLACE_HALF_PIXEL, 2, 8, 1, 1.25, 1.75, 2.25, 2.75, 3.25, 3.75, 4);
    expect_of(linear, CB_PLACE_PYTORCH_HALF_PIXEL, 0.5, 2, 1.5, 3.5);
    expect_of(linear, CB_PLACE_PYTORCH_HALF_PIXEL, 0, 1, 1);
    expect_of(linear, CB_PLACE_HALF_PIXEL, 0, 1, 2.5);
    expect_of(linear, CB_PLACE_ALIGN_CORNERS, 0, 7, 1, 1.5, 2, 2.5, 3, 3.5, 4);
    expect_of(linear, CB_PLACE_ALIGN_CORNERS, 0, 1, 1);
    expect_of(linear, CB_PLACE_ASYMMETRIC, 2, 8, 1, 1.5, 2, 2.5, 3, 3.5, 4, 4);
    /* 4 * 0.6 = 2.4 has two places, and what the other 0.4 would take is shared by both ends: half
     * pixels lie at 1/3 and 2, moved by 2 * (1 - 2 / 2.4) = 1/3. */
    expect_of(linear, CB_PLACE_HALF_PIXEL_SYMMETRIC, 0.6, 2, 5 / 3.0f, 10 / 3.0f);
    expect_of(CB_RESIZE_NEAREST, CB_PLACE_TF_HALF_PIXEL_FOR_NN, 0.5, 2, 2, 4);
}

static void expect_rounded(enum cb_resize_round round, double scale, int n, const float *want)
{
    struct op_case c = line(CB_RESIZE_NEAREST, CB_PLACE_ASYMMETRIC, scale, 0);
    c.node.attr.resize.round = round;
    expect_line(&c, n, want);
    op_case_free(&c);
}

/* Places 0, 0.5, .. 3.5; and 0, 1.6667, 3.3333 for 0.75 rounded down to 0.6. */
Test(resize, takes_the_nearest_as_it_is_told)
{
    expect_rounded(CB_ROUND_PREFER_FLOOR, 2, 8, OP_FLOATS(1, 1, 2, 2, 3, 3, 4, 4));
    expect_rounded(CB_ROUND_PREFER_CEIL, 2, 8, OP_FLOATS(1, 2, 2, 3, 3, 4, 4, 4));
    expect_rounded(CB_ROUND_FLOOR, 2, 8, OP_FLOATS(1, 1, 2, 2, 3, 3, 4, 4));
    expect_rounded(CB_ROUND_CEIL, 2, 8, OP_FLOATS(1, 2, 2, 3, 3, 4, 4, 4));
    expect_rounded(CB_ROUND_SIMPLE, 2, 8, OP_FLOATS(1, 1, 2, 2, 3, 3, 4, 4));
    expect_rounded(CB_ROUND_SIMPLE, 0.6, 2, OP_FLOATS(1, 3));
    expect_rounded(CB_ROUND_FLOOR, 0.6, 2, OP_FLOATS(1, 2));
}

/* Keys' weights at distance 1/4 and 3/4 with a = -0.75. */
Test(resize, weighs_four_pixels_in_cubic_mode)
{
    const float w0 = -0.10546875f, w1 = 0.87890625f, w2 = 0.26171875f, w3 = -0.03515625f;
    struct op_case c = line(CB_RESIZE_CUBIC, CB_PLACE_HALF_PIXEL, 2, 0);
    op_case_run(&c);
    cr_expect(epsilon_eq(flt, c.out[0].f[3], w0 * 1 + w1 * 2 + w2 * 3 + w3 * 4, 1e-6f));
    /* At 0.25 - 1 the first pixel stands for the one before it. */
    cr_expect(epsilon_eq(flt, c.out[0].f[1], w0 * 1 + w1 * 1 + w2 * 2 + w3 * 3, 1e-6f));
    c.node.attr.resize.exclude_outside = true;
    op_case_run(&c);
    cr_expect(epsilon_eq(flt, c.out[0].f[1], (w1 * 1 + w2 * 2 + w3 * 3) / (w1 + w2 + w3), 1e-6f));
    op_case_free(&c);
}

/* By half: weights 1/8 3/8 3/8 1/8 on four pixels, those beyond the ends at the ends. */
Test(resize, widens_the_filter_with_antialias)
{
    struct op_case c = line(CB_RESIZE_LINEAR, CB_PLACE_HALF_PIXEL, 0.5, 0);
    c.node.attr.resize.antialias = true;
    expect_line(&c, 2, OP_FLOATS((4 * 1 + 3 * 2 + 3) / 8.0f, (2 + 3 * 3 + 4 * 4) / 8.0f));
    c.node.attr.resize.exclude_outside = true;
    expect_line(&c, 2, OP_FLOATS((3 * 1 + 3 * 2 + 3) / 7.0f, (2 + 3 * 3 + 3 * 4) / 7.0f));
    op_case_free(&c);
}

Test(resize, crops_and_sets_what_lies_outside)
{
    struct op_case c = line(CB_RESIZE_LINEAR, CB_PLACE_TF_CROP_AND_RESIZE, 0, 3);
    c.node.attr.resize.outside = 9;
    c.node.attr.resize.n_roi = 1;
    c.node.attr.resize.roi[0][0] = 0.5;
    c.node.attr.resize.roi[1][0] = 1.5;
    expect_line(&c, 3, OP_FLOATS(2.5f, 4, 9)); /* places 1.5, 3, 4.5 */
    c.node.attr.resize.mode = CB_RESIZE_NEAREST;
    expect_line(&c, 3, OP_FLOATS(2, 4, 9));
    op_case_free(&c);
}

Test(resize, reads_roi_scales_sizes_and_axes)
{
    struct op_case c = op_case_make(CB_OP_RESIZE);
    op_case_add(&c, OP_SHAPE(2, 1, 2), OP_FLOATS(1, 2, 3, 4));
    op_case_absent(&c);
    op_case_add(&c, OP_SHAPE(2), OP_FLOATS(2, 1.5));
    c.node.attr.resize.axes = (struct cb_list){ 2, { -1, 0 } };
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(3, 1, 4));
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4));
    op_case_free(&c);

    c = op_case_make(CB_OP_RESIZE);
    op_case_add_wholes(&c, CB_INT32, OP_SHAPE(2, 2), OP_WHOLES(1, 2, 3, 4));
    op_case_absent(&c);
    op_case_add(&c, OP_SHAPE(0), OP_FLOATS(0)); /* empty: not given */
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(2), OP_WHOLES(1, 4));
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(1, 4));
    op_case_expect_wholes(&c, 0, OP_WHOLES(1, 1, 2, 2));
    op_case_free(&c);
}

static void expect_fitted(enum cb_resize_fit fit, int64_t height, int64_t width)
{
    struct op_case c = op_case_make(CB_OP_RESIZE);
    op_case_random(&c, OP_SHAPE(1, 1, 4, 7), OP_UNIFORM);
    c.node.attr.resize.fit = fit;
    c.node.attr.resize.axes = (struct cb_list){ 2, { 2, 3 } };
    c.node.attr.resize.sizes = (struct cb_list){ 2, { 6, 14 } };
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(1, 1, height, width));
    op_case_free(&c);
}

Test(resize, keeps_the_ratio_of_sides_where_asked) /* 1.5 and 2 times */
{
    expect_fitted(CB_FIT_STRETCH, 6, 14);
    expect_fitted(CB_FIT_NOT_LARGER, 6, 11); /* 10.5, half up */
    expect_fitted(CB_FIT_NOT_SMALLER, 8, 14);
}

Test(resize, says_why_it_refuses)
{
    struct op_case c = line(CB_RESIZE_LINEAR, CB_PLACE_HALF_PIXEL, 2, 0);
    c.node.name = "up";
    c.node.attr.resize.scale[0] = -1;
    op_case_expect_refusal(&c, CB_ERR_MODEL, "up: wants scales above 0, has -1");
    c.node.attr.resize.n_scales = 2;
    op_case_expect_refusal(&c, CB_ERR_MODEL, "up: wants 1 scales, has 2");
    c.node.attr.resize.n_scales = -1;
    op_case_expect_refusal(&c, CB_ERR_MODEL, "up: wants scales or sizes, has none");
    c.node.attr.resize.sizes = (struct cb_list){ 1, { -3 } };
    op_case_expect_refusal(&c, CB_ERR_MODEL, "up: wants sizes of 0 to 2.14748e+09, has -3");
    c.node.attr.resize.sizes = (struct cb_list){ 1, { 3 } };
    c.node.attr.resize.place = CB_PLACE_TF_CROP_AND_RESIZE;
    op_case_expect_refusal(&c, CB_ERR_MODEL, "up: wants a roi of 1 axes, has -1");
    c.node.attr.resize.place = CB_PLACE_HALF_PIXEL;
    op_case_absent(&c);
    op_case_add(&c, OP_SHAPE(1), OP_FLOATS(2));
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(1), OP_WHOLES(2));
    op_case_expect_refusal(&c, CB_ERR_MODEL, "up: wants scales or sizes, has both");
    op_case_free(&c);

    c = line(CB_RESIZE_LINEAR, CB_PLACE_HALF_PIXEL, 1e30, 0);
    c.node.name = "up";
    op_case_expect_refusal(&c, CB_ERR_TOO_LARGE, "up: axis 0 of 4 would be 4294967296");
    op_case_free(&c);

    c = op_case_make(CB_OP_RESIZE);
    c.node.name = "up";
    c.node.attr.resize.mode = CB_RESIZE_CUBIC;
    c.node.attr.resize.sizes = (struct cb_list){ 1, { 3 } };
    op_case_add_wholes(&c, CB_INT32, OP_SHAPE(2), OP_WHOLES(1, 2));
    op_case_expect_refusal(&c, CB_ERR_MODEL, "up: wants real numbers, has int32");
    op_case_free(&c);

    c = op_case_make(CB_OP_RESIZE);
    c.node.name = "up";
    c.node.attr.resize.sizes = (struct cb_list){ 2, { 0, 3 } };
    op_case_random(&c, OP_SHAPE(2, 0), OP_UNIFORM);
    op_case_expect_refusal(&c, CB_ERR_MODEL,
                           "up: wants elements along axis 1 to make 3 of, has none");
    op_case_free(&c);
}

/* Sizes with few and many elements behind each axis that changes. */
struct form {
    struct cb_shape x;
    int64_t y[4];
};
static const struct form forms[] = {
    { { 4, { 2, 3, 4, 5 } }, { 2, 3, 7, 9 } },     { { 4, { 2, 5, 4, 19 } }, { 2, 3, 9, 19 } },
    { { 3, { 2, 7, 3 } }, { 2, 3, 3 } },           { { 4, { 3, 3, 2, 5 } }, { 5, 2, 3, 4 } },
    { { 4, { 1, 6, 2, 600 } }, { 1, 3, 5, 600 } },
};

static struct op_case grid_case(size_t index)
{
    const size_t kinds = 3 * 7 * 2;
    const struct form *f = &forms[index / kinds];
    struct op_case c = op_case_make(CB_OP_RESIZE);
    c.node.attr.resize.mode = (enum cb_resize_mode)(index % 3);
    c.node.attr.resize.place = (enum cb_resize_place)(index / 3 % 7);
    c.node.attr.resize.antialias = index / 21 % 2;
    c.node.attr.resize.exclude_outside = index / 21 % 2;
    c.node.attr.resize.sizes.count = c.node.attr.resize.n_roi = f->x.rank;
    for (int i = 0; i < f->x.rank; i++) {
        c.node.attr.resize.sizes.v[i] = f->y[i];
        c.node.attr.resize.roi[0][i] = f->y[i] == f->x.dim[i] ? 0 : 0.1;
        c.node.attr.resize.roi[1][i] = f->y[i] == f->x.dim[i] ? 1 : 1.1;
    }
    op_case_random(&c, f->x, OP_UNIFORM);
    return c;
}

static struct criterion_test_params grid(void)
{
    static size_t index[CB_COUNT_OF(forms) * 3 * 7 * 2];
    for (size_t i = 0; i < CB_COUNT_OF(index); i++)
        index[i] = i;
    return cr_make_param_array(size_t, index, CB_COUNT_OF(index));
}

/* One axis at a time, by the operator itself on lines, which the tests above know: so passes, their
 * order and their strides are found out. */
static float along(const struct op_case *whole, const int64_t *at, int axis, size_t offset)
{
    const struct cb_shape *shape = &whole->in[0].shape;
    const union cb_attr *attr = &whole->node.attr;
    if (axis == shape->rank)
        return whole->in[0].f[offset];
    const size_t step = cb_shape_span(shape, axis + 1, shape->rank);
    if (attr->resize.sizes.v[axis] == shape->dim[axis])
        return along(whole, at, axis + 1, offset + (size_t)at[axis] * step);
    struct op_case c = op_case_make(CB_OP_RESIZE);
    float values[8] = { 0 };
    c.node.attr = *attr;
    c.node.attr.resize.sizes = (struct cb_list){ 1, { attr->resize.sizes.v[axis] } };
    c.node.attr.resize.n_scales = c.node.attr.resize.n_roi = 1;
    c.node.attr.resize.scale[0] = attr->resize.scale[axis];
    c.node.attr.resize.roi[0][0] = attr->resize.roi[0][axis];
    c.node.attr.resize.roi[1][0] = attr->resize.roi[1][axis];
    for (int64_t i = 0; i < shape->dim[axis]; i++)
        values[i] = along(whole, at, axis + 1, offset + (size_t)i * step);
    op_case_add(&c, OP_SHAPE(shape->dim[axis]), values);
    op_case_run(&c);
    const float result = c.out[0].f[at[axis]];
    op_case_free(&c);
    return result;
}

ParameterizedTestParameters(resize, equals_one_axis_after_the_other)
{
    return grid();
}

ParameterizedTest(size_t *i, resize, equals_one_axis_after_the_other)
{
    struct op_case c = grid_case(*i);
    const struct cb_shape *y = &c.out[0].shape;
    op_case_run(&c);
    for (int draw = 0; draw < 5; draw++) {
        int64_t at[CB_MAX_RANK];
        size_t offset = 0;
        for (int k = 0; k < y->rank; k++) {
            at[k] = (int64_t)cb_rng_below(&c.rng, (uint64_t)y->dim[k]);
            offset = offset * (size_t)y->dim[k] + (size_t)at[k];
        }
        const float want = along(&c, at, 0, 0);
        cr_expect(epsilon_eq(flt, c.out[0].f[offset], want, 1e-5f));
    }
    op_case_expect_same_on_every_isa(&c, 1e-10);
    op_case_free(&c);
}

ParameterizedTestParameters(resize, gradient_agrees_with_finite_differences)
{
    return grid();
}

ParameterizedTest(size_t *i, resize, gradient_agrees_with_finite_differences)
{
    struct op_case c = grid_case(*i);
    gradcheck(&c, 1e-3);
    op_case_free(&c);
}
