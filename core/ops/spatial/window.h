/* core/ops/spatial/window.h - the arithmetic of windows over spatial axes, shared by Conv and
 * pools.
 *
 * Tensors are [N, spatial..., C] with 1 to 3 spatial axes. Sizes follow ONNX Conv-22, MaxPool-22,
 * AveragePool-22. */
#pragma once

#include "core/ops/op.h"

/* Checks `window` against the input `in` and fills what was open: rank, kernel (from the
 * filter, [M, C/group, kernel...]; NULL: it must be given), pads of the auto_pad forms. Gives the
 * output's spatial sizes. `in` must be known. Errors: CB_ERR_MODEL names node, wanted and found;
 * CB_ERR_UNSUPPORTED for more than 3 spatial axes. */
CB_MUST_USE struct cb_status cb_window_infer(const struct cb_node *node, struct cb_window *window,
                                             const struct cb_shape *in,
                                             const struct cb_shape *filter,
                                             int64_t out[CB_MAX_SPATIAL]);

/* The same where the window lays its taps into the output (ConvTranspose-22, MaxUnpool-22):
 * `filter` [C, M/group, kernel...]; `more` is added to each size at its end; an `out` above 0 is a
 * wanted size: pads follow from it. */
CB_MUST_USE struct cb_status
cb_window_infer_transposed(const struct cb_node *node, struct cb_window *window,
                           const struct cb_shape *in, const struct cb_shape *filter,
                           const int64_t *more, int64_t out[CB_MAX_SPATIAL]);

/* A window over exactly three axes: missing ones come first, with size 1. */
struct cb_grid {
    size_t n, c;
    size_t in[3], out[3], kernel[3], stride[3], dilation[3], pad[3], pad_end[3];
};

struct cb_grid cb_grid_make(const struct cb_window *window, const struct cb_shape *in,
                            const struct cb_shape *out);

/* The taps of one output coordinate along one axis that lie inside the input. */
struct cb_span {
    size_t begin;  /* input coordinate of the first of them; the next is one dilation further */
    size_t count;  /* may be 0 */
    size_t padded; /* taps inside the padded input: what count_include_pad counts */
};

struct cb_span cb_grid_span(const struct cb_grid *grid, int axis, size_t out);

/* The largest number of taps inside the input that any output has. */
size_t cb_grid_max_taps(const struct cb_grid *grid);
