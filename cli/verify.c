/* cli/verify.c - cambium verify: folders of test cases as ONNX's backend tests lay them out. */
#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/graph_run.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "core/base/file.h"
#include "importers/model/load.h"
#include "importers/tensor/convert.h"
#include "importers/tensor/pb.h"

#define CASE_BUDGET ((size_t)16 << 30) /* address space of one case's tensors */
#define MAX_DEPTH 4
#define MAX_ENTRIES 100000
#define MAX_INPUTS 4096 /* of a case */
#define BLOCK 64        /* cases that are told at once */

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

/* A worker's own. */
struct bench {
    const struct cb_engine *engine;
    const struct options *options;
    struct cb_cache *cache;
    struct cb_arena arena; /* of the case that runs */
};

struct test_case {
    const char *folder;
    struct cb_status st;
};

struct verify {
    struct cb_cli *cli;
    const struct options *options;
    struct test_case *cases;
    size_t n_cases, cap_cases;
    struct bench *benches;
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

static double relative_tolerance(const struct bench *v, enum cb_dtype dtype)
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
static double absolute_tolerance(const struct bench *v, const struct cb_tensor *want)
{
    double largest = 0;
    for (size_t i = 0; i < cb_tensor_count(want); i++)
        if (isfinite(want->f[i]))
            largest = fmax(largest, fabs((double)want->f[i]));
    return fmax(v->options->atol, v->options->of_largest * largest);
}

static struct cb_status compare_reals(const struct bench *v, const struct cb_tensor *got,
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

static struct cb_status compare(struct bench *v, const struct cb_tensor *result,
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

/* Whether a file of test data holds what the model has a value of its own for: an initialiser that
 * is declared as an input. */
static bool is_constant(struct bench *v, const struct cb_model *model, const char *path)
{
    const struct cb_graph *g = model ? &model->graph : NULL;
    struct cb_bytes file;
    if (!g || !cb_path_ending(path, ".pb") || cb_file_map(path, &file).code)
        return false;
    const char *name = cb_pb_name(&v->arena, file);
    const int value = name ? cb_graph_find(g, name) : -1;
    cb_file_unmap(&file);
    return value >= 0 && g->values[value].data;
}

/* Inputs of a data set; model NULL: not known yet. */
static struct cb_status read_inputs(struct bench *v, const struct cb_model *model,
                                    const char *folder, struct cb_tensor **out, int *n)
{
    struct cb_tensor *inputs;
    char path[PATH_MAX];
    CB_TRY(cb_arena_get(&v->arena, MAX_INPUTS, sizeof *inputs, "inputs", &inputs));
    *n = 0;
    for (int i = 0; i < MAX_INPUTS && find_tensor(folder, "input", i, path); i++) {
        const struct cb_graph *g = model ? &model->graph : NULL;
        const enum cb_dtype wanted =
            g && *n < g->n_inputs ? g->values[g->inputs[*n]].dtype : CB_DTYPE_NONE;
        if (is_constant(v, model, path))
            continue;
        CB_TRY(cb_tensor_file_read(path, wanted, &v->arena, &inputs[*n]));
        ++*n;
    }
    *out = inputs;
    return cb_ok();
}

static struct cb_status compare_outputs(struct bench *v, const char *folder,
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

static struct cb_status run_on(struct bench *v, const struct cb_model *model, const char *folder,
                               const struct cb_tensor *inputs, int n_inputs)
{
    struct cb_graph_run run = {
        .engine = v->engine,
        .model = model,
        .inputs = inputs,
        .n_inputs = n_inputs,
        .no_passes = v->options->no_passes,
        .any_shape = true,
        .arena = &v->arena,
    };
    struct cb_status st = cb_graph_run(&run);
    if (st.code == CB_OK)
        st = compare_outputs(v, folder, &run);
    cb_graph_run_close(&run);
    return st;
}

/* `model` NULL, or decided by its inputs: it is loaded for these. */
static struct cb_status run_data_set(struct bench *v, const struct cb_model_source *source,
                                     const struct cb_model *model, const char *folder)
{
    struct cb_model_source for_inputs = *source;
    struct cb_model *own = NULL;
    struct cb_tensor *inputs;
    struct cb_status st = read_inputs(v, model, folder, &inputs, &for_inputs.n_inputs);
    if (st.code == CB_OK && (!model || model->decided)) {
        for_inputs.inputs = inputs;
        st = cb_model_load(&for_inputs, &own);
    }
    if (st.code == CB_OK)
        st = run_on(v, own ? own : model, folder, inputs, for_inputs.n_inputs);
    cb_model_destroy(own);
    return st;
}

/* All data sets of a case, until one fails. What is not supported may be so with the inputs. */
static struct cb_status run_case(struct bench *v, const char *folder)
{
    char path[PATH_MAX], file[PATH_MAX];
    struct cb_model_source source = { .path = file, .graph_only = true, .cache = v->cache };
    struct cb_model *model = NULL;
    struct cb_status st;
    int n = 0;
    if (!cb_path_print(file, "%s/model.onnx", folder))
        return cb_fail(CB_ERR_INPUT, "the path is too long");
    st = cb_model_load(&source, &model);
    const bool retry = st.code == CB_ERR_UNSUPPORTED;
    for (; st.code == CB_OK || (retry && n == 0); n++) {
        if (!cb_path_print(path, "%s/test_data_set_%d", folder, n) || !cb_file_is_folder(path))
            break;
        st = run_data_set(v, &source, model, path);
        cb_arena_rewind(&v->arena, 0);
    }
    cb_model_destroy(model);
    return n || st.code ? st : cb_fail(CB_ERR_CONTENT, "there is no test_data_set_0");
}

static void report(struct verify *v, const struct test_case *c)
{
    const struct cb_status *st = &c->st;
    const char *folder = c->folder;
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

static struct cb_status add_case(struct verify *v, const char *folder)
{
    struct cb_arena *arena = &v->cli->arena;
    if (v->n_cases == v->cap_cases) {
        const size_t cap = v->cap_cases ? 2 * v->cap_cases : 64;
        struct test_case *grown;
        CB_TRY(cb_arena_get(arena, cap, sizeof *grown, "cases", &grown));
        if (v->n_cases)
            memcpy(grown, v->cases, v->n_cases * sizeof *grown);
        v->cases = grown;
        v->cap_cases = cap;
    }
    const char *copy = cb_arena_text(arena, folder, strlen(folder));
    v->cases[v->n_cases++] = (struct test_case){ .folder = copy };
    return copy ? cb_ok() : cb_fail(CB_ERR_NOMEM, "%s: too many folders", folder);
}

/* A case folder, or a folder of such. */
static struct cb_status visit(struct verify *v, const char *folder, int depth)
{
    const char **names;
    char path[PATH_MAX];
    size_t n;
    if (cb_path_print(path, "%s/model.onnx", folder) && cb_file_is_regular(path))
        return add_case(v, folder);
    CB_TRY(list_folders(&v->cli->arena, folder, &names, &n));
    for (size_t i = 0; i < n && depth < MAX_DEPTH; i++)
        if (cb_path_print(path, "%s/%s", folder, names[i]))
            CB_TRY(visit(v, path, depth + 1));
    return cb_ok();
}

static void run_one(void *ctx, size_t i, size_t worker)
{
    struct verify *v = ctx;
    v->cases[i].st = run_case(&v->benches[worker], v->cases[i].folder);
}

/* Cases beside each other, each on one thread; few cases one after the other, on all threads. They
 * are told in order, after each block. */
static struct cb_status run_cases(struct verify *v)
{
    struct cb_engine *engine = &v->cli->engine, alone = *engine;
    const size_t threads = cb_threads_count(engine->threads);
    const size_t n = v->n_cases < 2 * threads ? 1 : threads, block = n == 1 ? 1 : BLOCK;
    struct cb_status st = cb_ok();
    alone.threads = NULL;
    CB_TRY(cb_arena_get(&v->cli->arena, n, sizeof *v->benches, "cases", &v->benches));
    for (size_t i = 0; i < n && st.code == CB_OK; i++) {
        v->benches[i] = (struct bench){ .engine = n == 1 ? engine : &alone,
                                        .options = v->options,
                                        .cache = v->cli->cache };
        st = cb_arena_init(&v->benches[i].arena, CASE_BUDGET);
    }
    struct verify part = *v;
    for (size_t at = 0; at < v->n_cases && st.code == CB_OK; at += block) {
        const size_t left = v->n_cases - at, count = left < block ? left : block;
        part.cases = v->cases + at;
        cb_threads_for(n == 1 ? NULL : engine->threads, count, run_one, &part);
        for (size_t i = 0; i < count; i++)
            report(v, &part.cases[i]);
    }
    for (size_t i = 0; i < n; i++)
        cb_arena_deinit(&v->benches[i].arena);
    return st;
}

static struct cb_status verify_all(struct verify *v)
{
    struct cb_buf text;
    struct cb_status st = cb_ok();
    for (int i = 0; i < v->cli->args.n; i++)
        CB_TRY(visit(v, v->cli->args.item[i], 0));
    v->json = cb_output_begin(&text);
    cb_json_open(&v->json, NULL, '{');
    cb_json_open(&v->json, "cases", '[');
    st = run_cases(v);
    cb_json_close(&v->json, ']');
    cb_json_int(&v->json, "passed", v->count[RESULT_OK]);
    cb_json_int(&v->json, "failed", v->count[RESULT_FAIL]);
    cb_json_int(&v->json, "unsupported", v->count[RESULT_UNSUPPORTED]);
    cb_json_close(&v->json, '}');
    if (v->cli->json)
        return cb_output_json(&text, st);
    cb_buf_deinit(&text);
    if (st.code == CB_OK)
        printf("%d passed, %d failed, %d unsupported\n", v->count[RESULT_OK], v->count[RESULT_FAIL],
               v->count[RESULT_UNSUPPORTED]);
    return st;
}

static struct cb_status run(struct cb_cli *cli, const void *given)
{
    struct verify v = { .cli = cli, .options = given };
    struct cb_status st = verify_all(&v);
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
             "within the tolerances; NaN equals NaN. Exit status 1 when any failed. Many cases\n"
             "run beside each other, each on one thread. Where If or Loop depend on inputs, the\n"
             "model is loaded for those of the case. Deep networks whose outputs come near 0\n"
             "want --of-largest 1e-4.\n",
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
