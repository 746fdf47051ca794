#include "importers/onnx/load.h"

#include <string.h>

#include "importers/onnx/limits.h"
#include "importers/onnx/names.h"
#include "importers/onnx/order.h"
#include "importers/onnx/parse.h"
#include "importers/onnx/refusals.h"
#include "importers/onnx/rules.h"

/* One load. All but what `model` gets is in the scratch arena. */
struct loader {
    struct cb_arena *scratch;
    struct cb_onnx_model *model;
    const Onnx__ModelProto *proto;
    const Onnx__GraphProto *graph;
    struct cb_onnx_import import;
    struct cb_onnx_names names;
    struct cb_onnx_refusals refusals;
    struct cb_onnx_node *nodes; /* graph->n_node of them */
};

static const struct cb_shape no_shape = { .rank = -1 };

static const char *text_or(const char *text, const char *otherwise)
{
    return text && *text ? text : otherwise;
}

static bool is_own_domain(const char *domain)
{
    return !domain || !*domain || strcmp(domain, "ai.onnx") == 0;
}

/* The opset of a domain; 0 when the file imports none. */
static int64_t opset_of(const struct loader *l, const char *domain)
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

static struct cb_status read_header(struct loader *l)
{
    const Onnx__ModelProto *p = l->proto;
    if (!p->graph)
        return cb_fail(CB_ERR_MODEL, "no ONNX model: it has no graph");
    if (!p->has_ir_version || p->ir_version < 1)
        return cb_fail(CB_ERR_MODEL, "no ONNX model: it has no IR version");
    if (p->ir_version > CB_ONNX_NEWEST_IR)
        return cb_fail(CB_ERR_UNSUPPORTED, "IR version %lld; the newest known is %d", (long long)p->ir_version,
                       CB_ONNX_NEWEST_IR);
    l->graph = p->graph;
    l->import.opset = opset_of(l, "");
    if (p->ir_version < 3 && p->n_opset_import == 0)
        l->import.opset = 1; /* operator sets came with version 3 */
    if (l->import.opset > CB_ONNX_NEWEST_OPSET)
        return cb_fail(CB_ERR_UNSUPPORTED, "opset %lld; the newest known is %d", (long long)l->import.opset,
                       CB_ONNX_NEWEST_OPSET);
    l->model->ir_version = p->ir_version;
    l->model->opset = l->import.opset;
    return cb_ok();
}

/* "pytorch 2.1", names and metadata outlive the parsed message. */
static struct cb_status keep_texts(struct loader *l)
{
    struct cb_arena *arena = l->model->graph.arena;
    const Onnx__ModelProto *p = l->proto;
    struct cb_onnx_prop *props;
    const char *version = text_or(p->producer_version, "");
    l->model->producer = cb_arena_printf(arena, "%s%s%s", text_or(p->producer_name, ""), *version ? " " : "", version);
    l->model->name = cb_arena_printf(arena, "%s", text_or(l->graph->name, ""));
    if (!l->model->producer || !l->model->name)
        return cb_fail(CB_ERR_NOMEM, "over the budget");
    CB_TRY(cb_arena_get(arena, p->n_metadata_props, sizeof *props, "metadata", &props));
    for (size_t i = 0; i < p->n_metadata_props; i++) {
        props[i].key = cb_arena_printf(arena, "%s", text_or(p->metadata_props[i]->key, ""));
        props[i].value = cb_arena_printf(arena, "%s", text_or(p->metadata_props[i]->value, ""));
        if (!props[i].key || !props[i].value)
            return cb_fail(CB_ERR_NOMEM, "metadata: over the budget");
    }
    l->model->props = props;
    l->model->n_props = (int)p->n_metadata_props;
    return cb_ok();
}

/* What a rule or a tensor reported: CB_ERR_UNSUPPORTED is noted for the whole message, anything else ends the load. */
static struct cb_status note(struct loader *l, struct cb_status st, const char *kind, const char *name)
{
    if (st.code != CB_ERR_UNSUPPORTED)
        return cb_context(st, "%.60s %.80s", kind, name);
    cb_onnx_refusals_add(&l->refusals, name, "%s (%.90s)", kind, st.msg);
    return cb_ok();
}

