/* cli/markup.h - text inside HTML, SVG and DOT. */
#pragma once

#include "core/base/buf.h"

/* Appends text so that XML, HTML and a quoted string of DOT take it as it is: what any of them
 * would take for its own becomes its XML name, bytes that are no text '?'. */
void cb_markup_text(struct cb_buf *out, const char *text);
