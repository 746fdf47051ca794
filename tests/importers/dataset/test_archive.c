#include <unistd.h>

#include "importers/dataset/entry_name.h"
#include "tests/importers/dataset/folder.h"

static struct cb_status add_bytes(struct folder *f, struct cb_bytes bytes,
                                  const struct cb_dataset_limits *limits)
{
    struct cb_dataset_store *store;
    struct cb_status st, closed;
    cr_assert_eq(cb_dataset_store_open(f->path, limits, &store).code, CB_OK);
    st = cb_dataset_store_add_archive(store, &(struct cb_archive_source){ .bytes = bytes },
                                      &f->rejections);
    closed = cb_dataset_store_close(store);
    cr_expect_eq(closed.code, CB_OK, "%s", closed.msg);
    return st;
}

static struct cb_status add_made(struct folder *f, struct archive_maker *maker)
{
    const struct cb_status st = add_bytes(f, archive_end(maker), &cb_dataset_limits_default);
    archive_drop(maker);
    return st;
}

Test(archive, every_form_gives_the_same_classes)
{
    for (enum archive_form form = 0; form < ARCHIVE_FORMS; form++) {
        struct folder f;
        struct archive_maker maker;
        folder_begin(&f);
        archive_begin(&maker, form);
        archive_add_folder(&maker, "ant");
        archive_add_photo(&maker, "ant/1.png", 1);
        archive_add_photo(&maker, "ant/2.png", 2);
        archive_add_photo(&maker, "ant/again.png", 2);
        archive_add_photo(&maker, "bee/1.png", 3);
        const struct cb_status st = add_made(&f, &maker);
        cr_expect_eq(st.code, CB_OK, "form %d: %s", (int)form, st.msg);
        const struct cb_dataset d = folder_open(&f, f.path);
        cr_assert(d.n_classes == 2 && d.n_photos == 3, "form %d: %d photos", (int)form, d.n_photos);
        cr_expect(d.counts[0] == 2 && d.counts[1] == 1);
        cr_expect_eq(f.rejections.count, 0);
        folder_end(&f);
    }
}

Test(archive, a_file_is_read_as_well_as_bytes)
{
    struct folder f, from;
    struct archive_maker maker;
    struct cb_dataset_store *store;
    char path[128];
    folder_begin(&f);
    folder_begin(&from);
    archive_begin(&maker, ARCHIVE_ZIP);
    archive_add_photo(&maker, "ant/1.png", 1);
    const struct cb_bytes bytes = archive_end(&maker);
    folder_put(&from, "a.zip", bytes.data, bytes.len);
    snprintf(path, sizeof path, "%s/a.zip", from.path);
    cr_assert_eq(cb_dataset_store_open(f.path, &cb_dataset_limits_default, &store).code, CB_OK);
    cr_expect_eq(
        cb_dataset_store_add_archive(store, &(struct cb_archive_source){ .path = path }, NULL).code,
        CB_OK);
    cr_expect_eq(cb_dataset_store_close(store).code, CB_OK);
    cr_expect_eq(folder_open(&f, f.path).n_photos, 1);
    archive_drop(&maker);
    folder_end(&f);
    folder_end(&from);
}

Test(archive, one_folder_around_everything_is_no_class)
{
    struct folder f;
    struct archive_maker maker;
    folder_begin(&f);
    archive_begin(&maker, ARCHIVE_TAR);
    archive_add_photo(&maker, "pets/cover.png", 1);
    archive_add_photo(&maker, "pets/cat/1.png", 2);
    archive_add_photo(&maker, "pets/dog/1.png", 3);
    cr_expect_eq(add_made(&f, &maker).code, CB_OK);
    const struct cb_dataset d = folder_open(&f, f.path);
    cr_assert_eq(d.n_classes, 2);
    cr_expect_str_eq(d.classes[0], "cat");
    cr_expect(folder_rejected(&f, "pets/cover.png", "no class folder"));
    folder_end(&f);
}

Test(archive, hidden_files_and_those_of_other_systems_are_passed_over)
{
    struct folder f;
    struct archive_maker maker;
    folder_begin(&f);
    archive_begin(&maker, ARCHIVE_ZIP);
    archive_add_photo(&maker, "./ant/1.png", 1);
    archive_add(&maker, "ant/.DS_Store", "x", 1);
    archive_add(&maker, "__MACOSX/ant/._1.png", "x", 1);
    archive_add(&maker, ".git/ant/config", "x", 1);
    cr_expect_eq(add_made(&f, &maker).code, CB_OK);
    cr_expect(folder_open(&f, f.path).n_photos == 1 && f.rejections.count == 0);
    folder_end(&f);
}

