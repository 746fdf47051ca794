#include "server/config.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"

enum kind { TEXT, NUMBER, BYTES };

struct setting {
    const char *name;
    enum kind kind;
    size_t at; /* offset in struct cb_config */
    int64_t lo, hi;
    const char *fallback;
};

static const struct setting settings[] = {
#define ROW(name, member, kind, lo, hi, fallback, meaning)                                         \
    { name, kind, offsetof(struct cb_config, member), lo, hi, fallback },
    CB_CONFIG_SETTINGS(ROW)
#undef ROW
};

static const struct setting *find_setting(const char *name, size_t len)
{
    for (size_t i = 0; i < CB_COUNT_OF(settings); i++)
        if (strlen(settings[i].name) == len && strncmp(settings[i].name, name, len) == 0)
            return &settings[i];
    return NULL;
}

/* "64", "32M", "1G"; false when it is no number or overflows. */
static bool parse_number(const char *text, bool units, int64_t *out)
{
    static const struct {
        char unit;
        int64_t factor;
    } unit[] = { { 'K', CB_CONFIG_KIB }, { 'M', CB_CONFIG_MIB }, { 'G', CB_CONFIG_GIB } };
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (end == text || errno)
        return false;
    for (size_t i = 0; units && *end && i < CB_COUNT_OF(unit); i++)
        if (toupper((unsigned char)*end) == unit[i].unit) {
            if (__builtin_mul_overflow(v, unit[i].factor, &v))
                return false;
            end++;
            break;
        }
    *out = v;
    return *end == 0;
}

static struct cb_status set(struct cb_config *config, const struct setting *s, const char *text)
{
    char *at = (char *)config + s->at;
    int64_t v;
    if (s->kind == TEXT) {
        memcpy(at, &text, sizeof text);
        return cb_ok();
    }
    if (!parse_number(text, s->kind == BYTES, &v) || v < s->lo || v > s->hi)
        return cb_fail(CB_ERR_INPUT, "%s wants a number from %lld to %lld, got '%s'", s->name,
                       (long long)s->lo, (long long)s->hi, text);
    memcpy(at, &v, sizeof v);
    return cb_ok();
}

static struct cb_status add_model(struct cb_config *config, const char *text)
{
    const char *equals = strchr(text, '=');
    struct cb_config_model *model = &config->model[config->n_models];
    if (config->n_models == CB_CONFIG_MODELS)
        return cb_fail(CB_ERR_INPUT, "--model is given more than %d times", CB_CONFIG_MODELS);
    *model = (struct cb_config_model){ .path = equals ? equals + 1 : text };
    if (equals && !(model->name = cb_arena_text(&config->arena, text, (size_t)(equals - text))))
        return cb_fail(CB_ERR_NOMEM, "--model: name is too long");
    if (*model->path == 0)
        return cb_fail(CB_ERR_INPUT, "--model wants NAME=PATH, got '%s'", text);
    config->n_models++;
    return cb_ok();
}

static struct cb_status read_given(struct cb_config *config, const struct cb_config_given *given,
                                   size_t n, bool *set_by)
{
    for (size_t i = 0; i < n; i++) {
        const struct setting *s = find_setting(given[i].name, strlen(given[i].name));
        if (strcmp(given[i].name, "model") == 0) {
            CB_TRY(add_model(config, given[i].value));
            continue;
        }
        if (!s)
            return cb_fail(CB_ERR_INPUT, "there is no setting '%.100s'", given[i].name);
        CB_TRY(set(config, s, given[i].value));
        set_by[s - settings] = true;
    }
    return cb_ok();
}

static struct cb_status read_environment(struct cb_config *config, bool *given)
{
    for (size_t i = 0; i < CB_COUNT_OF(settings); i++) {
        char name[64];
        const char *value;
        snprintf(name, sizeof name, "CAMBIUM_%s", settings[i].name);
        for (char *c = name; *c; c++)
            *c = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
        if (given[i] || !(value = getenv(name)) || !*value)
            continue;
        CB_TRY(cb_context(set(config, &settings[i], value), "%s", name));
        given[i] = true;
    }
    return cb_ok();
}

