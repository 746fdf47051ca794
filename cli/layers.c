#include "cli/layers.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "core/model/cost.h"

/* Image operators make "NAME@nhwc", channels last; the network's tensor is NAME. */
static bool is_inner(const char *name)
{
    return strchr(name, '@') != NULL;
}

static void as_in_file(const struct cb_graph *g, const struct cb_node *node, struct cb_layer *out)
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

static int print_sizes(char *to, size_t room, const char *before, const int64_t v[], int n)
{
    int len = snprintf(to, room, "%s%lld", before, (long long)v[0]);
    for (int i = 1; i < n && len < (int)room; i++)
        len += snprintf(to + len, room - (size_t)len, "x%lld", (long long)v[i]);
    return len < (int)room ? len : (int)room - 1;
}

static bool is_all(const int64_t v[], int n, int64_t of)
{
    for (int i = 0; i < n; i++)
        if (v[i] != of)
            return false;
    return true;
}

static bool is_level(const int64_t v[], int n)
{
    return is_all(v, n, v[0]);
}

static void describe_window(const struct cb_node *node, char *to, size_t room)
{
    const bool conv = node->op == CB_OP_CONV;
    const struct cb_window *w = conv ? &node->attr.conv.window : &node->attr.pool.window;
    const int n = w->rank;
    int len;
    if ((!conv && node->op != CB_OP_MAX_POOL && node->op != CB_OP_AVERAGE_POOL) || n < 1)
        return;
    len = print_sizes(to, room, "", w->kernel, n);
    if (!is_all(w->stride, n, 1))
        len += print_sizes(to + len, room - (size_t)len, " /", w->stride,
                           is_level(w->stride, n) ? 1 : n);
    if (!is_all(w->dilation, n, 1))
        len += print_sizes(to + len, room - (size_t)len, " dil ", w->dilation,
                           is_level(w->dilation, n) ? 1 : n);
    if (conv && node->attr.conv.group > 1)
        snprintf(to + len, room - (size_t)len, " g %lld", (long long)node->attr.conv.group);
}

static uint64_t output_bytes(const struct cb_graph *g, const struct cb_node *node)
{
    uint64_t bytes = 0;
    for (int k = 0; k < node->n_out && !cb_op_get(node->op)->view; k++)
        if (node->out[k] >= 0)
            bytes += cb_shape_count(&g->values[node->out[k]].shape) *
                     cb_dtype_size(g->values[node->out[k]].dtype);
    return bytes;
}

/* What is alive while each node runs: outputs made so far and needed from here on. Views and the
 * importer's transposes are another name for what they read. */
struct liveness {
    const struct cb_graph *graph;
    int *owner; /* [n_values]: the value whose memory it is */
    int *last;  /* [n_values]: the last node that reads the memory; n_nodes for results */
};

static struct cb_status find_lives(const struct cb_graph *g, struct cb_arena *arena,
                                   struct liveness *l)
{
    l->graph = g;
    CB_TRY(cb_arena_get(arena, (size_t)g->n_values, sizeof *l->owner, "layers", &l->owner));
    CB_TRY(cb_arena_get(arena, (size_t)g->n_values, sizeof *l->last, "layers", &l->last));
    for (int v = 0; v < g->n_values; v++)
        l->owner[v] = v;
    for (int i = 0; i < g->n_nodes; i++) {
        const struct cb_node *n = &g->nodes[i];
        if (n->out[0] >= 0 && (cb_op_get(n->op)->view || is_around_image_operator(g, n)))
            l->owner[n->out[0]] = l->owner[n->in[0]];
        for (int k = 0; k < n->n_in; k++)
            if (n->in[k] >= 0)
                l->last[l->owner[n->in[k]]] = i;
    }
    for (int i = 0; i < g->n_outputs; i++)
        l->last[l->owner[g->outputs[i]]] = g->n_nodes;
    return cb_ok();
}

static uint64_t value_bytes(const struct cb_value *v)
{
    return cb_shape_count(&v->shape) * cb_dtype_size(v->dtype);
}

