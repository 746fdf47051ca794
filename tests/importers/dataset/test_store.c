#include <unistd.h>

#include "tests/importers/dataset/folder.h"

static struct cb_dataset_store *open_store(const struct folder *f)
{
    struct cb_dataset_store *store;
    const struct cb_status st = cb_dataset_store_open(f->path, &cb_dataset_limits_default, &store);
    cr_assert_eq(st.code, CB_OK, "%s", st.msg);
    return store;
}

static bool add(struct folder *f, struct cb_dataset_store *store, const char *label, int shade)
{
    struct cb_buf photo;
    bool added;
    cb_buf_init(&photo, 1 << 20);
    archive_photo(shade, &photo);
    const struct cb_bytes bytes = { (const uint8_t *)photo.data, photo.len };
    const struct cb_status st =
        cb_dataset_store_add(store, label, "some.png", bytes, &f->rejections, &added);
    cr_expect_eq(st.code, CB_OK, "%s", st.msg);
    cb_buf_deinit(&photo);
    return added;
}

Test(dataset_store, keeps_photos_by_content_under_labels_that_are_no_paths)
{
    struct folder f;
    folder_begin(&f);
    struct cb_dataset_store *store = open_store(&f);
    cr_expect(add(&f, store, "German shepherd", 1));
    cr_expect(add(&f, store, "ant", 2));
    cr_expect(add(&f, store, "ant", 3));
    cr_expect_not(add(&f, store, "ant", 3), "the same twice counts once");
    cr_expect(add(&f, store, "German shepherd", 3), "in another class it is another photo");
    cr_assert_eq(cb_dataset_store_close(store).code, CB_OK);
    const struct cb_dataset d = folder_open(&f, f.path);
    cr_assert(d.n_classes == 2 && d.n_photos == 4 && f.rejections.count == 0);
    cr_expect_str_eq(d.classes[0], "German shepherd");
    cr_expect_not_null(strstr(d.photos[0].path, "/c0000/"));
    cr_expect_not_null(strstr(d.photos[2].path, "/c0001/"));
    folder_end(&f);
}

Test(dataset_store, can_be_opened_again_and_grown)
{
    struct folder f;
    folder_begin(&f);
    struct cb_dataset_store *store = open_store(&f);
    cr_expect(add(&f, store, "ant", 1));
    cr_assert_eq(cb_dataset_store_close(store).code, CB_OK);
    store = open_store(&f);
    cr_expect_not(add(&f, store, "ant", 1));
    cr_expect(add(&f, store, "ant", 2));
    cr_expect(add(&f, store, "bee", 3));
    cr_assert_eq(cb_dataset_store_close(store).code, CB_OK);
    const struct cb_dataset d = folder_open(&f, f.path);
    cr_expect(d.n_classes == 2 && d.counts[0] == 2 && d.counts[1] == 1);
    folder_end(&f);
}

Test(dataset_store, what_is_no_whole_photo_is_rejected_by_name)
{
    static const struct {
        const char *name, *bytes, *reason;
    } bad[] = {
        { "a.bmp", "BM0123456789", "BMP" },
        { "b.jpg", "hello", "" },
        { "c.png", "", "" },
        { "d.gif", "GIF89a..", "GIF" },
    };
    struct folder f;
    bool added;
    struct cb_buf photo;
    folder_begin(&f);
    struct cb_dataset_store *store = open_store(&f);
    for (size_t i = 0; i < CB_COUNT_OF(bad); i++) {
        const struct cb_bytes bytes = { (const uint8_t *)bad[i].bytes, strlen(bad[i].bytes) };
        cr_expect_eq(
            cb_dataset_store_add(store, "ant", bad[i].name, bytes, &f.rejections, &added).code,
            CB_OK);
        cr_expect_not(added);
        cr_expect(folder_rejected(&f, bad[i].name, bad[i].reason), "%s", bad[i].name);
    }
    cb_buf_init(&photo, 1 << 20);
    archive_photo(1, &photo);
    const struct cb_bytes cut = { (const uint8_t *)photo.data, photo.len / 2 };
    cr_expect_eq(cb_dataset_store_add(store, "ant", "cut.png", cut, &f.rejections, &added).code,
                 CB_OK);
    cr_expect_not(added);
    cr_expect(folder_rejected(&f, "cut.png", ""));
    cr_assert_eq(cb_dataset_store_close(store).code, CB_OK);
    cr_expect_eq(folder_open(&f, f.path).n_photos, 0);
    cb_buf_deinit(&photo);
    folder_end(&f);
}

Test(dataset_store, over_its_limits_a_photo_is_rejected)
{
    struct folder f;
    struct cb_dataset_store *store;
    struct cb_dataset_limits limits = cb_dataset_limits_default;
    folder_begin(&f);
    limits.max_pixels = 71; /* the photos have 72 */
    cr_assert_eq(cb_dataset_store_open(f.path, &limits, &store).code, CB_OK);
    cr_expect_not(add(&f, store, "ant", 1));
    cr_assert_eq(cb_dataset_store_close(store).code, CB_OK);
    limits = cb_dataset_limits_default;
    limits.max_photo_bytes = 50;
    cr_assert_eq(cb_dataset_store_open(f.path, &limits, &store).code, CB_OK);
    cr_expect_not(add(&f, store, "ant", 1));
    cr_assert_eq(cb_dataset_store_close(store).code, CB_OK);
    cr_expect_eq(f.rejections.count, 2);
    cr_expect(folder_rejected(&f, "some.png", "50"));
    folder_end(&f);
}

Test(dataset_store, bad_labels_are_an_error)
{
    struct folder f;
    bool added;
    folder_begin(&f);
    struct cb_dataset_store *store = open_store(&f);
    cr_expect_eq(
        cb_dataset_store_add(store, "../x", "a", (struct cb_bytes){ 0 }, NULL, &added).code,
        CB_ERR_INPUT);
    cr_expect_eq(cb_dataset_store_add(store, "", "a", (struct cb_bytes){ 0 }, NULL, &added).code,
                 CB_ERR_INPUT);
    cr_assert_eq(cb_dataset_store_close(store).code, CB_OK);
    folder_end(&f);
}

Test(dataset_store, a_folder_with_something_else_is_left_alone)
{
    struct folder f;
    struct cb_dataset_store *store;
    folder_begin(&f);
    folder_put(&f, "thesis.txt", "x", 1);
    cr_expect_eq(cb_dataset_store_open(f.path, &cb_dataset_limits_default, &store).code,
                 CB_ERR_CONTENT);
    folder_end(&f);
}

/* Photos of a crashed upload lie in a folder that no manifest names: the next label must not
 * inherit them. */
Test(dataset_store, what_a_crash_left_is_not_mixed_in)
{
    struct folder f;
    folder_begin(&f);
    struct cb_dataset_store *store = open_store(&f);
    cr_expect(add(&f, store, "ant", 1));
    cr_assert_eq(cb_dataset_store_close(store).code, CB_OK);
    folder_put_photo(&f, "c0001/left.png", 9);
    folder_put(&f, "c0000/.new", "half", 4);
    cr_expect_eq(folder_open(&f, f.path).n_photos, 1);
    store = open_store(&f);
    cr_expect(add(&f, store, "bee", 2));
    cr_assert_eq(cb_dataset_store_close(store).code, CB_OK);
    const struct cb_dataset d = folder_open(&f, f.path);
    cr_expect(d.n_classes == 2 && d.n_photos == 2);
    folder_end(&f);
}
