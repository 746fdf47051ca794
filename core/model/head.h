/* core/model/head.h - a trained classifier on a trunk's bottleneck: y = W2 act(W1 x + b1) + b2, or
 * y = W2 x + b2.
 *
 * x is the bottleneck averaged over space (or flat). Standardisation of features is already folded
 * into the weights. */
#pragma once

#include "core/graph/graph.h"

struct cb_head {
    int inputs, hidden, classes; /* hidden 0: softmax regression */
    const float *w1, *b1;        /* [hidden, inputs], [hidden]; NULL without hidden layer */
    const float *w2, *b2;        /* [classes, hidden or inputs], [classes] */
};

/* Adds pooling over all axes but the first two (a flat bottleneck stays as it is) and the head's
 * products behind `bottleneck`, and makes the new logits the graph's only output. Weights are
 * borrowed. Keys of the new constants come from `key`, names begin with "head@". Errors:
 * CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_head_attach(struct cb_graph *graph, int bottleneck,
                                            const struct cb_head *head, uint64_t key, int *logits);
