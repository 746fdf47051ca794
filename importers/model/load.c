#include "importers/model/load.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "importers/model/folder.h"
#include "importers/model/labels.h"
#include "importers/onnx/head/save.h"
#include "importers/onnx/load.h"

#define MODEL_BUDGET ((size_t)64 << 30) /* address space: weights that are converted lie here */
#define UNTRUSTED_BUDGET ((size_t)8 << 30)
#define ASSUMED_SIDE 224 /* where the graph leaves its size open */

static const char labels_key[] = "cambium.labels", recipe_key[] = "cambium.recipe";
static const char trunk_key[] = "cambium.trunk", bottleneck_key[] = "cambium.bottleneck";

/* What a model keeps that is no memory of its arena. */
struct owner {
    struct cb_bytes file;
    bool mapped;
    struct cb_file_identity identity; /* when it is mapped */
    struct cb_cache *cache;           /* that the model's weights take part in; NULL: none */
    struct cb_onnx_model onnx;
    const struct cb_model *trunk; /* NULL: the model is its own */
    void (*release_trunk)(void *ctx, const struct cb_model *trunk);
    void *ctx;
};

/* One load: where things come from. */
struct loading {
    const struct cb_model_source *source;
    struct cb_model_files files; /* of a path */
    struct cb_model *model;
    struct owner *owner;
    struct cb_onnx_head_file head; /* of a head.onnx */
    const char *labels, *recipe;   /* metadata; NULL: none */
};

/* The model in an arena of its own, with the file it comes from. */
static struct cb_status begin(struct loading *l)
{
    CB_TRY(cb_arena_begin(l->source->untrusted ? UNTRUSTED_BUDGET : MODEL_BUDGET, sizeof *l->model,
                          &l->model));
    l->owner = cb_arena_alloc(&l->model->arena, 1, sizeof *l->owner);
    *l->model = (struct cb_model){
        .arena = l->model->arena,
        .owner = l->owner,
        .version = l->files.version,
        .input = -1,
        .logits = -1,
        .bottleneck = -1,
        .cam_layer = -1,
    };
    l->owner->file = l->source->bytes;
    l->owner->mapped = l->source->path != NULL;
    snprintf(l->model->name, sizeof l->model->name, "%s",
             l->source->name ? l->source->name : l->files.name);
    return l->source->path ? cb_file_map_known(l->files.onnx, &l->owner->file, &l->owner->identity)
                           : cb_ok();
}

static const char *find_prop(const struct cb_onnx_model *onnx, const char *key)
{
    for (int i = 0; i < onnx->n_props; i++)
        if (strcmp(onnx->props[i].key, key) == 0)
            return onnx->props[i].value;
    return NULL;
}

static void find_digest(struct loading *l)
{
    struct cb_cache *cache = l->owner->mapped ? l->source->cache : NULL;
    if (cache && cb_cache_digest(cache, &l->owner->identity, &l->model->digest))
        return;
    l->model->digest = cb_digest_of(l->owner->file.data, l->owner->file.len);
    if (l->owner->mapped)
        cb_file_let_go(l->owner->file.data, l->owner->file.len);
    if (cache)
        cb_cache_remember(cache, &l->owner->identity, &l->model->digest);
}

static struct cb_status read_graph(struct loading *l)
{
    struct cb_model *m = l->model;
    struct cb_onnx_model *onnx = &l->owner->onnx;
    char folder[PATH_MAX];
    const char *slash = strrchr(l->files.onnx, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - l->files.onnx) : 1,
             slash ? l->files.onnx : ".");
    const struct cb_onnx_options options = {
        .mapped = l->owner->mapped,
        .folder = l->source->path && !l->source->untrusted ? (*folder ? folder : "/") : NULL,
        .inputs = l->source->inputs,
        .n_inputs = l->source->n_inputs,
    };
    CB_TRY(cb_onnx_load(&m->arena, l->owner->file, &options, onnx));
    m->graph = onnx->graph;
    m->opset = (int)onnx->opset;
    m->decided = onnx->decided;
    l->labels = find_prop(onnx, labels_key);
    l->recipe = find_prop(onnx, recipe_key);
    if (!l->source->graph_only && !l->source->no_digest)
        find_digest(l);
    return cb_weights_create(&m->weights);
}

/* What an earlier run packed. Data in other files have no part in the digest: such a model stays
 * out. */
static void join_cache(struct loading *l)
{
    if (!l->source->cache || !l->owner->mapped || l->owner->onnx.files.n_external)
        return;
    l->owner->cache = l->source->cache;
    cb_cache_join(l->owner->cache, l->files.onnx, &l->owner->identity, l->model->weights);
}

/* The trunk's graph with the head behind its bottleneck. */
static struct cb_status attach_head(struct loading *l, const struct cb_model *trunk)
{
    struct cb_model *m = l->model;
    const char *name = cb_onnx_head_property(&l->head, bottleneck_key);
    const struct cb_digest digest = cb_digest_of(l->owner->file.data, l->owner->file.len);
    uint64_t key;
    int bottleneck, logits;
    memcpy(&key, digest.byte, sizeof key);
    CB_TRY(cb_graph_copy(&trunk->graph, &m->arena, &m->graph));
    bottleneck = name ? cb_graph_find(&m->graph, name) : -1;
    if (bottleneck < 0)
        return cb_fail(CB_ERR_MODEL, "%s: the trunk has no tensor \"%s\"", m->name,
                       name ? name : "");
    CB_TRY(cb_head_attach(&m->graph, bottleneck, &l->head.head, key, &logits));
    m->digest = trunk->digest;
    m->opset = trunk->opset;
    m->trained_here = true;
    m->recipe = trunk->recipe;
    m->recipe.assumed = false;
    m->recipe.cam_layer[0] = 0;
    snprintf(m->recipe.bottleneck, sizeof m->recipe.bottleneck, "%s", name);
    m->weights = cb_weights_acquire(trunk->weights);
    return cb_ok();
}

