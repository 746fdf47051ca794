/* server/job_queue.c - the states of a job:
 *
 *   submit            take                finish
 *   ------> QUEUED ---------> RUNNING ---------------> DONE | FAILED | CANCELLED
 *             |  ^               |
 *      cancel |  +---------------+  finish, when the server stops; create, when it died
 *             v
 *         CANCELLED
 *
 * Every move is written to the database before the next one begins. */
#include "server/job_queue.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "server/ids.h"
#include "server/log.h"

/* Of one job; progress beyond it is not told, changes of state are. */
#define EVENTS_MAX ((size_t)1 << 20)
#define EVENTS_KEEP ((size_t)1 << 12) /* kept free for those */
#define TEXT_MAX ((size_t)64 << 20)
#define HEARTBEAT_NS 9000000000

static const char *const state_name[CB_JOB_STATE_COUNT] = {
    [CB_JOB_QUEUED] = "queued", [CB_JOB_RUNNING] = "running",     [CB_JOB_DONE] = "done",
    [CB_JOB_FAILED] = "failed", [CB_JOB_CANCELLED] = "cancelled",
};

struct job {
    char id[CB_JOB_ID];
    struct cb_job_order order;
    enum cb_job_state state;
    int64_t created_ms, started_ms, finished_ms;
    double progress;
    const char *stage;
    atomic_bool cancel;
    bool held; /* somebody saves or runs it: it may not be forgotten */
    struct cb_buf config, metrics, error, events;
};

struct cb_job_queue {
    struct cb_arena arena;
    struct cb_db *db;
    struct cb_job_hooks hooks;
    int max_queued, cap;
    pthread_t thread;
    bool started;
    pthread_mutex_t mutex; /* guards all below */
    pthread_cond_t changed;
    struct job **job; /* oldest first */
    int n;
    bool stopping;
};

static bool is_over(const struct job *job)
{
    return job->state >= CB_JOB_DONE;
}

/* ---- with the mutex ---- */

static struct job *find(struct cb_job_queue *q, const char *id)
{
    for (int i = 0; i < q->n; i++)
        if (strcmp(q->job[i]->id, id) == 0)
            return q->job[i];
    return NULL;
}

/* Server-sent events (HTML living standard, 9.2); an event's id is where it ends. */
static void add_event(struct job *job, const char *event, const char *data)
{
    const size_t keep = strcmp(event, "state") ? EVENTS_KEEP : 0;
    const size_t need = strlen(event) + strlen(data) + 64;
    if (need + keep > job->events.limit - job->events.len)
        return;
    cb_buf_printf(&job->events, "event: %s\ndata: %s\n", event, data);
    cb_buf_printf(&job->events, "id: %012zu\n\n", job->events.len + 4 + 12 + 2);
}

static void set_state(struct job *job, enum cb_job_state state)
{
    char data[64];
    job->state = state;
    if (state == CB_JOB_RUNNING)
        job->started_ms = cb_clock_wall_ms();
    if (is_over(job))
        job->finished_ms = cb_clock_wall_ms();
    snprintf(data, sizeof data, "{\"state\":\"%s\"}", state_name[state]);
    add_event(job, "state", data);
}

static struct job *make_job(void)
{
    struct cb_arena arena;
    struct job *job;
    if (cb_arena_init(&arena, sizeof *job).code)
        return NULL;
    job = cb_arena_alloc(&arena, 1, sizeof *job);
    job->stage = "";
    cb_buf_init(&job->config, TEXT_MAX);
    cb_buf_init(&job->metrics, TEXT_MAX);
    cb_buf_init(&job->error, TEXT_MAX);
    cb_buf_init(&job->events, EVENTS_MAX);
    return job;
}

static void free_job(struct job *job)
{
    struct cb_arena arena = { .base = (uint8_t *)job, .budget = sizeof *job };
    cb_buf_deinit(&job->config);
    cb_buf_deinit(&job->metrics);
    cb_buf_deinit(&job->error);
    cb_buf_deinit(&job->events);
    cb_arena_deinit(&arena);
}

static void put(struct cb_buf *buf, const char *text)
{
    cb_buf_add(buf, text, strlen(text));
}

static const char *text_of(const struct cb_buf *buf)
{
    return buf->len ? buf->data : NULL;
}

