#include "core/base/clock.h"
#include "tests/importers/onnx/running.h"

#define HEAD "1:8 8{2:17} "
#define XY IN("x", DIM(2)) OUT("y")
#define YES "5{8\"yes\" 2:9 5:1}"
#define NO "5{8\"no\" 2:9 5:0}"
#define GRAPH_OUT(name) "12{1\"" name "\"}"
#define GRAPH_IN(name) "11{1\"" name "\"}"

/* then: -x, from around it; else: a constant. */
#define BRANCHES                                                                                   \
    "5{1\"then_branch\" 6{1{1\"x\" 2\"n\" 4\"Neg\"}" GRAPH_OUT(                                    \
        "n") "}}"                                                                                  \
             "5{1\"else_branch\" 6{5{8\"c\" 1:2 2:1 4=7 4=8}" GRAPH_OUT("c") "}}"

static void expect_refused(const char *text, enum cb_code code, const char *says)
{
    const double start = cb_clock_ms();
    struct loading l = load_text(text);
    expect_fail(l, code, says);
    cr_expect_lt(cb_clock_ms() - start, 4000);
    load_end(&l);
}

Test(onnx_control, a_branch_is_taken_when_its_condition_is_known)
{
    const float x[] = { -4, 3 };
    expect_run(HEAD "7{" YES "1{1\"yes\" 2\"y\" 4\"If\" " BRANCHES "}" XY "}", 2, x, FLOATS(4, -3));
    expect_run(HEAD "7{" NO "1{1\"no\" 2\"y\" 4\"If\" " BRANCHES "}" XY "}", 2, x, FLOATS(7, 8));
    expect_run(HEAD "7{" YES "1{1\"yes\" 2\"no\" 4\"Not\"} 1{1\"no\" 2\"y\" 4\"If\" " BRANCHES
                    "}" XY "}",
               2, x, FLOATS(7, 8));
}

Test(onnx_control, a_condition_may_follow_from_the_inputs_shape)
{
    static const char text[] =
        HEAD "7{5{8\"two\" 2:7 7:2} 1{1\"x\" 2\"r\" 4\"Relu\"} 1{1\"r\" 2\"n\" 4\"Size\"}"
             "1{1\"n\" 1\"two\" 2\"is\" 4\"Equal\"} 1{1\"is\" 2\"y\" 4\"If\" " BRANCHES "}" XY "}";
    static const char open[] = HEAD
        "7{5{8\"two\" 2:7 7:2} 1{1\"x\" 2\"n\" 4\"Size\"} 1{1\"n\" 1\"two\" 2\"is\" 4\"Equal\"}"
        "1{1\"is\" 2\"y\" 4\"If\" " BRANCHES "}" IN("x", "1{2\"N\"}") OUT("y") "}";
    expect_run(text, 2, (const float[]){ -4, 3 }, FLOATS(4, -3));
    expect_refused(open, CB_ERR_UNSUPPORTED,
                   "If (opset 17): the condition is computed ('is'), wants one known at load");
    struct loading fixed = load_text(text);
    expect_ok(fixed);
    cr_expect(fixed.model.decided, "it holds for this shape alone");
    load_end(&fixed);
}

Test(onnx_control, inputs_that_are_given_decide)
{
    static const char text[] = HEAD "7{1{1\"go\" 2\"y\" 4\"If\" " BRANCHES "}"
                                    "11{1\"go\" 2{1{1:9 2{}}}}" XY "}";
    for (int64_t go = 0; go < 2; go++) {
        const struct cb_tensor inputs[] = { { .dtype = CB_BOOL, .data = &go },
                                            { .dtype = CB_FLOAT32, .shape = { 1, { 2 } } } };
        const struct cb_onnx_options options = { .inputs = inputs, .n_inputs = 2 };
        struct cb_arena arena;
        struct cb_buf buf;
        struct cb_onnx_model model;
        cb_buf_init(&buf, 1 << 16);
        cr_assert_eq(cb_arena_init(&arena, 1 << 24).code, CB_OK);
        const struct cb_status st = cb_onnx_load(&arena, proto_bytes(&buf, text), &options, &model);
        cr_assert_eq(st.code, CB_OK, "%s", st.msg);
        cr_expect(model.decided);
        cr_expect_eq(model.graph.n_nodes, (int)go, "Neg, or the constant alone");
        cb_onnx_model_deinit(&model);
        cb_arena_deinit(&arena);
        cb_buf_deinit(&buf);
    }
    expect_refused(text, CB_ERR_UNSUPPORTED, "the condition is computed ('go')");
}

