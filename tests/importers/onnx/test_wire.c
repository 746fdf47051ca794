#define _GNU_SOURCE /* memmem */
#include <criterion/criterion.h>
#include <string.h>

#include "core/base/clock.h"
#include "importers/onnx/limits.h"
#include "importers/onnx/load.h"
#include "importers/onnx/parse.h"
#include "importers/onnx/wire.h"
#include "tests/support/proto_text.h"

/* cb_wire_slim of a model from a text; `slim` is the caller's. */
static struct cb_status slim_text(const char *text, struct cb_buf *slim)
{
    struct cb_buf buf;
    cb_buf_init(&buf, (size_t)64 << 20);
    cb_buf_init(slim, CB_ONNX_MAX_SLIM);
    const struct cb_status st = cb_wire_slim(proto_bytes(&buf, text), CB_WIRE_MODEL, slim);
    cb_buf_deinit(&buf);
    return st;
}

static bool holds(const struct cb_buf *buf, const char *text)
{
    return memmem(buf->data, buf->len, text, strlen(text)) != NULL;
}

Test(onnx_wire, drops_tensor_data_and_what_is_not_read)
{
    struct cb_buf slim;
    const struct cb_status st =
        slim_text("1:8 6\"a doc string\" 99\"unknown\" 20{ 1\"training\" }"
                  "7{ 5{ 8\"weight\" 1:4 2:1 9\"raw bytes here..\" 12\"tensor doc\" 4\"floats\" }"
                  "   1{ 4\"Constant\" 5{ 1\"value\" 5{ 2:1 9\"four\" } 13\"attr doc\" } }"
                  "   13{ 1\"value info\" } }",
                  &slim);
    static const char *const kept[] = { "weight", "Constant", "value" };
    static const char *const gone[] = { "raw bytes", "floats",   "four",      "doc",
                                        "unknown",   "training", "value info" };
    cr_assert_eq(st.code, CB_OK, "%s", st.msg);
    for (size_t i = 0; i < CB_COUNT_OF(kept); i++)
        cr_expect(holds(&slim, kept[i]), "%s", kept[i]);
    for (size_t i = 0; i < CB_COUNT_OF(gone); i++)
        cr_expect_not(holds(&slim, gone[i]), "%s", gone[i]);
    cb_buf_deinit(&slim);
}

Test(onnx_wire, says_where_a_tensor_lies_and_believes_no_file_that_does)
{
    struct cb_buf buf;
    struct cb_arena arena;
    Onnx__ModelProto *model;
    cb_buf_init(&buf, 1 << 16);
    cr_assert_eq(cb_arena_init(&arena, 1 << 20).code, CB_OK);
    const struct cb_bytes file =
        proto_bytes(&buf, "1:8 7{ 5{ 8\"w\" 1000001~1e300 1000002~1e300 } }");
    const struct cb_status st = cb_onnx_parse_model(&arena, file, &model);
    cr_assert_eq(st.code, CB_OK, "%s", st.msg);
    const Onnx__TensorProto *t = model->graph->initializer[0];
    cr_expect_eq(t->file_offset + t->file_length, file.len);
    cr_expect_eq(memcmp(file.data + t->file_offset, "\x42\x01w", 3), 0, "field 8, one byte");
    cb_arena_deinit(&arena);
    cb_buf_deinit(&buf);
}

Test(onnx_wire, refuses_what_is_no_protobuf)
{
    static const char *const broken[] = { "3!3", "3!4",  "0:1",
                                          "7!2", "1!0",  "7{ 1{ 5{ 5{ 9!2 } } } }",
                                          "7:1", "8=0.5" };
    for (size_t i = 0; i < CB_COUNT_OF(broken); i++) {
        struct cb_buf slim;
        cr_expect_eq(slim_text(broken[i], &slim).code, CB_ERR_MODEL, "%s", broken[i]);
        cb_buf_deinit(&slim);
    }
}

Test(onnx_wire, a_length_beyond_the_end_is_refused)
{
    static const uint8_t beyond[] = { 7 << 3 | 2, 0xff, 0xff, 0xff, 0xff, 0xff,
                                      0xff,       0xff, 0xff, 0xff, 0x01 };
    struct cb_buf slim;
    cb_buf_init(&slim, CB_ONNX_MAX_SLIM);
    for (size_t len = 1; len <= sizeof beyond; len++)
        cr_expect_eq(cb_wire_slim((struct cb_bytes){ beyond, len }, CB_WIRE_MODEL, &slim).code,
                     CB_ERR_MODEL);
    cb_buf_deinit(&slim);
}