static struct cb_status add_initializers(struct loader *l)
{
    for (size_t i = 0; i < l->graph->n_initializer; i++) {
        const Onnx__TensorProto *proto = l->graph->initializer[i];
        const char *name = proto->name;
        struct cb_tensor t;
        bool in_place;
        int v;
        if (!name || !*name)
            return cb_fail(CB_ERR_MODEL, "initializer %zu has no name", i);
        CB_TRY(cb_graph_add_value(&l->model->graph, name, CB_DTYPE_NONE, &no_shape, &v));
        cb_onnx_names_add(&l->names, name, v);
        const struct cb_status st = cb_onnx_tensor_read(&l->model->files, proto, &t, &in_place);
        if (st.code == CB_OK)
            cb_onnx_set_constant(&l->import, v, &t, in_place && l->import.mapped);
        else
            CB_TRY(note(l, st, "initializer", name));
    }
    for (size_t i = 0; i < l->graph->n_sparse_initializer; i++) {
        const Onnx__TensorProto *values = l->graph->sparse_initializer[i]->values;
        cb_onnx_refusals_add(&l->refusals, text_or(values ? values->name : NULL, "?"), "sparse initializer");
    }
    const char *twice = cb_onnx_names_sort(&l->names);
    return twice ? cb_fail(CB_ERR_MODEL, "two initializers are named %.80s", twice) : cb_ok();
}

/* The declared type of an input or output. */
static struct cb_status read_type(const Onnx__TypeProto *type, struct cb_onnx_io *io)
{
    static const struct { Onnx__TypeProto__ValueCase kind; const char *name; } others[] = {
        { ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE, "a sequence" },
        { ONNX__TYPE_PROTO__VALUE_MAP_TYPE, "a map" },
        { ONNX__TYPE_PROTO__VALUE_SPARSE_TENSOR_TYPE, "a sparse tensor" },
        { ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE, "an optional" },
    };
    for (size_t i = 0; type && i < CB_COUNT_OF(others); i++)
        if (type->value_case == others[i].kind)
            return cb_fail(CB_ERR_UNSUPPORTED, "%s", others[i].name);
    if (!type || type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE)
        return cb_ok();
    const Onnx__TypeProto__Tensor *t = type->tensor_type;
    io->dtype = cb_onnx_dtype(t->elem_type);
    if (io->dtype == CB_DTYPE_NONE && t->elem_type != 0)
        return cb_fail(CB_ERR_UNSUPPORTED, "type %s", cb_onnx_dtype_name(t->elem_type));
    if (!t->shape)
        return cb_ok();
    if (t->shape->n_dim > CB_MAX_RANK)
        return cb_fail(CB_ERR_UNSUPPORTED, "rank %zu", t->shape->n_dim);
    io->shape.rank = (int)t->shape->n_dim;
    for (int i = 0; i < io->shape.rank; i++) {
        const Onnx__TensorShapeProto__Dimension *d = t->shape->dim[i];
        const bool known = d->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE && d->dim_value >= 0;
        io->shape.dim[i] = known ? d->dim_value : -1;
    }
    return cb_ok();
}

/* Declared inputs, but for those that are initialisers: files before IR version 4 declare all of them. */
static struct cb_status add_inputs(struct loader *l)
{
    struct cb_graph *g = &l->model->graph;
    struct cb_onnx_io *inputs;
    int v;
    CB_TRY(cb_arena_get(g->arena, l->graph->n_input, sizeof *inputs, "inputs", &inputs));
    for (size_t i = 0; i < l->graph->n_input; i++) {
        const Onnx__ValueInfoProto *info = l->graph->input[i];
        struct cb_onnx_io io = { .shape = no_shape };
        if (!info->name || !*info->name)
            return cb_fail(CB_ERR_MODEL, "input %zu has no name", i);
        if (cb_onnx_names_find(&l->names, info->name) >= 0)
            continue;
        CB_TRY(note(l, read_type(info->type, &io), "input", info->name));
        CB_TRY(cb_graph_add_value(g, info->name, io.dtype, &io.shape, &v));
        CB_TRY(cb_graph_add_input(g, v));
        cb_onnx_names_add(&l->names, info->name, v);
        io.name = g->values[v].name;
        inputs[g->n_inputs - 1] = io;
    }
    l->model->inputs = inputs;
    return cb_ok();
}

