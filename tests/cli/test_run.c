/* run and verify: raw tensors in and out. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "core/base/file.h"
#include "importers/tensor/npy.h"
#include "tests/support/onnx_builder.h"
#include "tests/support/program.h"
#include "tests/support/proto_text.h"

static char *folder;
static struct cb_arena arena;

static const float left[6] = { 1, -2, 3, -4, 5, -6 }, right[3] = { 10, 20, 30 };
static const float sum[6] = { 11, 18, 33, 6, 25, 24 };

static const char *in(const char *name)
{
    return program_path(folder, name);
}

/* a [2,3] + b [3] -> "sum/out:0", Relu -> "y". */
static void write_sum(const char *path)
{
    struct onnx_builder b = onnx_begin(17);
    onnx_input(&b, "a", ONNX_FLOAT, ONNX_DIMS(-1, 3));
    onnx_input(&b, "b", ONNX_FLOAT, ONNX_DIMS(3));
    onnx_node(&b, "Add", "a b", "sum/out:0");
    onnx_node(&b, "Relu", "sum/out:0", "y");
    onnx_output(&b, "y", ONNX_FLOAT);
    const struct cb_bytes file = onnx_end(&b);
    cr_assert(cb_file_write(path, file.data, file.len).code == CB_OK);
    onnx_free(&b);
}

static void write_floats(const char *path, struct cb_shape shape, const float *values)
{
    const struct cb_tensor t = { .shape = shape,
                                 .dtype = CB_FLOAT32,
                                 .data = (void *)(uintptr_t)values };
    cr_assert(cb_npy_save(path, &t).code == CB_OK);
}

static void setup(void)
{
    folder = program_folder();
    cr_assert(cb_arena_init(&arena, 1 << 24).code == CB_OK);
    write_sum(in("sum.onnx"));
    write_floats(in("a.npy"), (struct cb_shape){ 2, { 2, 3 } }, left);
    onnx_tensor_file(in("b.pb"), ONNX_FLOAT, ONNX_DIMS(3), right, sizeof right);
}

static void teardown(void)
{
    cb_arena_deinit(&arena);
    program_folder_remove(folder);
}

TestSuite(run, .init = setup, .fini = teardown);
TestSuite(verify, .init = setup, .fini = teardown);

static void expect_floats(const char *path, const float *want, size_t n)
{
    struct cb_bytes file;
    struct cb_tensor t;
    cr_assert(cb_file_map(path, &file).code == CB_OK, "%s", path);
    cr_assert(cb_npy_read(&arena, file, &t).code == CB_OK);
    cr_expect(cb_tensor_count(&t) == n && memcmp(t.f, want, n * sizeof *want) == 0, "%s", path);
    cb_file_unmap(&file);
}

Test(run, takes_npy_and_pb_and_writes_outputs_and_inner_tensors)
{
    EXPECT_PROGRAM(0, NULL, "run", in("sum.onnx"), "--input", in("a.npy"), in("b.pb"),
                   "--output-dir", in("out"), "--tensor", "sum/out:0");
    expect_floats(in("out/output_0.npy"), sum, 6);
    expect_floats(in("out/sum_out_0.npy"), sum, 6);
    EXPECT_PROGRAM(0, NULL, "run", in("sum.onnx"), "--input", in("a.npy"), "--input", in("b.pb"),
                   "--output-dir", in("out2"), "--no-passes");
    expect_floats(in("out2/output_0.npy"), sum, 6);
}

Test(run, refuses_inputs_that_do_not_fit_by_name)
{
    static const struct {
        const char *a, *b, *part;
    } cases[] = {
        { "a.npy", NULL, "2 inputs" },
        { "a.npy", "a.npy", "input 1 'b': wants [3], has [2,3]" },
        { "b.pb", "a.npy", "input 0 'a': wants [?,3], has [3]" },
        { "whole.pb", "b.pb", "input 0 'a': wants float, has int64" },
        { "gone.npy", "b.pb", "gone.npy" },
        { "sum.onnx", "b.pb", "sum.onnx" },
    };
    const int64_t whole[3] = { 1, 2, 3 };
    onnx_tensor_file(in("whole.pb"), ONNX_INT64, ONNX_DIMS(1, 3), whole, sizeof whole);
    for (size_t i = 0; i < CB_COUNT_OF(cases); i++) {
        struct program_run run;
        EXPECT_PROGRAM(1, &run, "run", in("sum.onnx"), "--output-dir", in("out"), "--input",
                       in(cases[i].a), cases[i].b ? in(cases[i].b) : NULL);
        cr_expect(strstr(run.err, cases[i].part), "case %zu: %s", i, run.err);
        program_free(&run);
    }
    EXPECT_PROGRAM(1, NULL, "run", in("sum.onnx"), "--input", in("a.npy"), in("b.pb"),
                   "--output-dir", in("out"), "--tensor", "nowhere");
}

/* y = go ? -x : x */
static void write_branch(const char *path)
{
    struct cb_buf buf;
    cb_buf_init(&buf, 1 << 12);
    const struct cb_bytes file = proto_bytes(
        &buf, "1:8 8{2:17} 7{1{1\"go\" 2\"y\" 4\"If\""
              "5{1\"then_branch\" 6{1{1\"x\" 2\"n\" 4\"Neg\"} 12{1\"n\"}}}"
              "5{1\"else_branch\" 6{1{1\"x\" 2\"p\" 4\"Identity\"} 12{1\"p\"}}}}"
              "11{1\"go\" 2{1{1:7 2{1{1:1}}}}} 11{1\"x\" 2{1{1:1}}} 12{1\"y\" 2{1{1:1}}}}");
    cr_assert(cb_file_write(path, file.data, file.len).code == CB_OK);
    cb_buf_deinit(&buf);
}

