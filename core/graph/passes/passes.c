#include "core/graph/passes/passes.h"

static const struct {
    const char *name;
    struct cb_status (*run)(struct cb_pass *);
} passes[] = {
    { "move-transposes", cb_pass_move_transposes }, /* image operators meet channels-last */
    { "fold-pad", cb_pass_fold_pad },
    { "make-activations", cb_pass_make_activations },
    { "make-layer-norm", cb_pass_make_layer_norm },
    { "fold-affine", cb_pass_fold_affine },
    { "fuse-epilogue", cb_pass_fuse_epilogue },
    { "fuse-prologue", cb_pass_fuse_prologue },
    { "fuse-chain", cb_pass_fuse_chain },
    { "fuse-quantised", cb_pass_fuse_quantised }, /* after all that makes one operator of several */
    { "drop-dead", cb_pass_drop_dead },
};

struct cb_status cb_passes_run(struct cb_pass *pass)
{
    for (size_t i = 0; i < CB_COUNT_OF(passes); i++) {
        CB_TRY(passes[i].run(pass));
        CB_TRY(cb_graph_verify(pass->graph, passes[i].name));
    }
    return cb_ok();
}

bool cb_pass_wanted(const struct cb_pass *pass, int value)
{
    return pass->wanted_grad && value < pass->n_wanted && pass->wanted_grad[value];
}

bool cb_pass_pinned(const struct cb_pass *pass, int value)
{
    if (cb_pass_wanted(pass, value))
        return true;
    for (int i = 0; i < pass->graph->n_outputs; i++)
        if (pass->graph->outputs[i] == value)
            return true;
    return false;
}
