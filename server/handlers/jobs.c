/* server/handlers/jobs.c - GET /jobs, GET DELETE /jobs/ID, GET /jobs/ID/events */
#include "server/app.h"
#include "server/handlers/handlers.h"
#include "server/job_queue.h"

struct cb_status cb_handle_job_list(struct cb_app *app, struct cb_request *req,
                                    struct cb_reply *rep)
{
    struct cb_json json = cb_reply_json(rep, 200);
    (void)req;
    cb_json_open(&json, NULL, '{');
    cb_json_open(&json, "jobs", '[');
    cb_job_queue_list(app->jobs, &json);
    cb_json_close(&json, ']');
    cb_json_close(&json, '}');
    return cb_ok();
}

struct cb_status cb_handle_job_get(struct cb_app *app, struct cb_request *req, struct cb_reply *rep)
{
    struct cb_json json = cb_reply_json(rep, 200);
    return cb_job_queue_write(app->jobs, req->part[0], &json);
}

struct cb_status cb_handle_job_events(struct cb_app *app, struct cb_request *req,
                                      struct cb_reply *rep)
{
    return cb_job_queue_stream(app->jobs, req->part[0], req->last_event, req->arena, rep);
}

/* 200 with the job: cancelled, or, where it runs, soon to be. */
struct cb_status cb_handle_job_cancel(struct cb_app *app, struct cb_request *req,
                                      struct cb_reply *rep)
{
    struct cb_json json = cb_reply_json(rep, 200);
    CB_TRY(cb_job_queue_cancel(app->jobs, req->part[0]));
    return cb_job_queue_write(app->jobs, req->part[0], &json);
}
