/* importers/catalogue/pull.h - a public network into the models folder: fetched, verified, and only
 * then there under its name, with recipe.json and labels.txt.
 *
 * Until then everything lies in FOLDER/.pull/NAME, where nothing looks for models; what an
 * interrupted pull left there, the next one goes on with. */
#pragma once

#include <limits.h>

#include "importers/catalogue/catalogue.h"
#include "importers/remote/download.h"

#define CB_PULL_LIMIT ((int64_t)8 << 30) /* of a network whose length is not known */

struct cb_pull {
    const char *folder;                     /* the models folder; is made */
    const char *name;                       /* under which it will be found */
    const struct cb_catalogue_entry *entry; /* NULL: `address` alone */
    const char *address;                    /* of a file that no catalogue names */
    const char *from;               /* base address or folder instead of the sources'; NULL */
    const struct cb_digest *digest; /* wanted, besides the entry's; NULL: none */
    int stall_s;
    bool replace;                                             /* what has that name already */
    void (*progress)(void *ctx, int64_t done, int64_t total); /* may be NULL */
    void (*warn)(void *ctx, const char *text);
    void *ctx;
};

struct cb_pull_result {
    char path[PATH_MAX]; /* of the model's folder or file */
    int64_t bytes, resumed;
    struct cb_digest digest;
    bool verified; /* against a digest that was known before */
    bool already;  /* it was there, with these bytes */
    bool recipe, labels;
};

/* Errors: CB_ERR_BUSY while another pull of that name runs, CB_ERR_CONFLICT when the name is taken
 * by other bytes, CB_ERR_INPUT, and what downloading says of the last address that was tried. */
CB_MUST_USE struct cb_status cb_pull_run(const struct cb_pull *pull, struct cb_arena *arena,
                                         struct cb_pull_result *out);
