/* importers/onnx/functions.c - the model's own functions: a call is replaced by the nodes of its
 * function (ONNX IR, "Functions"). A function that calls itself ends at the limit on depth. */
#include <stdlib.h>
#include <string.h>

#include "importers/onnx/loader.h"

static int by_identity(const void *a, const void *b)
{
    const Onnx__FunctionProto *f = *(const Onnx__FunctionProto *const *)a;
    const Onnx__FunctionProto *g = *(const Onnx__FunctionProto *const *)b;
    int order = strcmp(cb_onnx_text_or(f->name, ""), cb_onnx_text_or(g->name, ""));
    if (order == 0)
        order = strcmp(cb_onnx_domain(f->domain), cb_onnx_domain(g->domain));
    if (order == 0)
        order = strcmp(cb_onnx_text_or(f->overload, ""), cb_onnx_text_or(g->overload, ""));
    return order;
}

struct cb_status cb_onnx_functions_sort(struct cb_onnx_loader *l)
{
    const size_t n = l->proto->n_functions;
    CB_TRY(cb_arena_get(l->scratch, n, sizeof(void *), "functions", &l->functions));
    for (size_t i = 0; i < n; i++)
        l->functions[i] = l->proto->functions[i];
    if (n)
        qsort(l->functions, n, sizeof(void *), by_identity);
    return cb_ok();
}

const Onnx__FunctionProto *cb_onnx_function_find(const struct cb_onnx_loader *l,
                                                 const Onnx__NodeProto *node)
{
    const Onnx__FunctionProto wanted = { .name = node->op_type,
                                         .domain = node->domain,
                                         .overload = node->overload };
    const Onnx__FunctionProto *key = &wanted, *const *found = NULL;
    if (l->proto->n_functions)
        found = bsearch(&key, l->functions, l->proto->n_functions, sizeof(void *), by_identity);
    return found ? *found : NULL;
}

struct cb_status cb_onnx_add_alias(struct cb_onnx_node *node, int from, int to)
{
    struct cb_graph *g = node->import->graph;
    if (!g->values[from].data)
        return cb_onnx_add(node, CB_OP_IDENTITY, NULL, CB_ONNX_ARGS(from), CB_ONNX_ARGS(to));
    const struct cb_tensor same = cb_value_tensor(&g->values[from]);
    cb_onnx_set_constant(node->import, to, &same, g->values[from].mapped);
    g->values[to].key = g->values[from].key;
    return cb_ok();
}

/* Outputs that no node of the body makes: one of its inputs, or the same as another. */
static struct cb_status finish_outputs(struct cb_onnx_node *node, const Onnx__FunctionProto *f,
                                       const struct cb_onnx_scope *body)
{
    for (int k = 0; k < node->n_out; k++) {
        const struct cb_onnx_name *e =
            node->out[k] < 0 ? NULL : cb_onnx_scope_find(body, f->output[k]);
        if (node->out[k] < 0)
            continue;
        if (!e || e->value < 0)
            return cb_fail(CB_ERR_MODEL, "output %.80s of the function is made by nothing",
                           f->output[k]);
        if (e->value != node->out[k])
            CB_TRY(cb_onnx_add_alias(node, e->value, node->out[k]));
    }
    return cb_ok();
}

struct cb_status cb_onnx_call(struct cb_onnx_node *node, const Onnx__FunctionProto *function)
{
    struct cb_onnx_scope body = { .loader = node->scope->loader,
                                  .caller = node,
                                  .function = function,
                                  .prefix = node->name,
                                  .depth = node->scope->depth + 1,
                                  .proto = function->node,
                                  .n_nodes = function->n_node };
    if ((size_t)node->n_in > function->n_input || (size_t)node->n_out > function->n_output)
        return cb_fail(CB_ERR_MODEL, "has %d inputs and %d outputs, the function %zu and %zu",
                       node->n_in, node->n_out, function->n_input, function->n_output);
    CB_TRY(cb_onnx_scope_begin(&body, function->n_input, function->n_output));
    for (size_t i = 0; i < function->n_input; i++)
        cb_onnx_names_add(&body.names, function->input[i],
                          i < (size_t)node->n_in ? node->in[i] : -1);
    for (int k = 0; k < node->n_out; k++)
        if (node->out[k] >= 0)
            cb_onnx_names_add(&body.targets, function->output[k], node->out[k]);
    CB_TRY(cb_onnx_scope_import(&body));
    return finish_outputs(node, function, &body);
}
