/* Where a network's logits, bottleneck and CAM layer are, found by walking back from its first
 * output. */
#include <string.h>

#include "core/exec/plan.h"
#include "core/model/model.h"

struct walk {
    const struct cb_graph *graph; /* as imported */
    const struct cb_graph *sized; /* the same values with shapes, for one photo */
    int *producer;
    bool *fixed; /* [n_values] the same whatever the photo: a constant, or made of such */
};

static bool is_view(enum cb_op op)
{
    return op == CB_OP_RESHAPE || op == CB_OP_FLATTEN || op == CB_OP_SQUEEZE ||
           op == CB_OP_UNSQUEEZE || op == CB_OP_TRANSPOSE || op == CB_OP_IDENTITY ||
           op == CB_OP_CAST || op == CB_OP_QUANTIZE || op == CB_OP_DEQUANTIZE;
}

static const struct cb_node *maker(const struct walk *w, int value)
{
    return value < 0 || w->producer[value] < 0 ? NULL : &w->graph->nodes[w->producer[value]];
}

static bool is_constant(const struct walk *w, int value)
{
    return value >= 0 && w->fixed[value];
}

static struct cb_status find_fixed(struct walk *w, struct cb_arena *scratch)
{
    const struct cb_graph *g = w->graph;
    CB_TRY(cb_arena_get(scratch, (size_t)g->n_values, sizeof *w->fixed, "anatomy", &w->fixed));
    for (int v = 0; v < g->n_values; v++)
        w->fixed[v] = w->sized->values[v].data != NULL;
    for (int i = 0; i < g->n_nodes; i++) {
        const struct cb_node *n = &g->nodes[i];
        bool fixed = true;
        for (int k = 0; k < n->n_in; k++)
            fixed &= n->in[k] < 0 || w->fixed[n->in[k]];
        for (int k = 0; k < n->n_out; k++)
            if (n->out[k] >= 0)
                w->fixed[n->out[k]] |= fixed;
    }
    return cb_ok();
}

/* The input that carries data through a node with one such; -1 when there are several. */
static int data_input(const struct walk *w, const struct cb_node *n)
{
    int found = -1;
    for (int k = 0; k < n->n_in; k++) {
        if (n->in[k] < 0 || is_constant(w, n->in[k]))
            continue;
        if (found >= 0)
            return -1;
        found = n->in[k];
    }
    return found;
}

/* Behind the closing softmax, if there is one; the output itself otherwise. */
static int find_logits(const struct walk *w, int output)
{
    int v = output;
    for (const struct cb_node *n; (n = maker(w, v));) {
        if (n->op == CB_OP_SOFTMAX || n->op == CB_OP_LOG_SOFTMAX)
            return n->in[0];
        if (!is_view(n->op))
            return output;
        v = n->in[0];
    }
    return output;
}

/* Between the classifier's product and the logits: what neither mixes channels nor is learned per
 * channel before it. */
static bool may_follow_classifier(const struct cb_node *n)
{
    return is_view(n->op) || n->op == CB_OP_RELU || n->op == CB_OP_GLOBAL_AVERAGE_POOL ||
           n->op == CB_OP_AVERAGE_POOL || n->op == CB_OP_REDUCE_MEAN ||
           n->op == CB_OP_GLOBAL_MAX_POOL || n->op == CB_OP_ADD || n->op == CB_OP_MUL ||
           n->op == CB_OP_DIV;
}

/* The product whose outputs are the classes; NULL when the network ends without one. */
static const struct cb_node *find_classifier(const struct walk *w, int logits)
{
    int v = logits;
    for (const struct cb_node *n; (n = maker(w, v));) {
        if ((n->op == CB_OP_GEMM || n->op == CB_OP_MATMUL || n->op == CB_OP_CONV) &&
            is_constant(w, n->in[1]))
            return n;
        if (!may_follow_classifier(n) || (v = data_input(w, n)) < 0)
            return NULL;
    }
    return NULL;
}

