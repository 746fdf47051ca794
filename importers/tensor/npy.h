/* importers/tensor/npy.h - NumPy's .npy files, version 1 and 2, in C order
 * (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).
 *
 * Types are those of core/tensor/dtype.h; bfloat16, which NumPy has not, is written as float. */
#pragma once

#include "core/base/arena.h"
#include "core/base/buf.h"
#include "core/base/file.h"
#include "core/tensor/tensor.h"

/* The tensor in memory form, in `arena`. Errors: CB_ERR_MEDIA, CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_npy_read(struct cb_arena *arena, struct cb_bytes file,
                                         struct cb_tensor *out);

/* Appends the file's bytes. */
void cb_npy_print(struct cb_buf *buf, const struct cb_tensor *tensor);

/* Writes the file. Errors: CB_ERR_IO, CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_npy_save(const char *path, const struct cb_tensor *tensor);
