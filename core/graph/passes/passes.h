/* core/graph/passes/passes.h - rewrites of a graph whose shapes are known; each keeps what the
 * outputs compute.
 *
 * One rewrite a file. cb_passes_run applies them in the order of its table and checks the graph's
 * invariants after each, so that a message blames the pass by name. Values that somebody asked for
 * (outputs, and values whose gradient is wanted) are pinned: never rewritten away. */
#pragma once

#include "core/graph/graph.h"

struct cb_pass {
    struct cb_graph *graph;
    const struct cb_kernels *kernels;
    struct cb_arena *temporary; /* large constants that live until the weights are packed */
    const bool *wanted_grad;    /* [n_wanted] gradient wanted; NULL: none */
    int n_wanted;               /* values when the plan began */
    bool train_weights;         /* a constant's gradient is wanted: weights stay as they are */
};

CB_MUST_USE struct cb_status cb_passes_run(struct cb_pass *pass);

/* Transposes move towards the outputs and cancel in pairs; what remains stands at the borders of
 * the image operators. Those that move only axes of length 1 become views. */
CB_MUST_USE struct cb_status cb_pass_move_transposes(struct cb_pass *pass);

/* Pad with zeros becomes the padding of the convolution, or of the average that counts it, behind
 * it. */
CB_MUST_USE struct cb_status cb_pass_fold_pad(struct cb_pass *pass);

/* Activations and normalisations that are spelled out in arithmetic become one operator each. */
CB_MUST_USE struct cb_status cb_pass_make_activations(struct cb_pass *pass);
CB_MUST_USE struct cb_status cb_pass_make_layer_norm(struct cb_pass *pass);

/* BatchNormalization, and products and sums with a constant per channel, fold into the convolution
 * or product before. */
CB_MUST_USE struct cb_status cb_pass_fold_affine(struct cb_pass *pass);

/* Residual addition, clamping (ReLU, ReLU6, Clip) and activations become part of the operator that
 * makes the value; activations not where gradients flow. */
CB_MUST_USE struct cb_status cb_pass_fuse_epilogue(struct cb_pass *pass);

/* What scales (and shifts) the channels of a 1x1 convolution's input, and of nothing else, becomes
 * part of the convolution; not where gradients flow. */
CB_MUST_USE struct cb_status cb_pass_fuse_prologue(struct cb_pass *pass);

/* A depthwise convolution, the 1x1 convolution that makes its input and the one that alone reads its
 * result become one operator, where that is faster; not where gradients flow. */
CB_MUST_USE struct cb_status cb_pass_fuse_chain(struct cb_pass *pass);

/* What stands between DequantizeLinear and QuantizeLinear is done on bytes (CB_QUINT8); weights
 * behind DequantizeLinear become bytes or reals. Where gradients are wanted, the latter alone, and
 * activations are clipped but not rounded. */
CB_MUST_USE struct cb_status cb_pass_fuse_quantised(struct cb_pass *pass);

/* Nodes that no output needs go. Also what the plan starts with. */
CB_MUST_USE struct cb_status cb_pass_drop_dead(struct cb_pass *pass);

/* True when the gradient of `value` is wanted. */
bool cb_pass_wanted(const struct cb_pass *pass, int value);

/* True when `value` must stay as it is: a graph output, or its gradient is wanted. */
bool cb_pass_pinned(const struct cb_pass *pass, int value);
