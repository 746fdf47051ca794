/* From an archive to a model that is served, through the real server. */
#include <poll.h>

#include "tests/e2e/e2e.h"
#include "tests/support/onnx_builder.h"

static struct server_process server;
static struct cb_buf archive, photo;

static void start(void)
{
    server = e2e_start("", "");
    cb_buf_init(&archive, 16 << 20);
    cb_buf_init(&photo, 1 << 20);
    make_dataset(3, 12, &archive);
    make_photo(30, 40, 200, 40, 999, &photo);
}

static void stop(void)
{
    e2e_clean(&server);
    cb_buf_deinit(&archive);
    cb_buf_deinit(&photo);
}

TestSuite(e2e_learn, .init = start, .fini = stop);

static struct http_reply post(const char *target, const char *headers, const void *body, size_t len)
{
    return http_call(server.port, "POST", target, headers, body, len);
}

/* Uploads the archive; its id. */
static void upload(char id[64])
{
    struct http_reply r = post("/datasets?name=colours", "", archive.data, archive.len);
    cr_assert(eq(int, r.code, 201), "%.*s", (int)r.len, r.body);
    cr_assert(e2e_text(&r, "id", id, 64));
    http_free(&r);
}

/* Trains `name` on the dataset; the reply of the finished job. */
static struct http_reply train(const char *dataset, const char *name)
{
    char body[300], id[64];
    snprintf(body, sizeof body,
             "{\"base\":\"tiny\",\"dataset\":\"%s\",\"name\":\"%s\",\"mode\":\"head\"}", dataset,
             name);
    struct http_reply r =
        post("/finetune", "Content-Type: application/json\r\n", body, strlen(body));
    cr_assert(eq(int, r.code, 202), "%.*s", (int)r.len, r.body);
    cr_assert(e2e_text(&r, "id", id, sizeof id));
    http_free(&r);
    return e2e_wait_job(server.port, id);
}

/* What a model says about the green photo. */
static void expect_green(const char *model)
{
    char target[100], label[64] = "";
    snprintf(target, sizeof target, "/predict?model=%s&top=1", model);
    struct http_reply r = post(target, "", photo.data, photo.len);
    cr_expect(eq(int, r.code, 200), "%.*s", (int)r.len, r.body);
    cr_expect(e2e_text(&r, "label", label, sizeof label));
    cr_expect(eq(str, (char *)label, "green"));
    http_free(&r);
}

Test(e2e_learn, keeps_datasets_and_lets_them_be_changed)
{
    char id[64], target[128];
    upload(id);
    struct http_reply r = http_get(server.port, "/datasets");
    cr_expect(http_has(&r, id));
    http_free(&r);
    snprintf(target, sizeof target, "/datasets/%s", id);
    r = http_get(server.port, target);
    cr_expect(http_has(&r, "\"blue\":12,\"green\":12,\"red\":12"));
    cr_expect(http_has(&r, "\"name\":\"colours\""));
    http_free(&r);
    snprintf(target, sizeof target, "/datasets/%s/images?label=green", id);
    r = post(target, "", photo.data, photo.len);
    cr_expect(eq(int, r.code, 200));
    cr_expect(http_has(&r, "\"added\":1"));
    cr_expect(http_has(&r, "\"green\":13"));
    http_free(&r);
    e2e_expect_code(post(target, "", "no photo", 8), 415);
    snprintf(target, sizeof target, "/datasets/%s/images", id);
    e2e_expect_code(post(target, "", photo.data, photo.len), 400);
    snprintf(target, sizeof target, "/datasets/%s", id);
    e2e_expect_code(http_call(server.port, "DELETE", target, "", NULL, 0), 204);
    e2e_expect_code(http_get(server.port, target), 404);
    e2e_end(&server);
}

