#include <stdio.h>
#include <string.h>

#include "importers/onnx/limits.h"
#include "importers/onnx/loader.h"
#include "importers/onnx/order.h"
#include "importers/onnx/rules/rules.h"

#define TITLE 160

const char *cb_onnx_domain(const char *domain)
{
    return !domain || strcmp(domain, "ai.onnx") == 0 ? "" : domain;
}

int64_t cb_onnx_opset_of(Onnx__OperatorSetIdProto *const *opset, size_t n, const char *domain)
{
    int64_t version = 0;
    for (size_t i = 0; i < n; i++)
        if (strcmp(cb_onnx_domain(opset[i]->domain), domain) == 0 && opset[i]->version > version)
            version = opset[i]->version;
    return version;
}

/* A function's body has opsets of its own. */
static int64_t opset_in(const struct cb_onnx_scope *scope, const char *domain)
{
    const Onnx__FunctionProto *f = scope->function;
    const struct cb_onnx_loader *l = scope->loader;
    const int64_t own = f ? cb_onnx_opset_of(f->opset_import, f->n_opset_import, domain) : 0;
    if (own > 0)
        return own;
    return *domain ? cb_onnx_opset_of(l->proto->opset_import, l->proto->n_opset_import, domain)
                   : l->model->opset;
}

/* Inputs or outputs without the absent ones at the end. */
static int count_present(char *const *names, size_t n)
{
    while (n && !*names[n - 1])
        n--;
    return (int)n;
}

static const char *name_of(const Onnx__NodeProto *proto)
{
    if (proto->name && *proto->name)
        return proto->name;
    for (size_t i = 0; i < proto->n_output; i++)
        if (*proto->output[i])
            return proto->output[i];
    return cb_onnx_text_or(proto->op_type, "node");
}

/* The name that `text` of the scope has in the graph. */
static struct cb_status qualify(const struct cb_onnx_scope *scope, const char *text,
                                const char **out)
{
    *out = text;
    if (*scope->prefix)
        *out = cb_arena_printf(scope->loader->scratch, "%.200s/%.200s", scope->prefix, text);
    return *out ? cb_ok() : cb_fail(CB_ERR_NOMEM, "names: over the budget");
}

/* The values of a node's outputs: new ones, or those that the scope's outputs are to become. */
static struct cb_status add_node_outputs(struct cb_onnx_scope *scope, int i)
{
    struct cb_onnx_node *node = &scope->nodes[i];
    for (int k = 0; k < node->n_out; k++) {
        const char *text = node->proto->output[k], *name;
        node->out[k] = -1;
        if (!*text)
            continue;
        node->out[k] = cb_onnx_names_find(&scope->targets, text);
        if (node->out[k] < 0) {
            CB_TRY(qualify(scope, text, &name));
            CB_TRY(cb_graph_add_value(&scope->loader->model->graph, name, CB_DTYPE_NONE, NULL,
                                      &node->out[k]));
        }
        cb_onnx_names_add(&scope->names, text, node->out[k]);
        scope->names.entry[scope->names.n - 1].node = i;
    }
    return cb_ok();
}

/* Finds the node's rule, and makes room for its arguments. */
static struct cb_status begin_node(struct cb_onnx_scope *scope, struct cb_onnx_node *node)
{
    const Onnx__NodeProto *p = node->proto;
    CB_TRY(qualify(scope, name_of(p), &node->name));
    if (!p->op_type || !*p->op_type)
        return cb_fail(CB_ERR_MODEL, "node %.80s has no op_type", node->name);
    if (p->n_input > CB_MAX_ARGS || p->n_output > CB_MAX_ARGS)
        return cb_fail(CB_ERR_MODEL, "node %.80s has over %d inputs or outputs", node->name,
                       CB_MAX_ARGS);
    node->domain = cb_onnx_domain(p->domain);
    node->opset = opset_in(scope, node->domain);
    /* Optimisers add operators of their own domain and forget to import it. */
    const int64_t opset = *node->domain && node->opset == 0 ? 1 : node->opset;
    node->rule = cb_onnx_rule_find(node->domain, p->op_type, opset);
    node->n_in = count_present(p->input, p->n_input);
    node->n_out = count_present(p->output, p->n_output);
    if (node->rule && node->n_out > -node->rule->max_out && node->rule->max_out < 0)
        node->n_out = -node->rule->max_out;
    CB_TRY(cb_arena_get(scope->loader->scratch, (size_t)(node->n_in + node->n_out), sizeof(int),
                        "nodes", &node->in));
    node->out = node->in + node->n_in;
    return cb_ok();
}

