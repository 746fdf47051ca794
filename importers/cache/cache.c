#include "importers/cache/cache.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/graph/graph.h"
#include "importers/cache/folder.h"
#include "importers/cache/packed.h"

#define MODELS_MAX 256               /* that take part at once */
#define DIGESTS_MAX 512              /* the oldest are forgotten */
#define LEAST_KEPT ((size_t)1 << 20) /* bytes of blocks: less is packed faster than looked up */
#define LOOK_EVERY_S 2

struct known {
    struct cb_file_identity file;
    struct cb_digest digest;
};

/* A model that takes part. */
struct model {
    struct cb_weights *weights; /* with a reference; NULL: the row is free */
    char path[PATH_MAX];
    struct cb_file_identity file;
    bool gone;          /* cb_cache_leave was called */
    bool saving;        /* by a thread, without the lock */
    size_t saved, seen; /* blocks made when it was saved, when it was looked at */
};

struct cb_cache {
    struct cb_arena arena;
    struct cb_cache_folder folder;
    struct cb_cache_options options;
    struct cb_choices *choices;
    pthread_t saver;
    bool started;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t change;
    bool stop;
    size_t choices_saved;
    struct known known[DIGESTS_MAX];
    size_t n_known;
    struct model model[MODELS_MAX];
};

static const struct cb_records digests_kind = { "digests", 0, sizeof(struct known), DIGESTS_MAX };

static struct cb_records choices_kind(void)
{
    return (struct cb_records){ "choices", cb_packed_build(), sizeof(struct cb_choice),
                                CB_CHOICES_MAX };
}

static void warn(const struct cb_cache *c, const struct cb_status *st)
{
    if (st->code && c->options.warn)
        c->options.warn(c->options.ctx, st->msg);
}

/* ---- choices ---- */

static void read_choices(struct cb_cache *c, struct cb_choices *into, struct cb_arena *arena)
{
    const struct cb_records kind = choices_kind();
    struct cb_choice *list;
    size_t n;
    const struct cb_status st = cb_records_read(&c->folder, &kind, arena, &list, &n);
    warn(c, &st);
    for (size_t i = 0; i < n; i++)
        cb_choices_add(into, &list[i], false);
}

/* What others kept meanwhile, and over it what is ours. */
static struct cb_status merge_choices(struct cb_cache *c, struct cb_arena *arena)
{
    const struct cb_records kind = choices_kind();
    struct cb_choices *all;
    struct cb_choice *list;
    size_t n;
    CB_TRY(cb_choices_create(0, 0, &all));
    read_choices(c, all, arena);
    struct cb_status st = cb_choices_list(c->choices, arena, &list, &n);
    for (size_t i = 0; i < n && !st.code; i++)
        cb_choices_add(all, &list[i], false);
    if (!st.code)
        st = cb_choices_list(all, arena, &list, &n);
    if (!st.code)
        st = cb_records_write(&c->folder, &kind, list, n);
    cb_choices_destroy(all);
    return st;
}

static void save_choices(struct cb_cache *c)
{
    const size_t measured = cb_choices_measured(c->choices);
    struct cb_arena arena;
    pthread_mutex_lock(&c->lock);
    const bool news = measured != c->choices_saved;
    c->choices_saved = measured;
    pthread_mutex_unlock(&c->lock);
    if (!news || cb_arena_init(&arena, 8 * CB_CHOICES_MAX * sizeof(struct cb_choice)).code)
        return;
    const int lock = cb_cache_folder_lock(&c->folder);
    if (lock >= 0) {
        const struct cb_status st = merge_choices(c, &arena);
        warn(c, &st);
    }
    cb_cache_folder_unlock(lock);
    cb_arena_deinit(&arena);
}

/* ---- digests ---- */

bool cb_cache_digest(struct cb_cache *cache, const struct cb_file_identity *file,
                     struct cb_digest *out)
{
    bool found = false;
    pthread_mutex_lock(&cache->lock);
    for (size_t i = 0; i < cache->n_known && !found; i++)
        if ((found = cb_file_same(&cache->known[i].file, file)))
            *out = cache->known[i].digest;
    pthread_mutex_unlock(&cache->lock);
    return found;
}

