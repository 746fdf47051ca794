#include "server/registry.h"

#include <limits.h>
#include <pthread.h>
#include <string.h>

#include "core/base/clock.h"
#include "importers/model/folder.h"
#include "importers/model/load.h"
#include "server/config.h"
#include "server/log.h"
#include "server/store.h"

#define MODELS_MAX 65536
#define PREDICTORS_MAX 64

/* One version of a model in memory, with the predictors made for it. */
struct cb_served {
    struct cb_arena arena; /* holds this struct */
    struct cb_model *model;
    int references;
    struct cb_predictor *idle[PREDICTORS_MAX];
    int n_idle, n_made;
    struct cb_served *next; /* in registry->all */
};

struct entry {
    char name[CB_NAME_MAX + 1];
    const char *path; /* NULL: embedded, or stored */
    enum cb_origin origin;
    enum cb_model_state state;
    bool trained;
    struct cb_status error;
    struct cb_served *served; /* of CB_MODEL_READY; the table's reference */
};

struct cb_registry {
    struct cb_arena arena; /* holds this struct, the table and paths */
    const struct cb_engine *engine;
    const struct cb_config *config;
    struct cb_store *store;
    pthread_mutex_t trunk_mutex; /* held while a trunk is loaded, so that two heads load it once */
    pthread_mutex_t mutex; /* guards all below, and references and predictors of every version */
    pthread_cond_t given_back;
    struct entry *table;
    size_t n;
    struct cb_served *all;
    bool ready;
};

struct cb_status cb_registry_check_name(const char *name)
{
    if (!cb_model_name_ok(name))
        return cb_fail(CB_ERR_INPUT, "'%.80s' is no name: [A-Za-z0-9][A-Za-z0-9._-]{0,63}", name);
    return cb_ok();
}

/* ---- versions: with registry->mutex held, where not said otherwise ---- */

static void unlink_served(struct cb_registry *r, struct cb_served *served)
{
    struct cb_served **at = &r->all;
    while (*at != served)
        at = &(*at)->next;
    *at = served->next;
}

/* Without the mutex: frees what the last reference left. */
static void free_served(struct cb_served *served)
{
    for (int i = 0; i < served->n_idle; i++)
        cb_predictor_destroy(served->idle[i]);
    cb_model_destroy(served->model);
    cb_arena_deinit(&served->arena);
}

/* Without the mutex. */
static void release(struct cb_registry *r, struct cb_served *served)
{
    bool last;
    if (!served)
        return;
    pthread_mutex_lock(&r->mutex);
    if ((last = --served->references == 0))
        unlink_served(r, served);
    pthread_mutex_unlock(&r->mutex);
    if (last)
        free_served(served);
}

static struct entry *find(struct cb_registry *r, const char *name)
{
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(r->table[i].name, name) == 0)
            return &r->table[i];
    return NULL;
}

/* The one that was named as default, else the first that is configured (even if it failed: the
 * request should hear of it), else the first of the models folder that works, else the embedded
 * one. */
static struct entry *find_default(struct cb_registry *r)
{
    if (*r->config->default_model)
        return find(r, r->config->default_model);
    for (size_t i = 0; i < r->n; i++)
        if (r->table[i].origin == CB_ORIGIN_CONFIGURED ||
            (r->table[i].origin != CB_ORIGIN_STORED && r->table[i].state != CB_MODEL_FAILED))
            return &r->table[i];
    return NULL;
}

/* ---- loading: without the mutex ---- */

static struct cb_served *find_trunk_in_memory(struct cb_registry *r, const struct cb_digest *digest)
{
    struct cb_served *served;
    pthread_mutex_lock(&r->mutex);
    for (served = r->all; served; served = served->next)
        if (!served->model->trained_here &&
            memcmp(&served->model->digest, digest, sizeof *digest) == 0)
            break;
    if (served)
        served->references++;
    pthread_mutex_unlock(&r->mutex);
    return served;
}

static struct cb_status load_served(struct cb_registry *r, const struct cb_model_source *source,
                                    struct cb_served **out);