struct cb_status cb_onnx_scope_begin(struct cb_onnx_scope *scope, size_t n, size_t n_targets)
{
    for (size_t i = 0; i < scope->n_nodes; i++)
        n += scope->proto[i]->n_output;
    CB_TRY(cb_onnx_names_init(&scope->names, scope->loader->scratch, n));
    return cb_onnx_names_init(&scope->targets, scope->loader->scratch, n_targets);
}

const struct cb_onnx_name *cb_onnx_scope_find(const struct cb_onnx_scope *scope, const char *name)
{
    const struct cb_onnx_name *found = NULL;
    for (; scope && !found; scope = scope->outer)
        found = cb_onnx_names_get(&scope->names, name);
    return found;
}

/* Names that a graph inside a node has to look at. */
static size_t count_inner(const Onnx__GraphProto *graph)
{
    size_t names = graph->n_output + graph->n_input + graph->n_initializer;
    for (size_t i = 0; i < graph->n_node; i++) {
        const Onnx__NodeProto *p = graph->node[i];
        names += p->n_input + p->n_output;
        for (size_t k = 0; k < p->n_attribute; k++)
            if (p->attribute[k]->g)
                names += count_inner(p->attribute[k]->g);
    }
    return names;
}

/* Graphs from a node of the scope inwards, each with the names that it hides. */
struct hiding {
    const struct hiding *around;
    struct cb_onnx_names names;
};

static struct cb_status hide(const Onnx__GraphProto *graph, struct cb_arena *arena,
                             struct cb_onnx_names *names)
{
    size_t n = graph->n_input + graph->n_initializer;
    for (size_t i = 0; i < graph->n_node; i++)
        n += graph->node[i]->n_output;
    CB_TRY(cb_onnx_names_init(names, arena, n));
    for (size_t i = 0; i < graph->n_input; i++)
        cb_onnx_names_add(names, cb_onnx_text_or(graph->input[i]->name, ""), 0);
    for (size_t i = 0; i < graph->n_initializer; i++)
        cb_onnx_names_add(names, cb_onnx_text_or(graph->initializer[i]->name, ""), 0);
    for (size_t i = 0; i < graph->n_node; i++)
        for (size_t k = 0; k < graph->node[i]->n_output; k++)
            cb_onnx_names_add(names, graph->node[i]->output[k], 0);
    (void)cb_onnx_names_sort(names);
    return cb_ok();
}

static void need(const struct cb_onnx_scope *scope, const struct hiding *hiding, const char *name,
                 int *from, int *n)
{
    for (; hiding; hiding = hiding->around)
        if (cb_onnx_names_get(&hiding->names, name))
            return;
    const struct cb_onnx_name *e = cb_onnx_names_get(&scope->names, name);
    if (e && e->node >= 0)
        from[(*n)++] = e->node;
}

/* Nodes of the scope that the graphs inside `node` read, to from[]. */
static struct cb_status need_inner(const struct cb_onnx_scope *scope, const Onnx__NodeProto *node,
                                   const struct hiding *around, int *from, int *n)
{
    struct cb_arena *scratch = scope->loader->scratch;
    for (size_t a = 0; a < node->n_attribute; a++) {
        const Onnx__GraphProto *graph = node->attribute[a]->g;
        const size_t mark = scratch->used;
        struct hiding inner = { .around = around };
        if (!graph)
            continue;
        CB_TRY(hide(graph, scratch, &inner.names));
        for (size_t i = 0; i < graph->n_output; i++)
            need(scope, &inner, cb_onnx_text_or(graph->output[i]->name, ""), from, n);
        for (size_t i = 0; i < graph->n_node; i++) {
            for (size_t k = 0; k < graph->node[i]->n_input; k++)
                need(scope, &inner, graph->node[i]->input[k], from, n);
            CB_TRY(need_inner(scope, graph->node[i], &inner, from, n));
        }
        cb_arena_rewind(scratch, mark);
    }
    return cb_ok();
}

