/* importers/onnx/rules/control.c - If, Loop and Scan, where loading the model decides them: the
 * branch that is taken stands in the node's place, a loop is written out. The core knows no control
 * flow.
 *
 * Conditions, trip counts and lengths must follow from constants, from the shapes of the model's
 * inputs, or from inputs that are given for the load (load.h). */
#include <string.h>

#include "importers/onnx/attrs.h"
#include "importers/onnx/loader.h"
#include "importers/onnx/rules/rules.h"

#define PARTS 1024 /* of one Concat */

/* A graph inside a node, and the scope of its initialisers, which all iterations share. */
struct subgraph {
    struct cb_onnx_node *node;
    const Onnx__GraphProto *graph;
    struct cb_onnx_scope constants;
};

static struct cb_status open_graph(struct cb_onnx_node *node, const char *attr,
                                   struct subgraph *out)
{
    const struct cb_onnx_scope *around = node->scope;
    const Onnx__AttributeProto *a = cb_onnx_attr_find(node, attr);
    if (!a || !a->g)
        return cb_fail(CB_ERR_MODEL, "attribute %s wants a graph", attr);
    *out = (struct subgraph){ .node = node,
                              .graph = a->g,
                              .constants = { .loader = around->loader,
                                             .outer = around,
                                             .caller = around->caller,
                                             .function = around->function,
                                             .prefix = node->name,
                                             .depth = around->depth + 1 } };
    CB_TRY(
        cb_onnx_scope_begin(&out->constants, a->g->n_initializer + a->g->n_sparse_initializer, 0));
    return cb_onnx_add_initializers(&out->constants, a->g, NULL);
}

/* The graph's nodes on these inputs; out[k] is what output k is. target: values that outputs should
 * become where a node makes them; NULL: new ones. */
static struct cb_status write_out(const struct subgraph *s, const char *prefix,
                                  struct cb_onnx_args in, struct cb_onnx_args target, int *out)
{
    const Onnx__GraphProto *g = s->graph;
    struct cb_onnx_scope scope = s->constants;
    scope.outer = &s->constants;
    scope.prefix = prefix;
    scope.proto = g->node;
    scope.n_nodes = g->n_node;
    if (g->n_input != (size_t)in.n)
        return cb_fail(CB_ERR_MODEL, "the graph has %zu inputs, wants %d", g->n_input, in.n);
    CB_TRY(cb_onnx_scope_begin(&scope, g->n_input, (size_t)target.n));
    for (int i = 0; i < in.n; i++)
        cb_onnx_names_add(&scope.names, cb_onnx_text_or(g->input[i]->name, ""), in.v[i]);
    for (int k = 0; k < target.n; k++)
        if (target.v[k] >= 0)
            cb_onnx_names_add(&scope.targets, cb_onnx_text_or(g->output[k]->name, ""), target.v[k]);
    CB_TRY(cb_onnx_scope_import(&scope));
    for (size_t k = 0; k < g->n_output; k++) {
        const char *name = cb_onnx_text_or(g->output[k]->name, "");
        const struct cb_onnx_name *e = cb_onnx_scope_find(&scope, name);
        if (!e || e->value < 0)
            return cb_fail(CB_ERR_MODEL, "output %.80s of the graph is made by nothing", name);
        out[k] = e->value;
    }
    return cb_ok();
}

/* The only element of a value, as a whole number; `what` it is for messages. */
static struct cb_status decide(struct cb_onnx_node *node, int value, const char *what, int64_t *out)
{
    struct cb_tensor t;
    CB_TRY(cb_onnx_known(node->scope->loader, value, &t));
    if (!t.data)
        return cb_fail(CB_ERR_UNSUPPORTED, "the %s is computed ('%.30s'), wants one known at load",
                       what, node->import->graph->values[value].name);
    if (cb_tensor_count(&t) != 1 || cb_dtype_get(t.dtype)->is_float)
        return cb_fail(CB_ERR_MODEL, "the %s is no single number", what);
    *out = t.i[0];
    return cb_ok();
}