/* cb_model_source's find_trunk. */
static const struct cb_model *find_trunk(void *ctx, const struct cb_digest *digest)
{
    struct cb_registry *r = ctx;
    char path[PATH_MAX];
    struct cb_served *served = find_trunk_in_memory(r, digest);
    struct cb_status st = cb_ok();
    if (served)
        return served->model;
    pthread_mutex_lock(&r->trunk_mutex);
    served = find_trunk_in_memory(r, digest);
    if (!served && cb_store_trunk(r->store, digest, path))
        st = load_served(
            r,
            &(struct cb_model_source){
                .path = path, .name = "trunk", .untrusted = true, .cache = r->config->cache },
            &served);
    pthread_mutex_unlock(&r->trunk_mutex);
    if (st.code)
        cb_log(CB_ERROR, "event=trunk_failed path=%s reason=\"%s\"", path, st.msg);
    return served ? served->model : NULL;
}

/* cb_model_source's release_trunk. */
static void release_trunk(void *ctx, const struct cb_model *trunk)
{
    struct cb_registry *r = ctx;
    struct cb_served *served;
    pthread_mutex_lock(&r->mutex);
    for (served = r->all; served && served->model != trunk; served = served->next)
        ;
    pthread_mutex_unlock(&r->mutex);
    release(r, served);
}

/* A version with one reference, known to registry->all. */
static struct cb_status load_served(struct cb_registry *r, const struct cb_model_source *source,
                                    struct cb_served **out)
{
    struct cb_served *served;
    struct cb_status st;
    CB_TRY(cb_arena_begin(sizeof *served + 4096, sizeof *served, &served));
    served->references = 1;
    st = cb_model_load(source, &served->model);
    if (st.code) {
        cb_arena_deinit(&served->arena);
        return st;
    }
    pthread_mutex_lock(&r->mutex);
    served->next = r->all;
    r->all = served;
    pthread_mutex_unlock(&r->mutex);
    *out = served;
    return cb_ok();
}

static struct cb_status load_entry(struct cb_registry *r, const struct entry *e,
                                   struct cb_served **out)
{
    char path[PATH_MAX];
    struct cb_model_source source = { .path = e->path,
                                      .name = e->name,
                                      .find_trunk = find_trunk,
                                      .release_trunk = release_trunk,
                                      .ctx = r,
                                      .cache = r->config->cache };
    if (e->origin == CB_ORIGIN_EMBEDDED)
        source.bytes = cb_seedling();
    if (e->origin == CB_ORIGIN_STORED) {
        cb_store_model_path(r->store, e->name, path);
        source.path = path;
        source.untrusted = true;
    }
    return load_served(r, &source, out);
}

/* Loads row i and enters the result. */
static void load_row(struct cb_registry *r, size_t i)
{
    struct cb_served *served = NULL;
    struct entry copy;
    const int64_t began = cb_clock_ns();
    pthread_mutex_lock(&r->mutex);
    copy = r->table[i];
    pthread_mutex_unlock(&r->mutex);
    struct cb_status st = load_entry(r, &copy, &served);
    pthread_mutex_lock(&r->mutex);
    r->table[i].error = st;
    r->table[i].served = served;
    r->table[i].state = st.code ? CB_MODEL_FAILED : CB_MODEL_READY;
    pthread_mutex_unlock(&r->mutex);
    if (st.code)
        cb_log(CB_ERROR, "event=model_failed model=%s reason=\"%s\"", copy.name, st.msg);
    else
        cb_log(CB_INFO, "event=model_loaded model=%s ms=%.1f", copy.name,
               (double)(cb_clock_ns() - began) / 1e6);
}

/* Nothing leaves or moves in the table before it is ready: rows keep their places meanwhile. */
void cb_registry_load(struct cb_registry *r)
{
    for (int trained = 0; trained <= 1; trained++) /* heads after all that may be their trunk */
        for (size_t i = 0; i < r->n; i++)
            if (r->table[i].trained == (trained == 1))
                load_row(r, i);
    pthread_mutex_lock(&r->mutex);
    r->ready = true;
    pthread_mutex_unlock(&r->mutex);
}

/* ---- the table ---- */

