/* cli/cli.h - what a verb says about itself, and what main gives it.
 *
 * A new verb is a file with one `const struct cb_verb`, its line in verbs.h and its row in main.c.
 * main parses the options, answers --help, makes the engine, and turns the status into the exit
 * status: 0 done, 1 could not be done, 2 wrong usage. Results go to stdout, everything else to
 * stderr. */
#pragma once

#include "cli/options.h"
#include "core/exec/engine.h"
#include "importers/cache/cache.h"

struct cb_cli {
    const struct cb_verb *verb;
    struct cb_texts args;   /* what is no option */
    bool json;              /* --json */
    const char *precision;  /* "fp32", "bf16", "int8" */
    const char *models;     /* the models folder; may not exist */
    struct cb_cache *cache; /* NULL: nothing is kept between runs */
    struct cb_engine engine;
    struct cb_arena arena; /* lives as long as the command */
    bool wrong_usage;
};

struct cb_verb {
    const char *name;
    const char *usage;    /* what follows the name: "[MODEL] IMAGE... [OPTIONS]" */
    const char *summary;  /* one line */
    const char *notes;    /* more for its own --help, with line ends; NULL: none */
    const char *examples; /* one command a line, with line ends */
    const struct cb_option *options;
    size_t n_options;
    const void *defaults;   /* the struct that the options write to, as it is without any */
    size_t size;            /* of that struct */
    int min_args, max_args; /* of what is no option; max -1: any number */
    bool by_rule;           /* nothing is measured or cached unless --cache is given */
    bool quantises;         /* takes --precision int8 */
    struct cb_status (*run)(struct cb_cli *cli, const void *options);
};

/* A failure that is the command line's fault: exit status 2. */
CB_MUST_USE struct cb_status cb_cli_usage(struct cb_cli *cli, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* A line on stderr that is no failure: "cambium VERB: warning: ...". */
void cb_cli_warn(const struct cb_cli *cli, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