Test(e2e_learn, takes_a_form_with_a_part_for_each_photo)
{
    struct cb_buf body;
    cb_buf_init(&body, 1 << 20);
    for (int i = 0; i < 4; i++) {
        struct cb_buf one;
        cb_buf_init(&one, 1 << 20);
        make_photo(20, i < 2 ? 200 : 10, 50, 50, (uint64_t)i + 1, &one);
        cb_buf_printf(
            &body,
            "--q\r\nContent-Disposition: form-data; name=\"%s\"; filename=\"%d.jpg\"\r\n\r\n",
            i < 2 ? "warm" : "cold", i);
        cb_buf_add(&body, one.data, one.len);
        cb_buf_printf(&body, "\r\n");
        cb_buf_deinit(&one);
    }
    cb_buf_printf(&body, "--q\r\nContent-Disposition: form-data; name=\"warm\"; "
                         "filename=\"bad.jpg\"\r\n\r\nbad\r\n--q--\r\n");
    struct http_reply r =
        post("/datasets", "Content-Type: multipart/form-data; boundary=q\r\n", body.data, body.len);
    cr_expect(eq(int, r.code, 201), "%.*s", (int)r.len, r.body);
    cr_expect(http_has(&r, "\"cold\":2,\"warm\":2"));
    cr_expect(http_has(&r, "\"rejected\":[{\"file\":\""));
    http_free(&r);
    cb_buf_deinit(&body);
    e2e_end(&server);
}

Test(e2e_learn, refuses_what_is_no_dataset)
{
    struct cb_buf one;
    e2e_expect_code(post("/datasets", "", "hello", 5), 415);
    e2e_expect_code(post("/finetune", "Content-Type: application/json\r\n", "{}", 2), 400);
    e2e_expect_code(
        post("/finetune", "Content-Type: application/json\r\n", "{\"dataset\":\"d0\"}", 16), 404);
    cb_buf_init(&one, 16 << 20);
    make_dataset(1, 4, &one);
    e2e_expect_code(post("/finetune?name=single", "", one.data, one.len), 422);
    struct http_reply r = http_get(server.port, "/datasets");
    cr_expect(http_has(&r, "\"datasets\":[]"), "what was refused is not kept");
    http_free(&r);
    cb_buf_deinit(&one);
    e2e_end(&server);
}

Test(e2e_learn, trains_serves_keeps_and_exports_a_model)
{
    char id[64], label[64];
    upload(id);
    struct http_reply r = train(id, "colours");
    cr_assert(http_has(&r, "\"state\":\"done\""), "%.*s", (int)r.len, r.body);
    cr_expect(http_has(&r, "\"progress\":1,"));
    cr_expect(http_has(&r, "\"metrics\":{"));
    http_free(&r);
    expect_green("colours");

    r = http_get(server.port, "/models/colours/model.onnx");
    cr_assert(eq(int, r.code, 200), "%.*s", (int)(r.len < 300 ? r.len : 300), r.body);
    struct http_reply put = http_call(server.port, "PUT", "/models/copy", "", r.body, r.len);
    cr_expect(eq(int, put.code, 201), "%.*s", (int)put.len, put.body);
    cr_expect(e2e_text(&put, "name", label, sizeof label));
    http_free(&put);
    http_free(&r);
    expect_green("copy");

    cr_expect(eq(int, server_stop(&server, SIGTERM), 0));
    server = e2e_start(server.folder, "");
    expect_green("colours");
    expect_green("copy");
    r = http_get(server.port, "/jobs");
    cr_expect(http_has(&r, "\"state\":\"done\""));
    http_free(&r);
    e2e_expect_code(http_call(server.port, "DELETE", "/models/colours", "", NULL, 0), 204);
    e2e_expect_code(http_get(server.port, "/models/colours"), 404);
    expect_green("copy");
    e2e_end(&server);
}