/* Takes the oldest job that is over out of the table when there is no room for one more; NULL: none
 * to take. */
static struct job *make_room(struct cb_job_queue *q)
{
    struct job *oldest = NULL;
    for (int i = 0; i < q->n && q->n == q->cap && !oldest; i++)
        if (is_over(q->job[i]) && !q->job[i]->held) {
            oldest = q->job[i];
            memmove(&q->job[i], &q->job[i + 1], (size_t)(--q->n - i) * sizeof *q->job);
        }
    return oldest;
}

/* ---- the database: its own lock; a job's texts change only by the thread that saves them ---- */

static struct cb_status save(struct cb_job_queue *q, const struct job *job)
{
    return cb_db_run(
        q->db,
        "INSERT INTO jobs(id, base, dataset, name, config, state, created, started, finished, "
        "error,"
        " metrics, events) VALUES(?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT(id) DO UPDATE SET"
        " state=excluded.state, started=excluded.started, finished=excluded.finished,"
        " error=excluded.error, metrics=excluded.metrics, events=excluded.events",
        NULL, NULL, "ttttttiiittt", job->id, job->order.base, job->order.dataset, job->order.name,
        text_of(&job->config), state_name[job->state], job->created_ms, job->started_ms,
        job->finished_ms, text_of(&job->error), text_of(&job->metrics), text_of(&job->events));
}

static void save_or_log(struct cb_job_queue *q, const struct job *job)
{
    const struct cb_status st = save(q, job);
    if (st.code)
        cb_log(CB_ERROR, "event=job_not_saved job=%s reason=\"%s\"", job->id, st.msg);
}

static void forget(struct cb_job_queue *q, struct job *job)
{
    struct cb_status st =
        cb_db_run(q->db, "DELETE FROM jobs WHERE id = ?", NULL, NULL, "t", job->id);
    if (st.code)
        cb_log(CB_ERROR, "event=job_not_forgotten job=%s reason=\"%s\"", job->id, st.msg);
    free_job(job);
}

static void copy_text(char *to, size_t size, const char *from)
{
    snprintf(to, size, "%s", from);
}

static void load_row(void *ctx, struct cb_row *row)
{
    struct cb_job_queue *q = ctx;
    struct job *job = q->n < q->cap ? make_job() : NULL;
    if (!job)
        return;
    copy_text(job->id, sizeof job->id, cb_row_text(row, 0));
    copy_text(job->order.base, sizeof job->order.base, cb_row_text(row, 1));
    copy_text(job->order.dataset, sizeof job->order.dataset, cb_row_text(row, 2));
    copy_text(job->order.name, sizeof job->order.name, cb_row_text(row, 3));
    put(&job->config, cb_row_text(row, 4));
    for (int s = 0; s < CB_JOB_STATE_COUNT; s++)
        if (strcmp(state_name[s], cb_row_text(row, 5)) == 0)
            job->state = (enum cb_job_state)s;
    job->created_ms = cb_row_int(row, 6);
    job->started_ms = cb_row_int(row, 7);
    job->finished_ms = cb_row_int(row, 8);
    put(&job->error, cb_row_text(row, 9));
    put(&job->metrics, cb_row_text(row, 10));
    put(&job->events, cb_row_text(row, 11));
    job->progress = job->state == CB_JOB_DONE ? 1 : 0;
    q->job[q->n++] = job;
}

static struct cb_status load_all(struct cb_job_queue *q)
{
    CB_TRY(cb_db_run(q->db,
                     "SELECT id, base, dataset, name, config, state, created, started, finished, "
                     "error, metrics, events"
                     " FROM jobs ORDER BY state IN ('queued','running') DESC, created DESC",
                     load_row, q, ""));
    /* The open and the newest came first, for the case of too many. */
    for (int i = 0; i < q->n / 2; i++) {
        struct job *job = q->job[i];
        q->job[i] = q->job[q->n - 1 - i];
        q->job[q->n - 1 - i] = job;
    }
    for (int i = 0; i < q->n; i++)
        if (q->job[i]->state == CB_JOB_RUNNING) {
            set_state(q->job[i], CB_JOB_QUEUED);
            CB_TRY(save(q, q->job[i]));
            cb_log(CB_WARN, "event=job_again job=%s reason=\"the server ended while it ran\"",
                   q->job[i]->id);
        }
    return cb_ok();
}

