/* server/config.h - everything that can be set about a server: one const struct, filled once at the
 * start.
 *
 * Each setting is a flag (--photo-bytes 32M), an environment variable (CAMBIUM_PHOTO_BYTES) and a
 * line of the settings file (photo-bytes = 32M); the first of these that is given wins, then the
 * default. */
#pragma once

#include <stdio.h>

#include "core/base/arena.h"

/* One row a setting: X(name, member, kind, lowest, highest, default, meaning). BYTES take a unit:
 * 64K, 32M, 1G. */
#define CB_CONFIG_KIB 1024LL
#define CB_CONFIG_MIB (1024 * CB_CONFIG_KIB)
#define CB_CONFIG_GIB (1024 * CB_CONFIG_MIB)
/* clang-format off */
#define CB_CONFIG_SETTINGS(X) \
    X("host", host, TEXT, 0, 0, "127.0.0.1", \
      "address to listen on") \
    X("port", port, NUMBER, 0, 65535, "8080", \
      "port; 0 picks a free one") \
    X("data", data, TEXT, 0, 0, "", \
      "folder for models, datasets and jobs (default: $XDG_DATA_HOME/cambium)") \
    X("default-model", default_model, TEXT, 0, 0, "", \
      "model of requests that name none (default: the first)") \
    X("workers", workers, NUMBER, 1, 256, "4", \
      "requests handled at once") \
    X("queue", queue, NUMBER, 1, 65536, "64", \
      "requests that may wait for a worker; then 503") \
    X("predictors", predictors, NUMBER, 1, 64, "2", \
      "requests that one model computes at once") \
    X("connections", connections, NUMBER, 1, 65536, "512", \
      "connections open at once") \
    X("connections-per-address", connections_per_address, NUMBER, 0, 65536, "0", \
      "of one address; 0: no limit") \
    X("header-bytes", header_bytes, BYTES, 4 * CB_CONFIG_KIB, 1 * CB_CONFIG_MIB, "32K", \
      "request line and headers; then 431") \
    X("photo-bytes", photo_bytes, BYTES, 1, 1 * CB_CONFIG_GIB, "64M", \
      "body of predict and explain; then 413") \
    X("json-bytes", json_bytes, BYTES, 1, 64 * CB_CONFIG_MIB, "1M", \
      "a JSON body that carries no photo; then 413") \
    X("archive-bytes", archive_bytes, BYTES, 1, 64 * CB_CONFIG_GIB, "1G", \
      "body with a dataset; then 413") \
    X("model-bytes", model_bytes, BYTES, 1, 64 * CB_CONFIG_GIB, "2G", \
      "body with a model; then 413") \
    X("body-memory", body_memory, BYTES, 0, 1 * CB_CONFIG_GIB, "4M", \
      "larger bodies wait in a file of the data folder") \
    X("body-total", body_total, BYTES, 1 * CB_CONFIG_MIB, 1024 * CB_CONFIG_GIB, "4G", \
      "bodies held at once; then 503") \
    X("refused-bytes", refused_bytes, BYTES, 0, 1 * CB_CONFIG_GIB, "16M", \
      "of a refused body that are read before the answer") \
    X("request-memory", request_memory, BYTES, 16 * CB_CONFIG_MIB, 64 * CB_CONFIG_GIB, "2G", \
      "memory that one request may use") \
    X("job-memory", job_memory, BYTES, 16 * CB_CONFIG_MIB, 1024 * CB_CONFIG_GIB, "16G", \
      "memory that training may use") \
    X("images", images, NUMBER, 1, 4096, "64", \
      "photos in one request") \
    X("pixels", pixels, NUMBER, 1, 1000000000, "100000000", \
      "pixels of one photo") \
    X("recent-bytes", recent_bytes, BYTES, 0, 64 * CB_CONFIG_GIB, "128M", \
      "photos kept for explain, in all") \
    X("recent-count", recent_count, NUMBER, 1, 65536, "1024", \
      "photos kept for explain") \
    X("recent-seconds", recent_seconds, NUMBER, 1, 86400, "600", \
      "time they are kept") \
    X("archive-files", archive_files, NUMBER, 1, 10000000, "100000", \
      "files in one dataset") \
    X("dataset-bytes", dataset_bytes, BYTES, 1, 1024 * CB_CONFIG_GIB, "4G", \
      "one dataset, unpacked") \
    X("jobs-queued", jobs_queued, NUMBER, 1, 10000, "32", \
      "jobs that may wait; then 503") \
    X("jobs-kept", jobs_kept, NUMBER, 1, 10000, "200", \
      "finished jobs that are remembered") \
    X("idle-seconds", idle_seconds, NUMBER, 1, 3600, "30", \
      "silence after which a connection is closed") \
    X("header-seconds", header_seconds, NUMBER, 1, 3600, "20", \
      "time to send the headers of a request") \
    X("body-seconds", body_seconds, NUMBER, 1, 86400, "600", \
      "time to send the body of a request") \
    X("queue-seconds", queue_seconds, NUMBER, 1, 3600, "30", \
      "time a request may wait for a worker; then 504") \
    X("drain-seconds", drain_seconds, NUMBER, 0, 3600, "25", \
      "time to finish requests when asked to stop") \
    X("retry-seconds", retry_seconds, NUMBER, 1, 3600, "1", \
      "Retry-After of a 503")
/* clang-format on */

#define CB_CONFIG_MODELS 64

struct cb_config_model {
    const char *name; /* NULL: from the path */
    const char *path;
};

struct cb_config {
    struct cb_arena arena; /* texts that are neither arguments nor environment */
    struct cb_config_model model[CB_CONFIG_MODELS];
    int n_models;
    const char *models; /* folder of models besides those in the data folder; may not exist */
    struct cb_cache *cache; /* what is kept between runs; NULL: nothing */
#define CB_CONFIG_TYPE_TEXT const char *
#define CB_CONFIG_TYPE_NUMBER int64_t
#define CB_CONFIG_TYPE_BYTES int64_t
#define CB_CONFIG_MEMBER(name, member, kind, lo, hi, fallback, meaning)                            \
    CB_CONFIG_TYPE_##kind member;
    CB_CONFIG_SETTINGS(CB_CONFIG_MEMBER)
#undef CB_CONFIG_MEMBER
};

/* What the command line gave: "photo-bytes" = "32M", any number of "model" = "NAME=PATH". */
struct cb_config_given {
    const char *name, *value;
};

/* From the command line, then the environment, then `file` (NULL: none). Errors: CB_ERR_INPUT names
 * the setting, what it wants and what it got. On success the caller owns `out`; it borrows what was
 * given. */
CB_MUST_USE struct cb_status cb_config_load(const struct cb_config_given *given, size_t n,
                                            const char *file, struct cb_config *out);
void cb_config_deinit(struct cb_config *config);

/* All settings with their values, in the form of the settings file. */
void cb_config_print(const struct cb_config *config, FILE *out);
