/* Quantised operators of ONNX and of com.microsoft, by numbers worked by hand, on bytes and on
 * reals.
 */
#include <math.h>
#include <stdio.h>

#include "tests/importers/onnx/loading.h"
#include "tests/support/run_graph.h"

#define BYTE(name, v) "5{8\"" name "\" 2:2 5:" #v "}"
#define REAL(name, v) "5{8\"" name "\" 2:1 4=" #v "}"

/* q is x + 3 in bytes: x = -2, -1, 0, .. of that shape, scale 1. The node (its fields; MS: of
 * com.microsoft) makes y of it, of which y_is_real; constants: scales one and two, zeros three and
 * five, c the byte 4 (the real 1) and w a 2 x 2 matrix of int8. */
static size_t run_node(const char *fields, const char *more, const struct cb_shape *shape,
                       bool passes, bool real, float out[24])
{
    struct cb_buf text;
    float data[24];
    struct cb_tensor x = { .dtype = CB_FLOAT32, .shape = *shape, .data = data };
    for (int i = 0; i < 24; i++)
        data[i] = (float)(i - 2);
    cb_buf_init(&text, 1 << 16);
    cb_buf_printf(
        &text,
        "1:8 8{2:21} 8{1\"com.microsoft\" 2:1} 7{"
        "1{3\"q\" 4\"QuantizeLinear\" 1\"x\" 1\"one\" 1\"three\" 2\"q\"}"
        "1{3\"n\" %s 2\"y\"} 1{3\"end\" 4\"Cast\" 1\"y\" 2\"end\" 5{1\"to\" 3:1}}" REAL("one", 1)
            REAL("two", 2) REAL("half", 0.5) BYTE("three", 3)
                BYTE("five", 5) "5{8\"c\" 1:1 2:2 5:4} 5{8\"w\" 1:2 1:2 2:3 5:1 5:2 5:3 5:4} %s"
                                "11{1\"x\" 2{1{1:1}}} 12{1\"%s\" 2{1{1:1}}}}",
        fields, more, real ? "y" : "end");
    struct loading l = load_text(text.data);
    cb_buf_deinit(&text);
    expect_ok(l);
    const size_t n = run_graph(&l.model.graph, &x, -1, passes, 24, out);
    load_end(&l);
    return n;
}

static void expect(const char *fields, const char *more, struct cb_shape shape, bool real,
                   const float *wanted, size_t n_wanted)
{
    for (int passes = 0; passes < 2; passes++) {
        float y[24];
        const size_t n = run_node(fields, more, &shape, passes, real, y);
        cr_assert_eq(n, n_wanted, "%zu elements", n);
        for (size_t i = 0; i < n; i++)
            cr_expect(fabsf(y[i] - wanted[i]) <= 1e-6f * fabsf(wanted[i]), "%s %s: %zu: %g not %g",
                      fields, passes ? "on bytes" : "on reals", i, (double)y[i], (double)wanted[i]);
    }
}

#define MS(op) "7\"com.microsoft\" 4\"" op "\" "
#define SHAPE(...) ((struct cb_shape){ sizeof((int64_t[]){ __VA_ARGS__ }) / 8, { __VA_ARGS__ } })
#define BYTES(...) false, (const float[]){ __VA_ARGS__ }, sizeof((float[]){ __VA_ARGS__ }) / 4
#define REALS(...) true, (const float[]){ __VA_ARGS__ }, sizeof((float[]){ __VA_ARGS__ }) / 4
#define X "1\"q\" 1\"one\" 1\"three\" "
#define C "1\"c\" 1\"one\" 1\"three\" "
#define Y "1\"two\" 1\"five\" "

/* What lies half way goes to the even byte of the sum with the zero, as ONNX Runtime has it. */
Test(onnx_quantised, sums_and_products_add_the_zero_before_they_round)
{
    expect(MS("QLinearAdd") X C Y, "", SHAPE(5), BYTES(4, 5, 6, 6, 6));
    expect(MS("QLinearAdd") X X Y, "", SHAPE(5), BYTES(3, 4, 5, 6, 7));
    expect(MS("QLinearMul") X C Y, "", SHAPE(5), BYTES(4, 4, 5, 6, 6));
    expect(MS("QLinearMul") X X Y, "", SHAPE(2, 2), BYTES(7, 6, 5, 6));
}

