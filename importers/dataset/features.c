#include "importers/dataset/features.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "core/base/hash.h"
#include "core/model/predictor.h"
#include "importers/dataset/feature_cache.h"
#include "importers/image/decode.h"
#include "importers/model/load.h"

#define BATCH 16                       /* photos that are decoded and run together */
#define PIXEL_BUDGET ((size_t)1 << 30) /* address space for one decoded photo */
#define TABLE_BUDGET ((size_t)1 << 30) /* address space for what is known of each photo */
#define DEFAULT_CACHE_LIMIT ((size_t)1 << 30)
#define CACHE_VERSION "1" /* goes up when the same photo would give other features */
#define VIEWS_VERSION "1" /* goes up when the same strengths would give other views */

static const struct cb_decode_limits limits = { .max_pixels = 50000000,
                                                .max_side = 30000,
                                                .max_scans = 500 };

/* cb_features or cb_predict. */
typedef struct cb_status compute_fn(struct cb_predictor *predictor, const struct cb_image *images,
                                    int n, float *out);

enum state { FAILED, KNOWN, DECODED, DUPLICATE };

/* What is known of a photo of the dataset. */
struct photo {
    struct cb_digest digest;
    enum state state;
    uint32_t missing; /* bit v: view v is not known */
};

struct run {
    const struct cb_feature_job *job;
    compute_fn *compute;
    struct cb_rejections *rejections;
    struct cb_predictor *predictor;
    struct cb_feature_cache *cache; /* of the photos themselves; NULL: none */
    struct cb_feature_cache *view_cache;
    struct cb_arena tables, pixels[BATCH];
    struct photo *photos; /* of the dataset */
    float *features;      /* [dataset->n_photos, views, d] */
    int views, d, cached;
    /* the batch under way */
    int first, n, view;
    struct cb_image images[BATCH], views_of[BATCH];
    struct cb_status status[BATCH];
};

/* Everything that features depend on, but for the photo; `more` is "" or says what is done to it.
 */
static struct cb_status cache_key(const struct cb_model *model, const char *more,
                                  struct cb_arena *arena, struct cb_digest *out)
{
    char hex[CB_DIGEST_TEXT];
    char *recipe, *text;
    cb_digest_text(&model->digest, hex);
    CB_TRY(cb_recipe_print(&model->recipe, arena, &recipe));
    text = cb_arena_printf(arena, "%s\n%s\n%s\n%s%s", CACHE_VERSION, hex,
                           model->graph.values[model->bottleneck].name, recipe, more);
    if (!text)
        return cb_fail(CB_ERR_NOMEM, "features: no room");
    *out = cb_digest_of(text, strlen(text));
    return cb_ok();
}

/* A cache that cannot be had is done without. */
static struct cb_status open_one(struct run *r, const char *more, struct cb_feature_cache **out)
{
    const struct cb_feature_job *job = r->job;
    struct cb_digest key;
    CB_TRY(cache_key(job->model, more, &r->tables, &key));
    if (cb_feature_cache_open(job->cache, &key, r->d,
                              job->cache_limit ? job->cache_limit : DEFAULT_CACHE_LIMIT, out)
            .code)
        *out = NULL;
    return cb_ok();
}

/* Augmented views have a file of their own: one that other strengths made goes when it is old, and
 * the photos' own features stay. */
static struct cb_status open_cache(struct run *r)
{
    const struct cb_feature_job *job = r->job;
    char strengths[CB_AUGMENT_TEXT], more[CB_AUGMENT_TEXT + 60];
    if (!job->cache || r->compute != cb_features)
        return cb_ok();
    CB_TRY(open_one(r, "", &r->cache));
    if (r->views == 1)
        return cb_ok();
    cb_augment_print(&job->augment, strengths);
    snprintf(more, sizeof more, "\n%s\n%llu\n%s", VIEWS_VERSION, (unsigned long long)job->seed,
             strengths);
    return open_one(r, more, &r->view_cache);
}

/* --- views of a photo --- */

static struct cb_feature_cache *cache_of(const struct run *r, int view)
{
    return view ? r->view_cache : r->cache;
}

