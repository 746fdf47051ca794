/* server/handlers/dataset_input.h - the labelled photos of a request, in whatever form they
 * came. */
#pragma once

#include "server/datasets.h"
#include "server/request.h"

/* cb_datasets_fill; ctx is the request. The body is an archive, or multipart/form-data with
 * archives or with photos whose part's name is their class. Errors: CB_ERR_MEDIA neither; what the
 * dataset's store says. */
CB_MUST_USE struct cb_status cb_dataset_input_fill(void *request, struct cb_dataset_store *store,
                                                   struct cb_rejections *rejections);

/* Members "id", "name", "classes", ... and "rejected" of a dataset. */
CB_MUST_USE struct cb_status cb_dataset_input_reply(struct cb_datasets *datasets, const char *id,
                                                    const struct cb_rejections *rejections,
                                                    struct cb_json *json);
