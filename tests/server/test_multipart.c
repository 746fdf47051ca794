#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "core/base/rng.h"
#include "server/multipart.h"

static struct cb_arena arena;

static void start(void)
{
    cr_assert(eq(int, cb_arena_init(&arena, 1 << 22).code, CB_OK));
}

static void stop(void)
{
    cb_arena_deinit(&arena);
}

TestSuite(server_multipart, .init = start, .fini = stop);

static const char type[] = "multipart/form-data; boundary=b1";

static struct cb_request form(const char *body, size_t len)
{
    return (struct cb_request){ .arena = &arena,
                                .content_type = type,
                                .body = { (const uint8_t *)body, len } };
}

/* Number of parts, -1 for a failure; `last` gets the last one. */
static int count(struct cb_request *req, struct cb_part *last)
{
    struct cb_multipart m;
    bool found;
    int n = 0;
    if (cb_multipart_open(req, &m).code)
        return -1;
    for (;;) {
        if (cb_multipart_next(&m, last, &found).code)
            return -1;
        if (!found)
            return n;
        n++;
    }
}

Test(server_multipart, finds_names_files_and_bytes)
{
    static const char body[] =
        "preamble\r\n--b1\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n"
        "--b1\r\ncontent-type: image/png\r\ncontent-disposition: form-data; filename=\"x "
        "\\\"y\\\".png\"; name=image\r\n\r\n"
        "two\r\n--b\r\n\r\n--b1--\r\nepilogue";
    struct cb_request req = form(body, sizeof body - 1);
    struct cb_part part;
    cr_assert(eq(int, count(&req, &part), 2));
    cr_expect(eq(str, (char *)part.name, "image"));
    cr_expect(eq(str, (char *)part.filename, "x \"y\".png"));
    cr_assert(eq(sz, part.data.len, 10));
    cr_expect(memcmp(part.data.data, "two\r\n--b\r\n", 10) == 0);
}

Test(server_multipart, takes_empty_parts_and_an_empty_form)
{
    static const char body[] =
        "--b1\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n--b1--";
    struct cb_request req = form(body, sizeof body - 1);
    struct cb_part part;
    cr_expect(eq(int, count(&req, &part), 1));
    cr_expect(eq(sz, part.data.len, 0));
    req = form("--b1--", 6);
    cr_expect(eq(int, count(&req, &part), 0));
}

Test(server_multipart, refuses_what_is_cut_short_or_has_no_boundary)
{
    static const char body[] =
        "--b1\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\none\r\n--b1--";
    struct cb_part part;
    for (size_t len = 0; len < sizeof body - 3; len++) {
        struct cb_request req = form(body, len);
        cr_expect(eq(int, count(&req, &part), -1), "%zu bytes", len);
    }
    struct cb_request req = form(body, sizeof body - 1);
    req.content_type = "multipart/form-data";
    cr_expect(eq(int, count(&req, &part), -1));
}

Test(server_multipart, stays_inside_damaged_bodies)
{
    static const char body[] = "--b1\r\nContent-Disposition: form-data; "
                               "name=\"a\"\r\n\r\none\r\n--b1\r\n\r\nx\r\n--b1--\r\n";
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        struct cb_rng rng = cb_rng_seed(seed);
        const size_t mark = arena.used, len = sizeof body - 1;
        char *copy = cb_arena_text(&arena, body, len);
        struct cb_part part;
        for (int i = 0; i < 3; i++)
            copy[cb_rng_below(&rng, len)] = (char)cb_rng_below(&rng, 256);
        struct cb_request req = form(copy, len);
        cr_expect(count(&req, &part) <= 3, "seed %d", (int)seed);
        cb_arena_rewind(&arena, mark);
    }
}
