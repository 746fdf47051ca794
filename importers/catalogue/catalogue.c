#include "importers/catalogue/catalogue.h"

#include <cjson/cJSON.h>
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "core/base/utf8.h"
#include "importers/model/folder.h"
#include "importers/model/load.h"

#define MAX_TEXT ((size_t)4 << 20)
#define MAX_ENTRIES 4096 /* names are compared with each other */
#define MAX_LIST 10000
#define MAX_STRING 512
#define MAX_BYTES 1e12

struct named_recipe {
    const char *name;
    struct cb_recipe recipe;
};

/* The catalogue while it is read. */
struct reader {
    struct cb_arena *arena;
    const char *where; /* what is read now: "models", an entry's name */
    struct cb_catalogue_source *sources;
    struct cb_catalogue_labels *labels;
    struct named_recipe *recipes;
    struct cb_catalogue_entry *entries;
    int n_sources, n_labels, n_recipes, n_entries;
};

/* One key of an object: `read` checks the value and stores it in the row. */
struct key {
    const char *name;
    struct cb_status (*read)(struct reader *r, const cJSON *item, void *row);
};

static struct cb_status bad(const struct reader *r, const cJSON *item, const char *wanted)
{
    char *found = cJSON_PrintUnformatted(item);
    const struct cb_status st =
        cb_fail(CB_ERR_INPUT, "catalogue: %.64s: \"%.64s\" wants %s, has %.80s", r->where,
                item->string ? item->string : "list", wanted, found ? found : "something else");
    cJSON_free(found);
    return st;
}

static struct cb_status read_keys(struct reader *r, const cJSON *item, const struct key *keys,
                                  size_t n, void *row)
{
    unsigned seen = 0;
    if (!cJSON_IsObject(item))
        return bad(r, item, "an object");
    for (const cJSON *child = item->child; child; child = child->next) {
        size_t i = 0;
        while (i < n && strcmp(keys[i].name, child->string))
            i++;
        if (i == n)
            return cb_fail(CB_ERR_INPUT, "catalogue: %.64s: there is no key \"%.64s\"", r->where,
                           child->string);
        if (seen & 1u << i)
            return cb_fail(CB_ERR_INPUT, "catalogue: %.64s: the key \"%s\" comes twice", r->where,
                           keys[i].name);
        seen |= 1u << i;
        if (keys[i].read)
            CB_TRY(keys[i].read(r, child, row));
    }
    return cb_ok();
}

static struct cb_status no_room(void)
{
    return cb_fail(CB_ERR_NOMEM, "catalogue: no memory to read it");
}

static struct cb_status read_text(struct reader *r, const cJSON *item, const char **out)
{
    const char *text = cJSON_IsString(item) ? item->valuestring : "";
    const size_t len = strlen(text);
    if (len == 0 || len > MAX_STRING || !cb_utf8_ok(text, len))
        return bad(r, item, "text of 1 to 512 bytes");
    return (*out = cb_arena_text(r->arena, text, len)) ? cb_ok() : no_room();
}

static struct cb_status read_texts(struct reader *r, const cJSON *item, int most,
                                   const char *const **out, int *n)
{
    const int count = cJSON_IsArray(item) ? cJSON_GetArraySize(item) : 0;
    const char **list;
    int i = 0;
    if (count < 1 || count > most)
        return bad(r, item, "a list that is neither empty nor too long");
    CB_TRY(cb_arena_get(r->arena, (size_t)count, sizeof *list, "catalogue", &list));
    for (const cJSON *child = item->child; child; child = child->next)
        CB_TRY(read_text(r, child, &list[i++]));
    *out = list;
    *n = count;
    return cb_ok();
}

/* `most` is below 2^53: whole numbers up to there are exact. */
static struct cb_status read_number(struct reader *r, const cJSON *item, double most, int64_t *out)
{
    const double v = item->valuedouble;
    if (!cJSON_IsNumber(item) || !(v >= 1 && v <= most) || v != floor(v))
        return bad(r, item, "a whole number above 0 that is not too large");
    *out = (int64_t)v;
    return cb_ok();
}

static struct cb_status read_digest(struct reader *r, const cJSON *item, struct cb_digest *out)
{
    return cJSON_IsString(item) && cb_digest_parse(item->valuestring, out)
               ? cb_ok()
               : bad(r, item, "64 hex digits in lower case");
}