struct cb_status cb_onnx_import_if(struct cb_onnx_node *node)
{
    struct subgraph branch;
    int64_t condition;
    int *out;
    if (node->in[0] < 0)
        return cb_fail(CB_ERR_MODEL, "the condition is missing");
    CB_TRY(decide(node, node->in[0], "condition", &condition));
    CB_TRY(open_graph(node, condition ? "then_branch" : "else_branch", &branch));
    if ((size_t)node->n_out > branch.graph->n_output)
        return cb_fail(CB_ERR_MODEL, "has %d outputs, the branch %zu", node->n_out,
                       branch.graph->n_output);
    CB_TRY(
        cb_arena_get(node->import->scratch, branch.graph->n_output, sizeof *out, "outputs", &out));
    CB_TRY(write_out(&branch, node->name, (struct cb_onnx_args){ 0, NULL },
                     (struct cb_onnx_args){ node->n_out, node->out }, out));
    for (int k = 0; k < node->n_out; k++)
        if (node->out[k] >= 0 && node->out[k] != out[k])
            CB_TRY(cb_onnx_add_alias(node, out[k], node->out[k]));
    return cb_ok();
}

/* Values gathered over the iterations, one a row of what becomes a scan output. */
struct gathered {
    int *value;
    size_t n, cap;
};

static struct cb_status gather(struct cb_onnx_node *node, struct gathered *g, int value)
{
    if (g->n == g->cap) {
        int *grown;
        const size_t cap = g->cap ? 2 * g->cap : 16;
        CB_TRY(cb_arena_get(node->import->scratch, cap, sizeof *grown, "iterations", &grown));
        if (g->n)
            memcpy(grown, g->value, g->n * sizeof *grown);
        g->value = grown;
        g->cap = cap;
    }
    g->value[g->n++] = value;
    return cb_ok();
}

/* No iteration: nothing along the axis; of the other sizes what the graph declares. */
static struct cb_status add_empty(struct cb_onnx_node *node, const Onnx__ValueInfoProto *info,
                                  int axis, int out)
{
    struct cb_onnx_io io = { .shape = { .rank = -1 } };
    struct cb_tensor t = { .dtype = CB_FLOAT32 };
    CB_TRY(cb_onnx_read_type(info->type, &io));
    const int rank = io.shape.rank < 0 ? 1 : io.shape.rank + 1;
    if (rank > CB_MAX_RANK || axis < -rank || axis >= rank)
        return cb_fail(CB_ERR_MODEL, "axis %d of a scan output of rank %d", axis, rank);
    if (axis < 0)
        axis += rank;
    t.shape.rank = rank;
    for (int i = 0; i < rank; i++) {
        const int64_t dim = i == axis ? 0 : io.shape.dim[i < axis ? i : i - 1];
        t.shape.dim[i] = dim < 0 ? 0 : dim;
    }
    if (io.dtype != CB_DTYPE_NONE)
        t.dtype = io.dtype;
    CB_TRY(cb_arena_get(node->import->graph->arena, 1, 8, "an empty output", &t.data));
    cb_onnx_set_constant(node->import, out, &t, false);
    return cb_ok();
}

static struct cb_status concat(struct cb_onnx_node *node, size_t n, const int *parts, int axis,
                               int out)
{
    union cb_attr attr = cb_attr_default(CB_OP_CONCAT);
    attr.axis.axis = axis;
    return cb_onnx_add(node, CB_OP_CONCAT, &attr, (struct cb_onnx_args){ (int)n, parts },
                       CB_ONNX_ARGS(out));
}

