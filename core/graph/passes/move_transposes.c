/* Every value may have an origin: v = transpose(u, perm), that is, v's axis i is u's axis perm[i].
 * One sweep in node order: an operator whose inputs all have origins of one perm is applied to the
 * origins instead, and its result gets an origin of its own. A transpose of a value with an origin
 * becomes one transpose of the origin, or nothing. */
#include "core/graph/passes/passes.h"

#include <stdio.h>
#include <string.h>

/* Constants that are rewritten, in all: one that many nodes read is written anew for each. */
#define MAX_CONSTANT_BYTES ((size_t)128 << 20)

struct origin {
    int value; /* -1: none */
    int perm[CB_MAX_RANK];
};

struct sweep {
    struct cb_pass *pass;
    struct cb_graph *graph;
    struct origin *origin; /* [cap] */
    int *replacement;      /* [cap] a value that took over for this one; itself otherwise */
    int cap;
    size_t constant_bytes; /* of constants that were rewritten */
};

/* What an operator does with axes. */
enum rule { STAYS, ELEMENTWISE, AXIS, REDUCTION, PADDING, SLICING, RESIZING, VIEW };

static bool is_binary(const struct cb_node *node)
{
    return node->op >= CB_OP_ADD && node->op <= CB_OP_WHERE;
}

static bool is_quantising(const struct cb_node *node)
{
    return node->op == CB_OP_QUANTIZE || node->op == CB_OP_DEQUANTIZE;
}

static enum rule rule_of(const struct cb_node *node)
{
    if (is_binary(node) || (node->op >= CB_OP_RELU && node->op <= CB_OP_CAST))
        return ELEMENTWISE;
    if (node->op >= CB_OP_REDUCE_SUM && node->op <= CB_OP_REDUCE_SUM_SQUARE)
        return REDUCTION;
    switch (node->op) {
    case CB_OP_QUANTIZE:
    case CB_OP_DEQUANTIZE: return node->attr.quantise.block ? STAYS : ELEMENTWISE;
    case CB_OP_CONCAT:
    case CB_OP_SPLIT: return AXIS;
    case CB_OP_SOFTMAX:
    case CB_OP_LOG_SOFTMAX: return node->attr.softmax.flatten ? STAYS : AXIS;
    case CB_OP_PAD: return PADDING;
    case CB_OP_SLICE: return SLICING;
    case CB_OP_RESIZE: return RESIZING;
    case CB_OP_RESHAPE:
    case CB_OP_FLATTEN:
    case CB_OP_SQUEEZE:
    case CB_OP_UNSQUEEZE: return VIEW;
    default: return STAYS;
    }
}

/* True when only axes of length 1 change their place, so that memory stays as it is. */
static bool moves_nothing(const struct cb_shape *from, const int *perm)
{
    int last = -1;
    for (int i = 0; i < from->rank; i++) {
        if (from->dim[perm[i]] == 1)
            continue;
        if (perm[i] < last)
            return false;
        last = perm[i];
    }
    return true;
}

static bool is_identity(const int *perm, int rank)
{
    for (int i = 0; i < rank; i++)
        if (perm[i] != i)
            return false;
    return true;
}

static struct cb_status add_value(struct sweep *s, const char *name, enum cb_dtype dtype,
                                  const struct cb_shape *shape, int *out)
{
    if (s->graph->n_values >= s->cap)
        return cb_fail(CB_ERR_NOMEM, "move-transposes: more values than foreseen");
    return cb_graph_add_value(s->graph, name, dtype, shape, out);
}

/* A new value: `like` with its axes put back in the origin's order (axis perm[i] is like's axis i).
 */
static struct cb_status add_untransposed(struct sweep *s, int like, const int *perm, int *out)
{
    const struct cb_value v = s->graph->values[like];
    struct cb_shape shape = v.shape;
    char name[300];
    for (int i = 0; i < shape.rank; i++)
        shape.dim[perm[i]] = v.shape.dim[i];
    snprintf(name, sizeof name, "%.250s@untransposed", v.name);
    return add_value(s, name, v.dtype, &shape, out);
}

