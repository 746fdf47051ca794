/* tests/support/network.h - a whole network from a folder with model.onnx and test_data_set_0, with
 * another framework's answer, forward and backward. */
#pragma once

#include "core/grad/grad.h"
#include "core/model/model.h"

struct network {
    const char *folder;
    struct cb_arena arena;
    struct cb_engine engine;
    struct cb_model *model;
    struct cb_tensor *x;   /* the data set's inputs, one per graph input */
    struct cb_tensor want; /* its first output */
    /* While a plan is open: */
    struct cb_plan *plan;
    struct cb_session *session;
    struct cb_grad *grad; /* NULL: nothing to differentiate by */
};

/* All constants lie in memory of their own, which a test may change. */
void network_open(struct network *net, const char *folder);
void network_close(struct network *net);

/* A plan of the first output, differentiated by wrt[n_wrt]; its session has run on net->x. */
void network_plan(struct network *net, enum cb_isa isa, bool no_passes, const int *wrt, int n_wrt);
void network_unplan(struct network *net);

/* Runs again on net->x; the first output. */
const struct cb_tensor *network_run(struct network *net);

/* Calls `check` for every folder with model.onnx in the folder that the variable names; skips the
 * test, and says how to make such a folder, where the variable is not set. */
void network_each(const char *variable, const char *how, void (*check)(const char *folder));
