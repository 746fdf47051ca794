/* Real networks and real photos over HTTP, against what Pillow and ONNX Runtime answered
 * (../shared/models). */
#include <cjson/cJSON.h>
#include <math.h>

#include "core/base/file.h"
#include "tests/e2e/e2e.h"

#define MODELS "../shared/models"
#define PHOTOS "../shared/photos"
#define CLOSE_CALL 0.02 /* first and second of the reference are as good as equal */

struct score {
    int photos, compared, same, wrong;
};

static double number(const cJSON *row, const char *key)
{
    return cJSON_GetObjectItem(row, key)->valuedouble;
}

static void compare(const char *name, const cJSON *reference, const struct http_reply *reply,
                    struct score *score)
{
    cJSON *json = reply->body ? cJSON_ParseWithLength(reply->body, reply->len) : NULL;
    const cJSON *prediction = cJSON_GetArrayItem(cJSON_GetObjectItem(json, "predictions"), 0);
    const cJSON *classes = cJSON_GetObjectItem(prediction, "classes");
    const cJSON *first = cJSON_GetArrayItem(reference, 0),
                *second = cJSON_GetArrayItem(reference, 1);
    cr_expect(cJSON_GetArraySize(classes) > 0, "%s: %d", name, reply->code);
    if (cJSON_GetArraySize(classes) == 0) {
        cJSON_Delete(json);
        return;
    }
    if (number(first, "probability") - number(second, "probability") >= CLOSE_CALL) {
        score->compared++;
        score->same += number(first, "index") == number(cJSON_GetArrayItem(classes, 0), "index");
    }
    for (const cJSON *c = classes->child; c; c = c->next)
        for (const cJSON *r = reference->child; r; r = r->next)
            if (number(c, "index") == number(r, "index") &&
                fabs(number(c, "probability") - number(r, "probability")) > 0.02)
                score->wrong++;
    cJSON_Delete(json);
}

static struct score classify_all(int port, const char *model)
{
    char path[200], target[100];
    struct score score = { 0 };
    struct cb_bytes text, photo;
    cJSON *all;
    snprintf(path, sizeof path, MODELS "/%s/photos.json", model);
    cr_assert(cb_file_map(path, &text).code == CB_OK);
    all = cJSON_ParseWithLength((const char *)text.data, text.len);
    snprintf(target, sizeof target, "/predict?model=%s", model);
    for (const cJSON *entry = all->child; entry; entry = entry->next) {
        snprintf(path, sizeof path, PHOTOS "/%s", entry->string);
        if (cb_file_map(path, &photo).code)
            continue;
        struct http_reply r = http_call(port, "POST", target, "", photo.data, photo.len);
        score.photos++;
        if (strstr(entry->string, ".bmp"))
            cr_expect(eq(int, r.code, 415), "%s", entry->string);
        else if (cJSON_IsArray(entry) && r.code == 200)
            compare(entry->string, entry, &r, &score);
        else
            cr_expect(r.code == 200 && http_has(&r, "\"warning\":"), "%s: %d", entry->string,
                      r.code);
        http_free(&r);
        cb_file_unmap(&photo);
    }
    cJSON_Delete(all);
    cb_file_unmap(&text);
    return score;
}

Test(e2e_photos, agree_with_the_reference, .timeout = 300)
{
    static const char *const models[] = { "squeezenet1.1", "mobilenet_v2" };
    struct server_process server;
    if (!cb_file_exists(MODELS) || !cb_file_exists(PHOTOS))
        cr_skip_test("../shared/models and ../shared/photos are not there");
    server = server_start("", "--model " MODELS "/squeezenet1.1 --model " MODELS "/mobilenet_v2");
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        const struct score score = classify_all(server.port, models[i]);
        fprintf(stderr,
                "%s: %d photos, %d of %d first classes agree, %d probabilities differ by more than "
                "0.02\n",
                models[i], score.photos, score.same, score.compared, score.wrong);
        cr_expect(ge(int, score.same * 100, score.compared * 99), "%s", models[i]);
        cr_expect(eq(int, score.wrong, 0), "%s", models[i]);
    }
    cr_expect(eq(int, server_stop(&server, SIGTERM), 0));
    server_clean(&server);
}
