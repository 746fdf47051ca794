#include "cli/quantising.h"

#include <string.h>

#include "core/base/rng.h"
#include "importers/model/load.h"
#include "importers/onnx/quantise/quantise.h"

#define RANDOM_RUNS 4
#define BUDGET ((size_t)8 << 30) /* address space: tables, and one layer's weights */

struct cb_status cb_quantising_open(struct cb_cli *cli, const struct cb_model *model,
                                    const struct cb_tensor *inputs, bool nhwc_input,
                                    struct cb_quantising *out)
{
    const struct cb_plan_options shapes = { .inputs = inputs,
                                            .nhwc_input = nhwc_input,
                                            .shapes_only = true };
    struct cb_calibration_options calibration = { .graph = &model->graph,
                                                  .weights = model->weights,
                                                  .inputs = inputs,
                                                  .nhwc_input = nhwc_input };
    *out = (struct cb_quantising){ .model = model };
    if (model->trained_here)
        return cb_fail(CB_ERR_UNSUPPORTED,
                       "%s is a head alone: quantise its export, which holds the trunk too",
                       model->name);
    CB_TRY(cb_arena_init(&out->arena, BUDGET));
    struct cb_status st =
        cb_plan_create(&cli->engine, &model->graph, model->weights, &shapes, &out->shapes);
    if (!st.code)
        st = cb_context(cb_onnx_quantise_create(&out->arena, cb_model_file(model), &model->graph,
                                                cb_plan_graph(out->shapes), &out->file),
                        "%s", model->name);
    if (!st.code) {
        calibration.values = cb_onnx_quantise_values(out->file, &calibration.n_values);
        st = cb_calibration_create(&cli->engine, &calibration, &out->calibration);
    }
    if (st.code)
        cb_quantising_close(out);
    return st;
}

void cb_quantising_close(struct cb_quantising *quantising)
{
    cb_calibration_destroy(quantising->calibration);
    cb_plan_destroy(quantising->shapes);
    quantising->calibration = NULL;
    quantising->shapes = NULL;
    cb_arena_deinit(&quantising->arena);
}

/* labels.txt's form: one a line. */
static struct cb_status join_labels(struct cb_quantising *q, char **out)
{
    size_t len = 0, at = 0;
    for (int i = 0; i < q->model->n_labels; i++)
        len += strlen(q->model->labels[i]) + 1;
    CB_TRY(cb_arena_get(&q->arena, len + 1, 1, "labels", out));
    for (int i = 0; i < q->model->n_labels; i++) {
        const size_t n = strlen(q->model->labels[i]);
        memcpy(*out + at, q->model->labels[i], n);
        (*out)[at + n] = '\n';
        at += n + 1;
    }
    return cb_ok();
}

struct cb_status cb_quantising_second(struct cb_quantising *quantising)
{
    struct cb_arena *arena = &quantising->arena;
    const float **peaks, **factors;
    size_t *counts;
    int n;
    (void)cb_onnx_quantise_values(quantising->file, &n);
    CB_TRY(cb_arena_get(arena, (size_t)n, sizeof *peaks, "peaks", &peaks));
    CB_TRY(cb_arena_get(arena, (size_t)n, sizeof *factors, "factors", &factors));
    CB_TRY(cb_arena_get(arena, (size_t)n, sizeof *counts, "factors", &counts));
    for (int i = 0; i < n; i++)
        peaks[i] = cb_calibration_peaks(quantising->calibration, i, &counts[i]);
    CB_TRY(cb_onnx_quantise_balance(quantising->file, peaks, counts, factors));
    return cb_calibration_second(quantising->calibration, factors);
}

/* A folded BatchNormalization no longer shows where the classifier begins: the recipe names the
 * tensors that were found before. */
static void name_tensor(const struct cb_model *model, int value, char name[CB_TENSOR_NAME_MAX])
{
    const char *text = value >= 0 ? model->graph.values[value].name : "";
    if (!name[0] && strlen(text) < CB_TENSOR_NAME_MAX)
        memcpy(name, text, strlen(text) + 1);
}