/* The gathered values beside each other along a new axis. */
static struct cb_status stack(struct cb_onnx_node *node, struct gathered *g, int axis, int out)
{
    union cb_attr attr = cb_attr_default(CB_OP_UNSQUEEZE);
    size_t n = 0;
    attr.squeeze.axes = (struct cb_list){ 1, { axis } };
    for (size_t i = 0; i < g->n; i++) {
        const int x = g->value[i];
        CB_TRY(cb_onnx_temp(node, x, "row", &g->value[i]));
        CB_TRY(
            cb_onnx_add(node, CB_OP_UNSQUEEZE, &attr, CB_ONNX_ARGS(x), CB_ONNX_ARGS(g->value[i])));
    }
    for (size_t i = 0; g->n > PARTS && i < g->n; i += PARTS, n++) {
        const size_t count = g->n - i < PARTS ? g->n - i : PARTS;
        int part;
        CB_TRY(cb_onnx_temp(node, g->value[i], "part", &part));
        CB_TRY(concat(node, count, g->value + i, axis, part));
        g->value[n] = part;
    }
    return concat(node, n ? n : g->n, g->value, axis, out);
}

/* A loop on its way: what both kinds share. */
struct unrolling {
    struct subgraph body;
    int n_state, n_scans;
    int *in, *out;             /* of the body; in begins with `lead` values, then the state */
    int lead;                  /* of in, and of out */
    struct gathered *gathered; /* n_scans */
    int64_t done;
};

static struct cb_status begin_loop(struct cb_onnx_node *node, struct unrolling *u, int n_in)
{
    const size_t n_out = u->body.graph->n_output;
    struct cb_arena *scratch = node->import->scratch;
    if ((int64_t)n_out != (int64_t)u->lead + u->n_state + u->n_scans)
        return cb_fail(CB_ERR_MODEL, "the body has %zu outputs, wants %d", n_out,
                       u->lead + u->n_state + u->n_scans);
    CB_TRY(cb_arena_get(scratch, (size_t)n_in, sizeof *u->in, "a loop", &u->in));
    CB_TRY(cb_arena_get(scratch, n_out, sizeof *u->out, "a loop", &u->out));
    return cb_arena_get(scratch, (size_t)u->n_scans, sizeof *u->gathered, "a loop", &u->gathered);
}

/* One iteration: the state goes on, rows are gathered. */
static struct cb_status iterate(struct cb_onnx_node *node, struct unrolling *u, int n_in,
                                int state_in)
{
    const char *prefix =
        cb_arena_printf(node->import->scratch, "%.100s/%lld", node->name, (long long)u->done);
    if (!prefix)
        return cb_fail(CB_ERR_NOMEM, "names: over the budget");
    CB_TRY(write_out(&u->body, prefix, (struct cb_onnx_args){ n_in, u->in },
                     (struct cb_onnx_args){ 0, NULL }, u->out));
    for (int i = 0; i < u->n_state; i++)
        u->in[state_in + i] = u->out[u->lead + i];
    for (int i = 0; i < u->n_scans; i++)
        CB_TRY(gather(node, &u->gathered[i], u->out[u->lead + u->n_state + i]));
    u->done++;
    return cb_ok();
}

/* The node's outputs: the last state, then the rows. */
static struct cb_status end_loop(struct cb_onnx_node *node, struct unrolling *u, int state_in,
                                 const struct cb_list *axes)
{
    for (int k = 0; k < node->n_out; k++) {
        const int scan = k - u->n_state, axis = scan >= 0 && axes ? (int)axes->v[scan] : 0;
        if (node->out[k] < 0)
            continue;
        if (scan < 0)
            CB_TRY(cb_onnx_add_alias(node, u->in[state_in + k], node->out[k]));
        else if (u->gathered[scan].n)
            CB_TRY(stack(node, &u->gathered[scan], axis, node->out[k]));
        else
            CB_TRY(add_empty(node, u->body.graph->output[u->lead + k], axis, node->out[k]));
    }
    return cb_ok();
}

