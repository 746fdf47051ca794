#include "importers/onnx/head/save.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "core/base/rng.h"
#include "core/train/head_trainer.h"
#include "importers/onnx/load.h"
#include "tests/importers/onnx/loading.h"
#include "tests/support/close.h"
#include "tests/support/onnx_builder.h"
#include "tests/support/run_graph.h"

enum { N = 2, SIDE = 9, CHANNELS = 4, HIDDEN = 6, CLASSES = 3 };

struct weights {
    float w1[HIDDEN * CHANNELS], b1[HIDDEN], w2[CLASSES * HIDDEN], b2[CLASSES];
    struct cb_head head;
};

static void make_head(struct weights *w, bool hidden)
{
    struct cb_rng rng = cb_rng_seed(41);
    cb_rng_fill(&rng, CB_COUNT_OF(w->w1), w->w1);
    cb_rng_fill(&rng, CB_COUNT_OF(w->b1), w->b1);
    cb_rng_fill(&rng, CB_COUNT_OF(w->w2), w->w2);
    cb_rng_fill(&rng, CB_COUNT_OF(w->b2), w->b2);
    w->head = (struct cb_head){ .inputs = CHANNELS, .classes = CLASSES, .w2 = w->w2, .b2 = w->b2 };
    if (hidden)
        w->head = (struct cb_head){ CHANNELS, HIDDEN, CLASSES, w->w1, w->b1, w->w2, w->b2 };
}

static const struct cb_onnx_property properties[] = { { "cambium.labels", "ant\nbee\ncat" },
                                                      { "cambium.bottleneck", "features" },
                                                      { "cambium.trunk", "0123" } };

static struct cb_onnx_save save_of(const struct weights *w, const char *bottleneck, bool spatial)
{
    return (struct cb_onnx_save){ .name = "pets",
                                  .head = &w->head,
                                  .bottleneck = bottleneck,
                                  .spatial = spatial,
                                  .properties = properties,
                                  .n_properties = CB_COUNT_OF(properties) };
}

static struct cb_bytes bytes_of(const struct cb_buf *buf)
{
    return (struct cb_bytes){ (const uint8_t *)buf->data, buf->len };
}

/* logits of the graph on a fixed input, and of the head on the trunk's own features. */
static void expect_same_logits(const struct cb_graph *whole, const struct cb_graph *trunk,
                               const char *bottleneck, const struct cb_head *head, const char *what)
{
    static float x[N * 3 * SIDE * SIDE], values[N * CHANNELS * SIDE * SIDE];
    float features[N * CHANNELS] = { 0 }, want[N * CLASSES], got[N * CLASSES];
    struct cb_rng rng = cb_rng_seed(42);
    const struct cb_tensor input = { .shape = { 4, { N, 3, SIDE, SIDE } },
                                     .dtype = CB_FLOAT32,
                                     .data = x };
    cb_rng_fill(&rng, CB_COUNT_OF(x), x);
    const size_t n = run_graph(trunk, &input, cb_graph_find(trunk, bottleneck), true,
                               CB_COUNT_OF(values), values);
    const size_t area = n / (N * CHANNELS);
    for (size_t i = 0; i < n; i++)
        features[i / area] += values[i] / (float)area;
    cb_head_run(head, N, features, want);
    cr_assert_eq(run_graph(whole, &input, -1, true, CB_COUNT_OF(got), got), CB_COUNT_OF(got));
    cb_expect_close(CB_COUNT_OF(got), got, want, "%s", what);
}

Test(onnx_save, a_head_is_read_back_bit_for_bit)
{
    for (int hidden = 0; hidden < 2; hidden++) {
        struct weights w;
        struct cb_arena arena;
        struct cb_onnx_head_file file;
        struct cb_buf buf;
        make_head(&w, hidden);
        const struct cb_onnx_save save = save_of(&w, "features", true);
        cb_buf_init(&buf, 1 << 20);
        cr_assert_eq(cb_arena_init(&arena, 1 << 20).code, CB_OK);
        cr_assert_eq(cb_onnx_save_head(&save, &buf).code, CB_OK);
        const struct cb_status st = cb_onnx_read_head(bytes_of(&buf), &arena, &file);
        cr_assert_eq(st.code, CB_OK, "%s", st.msg);
        cr_expect(file.head.inputs == CHANNELS && file.head.classes == CLASSES &&
                  file.head.hidden == w.head.hidden);
        cr_expect_arr_eq(file.head.b2, w.b2, sizeof w.b2);
        cr_expect_arr_eq(file.head.w2, w.w2,
                         CLASSES * (hidden ? HIDDEN : CHANNELS) * sizeof(float));
        cr_expect(hidden ? !memcmp(file.head.w1, w.w1, sizeof w.w1) : !file.head.w1);
        cr_expect_str_eq(cb_onnx_head_property(&file, "cambium.labels"), "ant\nbee\ncat");
        cr_expect_null(cb_onnx_head_property(&file, "cambium.recipe"));
        cb_arena_deinit(&arena);
        cb_buf_deinit(&buf);
    }
}

