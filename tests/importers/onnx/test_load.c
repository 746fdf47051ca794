#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "importers/onnx/limits.h"
#include "tests/importers/onnx/loading.h"

#define RELU_Y "1{1\"x\" 2\"y\" 3\"r\" 4\"Relu\"}"

Test(onnx_load, keeps_names_types_and_open_dims)
{
    struct loading l = load_text("2\"maker\" 3\"1.2\" 14{1\"cambium.labels\" 2\"a,b\"}" MODEL(
        13, RELU_Y "2\"net\" 11{1\"x\" 2{1{1:10 2{1{2\"batch\"} 1{1:3} 1{}}}}}" OUT("y")));
    expect_ok(l);
    cr_expect_str_eq(l.model.producer, "maker 1.2");
    cr_expect_str_eq(l.model.name, "net");
    cr_expect_eq(l.model.opset, 13);
    cr_expect_eq(l.model.ir_version, 8);
    cr_expect_eq(l.model.n_props, 1);
    cr_expect_str_eq(l.model.props[0].key, "cambium.labels");
    cr_expect_str_eq(l.model.props[0].value, "a,b");
    cr_expect_eq(l.model.graph.n_inputs, 1);
    const struct cb_onnx_io *in = &l.model.inputs[0];
    cr_expect_str_eq(in->name, "x");
    cr_expect_eq(in->dtype, CB_FLOAT16);
    cr_expect_eq(in->shape.rank, 3);
    cr_expect(in->shape.dim[0] == -1 && in->shape.dim[1] == 3 && in->shape.dim[2] == -1);
    cr_expect_eq(l.model.graph.outputs[0], cb_graph_find(&l.model.graph, "y"));
    cr_expect_eq(value_of(&l, "y")->dtype, CB_FLOAT16, "the type follows from x");
    load_end(&l);
}

Test(onnx_load, puts_nodes_in_order)
{
    struct loading l = load_text(MODEL(
        13, "1{1\"b\" 2\"y\" 4\"Tanh\"} 1{1\"a\" 2\"b\" 4\"Exp\"} 1{1\"x\" 2\"a\" 4\"Relu\"}" IN(
                "x", DIM(2)) OUT("y")));
    expect_ok(l);
    cr_expect_eq(l.model.graph.nodes[0].op, CB_OP_RELU);
    cr_expect_eq(l.model.graph.nodes[1].op, CB_OP_EXP);
    cr_expect_eq(l.model.graph.nodes[2].op, CB_OP_TANH);
    load_end(&l);
}

Test(onnx_load, names_a_node_on_a_cycle)
{
    struct loading l = load_text(MODEL(
        13, "1{1\"x\" 1\"c\" 2\"b\" 3\"first\" 4\"Add\"} 1{1\"b\" 2\"c\" 4\"Relu\"}" IN("x", DIM(2))
                OUT("c")));
    expect_fail(l, CB_ERR_MODEL, "node first needs its own output");
    load_end(&l);
}

Test(onnx_load, an_initializer_that_is_also_an_input_is_a_constant)
{
    struct loading l =
        load_text(MODEL(8, "1{1\"x\" 1\"w\" 2\"y\" 4\"Add\"} 5{1:1 2:1 8\"w\" 9#0000803f}" IN(
                               "w", DIM(1)) IN("x", DIM(1)) OUT("y")));
    expect_ok(l);
    cr_expect_eq(l.model.graph.n_inputs, 1);
    cr_expect_str_eq(l.model.inputs[0].name, "x");
    cr_expect_not_null(value_of(&l, "w")->data);
    load_end(&l);
}

Test(onnx_load, empty_names_are_absent_inputs)
{
    struct loading l = load_text(
        MODEL(13, "1{1\"x\" 1\"\" 1\"hi\" 1\"\" 2\"y\" 4\"Clip\"} 5{2:1 8\"hi\" 9#0000c040}" IN(
                      "x", DIM(1)) OUT("y")));
    expect_ok(l);
    const struct cb_node *clip = only_node(&l, CB_OP_CLIP);
    cr_expect_eq(clip->n_in, 3);
    cr_expect_eq(clip->in[1], -1);
    cr_expect_eq(value_of(&l, "hi")->shape.rank, 0, "no dims: a scalar");
    load_end(&l);
}

Test(onnx_load, an_output_may_be_an_input_or_a_constant)
{
    struct loading l =
        load_text(MODEL(13, "5{1:0 2:1 8\"none\"}" IN("x", DIM(2)) OUT("x") OUT("none")));
    expect_ok(l);
    cr_expect_eq(l.model.graph.n_outputs, 2);
    cr_expect_eq(value_of(&l, "none")->shape.dim[0], 0);
    load_end(&l);
}

