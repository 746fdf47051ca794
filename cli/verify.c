/* cli/verify.c - cambium verify: folders of test cases as ONNX's backend tests lay them out. */
#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/graph_run.h"
#include "cli/model_arg.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "core/base/file.h"
#include "importers/model/load.h"
#include "importers/tensor/convert.h"

#define CASE_BUDGET ((size_t)16 << 30) /* address space of one case's tensors */
#define MAX_DEPTH 4
#define MAX_ENTRIES 100000

struct options {
    double rtol, atol, of_largest;
    bool quiet, no_passes;
};

static const struct options defaults = { .rtol = 1e-3, .atol = 1e-7 };

/* clang-format off */
static const struct cb_option rows[] = {
    { .name = "rtol", .kind = CB_OPTION_REAL, .offset = offsetof(struct options, rtol),
      .value = "R",
      .help = "relative tolerance of real numbers (1e-3; at least 2.5e-3 for float16)", .min = 0,
      .max = 1 },
    { .name = "atol", .kind = CB_OPTION_REAL, .offset = offsetof(struct options, atol),
      .value = "A", .help = "absolute tolerance (1e-7)", .min = 0, .max = 1e6 },
    { .name = "of-largest", .kind = CB_OPTION_REAL, .offset = offsetof(struct options, of_largest),
      .value = "S", .help = "absolute tolerance as a share of the output's largest element (0)",
      .min = 0, .max = 1 },
    { .name = "quiet", .letter = 'q', .kind = CB_OPTION_FLAG,
      .offset = offsetof(struct options, quiet), .help = "no lines for cases that are ok" },
    { .name = "no-passes", .kind = CB_OPTION_FLAG, .offset = offsetof(struct options, no_passes),
      .help = "compute networks as they stand" },
};
/* clang-format on */

enum result { RESULT_OK, RESULT_FAIL, RESULT_UNSUPPORTED, RESULT_COUNT };
static const char *const result_name[] = { "ok", "FAIL", "unsupported" };

struct verify {
    struct cb_cli *cli;
    const struct options *options;
    struct cb_arena arena; /* of the case that runs */
    struct cb_json json;
    int count[RESULT_COUNT];
};

/* FOLDER/PREFIX_N.pb or .npy. */
static bool find_tensor(const char *folder, const char *prefix, int n, char out[PATH_MAX])
{
    if (cb_path_print(out, "%s/%s_%d.pb", folder, prefix, n) && cb_file_is_regular(out))
        return true;
    return cb_path_print(out, "%s/%s_%d.npy", folder, prefix, n) && cb_file_is_regular(out);
}

/* Real numbers as the declared type has them: rounded to 16 bits where it has 16. */
static struct cb_status round_to_type(struct cb_arena *arena, const struct cb_tensor *in,
                                      struct cb_tensor *out)
{
    const size_t n = cb_tensor_count(in);
    void *outer;
    *out = *in;
    if (in->dtype != CB_FLOAT16 && in->dtype != CB_BFLOAT16)
        return cb_ok();
    CB_TRY(cb_arena_get(arena, n, 2, "output", &outer));
    CB_TRY(cb_arena_get(arena, n, sizeof(float), "output", &out->data));
    cb_convert_out(in->dtype, n, in->data, outer);
    cb_convert_in(in->dtype, n, outer, out->data);
    return cb_ok();
}

static double relative_tolerance(const struct verify *v, enum cb_dtype dtype)
{
    const double least = dtype == CB_BFLOAT16 ? 1e-2 : dtype == CB_FLOAT16 ? 2.5e-3 : 0;
    return v->options->rtol > least ? v->options->rtol : least;
}

/* |got - want| <= atol + rtol |want|; NaN equals NaN, an infinity itself. */
static bool is_close(double got, double want, double rtol, double atol)
{
    if (got == want || (isnan(got) && isnan(want)))
        return true;
    return isfinite(got) && isfinite(want) && fabs(got - want) <= atol + rtol * fabs(want);
}