struct cb_status cb_job_queue_create(struct cb_db *db, const struct cb_job_hooks *hooks,
                                     int max_queued, int max_kept, struct cb_job_queue **out)
{
    const int cap = max_queued + max_kept + 1;
    struct cb_job_queue *q;
    struct cb_status st;
    CB_TRY(cb_arena_begin(sizeof *q + (size_t)cap * sizeof *q->job + 4096, sizeof *q, &q));
    q->job = cb_arena_alloc(&q->arena, (size_t)cap, sizeof *q->job);
    q->db = db;
    q->hooks = *hooks;
    q->max_queued = max_queued;
    q->cap = cap;
    pthread_mutex_init(&q->mutex, NULL);
    pthread_cond_init(&q->changed, NULL);
    st = load_all(q);
    if (st.code)
        cb_job_queue_destroy(q);
    else
        *out = q;
    return st;
}

/* ---- the thread ---- */

static struct job *take(struct cb_job_queue *q)
{
    struct job *job = NULL;
    pthread_mutex_lock(&q->mutex);
    while (!q->stopping && !job) {
        for (int i = 0; i < q->n && !job; i++)
            if (q->job[i]->state == CB_JOB_QUEUED)
                job = q->job[i];
        if (!job)
            pthread_cond_wait(&q->changed, &q->mutex);
    }
    if (job) {
        atomic_store(&job->cancel, false);
        job->held = true;
        set_state(job, CB_JOB_RUNNING);
    }
    pthread_mutex_unlock(&q->mutex);
    return job;
}

static void finish(struct cb_job_queue *q, struct job *job, struct cb_status st,
                   struct cb_buf *metrics)
{
    pthread_mutex_lock(&q->mutex);
    if (st.code == CB_OK) {
        cb_buf_deinit(&job->metrics);
        job->metrics = *metrics;
        *metrics = (struct cb_buf){ 0 };
        job->progress = 1;
        set_state(job, CB_JOB_DONE);
    } else if (q->stopping && st.code == CB_ERR_CANCELLED) {
        set_state(job, CB_JOB_QUEUED);
    } else {
        put(&job->error, st.msg);
        set_state(job, st.code == CB_ERR_CANCELLED ? CB_JOB_CANCELLED : CB_JOB_FAILED);
    }
    const enum cb_job_state state = job->state;
    const bool over = is_over(job);
    pthread_mutex_unlock(&q->mutex);
    save_or_log(q, job);
    cb_log(st.code && over ? CB_WARN : CB_INFO, "event=job_%s job=%s model=%s%s%s",
           state_name[state], job->id, job->order.name, st.code ? " reason=" : "", st.msg);
    if (over)
        q->hooks.on_end(q->hooks.ctx, &job->order);
    q->hooks.on_change(q->hooks.ctx);
}

static void *run_jobs(void *ctx)
{
    struct cb_job_queue *q = ctx;
    struct job *job;
    while ((job = take(q))) {
        struct cb_job work = { .order = job->order, .cancel = &job->cancel, .queue = q };
        struct cb_buf metrics;
        cb_buf_init(&metrics, TEXT_MAX);
        memcpy(work.id, job->id, sizeof work.id);
        work.order.config = text_of(&job->config);
        save_or_log(q, job);
        cb_log(CB_INFO, "event=job_running job=%s model=%s base=%s dataset=%s", job->id,
               job->order.name, job->order.base, job->order.dataset);
        q->hooks.on_change(q->hooks.ctx);
        const struct cb_status st = q->hooks.run(q->hooks.ctx, &work, &metrics);
        finish(q, job, st, &metrics);
        cb_buf_deinit(&metrics);
        pthread_mutex_lock(&q->mutex);
        job->held = false;
        pthread_mutex_unlock(&q->mutex);
    }
    return NULL;
}

struct cb_status cb_job_queue_start(struct cb_job_queue *q)
{
    if (pthread_create(&q->thread, NULL, run_jobs, q))
        return cb_fail(CB_ERR_NOMEM, "cannot start the thread of jobs");
    q->started = true;
    return cb_ok();
}

