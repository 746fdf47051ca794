/* Operators that rules put together: what they give for one input of floats. */
#include <math.h>

#include "core/exec/plan.h"
#include "tests/importers/onnx/loading.h"
#include "tests/support/onnx_builder.h"
#include "tests/support/run_graph.h"

enum { MOST = 32 };

/* y = op(x, ...) as floats: of x [rows, columns], with and without passes. */
static void expect_values(struct onnx_builder *b, const struct cb_tensor *x, const float *want,
                          size_t n)
{
    float got[MOST];
    onnx_node(b, "Cast", "y", "real");
    onnx_attr_int(b, "to", ONNX_FLOAT);
    onnx_output(b, "real", ONNX_FLOAT);
    struct loading l = load_bytes(onnx_end(b), NULL);
    expect_ok(l);
    for (int passes = 0; passes < 2; passes++) {
        cr_assert_eq(run_graph(&l.model.graph, x, -1, passes, MOST, got), n);
        for (size_t i = 0; i < n; i++)
            cr_expect(got[i] == want[i], "element %zu is %g, not %g", i, (double)got[i],
                      (double)want[i]);
    }
    load_end(&l);
    onnx_free(b);
}

static struct onnx_builder begin(int opset, int64_t rows, int64_t columns)
{
    struct onnx_builder b = onnx_begin(opset);
    onnx_input(&b, "x", ONNX_FLOAT, ONNX_DIMS(rows, columns));
    return b;
}

#define MATRIX(rows, columns, ...)                                                                 \
    (&(struct cb_tensor){ .shape = { 2, { rows, columns } },                                       \
                          .dtype = CB_FLOAT32,                                                     \
                          .data = (float[]){ __VA_ARGS__ } })

Test(onnx_indices, is_nan_and_is_inf_find_what_they_are_asked_for)
{
    const struct cb_tensor *x = MATRIX(1, 4, NAN, INFINITY, -INFINITY, 1);
    static const float want[4][4] = {
        { 0, 0, 0, 0 }, { 0, 1, 0, 0 }, { 0, 0, 1, 0 }, { 0, 1, 1, 0 }
    };
    for (int i = 0; i < 4; i++) {
        struct onnx_builder b = begin(10, 1, 4);
        onnx_node(&b, "IsInf", "x", "y");
        onnx_attr_int(&b, "detect_positive", i & 1);
        onnx_attr_int(&b, "detect_negative", i >> 1);
        expect_values(&b, x, want[i], 4);
    }
    struct onnx_builder b = begin(13, 1, 4);
    onnx_node(&b, "IsNaN", "x", "y");
    expect_values(&b, x, (float[]){ 1, 0, 0, 0 }, 4);
}

Test(onnx_indices, is_inf_wants_real_numbers)
{
    struct onnx_builder b = onnx_begin(10);
    onnx_input(&b, "x", ONNX_INT32, ONNX_DIMS(2));
    onnx_node(&b, "IsInf", "x", "y");
    onnx_output(&b, "y", ONNX_INT32);
    struct loading l = load_bytes(onnx_end(&b), NULL);
    cr_expect_eq(l.st.code, CB_ERR_MODEL, "%s", l.st.msg);
    load_end(&l);
    onnx_free(&b);
}

Test(onnx_indices, eye_like_has_the_shape_of_x_and_ones_on_diagonal_k)
{
    struct onnx_builder b = begin(9, 2, 3);
    onnx_node(&b, "EyeLike", "x", "y");
    onnx_attr_int(&b, "k", 1);
    onnx_attr_int(&b, "dtype", ONNX_INT32);
    expect_values(&b, MATRIX(2, 3, NAN, 1, 2, 3, 4, 5), (float[]){ 0, 1, 0, 0, 0, 1 }, 6);
}