Test(e2e_learn, trains_from_the_archive_itself_and_tells_all_events_afterwards)
{
    char id[64], target[128], last[64];
    struct http_reply r =
        post("/finetune?base=tiny&name=direct&hidden=8&epochs=20&augment=0.5,rotate=5&views=2", "",
             archive.data, archive.len);
    cr_assert(eq(int, r.code, 202), "%.*s", (int)r.len, r.body);
    cr_expect(http_header(&r, "Location", target, sizeof target));
    cr_expect(e2e_text(&r, "id", id, sizeof id));
    http_free(&r);
    cr_expect(strstr(target, id) != NULL);
    snprintf(target, sizeof target, "/jobs/%s/events", id);
    r = http_get(server.port, target); /* ends when the job does */
    cr_expect(eq(int, r.code, 200));
    cr_expect(http_has(&r, "event: state\ndata: {\"state\":\"queued\"}\n"));
    cr_expect(http_has(&r, "data: {\"state\":\"running\"}\n"));
    cr_expect(http_has(&r, "event: epoch\ndata: {\"epoch\":"));
    cr_expect(http_has(&r, "data: {\"state\":\"done\"}\n"));
    const char *at = r.body ? strstr(r.body, "{\"state\":\"done\"}\nid: ") : NULL;
    cr_assert_not_null(at);
    snprintf(last, sizeof last, "Last-Event-ID: %.12s\r\n", at + 21);
    http_free(&r);
    e2e_expect_code(http_call(server.port, "GET", target, last, NULL, 0), 204);
    expect_green("direct");
    snprintf(target, sizeof target, "/jobs/%s", id);
    r = http_get(server.port, target);
    cr_expect(http_has(&r, "\"views\":2") && http_has(&r, "rotate=5"));
    http_free(&r);
    e2e_expect_code(http_call(server.port, "DELETE", target, "", NULL, 0), 409);
    e2e_end(&server);
}

Test(e2e_learn, lets_a_name_be_used_once)
{
    char id[64], body[200];
    upload(id);
    snprintf(body, sizeof body, "{\"dataset\":\"%s\",\"name\":\"tiny\"}", id);
    e2e_expect_code(post("/finetune", "", body, strlen(body)), 409);
    snprintf(body, sizeof body, "{\"dataset\":\"%s\",\"name\":\"../x\"}", id);
    e2e_expect_code(post("/finetune", "", body, strlen(body)), 400);
    snprintf(body, sizeof body, "{\"dataset\":\"%s\",\"base\":\"nobody\"}", id);
    e2e_expect_code(post("/finetune", "", body, strlen(body)), 404);
    snprintf(body, sizeof body, "{\"dataset\":\"%s\",\"name\":\"z\",\"colour\":1}", id);
    e2e_expect_code(post("/finetune", "", body, strlen(body)), 400);
    snprintf(body, sizeof body, "{\"dataset\":\"%s\",\"name\":\"z\",\"augment\":0.5}", id);
    e2e_expect_code(post("/finetune", "", body, strlen(body)), 400);
    e2e_expect_code(http_call(server.port, "PUT", "/models/tiny", "", "x", 1), 409);
    e2e_end(&server);
}

Test(e2e_learn, refuses_models_that_it_cannot_run)
{
    e2e_expect_code(http_call(server.port, "PUT", "/models/a..b", "", "not a model", 11), 422);
    e2e_expect_code(http_call(server.port, "PUT", "/models/-x", "", "not a model", 11), 400);
    e2e_expect_code(http_call(server.port, "PUT", "/models/empty", "", "", 0), 400);
    e2e_expect_code(http_get(server.port, "/models/empty"), 404);
    e2e_end(&server);
}

Test(e2e_learn, runs_a_job_again_after_the_process_was_killed)
{
    char id[64], body[200], job[64];
    upload(id);
    snprintf(
        body, sizeof body,
        "{\"base\":\"tiny\",\"dataset\":\"%s\",\"name\":\"again\",\"hidden\":64,\"epochs\":100000,"
        "\"patience\":100000}",
        id);
    struct http_reply r = post("/finetune", "", body, strlen(body));
    cr_assert(eq(int, r.code, 202), "%.*s", (int)r.len, r.body);
    cr_assert(e2e_text(&r, "id", job, sizeof job));
    http_free(&r);
    server_stop(&server, SIGKILL);
    server = e2e_start(server.folder, "");
    snprintf(body, sizeof body, "/jobs/%s", job);
    r = http_get(server.port, body);
    cr_expect(http_has(&r, "\"state\":\"queued\"") || http_has(&r, "\"state\":\"running\"") ||
              http_has(&r, "\"state\":\"done\""));
    http_free(&r);
    snprintf(body, sizeof body, "/datasets/%s", id);
    e2e_expect_code(http_call(server.port, "DELETE", body, "", NULL, 0), 409);
    snprintf(body, sizeof body, "/jobs/%s", job);
    r = http_call(server.port, "DELETE", body, "", NULL, 0);
    cr_expect(r.code == 200 || r.code == 409);
    http_free(&r);
    r = e2e_wait_job(server.port, job);
    cr_expect(http_has(&r, "\"state\":\"cancelled\"") || http_has(&r, "\"state\":\"done\""));
    http_free(&r);
    e2e_end(&server);
}