static uint64_t most_at_once(const struct liveness *l)
{
    const struct cb_graph *g = l->graph;
    uint64_t now = 0, most = 0;
    for (int i = 0; i < g->n_inputs; i++)
        now += value_bytes(&g->values[g->inputs[i]]);
    for (int i = 0; i < g->n_nodes; i++) {
        const struct cb_node *n = &g->nodes[i];
        if (n->out[0] < 0 || l->owner[n->out[0]] == n->out[0])
            now += output_bytes(g, n);
        most = now > most ? now : most;
        for (int k = 0; k < n->n_in; k++) {
            const int v = n->in[k] < 0 ? -1 : l->owner[n->in[k]];
            if (v < 0 || l->last[v] != i || g->values[v].data)
                continue;
            l->last[v] = -1; /* once, where it is read twice */
            now -= value_bytes(&g->values[v]);
        }
    }
    return most;
}

/* maker[value]: the layer that makes it; -1 - i: input i; NONE: a constant. */
#define NONE INT32_MIN

struct listing {
    struct cb_layers *layers;
    struct cb_arena *arena;
    int *maker; /* [n_values] */
    uint64_t
        *prepared; /* [n_values]: parameters in what constants alone make, for who reads it first */
    int *output;   /* [n layers]: the value that each makes */
    bool sized;
};

static struct cb_status begin_listing(struct listing *l)
{
    const struct cb_graph *g = l->layers->graph;
    const size_t n_values = (size_t)g->n_values, n_nodes = (size_t)g->n_nodes;
    struct cb_layers *layers = l->layers;
    CB_TRY(cb_arena_get(l->arena, n_nodes, sizeof *layers->item, "layers", &layers->item));
    CB_TRY(cb_arena_get(l->arena, n_nodes, sizeof *l->output, "layers", &l->output));
    CB_TRY(cb_arena_get(l->arena, n_values, sizeof *l->prepared, "layers", &l->prepared));
    CB_TRY(cb_arena_get(l->arena, n_values, sizeof *l->maker, "layers", &l->maker));
    for (int v = 0; v < g->n_values; v++) {
        l->maker[v] = NONE;
        if (g->values[v].data && cb_dtype_get(g->values[v].dtype)->is_float)
            l->prepared[v] = cb_shape_count(&g->values[v].shape);
    }
    for (int i = 0; i < g->n_inputs; i++)
        l->maker[g->inputs[i]] = -1 - i;
    return cb_ok();
}

/* The same whatever the input: a weight on its way, or a number about shapes. */
static bool is_fixed(const struct listing *l, const struct cb_node *node)
{
    const struct cb_graph *g = l->layers->graph;
    bool fixed = true;
    for (int k = 0; k < node->n_in; k++)
        fixed &= node->in[k] < 0 || l->maker[node->in[k]] == NONE;
    return fixed || node->out[0] < 0 || g->values[node->out[0]].data;
}

/* What fixed nodes hand on, each parameter once. */
static uint64_t take_prepared(const struct listing *l, const struct cb_node *node)
{
    uint64_t sum = 0;
    for (int k = 0; k < node->n_in; k++) {
        if (node->in[k] < 0)
            continue;
        sum += l->prepared[node->in[k]];
        l->prepared[node->in[k]] = 0;
    }
    return sum;
}

/* Those that it reads itself, other layers may read them too, and those that were prepared for it.
 */
static uint64_t count_parameters(const struct listing *l, const struct cb_node *node)
{
    const struct cb_graph *g = l->layers->graph;
    uint64_t sum = cb_cost_parameters(g, node);
    for (int k = 0; k < node->n_in; k++)
        if (node->in[k] >= 0 && g->values[node->in[k]].data)
            l->prepared[node->in[k]] = 0;
    return sum + take_prepared(l, node);
}

static struct cb_status find_sources(const struct listing *l, const struct cb_node *node,
                                     struct cb_layer *layer)
{
    int *from;
    CB_TRY(cb_arena_get(l->arena, (size_t)node->n_in, sizeof *from, "layers", &from));
    layer->from = from;
    for (int k = 0; k < node->n_in; k++)
        if (node->in[k] >= 0 && l->maker[node->in[k]] != NONE)
            from[layer->n_from++] = l->maker[node->in[k]];
    return cb_ok();
}