/* What the cache calls a view of a photo. */
static struct cb_digest name_of(const struct photo *photo, int view)
{
    return view ? cb_digest_of2(&photo->digest, sizeof photo->digest, &view, sizeof view)
                : photo->digest;
}

static float *row_of(const struct run *r, int i, int view)
{
    return r->features + ((size_t)i * (size_t)r->views + (size_t)view) * (size_t)r->d;
}

/* Notes which views of photo i the cache does not have, and fetches the others. */
static void look_up(struct run *r, int i)
{
    struct photo *photo = &r->photos[i];
    photo->missing = 0;
    for (int v = 0; v < r->views; v++) {
        const struct cb_digest name = name_of(photo, v);
        if (!cache_of(r, v) || !cb_feature_cache_find(cache_of(r, v), &name, row_of(r, i, v)))
            photo->missing |= UINT32_C(1) << v;
    }
}

uint64_t cb_photo_number(const struct cb_digest *content)
{
    uint64_t number = 0;
    for (int i = 0; i < 8; i++)
        number = number << 8 | content->byte[i];
    return number;
}

/* Makes the view under way of a photo of the batch. */
static void make_view(void *ctx, size_t slot, size_t worker)
{
    struct run *r = ctx;
    const struct photo *photo = &r->photos[r->first + (int)slot];
    (void)worker;
    r->views_of[slot] = r->images[slot];
    r->status[slot] = cb_ok();
    if (r->view == 0 || photo->state != DECODED || !(photo->missing >> r->view & 1))
        return;
    const struct cb_augmentation how = cb_augment_draw(
        &r->job->augment, r->job->seed, cb_photo_number(&photo->digest), (uint64_t)r->view);
    r->status[slot] =
        cb_augment_apply(&r->pixels[slot], &r->images[slot], &how, &r->views_of[slot]);
}

/* --- photos --- */

static struct cb_status decode(struct run *r, int slot, struct cb_bytes file)
{
    struct cb_decoded decoded;
    CB_TRY(cb_image_decode(&r->pixels[slot], file, &limits,
                           cb_recipe_wanted_side(&r->job->model->recipe), &decoded));
    if (decoded.truncated)
        return cb_fail(CB_ERR_CONTENT, "the photo is cut short");
    r->images[slot] = decoded.image;
    return cb_ok();
}

/* Reads one photo of the batch: from the cache, or decoded. */
static void read_photo(void *ctx, size_t slot, size_t worker)
{
    struct run *r = ctx;
    const int i = r->first + (int)slot;
    struct photo *photo = &r->photos[i];
    struct cb_bytes file;
    (void)worker;
    photo->state = FAILED;
    r->status[slot] = cb_file_map(r->job->dataset->photos[i].path, &file);
    if (r->status[slot].code)
        return;
    photo->digest = cb_digest_of(file.data, file.len);
    look_up(r, i);
    if (!photo->missing) {
        photo->state = KNOWN;
    } else {
        r->status[slot] = decode(r, (int)slot, file);
        photo->state = r->status[slot].code ? FAILED : DECODED;
    }
    cb_file_unmap(&file);
}

static void reject(struct run *r, int i, const struct cb_status *why)
{
    r->photos[i].state = FAILED;
    cb_rejections_add(r->rejections, r->job->dataset->photos[i].name, "%s", why->msg);
}

/* Features of `n` decoded photos, or of their view under way, whose rows in the dataset are `at`. A
 * photo that the network cannot take is rejected. */
static struct cb_status compute(struct run *r, const struct cb_image *images, const int *at, int n,
                                float *made)
{
    const size_t d = (size_t)r->d;
    struct cb_status st = r->compute(r->predictor, images, n, made);
    if (st.code == CB_ERR_INPUT && n == 1) {
        reject(r, at[0], &st);
        return cb_ok();
    }
    if (st.code == CB_ERR_INPUT) {
        for (int k = 0; k < n; k++)
            CB_TRY(compute(r, images + k, at + k, 1, made));
        return cb_ok();
    }
    CB_TRY(st);
    for (int k = 0; k < n; k++) {
        const struct cb_digest name = name_of(&r->photos[at[k]], r->view);
        memcpy(row_of(r, at[k], r->view), made + (size_t)k * d, d * sizeof *made);
        if (cache_of(r, r->view))
            cb_feature_cache_add(cache_of(r, r->view), &name, made + (size_t)k * d);
    }
    return cb_ok();
}

