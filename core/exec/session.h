/* core/exec/session.h - one activation arena over a plan: inputs in, forward, outputs out. One
 * thread at a time. */
#pragma once

#include "core/exec/plan.h"

struct cb_session;

CB_MUST_USE struct cb_status cb_session_create(const struct cb_plan *plan, struct cb_session **out);
void cb_session_destroy(struct cb_session *session);

/* Where to write graph input i before a run (channels last with nhwc_input), and read output i of
 * the options after it. An input's memory may be reused during the run: write it again before each.
 * Outputs stay until the next run. */
struct cb_tensor *cb_session_input(struct cb_session *session, int i);
const struct cb_tensor *cb_session_output(const struct cb_session *session, int i);

void cb_session_run(struct cb_session *session);

/* The same; what each node of the plan's graph took is written to ns[n_nodes]. */
void cb_session_run_timed(struct cb_session *session, int64_t *ns);

/* The name of the algorithm that computes this node; NULL where its operator has one way. */
const char *cb_session_algorithm(const struct cb_session *session, int node);

/* The tensor of a value of the plan's graph that is kept (an output, or on the path to a `wrt`). */
const struct cb_tensor *cb_session_value(const struct cb_session *session, int value);
