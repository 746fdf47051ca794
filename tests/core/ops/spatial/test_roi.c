#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <criterion/parameterized.h>
#include <math.h>

#include "tests/support/gradcheck.h"

/* One picture of 1 .. 9 in 3 by 3 pixels. */
static struct op_case nine(enum cb_op op)
{
    struct op_case c = op_case_make(op);
    c.node.name = "roi";
    op_case_add(&c, OP_SHAPE(1, 3, 3, 1), OP_FLOATS(1, 2, 3, 4, 5, 6, 7, 8, 9));
    return c;
}

Test(roi_align, averages_samples_between_pixels_by_hand)
{
    struct op_case c = nine(CB_OP_ROI_ALIGN);
    op_case_add(&c, OP_SHAPE(2, 4), OP_FLOATS(0.5, 0.5, 2.5, 1.5, 0, 0, 1, 1));
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(2), OP_WHOLES(0, 0));
    c.node.attr.roi.bins[1] = 2;
    c.node.attr.roi.samples = 1;
    /* With half pixels the first is x 0 .. 2, y 0 .. 1: samples at (0.5, 0.5) and (1.5, 0.5). */
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(2, 1, 2, 1));
    op_case_expect_floats(&c, 0, 1e-6, OP_FLOATS(3, 4, 1, 1.25));
    c.node.attr.roi.half_pixel = false; /* (1, 1) and (2, 1); (0.25, 0.5) and (0.75, 0.5) */
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 1e-6, OP_FLOATS(5, 6, 2.75, 3.25));
    c.node.attr.roi.max = true; /* of the weighted pixels, each for itself */
    op_case_run(&c);
    op_case_expect_floats(&c, 0, 1e-6, OP_FLOATS(5, 6, 1.5, 1.875));
    op_case_free(&c);
}

Test(roi_align, gives_0_for_images_and_places_that_are_not_there)
{
    struct op_case c = nine(CB_OP_ROI_ALIGN);
    op_case_add(&c, OP_SHAPE(4, 4),
                OP_FLOATS(0, 0, 2, 2, 0, 0, 2, 2, 90, 90, 99, 99, NAN, 0, 1, 1));
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(4), OP_WHOLES(-1, 1, 0, 0));
    for (int max = 0; max < 2; max++) {
        c.node.attr.roi.max = max;
        op_case_run(&c);
        op_case_expect_floats(&c, 0, 0, OP_FLOATS(0, 0, 0, 0));
    }
    op_case_free(&c);
}

Test(max_roi_pool, takes_the_largest_by_hand)
{
    struct op_case c = nine(CB_OP_MAX_ROI_POOL);
    op_case_add(&c, OP_SHAPE(3, 5), OP_FLOATS(0, 0, 0, 2, 1, 0, 1, 1, 9, 9, 3, 0, 0, 1, 1));
    c.node.attr.roi.bins[1] = 2;
    op_case_run(&c);
    op_case_expect_shape(&c, 0, OP_SHAPE(3, 1, 2, 1));
    op_case_expect_floats(&c, 0, 0, OP_FLOATS(5, 6, 9, 0, 0, 0));
    op_case_free(&c);
}

static struct op_case random_case(size_t i)
{
    const bool align = i < 4;
    struct op_case c = op_case_make(align ? CB_OP_ROI_ALIGN : CB_OP_MAX_ROI_POOL);
    c.node.attr.roi.bins[0] = 2;
    c.node.attr.roi.bins[1] = 3;
    c.node.attr.roi.half_pixel = i % 2;
    c.node.attr.roi.max = i / 2 % 2;
    op_case_random(&c, OP_SHAPE(2, 5, 4, 3), OP_DISTINCT);
    if (align) {
        op_case_add(&c, OP_SHAPE(3, 4), OP_FLOATS(-1, 0, 3.3f, 4, 0.2f, 1, 2, 2, 1, 1, 7, 6));
        op_case_add_wholes(&c, CB_INT64, OP_SHAPE(3), OP_WHOLES(1, 0, 1));
    } else {
        op_case_add(&c, OP_SHAPE(2, 5), OP_FLOATS(1, 0, 0, 3, 4, 1, 1, 1, 2, 2));
    }
    c.frozen = 1u << 1;
    return c;
}

static struct criterion_test_params cases(void)
{
    static size_t index[] = { 0, 1, 2, 3, 4 };
    return cr_make_param_array(size_t, index, CB_COUNT_OF(index));
}

ParameterizedTestParameters(roi, gradient_agrees_with_finite_differences)
{
    return cases();
}

/* A step smaller than the numbers' distance: the maxima stay where they are. */
ParameterizedTest(size_t *i, roi, gradient_agrees_with_finite_differences)
{
    struct op_case c = random_case(*i);
    gradcheck_step(&c, 1e-3, 5e-3);
    op_case_free(&c);
}

ParameterizedTestParameters(roi, is_the_same_on_every_isa)
{
    return cases();
}

ParameterizedTest(size_t *i, roi, is_the_same_on_every_isa)
{
    struct op_case c = random_case(*i);
    op_case_run(&c);
    op_case_expect_same_on_every_isa(&c, 1e-10);
    op_case_free(&c);
}

Test(roi, says_why_it_refuses)
{
    struct op_case c = nine(CB_OP_ROI_ALIGN);
    op_case_random(&c, OP_SHAPE(2, 4), OP_UNIFORM);
    op_case_add_wholes(&c, CB_INT64, OP_SHAPE(1), OP_WHOLES(0));
    op_case_expect_refusal(&c, CB_ERR_MODEL, "roi: wants the images int64 [2], has int64 [1]");
    c.node.attr.roi.bins[1] = 0;
    op_case_expect_refusal(&c, CB_ERR_MODEL, "roi: wants 1 to 32767 bins, has 0");
    op_case_free(&c);
    c = nine(CB_OP_MAX_ROI_POOL);
    op_case_random(&c, OP_SHAPE(2, 4), OP_UNIFORM);
    op_case_expect_refusal(&c, CB_ERR_MODEL,
                           "roi: wants [N,H,W,C] and regions [R,5], has [1,3,3,1] and [2,4]");
    op_case_free(&c);
}
