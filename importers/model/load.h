/* importers/model/load.h - a model folder, an .onnx file or the embedded model to a cb_model.
 *
 * Beside-files (labels.txt, recipe.json) win over the file's metadata (cambium.labels,
 * cambium.recipe); without either, the recipe of torchvision's ImageNet weights is assumed at the
 * graph's own input size. A folder with head.onnx holds a head trained here: its metadata names the
 * trunk's digest, which `find_trunk` must turn into a model. */
#pragma once

#include "core/base/file.h"
#include "core/model/head.h"
#include "core/model/model.h"
#include "importers/cache/cache.h"

struct cb_model_source {
    const char
        *path; /* model.onnx, a folder with one, or a folder of version folders; NULL: `bytes` */
    struct cb_bytes bytes; /* an ONNX file in memory (upload, embedded); must outlive the model */
    const char *name;      /* NULL: from the path */
    bool untrusted;        /* refuses external data */
    bool graph_only; /* any network on tensors: no recipe, labels, anatomy or digest; input and the
                        rest are -1 */
    struct cb_cache *cache; /* of packed weights and digests, for models from a path; NULL: none */
    const struct cb_tensor *inputs; /* that the model is for (importers/onnx/load.h); n_inputs 0:
                                       those that the file declares */
    int n_inputs;
    bool no_digest;  /* leaves digest zero: computing it costs 2 ms a megabyte */
    /* The loaded model of that digest, with a reference that release_trunk gives back; NULL: heads
     * are refused. */
    const struct cb_model *(*find_trunk)(void *ctx, const struct cb_digest *digest);
    void (*release_trunk)(void *ctx, const struct cb_model *trunk);
    void *ctx;
};

/* Errors: CB_ERR_NOT_FOUND, CB_ERR_MODEL, CB_ERR_UNSUPPORTED (all operators named), CB_ERR_INPUT
 * (recipe, labels). */
CB_MUST_USE struct cb_status cb_model_load(const struct cb_model_source *source,
                                           struct cb_model **out);
void cb_model_destroy(struct cb_model *model);

/* The model's ONNX file as bytes: of a head's model the trunk's. */
struct cb_bytes cb_model_file(const struct cb_model *model);

/* recipe.json's text to a recipe, unknown keys refused by name; and back. */
CB_MUST_USE struct cb_status cb_recipe_parse(struct cb_bytes json, struct cb_recipe *out);
CB_MUST_USE struct cb_status cb_recipe_print(const struct cb_recipe *recipe, struct cb_arena *arena,
                                             char **json);

/* The embedded model, seedling, as an ONNX file. */
struct cb_bytes cb_seedling(void);
