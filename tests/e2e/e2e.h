/* tests/e2e/e2e.h - what the tests of the running server share. */
#pragma once

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/dataset_maker.h"
#include "tests/support/http_client.h"
#include "tests/support/server_process.h"

/* Writes a small classifier (onnx_builder.h) to /tmp; its path is valid until the process ends. */
const char *e2e_model(int classes, unsigned long seed);

/* A server that serves such a model, with 3 classes, as `tiny`; more options may follow. */
struct server_process e2e_start(const char *folder, const char *options);

/* The end of every test: the server is asked to stop and must end with 0. (Criterion passes over
 * what fails in .fini.) */
void e2e_end(struct server_process *server);

/* For .fini: whatever a failed test left. */
void e2e_clean(struct server_process *server);

/* Expects a reply's code, and that it is a problem with that status where it is an error; then
 * frees it. */
#define e2e_expect_code(reply, wanted)                                                             \
    do {                                                                                           \
        struct http_reply r_ = (reply);                                                            \
        cr_expect(eq(int, r_.code, wanted), "%.*s", (int)r_.len, r_.body ? r_.body : "no answer"); \
        if ((wanted) >= 400)                                                                       \
            cr_expect(http_has(&r_, "\"error\":\""), "not a problem");                             \
        http_free(&r_);                                                                            \
    } while (0)

/* The value of "key":"..." in a JSON body, into text. */
bool e2e_text(const struct http_reply *reply, const char *key, char *text, size_t size);

/* GET /jobs/ID until it is over; the final reply. */
struct http_reply e2e_wait_job(int port, const char *id);
