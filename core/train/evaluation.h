/* core/train/evaluation.h - how good a classifier is on labelled examples: all figures of
 * core/train/metrics.h at once. */
#pragma once

#include "core/train/metrics.h"

struct cb_evaluation {
    int n, classes;
    int correct, correct5;         /* label is the first; is among the first five */
    struct cb_interval top1, top5; /* of their shares, at 95 % */
    double loss;                   /* mean cross-entropy: negative log likelihood */
    double brier;
    struct cb_reliability reliability;
    int *confusion;                 /* [classes (true), classes (predicted)], in the arena */
    float *precision, *recall, *f1; /* [classes]; 0 where undefined */
    double *auc;                    /* [classes] against the rest; NAN where undefined */
    int *count;                     /* [classes] examples of each class */
    struct {
        double precision, recall, f1; /* means over the classes that have examples */
        double auc;                   /* over those where it is defined; NAN: none */
    } macro;
    /* What it was made from, borrowed. */
    const float *probabilities; /* [n, classes] */
    const int *labels;          /* [n] */
    const int *example;         /* [n] which example each is; NULL: as they stand */
};

/* From probabilities [n, classes] and labels [n]. Errors: CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_evaluate(struct cb_arena *arena, const float *probabilities,
                                         const int *labels, int n, int classes,
                                         struct cb_evaluation *out);

/* A photo that the classifier gets wrong, or whose label may be. */
struct cb_mistake {
    int row; /* of the evaluation */
    int label, predicted;
    float of_label, of_predicted; /* probabilities */
};

/* Up to `most` examples that are taken for another class, those of the most confidence first; ties
 * by row. Returns how many. Errors: CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_worst_mistakes(const struct cb_evaluation *evaluation,
                                               struct cb_arena *arena, int most,
                                               struct cb_mistake **out, int *n);

/* Up to `most` examples whose label is likely wrong, by confident learning (Northcutt, Jiang,
 * Chuang, arXiv:1911.00068): another class has at least the probability that its own examples have
 * on average, and more than the label's. `predicted` is the likeliest such class; the least
 * probability of the label first. Of use only where the classifier never saw these labels. Errors:
 * CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_suspicious_labels(const struct cb_evaluation *evaluation,
                                                  struct cb_arena *arena, int most,
                                                  struct cb_mistake **out, int *n);
