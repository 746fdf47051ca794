/* Types and shapes, in node order. A node whose inputs are all known is computed at once: shape
 * arithmetic disappears, and so do constants' own computations. Parameters (op.h) move into
 * attributes and leave the inputs. */
#include <string.h>

#include "core/exec/plan_internal.h"

/* A constant larger than this is left to the run, unless shapes depend on it. */
#define FOLD_MAX_ELEMENTS ((size_t)1 << 24)
#define SMALL_ELEMENTS 4096
/* All that is computed now is kept with the plan: a network of some bytes may ask for any amount.
 */
#define FOLD_MAX_BYTES ((size_t)256 << 20)

static bool is_parameter_slot(const struct cb_node *n, int k)
{
    return k < 32 && (cb_op_get(n->op)->params >> k & 1);
}

static bool is_known_slot(const struct cb_node *n, int k)
{
    return is_parameter_slot(n, k) || (k < 32 && (cb_op_get(n->op)->sizes >> k & 1));
}

/* Its result depends on the input's shape alone. */
static bool reads_shape_only(const struct cb_node *n)
{
    return n->op == CB_OP_SHAPE || n->op == CB_OP_SIZE;
}

static bool is_aligned(const void *data, enum cb_dtype dtype)
{
    return (uintptr_t)data % cb_dtype_size(dtype) == 0;
}

/* Elements of a constant, aligned for reading. */
static struct cb_status aligned_tensor(struct cb_plan *plan, int value, struct cb_tensor *out)
{
    struct cb_value *v = &plan->graph.values[value];
    *out = cb_value_tensor(v);
    if (!is_aligned(v->data, v->dtype)) {
        CB_TRY(cb_arena_get(&plan->arena, cb_tensor_count(out), cb_dtype_size(v->dtype), v->name,
                            &out->data));
        memcpy(out->data, v->data, cb_tensor_bytes(out));
        v->data = out->data;
        v->mapped = false;
    }
    return cb_ok();
}

/* Values that some parameter depends on: they must be known. flags[n_values]. */
static void mark_parameters(const struct cb_graph *g, bool *flags)
{
    for (int i = g->n_nodes - 1; i >= 0; i--) {
        const struct cb_node *n = &g->nodes[i];
        bool needed = false;
        for (int k = 0; k < n->n_out; k++)
            needed |= n->out[k] >= 0 && flags[n->out[k]];
        for (int k = 0; k < n->n_in; k++)
            if (n->in[k] >= 0 && (is_known_slot(n, k) || (needed && !reads_shape_only(n))))
                flags[n->in[k]] = true;
    }
}

struct cb_status cb_plan_known_inputs(const struct cb_graph *graph, struct cb_arena *scratch,
                                      bool *flags)
{
    const size_t mark = scratch->used;
    bool *values;
    CB_TRY(cb_arena_get(scratch, (size_t)graph->n_values, sizeof *values, "plan", &values));
    mark_parameters(graph, values);
    for (int i = 0; i < graph->n_inputs; i++)
        flags[i] = values[graph->inputs[i]];
    cb_arena_rewind(scratch, mark);
    return cb_ok();
}

struct inference {
    struct cb_plan *plan;
    bool fold_all;
    size_t folded_bytes;
    bool *parameter;             /* [n_values] */
    struct cb_arg *in, *out;     /* [widest] */
    struct cb_tensor *tensors;   /* [2 * widest] */
    struct cb_tensor **pointers; /* [2 * widest] */
};