static struct cb_status list_model(struct cb_registry *r, enum cb_origin origin, const char *name,
                                   const char *path, bool trained)
{
    struct entry *e = &r->table[r->n];
    if (find(r, name)) {
        cb_log(CB_WARN, "event=model_skipped model=%s path=%s reason=\"the name is taken\"", name,
               path ? path : "");
        return cb_ok();
    }
    if (r->n == MODELS_MAX)
        return cb_fail(CB_ERR_TOO_LARGE, "more than %d models", MODELS_MAX);
    *e = (struct entry){ .origin = origin, .path = path, .trained = trained };
    memcpy(e->name, name, strlen(name) + 1);
    r->n++;
    return cb_ok();
}

/* NAME of PATH: the last part, without .onnx. */
static const char *name_of_path(struct cb_registry *r, const char *path)
{
    size_t len = strlen(path), start;
    while (len > 1 && path[len - 1] == '/')
        len--;
    for (start = len; start > 0 && path[start - 1] != '/'; start--)
        ;
    if (len - start > 5 && strncmp(path + len - 5, ".onnx", 5) == 0)
        len -= 5;
    return cb_arena_text(&r->arena, path + start, len - start);
}

static struct cb_status list_configured(struct cb_registry *r)
{
    for (int i = 0; i < r->config->n_models; i++) {
        const struct cb_config_model *m = &r->config->model[i];
        const char *name = m->name ? m->name : name_of_path(r, m->path);
        if (!name)
            return cb_fail(CB_ERR_NOMEM, "--model %s: path is too long", m->path);
        CB_TRY(cb_context(cb_registry_check_name(name), "--model"));
        CB_TRY(list_model(r, CB_ORIGIN_CONFIGURED, name, m->path, false));
    }
    return cb_ok();
}

static struct cb_status list_folder(struct cb_registry *r, enum cb_origin origin,
                                    const char *folder)
{
    const char *const *names;
    struct cb_model_files files;
    struct cb_arena arena;
    struct cb_status st;
    int n = 0;
    CB_TRY(cb_arena_init(&arena, (size_t)1 << 28));
    st = cb_model_names(folder, &arena, &names, &n);
    for (int i = 0; i < n && st.code == CB_OK; i++) {
        const char *path = NULL;
        if (cb_model_files_of(folder, names[i], &files).code)
            continue; /* gone since it was listed */
        if (origin != CB_ORIGIN_STORED &&
            !(path = cb_arena_text(&r->arena, files.path, strlen(files.path))))
            st = cb_fail(CB_ERR_NOMEM, "%s: paths are too long", folder);
        else
            st = list_model(r, origin, names[i], path, files.is_head);
    }
    cb_arena_deinit(&arena);
    return st;
}

static struct cb_status list_all(struct cb_registry *r)
{
    const char *stored = cb_store_models_folder(r->store);
    CB_TRY(list_configured(r));
    if (r->config->models && !cb_store_same_folder(r->config->models, stored))
        CB_TRY(list_folder(r, CB_ORIGIN_FOLDER, r->config->models));
    if (cb_seedling().len && !find(r, "seedling"))
        CB_TRY(list_model(r, CB_ORIGIN_EMBEDDED, "seedling", NULL, false));
    CB_TRY(list_folder(r, CB_ORIGIN_STORED, stored));
    if (*r->config->default_model && !find(r, r->config->default_model))
        return cb_fail(CB_ERR_INPUT, "--default-model: there is no model '%.64s'",
                       r->config->default_model);
    return cb_ok();
}

struct cb_status cb_registry_create(const struct cb_engine *engine, const struct cb_config *config,
                                    struct cb_store *store, struct cb_registry **out)
{
    struct cb_registry *r;
    struct cb_status st;
    CB_TRY(cb_arena_begin(MODELS_MAX * sizeof(struct entry) + ((size_t)1 << 28), sizeof *r, &r));
    r->table = cb_arena_alloc(&r->arena, MODELS_MAX, sizeof *r->table);
    r->engine = engine;
    r->config = config;
    r->store = store;
    pthread_mutex_init(&r->mutex, NULL);
    pthread_mutex_init(&r->trunk_mutex, NULL);
    pthread_cond_init(&r->given_back, NULL);
    st = list_all(r);
    if (st.code)
        cb_registry_destroy(r);
    else
        *out = r;
    return st;
}

