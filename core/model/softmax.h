/* core/model/softmax.h - scores to probabilities, the one place for it: prediction, training,
 * judging. */
#pragma once

#include <stddef.h>

/* Softmax of the n > 0 numbers that lie `stride` apart, into `out`, laid out alike (NULL: not
 * wanted; may be the same memory). Returns log(sum(exp(logits))). */
double cb_softmax(size_t n, size_t stride, const float *logits, float *out);

/* probabilities[n, classes] = softmax of each row; may be the same memory. */
void cb_softmax_rows(size_t n, size_t classes, const float *logits, float *probabilities);