/* The constant of which `value`, broadcast to `rank` axes, is the transpose. */
static struct cb_status untranspose_constant(struct sweep *s, int value, int rank, const int *perm,
                                             int *out)
{
    const struct cb_value v = s->graph->values[value];
    const size_t size = cb_dtype_size(v.dtype), count = cb_shape_count(&v.shape);
    struct cb_shape wide = { .rank = rank }, shape = { .rank = rank };
    size_t step[CB_MAX_RANK], at[CB_MAX_RANK] = { 0 };
    char *data;
    for (int i = 0; i < rank; i++) {
        const int k = i - (rank - v.shape.rank);
        wide.dim[i] = k < 0 ? 1 : v.shape.dim[k];
        shape.dim[perm[i]] = wide.dim[i];
    }
    for (int i = 0; i < rank; i++)
        step[perm[i]] = cb_shape_span(&wide, i + 1, rank); /* in the old memory */
    CB_TRY(cb_arena_get(s->graph->arena, count, size, v.name, &data));
    for (size_t n = 0; n < count; n++) {
        size_t from = 0;
        for (int i = 0; i < rank; i++)
            from += at[i] * step[i];
        memcpy(data + n * size, (const char *)v.data + from * size, size);
        for (int i = rank - 1; i >= 0 && ++at[i] == (size_t)shape.dim[i]; i--)
            at[i] = 0;
    }
    CB_TRY(add_value(s, v.name, v.dtype, &shape, out));
    s->graph->values[*out].data = data;
    s->graph->values[*out].durable = v.durable;
    s->graph->values[*out].key = cb_key_mix(v.key, 0x7472616e73706f73u);
    for (int i = 0; i < rank; i++)
        s->graph->values[*out].key = cb_key_mix(s->graph->values[*out].key, (uint64_t)perm[i]);
    return cb_ok();
}

/* The perm that all inputs with an origin share; the other inputs are constants. NULL when the node
 * must stay. */
static const struct origin *common_origin(const struct sweep *s, const struct cb_node *node,
                                          int rank)
{
    const struct origin *common = NULL;
    const bool same_rank = is_binary(node) || node->op == CB_OP_CONCAT;
    if (is_binary(node) && node->op != CB_OP_WHERE && node->attr.binary.aligned)
        return NULL;
    for (int k = 1; is_quantising(node) && k < node->n_in; k++)
        if (node->in[k] >= 0 && cb_shape_count(&s->graph->values[node->in[k]].shape) != 1)
            return NULL; /* numbers along an axis of the input */
    for (int k = 0; k < node->n_in; k++) {
        const int v = node->in[k];
        const struct origin *o;
        if (v < 0)
            continue;
        o = &s->origin[v];
        if (o->value < 0 && (!s->graph->values[v].data || cb_pass_pinned(s->pass, v)))
            return NULL;
        if (o->value < 0)
            continue;
        if (same_rank && s->graph->values[v].shape.rank != rank)
            return NULL;
        if (common && memcmp(common->perm, o->perm, (size_t)rank * sizeof *o->perm))
            return NULL;
        common = o;
    }
    return common;
}

/* Whether the constants that would have to be rewritten for this node are within the limit; counts
 * them. */
static bool can_rewrite(struct sweep *s, const struct cb_node *node)
{
    size_t bytes = s->constant_bytes;
    for (int k = 0; k < node->n_in; k++) {
        const int v = node->in[k];
        const struct cb_tensor t =
            v < 0 ? (struct cb_tensor){ 0 } : cb_value_tensor(&s->graph->values[v]);
        if (v < 0 || s->origin[v].value >= 0 || cb_tensor_count(&t) == 1)
            continue;
        if (cb_tensor_bytes(&t) > MAX_CONSTANT_BYTES - bytes)
            return false;
        bytes += cb_tensor_bytes(&t);
    }
    s->constant_bytes = bytes;
    return true;
}

static struct cb_status untranspose_inputs(struct sweep *s, struct cb_node *node, int rank,
                                           const int *perm)
{
    for (int k = 0; k < node->n_in; k++) {
        const int v = node->in[k];
        if (v < 0)
            continue;
        if (s->origin[v].value >= 0)
            node->in[k] = s->origin[v].value;
        else if (cb_shape_count(&s->graph->values[v].shape) != 1)
            CB_TRY(untranspose_constant(s, v, rank, perm, &node->in[k]));
    }
    return cb_ok();
}

static void map_axes(struct cb_list *axes, int rank, const int *perm)
{
    for (int i = 0; i < axes->count; i++)
        axes->v[i] = perm[cb_shape_axis(axes->v[i], rank)];
}

