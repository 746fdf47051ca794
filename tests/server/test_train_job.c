#include "server/train_job.h"

#include "core/model/predictor.h"
#include "importers/onnx/head/save.h"
#include "tests/importers/dataset/learning.h"
#include "tests/support/close.h"

struct training {
    struct learning l;
    struct cb_train_job job;
    struct cb_train_result result;
};

static void set_up(struct training *t, int each, int hidden, size_t threads)
{
    t->result = (struct cb_train_result){ 0 };
    learning_begin(&t->l, each, threads);
    t->job = (struct cb_train_job){ .engine = &t->l.engine,
                                    .model = t->l.model,
                                    .dataset = &t->l.dataset,
                                    .config = cb_train_config_default };
    t->job.config.head.hidden = hidden;
}

static struct cb_status run(struct training *t)
{
    return cb_train_run(&t->job, &t->l.f.arena, &t->l.f.rejections, &t->result);
}

static void run_ok(struct training *t)
{
    const struct cb_status st = run(t);
    cr_assert_eq(st.code, CB_OK, "%s", st.msg);
}

static void tear_down(struct training *t)
{
    cb_buf_deinit(&t->result.head_file);
    learning_end(&t->l);
}

static struct cb_bytes bytes_of(const struct cb_buf *buf)
{
    return (struct cb_bytes){ (const uint8_t *)buf->data, buf->len };
}

Test(train_job, colours_are_learned_and_reported)
{
    for (int hidden = 0; hidden <= 8; hidden += 8) {
        struct training t;
        set_up(&t, 20, hidden, 2);
        run_ok(&t);
        const struct cb_train_report *r = &t.result.report;
        cr_expect(r->photos == 60 && r->classes == 3 && r->inputs == 4 &&
                  r->judged.held_out.n == 12);
        cr_expect(r->judged.held_out.correct >= 11, "hidden %d: %d of 12", hidden,
                  r->judged.held_out.correct);
        cr_expect_str_eq(r->labels[0], "blue");
        tear_down(&t);
    }
}

Test(train_job, views_teach_and_held_out_photos_judge_as_they_are)
{
    for (int hidden = 0; hidden <= 8; hidden += 8) {
        struct training t;
        set_up(&t, 20, hidden, 2);
        t.job.config.views = 3;
        t.job.config.augment = cb_augment_dial(0.5f);
        run_ok(&t);
        const struct cb_train_report *r = &t.result.report;
        cr_expect(r->photos == 60 && r->views == 3 && r->judged.held_out.n == 12);
        cr_expect(r->judged.held_out.correct >= 11, "hidden %d: %d of 12", hidden,
                  r->judged.held_out.correct);
        tear_down(&t);
    }
}

Test(train_job, the_head_file_says_what_it_belongs_to)
{
    struct training t;
    struct cb_onnx_head_file file;
    char digest[CB_DIGEST_TEXT];
    set_up(&t, 6, 0, 1);
    run_ok(&t);
    cr_assert_eq(cb_onnx_read_head(bytes_of(&t.result.head_file), &t.l.f.arena, &file).code, CB_OK);
    cb_digest_text(&t.l.model->digest, digest);
    cr_expect_str_eq(cb_onnx_head_property(&file, "cambium.trunk"), digest);
    cr_expect_str_eq(cb_onnx_head_property(&file, "cambium.labels"), "blue\ngreen\nred\n");
    const char *bottleneck = cb_onnx_head_property(&file, "cambium.bottleneck");
    cr_expect(cb_graph_find(&t.l.model->graph, bottleneck) == t.l.model->bottleneck, "%s",
              bottleneck);
    cr_expect_not_null(strstr(cb_onnx_head_property(&file, "cambium.recipe"), bottleneck));
    tear_down(&t);
}

