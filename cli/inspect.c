/* cli/inspect.c - cambium inspect: what a network is made of, and how photos reach it. */

#include "cli/drawing.h"
#include "cli/layers.h"
#include "cli/model_arg.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "core/exec/plan.h"
#include "importers/model/load.h"

struct options {
    const char *dot, *svg;
};

static const struct options defaults;

/* clang-format off */
static const struct cb_option rows[] = {
    { .name = "dot", .kind = CB_OPTION_TEXT, .offset = offsetof(struct options, dot),
      .value = "FILE", .help = "the graph in Graphviz's language" },
    { .name = "svg", .kind = CB_OPTION_TEXT, .offset = offsetof(struct options, svg),
      .value = "FILE", .help = "the graph as a picture" },
};
/* clang-format on */

struct report {
    struct cb_cli *cli;
    const struct options *options;
    struct cb_model *model;
    bool picture;
    struct cb_status why_not;     /* why it takes no photos */
    const struct cb_graph *graph; /* with shapes, where they are known */
    bool sized;
    char *recipe;
    struct cb_layers layers;
    uint64_t parameters;
};

/* The input at the size that photos come in, else as it is declared; false when a size is open. */
static bool size_inputs(const struct report *r, struct cb_tensor *inputs)
{
    const struct cb_graph *g = &r->model->graph;
    const bool nhwc = r->model->recipe.layout == CB_NHWC;
    int height, width;
    for (int i = 0; i < g->n_inputs; i++) {
        inputs[i] = (struct cb_tensor){ .dtype = g->values[g->inputs[i]].dtype,
                                        .shape = g->values[g->inputs[i]].shape };
        if (r->picture) {
            cb_model_default_size(r->model, &height, &width);
            inputs[i].shape =
                nhwc ? (struct cb_shape){ 4, { 1, height, width, r->model->channels } }
                     : (struct cb_shape){ 4, { 1, r->model->channels, height, width } };
            inputs[i].shape.dim[0] = r->model->batch ? r->model->batch : 1;
        }
        if (inputs[i].shape.rank > 0 && inputs[i].shape.dim[0] < 0)
            inputs[i].shape.dim[0] = 1; /* an open batch */
        if (!cb_shape_check(&inputs[i].shape))
            return false;
    }
    return true;
}

static void add_shape(struct cb_json *json, const char *key, const struct cb_shape *shape)
{
    if (shape->rank < 0) {
        cb_json_raw(json, key, NULL);
        return;
    }
    cb_json_open(json, key, '[');
    for (int i = 0; i < shape->rank; i++)
        if (shape->dim[i] < 0)
            cb_json_raw(json, NULL, NULL);
        else
            cb_json_int(json, NULL, shape->dim[i]);
    cb_json_close(json, ']');
}

static void add_value(struct cb_json *json, const char *key, const struct cb_value *value)
{
    cb_json_open(json, key, '{');
    cb_json_text(json, "name", value->name);
    cb_json_text(json, "dtype", cb_dtype_get(value->dtype)->name);
    add_shape(json, "shape", &value->shape);
    cb_json_close(json, '}');
}

static void add_values(struct cb_json *json, const char *key, const struct cb_graph *graph,
                       const int *values, int n)
{
    cb_json_open(json, key, '[');
    for (int i = 0; i < n; i++)
        add_value(json, NULL, &graph->values[values[i]]);
    cb_json_close(json, ']');
}

static void add_named(struct cb_json *json, const char *key, const struct report *r, int value)
{
    if (value < 0)
        cb_json_raw(json, key, NULL);
    else
        add_value(json, key, &r->graph->values[value]);
}

static void add_photo_side(struct cb_json *json, const struct report *r)
{
    const struct cb_model *m = r->model;
    char digest[CB_DIGEST_TEXT];
    cb_digest_text(&m->digest, digest);
    cb_json_text(json, "digest", digest);
    cb_json_int(json, "classes", m->classes);
    cb_json_int(json, "labels", m->n_labels);
    cb_json_bool(json, "trained_here", m->trained_here);
    cb_json_raw(json, "recipe", r->recipe);
    cb_json_bool(json, "recipe_assumed", m->recipe.assumed);
    add_named(json, "logits", r, m->logits);
    add_named(json, "bottleneck", r, m->bottleneck);
    add_named(json, "cam_layer", r, m->cam_layer);
}

