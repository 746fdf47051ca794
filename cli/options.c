#include "cli/options.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One option of the command line while it is read. */
struct given {
    struct cb_arena *arena;
    const struct cb_option *row;
    void *into;
    const char *value;
    int room; /* arguments there are: the longest that a list can become */
};

static struct cb_status read_real(const struct given *g, double *out)
{
    char *end;
    errno = 0;
    *out = strtod(g->value, &end);
    if (end == g->value || *end || errno || !isfinite(*out))
        return cb_fail(CB_ERR_INPUT, "--%s: \"%s\" is no number", g->row->name, g->value);
    if (*out < g->row->min || *out > g->row->max)
        return cb_fail(CB_ERR_INPUT, "--%s: %s is not within %g to %g", g->row->name, g->value,
                       g->row->min, g->row->max);
    return cb_ok();
}

static struct cb_status read_int(const struct given *g, int *out)
{
    char *end;
    long v;
    errno = 0;
    v = strtol(g->value, &end, 10);
    if (end == g->value || *end || errno)
        return cb_fail(CB_ERR_INPUT, "--%s: \"%s\" is no whole number", g->row->name, g->value);
    if ((double)v < g->row->min || (double)v > g->row->max)
        return cb_fail(CB_ERR_INPUT, "--%s: %s is not within %.0f to %.0f", g->row->name, g->value,
                       g->row->min, g->row->max);
    *out = (int)v;
    return cb_ok();
}

static struct cb_status set_flag(const struct given *g, void *field)
{
    (void)g;
    *(bool *)field = true;
    return cb_ok();
}

static struct cb_status set_text(const struct given *g, void *field)
{
    *(const char **)field = g->value;
    return cb_ok();
}

static struct cb_status set_int(const struct given *g, void *field)
{
    return read_int(g, field);
}

static struct cb_status set_real(const struct given *g, void *field)
{
    return read_real(g, field);
}

static struct cb_status set_size(const struct given *g, void *field)
{
    struct cb_size *size = field;
    char *end, *last;
    const long height = strtol(g->value, &end, 10);
    const long width = *end == 'x' ? strtol(end + 1, &last, 10) : (last = end, height);
    if (end == g->value || last == end + 1 || *last)
        return cb_fail(CB_ERR_INPUT, "--%s: \"%s\" is no size; write HEIGHTxWIDTH", g->row->name,
                       g->value);
    if ((double)height < g->row->min || (double)height > g->row->max ||
        (double)width < g->row->min || (double)width > g->row->max)
        return cb_fail(CB_ERR_INPUT, "--%s: a side of %s is not within %.0f to %.0f", g->row->name,
                       g->value, g->row->min, g->row->max);
    *size = (struct cb_size){ (int)height, (int)width };
    return cb_ok();
}

static struct cb_status add_text(const struct given *g, void *field)
{
    struct cb_texts *list = field;
    if (!list->item)
        CB_TRY(cb_arena_get(g->arena, (size_t)g->room, sizeof *list->item, "the command line",
                            &list->item));
    list->item[list->n++] = g->value;
    return cb_ok();
}

static struct cb_status (*const set[CB_OPTION_KIND_COUNT])(const struct given *, void *) = {
    [CB_OPTION_FLAG] = set_flag, [CB_OPTION_TEXT] = set_text, [CB_OPTION_INT] = set_int,
    [CB_OPTION_REAL] = set_real, [CB_OPTION_SIZE] = set_size, [CB_OPTION_LIST] = add_text,
    [CB_OPTION_MANY] = add_text,
};

static struct cb_status store(const struct given *g)
{
    return set[g->row->kind](g, (char *)g->into + g->row->offset);
}

/* The row that `word` ("--top=3", "-o") begins with; `value` gets what is glued to it. */
static struct cb_status find(const struct cb_option_set *sets, size_t n_sets, const char *word,
                             struct given *out)
{
    const bool is_long = word[1] == '-';
    const size_t len = is_long ? strcspn(word + 2, "=") : 1;
    out->value = is_long ? (word[2 + len] ? word + 3 + len : NULL) : (word[2] ? word + 2 : NULL);
    for (size_t s = 0; s < n_sets; s++)
        for (size_t i = 0; i < sets[s].count; i++) {
            const struct cb_option *row = sets[s].row + i;
            if (is_long ? strlen(row->name) == len && memcmp(row->name, word + 2, len) == 0
                        : row->letter && row->letter == word[1]) {
                out->row = row;
                out->into = sets[s].into;
                return cb_ok();
            }
        }
    return cb_fail(CB_ERR_INPUT, "there is no option %.*s", (int)(is_long ? len + 2 : 2), word);
}

static bool is_option(const char *word)
{
    return word[0] == '-' && word[1] != 0;
}

struct cb_status cb_options_parse(struct cb_arena *arena, const struct cb_option_set *sets,
                                  size_t n_sets, int argc, char *const *argv, struct cb_texts *rest)
{
    struct given g = { .arena = arena, .room = argc };
    bool ended = false;
    rest->n = 0;
    CB_TRY(
        cb_arena_get(arena, (size_t)argc + 1, sizeof *rest->item, "the command line", &rest->item));
    for (int i = 0; i < argc; i++) {
        if (ended || !is_option(argv[i])) {
            rest->item[rest->n++] = argv[i];
            continue;
        }
        if ((ended = strcmp(argv[i], "--") == 0))
            continue;
        CB_TRY(find(sets, n_sets, argv[i], &g));
        if (g.row->kind == CB_OPTION_FLAG ? g.value != NULL : !g.value && i + 1 == argc)
            return cb_fail(CB_ERR_INPUT, "--%s %s", g.row->name,
                           g.value ? "takes no value" : "wants a value");
        if (g.row->kind != CB_OPTION_FLAG && !g.value)
            g.value = argv[++i];
        CB_TRY(store(&g));
        while (g.row->kind == CB_OPTION_MANY && i + 1 < argc && !is_option(argv[i + 1])) {
            g.value = argv[++i];
            CB_TRY(store(&g));
        }
    }
    return cb_ok();
}

#define HELP_COLUMN 28

void cb_options_help(FILE *to, const struct cb_option_set *options)
{
    for (size_t i = 0; i < options->count; i++) {
        const struct cb_option *row = options->row + i;
        char left[64], letter[8] = "    ";
        if (row->letter)
            snprintf(letter, sizeof letter, "-%c, ", row->letter);
        snprintf(left, sizeof left, "  %s--%s%s%s", letter, row->name, row->value ? " " : "",
                 row->value ? row->value : "");
        fprintf(to, "%-*s%s%s\n", HELP_COLUMN, left, strlen(left) < HELP_COLUMN ? "" : "  ",
                row->help);
    }
}