static struct cb_status read_head(struct loading *l)
{
    const struct cb_model_source *source = l->source;
    struct cb_digest digest;
    char text[CB_DIGEST_TEXT];
    CB_TRY(cb_onnx_read_head(l->owner->file, &l->model->arena, &l->head));
    if (!cb_digest_parse(cb_onnx_head_property(&l->head, trunk_key), &digest))
        return cb_fail(CB_ERR_MODEL, "%s: the head does not say which trunk it belongs to",
                       l->model->name);
    cb_digest_text(&digest, text);
    l->owner->trunk = source->find_trunk ? source->find_trunk(source->ctx, &digest) : NULL;
    if (!l->owner->trunk)
        return cb_fail(CB_ERR_NOT_FOUND, "%s: its trunk, the model with SHA-256 %s, is not here",
                       l->model->name, text);
    l->owner->release_trunk = source->release_trunk;
    l->owner->ctx = source->ctx;
    l->labels = cb_onnx_head_property(&l->head, labels_key);
    l->recipe = cb_onnx_head_property(&l->head, recipe_key);
    return attach_head(l, l->owner->trunk);
}

/* The file beside the model, else its metadata, else nothing: len 0. */
static struct cb_status find_text(const char *path, const char *metadata, struct cb_bytes *out)
{
    *out = metadata ? cb_bytes_of_text(metadata) : (struct cb_bytes){ 0 };
    return *path ? cb_file_map(path, out) : cb_ok();
}

static struct cb_status read_recipe(struct loading *l)
{
    struct cb_recipe *recipe = &l->model->recipe;
    struct cb_bytes text;
    struct cb_status st;
    CB_TRY(find_text(l->files.recipe, l->recipe, &text));
    if (!text.data && !l->owner->trunk) {
        *recipe = *cb_recipe_preset("torchvision");
        recipe->assumed = true;
    }
    if (!text.data)
        return cb_ok();
    st = cb_recipe_parse(text, recipe);
    if (*l->files.recipe)
        cb_file_unmap(&text);
    return cb_context(st, "%s", *l->files.recipe ? l->files.recipe : recipe_key);
}

/* Geometry that the recipe leaves open follows from the size that the graph declares. */
static void complete_recipe(struct cb_model *model)
{
    struct cb_recipe *r = &model->recipe;
    const int height = model->height ? model->height : ASSUMED_SIDE;
    const int width = model->width ? model->width : ASSUMED_SIDE,
              longer = height > width ? height : width;
    const bool resized = r->short_side || r->resize_height;
    if (r->assumed || (!resized && !r->crop_height)) {
        r->short_side =
            (longer * 256 + ASSUMED_SIDE / 2) / ASSUMED_SIDE; /* 256 to 224, as torchvision */
        r->crop_height = height;
        r->crop_width = width;
    } else if (r->short_side && !r->crop_height && model->height && model->width) {
        r->crop_height = height;
        r->crop_width = width;
    }
}

static struct cb_status read_labels(struct loading *l)
{
    struct cb_model *m = l->model;
    struct cb_bytes text;
    struct cb_status st;
    CB_TRY(find_text(l->files.labels, l->labels, &text));
    if (!text.data || m->classes == 0)
        return cb_ok();
    st = cb_labels_parse(text, &m->arena, &m->labels, &m->n_labels);
    if (*l->files.labels)
        cb_file_unmap(&text);
    if (st.code == CB_OK && m->n_labels != m->classes)
        st =
            cb_fail(CB_ERR_INPUT, "%d labels for a network of %d classes", m->n_labels, m->classes);
    return cb_context(st, "%s", *l->files.labels ? l->files.labels : labels_key);
}

static struct cb_status load(struct loading *l)
{
    CB_TRY(begin(l));
    CB_TRY(l->files.is_head ? read_head(l) : read_graph(l));
    if (!l->files.is_head)
        join_cache(l);
    if (l->source->graph_only)
        return cb_ok();
    CB_TRY(read_recipe(l));
    CB_TRY(cb_model_find_anatomy(l->model));
    complete_recipe(l->model);
    return read_labels(l);
}

struct cb_status cb_model_load(const struct cb_model_source *source, struct cb_model **out)
{
    struct loading l = { .source = source, .files = { .version = 1, .name = "model" } };
    struct cb_status st = source->path ? cb_model_files_find(source->path, &l.files) : cb_ok();
    if (st.code == CB_OK)
        st = load(&l);
    if (st.code)
        cb_model_destroy(l.model);
    else
        *out = l.model;
    return st;
}

void cb_model_destroy(struct cb_model *model)
{
    if (!model)
        return;
    struct owner *owner = model->owner;
    if (owner->cache)
        cb_cache_leave(owner->cache, model->weights);
    cb_weights_release(model->weights);
    cb_onnx_model_deinit(&owner->onnx);
    if (owner->mapped)
        cb_file_unmap(&owner->file);
    if (owner->trunk && owner->release_trunk)
        owner->release_trunk(owner->ctx, owner->trunk);
    cb_arena_deinit(&model->arena);
}

struct cb_bytes cb_model_file(const struct cb_model *model)
{
    const struct owner *owner = model->owner;
    return owner->trunk ? cb_model_file(owner->trunk) : owner->file;
}