static struct cb_status add_layer(const struct listing *l, const struct cb_node *node)
{
    struct cb_layers *layers = l->layers;
    struct cb_layer *layer = &layers->item[layers->n];
    *layer = (struct cb_layer){ .name = node->name, .op = cb_op_get(node->op)->name };
    as_in_file(layers->graph, node, layer);
    describe_window(node, layer->detail, sizeof layer->detail);
    layer->parameters = count_parameters(l, node);
    if (l->sized) {
        layer->macs = cb_cost_macs(layers->graph, node);
        layer->bytes = output_bytes(layers->graph, node);
    }
    CB_TRY(find_sources(l, node, layer));
    layer->in_place =
        layer->n_from == 1 && (cb_op_get(node->op)->in_place || node->op == CB_OP_BATCH_NORM);
    l->output[layers->n++] = node->out[0];
    layers->macs += layer->macs;
    layers->bytes += layer->bytes;
    return cb_ok();
}

/* A node is a layer, or a fixed one, or another name for what it reads. */
static struct cb_status add_node(const struct listing *l, const struct cb_node *node)
{
    int maker = NONE;
    if (is_fixed(l, node)) {
        if (node->out[0] >= 0)
            l->prepared[node->out[0]] = take_prepared(l, node);
    } else if (is_around_image_operator(l->layers->graph, node)) {
        maker = l->maker[node->in[0]];
    } else {
        maker = l->layers->n;
        CB_TRY(add_layer(l, node));
    }
    for (int k = 0; k < node->n_out; k++)
        if (node->out[k] >= 0)
            l->maker[node->out[k]] = maker;
    return cb_ok();
}

/* Fields of what each layer makes, and memory: where sizes are known. */
static struct cb_status measure(const struct listing *listing, bool channels_last)
{
    struct cb_layers *l = listing->layers;
    struct cb_arena *arena = listing->arena;
    const struct cb_graph *g = l->graph;
    struct liveness lives;
    struct cb_field *fields;
    CB_TRY(find_lives(g, arena, &lives));
    l->bytes_at_once = most_at_once(&lives);
    if (g->n_inputs < 1)
        return cb_ok();
    CB_TRY(cb_fields_find(g, g->inputs[0], channels_last, arena, &fields));
    l->places = g->values[g->inputs[0]].shape.rank - 2;
    l->places = l->places < 0 ? 0 : l->places > CB_MAX_SPATIAL ? CB_MAX_SPATIAL : l->places;
    for (int i = 0; i < l->n; i++)
        l->item[i].field = &fields[listing->output[i]];
    return cb_ok();
}

struct cb_status cb_layers_list(const struct cb_graph *graph, bool sized, bool channels_last,
                                struct cb_arena *arena, struct cb_layers *out)
{
    struct listing listing = { .layers = out, .arena = arena, .sized = sized };
    *out = (struct cb_layers){ .graph = graph };
    CB_TRY(begin_listing(&listing));
    for (int i = 0; i < graph->n_nodes; i++)
        CB_TRY(add_node(&listing, &graph->nodes[i]));
    return sized ? measure(&listing, channels_last) : cb_ok();
}

/* Numbers along the places, one where they are equal; those of a place that is not there as "-". */
static int print_along(const struct cb_layers *l, const struct cb_field *field, bool stride,
                       char *to, size_t room)
{
    double v[CB_MAX_SPATIAL] = { 0 };
    bool level = true;
    int len = 0;
    for (int i = 0; i < l->places; i++) {
        const struct cb_field_axis *a = cb_field_along(field, i);
        v[i] = !a ? -1 : stride ? a->stride : cb_field_size(a);
        level &= v[i] == v[0];
    }
    for (int i = 0; i < (level ? 1 : l->places) && len < (int)room; i++)
        len += v[i] < 0 ? snprintf(to + len, room - (size_t)len, "%s-", i ? "x" : "")
                        : snprintf(to + len, room - (size_t)len, "%s%.6g", i ? "x" : "", v[i]);
    return len < (int)room ? len : (int)room - 1;
}

const char *cb_layer_field_text(const struct cb_layers *layers, const struct cb_layer *layer,
                                char out[CB_FIELD_TEXT])
{
    const struct cb_field *f = layer->field;
    bool located = false;
    int len = 0;
    out[0] = 0;
    if (!f || !f->depends || layers->places == 0)
        return out;
    for (int i = 0; i < layers->places; i++)
        located |= cb_field_along(f, i) != NULL;
    if (!located) {
        snprintf(out, CB_FIELD_TEXT, "all");
        return out;
    }
    len = print_along(layers, f, false, out, 20);
    out[len++] = ' ';
    out[len++] = '/';
    len += print_along(layers, f, true, out + len, 20);
    if (f->whole)
        snprintf(out + len, CB_FIELD_TEXT - (size_t)len, ", all");
    return out;
}
