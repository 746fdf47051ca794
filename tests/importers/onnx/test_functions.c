#include "core/base/clock.h"
#include "importers/onnx/limits.h"
#include "tests/importers/onnx/running.h"

#define HEAD "1:8 8{2:17} 8{1\"my\" 2:1} "

/* F(a) = LeakyRelu(a) with the slope that a call names, 0.5 when it names none. */
#define LEAKY                                                                                      \
    "25{1\"F\" 10\"my\" 4\"a\" 5\"b\" 9{2:17} 11{1\"slope\" 2=0.5 20:1}"                           \
    "7{1\"a\" 2\"t\" 4\"Identity\"}"                                                               \
    "7{1\"t\" 2\"b\" 4\"LeakyRelu\" 5{1\"alpha\" 20:1 21\"slope\"}}}"
#define XY IN("x", DIM(2)) OUT("y")

Test(onnx_functions, attributes_come_from_the_call_or_are_defaults)
{
    expect_run(HEAD LEAKY "7{1{1\"x\" 2\"y\" 4\"F\" 7\"my\" 5{1\"slope\" 2=0.25 20:1}}" XY "}", 2,
               (const float[]){ -4, 3 }, FLOATS(-1, 3));
    expect_run(HEAD LEAKY "7{1{1\"x\" 2\"y\" 4\"F\" 7\"my\"}" XY "}", 2, (const float[]){ -4, 3 },
               FLOATS(-2, 3));
}

Test(onnx_functions, an_attribute_goes_through_two_calls)
{
    expect_run(HEAD LEAKY "25{1\"G\" 10\"my\" 4\"a\" 5\"b\" 6\"outer\" 9{2:17} 9{1\"my\" 2:1}"
                          "7{1\"a\" 2\"b\" 4\"F\" 7\"my\" 5{1\"slope\" 20:1 21\"outer\"}}}"
                          "7{1{1\"x\" 2\"y\" 4\"G\" 7\"my\" 5{1\"outer\" 2=0.125 20:1}}" XY "}",
               2, (const float[]){ -8, 3 }, FLOATS(-1, 3));
}

Test(onnx_functions, one_that_is_called_twice_keeps_its_names_apart)
{
    struct loading l = load_text(HEAD LEAKY "7{1{1\"x\" 2\"t\" 3\"one\" 4\"F\" 7\"my\"}"
                                            "1{1\"t\" 2\"y\" 3\"two\" 4\"F\" 7\"my\"}" XY "}");
    expect_ok(l);
    cr_expect_geq(cb_graph_find(&l.model.graph, "one/t"), 0);
    cr_expect_geq(cb_graph_find(&l.model.graph, "two/t"), 0);
    load_end(&l);
    expect_run(HEAD LEAKY "7{1{1\"x\" 2\"t\" 4\"F\" 7\"my\"} 1{1\"t\" 2\"y\" 4\"F\" 7\"my\"}" XY
                          "}",
               2, (const float[]){ -4, 3 }, FLOATS(-1, 3));
}

Test(onnx_functions, a_body_has_opsets_of_its_own)
{
    static const char text[] = HEAD
        "25{1\"S\" 10\"my\" 4\"a\" 5\"b\" 9{2:12}  7{1\"a\" 2\"b\" 4\"Softmax\" 5{1\"axis\" 3:0}}}"
        "7{1{1\"x\" 2\"t\" 4\"S\" 7\"my\"} 1{1\"t\" 2\"y\" 4\"Softmax\"}" XY "}";
    struct loading l = load_text(text);
    expect_ok(l);
    cr_assert_eq(l.model.graph.n_nodes, 2);
    cr_expect(l.model.graph.nodes[0].attr.softmax.flatten);
    cr_expect_not(l.model.graph.nodes[1].attr.softmax.flatten);
    load_end(&l);
}

Test(onnx_functions, inputs_may_be_absent_and_outputs_passed_through)
{
    /* b = clip(a, lo, hi), and a itself */
    static const char clip[] =
        HEAD "25{1\"C\" 10\"my\" 4\"a\" 4\"lo\" 4\"hi\" 5\"b\" 5\"a\" 9{2:17}"
             "7{1\"a\" 1\"lo\" 1\"hi\" 2\"b\" 4\"Clip\"}}"
             "7{5{8\"one\" 2:1 4=1} 1{1\"x\" 1\"\" 1\"one\" 2\"low\" 2\"same\" 4\"C\" 7\"my\"}"
             "1{1\"low\" 1\"same\" 2\"y\" 4\"Add\"}" XY "}";
    expect_run(clip, 2, (const float[]){ -4, 3 }, FLOATS(-8, 4));
}

