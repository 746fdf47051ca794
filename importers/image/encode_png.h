/* importers/image/encode_png.h - a picture to PNG bytes: overlays, plots, contact sheets. */
#pragma once

#include "core/base/buf.h"
#include "core/base/status.h"
#include "core/image/image.h"

/* Appends the file to `out`. Errors: CB_ERR_NOMEM, also when out's limit is reached. */
CB_MUST_USE struct cb_status cb_png_encode(const struct cb_image *image, struct cb_buf *out);
