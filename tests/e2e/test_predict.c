/* predict and explain of the real server. */
#include "tests/e2e/e2e.h"

static struct server_process server;
static struct cb_buf photo;

static void start(void)
{
    server = e2e_start("", "");
    cb_buf_init(&photo, 1 << 20);
    make_photo(40, 200, 40, 40, 7, &photo);
}

static void stop(void)
{
    e2e_clean(&server);
    cb_buf_deinit(&photo);
}

TestSuite(e2e_predict, .init = start, .fini = stop);

Test(e2e_predict, answers_a_raw_photo_with_the_first_configured_model)
{
    struct http_reply r =
        http_call(server.port, "POST", "/predict?top=2", "", photo.data, photo.len);
    const char *first = r.body ? strstr(r.body, "\"probability\":") : NULL;
    cr_expect(eq(int, r.code, 200));
    cr_expect(http_has(&r, "\"model\":\"tiny\""));
    cr_expect(http_has(&r, "\"width\":40,\"height\":40"));
    cr_expect(http_has(&r, "\"timing_ms\":{"));
    cr_assert_not_null(first);
    const char *second = strstr(first + 1, "\"probability\":");
    cr_assert_not_null(second);
    cr_expect(strstr(second + 1, "\"probability\":") == NULL, "top=2 gives two");
    cr_expect(atof(first + 14) >= atof(second + 14), "best first");
    http_free(&r);
    e2e_end(&server);
}

Test(e2e_predict, reads_a_form_with_several_photos)
{
    struct cb_buf body;
    cb_buf_init(&body, 1 << 20);
    for (int i = 0; i < 2; i++) {
        cb_buf_printf(
            &body,
            "--xyz\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a.jpg\"\r\n\r\n");
        cb_buf_add(&body, photo.data, photo.len);
        cb_buf_printf(&body, "\r\n");
    }
    cb_buf_printf(&body, "--xyz--\r\n");
    struct http_reply r =
        http_call(server.port, "POST", "/predict?model=tiny",
                  "Content-Type: multipart/form-data; boundary=xyz\r\n", body.data, body.len);
    cr_expect(eq(int, r.code, 200));
    const char *first = r.body ? strstr(r.body, "\"image\":") : NULL;
    cr_expect(first && strstr(first + 1, "\"image\":"), "two predictions");
    http_free(&r);
    cb_buf_deinit(&body);
    e2e_end(&server);
}

Test(e2e_predict, reads_photos_in_base64)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    struct cb_buf body;
    cb_buf_init(&body, 1 << 20);
    cb_buf_printf(&body, "{\"instances\":[{\"image\":{\"b64\":\"");
    for (size_t i = 0; i < photo.len; i += 3) {
        unsigned char c[3] = { 0 };
        const size_t n = photo.len - i < 3 ? photo.len - i : 3;
        memcpy(c, photo.data + i, n);
        cb_buf_printf(&body, "%c%c%c%c", letters[c[0] >> 2], letters[(c[0] & 3) << 4 | c[1] >> 4],
                      n > 1 ? letters[(c[1] & 15) << 2 | c[2] >> 6] : '=',
                      n > 2 ? letters[c[2] & 63] : '=');
    }
    cb_buf_printf(&body, "\"}}]}");
    e2e_expect_code(http_call(server.port, "POST", "/predict", "Content-Type: application/json\r\n",
                              body.data, body.len),
                    200);
    cb_buf_deinit(&body);
    e2e_end(&server);
}

Test(e2e_predict, warns_about_a_photo_that_is_cut_short)
{
    struct http_reply r =
        http_call(server.port, "POST", "/predict", "", photo.data, photo.len - photo.len / 4);
    cr_expect(eq(int, r.code, 200));
    cr_expect(http_has(&r, "\"warning\":\""));
    http_free(&r);
    e2e_end(&server);
}

