#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <criterion/parameterized.h>
#include <math.h>

#include "tests/support/gradcheck.h"

/* Of 1 2 3 along one axis. */
static void expect_line(enum cb_resize_mode mode, enum cb_pad_mode padding, bool align,
                        const float *places, int n, const float *want)
{
    struct op_case c = op_case_make(CB_OP_GRID_SAMPLE);
    c.node.attr.sample.mode = mode;
    c.node.attr.sample.padding = padding;
    c.node.attr.sample.align_corners = align;
    op_case_add(&c, OP_SHAPE(1, 3, 1), OP_FLOATS(1, 2, 3));
    op_case_add(&c, OP_SHAPE(1, n, 1), places);
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(1, n, 1));
    op_case_expect_floats(&c, 0, 1e-6, want);
    op_case_free(&c);
}

/* With corners -1 and 1 are the centres of the outer pixels, without them their outer edges. */
Test(grid_sample, takes_pixels_at_places_by_hand)
{
    const enum cb_resize_mode linear = CB_RESIZE_LINEAR, nearest = CB_RESIZE_NEAREST;
    expect_line(linear, CB_PAD_CONSTANT, true, OP_FLOATS(-1, -0.25, 0.5, 1, 1.5, -3), 6,
                OP_FLOATS(1, 1.75, 2.5, 3, 1.5, 0));
    expect_line(linear, CB_PAD_CONSTANT, false, OP_FLOATS(-1, 0, 1), 3, OP_FLOATS(0.5, 2, 1.5));
    expect_line(linear, CB_PAD_EDGE, false, OP_FLOATS(-1, 1, 9, NAN), 4, OP_FLOATS(1, 3, 3, 1));
    expect_line(linear, CB_PAD_REFLECT, true, OP_FLOATS(1.5, 2, 3.25), 3, OP_FLOATS(2.5, 2, 1.25));
    expect_line(linear, CB_PAD_REFLECT, false, OP_FLOATS(-1, -4 / 3.0f, -3, 2), 4,
                OP_FLOATS(1, 1, 3, 2));
    expect_line(nearest, CB_PAD_CONSTANT, true, OP_FLOATS(-0.6f, -0.4f, 0.75f, 1.6f), 4,
                OP_FLOATS(1, 2, 3, 0));
}

/* Half way between pixels cubic weights are -3/32, 19/32, 19/32, -3/32. */
Test(grid_sample, weighs_four_pixels_in_cubic_mode)
{
    expect_line(CB_RESIZE_CUBIC, CB_PAD_CONSTANT, true, OP_FLOATS(-0.5, 0), 2,
                OP_FLOATS((19 * 3 - 3 * 3) / 32.0f, 2));
    expect_line(CB_RESIZE_CUBIC, CB_PAD_EDGE, true, OP_FLOATS(-0.5, 0), 2,
                OP_FLOATS((19 * 3 - 3 * 4) / 32.0f, 2));
}

Test(grid_sample, names_the_last_axis_first)
{
    struct op_case c = op_case_make(CB_OP_GRID_SAMPLE);
    c.node.attr.sample.align_corners = true;
    op_case_add(&c, OP_SHAPE(1, 2, 3, 1), OP_FLOATS(1, 2, 3, 4, 5, 6));
    op_case_add(&c, OP_SHAPE(1, 1, 3, 2), OP_FLOATS(1, -1, -1, 1, 0, 0));
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 1e-6, OP_FLOATS(3, 4, 3.5));
    op_case_free(&c);
}

static struct op_case case_of(size_t i)
{
    static const enum cb_pad_mode paddings[] = { CB_PAD_CONSTANT, CB_PAD_EDGE, CB_PAD_REFLECT };
    struct op_case c = op_case_make(CB_OP_GRID_SAMPLE);
    c.node.attr.sample.mode = (enum cb_resize_mode)(i % 3);
    c.node.attr.sample.padding = paddings[i / 3 % 3];
    c.node.attr.sample.align_corners = i / 9 % 2;
    if (i / 18) {
        op_case_random(&c, OP_SHAPE(2, 3, 2, 4, 5), OP_UNIFORM);
        op_case_random(&c, OP_SHAPE(2, 1, 3, 2, 3), OP_UNIFORM);
    } else {
        op_case_random(&c, OP_SHAPE(2, 5, 4, 17), OP_UNIFORM);
        op_case_random(&c, OP_SHAPE(2, 3, 2, 2), OP_UNIFORM);
    }
    /* Away from pixels' centres and edges, where the slope changes: 0.31 of a pixel off them. */
    for (size_t k = 0; k < cb_tensor_count(&c.in[1]); k++) {
        const int axes = c.in[1].shape.rank - 2;
        const float n = (float)c.in[0].shape.dim[axes - (int)(k % (size_t)axes)];
        const float pixel =
            floorf((float)cb_rng_below(&c.rng, 2 * (uint64_t)n + 4) - n / 2) + 0.31f;
        c.in[1].f[k] =
            c.node.attr.sample.align_corners ? 2 * pixel / (n - 1) - 1 : (2 * pixel + 1) / n - 1;
    }
    return c;
}

