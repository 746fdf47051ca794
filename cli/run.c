/* cli/run.c - cambium run: a network on raw tensors, from files to files. */
#include <limits.h>
#include <string.h>

#include "cli/graph_run.h"
#include "cli/model_arg.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "core/base/file.h"
#include "importers/model/load.h"
#include "importers/tensor/npy.h"

#define TENSOR_BUDGET ((size_t)64 << 30) /* address space */

struct options {
    struct cb_texts inputs, tensors;
    const char *folder;
    bool no_passes;
};

static const struct options defaults;

/* clang-format off */
static const struct cb_option rows[] = {
    { .name = "input", .letter = 'i', .kind = CB_OPTION_MANY,
      .offset = offsetof(struct options, inputs), .value = "FILE...",
      .help = ".npy or TensorProto .pb, in the order of the network's inputs" },
    { .name = "output-dir", .letter = 'o', .kind = CB_OPTION_TEXT,
      .offset = offsetof(struct options, folder), .value = "DIR",
      .help = "where output_0.npy, output_1.npy, ... are written" },
    { .name = "tensor", .letter = 't', .kind = CB_OPTION_LIST,
      .offset = offsetof(struct options, tensors), .value = "NAME",
      .help = "a tensor inside the network, written too: NAME.npy" },
    { .name = "no-passes", .kind = CB_OPTION_FLAG, .offset = offsetof(struct options, no_passes),
      .help = "compute the network as it stands, nothing fused or folded" },
};
/* clang-format on */

static struct cb_status find_tensors(struct cb_cli *cli, const struct cb_graph *graph,
                                     const struct cb_texts *names, int **out)
{
    CB_TRY(cb_arena_get(&cli->arena, (size_t)names->n, sizeof **out, "tensors", out));
    for (int i = 0; i < names->n; i++)
        if (((*out)[i] = cb_graph_find(graph, names->item[i])) < 0)
            return cb_fail(CB_ERR_INPUT, "--tensor: the network has no tensor \"%s\"",
                           names->item[i]);
    return cb_ok();
}

/* graph NULL: not known yet. */
static struct cb_status read_inputs(const struct cb_graph *graph, const struct cb_texts *files,
                                    struct cb_arena *arena, struct cb_tensor **out)
{
    CB_TRY(cb_arena_get(arena, (size_t)files->n, sizeof **out, "inputs", out));
    for (int i = 0; i < files->n; i++) {
        const enum cb_dtype wanted =
            graph && i < graph->n_inputs ? graph->values[graph->inputs[i]].dtype : CB_DTYPE_NONE;
        CB_TRY(cb_tensor_file_read(files->item[i], wanted, arena, *out + i));
    }
    return cb_ok();
}

/* Where output i goes: by number, or for one asked for by name under that name without '/' and
 * ':'. */
static struct cb_status output_path(const struct options *options, int i, int n_outputs,
                                    char out[PATH_MAX])
{
    int n = i < n_outputs ? snprintf(out, PATH_MAX, "%s/output_%d.npy", options->folder, i)
                          : snprintf(out, PATH_MAX, "%s/%s.npy", options->folder,
                                     options->tensors.item[i - n_outputs]);
    if (n < 0 || n >= PATH_MAX)
        return cb_fail(CB_ERR_INPUT, "--output-dir: the path is too long");
    for (char *p = out + strlen(options->folder) + 1; i >= n_outputs && *p; p++)
        if (*p == '/' || *p == ':')
            *p = '_';
    return cb_ok();
}

