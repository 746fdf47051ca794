/* importers/model/folder.h - where the files of a model are, by the rules of the model folder:
 *
 *   NAME.onnx                   beside it NAME.labels.txt or labels.txt,
 *                               NAME.recipe.json or recipe.json
 *   FOLDER/model.onnx           beside it labels.txt, recipe.json
 *   FOLDER/VERSION/model.onnx   VERSION is a whole number; the highest counts
 *
 * A folder may hold head.onnx instead of model.onnx: a head trained here. */
#pragma once

#include <limits.h>
#include <stdbool.h>

#include "core/base/arena.h"
#include "core/model/model.h"

struct cb_model_files {
    char path[PATH_MAX]; /* what was found: a file or a folder */
    char onnx[PATH_MAX];
    char labels[PATH_MAX], recipe[PATH_MAX]; /* "" where there is none */
    char name[CB_NAME_MAX + 1];              /* of the file or folder, made valid */
    int version;                             /* 1 where there are no version folders */
    bool is_head;                            /* onnx is a head.onnx */
};

/* Errors: CB_ERR_NOT_FOUND when `path` is no file and no folder with a model, CB_ERR_INPUT for a
 * path too long. */
CB_MUST_USE struct cb_status cb_model_files_find(const char *path, struct cb_model_files *out);

/* [A-Za-z0-9][A-Za-z0-9._-]{0,63} */
bool cb_model_name_ok(const char *name);

/* The model called `name` in a models folder: FOLDER/NAME.onnx or FOLDER/NAME/. Errors as above. */
CB_MUST_USE struct cb_status cb_model_files_of(const char *folder, const char *name,
                                               struct cb_model_files *out);

/* The names in a models folder, sorted; none when there is no such folder. In `arena`. Errors:
 * CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_model_names(const char *folder, struct cb_arena *arena,
                                            const char *const **names, int *n);
