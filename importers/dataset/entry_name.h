/* importers/dataset/entry_name.h - what the name of an archive's entry says: the class, and whether
 * we take it. */
#pragma once

#include <stdbool.h>

#include "core/base/status.h"
#include "importers/dataset/dataset.h"

#define CB_ENTRY_NAME_MAX 4096

enum cb_entry_verdict {
    CB_ENTRY_TAKEN,
    CB_ENTRY_HIDDEN, /* passed over without a word: .name, __MACOSX */
    CB_ENTRY_REFUSED /* `reason` says why */
};

struct cb_entry_name {
    const char *reason;
    int folders;                  /* above the file */
    char top[CB_LABEL_MAX + 1];   /* the first of them; cut when too long */
    char label[CB_LABEL_MAX + 1]; /* the last of them */
};

/* A file's name, parts between slashes. Absolute names, drives, `..` and what cannot be a label are
 * refused. */
enum cb_entry_verdict cb_entry_name_read(const char *name, struct cb_entry_name *out);
