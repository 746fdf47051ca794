/* core/ops/args.h - what every infer does with its arguments: presence, types, axes, parameters,
 * limits.
 *
 * All messages are "node: wants ..., has ...". Elements of known tensors may be unaligned. */
#pragma once

#include "core/ops/op.h"

/* As many inputs and outputs as the operator takes, and every required one present (a parameter may
 * be absent: its attribute stands). Errors, here and below: CB_ERR_MODEL. */
CB_MUST_USE struct cb_status cb_args_check(const struct cb_node *node, const struct cb_arg in[]);

/* Input i of a call; NULL where it is absent. */
static inline const struct cb_tensor *cb_args_in(const struct cb_op_call *call, int i)
{
    return i < call->node->n_in ? call->in[i] : NULL;
}

/* cb_op_def.result of what answers yes or no, and of what counts. */
enum cb_dtype cb_result_bool(const struct cb_node *node, const enum cb_dtype in[], int i);
enum cb_dtype cb_result_int64(const struct cb_node *node, const enum cb_dtype in[], int i);

bool cb_args_given(const struct cb_node *node, const struct cb_arg in[], int i);
bool cb_args_is_float(const struct cb_arg *arg);

CB_MUST_USE struct cb_status cb_args_want_float(const struct cb_node *node,
                                                const struct cb_arg *arg);
CB_MUST_USE struct cb_status cb_args_same_dtype(const struct cb_node *node, const struct cb_arg *a,
                                                const struct cb_arg *b);

/* axis, brought into 0 .. rank-1. */
CB_MUST_USE struct cb_status cb_args_axis(const struct cb_node *node, int64_t axis, int rank,
                                          int *out);

/* flags[axis] for every axis of the list; an axis outside or named twice is refused. */
CB_MUST_USE struct cb_status cb_args_axes(const struct cb_node *node, const struct cb_list *axes,
                                          int rank, bool flags[CB_MAX_RANK]);

/* Fills an output after holding its shape against the limits. Errors: CB_ERR_TOO_LARGE too. */
CB_MUST_USE struct cb_status cb_args_out(const struct cb_node *node, struct cb_arg *out,
                                         enum cb_dtype dtype, const struct cb_shape *shape);

/* Parameters. Each reads input i, when it is given, into *out, and leaves *out alone when it is
 * not. Errors: CB_ERR_UNSUPPORTED when its elements are not known at plan time. */
CB_MUST_USE struct cb_status cb_args_list(const struct cb_node *node, const struct cb_arg in[],
                                          int i, const char *what, struct cb_list *out);
/* The numbers of a Pad: as many before as after. */
CB_MUST_USE struct cb_status cb_args_pads(const struct cb_node *node, const struct cb_arg in[],
                                          int i, struct cb_list *begin, struct cb_list *end);
CB_MUST_USE struct cb_status cb_args_number(const struct cb_node *node, const struct cb_arg in[],
                                            int i, const char *what, double *out);

/* At most `max` numbers; *count is how many. */
CB_MUST_USE struct cb_status cb_args_numbers(const struct cb_node *node, const struct cb_arg in[],
                                             int i, const char *what, int max, int *count,
                                             double *out);

/* Element k of a known tensor. */
int64_t cb_args_int_at(const struct cb_tensor *known, size_t k);
double cb_args_number_at(const struct cb_tensor *known, size_t k);

/* value as an int64: towards zero; what does not fit, and NaN, becomes the nearest end (0 for
 * NaN). */
int64_t cb_args_to_int(double value);
