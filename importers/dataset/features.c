#include "importers/dataset/features.h"

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
};

struct run {
    const struct cb_feature_job *job;
    compute_fn *compute;
    struct cb_rejections *rejections;
    struct cb_predictor *predictor;
    struct cb_feature_cache *cache; /* NULL: none */
    struct cb_arena tables, pixels[BATCH];
    struct photo *photos; /* of the dataset */
    float *features;      /* [dataset->n_photos, d] */
    int d, cached;
    /* the batch under way */
    int first, n;
    struct cb_image images[BATCH];
    struct cb_status status[BATCH];
};

/* Everything that features depend on, but for the photo. */
static struct cb_status cache_key(const struct cb_model *model, struct cb_arena *arena,
                                  struct cb_digest *out)
{
    char hex[CB_DIGEST_TEXT];
    char *recipe, *text;
    cb_digest_text(&model->digest, hex);
    CB_TRY(cb_recipe_print(&model->recipe, arena, &recipe));
    text = cb_arena_printf(arena, "%s\n%s\n%s\n%s", CACHE_VERSION, hex,
                           model->graph.values[model->bottleneck].name, recipe);
    if (!text)
        return cb_fail(CB_ERR_NOMEM, "features: no room");
    *out = cb_digest_of(text, strlen(text));
    return cb_ok();
}

/* A cache that cannot be had is done without. */
static struct cb_status open_cache(struct run *r)
{
    const struct cb_feature_job *job = r->job;
    struct cb_digest key;
    if (!job->cache || r->compute != cb_features)
        return cb_ok();
    CB_TRY(cache_key(job->model, &r->tables, &key));
    if (cb_feature_cache_open(job->cache, &key, r->d,
                              job->cache_limit ? job->cache_limit : DEFAULT_CACHE_LIMIT, &r->cache)
            .code)
        r->cache = NULL;
    return cb_ok();
}

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
    if (r->cache &&
        cb_feature_cache_find(r->cache, &photo->digest, r->features + (size_t)i * (size_t)r->d)) {
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

/* Features of `n` decoded photos whose rows in the dataset are `at`. A photo that the network
 * cannot take is rejected. */
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
        memcpy(r->features + (size_t)at[k] * d, made + (size_t)k * d, d * sizeof *made);
        if (r->cache)
            cb_feature_cache_add(r->cache, &r->photos[at[k]].digest, made + (size_t)k * d);
    }
    return cb_ok();
}

static struct cb_status run_batch(struct run *r, float *made)
{
    struct cb_image images[BATCH];
    int at[BATCH], n = 0;
    cb_threads_for(r->job->engine->threads, (size_t)r->n, read_photo, r);
    for (int k = 0; k < r->n; k++) {
        const enum state state = r->photos[r->first + k].state;
        r->cached += state == KNOWN;
        if (state == FAILED)
            reject(r, r->first + k, &r->status[k]);
        if (state == DECODED) {
            images[n] = r->images[k];
            at[n++] = r->first + k;
        }
    }
    if (n)
        CB_TRY(compute(r, images, at, n, made));
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
    const size_t d = (size_t)r->d;
    struct cb_feature_set set = { .d = r->d, .n_classes = dataset->n_classes, .cached = r->cached };
    int *labels, *photo;
    if (r->compute == cb_features)
        CB_TRY(mark_duplicates(r, &set.duplicates));
    CB_TRY(cb_arena_get(arena, (size_t)dataset->n_photos, sizeof *labels, "labels", &labels));
    CB_TRY(cb_arena_get(arena, (size_t)dataset->n_photos, sizeof *photo, "photos", &photo));
    for (int i = 0; i < dataset->n_photos; i++) {
        if (r->photos[i].state == FAILED || r->photos[i].state == DUPLICATE)
            continue;
        if (set.n != i)
            memcpy(r->features + (size_t)set.n * d, r->features + (size_t)i * d,
                   d * sizeof *r->features);
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
    CB_TRY(cb_arena_get(arena, n * (size_t)r->d, sizeof *r->features, "features", &r->features));
    CB_TRY(open_cache(r));
    CB_TRY(run_all(r));
    return collect(r, arena, out);
}

static struct cb_status run(const struct cb_feature_job *job, compute_fn *fn,
                            struct cb_arena *arena, struct cb_rejections *rejections,
                            struct cb_feature_set *out)
{
    struct run r = { .job = job, .compute = fn, .rejections = rejections };
    const struct cb_status st = make(&r, arena, out);
    cb_feature_cache_close(r.cache);
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
