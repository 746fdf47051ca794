#include "core/graph/passes/passes.h"

struct cb_status cb_pass_drop_dead(struct cb_pass *pass)
{
    struct cb_graph *g = pass->graph;
    const size_t mark = g->arena->used;
    int kept = g->n_nodes;
    bool *needed;
    CB_TRY(cb_arena_get(g->arena, (size_t)g->n_values, sizeof *needed, "drop-dead", &needed));
    for (int i = 0; i < g->n_outputs; i++)
        needed[g->outputs[i]] = true;
    for (int i = g->n_nodes - 1; i >= 0; i--) { /* survivors gather at the array's end */
        const struct cb_node node = g->nodes[i];
        bool alive = false;
        for (int k = 0; k < node.n_out; k++)
            alive |= node.out[k] >= 0 && needed[node.out[k]];
        if (!alive)
            continue;
        for (int k = 1; k < node.n_out; k++) /* operators may rely on output 0 */
            if (node.out[k] >= 0 && !needed[node.out[k]])
                node.out[k] = -1;
        for (int k = 0; k < node.n_in; k++)
            if (node.in[k] >= 0)
                needed[node.in[k]] = true;
        g->nodes[--kept] = node;
    }
    for (int i = kept; i < g->n_nodes; i++)
        g->nodes[i - kept] = g->nodes[i];
    g->n_nodes -= kept;
    cb_arena_rewind(g->arena, mark);
    return cb_ok();
}
