/* cli/preview.h - what a training's augmentation makes of photos, as one picture. */
#pragma once

#include "importers/dataset/dataset.h"
#include "server/train_job.h"

/* Writes a PNG: a row each for up to 8 photos from all over the dataset, the photo itself at the
 * left, then the views that the training sees. A photo that cannot be read leaves its row white.
 * Errors: CB_ERR_CONTENT a dataset without photos; CB_ERR_IO; CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_preview_write(const struct cb_dataset *dataset,
                                              const struct cb_train_config *config,
                                              const char *path);
