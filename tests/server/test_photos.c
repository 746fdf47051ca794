#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <poll.h>
#include <string.h>

#include "server/photos.h"

static struct cb_arena arena;
static struct cb_photos *photos;

static void stop(void)
{
    cb_photos_destroy(photos);
    cb_arena_deinit(&arena);
}

TestSuite(server_photos, .fini = stop);

static void start(size_t bytes, size_t count, int64_t seconds)
{
    cr_assert(eq(int, cb_arena_init(&arena, 1 << 20).code, CB_OK));
    cr_assert(eq(int, cb_photos_create(&arena, bytes, count, seconds, &photos).code, CB_OK));
}

static void add(size_t len, char fill, char id[CB_PHOTO_ID])
{
    char data[2000];
    memset(data, fill, sizeof data);
    cb_photos_add(photos, (struct cb_bytes){ (const uint8_t *)data, len }, id);
}

static bool has(const char *id, char fill)
{
    struct cb_bytes bytes;
    struct cb_status st = cb_photos_get(photos, id, &arena, &bytes);
    if (st.code)
        cr_expect(eq(int, st.code, CB_ERR_NOT_FOUND));
    return st.code == CB_OK && bytes.len && bytes.data[0] == fill &&
           bytes.data[bytes.len - 1] == fill;
}

Test(server_photos, keeps_the_newest_within_their_number)
{
    char id[4][CB_PHOTO_ID];
    start(1 << 20, 3, 100);
    for (int i = 0; i < 4; i++)
        add(10, (char)('a' + i), id[i]);
    cr_expect(not(has(id[0], 'a')));
    for (int i = 1; i < 4; i++)
        cr_expect(has(id[i], (char)('a' + i)), "photo %d", i);
    cr_expect(not(has("p", 'a')));
}

Test(server_photos, keeps_no_more_bytes_than_it_may)
{
    char id[3][CB_PHOTO_ID];
    start(4096, 100, 100);
    add(1900, 'a', id[0]);
    add(1900, 'b', id[1]);
    cr_expect(has(id[0], 'a') && has(id[1], 'b'));
    add(100, 'c', id[2]);
    cr_expect(not(has(id[0], 'a')));
    cr_expect(has(id[1], 'b') && has(id[2], 'c'));
}

Test(server_photos, forgets_after_a_while)
{
    char id[CB_PHOTO_ID];
    start(1 << 20, 3, 1);
    add(10, 'a', id);
    cr_expect(has(id, 'a'));
    poll(NULL, 0, 1100);
    cr_expect(not(has(id, 'a')));
}
