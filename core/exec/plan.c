#include "core/exec/plan.h"

#include <string.h>

#include "core/base/clock.h"
#include "core/exec/plan_internal.h"
#include "core/graph/passes/passes.h"

#define PLAN_ARENA_BYTES ((size_t)1 << 32) /* address space: graph, folded constants */
#define TEMPORARY_ARENA_BYTES                                                                      \
    ((size_t)1 << 34) /* address space: weights with a scale folded in                             \
                       */

struct cb_tensor cb_plan_tensor(const struct cb_plan *plan, int value, int i)
{
    const struct cb_value *v = &plan->graph.values[value];
    const bool sliced = plan->slice && plan->slice[value].whole >= 0;
    struct cb_tensor t = { .shape = v->shape,
                           .dtype = v->dtype,
                           .pixel_stride = sliced ? plan->slice[value].stride : 0 };
    if (i < plan->chunks.end && plan->chunks.batched[value])
        t.shape.dim[0] = plan->chunks.images;
    return t;
}

int cb_plan_seen_from(const struct cb_plan *plan, const struct cb_node *node)
{
    const bool inside = plan->chunks.end && plan->chunks.batched[node->out[0]];
    return inside ? 0 : plan->chunks.end;
}

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
    const int i = cb_plan_seen_from(plan, node);
    for (int k = 0; k < node->n_in + node->n_out; k++) {
        const bool is_in = k < node->n_in;
        const int slot = is_in ? k : plan->widest + k - node->n_in;
        const int v = is_in ? node->in[k] : node->out[k - node->n_in];
        sketch->pointers[slot] = v < 0 ? NULL : &sketch->tensors[slot];
        if (v >= 0)
            sketch->tensors[slot] = cb_plan_tensor(plan, v, i);
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
    plan->widest = 8; /* passes give convolutions up to 8 inputs */
    for (int i = 0; i < plan->graph.n_nodes; i++) {
        const struct cb_node *n = &plan->graph.nodes[i];
        const int most = n->n_in > n->n_out ? n->n_in : n->n_out;
        if (most > plan->widest)
            plan->widest = most;
    }
}

static struct cb_status build(struct cb_plan *plan, const struct cb_graph *graph,
                              const struct cb_plan_options *options)
{
    struct cb_pass pass = { .graph = &plan->graph,
                            .kernels = &plan->engine->kernels,
                            .temporary = &plan->temporary };
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
    CB_TRY(cb_plan_find_chunks(plan, options->no_passes));
    CB_TRY(cb_plan_find_slices(plan, options->no_passes));
    cb_plan_finish_chunks(plan);
    CB_TRY(cb_plan_choose(plan, cb_op_get));
    CB_TRY(cb_plan_place_constants(plan));
    CB_TRY(cb_plan_find_strips(plan, options->no_passes));
    return cb_plan_lay_out(plan);
}

struct cb_status cb_plan_create(const struct cb_engine *engine, const struct cb_graph *graph,
                                struct cb_weights *weights, const struct cb_plan_options *options,
                                struct cb_plan **out)
{
    struct cb_plan *plan;
    struct cb_status st;
    CB_TRY(cb_arena_begin(PLAN_ARENA_BYTES, sizeof *plan, &plan));
    plan->engine = engine;
    plan->weights = weights ? cb_weights_acquire(weights) : NULL;
    st = cb_arena_init(&plan->temporary, TEMPORARY_ARENA_BYTES);
    if (!st.code)
        st = build(plan, graph, options);
    cb_arena_deinit(&plan->temporary);
    if (st.code)
        cb_plan_destroy(plan);
    else
        *out = plan;
    return st;
}

void cb_plan_destroy(struct cb_plan *plan)
{
    if (!plan)
        return;
    cb_weights_release(plan->weights);
    cb_arena_deinit(&plan->arena);
}

const struct cb_graph *cb_plan_graph(const struct cb_plan *plan)
{
    return &plan->graph;
}

size_t cb_plan_activation_bytes(const struct cb_plan *plan)
{
    return plan->activation_bytes;
}
