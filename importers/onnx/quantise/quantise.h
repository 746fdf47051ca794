/* importers/onnx/quantise/quantise.h - a network of reals becomes one of bytes: a standard ONNX
 * file with QuantizeLinear and DequantizeLinear around its operators (opset 13 or what the file has
 * above).
 *
 * Weights become int8, symmetric, with a scale for each output channel; biases int32 of scale x *
 * scale w; activations uint8 with one scale and zero each, whose ranges the caller has observed.
 * BatchNormalization behind a convolution is folded first. Everything else of the file stays as it
 * is. docs/QUANTISATION.md says which tensors are quantised. */
#pragma once

#include "core/base/buf.h"
#include "core/base/file.h"
#include "core/graph/graph.h"
#include "importers/onnx/load.h"

struct cb_onnx_quantise;

/* Looks at a model file, its graph as imported, and the same graph with all shapes known
 * (cb_plan_graph: values have the same numbers), all of which must live on. Everything is in
 * `arena`. Errors: CB_ERR_UNSUPPORTED says what cannot be quantised or brought to opset 13;
 * CB_ERR_MODEL, CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_onnx_quantise_create(struct cb_arena *arena, struct cb_bytes file,
                                                     const struct cb_graph *graph,
                                                     const struct cb_graph *inferred,
                                                     struct cb_onnx_quantise **out);

/* The values of the graph whose ranges are wanted: *n of them. */
const int *cb_onnx_quantise_values(const struct cb_onnx_quantise *quantise, int *n);

/* Channels of one tensor that differ much in size share 256 steps badly. Where a convolution makes
 * them and convolutions alone read them, with nothing between but what commutes with a positive
 * factor (Relu, MaxPool), the former's filters are divided by factors and the latter's are
 * multiplied (arXiv:1906.04721). peaks[i]: the largest magnitudes of value i's channels, n[i] of
 * them; out[i]: its factors, or NULL. Lies in the arena of _create. */
CB_MUST_USE struct cb_status cb_onnx_quantise_balance(struct cb_onnx_quantise *quantise,
                                                      const float *const *peaks, const size_t *n,
                                                      const float **out);

/* What was observed of a tensor: the range of its elements (0 is added to it), and the mean for
 * each index along axis 1 (NULL: not known), by which the shift that rounded weights bring about is
 * taken back (arXiv:1906.04721). */
struct cb_onnx_range {
    float lo, hi;
    const double *means;
    size_t n_means;
};

/* Appends the whole file to `out`. ranges[i] is that of value i of cb_onnx_quantise_values.
 * Properties are added to the metadata, in place of those of the same key. Errors:
 * CB_ERR_TOO_LARGE, CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_onnx_quantise_write(struct cb_onnx_quantise *quantise,
                                                    const struct cb_onnx_range *ranges,
                                                    const struct cb_onnx_property *properties,
                                                    int n_properties, struct cb_buf *out);
