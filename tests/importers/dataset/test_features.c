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
