#include "importers/dataset/features.h"

#include "core/model/predictor.h"
#include "importers/image/decode.h"
#include "tests/importers/dataset/learning.h"
#include "tests/support/close.h"

static struct cb_feature_set make(struct learning *l, const char *cache)
{
    struct cb_feature_set set;
    const struct cb_feature_job job = {
        .engine = &l->engine, .model = l->model, .dataset = &l->dataset, .cache = cache
    };
    const struct cb_status st = cb_dataset_features(&job, &l->f.arena, &l->f.rejections, &set);
    cr_assert_eq(st.code, CB_OK, "%s", st.msg);
    return set;
}

Test(dataset_features, are_those_of_each_photo_alone)
{
    struct learning l;
    struct cb_predictor *predictor;
    learning_begin(&l, 13, 2);
    const struct cb_feature_set set = make(&l, NULL);
    cr_assert(set.n == 39 && set.d == 4 && set.n_classes == 3 && set.cached == 0);
    cr_assert_eq(cb_predictor_create(&l.engine, l.model, &predictor).code, CB_OK);
    for (int i = 0; i < set.n; i++) {
        struct cb_bytes file;
        struct cb_decoded photo;
        float want[4];
        cr_expect(set.photo[i] == i && set.labels[i] == i / 13);
        cr_assert_eq(cb_file_map(l.dataset.photos[i].path, &file).code, CB_OK);
        cr_assert_eq(cb_image_decode(&l.f.arena, file, &cb_decode_defaults,
                                     cb_recipe_wanted_side(&l.model->recipe), &photo)
                         .code,
                     CB_OK);
        cr_assert_eq(cb_features(predictor, &photo.image, 1, want).code, CB_OK);
        cb_expect_close(4, set.features + 4 * i, want, "photo %d", i);
        cb_file_unmap(&file);
    }
    cb_predictor_destroy(predictor);
    learning_end(&l);
}

Test(dataset_features, come_from_the_cache_the_second_time_bit_for_bit)
{
    struct learning l;
    char cache[128];
    learning_begin(&l, 9, 2);
    snprintf(cache, sizeof cache, "%s/cache", l.f.path);
    const struct cb_feature_set first = make(&l, cache), second = make(&l, cache);
    cr_expect(first.cached == 0 && second.cached == 27, "%d, %d", first.cached, second.cached);
    cr_expect_arr_eq(first.features, second.features, 27 * 4 * sizeof(float));
    snprintf(l.model->recipe.bottleneck, sizeof l.model->recipe.bottleneck, "conv");
    cr_expect_eq(make(&l, cache).cached, 0, "another recipe, other features");
    learning_end(&l);
}

Test(dataset_features, a_cache_that_cannot_be_is_done_without)
{
    struct learning l;
    learning_begin(&l, 2, 1);
    cr_expect_eq(make(&l, "/proc/no/such/place").n, 6);
    learning_end(&l);
}

Test(dataset_features, bad_photos_and_duplicates_have_no_row)
{
    struct learning l;
    struct cb_bytes twin;
    char path[128];
    learning_begin(&l, 3, 2);
    cr_assert_eq(cb_file_map(l.dataset.photos[4].path, &twin).code, CB_OK);
    folder_put(&l.f, "set/green/zz.jpg", twin.data, twin.len);
    folder_put(&l.f, "set/red/twin.jpg", twin.data, twin.len);
    folder_put(&l.f, "set/blue/bad.jpg", "no photo", 8);
    folder_put(&l.f, "set/blue/cut.jpg", twin.data, twin.len / 2);
    snprintf(path, sizeof path, "%s/set", l.f.path);
    l.dataset = folder_open(&l.f, path);
    const struct cb_feature_set set = make(&l, NULL);
    cr_expect(set.n == 10 && set.duplicates == 1, "%d rows, %d duplicates", set.n, set.duplicates);
    cr_expect(l.f.rejections.count == 2 && folder_rejected(&l.f, "blue/bad.jpg", "") &&
              folder_rejected(&l.f, "blue/cut.jpg", ""));
    for (int i = 0; i < set.n; i++)
        cr_expect_eq(set.labels[i], l.dataset.photos[set.photo[i]].label);
    cb_file_unmap(&twin);
    learning_end(&l);
}

Test(dataset_features, can_be_cancelled)
{
    struct learning l;
    struct cb_feature_set set;
    const atomic_bool cancel = true;
    learning_begin(&l, 2, 1);
    const struct cb_feature_job job = {
        .engine = &l.engine, .model = l.model, .dataset = &l.dataset, .cancel = &cancel
    };
    cr_expect_eq(cb_dataset_features(&job, &l.f.arena, NULL, &set).code, CB_ERR_CANCELLED);
    learning_end(&l);
}

Test(dataset_features, probabilities_sum_to_one)
{
    struct learning l;
    struct cb_feature_set set;
    learning_begin(&l, 2, 1);
    const struct cb_feature_job job = { .engine = &l.engine,
                                        .model = l.model,
                                        .dataset = &l.dataset };
    cr_assert_eq(cb_dataset_probabilities(&job, &l.f.arena, NULL, &set).code, CB_OK);
    cr_assert(set.n == 6 && set.d == 10);
    for (int i = 0; i < set.n; i++) {
        float sum = 0;
        for (int k = 0; k < 10; k++)
            sum += set.features[10 * i + k];
        cr_expect_float_eq(sum, 1, 1e-5f);
    }
    learning_end(&l);
}

