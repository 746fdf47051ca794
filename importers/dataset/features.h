/* importers/dataset/features.h - a dataset's photos through a trunk: the matrix that a head is
 * trained on.
 *
 * Photos are decoded on all threads, a batch at a time, and run through the trunk. Features are
 * kept on disk by content, so that a photo that was seen before with this trunk and recipe is only
 * read and hashed. */
#pragma once

#include <stdatomic.h>

#include "core/base/hash.h"
#include "core/exec/engine.h"
#include "core/image/augment.h"
#include "core/model/model.h"
#include "importers/dataset/dataset.h"

#define CB_FEATURE_VIEWS_MAX 32

/* A photo's number for cb_augment_draw, by its content: the same photo has the same views in any
 * dataset. */
uint64_t cb_photo_number(const struct cb_digest *content);

struct cb_feature_job {
    const struct cb_engine *engine;
    const struct cb_model *model;
    const struct cb_dataset *dataset;
    const char *cache;  /* folder of the cache, made when it is not there; NULL: none */
    size_t cache_limit; /* bytes of the whole folder; 0: 1 GiB */
    int views; /* of each photo, 1 to CB_FEATURE_VIEWS_MAX: itself, and augmented ones; 0 is 1 */
    struct cb_augment augment;
    uint64_t seed; /* of the augmented ones */
    void (*on_progress)(void *ctx, int done, int total); /* NULL: none */
    void *ctx;
    const atomic_bool *cancel; /* NULL: never */
};

struct cb_feature_set {
    int n, views, d, n_classes;
    const float *features; /* [n, views, d], the photo itself first; or probabilities [n, d] */
    const int *labels;     /* [n] */
    const int *photo;      /* [n] row of the dataset's photos */
    int cached;            /* of n: came from the cache, with all views */
    int duplicates;        /* photos left out since their class has the same bytes already */
};

/* Rows are in the dataset's order; photos that cannot be read are rejections and have no row, a
 * cache that cannot be used is done without. The matrix lies in `arena`. Errors: CB_ERR_UNSUPPORTED
 * a network without bottleneck; CB_ERR_CANCELLED; CB_ERR_NOMEM; what the predictor says. */
CB_MUST_USE struct cb_status cb_dataset_features(const struct cb_feature_job *job,
                                                 struct cb_arena *arena,
                                                 struct cb_rejections *rejections,
                                                 struct cb_feature_set *out);

/* The same with the model's probabilities [n, classes] in place of features, for judging it.
 * Nothing is cached, and the same photo twice counts twice. Errors: CB_ERR_UNSUPPORTED a network
 * without classifier; the others as above. */
CB_MUST_USE struct cb_status cb_dataset_probabilities(const struct cb_feature_job *job,
                                                      struct cb_arena *arena,
                                                      struct cb_rejections *rejections,
                                                      struct cb_feature_set *out);