/* A constant of one element, in the shape that input i of the body declares: [1], or none. */
static struct cb_status add_counter(struct cb_onnx_node *node, const struct unrolling *u, int i,
                                    enum cb_dtype dtype, int64_t value)
{
    struct cb_onnx_io io = { .shape = { .rank = -1 } };
    if ((size_t)i < u->body.graph->n_input)
        CB_TRY(cb_onnx_read_type(u->body.graph->input[i]->type, &io));
    CB_TRY(cb_onnx_add_scalar(node, "counter", dtype, (double)value, &u->in[i]));
    if (io.shape.rank == 1)
        node->import->graph->values[u->in[i]].shape = (struct cb_shape){ 1, { 1 } };
    return cb_ok();
}

/* Loop-1: trip count?, condition?, state...; the body has (iteration, condition, state...) ->
 * (condition, state..., rows...). */
struct cb_status cb_onnx_import_loop(struct cb_onnx_node *node)
{
    struct unrolling u = { .lead = 1, .n_state = node->n_in > 2 ? node->n_in - 2 : 0 };
    int64_t trips = INT64_MAX, condition = 1;
    const int n_in = u.n_state + 2;
    CB_TRY(open_graph(node, "body", &u.body));
    u.n_scans = (int)u.body.graph->n_output - 1 - u.n_state;
    if (u.n_scans < 0 || node->n_out > u.n_state + u.n_scans)
        return cb_fail(CB_ERR_MODEL, "has %d outputs, its body %zu", node->n_out,
                       u.body.graph->n_output);
    CB_TRY(begin_loop(node, &u, n_in));
    if (cb_onnx_has(node, 0))
        CB_TRY(decide(node, node->in[0], "trip count", &trips));
    if (cb_onnx_has(node, 1))
        CB_TRY(decide(node, node->in[1], "condition", &condition));
    for (int i = 0; i < u.n_state; i++)
        if ((u.in[2 + i] = node->in[2 + i]) < 0)
            return cb_fail(CB_ERR_MODEL, "input %d is missing", 2 + i);
    CB_TRY(add_counter(node, &u, 1, CB_BOOL, 1));
    while (u.done < trips && condition) {
        CB_TRY(add_counter(node, &u, 0, CB_INT64, u.done));
        CB_TRY(iterate(node, &u, n_in, 2));
        if (u.done < trips)
            CB_TRY(decide(node, u.out[0], "condition", &condition));
    }
    return end_loop(node, &u, 2, NULL);
}

/* Attribute `name`: a number for each of n, 0 where it is absent. */
static struct cb_status read_each(struct cb_onnx_node *node, const char *name, int n,
                                  struct cb_list *out)
{
    CB_TRY(cb_onnx_attr_list(node, name, out));
    if (out->count < 0)
        *out = (struct cb_list){ .count = n };
    return out->count == n
               ? cb_ok()
               : cb_fail(CB_ERR_MODEL, "%s has %d numbers, wants %d", name, out->count, n);
}

/* How long input i is along `axis`, which becomes one of 0 .. rank - 1. */
static struct cb_status scan_length(struct cb_onnx_node *node, int i, int64_t *axis,
                                    int64_t *length)
{
    struct cb_tensor t;
    CB_TRY(cb_onnx_known(node->scope->loader, node->in[i], &t));
    if (t.shape.rank < 0)
        return cb_fail(CB_ERR_UNSUPPORTED,
                       "the length is computed ('%.30s'), wants one known at load",
                       cb_onnx_in(node, i)->name);
    if (*axis < -t.shape.rank || *axis >= t.shape.rank)
        return cb_fail(CB_ERR_MODEL, "axis %lld of an input of rank %d", (long long)*axis,
                       t.shape.rank);
    *axis += *axis < 0 ? t.shape.rank : 0;
    if (*length >= 0 && *length != t.shape.dim[*axis])
        return cb_fail(CB_ERR_MODEL, "input %d has %lld steps, another %lld", i,
                       (long long)t.shape.dim[*axis], (long long)*length);
    *length = t.shape.dim[*axis];
    return cb_ok();
}

