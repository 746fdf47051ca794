/* importers/onnx/quantise/quantise_graph.c - which tensors of a network are quantised. */
#include <math.h>
#include <string.h>

#include "importers/onnx/head/head_nodes.h"
#include "importers/onnx/parse.h"
#include "importers/onnx/quantise/quantise_parts.h"
#include "importers/onnx/wire.h"

const Onnx__AttributeProto *cb_quantise_attribute(const struct cb_quantise_node *node,
                                                  const char *name)
{
    for (size_t i = 0; i < node->proto->n_attribute; i++)
        if (node->proto->attribute[i]->name && !strcmp(node->proto->attribute[i]->name, name))
            return node->proto->attribute[i];
    return NULL;
}

int64_t cb_quantise_int(const struct cb_quantise_node *node, const char *name, int64_t absent)
{
    const Onnx__AttributeProto *a = cb_quantise_attribute(node, name);
    return a && a->has_i ? a->i : absent;
}

float cb_quantise_float(const struct cb_quantise_node *node, const char *name, float absent)
{
    const Onnx__AttributeProto *a = cb_quantise_attribute(node, name);
    return a && a->has_f ? a->f : absent;
}

int cb_quantise_root(const struct cb_onnx_quantise *q, int value)
{
    while (q->group[value] != value)
        value = q->group[value];
    return value;
}

static void join(struct cb_onnx_quantise *q, int a, int b)
{
    q->group[cb_quantise_root(q, a)] = cb_quantise_root(q, b);
}

static const struct cb_value *value_of(const struct cb_onnx_quantise *q, int value)
{
    return &q->inferred->values[value];
}

static bool is_constant(const struct cb_onnx_quantise *q, int value)
{
    return value >= 0 && value_of(q, value)->data && value_of(q, value)->dtype == CB_FLOAT32;
}

static bool is_activation(const struct cb_onnx_quantise *q, int value)
{
    return value >= 0 && !value_of(q, value)->data && value_of(q, value)->dtype == CB_FLOAT32;
}

/* ---- reading ---- */

static struct cb_status read_names(struct cb_onnx_quantise *q)
{
    CB_TRY(cb_onnx_names_init(&q->names, q->arena, (size_t)q->graph->n_values));
    for (int v = 0; v < q->graph->n_values; v++)
        cb_onnx_names_add(&q->names, q->graph->values[v].name, v);
    (void)cb_onnx_names_sort(&q->names);
    return cb_ok();
}

static struct cb_status read_arguments(struct cb_onnx_quantise *q, char *const *names, size_t n,
                                       int *count, int **out)
{
    CB_TRY(cb_arena_get(q->arena, n, sizeof **out, "nodes", out));
    for (size_t i = 0; i < n; i++)
        (*out)[i] = *names[i] ? cb_onnx_names_find(&q->names, names[i]) : -1;
    *count = (int)n;
    return cb_ok();
}

static struct cb_status read_nodes(struct cb_onnx_quantise *q)
{
    const Onnx__GraphProto *g = q->model->graph;
    struct cb_bytes file = q->file, rest;
    struct cb_wire_field f;
    size_t n = 0;
    CB_TRY(cb_arena_get(q->arena, g->n_node, sizeof *q->nodes, "nodes", &q->nodes));
    while (cb_wire_next(&file, &f))
        if (f.number == CB_MODEL_GRAPH && f.type == CB_WIRE_BYTES)
            q->graph_bytes = f.data;
    for (rest = q->graph_bytes; cb_wire_next(&rest, &f);) {
        if (f.number != CB_GRAPH_NODE || f.type != CB_WIRE_BYTES || n == g->n_node)
            continue;
        struct cb_quantise_node *node = &q->nodes[n];
        *node = (struct cb_quantise_node){ .proto = g->node[n], .raw = f.data, .folded = -1 };
        CB_TRY(read_arguments(q, g->node[n]->input, g->node[n]->n_input, &node->n_in, &node->in));
        CB_TRY(
            read_arguments(q, g->node[n]->output, g->node[n]->n_output, &node->n_out, &node->out));
        n++;
    }
    q->n_nodes = (int)n;
    for (size_t i = 0; i < q->model->n_opset_import; i++) {
        const Onnx__OperatorSetIdProto *o = q->model->opset_import[i];
        if (!o->domain || !*o->domain || !strcmp(o->domain, "ai.onnx"))
            q->opset = o->version;
    }
    if (q->opset < 7)
        return cb_fail(CB_ERR_UNSUPPORTED, "opset %lld is too old to be quantised: 7 is wanted",
                       (long long)q->opset);
    return cb_ok();
}

