#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "server/request.h"

static struct cb_arena arena;

static void start(void)
{
    cr_assert(eq(int, cb_arena_init(&arena, 1 << 20).code, CB_OK));
}

static void stop(void)
{
    cb_arena_deinit(&arena);
}

TestSuite(server_request, .init = start, .fini = stop);

static struct cb_request target(const char *text)
{
    struct cb_request req = { .arena = &arena, .content_type = "", .accept = "" };
    struct cb_status st = cb_request_target(&req, text);
    cr_assert(eq(int, st.code, CB_OK), "%s", st.msg);
    return req;
}

Test(server_request, decodes_path_and_parameters)
{
    const struct cb_request req = target("/a%20b/c+d?x=1+2&y=%C3%A4&empty=&flag#rest");
    cr_expect(eq(str, (char *)req.path, "/a b/c+d"));
    cr_expect(eq(str, (char *)cb_request_text(&req, "x"), "1 2"));
    cr_expect(eq(str, (char *)cb_request_text(&req, "y"), "\xc3\xa4"));
    cr_expect(cb_request_text(&req, "empty") == NULL);
    cr_expect(cb_request_text(&req, "flag") == NULL);
    cr_expect(cb_request_text(&req, "other") == NULL);
}

Test(server_request, refuses_bad_escapes_zero_bytes_and_relative_paths)
{
    static const char *const bad[] = { "/%", "/%4", "/%zz", "/%00",     "/a?x=%0",
                                       "x",  "",    "*",    "http://x/" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct cb_request req = { .arena = &arena };
        cr_expect(eq(int, cb_request_target(&req, bad[i]).code, CB_ERR_INPUT), "%s", bad[i]);
    }
}

Test(server_request, refuses_too_many_parameters)
{
    char text[1024] = "/?";
    struct cb_request req = { .arena = &arena };
    for (int i = 0; i < CB_QUERY_MAX + 1; i++)
        strcat(text, "a=1&");
    cr_expect(eq(int, cb_request_target(&req, text).code, CB_ERR_INPUT));
}

Test(server_request, reads_numbers_within_their_range)
{
    const struct cb_request req = target("/?n=7&bad=7x&big=99999999999999999999&f=0.25&nan=nan");
    int n;
    double f;
    cr_expect(eq(int, cb_request_int(&req, "n", 1, 0, 10, &n).code, CB_OK));
    cr_expect(eq(int, n, 7));
    cr_expect(eq(int, cb_request_int(&req, "none", 3, 0, 10, &n).code, CB_OK));
    cr_expect(eq(int, n, 3));
    cr_expect(eq(int, cb_request_int(&req, "n", 1, 8, 10, &n).code, CB_ERR_INPUT));
    cr_expect(eq(int, cb_request_int(&req, "bad", 1, 0, 10, &n).code, CB_ERR_INPUT));
    cr_expect(eq(int, cb_request_int(&req, "big", 1, 0, 10, &n).code, CB_ERR_INPUT));
    cr_expect(eq(int, cb_request_real(&req, "f", 1, 0, 1, &f).code, CB_OK));
    cr_expect(eq(dbl, f, 0.25));
    cr_expect(eq(int, cb_request_real(&req, "nan", 1, 0, 1, &f).code, CB_ERR_INPUT));
}

Test(server_request, knows_media_types)
{
    struct cb_request req = { .content_type = "Application/JSON; charset=utf-8",
                              .accept = "application/json" };
    cr_expect(cb_request_is(&req, "application/json"));
    cr_expect(cb_request_wants_json(&req));
    req.content_type = "application/jsonx";
    cr_expect(not(cb_request_is(&req, "application/json")));
    req.accept = "image/png, application/json";
    cr_expect(not(cb_request_wants_json(&req)));
}
