#include "core/exec/plan.h"

#include <string.h>

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/exec/plan_internal.h"
#include "core/graph/passes/passes.h"

#define PLAN_ARENA_BYTES ((size_t)1 << 32)      /* address space: graph, folded constants */
#define TEMPORARY_ARENA_BYTES ((size_t)1 << 34) /* address space: weights with a scale folded in */

struct cb_status cb_sketch_init(struct cb_sketch *sketch, struct cb_plan *plan)
{
    const size_t n = 2 * (size_t)plan->widest;
    *sketch = (struct cb_sketch){ 0 };
    CB_TRY(cb_arena_get(&plan->arena, n, sizeof *sketch->tensors, "plan", &sketch->tensors));
    return cb_arena_get(&plan->arena, n, sizeof *sketch->pointers, "plan", &sketch->pointers);
}

void cb_sketch_node(struct cb_sketch *sketch, const struct cb_plan *plan,
                    const struct cb_node *node)
{
    struct cb_tensor **in = sketch->pointers, **out = sketch->pointers + plan->widest;
    for (int k = 0; k < node->n_in + node->n_out; k++) {
        const bool is_in = k < node->n_in;
        const int slot = is_in ? k : plan->widest + k - node->n_in;
        const int v = is_in ? node->in[k] : node->out[k - node->n_in];
        sketch->pointers[slot] = v < 0 ? NULL : &sketch->tensors[slot];
        if (v >= 0)
            sketch->tensors[slot] = (struct cb_tensor){ .shape = plan->graph.values[v].shape,
                                                        .dtype = plan->graph.values[v].dtype };
    }
    sketch->call = (struct cb_op_call){
        .node = node,
        .kernels = &plan->engine->kernels,
        .threads = plan->engine->threads,
        .in = (const struct cb_tensor *const *)in,
        .out = out,
    };
}

/* Input 0 as [N,H,W,C]: a new input, and a transpose that makes the old one of it. */
static struct cb_status take_nhwc(struct cb_graph *g, const struct cb_tensor *given)
{
    static const int perm[4] = { 0, 3, 1, 2 };
    const int old = g->inputs[0];
    struct cb_node *node, last;
    int input;
    if (given->shape.rank != 4)
        return cb_fail(CB_ERR_INPUT, "%s: a channels-last input wants 4 axes, has %d",
                       g->values[old].name, given->shape.rank);
    CB_TRY(cb_graph_add_value(g, "input@nhwc", given->dtype, &given->shape, &input));
    CB_TRY(cb_graph_add_node(g, CB_OP_TRANSPOSE, "input@nchw", 1, &input, 1, &old, &node));
    node->attr.transpose.rank = 4;
    memcpy(node->attr.transpose.perm, perm, sizeof perm);
    last = *node;
    memmove(g->nodes + 1, g->nodes, (size_t)(g->n_nodes - 1) * sizeof *g->nodes);
    g->nodes[0] = last;
    g->inputs[0] = input;
    return cb_ok();
}

static struct cb_status set_inputs(struct cb_plan *plan, const struct cb_plan_options *options)
{
    struct cb_graph *g = &plan->graph;
    const uint64_t salt = cb_key_mix((uint64_t)(uintptr_t)plan, (uint64_t)cb_clock_ns());
    if (options->nhwc_input)
        CB_TRY(take_nhwc(g, &options->inputs[0]));
    for (int i = 0; i < g->n_inputs; i++) {
        struct cb_value *v = &g->values[g->inputs[i]];
        char text[CB_SHAPE_TEXT];
        if (!cb_shape_check(&options->inputs[i].shape))
            return cb_fail(CB_ERR_INPUT, "input %s: %s is no possible size", v->name,
                           cb_shape_text(&options->inputs[i].shape, text));
        v->shape = options->inputs[i].shape;
        v->dtype = options->inputs[i].dtype;
        v->data = options->inputs[i].data;
        v->key = cb_key_mix(salt, (uint64_t)i); /* known for this plan alone */
    }
    return cb_ok();
}