enum { CASES = 36 };

static size_t *cases(void)
{
    static size_t index[CASES];
    for (size_t i = 0; i < CASES; i++)
        index[i] = i;
    return index;
}

ParameterizedTestParameters(grid_sample, gradient_agrees_with_finite_differences)
{
    return cr_make_param_array(size_t, cases(), CASES);
}

ParameterizedTest(size_t *i, grid_sample, gradient_agrees_with_finite_differences)
{
    struct op_case c = case_of(*i);
    gradcheck(&c, 3e-3);
    op_case_free(&c);
}

ParameterizedTestParameters(grid_sample, is_the_same_on_every_isa)
{
    return cr_make_param_array(size_t, cases(), CASES);
}

ParameterizedTest(size_t *i, grid_sample, is_the_same_on_every_isa)
{
    struct op_case c = case_of(*i);
    op_case_run(&c);
    op_case_expect_same_on_every_isa(&c, 1e-10);
    op_case_free(&c);
}

Test(grid_sample, says_why_it_refuses)
{
    struct op_case c = op_case_make(CB_OP_GRID_SAMPLE);
    c.node.name = "warp";
    op_case_random(&c, OP_SHAPE(1, 3, 3, 1), OP_UNIFORM);
    op_case_random(&c, OP_SHAPE(1, 3, 3, 3), OP_UNIFORM);
    op_case_expect_refusal(
        &c, CB_ERR_MODEL,
        "warp: wants [N,spatial...,C] and a grid [N,..,axes], has [1,3,3,1] and [1,3,3,3]");
    op_case_free(&c);
}

/* ---- AffineGrid ---- */

static struct op_case affine(bool align, int64_t height, int64_t width)
{
    struct op_case c = op_case_make(CB_OP_AFFINE_GRID);
    c.node.name = "grid";
    c.node.attr.affine_grid.align_corners = align;
    op_case_add(&c, OP_SHAPE(1, 2, 3), OP_FLOATS(1, 0, 0.5, 0, 2, 0));
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(4), OP_WHOLES(1, 7, height, width));
    return c;
}

Test(affine_grid, moves_centres_by_hand)
{
    struct op_case c = affine(false, 1, 2);
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(1, 1, 2, 2));
    op_case_expect_floats(&c, 0, 1e-6, OP_FLOATS(0, 0, 1, 0));
    op_case_free(&c);
    c = affine(true, 1, 1);
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 1e-6, OP_FLOATS(0.5, 0));
    op_case_free(&c);
    c = affine(true, 3, 2);
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 1e-6,
                          OP_FLOATS(-0.5, -2, 1.5, -2, -0.5, 0, 1.5, 0, -0.5, 2, 1.5, 2));
    op_case_free(&c);
}

Test(affine_grid, gradient_agrees_with_finite_differences)
{
    struct op_case c = op_case_make(CB_OP_AFFINE_GRID);
    op_case_random(&c, OP_SHAPE(2, 3, 4), OP_UNIFORM);
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(5), OP_WHOLES(2, 1, 2, 3, 4));
    gradcheck(&c, 1e-3);
    op_case_free(&c);
}

Test(affine_grid, says_why_it_refuses)
{
    struct op_case c = affine(false, 1, 2);
    c.in[0].shape = OP_SHAPE(1, 3, 2);
    op_case_expect_refusal(&c, CB_ERR_MODEL, "grid: wants matrices [1,2,3], has [1,3,2]");
    c.in[1].shape = OP_SHAPE(3);
    op_case_expect_refusal(&c, CB_ERR_MODEL, "grid: wants a size of 4 or 5 numbers, has 3");
    op_case_free(&c);
}