/* Names of a node's inputs become values; nodes that make them go to from[]. */
static struct cb_status connect_node(const struct cb_onnx_scope *scope, struct cb_onnx_node *node,
                                     int *from, int *n)
{
    for (int k = 0; k < node->n_in; k++) {
        const char *name = node->proto->input[k];
        const struct cb_onnx_name *e = *name ? cb_onnx_scope_find(scope, name) : NULL;
        node->in[k] = e ? e->value : -1;
        if (*name && !e)
            return cb_fail(CB_ERR_MODEL, "node %.80s: input %.80s is made by nothing", node->name,
                           name);
        if (e && e->node >= 0 && e == cb_onnx_names_get(&scope->names, name))
            from[(*n)++] = e->node;
    }
    while (node->n_in > 0 && node->in[node->n_in - 1] < 0)
        node->n_in--;
    return need_inner(scope, node->proto, NULL, from, n);
}

/* All nodes' inputs; *order is one in which they can be imported. */
static struct cb_status connect(struct cb_onnx_scope *scope, int **order)
{
    struct cb_onnx_loader *l = scope->loader;
    struct cb_onnx_needs needs = { .n_nodes = (int)scope->n_nodes };
    int *first, *from, stuck;
    size_t n_args = 0, inner = 0;
    for (size_t i = 0; i < scope->n_nodes; i++) {
        n_args += (size_t)scope->nodes[i].n_in;
        for (size_t a = 0; a < scope->proto[i]->n_attribute; a++)
            if (scope->proto[i]->attribute[a]->g)
                inner += count_inner(scope->proto[i]->attribute[a]->g);
    }
    l->inlined += inner;
    CB_TRY(cb_arena_get(l->scratch, scope->n_nodes + 1, sizeof *first, "nodes", &first));
    CB_TRY(cb_arena_get(l->scratch, n_args + inner, sizeof *from, "nodes", &from));
    for (size_t i = 0; i < scope->n_nodes; i++) {
        first[i + 1] = first[i];
        CB_TRY(connect_node(scope, &scope->nodes[i], from, &first[i + 1]));
    }
    needs.first = first;
    needs.from = from;
    CB_TRY(cb_onnx_order(&needs, l->scratch, order, &stuck));
    return stuck < 0 ? cb_ok()
                     : cb_fail(CB_ERR_MODEL, "node %.80s needs its own output, by a cycle",
                               scope->nodes[stuck].name);
}

/* "DOMAIN.OP (opset N)", without what the file does not say. */
static const char *title(const struct cb_onnx_node *node, char text[TITLE])
{
    char opset[32] = "";
    if (node->opset)
        snprintf(opset, sizeof opset, " (opset %lld)", (long long)node->opset);
    snprintf(text, TITLE, "%.60s%s%.60s%s", node->domain, *node->domain ? "." : "",
             node->proto->op_type, opset);
    return text;
}

static struct cb_status check_arguments(const struct cb_onnx_node *node)
{
    const struct cb_onnx_rule *r = node->rule;
    const int max_out = r->max_out < 0 ? -r->max_out : r->max_out;
    if (node->n_in < r->min_in || node->n_in > r->max_in)
        return cb_fail(CB_ERR_MODEL, "has %d inputs, wants %d to %d", node->n_in, r->min_in,
                       r->max_in);
    if (r->op == CB_OP_COUNT)
        return cb_ok();
    if (node->n_out < 1 || node->n_out > max_out)
        return cb_fail(CB_ERR_MODEL, "has %d outputs, wants 1 to %d", node->n_out, max_out);
    for (int i = 0; i < r->min_in; i++)
        if (node->in[i] < 0)
            return cb_fail(CB_ERR_MODEL, "input %d is missing", i);
    if (node->out[0] < 0)
        return cb_fail(CB_ERR_MODEL, "output 0 is missing");
    return cb_ok();
}

static bool refers(const Onnx__NodeProto *node)
{
    for (size_t i = 0; i < node->n_attribute; i++)
        if (node->attribute[i]->ref_attr_name && *node->attribute[i]->ref_attr_name)
            return true;
    return false;
}