Test(onnx_indices, eye_like_wants_a_matrix)
{
    const struct cb_engine engine = { .kernels = cb_kernels_for(CB_ISA_GENERIC),
                                      .plan_budget = (size_t)1 << 20 };
    for (int rank = 1; rank <= 3; rank++) {
        struct onnx_builder b = onnx_begin(9);
        const struct cb_tensor x = { .shape = { rank, { 2, 2, 2 } }, .dtype = CB_FLOAT32 };
        const struct cb_plan_options options = { .inputs = &x };
        struct cb_plan *plan = NULL;
        struct cb_weights *weights = NULL;
        onnx_input(&b, "x", ONNX_FLOAT, (struct onnx_dims){ rank, x.shape.dim });
        onnx_node(&b, "EyeLike", "x", "y");
        onnx_output(&b, "y", ONNX_FLOAT);
        struct loading l = load_bytes(onnx_end(&b), NULL);
        expect_ok(l);
        cr_assert_eq(cb_weights_create(&weights).code, CB_OK);
        const struct cb_status st =
            cb_plan_create(&engine, &l.model.graph, weights, &options, &plan);
        cr_expect_eq(st.code, rank == 2 ? CB_OK : CB_ERR_MODEL, "rank %d: %s", rank, st.msg);
        cb_plan_destroy(plan);
        cb_weights_release(weights);
        load_end(&l);
        onnx_free(&b);
    }
}

Test(onnx_indices, compress_takes_what_a_condition_says)
{
    struct onnx_builder b = begin(11, 2, 3);
    onnx_wholes(&b, "c", ONNX_DIMS(3), (int64_t[]){ 0, 1, 1 });
    onnx_node(&b, "Cast", "c", "condition");
    onnx_attr_int(&b, "to", 9);
    onnx_node(&b, "Compress", "x condition", "y");
    onnx_attr_int(&b, "axis", -1);
    expect_values(&b, MATRIX(2, 3, 1, 2, 3, 4, 5, 6), (float[]){ 2, 3, 5, 6 }, 4);
}

Test(onnx_indices, center_crop_pad_leaves_the_odd_one_out_to_the_end)
{
    struct onnx_builder b = begin(18, 1, 4);
    onnx_wholes(&b, "shape", ONNX_DIMS(2), (int64_t[]){ 2, 3 });
    onnx_node(&b, "CenterCropPad", "x shape", "y");
    expect_values(&b, MATRIX(1, 4, 1, 2, 3, 4), (float[]){ 1, 2, 3, 0, 0, 0 }, 6);
    struct onnx_builder p = begin(18, 1, 2);
    onnx_wholes(&p, "shape", ONNX_DIMS(1), (int64_t[]){ 5 });
    onnx_node(&p, "CenterCropPad", "x shape", "y");
    onnx_attr_ints(&p, "axes", ONNX_DIMS(-1));
    expect_values(&p, MATRIX(1, 2, 1, 2), (float[]){ 0, 1, 2, 0, 0 }, 5);
}

Test(onnx_indices, top_k_has_k_as_attribute_then_as_input)
{
    struct onnx_builder old = begin(1, 1, 4), new = begin(11, 1, 4);
    onnx_node(&old, "TopK", "x", "y indices");
    onnx_attr_int(&old, "k", 2);
    expect_values(&old, MATRIX(1, 4, 1, 9, 3, 9), (float[]){ 9, 9 }, 2);
    onnx_wholes(&new, "k", ONNX_DIMS(1), (int64_t[]){ 2 });
    onnx_node(&new, "TopK", "x k", "values y");
    onnx_attr_int(&new, "largest", 0);
    expect_values(&new, MATRIX(1, 4, 4, 9, 3, 9), (float[]){ 2, 0 }, 2);
}

Test(onnx_indices, shrink_of_whole_numbers_drops_what_is_behind_the_point)
{
    struct onnx_builder b = begin(9, 1, 4);
    onnx_node(&b, "Cast", "x", "whole");
    onnx_attr_int(&b, "to", ONNX_INT32);
    onnx_node(&b, "Shrink", "whole", "y");
    onnx_attr_float(&b, "lambd", 1.5f);
    onnx_attr_float(&b, "bias", 1.5f);
    expect_values(&b, MATRIX(1, 4, -4, -1, 1, 4), (float[]){ -2, 0, 0, 2 }, 4);
}
