/* cli/photo_args.h - photos named on the command line, decoded in batches for one model. */
#pragma once

#include "cli/cli.h"
#include "core/model/predictor.h"
#include "importers/image/decode.h"

#define CB_PHOTO_BATCH 8

struct cb_photo_args {
    struct cb_cli *cli;
    struct cb_arena arena; /* of the pixels */
    struct cb_model *model;
    struct cb_predictor *predictor;
    int failed; /* photos that were passed over */
};

/* Opens MODEL (taken off the front of cli->args) and what runs it. Says on stderr when its recipe
 * is assumed. */
CB_MUST_USE struct cb_status cb_photo_args_open(struct cb_cli *cli, struct cb_photo_args *out);
void cb_photo_args_close(struct cb_photo_args *photos);

/* One photo; pixels in photos->arena. `full`: in its own size, else as small as the recipe allows.
 * A file cut short is a warning on stderr. */
CB_MUST_USE struct cb_status cb_photo_args_read(struct cb_photo_args *photos, const char *path,
                                                bool full, struct cb_decoded *out);

/* fn for all photos of cli->args, up to CB_PHOTO_BATCH at a time. With `go_on`, a photo that cannot
 * be read or used is a line on stderr and counted in photos->failed; without, it ends the walk. */
typedef struct cb_status cb_photo_args_fn(void *ctx, const struct cb_image *images,
                                      const char *const *files, int n);
CB_MUST_USE struct cb_status cb_photo_args_each(struct cb_photo_args *photos, bool go_on,
                                                cb_photo_args_fn *fn, void *ctx);