/* Parts of letters, digits and ._+- that do not begin with a point. */
static bool path_ok(const char *path)
{
    bool first = true; /* of its part */
    for (; *path; path++) {
        if (*path == '/' ? first : !isalnum((unsigned char)*path) && !strchr("._+-", *path))
            return false;
        if (first && *path == '.')
            return false;
        first = *path == '/';
    }
    return !first;
}

static struct cb_status read_path(struct reader *r, const cJSON *item, const char **out)
{
    CB_TRY(read_text(r, item, out));
    return path_ok(*out) ? cb_ok() : bad(r, item, "a path below the source's address");
}

static bool address_ok(const char *text)
{
    const size_t len = strlen(text);
    if (strncmp(text, "https://", 8) || len < 10 || text[len - 1] != '/')
        return false;
    for (; *text; text++)
        if (!isalnum((unsigned char)*text) && !strchr(":/._+-~%", *text))
            return false;
    return true;
}

static struct cb_status read_source_name(struct reader *r, const cJSON *item,
                                         const struct cb_catalogue_source **out)
{
    for (int i = 0; cJSON_IsString(item) && i < r->n_sources; i++)
        if (strcmp(r->sources[i].name, item->valuestring) == 0) {
            *out = &r->sources[i];
            return cb_ok();
        }
    return bad(r, item, "the name of a source");
}

/* Labels. */

static struct cb_status labels_list(struct reader *r, const cJSON *item, void *row)
{
    struct cb_catalogue_labels *l = row;
    return read_texts(r, item, MAX_LIST, &l->item, &l->n);
}

static struct cb_status labels_source(struct reader *r, const cJSON *item, void *row)
{
    return read_source_name(r, item, &((struct cb_catalogue_labels *)row)->source);
}

static struct cb_status labels_path(struct reader *r, const cJSON *item, void *row)
{
    return read_path(r, item, &((struct cb_catalogue_labels *)row)->path);
}

static struct cb_status labels_form(struct reader *r, const cJSON *item, void *row)
{
    struct cb_catalogue_labels *l = row;
    l->synsets = cJSON_IsString(item) && strcmp(item->valuestring, "synset") == 0;
    return l->synsets || (cJSON_IsString(item) && strcmp(item->valuestring, "lines") == 0)
               ? cb_ok()
               : bad(r, item, "synset or lines");
}

static struct cb_status labels_count(struct reader *r, const cJSON *item, void *row)
{
    int64_t n = 0;
    CB_TRY(read_number(r, item, MAX_LIST, &n));
    ((struct cb_catalogue_labels *)row)->n = (int)n;
    return cb_ok();
}

static struct cb_status labels_digest(struct reader *r, const cJSON *item, void *row)
{
    struct cb_catalogue_labels *l = row;
    l->has_digest = true;
    return read_digest(r, item, &l->digest);
}

static const struct key labels_keys[] = {
    { "list", labels_list }, { "source", labels_source }, { "path", labels_path },
    { "form", labels_form }, { "count", labels_count },   { "sha256", labels_digest },
};

static struct cb_status add_labels(struct reader *r, const cJSON *item)
{
    struct cb_catalogue_labels *l = &r->labels[r->n_labels++];
    l->name = r->where;
    CB_TRY(read_keys(r, item, labels_keys, CB_COUNT_OF(labels_keys), l));
    if (l->item ? l->source || l->path || l->synsets || l->has_digest : !l->source || !l->path)
        return bad(r, item, "either \"list\", or \"source\" and \"path\"");
    return cb_ok();
}

/* Sources and recipes. */

static struct cb_status add_source(struct reader *r, const cJSON *item)
{
    struct cb_catalogue_source *s = &r->sources[r->n_sources++];
    s->name = r->where;
    CB_TRY(read_texts(r, item, 8, &s->address, &s->n));
    for (int i = 0; i < s->n; i++)
        if (!address_ok(s->address[i]))
            return bad(r, item, "addresses from https:// to a closing /");
    return cb_ok();
}

static struct cb_status add_recipe(struct reader *r, const cJSON *item)
{
    struct named_recipe *named = &r->recipes[r->n_recipes++];
    char *text = cJSON_PrintUnformatted(item);
    if (!text)
        return no_room();
    named->name = r->where;
    const struct cb_status st = cb_recipe_parse(cb_bytes_of_text(text), &named->recipe);
    cJSON_free(text);
    return cb_context(st, "catalogue: %.64s", r->where);
}

/* Models. */