/* Step `at` of value x along an axis, which goes. */
static struct cb_status add_step(struct cb_onnx_node *node, int x, int64_t axis, int64_t at,
                                 int *out)
{
    union cb_attr attr = cb_attr_default(CB_OP_GATHER);
    int index;
    attr.axis.axis = (int)axis;
    CB_TRY(cb_onnx_add_scalar(node, "step", CB_INT64, (double)at, &index));
    CB_TRY(cb_onnx_temp(node, x, "step", out));
    return cb_onnx_add(node, CB_OP_GATHER, &attr, CB_ONNX_ARGS(x, index), CB_ONNX_ARGS(*out));
}

/* Scan-9: state..., sequences...; the body has (state..., steps...) -> (state..., rows...). */
struct cb_status cb_onnx_import_scan(struct cb_onnx_node *node)
{
    struct unrolling u = { .lead = 0 };
    struct cb_list axes, back, out_axes, out_back;
    int64_t n, length = -1;
    CB_TRY(open_graph(node, "body", &u.body));
    CB_TRY(cb_onnx_attr_int(node, "num_scan_inputs", 0, &n));
    if (n < 1 || n > node->n_in)
        return cb_fail(CB_ERR_MODEL, "num_scan_inputs is %lld of %d inputs", (long long)n,
                       node->n_in);
    u.n_state = node->n_in - (int)n;
    u.n_scans = (int)u.body.graph->n_output - u.n_state;
    if (u.n_scans < 0 || node->n_out > u.n_state + u.n_scans)
        return cb_fail(CB_ERR_MODEL, "has %d outputs, its body %zu", node->n_out,
                       u.body.graph->n_output);
    if (n > CB_MAX_RANK || u.n_scans > CB_MAX_RANK)
        return cb_fail(CB_ERR_UNSUPPORTED, "more than %d sequences", CB_MAX_RANK);
    CB_TRY(read_each(node, "scan_input_axes", (int)n, &axes));
    CB_TRY(read_each(node, "scan_input_directions", (int)n, &back));
    CB_TRY(read_each(node, "scan_output_axes", u.n_scans, &out_axes));
    CB_TRY(read_each(node, "scan_output_directions", u.n_scans, &out_back));
    CB_TRY(begin_loop(node, &u, node->n_in));
    for (int i = 0; i < node->n_in; i++)
        if ((u.in[i] = node->in[i]) < 0)
            return cb_fail(CB_ERR_MODEL, "input %d is missing", i);
    for (int i = 0; i < (int)n; i++)
        CB_TRY(scan_length(node, u.n_state + i, &axes.v[i], &length));
    while (u.done < length) {
        for (int i = 0; i < (int)n; i++)
            CB_TRY(add_step(node, node->in[u.n_state + i], axes.v[i],
                            back.v[i] ? length - 1 - u.done : u.done, &u.in[u.n_state + i]));
        CB_TRY(iterate(node, &u, node->n_in, 0));
    }
    for (int i = 0; i < u.n_scans; i++)
        for (size_t k = 0; out_back.v[i] && k < u.gathered[i].n / 2; k++) {
            int *v = u.gathered[i].value, *w = v + u.gathered[i].n - 1 - k, swap = v[k];
            v[k] = *w;
            *w = swap;
        }
    return end_loop(node, &u, 0, &out_axes);
}

