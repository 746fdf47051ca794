/* server/finetune.h - the job that makes a model: dataset and base through train_job.h, the result
 * into store and registry. */
#pragma once

#include "server/job_queue.h"

struct cb_app;

/* cb_job_run; ctx is the app. Errors: what the base, the dataset and training say; CB_ERR_CONFLICT
 * the name was taken meanwhile. */
CB_MUST_USE struct cb_status cb_finetune_run(void *app, const struct cb_job *job,
                                             struct cb_buf *metrics);
