/* cli/graph_run.h - a network on raw tensors, once: what `run` and `verify` share. */
#pragma once

#include "core/exec/session.h"
#include "core/model/model.h"

struct cb_graph_run {
    /* Given. */
    const struct cb_engine *engine;
    const struct cb_model *model;
    const struct cb_tensor *inputs; /* one per graph input, in memory form */
    int n_inputs;
    const int *extra; /* values wanted besides the graph's outputs */
    int n_extra;
    bool no_passes;
    bool any_shape; /* inputs may differ from the declared shapes where the nodes agree */
    struct cb_arena *arena; /* for what lives as long as the run */
    /* Made. */
    struct cb_plan *plan;
    struct cb_session *session;
};

/* Checks the inputs against what the graph declares, plans and runs. Close it also when it fails.
 * Errors: CB_ERR_INPUT names the input; what planning says. */
CB_MUST_USE struct cb_status cb_graph_run(struct cb_graph_run *run);
void cb_graph_run_close(struct cb_graph_run *run);

/* Output i of the graph; past its n_outputs the extra ones. */
const struct cb_tensor *cb_graph_run_output(const struct cb_graph_run *run, int i);

/* A tensor from a file: .npy, or a TensorProto (.pb); in memory form, in `arena`. `wanted` is the
 * type that it should have, CB_DTYPE_NONE when any will do: test data write bfloat16 as its bits.
 * Other types are given as they are. */
CB_MUST_USE struct cb_status cb_tensor_file_read(const char *path, enum cb_dtype wanted,
                                                 struct cb_arena *arena, struct cb_tensor *out);
