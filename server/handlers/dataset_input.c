#include "server/handlers/dataset_input.h"

#include "server/multipart.h"
#include "server/train_job.h"

static struct cb_status add_archive(struct cb_dataset_store *store, struct cb_bytes bytes,
                                    struct cb_rejections *rejections)
{
    return cb_dataset_store_add_archive(store, &(struct cb_archive_source){ .bytes = bytes },
                                        rejections);
}

static struct cb_status add_parts(struct cb_request *req, struct cb_dataset_store *store,
                                  struct cb_rejections *rejections)
{
    struct cb_multipart multipart;
    struct cb_part part;
    bool found, added;
    CB_TRY(cb_multipart_open(req, &multipart));
    for (;;) {
        const size_t mark = req->arena->used;
        CB_TRY(cb_multipart_next(&multipart, &part, &found));
        if (!found)
            return cb_ok();
        if (cb_archive_looks_like(part.data))
            CB_TRY(add_archive(store, part.data, rejections));
        else if (*part.filename)
            CB_TRY(cb_dataset_store_add(store, part.name, part.filename, part.data, rejections,
                                        &added));
        if (rejections->arena != req->arena)
            cb_arena_rewind(req->arena, mark); /* names of a hundred thousand parts */
    }
}

struct cb_status cb_dataset_input_fill(void *request, struct cb_dataset_store *store,
                                       struct cb_rejections *rejections)
{
    struct cb_request *req = request;
    if (cb_multipart_is(req))
        return add_parts(req, store, rejections);
    if (!cb_archive_looks_like(req->body))
        return cb_fail(CB_ERR_MEDIA,
                       "the body is no .zip, .tar or .tar.gz with a folder for each class");
    return add_archive(store, req->body, rejections);
}

struct cb_status cb_dataset_input_reply(struct cb_datasets *datasets, const char *id,
                                        const struct cb_rejections *rejections,
                                        struct cb_json *json)
{
    CB_TRY(cb_datasets_write(datasets, id, json));
    cb_rejections_write(rejections, json);
    if (rejections->count > rejections->n_listed)
        cb_json_int(json, "rejected_count", rejections->count);
    return cb_ok();
}