Test(onnx_control, a_branch_hides_names_and_stands_in_any_order)
{
    /* inside, t is another t; the outer one comes of the If itself, and the order is wrong */
    expect_run(HEAD "7{" YES "1{1\"t\" 2\"y\" 4\"Neg\"}"
                    "1{1\"yes\" 2\"t\" 4\"If\" 5{1\"then_branch\" 6{1{1\"r\" 2\"t\" 4\"Abs\"}"
                    "1{1\"t\" 2\"u\" 4\"Sqrt\"}" GRAPH_OUT("u") "}}}"
                                                                "1{1\"x\" 2\"r\" 4\"Neg\"}" XY "}",
               2, (const float[]){ -4, 9 }, FLOATS(-2, -3));
}

/* Loop over (i, go, a, more...) -> (go, a', ...). */
#define BODY(nodes, outs)                                                                          \
    "5{1\"body\" 6{" GRAPH_IN("i") GRAPH_IN("go") GRAPH_IN("a") nodes outs "}}"
#define TRIPS(n) "5{8\"n\" 2:7 7:" #n "}"

Test(onnx_control, a_loop_is_written_out)
{
    /* a = a + x + i, three times; rows: a before it */
    static const char body[] =
        HEAD "7{" TRIPS(3) "1{1\"n\" 1\"\" 1\"x\" 2\"last\" 2\"rows\" 4\"Loop\" " BODY(
            "1{1\"i\" 2\"f\" 4\"Cast\" 5{1\"to\" 3:1}} 1{1\"a\" 1\"x\" 2\"s\" 4\"Add\"}"
            "1{1\"s\" 1\"f\" 2\"b\" 4\"Add\"} 1{1\"a\" 2\"row\" 4\"Identity\"}",
            GRAPH_OUT("go") GRAPH_OUT("b") GRAPH_OUT("row")) "}"
                                                             "5{8\"flat\" 1:1 2:7 7:-1}"
                                                             "1{1\"rows\" 1\"flat\" 2\"r\" "
                                                             "4\"Reshape\"} 1{1\"last\" 1\"r\" "
                                                             "2\"y\" 4\"Concat\" 5{1\"axis\" "
                                                             "3:0}}" XY "}";
    expect_run(body, 2, (const float[]){ 1, 10 }, FLOATS(7, 43, 1, 10, 2, 20, 4, 31));
}

Test(onnx_control, a_loop_ends_by_its_condition)
{
    /* while i < 2 */
    expect_run(HEAD "7{" YES "5{8\"two\" 2:7 7:2} 1{1\"\" 1\"yes\" 1\"x\" 2\"y\" 4\"Loop\" " BODY(
                   "1{1\"a\" 1\"x\" 2\"b\" 4\"Add\"} 1{1\"i\" 1\"two\" 2\"more\" 4\"Less\"}",
                   GRAPH_OUT("more") GRAPH_OUT("b")) "}" XY "}",
               2, (const float[]){ 1, 10 }, FLOATS(4, 40));
}