static char *trim(char *text)
{
    char *end = text + strlen(text);
    while (end > text && isspace((unsigned char)end[-1]))
        *--end = 0;
    while (isspace((unsigned char)*text))
        text++;
    return text;
}

/* One line "name = value" of the file; empty ones and those that begin with # say nothing. */
static struct cb_status read_line(struct cb_config *config, char *line, bool *given)
{
    char *name = trim(line), *value = strchr(name, '=');
    const struct setting *s;
    if (*name == 0 || *name == '#')
        return cb_ok();
    if (!value)
        return cb_fail(CB_ERR_INPUT, "'%.100s' is not of the form name = value", name);
    *value++ = 0;
    name = trim(name);
    value = trim(value);
    if (strcmp(name, "model") == 0)
        return add_model(config, value);
    if (!(s = find_setting(name, strlen(name))))
        return cb_fail(CB_ERR_INPUT, "there is no setting '%.100s'", name);
    if (given[s - settings])
        return cb_ok();
    given[s - settings] = true;
    return set(config, s, value);
}

static struct cb_status read_file(struct cb_config *config, const char *path, bool *given)
{
    struct cb_bytes bytes;
    struct cb_status st = cb_ok();
    char *text, *line;
    CB_TRY(cb_file_map(path, &bytes));
    text = cb_arena_text(&config->arena, (const char *)bytes.data, bytes.len);
    cb_file_unmap(&bytes);
    if (!text)
        return cb_fail(CB_ERR_TOO_LARGE, "%s: larger than a settings file may be", path);
    for (int number = 1; (line = strsep(&text, "\n")) && st.code == CB_OK; number++)
        st = cb_context(read_line(config, line, given), "%s:%d", path, number);
    return st;
}

/* $XDG_DATA_HOME/cambium, else ~/.local/share/cambium, else below the working folder. */
static struct cb_status choose_data_folder(struct cb_config *config)
{
    const char *xdg = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    if (config->data && *config->data)
        return cb_ok();
    if (xdg && *xdg == '/')
        config->data = cb_arena_printf(&config->arena, "%s/cambium", xdg);
    else if (home && *home == '/')
        config->data = cb_arena_printf(&config->arena, "%s/.local/share/cambium", home);
    else
        config->data = "cambium-data";
    return config->data ? cb_ok() : cb_fail(CB_ERR_NOMEM, "data: path is too long");
}

struct cb_status cb_config_load(const struct cb_config_given *given, size_t n, const char *file,
                                struct cb_config *out)
{
    bool set_by[CB_COUNT_OF(settings)] = { false };
    struct cb_config config = { .n_models = 0 };
    struct cb_status st = cb_arena_init(&config.arena, 1 << 20);
    for (size_t i = 0; i < CB_COUNT_OF(settings) && st.code == CB_OK; i++)
        st = set(&config, &settings[i], settings[i].fallback);
    if (st.code == CB_OK)
        st = read_given(&config, given, n, set_by);
    if (st.code == CB_OK)
        st = read_environment(&config, set_by);
    if (st.code == CB_OK && file)
        st = read_file(&config, file, set_by);
    if (st.code == CB_OK)
        st = choose_data_folder(&config);
    if (st.code)
        cb_arena_deinit(&config.arena);
    else
        *out = config;
    return st;
}

void cb_config_deinit(struct cb_config *config)
{
    cb_arena_deinit(&config->arena);
}

void cb_config_print(const struct cb_config *config, FILE *out)
{
    for (int i = 0; i < config->n_models; i++) {
        const struct cb_config_model *m = &config->model[i];
        fprintf(out, "model = %s%s%s\n", m->name ? m->name : "", m->name ? "=" : "", m->path);
    }
    for (size_t i = 0; i < CB_COUNT_OF(settings); i++) {
        const char *at = (const char *)config + settings[i].at, *text;
        int64_t v;
        if (settings[i].kind == TEXT) {
            memcpy(&text, at, sizeof text);
            fprintf(out, "%s = %s\n", settings[i].name, text);
        } else {
            memcpy(&v, at, sizeof v);
            fprintf(out, "%s = %lld\n", settings[i].name, (long long)v);
        }
    }
}