Test(archive, nothing_leaves_the_folder)
{
    static const char *const names[] = {
        "../evil/1.png",
        "ant/../../evil/1.png",
        "/tmp/cambium-evil/1.png",
        "ant/../bee/1.png",
        "C:/ant/1.png",
        "\\\\host\\ant/1.png",
        "..",
    };
    for (enum archive_form form = 0; form < ARCHIVE_FORMS; form++) {
        struct folder f;
        struct archive_maker maker;
        folder_begin(&f);
        archive_begin(&maker, form);
        for (size_t i = 0; i < CB_COUNT_OF(names); i++)
            archive_add_photo(&maker, names[i], (int)i);
        archive_add_photo(&maker, "ant/good.png", 99);
        cr_expect_eq(add_made(&f, &maker).code, CB_OK);
        cr_expect_eq(folder_open(&f, f.path).n_photos, 1, "form %d", (int)form);
        cr_expect_eq(f.rejections.count, (int)CB_COUNT_OF(names), "form %d: %d rejected", (int)form,
                     f.rejections.count);
        cr_expect_not(cb_file_exists("/tmp/cambium-evil"));
        cr_expect_not(cb_file_exists("/tmp/evil"));
        folder_end(&f);
    }
}

Test(archive, links_and_devices_are_rejected)
{
    struct folder f;
    struct archive_maker maker;
    folder_begin(&f);
    archive_begin(&maker, ARCHIVE_TAR);
    archive_add_photo(&maker, "ant/1.png", 1);
    archive_add_link(&maker, "ant/soft.png", "/etc/passwd", false);
    archive_add_link(&maker, "ant/hard.png", "ant/1.png", true);
    archive_add_device(&maker, "ant/null.png");
    cr_expect_eq(add_made(&f, &maker).code, CB_OK);
    cr_expect_eq(folder_open(&f, f.path).n_photos, 1);
    cr_expect(folder_rejected(&f, "soft.png", "link"));
    cr_expect(folder_rejected(&f, "hard.png", "link"));
    cr_expect(folder_rejected(&f, "null.png", "device"));
    folder_end(&f);
}

Test(archive, bad_photos_are_named_and_the_good_ones_kept)
{
    struct folder f;
    struct archive_maker maker;
    folder_begin(&f);
    archive_begin(&maker, ARCHIVE_TAR_GZ);
    archive_add_photo(&maker, "ant/1.png", 1);
    archive_add(&maker, "ant/notes.txt", "not a photo", 11);
    archive_add(&maker, "ant/empty.jpg", "", 0);
    archive_add_photo(&maker, "top.png", 2);
    cr_expect_eq(add_made(&f, &maker).code, CB_OK);
    cr_expect_eq(folder_open(&f, f.path).n_photos, 1);
    cr_expect(folder_rejected(&f, "ant/notes.txt", ""));
    cr_expect(folder_rejected(&f, "ant/empty.jpg", ""));
    cr_expect(folder_rejected(&f, "top.png", "no class folder"));
    folder_end(&f);
}

static struct cb_bytes zeros(struct archive_maker *maker, enum archive_form form, size_t len,
                             int entries)
{
    char *nothing = calloc(1, len + 1), name[32];
    archive_begin(maker, form);
    for (int i = 0; i < entries; i++) {
        snprintf(name, sizeof name, "ant/%d.png", i);
        archive_add(maker, name, nothing, len);
    }
    free(nothing);
    return archive_end(maker);
}

Test(archive, bombs_are_refused_before_anything_is_written)
{
    static const struct {
        enum archive_form form;
        size_t len;
        int entries;
    } bombs[] = {
        { ARCHIVE_ZIP, (size_t)32 << 20, 1 },
        { ARCHIVE_TAR_GZ, (size_t)8 << 20, 4 },
        { ARCHIVE_TAR_GZ, 4096, 2000 },
    };
    for (size_t i = 0; i < CB_COUNT_OF(bombs); i++) {
        struct folder f;
        struct archive_maker maker;
        folder_begin(&f);
        const struct cb_bytes bytes = zeros(&maker, bombs[i].form, bombs[i].len, bombs[i].entries);
        const struct cb_status st = add_bytes(&f, bytes, &cb_dataset_limits_default);
        cr_expect_eq(st.code, CB_ERR_TOO_LARGE, "bomb %zu of %zu bytes: %d %s", i, bytes.len,
                     st.code, st.msg);
        cr_expect_eq(folder_open(&f, f.path).n_photos, 0);
        archive_drop(&maker);
        folder_end(&f);
    }
}

Test(archive, limits_on_entries_and_bytes_hold)
{
    struct cb_dataset_limits limits = cb_dataset_limits_default;
    for (enum archive_form form = 0; form < ARCHIVE_FORMS; form++) {
        struct folder f;
        struct archive_maker maker;
        folder_begin(&f);
        const struct cb_bytes bytes = zeros(&maker, form, 0, 3000);
        limits.max_entries = 2999;
        cr_expect_eq(add_bytes(&f, bytes, &limits).code, CB_ERR_TOO_LARGE);
        limits.max_entries = 3000;
        cr_expect_eq(add_bytes(&f, bytes, &limits).code, CB_OK,
                     "thousands of empty files are only rejected");
        cr_expect_eq(f.rejections.count, 3000);
        f.rejections.n_listed = 0; /* room for more */
        archive_drop(&maker);
        const struct cb_bytes large = zeros(&maker, form, 5000, 3);
        limits.max_total_bytes = 14999;
        cr_expect_eq(add_bytes(&f, large, &limits).code, CB_ERR_TOO_LARGE);
        limits.max_total_bytes = 15000;
        limits.max_photo_bytes = 4999;
        cr_expect_eq(add_bytes(&f, large, &limits).code, CB_OK);
        cr_expect(folder_rejected(&f, "ant/2.png", "4999"));
        limits = cb_dataset_limits_default;
        archive_drop(&maker);
        folder_end(&f);
    }
}