Test(train_job, the_exported_model_predicts_what_the_head_does)
{
    for (int hidden = 0; hidden <= 8; hidden += 8) {
        struct training t;
        struct cb_buf whole;
        struct cb_model *model;
        struct cb_feature_set probabilities, features;
        set_up(&t, 6, hidden, 1);
        run_ok(&t);
        cb_buf_init(&whole, 1 << 20);
        struct cb_status st = cb_train_export(t.l.model, bytes_of(&t.result.head_file), &whole);
        cr_assert_eq(st.code, CB_OK, "%s", st.msg);
        const struct cb_model_source source = { .bytes = bytes_of(&whole),
                                                .name = "whole",
                                                .untrusted = true };
        st = cb_model_load(&source, &model);
        cr_assert_eq(st.code, CB_OK, "%s", st.msg);
        cr_expect(model->classes == 3 && model->n_labels == 3 && !model->recipe.assumed);
        cr_expect_str_eq(model->labels[2], "red");
        struct cb_feature_job job = { .engine = &t.l.engine,
                                      .model = model,
                                      .dataset = &t.l.dataset };
        cr_assert_eq(cb_dataset_probabilities(&job, &t.l.f.arena, NULL, &probabilities).code,
                     CB_OK);
        job.model = t.l.model;
        cr_assert_eq(cb_dataset_features(&job, &t.l.f.arena, NULL, &features).code, CB_OK);
        for (int i = 0; i < features.n; i++) {
            float logits[3], sum = 0;
            cb_head_run(&t.result.head, 1, features.features + (size_t)i * 4, logits);
            for (int k = 0; k < 3; k++)
                sum += logits[k] = expf(logits[k]);
            for (int k = 0; k < 3; k++)
                cr_expect_float_eq(logits[k] / sum, probabilities.features[3 * i + k], 1e-5f);
        }
        cb_model_destroy(model);
        cb_buf_deinit(&whole);
        tear_down(&t);
    }
}

Test(train_job, a_head_is_not_exported_with_another_trunk)
{
    struct training t;
    struct cb_buf whole;
    set_up(&t, 2, 0, 1);
    run_ok(&t);
    cb_buf_init(&whole, 1 << 20);
    t.l.model->digest.byte[0] ^= 1;
    cr_expect_eq(cb_train_export(t.l.model, bytes_of(&t.result.head_file), &whole).code,
                 CB_ERR_MODEL);
    cr_expect_eq(
        cb_train_export(t.l.model, (struct cb_bytes){ (const uint8_t *)"x", 1 }, &whole).code,
        CB_ERR_MODEL);
    cb_buf_deinit(&whole);
    tear_down(&t);
}

Test(train_job, the_same_seed_gives_the_same_file_on_any_number_of_threads)
{
    for (int hidden = 0; hidden <= 8; hidden += 8) {
        struct training a, b;
        set_up(&a, 8, hidden, 1);
        set_up(&b, 8, hidden, 2);
        run_ok(&a);
        run_ok(&b);
        cr_assert_eq(a.result.head_file.len, b.result.head_file.len);
        cr_expect_arr_eq(a.result.head_file.data, b.result.head_file.data, a.result.head_file.len);
        tear_down(&a);
        tear_down(&b);
    }
}

Test(train_job, too_few_usable_photos_are_refused_by_class)
{
    struct training t;
    char path[128];
    set_up(&t, 2, 0, 1);
    cr_assert_eq(cb_file_write(t.l.dataset.photos[2].path, "no photo", 8).code, CB_OK);
    struct cb_status st = run(&t);
    cr_expect(st.code == CB_ERR_CONTENT && strstr(st.msg, "green"), "%s", st.msg);
    cr_expect(folder_rejected(&t.l.f, "green/", ""));
    for (int c = 0; c < 2; c++) {
        snprintf(path, sizeof path, "%s/set/%s", t.l.f.path, t.l.dataset.classes[c]);
        cr_assert_eq(cb_folder_remove(path).code, CB_OK);
    }
    snprintf(path, sizeof path, "%s/set", t.l.f.path);
    t.l.dataset = folder_open(&t.l.f, path);
    st = run(&t);
    cr_expect(st.code == CB_ERR_CONTENT && strstr(st.msg, "2 classes"), "%s", st.msg);
    tear_down(&t);
}

struct watch {
    int features, epochs;
    atomic_bool cancel;
    bool cancel_head;
};

static void watch_progress(void *ctx, const struct cb_train_progress *p)
{
    struct watch *w = ctx;
    cr_expect(p->done >= 1 && p->done <= p->total);
    w->features += !p->epoch;
    w->epochs += p->epoch != NULL;
    if (p->epoch && w->cancel_head)
        atomic_store(&w->cancel, true);
}