/* What rounding leaves behind many layers goes by the size of all elements, not of each. */
static double absolute_tolerance(const struct verify *v, const struct cb_tensor *want)
{
    double largest = 0;
    for (size_t i = 0; i < cb_tensor_count(want); i++)
        if (isfinite(want->f[i]))
            largest = fmax(largest, fabs((double)want->f[i]));
    return fmax(v->options->atol, v->options->of_largest * largest);
}

static struct cb_status compare_reals(const struct verify *v, const struct cb_tensor *got,
                                      const struct cb_tensor *want)
{
    const double rtol = relative_tolerance(v, want->dtype), atol = absolute_tolerance(v, want);
    const size_t n = cb_tensor_count(want);
    size_t wrong = 0, worst = 0;
    double most = -1;
    for (size_t i = 0; i < n; i++) {
        const double a = (double)got->f[i], b = (double)want->f[i];
        if (is_close(a, b, rtol, atol))
            continue;
        const double error = isfinite(a - b) ? fabs(a - b) / (atol + rtol * fabs(b)) : HUGE_VAL;
        wrong++;
        if (error > most) {
            most = error;
            worst = i;
        }
    }
    if (!wrong)
        return cb_ok();
    return cb_fail(CB_ERR_CONTENT, "%zu of %zu elements differ, most [%zu]: %g, not %g", wrong, n,
                   worst, (double)got->f[worst], (double)want->f[worst]);
}

static struct cb_status compare_wholes(const struct cb_tensor *got, const struct cb_tensor *want)
{
    const size_t n = cb_tensor_count(want);
    size_t wrong = 0, first = 0;
    for (size_t i = 0; i < n; i++)
        if (got->i[i] != want->i[i] && wrong++ == 0)
            first = i;
    if (!wrong)
        return cb_ok();
    return cb_fail(CB_ERR_CONTENT, "%zu of %zu elements differ, first [%zu]: %lld, not %lld", wrong,
                   n, first, (long long)got->i[first], (long long)want->i[first]);
}

static struct cb_status compare(struct verify *v, const struct cb_tensor *result,
                                const struct cb_tensor *want)
{
    char is[CB_SHAPE_TEXT], should[CB_SHAPE_TEXT];
    struct cb_tensor got;
    if (result->dtype != want->dtype)
        return cb_fail(CB_ERR_CONTENT, "type %s, not %s", cb_dtype_get(result->dtype)->name,
                       cb_dtype_get(want->dtype)->name);
    if (!cb_shape_equal(&result->shape, &want->shape))
        return cb_fail(CB_ERR_CONTENT, "shape %s, not %s", cb_shape_text(&result->shape, is),
                       cb_shape_text(&want->shape, should));
    CB_TRY(round_to_type(&v->arena, result, &got));
    return cb_dtype_get(want->dtype)->is_float ? compare_reals(v, &got, want)
                                               : compare_wholes(&got, want);
}

static struct cb_status read_inputs(struct verify *v, const char *folder, struct cb_graph_run *run)
{
    const struct cb_graph *g = &run->model->graph;
    const int most = g->n_inputs + 1;
    struct cb_tensor *inputs;
    char path[PATH_MAX];
    CB_TRY(cb_arena_get(&v->arena, (size_t)most, sizeof *inputs, "inputs", &inputs));
    for (int i = 0; i < most && find_tensor(folder, "input", i, path); i++) {
        const enum cb_dtype wanted =
            i < g->n_inputs ? g->values[g->inputs[i]].dtype : CB_DTYPE_NONE;
        CB_TRY(cb_tensor_file_read(path, wanted, &v->arena, &inputs[i]));
        run->n_inputs = i + 1;
    }
    run->inputs = inputs;
    return cb_ok();
}

