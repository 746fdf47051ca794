/* cli/bench.c - cambium bench: how fast a network runs. Only the run itself is timed. */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "cli/bench_profile.h"
#include "cli/model_arg.h"
#include "cli/output.h"
#include "cli/quantising.h"
#include "cli/verbs.h"
#include "core/base/clock.h"
#include "core/exec/session.h"
#include "importers/model/load.h"

#define WARM_UPS 2
#define LEAST_RUNS 3
#define MOST_RUNS 100000
#define OPEN_SIDE 224

struct options {
    int batch;
    struct cb_size size;
    double seconds;
    bool profile;
};

static const struct options defaults = { .batch = 1, .seconds = 2 };

/* clang-format off */
static const struct cb_option rows[] = {
    { .name = "batch", .letter = 'b', .kind = CB_OPTION_INT,
      .offset = offsetof(struct options, batch), .value = "N", .help = "photos a run (1)",
      .min = 1, .max = 65536 },
    { .name = "size", .kind = CB_OPTION_SIZE, .offset = offsetof(struct options, size),
      .value = "HxW", .help = "of the input (the network's own; 224x224 where it is open)",
      .min = 1, .max = 16384 },
    { .name = "seconds", .letter = 's', .kind = CB_OPTION_REAL,
      .offset = offsetof(struct options, seconds), .value = "S",
      .help = "how long to measure (2)", .min = 0.001, .max = 86400 },
    { .name = "profile", .kind = CB_OPTION_FLAG, .offset = offsetof(struct options, profile),
      .help = "then time every node: which algorithm, how long, how near to the peak" },
};
/* clang-format on */

struct bench {
    const struct options *options;
    struct cb_model *model;
    bool picture; /* run as photos are: channels last */
    struct cb_arena *arena;
    struct cb_tensor *inputs;
    struct cb_plan *plan;
    struct cb_session *session;
    double began_ms, load_ms, first_result_ms; /* both from began_ms */
    double *times;                             /* [MOST_RUNS] milliseconds */
    struct cb_buf quantised;                   /* the file of b->model, where it was made here */
    int runs;
    struct cb_profile profile; /* where it is asked for */
};

/* Every size that is open, and the batch, whatever the network says of it. */
static void fill_shape(const struct bench *b, const struct cb_value *value, struct cb_shape *shape)
{
    const bool nhwc = b->picture && b->model->recipe.layout == CB_NHWC;
    const struct cb_size size = b->options->size;
    int64_t open[CB_MAX_RANK];
    *shape = value->shape;
    if (shape->rank < 0)
        *shape = (struct cb_shape){ 4, { -1, -1, -1, -1 } };
    for (int i = 0; i < CB_MAX_RANK; i++)
        open[i] = 1;
    if (shape->rank == 4) {
        open[nhwc ? 3 : 1] = b->picture ? b->model->channels : 3;
        open[nhwc ? 1 : 2] = size.height ? size.height : OPEN_SIDE;
        open[nhwc ? 2 : 3] = size.height ? size.width : OPEN_SIDE;
    }
    open[0] = b->options->batch;
    for (int i = 0; i < shape->rank; i++)
        if (shape->dim[i] < 0 || i == 0 ||
            (size.height && shape->rank == 4 && i >= (nhwc ? 1 : 2) && i < (nhwc ? 3 : 4)))
            shape->dim[i] = open[i];
}

/* Numbers in [-1, 1) from a linear congruence; whole numbers are 0. */
static struct cb_status make_input(struct bench *b, const struct cb_value *value,
                                   struct cb_tensor *out)
{
    uint32_t r = 12345;
    *out = (struct cb_tensor){ .dtype = value->dtype };
    fill_shape(b, value, &out->shape);
    if (!cb_shape_check(&out->shape))
        return cb_fail(CB_ERR_INPUT, "input '%s' would be too large", value->name);
    CB_TRY(cb_arena_get(b->arena, cb_tensor_count(out), cb_dtype_size(out->dtype), "input",
                        &out->data));
    for (size_t i = 0; cb_dtype_get(out->dtype)->is_float && i < cb_tensor_count(out); i++) {
        r = r * 1664525u + 1013904223u;
        out->f[i] = (float)(r >> 8) / 8388608.0f - 1.0f;
    }
    return cb_ok();
}

