#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/importers/onnx/loading.h"

/* A model whose only output is the initializer "w", with these fields. */
static struct loading load_tensor(const char *fields)
{
    struct cb_buf text;
    cb_buf_init(&text, 1 << 16);
    cb_buf_printf(&text, "1:8 8{2:13} 7{ 5{ 8\"w\" %s }" OUT("w") "}", fields);
    struct loading l = load_text(text.data);
    cb_buf_deinit(&text);
    return l;
}

static void expect_floats(const char *fields, enum cb_dtype dtype, int n, const float *want)
{
    struct loading l = load_tensor(fields);
    cr_assert_eq(l.st.code, CB_OK, "%s: %s", fields, l.st.msg);
    const struct cb_value *w = value_of(&l, "w");
    cr_expect_eq(w->dtype, dtype, "%s", fields);
    cr_assert_eq(cb_shape_count(&w->shape), (size_t)n, "%s", fields);
    cr_expect_eq(memcmp(w->data, want, (size_t)n * sizeof *want), 0, "%s", fields);
    load_end(&l);
}

static void expect_wholes(const char *fields, enum cb_dtype dtype, int n, const int64_t *want)
{
    struct loading l = load_tensor(fields);
    cr_assert_eq(l.st.code, CB_OK, "%s: %s", fields, l.st.msg);
    const struct cb_value *w = value_of(&l, "w");
    cr_expect_eq(w->dtype, dtype, "%s", fields);
    cr_assert_eq(cb_shape_count(&w->shape), (size_t)n, "%s", fields);
    cr_expect_eq(memcmp(w->data, want, (size_t)n * sizeof *want), 0, "%s", fields);
    load_end(&l);
}

Test(onnx_tensors, real_numbers_in_every_form)
{
    const float v[] = { 1, -2 };
    expect_floats("1:2 2:1 9#0000803f000000c0", CB_FLOAT32, 2, v);
    expect_floats("1:2 2:1 4#0000803f000000c0", CB_FLOAT32, 2, v);    /* packed */
    expect_floats("1:2 2:1 4=1 4=-2", CB_FLOAT32, 2, v);              /* one by one */
    expect_floats("1:2 2:1 4#0000803f 4#000000c0", CB_FLOAT32, 2, v); /* packed in two runs */
    expect_floats("4=1 1:2 2:1 4#000000c0", CB_FLOAT32, 2, v);        /* mixed, out of order */
    expect_floats("1[2] 2:1 4#0000803f000000c0", CB_FLOAT32, 2, v);   /* packed dims */
    expect_floats("1:2 2:11 9#000000000000f03f00000000000000c0", CB_FLOAT64, 2, v);
    expect_floats("1:2 2:11 10~1 10~-2", CB_FLOAT64, 2, v);
    expect_floats("1:2 2:10 9#003c00c0", CB_FLOAT16, 2, v);
    expect_floats("1:2 2:10 5[15360 49152]", CB_FLOAT16, 2, v); /* the bits */
    expect_floats("1:2 2:16 9#803f00c0", CB_BFLOAT16, 2, v);
    expect_floats("1:2 2:16 5[16256 49152]", CB_BFLOAT16, 2, v);
}

Test(onnx_tensors, whole_numbers_in_every_form)
{
    const int64_t v[] = { 1, -2 }, u[] = { 1, 254 }, t[] = { 1, 0 };
    expect_wholes("1:2 2:7 9#0100000000000000feffffffffffffff", CB_INT64, 2, v);
    expect_wholes("1:2 2:7 7[1 -2]", CB_INT64, 2, v);
    expect_wholes("1:2 2:7 7:1 7:-2", CB_INT64, 2, v);
    expect_wholes("1:2 2:6 9#01000000feffffff", CB_INT32, 2, v);
    expect_wholes("1:2 2:6 5[1 -2]", CB_INT32, 2, v);
    expect_wholes("1:2 2:6 5[1 4294967294]", CB_INT32, 2, v); /* written as unsigned */
    expect_wholes("1:2 2:5 9#0100feff", CB_INT16, 2, v);
    expect_wholes("1:2 2:5 5[1 -2]", CB_INT16, 2, v);
    expect_wholes("1:2 2:3 9#01fe", CB_INT8, 2, v);
    expect_wholes("1:2 2:3 5[1 -2]", CB_INT8, 2, v);
    expect_wholes("1:2 2:2 9#01fe", CB_UINT8, 2, u);
    expect_wholes("1:2 2:2 5[1 254]", CB_UINT8, 2, u);
    expect_wholes("1:2 2:4 5[1 254]", CB_UINT16, 2, u);
    expect_wholes("1:2 2:12 11[1 254]", CB_UINT32, 2, u);
    expect_wholes("1:2 2:13 11[1 254]", CB_UINT64, 2, u);
    expect_wholes("1:2 2:9 9#0100", CB_BOOL, 2, t);
    expect_wholes("1:2 2:9 5[1 0]", CB_BOOL, 2, t);
    expect_wholes("2:7 7:1", CB_INT64, 1, v); /* no dims: a scalar */
    expect_wholes("1:3 1:0 2:7", CB_INT64, 0, v);
}

