/* cli/model_arg.h - what MODEL on the command line means: an .onnx file, a model folder, a name in
 * the models folder, or nothing at all, which is the embedded model. */
#pragma once

#include "cli/cli.h"
#include "core/model/model.h"

#define CB_SEEDLING "seedling"

/* What a verb wants of a model: the least is the fastest to load. */
enum cb_model_use {
    CB_USE_TENSORS,  /* the graph alone: any network */
    CB_USE_PHOTOS,   /* all that photos need */
    CB_USE_IDENTITY, /* the digest too, by which heads and caches know it */
};

/* Opens a model; NULL is seedling. Errors: CB_ERR_NOT_FOUND, and what loading says, with the
 * argument before it. */
CB_MUST_USE struct cb_status cb_cli_open_model(struct cb_cli *cli, const char *arg,
                                               enum cb_model_use use, struct cb_model **out);

/* Opens one for tensors alone, whose If and Loop these inputs decide. */
CB_MUST_USE struct cb_status cb_cli_open_model_for(struct cb_cli *cli, const char *arg,
                                                   const struct cb_tensor *inputs, int n,
                                                   struct cb_model **out);

/* Says on stderr when the model's recipe is assumed. */
void cb_cli_tell_recipe(const struct cb_cli *cli, const struct cb_model *model);

/* Takes MODEL off the front of cli->args when the first of them is one; NULL when it is a photo or
 * there is none. */
const char *cb_cli_take_model(struct cb_cli *cli);
