/* core/train/evaluation.h - how good a classifier is on labelled examples. */
#pragma once

#include "core/base/arena.h"

struct cb_evaluation {
    int n, classes;
    int correct, correct5;     /* label is the first; is among the first five */
    double loss;               /* mean cross-entropy */
    int *confusion;            /* [classes (true), classes (predicted)], in the caller's arena */
    float *precision, *recall; /* [classes]; 0 where undefined */
    int *count;                /* [classes] examples of each class */
};

/* From probabilities [n, classes] and labels [n]. Errors: CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_evaluate(struct cb_arena *arena, const float *probabilities,
                                         const int *labels, int n, int classes,
                                         struct cb_evaluation *out);
