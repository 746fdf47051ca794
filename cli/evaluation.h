/* cli/evaluation.h - an evaluation as text or JSON on stdout. */
#pragma once

#include <cjson/cJSON.h>

#include "cli/cli.h"
#include "core/train/evaluation.h"

/* Accuracy, a line for each class that occurs, and the confusion matrix when it fits on a screen.
 */
CB_MUST_USE struct cb_status cb_evaluation_print(struct cb_cli *cli,
                                                 const struct cb_evaluation *evaluation,
                                                 const char *const *labels);

/* One line of JSON; `json` is deleted, NULL is out of memory. */
CB_MUST_USE struct cb_status cb_cjson_print(cJSON *json);