static struct cb_status set_outputs(struct cb_plan *plan, const struct cb_plan_options *options)
{
    struct cb_graph *g = &plan->graph;
    const int *outputs = options->outputs ? options->outputs : g->outputs;
    plan->n_outputs = options->outputs ? options->n_outputs : g->n_outputs;
    plan->n_wrt = options->n_wrt;
    CB_TRY(
        cb_arena_get(&plan->arena, (size_t)plan->n_outputs, sizeof(int), "plan", &plan->outputs));
    CB_TRY(cb_arena_get(&plan->arena, (size_t)plan->n_wrt, sizeof(int), "plan", &plan->wrt));
    CB_TRY(cb_arena_get(&plan->arena, (size_t)g->n_values, sizeof(bool), "plan", &plan->wanted));
    plan->n_wanted = g->n_values;
    g->n_outputs = 0;
    for (int i = 0; i < plan->n_outputs; i++) {
        plan->outputs[i] = outputs[i];
        CB_TRY(cb_graph_add_output(g, outputs[i]));
    }
    for (int i = 0; i < plan->n_wrt; i++) {
        plan->wrt[i] = options->wrt[i];
        plan->wanted[options->wrt[i]] = true;
    }
    return cb_ok();
}

static void find_widest(struct cb_plan *plan)
{
    plan->widest = 6; /* passes give convolutions up to 6 inputs */
    for (int i = 0; i < plan->graph.n_nodes; i++) {
        const struct cb_node *n = &plan->graph.nodes[i];
        const int most = n->n_in > n->n_out ? n->n_in : n->n_out;
        if (most > plan->widest)
            plan->widest = most;
    }
}

struct copying {
    const void *data;
    size_t bytes;
};

static void fill_copy(void *ctx, void *block)
{
    const struct copying *c = ctx;
    memcpy(block, c->data, c->bytes);
}

/* Constants that nodes read as they lie: in place where they are aligned and will stay, else copied
 * once. */
static struct cb_status place_constant(struct cb_plan *plan, int value,
                                       const struct cb_arena *temporary)
{
    const struct cb_value *v = &plan->graph.values[value];
    const struct cb_tensor t = cb_value_tensor(v);
    const uintptr_t at = (uintptr_t)v->data, base = (uintptr_t)temporary->base;
    struct copying copying = { v->data, cb_tensor_bytes(&t) };
    if (plan->constant[value])
        return cb_ok();
    if (at % cb_dtype_size(v->dtype) == 0 && !(at >= base && at < base + temporary->budget)) {
        plan->constant[value] = v->data;
        return cb_ok();
    }
    return cb_weights_get(plan->weights, cb_key_mix(v->key, 0x636f7079u), copying.bytes, fill_copy,
                          &copying, &plan->constant[value]);
}

struct packing {
    const struct cb_op_def *def;
    struct cb_op_call *call;
};

static void fill_packed(void *ctx, void *block)
{
    const struct packing *p = ctx;
    p->def->pack(p->call, block);
}

static struct cb_status pack_node(struct cb_plan *plan, struct cb_sketch *sketch, int i,
                                  const struct cb_arena *temporary)
{
    struct cb_graph *g = &plan->graph;
    const struct cb_node *n = &g->nodes[i];
    const struct cb_op_def *def = cb_op_get(n->op);
    struct packing packing = { .def = def, .call = &sketch->call };
    const int w = n->n_in > 1 ? n->in[1] : -1;
    size_t bytes;
    uint64_t key;
    if (!def->packed_bytes || w < 0 || !g->values[w].data ||
        (w < plan->n_wanted && plan->wanted[w]))
        return cb_ok();
    cb_sketch_node(sketch, plan, n);
    sketch->tensors[1].data = (void *)(uintptr_t)g->values[w].data;
    if (!(bytes = def->packed_bytes(&sketch->call)))
        return cb_ok();
    /* Backward reads them as they were, and packing may let them go. */
    if (plan->on_path && plan->on_path[i])
        CB_TRY(place_constant(plan, w, temporary));
    sketch->call.mapped = g->values[w].mapped;
    key = cb_key_mix(cb_key_mix(g->values[w].key, n->op), bytes);
    key = cb_key_mix(key, (uint64_t)plan->engine->kernels.isa);
    if (def->packed_form)
        key = cb_key_mix(key, def->packed_form(&sketch->call));
    CB_TRY(cb_weights_get(plan->weights, key, bytes, fill_packed, &packing, &plan->packed[i]));
    if (g->values[w].mapped)
        cb_file_let_go(g->values[w].data,
                       cb_shape_count(&g->values[w].shape) * cb_dtype_size(g->values[w].dtype));
    return cb_ok();
}

