/* core/train/head_trainer.h - trains a head on bottleneck features, and judges it.
 *
 * Softmax regression (all examples at once, convex: L-BFGS) or one hidden layer with ReLU and
 * dropout (mini-batches, AdamW). Features are centred and brought to variance 1 by one common
 * scale, which keeps what their sizes say; both are folded into the weights.
 *
 * A stratified part is held out, and the evaluation is that of a head which never saw it. Of
 * softmax regression the weight decay is chosen by cross-validation inside the other part, so that
 * nothing at all is chosen on the held-out one. With a hidden layer the held-out loss stops the
 * training, after `patience` epochs without improvement, and the best weights are kept. The head
 * that is handed out is then trained again, with the same choices, on all examples. Its last
 * weights and biases are divided by a temperature, fitted on the held-out part (temperature.h), so
 * that whoever runs it gets honest probabilities and needs to know of nothing. Class weights
 * balance unequal classes. The same seed gives the same head bit for bit, whatever the number of
 * threads (on one instruction set). */
#pragma once

#include <stdatomic.h>

#include "core/base/arena.h"
#include "core/exec/engine.h"
#include "core/model/head.h"
#include "core/train/evaluation.h"

struct cb_head_config {
    int hidden;          /* units of the hidden layer; 0: softmax regression */
    float dropout;       /* 0 to 0.9, on the hidden layer's output */
    int epochs;          /* at most (steps of L-BFGS for regression); 0: 300 */
    int patience;        /* epochs without improvement before it stops; of the hidden layer */
    float learning_rate; /* of the hidden layer; 0: 0.001 */
    float l2; /* regression: l2 / 2 |W|^2 on features of variance 1; hidden layer: AdamW's decay.
                 negative: chosen by cross-validation; 0.01 with a hidden layer */
    float held_out; /* fraction of each class, 0.05 to 0.5 */
    bool balance;   /* weight classes by 1 / their count */
    uint64_t seed;
};
extern const struct cb_head_config cb_head_config_default;

/* One line of progress. */
struct cb_epoch {
    int epoch, epochs;
    float train_loss; /* with regression's weight decay */
    float held_out_loss, held_out_accuracy;
};
typedef void cb_epoch_fn(void *ctx, const struct cb_epoch *epoch);

struct cb_head_job {
    const struct cb_head_config *config;
    const float *features; /* [n, views, inputs] */
    const int *labels;     /* [n], 0 to classes-1 */
    int n, inputs, classes;
    int views; /* rows of each example: itself, and views of it that teach wherever it does, but
                  never judge; 0 is 1 */
    const struct cb_engine *engine;
    cb_epoch_fn *on_epoch; /* NULL: none */
    void *ctx;
    const atomic_bool *cancel; /* NULL: never */
};

/* Of a head that learned from the rest, on the held-out part. */
struct cb_head_judgement {
    /* As the head that is handed out would do: each tenth of the part with the temperature of the
     * other nine. */
    struct cb_evaluation held_out;
    double temperature;             /* that the head was divided by: of the whole part */
    double plain_loss, plain_error; /* cross-entropy and calibration error without any */
};

/* Fills `head` and `judgement`, whose tables lie in `arena` too; `held_out.example` are
 * examples, whatever their views. judgement NULL: nothing is held out for judging, softmax regression learns from all
 * examples at once, of which there may be 1 a class, and keeps its temperature of 1. Errors:
 * CB_ERR_CONTENT fewer than 2 classes or 2 examples of a class (says which), or features that are
 * not finite; CB_ERR_CANCELLED; CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_head_train(const struct cb_head_job *job, struct cb_arena *arena,
                                           struct cb_head *head,
                                           struct cb_head_judgement *judgement);

/* Logits [n, classes] of a head on features [n, inputs]. */
void cb_head_run(const struct cb_head *head, int n, const float *features, float *logits);