/* Puts it at the end, in place of what was said of that file before, or of the oldest. */
static size_t put(struct known *list, size_t n, const struct known *new)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (list[i].file.device != new->file.device || list[i].file.inode != new->file.inode)
            list[kept++] = list[i];
    if (kept == DIGESTS_MAX)
        memmove(list, list + 1, --kept * sizeof *list);
    list[kept++] = *new;
    return kept;
}

/* The file's list, which others may have changed, with one more. */
static struct cb_status save_digest(struct cb_cache *c, const struct known *new)
{
    struct cb_arena arena;
    struct known *list, *there;
    size_t n;
    CB_TRY(cb_arena_init(&arena, 3 * sizeof c->known));
    list = cb_arena_alloc(&arena, DIGESTS_MAX, sizeof *list);
    const int lock = cb_cache_folder_lock(&c->folder);
    struct cb_status st = lock < 0 ? cb_fail(CB_ERR_IO, "%.200s: cannot be locked", c->folder.path)
                                   : cb_records_read(&c->folder, &digests_kind, &arena, &there, &n);
    if (st.code == CB_ERR_CONTENT) {
        warn(c, &st);
        n = 0;
        st = cb_ok();
    }
    if (!st.code) {
        if (n)
            memcpy(list, there, n * sizeof *list);
        st = cb_records_write(&c->folder, &digests_kind, list, put(list, n, new));
    }
    cb_cache_folder_unlock(lock);
    cb_arena_deinit(&arena);
    return st;
}

void cb_cache_remember(struct cb_cache *cache, const struct cb_file_identity *file,
                       const struct cb_digest *digest)
{
    const struct known new = { *file, *digest };
    struct cb_digest old;
    if (cb_file_is_fresh(file) ||
        (cb_cache_digest(cache, file, &old) && memcmp(&old, digest, sizeof old) == 0))
        return;
    pthread_mutex_lock(&cache->lock);
    cache->n_known = put(cache->known, cache->n_known, &new);
    pthread_mutex_unlock(&cache->lock);
    const struct cb_status st = save_digest(cache, &new);
    warn(cache, &st);
}

/* ---- packed weights ---- */

static void name_of(const struct cb_cache *c, const struct cb_digest *digest, char name[NAME_MAX])
{
    char hex[CB_DIGEST_TEXT];
    cb_digest_text(digest, hex);
    snprintf(name, NAME_MAX, "%s.%s.packed", hex, cb_kernels_for(c->options.isa).name);
}

/* What is kept for that digest. Its entries are in `arena`, and point into `file`. */
static struct cb_status open_packed(struct cb_cache *c, const struct cb_digest *digest,
                                    struct cb_arena *arena, struct cb_bytes *file,
                                    struct cb_weights_entry **entries, size_t *n)
{
    struct cb_status st;
    char name[NAME_MAX];
    name_of(c, digest, name);
    CB_TRY(cb_cache_folder_map(&c->folder, name, file));
    st = cb_packed_parse(*file, digest, c->options.isa, arena, entries, n);
    if (st.code)
        cb_file_unmap(file);
    return st;
}

static struct cb_status table_arena(struct cb_arena *out)
{
    return cb_arena_init(out, 4 * CB_PACKED_MAX_BLOCKS * sizeof(struct cb_weights_entry));
}

static void lend(struct cb_cache *c, const struct cb_digest *digest, struct cb_weights *weights)
{
    struct cb_weights_entry *entries;
    struct cb_arena arena;
    struct cb_bytes file;
    size_t n;
    struct cb_status st = table_arena(&arena);
    if (st.code)
        return;
    st = open_packed(c, digest, &arena, &file, &entries, &n);
    if (!st.code) {
        cb_file_will_read(file.data, file.len);
        st = cb_weights_lend(weights, file, entries, n);
    }
    if (st.code != CB_ERR_NOT_FOUND && st.code != CB_ERR_CONFLICT)
        warn(c, &st);
    cb_arena_deinit(&arena);
}

struct writing {
    const struct cb_cache *cache;
    const struct cb_digest *digest;
    struct cb_weights_entry *entries;
    size_t n;
};

