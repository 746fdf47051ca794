#include <unistd.h>

#include "tests/importers/dataset/folder.h"

Test(dataset_open, class_folders_are_sorted_and_so_are_their_files)
{
    struct folder f;
    folder_begin(&f);
    folder_put(&f, "zebra/b.jpg", "2", 1);
    folder_put(&f, "zebra/a.jpg", "1", 1);
    folder_put(&f, "ant/x.png", "3", 1);
    const struct cb_dataset d = folder_open(&f, f.path);
    cr_assert(d.n_classes == 2 && d.n_photos == 3);
    cr_expect_str_eq(d.classes[0], "ant");
    cr_expect_str_eq(d.classes[1], "zebra");
    cr_expect(d.counts[0] == 1 && d.counts[1] == 2);
    cr_expect_str_eq(d.photos[0].name, "ant/x.png");
    cr_expect_str_eq(d.photos[1].name, "zebra/a.jpg");
    cr_expect_str_eq(d.photos[2].name, "zebra/b.jpg");
    cr_expect(d.photos[0].label == 0 && d.photos[2].label == 1);
    cr_expect(cb_file_exists(d.photos[1].path));
    folder_end(&f);
}

Test(dataset_open, the_folder_right_above_is_the_class)
{
    struct folder f;
    folder_begin(&f);
    folder_put(&f, "all/train/ant/1.jpg", "1", 1);
    folder_put(&f, "all/val/ant/2.jpg", "2", 1);
    folder_put(&f, "all/val/bee/3.jpg", "3", 1);
    const struct cb_dataset d = folder_open(&f, f.path);
    cr_assert(d.n_classes == 2 && d.n_photos == 3);
    cr_expect(d.counts[0] == 2 && d.counts[1] == 1);
    folder_end(&f);
}

Test(dataset_open, hidden_files_are_passed_over_and_the_rest_is_said)
{
    struct folder f;
    char link[128];
    folder_begin(&f);
    folder_put(&f, "ant/1.jpg", "1", 1);
    folder_put(&f, "ant/.DS_Store", "x", 1);
    folder_put(&f, ".git/config", "x", 1);
    folder_put(&f, "__MACOSX/ant/1.jpg", "x", 1);
    folder_put(&f, "readme.txt", "x", 1);
    snprintf(link, sizeof link, "%s/ant/link.jpg", f.path);
    cr_assert_eq(symlink("/etc/passwd", link), 0);
    snprintf(link, sizeof link, "%s/etc", f.path);
    cr_assert_eq(symlink("/etc", link), 0);
    const struct cb_dataset d = folder_open(&f, f.path);
    cr_expect(d.n_classes == 1 && d.n_photos == 1);
    cr_expect_eq(f.rejections.count, 3);
    cr_expect(folder_rejected(&f, "link.jpg", "link"));
    cr_expect(folder_rejected(&f, "etc", "link"));
    cr_expect(folder_rejected(&f, "readme.txt", "no class folder"));
    folder_end(&f);
}

Test(dataset_open, an_empty_folder_is_an_empty_table_and_none_is_not_found)
{
    struct folder f;
    struct cb_dataset d;
    folder_begin(&f);
    d = folder_open(&f, f.path);
    cr_expect(d.n_classes == 0 && d.n_photos == 0);
    cr_expect_eq(cb_dataset_open("/nowhere/at/all", &f.arena, NULL, &d).code, CB_ERR_NOT_FOUND);
    folder_end(&f);
}

Test(dataset_open, a_damaged_manifest_is_refused)
{
    static const char *const manifests[] = {
        "",
        "something else\n",
        "cambium-dataset 1\nant",
        "cambium-dataset 1\n../ant\n",
        "cambium-dataset 1\n\n",
        "cambium-dataset 1\n a\n",
    };
    for (size_t i = 0; i < CB_COUNT_OF(manifests); i++) {
        struct folder f;
        struct cb_dataset d;
        folder_begin(&f);
        folder_put(&f, "cambium-dataset.txt", manifests[i], strlen(manifests[i]));
        cr_expect_eq(cb_dataset_open(f.path, &f.arena, NULL, &d).code, CB_ERR_CONTENT, "%s",
                     manifests[i]);
        folder_end(&f);
    }
}

