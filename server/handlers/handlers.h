/* server/handlers/handlers.h - one function a route (router.c): parse, acquire, compute, reply. */
#pragma once

#include "server/router.h"

cb_handler cb_handle_predict;
cb_handler cb_handle_explain;

cb_handler cb_handle_dataset_add, cb_handle_dataset_list, cb_handle_dataset_get,
    cb_handle_dataset_remove, cb_handle_dataset_extend;

cb_handler cb_handle_finetune;
cb_handler cb_handle_job_list, cb_handle_job_get, cb_handle_job_events, cb_handle_job_cancel;

cb_handler cb_handle_model_list, cb_handle_model_get, cb_handle_model_put, cb_handle_model_remove,
    cb_handle_model_file;

cb_handler cb_handle_index, cb_handle_live, cb_handle_ready, cb_handle_metrics, cb_handle_openapi;