static struct cb_status collect(struct inference *f, const struct cb_node *n, bool *all_known)
{
    *all_known = true;
    for (int k = 0; k < n->n_in; k++) {
        const int v = n->in[k];
        f->in[k] = (struct cb_arg){ .dtype = CB_DTYPE_NONE };
        f->pointers[k] = NULL;
        if (v < 0)
            continue;
        f->in[k].dtype = f->plan->graph.values[v].dtype;
        f->in[k].shape = f->plan->graph.values[v].shape;
        f->tensors[k] = (struct cb_tensor){ .shape = f->in[k].shape, .dtype = f->in[k].dtype };
        f->pointers[k] = &f->tensors[k];
        if (!f->plan->graph.values[v].data) {
            *all_known = false;
            continue;
        }
        *all_known &= !f->plan->wanted[v];
        f->tensors[k].data = (void *)(uintptr_t)f->plan->graph.values[v].data;
        /* Of large weights infer wants nothing but the shape, and they are not to be copied. */
        if (is_known_slot(n, k) || cb_tensor_count(&f->tensors[k]) <= SMALL_ELEMENTS)
            CB_TRY(aligned_tensor(f->plan, v, &f->tensors[k]));
        if (is_aligned(f->tensors[k].data, f->tensors[k].dtype))
            f->in[k].known = &f->tensors[k];
    }
    return cb_ok();
}

/* Computes the node now; its outputs become constants. */
static struct cb_status fold(struct inference *f, const struct cb_node *n)
{
    struct cb_plan *plan = f->plan;
    const struct cb_op_def *def = cb_op_get(n->op);
    struct cb_op_call call = { .node = n,
                               .kernels = &plan->engine->kernels,
                               .threads = plan->engine->threads };
    struct cb_arena scratch = { 0 };
    struct cb_tensor *out = f->tensors + plan->widest, **out_pointers = f->pointers + plan->widest;
    uint64_t key = cb_key_mix(0x666f6c64u, n->op);
    bool durable = true;
    size_t bytes;
    for (int k = 0; k < n->n_in; k++)
        if (n->in[k] >= 0) {
            if (!reads_shape_only(n))
                CB_TRY(aligned_tensor(plan, n->in[k], &f->tensors[k]));
            key = cb_key_mix(key, plan->graph.values[n->in[k]].key);
            durable &= plan->graph.values[n->in[k]].durable;
        }
    for (int k = 0; k < n->n_out; k++) {
        out_pointers[k] = NULL;
        if (n->out[k] < 0)
            continue;
        out[k] = (struct cb_tensor){ .shape = f->out[k].shape, .dtype = f->out[k].dtype };
        CB_TRY(cb_arena_get(&plan->arena, cb_tensor_count(&out[k]), cb_dtype_size(out[k].dtype),
                            n->name, &out[k].data));
        f->folded_bytes += cb_tensor_bytes(&out[k]);
        out_pointers[k] = &out[k];
    }
    call.in = (const struct cb_tensor *const *)f->pointers;
    call.out = out_pointers;
    if (def->scratch && (bytes = def->scratch(&call, false))) {
        CB_TRY(cb_arena_init(&scratch, bytes + CB_ALIGN));
        call.scratch = cb_arena_alloc(&scratch, bytes, 1);
    }
    def->forward(&call);
    cb_arena_deinit(&scratch);
    /* A shape's numbers differ from plan to plan, and so must all that is made of them. */
    for (size_t i = 0; reads_shape_only(n) && i < cb_tensor_count(&out[0]); i++)
        key = cb_key_mix(key, (uint64_t)out[0].i[i]);
    for (int k = 0; k < n->n_out; k++)
        if (n->out[k] >= 0) {
            plan->graph.values[n->out[k]].data = out[k].data;
            plan->graph.values[n->out[k]].key = cb_key_mix(key, (uint64_t)n->out[k]);
            plan->graph.values[n->out[k]].durable = durable;
        }
    return cb_ok();
}

static bool is_small(const struct inference *f, const struct cb_node *n)
{
    for (int k = 0; k < n->n_out; k++)
        if (n->out[k] >= 0 && cb_shape_count(&f->out[k].shape) > FOLD_MAX_ELEMENTS)
            return false;
    return true;
}