Test(onnx_quantised, functions_of_one_tensor)
{
    /* -0.5 goes to 0, then comes the zero */
    expect(MS("QLinearLeakyRelu") X Y "5{1\"alpha\" 2=0.5}", "", SHAPE(7),
           BYTES(5, 5, 5, 5, 6, 7, 7));
    expect(MS("QLinearSigmoid") X "1\"step\" ", REAL("step", 0.00390625), SHAPE(3),
           BYTES(31, 69, 128));
    expect(MS("QLinearSoftmax") X "1\"step\" 5{1\"opset\" 3:13} 5{1\"axis\" 3:-1}",
           REAL("step", 0.00390625), SHAPE(2, 1), BYTES(255, 255));
    expect(MS("QLinearReduceMean") X Y "5{1\"axes\" 8:1} 5{1\"keepdims\" 3:0}", "", SHAPE(2, 3),
           BYTES(5, 6)); /* -1 / 2 and 2 / 2 */
}

Test(onnx_quantised, pools_in_either_layout)
{
    expect(MS("QLinearGlobalAveragePool") X Y, "", SHAPE(1, 2, 1, 3), BYTES(5, 6));
    expect(MS("QLinearGlobalAveragePool") X Y "5{1\"channels_last\" 3:1}", "", SHAPE(1, 1, 3, 2),
           BYTES(5, 5)); /* -2 0 2 and -1 1 3 */
    expect(MS("QLinearAveragePool") X Y "5{1\"kernel_shape\" 8:1 8:2}", "", SHAPE(1, 1, 1, 4),
           BYTES(4, 5, 5));
}

Test(onnx_quantised, parts_are_brought_to_one_scale)
{
    expect(MS("QLinearConcat") Y X C "5{1\"axis\" 3:0}", "", SHAPE(3), BYTES(4, 5, 5, 5));
    expect(MS("QLinearWhere") "1\"if\" " X C Y, "5{8\"if\" 1:3 2:9 5:1 5:0 5:0}", SHAPE(3),
           BYTES(4, 5, 5));
}

/* x = [-2 -1; 0 1], w = [1 2; 3 4] / 2: x w = [-5 -8; 3 4] / 2 */
Test(onnx_quantised, products_of_matrices)
{
    expect("4\"QLinearMatMul\" " X "1\"w\" 1\"half\" 1\"none\" " Y, "5{8\"none\" 2:3 5:0}",
           SHAPE(2, 2), BYTES(4, 3, 6, 6));
    expect("4\"QLinearMatMul\" " X "1\"w\" 1\"half\" 1\"none\" " Y, "5{8\"none\" 2:3 5:0}",
           SHAPE(2, 1, 2), BYTES(4, 3, 6, 6));
    expect(MS("MatMulIntegerToFloat") "1\"q\" 1\"w\" 1\"one\" 1\"half\" 1\"three\" ", "",
           SHAPE(2, 2), REALS(-2.5f, -4, 1.5f, 2));
    expect(MS("QGemm") X "1\"w\" 1\"half\" 1\"none\" 1\"bias\" " Y,
           "5{8\"none\" 2:3 5:0} 5{8\"bias\" 1:2 2:6 5:1 5:-4}", SHAPE(2, 2), BYTES(4, 2, 6, 5));
    expect(MS("QGemm") X "1\"w\" 1\"half\" 1\"none\" 5{1\"transB\" 3:1} 5{1\"alpha\" 2=2}",
           "5{8\"none\" 2:3 5:0}", SHAPE(2, 2), REALS(-4, -10, 2, 4));
}

