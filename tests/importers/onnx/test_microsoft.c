#include <math.h>
#include <stdio.h>

#include "tests/importers/onnx/loading.h"
#include "tests/support/run_graph.h"

/* y of the node with these fields in com.microsoft, on x = -2, -1, .., of that shape; constants:
 * row [1 2 3], a 2 x 3 matrix m = 1 .. 6, whole numbers ids. */
static size_t run_node(const char *fields, const struct cb_shape *shape, int value, float out[24])
{
    struct cb_buf text;
    float data[24];
    struct cb_tensor x = { .dtype = CB_FLOAT32, .shape = *shape, .data = data };
    for (int i = 0; i < 24; i++)
        data[i] = (float)(i - 2);
    cb_buf_init(&text, 1 << 16);
    cb_buf_printf(&text,
                  "1:8 8{2:17} 8{1\"com.microsoft\" 2:1} 7{ 1{3\"n\" 7\"com.microsoft\" %s} "
                  "5{8\"row\" 1:3 2:1 4=1 4=2 4=3} 5{8\"m\" 1:2 1:3 2:1 4=1 4=2 4=3 4=4 4=5 4=6}"
                  "11{1\"x\" 2{1{1:1}}} 12{1\"y\" 2{1{1:1}}}}",
                  fields);
    struct loading l = load_text(text.data);
    cb_buf_deinit(&text);
    expect_ok(l);
    const size_t n = run_graph(&l.model.graph, &x, value, true, 24, out);
    load_end(&l);
    return n;
}

static float gelu(double x)
{
    return (float)(0.5 * x * (1.0 + erf(x / sqrt(2.0))));
}

static void expect_floats(const float *y, size_t n, const float *wanted, size_t n_wanted)
{
    cr_assert_eq(n, n_wanted);
    for (size_t i = 0; i < n; i++)
        cr_expect(fabsf(y[i] - wanted[i]) <= 1e-5f * (1.0f + fabsf(wanted[i])), "%zu: %g not %g", i,
                  (double)y[i], (double)wanted[i]);
}

#define FLOATS(...) (const float[]){ __VA_ARGS__ }, sizeof((float[]){ __VA_ARGS__ }) / 4

Test(onnx_microsoft, gelus_with_and_without_bias)
{
    const struct cb_shape x = { 2, { 1, 3 } };
    float y[24];
    size_t n = run_node("1\"x\" 2\"y\" 4\"Gelu\"", &x, -1, y);
    expect_floats(y, n, FLOATS(gelu(-2), gelu(-1), 0));
    n = run_node("1\"x\" 1\"row\" 2\"y\" 4\"BiasGelu\"", &x, -1, y);
    expect_floats(y, n, FLOATS(gelu(-1), gelu(1), gelu(3)));
    n = run_node("1\"x\" 1\"row\" 2\"y\" 4\"FastGelu\"", &x, -1, y);
    expect_floats(y, n, FLOATS(-0.1588080f, 0.8411920f, 2.9963627f));
    n = run_node("1\"x\" 2\"y\" 4\"QuickGelu\" 5{1\"alpha\" 2=0.5}", &x, -1, y);
    expect_floats(y, n, FLOATS(-2.0f / (1.0f + expf(1.0f)), -1.0f / (1.0f + expf(0.5f)), 0));
}

Test(onnx_microsoft, a_fused_product_transposes_and_scales)
{
    float y[24];
    /* [[-2 -1] [0 1]] m, twice */
    size_t n = run_node("1\"x\" 1\"m\" 2\"y\" 4\"FusedMatMul\" 5{1\"alpha\" 2=2}",
                        &(struct cb_shape){ 2, { 2, 2 } }, -1, y);
    expect_floats(y, n, FLOATS(-12, -18, -24, 8, 10, 12));
    n = run_node("1\"x\" 1\"m\" 2\"y\" 4\"FusedMatMul\" 5{1\"transA\" 3:1}",
                 &(struct cb_shape){ 2, { 2, 2 } }, -1, y);
    expect_floats(y, n, FLOATS(-2, -4, -6, 3, 3, 3));
    n = run_node("1\"x\" 1\"m\" 2\"y\" 4\"TransposeMatMul\" 5{1\"transB\" 3:1}",
                 &(struct cb_shape){ 2, { 1, 3 } }, -1, y);
    expect_floats(y, n, FLOATS(-4, -13));
}