static struct cb_status add_outputs(struct loader *l)
{
    struct cb_graph *g = &l->model->graph;
    struct cb_onnx_io *outputs;
    if (l->graph->n_output == 0)
        return cb_fail(CB_ERR_MODEL, "the graph has no output");
    CB_TRY(cb_arena_get(g->arena, l->graph->n_output, sizeof *outputs, "outputs", &outputs));
    for (size_t i = 0; i < l->graph->n_output; i++) {
        const Onnx__ValueInfoProto *info = l->graph->output[i];
        struct cb_onnx_io io = { .shape = no_shape };
        const char *name = text_or(info->name, "");
        const int v = cb_onnx_names_find(&l->names, name);
        if (v < 0)
            return cb_fail(CB_ERR_MODEL, "output %.80s is made by nothing", name);
        CB_TRY(note(l, read_type(info->type, &io), "output", name));
        CB_TRY(cb_graph_add_output(g, v));
        io.name = g->values[v].name;
        outputs[i] = io;
    }
    l->model->outputs = outputs;
    return cb_ok();
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
    return text_or(proto->op_type, "node");
}

/* Finds the node's rule, and makes the values of its outputs. */
static struct cb_status add_node_outputs(struct loader *l, struct cb_onnx_node *node)
{
    const Onnx__NodeProto *p = node->proto;
    if (!p->op_type || !*p->op_type)
        return cb_fail(CB_ERR_MODEL, "node %.80s has no op_type", node->name);
    if (p->n_input > CB_MAX_ARGS || p->n_output > CB_MAX_ARGS)
        return cb_fail(CB_ERR_MODEL, "node %.80s has over %d inputs or outputs", node->name, CB_MAX_ARGS);
    if (is_own_domain(p->domain))
        node->rule = cb_onnx_rule_find(p->op_type, l->import.opset);
    node->n_in = count_present(p->input, p->n_input);
    node->n_out = count_present(p->output, p->n_output);
    if (node->rule && node->n_out > -node->rule->max_out && node->rule->max_out < 0)
        node->n_out = -node->rule->max_out;
    CB_TRY(cb_arena_get(l->scratch, (size_t)(node->n_in + node->n_out), sizeof(int), "nodes", &node->in));
    node->out = node->in + node->n_in;
    for (int i = 0; i < node->n_out; i++) {
        node->out[i] = -1;
        if (!*p->output[i])
            continue;
        CB_TRY(cb_graph_add_value(&l->model->graph, p->output[i], CB_DTYPE_NONE, &no_shape, &node->out[i]));
        cb_onnx_names_add(&l->names, p->output[i], node->out[i]);
    }
    return cb_ok();
}

static struct cb_status add_nodes(struct loader *l)
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
static struct cb_status connect(struct loader *l, int **order)
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
                return cb_fail(CB_ERR_MODEL, "node %.80s: input %.80s is made by nothing", node->name, name);
            if (*name && producer[node->in[k]] >= 0)
                from[first[i + 1]++] = producer[node->in[k]];
        }
    }
    needs.first = first;
    needs.from = from;
    CB_TRY(cb_onnx_order(&needs, l->scratch, order, &stuck));
    return stuck < 0 ? cb_ok()
                     : cb_fail(CB_ERR_MODEL, "node %.80s needs its own output, by a cycle", l->nodes[stuck].name);
}

/* Why a node that has no rule is refused; the text of the refusal. */
static void refuse(struct loader *l, const struct cb_onnx_node *node)
{
    const Onnx__NodeProto *p = node->proto;
    const char *domain = is_own_domain(p->domain) ? "" : p->domain;
    for (size_t i = 0; i < l->proto->n_functions; i++) {
        const Onnx__FunctionProto *f = l->proto->functions[i];
        if (strcmp(text_or(f->name, ""), p->op_type) == 0 && strcmp(text_or(f->domain, ""), text_or(domain, "")) == 0) {
            cb_onnx_refusals_add(&l->refusals, node->name, "%.60s.%.60s (a function of the model)", domain, p->op_type);
            return;
        }
    }
    cb_onnx_refusals_add(&l->refusals, node->name, "%.60s%s%.60s (opset %lld)", domain, *domain ? "." : "", p->op_type,
                         (long long)opset_of(l, domain));
}

static struct cb_status check_arguments(const struct cb_onnx_node *node)
{
    const struct cb_onnx_rule *r = node->rule;
    const int max_out = r->max_out < 0 ? -r->max_out : r->max_out;
    if (node->n_in < r->min_in || node->n_in > r->max_in)
        return cb_fail(CB_ERR_MODEL, "has %d inputs, wants %d to %d", node->n_in, r->min_in, r->max_in);
    if (node->n_out < 1 || node->n_out > max_out)
        return cb_fail(CB_ERR_MODEL, "has %d outputs, wants 1 to %d", node->n_out, max_out);
    for (int i = 0; i < r->min_in; i++)
        if (node->in[i] < 0)
            return cb_fail(CB_ERR_MODEL, "input %d is missing", i);
    if (node->out[0] < 0)
        return cb_fail(CB_ERR_MODEL, "output 0 is missing");
    return cb_ok();
}