Test(onnx_load, names_all_that_is_not_supported)
{
    struct loading l = load_text(
        MODEL(11, "1{1\"x\" 2\"a\" 3\"up1\" 4\"Upscale\"} 1{1\"a\" 2\"b\" 3\"up2\" 4\"Upscale\"}"
                  "1{1\"b\" 2\"c\" 3\"fused\" 4\"FusedThing\" 7\"com.microsoft\"}"
                  "1{1\"c\" 2\"d\" 3\"cond\" 4\"If\" 5{1\"then_branch\" 6{1{4\"Relu\"}}}}"
                  "1{1\"d\" 2\"e\" 3\"cast\" 4\"Cast\" 5{1\"to\" 3:8 20:2}}"
                  "5{1:1 2:17 8\"f8\" 9#00}" IN("x", DIM(1)) OUT("e")));
    static const char *const wanted[] = { "Upscale (opset 11) at up1 and 1 more",
                                          "com.microsoft.FusedThing",
                                          "fused",
                                          "If (opset 11): the condition is computed ('c')",
                                          "Cast (opset 11): type string",
                                          "float8e4m3fn" };
    for (size_t i = 0; i < CB_COUNT_OF(wanted); i++)
        expect_fail(l, CB_ERR_UNSUPPORTED, wanted[i]);
    load_end(&l);
}

Test(onnx_load, a_long_list_of_refusals_ends_with_how_many_more)
{
    struct cb_buf text;
    cb_buf_init(&text, 1 << 20);
    cb_buf_printf(&text, "1:8 8{2:13} 7{" IN("x", DIM(1)) OUT("x"));
    for (int i = 0; i < 100; i++)
        cb_buf_printf(&text, "1{1\"x\" 2\"v%d\" 3\"node%d\" 4\"Unknown%d\"}", i, i, i);
    cb_buf_printf(&text, "}");
    struct loading l = load_text(text.data);
    expect_fail(l, CB_ERR_UNSUPPORTED, "Unknown0 (opset 13) at node0");
    int shown = 0, more = 0;
    for (const char *p = l.st.msg; (p = strstr(p, "Unknown")); p++)
        shown++;
    cr_expect_eq(sscanf(strstr(l.st.msg, "; and "), "; and %d more", &more), 1);
    cr_expect_eq(shown + more, 100, "%d and %d", shown, more);
    load_end(&l);
    cb_buf_deinit(&text);
}

Test(onnx_load, refuses_inputs_that_are_no_tensors_of_ours)
{
    static const char *const types[][2] = {
        { "4{}", "a sequence" }, { "9{}", "an optional" },    { "8{}", "sparse" },
        { "5{}", "a map" },      { "1{1:8}", "type string" }, { "1{1:22}", "type int4" }
    };
    for (size_t i = 0; i < CB_COUNT_OF(types); i++) {
        char text[200];
        snprintf(text, sizeof text, "1:8 8{2:13} 7{11{1\"s\" 2{%s}}" OUT("s") "}", types[i][0]);
        struct loading l = load_text(text);
        expect_fail(l, CB_ERR_UNSUPPORTED, types[i][1]);
        load_end(&l);
    }
}

Test(onnx_load, says_what_is_wrong_with_a_broken_graph)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        { MODEL(13, "1{1\"x\" 1\"w\" 2\"y\" 3\"n\" 4\"Add\"}" IN("x", DIM(1)) OUT("y")),
          "node n: input w is made by nothing" },
        { MODEL(13, RELU_Y IN("x", DIM(1)) OUT("z")), "output z is made by nothing" },
        { MODEL(13, RELU_Y IN("x", DIM(1))), "the graph has no output" },
        { MODEL(13, RELU_Y RELU_Y IN("x", DIM(1)) OUT("y")), "y is made twice" },
        { MODEL(13, "1{1\"x\" 2\"x\" 4\"Relu\"}" IN("x", DIM(1)) OUT("x")), "x is made twice" },
        { MODEL(13, "5{2:1 8\"w\" 9#00000000} 5{2:1 8\"w\" 9#00000000}" OUT("w")),
          "two initializers are named w" },
        { MODEL(13, "1{1\"x\" 2\"y\"}" IN("x", DIM(1)) OUT("y")), "node y has no op_type" },
        { MODEL(13, "1{1\"x\" 2\"y\" 3\"c\" 4\"Conv\"}" IN("x", DIM(1)) OUT("y")),
          "Conv c: has 1 inputs, wants 2 to 3" },
        { MODEL(13, "1{1\"x\" 2\"y\" 3\"c\" 4\"Concat\"}" IN("x", DIM(1)) OUT("y")),
          "Concat c: attribute axis is missing" },
        { MODEL(13, "1{1\"x\" 2\"y\" 3\"c\" 4\"Softmax\" 5{1\"axis\" 2=1 20:1}}" IN("x", DIM(1))
                        OUT("y")),
          "Softmax c: attribute axis wants an int" },
        { "1:8 8{2:13}", "it has no graph" },
        { "8{2:13} 7{}", "it has no IR version" },
        { "1:8 7{" RELU_Y IN("x", DIM(1)) OUT("y") "}", "the model imports no opset" },
    };
    for (size_t i = 0; i < CB_COUNT_OF(cases); i++) {
        struct loading l = load_text(cases[i].text);
        expect_fail(l, CB_ERR_MODEL, cases[i].says);
        load_end(&l);
    }
}