Test(onnx_control, a_loop_of_no_iteration_gives_what_came_in)
{
    struct loading l =
        load_text(HEAD "7{" TRIPS(0) "1{1\"n\" 1\"\" 1\"x\" 2\"y\" 2\"rows\" 4\"Loop\" " BODY(
            "1{1\"a\" 2\"b\" 4\"Neg\"}",
            GRAPH_OUT("go") GRAPH_OUT("b") "12{1\"b\" 2{1{1:1 2{1{1:2}}}}}") "}" XY
                                                                             "12{1\"rows\"}}");
    expect_ok(l);
    cr_expect_eq(only_node(&l, CB_OP_IDENTITY)->out[0], cb_graph_find(&l.model.graph, "y"));
    const struct cb_value *rows = value_of(&l, "rows");
    cr_expect(rows->data && rows->shape.rank == 2 && rows->shape.dim[0] == 0 &&
              rows->shape.dim[1] == 2 && rows->dtype == CB_FLOAT32);
    load_end(&l);
}

Test(onnx_control, a_loop_that_does_not_end_is_refused_soon)
{
#define GROWING(trips)                                                                             \
    HEAD "7{" YES TRIPS(trips) "1{1\"n\" 1\"yes\" 1\"x\" 2\"y\" 2\"rows\" 4\"Loop\" " BODY(        \
        "1{1\"a\" 2\"b\" 4\"Neg\"}", GRAPH_OUT("go") GRAPH_OUT("b") GRAPH_OUT("b")) "}" XY "}"
    expect_refused(GROWING(9223372036854775807), CB_ERR_UNSUPPORTED,
                   "Loop (opset 17): functions, branches and loops become more than 262144");
    expect_refused(HEAD "7{" YES "1{1\"\" 1\"yes\" 1\"x\" 2\"y\" 4\"Loop\" " BODY(
                       "", GRAPH_OUT("go") GRAPH_OUT("a")) "}" XY "}",
                   CB_ERR_UNSUPPORTED, "more than 262144");
    expect_refused(HEAD "7{1{1\"x\" 1\"\" 1\"x\" 2\"y\" 4\"Loop\" " BODY(
                       "", GRAPH_OUT("go") GRAPH_OUT("a")) "}" XY "}",
                   CB_ERR_UNSUPPORTED, "the trip count is computed ('x')");
}

Test(onnx_control, many_rows_are_gathered_in_parts)
{
    struct loading l = load_text(GROWING(5000));
    expect_ok(l);
    int widest = 0;
    for (int i = 0; i < l.model.graph.n_nodes; i++)
        if (l.model.graph.nodes[i].op == CB_OP_CONCAT && l.model.graph.nodes[i].n_in > widest)
            widest = l.model.graph.nodes[i].n_in;
    cr_expect_eq(widest, 1024);
    cr_expect_eq(l.model.graph.nodes[l.model.graph.n_nodes - 1].n_in, 5);
    load_end(&l);
}

Test(onnx_control, broken_loops_are_refused)
{
#define LOOP(nodes, outs)                                                                          \
    HEAD "7{" TRIPS(2) "1{1\"n\" 1\"\" 1\"x\" 2\"y\" 4\"Loop\" " nodes outs "}" XY "}"
    expect_refused(LOOP("", ""), CB_ERR_MODEL, "attribute body wants a graph");
    expect_refused(
        LOOP("5{1\"body\" 6{" GRAPH_IN("i") GRAPH_IN("go"), GRAPH_OUT("go") GRAPH_OUT("i") "}}"),
        CB_ERR_MODEL, "the graph has 2 inputs, wants 3");
    expect_refused(LOOP(BODY("", GRAPH_OUT("go")), ""), CB_ERR_MODEL, "has 1 outputs, its body 1");
    expect_refused(LOOP(BODY("", GRAPH_OUT("go") GRAPH_OUT("who")), ""), CB_ERR_MODEL,
                   "output who of the graph is made by nothing");
    expect_refused(LOOP(BODY("1{1\"a\" 2\"b\" 4\"Unheard\"}", GRAPH_OUT("go") GRAPH_OUT("b")), ""),
                   CB_ERR_UNSUPPORTED, "Unheard (opset 17) at y/0/b and 1 more");
}