static struct cb_feature_set make_views(struct learning *l, const char *cache, int views,
                                        const char *augment, uint64_t seed)
{
    struct cb_feature_set set;
    struct cb_feature_job job = { .engine = &l->engine,
                                  .model = l->model,
                                  .dataset = &l->dataset,
                                  .cache = cache,
                                  .views = views,
                                  .seed = seed };
    cr_assert_eq(cb_augment_parse(augment, &job.augment).code, CB_OK);
    const struct cb_status st = cb_dataset_features(&job, &l->f.arena, &l->f.rejections, &set);
    cr_assert_eq(st.code, CB_OK, "%s", st.msg);
    cr_assert(set.n == l->dataset.n_photos && set.views == views);
    return set;
}

Test(dataset_features, views_follow_the_photo_whose_own_row_stays)
{
    struct learning l;
    learning_begin(&l, 7, 2);
    const struct cb_feature_set plain = make(&l, NULL), views = make_views(&l, NULL, 3, "1", 1),
                                same = make_views(&l, NULL, 3, "0", 1);
    int other = 0;
    for (int i = 0; i < 21; i++) {
        const float *row = views.features + 12 * i, *still = same.features + 12 * i;
        cb_expect_close(4, row, plain.features + 4 * i, "photo %d", i);
        for (int v = 1; v < 3; v++) {
            other += memcmp(row + 4 * v, row, 4 * sizeof *row) != 0;
            cb_expect_close(4, still + 4 * v, plain.features + 4 * i, "photo %d, view %d", i, v);
        }
    }
    cr_expect_eq(other, 42);
    learning_end(&l);
}

Test(dataset_features, views_are_the_same_on_any_number_of_threads)
{
    struct learning one, three;
    learning_begin(&one, 6, 1);
    learning_begin(&three, 6, 3);
    const struct cb_feature_set a = make_views(&one, NULL, 4, "1", 5),
                                b = make_views(&three, NULL, 4, "1", 5);
    cr_expect_arr_eq(a.features, b.features, 18 * 4 * 4 * sizeof(float));
    learning_end(&one);
    learning_end(&three);
}

/* Strengths and seed are part of what the cache goes by, and so is the view's number. */
Test(dataset_features, views_come_from_the_cache_when_nothing_about_them_is_new)
{
    struct learning l;
    char cache[128];
    learning_begin(&l, 4, 2);
    snprintf(cache, sizeof cache, "%s/cache", l.f.path);
    cr_expect_eq(make(&l, cache).cached, 0);
    const struct cb_feature_set first = make_views(&l, cache, 3, "0.5", 1),
                                second = make_views(&l, cache, 3, "0.5", 1);
    cr_expect(first.cached == 0 && second.cached == 12, "%d, %d", first.cached, second.cached);
    cr_expect_arr_eq(first.features, second.features, 12 * 3 * 4 * sizeof(float));
    cr_expect_eq(make_views(&l, cache, 2, "0.5", 1).cached, 12, "fewer of the same");
    cr_expect_eq(make_views(&l, cache, 4, "0.5", 1).cached, 0, "one more");
    cr_expect_eq(make_views(&l, cache, 3, "0.5,flip=1", 1).cached, 0, "other strengths");
    cr_expect_eq(make_views(&l, cache, 3, "0.5", 2).cached, 0, "another seed");
    cr_expect_eq(make(&l, cache).cached, 12, "the photos themselves");
    learning_end(&l);
}

Test(dataset_features, photos_without_a_row_leave_no_views)
{
    struct learning l;
    struct cb_bytes twin;
    char path[128];
    learning_begin(&l, 3, 2);
    cr_assert_eq(cb_file_map(l.dataset.photos[4].path, &twin).code, CB_OK);
    folder_put(&l.f, "set/blue/0bad.jpg", "no photo", 8);
    folder_put(&l.f, "set/green/zz.jpg", twin.data, twin.len);
    const struct cb_feature_set want = make_views(&l, NULL, 3, "1", 1);
    snprintf(path, sizeof path, "%s/set", l.f.path);
    l.dataset = folder_open(&l.f, path);
    struct cb_feature_set got;
    struct cb_feature_job job = {
        .engine = &l.engine, .model = l.model, .dataset = &l.dataset, .views = 3, .seed = 1
    };
    cr_assert_eq(cb_augment_parse("1", &job.augment).code, CB_OK);
    cr_assert_eq(cb_dataset_features(&job, &l.f.arena, &l.f.rejections, &got).code, CB_OK);
    cr_assert(got.n == 9 && got.duplicates == 1 && l.f.rejections.count == 1);
    cb_expect_close(9 * 3 * 4, got.features, want.features, "rows");
    cb_file_unmap(&twin);
    learning_end(&l);
}

Test(dataset_features, more_views_than_there_may_be_are_refused)
{
    struct learning l;
    struct cb_feature_set set;
    learning_begin(&l, 2, 1);
    const struct cb_feature_job job = { .engine = &l.engine,
                                        .model = l.model,
                                        .dataset = &l.dataset,
                                        .views = CB_FEATURE_VIEWS_MAX + 1 };
    cr_expect_eq(cb_dataset_features(&job, &l.f.arena, NULL, &set).code, CB_ERR_INPUT);
    learning_end(&l);
}
