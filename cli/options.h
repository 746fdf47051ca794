/* cli/options.h - the command line as a table: rows that parse, check ranges and print --help.
 *
 * A row says where in a struct its value goes. `--name VALUE`, `--name=VALUE`, `-x VALUE`,
 * `-xVALUE`; `--` ends the options. Every failure is wrong usage: its message names the option. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "core/base/arena.h"

enum cb_option_kind {
    CB_OPTION_FLAG, /* bool: true when given */
    CB_OPTION_TEXT, /* const char * */
    CB_OPTION_INT,  /* int, within min .. max */
    CB_OPTION_REAL, /* double, within min .. max */
    CB_OPTION_SIZE, /* struct cb_size: HxW, or N for both, each within min .. max */
    CB_OPTION_LIST, /* struct cb_texts: given any number of times */
    CB_OPTION_MANY, /* struct cb_texts: takes all that follows up to the next option */
    CB_OPTION_KIND_COUNT
};

struct cb_texts {
    const char **item;
    int n;
};

struct cb_size {
    int height, width; /* 0: not given */
};

struct cb_option {
    const char *name; /* without the dashes */
    char letter;      /* of the short form; 0: none */
    enum cb_option_kind kind;
    size_t offset;     /* of the value in the struct */
    const char *value; /* what --help calls it; NULL for flags */
    const char *help;
    double min, max; /* of numbers */
};

struct cb_option_set {
    const struct cb_option *row;
    size_t count;
    void *into; /* the struct; NULL when only help is wanted */
};

/* Fills the structs of the sets; `rest` gets what is no option. Lists lie in `arena`. Errors:
 * CB_ERR_INPUT. */
CB_MUST_USE struct cb_status cb_options_parse(struct cb_arena *arena,
                                              const struct cb_option_set *sets, size_t n_sets,
                                              int argc, char *const *argv, struct cb_texts *rest);

/* One line or more for every row. */
void cb_options_help(FILE *to, const struct cb_option_set *set);
