#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/file.h"
#include "server/job_queue.h"

/* A job that runs until it is let or cancelled. */
static struct {
    atomic_bool go;
    atomic_int runs, ends;
} world;

static char folder[] = "/tmp/cambium-jobs-XXXXXX";
static struct cb_db *db;
static struct cb_job_queue *queue;

static struct cb_status run(void *ctx, const struct cb_job *job, struct cb_buf *metrics)
{
    (void)ctx;
    atomic_fetch_add(&world.runs, 1);
    cb_job_progress(job, 0.5, "features", "progress", "{\"done\":1}");
    while (!atomic_load(&world.go)) {
        if (atomic_load(job->cancel))
            return cb_fail(CB_ERR_CANCELLED, "cancelled");
        poll(NULL, 0, 1);
    }
    if (strcmp(job->order.name, "bad") == 0)
        return cb_fail(CB_ERR_CONTENT, "nothing to learn");
    cb_buf_printf(metrics, "{\"accuracy\":1}");
    return cb_ok();
}

static void on_change(void *ctx)
{
    (void)ctx;
}

static void on_end(void *ctx, const struct cb_job_order *order)
{
    (void)ctx, (void)order;
    atomic_fetch_add(&world.ends, 1);
}

static void open_queue(int max_queued, int max_kept)
{
    const struct cb_job_hooks hooks = { .run = run, .on_change = on_change, .on_end = on_end };
    char path[100];
    snprintf(path, sizeof path, "%s/db", folder);
    cr_assert(eq(int, cb_db_open(path, &db).code, CB_OK));
    cr_assert(eq(int, cb_job_queue_create(db, &hooks, max_queued, max_kept, &queue).code, CB_OK));
    cr_assert(eq(int, cb_job_queue_start(queue).code, CB_OK));
}

static void close_queue(void)
{
    cb_job_queue_stop(queue);
    cb_job_queue_destroy(queue);
    cb_db_close(db);
}

static void start(void)
{
    dup2(open("/dev/null", O_WRONLY), STDERR_FILENO); /* the log */
    cr_assert_not_null(mkdtemp(folder));
}

static void stop(void)
{
    close_queue();
    cr_expect(eq(int, cb_folder_remove(folder).code, CB_OK));
}

TestSuite(server_job_queue, .init = start, .fini = stop, .timeout = 60);

static enum cb_code submit(const char *name, char id[CB_JOB_ID])
{
    struct cb_job_order order = { .base = "base",
                                  .dataset = "d1",
                                  .config = "{\"mode\":\"head\"}" };
    snprintf(order.name, sizeof order.name, "%s", name);
    return cb_job_queue_submit(queue, &order, id).code;
}

static bool says(const char *id, const char *text)
{
    struct cb_buf out;
    struct cb_json json = { .out = &out };
    bool found;
    cb_buf_init(&out, 1 << 20);
    cr_expect(eq(int, cb_job_queue_write(queue, id, &json).code, CB_OK));
    found = strstr(out.data, text) != NULL;
    cb_buf_deinit(&out);
    return found;
}

static void wait_for(const char *id, const char *text)
{
    for (int i = 0; i < 5000 && !says(id, text); i++)
        poll(NULL, 0, 1);
    cr_expect(says(id, text), "%s never says %s", id, text);
}

Test(server_job_queue, runs_one_job_after_the_other_to_done_or_failed)
{
    char good[CB_JOB_ID], bad[CB_JOB_ID];
    open_queue(4, 4);
    cr_expect(eq(int, submit("good", good), CB_OK));
    cr_expect(eq(int, submit("bad", bad), CB_OK));
    wait_for(good, "\"state\":\"running\"");
    wait_for(good, "\"progress\":0.5,\"stage\":\"features\"");
    cr_expect(says(bad, "\"state\":\"queued\""));
    atomic_store(&world.go, true);
    wait_for(good, "\"state\":\"done\"");
    cr_expect(says(good, "\"metrics\":{\"accuracy\":1}"));
    wait_for(bad, "\"state\":\"failed\"");
    cr_expect(says(bad, "\"error\":\"nothing to learn\""));
}

