#include "core/grad/grad.h"

#include <string.h>

#include "core/exec/plan_internal.h"
#include "core/exec/session_internal.h"

struct cb_grad {
    struct cb_arena arena;
    struct cb_session *session;
    struct cb_tensor *grads;  /* [n_values]; data NULL: no gradient is kept */
    struct cb_op_call *calls; /* [n_nodes], only those on the path */
    uint8_t *inner, *seeds;   /* gradients that a run makes, and those it starts from */
    size_t inner_bytes, seed_bytes;
    struct cb_tensor *seed; /* [n_outputs] */
};

static size_t padded_bytes(const struct cb_tensor *t)
{
    return cb_align_up(cb_tensor_bytes(t));
}

/* Values with a gradient on the path: they depend on a wrt and are read or made by a node there, or
 * are a wrt. */
static void find_values(const struct cb_plan *plan, bool *flags)
{
    const struct cb_graph *g = &plan->graph;
    for (int i = 0; i < plan->n_wrt; i++)
        flags[plan->wrt[i]] = true;
    for (int i = 0; i < g->n_nodes; i++) {
        const struct cb_node *n = &g->nodes[i];
        if (!plan->on_path[i])
            continue;
        for (int k = 0; k < n->n_in; k++)
            if (n->in[k] >= 0 && plan->has_grad[n->in[k]])
                flags[n->in[k]] = true;
        for (int k = 0; k < n->n_out; k++)
            if (n->out[k] >= 0 && plan->has_grad[n->out[k]])
                flags[n->out[k]] = true;
    }
}

static struct cb_status check_path(const struct cb_plan *plan)
{
    for (int i = 0; i < plan->graph.n_nodes; i++)
        if (plan->on_path[i] && !cb_op_get(plan->graph.nodes[i].op)->backward)
            return cb_fail(CB_ERR_UNSUPPORTED, "%s: %s has no gradient", plan->graph.nodes[i].name,
                           cb_op_get(plan->graph.nodes[i].op)->name);
    return cb_ok();
}

static struct cb_status wire_call(struct cb_grad *grad, int i)
{
    const struct cb_node *n = &grad->session->plan->graph.nodes[i];
    struct cb_tensor **dout, **din;
    struct cb_op_call *call = &grad->calls[i];
    CB_TRY(cb_arena_get(&grad->arena, (size_t)n->n_out, sizeof *dout, "gradients", &dout));
    CB_TRY(cb_arena_get(&grad->arena, (size_t)n->n_in, sizeof *din, "gradients", &din));
    for (int k = 0; k < n->n_out; k++)
        dout[k] = n->out[k] < 0 || !grad->grads[n->out[k]].data ? NULL : &grad->grads[n->out[k]];
    for (int k = 0; k < n->n_in; k++)
        din[k] = n->in[k] < 0 || !grad->grads[n->in[k]].data ? NULL : &grad->grads[n->in[k]];
    *call = grad->session->calls[i];
    call->dout = (const struct cb_tensor *const *)dout;
    call->din = din;
    return cb_ok();
}

static struct cb_status wire(struct cb_grad *grad, const bool *flags)
{
    const struct cb_plan *plan = grad->session->plan;
    const struct cb_graph *g = &plan->graph;
    uint8_t *at;
    for (int i = 0; i < plan->n_outputs; i++) {
        grad->seed[i] =
            (struct cb_tensor){ .shape = g->values[plan->outputs[i]].shape, .dtype = CB_FLOAT32 };
        grad->seed_bytes += padded_bytes(&grad->seed[i]);
    }
    for (int v = 0; v < g->n_values; v++) {
        grad->grads[v] = (struct cb_tensor){ .shape = g->values[v].shape, .dtype = CB_FLOAT32 };
        if (flags[v])
            grad->inner_bytes += padded_bytes(&grad->grads[v]);
    }
    CB_TRY(cb_arena_get(&grad->arena, grad->inner_bytes, 1, "gradients", &grad->inner));
    CB_TRY(cb_arena_get(&grad->arena, grad->seed_bytes, 1, "gradients", &grad->seeds));
    at = grad->inner;
    for (int v = 0; v < g->n_values; v++)
        if (flags[v]) {
            grad->grads[v].data = at;
            at += padded_bytes(&grad->grads[v]);
        }
    at = grad->seeds;
    for (int i = 0; i < plan->n_outputs; i++) {
        grad->seed[i].data = at;
        at += padded_bytes(&grad->seed[i]);
    }
    for (int i = 0; i < g->n_nodes; i++)
        if (plan->on_path[i])
            CB_TRY(wire_call(grad, i));
    return cb_ok();
}