Test(onnx_control, a_scan_goes_along_its_sequence)
{
    /* s = s + step; rows: s, backwards; x = 1 2 3, from the end */
    static const char text[] =
        HEAD "7{5{8\"zero\" 2:1 4=0} 1{1\"zero\" 1\"x\" 2\"sum\" 2\"rows\" 4\"Scan\""
             "5{1\"num_scan_inputs\" 3:1} 5{1\"scan_input_directions\" 8[1]}"
             "5{1\"scan_output_directions\" 8[1]} 5{1\"body\" 6{" GRAPH_IN("s")
                 GRAPH_IN("e") "1{1\"s\" 1\"e\" 2\"t\" 4\"Add\"}" GRAPH_OUT("t") GRAPH_OUT(
                     "t") "}}} 5{8\"one\" 1:1 2:7 7:1} 1{1\"sum\" 1\"one\" 2\"z\" 4\"Reshape\"}"
                          "1{1\"rows\" 1\"z\" 2\"y\" 4\"Concat\" 5{1\"axis\" 3:0}}" IN("x", DIM(3))
                              OUT("y") "}";
    expect_run(text, 3, (const float[]){ 1, 2, 3 }, FLOATS(6, 5, 3, 6));
    struct loading l = load_text(text);
    expect_ok(l);
    cr_expect(l.model.decided);
    load_end(&l);
}

Test(onnx_control, a_scan_of_opset_8_does_each_image_alone)
{
    /* x as [2, 2]: two sequences of 2; s starts at 10 and 20 */
    static const char text[] =
        "1:8 8{2:8} 7{5{8\"two\" 1:2 2:7 7[2 2]} 5{8\"start\" 1:2 2:1 4=10 4=20}"
        "1{1\"x\" 1\"two\" 2\"q\" 4\"Reshape\"}"
        "1{1\"\" 1\"start\" 1\"q\" 2\"sum\" 2\"rows\" 4\"Scan\" 5{1\"num_scan_inputs\" 3:1}"
        "5{1\"body\" 6{" GRAPH_IN("s")
            GRAPH_IN("e") "1{1\"s\" 1\"e\" 2\"t\" 4\"Add\"}" GRAPH_OUT("t")
                GRAPH_OUT("t") "}}} 5{8\"flat\" 1:1 2:7 7:-1} 1{1\"rows\" 1\"flat\" 2\"r\""
                               "4\"Reshape\"} 1{1\"sum\" 1\"r\" 2\"y\" 4\"Concat\""
                               "5{1\"axis\" 3:0}}" IN("x", DIM(4)) OUT("y") "}";
    expect_run(text, 4, (const float[]){ 1, 2, 3, 4 }, FLOATS(13, 27, 11, 13, 23, 27));
}

Test(onnx_control, a_function_branches_by_its_attribute)
{
    static const char text[] = HEAD
        "8{1\"my\" 2:1} 25{1\"F\" 10\"my\" 4\"a\" 5\"b\" 6\"which\" 9{2:17}"
        "7{2\"c\" 4\"Constant\" 5{1\"value_int\" 20:2 21\"which\"}}"
        "7{1\"c\" 2\"go\" 4\"Cast\" 5{1\"to\" 3:9}}"
        "7{1\"go\" 2\"b\" 4\"If\" 5{1\"then_branch\" 6{1{1\"a\" 2\"n\" "
        "4\"Neg\"}" GRAPH_OUT("n") "}} 5{1\"else_branch\" 6{1{1\"a\" 2\"p\" "
                                   "4\"Abs\"}" GRAPH_OUT("p") "}}}}"
                                                              "7{1{1\"x\" 2\"t\" 4\"F\" 7\"my\" "
                                                              "5{1\"which\" 3:1 20:2}}"
                                                              "1{1\"t\" 2\"y\" 4\"F\" 7\"my\" "
                                                              "5{1\"which\" 3:0 20:2}}" XY "}";
    expect_run(text, 2, (const float[]){ -4, 3 }, FLOATS(4, 3));
}