struct cb_status cb_quantising_write(struct cb_quantising *quantising,
                                     enum cb_calibration_method method, struct cb_buf *out)
{
    struct cb_onnx_property properties[2];
    struct cb_onnx_range *ranges;
    int n, n_properties = 0;
    char *text;
    const int *values = cb_onnx_quantise_values(quantising->file, &n);
    CB_TRY(cb_arena_get(&quantising->arena, (size_t)n, sizeof *ranges, "ranges", &ranges));
    for (int i = 0; i < n; i++) {
        /* pixels: their extremes are those of the grid that they lie on */
        const bool input = values[i] == quantising->model->input;
        cb_calibration_range(quantising->calibration, i, input ? CB_CALIBRATION_EXTREMES : method,
                             &ranges[i].lo, &ranges[i].hi);
        ranges[i].means = cb_calibration_means(quantising->calibration, i, &ranges[i].n_means);
    }
    if (quantising->model->input >= 0) {
        struct cb_recipe recipe = quantising->model->recipe;
        name_tensor(quantising->model, quantising->model->bottleneck, recipe.bottleneck);
        name_tensor(quantising->model, quantising->model->cam_layer, recipe.cam_layer);
        CB_TRY(cb_recipe_print(&recipe, &quantising->arena, &text));
        properties[n_properties++] = (struct cb_onnx_property){ "cambium.recipe", text };
    }
    if (quantising->model->labels) {
        CB_TRY(join_labels(quantising, &text));
        properties[n_properties++] = (struct cb_onnx_property){ "cambium.labels", text };
    }
    cb_buf_init(out, SIZE_MAX / 2);
    const struct cb_status st =
        cb_onnx_quantise_write(quantising->file, ranges, properties, n_properties, out);
    if (st.code)
        cb_buf_deinit(out);
    return st;
}

static bool is_quantised(const struct cb_graph *g)
{
    for (int i = 0; i < g->n_nodes; i++)
        if (g->nodes[i].op == CB_OP_DEQUANTIZE)
            return true;
    return false;
}

static void run_random(struct cb_quantising *q, int n_inputs)
{
    struct cb_rng rng = cb_rng_seed(1);
    for (int run = 0; run < RANDOM_RUNS; run++) {
        for (int i = 0; i < n_inputs; i++) {
            struct cb_tensor *t = cb_calibration_input(q->calibration, i);
            if (cb_dtype_get(t->dtype)->is_float)
                cb_rng_fill(&rng, cb_tensor_count(t), t->f);
            else
                memset(t->data, 0, cb_tensor_bytes(t));
        }
        cb_calibration_run(q->calibration);
    }
}

struct cb_status cb_quantising_exchange(struct cb_cli *cli, struct cb_model **model,
                                        const struct cb_tensor *inputs, bool nhwc_input,
                                        struct cb_buf *file)
{
    struct cb_quantising q;
    struct cb_model_source source = { .name = (*model)->name,
                                      .graph_only = (*model)->input < 0,
                                      .no_digest = true };
    struct cb_model *small;
    if (is_quantised(&(*model)->graph))
        return cb_ok();
    CB_TRY(cb_quantising_open(cli, *model, inputs, nhwc_input, &q));
    run_random(&q, (*model)->graph.n_inputs);
    struct cb_status st = cb_quantising_second(&q);
    if (!st.code) {
        run_random(&q, (*model)->graph.n_inputs);
        st = cb_quantising_write(&q, CB_CALIBRATION_MSE, file);
    }
    cb_quantising_close(&q);
    CB_TRY(st);
    source.bytes = (struct cb_bytes){ (uint8_t *)file->data, file->len };
    CB_TRY(cb_model_load(&source, &small));
    cb_model_destroy(*model);
    *model = small;
    return cb_ok();
}
