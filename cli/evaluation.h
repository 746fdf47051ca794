/* cli/evaluation.h - an evaluation as text on stdout. */
#pragma once

#include "cli/cli.h"
#include "core/train/evaluation.h"

/* Accuracy, a line for each class that occurs, and the confusion matrix when it fits on a
 * screen. */
CB_MUST_USE struct cb_status cb_evaluation_print(struct cb_cli *cli,
                                                 const struct cb_evaluation *evaluation,
                                                 const char *const *labels);
