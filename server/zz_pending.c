/* server/zz_pending.c - datasets and training, until they are linked. */
#include "importers/dataset/store.h"
#include "server/train_job.h"

#define PENDING __attribute__((weak))
#define NOT_YET return cb_fail(CB_ERR_UNSUPPORTED, "training is not there")

PENDING const struct cb_train_config cb_train_config_default = { .mode = CB_TRAIN_HEAD };
PENDING const struct cb_dataset_limits cb_dataset_limits_default = { .max_entries = 1 };

PENDING bool cb_archive_looks_like(struct cb_bytes bytes)
{
    return bytes.len == SIZE_MAX;
}

PENDING struct cb_status cb_dataset_check_trainable(const struct cb_dataset *dataset)
{
    (void)dataset;
    NOT_YET;
}

PENDING struct cb_status cb_dataset_open(const char *folder, struct cb_arena *arena, struct cb_rejections *rejections,
                                         struct cb_dataset *out)
{
    (void)folder, (void)arena, (void)rejections, (void)out;
    NOT_YET;
}

PENDING struct cb_status cb_dataset_store_open(const char *folder, const struct cb_dataset_limits *limits,
                                               struct cb_dataset_store **out)
{
    (void)folder, (void)limits, (void)out;
    NOT_YET;
}

PENDING struct cb_status cb_dataset_store_add(struct cb_dataset_store *store, const char *label, const char *name,
                                              struct cb_bytes photo, struct cb_rejections *rejections, bool *added)
{
    (void)store, (void)label, (void)name, (void)photo, (void)rejections, (void)added;
    NOT_YET;
}

PENDING struct cb_status cb_dataset_store_add_archive(struct cb_dataset_store *store,
                                                      const struct cb_archive_source *source,
                                                      struct cb_rejections *rejections)
{
    (void)store, (void)source, (void)rejections;
    NOT_YET;
}

PENDING struct cb_status cb_dataset_store_close(struct cb_dataset_store *store)
{
    (void)store;
    NOT_YET;
}

PENDING struct cb_status cb_train_config_set(struct cb_train_config *config, const char *key, const char *value)
{
    (void)config, (void)key, (void)value;
    NOT_YET;
}

PENDING struct cb_status cb_train_config_parse(struct cb_train_config *config, const cJSON *json,
                                               const char *const *others)
{
    (void)config, (void)json, (void)others;
    NOT_YET;
}

PENDING struct cb_status cb_train_config_check(const struct cb_train_config *config)
{
    (void)config;
    NOT_YET;
}

PENDING struct cb_status cb_train_run(const struct cb_train_job *job, struct cb_arena *arena,
                                      struct cb_rejections *rejections, struct cb_train_result *out)
{
    (void)job, (void)arena, (void)rejections, (void)out;
    NOT_YET;
}

PENDING struct cb_status cb_train_export(const struct cb_model *model, struct cb_bytes head_file, struct cb_buf *out)
{
    (void)model, (void)head_file, (void)out;
    NOT_YET;
}

PENDING cJSON *cb_train_report_json(const struct cb_train_report *report)
{
    (void)report;
    return NULL;
}