static struct cb_status import_node(struct loader *l, struct cb_onnx_node *node)
{
    for (size_t i = 0; i < node->proto->n_attribute; i++)
        if (node->proto->attribute[i]->ref_attr_name && *node->proto->attribute[i]->ref_attr_name)
            return cb_fail(CB_ERR_MODEL, "node %.80s refers to an attribute of a function", node->name);
    if (!node->rule) {
        if (opset_of(l, node->proto->domain) < 1 && l->import.opset == 0)
            return cb_fail(CB_ERR_MODEL, "node %.80s: the model imports no opset", node->name);
        refuse(l, node);
        return cb_ok();
    }
    struct cb_status st = check_arguments(node);
    if (st.code == CB_OK)
        st = node->rule->import(node);
    if (st.code == CB_ERR_UNSUPPORTED) {
        cb_onnx_refusals_add(&l->refusals, node->name, "%s (opset %lld): %.90s", node->rule->op_type,
                             (long long)l->import.opset, st.msg);
        return cb_ok();
    }
    return cb_context(st, "%s %.80s", node->rule->op_type, node->name);
}

static struct cb_status import_nodes(struct loader *l)
{
    struct cb_onnx_import *im = &l->import;
    int *order;
    CB_TRY(connect(l, &order));
    im->n_named = im->graph->n_values;
    CB_TRY(cb_arena_get(l->scratch, (size_t)im->n_named, sizeof *im->channels_last, "values", &im->channels_last));
    memset(im->channels_last, -1, (size_t)im->n_named * sizeof *im->channels_last);
    for (size_t i = 0; i < l->graph->n_node; i++)
        CB_TRY(import_node(l, &l->nodes[order[i]]));
    return cb_ok();
}

static struct cb_status load_into(struct loader *l)
{
    size_t names = 0;
    CB_TRY(read_header(l));
    CB_TRY(keep_texts(l));
    for (size_t i = 0; i < l->graph->n_node; i++)
        names += l->graph->node[i]->n_output;
    names += l->graph->n_initializer + l->graph->n_input;
    CB_TRY(cb_onnx_names_init(&l->names, l->scratch, names));
    CB_TRY(add_initializers(l));
    CB_TRY(add_inputs(l));
    CB_TRY(add_nodes(l));
    CB_TRY(import_nodes(l));
    CB_TRY(add_outputs(l));
    CB_TRY(cb_onnx_refusals_status(&l->refusals));
    return cb_graph_verify(&l->model->graph, "import");
}

/* What people have in an .onnx file that is no model at all. */
static struct cb_status check_magic(struct cb_bytes bytes)
{
    static const char lfs[] = "version https://git-lfs.github.com/spec/";
    if (bytes.len == 0)
        return cb_fail(CB_ERR_MODEL, "no ONNX model: the file is empty");
    if (bytes.len > sizeof lfs && memcmp(bytes.data, lfs, sizeof lfs - 1) == 0)
        return cb_fail(CB_ERR_MODEL, "no ONNX model but a git-lfs pointer to one: fetch it with `git lfs pull`");
    return cb_ok();
}

struct cb_status cb_onnx_load(struct cb_arena *arena, struct cb_bytes bytes, const struct cb_onnx_options *options,
                              struct cb_onnx_model *out)
{
    struct cb_onnx_model model = { .files = { .model = bytes, .folder = options->folder, .arena = arena } };
    struct cb_arena scratch;
    Onnx__ModelProto *proto;
    CB_TRY(check_magic(bytes));
    CB_TRY(cb_arena_init(&scratch, CB_ONNX_PARSE_BUDGET));
    cb_graph_init(&model.graph, arena);
    struct cb_status st = cb_onnx_parse_model(&scratch, bytes, &proto);
    if (st.code == CB_OK) {
        struct loader l = {
            .scratch = &scratch, .model = &model, .proto = proto, .refusals = { .arena = &scratch },
            .import = { .graph = &model.graph, .files = &model.files, .scratch = &scratch, .mapped = options->mapped },
        };
        st = load_into(&l);
    }
    if (st.code)
        cb_onnx_files_close(&model.files);
    else
        *out = model;
    cb_arena_deinit(&scratch);
    return st;
}

void cb_onnx_model_deinit(struct cb_onnx_model *model)
{
    cb_onnx_files_close(&model->files);
}
