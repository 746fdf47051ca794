/* server/handlers/datasets.c - POST GET /datasets, GET DELETE /datasets/ID, POST
 * /datasets/ID/images?label=L */
#include "server/app.h"
#include "server/config.h"
#include "server/handlers/dataset_input.h"
#include "server/handlers/handlers.h"
#include "server/multipart.h"

#define REJECTIONS_MEMORY ((size_t)4 << 20)

struct cb_status cb_handle_dataset_add(struct cb_app *app, struct cb_request *req,
                                       struct cb_reply *rep)
{
    struct cb_rejections rejections = { 0 };
    const char *name = cb_request_text(req, "name");
    struct cb_json json = cb_reply_json(rep, 201);
    char id[CB_DATASET_ID];
    struct cb_arena arena;
    struct cb_status st;
    CB_TRY(cb_arena_init(&arena, REJECTIONS_MEMORY));
    rejections.arena = &arena;
    st = cb_datasets_add(app->datasets, name ? name : "", cb_dataset_input_fill, req, &rejections,
                         id);
    if (st.code == CB_OK) {
        cb_json_open(&json, NULL, '{');
        st = cb_dataset_input_reply(app->datasets, id, &rejections, &json);
        cb_json_close(&json, '}');
        cb_reply_header(rep, "Location", cb_arena_printf(req->arena, "/datasets/%s", id));
    }
    cb_arena_deinit(&arena);
    return st;
}

struct cb_status cb_handle_dataset_list(struct cb_app *app, struct cb_request *req,
                                        struct cb_reply *rep)
{
    struct cb_json json = cb_reply_json(rep, 200);
    (void)req;
    cb_json_open(&json, NULL, '{');
    cb_json_open(&json, "datasets", '[');
    CB_TRY(cb_datasets_list(app->datasets, &json));
    cb_json_close(&json, ']');
    cb_json_close(&json, '}');
    return cb_ok();
}

struct cb_status cb_handle_dataset_get(struct cb_app *app, struct cb_request *req,
                                       struct cb_reply *rep)
{
    struct cb_json json = cb_reply_json(rep, 200);
    cb_json_open(&json, NULL, '{');
    CB_TRY(cb_datasets_write(app->datasets, req->part[0], &json));
    cb_json_close(&json, '}');
    return cb_ok();
}

struct cb_status cb_handle_dataset_remove(struct cb_app *app, struct cb_request *req,
                                          struct cb_reply *rep)
{
    CB_TRY(cb_datasets_remove(app->datasets, req->part[0]));
    rep->code = 204;
    rep->type = NULL;
    return cb_ok();
}

/* Photos for one class (a body that is a photo, or form parts), or for the class that each form
 * part names. */
struct more {
    struct cb_request *req;
    const char *label; /* NULL: the parts' names */
    int added;
};

static struct cb_status add_one(struct more *more, struct cb_dataset_store *store,
                                const char *label, const char *name, struct cb_bytes photo,
                                struct cb_rejections *rejections)
{
    bool added;
    if (!label)
        return cb_fail(CB_ERR_INPUT, "parameter 'label' is missing: the class of the photo");
    CB_TRY(cb_dataset_store_add(store, label, name, photo, rejections, &added));
    more->added += added;
    return cb_ok();
}

static struct cb_status fill_more(void *ctx, struct cb_dataset_store *store,
                                  struct cb_rejections *rejections)
{
    struct more *more = ctx;
    struct cb_multipart multipart;
    struct cb_part part;
    bool found;
    if (!cb_multipart_is(more->req))
        return add_one(more, store, more->label, "body", more->req->body, rejections);
    CB_TRY(cb_multipart_open(more->req, &multipart));
    for (;;) {
        CB_TRY(cb_multipart_next(&multipart, &part, &found));
        if (!found)
            return cb_ok();
        CB_TRY(add_one(more, store, more->label ? more->label : part.name, part.filename, part.data,
                       rejections));
    }
}

struct cb_status cb_handle_dataset_extend(struct cb_app *app, struct cb_request *req,
                                          struct cb_reply *rep)
{
    struct cb_rejections rejections = { .arena = req->arena };
    struct more more = { .req = req, .label = cb_request_text(req, "label") };
    struct cb_json json = cb_reply_json(rep, 200);
    CB_TRY(cb_datasets_extend(app->datasets, req->part[0], fill_more, &more, &rejections));
    if (more.added == 0 && rejections.n_listed)
        return cb_fail(CB_ERR_MEDIA, "%.100s: %.200s", rejections.list[0].file,
                       rejections.list[0].reason);
    cb_json_open(&json, NULL, '{');
    cb_json_int(&json, "added", more.added);
    CB_TRY(cb_dataset_input_reply(app->datasets, req->part[0], &rejections, &json));
    cb_json_close(&json, '}');
    return cb_ok();
}
