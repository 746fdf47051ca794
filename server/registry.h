/* server/registry.h - which model stands behind a name, now.
 *
 * A model version is immutable and counted: a request keeps the version that it began with, a new
 * one takes its place atomically, the last reference frees it. Models trained here share their
 * trunk, which is counted too and looked for by digest: among the models served, then among the
 * trunks that the store keeps. Safe in any thread. */
#pragma once

#include "core/exec/engine.h"
#include "core/model/model.h"
#include "core/model/predictor.h"

struct cb_config;
struct cb_registry;
struct cb_served;
struct cb_store;

/* From where a model comes decides who may remove it. */
enum cb_origin { CB_ORIGIN_CONFIGURED, CB_ORIGIN_FOLDER, CB_ORIGIN_EMBEDDED, CB_ORIGIN_STORED };

enum cb_model_state { CB_MODEL_LOADING, CB_MODEL_READY, CB_MODEL_FAILED };

/* What is known of a name; a copy. */
struct cb_model_info {
    char name[CB_NAME_MAX + 1];
    enum cb_origin origin;
    enum cb_model_state state;
    bool is_default;
    struct cb_status error; /* of CB_MODEL_FAILED */
};

/* A counted reference. */
struct cb_model_ref {
    struct cb_served *served;
    const struct cb_model *model;
};

/* Lists what there is to serve; nothing is loaded yet. */
CB_MUST_USE struct cb_status cb_registry_create(const struct cb_engine *engine,
                                                const struct cb_config *config,
                                                struct cb_store *store, struct cb_registry **out);

/* Loads all that is listed. A model that cannot be loaded is logged, and remembered with its
 * reason. */
void cb_registry_load(struct cb_registry *registry);

/* True when cb_registry_load is through. */
bool cb_registry_ready(struct cb_registry *registry);

/* No reference may be left. Accepts NULL. */
void cb_registry_destroy(struct cb_registry *registry);

/* The model of that name; NULL: the default one. Errors: CB_ERR_NOT_FOUND; CB_ERR_BUSY it is still
 * being loaded; why it could not be loaded. */
CB_MUST_USE struct cb_status cb_registry_acquire(struct cb_registry *registry, const char *name,
                                                 struct cb_model_ref *out);
void cb_registry_release(struct cb_registry *registry, struct cb_model_ref *ref);

/* A predictor of the model for this thread alone; waits while all of them are lent. */
CB_MUST_USE struct cb_status cb_registry_borrow(struct cb_registry *registry,
                                                const struct cb_model_ref *ref,
                                                struct cb_predictor **out);
void cb_registry_give_back(struct cb_registry *registry, const struct cb_model_ref *ref,
                           struct cb_predictor *predictor);

/* [A-Za-z0-9][A-Za-z0-9._-]{0,63}. Errors: CB_ERR_INPUT. */
CB_MUST_USE struct cb_status cb_registry_check_name(const char *name);

bool cb_registry_has(struct cb_registry *registry, const char *name);

/* Loads the model from a folder that is not published yet, calls publish(ctx), which moves it to
 * its place, and serves it as `name`. Errors: CB_ERR_CONFLICT the name is taken; what loading and
 * publish say. */
CB_MUST_USE struct cb_status cb_registry_add(struct cb_registry *registry, const char *name,
                                             const char *folder,
                                             struct cb_status (*publish)(void *ctx), void *ctx);

/* Takes a stored model out of the table; its files are the caller's. Errors: CB_ERR_NOT_FOUND;
 * CB_ERR_CONFLICT it is not from the store. */
CB_MUST_USE struct cb_status cb_registry_remove(struct cb_registry *registry, const char *name);

/* Model i in the order of the table; false past the last. */
bool cb_registry_info(struct cb_registry *registry, size_t i, struct cb_model_info *out);
CB_MUST_USE struct cb_status cb_registry_find(struct cb_registry *registry, const char *name,
                                              struct cb_model_info *out);

/* True when a stored model stands on the trunk of that digest, or might (it could not be
 * loaded). */
bool cb_registry_needs_trunk(struct cb_registry *registry, const struct cb_digest *digest);