Test(run, takes_the_branch_that_its_inputs_choose)
{
    static const float minus[3] = { -10, -20, -30 };
    write_branch(in("branch.onnx"));
    for (int64_t go = 0; go < 2; go++) {
        onnx_tensor_file(in("go.pb"), ONNX_INT64, ONNX_DIMS(1), &go, sizeof go);
        EXPECT_PROGRAM(0, NULL, "run", in("branch.onnx"), "--input", in("go.pb"), in("b.pb"),
                       "--output-dir", in("out"));
        expect_floats(in("out/output_0.npy"), go ? minus : right, 3);
    }
    struct program_run run;
    EXPECT_PROGRAM(0, &run, "inspect", in("branch.onnx"));
    cr_expect(strstr(run.out, "If (opset 17): the condition is computed ('go')"), "%s", run.out);
    program_free(&run);
}

/* FOLDER/cases/NAME: the sum, with its inputs and this output. */
static void write_case(const char *name, const float *want, struct onnx_dims dims)
{
    char path[256];
    snprintf(path, sizeof path, "cases/%s/test_data_set_0", name);
    cr_assert(cb_folder_make(in(path)).code == CB_OK);
    snprintf(path, sizeof path, "cases/%s/model.onnx", name);
    write_sum(in(path));
    snprintf(path, sizeof path, "cases/%s/test_data_set_0/input_0.pb", name);
    onnx_tensor_file(in(path), ONNX_FLOAT, ONNX_DIMS(2, 3), left, sizeof left);
    snprintf(path, sizeof path, "cases/%s/test_data_set_0/input_1.pb", name);
    onnx_tensor_file(in(path), ONNX_FLOAT, ONNX_DIMS(3), right, sizeof right);
    snprintf(path, sizeof path, "cases/%s/test_data_set_0/output_0.pb", name);
    onnx_tensor_file(in(path), ONNX_FLOAT, dims, want, sizeof sum);
}

Test(verify, tells_ok_fail_and_unsupported_apart)
{
    float wrong[6];
    struct program_run run;
    memcpy(wrong, sum, sizeof sum);
    wrong[4] = 99;
    write_case("good", sum, ONNX_DIMS(2, 3));
    EXPECT_PROGRAM(0, &run, "verify", in("cases"));
    cr_expect(strstr(run.out, "1 passed, 0 failed, 0 unsupported\n"), "%s", run.out);
    program_free(&run);
    write_case("wrong", wrong, ONNX_DIMS(2, 3));
    write_case("shape", sum, ONNX_DIMS(3, 2));
    write_case("odd", sum, ONNX_DIMS(2, 3));
    write_case("broken", sum, ONNX_DIMS(2, 3));
    program_write(in("cases/broken/model.onnx"), "nothing of the kind");
    struct onnx_builder b = onnx_begin(17);
    onnx_input(&b, "a", ONNX_FLOAT, ONNX_DIMS(-1, 3));
    onnx_node(&b, "NoSuchOperator", "a", "y");
    onnx_output(&b, "y", ONNX_FLOAT);
    const struct cb_bytes file = onnx_end(&b);
    cr_assert(cb_file_write(in("cases/odd/model.onnx"), file.data, file.len).code == CB_OK);
    onnx_free(&b);
    EXPECT_PROGRAM(1, &run, "verify", in("cases"));
    cr_expect(strstr(run.out, "1 passed, 3 failed, 1 unsupported\n"), "%s", run.out);
    cr_expect(strstr(run.out, "1 of 6 elements differ, most [4]: 25, not 99"), "%s", run.out);
    cr_expect(strstr(run.out, "shape [2,3], not [3,2]"), "%s", run.out);
    cr_expect(strstr(run.out, "NoSuchOperator"), "%s", run.out);
    program_free(&run);
    EXPECT_PROGRAM(0, NULL, "verify", in("cases/good"), in("cases/odd"));
    EXPECT_PROGRAM(0, NULL, "verify", in("cases/wrong"), "--atol", "80");
}

Test(verify, cases_beside_each_other_are_told_in_order)
{
    enum { N = 70 };
    struct program_run run;
    const char *at;
    float wrong[6];
    memcpy(wrong, sum, sizeof sum);
    wrong[0] = -1;
    for (int i = 0; i < N; i++) {
        char name[8];
        snprintf(name, sizeof name, "c%02d", i);
        write_case(name, i % 9 == 4 ? wrong : sum, ONNX_DIMS(2, 3));
    }
    EXPECT_PROGRAM(1, &run, "verify", in("cases"), "--threads", "3");
    at = run.out;
    for (int i = 0; i < N; i++) {
        char name[16];
        snprintf(name, sizeof name, "cases/c%02d", i);
        const char *found = strstr(at, name);
        cr_assert(found, "%s is not in its place", name);
        const char *line = found;
        while (line > run.out && line[-1] != '\n')
            line--;
        cr_expect_eq(strncmp(line, i % 9 == 4 ? "FAIL" : "ok", 2), 0, "%s", name);
        at = found;
    }
    cr_expect(strstr(at, "62 passed, 8 failed, 0 unsupported\n"), "%s", at);
    program_free(&run);
}

Test(verify, a_folder_without_cases_is_no_success)
{
    EXPECT_PROGRAM(1, NULL, "verify", in("gone"));
    cr_assert(cb_folder_make(in("empty")).code == CB_OK);
    EXPECT_PROGRAM(1, NULL, "verify", in("empty"));
}
