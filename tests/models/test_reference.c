/* Real networks against ONNX Runtime's answers (../shared/models): the stored outputs, and the
 * classes of photos. */
#include <cjson/cJSON.h>
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/graph_run.h"
#include "core/model/predictor.h"
#include "importers/image/decode.h"
#include "importers/model/load.h"

#define MODELS "../shared/models"
#define PHOTOS "../shared/photos"

#define RTOL 1e-3
#define ATOL 1e-4
#define CLOSE_CALL 0.02 /* first and second class so near each other may change places */
#define PROBABILITY 0.02
#define SAME_TOP1 0.99

static void need(const char *path)
{
    if (!cb_file_exists(path)) {
        char why[256];
        snprintf(why, sizeof why, "%s is not there", path);
        cr_skip_test("%s", why);
    }
}

static struct cb_model *load(const char *name)
{
    char path[256];
    struct cb_model *model;
    snprintf(path, sizeof path, MODELS "/%s", name);
    const struct cb_status st = cb_model_load(&(struct cb_model_source){ .path = path }, &model);
    cr_assert(st.code == CB_OK, "%s", st.msg);
    return model;
}

static struct cb_tensor read_tensor(const char *name, int set, const char *file,
                                    enum cb_dtype dtype, struct cb_arena *arena)
{
    char path[256];
    struct cb_tensor t;
    snprintf(path, sizeof path, MODELS "/%s/test_data_set_%d/%s", name, set, file);
    const struct cb_status st = cb_tensor_file_read(path, dtype, arena, &t);
    cr_assert(st.code == CB_OK, "%s", st.msg);
    return t;
}

/* The largest share of its tolerance that an element uses up: at most 1. */
static double worst(const struct cb_tensor *got, const struct cb_tensor *want)
{
    double most = 0;
    cr_assert(cb_shape_equal(&got->shape, &want->shape));
    for (size_t i = 0; i < cb_tensor_count(want); i++) {
        const double w = (double)want->f[i];
        most = fmax(most, fabs((double)got->f[i] - w) / (ATOL + RTOL * fabs(w)));
    }
    return most;
}

static void check_outputs(const char *name)
{
    struct cb_engine engine = { .plan_budget = (size_t)1 << 32 };
    struct cb_arena arena;
    need(MODELS);
    cr_assert(cb_arena_init(&arena, (size_t)1 << 28).code == CB_OK);
    cr_assert(cb_threads_create(0, &engine.threads).code == CB_OK);
    struct cb_model *model = load(name);
    for (enum cb_isa isa = CB_ISA_GENERIC; isa <= cb_isa_best(); isa++)
        for (int passes = 0; passes <= 1; passes++)
            for (int set = 0; set <= 1; set++) {
                const enum cb_dtype dtype = model->graph.values[model->input].dtype;
                const struct cb_tensor input = read_tensor(name, set, "input_0.pb", dtype, &arena);
                const struct cb_tensor want = read_tensor(name, set, "output_0.pb", dtype, &arena);
                struct cb_graph_run run = { .engine = &engine,
                                            .model = model,
                                            .inputs = &input,
                                            .n_inputs = 1,
                                            .no_passes = !passes,
                                            .arena = &arena };
                engine.kernels = cb_kernels_for(isa);
                const struct cb_status st = cb_graph_run(&run);
                cr_assert(st.code == CB_OK, "%s", st.msg);
                const double off = worst(cb_graph_run_output(&run, 0), &want);
                cr_expect(off <= 1, "%s %s passes %d set %d: %.2f of the tolerance", name,
                          engine.kernels.name, passes, set, off);
                cb_graph_run_close(&run);
                cb_arena_rewind(&arena, 0);
            }
    cb_model_destroy(model);
    cb_threads_destroy(engine.threads);
    cb_arena_deinit(&arena);
}

struct tally {
    int photos, clear, same;
    double worst;
    char worst_file[128];
};

/* One photo against its five reference classes. */
static void check_photo(const struct cb_model *model, const float *probabilities,
                        const cJSON *classes, struct tally *tally)
{
    const double first =
        cJSON_GetObjectItem(cJSON_GetArrayItem(classes, 0), "probability")->valuedouble;
    const double second =
        cJSON_GetObjectItem(cJSON_GetArrayItem(classes, 1), "probability")->valuedouble;
    int best;
    cb_top_k(probabilities, model->classes, 1, &best);
    if (first - second >= CLOSE_CALL) {
        tally->clear++;
        tally->same +=
            best == cJSON_GetObjectItem(cJSON_GetArrayItem(classes, 0), "index")->valueint;
    }
    for (const cJSON *c = classes->child; c; c = c->next) {
        const int index = cJSON_GetObjectItem(c, "index")->valueint;
        const double off =
            fabs((double)probabilities[index] - cJSON_GetObjectItem(c, "probability")->valuedouble);
        if (off > tally->worst) {
            tally->worst = off;
            snprintf(tally->worst_file, sizeof tally->worst_file, "%s", classes->string);
        }
    }
    tally->photos++;
}

