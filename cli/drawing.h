/* cli/drawing.h - a network's graph as Graphviz's language and as an SVG picture. Layers that only
 * change what the one before made, element by element, share its box. */
#pragma once

#include "cli/layers.h"
#include "core/base/buf.h"

#define CB_DRAWING_LIMIT ((size_t)64 << 20)

/* Appends the file's text. Errors: CB_ERR_NOMEM; CB_ERR_TOO_LARGE for a graph that nobody could
 * read. */
CB_MUST_USE struct cb_status cb_drawing_dot(const struct cb_layers *layers, struct cb_arena *arena,
                                            struct cb_buf *out);
CB_MUST_USE struct cb_status cb_drawing_svg(const struct cb_layers *layers, struct cb_arena *arena,
                                            struct cb_buf *out);
