/* importers/onnx/names.h - which value a name of the file stands for.
 *
 * A sorted array: names come from outside, and no choice of them makes looking up slow. */
#pragma once

#include <stdbool.h>

#include "core/base/arena.h"

struct cb_onnx_names {
    struct cb_onnx_name {
        const char *text;
        int value; /* -1: one that is absent */
        int node;  /* of the same scope, which makes it; -1: none */
    } * entry;
    int n, n_sorted, cap;
};

/* Room for `cap` names in `arena`. */
CB_MUST_USE struct cb_status cb_onnx_names_init(struct cb_onnx_names *names, struct cb_arena *arena,
                                                size_t cap);

/* `text` is borrowed, and found only after the next sort. */
void cb_onnx_names_add(struct cb_onnx_names *names, const char *text, int value);

/* Makes all names so far findable. Returns one that was added twice; NULL: none. */
const char *cb_onnx_names_sort(struct cb_onnx_names *names);

/* NULL when there is none. */
const struct cb_onnx_name *cb_onnx_names_get(const struct cb_onnx_names *names, const char *text);

/* Its value; -1 when there is none. */
int cb_onnx_names_find(const struct cb_onnx_names *names, const char *text);