static struct cb_status compare_outputs(struct verify *v, const char *folder,
                                        const struct cb_graph_run *run)
{
    const struct cb_graph *g = &run->model->graph;
    char path[PATH_MAX];
    int n = 0;
    for (; n < g->n_outputs && find_tensor(folder, "output", n, path); n++) {
        const struct cb_tensor *got = cb_graph_run_output(run, n);
        struct cb_tensor want;
        CB_TRY(cb_tensor_file_read(path, got->dtype, &v->arena, &want));
        CB_TRY(
            cb_context(compare(v, got, &want), "output %d '%s'", n, g->values[g->outputs[n]].name));
    }
    return n ? cb_ok() : cb_fail(CB_ERR_CONTENT, "%s: no output to compare with", folder);
}

static struct cb_status run_data_set(struct verify *v, const struct cb_model *model,
                                     const char *folder)
{
    struct cb_graph_run run = {
        .engine = &v->cli->engine,
        .model = model,
        .no_passes = v->options->no_passes,
        .any_shape = true,
        .arena = &v->arena,
    };
    struct cb_status st = read_inputs(v, folder, &run);
    if (st.code == CB_OK)
        st = cb_graph_run(&run);
    if (st.code == CB_OK)
        st = compare_outputs(v, folder, &run);
    cb_graph_run_close(&run);
    return st;
}

/* All data sets of a case, until one fails. */
static struct cb_status run_case(struct verify *v, const char *folder, const char *file)
{
    const struct cb_model_source source = { .path = file,
                                            .graph_only = true,
                                            .cache = v->cli->cache };
    struct cb_model *model;
    struct cb_status st;
    char path[PATH_MAX];
    int n = 0;
    CB_TRY(cb_model_load(&source, &model));
    for (st = cb_ok(); st.code == CB_OK; n++) {
        if (!cb_path_print(path, "%s/test_data_set_%d", folder, n) || !cb_file_is_folder(path))
            break;
        st = run_data_set(v, model, path);
        cb_arena_rewind(&v->arena, 0);
    }
    cb_model_destroy(model);
    return n ? st : cb_fail(CB_ERR_CONTENT, "there is no test_data_set_0");
}