Test(onnx_load, refuses_versions_that_are_not_known_yet)
{
    struct loading ir = load_text("1:99 8{2:13} 7{" OUT("x") IN("x", DIM(1)) "}");
    struct loading opset = load_text(MODEL(99, IN("x", DIM(1)) OUT("x")));
    expect_fail(ir, CB_ERR_UNSUPPORTED, "IR version 99");
    expect_fail(opset, CB_ERR_UNSUPPORTED, "opset 99");
    load_end(&ir);
    load_end(&opset);
}

Test(onnx_load, the_first_versions_name_no_opset)
{
    struct loading l = load_text("1:2 7{" RELU_Y IN("x", DIM(1)) OUT("y") "}");
    expect_ok(l);
    cr_expect_eq(l.model.opset, 1);
    load_end(&l);
}

Test(onnx_load, knows_a_git_lfs_pointer)
{
    static const char pointer[] =
        "version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 12\n";
    struct loading l =
        load_bytes((struct cb_bytes){ (const uint8_t *)pointer, sizeof pointer - 1 }, NULL);
    expect_fail(l, CB_ERR_MODEL, "git-lfs pointer");
    load_end(&l);
}

Test(onnx_load, image_operators_stand_between_transposes)
{
    struct loading l = load_text(MODEL(
        13,
        "1{1\"x\" 1\"w\" 2\"y\" 3\"c1\" 4\"Conv\"} 1{1\"x\" 1\"w\" 2\"z\" 3\"c2\" 4\"Conv\"}" IN(
            "x", DIM(1) DIM(1) DIM(2) DIM(2)) IN("w", DIM(1) DIM(1) DIM(1) DIM(1)) OUT("y")
            OUT("z")));
    expect_ok(l);
    const struct cb_graph *g = &l.model.graph;
    int to = 0, from = 0;
    for (int i = 0; i < g->n_nodes; i++)
        if (g->nodes[i].op == CB_OP_TRANSPOSE) {
            to += g->nodes[i].attr.transpose.rank == CB_PERM_TO_LAST;
            from += g->nodes[i].attr.transpose.rank == CB_PERM_FROM_LAST;
        }
    cr_expect_eq(to, 1, "x is turned once for both");
    cr_expect_eq(from, 2);
    cr_expect_geq(cb_graph_find(g, "y@nhwc"), 0);
    cr_expect_geq(cb_graph_find(g, "y"), 0);
    load_end(&l);
}

/* Before opset 14 such outputs are in many files, some under the names of the inputs. */
Test(onnx_load, old_batch_norm_may_name_outputs_that_mean_nothing)
{
    struct loading l = load_text(
        MODEL(6, "1{1\"x\" 1\"s\" 1\"b\" 1\"m\" 1\"v\" 2\"y\" 2\"m\" 2\"v\" 2\"sm\" 2\"sv\" "
                 "4\"BatchNormalization\"}"
                 "5{1:1 2:1 8\"s\" 9#0000803f} 5{1:1 2:1 8\"b\" 9#0000803f}"
                 "5{1:1 2:1 8\"m\" 9#0000803f} 5{1:1 2:1 8\"v\" 9#0000803f}" IN("x", DIM(1) DIM(1))
                     OUT("y")));
    expect_ok(l);
    cr_expect_eq(only_node(&l, CB_OP_BATCH_NORM)->n_out, 1);
    load_end(&l);
}

Test(onnx_load, any_budget_gives_a_model_or_says_that_memory_is_short)
{
    struct cb_buf buf;
    cb_buf_init(&buf, 1 << 16);
    const struct cb_bytes bytes = proto_bytes(
        &buf, MODEL(13, "1{1\"x\" 1\"w\" 2\"y\" 4\"Conv\"} 1{1\"y\" 2\"z\" 4\"Dropout\"}"
                        "5{1:1 1:1 1:1 1:1 2:10 8\"w\" 9#003c}" OUT("z")
                            IN("x", DIM(1) DIM(1) DIM(2) DIM(2))));
    enum cb_code last = CB_ERR_NOMEM;
    for (size_t budget = 0; budget < 40000; budget += 64) {
        struct cb_arena arena;
        struct cb_onnx_model model;
        cr_assert_eq(cb_arena_init(&arena, budget).code, CB_OK);
        last = cb_onnx_load(&arena, bytes, &(struct cb_onnx_options){ 0 }, &model).code;
        cr_assert(last == CB_OK || last == CB_ERR_NOMEM, "budget %zu: code %d", budget, last);
        cb_arena_deinit(&arena);
    }
    cr_expect_eq(last, CB_OK);
    cb_buf_deinit(&buf);
}

