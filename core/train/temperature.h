/* core/train/temperature.h - one number that makes a classifier's probabilities honest:
 * softmax(logits / temperature) (Guo et al., arXiv:1706.04599, section 4.2).
 *
 * Which class is first does not change, only how sure it is. */
#pragma once

#include "core/train/metrics.h"

/* Bounds of what is found: beyond, the logits say nothing, or all. */
#define CB_TEMPERATURE_LEAST 0.01
#define CB_TEMPERATURE_MOST 100.0

/* The temperature of the least cross-entropy over logits [n, classes] that the classifier did not
 * learn from, by Newton's method on 1 / temperature, in which the loss is convex.
 *
 * The label's target is (n + 1) / (n + 2), the other classes share the rest, as Platt did for two
 * classes (Probabilistic outputs for support vector machines, 1999, section 2.2): where a few
 * examples are all right, plain likelihood would claim certainty. 1 for n = 0 or one class, and
 * where the logits of every example are all alike. */
double cb_temperature_fit(const float *logits, const int *labels, int n, int classes);

/* The loss that fit makes least, at one temperature. */
double cb_temperature_loss(const float *logits, const int *labels, int n, int classes,
                           double temperature);

/* probabilities [n, classes] = softmax(logits / temperature); may be the same memory. */
void cb_temperature_softmax(const float *logits, int n, int classes, double temperature,
                            float *probabilities);