Test(onnx_quantised, a_range_that_is_found_when_it_runs)
{
    expect(MS("DynamicQuantizeMatMul") "1\"x\" 1\"w\" 1\"half\" 1\"\" 1\"bias\" ",
           "5{8\"bias\" 1:2 2:1 4=1 4=-1}", SHAPE(1, 2),
           /* x = -2 -1: bytes 0 and 128 of zero 255 with steps of 2 / 255 */
           REALS(1 + (-255 * 1 - 127 * 3) / 255.0f, -1 + (-255 * 2 - 127 * 4) / 255.0f));
    expect(MS("DynamicQuantizeMatMul") "1\"x\" 1\"w\" 1\"half\" ", "", SHAPE(2, 2),
           /* -2 .. 1: steps of 3 / 255, zero 170 */
           REALS(-170 * 3 / 510.0f - 85 * 9 / 510.0f, -170 * 6 / 510.0f - 85 * 12 / 510.0f,
                 85 * 9 / 510.0f, 85 * 12 / 510.0f));
}

/* Two images of three pixels; the filter -3 6 is kept as int8 and as uint8 with zeros. */
#define CONV_X                                                                                     \
    "4\"QLinearConv\" " X "1\"f\" 1\"half\" 1\"f_zero\" " Y "1\"bias\" 5{1\"pads\" 8:1 8:0} "
Test(onnx_quantised, a_convolution_pads_with_the_zero_of_x)
{
    static const char *const filters[] = {
        "5{8\"f\" 1:1 1:1 1:2 2:3 5:-3 5:6} 5{8\"f_zero\" 2:3 5:0}",
        "5{8\"f\" 1:1 1:1 1:2 2:2 5:0 5:9} 5{8\"f_zero\" 2:2 5:3}",
        "5{8\"f\" 1:1 1:1 1:2 2:2 5:125 5:134} 5{8\"f_zero\" 1:1 2:2 5:128}",
    };
    for (int i = 0; i < 3; i++) {
        char more[200];
        snprintf(more, sizeof more, "%s 5{8\"bias\" 1:1 2:6 5:2}", filters[i]);
        /* (6 x[i] - 3 x[i-1] + 2) / 4: -2.5 .5 1.25 | 2 2.75 3.5 */
        expect(CONV_X, more, SHAPE(2, 1, 3), BYTES(3, 5, 6, 7, 8, 9));
        expect("7\"com.microsoft\" " CONV_X "5{1\"channels_last\" 3:1}", more, SHAPE(2, 3, 1),
               BYTES(3, 5, 6, 7, 8, 9));
    }
}

Test(onnx_quantised, weights_of_9_bits_in_groups_and_not)
{
    /* channels -2 0 | -1 1: weights 255 - 0 and 1 - 255 as [M, 1, 1] of two groups */
    expect("4\"QLinearConv\" " X "1\"f\" 1\"one\" 1\"zeros\" 1\"wide\" 1\"five\" 5{1\"group\" 3:2}",
           REAL("wide", 100) "5{8\"f\" 1:2 1:1 1:1 2:2 5:255 5:1} 5{8\"zeros\" 1:2 2:2 5:0 5:255}",
           SHAPE(1, 2, 2), BYTES(0, 2, 5, 2)); /* -5.1 -2.55 0 -2.54 */
    expect("4\"QLinearConv\" " X "1\"f\" 1\"one\" 1\"zeros\" 1\"wide\" 1\"five\" ",
           REAL("wide", 100) "5{8\"f\" 1:2 1:2 1:1 2:2 5:255 5:1 5:0 5:255}"
                             "5{8\"zeros\" 1:2 2:2 5:0 5:255}",
           SHAPE(1, 2, 2), BYTES(0, 2, 10, 8)); /* -5.1 -2.54; 5.1 2.55 */
}

Test(onnx_quantised, what_is_missing_is_named)
{
    struct loading l = load_text(
        "1:8 8{2:17} 8{1\"com.microsoft\" 2:1} 7{ 1{1\"x\" 1\"x\" 1\"\" 1\"\" "
        "2\"y\" 3\"n\" 4\"QLinearSigmoid\" 7\"com.microsoft\"}" IN("x", DIM(2)) OUT("y") "}");
    expect_fail(l, CB_ERR_MODEL, "input 3 is missing");
    load_end(&l);
}