Test(onnx_tensors, only_floats_stay_where_they_are)
{
    struct loading l = load_tensor("1:2 2:1 9#0000803f000000c0");
    struct loading half = load_tensor("1:2 2:10 9#003c00c0");
    expect_ok(l);
    expect_ok(half);
    const uint8_t *data = value_of(&l, "w")->data;
    cr_expect(data > l.bytes.data && data < l.bytes.data + l.bytes.len);
    cr_expect_not(value_of(&l, "w")->mapped, "bytes that are no mapped file are never let go");
    cr_expect(cb_arena_text(&half.arena, "", 0) > (const char *)value_of(&half, "w")->data,
              "in the arena");
    load_end(&l);
    load_end(&half);
}

Test(onnx_tensors, floats_of_a_mapped_file_may_be_let_go)
{
    struct cb_buf buf;
    struct cb_arena arena;
    struct cb_onnx_model model;
    cb_buf_init(&buf, 1 << 16);
    const struct cb_bytes file =
        proto_bytes(&buf, MODEL(13, "1{2\"c\" 4\"Constant\" 5{1\"value\" 5{1:1 2:1 9#0000803f}}}"
                                    "5{8\"w\" 1:1 2:1 9#0000803f} 5{8\"i\" 1:1 2:7 7:5}" OUT("w")));
    cr_assert_eq(cb_arena_init(&arena, 1 << 20).code, CB_OK);
    cr_assert_eq(
        cb_onnx_load(&arena, file, &(struct cb_onnx_options){ .mapped = true }, &model).code,
        CB_OK);
    cr_expect(model.graph.values[cb_graph_find(&model.graph, "w")].mapped);
    cr_expect(model.graph.values[cb_graph_find(&model.graph, "c")].mapped);
    cr_expect_not(model.graph.values[cb_graph_find(&model.graph, "i")].mapped);
    cb_arena_deinit(&arena);
    cb_buf_deinit(&buf);
}

Test(onnx_tensors, sizes_must_match_exactly)
{
    static const struct {
        const char *fields, *says;
    } cases[] = {
        { "1:2 2:1 9#0000803f", "float [2] wants 8 bytes, has 4" },
        { "1:1 2:1 9#0000803f0000803f", "float [1] wants 4 bytes, has 8" },
        { "1:2 2:1 4=1", "float [2] wants 2 values, has 1" },
        { "1:1 2:1 4#0000803f00", "data end within a value" },
        { "1:1 2:1 4:5", "data end within a value" },
        { "1:1 2:7 7#80", "data end within a value" },
        { "1:2 2:1", "float [2] wants 2 values, has 0" },
        { "1:2 2:1 7[1 2]", "has 0" },
        { "1:-1 2:1 9#", "negative or too large" },
        { "1:65536 1:65536 2:1", "negative or too large" },
        { "1:9223372036854775807 1:9223372036854775807 2:7", "negative or too large" },
        { "1:1 2:7 7#8080808080808080808001",
          "wants 1 values, has 0" }, /* a varint of eleven bytes */
    };
    for (size_t i = 0; i < CB_COUNT_OF(cases); i++) {
        struct loading l = load_tensor(cases[i].fields);
        expect_fail(l, CB_ERR_MODEL, cases[i].says);
        load_end(&l);
    }
}