static struct cb_status place_constants(struct cb_plan *plan, const struct cb_arena *temporary)
{
    const struct cb_graph *g = &plan->graph;
    struct cb_sketch sketch;
    CB_TRY(cb_arena_get(&plan->arena, (size_t)g->n_nodes, sizeof *plan->packed, "plan",
                        &plan->packed));
    CB_TRY(cb_arena_get(&plan->arena, (size_t)g->n_values, sizeof *plan->constant, "plan",
                        &plan->constant));
    CB_TRY(cb_sketch_init(&sketch, plan));
    for (int i = 0; i < g->n_nodes; i++)
        CB_TRY(pack_node(plan, &sketch, i, temporary));
    for (int i = 0; i < g->n_nodes; i++)
        for (int k = 0; k < g->nodes[i].n_in; k++) {
            const int v = g->nodes[i].in[k];
            const bool only_packed =
                k == 1 && plan->packed[i] && !(plan->on_path && plan->on_path[i]);
            if (v >= 0 && g->values[v].data && !only_packed)
                CB_TRY(place_constant(plan, v, temporary));
        }
    for (int i = 0; i < plan->n_outputs; i++)
        if (g->values[plan->outputs[i]].data)
            CB_TRY(place_constant(plan, plan->outputs[i], temporary));
    return cb_ok();
}

static struct cb_status build(struct cb_plan *plan, const struct cb_graph *graph,
                              const struct cb_plan_options *options, struct cb_arena *temporary)
{
    struct cb_pass pass = { .graph = &plan->graph, .temporary = temporary };
    CB_TRY(cb_graph_copy(graph, &plan->arena, &plan->graph));
    CB_TRY(set_outputs(plan, options));
    CB_TRY(set_inputs(plan, options));
    CB_TRY(cb_pass_drop_dead(&pass));
    CB_TRY(cb_graph_verify(&plan->graph, "import"));
    find_widest(plan);
    CB_TRY(cb_plan_infer(plan, options));
    if (options->shapes_only)
        return cb_ok();
    if (plan->n_wrt) {
        pass.wanted_grad = plan->wanted;
        pass.n_wanted = plan->n_wanted;
        for (int i = 0; i < plan->n_wrt; i++)
            pass.train_weights |= plan->graph.values[plan->wrt[i]].data != NULL;
    }
    if (!options->no_passes)
        CB_TRY(cb_passes_run(&pass));
    CB_TRY(cb_plan_find_path(plan));
    CB_TRY(place_constants(plan, temporary));
    return cb_plan_lay_out(plan);
}

struct cb_status cb_plan_create(const struct cb_engine *engine, const struct cb_graph *graph,
                                struct cb_weights *weights, const struct cb_plan_options *options,
                                struct cb_plan **out)
{
    struct cb_arena arena, temporary;
    struct cb_plan *plan;
    struct cb_status st;
    CB_TRY(cb_arena_init(&arena, PLAN_ARENA_BYTES));
    plan = cb_arena_alloc(&arena, 1, sizeof *plan); /* first thing in its own arena */
    plan->arena = arena;
    plan->engine = engine;
    plan->weights = weights ? cb_weights_acquire(weights) : NULL;
    st = cb_arena_init(&temporary, TEMPORARY_ARENA_BYTES);
    if (!st.code)
        st = build(plan, graph, options, &temporary);
    cb_arena_deinit(&temporary);
    if (st.code)
        cb_plan_destroy(plan);
    else
        *out = plan;
    return st;
}

void cb_plan_destroy(struct cb_plan *plan)
{
    struct cb_arena arena;
    if (!plan)
        return;
    arena = plan->arena;
    cb_weights_release(plan->weights);
    cb_arena_deinit(&arena);
}

const struct cb_graph *cb_plan_graph(const struct cb_plan *plan)
{
    return &plan->graph;
}
