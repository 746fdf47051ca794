/* tests/importers/dataset/learning.h - a small network and a dataset of noisy colours: what
 * training is tested on. */
#pragma once

#include "core/base/rng.h"
#include "importers/dataset/features.h"
#include "importers/model/load.h"
#include "tests/importers/dataset/folder.h"
#include "tests/support/dataset_maker.h"
#include "tests/support/onnx_builder.h"

struct learning {
    struct folder f;
    struct cb_engine engine;
    struct onnx_builder builder;
    struct cb_model *model;
    struct cb_dataset dataset;
};

/* `each` photos of red, green and blue; pixels of 12 to 20 a side. */
static inline void learning_begin(struct learning *l, int each, size_t threads)
{
    static const char *const labels[] = { "blue", "green", "red" };
    folder_begin(&l->f);
    l->engine = (struct cb_engine){ .kernels = cb_kernels_for(cb_isa_best()),
                                    .plan_budget = (size_t)1 << 30 };
    cr_assert_eq(cb_threads_create(threads, &l->engine.threads).code, CB_OK);
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < each; i++) {
            struct cb_buf photo;
            char name[64];
            cb_buf_init(&photo, 1 << 20);
            make_photo(12 + i % 9, c == 2 ? 200 : 60, c == 1 ? 200 : 60, c == 0 ? 200 : 60,
                       (uint64_t)(c * 1000 + i), &photo);
            snprintf(name, sizeof name, "set/%s/%03d.jpg", labels[c], i);
            folder_put(&l->f, name, photo.data, photo.len);
            cb_buf_deinit(&photo);
        }
    l->builder = onnx_begin(17);
    onnx_small_classifier(&l->builder, 9, 10, 3);
    onnx_property(&l->builder, "cambium.recipe",
                  "{\"resize\":{\"height\":9,\"width\":9},\"range\":[0,1],\"mean\":[0.4,0.4,0.4],"
                  "\"std\":[0.2,0.2,0.2]}");
    const struct cb_model_source source = { .bytes = onnx_end(&l->builder), .name = "small" };
    const struct cb_status st = cb_model_load(&source, &l->model);
    cr_assert_eq(st.code, CB_OK, "%s", st.msg);
    char path[128];
    snprintf(path, sizeof path, "%s/set", l->f.path);
    l->dataset = folder_open(&l->f, path);
    cr_assert_eq(l->dataset.n_photos, 3 * each);
}

static inline void learning_end(struct learning *l)
{
    cb_model_destroy(l->model);
    onnx_free(&l->builder);
    cb_threads_destroy(l->engine.threads);
    folder_end(&l->f);
}