Test(onnx_tensors, what_is_not_supported_is_named)
{
    static const struct {
        const char *fields, *says;
    } cases[] = {
        { "1:1 2:8 6\"text\"", "type string" },
        { "1:1 2:14 4=1 4=0", "type complex64" },
        { "1:1 2:18 9#00", "type float8e4m3fnuz" },
        { "1:1 2:21 9#00", "type uint4" },
        { "1:1 2:77 9#00", "type unknown (77)" },
        { "1:1 9#00", "type undefined" },
        { "1:1 2:1 3{1:0 2:1} 4=1", "in segments" },
        { "1:1 1:1 1:1 1:1 1:1 1:1 1:1 1:1 1:1 1:1 1:1 2:1 4=1", "rank 11" },
    };
    for (size_t i = 0; i < CB_COUNT_OF(cases); i++) {
        struct loading l = load_tensor(cases[i].fields);
        expect_fail(l, CB_ERR_UNSUPPORTED, cases[i].says);
        load_end(&l);
    }
}

/* External data: a folder with a file of four floats, a link to it, and a folder below. */
static struct loading load_external(const char *entries, bool upload)
{
    char folder[] = "/tmp/cambium-external-XXXXXX", path[256], link_path[256];
    const float v[] = { 1, 2, 3, 4 };
    struct cb_buf text, buf;
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/sub", folder);
    cr_assert_eq(mkdir(path, 0700), 0);
    snprintf(link_path, sizeof link_path, "%s/link", folder);
    cr_assert_eq(symlink("sub", link_path), 0);
    snprintf(path, sizeof path, "%s/sub/w.bin", folder);
    cr_assert_eq(cb_file_write(path, v, sizeof v).code, CB_OK);
    snprintf(link_path, sizeof link_path, "%s/w.link", folder);
    cr_assert_eq(symlink("sub/w.bin", link_path), 0);
    cb_buf_init(&text, 1 << 16);
    cb_buf_init(&buf, 1 << 16);
    cb_buf_printf(&text, "1:8 8{2:13} 7{ 5{ 8\"w\" 1:2 2:1 14:1 %s }" OUT("w") "}", entries);
    struct loading l = load_bytes(proto_bytes(&buf, text.data), upload ? NULL : folder);
    l.buf = buf;
    cb_buf_deinit(&text);
    cr_expect_eq(cb_folder_remove(folder).code, CB_OK);
    return l;
}

#define ENTRY(key, value) "13{1\"" key "\" 2\"" value "\"}"

Test(onnx_tensors, external_data_are_read_in_place)
{
    static const struct {
        const char *entries;
        float first;
    } cases[] = {
        { ENTRY("location", "sub/w.bin") ENTRY("length", "8"), 1 },
        { ENTRY("location", "./sub//w.bin") ENTRY("offset", "8"), 3 },
        { ENTRY("offset", "4") ENTRY("location", "sub/w.bin") ENTRY("length", "8")
              ENTRY("checksum", "x"),
          2 },
    };
    for (size_t i = 0; i < CB_COUNT_OF(cases); i++) {
        struct loading l = load_external(cases[i].entries, false);
        float v;
        expect_ok(l);
        memcpy(&v, value_of(&l, "w")->data, sizeof v);
        cr_expect_eq(v, cases[i].first);
        cr_expect_eq(l.model.files.n_external, 1);
        load_end(&l);
    }
}

Test(onnx_tensors, external_data_stay_inside_the_folder)
{
    static const struct {
        const char *entries;
        enum cb_code code;
    } cases[] = {
        { ENTRY("location", "/etc/passwd"), CB_ERR_INPUT },
        { ENTRY("location", "../w.bin"), CB_ERR_INPUT },
        { ENTRY("location", "sub/../sub/w.bin") ENTRY("length", "8"), CB_ERR_INPUT },
        { ENTRY("location", "w.link") ENTRY("length", "8"), CB_ERR_INPUT },
        { ENTRY("location", "link/w.bin") ENTRY("length", "8"), CB_ERR_NOT_FOUND },
        { ENTRY("location", "sub"), CB_ERR_IO },
        { ENTRY("location", "none.bin"), CB_ERR_NOT_FOUND },
        { ENTRY("location", ""), CB_ERR_MODEL },
        { ENTRY("offset", "0"), CB_ERR_MODEL },
        { ENTRY("location", "sub/w.bin") ENTRY("offset", "17"), CB_ERR_MODEL },
        { ENTRY("location", "sub/w.bin") ENTRY("offset", "12") ENTRY("length", "8"), CB_ERR_MODEL },
        { ENTRY("location", "sub/w.bin") ENTRY("offset", "-4") ENTRY("length", "8"), CB_ERR_MODEL },
        { ENTRY("location", "sub/w.bin") ENTRY("length", "99999999999999999999999"), CB_ERR_MODEL },
        { ENTRY("location", "sub/w.bin") ENTRY("length", "4"), CB_ERR_MODEL },
    };
    for (size_t i = 0; i < CB_COUNT_OF(cases); i++) {
        struct loading l = load_external(cases[i].entries, false);
        cr_expect_eq(l.st.code, cases[i].code, "case %zu: %d %s", i, l.st.code, l.st.msg);
        load_end(&l);
    }
}