static struct cb_status import_node(const struct cb_onnx_scope *scope, struct cb_onnx_node *node)
{
    struct cb_onnx_loader *l = scope->loader;
    const Onnx__FunctionProto *function = NULL;
    char text[TITLE];
    if (!scope->function && refers(node->proto))
        return cb_fail(CB_ERR_MODEL, "node %.80s refers to an attribute of a function", node->name);
    if (node->rule && node->rule->op == CB_OP_COUNT && node->n_out == 0)
        return cb_ok(); /* a branch or a loop that nobody asks for */
    if (!node->rule && !(function = cb_onnx_function_find(l, node->proto))) {
        if (node->opset < 1 && l->model->opset == 0)
            return cb_fail(CB_ERR_MODEL, "node %.80s: the model imports no opset", node->name);
        cb_onnx_refusals_add(&l->refusals, node->name, "%s", title(node, text));
        return cb_ok();
    }
    struct cb_status st = function ? cb_onnx_call(node, function) : check_arguments(node);
    if (st.code == CB_OK && !function)
        st = node->rule->import(node);
    if (st.code == CB_ERR_UNSUPPORTED) {
        cb_onnx_refusals_add(&l->refusals, node->name, "%s: %.90s", title(node, text), st.msg);
        return cb_ok();
    }
    if (l->blamed || st.code == CB_OK)
        return st; /* by a node further inside */
    l->blamed = true;
    return cb_context(st, "%.60s %.80s", node->proto->op_type, node->name);
}

/* Room to remember channels-last copies of all values so far. */
static struct cb_status make_room(struct cb_onnx_import *im)
{
    const int n = im->graph->n_values;
    if (n > im->cap_named) {
        const int cap = n > 2 * im->cap_named ? n : 2 * im->cap_named;
        int *grown;
        CB_TRY(cb_arena_get(im->scratch, (size_t)cap, sizeof *grown, "values", &grown));
        if (im->n_named)
            memcpy(grown, im->channels_last, (size_t)im->n_named * sizeof *grown);
        im->channels_last = grown;
        im->cap_named = cap;
    }
    for (int i = im->n_named; i < n; i++)
        im->channels_last[i] = -1;
    im->n_named = n;
    return cb_ok();
}

/* What a scope below the top costs, against the limit. */
static struct cb_status count(struct cb_onnx_scope *scope)
{
    struct cb_onnx_loader *l = scope->loader;
    if (scope->depth == 0)
        return cb_ok();
    l->inlined += 1 + scope->n_nodes + (size_t)scope->names.n + (size_t)scope->targets.n;
    for (size_t i = 0; i < scope->n_nodes; i++)
        l->inlined += scope->proto[i]->n_input + scope->proto[i]->n_output;
    if (l->inlined > CB_ONNX_MAX_INLINED)
        return cb_fail(CB_ERR_UNSUPPORTED,
                       "functions, branches and loops become more than %zu nodes and arguments",
                       CB_ONNX_MAX_INLINED);
    return scope->depth < CB_ONNX_MAX_DEPTH
               ? cb_ok()
               : cb_fail(CB_ERR_MODEL,
                         "functions and graphs stand in each other deeper than %d: over the limit",
                         CB_ONNX_MAX_DEPTH);
}

struct cb_status cb_onnx_scope_import(struct cb_onnx_scope *scope)
{
    struct cb_onnx_loader *l = scope->loader;
    int *order;
    CB_TRY(count(scope));
    CB_TRY(cb_arena_get(l->scratch, scope->n_nodes, sizeof *scope->nodes, "nodes", &scope->nodes));
    (void)cb_onnx_names_sort(&scope->targets);
    for (size_t i = 0; i < scope->n_nodes; i++) {
        scope->nodes[i] =
            (struct cb_onnx_node){ .import = &l->import, .scope = scope, .proto = scope->proto[i] };
        CB_TRY(begin_node(scope, &scope->nodes[i]));
        CB_TRY(add_node_outputs(scope, (int)i));
    }
    const char *twice = cb_onnx_names_sort(&scope->names);
    if (twice)
        return cb_fail(CB_ERR_MODEL, "%.80s is made twice", twice);
    CB_TRY(connect(scope, &order));
    CB_TRY(make_room(&l->import));
    for (size_t i = 0; i < scope->n_nodes; i++)
        CB_TRY(import_node(scope, &scope->nodes[order[i]]));
    return cb_ok();
}