Test(dataset_open, no_memory_is_said_at_every_budget)
{
    struct folder f;
    folder_begin(&f);
    folder_put(&f, "ant/1.jpg", "1", 1);
    folder_put(&f, "bee/1.jpg", "1", 1);
    for (size_t budget = 0; budget < 16000; budget += 64) {
        struct cb_arena arena;
        struct cb_dataset d;
        cr_assert_eq(cb_arena_init(&arena, budget).code, CB_OK);
        const enum cb_code code = cb_dataset_open(f.path, &arena, NULL, &d).code;
        cr_expect(code == CB_OK || code == CB_ERR_NOMEM, "budget %zu: code %d", budget, code);
        cb_arena_deinit(&arena);
    }
    folder_end(&f);
}

Test(dataset, a_label_is_readable_text_that_is_no_path)
{
    static const char *const good[] = { "ant", "German shepherd", "n01440764", "été", "花", "a.b" };
    static const char *const bad[] = { "",     ".",  "..", ".ant", "a/b",  "a\\b",
                                       "a\nb", " a", "a ", "\xff", "a\x7f" };
    char longest[CB_LABEL_MAX + 2];
    for (size_t i = 0; i < CB_COUNT_OF(good); i++)
        cr_expect(cb_label_ok(good[i]), "%s", good[i]);
    for (size_t i = 0; i < CB_COUNT_OF(bad); i++)
        cr_expect_not(cb_label_ok(bad[i]), "%zu", i);
    memset(longest, 'a', sizeof longest);
    longest[CB_LABEL_MAX + 1] = 0;
    cr_expect_not(cb_label_ok(longest));
    longest[CB_LABEL_MAX] = 0;
    cr_expect(cb_label_ok(longest));
}

Test(dataset, trainable_means_two_classes_of_two)
{
    const char *const classes[] = { "ant", "bee" };
    const int enough[] = { 2, 2 }, lonely[] = { 2, 1 };
    struct cb_dataset d = { .classes = classes, .counts = enough, .n_classes = 1 };
    cr_expect_eq(cb_dataset_check_trainable(&d).code, CB_ERR_CONTENT);
    d.n_classes = 0;
    cr_expect_eq(cb_dataset_check_trainable(&d).code, CB_ERR_CONTENT);
    d.n_classes = 2;
    cr_expect_eq(cb_dataset_check_trainable(&d).code, CB_OK);
    d.counts = lonely;
    const struct cb_status st = cb_dataset_check_trainable(&d);
    cr_expect(st.code == CB_ERR_CONTENT && strstr(st.msg, "bee"), "%s", st.msg);
}

Test(dataset, rejections_are_readable_and_bounded)
{
    struct cb_arena arena;
    struct cb_rejections r = { .arena = &arena };
    cr_assert_eq(cb_arena_init(&arena, (size_t)8 << 20).code, CB_OK);
    cb_rejections_add(&r, "caf\xc3\xa9\xff\n.jpg", "%s", "bad\tbyte");
    cr_expect_str_eq(r.list[0].file, "caf\xc3\xa9??.jpg");
    cr_expect_str_eq(r.list[0].reason, "bad?byte");
    for (int i = 0; i < 3 * CB_REJECTIONS_LISTED; i++)
        cb_rejections_add(&r, "x", "y");
    cr_expect_eq(r.count, 3 * CB_REJECTIONS_LISTED + 1);
    cr_expect_eq(r.n_listed, CB_REJECTIONS_LISTED);
    cb_rejections_add(NULL, "x", "y");
    cb_arena_deinit(&arena);
}
