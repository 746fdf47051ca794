/* importers/catalogue/catalogue.h - catalog.json: public networks by name, where they are, what
 * their bytes must be, how photos are prepared for them. docs/CATALOGUE.md says what each key
 * means.
 *
 * A catalogue may come from anywhere: addresses are https, paths stay below them, names are model
 * names, and an unknown key is refused by its name. */
#pragma once

#include "core/base/arena.h"
#include "core/base/file.h"
#include "core/base/hash.h"
#include "core/image/recipe.h"

struct cb_catalogue_source {
    const char *name;
    const char *const *address; /* each ends with '/'; tried in this order */
    int n;
};

struct cb_catalogue_labels {
    const char *name;
    const char *const *item;                  /* the labels themselves; NULL: in a file */
    int n;                                    /* 0: not said */
    const struct cb_catalogue_source *source; /* of the file */
    const char *path;
    bool synsets;            /* lines begin with a WordNet number: "n01440764 tench" */
    struct cb_digest digest; /* of the file, where has_digest */
    bool has_digest;
};

struct cb_catalogue_entry {
    const char *name;
    const char *const *also; /* other names */
    int n_also;
    const char *title, *licence; /* NULL: not said */
    const struct cb_catalogue_source *source;
    const char *path;        /* below each of the source's addresses */
    int64_t bytes;           /* 0: not known */
    struct cb_digest digest; /* of the file, where has_digest */
    bool has_digest;
    int opset;                                /* 0: not said */
    int64_t parameters;                       /* 0: not said */
    double top1, top5;                        /* published, percent; 0: not said */
    const struct cb_recipe *recipe;           /* NULL: not said */
    const struct cb_catalogue_labels *labels; /* NULL: none */
};

struct cb_catalogue {
    const struct cb_catalogue_entry *entry;
    int n;
};

/* Everything lies in `arena`. Errors: CB_ERR_INPUT names the entry, the key, what was wanted and
 * what was found; CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_catalogue_parse(struct cb_bytes json, struct cb_arena *arena,
                                                struct cb_catalogue *out);

/* By name, else by one of the other names; NULL: there is none. */
const struct cb_catalogue_entry *cb_catalogue_find(const struct cb_catalogue *catalogue,
                                                   const char *name);

/* The embedded catalogue, as text. */
struct cb_bytes cb_catalogue_embedded(void);
