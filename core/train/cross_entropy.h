/* core/train/cross_entropy.h - the loss of softmax: rows of logits and labels to a loss and its
 * gradient. */
#pragma once

#include <stddef.h>

#include "core/base/threads.h"

struct cb_cross_entropy {
    size_t n, classes;
    size_t row_stride, class_stride; /* floats from one row, one class, to the next */
    const float *logits;             /* [n, classes] */
    const int *labels;               /* [n] */
    const float *weight;             /* [n] how much a row counts, 0: not at all; NULL: 1 each */
    float *gradient; /* [n, classes] d loss / d logits, laid out as these; may be their own memory;
                        NULL: not wanted */
};

/* sum of weight x -log softmax(logits)[label] / sum of weights; 0 when no row counts. The sum does
 * not depend on the number of threads. */
double cb_cross_entropy(const struct cb_cross_entropy *c, struct cb_threads *threads);