Test(onnx_functions, overloads_are_told_apart)
{
    expect_run(HEAD "25{1\"O\" 10\"my\" 13\"neg\" 4\"a\" 5\"b\" 9{2:17} 7{1\"a\" 2\"b\" 4\"Neg\"}}"
                    "25{1\"O\" 10\"my\" 13\"abs\" 4\"a\" 5\"b\" 9{2:17} 7{1\"a\" 2\"b\" 4\"Abs\"}}"
                    "7{1{1\"x\" 2\"y\" 4\"O\" 7\"my\" 8\"abs\"}" XY "}",
               2, (const float[]){ -4, 3 }, FLOATS(4, 3));
}

Test(onnx_functions, what_a_body_has_and_we_do_not_is_named)
{
    struct loading l = load_text(HEAD "25{1\"U\" 10\"my\" 4\"a\" 5\"b\" 9{2:17}"
                                      "7{1\"a\" 2\"b\" 3\"inner\" 4\"Unheard\"}}"
                                      "7{1{1\"x\" 2\"y\" 3\"call\" 4\"U\" 7\"my\"}" XY "}");
    struct loading none = load_text(HEAD "7{1{1\"x\" 2\"y\" 3\"call\" 4\"U\" 7\"my\"}" XY "}");
    expect_fail(l, CB_ERR_UNSUPPORTED, "Unheard (opset 17) at call/inner");
    expect_fail(none, CB_ERR_UNSUPPORTED, "my.U (opset 1) at call");
    load_end(&l);
    load_end(&none);
}

Test(onnx_functions, calls_that_do_not_fit_are_refused)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        { HEAD LEAKY "7{1{1\"x\" 1\"x\" 2\"y\" 4\"F\" 7\"my\"}" XY "}", "has 2 inputs" },
        { HEAD LEAKY "7{1{1\"x\" 2\"y\" 2\"z\" 4\"F\" 7\"my\"}" XY "}", "2 outputs" },
        { HEAD "25{1\"N\" 10\"my\" 4\"a\" 5\"b\"} 7{1{1\"x\" 2\"y\" 4\"N\" 7\"my\"}" XY "}",
          "output b of the function is made by nothing" },
        { HEAD "25{1\"R\" 10\"my\" 4\"a\" 4\"a\" 5\"a\"} 7{1{1\"x\" 2\"y\" 4\"R\" 7\"my\"}" XY "}",
          "a is made twice" },
    };
    for (size_t i = 0; i < CB_COUNT_OF(cases); i++) {
        struct loading l = load_text(cases[i].text);
        expect_fail(l, CB_ERR_MODEL, cases[i].says);
        load_end(&l);
    }
}

Test(onnx_functions, one_that_calls_itself_is_refused)
{
    struct loading l =
        load_text(HEAD "25{1\"A\" 10\"my\" 4\"a\" 5\"b\" 7{1\"a\" 2\"t\" 4\"B\" 7\"my\"}"
                       "7{1\"t\" 2\"b\" 4\"B\" 7\"my\"}}"
                       "25{1\"B\" 10\"my\" 4\"a\" 5\"b\" 7{1\"a\" 2\"t\" 4\"A\" 7\"my\"}"
                       "7{1\"t\" 2\"b\" 4\"A\" 7\"my\"}} 7{1{1\"x\" 2\"y\" 4\"A\" 7\"my\"}" XY "}");
    expect_fail(l, CB_ERR_MODEL, "deeper than 32: over the limit");
    load_end(&l);
}

Test(onnx_functions, calls_that_double_at_each_level_are_refused_soon)
{
    struct cb_buf text;
    cb_buf_init(&text, 1 << 16);
    cb_buf_printf(&text,
                  HEAD "25{1\"F0\" 10\"my\" 4\"a\" 5\"b\" 9{2:17} 7{1\"a\" 2\"b\" 4\"Relu\"}}");
    for (int i = 1; i < 30; i++)
        cb_buf_printf(&text,
                      "25{1\"F%d\" 10\"my\" 4\"a\" 5\"b\" 7{1\"a\" 2\"t\" 4\"F%d\" 7\"my\"}"
                      "7{1\"t\" 2\"b\" 4\"F%d\" 7\"my\"}}",
                      i, i - 1, i - 1);
    cb_buf_printf(&text, "7{1{1\"x\" 2\"y\" 4\"F29\" 7\"my\"}" XY "}");
    const double start = cb_clock_ms();
    struct loading l = load_text(text.data);
    cr_expect_lt(cb_clock_ms() - start, 4000);
    expect_fail(l, CB_ERR_UNSUPPORTED, "more than 262144 nodes and arguments");
    load_end(&l);
    cb_buf_deinit(&text);
}
