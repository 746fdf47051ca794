/* cli/dataset_arg.h - what DATASET on the command line means: a folder of class folders, or an
 * archive of one. */
#pragma once

#include <limits.h>

#include "cli/cli.h"
#include "importers/dataset/dataset.h"

struct cb_dataset_arg {
    struct cb_arena arena; /* of the tables */
    struct cb_dataset dataset;
    struct cb_rejections rejections;
    char unpacked[PATH_MAX]; /* where an archive was unpacked to; "" for a folder */
};

/* Opens it; an archive is unpacked into a temporary folder. Errors: what the importer says. */
CB_MUST_USE struct cb_status cb_dataset_arg_open(const char *path, struct cb_dataset_arg *out);

/* Removes what was unpacked; twice is harmless. */
void cb_dataset_arg_close(struct cb_dataset_arg *arg);

/* What was passed over, a line each on stderr. */
void cb_dataset_arg_tell(struct cb_cli *cli, const struct cb_dataset_arg *arg);