static struct cb_status write_outputs(const struct cb_cli *cli, const struct cb_graph_run *run,
                                      const struct options *options)
{
    const struct cb_graph *g = &run->model->graph;
    struct cb_buf text;
    struct cb_json json = cb_output_begin(&text);
    struct cb_status st = cb_folder_make(options->folder);
    cb_json_open(&json, NULL, '[');
    for (int i = 0; i < g->n_outputs + run->n_extra && st.code == CB_OK; i++) {
        const struct cb_tensor *t = cb_graph_run_output(run, i);
        const char *name =
            g->values[i < g->n_outputs ? g->outputs[i] : run->extra[i - g->n_outputs]].name;
        char path[PATH_MAX], shape[CB_SHAPE_TEXT], clean[160];
        st = output_path(options, i, g->n_outputs, path);
        if (st.code == CB_OK)
            st = cb_npy_save(path, t);
        if (st.code == CB_OK && !cli->json)
            printf("%s: '%s' %s %s\n", path, cb_output_clean(name, clean, sizeof clean),
                   cb_dtype_get(t->dtype)->name, cb_shape_text(&t->shape, shape));
        cb_json_open(&json, NULL, '{');
        cb_json_text(&json, "file", path);
        cb_json_text(&json, "tensor", name);
        cb_json_text(&json, "dtype", cb_dtype_get(t->dtype)->name);
        cb_json_raw(&json, "shape", cb_shape_text(&t->shape, shape));
        cb_json_close(&json, '}');
    }
    cb_json_close(&json, ']');
    if (cli->json)
        return cb_output_json(&text, st);
    cb_buf_deinit(&text);
    return st;
}

static struct cb_status run_model(struct cb_cli *cli, const struct cb_model *model,
                                  const struct cb_tensor *inputs, struct cb_arena *arena,
                                  const struct options *options)
{
    int *extra;
    struct cb_status st;
    CB_TRY(find_tensors(cli, &model->graph, &options->tensors, &extra));
    struct cb_graph_run run = {
        .engine = &cli->engine,
        .model = model,
        .inputs = inputs,
        .n_inputs = options->inputs.n,
        .extra = extra,
        .n_extra = options->tensors.n,
        .no_passes = options->no_passes,
        .arena = arena,
    };
    st = cb_graph_run(&run);
    if (st.code == CB_OK)
        st = write_outputs(cli, &run, options);
    cb_graph_run_close(&run);
    return st;
}

/* The model, and its inputs: where If and Loop depend on these, it is opened for them. *model is
 * the caller's to destroy, also after a failure. */
static struct cb_status open_model(struct cb_cli *cli, const struct options *options,
                                   struct cb_arena *arena, struct cb_model **model,
                                   struct cb_tensor **inputs)
{
    const char *arg = cli->args.n ? cli->args.item[0] : NULL;
    struct cb_status st = cb_cli_open_model(cli, arg, CB_USE_TENSORS, model);
    if (st.code && st.code != CB_ERR_UNSUPPORTED)
        return st;
    CB_TRY(read_inputs(*model ? &(*model)->graph : NULL, &options->inputs, arena, inputs));
    if (st.code || (*model)->decided) {
        cb_model_destroy(*model);
        *model = NULL;
        st = cb_cli_open_model_for(cli, arg, *inputs, options->inputs.n, model);
    }
    return st;
}

static struct cb_status run(struct cb_cli *cli, const void *given)
{
    const struct options *options = given;
    struct cb_model *model = NULL;
    struct cb_tensor *inputs;
    struct cb_arena arena;
    struct cb_status st;
    if (!options->folder)
        return cb_cli_usage(cli, "--output-dir DIR is wanted");
    CB_TRY(cb_arena_init(&arena, TENSOR_BUDGET));
    st = open_model(cli, options, &arena, &model, &inputs);
    if (st.code == CB_OK)
        st = run_model(cli, model, inputs, &arena, options);
    cb_arena_deinit(&arena);
    cb_model_destroy(model);
    return st;
}

const struct cb_verb cb_verb_run = {
    .name = "run",
    .usage = "[MODEL] --input FILE... --output-dir DIR [--tensor NAME]...",
    .summary = "run a network on raw tensors",
    .notes = "Every output of the network is written in the type that it declares. In the\n"
             "name of a --tensor file, '/' and ':' become '_'.\n",
    .examples =
        "  cambium run model.onnx --input x.npy --output-dir out\n"
        "  cambium run model.onnx --input in_0.pb in_1.pb --output-dir out --tensor relu5\n",
    .options = rows,
    .n_options = CB_COUNT_OF(rows),
    .defaults = &defaults,
    .size = sizeof defaults,
    .min_args = 0,
    .max_args = 1,
    .run = run,
};