/* Attribute g of a node holds a graph, whose node has an attribute g, ...: `depth` graphs. */
static struct cb_status slim_nested(int depth)
{
    struct cb_buf inner, outer, slim;
    cb_buf_init(&inner, 1 << 24);
    cb_buf_init(&outer, 1 << 24);
    for (int i = 0; i < 3 * depth - 2; i++) { /* from the inside out: fields 7, or 6 5 1 by turns */
        static const uint8_t fields[] = { 6, 5, 1 };
        const uint8_t field = i == 3 * depth - 3 ? 7 : fields[i % 3];
        size_t v = inner.len;
        outer.len = 0;
        cb_buf_add(&outer, &(uint8_t){ (uint8_t)(field << 3 | 2) }, 1);
        for (; v >= 0x80; v >>= 7)
            cb_buf_add(&outer, &(uint8_t){ (uint8_t)(v | 0x80) }, 1);
        cb_buf_add(&outer, &(uint8_t){ (uint8_t)v }, 1);
        cb_buf_add(&outer, inner.data ? inner.data : "", inner.len);
        const struct cb_buf swap = inner;
        inner = outer;
        outer = swap;
    }
    cb_buf_init(&slim, CB_ONNX_MAX_SLIM);
    const struct cb_status st = cb_wire_slim(
        (struct cb_bytes){ (const uint8_t *)inner.data, inner.len }, CB_WIRE_MODEL, &slim);
    cb_buf_deinit(&inner);
    cb_buf_deinit(&outer);
    cb_buf_deinit(&slim);
    return st;
}

Test(onnx_wire, graphs_stand_in_each_other_only_so_deep)
{
    const struct cb_status deep = slim_nested(10000);
    cr_expect_eq(slim_nested(CB_ONNX_MAX_DEPTH).code, CB_OK);
    cr_expect_eq(slim_nested(CB_ONNX_MAX_DEPTH + 1).code, CB_ERR_MODEL);
    cr_expect_eq(deep.code, CB_ERR_MODEL);
    cr_expect(strstr(deep.msg, "deeper than 32: over the limit"), "%s", deep.msg);
}

/* Ten megabytes of the two bytes `field, 0` in the graph. */
static struct cb_status load_many(uint8_t field, double *ms)
{
    const size_t n = (size_t)5 << 20;
    struct cb_buf file;
    struct cb_arena arena;
    struct cb_onnx_model model;
    cb_buf_init(&file, (size_t)16 << 20);
    proto_text(&file, "1:8 8{2:13}");
    cb_buf_add(&file, (uint8_t[]){ 7 << 3 | 2, 0x80, 0x80, 0x80, 0x05 }, 5); /* 10 MiB */
    for (size_t i = 0; i < n; i++)
        cb_buf_add(&file, (uint8_t[]){ (uint8_t)(field << 3 | 2), 0 }, 2);
    cr_assert_eq(cb_arena_init(&arena, (size_t)1 << 28).code, CB_OK);
    const double start = cb_clock_ms();
    const struct cb_status st =
        cb_onnx_load(&arena, (struct cb_bytes){ (const uint8_t *)file.data, file.len },
                     &(struct cb_onnx_options){ 0 }, &model);
    *ms = cb_clock_ms() - start;
    cb_arena_deinit(&arena);
    cb_buf_deinit(&file);
    return st;
}

Test(onnx_wire, ten_megabytes_of_empty_messages_are_refused_soon)
{
    static const uint8_t fields[] = { 1, 5, 11, 12, 15 };
    for (size_t i = 0; i < CB_COUNT_OF(fields); i++) {
        double ms;
        const struct cb_status st = load_many(fields[i], &ms);
        cr_expect_eq(st.code, CB_ERR_MODEL, "field %d: %s", fields[i], st.msg);
        cr_expect(strstr(st.msg, "over the limit"), "%s", st.msg);
        cr_expect_lt(ms, 2000);
    }
}

Test(onnx_wire, varints_end_within_ten_bytes)
{
    static const uint8_t max[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01 };
    static const uint8_t endless[] = { 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
                                       0x80, 0x80, 0x80, 0x80, 0x00 };
    struct cb_bytes b = { max, sizeof max };
    uint64_t v;
    cr_assert(cb_wire_varint(&b, &v));
    cr_expect_eq(v, UINT64_MAX);
    cr_expect_eq(b.len, 0);
    b = (struct cb_bytes){ endless, sizeof endless };
    cr_expect_not(cb_wire_varint(&b, &v));
    cr_expect_eq(b.len, sizeof endless, "nothing taken");
}
