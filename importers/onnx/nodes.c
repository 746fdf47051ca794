#include <stdio.h>
#include <string.h>

#include "importers/onnx/loader.h"
#include "importers/onnx/order.h"
#include "importers/onnx/rules/rules.h"

#define TITLE 160

static bool is_own_domain(const char *domain)
{
    return !domain || !*domain || strcmp(domain, "ai.onnx") == 0;
}

int64_t cb_onnx_opset_of(const struct cb_onnx_loader *l, const char *domain)
{
    int64_t version = 0;
    for (size_t i = 0; i < l->proto->n_opset_import; i++) {
        const Onnx__OperatorSetIdProto *o = l->proto->opset_import[i];
        const bool same = is_own_domain(domain) ? is_own_domain(o->domain)
                                                : o->domain && strcmp(o->domain, domain) == 0;
        if (same && o->version > version)
            version = o->version;
    }
    return version;
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

/* Finds the node's rule, and makes the values of its outputs. */
static struct cb_status add_node_outputs(struct cb_onnx_loader *l, struct cb_onnx_node *node)
{
    const Onnx__NodeProto *p = node->proto;
    if (!p->op_type || !*p->op_type)
        return cb_fail(CB_ERR_MODEL, "node %.80s has no op_type", node->name);
    if (p->n_input > CB_MAX_ARGS || p->n_output > CB_MAX_ARGS)
        return cb_fail(CB_ERR_MODEL, "node %.80s has over %d inputs or outputs", node->name,
                       CB_MAX_ARGS);
    node->domain = is_own_domain(p->domain) ? "" : p->domain;
    node->opset = *node->domain ? cb_onnx_opset_of(l, node->domain) : l->model->opset;
    /* Optimisers add operators of their own domain and forget to import it. */
    const int64_t opset = *node->domain && node->opset == 0 ? 1 : node->opset;
    node->rule = cb_onnx_rule_find(node->domain, p->op_type, opset);
    node->n_in = count_present(p->input, p->n_input);
    node->n_out = count_present(p->output, p->n_output);
    if (node->rule && node->n_out > -node->rule->max_out && node->rule->max_out < 0)
        node->n_out = -node->rule->max_out;
    CB_TRY(cb_arena_get(l->scratch, (size_t)(node->n_in + node->n_out), sizeof(int), "nodes",
                        &node->in));
    node->out = node->in + node->n_in;
    for (int i = 0; i < node->n_out; i++) {
        node->out[i] = -1;
        if (!*p->output[i])
            continue;
        CB_TRY(
            cb_graph_add_value(&l->model->graph, p->output[i], CB_DTYPE_NONE, NULL, &node->out[i]));
        cb_onnx_names_add(&l->names, p->output[i], node->out[i]);
    }
    return cb_ok();
}

struct cb_status cb_onnx_add_nodes(struct cb_onnx_loader *l)
{
    CB_TRY(cb_arena_get(l->scratch, l->graph->n_node, sizeof *l->nodes, "nodes", &l->nodes));
    for (size_t i = 0; i < l->graph->n_node; i++) {
        const Onnx__NodeProto *p = l->graph->node[i];
        l->nodes[i] = (struct cb_onnx_node){ .import = &l->import, .proto = p, .name = name_of(p) };
        CB_TRY(add_node_outputs(l, &l->nodes[i]));
    }
    const char *twice = cb_onnx_names_sort(&l->names);
    return twice ? cb_fail(CB_ERR_MODEL, "%.80s is made twice", twice) : cb_ok();
}

/* Names of nodes' inputs become values; *order is one in which they can be imported. */
static struct cb_status connect(struct cb_onnx_loader *l, int **order)
{
    const int n_nodes = (int)l->graph->n_node, n_values = l->model->graph.n_values;
    struct cb_onnx_needs needs = { .n_nodes = n_nodes };
    int *producer, *first, *from, stuck;
    size_t n_args = 0;
    for (int i = 0; i < n_nodes; i++)
        n_args += (size_t)l->nodes[i].n_in;
    CB_TRY(cb_arena_get(l->scratch, (size_t)n_values, sizeof *producer, "nodes", &producer));
    CB_TRY(cb_arena_get(l->scratch, (size_t)n_nodes + 1, sizeof *first, "nodes", &first));
    CB_TRY(cb_arena_get(l->scratch, n_args, sizeof *from, "nodes", &from));
    memset(producer, -1, (size_t)n_values * sizeof *producer);
    for (int i = 0; i < n_nodes; i++)
        for (int k = 0; k < l->nodes[i].n_out; k++)
            if (l->nodes[i].out[k] >= 0)
                producer[l->nodes[i].out[k]] = i;
    for (int i = 0; i < n_nodes; i++) {
        struct cb_onnx_node *node = &l->nodes[i];
        first[i + 1] = first[i];
        for (int k = 0; k < node->n_in; k++) {
            const char *name = node->proto->input[k];
            node->in[k] = *name ? cb_onnx_names_find(&l->names, name) : -1;
            if (*name && node->in[k] < 0)
                return cb_fail(CB_ERR_MODEL, "node %.80s: input %.80s is made by nothing",
                               node->name, name);
            if (*name && producer[node->in[k]] >= 0)
                from[first[i + 1]++] = producer[node->in[k]];
        }
    }
    needs.first = first;
    needs.from = from;
    CB_TRY(cb_onnx_order(&needs, l->scratch, order, &stuck));
    return stuck < 0 ? cb_ok()
                     : cb_fail(CB_ERR_MODEL, "node %.80s needs its own output, by a cycle",
                               l->nodes[stuck].name);
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

/* Why a node that has no rule is refused; the text of the refusal. */
static void refuse(struct cb_onnx_loader *l, const struct cb_onnx_node *node)
{
    const Onnx__NodeProto *p = node->proto;
    char text[TITLE];
    for (size_t i = 0; i < l->proto->n_functions; i++) {
        const Onnx__FunctionProto *f = l->proto->functions[i];
        if (strcmp(cb_onnx_text_or(f->name, ""), p->op_type) == 0 &&
            strcmp(cb_onnx_text_or(f->domain, ""), node->domain) == 0) {
            cb_onnx_refusals_add(&l->refusals, node->name, "%.60s.%.60s (a function of the model)",
                                 node->domain, p->op_type);
            return;
        }
    }
    cb_onnx_refusals_add(&l->refusals, node->name, "%s", title(node, text));
}

static struct cb_status check_arguments(const struct cb_onnx_node *node)
{
    const struct cb_onnx_rule *r = node->rule;
    const int max_out = r->max_out < 0 ? -r->max_out : r->max_out;
    if (node->n_in < r->min_in || node->n_in > r->max_in)
        return cb_fail(CB_ERR_MODEL, "has %d inputs, wants %d to %d", node->n_in, r->min_in,
                       r->max_in);
    if (node->n_out < 1 || node->n_out > max_out)
        return cb_fail(CB_ERR_MODEL, "has %d outputs, wants 1 to %d", node->n_out, max_out);
    for (int i = 0; i < r->min_in; i++)
        if (node->in[i] < 0)
            return cb_fail(CB_ERR_MODEL, "input %d is missing", i);
    if (node->out[0] < 0)
        return cb_fail(CB_ERR_MODEL, "output 0 is missing");
    return cb_ok();
}

static struct cb_status import_node(struct cb_onnx_loader *l, struct cb_onnx_node *node)
{
    for (size_t i = 0; i < node->proto->n_attribute; i++)
        if (node->proto->attribute[i]->ref_attr_name && *node->proto->attribute[i]->ref_attr_name)
            return cb_fail(CB_ERR_MODEL, "node %.80s refers to an attribute of a function",
                           node->name);
    if (!node->rule) {
        if (node->opset < 1 && l->model->opset == 0)
            return cb_fail(CB_ERR_MODEL, "node %.80s: the model imports no opset", node->name);
        refuse(l, node);
        return cb_ok();
    }
    struct cb_status st = check_arguments(node);
    if (st.code == CB_OK)
        st = node->rule->import(node);
    if (st.code == CB_ERR_UNSUPPORTED) {
        char text[TITLE];
        cb_onnx_refusals_add(&l->refusals, node->name, "%s: %.90s", title(node, text), st.msg);
        return cb_ok();
    }
    return cb_context(st, "%s %.80s", node->rule->op_type, node->name);
}

struct cb_status cb_onnx_import_nodes(struct cb_onnx_loader *l)
{
    struct cb_onnx_import *im = &l->import;
    int *order;
    CB_TRY(connect(l, &order));
    im->n_named = im->graph->n_values;
    CB_TRY(cb_arena_get(l->scratch, (size_t)im->n_named, sizeof *im->channels_last, "values",
                        &im->channels_last));
    memset(im->channels_last, -1, (size_t)im->n_named * sizeof *im->channels_last);
    for (size_t i = 0; i < l->graph->n_node; i++)
        CB_TRY(import_node(l, &l->nodes[order[i]]));
    return cb_ok();
}