/* Image operators' own values are channels-last; the network's are [N,C,H,W]. */
static bool is_inner(const struct walk *w, int value)
{
    static const int to_nhwc[4] = { 0, 2, 3, 1 };
    const struct cb_node *n = maker(w, value);
    if (!n)
        return false;
    if (n->op == CB_OP_TRANSPOSE)
        return n->attr.transpose.rank == CB_PERM_TO_LAST ||
               (n->attr.transpose.rank == 4 &&
                !memcmp(n->attr.transpose.perm, to_nhwc, sizeof to_nhwc));
    return n->op <= CB_OP_LRN;
}

/* A convolution's input as the network names it: before the transpose to channels-last. */
static int named_input(const struct walk *w, const struct cb_node *n)
{
    int v = n->in[0];
    for (const struct cb_node *m = maker(w, v);
         m && (m->op == CB_OP_IDENTITY || m->op == CB_OP_TRANSPOSE); m = maker(w, v)) {
        if (m->op == CB_OP_TRANSPOSE && (n->op != CB_OP_CONV || !is_inner(w, v)))
            break;
        v = m->in[0];
    }
    return v;
}

static bool is_spatial(const struct walk *w, int value)
{
    const struct cb_shape *s = &w->sized->values[value].shape;
    return s->rank == 4 && s->dim[2] > 1 && s->dim[3] > 1 && !is_inner(w, value) &&
           cb_dtype_get(w->sized->values[value].dtype)->is_float;
}

/* The last node's output, among those that `from` depends on, that has height and width. */
static struct cb_status find_cam_layer(const struct walk *w, int from, struct cb_arena *scratch,
                                       int *out)
{
    bool *needed;
    *out = -1;
    if (from < 0)
        return cb_ok();
    CB_TRY(cb_arena_get(scratch, (size_t)w->graph->n_values, sizeof *needed, "anatomy", &needed));
    needed[from] = true;
    for (int i = w->graph->n_nodes - 1; i >= 0; i--) {
        const struct cb_node *n = &w->graph->nodes[i];
        bool useful = false;
        for (int k = 0; k < n->n_out; k++)
            useful |= n->out[k] >= 0 && needed[n->out[k]];
        if (!useful)
            continue;
        if (n->out[0] >= 0 && needed[n->out[0]] && is_spatial(w, n->out[0])) {
            *out = n->out[0];
            return cb_ok();
        }
        for (int k = 0; k < n->n_in; k++)
            if (n->in[k] >= 0)
                needed[n->in[k]] = true;
    }
    return cb_ok();
}

static struct cb_status find_input(struct cb_model *m)
{
    const struct cb_graph *g = &m->graph;
    const struct cb_shape *s;
    char text[CB_SHAPE_TEXT];
    int64_t channels, height, width;
    if (g->n_inputs != 1)
        return cb_fail(CB_ERR_UNSUPPORTED, "%s: a picture network has one input, this has %d",
                       m->name, g->n_inputs);
    m->input = g->inputs[0];
    s = &g->values[m->input].shape;
    if (s->rank >= 0 && s->rank != 4)
        return cb_fail(CB_ERR_UNSUPPORTED,
                       "%s: input '%s' %s is no picture: [N,C,H,W] or [N,H,W,C] wanted", m->name,
                       g->values[m->input].name, cb_shape_text(s, text));
    if (s->rank < 0) {
        m->channels = m->recipe.color == CB_GRAY ? 1 : 3;
        return cb_ok();
    }
    if (m->recipe.assumed && s->dim[1] != 1 && s->dim[1] != 3 && (s->dim[3] == 1 || s->dim[3] == 3))
        m->recipe.layout = CB_NHWC;
    if (m->recipe.assumed && (m->recipe.layout == CB_NHWC ? s->dim[3] : s->dim[1]) == 1)
        m->recipe.color = CB_GRAY;
    channels = m->recipe.layout == CB_NHWC ? s->dim[3] : s->dim[1];
    height = m->recipe.layout == CB_NHWC ? s->dim[1] : s->dim[2];
    width = m->recipe.layout == CB_NHWC ? s->dim[2] : s->dim[3];
    if (channels < 0)
        channels = m->recipe.color == CB_GRAY ? 1 : 3;
    if (channels != (m->recipe.color == CB_GRAY ? 1 : 3) || height > CB_RECIPE_MAX_SIDE ||
        width > CB_RECIPE_MAX_SIDE)
        return cb_fail(CB_ERR_UNSUPPORTED, "%s: input '%s' %s is no picture in %s", m->name,
                       g->values[m->input].name, cb_shape_text(s, text),
                       m->recipe.color == CB_GRAY ? "gray (1 channel)" : "colour (3 channels)");
    m->channels = (int)channels;
    m->height = height > 0 ? (int)height : 0;
    m->width = width > 0 ? (int)width : 0;
    m->batch = s->dim[0] > 0 && s->dim[0] < 4096 ? (int)s->dim[0] : 0;
    return cb_ok();
}

