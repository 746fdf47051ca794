#include "core/exec/plan_internal.h"

/* Forward: what depends on a value whose gradient is wanted. Backward: what an output depends on.
 * Gradients flow through the nodes that are both, and need those nodes' inputs and outputs. */
struct cb_status cb_plan_find_path(struct cb_plan *plan)
{
    const struct cb_graph *g = &plan->graph;
    const size_t n_values = (size_t)g->n_values;
    bool *reaches;
    CB_TRY(cb_arena_get(&plan->arena, n_values, sizeof *plan->kept, "plan", &plan->kept));
    for (int i = 0; i < plan->n_outputs; i++)
        plan->kept[plan->outputs[i]] = true;
    if (plan->n_wrt == 0)
        return cb_ok();
    CB_TRY(cb_arena_get(&plan->arena, n_values, sizeof *plan->has_grad, "plan", &plan->has_grad));
    CB_TRY(cb_arena_get(&plan->arena, n_values, sizeof *reaches, "plan", &reaches));
    CB_TRY(cb_arena_get(&plan->arena, (size_t)g->n_nodes, sizeof *plan->on_path, "plan",
                        &plan->on_path));
    for (int i = 0; i < plan->n_wrt; i++)
        plan->has_grad[plan->wrt[i]] = plan->kept[plan->wrt[i]] = true;
    for (int i = 0; i < g->n_nodes; i++) {
        const struct cb_node *n = &g->nodes[i];
        for (int k = 0; k < n->n_in; k++)
            plan->on_path[i] |= n->in[k] >= 0 && plan->has_grad[n->in[k]];
        for (int k = 0; k < n->n_out && plan->on_path[i]; k++)
            if (n->out[k] >= 0 && cb_dtype_get(g->values[n->out[k]].dtype)->is_float)
                plan->has_grad[n->out[k]] = true;
    }
    for (int i = 0; i < plan->n_outputs; i++)
        reaches[plan->outputs[i]] = true;
    for (int i = g->n_nodes - 1; i >= 0; i--) {
        const struct cb_node *n = &g->nodes[i];
        bool useful = false;
        for (int k = 0; k < n->n_out; k++)
            useful |= n->out[k] >= 0 && reaches[n->out[k]];
        plan->on_path[i] &= useful;
        for (int k = 0; k < n->n_in && useful; k++)
            if (n->in[k] >= 0)
                reaches[n->in[k]] = true;
        if (!plan->on_path[i])
            continue;
        for (int k = 0; k < n->n_in; k++)
            if (n->in[k] >= 0)
                plan->kept[n->in[k]] = true;
        for (int k = 0; k < n->n_out; k++)
            if (n->out[k] >= 0)
                plan->kept[n->out[k]] = true;
    }
    return cb_ok();
}
