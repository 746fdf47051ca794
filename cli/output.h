/* cli/output.h - results on stdout: JSON through server/json.h's writer, and text that is safe on a
 * terminal. */
#pragma once

#include "server/json.h"

/* A writer whose text grows in `buf`; cb_output_json releases it, and prints it as one line when
 * all went well so far. Errors: `st`; CB_ERR_NOMEM. */
struct cb_json cb_output_begin(struct cb_buf *buf);
CB_MUST_USE struct cb_status cb_output_json(struct cb_buf *buf, struct cb_status st);

/* `text` with control characters as '?', into `out`. Returns out. */
const char *cb_output_clean(const char *text, char *out, size_t room);

/* One {"index","label","probability"} of a list. */
struct cb_model;
void cb_output_class(struct cb_json *json, const char *key, const struct cb_model *model, int index,
                     float probability);
