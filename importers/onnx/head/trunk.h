/* importers/onnx/head/trunk.h - the part of a model file that makes one tensor: what of its graph
 * is kept as it stood. */
#pragma once

#include "core/base/arena.h"
#include "core/base/file.h"
#include "importers/onnx/wire.h"

struct cb_trunk {
    struct cb_bytes graph;     /* the GraphProto */
    int64_t ir_version, opset; /* opset of ai.onnx */
    struct cb_bytes *piece;    /* [n_pieces] of the graph, whole fields in their order: nodes,
                                  initialisers, inputs */
    size_t n_pieces, bytes;    /* their bytes together */
    bool narrow; /* it has reals that are not 32 bits wide: the tensor asked for may be one */
    struct cb_bytes *name; /* [n_names] names that the kept part uses, sorted */
    size_t n_names;
};

/* Walks back from the tensor `wanted`. Nothing is copied; tables lie in `arena`. Errors:
 * CB_ERR_MODEL for what is no model file, or has no such tensor; CB_ERR_UNSUPPORTED a node with a
 * graph of its own, or weights in other files; CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_trunk_find(struct cb_bytes file, const char *wanted,
                                           struct cb_arena *arena, struct cb_trunk *out);

/* Whether the kept part uses a name that begins with `prefix`; with `whole`, that name exactly. */
bool cb_trunk_uses(const struct cb_trunk *trunk, const char *prefix, bool whole);