void cb_job_queue_stop(struct cb_job_queue *q)
{
    if (!q || !q->started)
        return;
    pthread_mutex_lock(&q->mutex);
    q->stopping = true;
    for (int i = 0; i < q->n; i++)
        if (q->job[i]->state == CB_JOB_RUNNING)
            atomic_store(&q->job[i]->cancel, true);
    pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->mutex);
    pthread_join(q->thread, NULL);
    q->started = false;
}

void cb_job_queue_destroy(struct cb_job_queue *q)
{
    if (!q)
        return;
    cb_job_queue_stop(q);
    for (int i = 0; i < q->n; i++)
        free_job(q->job[i]);
    pthread_mutex_destroy(&q->mutex);
    pthread_cond_destroy(&q->changed);
    cb_arena_deinit(&q->arena);
}

/* ---- for handlers ---- */

static struct cb_status check_order(struct cb_job_queue *q, const struct cb_job_order *order)
{
    int waiting = 0;
    for (int i = 0; i < q->n; i++) {
        waiting += q->job[i]->state == CB_JOB_QUEUED;
        if (!is_over(q->job[i]) && strcmp(q->job[i]->order.name, order->name) == 0)
            return cb_fail(CB_ERR_CONFLICT, "job %s is making a model '%s'", q->job[i]->id,
                           order->name);
    }
    if (q->stopping || waiting >= q->max_queued)
        return cb_fail(CB_ERR_BUSY, "%d jobs wait already (jobs-queued)", waiting);
    return cb_ok();
}

struct cb_status cb_job_queue_submit(struct cb_job_queue *q, const struct cb_job_order *order,
                                     char id[CB_JOB_ID])
{
    struct job *job = make_job(), *old = NULL;
    struct cb_status st;
    if (!job)
        return cb_fail(CB_ERR_NOMEM, "no memory for a job");
    cb_id_make('j', job->id, sizeof job->id);
    job->order = *order;
    job->order.config = NULL;
    job->created_ms = cb_clock_wall_ms();
    put(&job->config, order->config);
    set_state(job, CB_JOB_QUEUED);
    memcpy(id, job->id, CB_JOB_ID);
    st = save(q, job); /* before a thread can take it */
    if (st.code) {
        free_job(job);
        return st;
    }
    pthread_mutex_lock(&q->mutex);
    st = check_order(q, order);
    if (st.code == CB_OK) {
        old = make_room(q);
        q->job[q->n++] = job;
        pthread_cond_broadcast(&q->changed);
    }
    pthread_mutex_unlock(&q->mutex);
    if (old || st.code)
        forget(q, st.code ? job : old);
    return st;
}

struct cb_status cb_job_queue_cancel(struct cb_job_queue *q, const char *id)
{
    struct cb_status st = cb_ok();
    struct job *job;
    struct cb_job_order order;
    bool at_once = false;
    pthread_mutex_lock(&q->mutex);
    job = find(q, id);
    if (!job)
        st = cb_fail(CB_ERR_NOT_FOUND, "there is no job '%.40s'", id);
    else if (is_over(job))
        st = cb_fail(CB_ERR_CONFLICT, "job %s is %s already", job->id, state_name[job->state]);
    else if (job->state == CB_JOB_RUNNING)
        atomic_store(&job->cancel, true);
    else {
        set_state(job, CB_JOB_CANCELLED);
        order = job->order;
        job->held = at_once = true;
    }
    pthread_mutex_unlock(&q->mutex);
    if (at_once) {
        save_or_log(q, job);
        pthread_mutex_lock(&q->mutex);
        job->held = false;
        pthread_mutex_unlock(&q->mutex);
        q->hooks.on_end(q->hooks.ctx, &order);
        q->hooks.on_change(q->hooks.ctx);
    }
    return st;
}

static void write_job(const struct job *job, struct cb_json *json)
{
    cb_json_open(json, NULL, '{');
    cb_json_text(json, "id", job->id);
    cb_json_text(json, "state", state_name[job->state]);
    cb_json_text(json, "base", job->order.base);
    cb_json_text(json, "dataset", job->order.dataset);
    cb_json_text(json, "name", job->order.name);
    cb_json_raw(json, "config", text_of(&job->config));
    cb_json_time(json, "created", job->created_ms);
    cb_json_time(json, "started", job->started_ms);
    cb_json_time(json, "finished", job->finished_ms);
    cb_json_real(json, "progress", job->progress);
    if (job->state == CB_JOB_RUNNING)
        cb_json_text(json, "stage", job->stage);
    if (job->error.len)
        cb_json_text(json, "error", job->error.data);
    cb_json_raw(json, "metrics", text_of(&job->metrics));
    cb_json_close(json, '}');
}

