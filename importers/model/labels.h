/* importers/model/labels.h - labels.txt: one label a line, in the order of the outputs. */
#pragma once

#include "core/base/arena.h"
#include "core/base/file.h"

/* Lines in `arena`; a byte order mark, carriage returns and empty lines at the end are dropped.
 * Errors: CB_ERR_INPUT for bytes that are no UTF-8 text (names the line) or too many of them,
 * CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_labels_parse(struct cb_bytes text, struct cb_arena *arena,
                                             const char *const **labels, int *n);