Test(onnx_save, a_head_alone_is_a_network_of_its_own)
{
    struct weights w;
    struct cb_buf buf;
    float x[N * CHANNELS], got[N * CLASSES], want[N * CLASSES];
    struct cb_rng rng = cb_rng_seed(43);
    const struct cb_tensor input = { .shape = { 2, { N, CHANNELS } },
                                     .dtype = CB_FLOAT32,
                                     .data = x };
    make_head(&w, true);
    const struct cb_onnx_save save = save_of(&w, "features", true);
    cb_buf_init(&buf, 1 << 20);
    cb_rng_fill(&rng, CB_COUNT_OF(x), x);
    cr_assert_eq(cb_onnx_save_head(&save, &buf).code, CB_OK);
    struct loading l = load_bytes(bytes_of(&buf), NULL);
    expect_ok(l);
    cr_expect_str_eq(l.model.inputs[0].name, "bottleneck");
    cr_expect_str_eq(l.model.outputs[0].name, "logits");
    run_graph(&l.model.graph, &input, -1, true, CB_COUNT_OF(got), got);
    cb_head_run(&w.head, N, x, want);
    cb_expect_close(CB_COUNT_OF(got), got, want, "head");
    load_end(&l);
    cb_buf_deinit(&buf);
}

static const struct {
    const char *bottleneck;
    bool spatial;
} places[] = { { "features", true }, { "pooled", false }, { "pooled", true }, { "flat", false } };

/* Opset 17's small classifier with a new head at each place that may be a bottleneck. */
Test(onnx_save, trunk_and_head_compute_what_they_did_apart)
{
    for (size_t i = 0; i < CB_COUNT_OF(places); i++)
        for (int hidden = 0; hidden < 2; hidden++) {
            struct weights w;
            struct cb_buf buf;
            struct onnx_builder b = onnx_begin(17);
            make_head(&w, hidden);
            onnx_small_classifier(&b, 0, 10, 7);
            const struct cb_bytes original = onnx_end(&b);
            const struct cb_onnx_save save = save_of(&w, places[i].bottleneck, places[i].spatial);
            cb_buf_init(&buf, 1 << 20);
            const struct cb_status st = cb_onnx_save_whole(original, &save, &buf);
            cr_assert_eq(st.code, CB_OK, "%s", st.msg);
            struct loading trunk = load_bytes(original, NULL),
                           whole = load_bytes(bytes_of(&buf), NULL);
            expect_ok(trunk);
            expect_ok(whole);
            cr_expect_str_eq(whole.model.name, "pets");
            cr_expect_eq(whole.model.opset, 17);
            cr_expect_str_eq(whole.model.outputs[0].name, "logits");
            expect_same_logits(&whole.model.graph, &trunk.model.graph, places[i].bottleneck,
                               &w.head, places[i].bottleneck);
            load_end(&trunk);
            load_end(&whole);
            cb_buf_deinit(&buf);
            onnx_free(&b);
        }
}

Test(onnx_save, the_old_head_and_its_weights_are_gone)
{
    struct weights w;
    struct cb_buf buf;
    struct onnx_builder b = onnx_begin(13);
    make_head(&w, false);
    onnx_small_classifier(&b, 0, 1000, 7);
    onnx_property(&b, "cambium.labels", "old");
    onnx_property(&b, "cambium.other", "old");
    onnx_property(&b, "author", "somebody");
    const struct cb_bytes original = onnx_end(&b);
    const struct cb_onnx_save save = save_of(&w, "features", true);
    cb_buf_init(&buf, 1 << 20);
    cr_assert_eq(cb_onnx_save_whole(original, &save, &buf).code, CB_OK);
    struct loading l = load_bytes(bytes_of(&buf), NULL);
    expect_ok(l);
    cr_expect_eq(cb_graph_find(&l.model.graph, "fc.weight"), -1);
    cr_expect_eq(cb_graph_find(&l.model.graph, "pooled"), -1);
    cr_expect_geq(cb_graph_find(&l.model.graph, "conv.weight"), 0);
    cr_expect_eq(l.model.graph.n_outputs, 1);
    cr_expect_eq(l.model.n_props, (int)CB_COUNT_OF(properties) + 1);
    cr_expect(buf.len < original.len / 4, "%zu of %zu bytes", buf.len, original.len);
    load_end(&l);
    cb_buf_deinit(&buf);
    onnx_free(&b);
}