struct cb_status cb_job_queue_write(struct cb_job_queue *q, const char *id, struct cb_json *json)
{
    const struct job *job;
    pthread_mutex_lock(&q->mutex);
    if ((job = find(q, id)))
        write_job(job, json);
    pthread_mutex_unlock(&q->mutex);
    return job ? cb_ok() : cb_fail(CB_ERR_NOT_FOUND, "there is no job '%.40s'", id);
}

void cb_job_queue_list(struct cb_job_queue *q, struct cb_json *json)
{
    pthread_mutex_lock(&q->mutex);
    for (int i = q->n - 1; i >= 0; i--)
        write_job(q->job[i], json);
    pthread_mutex_unlock(&q->mutex);
}

bool cb_job_queue_open_order(struct cb_job_queue *q, int i, struct cb_job_order *out)
{
    bool found = false;
    pthread_mutex_lock(&q->mutex);
    for (int k = 0; k < q->n && !found; k++)
        if (!is_over(q->job[k]) && i-- == 0) {
            *out = q->job[k]->order;
            found = true;
        }
    pthread_mutex_unlock(&q->mutex);
    return found;
}

void cb_job_progress(const struct cb_job *work, double progress, const char *stage,
                     const char *event, const char *data)
{
    struct cb_job_queue *q = work->queue;
    struct job *job;
    pthread_mutex_lock(&q->mutex);
    if ((job = find(q, work->id))) {
        job->progress = progress;
        job->stage = stage;
        add_event(job, event, data);
    }
    pthread_mutex_unlock(&q->mutex);
    q->hooks.on_change(q->hooks.ctx);
}

/* ---- streams ---- */

struct stream {
    struct cb_job_queue *queue;
    char id[CB_JOB_ID];
    size_t at;
    int64_t sent_ns;
};

static long next_events(void *ctx, char *out, size_t max)
{
    static const char sign_of_life[] = ": still here\n\n";
    struct stream *s = ctx;
    const int64_t now = cb_clock_ns();
    const struct job *job;
    long n = -1;
    pthread_mutex_lock(&s->queue->mutex);
    if ((job = find(s->queue, s->id)) && s->at < job->events.len) {
        const size_t left = job->events.len - s->at;
        n = (long)(left < max ? left : max);
        memcpy(out, job->events.data + s->at, (size_t)n);
        s->at += (size_t)n;
    } else if (job && !is_over(job))
        n = 0;
    pthread_mutex_unlock(&s->queue->mutex);
    if (n == 0 && now - s->sent_ns > HEARTBEAT_NS && max >= sizeof sign_of_life) {
        n = (long)sizeof sign_of_life - 1; /* also shows whether the client is still there */
        memcpy(out, sign_of_life, (size_t)n);
    }
    if (n > 0)
        s->sent_ns = now;
    return n;
}

struct cb_status cb_job_queue_stream(struct cb_job_queue *q, const char *id, const char *after,
                                     struct cb_arena *arena, struct cb_reply *rep)
{
    struct stream *s;
    const struct job *job;
    bool nothing_more = false;
    CB_TRY(cb_arena_get(arena, 1, sizeof *s, "stream", &s));
    s->queue = q;
    s->sent_ns = cb_clock_ns();
    pthread_mutex_lock(&q->mutex);
    if ((job = find(q, id))) {
        memcpy(s->id, job->id, sizeof s->id);
        s->at = strtoull(after, NULL, 10);
        if (s->at > job->events.len)
            s->at = 0;
        nothing_more = s->at && s->at == job->events.len && is_over(job);
    }
    pthread_mutex_unlock(&q->mutex);
    if (!job)
        return cb_fail(CB_ERR_NOT_FOUND, "there is no job '%.40s'", id);
    if (nothing_more) { /* tells an EventSource not to come again */
        rep->code = 204;
        rep->type = NULL;
        return cb_ok();
    }
    rep->type = "text/event-stream";
    cb_reply_header(rep, "Cache-Control", "no-store");
    rep->next = next_events;
    rep->ctx = s;
    return cb_ok();
}