Test(server_job_queue, cancels_what_waits_and_what_runs)
{
    char first[CB_JOB_ID], second[CB_JOB_ID];
    open_queue(4, 4);
    cr_expect(eq(int, submit("a", first), CB_OK));
    cr_expect(eq(int, submit("b", second), CB_OK));
    wait_for(first, "\"state\":\"running\"");
    cr_expect(eq(int, cb_job_queue_cancel(queue, second).code, CB_OK));
    cr_expect(says(second, "\"state\":\"cancelled\""));
    cr_expect(eq(int, cb_job_queue_cancel(queue, first).code, CB_OK));
    wait_for(first, "\"state\":\"cancelled\"");
    cr_expect(eq(int, cb_job_queue_cancel(queue, first).code, CB_ERR_CONFLICT));
    cr_expect(eq(int, cb_job_queue_cancel(queue, "jnone").code, CB_ERR_NOT_FOUND));
    for (int i = 0; i < 1000 && atomic_load(&world.ends) < 2; i++)
        poll(NULL, 0, 1);
    cr_expect(eq(int, atomic_load(&world.ends), 2));
}

Test(server_job_queue, bounds_what_waits_and_keeps_names_apart)
{
    char id[CB_JOB_ID], other[CB_JOB_ID];
    open_queue(2, 4);
    cr_expect(eq(int, submit("a", id), CB_OK));
    wait_for(id, "\"state\":\"running\"");
    cr_expect(eq(int, submit("a", other), CB_ERR_CONFLICT));
    cr_expect(eq(int, submit("b", other), CB_OK));
    cr_expect(eq(int, submit("c", other), CB_OK));
    cr_expect(eq(int, submit("d", other), CB_ERR_BUSY));
    atomic_store(&world.go, true);
}

Test(server_job_queue, forgets_the_oldest_jobs)
{
    char first[CB_JOB_ID], id[CB_JOB_ID], name[16];
    struct cb_json json = { .out = NULL };
    open_queue(2, 2);
    atomic_store(&world.go, true);
    for (int i = 0; i < 8; i++) {
        snprintf(name, sizeof name, "n%d", i);
        cr_expect(eq(int, submit(name, i ? id : first), CB_OK));
        wait_for(i ? id : first, "\"state\":\"done\"");
        poll(NULL, 0, 20);
    }
    cr_expect(eq(int, cb_job_queue_write(queue, first, &json).code, CB_ERR_NOT_FOUND));
}

Test(server_job_queue, begins_again_with_what_ran_when_it_was_stopped)
{
    char id[CB_JOB_ID];
    open_queue(4, 4);
    cr_expect(eq(int, submit("a", id), CB_OK));
    wait_for(id, "\"state\":\"running\"");
    close_queue();
    cr_expect(eq(int, atomic_load(&world.ends), 0));
    atomic_store(&world.go, true);
    open_queue(4, 4);
    wait_for(id, "\"state\":\"done\"");
    cr_expect(eq(int, atomic_load(&world.runs), 2));
}

Test(server_job_queue, streams_all_events_from_any_point)
{
    char id[CB_JOB_ID], text[4096], after[20] = "";
    struct cb_arena arena;
    struct cb_reply rep;
    long n;
    open_queue(4, 4);
    atomic_store(&world.go, true);
    cr_expect(eq(int, submit("a", id), CB_OK));
    wait_for(id, "\"state\":\"done\"");
    cr_assert(eq(int, cb_arena_init(&arena, 1 << 16).code, CB_OK));
    cb_reply_init(&rep, 1000);
    cr_assert(eq(int, cb_job_queue_stream(queue, id, after, &arena, &rep).code, CB_OK));
    n = rep.next(rep.ctx, text, sizeof text - 1);
    cr_assert(gt(int, (int)n, 0));
    text[n] = 0;
    cr_expect(strstr(text, "event: progress\ndata: {\"done\":1}\nid: ") != NULL);
    cr_expect(eq(int, (int)rep.next(rep.ctx, text, sizeof text), -1));
    snprintf(after, sizeof after, "%ld", n);
    cr_assert(eq(int, cb_job_queue_stream(queue, id, after, &arena, &rep).code, CB_OK));
    cr_expect(eq(int, rep.code, 204));
    cr_expect(
        eq(int, cb_job_queue_stream(queue, "jnone", "", &arena, &rep).code, CB_ERR_NOT_FOUND));
    cb_reply_deinit(&rep);
    cb_arena_deinit(&arena);
}