/* A trunk from a text: x [N,3,..] -> Relu -> "t". IR 3 declares weights as inputs; opsets below 7
 * broadcast on request. */
#define OLD_TRUNK(ir, opset, extra)                                                                \
    "1:" #ir " 8{1\"\" 2:" #opset                                                                  \
    "} 7{ 1{1\"x\" 2\"t\" 4\"Relu\"} 1{1\"t\" 1\"k\" 2\"y\" 4\"Mul\"}" extra                       \
    " 5{1:1 2:1 8\"k\" 9#0000803f} " IN("x", DIM(2) DIM(4)) IN("k", DIM(1)) OUT("y") "}"

static const char *const old_trunks[] = {
    OLD_TRUNK(3, 1, ""), OLD_TRUNK(3, 6, ""),  OLD_TRUNK(3, 7, ""),
    OLD_TRUNK(4, 9, ""), OLD_TRUNK(8, 13, ""), OLD_TRUNK(8, 21, ""),
};

Test(onnx_save, every_opset_and_old_ir_versions)
{
    for (size_t i = 0; i < CB_COUNT_OF(old_trunks); i++) {
        struct weights w;
        struct cb_buf text, buf;
        float x[8] = { 1, -2, 3, 0.5f, -1, 2, 0, 4 }, features[8], want[2 * CLASSES],
              got[2 * CLASSES];
        const struct cb_tensor input = { .shape = { 2, { 2, 4 } }, .dtype = CB_FLOAT32, .data = x };
        make_head(&w, true);
        cb_buf_init(&text, 1 << 20);
        cb_buf_init(&buf, 1 << 20);
        const struct cb_onnx_save save = save_of(&w, "t", false);
        const struct cb_status st =
            cb_onnx_save_whole(proto_bytes(&text, old_trunks[i]), &save, &buf);
        cr_assert_eq(st.code, CB_OK, "%s", st.msg);
        struct loading l = load_bytes(bytes_of(&buf), NULL);
        expect_ok(l);
        cr_expect_eq(cb_graph_find(&l.model.graph, "k"), -1,
                     "neither a weight nor an input any more");
        cr_expect_str_eq(l.model.outputs[0].name, "logits");
        for (int k = 0; k < 8; k++)
            features[k] = fmaxf(x[k], 0);
        cb_head_run(&w.head, 2, features, want);
        run_graph(&l.model.graph, &input, -1, true, CB_COUNT_OF(got), got);
        cb_expect_close(CB_COUNT_OF(got), got, want, "%s", old_trunks[i]);
        load_end(&l);
        cb_buf_deinit(&text);
        cb_buf_deinit(&buf);
    }
}

/* "logits" and "head." are taken by the trunk itself. */
Test(onnx_save, names_of_the_trunk_are_left_alone)
{
    struct weights w;
    struct cb_buf text, buf;
    make_head(&w, false);
    cb_buf_init(&text, 1 << 20);
    cb_buf_init(&buf, 1 << 20);
    const struct cb_onnx_save save = save_of(&w, "logits", false);
    const char *trunk = MODEL(
        13, "1{1\"x\" 2\"head.features\" 4\"Relu\"} 1{1\"head.features\" 2\"logits\" 4\"Tanh\"}" IN(
                "x", DIM(2) DIM(4)) OUT("logits"));
    cr_assert_eq(cb_onnx_save_whole(proto_bytes(&text, trunk), &save, &buf).code, CB_OK);
    struct loading l = load_bytes(bytes_of(&buf), NULL);
    expect_ok(l);
    cr_expect_str_eq(l.model.outputs[0].name, "head2.logits");
    load_end(&l);
    cb_buf_deinit(&text);
    cb_buf_deinit(&buf);
}

Test(onnx_save, a_float16_trunk_is_cast)
{
    struct weights w;
    struct cb_buf text, buf;
    make_head(&w, false);
    cb_buf_init(&text, 1 << 20);
    cb_buf_init(&buf, 1 << 20);
    const struct cb_onnx_save save = save_of(&w, "t", false);
    const char *trunk = MODEL(7, "1{1\"x\" 1\"k\" 2\"t\" 4\"Mul\"} 5{1:1 2:10 8\"k\" 9#003c}"
                                 "11{1\"x\" 2{1{1:10 2{1{1:2} 1{1:4}}}}}" OUT("t"));
    cr_assert_eq(cb_onnx_save_whole(proto_bytes(&text, trunk), &save, &buf).code, CB_OK);
    struct loading l = load_bytes(bytes_of(&buf), NULL);
    expect_ok(l);
    cr_expect_eq(only_node(&l, CB_OP_CAST)->attr.cast.to, CB_FLOAT32);
    load_end(&l);
    cb_buf_deinit(&text);
    cb_buf_deinit(&buf);
}

