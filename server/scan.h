/* server/scan.h - what models lie in a folder: NAME.onnx, NAME/model.onnx, NAME/VERSION/model.onnx, NAME/head.onnx. */
#pragma once

#include <stdbool.h>

#include "core/base/arena.h"

struct cb_found_model {
    const char *name, *path;
    bool trained; /* a head that stands on another model's trunk */
};

/* Sorted by name; a name that is both a file and a folder is found once. What has no valid name is logged and left out;
 * a folder that is not there holds nothing. Errors: CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_scan_models(const char *folder, struct cb_arena *arena, struct cb_found_model **out,
                                            size_t *n);