/* Resident memory of this process in KiB. */
static long resident(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    cr_assert(f && fscanf(f, "%*d %ld", &pages) == 1);
    fclose(f);
    return pages * 4;
}

Test(onnx_load, weights_stay_in_the_file)
{
    char path[] = "/tmp/cambium-onnx-XXXXXX";
    const int64_t weights = (int64_t)500 << 20;
    struct cb_buf buf;
    struct cb_bytes bytes;
    const int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cb_buf_init(&buf, 1 << 16);
    /* The last field of the file is the graph, of the graph the initializer, of that raw_data: a
     * hole on disk. */
    static const char head[] = "1:8 8{2:13}", graph[] = RELU_Y IN("x", DIM(1)) OUT("y");
    static const char tensor[] = "1:131072000 2:1 8\"w\"";
    struct cb_buf inner;
    cb_buf_init(&inner, 1 << 16);
    proto_text(&inner, tensor);
    cb_buf_add(&inner, (uint8_t[]){ 9 << 3 | 2, 0x80, 0x80, 0x80, 0xfa, 0x01 }, 6);
    const int64_t tensor_len = (int64_t)inner.len + weights;
    proto_text(&buf, graph);
    cb_buf_add(&buf, (uint8_t[]){ 5 << 3 | 2 }, 1);
    for (int64_t v = tensor_len, i = 0; i < 5; i++, v >>= 7)
        cb_buf_add(&buf, &(uint8_t){ (uint8_t)((v & 0x7f) | (i < 4 ? 0x80 : 0)) }, 1);
    cb_buf_add(&buf, inner.data, inner.len);
    struct cb_buf whole;
    cb_buf_init(&whole, 1 << 16);
    proto_text(&whole, head);
    cb_buf_add(&whole, (uint8_t[]){ 7 << 3 | 2 }, 1);
    for (int64_t v = (int64_t)buf.len + weights, i = 0; i < 5; i++, v >>= 7)
        cb_buf_add(&whole, &(uint8_t){ (uint8_t)((v & 0x7f) | (i < 4 ? 0x80 : 0)) }, 1);
    cb_buf_add(&whole, buf.data, buf.len);
    cr_assert_eq(write(fd, whole.data, whole.len), (ssize_t)whole.len);
    cr_assert_eq(ftruncate(fd, (off_t)((int64_t)whole.len + weights)), 0);
    close(fd);

    cr_assert_eq(cb_file_map(path, &bytes).code, CB_OK);
    const long before = resident();
    struct loading l = load_bytes(bytes, NULL);
    const long grown = resident() - before;
    expect_ok(l);
    cr_expect_eq(value_of(&l, "w")->shape.dim[0], weights / 4);
    cr_expect_eq(value_of(&l, "w")->data, (const void *)(bytes.data + whole.len), "in place");
    cr_expect_lt(grown, 16 << 10, "%ld KiB", grown);
    load_end(&l);
    cb_file_unmap(&bytes);
    unlink(path);
    cb_buf_deinit(&buf);
    cb_buf_deinit(&inner);
    cb_buf_deinit(&whole);
}

Test(onnx_load, every_model_at_hand_is_loaded_or_refused_with_a_reason)
{
    static const char list[] = "../shared/conformance/MANIFEST.tsv";
    FILE *f = fopen(list, "r");
    char line[4096], kind[64], dir[512], path[1024];
    int loaded = 0, refused = 0;
    if (!f)
        cr_skip_test("%s is not here", list);
    for (int n = 0; fgets(line, sizeof line, f); n++) {
        struct cb_bytes bytes;
        if (n == 0 || sscanf(line, "%63s %511s", kind, dir) != 2)
            continue;
        snprintf(path, sizeof path, "../shared/conformance/%s/%s/model.onnx", kind, dir);
        cr_assert_eq(cb_file_map(path, &bytes).code, CB_OK, "%s", path);
        struct loading l = load_bytes(bytes, NULL);
        cr_expect(l.st.code == CB_OK || l.st.code == CB_ERR_UNSUPPORTED, "%s: %s", path, l.st.msg);
        loaded += l.st.code == CB_OK;
        refused += l.st.code != CB_OK;
        load_end(&l);
        cb_file_unmap(&bytes);
    }
    fclose(f);
    cr_expect_gt(loaded, refused, "%d loaded, %d refused", loaded, refused);
}