static void count_readers(struct cb_onnx_quantise *q)
{
    memset(q->readers, 0, (size_t)q->graph->n_values * sizeof *q->readers);
    for (int i = 0; i < q->n_nodes; i++)
        for (int k = 0; k < q->nodes[i].n_in; k++)
            if (q->nodes[i].in[k] >= 0)
                q->readers[q->nodes[i].in[k]]++;
    for (int i = 0; i < q->graph->n_outputs; i++)
        q->readers[q->graph->outputs[i]]++;
}

static struct cb_status make_tables(struct cb_onnx_quantise *q)
{
    const size_t n = (size_t)q->graph->n_values;
    CB_TRY(cb_arena_get(q->arena, n, sizeof *q->readers, "values", &q->readers));
    CB_TRY(cb_arena_get(q->arena, n, sizeof *q->producer, "values", &q->producer));
    CB_TRY(cb_arena_get(q->arena, n, sizeof *q->wanted, "values", &q->wanted));
    CB_TRY(cb_arena_get(q->arena, n, sizeof *q->leads, "values", &q->leads));
    CB_TRY(cb_arena_get(q->arena, n, sizeof *q->factors, "values", &q->factors));
    CB_TRY(cb_arena_get(q->arena, n, sizeof *q->group, "values", &q->group));
    CB_TRY(cb_arena_get(q->arena, n, sizeof *q->values, "values", &q->values));
    CB_TRY(cb_arena_get(q->arena, n, sizeof *q->range, "values", &q->range));
    CB_TRY(cb_arena_get(q->arena, n, sizeof *q->own, "values", &q->own));
    for (size_t v = 0; v < n; v++) {
        q->producer[v] = -1;
        q->group[v] = (int)v;
    }
    for (int i = 0; i < q->n_nodes; i++)
        for (int k = 0; k < q->nodes[i].n_out; k++)
            if (q->nodes[i].out[k] >= 0)
                q->producer[q->nodes[i].out[k]] = i;
    return cb_ok();
}

/* ---- kinds ---- */

static bool is_bias(const struct cb_onnx_quantise *q, int value, int64_t outputs)
{
    return value < 0 ||
           (is_constant(q, value) && cb_shape_count(&value_of(q, value)->shape) == (size_t)outputs);
}

static bool is_product(const struct cb_onnx_quantise *q, struct cb_quantise_node *n)
{
    const int bias = n->n_in > 2 ? n->in[2] : -1;
    if (n->n_in < 2 || !is_activation(q, n->in[0]) || !is_constant(q, n->in[1]))
        return false;
    const struct cb_shape *w = &value_of(q, n->in[1])->shape, *x = &value_of(q, n->in[0])->shape;
    if (!strcmp(n->proto->op_type, "Conv"))
        return w->rank >= 3 && is_bias(q, bias, w->dim[0]);
    if (w->rank != 2 || x->rank != 2)
        return false;
    n->axis = 1;
    if (!strcmp(n->proto->op_type, "MatMul"))
        return true;
    n->axis = cb_quantise_int(n, "transB", 0) ? 0 : 1;
    return !strcmp(n->proto->op_type, "Gemm") && !cb_quantise_int(n, "transA", 0) &&
           fabsf(cb_quantise_float(n, "alpha", 1) - 1) <= 0 &&
           (bias < 0 || fabsf(cb_quantise_float(n, "beta", 1) - 1) <= 0) &&
           is_bias(q, bias, w->dim[n->axis]);
}

static bool is_sum(const struct cb_onnx_quantise *q, const struct cb_quantise_node *n)
{
    return n->n_in == 2 && is_activation(q, n->in[0]) && is_activation(q, n->in[1]) &&
           cb_shape_equal(&value_of(q, n->in[0])->shape, &value_of(q, n->in[1])->shape);
}