static struct cb_status write_packed(void *ctx, int fd)
{
    const struct writing *w = ctx;
    return cb_packed_write(fd, w->digest, w->cache->options.isa, w->entries, w->n);
}

/* Whether a file that another process wrote has all these blocks. */
static bool is_kept(struct cb_cache *c, const struct cb_digest *digest, struct cb_arena *arena,
                    const struct cb_weights_entry *wanted, size_t n)
{
    struct cb_weights_entry *there;
    struct cb_bytes file;
    size_t found = 0, count;
    if (open_packed(c, digest, arena, &file, &there, &count).code)
        return false;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < count; k++)
            if (there[k].key == wanted[i].key && there[k].bytes == wanted[i].bytes) {
                found++;
                break;
            }
    cb_file_unmap(&file);
    return found == n;
}

static bool is_unchanged(int fd, const struct model *m)
{
    struct cb_file_identity now;
    return cb_file_identify(fd, &now) && cb_file_same(&now, &m->file);
}

/* The digest of the file that the model was loaded from, and its weights packed from since; false
 * when it has changed. */
static bool find_digest(struct cb_cache *c, const struct model *m, struct cb_digest *out)
{
    const int fd = open(m->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool sound = fd >= 0 && is_unchanged(fd, m);
    if (sound && !cb_cache_digest(c, &m->file, out)) {
        sound = cb_digest_of_file(fd, out) && is_unchanged(fd, m);
        if (sound)
            cb_cache_remember(c, &m->file, out);
    }
    if (fd >= 0)
        close(fd);
    return sound;
}

static struct cb_status save_blocks(struct cb_cache *c, const struct model *m,
                                    struct cb_arena *arena)
{
    struct writing w = { .cache = c };
    struct cb_digest digest;
    char name[NAME_MAX];
    size_t bytes = 0;
    CB_TRY(cb_weights_list(m->weights, arena, &w.entries, &w.n));
    for (size_t i = 0; i < w.n; i++)
        bytes += w.entries[i].bytes;
    if (bytes < LEAST_KEPT || !find_digest(c, m, &digest))
        return cb_ok();
    /* Where a file was lent, it lacks a block or has a damaged one. */
    if (!cb_weights_has_file(m->weights) && is_kept(c, &digest, arena, w.entries, w.n))
        return cb_ok();
    name_of(c, &digest, name);
    w.digest = &digest;
    return cb_cache_folder_write(&c->folder, name, cb_packed_bytes(w.entries, w.n), write_packed,
                                 &w);
}

/* Saves model i if there is anything new: with `now` also what may grow at this moment. Called with
 * the lock held, which is released meanwhile. */
static void save_model(struct cb_cache *c, size_t i, bool now)
{
    struct model *m = &c->model[i], copy;
    struct cb_weights *free = NULL;
    struct cb_arena arena;
    struct cb_status st;
    if (!m->weights || m->saving)
        return;
    const size_t made = cb_weights_made(m->weights);
    const bool quiet = now || made == m->seen;
    m->seen = made;
    if (made != m->saved && quiet) {
        m->saving = true;
        m->saved = made;
        copy = *m;
        pthread_mutex_unlock(&c->lock);
        st = table_arena(&arena);
        if (!st.code)
            st = save_blocks(c, &copy, &arena);
        cb_arena_deinit(&arena);
        warn(c, &st);
        pthread_mutex_lock(&c->lock);
        m->saving = false;
    }
    if (m->gone && (now || made == m->saved)) {
        free = m->weights;
        *m = (struct model){ .weights = NULL };
    }
    cb_weights_release(free);
}

static void save_all(struct cb_cache *c, bool now)
{
    save_choices(c);
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < MODELS_MAX; i++)
        save_model(c, i, now);
    pthread_mutex_unlock(&c->lock);
}

void cb_cache_join(struct cb_cache *cache, const char *path, const struct cb_file_identity *file,
                   struct cb_weights *weights)
{
    struct cb_digest digest;
    size_t i = 0;
    char real[PATH_MAX];
    if (cb_file_is_fresh(file) || !realpath(path, real))
        return;
    if (cb_cache_digest(cache, file, &digest))
        lend(cache, &digest, weights);
    pthread_mutex_lock(&cache->lock);
    while (i < MODELS_MAX && cache->model[i].weights)
        i++;
    if (i < MODELS_MAX) {
        cache->model[i] = (struct model){ .weights = cb_weights_acquire(weights), .file = *file };
        memcpy(cache->model[i].path, real, sizeof real);
    }
    pthread_mutex_unlock(&cache->lock);
}

