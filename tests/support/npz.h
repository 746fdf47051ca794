/* tests/support/npz.h - NumPy's .npz: a zip of .npy files. */
#pragma once

#include <stdbool.h>

#include "core/base/arena.h"
#include "core/tensor/tensor.h"

/* The array `name` (without .npy) in `arena`; false when the file has none of that name. Fails the
 * test when the file cannot be read. */
bool npz_read(const char *path, const char *name, struct cb_arena *arena, struct cb_tensor *out);

/* Calls `see` with each array's name and elements, in the file's order; `arena` is rewound after
 * each. */
void npz_each(const char *path, struct cb_arena *arena,
              void (*see)(void *ctx, const char *name, const struct cb_tensor *array), void *ctx);