Test(archive, what_is_none_is_said_to_be_none)
{
    static const char *const none[] = { "", "hello", "\xff\xd8\xff\xe0 a jpeg",
                                        "\x1f\x8b\x08 no gzip", "7z\xbc\xaf\x27\x1c" };
    for (size_t i = 0; i < CB_COUNT_OF(none); i++) {
        struct folder f;
        folder_begin(&f);
        const struct cb_bytes bytes = { (const uint8_t *)none[i], strlen(none[i]) };
        const struct cb_status st = add_bytes(&f, bytes, &cb_dataset_limits_default);
        cr_expect(st.code == CB_ERR_MEDIA || st.code == CB_ERR_CONTENT, "%zu: %d %s", i, st.code,
                  st.msg);
        folder_end(&f);
    }
}

/* Cut anywhere, or with bytes changed: an answer, never more than the photos that were in it. */
Test(archive, damaged_ones_hurt_nobody)
{
    for (enum archive_form form = 0; form < ARCHIVE_FORMS; form++) {
        struct archive_maker maker;
        archive_begin(&maker, form);
        for (int i = 0; i < 4; i++)
            archive_add_photo(&maker,
                              (const char *[]){ "a/1.png", "a/2.png", "b/1.png", "b/2.png" }[i], i);
        const struct cb_bytes whole = archive_end(&maker);
        uint8_t *copy = malloc(whole.len);
        for (size_t k = 0; k < 40; k++) {
            struct folder f;
            folder_begin(&f);
            memcpy(copy, whole.data, whole.len);
            copy[k * 7919 % whole.len] ^= (uint8_t)(1 + k);
            const size_t len = k % 2 ? whole.len : k * whole.len / 40;
            (void)!add_bytes(&f, (struct cb_bytes){ copy, len }, &cb_dataset_limits_default).code;
            cr_expect_leq(folder_open(&f, f.path).n_photos, 4);
            folder_end(&f);
        }
        free(copy);
        archive_drop(&maker);
    }
}

Test(archive, can_be_cancelled)
{
    struct folder f;
    struct archive_maker maker;
    struct cb_dataset_store *store;
    atomic_bool cancel = true;
    folder_begin(&f);
    archive_begin(&maker, ARCHIVE_ZIP);
    archive_add_photo(&maker, "ant/1.png", 1);
    const struct cb_archive_source source = { .bytes = archive_end(&maker), .cancel = &cancel };
    cr_assert_eq(cb_dataset_store_open(f.path, &cb_dataset_limits_default, &store).code, CB_OK);
    cr_expect_eq(cb_dataset_store_add_archive(store, &source, NULL).code, CB_ERR_CANCELLED);
    cr_expect_eq(cb_dataset_store_close(store).code, CB_OK);
    archive_drop(&maker);
    folder_end(&f);
}

Test(archive, labels_of_all_scripts_are_kept)
{
    for (enum archive_form form = 0; form < ARCHIVE_FORMS; form++) {
        struct folder f;
        struct archive_maker maker;
        folder_begin(&f);
        archive_begin(&maker, form);
        archive_add_photo(&maker,
                          "Sch\xc3\xa4"
                          "ferhund/1.png",
                          1);
        cr_expect_eq(add_made(&f, &maker).code, CB_OK);
        const struct cb_dataset d = folder_open(&f, f.path);
        cr_assert_eq(d.n_classes, 1, "form %d: %s", (int)form,
                     f.rejections.n_listed ? f.rejections.list[0].reason : "");
        cr_expect_str_eq(d.classes[0], "Sch\xc3\xa4"
                                       "ferhund");
        folder_end(&f);
    }
}

Test(entry_name, says_class_and_depth)
{
    struct cb_entry_name name;
    cr_expect_eq(cb_entry_name_read("a/b//c/./x.jpg", &name), CB_ENTRY_TAKEN);
    cr_expect_eq(name.folders, 3);
    cr_expect_str_eq(name.top, "a");
    cr_expect_str_eq(name.label, "c");
    cr_expect_eq(cb_entry_name_read("x.jpg", &name), CB_ENTRY_REFUSED);
    cr_expect_eq(cb_entry_name_read("", &name), CB_ENTRY_REFUSED);
    cr_expect_eq(cb_entry_name_read("a/\xff.jpg", &name), CB_ENTRY_REFUSED);
    cr_expect_eq(cb_entry_name_read("a/b\n/x.jpg", &name), CB_ENTRY_REFUSED);
    cr_expect_eq(cb_entry_name_read("a/ b/x.jpg", &name), CB_ENTRY_REFUSED);
    cr_expect_eq(cb_entry_name_read(".a/b/x.jpg", &name), CB_ENTRY_HIDDEN);
}
