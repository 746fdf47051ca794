#include "cli/report.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "core/base/file.h"
#include "tests/support/program.h"

enum { N = 6, CLASSES = 3 };

static const float probabilities[N][CLASSES] = { { 0.9f, 0.1f, 0 },    { 0.2f, 0.7f, 0.1f },
                                                 { 0.1f, 0.8f, 0.1f }, { 0.97f, 0.03f, 0 },
                                                 { 0, 0.1f, 0.9f },    { 0.3f, 0.3f, 0.4f } };
static const int labels_of[N] = { 0, 0, 1, 1, 2, 2 };
static const char *const names[CLASSES] = { "cat", "<b>dog</b>", "a&b \"c\"" };

struct page {
    struct cb_arena arena;
    struct cb_evaluation e;
    struct cb_dataset dataset;
    struct cb_dataset_photo photos[N];
    struct cb_report report;
    char *folder, *text;
};

static void set_up(struct page *p)
{
    static const int row[N] = { 0, 1, 2, 3, 4, 5 };
    memset(p, 0, sizeof *p);
    cr_assert_eq(cb_arena_init(&p->arena, 1 << 20).code, CB_OK);
    cr_assert_eq(cb_evaluate(&p->arena, probabilities[0], labels_of, N, CLASSES, &p->e).code,
                 CB_OK);
    p->folder = program_folder();
    for (int i = 0; i < N; i++)
        p->photos[i] = (struct cb_dataset_photo){ "/nowhere", "dog/<i>.jpg", labels_of[i] };
    p->dataset = (struct cb_dataset){ .photos = p->photos, .n_photos = N, .n_classes = CLASSES };
    p->report = (struct cb_report){ .title = "T & T",
                                    .about = "six photos",
                                    .evaluation = &p->e,
                                    .labels = names,
                                    .dataset = &p->dataset,
                                    .photo = row };
}

static const char *save(struct page *p)
{
    struct cb_bytes file;
    const char *path = program_path(p->folder, "report.html");
    const struct cb_status st = cb_report_save(&p->report, path);
    cr_assert_eq(st.code, CB_OK, "%s", st.msg);
    cr_assert_eq(cb_file_map(path, &file).code, CB_OK);
    p->text = cb_arena_text(&p->arena, (const char *)file.data, file.len);
    cb_file_unmap(&file);
    cr_assert_not_null(p->text);
    return p->text;
}

static void tear_down(struct page *p)
{
    program_folder_remove(p->folder);
    cb_arena_deinit(&p->arena);
}

Test(report, has_its_parts)
{
    static const char *const parts[] = {
        "<!DOCTYPE html>",      "66.7 %",     "4 of 6",         "Confusion matrix",  "Reliability",
        "ROC curves",           "Classes",    "Worst mistakes", "Suspicious labels", "<polyline",
        "prefers-color-scheme", "97.0&nbsp;%"
    };
    struct page p;
    set_up(&p);
    const char *text = save(&p);
    for (size_t i = 0; i < CB_COUNT_OF(parts); i++)
        cr_expect(strstr(text, parts[i]), "no '%s'", parts[i]);
    cr_expect_not(strstr(text, "Learning curve"));
    tear_down(&p);
}

Test(report, asks_for_nothing_from_outside_and_runs_nothing)
{
    static const char *const bad[] = { "http", "<script", "<link", "@import", "url(", "//" };
    struct page p;
    set_up(&p);
    const char *text = save(&p);
    for (size_t i = 0; i < CB_COUNT_OF(bad); i++)
        cr_expect_not(strstr(text, bad[i]), "'%s' is there", bad[i]);
    tear_down(&p);
}

Test(report, names_cannot_break_out)
{
    struct page p;
    set_up(&p);
    const char *text = save(&p);
    cr_expect_not(strstr(text, "<b>dog"));
    cr_expect_not(strstr(text, "<i>.jpg"));
    cr_expect(strstr(text, "&lt;b&gt;dog&lt;/b&gt;") && strstr(text, "a&amp;b &quot;c&quot;"));
    tear_down(&p);
}

Test(report, photos_that_can_be_read_are_inside)
{
    struct page p;
    set_up(&p);
    char photo[256];
    snprintf(photo, sizeof photo, "%s", program_path(p.folder, "p.png"));
    program_photo(photo, 300, 7, 200, 10, 10);
    cr_expect_not(strstr(save(&p), "data:image/png;base64,"));
    p.photos[3].path = photo; /* the surest mistake */
    cr_expect(strstr(save(&p), "src=\"data:image/png;base64,iVBORw0KGgo"));
    tear_down(&p);
}

Test(report, a_curve_and_a_temperature_are_shown_when_there_are_any)
{
    struct page p;
    struct cb_head_judgement judged = { .temperature = 1.75, .plain_loss = 0.9 };
    struct cb_curve curve = { .n = 2, .seeds = 3 };
    set_up(&p);
    judged.held_out = p.e;
    curve.point[0] = (struct cb_curve_point){ .per_class = 1, .accuracy = 0.5 };
    curve.point[1] = (struct cb_curve_point){ .per_class = 20, .accuracy = 0.8 };
    p.report.judged = &judged;
    p.report.curve = &curve;
    const char *text = save(&p);
    cr_expect(strstr(text, "temperature of 1.75") && strstr(text, "Learning curve"));
    curve.n = 1; /* a logarithmic axis of one point */
    text = save(&p);
    cr_expect_not(strstr(text, "nan"));
    cr_expect_not(strstr(text, "inf "));
    tear_down(&p);
}

Test(report, many_classes_give_pairs_in_place_of_a_matrix)
{
    enum { MANY = 50 };
    static float many[MANY * MANY];
    static int labels[MANY], row[MANY];
    static const char *label[MANY];
    struct page p;
    set_up(&p);
    for (int i = 0; i < MANY; i++) {
        many[i * MANY + (i ? i : 7)] = 1;
        labels[i] = i;
        label[i] = i ? "other" : "mistaken";
    }
    cr_assert_eq(cb_evaluate(&p.arena, many, labels, MANY, MANY, &p.e).code, CB_OK);
    p.report.labels = label;
    p.report.photo = row;
    const char *text = save(&p);
    cr_expect_not(strstr(text, "Confusion matrix"));
    cr_expect(strstr(text, "<td>mistaken</td><td>other</td><td>1</td>"));
    tear_down(&p);
}