static void map_per_axis(struct cb_list *list, const int *perm)
{
    const struct cb_list old = *list;
    for (int i = 0; i < old.count; i++)
        list->v[perm[i]] = old.v[i];
}

static void map_scales(double scale[CB_MAX_RANK], int count, const int *perm)
{
    double old[CB_MAX_RANK];
    memcpy(old, scale, sizeof old);
    for (int i = 0; i < count; i++)
        scale[perm[i]] = old[i];
}

/* Attributes that name axes now name the origin's. False when this form of the node must stay. */
static bool map_attributes(struct cb_node *node, enum rule rule, int rank, const int *perm)
{
    int *axis = node->op == CB_OP_CONCAT  ? &node->attr.axis.axis
                : node->op == CB_OP_SPLIT ? &node->attr.split.axis
                                          : &node->attr.softmax.axis;
    switch (rule) {
    case ELEMENTWISE: return true;
    case AXIS: *axis = perm[cb_shape_axis(*axis, rank)]; return true;
    case REDUCTION:
        if (node->attr.reduce.axes.count <= 0 || !node->attr.reduce.keep_dims)
            return false;
        map_axes(&node->attr.reduce.axes, rank, perm);
        return true;
    case PADDING:
        if (node->attr.pad.begin.count != rank || node->attr.pad.end.count != rank)
            return false;
        map_per_axis(&node->attr.pad.begin, perm);
        map_per_axis(&node->attr.pad.end, perm);
        node->attr.pad.axes.count = -1;
        return true;
    case SLICING:
        if (node->attr.slice.axes.count <= 0)
            return false;
        map_axes(&node->attr.slice.axes, rank, perm);
        return true;
    case RESIZING:
        map_per_axis(&node->attr.resize.sizes, perm);
        map_scales(node->attr.resize.scale, rank, perm);
        map_scales(node->attr.resize.roi[0], rank, perm);
        map_scales(node->attr.resize.roi[1], rank, perm);
        return true;
    default: return false;
    }
}

/* A reduction that drops its axes is done on the origin when the axes that remain keep their order.
 */
static bool reduce_origin(struct sweep *s, struct cb_node *node)
{
    const struct origin *o = &s->origin[node->in[0]];
    const int rank = s->graph->values[node->in[0]].shape.rank;
    bool gone[CB_MAX_RANK] = { false };
    int last = -1;
    if (node->attr.reduce.keep_dims || node->attr.reduce.axes.count <= 0)
        return false;
    for (int i = 0; i < node->attr.reduce.axes.count; i++)
        gone[cb_shape_axis(node->attr.reduce.axes.v[i], rank)] = true;
    for (int i = 0; i < rank; i++) {
        if (gone[i])
            continue;
        if (o->perm[i] < last)
            return false;
        last = o->perm[i];
    }
    map_axes(&node->attr.reduce.axes, rank, o->perm);
    node->in[0] = o->value;
    return true;
}

static void become_view(const struct sweep *s, struct cb_node *node, int from)
{
    const struct cb_shape *shape = &s->graph->values[node->out[0]].shape;
    node->op = CB_OP_RESHAPE;
    node->attr = cb_attr_default(CB_OP_RESHAPE);
    node->attr.reshape.allow_zero = true;
    node->attr.reshape.dims.count = shape->rank;
    memcpy(node->attr.reshape.dims.v, shape->dim, sizeof shape->dim);
    node->n_in = 1;
    node->in[0] = from;
}

static void sweep_transpose(struct sweep *s, struct cb_node *node)
{
    const int rank = s->graph->values[node->out[0]].shape.rank;
    const struct origin *before = &s->origin[node->in[0]];
    struct origin *o = &s->origin[node->out[0]];
    *o = (struct origin){ .value = before->value >= 0 ? before->value : node->in[0] };
    for (int i = 0; i < rank; i++) {
        const int axis = node->attr.transpose.rank ? node->attr.transpose.perm[i] : rank - 1 - i;
        o->perm[i] = before->value >= 0 ? before->perm[axis] : axis;
    }
    node->in[0] = o->value;
    node->attr.transpose.rank = rank;
    memcpy(node->attr.transpose.perm, o->perm, sizeof o->perm);
    if (moves_nothing(&s->graph->values[o->value].shape, o->perm))
        become_view(s, node, o->value);
    if (is_identity(o->perm, rank) && !cb_pass_pinned(s->pass, node->out[0]))
        s->replacement[node->out[0]] = o->value;
    if (is_identity(o->perm, rank) || cb_pass_wanted(s->pass, node->out[0]))
        o->value = -1;
}