/* The view under way of all photos of the batch that want it. */
static struct cb_status run_view(struct run *r, float *made)
{
    struct cb_image images[BATCH];
    int at[BATCH], n = 0;
    cb_threads_for(r->job->engine->threads, (size_t)r->n, make_view, r);
    for (int k = 0; k < r->n; k++) {
        const struct photo *photo = &r->photos[r->first + k];
        if (photo->state != DECODED || !(photo->missing >> r->view & 1))
            continue;
        CB_TRY(r->status[k]);
        images[n] = r->views_of[k];
        at[n++] = r->first + k;
    }
    return n ? compute(r, images, at, n, made) : cb_ok();
}

static struct cb_status run_batch(struct run *r, float *made)
{
    size_t decoded[BATCH];
    cb_threads_for(r->job->engine->threads, (size_t)r->n, read_photo, r);
    for (int k = 0; k < r->n; k++) {
        const enum state state = r->photos[r->first + k].state;
        r->cached += state == KNOWN;
        if (state == FAILED)
            reject(r, r->first + k, &r->status[k]);
        decoded[k] = r->pixels[k].used;
    }
    for (r->view = 0; r->view < r->views; r->view++) {
        CB_TRY(run_view(r, made));
        for (int k = 0; k < r->n; k++)
            cb_arena_rewind(&r->pixels[k], decoded[k]);
    }
    for (int k = 0; k < r->n; k++)
        cb_arena_rewind(&r->pixels[k], 0);
    return cb_ok();
}

static struct cb_status run_all(struct run *r)
{
    const struct cb_feature_job *job = r->job;
    const int total = job->dataset->n_photos;
    float *made;
    CB_TRY(cb_arena_get(&r->tables, (size_t)BATCH * (size_t)r->d, sizeof *made, "features", &made));
    for (r->first = 0; r->first < total; r->first += r->n) {
        if (job->cancel && atomic_load(job->cancel))
            return cb_fail(CB_ERR_CANCELLED, "making features was cancelled");
        r->n = total - r->first < BATCH ? total - r->first : BATCH;
        CB_TRY(run_batch(r, made));
        if (job->on_progress)
            job->on_progress(job->ctx, r->first + r->n, total);
    }
    return cb_ok();
}

/* A photo by class and content, for finding the same twice. */
struct twin {
    const struct cb_digest *digest;
    int label, photo;
};

static int by_content(const void *a, const void *b)
{
    const struct twin *x = a, *y = b;
    const int order = memcmp(x->digest, y->digest, sizeof *x->digest);
    if (order)
        return order;
    return x->label != y->label ? (x->label > y->label) - (x->label < y->label)
                                : (x->photo > y->photo) - (x->photo < y->photo);
}

/* Of the same photo more than once in a class, the first stays. */
static struct cb_status mark_duplicates(struct run *r, int *duplicates)
{
    const struct cb_dataset *dataset = r->job->dataset;
    struct twin *twins;
    int n = 0;
    CB_TRY(
        cb_arena_get(&r->tables, (size_t)dataset->n_photos, sizeof *twins, "duplicates", &twins));
    for (int i = 0; i < dataset->n_photos; i++)
        if (r->photos[i].state != FAILED)
            twins[n++] = (struct twin){ &r->photos[i].digest, dataset->photos[i].label, i };
    if (n)
        qsort(twins, (size_t)n, sizeof *twins, by_content);
    for (int i = 1; i < n; i++)
        if (twins[i].label == twins[i - 1].label &&
            !memcmp(twins[i].digest, twins[i - 1].digest, sizeof *twins[i].digest)) {
            r->photos[twins[i].photo].state = DUPLICATE;
            ++*duplicates;
        }
    return cb_ok();
}