/* Bytes of what the layers make, one image at a time and in float32: all, and what is needed at one
 * time. Plans that fuse layers or slice batches take less. */
static void add_memory(struct cb_json *json, const struct report *r)
{
    if (!r->sized)
        return;
    cb_json_int(json, "activation_bytes", (int64_t)r->layers.bytes);
    cb_json_int(json, "activation_bytes_at_once", (int64_t)r->layers.bytes_at_once);
}

static void add_places(struct cb_json *json, const char *key, const struct report *r,
                       const struct cb_field *field,
                       double (*get)(const struct cb_field_axis *axis))
{
    cb_json_open(json, key, '[');
    for (int i = 0; i < r->layers.places; i++) {
        const struct cb_field_axis *axis = cb_field_along(field, i);
        if (axis)
            cb_json_real(json, NULL, get(axis));
        else
            cb_json_raw(json, NULL, NULL);
    }
    cb_json_close(json, ']');
}

static double get_size(const struct cb_field_axis *axis)
{
    return cb_field_size(axis);
}

static double get_stride(const struct cb_field_axis *axis)
{
    return axis->stride;
}

static double get_offset(const struct cb_field_axis *axis)
{
    return axis->start;
}

static void add_field(struct cb_json *json, const struct report *r, const struct cb_field *field)
{
    if (!field || !field->depends) {
        cb_json_raw(json, "receptive_field", NULL);
        return;
    }
    cb_json_open(json, "receptive_field", '{');
    add_places(json, "size", r, field, get_size);
    add_places(json, "stride", r, field, get_stride);
    add_places(json, "offset", r, field, get_offset);
    cb_json_bool(json, "whole", field->whole);
    cb_json_close(json, '}');
}

static void add_layer(struct cb_json *json, const struct report *r, const struct cb_layer *layer)
{
    cb_json_open(json, NULL, '{');
    cb_json_text(json, "name", layer->name);
    cb_json_text(json, "op", layer->op);
    cb_json_text(json, "output", layer->output);
    add_shape(json, "shape", &layer->shape);
    cb_json_int(json, "parameters", (int64_t)layer->parameters);
    cb_json_int(json, "macs", (int64_t)layer->macs);
    if (r->sized)
        cb_json_int(json, "activation_bytes", (int64_t)layer->bytes);
    add_field(json, r, layer->field);
    cb_json_close(json, '}');
}

static struct cb_status print_json(const struct report *r)
{
    const struct cb_model *m = r->model;
    struct cb_buf text;
    struct cb_json json = cb_output_begin(&text);
    cb_json_open(&json, NULL, '{');
    cb_json_text(&json, "name", m->name);
    cb_json_int(&json, "version", m->version);
    cb_json_int(&json, "opset", m->opset);
    cb_json_bool(&json, "picture", r->picture);
    if (r->picture)
        add_photo_side(&json, r);
    else
        cb_json_text(&json, "no_picture", r->why_not.msg);
    add_values(&json, "inputs", &m->graph, m->graph.inputs, m->graph.n_inputs);
    add_values(&json, "outputs", r->graph, m->graph.outputs, m->graph.n_outputs);
    cb_json_int(&json, "parameters", (int64_t)r->parameters);
    cb_json_int(&json, "macs", (int64_t)r->layers.macs);
    add_memory(&json, r);
    cb_json_open(&json, "layers", '[');
    for (int i = 0; i < r->layers.n; i++)
        add_layer(&json, r, &r->layers.item[i]);
    cb_json_close(&json, ']');
    cb_json_open(&json, "unsupported", '[');
    cb_json_close(&json, ']');
    cb_json_close(&json, '}');
    return cb_output_json(&text, cb_ok());
}