static struct cb_status entry_also(struct reader *r, const cJSON *item, void *row)
{
    struct cb_catalogue_entry *e = row;
    CB_TRY(read_texts(r, item, 8, &e->also, &e->n_also));
    for (int i = 0; i < e->n_also; i++)
        if (!cb_model_name_ok(e->also[i]))
            return bad(r, item, "model names");
    return cb_ok();
}

static struct cb_status entry_title(struct reader *r, const cJSON *item, void *row)
{
    return read_text(r, item, &((struct cb_catalogue_entry *)row)->title);
}

static struct cb_status entry_licence(struct reader *r, const cJSON *item, void *row)
{
    return read_text(r, item, &((struct cb_catalogue_entry *)row)->licence);
}

static struct cb_status entry_source(struct reader *r, const cJSON *item, void *row)
{
    return read_source_name(r, item, &((struct cb_catalogue_entry *)row)->source);
}

static struct cb_status entry_path(struct reader *r, const cJSON *item, void *row)
{
    return read_path(r, item, &((struct cb_catalogue_entry *)row)->path);
}

static struct cb_status entry_bytes(struct reader *r, const cJSON *item, void *row)
{
    return read_number(r, item, MAX_BYTES, &((struct cb_catalogue_entry *)row)->bytes);
}

static struct cb_status entry_digest(struct reader *r, const cJSON *item, void *row)
{
    struct cb_catalogue_entry *e = row;
    e->has_digest = true;
    return read_digest(r, item, &e->digest);
}

static struct cb_status entry_opset(struct reader *r, const cJSON *item, void *row)
{
    int64_t n = 0;
    CB_TRY(read_number(r, item, 1000, &n));
    ((struct cb_catalogue_entry *)row)->opset = (int)n;
    return cb_ok();
}

static struct cb_status entry_parameters(struct reader *r, const cJSON *item, void *row)
{
    return read_number(r, item, MAX_BYTES, &((struct cb_catalogue_entry *)row)->parameters);
}

static struct cb_status read_percent(struct reader *r, const cJSON *item, double *out)
{
    if (!cJSON_IsNumber(item) || !(item->valuedouble > 0 && item->valuedouble <= 100))
        return bad(r, item, "a number above 0, at most 100");
    *out = item->valuedouble;
    return cb_ok();
}

static struct cb_status entry_top1(struct reader *r, const cJSON *item, void *row)
{
    return read_percent(r, item, &((struct cb_catalogue_entry *)row)->top1);
}

static struct cb_status entry_top5(struct reader *r, const cJSON *item, void *row)
{
    return read_percent(r, item, &((struct cb_catalogue_entry *)row)->top5);
}

static struct cb_status entry_recipe(struct reader *r, const cJSON *item, void *row)
{
    for (int i = 0; cJSON_IsString(item) && i < r->n_recipes; i++)
        if (strcmp(r->recipes[i].name, item->valuestring) == 0) {
            ((struct cb_catalogue_entry *)row)->recipe = &r->recipes[i].recipe;
            return cb_ok();
        }
    return bad(r, item, "the name of a recipe");
}

static struct cb_status entry_labels(struct reader *r, const cJSON *item, void *row)
{
    for (int i = 0; cJSON_IsString(item) && i < r->n_labels; i++)
        if (strcmp(r->labels[i].name, item->valuestring) == 0) {
            ((struct cb_catalogue_entry *)row)->labels = &r->labels[i];
            return cb_ok();
        }
    return bad(r, item, "the name of labels");
}

/* clang-format off */
static const struct key entry_keys[] = {
    { "name", NULL }, /* was read before all others */
    { "also", entry_also },
    { "title", entry_title },
    { "source", entry_source },
    { "path", entry_path },
    { "bytes", entry_bytes },
    { "sha256", entry_digest },
    { "licence", entry_licence },
    { "opset", entry_opset },
    { "parameters", entry_parameters },
    { "recipe", entry_recipe },
    { "labels", entry_labels },
    { "top1", entry_top1 },
    { "top5", entry_top5 },
};
/* clang-format on */

static bool has_name(const struct cb_catalogue_entry *e, const char *name)
{
    for (int i = 0; i < e->n_also; i++)
        if (strcmp(e->also[i], name) == 0)
            return true;
    return strcmp(e->name, name) == 0;
}