static cJSON *read_json(const char *name)
{
    char path[256];
    struct cb_bytes file;
    snprintf(path, sizeof path, MODELS "/%s/photos.json", name);
    need(path);
    cr_assert(cb_file_map(path, &file).code == CB_OK);
    cJSON *json = cJSON_ParseWithLength((const char *)file.data, file.len);
    cb_file_unmap(&file);
    cr_assert(json);
    return json;
}

/* Classes of one photo; false when it is none that we read. */
static bool predict(struct cb_predictor *predictor, const struct cb_model *model, const char *file,
                    struct cb_arena *arena, float *probabilities)
{
    char path[256];
    struct cb_bytes bytes;
    struct cb_decoded photo;
    snprintf(path, sizeof path, PHOTOS "/%s", file);
    cr_assert(cb_file_map(path, &bytes).code == CB_OK, "%s", path);
    const struct cb_status st = cb_image_decode(arena, bytes, &cb_decode_defaults,
                                                cb_recipe_wanted_side(&model->recipe), &photo);
    cb_file_unmap(&bytes);
    if (st.code) {
        cr_expect(strstr(file, ".bmp"), "%s: %s", file, st.msg);
        return false;
    }
    const struct cb_status done = cb_predict(predictor, &photo.image, 1, probabilities);
    cr_assert(done.code == CB_OK, "%s: %s", file, done.msg);
    return true;
}

static void check_photos(const char *name)
{
    struct cb_engine engine = { .kernels = cb_kernels_for(cb_isa_best()),
                                .plan_budget = (size_t)1 << 32 };
    struct tally tally = { 0 };
    struct cb_predictor *predictor;
    struct cb_arena arena;
    cJSON *json = read_json(name);
    struct cb_model *model = load(name);
    float *probabilities = malloc((size_t)model->classes * sizeof *probabilities);
    cr_assert(cb_arena_init(&arena, (size_t)1 << 30).code == CB_OK);
    cr_assert(cb_threads_create(0, &engine.threads).code == CB_OK);
    cr_assert(cb_predictor_create(&engine, model, &predictor).code == CB_OK);
    for (const cJSON *classes = json->child; classes; classes = classes->next) {
        if (cJSON_IsArray(classes) &&
            predict(predictor, model, classes->string, &arena, probabilities))
            check_photo(model, probabilities, classes, &tally);
        cb_arena_rewind(&arena, 0);
    }
    printf("%-24s %d photos, %d of %d clear ones the same, probabilities within %.4f (%s)\n", name,
           tally.photos, tally.same, tally.clear, tally.worst, tally.worst_file);
    cr_expect(tally.photos >= 60);
    cr_expect(tally.same >= SAME_TOP1 * tally.clear, "%s: %d of %d", name, tally.same, tally.clear);
    cr_expect(tally.worst <= PROBABILITY, "%s: off by %.4f in %s", name, tally.worst,
              tally.worst_file);
    cb_predictor_destroy(predictor);
    cb_threads_destroy(engine.threads);
    cb_arena_deinit(&arena);
    free(probabilities);
    cb_model_destroy(model);
    cJSON_Delete(json);
}

#define OUTPUTS(id, name)                                                                          \
    Test(reference, id##_gives_the_stored_outputs_on_every_isa_with_and_without_passes,            \
         .timeout = 600)                                                                           \
    {                                                                                              \
        check_outputs(name);                                                                       \
    }
#define PHOTOS_OF(id, name)                                                                        \
    Test(reference, id##_sees_in_photos_what_the_reference_sees, .timeout = 600)                   \
    {                                                                                              \
        check_photos(name);                                                                        \
    }

OUTPUTS(squeezenet, "squeezenet1.1")
OUTPUTS(squeezenet_fp16, "squeezenet1.1-fp16")
OUTPUTS(mobilenet_v2, "mobilenet_v2")
OUTPUTS(resnet50v2_features, "resnet50v2-stage3-features")
OUTPUTS(mobilenetv2_features, "mobilenetv2-gluon-features")
OUTPUTS(resnet20, "resnet20-cifar10")
OUTPUTS(resnet20_bn, "resnet20-cifar10-bn")
OUTPUTS(resnet56, "resnet56-cifar10")
OUTPUTS(resnet8, "resnet8-cifar10")
OUTPUTS(mnist, "mnist")
PHOTOS_OF(squeezenet, "squeezenet1.1")
PHOTOS_OF(squeezenet_fp16, "squeezenet1.1-fp16")
PHOTOS_OF(mobilenet_v2, "mobilenet_v2")
PHOTOS_OF(resnet20, "resnet20-cifar10")
PHOTOS_OF(resnet20_bn, "resnet20-cifar10-bn")
PHOTOS_OF(resnet56, "resnet56-cifar10")
PHOTOS_OF(resnet8, "resnet8-cifar10")
PHOTOS_OF(mnist, "mnist")