/* Whether the node's outputs fit beside all that was computed before. */
static bool has_room(const struct inference *f, const struct cb_node *n)
{
    size_t left = FOLD_MAX_BYTES - f->folded_bytes;
    for (int k = 0; k < n->n_out; k++) {
        const size_t size = n->out[k] < 0 ? 0 : cb_dtype_size(f->out[k].dtype);
        if (size && cb_shape_count(&f->out[k].shape) > left / size)
            return false;
        if (size)
            left -= cb_shape_count(&f->out[k].shape) * size;
    }
    return true;
}

static bool is_parameter(const struct inference *f, const struct cb_node *n)
{
    for (int k = 0; k < n->n_out; k++)
        if (n->out[k] >= 0 && f->parameter[n->out[k]])
            return true;
    return false;
}

static struct cb_status infer_node(struct inference *f, struct cb_node *n, bool *folded)
{
    struct cb_graph *g = &f->plan->graph;
    const struct cb_op_def *def = cb_op_get(n->op);
    bool all_known;
    CB_TRY(collect(f, n, &all_known));
    for (int k = 0; k < n->n_in; k++)
        if (is_known_slot(n, k) && n->in[k] >= 0 && !f->in[k].known)
            return cb_fail(
                CB_ERR_UNSUPPORTED,
                "%s: %s wants '%s' known when the plan is made, but it is computed from data",
                n->name, def->name, g->values[n->in[k]].name);
    for (int k = 0; k < n->n_out; k++)
        f->out[k] = (struct cb_arg){ .dtype = CB_DTYPE_NONE };
    CB_TRY(def->infer(n, f->in, f->out));
    for (int k = 0; k < n->n_out; k++) {
        if (n->out[k] < 0)
            continue;
        if (!cb_shape_check(&f->out[k].shape))
            return cb_fail(CB_ERR_MODEL, "%s: its output has no possible size", n->name);
        g->values[n->out[k]].dtype = f->out[k].dtype;
        g->values[n->out[k]].shape = f->out[k].shape;
    }
    *folded =
        (all_known || reads_shape_only(n)) &&
        (is_parameter(f, n) || (f->fold_all && !def->late && is_small(f, n) && has_room(f, n)));
    if (*folded && !has_room(f, n))
        return cb_fail(CB_ERR_TOO_LARGE, "%s: what shapes depend on has more than %zu MB", n->name,
                       FOLD_MAX_BYTES >> 20);
    if (*folded)
        return fold(f, n);
    for (int k = 0; k < n->n_in; k++)
        if (is_parameter_slot(n, k))
            n->in[k] = -1;
    return cb_ok();
}

struct cb_status cb_plan_infer(struct cb_plan *plan, const struct cb_plan_options *options)
{
    struct cb_graph *g = &plan->graph;
    struct inference f = { .plan = plan, .fold_all = !options->no_passes && !options->shapes_only };
    const size_t wide = (size_t)plan->widest;
    int kept = 0;
    CB_TRY(
        cb_arena_get(&plan->arena, (size_t)g->n_values, sizeof *f.parameter, "plan", &f.parameter));
    CB_TRY(cb_arena_get(&plan->arena, wide, sizeof *f.in, "plan", &f.in));
    CB_TRY(cb_arena_get(&plan->arena, wide, sizeof *f.out, "plan", &f.out));
    CB_TRY(cb_arena_get(&plan->arena, 2 * wide, sizeof *f.tensors, "plan", &f.tensors));
    CB_TRY(cb_arena_get(&plan->arena, 2 * wide, sizeof *f.pointers, "plan", &f.pointers));
    mark_parameters(g, f.parameter);
    for (int i = 0; i < g->n_nodes; i++) {
        struct cb_node n = g->nodes[i];
        bool folded = false;
        CB_TRY(infer_node(&f, &n, &folded));
        if (!folded)
            g->nodes[kept++] = n;
    }
    g->n_nodes = kept;
    return cb_ok();
}
