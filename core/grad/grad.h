/* core/grad/grad.h - reverse walk over a session that has just run: d loss / d value for the plan's
 * `wrt`.
 *
 * Only nodes between a wrt value and the seeded output are walked. One thread at a time. */
#pragma once

#include "core/exec/session.h"

struct cb_grad;

/* Errors: CB_ERR_UNSUPPORTED names a node on the path without backward. */
CB_MUST_USE struct cb_status cb_grad_create(struct cb_session *session, struct cb_grad **out);
void cb_grad_destroy(struct cb_grad *grad);

/* d loss / d output i (of the plan's options), to be filled before each run; it is zero after
 * cb_grad_create and after cb_grad_clear. */
struct cb_tensor *cb_grad_seed(struct cb_grad *grad, int output);
void cb_grad_clear(struct cb_grad *grad);

/* Walks back. Gradients are those of this walk alone. */
void cb_grad_run(struct cb_grad *grad);

/* d loss / d wrt i: the wrt value's shape; zero where no path leads there. */
const struct cb_tensor *cb_grad_of(const struct cb_grad *grad, int i);