void cb_registry_destroy(struct cb_registry *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->n; i++)
        release(r, r->table[i].served);
    pthread_mutex_destroy(&r->mutex);
    pthread_mutex_destroy(&r->trunk_mutex);
    pthread_cond_destroy(&r->given_back);
    cb_arena_deinit(&r->arena);
}

bool cb_registry_ready(struct cb_registry *r)
{
    bool ready;
    pthread_mutex_lock(&r->mutex);
    ready = r->ready;
    pthread_mutex_unlock(&r->mutex);
    return ready;
}

struct cb_status cb_registry_acquire(struct cb_registry *r, const char *name,
                                     struct cb_model_ref *out)
{
    struct cb_status st = cb_ok();
    struct entry *e;
    pthread_mutex_lock(&r->mutex);
    e = name ? find(r, name) : find_default(r);
    if (!e)
        st = cb_fail(CB_ERR_NOT_FOUND, "there is no model '%.64s'", name ? name : "(default)");
    else if (e->state == CB_MODEL_LOADING)
        st = cb_fail(CB_ERR_BUSY, "model '%s' is still being loaded", e->name);
    else if (e->state == CB_MODEL_FAILED)
        st = cb_context(e->error, "model '%s' could not be loaded", e->name);
    else {
        e->served->references++;
        *out = (struct cb_model_ref){ e->served, e->served->model };
    }
    pthread_mutex_unlock(&r->mutex);
    return st;
}

void cb_registry_release(struct cb_registry *r, struct cb_model_ref *ref)
{
    release(r, ref->served);
    *ref = (struct cb_model_ref){ 0 };
}

struct cb_status cb_registry_borrow(struct cb_registry *r, const struct cb_model_ref *ref,
                                    struct cb_predictor **out)
{
    struct cb_served *served = ref->served;
    struct cb_status st = cb_ok();
    bool make = false;
    pthread_mutex_lock(&r->mutex);
    while (served->n_idle == 0 && served->n_made >= r->config->predictors)
        pthread_cond_wait(&r->given_back, &r->mutex);
    if (served->n_idle)
        *out = served->idle[--served->n_idle];
    else {
        make = true;
        served->n_made++;
    }
    pthread_mutex_unlock(&r->mutex);
    if (make)
        st = cb_predictor_create(r->engine, served->model, out);
    if (st.code) {
        pthread_mutex_lock(&r->mutex);
        served->n_made--;
        pthread_cond_broadcast(&r->given_back);
        pthread_mutex_unlock(&r->mutex);
    }
    return st;
}

void cb_registry_give_back(struct cb_registry *r, const struct cb_model_ref *ref,
                           struct cb_predictor *predictor)
{
    pthread_mutex_lock(&r->mutex);
    ref->served->idle[ref->served->n_idle++] = predictor;
    pthread_cond_broadcast(&r->given_back);
    pthread_mutex_unlock(&r->mutex);
}

bool cb_registry_has(struct cb_registry *r, const char *name)
{
    bool has;
    pthread_mutex_lock(&r->mutex);
    has = find(r, name) != NULL;
    pthread_mutex_unlock(&r->mutex);
    return has;
}

/* Enters a loaded version under a name that was free a moment ago, after publish has put its files
 * in place. */
static struct cb_status enter(struct cb_registry *r, const char *name, struct cb_served *served,
                              struct cb_status (*publish)(void *ctx), void *ctx)
{
    struct cb_status st;
    struct entry *e;
    pthread_mutex_lock(&r->mutex);
    if (!r->ready)
        st = cb_fail(CB_ERR_BUSY, "models are still being loaded");
    else if (find(r, name))
        st = cb_fail(CB_ERR_CONFLICT, "there is a model '%s' already", name);
    else
        st = list_model(r, CB_ORIGIN_STORED, name, NULL, served->model->trained_here);
    pthread_mutex_unlock(&r->mutex);
    if (st.code)
        return st;
    st = publish(ctx); /* the row, which says LOADING, keeps the name for us meanwhile */
    pthread_mutex_lock(&r->mutex);
    e = find(r, name);
    if (st.code)
        *e = r->table[--r->n];
    else {
        e->served = served;
        e->state = CB_MODEL_READY;
    }
    pthread_mutex_unlock(&r->mutex);
    return st;
}