Test(e2e_learn, names_all_operators_that_it_does_not_have)
{
    struct onnx_builder b = onnx_begin(17);
    struct cb_bytes file;
    onnx_input(&b, "x", ONNX_FLOAT, ONNX_DIMS(1, 3, 8, 8));
    onnx_node(&b, "Frobnicate", "x", "y");
    onnx_node(&b, "Defenestrate", "y", "z");
    onnx_output(&b, "z", ONNX_FLOAT);
    file = onnx_end(&b);
    struct http_reply r = http_call(server.port, "PUT", "/models/odd", "", file.data, file.len);
    cr_expect(eq(int, r.code, 422));
    cr_expect(http_has(&r, "Frobnicate") && http_has(&r, "Defenestrate"), "%.*s", (int)r.len,
              r.body);
    http_free(&r);
    onnx_free(&b);
    e2e_expect_code(http_get(server.port, "/models/odd"), 404);
    e2e_end(&server);
}

Test(e2e_learn, refuses_a_network_that_wants_more_memory_than_there_is)
{
    const int64_t times[4] = { 1, 1, 8192, 8192 };
    struct onnx_builder b = onnx_begin(13);
    struct cb_bytes file;
    onnx_input(&b, "x", ONNX_FLOAT, ONNX_DIMS(1, 3, 8, 8));
    onnx_wholes(&b, "times", ONNX_DIMS(4), times);
    onnx_node(&b, "Tile", "x times", "many");
    onnx_node(&b, "GlobalAveragePool", "many", "mean");
    onnx_node(&b, "Flatten", "mean", "y");
    onnx_output(&b, "y", ONNX_FLOAT);
    file = onnx_end(&b);
    e2e_expect_code(http_call(server.port, "PUT", "/models/huge", "", file.data, file.len), 413);
    e2e_expect_code(http_get(server.port, "/models/huge"), 404);
    onnx_free(&b);
    e2e_end(&server);
}

Test(e2e_learn, refuses_a_form_with_two_models)
{
    static const char form[] =
        "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nx\r\n"
        "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nx\r\n--b--\r\n";
    e2e_expect_code(http_call(server.port, "PUT", "/models/two",
                              "Content-Type: multipart/form-data; boundary=b\r\n", form,
                              sizeof form - 1),
                    400);
    e2e_end(&server);
}

Test(e2e_learn, puts_a_running_job_back_when_asked_to_stop)
{
    char id[64], body[200], job[64];
    upload(id);
    snprintf(body, sizeof body,
             "{\"base\":\"tiny\",\"dataset\":\"%s\",\"name\":\"later\",\"hidden\":32,"
             "\"epochs\":2000,\"patience\":2000}",
             id);
    struct http_reply r = post("/finetune", "", body, strlen(body));
    cr_assert(eq(int, r.code, 202), "%.*s", (int)r.len, r.body);
    cr_assert(e2e_text(&r, "id", job, sizeof job));
    http_free(&r);
    cr_expect(eq(int, server_stop(&server, SIGTERM), 0));
    server = e2e_start(server.folder, "");
    r = e2e_wait_job(server.port, job);
    cr_expect(http_has(&r, "\"state\":\"done\""), "%.*s", (int)r.len, r.body);
    http_free(&r);
    expect_green("later");
    e2e_end(&server);
}