static size_t room_for(const struct cb_plan *plan)
{
    const struct cb_graph *g = &plan->graph;
    size_t bytes = (size_t)1 << 20;
    for (int v = 0; v < g->n_values; v++) {
        const struct cb_tensor t = cb_value_tensor(&g->values[v]);
        if (plan->has_grad[v])
            bytes += 2 * padded_bytes(&t) + CB_ALIGN; /* as an output it may have a seed as well */
    }
    for (int i = 0; i < plan->n_outputs; i++) {
        const struct cb_tensor t = cb_value_tensor(&g->values[plan->outputs[i]]);
        bytes += padded_bytes(&t) + CB_ALIGN;
    }
    bytes += (size_t)g->n_values * (sizeof(struct cb_tensor) + 1);
    return bytes + (size_t)g->n_nodes * (sizeof(struct cb_op_call) +
                                         2 * ((size_t)plan->widest * sizeof(void *) + CB_ALIGN));
}

struct cb_status cb_grad_create(struct cb_session *session, struct cb_grad **out)
{
    const struct cb_plan *plan = session->plan;
    const struct cb_graph *g = &plan->graph;
    struct cb_grad *grad;
    struct cb_status st;
    bool *flags;
    if (!plan->n_wrt)
        return cb_fail(CB_ERR_INPUT,
                       "gradients: the plan was made without values to differentiate by");
    CB_TRY(check_path(plan));
    CB_TRY(cb_arena_begin(room_for(plan), sizeof *grad, &grad));
    grad->session = session;
    st = cb_arena_get(&grad->arena, (size_t)g->n_values, sizeof *flags, "gradients", &flags);
    if (!st.code)
        st = cb_arena_get(&grad->arena, (size_t)g->n_values, sizeof *grad->grads, "gradients",
                          &grad->grads);
    if (!st.code)
        st = cb_arena_get(&grad->arena, (size_t)g->n_nodes, sizeof *grad->calls, "gradients",
                          &grad->calls);
    if (!st.code)
        st = cb_arena_get(&grad->arena, (size_t)plan->n_outputs, sizeof *grad->seed, "gradients",
                          &grad->seed);
    if (!st.code) {
        find_values(plan, flags);
        st = wire(grad, flags);
    }
    if (st.code)
        cb_grad_destroy(grad);
    else
        *out = grad;
    return st;
}

void cb_grad_destroy(struct cb_grad *grad)
{
    if (!grad)
        return;
    cb_arena_deinit(&grad->arena);
}

struct cb_tensor *cb_grad_seed(struct cb_grad *grad, int output)
{
    return &grad->seed[output];
}

void cb_grad_clear(struct cb_grad *grad)
{
    memset(grad->seeds, 0, grad->seed_bytes);
}

void cb_grad_run(struct cb_grad *grad)
{
    const struct cb_plan *plan = grad->session->plan;
    const struct cb_kernels *k = &plan->engine->kernels;
    memset(grad->inner, 0, grad->inner_bytes);
    for (int i = 0; i < plan->n_outputs; i++) {
        struct cb_tensor *to = &grad->grads[plan->outputs[i]];
        if (to->data)
            k->axpy(cb_tensor_count(to), 1, grad->seed[i].f, to->f);
    }
    for (int i = plan->graph.n_nodes - 1; i >= 0; i--)
        if (plan->on_path[i])
            cb_op_get(plan->graph.nodes[i].op)->backward(&grad->calls[i]);
}

const struct cb_tensor *cb_grad_of(const struct cb_grad *grad, int i)
{
    return &grad->grads[grad->session->plan->wrt[i]];
}
