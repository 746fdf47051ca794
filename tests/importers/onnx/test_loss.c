/* Losses and what else is put together from core operators, on numbers worked by hand. */
#include <math.h>

#include "tests/importers/onnx/loading.h"
#include "tests/support/onnx_builder.h"
#include "tests/support/run_graph.h"

/* x [2, 3], targets 2 and 0, weights 1, 2, 3. */
static void expect_loss(const char *op, const char *in, const char *reduction, int64_t ignored,
                        const float *x, const float *want, size_t n)
{
    const struct cb_tensor input = { .shape = { 2, { 2, 3 } },
                                     .dtype = CB_FLOAT32,
                                     .data = (float *)(uintptr_t)x };
    float got[4];
    struct onnx_builder b = onnx_begin(13);
    onnx_input(&b, "x", ONNX_FLOAT, ONNX_DIMS(2, 3));
    onnx_wholes(&b, "t", ONNX_DIMS(2), (int64_t[]){ 2, ignored < 0 ? ignored : 0 });
    onnx_floats(&b, "w", ONNX_DIMS(3), (float[]){ 1, 2, 3 });
    onnx_node(&b, op, in, "y");
    onnx_attr_text(&b, "reduction", reduction);
    onnx_attr_int(&b, "ignore_index", ignored);
    onnx_output(&b, "y", ONNX_FLOAT);
    struct loading l = load_bytes(onnx_end(&b), NULL);
    expect_ok(l);
    cr_assert_eq(run_graph(&l.model.graph, &input, -1, true, 4, got), n);
    for (size_t i = 0; i < n; i++)
        cr_expect(fabsf(got[i] - want[i]) < 1e-6f, "%s of %s: %g, not %g", reduction, op,
                  (double)got[i], (double)want[i]);
    load_end(&l);
    onnx_free(&b);
}

Test(loss, negative_log_likelihood_weighs_targets)
{
    const float x[] = { -1, -2, -3, -4, -5, -6 };
    static const char op[] = "NegativeLogLikelihoodLoss";
    expect_loss(op, "x t w", "none", 7, x, (float[]){ 9, 4 }, 2);
    expect_loss(op, "x t w", "sum", 7, x, (float[]){ 13 }, 1);
    expect_loss(op, "x t w", "mean", 7, x, (float[]){ 13 / 4.0f }, 1);
    expect_loss(op, "x t", "mean", 7, x, (float[]){ 7 / 2.0f }, 1);
}

Test(loss, ignored_targets_count_nothing_even_beside_infinity)
{
    const float x[] = { -1, -2, -3, -INFINITY, -5, -6 };
    static const char op[] = "NegativeLogLikelihoodLoss";
    expect_loss(op, "x t w", "none", -1, x, (float[]){ 9, 0 }, 2);
    expect_loss(op, "x t w", "mean", -1, x, (float[]){ 3 }, 1);
    expect_loss(op, "x t", "mean", -1, x, (float[]){ 3 }, 1);
}

Test(loss, softmax_cross_entropy_takes_the_logarithms_itself)
{
    const float x[] = { 0, 0, 0, 1, 1, 1 }, log3 = 1.0986123f;
    static const char op[] = "SoftmaxCrossEntropyLoss";
    expect_loss(op, "x t", "none", 7, x, (float[]){ log3, log3 }, 2);
    expect_loss(op, "x t w", "sum", 7, x, (float[]){ 4 * log3 }, 1);
    expect_loss(op, "x t w", "mean", -1, x, (float[]){ log3 }, 1);
}