static enum cb_quantise_kind kind_of(const struct cb_onnx_quantise *q, struct cb_quantise_node *n)
{
    static const struct {
        const char *op;
        enum cb_quantise_kind kind;
    } kinds[] = {
        { "Conv", CB_QUANTISE_PRODUCT },           { "Gemm", CB_QUANTISE_PRODUCT },
        { "MatMul", CB_QUANTISE_PRODUCT },         { "Add", CB_QUANTISE_SUM },
        { "GlobalAveragePool", CB_QUANTISE_MEAN }, { "AveragePool", CB_QUANTISE_MEAN },
        { "MaxPool", CB_QUANTISE_SAME },           { "Flatten", CB_QUANTISE_SAME },
        { "Reshape", CB_QUANTISE_SAME },           { "Squeeze", CB_QUANTISE_SAME },
        { "Unsqueeze", CB_QUANTISE_SAME },         { "Identity", CB_QUANTISE_SAME },
        { "Dropout", CB_QUANTISE_SAME },           { "Concat", CB_QUANTISE_CONCAT },
    };
    enum cb_quantise_kind kind = CB_QUANTISE_OTHER;
    const bool own =
        !n->proto->domain || !*n->proto->domain || !strcmp(n->proto->domain, "ai.onnx");
    for (size_t i = 0; own && i < CB_COUNT_OF(kinds); i++)
        if (!strcmp(n->proto->op_type, kinds[i].op))
            kind = kinds[i].kind;
    if (n->n_in < 1 || n->n_out < 1 || !is_activation(q, n->out[0]) ||
        (kind == CB_QUANTISE_PRODUCT && !is_product(q, n)) ||
        (kind == CB_QUANTISE_SUM && !is_sum(q, n)))
        return CB_QUANTISE_OTHER;
    for (int k = 0; k < (kind == CB_QUANTISE_CONCAT ? n->n_in : 1); k++)
        if (!is_activation(q, n->in[k]))
            return CB_QUANTISE_OTHER;
    return kind;
}

/* What a value is a copy of. */
static int original(const struct cb_onnx_quantise *q, int value)
{
    while (value >= 0 && q->producer[value] >= 0 &&
           !strcmp(q->nodes[q->producer[value]].proto->op_type, "Identity") &&
           q->nodes[q->producer[value]].in[0] >= 0)
        value = q->nodes[q->producer[value]].in[0];
    return value;
}

/* Exporters share equal constants through Identity. */
static void find_originals(struct cb_onnx_quantise *q)
{
    for (int i = 0; i < q->n_nodes; i++)
        for (int k = 1; k < q->nodes[i].n_in; k++) {
            const int from = original(q, q->nodes[i].in[k]);
            if (is_constant(q, from))
                q->nodes[i].in[k] = from;
        }
}

/* BatchNormalization of constants that alone reads a convolution's result goes into its weights. */
static void find_folded(struct cb_onnx_quantise *q, int i)
{
    struct cb_quantise_node *n = &q->nodes[i];
    if (strcmp(n->proto->op_type, "BatchNormalization") || n->n_in != 5 || n->in[0] < 0 ||
        cb_quantise_int(n, "training_mode", 0) || q->readers[n->in[0]] != 1)
        return;
    const int p = q->producer[n->in[0]];
    if (p < 0 || q->nodes[p].kind != CB_QUANTISE_PRODUCT ||
        strcmp(q->nodes[p].proto->op_type, "Conv"))
        return;
    const int64_t outputs = value_of(q, q->nodes[p].in[1])->shape.dim[0];
    for (int k = 1; k < 5; k++)
        if (n->in[k] < 0 || !is_bias(q, n->in[k], outputs))
            return;
    q->nodes[p].folded = i;
    n->kind = CB_QUANTISE_GONE;
}

/* Constants that are written anew are not read any more; what then makes nothing that is read goes.
 */
static void drop_dead(struct cb_onnx_quantise *q)
{
    for (int i = 0; i < q->n_nodes; i++)
        for (int k = 1; k < q->nodes[i].n_in; k++)
            if (q->nodes[i].in[k] >= 0 &&
                (q->nodes[i].kind == CB_QUANTISE_PRODUCT || q->nodes[i].kind == CB_QUANTISE_GONE))
                q->readers[q->nodes[i].in[k]]--;
    for (int i = q->n_nodes - 1; i >= 0; i--) {
        struct cb_quantise_node *n = &q->nodes[i];
        bool read = n->kind == CB_QUANTISE_GONE;
        for (int k = 0; k < n->n_out; k++)
            read |= n->out[k] >= 0 && q->readers[n->out[k]] > 0;
        if (read)
            continue;
        n->kind = CB_QUANTISE_GONE;
        for (int k = 0; k < n->n_in; k++)
            if (n->in[k] >= 0)
                q->readers[n->in[k]]--;
    }
}

