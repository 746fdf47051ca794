#include <string.h>

#include "importers/onnx/byte_weights.h"
#include "importers/onnx/limits.h"
#include "importers/onnx/loader.h"
#include "importers/onnx/parse.h"

static const struct cb_shape no_shape = { .rank = -1 };

static struct cb_status read_header(struct cb_onnx_loader *l)
{
    const Onnx__ModelProto *p = l->proto;
    if (!p->graph)
        return cb_fail(CB_ERR_MODEL, "no ONNX model: it has no graph");
    if (!p->has_ir_version || p->ir_version < 1)
        return cb_fail(CB_ERR_MODEL, "no ONNX model: it has no IR version");
    if (p->ir_version > CB_ONNX_NEWEST_IR)
        return cb_fail(CB_ERR_UNSUPPORTED, "IR version %lld; the newest known is %d",
                       (long long)p->ir_version, CB_ONNX_NEWEST_IR);
    l->graph = p->graph;
    l->model->opset = cb_onnx_opset_of(l, "");
    if (p->ir_version < 3 && p->n_opset_import == 0)
        l->model->opset = 1; /* operator sets came with version 3 */
    if (l->model->opset > CB_ONNX_NEWEST_OPSET)
        return cb_fail(CB_ERR_UNSUPPORTED, "opset %lld; the newest known is %d",
                       (long long)l->model->opset, CB_ONNX_NEWEST_OPSET);
    l->model->ir_version = p->ir_version;
    return cb_ok();
}

/* "pytorch 2.1", names and metadata outlive the parsed message. */
static struct cb_status keep_texts(struct cb_onnx_loader *l)
{
    struct cb_arena *arena = l->model->graph.arena;
    const Onnx__ModelProto *p = l->proto;
    struct cb_onnx_property *props;
    const char *version = cb_onnx_text_or(p->producer_version, "");
    l->model->producer = cb_arena_printf(arena, "%s%s%s", cb_onnx_text_or(p->producer_name, ""),
                                         *version ? " " : "", version);
    l->model->name = cb_arena_printf(arena, "%s", cb_onnx_text_or(l->graph->name, ""));
    if (!l->model->producer || !l->model->name)
        return cb_fail(CB_ERR_NOMEM, "over the budget");
    CB_TRY(cb_arena_get(arena, p->n_metadata_props, sizeof *props, "metadata", &props));
    for (size_t i = 0; i < p->n_metadata_props; i++) {
        props[i].key = cb_arena_printf(arena, "%s", cb_onnx_text_or(p->metadata_props[i]->key, ""));
        props[i].value =
            cb_arena_printf(arena, "%s", cb_onnx_text_or(p->metadata_props[i]->value, ""));
        if (!props[i].key || !props[i].value)
            return cb_fail(CB_ERR_NOMEM, "metadata: over the budget");
    }
    l->model->props = props;
    l->model->n_props = (int)p->n_metadata_props;
    return cb_ok();
}

/* What a rule or a tensor reported: CB_ERR_UNSUPPORTED is noted for the whole message, anything
 * else ends the load. */
static struct cb_status note(struct cb_onnx_loader *l, struct cb_status st, const char *kind,
                             const char *name)
{
    if (st.code != CB_ERR_UNSUPPORTED)
        return cb_context(st, "%.60s %.80s", kind, name);
    cb_onnx_refusals_add(&l->refusals, name, "%s (%.90s)", kind, st.msg);
    return cb_ok();
}

static struct cb_status add_initializers(struct cb_onnx_loader *l)
{
    struct cb_byte_weights bytes;
    CB_TRY(cb_byte_weights_find(l->graph, l->scratch, &bytes));
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
        if (cb_byte_weights_has(&bytes, name) &&
            cb_onnx_tensor_bytes(&l->model->files, proto, &t)) {
            cb_onnx_set_constant(&l->import, v, &t, l->import.mapped);
            continue;
        }
        const struct cb_status st = cb_onnx_tensor_read(&l->model->files, proto, &t, &in_place);
        if (st.code == CB_OK)
            cb_onnx_set_constant(&l->import, v, &t, in_place && l->import.mapped);
        else
            CB_TRY(note(l, st, "initializer", name));
    }
    for (size_t i = 0; i < l->graph->n_sparse_initializer; i++) {
        const Onnx__TensorProto *values = l->graph->sparse_initializer[i]->values;
        cb_onnx_refusals_add(&l->refusals, cb_onnx_text_or(values ? values->name : NULL, "?"),
                             "sparse initializer");
    }
    const char *twice = cb_onnx_names_sort(&l->names);
    return twice ? cb_fail(CB_ERR_MODEL, "two initializers are named %.80s", twice) : cb_ok();
}

/* The declared type of an input or output. */
static struct cb_status read_type(const Onnx__TypeProto *type, struct cb_onnx_io *io)
{
    static const struct {
        Onnx__TypeProto__ValueCase kind;
        const char *name;
    } others[] = {
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
        const bool known = d->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE &&
                           d->dim_value >= 0;
        io->shape.dim[i] = known ? d->dim_value : -1;
    }
    return cb_ok();
}

/* Declared inputs, but for those that are initialisers: files before IR version 4 declare all of
 * them. */
static struct cb_status add_inputs(struct cb_onnx_loader *l)
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

static struct cb_status add_outputs(struct cb_onnx_loader *l)
{
    struct cb_graph *g = &l->model->graph;
    struct cb_onnx_io *outputs;
    if (l->graph->n_output == 0)
        return cb_fail(CB_ERR_MODEL, "the graph has no output");
    CB_TRY(cb_arena_get(g->arena, l->graph->n_output, sizeof *outputs, "outputs", &outputs));
    for (size_t i = 0; i < l->graph->n_output; i++) {
        const Onnx__ValueInfoProto *info = l->graph->output[i];
        struct cb_onnx_io io = { .shape = no_shape };
        const char *name = cb_onnx_text_or(info->name, "");
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

static struct cb_status load_into(struct cb_onnx_loader *l)
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
    CB_TRY(cb_onnx_add_nodes(l));
    CB_TRY(cb_onnx_import_nodes(l));
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
        return cb_fail(CB_ERR_MODEL,
                       "no ONNX model but a git-lfs pointer to one: fetch it with `git lfs pull`");
    return cb_ok();
}

struct cb_status cb_onnx_load(struct cb_arena *arena, struct cb_bytes bytes,
                              const struct cb_onnx_options *options, struct cb_onnx_model *out)
{
    struct cb_onnx_model model = {
        .files = { .model = bytes, .folder = options->folder, .arena = arena }
    };
    struct cb_arena scratch;
    Onnx__ModelProto *proto;
    CB_TRY(check_magic(bytes));
    CB_TRY(cb_arena_init(&scratch, CB_ONNX_PARSE_BUDGET));
    cb_graph_init(&model.graph, arena);
    struct cb_status st = cb_onnx_parse_model(&scratch, bytes, &proto);
    if (st.code == CB_OK) {
        struct cb_onnx_loader l = {
            .scratch = &scratch,
            .model = &model,
            .proto = proto,
            .refusals = { .arena = &scratch },
            .import = { .graph = &model.graph,
                        .files = &model.files,
                        .scratch = &scratch,
                        .mapped = options->mapped },
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