Test(onnx_microsoft, transBatch_takes_the_first_axis_behind_the_batch)
{
    float y[24];
    /* x [2,3,2]: rows x[0][b], x[1][b] for each b of 3 */
    size_t n = run_node("1\"x\" 1\"m\" 2\"y\" 4\"FusedMatMul\" 5{1\"transBatchA\" 3:1}",
                        &(struct cb_shape){ 3, { 2, 3, 2 } }, -1, y);
    expect_floats(y, n,
                  FLOATS(-6, -9, -12, 24, 33, 42, 4, 5, 6, 34, 47, 60, 14, 19, 24, 44, 61, 78));
    n = run_node("1\"x\" 1\"m\" 2\"y\" 4\"FusedMatMul\" 5{1\"transBatchA\" 3:1} 5{1\"transA\" 3:1}",
                 &(struct cb_shape){ 3, { 2, 2, 1 } }, -1, y);
    expect_floats(y, n, FLOATS(-2, -4, -6, 3, 3, 3));
}

Test(onnx_microsoft, a_fused_gemm_ends_with_its_activation)
{
    float y[24];
    size_t n =
        run_node("1\"x\" 1\"m\" 1\"row\" 2\"y\" 4\"FusedGemm\" 5{1\"activation\" 4\"LeakyRelu\"}"
                 "5{1\"activation_alpha\" 2=0.5}",
                 &(struct cb_shape){ 2, { 2, 2 } }, -1, y);
    expect_floats(y, n, FLOATS(-2.5f, -3.5f, -4.5f, 5, 7, 9));
    n = run_node("1\"x\" 1\"m\" 2\"y\" 4\"FusedGemm\" 5{1\"alpha\" 2=2} 5{1\"transA\" 3:1}",
                 &(struct cb_shape){ 2, { 2, 1 } }, -1, y);
    expect_floats(y, n, FLOATS(-12, -18, -24));
}

Test(onnx_microsoft, a_skip_is_added_before_the_normalisation)
{
    static const char fields[] = "1\"x\" 1\"x\" 1\"row\" %s 2\"y\" 2\"\" 2\"\" 2\"sum\" 4\"%s\"";
    const struct cb_shape x = { 2, { 1, 3 } };
    const float u = sqrtf(1.5f); /* x + x = -4 -2 0, which is -u 0 u in normal form */
    float y[24];
    char text[200];
    snprintf(text, sizeof text, fields, "1\"row\"", "SkipLayerNormalization");
    size_t n = run_node(text, &x, -1, y);
    expect_floats(y, n, FLOATS(1 - u, 2, 3 + 3 * u));
    snprintf(text, sizeof text, fields, "1\"row\" 1\"row\"", "SkipLayerNormalization");
    n = run_node(text, &x, -1, y); /* -3 0 3 */
    expect_floats(y, n, FLOATS(1 - u, 2, 3 + 3 * u));
    snprintf(text, sizeof text, fields, "", "SkipSimplifiedLayerNormalization");
    n = run_node(text, &x, -1, y);
    expect_floats(y, n, FLOATS(-4 / sqrtf(20.0f / 3), -4 / sqrtf(20.0f / 3), 0));
}

Test(onnx_microsoft, other_domains_are_refused_by_name)
{
    struct loading l = load_text("1:8 8{2:17} 8{1\"org.example\" 2:3} 7{ 1{1\"x\" 2\"y\" 3\"n\" "
                                 "4\"Gelu\" 7\"org.example\"}" IN("x", DIM(2)) OUT("y") "}");
    struct loading b =
        load_text("1:8 8{2:17} 7{ 1{1\"x\" 1\"x\" 1\"x\" 2\"y\" 3\"n\" 2\"m\""
                  "4\"SkipLayerNormalization\" 7\"com.microsoft\"}" IN("x", DIM(2)) OUT("y") "}");
    expect_fail(l, CB_ERR_UNSUPPORTED, "org.example.Gelu (opset 3) at n");
    expect_fail(b, CB_ERR_UNSUPPORTED, "com.microsoft.SkipLayerNormalization: output 1");
    load_end(&l);
    load_end(&b);
}
