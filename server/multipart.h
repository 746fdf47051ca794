/* server/multipart.h - the parts of a multipart/form-data body (RFC 7578, RFC 2046), found in
 * place. */
#pragma once

#include "server/request.h"

struct cb_part {
    const char *name, *filename; /* "" when absent; in the request's arena */
    struct cb_bytes data;        /* points into the body */
};

struct cb_multipart {
    struct cb_request *req;
    const char *boundary; /* "--" and the boundary */
    size_t boundary_len, at;
};

/* True when the body says that it is multipart/form-data. */
bool cb_multipart_is(const struct cb_request *req);

/* Errors: CB_ERR_INPUT no boundary, or a body that does not begin with it. */
CB_MUST_USE struct cb_status cb_multipart_open(struct cb_request *req, struct cb_multipart *out);

/* The next part; *found false after the last. Errors: CB_ERR_INPUT malformed or cut short. */
CB_MUST_USE struct cb_status cb_multipart_next(struct cb_multipart *multipart, struct cb_part *out,
                                               bool *found);