static void print_value(const char *what, const struct cb_graph *graph, int value)
{
    char shape[CB_SHAPE_TEXT], clean[200];
    if (value < 0) {
        printf("%-12s none\n", what);
        return;
    }
    const struct cb_value *v = &graph->values[value];
    printf("%-12s '%s' %s %s\n", what, cb_output_clean(v->name, clean, sizeof clean),
           cb_dtype_get(v->dtype)->name, cb_shape_text(&v->shape, shape));
}

static void print_photo_side(const struct report *r)
{
    const struct cb_model *m = r->model;
    if (m->classes)
        printf("%-12s %d, %s\n", "classes", m->classes,
               m->n_labels ? "with labels" : "without labels");
    else
        printf("%-12s none: the network gives features\n", "classes");
    print_value("bottleneck", r->graph, m->bottleneck);
    print_value("CAM layer", r->graph, m->cam_layer);
    printf("%-12s %s\n", "recipe", r->recipe);
    if (m->recipe.assumed)
        printf("%-12s (assumed: neither a recipe.json nor the file's metadata say how photos "
               "become the input)\n",
               "");
}

#define COLUMNS "%-32s %-20s %-32s %-20s "

static void print_layers(const struct report *r)
{
    char shape[CB_SHAPE_TEXT], name[48], output[48], field[CB_FIELD_TEXT];
    printf(COLUMNS "%12s %14s %12s  %s\n", "layer", "operator", "output", "shape", "parameters",
           "MACs", "bytes", "receptive field");
    for (int i = 0; i < r->layers.n; i++) {
        const struct cb_layer *layer = &r->layers.item[i];
        printf(COLUMNS "%12llu %14llu %12llu  %s\n",
               cb_output_clean(layer->name, name, sizeof name), layer->op,
               cb_output_clean(layer->output, output, sizeof output),
               cb_shape_text(&layer->shape, shape), (unsigned long long)layer->parameters,
               (unsigned long long)layer->macs, (unsigned long long)layer->bytes,
               cb_layer_field_text(&r->layers, layer, field));
    }
    snprintf(name, sizeof name, "%d layers", r->layers.n);
    printf(COLUMNS "%12llu %14llu %12llu\n", "total", name, "", "",
           (unsigned long long)r->parameters, (unsigned long long)r->layers.macs,
           (unsigned long long)r->layers.bytes);
}

static struct cb_status print_text(const struct report *r)
{
    const struct cb_model *m = r->model;
    printf("%-12s %s, opset %d\n", "model", m->name, m->opset);
    for (int i = 0; i < m->graph.n_inputs; i++)
        print_value("input", &m->graph, m->graph.inputs[i]);
    for (int i = 0; i < m->graph.n_outputs; i++)
        print_value("output", r->graph, m->graph.outputs[i]);
    printf("%-12s %.3f million\n", "parameters", (double)r->parameters / 1e6);
    if (r->sized)
        printf("%-12s %.3f million\n", "MACs", (double)r->layers.macs / 1e6);
    if (r->sized)
        printf("%-12s %.3f MB in all, %.3f MB at once\n", "activations",
               (double)r->layers.bytes / 1e6, (double)r->layers.bytes_at_once / 1e6);
    if (r->picture)
        print_photo_side(r);
    else
        printf("%-12s no: %s\n", "photos", r->why_not.msg);
    printf("%-12s nothing\n\n", "unsupported");
    print_layers(r);
    return cb_ok();
}

static struct cb_status list_layers(struct report *r)
{
    const bool channels_last = r->picture && r->model->recipe.layout == CB_NHWC;
    r->parameters = cb_model_parameters(r->model);
    return cb_layers_list(r->graph, r->sized, channels_last, &r->cli->arena, &r->layers);
}

static struct cb_status draw_file(const struct report *r, const char *path,
                                  struct cb_status (*draw)(const struct cb_layers *layers,
                                                           struct cb_arena *arena,
                                                           struct cb_buf *out))
{
    struct cb_buf buf;
    struct cb_status st;
    if (!path)
        return cb_ok();
    cb_buf_init(&buf, CB_DRAWING_LIMIT);
    st = draw(&r->layers, &r->cli->arena, &buf);
    if (st.code == CB_OK && buf.failed)
        st = cb_fail(CB_ERR_NOMEM, "%s: the drawing is too large", path);
    if (st.code == CB_OK)
        st = cb_file_write(path, buf.data, buf.len);
    cb_buf_deinit(&buf);
    return st;
}