/* A network on photos when it is one; else any network. */
static struct cb_status open_model(struct cb_cli *cli, struct bench *b)
{
    const char *name = cli->args.n ? cli->args.item[0] : NULL;
    const struct cb_status st = cb_cli_open_model(cli, name, CB_USE_PHOTOS, &b->model);
    b->picture = st.code == CB_OK;
    if (st.code != CB_ERR_UNSUPPORTED && st.code != CB_ERR_INPUT)
        return st;
    return cb_cli_open_model(cli, name, CB_USE_TENSORS, &b->model);
}

static struct cb_status prepare(struct cb_cli *cli, struct bench *b)
{
    const struct cb_graph *g;
    struct cb_tensor *shapes;
    bool *known;
    b->began_ms = cb_clock_ms();
    CB_TRY(open_model(cli, b));
    g = &b->model->graph;
    CB_TRY(cb_arena_get(b->arena, (size_t)g->n_inputs, sizeof *shapes, "inputs", &shapes));
    CB_TRY(cb_arena_get(b->arena, (size_t)g->n_inputs, sizeof *known, "inputs", &known));
    CB_TRY(cb_arena_get(b->arena, (size_t)g->n_inputs, sizeof *b->inputs, "inputs", &b->inputs));
    CB_TRY(cb_plan_known_inputs(g, b->arena, known));
    for (int i = 0; i < g->n_inputs; i++) {
        if (known[i])
            return cb_fail(CB_ERR_UNSUPPORTED,
                           "input '%s' decides shapes: a network on random numbers is wanted",
                           g->values[g->inputs[i]].name);
        CB_TRY(make_input(b, &g->values[g->inputs[i]], &b->inputs[i]));
        shapes[i] = (struct cb_tensor){ .dtype = b->inputs[i].dtype, .shape = b->inputs[i].shape };
    }
    const bool nhwc_input = b->picture && b->model->recipe.layout == CB_NCHW;
    if (nhwc_input) {
        const int64_t *dim = b->inputs[0].shape.dim;
        shapes[0].shape = (struct cb_shape){ 4, { dim[0], dim[2], dim[3], dim[1] } };
    }
    if (strcmp(cli->precision, "int8") == 0) {
        CB_TRY(cb_quantising_exchange(cli, &b->model, shapes, nhwc_input, &b->quantised));
        g = &b->model->graph;
    }
    const struct cb_plan_options options = { .inputs = shapes, .nhwc_input = nhwc_input };
    CB_TRY(cb_plan_create(&cli->engine, g, b->model->weights, &options, &b->plan));
    CB_TRY(cb_session_create(b->plan, &b->session));
    b->load_ms = cb_clock_ms() - b->began_ms;
    return cb_ok();
}