static struct cb_status find_named(const struct cb_model *m, const char *what, const char *name,
                                   int *value)
{
    if (!name[0])
        return cb_ok();
    if ((*value = cb_graph_find(&m->graph, name)) < 0)
        return cb_fail(CB_ERR_INPUT, "%s: the recipe's %s '%s' is no tensor of the network",
                       m->name, what, name);
    return cb_ok();
}

static struct cb_status find_parts(struct cb_model *m, const struct walk *w,
                                   struct cb_arena *scratch)
{
    const int output = m->graph.outputs[0], logits = find_logits(w, output);
    const struct cb_node *classifier = find_classifier(w, logits);
    const struct cb_shape *scores = &w->sized->values[logits].shape;
    m->logits = m->bottleneck = m->cam_layer = -1;
    m->classes = 0;
    if (classifier || logits != output) {
        m->logits = logits;
        m->classes = (int)cb_shape_span(scores, scores->rank > 1 ? 1 : 0, scores->rank);
        m->bottleneck = classifier ? named_input(w, classifier) : -1;
    } else {
        m->bottleneck = output;
    }
    CB_TRY(find_cam_layer(w, logits, scratch, &m->cam_layer));
    CB_TRY(find_named(m, "bottleneck", m->recipe.bottleneck, &m->bottleneck));
    return find_named(m, "cam_layer", m->recipe.cam_layer, &m->cam_layer);
}

/* Shapes of everything for one photo of the usual size. */
static struct cb_status size_graph(const struct cb_model *model, struct cb_plan **plan)
{
    const struct cb_engine engine = { .kernels = cb_kernels_for(CB_ISA_GENERIC),
                                      .plan_budget = SIZE_MAX };
    struct cb_plan_options options = { .shapes_only = true };
    struct cb_tensor input = { .shape = { .rank = 4 } };
    int height, width;
    cb_model_default_size(model, &height, &width);
    input.dtype = model->graph.values[model->input].dtype;
    input.shape = model->recipe.layout == CB_NHWC
                      ? (struct cb_shape){ 4,
                                           { model->batch ? model->batch : 1, height, width,
                                             model->channels } }
                      : (struct cb_shape){
                            4, { model->batch ? model->batch : 1, model->channels, height, width }
                        };
    options.inputs = &input;
    return cb_plan_create(&engine, &model->graph, model->weights, &options, plan);
}

struct cb_status cb_model_shape_of(const struct cb_model *model, int value, struct cb_shape *out)
{
    struct cb_plan *plan;
    CB_TRY(size_graph(model, &plan));
    *out = cb_plan_graph(plan)->values[value].shape;
    cb_plan_destroy(plan);
    return cb_ok();
}

struct cb_status cb_model_find_anatomy(struct cb_model *model)
{
    struct cb_plan *plan;
    struct cb_arena scratch;
    struct walk w = { .graph = &model->graph };
    struct cb_status st;
    CB_TRY(find_input(model));
    if (model->graph.n_outputs < 1)
        return cb_fail(CB_ERR_MODEL, "%s: the network has no output", model->name);
    CB_TRY(size_graph(model, &plan));
    st = cb_arena_init(&scratch, (size_t)(model->graph.n_values + 64) * 16 + ((size_t)1 << 16));
    if (!st.code) {
        w.sized = cb_plan_graph(plan);
        st = cb_graph_producers(&model->graph, &scratch, &w.producer);
        if (!st.code)
            st = find_fixed(&w, &scratch);
        if (!st.code)
            st = find_parts(model, &w, &scratch);
        cb_arena_deinit(&scratch);
    }
    cb_plan_destroy(plan);
    return st;
}
