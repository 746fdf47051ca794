/* cli/inspect.c - cambium inspect: what a network is made of, and how photos reach it. */
#include <string.h>

#include "cli/model_arg.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "core/exec/plan.h"
#include "core/model/cost.h"
#include "importers/model/load.h"

/* A node as its file has it: what the importer puts around image operators is left out. */
struct layer {
    const char *name, *op;
    char output[200];
    struct cb_shape shape;
    uint64_t parameters, macs;
};

struct report {
    struct cb_cli *cli;
    struct cb_model *model;
    bool picture;
    struct cb_status why_not;     /* why it takes no photos */
    const struct cb_graph *graph; /* with shapes, where they are known */
    bool sized;
    char *recipe;
    struct layer *layers;
    int n_layers;
    uint64_t macs, parameters;
};

/* Image operators make "NAME@nhwc", channels last; the network's tensor is NAME. */
static bool is_inner(const char *name)
{
    return strchr(name, '@') != NULL;
}

static void as_in_file(const struct cb_graph *g, const struct cb_node *node, struct layer *out)
{
    const struct cb_value *v = &g->values[node->out[0]];
    const char *at = strstr(v->name, "@nhwc");
    const int len = at ? (int)(at - v->name) : (int)strlen(v->name);
    snprintf(out->output, sizeof out->output, "%.*s", len, v->name);
    out->shape = v->shape;
    for (int i = 1; at && i < v->shape.rank; i++)
        out->shape.dim[i] = v->shape.dim[i == 1 ? v->shape.rank - 1 : i - 1];
}

static bool is_around_image_operator(const struct cb_graph *g, const struct cb_node *node)
{
    return node->op == CB_OP_TRANSPOSE &&
           (is_inner(g->values[node->in[0]].name) || is_inner(g->values[node->out[0]].name));
}

static struct cb_status list_layers(struct report *r)
{
    const struct cb_graph *g = r->graph;
    CB_TRY(
        cb_arena_get(&r->cli->arena, (size_t)g->n_nodes, sizeof *r->layers, "layers", &r->layers));
    for (int i = 0; i < g->n_nodes; i++) {
        const struct cb_node *node = &g->nodes[i];
        struct layer *layer = &r->layers[r->n_layers];
        if (is_around_image_operator(g, node) || node->out[0] < 0)
            continue;
        *layer = (struct layer){ .name = node->name, .op = cb_op_get(node->op)->name };
        as_in_file(g, node, layer);
        layer->parameters = cb_cost_parameters(g, node);
        layer->macs = r->sized ? cb_cost_macs(g, node) : 0;
        r->macs += layer->macs;
        r->n_layers++;
    }
    r->parameters = cb_model_parameters(r->model);
    return cb_ok();
}

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
    cb_json_int(&json, "macs", (int64_t)r->macs);
    cb_json_open(&json, "layers", '[');
    for (int i = 0; i < r->n_layers; i++) {
        const struct layer *layer = &r->layers[i];
        cb_json_open(&json, NULL, '{');
        cb_json_text(&json, "name", layer->name);
        cb_json_text(&json, "op", layer->op);
        cb_json_text(&json, "output", layer->output);
        add_shape(&json, "shape", &layer->shape);
        cb_json_int(&json, "parameters", (int64_t)layer->parameters);
        cb_json_int(&json, "macs", (int64_t)layer->macs);
        cb_json_close(&json, '}');
    }
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

static struct cb_status print_text(const struct report *r)
{
    const struct cb_model *m = r->model;
    char shape[CB_SHAPE_TEXT], name[48], output[48];
    printf("%-12s %s, opset %d\n", "model", m->name, m->opset);
    for (int i = 0; i < m->graph.n_inputs; i++)
        print_value("input", &m->graph, m->graph.inputs[i]);
    for (int i = 0; i < m->graph.n_outputs; i++)
        print_value("output", r->graph, m->graph.outputs[i]);
    printf("%-12s %.3f million\n", "parameters", (double)r->parameters / 1e6);
    if (r->sized)
        printf("%-12s %.3f million\n", "MACs", (double)r->macs / 1e6);
    if (r->picture)
        print_photo_side(r);
    else
        printf("%-12s no: %s\n", "photos", r->why_not.msg);
    printf("%-12s nothing\n\n", "unsupported");
    printf("%-32s %-20s %-32s %-20s %12s %14s\n", "layer", "operator", "output", "shape",
           "parameters", "MACs");
    for (int i = 0; i < r->n_layers; i++) {
        const struct layer *layer = &r->layers[i];
        printf("%-32s %-20s %-32s %-20s %12llu %14llu\n",
               cb_output_clean(layer->name, name, sizeof name), layer->op,
               cb_output_clean(layer->output, output, sizeof output),
               cb_shape_text(&layer->shape, shape), (unsigned long long)layer->parameters,
               (unsigned long long)layer->macs);
    }
    return cb_ok();
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
    struct report r = { .cli = cli };
    struct cb_status st;
    (void)given;
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
    .notes = "Layers with their output's shape, parameters and multiply-accumulates; the\n"
             "recipe that turns photos into the input, and whether it was assumed; the\n"
             "bottleneck, the CAM layer, and what is unsupported.\n",
    .examples = "  cambium inspect squeezenet1.1\n  cambium inspect model.onnx --json\n",
    .min_args = 0,
    .max_args = 1,
    .run = run,
};