static void report(struct verify *v, const char *folder, const struct cb_status *st)
{
    const enum result result = st->code == CB_OK                ? RESULT_OK
                               : st->code == CB_ERR_UNSUPPORTED ? RESULT_UNSUPPORTED
                                                                : RESULT_FAIL;
    char clean[sizeof st->msg];
    v->count[result]++;
    if (!v->cli->json && !(v->options->quiet && result == RESULT_OK))
        printf("%-11s %s%s%s\n", result_name[result], folder, result ? ": " : "",
               cb_output_clean(st->msg, clean, sizeof clean));
    cb_json_open(&v->json, NULL, '{');
    cb_json_text(&v->json, "folder", folder);
    cb_json_text(&v->json, "result", result_name[result]);
    cb_json_text(&v->json, "why", result ? st->msg : NULL);
    cb_json_close(&v->json, '}');
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted names of the subfolders, hidden ones and data sets aside. */
static struct cb_status list_folders(struct cb_arena *arena, const char *folder,
                                     const char ***names, size_t *n)
{
    DIR *dir = opendir(folder);
    struct cb_status st = cb_ok();
    char path[PATH_MAX];
    *n = 0;
    if (!dir)
        return cb_fail(CB_ERR_NOT_FOUND, "%s: no such folder", folder);
    st = cb_arena_get(arena, MAX_ENTRIES, sizeof **names, "folders", names);
    for (const struct dirent *e; st.code == CB_OK && *n < MAX_ENTRIES && (e = readdir(dir));) {
        if (e->d_name[0] == '.' || strncmp(e->d_name, "test_data_set_", 14) == 0 ||
            !cb_path_print(path, "%s/%s", folder, e->d_name) || !cb_file_is_folder(path))
            continue;
        if (!((*names)[(*n)++] = cb_arena_printf(arena, "%s", e->d_name)))
            st = cb_fail(CB_ERR_NOMEM, "%s: too many folders", folder);
    }
    closedir(dir);
    if (st.code == CB_OK)
        qsort(*names, *n, sizeof **names, by_text);
    return st;
}

/* A case folder, or a folder of such. */
static struct cb_status visit(struct verify *v, const char *folder, int depth)
{
    struct cb_arena *arena = &v->cli->arena;
    const size_t mark = arena->used;
    const char **names;
    char path[PATH_MAX];
    size_t n;
    if (cb_path_print(path, "%s/model.onnx", folder) && cb_file_is_regular(path)) {
        const struct cb_status st = run_case(v, folder, path);
        report(v, folder, &st);
        return cb_ok();
    }
    CB_TRY(list_folders(arena, folder, &names, &n));
    for (size_t i = 0; i < n && depth < MAX_DEPTH; i++)
        if (cb_path_print(path, "%s/%s", folder, names[i]))
            CB_TRY(visit(v, path, depth + 1));
    cb_arena_rewind(arena, mark);
    return cb_ok();
}

static struct cb_status verify_all(struct verify *v)
{
    struct cb_buf text;
    v->json = cb_output_begin(&text);
    cb_json_open(&v->json, NULL, '{');
    cb_json_open(&v->json, "cases", '[');
    for (int i = 0; i < v->cli->args.n; i++) {
        const struct cb_status st = visit(v, v->cli->args.item[i], 0);
        if (st.code) {
            cb_buf_deinit(&text);
            return st;
        }
    }
    cb_json_close(&v->json, ']');
    cb_json_int(&v->json, "passed", v->count[RESULT_OK]);
    cb_json_int(&v->json, "failed", v->count[RESULT_FAIL]);
    cb_json_int(&v->json, "unsupported", v->count[RESULT_UNSUPPORTED]);
    cb_json_close(&v->json, '}');
    if (v->cli->json)
        return cb_output_json(&text, cb_ok());
    cb_buf_deinit(&text);
    printf("%d passed, %d failed, %d unsupported\n", v->count[RESULT_OK], v->count[RESULT_FAIL],
           v->count[RESULT_UNSUPPORTED]);
    return cb_ok();
}

static struct cb_status run(struct cb_cli *cli, const void *given)
{
    struct verify v = { .cli = cli, .options = given };
    struct cb_status st;
    CB_TRY(cb_arena_init(&v.arena, CASE_BUDGET));
    st = verify_all(&v);
    cb_arena_deinit(&v.arena);
    if (st.code == CB_OK && v.count[RESULT_FAIL])
        st = cb_fail(CB_ERR_CONTENT, "%d cases failed", v.count[RESULT_FAIL]);
    if (st.code == CB_OK && v.count[RESULT_OK] + v.count[RESULT_UNSUPPORTED] == 0)
        st = cb_fail(CB_ERR_NOT_FOUND,
                     "no case found: a folder with model.onnx and test_data_set_0 is one");
    return st;
}

const struct cb_verb cb_verb_verify = {
    .name = "verify",
    .usage = "DIR... [OPTIONS]",
    .summary = "run test cases laid out as ONNX's backend tests",
    .notes = "Each DIR is a case (model.onnx, test_data_set_N/input_K.pb, output_K.pb) or a\n"
             "folder of cases. A line a case: ok, FAIL or unsupported, the folder, why; then\n"
             "the counts. Types and shapes must be equal, whole numbers too; real numbers\n"
             "within the tolerances; NaN equals NaN. Exit status 1 when any failed. Deep\n"
             "networks whose outputs come near 0 want --of-largest 1e-4.\n",
    .examples = "  cambium verify onnx/backend/test/data/node\n"
                "  cambium verify models/squeezenet1.1 --atol 1e-4\n",
    .options = rows,
    .n_options = CB_COUNT_OF(rows),
    .defaults = &defaults,
    .size = sizeof defaults,
    .min_args = 1,
    .max_args = -1,
    .by_rule = true,
    .run = run,
};