/* ---- who wants bytes ---- */

/* The operand of a sum that stays real: a convolution's result that nobody else reads. It is added
 * while it still is a sum, so one rounding less. -1: none. */
static int real_operand(const struct cb_onnx_quantise *q, const struct cb_quantise_node *n)
{
    for (int k = 1; k >= 0 && n->kind == CB_QUANTISE_SUM; k--) {
        int p = q->producer[n->in[k]];
        if (p >= 0 && q->nodes[p].kind == CB_QUANTISE_GONE)
            p = q->producer[q->nodes[p].in[0]];
        if (p >= 0 && q->nodes[p].kind == CB_QUANTISE_PRODUCT && q->readers[n->in[k]] == 1 &&
            !strcmp(q->nodes[p].proto->op_type, "Conv") &&
            cb_quantise_int(&q->nodes[p], "group", 1) == 1)
            return k;
    }
    return -1;
}

/* Behind the last product nothing is quantised: scores are few, and clipping hurts the best of
 * them. */
static void want_inputs(struct cb_onnx_quantise *q, const struct cb_quantise_node *n)
{
    bool leads = n->kind == CB_QUANTISE_PRODUCT;
    for (int k = 0; k < n->n_out; k++)
        leads |= n->out[k] >= 0 && q->leads[n->out[k]];
    for (int k = 0; k < n->n_in; k++)
        if (n->in[k] >= 0)
            q->leads[n->in[k]] |= leads;
    if (!leads)
        return;
    const bool all = n->kind == CB_QUANTISE_SUM || n->kind == CB_QUANTISE_CONCAT;
    if (n->kind == CB_QUANTISE_OTHER || n->kind == CB_QUANTISE_GONE ||
        (n->kind == CB_QUANTISE_SAME && !q->wanted[n->out[0]]))
        return;
    const int real = real_operand(q, n);
    for (int k = 0; k < (all ? n->n_in : 1); k++)
        q->wanted[n->in[k]] |= k != real;
    if (n->kind == CB_QUANTISE_SAME)
        join(q, n->in[0], n->out[0]);
    for (int k = 1; n->kind == CB_QUANTISE_CONCAT && k < n->n_in; k++)
        join(q, n->in[k], n->in[0]);
    if (n->kind == CB_QUANTISE_CONCAT && q->wanted[n->out[0]])
        join(q, n->out[0], n->in[0]);
}

struct cb_status cb_onnx_quantise_create(struct cb_arena *arena, struct cb_bytes file,
                                         const struct cb_graph *graph,
                                         const struct cb_graph *inferred,
                                         struct cb_onnx_quantise **out)
{
    struct cb_onnx_quantise *q;
    Onnx__ModelProto *model;
    struct cb_upgrade upgrade;
    CB_TRY(cb_arena_get(arena, 1, sizeof *q, "quantising", &q));
    CB_TRY(cb_onnx_parse_model(arena, file, &model));
    *q = (struct cb_onnx_quantise){
        .arena = arena, .file = file, .model = model, .graph = graph, .inferred = inferred
    };
    CB_TRY(read_names(q));
    CB_TRY(read_nodes(q));
    CB_TRY(make_tables(q));
    find_originals(q);
    count_readers(q);
    for (int i = 0; i < q->n_nodes; i++) {
        if (!strcmp(q->nodes[i].proto->op_type, "QuantizeLinear") ||
            !strcmp(q->nodes[i].proto->op_type, "DequantizeLinear"))
            return cb_fail(CB_ERR_UNSUPPORTED, "the network is quantised already");
        CB_TRY(cb_upgrade_node(q, &q->nodes[i], &upgrade));
        q->nodes[i].kind = kind_of(q, &q->nodes[i]);
    }
    for (int i = 0; i < q->n_nodes; i++)
        find_folded(q, i);
    drop_dead(q);
    for (int i = q->n_nodes - 1; i >= 0; i--)
        want_inputs(q, &q->nodes[i]);
    for (int v = 0; v < graph->n_values; v++)
        if (q->wanted[v])
            q->values[q->n_values++] = v;
    if (q->n_values == 0)
        return cb_fail(CB_ERR_UNSUPPORTED,
                       "the network has no product of float32 numbers to be quantised");
    *out = q;
    return cb_ok();
}

const int *cb_onnx_quantise_values(const struct cb_onnx_quantise *quantise, int *n)
{
    *n = quantise->n_values;
    return quantise->values;
}