static double run_once(struct bench *b)
{
    for (int i = 0; i < b->model->graph.n_inputs; i++)
        memcpy(cb_session_input(b->session, i)->data, b->inputs[i].data,
               cb_tensor_bytes(&b->inputs[i]));
    const double began = cb_clock_ms();
    cb_session_run(b->session);
    return cb_clock_ms() - began;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(struct bench *b)
{
    run_once(b);
    b->first_result_ms = cb_clock_ms() - b->began_ms;
    for (int i = 1; i < WARM_UPS; i++)
        run_once(b);
    const double end = cb_clock_ms() + b->options->seconds * 1e3;
    while (b->runs < LEAST_RUNS || (b->runs < MOST_RUNS && cb_clock_ms() < end))
        b->times[b->runs++] = run_once(b);
    qsort(b->times, (size_t)b->runs, sizeof *b->times, by_size);
}

static struct cb_status profile(struct cb_cli *cli, struct bench *b)
{
    CB_TRY(
        cb_profile_measure(cli, b->plan, b->session, b->inputs, b->options->seconds, &b->profile));
    b->profile.packed_bytes = cb_weights_bytes(b->model->weights);
    return cb_ok();
}

static struct cb_status answer(const struct cb_cli *cli, const struct bench *b)
{
    const double median = b->times[b->runs / 2];
    const double rate = b->options->batch / median * 1e3;
    const int threads = (int)cb_threads_count(cli->engine.threads);
    char shape[CB_SHAPE_TEXT];
    struct rusage use;
    struct cb_buf text;
    getrusage(RUSAGE_SELF, &use);
    if (!cli->json) {
        printf("%s %s: %.3f ms (best %.3f), %.1f images/s, %d threads, %s, %s, peak %.1f MB, "
               "loaded in %.1f ms, %d runs\n",
               b->model->name, cb_shape_text(&b->inputs[0].shape, shape), median, b->times[0], rate,
               threads, cli->engine.kernels.name, cli->precision, (double)use.ru_maxrss / 1024,
               b->load_ms, b->runs);
        if (b->options->profile)
            cb_profile_print(&b->profile);
        return cb_ok();
    }
    struct cb_json json = cb_output_begin(&text);
    cb_json_open(&json, NULL, '{');
    cb_json_real(&json, "median_ms", median);
    cb_json_real(&json, "min_ms", b->times[0]);
    cb_json_real(&json, "images_per_second", rate);
    cb_json_int(&json, "batch", b->options->batch);
    cb_json_int(&json, "threads", threads);
    cb_json_text(&json, "isa", cli->engine.kernels.name);
    cb_json_text(&json, "precision", cli->precision);
    cb_json_real(&json, "peak_rss_mb", (double)use.ru_maxrss / 1024);
    cb_json_real(&json, "load_ms", b->load_ms);
    cb_json_real(&json, "first_result_ms", b->first_result_ms);
    cb_json_int(&json, "runs", b->runs);
    if (b->options->profile)
        cb_profile_json(&b->profile, &json);
    cb_json_close(&json, '}');
    return cb_output_json(&text, cb_ok());
}

static struct cb_status run(struct cb_cli *cli, const void *given)
{
    struct bench b = { .options = given, .arena = &cli->arena };
    struct cb_status st;
    st = cb_arena_get(b.arena, MOST_RUNS, sizeof *b.times, "times", &b.times);
    if (st.code == CB_OK)
        st = prepare(cli, &b);
    if (st.code == CB_OK && b.model->graph.n_inputs == 0)
        st = cb_fail(CB_ERR_UNSUPPORTED, "%s has no input", b.model->name);
    if (st.code == CB_OK) {
        measure(&b);
        if (b.options->profile)
            st = profile(cli, &b);
    }
    if (st.code == CB_OK)
        st = answer(cli, &b);
    cb_session_destroy(b.session);
    cb_plan_destroy(b.plan);
    cb_model_destroy(b.model);
    cb_buf_deinit(&b.quantised);
    return st;
}

const struct cb_verb cb_verb_bench = {
    .name = "bench",
    .usage = "[MODEL] [--batch N] [--size HxW] [--seconds S] [--profile]",
    .summary = "measure how fast a network runs",
    .notes = "The input is random; two runs warm up; only the network's own run is timed.\n"
             "--precision int8 too: a network of reals is quantised first, with ranges from\n"
             "random inputs (for real ones: cambium quantize).\n"
             "With --json: {\"median_ms\",\"min_ms\",\"images_per_second\",\"batch\",\n"
             "\"threads\",\"isa\",\"precision\",\"peak_rss_mb\",\"load_ms\",\n"
             "\"first_result_ms\",\"runs\"}.\n"
             "With --profile too: \"profile\": {\"ms\",\"runs\",\"gflops\",\"peak_gflops\",\n"
             "\"activation_bytes\",\"packed_bytes\",\"nodes\":[{\"name\",\"op\",\"algorithm\",\n"
             "\"shape\",\"ms\",\"share\",\"gflops\",\"of_peak\"}],\"operators\",\"algorithms\"}.\n",
    .examples = "  cambium bench squeezenet1.1\n"
                "  cambium bench model.onnx --batch 8 --threads 2 --isa avx2 --json\n"
                "  cambium bench resnet50 --threads 1 --profile\n",
    .options = rows,
    .n_options = CB_COUNT_OF(rows),
    .defaults = &defaults,
    .size = sizeof defaults,
    .min_args = 0,
    .max_args = 1,
    .quantises = true,
    .run = run,
};