static struct cb_status add_entry(struct reader *r, const cJSON *item)
{
    struct cb_catalogue_entry *e = &r->entries[r->n_entries];
    const cJSON *name = cJSON_GetObjectItemCaseSensitive(item, "name");
    r->where = "models";
    if (!cJSON_IsString(name) || !cb_model_name_ok(name->valuestring))
        return bad(r, name ? name : item, "a model's \"name\"");
    CB_TRY(read_text(r, name, &e->name));
    r->where = e->name;
    CB_TRY(read_keys(r, item, entry_keys, CB_COUNT_OF(entry_keys), e));
    if (!e->source || !e->path)
        return bad(r, item, "\"source\" and \"path\"");
    for (int i = 0; i < r->n_entries; i++)
        for (int k = -1; k < e->n_also; k++)
            if (has_name(&r->entries[i], k < 0 ? e->name : e->also[k]))
                return cb_fail(CB_ERR_INPUT, "catalogue: the name \"%s\" comes twice",
                               k < 0 ? e->name : e->also[k]);
    r->n_entries++;
    return cb_ok();
}

/* The members of an object, each by its name; `rows` gets room for as many. */
static struct cb_status read_table(struct reader *r, const cJSON *root, const char *key,
                                   size_t size, void *rows,
                                   struct cb_status (*add)(struct reader *r, const cJSON *item))
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(root, key);
    const int n = item ? cJSON_GetArraySize(item) : 0;
    const bool list = strcmp(key, "models") == 0;
    r->where = key;
    if (item && (list ? !cJSON_IsArray(item) : !cJSON_IsObject(item)))
        return bad(r, item, list ? "a list" : "an object");
    if (n > MAX_ENTRIES)
        return cb_fail(CB_ERR_INPUT, "catalogue: \"%s\" has %d members, at most %d are read", key,
                       n, MAX_ENTRIES);
    CB_TRY(cb_arena_get(r->arena, (size_t)n, size, "catalogue", rows));
    for (const cJSON *child = item ? item->child : NULL; child; child = child->next) {
        if (!list && !(r->where = cb_arena_text(r->arena, child->string, strlen(child->string))))
            return no_room();
        CB_TRY(add(r, child));
    }
    return cb_ok();
}

static struct cb_status read_format(struct reader *r, const cJSON *item, void *row)
{
    (void)row;
    return cJSON_IsNumber(item) && item->valuedouble == 1 ? cb_ok() : bad(r, item, "1");
}

static const struct key root_keys[] = {
    { "format", read_format }, { "sources", NULL }, { "recipes", NULL },
    { "labels", NULL },        { "models", NULL },
};

static struct cb_status read_root(struct reader *r, const cJSON *root)
{
    CB_TRY(read_keys(r, root, root_keys, CB_COUNT_OF(root_keys), NULL));
    if (!cJSON_HasObjectItem(root, "format"))
        return bad(r, root, "\"format\"");
    CB_TRY(read_table(r, root, "sources", sizeof *r->sources, &r->sources, add_source));
    CB_TRY(read_table(r, root, "recipes", sizeof *r->recipes, &r->recipes, add_recipe));
    CB_TRY(read_table(r, root, "labels", sizeof *r->labels, &r->labels, add_labels));
    return read_table(r, root, "models", sizeof *r->entries, &r->entries, add_entry);
}

struct cb_status cb_catalogue_parse(struct cb_bytes json, struct cb_arena *arena,
                                    struct cb_catalogue *out)
{
    struct reader r = { .arena = arena, .where = "file" };
    const char *text = (const char *)json.data, *end = NULL;
    cJSON *root;
    if (json.len == 0 || json.len > MAX_TEXT)
        return cb_fail(CB_ERR_INPUT, "catalogue: wants 1 to %zu bytes, has %zu", MAX_TEXT,
                       json.len);
    if (!(root = cJSON_ParseWithLengthOpts(text, json.len, &end, 0)))
        return cb_fail(CB_ERR_INPUT, "catalogue: no JSON from byte %td on",
                       end ? end - text : (ptrdiff_t)0);
    const struct cb_status st = read_root(&r, root);
    cJSON_Delete(root);
    if (st.code == CB_OK)
        *out = (struct cb_catalogue){ r.entries, r.n_entries };
    return st;
}

const struct cb_catalogue_entry *cb_catalogue_find(const struct cb_catalogue *catalogue,
                                                   const char *name)
{
    for (int i = 0; i < catalogue->n; i++)
        if (has_name(&catalogue->entry[i], name))
            return &catalogue->entry[i];
    return NULL;
}