/* Reads what Scan-8 has in common with all: numbers of states and sequences, directions. */
static struct cb_status begin_scan_8(struct cb_onnx_node *node, struct unrolling *u, int *n,
                                     struct cb_list *back)
{
    int64_t count;
    CB_TRY(open_graph(node, "body", &u->body));
    CB_TRY(cb_onnx_attr_int(node, "num_scan_inputs", 0, &count));
    if (count < 1 || count > node->n_in - 1)
        return cb_fail(CB_ERR_MODEL, "num_scan_inputs is %lld of %d inputs", (long long)count,
                       node->n_in);
    if (node->in[0] >= 0)
        return cb_fail(CB_ERR_UNSUPPORTED, "sequence_lens");
    *n = (int)count;
    u->n_state = node->n_in - 1 - *n;
    u->n_scans = (int)u->body.graph->n_output - u->n_state;
    if (u->n_scans < 0 || node->n_out > u->n_state + u->n_scans)
        return cb_fail(CB_ERR_MODEL, "has %d outputs, its body %zu", node->n_out,
                       u->body.graph->n_output);
    if (count > CB_MAX_RANK)
        return cb_fail(CB_ERR_UNSUPPORTED, "more than %d sequences", CB_MAX_RANK);
    CB_TRY(read_each(node, "directions", *n, back));
    CB_TRY(begin_loop(node, u, node->n_in - 1));
    for (int i = 1; i < node->n_in; i++)
        if (node->in[i] < 0)
            return cb_fail(CB_ERR_MODEL, "input %d is missing", i);
    return cb_ok();
}

/* One image of a Scan-8: results[k] gets what output k is for it. */
static struct cb_status scan_image(struct cb_onnx_node *node, struct unrolling *u, int n,
                                   const struct cb_list *back, int64_t image, int64_t length,
                                   struct gathered *results)
{
    int sequence[CB_MAX_RANK];
    u->done = 0;
    memset(u->gathered, 0, (size_t)u->n_scans * sizeof *u->gathered);
    for (int i = 0; i < u->n_state; i++)
        CB_TRY(add_step(node, node->in[1 + i], 0, image, &u->in[i]));
    for (int i = 0; i < n; i++)
        CB_TRY(add_step(node, node->in[1 + u->n_state + i], 0, image, &sequence[i]));
    while (u->done < length) {
        for (int i = 0; i < n; i++)
            CB_TRY(add_step(node, sequence[i], 0, back->v[i] ? length - 1 - u->done : u->done,
                            &u->in[u->n_state + i]));
        CB_TRY(iterate(node, u, node->n_in - 1, 0));
    }
    for (int k = 0; k < node->n_out; k++) {
        int value = k < u->n_state ? u->in[k] : -1;
        if (node->out[k] >= 0 && value < 0) {
            CB_TRY(cb_onnx_temp(node, node->out[k], "image", &value));
            CB_TRY(stack(node, &u->gathered[k - u->n_state], 0, value));
        }
        CB_TRY(gather(node, &results[k], value));
    }
    return cb_ok();
}

/* Scan-8: all inputs have a batch axis first, along which the scan is done for each image; then
 * the sequence's. */
struct cb_status cb_onnx_import_scan_8(struct cb_onnx_node *node)
{
    struct unrolling u = { .lead = 0 };
    struct gathered *results;
    struct cb_list back;
    int64_t images = -1, length = -1;
    int n = 0;
    CB_TRY(begin_scan_8(node, &u, &n, &back));
    for (int i = 1; i < node->n_in; i++)
        CB_TRY(scan_length(node, i, &(int64_t){ 0 }, &images));
    for (int i = 1 + u.n_state; i < node->n_in; i++)
        CB_TRY(scan_length(node, i, &(int64_t){ 1 }, &length));
    if (images < 1 || length < 1)
        return cb_fail(CB_ERR_UNSUPPORTED, "nothing to scan");
    CB_TRY(cb_arena_get(node->import->scratch, (size_t)node->n_out, sizeof *results, "outputs",
                        &results));
    for (int64_t image = 0; image < images; image++)
        CB_TRY(scan_image(node, &u, n, &back, image, length, results));
    for (int k = 0; k < node->n_out; k++)
        if (node->out[k] >= 0)
            CB_TRY(stack(node, &results[k], 0, node->out[k]));
    return cb_ok();
}