Test(e2e_predict, refuses_what_is_no_photo)
{
    static const char bmp[64] = "BM";
    e2e_expect_code(http_call(server.port, "POST", "/predict", "", bmp, sizeof bmp), 415);
    e2e_expect_code(http_call(server.port, "POST", "/predict", "", "hello", 5), 415);
    e2e_expect_code(http_call(server.port, "POST", "/predict", "", "", 0), 400);
    e2e_expect_code(http_call(server.port, "POST", "/predict", "Content-Type: application/json\r\n",
                              "{\"a\":", 5),
                    400);
    e2e_expect_code(http_call(server.port, "POST", "/predict", "Content-Type: application/json\r\n",
                              "{\"instances\":[{\"image\":{\"b64\":\"?\"}}]}", 38),
                    400);
    e2e_expect_code(
        http_call(server.port, "POST", "/predict", "Content-Type: multipart/form-data\r\n", "x", 1),
        400);
    e2e_end(&server);
}

Test(e2e_predict, names_bad_parameters_and_unknown_models)
{
    e2e_expect_code(http_call(server.port, "POST", "/predict?top=0", "", photo.data, photo.len),
                    400);
    e2e_expect_code(http_call(server.port, "POST", "/predict?top=x", "", photo.data, photo.len),
                    400);
    e2e_expect_code(
        http_call(server.port, "POST", "/predict?model=nobody", "", photo.data, photo.len), 404);
    e2e_expect_code(http_call(server.port, "POST", "/predict?model=%zz", "", photo.data, photo.len),
                    400);
    e2e_end(&server);
}

Test(e2e_predict, explains_a_photo_by_its_id_and_directly)
{
    char id[64], target[128];
    struct http_reply r = http_call(server.port, "POST", "/predict", "", photo.data, photo.len);
    cr_assert(e2e_text(&r, "image", id, sizeof id));
    http_free(&r);
    snprintf(target, sizeof target, "/explain?image=%s&class=1&alpha=0.7", id);
    r = http_get(server.port, target);
    cr_expect(eq(int, r.code, 200));
    cr_expect(r.len > 8 && memcmp(r.body, "\x89PNG", 4) == 0, "a PNG");
    http_free(&r);
    r = http_call(server.port, "POST", "/explain?class=2", "Accept: application/json\r\n",
                  photo.data, photo.len);
    cr_expect(eq(int, r.code, 200));
    cr_expect(http_has(&r, "\"model\":\"tiny\",\"class\":2,"));
    cr_expect(http_has(&r, "\"layer\":\"features\""));
    cr_expect(http_has(&r, "\"map\":[["));
    http_free(&r);
    e2e_end(&server);
}

Test(e2e_predict, explains_nothing_that_it_does_not_know)
{
    e2e_expect_code(http_get(server.port, "/explain"), 400);
    e2e_expect_code(http_get(server.port, "/explain?image=p000000000000000000000000"), 404);
    e2e_expect_code(http_call(server.port, "POST", "/explain?alpha=2", "", photo.data, photo.len),
                    400);
    e2e_expect_code(http_call(server.port, "POST", "/explain?class=99", "", photo.data, photo.len),
                    400);
    e2e_expect_code(
        http_call(server.port, "POST", "/explain?layer=nothing", "", photo.data, photo.len), 400);
    e2e_expect_code(
        http_call(server.port, "POST", "/explain?method=tarot", "", photo.data, photo.len), 400);
    e2e_end(&server);
}

Test(e2e_predict, describes_its_models)
{
    struct http_reply r = http_get(server.port, "/models");
    cr_expect(http_has(
        &r, "\"name\":\"tiny\",\"state\":\"ready\",\"origin\":\"configured\",\"default\":true"));
    cr_expect(http_has(&r, "\"name\":\"seedling\""));
    http_free(&r);
    r = http_get(server.port, "/models/tiny");
    cr_expect(http_has(&r, "\"recipe_assumed\":true"));
    cr_expect(http_has(&r, "\"classes\":3"));
    cr_expect(http_has(&r, "\"cam_layer\":\"features\""));
    http_free(&r);
    e2e_expect_code(http_get(server.port, "/models/nobody"), 404);
    e2e_expect_code(http_call(server.port, "DELETE", "/models/tiny", "", NULL, 0), 409);
    e2e_end(&server);
}