void cb_cache_leave(struct cb_cache *cache, struct cb_weights *weights)
{
    struct cb_weights *free = NULL;
    pthread_mutex_lock(&cache->lock);
    for (size_t i = 0; i < MODELS_MAX && !free; i++) {
        struct model *m = &cache->model[i];
        if (m->weights != weights || m->gone)
            continue;
        m->gone = true;
        if (!m->saving && cb_weights_made(weights) == m->saved) {
            free = weights;
            *m = (struct model){ .weights = NULL };
        }
        break;
    }
    pthread_mutex_unlock(&cache->lock);
    cb_weights_release(free);
}

/* ---- the whole ---- */

static uint64_t machine(void)
{
    return cb_key_mix(cb_packed_build(), cb_cpu_model());
}

static struct cb_status start(struct cb_cache *c)
{
    struct cb_arena arena;
    struct known *list;
    size_t n;
    CB_TRY(cb_cache_folder_open(c->options.folder, c->options.limit, &c->folder));
    CB_TRY(cb_choices_create(machine(), CB_CACHE_TUNING_MS, &c->choices));
    CB_TRY(cb_arena_init(&arena, 4 * CB_CHOICES_MAX * sizeof(struct cb_choice)));
    read_choices(c, c->choices, &arena);
    const struct cb_status st = cb_records_read(&c->folder, &digests_kind, &arena, &list, &n);
    warn(c, &st);
    if (n)
        memcpy(c->known, list, n * sizeof *list);
    c->n_known = n;
    cb_arena_deinit(&arena);
    return cb_ok();
}

static void destroy(struct cb_cache *c)
{
    for (size_t i = 0; i < MODELS_MAX; i++)
        cb_weights_release(c->model[i].weights);
    cb_choices_destroy(c->choices);
    pthread_cond_destroy(&c->change);
    pthread_mutex_destroy(&c->lock);
    cb_arena_deinit(&c->arena);
}

struct cb_status cb_cache_open(const struct cb_cache_options *options, struct cb_cache **out)
{
    struct cb_cache *c;
    CB_TRY(cb_arena_begin(sizeof *c + strlen(options->folder) + 4 * CB_ALIGN, sizeof *c, &c));
    c->options = *options;
    c->options.folder = cb_arena_text(&c->arena, options->folder, strlen(options->folder));
    c->options.limit = options->limit ? options->limit : CB_CACHE_LIMIT;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->change, NULL);
    const struct cb_status st = start(c);
    if (st.code)
        destroy(c);
    else
        *out = c;
    return st;
}

static void *save_now_and_then(void *ctx)
{
    struct cb_cache *c = ctx;
    for (bool stop = false; !stop;) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += LOOK_EVERY_S;
        pthread_mutex_lock(&c->lock);
        while (!c->stop && pthread_cond_timedwait(&c->change, &c->lock, &until) == 0)
            ;
        stop = c->stop;
        pthread_mutex_unlock(&c->lock);
        if (!stop)
            save_all(c, false);
    }
    return NULL;
}

struct cb_status cb_cache_start(struct cb_cache *cache)
{
    if (pthread_create(&cache->saver, NULL, save_now_and_then, cache))
        return cb_fail(CB_ERR_NOMEM, "cannot start the thread that saves the cache");
    cache->started = true;
    return cb_ok();
}

void cb_cache_close(struct cb_cache *cache)
{
    if (!cache)
        return;
    if (cache->started) {
        pthread_mutex_lock(&cache->lock);
        cache->stop = true;
        pthread_cond_signal(&cache->change);
        pthread_mutex_unlock(&cache->lock);
        pthread_join(cache->saver, NULL);
    }
    save_all(cache, true);
    destroy(cache);
}

struct cb_choices *cb_cache_choices(struct cb_cache *cache)
{
    return cache->choices;
}