Test(train_job, tells_progress_and_can_be_cancelled)
{
    struct training t;
    struct watch w = { 0 };
    set_up(&t, 8, 0, 1);
    t.job.on_progress = watch_progress;
    t.job.ctx = &w;
    t.job.cancel = &w.cancel;
    run_ok(&t);
    cr_expect(w.features >= 2 && w.epochs >= 1, "%d, %d", w.features, w.epochs);
    cb_buf_deinit(&t.result.head_file);
    w.cancel_head = true;
    cr_expect_eq(run(&t).code, CB_ERR_CANCELLED);
    learning_end(&t.l);
}

/* What `out` has got, read again; it is released. */
static cJSON *read_again(struct cb_buf *out)
{
    cJSON *json = cJSON_Parse(out->data);
    cr_assert_not_null(json);
    cb_buf_deinit(out);
    return json;
}

Test(train_report, json_has_what_the_contract_promises)
{
    struct training t;
    int sum = 0;
    set_up(&t, 6, 0, 1);
    folder_put(&t.l.f, "set/red/bad.jpg", "no photo", 8);
    char path[128];
    snprintf(path, sizeof path, "%s/set", t.l.f.path);
    t.l.dataset = folder_open(&t.l.f, path);
    run_ok(&t);
    struct cb_buf out;
    struct cb_json writer = { .out = &out };
    cb_buf_init(&out, 1 << 20);
    cb_json_open(&writer, NULL, '{');
    cr_assert_eq(cb_train_report_write(&t.result.report, &writer).code, CB_OK);
    cb_json_close(&writer, '}');
    cJSON *json = read_again(&out);
    const cJSON *held_out = cJSON_GetObjectItem(json, "held_out");
    cr_expect_eq(cJSON_GetObjectItem(json, "photos")->valueint, 18);
    cr_expect_eq(cJSON_GetArraySize(cJSON_GetObjectItem(json, "classes")), 3);
    cr_expect_eq(cJSON_GetArraySize(cJSON_GetObjectItem(json, "rejected")), 1);
    cr_expect_str_eq(
        cJSON_GetObjectItem(cJSON_GetArrayItem(cJSON_GetObjectItem(json, "rejected"), 0), "file")
            ->valuestring,
        "red/bad.jpg");
    cr_expect_eq(cJSON_GetArraySize(cJSON_GetObjectItem(held_out, "per_class")), 3);
    const cJSON *row, *cell,
        *rows = cJSON_GetObjectItem(cJSON_GetObjectItem(held_out, "confusion"), "rows");
    cJSON_ArrayForEach(row, rows) cJSON_ArrayForEach(cell, row) sum += cell->valueint;
    cr_expect_eq(sum, cJSON_GetObjectItem(held_out, "n")->valueint);
    cr_expect_not_null(cJSON_GetObjectItem(cJSON_GetObjectItem(json, "seconds"), "features"));
    cJSON_Delete(json);
    tear_down(&t);
}

Test(train_report, classes_that_do_not_occur_are_left_out)
{
    struct cb_arena arena;
    struct cb_evaluation e;
    const float p[2][4] = { { 0, 1, 0, 0 }, { 0, 0.9f, 0, 0.1f } };
    const int labels[2] = { 1, 3 };
    const char *const names[4] = { "a", "b", "c", "d" };
    cr_assert_eq(cb_arena_init(&arena, 1 << 16).code, CB_OK);
    cr_assert_eq(cb_evaluate(&arena, p[0], labels, 2, 4, &e).code, CB_OK);
    struct cb_buf out;
    struct cb_json writer = { .out = &out };
    cb_buf_init(&out, 1 << 16);
    cb_json_open(&writer, NULL, '{');
    cr_assert_eq(cb_evaluation_write(&e, names, &writer).code, CB_OK);
    cb_json_close(&writer, '}');
    cJSON *json = read_again(&out);
    char *text = cJSON_PrintUnformatted(cJSON_GetObjectItem(json, "confusion"));
    cr_expect_str_eq(text, "{\"labels\":[\"b\",\"d\"],\"rows\":[[1,0],[1,0]]}");
    cJSON_free(text);
    cJSON_Delete(json);
    cb_arena_deinit(&arena);
}