/* Rows of photos that have features move together. */
static struct cb_status collect(struct run *r, struct cb_arena *arena, struct cb_feature_set *out)
{
    const struct cb_dataset *dataset = r->job->dataset;
    const size_t bytes = (size_t)r->views * (size_t)r->d * sizeof *r->features;
    struct cb_feature_set set = {
        .views = r->views, .d = r->d, .n_classes = dataset->n_classes, .cached = r->cached
    };
    int *labels, *photo;
    if (r->compute == cb_features)
        CB_TRY(mark_duplicates(r, &set.duplicates));
    CB_TRY(cb_arena_get(arena, (size_t)dataset->n_photos, sizeof *labels, "labels", &labels));
    CB_TRY(cb_arena_get(arena, (size_t)dataset->n_photos, sizeof *photo, "photos", &photo));
    for (int i = 0; i < dataset->n_photos; i++) {
        if (r->photos[i].state == FAILED || r->photos[i].state == DUPLICATE)
            continue;
        if (set.n != i)
            memcpy(row_of(r, set.n, 0), row_of(r, i, 0), bytes);
        labels[set.n] = dataset->photos[i].label;
        photo[set.n++] = i;
    }
    set.features = r->features;
    set.labels = labels;
    set.photo = photo;
    *out = set;
    return cb_ok();
}

static struct cb_status row_length(struct run *r)
{
    const struct cb_model *m = r->job->model;
    r->d = m->classes;
    if (r->compute == cb_features)
        return cb_feature_length(r->predictor, &r->d);
    return m->logits < 0 || m->classes < 1
               ? cb_fail(CB_ERR_UNSUPPORTED, "%s has no classifier", m->name)
               : cb_ok();
}

static struct cb_status make(struct run *r, struct cb_arena *arena, struct cb_feature_set *out)
{
    const size_t n = (size_t)r->job->dataset->n_photos;
    for (int i = 0; i < BATCH; i++)
        CB_TRY(cb_arena_init(&r->pixels[i], PIXEL_BUDGET));
    CB_TRY(cb_arena_init(&r->tables, TABLE_BUDGET));
    CB_TRY(cb_predictor_create(r->job->engine, r->job->model, &r->predictor));
    CB_TRY(row_length(r));
    CB_TRY(cb_arena_get(&r->tables, n, sizeof *r->photos, "photos", &r->photos));
    CB_TRY(cb_arena_get(arena, n * (size_t)r->views * (size_t)r->d, sizeof *r->features, "features",
                        &r->features));
    CB_TRY(open_cache(r));
    CB_TRY(run_all(r));
    return collect(r, arena, out);
}

static struct cb_status run(const struct cb_feature_job *job, compute_fn *fn,
                            struct cb_arena *arena, struct cb_rejections *rejections,
                            struct cb_feature_set *out)
{
    const int views = job->views > 1 && fn == cb_features ? job->views : 1;
    struct run r = { .job = job, .compute = fn, .rejections = rejections, .views = views };
    if (views > CB_FEATURE_VIEWS_MAX)
        return cb_fail(CB_ERR_INPUT, "features: %d views of a photo, at most %d", views,
                       CB_FEATURE_VIEWS_MAX);
    const struct cb_status st = make(&r, arena, out);
    cb_feature_cache_close(r.cache);
    cb_feature_cache_close(r.view_cache);
    cb_predictor_destroy(r.predictor);
    for (int i = 0; i < BATCH; i++)
        cb_arena_deinit(&r.pixels[i]);
    cb_arena_deinit(&r.tables);
    return st;
}

struct cb_status cb_dataset_features(const struct cb_feature_job *job, struct cb_arena *arena,
                                     struct cb_rejections *rejections, struct cb_feature_set *out)
{
    return run(job, cb_features, arena, rejections, out);
}

struct cb_status cb_dataset_probabilities(const struct cb_feature_job *job, struct cb_arena *arena,
                                          struct cb_rejections *rejections,
                                          struct cb_feature_set *out)
{
    return run(job, cb_predict, arena, rejections, out);
}
