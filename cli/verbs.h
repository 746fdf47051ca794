/* cli/verbs.h - the verbs there are; main.c lists them in the order in which --help shows them. */
#pragma once

#include "cli/cli.h"

extern const struct cb_verb cb_verb_predict, cb_verb_explain, cb_verb_features;
extern const struct cb_verb cb_verb_run, cb_verb_verify, cb_verb_inspect, cb_verb_bench,
    cb_verb_models, cb_verb_pull;
extern const struct cb_verb cb_verb_train, cb_verb_eval, cb_verb_quantize;
extern const struct cb_verb cb_verb_serve;
