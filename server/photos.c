#include "server/photos.h"

#include <pthread.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/base/clock.h"
#include "server/ids.h"

struct photo {
    char id[CB_PHOTO_ID];
    int64_t until_ns;
    struct cb_buf bytes;
};

struct cb_photos {
    size_t max_bytes, max_count;
    int64_t max_ns;
    pthread_mutex_t mutex; /* guards all below */
    struct photo *ring;    /* oldest at first */
    size_t first, count, bytes;
};

struct cb_status cb_photos_create(struct cb_arena *arena, size_t max_bytes, size_t max_count,
                                  int64_t max_seconds, struct cb_photos **out)
{
    struct cb_photos *p;
    CB_TRY(cb_arena_get(arena, 1, sizeof *p, "recent photos", &p));
    CB_TRY(cb_arena_get(arena, max_count, sizeof *p->ring, "recent photos", &p->ring));
    p->max_bytes = max_bytes;
    p->max_count = max_count;
    p->max_ns = max_seconds * 1000000000;
    pthread_mutex_init(&p->mutex, NULL);
    *out = p;
    return cb_ok();
}

static void drop_oldest(struct cb_photos *p)
{
    struct photo *oldest = &p->ring[p->first];
    p->bytes -= oldest->bytes.cap;
    cb_buf_deinit(&oldest->bytes);
    p->first = (p->first + 1) % p->max_count;
    p->count--;
}

static void drop_expired(struct cb_photos *p)
{
    const int64_t now = cb_clock_ns();
    while (p->count && p->ring[p->first].until_ns < now)
        drop_oldest(p);
}

void cb_photos_destroy(struct cb_photos *p)
{
    if (!p)
        return;
    while (p->count)
        drop_oldest(p);
    pthread_mutex_destroy(&p->mutex);
}

void cb_photos_add(struct cb_photos *p, struct cb_bytes photo, char id[CB_PHOTO_ID])
{
    struct photo new = { .until_ns = cb_clock_ns() + p->max_ns };
    cb_id_make('p', new.id, CB_PHOTO_ID);
    memcpy(id, new.id, CB_PHOTO_ID);
    cb_buf_init(&new.bytes, photo.len);
    cb_buf_add(&new.bytes, photo.data, photo.len);
    if (new.bytes.failed || new.bytes.cap > p->max_bytes) {
        cb_buf_deinit(&new.bytes);
        return;
    }
    pthread_mutex_lock(&p->mutex);
    drop_expired(p);
    while (p->count && (p->count == p->max_count || new.bytes.cap > p->max_bytes - p->bytes))
        drop_oldest(p);
    p->ring[(p->first + p->count++) % p->max_count] = new;
    p->bytes += new.bytes.cap;
    pthread_mutex_unlock(&p->mutex);
}

struct cb_status cb_photos_get(struct cb_photos *p, const char *id, struct cb_arena *arena,
                               struct cb_bytes *out)
{
    struct cb_status st =
        cb_fail(CB_ERR_NOT_FOUND, "there is no photo '%.40s', or not any more", id);
    pthread_mutex_lock(&p->mutex);
    drop_expired(p);
    for (size_t i = 0; i < p->count; i++) {
        const struct photo *photo = &p->ring[(p->first + i) % p->max_count];
        if (strcmp(photo->id, id))
            continue;
        const char *copy = cb_arena_text(arena, photo->bytes.data, photo->bytes.len);
        *out = (struct cb_bytes){ (const uint8_t *)copy, photo->bytes.len };
        st = copy ? cb_ok()
                  : cb_fail(CB_ERR_NOMEM, "photo '%.40s' is over the memory of one request", id);
        break;
    }
    pthread_mutex_unlock(&p->mutex);
    return st;
}
