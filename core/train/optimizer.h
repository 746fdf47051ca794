/* core/train/optimizer.h - one step down the gradient: SGD with momentum, Adam, AdamW.
 *
 * Works on a list of parameters that stays the same from step to step. One thread at a time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/arena.h"

enum cb_optimizer_kind {
    CB_SGD,   /* v = momentum v + g + decay w;  w -= rate v */
    CB_ADAM,  /* arXiv:1412.6980; decay is added to the gradient */
    CB_ADAMW, /* arXiv:1711.05101; decay shrinks the weight by rate x decay */
    CB_OPTIMIZER_COUNT
};

struct cb_optimizer_config {
    enum cb_optimizer_kind kind;
    float momentum, beta1, beta2, epsilon;
    float decay;
};

/* Momentum 0.9, betas 0.9 and 0.999, epsilon 1e-8, no decay. */
struct cb_optimizer_config cb_optimizer_default(enum cb_optimizer_kind kind);

struct cb_parameter {
    float *w;
    const float *g; /* d loss / d w */
    size_t n;
    bool decay; /* false for biases: the configuration's decay is left out */
};

struct cb_optimizer {
    struct cb_optimizer_config config;
    float *first, *second; /* moments of all parameters, one after the other */
    size_t n;
    int64_t steps;
};

/* State for parameters of `n` elements together, in `arena`. Errors: CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_optimizer_init(struct cb_optimizer *optimizer,
                                               struct cb_arena *arena,
                                               const struct cb_optimizer_config *config, size_t n);

/* Changes w of every parameter. `rate` is the learning rate of this step. */
void cb_optimizer_step(struct cb_optimizer *optimizer, const struct cb_parameter *parameters,
                       size_t count, float rate);
