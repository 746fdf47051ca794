/* How well heads learn on real trunks: ../shared/models and ../shared/labelled; skipped where they
 * are absent. The marks are what plain logistic regression reaches on the same features, less what
 * one or two photos make. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "importers/dataset/features.h"
#include "importers/model/load.h"
#include "server/train_job.h"

#define SHARED "../shared/"

static struct cb_dataset open_set(const char *set, const char *part, struct cb_arena *arena)
{
    struct cb_dataset dataset;
    char path[128];
    snprintf(path, sizeof path, SHARED "labelled/%s/%s", set, part);
    if (!cb_file_exists(path))
        cr_skip_test("%s is not here", path);
    cr_assert_eq(cb_dataset_open(path, arena, NULL, &dataset).code, CB_OK);
    return dataset;
}

static struct cb_model *open_model(const char *name)
{
    struct cb_model *model;
    char path[128];
    snprintf(path, sizeof path, SHARED "models/%s", name);
    if (!cb_file_exists(path))
        cr_skip_test("%s is not here", path);
    cr_assert_eq(cb_model_load(&(struct cb_model_source){ .path = path }, &model).code, CB_OK);
    return model;
}

/* Share of the unseen photos that the head gets right. */
static double judge(const struct cb_head *head, const struct cb_feature_set *set,
                    struct cb_arena *arena)
{
    struct cb_evaluation e;
    float *logits = cb_arena_alloc(arena, (size_t)set->n * (size_t)head->classes, sizeof *logits);
    cr_assert_not_null(logits);
    cb_head_run(head, set->n, set->features, logits);
    cr_assert_eq(cb_evaluate(arena, logits, set->labels, set->n, head->classes, &e).code, CB_OK);
    return (double)e.correct / e.n;
}

static void expect_accuracy(const char *name, const char *set, double least)
{
#ifdef __SANITIZE_ADDRESS__
    cr_skip_test("too slow with the address sanitizer");
#endif
    struct cb_engine engine = { .kernels = cb_kernels_for(cb_isa_best()),
                                .plan_budget = (size_t)4 << 30 };
    struct cb_arena arena;
    struct cb_train_result result;
    struct cb_feature_set unseen;
    cr_assert_eq(cb_arena_init(&arena, (size_t)1 << 30).code, CB_OK);
    const struct cb_dataset train = open_set(set, "train", &arena),
                            val = open_set(set, "val", &arena);
    struct cb_model *model = open_model(name);
    cr_assert_eq(cb_threads_create(0, &engine.threads).code, CB_OK);
    const struct cb_train_job job = {
        .engine = &engine, .model = model, .dataset = &train, .config = cb_train_config_default
    };
    struct cb_status st = cb_train_run(&job, &arena, NULL, &result);
    cr_assert_eq(st.code, CB_OK, "%s", st.msg);
    const struct cb_feature_job features = { .engine = &engine, .model = model, .dataset = &val };
    cr_assert_eq(cb_dataset_features(&features, &arena, NULL, &unseen).code, CB_OK);
    const double accuracy = judge(&result.head, &unseen, &arena);
    cr_expect_geq(accuracy, least, "%s on %s: %.4f", name, set, accuracy);
    cb_buf_deinit(&result.head_file);
    cb_threads_destroy(engine.threads);
    cb_model_destroy(model);
    cb_arena_deinit(&arena);
}

Test(learning, squeezenet_tells_ants_from_bees)
{
    expect_accuracy("squeezenet1.1", "hymenoptera", 0.92);
}

Test(learning, squeezenet_tells_five_flowers)
{
    expect_accuracy("squeezenet1.1", "flowers5", 0.71);
}

Test(learning, mobilenet_tells_ants_from_bees)
{
    expect_accuracy("mobilenet_v2", "hymenoptera", 0.94);
}

Test(learning, mobilenet_tells_five_flowers)
{
    expect_accuracy("mobilenet_v2", "flowers5", 0.76);
}