static struct cb_status draw(const struct report *r)
{
    CB_TRY(draw_file(r, r->options->dot, cb_drawing_dot));
    return draw_file(r, r->options->svg, cb_drawing_svg);
}

/* With shapes where the input's size is known, else as the file declares them. */
static struct cb_status describe(struct report *r)
{
    const struct cb_graph *g = &r->model->graph;
    struct cb_tensor *inputs;
    struct cb_plan *plan = NULL;
    struct cb_status st = cb_ok();
    CB_TRY(cb_arena_get(&r->cli->arena, (size_t)g->n_inputs, sizeof *inputs, "inputs", &inputs));
    r->graph = g;
    if (size_inputs(r, inputs)) {
        const struct cb_plan_options options = { .inputs = inputs,
                                                 .no_passes = true,
                                                 .shapes_only = true };
        r->sized =
            cb_plan_create(&r->cli->engine, g, r->model->weights, &options, &plan).code == CB_OK;
    }
    if (r->sized)
        r->graph = cb_plan_graph(plan);
    if (r->picture)
        st = cb_recipe_print(&r->model->recipe, &r->cli->arena, &r->recipe);
    if (st.code == CB_OK)
        st = list_layers(r);
    if (st.code == CB_OK)
        st = draw(r);
    if (st.code == CB_OK)
        st = r->cli->json ? print_json(r) : print_text(r);
    cb_plan_destroy(plan);
    return st;
}

/* A file that is a network, but not one that we can run. */
static struct cb_status print_unsupported(struct cb_cli *cli, const char *name, const char *what)
{
    struct cb_buf text;
    struct cb_json json;
    if (!cli->json) {
        printf("%-12s %s\n%-12s %s\n", "model", name, "unsupported", what);
        return cb_ok();
    }
    json = cb_output_begin(&text);
    cb_json_open(&json, NULL, '{');
    cb_json_text(&json, "name", name);
    cb_json_open(&json, "unsupported", '[');
    cb_json_text(&json, NULL, what);
    cb_json_close(&json, ']');
    cb_json_close(&json, '}');
    return cb_output_json(&text, cb_ok());
}

static struct cb_status run(struct cb_cli *cli, const void *given)
{
    const char *name = cli->args.n ? cli->args.item[0] : NULL;
    struct report r = { .cli = cli, .options = given };
    struct cb_status st;
    r.why_not = cb_cli_open_model(cli, name, CB_USE_IDENTITY, &r.model);
    r.picture = r.why_not.code == CB_OK;
    if (!r.picture) {
        if (r.why_not.code != CB_ERR_UNSUPPORTED)
            return r.why_not;
        st = cb_cli_open_model(cli, name, CB_USE_TENSORS, &r.model);
        if (st.code)
            return st.code == CB_ERR_UNSUPPORTED ? print_unsupported(cli, name, st.msg) : st;
    }
    st = describe(&r);
    cb_model_destroy(r.model);
    return st;
}

const struct cb_verb cb_verb_inspect = {
    .name = "inspect",
    .usage = "[MODEL]",
    .summary = "show what a network is made of",
    .notes = "Layers with their output's shape, parameters, multiply-accumulates, bytes and\n"
             "receptive field (places of the input that an element sees, / how far the next\n"
             "one is moved; \"all\" where it sees everything, by way of a gate too); the\n"
             "recipe that turns photos into the input, and whether it was assumed; the\n"
             "bottleneck, the CAM layer, and what is unsupported.\n",
    .examples = "  cambium inspect squeezenet1.1\n  cambium inspect model.onnx --json\n"
                "  cambium inspect resnet18 --svg resnet18.svg\n",
    .options = rows,
    .n_options = CB_COUNT_OF(rows),
    .defaults = &defaults,
    .size = sizeof defaults,
    .min_args = 0,
    .max_args = 1,
    .run = run,
};