static void expect_refused(const char *text, enum cb_code code)
{
    struct weights w;
    struct cb_buf model, buf;
    make_head(&w, false);
    cb_buf_init(&model, 1 << 20);
    cb_buf_init(&buf, 1 << 20);
    const struct cb_onnx_save save = save_of(&w, "t", false);
    const struct cb_status st = cb_onnx_save_whole(proto_bytes(&model, text), &save, &buf);
    cr_expect_eq(st.code, code, "%s: %d, %s", text, st.code, st.msg);
    cb_buf_deinit(&model);
    cb_buf_deinit(&buf);
}

Test(onnx_save, refuses_a_trunk_without_the_tensor_without_a_graph_or_with_inner_graphs)
{
    expect_refused(MODEL(13, "1{1\"x\" 2\"u\" 4\"Relu\"}" IN("x", DIM(2)) OUT("u")), CB_ERR_MODEL);
    expect_refused("1:8", CB_ERR_MODEL);
    expect_refused("7{} 7{}", CB_ERR_MODEL);
    expect_refused(
        MODEL(13, "1{1\"x\" 2\"t\" 4\"If\" 5{1\"then_branch\" 6{}}}" IN("x", DIM(2)) OUT("t")),
        CB_ERR_UNSUPPORTED);
    expect_refused(MODEL(13, "1{1\"x\" 1\"k\" 2\"t\" 4\"Mul\"} 5{1:1 2:1 8\"k\" 14:1}" IN(
                                 "x", DIM(2)) OUT("t")),
                   CB_ERR_UNSUPPORTED);
}

Test(onnx_save, says_when_there_is_no_room)
{
    struct weights w;
    struct onnx_builder b = onnx_begin(17);
    make_head(&w, true);
    onnx_small_classifier(&b, 0, 10, 7);
    const struct cb_bytes original = onnx_end(&b);
    const struct cb_onnx_save save = save_of(&w, "features", true);
    for (size_t limit = 0; limit < 1200; limit += 50) {
        struct cb_buf buf;
        cb_buf_init(&buf, limit);
        const enum cb_code code = cb_onnx_save_whole(original, &save, &buf).code;
        cr_expect(code == CB_OK || code == CB_ERR_NOMEM, "%zu", limit);
        cb_buf_deinit(&buf);
    }
    onnx_free(&b);
}

/* Damaged heads and trunks: any answer but a crash, and never a head whose matrices do not fit. */
Test(onnx_save, damaged_files_hurt_nobody)
{
    struct weights w;
    struct cb_buf buf, out;
    struct cb_arena arena;
    struct cb_rng rng = cb_rng_seed(44);
    make_head(&w, true);
    const struct cb_onnx_save save = save_of(&w, "bottleneck", false);
    cb_buf_init(&buf, 1 << 20);
    cr_assert_eq(cb_onnx_save_head(&save, &buf).code, CB_OK);
    cr_assert_eq(cb_arena_init(&arena, (size_t)1 << 24).code, CB_OK);
    for (int round = 0; round < 3000; round++) {
        struct cb_onnx_head_file file;
        char *copy = cb_arena_alloc(&arena, buf.len, 1);
        memcpy(copy, buf.data, buf.len);
        for (int k = 0; k < 1 + round % 4; k++)
            copy[cb_rng_below(&rng, buf.len)] = (char)cb_rng_next(&rng);
        const struct cb_bytes bytes = { (uint8_t *)copy,
                                        round % 5 ? buf.len : cb_rng_below(&rng, buf.len) };
        if (cb_onnx_read_head(bytes, &arena, &file).code == CB_OK) {
            float x[CHANNELS] = { 0 }, y[4096];
            if (file.head.inputs == CHANNELS && file.head.classes <= 4096)
                cb_head_run(&file.head, 1, x, y);
        }
        cb_buf_init(&out, 1 << 20);
        (void)!cb_onnx_save_whole(bytes, &save, &out).code;
        cb_buf_deinit(&out);
        cb_arena_rewind(&arena, 0);
    }
    cb_arena_deinit(&arena);
    cb_buf_deinit(&buf);
}