/* Applies the node to the origins; behind it a transpose for each output, which drop-dead removes
 * if nobody reads it. */
static struct cb_status push_through(struct sweep *s, struct cb_node *node, int rank,
                                     struct origin through, struct cb_node *behind, int *n_behind)
{
    CB_TRY(untranspose_inputs(s, node, rank, through.perm));
    for (int k = 0; k < node->n_out; k++) {
        const int v = node->out[k];
        struct cb_node t = { .op = CB_OP_TRANSPOSE, .n_in = 1, .n_out = 1 };
        if (v < 0)
            continue;
        CB_TRY(cb_arena_get(s->graph->arena, 2, sizeof *t.in, "move-transposes", &t.in));
        CB_TRY(add_untransposed(s, v, through.perm, &node->out[k]));
        t.name = s->graph->values[v].name;
        t.out = t.in + 1;
        t.in[0] = node->out[k];
        t.out[0] = v;
        t.attr = cb_attr_default(CB_OP_TRANSPOSE);
        t.attr.transpose.rank = rank;
        memcpy(t.attr.transpose.perm, through.perm, sizeof through.perm);
        if (moves_nothing(&s->graph->values[node->out[k]].shape, through.perm))
            become_view(s, &t, node->out[k]);
        if (!cb_pass_wanted(s->pass, v)) { /* else its readers must go on reading it */
            s->origin[v] = through;
            s->origin[v].value = node->out[k];
        }
        behind[(*n_behind)++] = t;
    }
    return cb_ok();
}

static struct cb_status sweep_node(struct sweep *s, struct cb_node *node, struct cb_node *behind,
                                   int *n_behind)
{
    const enum rule rule = rule_of(node);
    const struct origin *common;
    int rank;
    for (int k = 0; k < node->n_in; k++)
        if (node->in[k] >= 0)
            node->in[k] = s->replacement[node->in[k]];
    if (node->op == CB_OP_TRANSPOSE)
        sweep_transpose(s, node);
    if (rule == STAYS)
        return cb_ok();
    /* Of a reduction or a view the input has the axes in question, of all others input and output.
     */
    rank = s->graph
               ->values[rule == REDUCTION || rule == VIEW || node->out[0] < 0 ? node->in[0]
                                                                              : node->out[0]]
               .shape.rank;
    if (!(common = common_origin(s, node, rank)))
        return cb_ok();
    if (rule == VIEW) {
        if (moves_nothing(&s->graph->values[common->value].shape, common->perm))
            become_view(s, node, common->value);
        return cb_ok();
    }
    if (!can_rewrite(s, node))
        return cb_ok();
    if ((rule == REDUCTION && reduce_origin(s, node)) ||
        !map_attributes(node, rule, rank, common->perm))
        return cb_ok();
    return push_through(s, node, rank, *common, behind, n_behind);
}

struct cb_status cb_pass_move_transposes(struct cb_pass *pass)
{
    struct cb_graph *g = pass->graph;
    struct sweep s = { .pass = pass, .graph = g, .cap = g->n_values };
    struct cb_node *out;
    int cap = g->n_nodes, n = 0;
    for (int i = 0; i < g->n_nodes; i++) {
        cap += g->nodes[i].n_out;
        s.cap += g->nodes[i].n_out + g->nodes[i].n_in;
    }
    CB_TRY(cb_arena_get(g->arena, (size_t)s.cap, sizeof *s.origin, "move-transposes", &s.origin));
    CB_TRY(cb_arena_get(g->arena, (size_t)s.cap, sizeof *s.replacement, "move-transposes",
                        &s.replacement));
    CB_TRY(cb_arena_get(g->arena, (size_t)cap, sizeof *out, "move-transposes", &out));
    for (int v = 0; v < s.cap; v++) {
        s.origin[v].value = -1;
        s.replacement[v] = v;
    }
    for (int i = 0; i < g->n_nodes; i++) {
        struct cb_node node = g->nodes[i];
        int n_behind = 0;
        CB_TRY(sweep_node(&s, &node, out + n + 1, &n_behind));
        out[n] = node;
        n += 1 + n_behind;
    }
    g->nodes = out;
    g->n_nodes = n;
    g->cap_nodes = cap;
    return cb_pass_drop_dead(pass);
}