Test(onnx_tensors, external_data_of_an_upload_are_refused)
{
    struct loading l = load_external(ENTRY("location", "sub/w.bin") ENTRY("length", "8"), true);
    expect_fail(l, CB_ERR_UNSUPPORTED, "external data (sub/w.bin)");
    load_end(&l);
}

/* A sparse tensor of two floats, 5 and 6, with these fields of its own. */
static struct loading load_sparse(const char *fields)
{
    struct cb_buf text;
    cb_buf_init(&text, 1 << 16);
    cb_buf_printf(&text,
                  "1:8 8{2:13} 7{15{1{8\"w\" 1:2 2:1 4=5 4=6} %s}" IN("x", DIM(1)) OUT("w") "}",
                  fields);
    struct loading l = load_text(text.data);
    cb_buf_deinit(&text);
    return l;
}

Test(onnx_tensors, a_sparse_initialiser_is_made_dense)
{
    static const char *const fields[] = {
        "2{1:2 2:7 7[1 5]} 3:2 3:3",         /* one number an element */
        "2{1:2 1:2 2:7 7[0 1 1 2]} 3:2 3:3", /* or one an axis */
    };
    for (size_t i = 0; i < CB_COUNT_OF(fields); i++) {
        struct loading l = load_sparse(fields[i]);
        expect_ok(l);
        const struct cb_value *w = value_of(&l, "w");
        const float wanted[] = { 0, 5, 0, 0, 0, 6 };
        cr_expect(w->shape.rank == 2 && w->shape.dim[0] == 2 && w->shape.dim[1] == 3);
        cr_expect_eq(memcmp(w->data, wanted, sizeof wanted), 0);
        load_end(&l);
    }
    struct loading node =
        load_text(MODEL(13, "1{2\"w\" 4\"Constant\" 5{1\"sparse_value\" 20:11 "
                            "22{1{1:1 2:7 7:9} 2{1:1 2:7 7:2} 3:4}}}" IN("x", DIM(1)) OUT("w")));
    expect_ok(node);
    cr_expect_eq(((const int64_t *)value_of(&node, "w")->data)[2], 9);
    load_end(&node);
}

Test(onnx_tensors, a_sparse_initialiser_beyond_its_size_is_refused)
{
    static const struct {
        const char *fields;
        enum cb_code code;
        const char *says;
    } cases[] = {
        { "2{1:2 2:7 7[1 6]} 3:2 3:3", CB_ERR_MODEL, "index 6 of a sparse tensor, wants 0 to 5" },
        { "2{1:2 2:7 7[-1 5]} 3:2 3:3", CB_ERR_MODEL, "index -1" },
        { "2{1:2 1:2 2:7 7[0 1 2 0]} 3:2 3:3", CB_ERR_MODEL, "index 2 of a sparse" },
        { "2{1:2 1:3 2:7 7[0 1 1 2 1 1]} 3:2 3:3", CB_ERR_MODEL, "do not fit its values" },
        { "2{1:1 2:7 7[1]} 3:2 3:3", CB_ERR_MODEL, "do not fit its values" },
        { "2{1:2 2:1 4=0 4=1} 3:2 3:3", CB_ERR_MODEL, "do not fit its values" },
        { "3:2 3:3", CB_ERR_MODEL, "without values or indices" },
        { "2{1:2 2:7 7[1 5]} 3:-2 3:3", CB_ERR_MODEL, "negative or too large" },
        { "2{1:2 2:7 7[1 5]} 3:1000000000", CB_ERR_TOO_LARGE, "of 1000000000 elements" },
    };
    for (size_t i = 0; i < CB_COUNT_OF(cases); i++) {
        struct loading l = load_sparse(cases[i].fields);
        expect_fail(l, cases[i].code, cases[i].says);
        load_end(&l);
    }
}
