/* server/job_queue.h - training in the background: one job at a time, all of them remembered in the
 * database.
 *
 * The states, and what moves a job from one to the next, are drawn in job_queue.c. Safe in any
 * thread. */
#pragma once

#include <stdatomic.h>

#include "core/model/model.h"
#include "server/db.h"
#include "server/json.h"
#include "server/reply.h"

#define CB_JOB_ID 17 /* "j", 15 letters and digits, and a 0 */

enum cb_job_state {
    CB_JOB_QUEUED,
    CB_JOB_RUNNING,
    CB_JOB_DONE,
    CB_JOB_FAILED,
    CB_JOB_CANCELLED,
    CB_JOB_STATE_COUNT
};

/* What is asked for. */
struct cb_job_order {
    char base[CB_NAME_MAX + 1], dataset[CB_NAME_MAX + 1], name[CB_NAME_MAX + 1];
    const char *config; /* JSON, for cb_train_config_parse; NULL in copies that need none */
};

/* What the one who runs a job is given. */
struct cb_job {
    char id[CB_JOB_ID];
    struct cb_job_order order;
    const atomic_bool *cancel;
    struct cb_job_queue *queue;
};

/* Does the work; on success `metrics` holds JSON. */
typedef struct cb_status cb_job_run(void *ctx, const struct cb_job *job, struct cb_buf *metrics);

struct cb_job_hooks {
    cb_job_run *run;
    void (*on_change)(void *ctx); /* something new stands in a job's events */
    void (*on_end)(void *ctx,
                   const struct cb_job_order *order); /* a job became done, failed or cancelled */
    void *ctx;
};

struct cb_job_queue;

/* Jobs of an earlier process come back; what was queued or running is queued. Nothing runs before
 * cb_job_queue_start. */
CB_MUST_USE struct cb_status cb_job_queue_create(struct cb_db *db, const struct cb_job_hooks *hooks,
                                                 int max_queued, int max_kept,
                                                 struct cb_job_queue **out);
CB_MUST_USE struct cb_status cb_job_queue_start(struct cb_job_queue *queue);

/* Interrupts the job that runs: it is queued again. Accepts NULL. */
void cb_job_queue_stop(struct cb_job_queue *queue);
void cb_job_queue_destroy(struct cb_job_queue *queue);

/* Errors: CB_ERR_BUSY too many wait; CB_ERR_CONFLICT a job that is not over makes a model of that
 * name. */
CB_MUST_USE struct cb_status cb_job_queue_submit(struct cb_job_queue *queue,
                                                 const struct cb_job_order *order,
                                                 char id[CB_JOB_ID]);

/* A job that waits is cancelled at once, one that runs soon. Errors: CB_ERR_NOT_FOUND;
 * CB_ERR_CONFLICT it is over. */
CB_MUST_USE struct cb_status cb_job_queue_cancel(struct cb_job_queue *queue, const char *id);

/* One job, or all of them (newest first), as JSON values. */
CB_MUST_USE struct cb_status cb_job_queue_write(struct cb_job_queue *queue, const char *id,
                                                struct cb_json *json);
void cb_job_queue_list(struct cb_job_queue *queue, struct cb_json *json);

/* Orders of the jobs that are not over; false past the last. */
bool cb_job_queue_open_order(struct cb_job_queue *queue, int i, struct cb_job_order *out);

/* Makes the reply a stream of the job's events: first all there were (after the event `after`),
 * then those to come. Errors: CB_ERR_NOT_FOUND. */
CB_MUST_USE struct cb_status cb_job_queue_stream(struct cb_job_queue *queue, const char *id,
                                                 const char *after, struct cb_arena *arena,
                                                 struct cb_reply *rep);

/* For the one who runs it: how far (0 to 1), and an event with JSON data. */
void cb_job_progress(const struct cb_job *job, double progress, const char *stage,
                     const char *event, const char *data);
