/* core/train/hidden_layer.h - a classifier with one hidden layer: ReLU, dropout, softmax; AdamW in
 * mini-batches.
 *
 * h = dropout(relu(W1 x + b1));  logits = W2 h + b2. Dropout scales by 1 / (1 - rate) while it
 * learns, so nothing changes when it is used. Start: He, arXiv:1502.01852. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/train/product.h"

/* Examples a step: an eighth of those that teach, 4 to this many. */
#define CB_HIDDEN_BATCH 32

struct cb_hidden_net {
    int inputs, hidden, classes;
    float *w1, *b1, *w2, *b2; /* one block, in this order: cb_hidden_size floats at w1 */
};

size_t cb_hidden_size(int inputs, int hidden, int classes);

/* Points the members into `block` of cb_hidden_size floats. */
struct cb_hidden_net cb_hidden_over(float *block, int inputs, int hidden, int classes);

/* Rows that a batch is made of, and where its intermediate results go. */
struct cb_hidden_batch {
    size_t n;
    float *x;      /* [n, inputs] */
    int *labels;   /* [n] */
    float *weight; /* [n] */
    float *keep;   /* [n, hidden] 0 or 1 / (1 - rate); NULL: no dropout */
    float *h, *dh; /* [n, hidden] */
    float *logits; /* [n, classes]; the gradient takes its place */
};

/* Mean weighted cross-entropy of a batch, and its gradient laid out as the net's block. */
double cb_hidden_gradient(const struct cb_products *p, const struct cb_hidden_net *net,
                          const struct cb_hidden_batch *batch, float *gradient);

/* Logits [n, classes] of n rows without dropout; h [n, hidden] is for the call's use. */
void cb_hidden_logits(const struct cb_products *p, const struct cb_hidden_net *net, size_t n,
                      const float *x, float *h, float *logits);

struct cb_hidden_epoch {
    int epoch;
    double train_loss, judge_loss;
    int correct; /* of the rows that judge */
};

struct cb_hidden_training {
    const struct cb_engine *engine;
    struct cb_arena *scratch;
    size_t n;
    const float *x; /* [n, inputs] */
    const int *labels;
    const float *teach,
        *judge; /* [n] weights; 0: takes no part. judge NULL: nothing stops it early */
    float dropout, rate, decay;
    int epochs, patience;
    uint64_t seed;
    bool (*on_epoch)(void *ctx, const struct cb_hidden_epoch *epoch); /* false: stop; NULL: none */
    void *ctx;
};

/* Trains from a fresh start; the net ends at its best epoch by the loss of `judge`, which
 * *best_epoch tells; without judge at the last one. Errors: CB_ERR_NOMEM; CB_ERR_CANCELLED when
 * on_epoch said so. */
CB_MUST_USE struct cb_status cb_hidden_train(const struct cb_hidden_training *training,
                                             struct cb_hidden_net *net, int *best_epoch);