/* A first predictor with its plan, so that a network that cannot be computed is refused now. */
static struct cb_status prepare(struct cb_registry *r, struct cb_served *served)
{
    struct cb_predictor *predictor;
    struct cb_status st;
    CB_TRY(cb_predictor_create(r->engine, served->model, &predictor));
    st = cb_predictor_prepare(predictor);
    if (st.code) {
        cb_predictor_destroy(predictor);
        return st;
    }
    pthread_mutex_lock(&r->mutex);
    served->idle[served->n_idle++] = predictor;
    served->n_made++;
    pthread_mutex_unlock(&r->mutex);
    return cb_ok();
}

struct cb_status cb_registry_add(struct cb_registry *r, const char *name, const char *folder,
                                 struct cb_status (*publish)(void *ctx), void *ctx)
{
    const struct cb_model_source source = { .path = folder,
                                            .name = name,
                                            .untrusted = true,
                                            .find_trunk = find_trunk,
                                            .release_trunk = release_trunk,
                                            .ctx = r };
    struct cb_served *served;
    struct cb_status st;
    CB_TRY(cb_registry_check_name(name));
    if (cb_registry_has(r, name))
        return cb_fail(CB_ERR_CONFLICT, "there is a model '%s' already", name);
    CB_TRY(load_served(r, &source, &served));
    st = prepare(r, served);
    if (st.code == CB_OK)
        st = enter(r, name, served, publish, ctx);
    if (st.code)
        release(r, served);
    return st;
}

struct cb_status cb_registry_remove(struct cb_registry *r, const char *name)
{
    struct cb_served *served = NULL;
    struct cb_status st = cb_ok();
    struct entry *e;
    pthread_mutex_lock(&r->mutex);
    e = find(r, name);
    if (!e)
        st = cb_fail(CB_ERR_NOT_FOUND, "there is no model '%.64s'", name);
    else if (e->origin != CB_ORIGIN_STORED)
        st = cb_fail(CB_ERR_CONFLICT,
                     "model '%s' was given when the server was started; only stored ones go", name);
    else if (e->state == CB_MODEL_LOADING || !r->ready)
        st = cb_fail(CB_ERR_BUSY, "model '%s' is still being loaded", name);
    else {
        served = e->served;
        memmove(e, e + 1, (size_t)(&r->table[--r->n] - e) * sizeof *e);
    }
    pthread_mutex_unlock(&r->mutex);
    release(r, served);
    return st;
}

static void describe(struct cb_registry *r, const struct entry *e, struct cb_model_info *out)
{
    *out = (struct cb_model_info){ .origin = e->origin,
                                   .state = e->state,
                                   .error = e->error,
                                   .is_default = e == find_default(r) };
    memcpy(out->name, e->name, sizeof out->name);
}

bool cb_registry_info(struct cb_registry *r, size_t i, struct cb_model_info *out)
{
    bool there;
    pthread_mutex_lock(&r->mutex);
    if ((there = i < r->n))
        describe(r, &r->table[i], out);
    pthread_mutex_unlock(&r->mutex);
    return there;
}

struct cb_status cb_registry_find(struct cb_registry *r, const char *name,
                                  struct cb_model_info *out)
{
    const struct entry *e;
    pthread_mutex_lock(&r->mutex);
    if ((e = find(r, name)))
        describe(r, e, out);
    pthread_mutex_unlock(&r->mutex);
    return e ? cb_ok() : cb_fail(CB_ERR_NOT_FOUND, "there is no model '%.64s'", name);
}

bool cb_registry_needs_trunk(struct cb_registry *r, const struct cb_digest *digest)
{
    bool needed = false;
    pthread_mutex_lock(&r->mutex);
    for (size_t i = 0; i < r->n && !needed; i++)
        needed = r->table[i].trained &&
                 (!r->table[i].served ||
                  memcmp(&r->table[i].served->model->digest, digest, sizeof *digest) == 0);
    pthread_mutex_unlock(&r->mutex);
    return needed;
}
