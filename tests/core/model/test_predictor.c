#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/exec/session.h"
#include "core/image/preprocess.h"
#include "core/image/shapes.h"
#include "core/model/predictor.h"
#include "importers/model/load.h"
#include "tests/support/onnx_builder.h"

#define SHARED "../shared/models/"

static struct cb_engine engine_of(enum cb_isa isa)
{
    return (struct cb_engine){ .kernels = cb_kernels_for(isa), .plan_budget = (size_t)1 << 31 };
}

static struct cb_model *small_model(struct onnx_builder *b)
{
    struct cb_model *m = NULL;
    *b = onnx_begin(13);
    onnx_small_classifier(b, 0, 5, 7);
    const struct cb_model_source source = { .bytes = onnx_end(b), .name = "small" };
    const struct cb_status st = cb_model_load(&source, &m);
    cr_assert(st.code == CB_OK, "%s", st.msg);
    return m;
}

static struct cb_image picture(struct cb_arena *arena, int side, uint64_t seed)
{
    struct cb_rng rng = cb_rng_seed(seed);
    struct cb_image image;
    cr_assert(
        cb_shapes_draw(arena, &rng, (int)(seed % CB_SHAPE_CLASSES), side, &image, NULL).code ==
        CB_OK);
    return image;
}

Test(predictor, photos_together_and_alone_get_the_same_probabilities)
{
    const struct cb_engine engine = engine_of(cb_isa_best());
    struct onnx_builder b;
    struct cb_model *m = small_model(&b);
    struct cb_predictor *p = NULL;
    struct cb_arena arena;
    struct cb_image images[5];
    float together[25], alone[5];
    cr_assert(cb_arena_init(&arena, (size_t)1 << 26).code == CB_OK);
    cr_assert(cb_predictor_create(&engine, m, &p).code == CB_OK);
    for (int i = 0; i < 5; i++)
        images[i] = picture(&arena, i == 2 ? 300 : 257, (uint64_t)i + 1);
    cr_assert(cb_predict(p, images, 5, together).code == CB_OK);
    for (int i = 0; i < 5; i++) {
        double sum = 0;
        cr_assert(cb_predict(p, &images[i], 1, alone).code == CB_OK);
        for (int c = 0; c < 5; c++) {
            sum += (double)alone[c];
            cr_expect_float_eq(together[5 * i + c], alone[c], 1e-6f, "photo %d", i);
        }
        cr_expect_float_eq(sum, 1, 1e-5);
    }
    cb_predictor_destroy(p);
    cb_model_destroy(m);
    onnx_free(&b);
    cb_arena_deinit(&arena);
}

Test(predictor, top_k_is_sorted_and_breaks_ties_by_index)
{
    const float p[] = { 0.1f, 0.3f, 0.1f, 0.4f, 0.1f };
    int index[5];
    cr_assert_eq(cb_top_k(p, 5, 3, index), 3);
    cr_expect(index[0] == 3 && index[1] == 1 && index[2] == 0);
    cr_assert_eq(cb_top_k(p, 2, 5, index), 2);
    cr_expect(index[0] == 1 && index[1] == 0);
    cr_expect_eq(cb_top_k(p, 5, 0, index), 0);
}

/* The network from `layer` on, as a graph of its own that is given the layer's activation. */
static struct cb_session *open_head(const struct cb_engine *engine, struct cb_model *m,
                                    const struct cb_tensor *layer, int value,
                                    struct cb_arena *arena, struct cb_plan **plan)
{
    struct cb_graph head;
    struct cb_session *s = NULL;
    cr_assert(cb_graph_copy(&m->graph, arena, &head).code == CB_OK);
    for (int i = 0; i < head.n_nodes; i++)
        for (int k = 0; k < head.nodes[i].n_out; k++)
            if (head.nodes[i].out[k] == value)
                head.nodes[i].out[k] = -1;
    head.inputs[0] = value;
    const struct cb_tensor input = { .shape = layer->shape, .dtype = CB_FLOAT32 };
    const struct cb_plan_options options = {
        .inputs = &input, .outputs = &m->logits, .n_outputs = 1, .no_passes = true
    };
    const struct cb_status st = cb_plan_create(engine, &head, m->weights, &options, plan);
    cr_assert(st.code == CB_OK, "%s", st.msg);
    cr_assert(cb_session_create(*plan, &s).code == CB_OK);
    return s;
}

static float score(struct cb_session *s, const struct cb_tensor *a, const float *data,
                   int class_index)
{
    memcpy(cb_session_input(s, 0)->f, data, cb_tensor_bytes(a));
    cb_session_run(s);
    return cb_session_output(s, 0)->f[class_index];
}

/* Grad-CAM whose gradients are differences: the mean over space of dy/dA_c is the change of y when
 * all of channel c grows by h, over h times the area. The activation is taken from a plain forward
 * run. */
static void expect_finite_difference_cam(const struct cb_engine *engine, struct cb_model *m,
                                         const struct cb_image *image, float h, double tolerance)
{
    struct cb_arena arena;
    struct cb_predictor *p = NULL;
    struct cb_plan *plan = NULL, *head_plan = NULL;
    struct cb_session *s = NULL;
    struct cb_cam cam;
    int height, width;
    cr_assert(cb_arena_init(&arena, (size_t)1 << 28).code == CB_OK);
    cr_assert(cb_predictor_create(engine, m, &p).code == CB_OK);
    struct cb_status st = cb_grad_cam(p, image, -1, -1, &arena, &cam);
    cr_assert(st.code == CB_OK, "%s", st.msg);
    /* the layer's activation, by another plan without passes */
    cb_model_default_size(m, &height, &width);
    const struct cb_tensor input = { .shape = { 4, { 1, height, width, 3 } }, .dtype = CB_FLOAT32 };
    const struct cb_plan_options options = { .inputs = &input,
                                             .outputs = &cam.layer,
                                             .n_outputs = 1,
                                             .no_passes = true,
                                             .nhwc_input = true };
    cr_assert(cb_plan_create(engine, &m->graph, m->weights, &options, &plan).code == CB_OK);
    cr_assert(cb_session_create(plan, &s).code == CB_OK);
    cr_assert(cb_preprocess(&arena, &m->recipe, image, cb_session_input(s, 0)->f).code == CB_OK);
    cb_session_run(s);
    const struct cb_tensor *a = cb_session_output(s, 0);
    const size_t channels = (size_t)a->shape.dim[1],
                 area = (size_t)(a->shape.dim[2] * a->shape.dim[3]);
    float *data = cb_arena_alloc(&arena, cb_tensor_count(a), sizeof *data), most = 0;
    double *map = cb_arena_alloc(&arena, area, sizeof *map);
    struct cb_session *head = open_head(engine, m, a, cam.layer, &arena, &head_plan);
    memcpy(data, a->f, cb_tensor_bytes(a));
    for (size_t c = 0; c < channels; c++) {
        float y[2];
        for (int side = 0; side < 2; side++) {
            for (size_t i = 0; i < area; i++)
                data[c * area + i] = a->f[c * area + i] + (side ? -h : h);
            y[side] = score(head, a, data, cam.class_index);
        }
        memcpy(data + c * area, a->f + c * area, area * sizeof *data);
        for (size_t i = 0; i < area; i++)
            map[i] += ((double)y[0] - (double)y[1]) / (2 * (double)h * (double)area) *
                      (double)a->f[c * area + i];
    }
    for (size_t i = 0; i < area; i++)
        most = fmaxf(most, cam.map[i]);
    cr_expect_gt(most, 0);
    for (size_t i = 0; i < area; i++)
        cr_expect_lt(fabs(fmax(0, map[i]) - (double)cam.map[i]), tolerance * (double)most,
                     "%s, pixel %zu: %g, not %g", m->name, i, (double)cam.map[i], map[i]);
    cb_session_destroy(head);
    cb_plan_destroy(head_plan);
    cb_session_destroy(s);
    cb_plan_destroy(plan);
    cb_predictor_destroy(p);
    cb_arena_deinit(&arena);
}

Test(grad_cam, of_a_small_network_equals_finite_differences_on_every_isa)
{
    for (enum cb_isa isa = CB_ISA_GENERIC; isa <= cb_isa_best(); isa++) {
        const struct cb_engine engine = engine_of(isa);
        struct onnx_builder b;
        struct cb_model *m = small_model(&b);
        struct cb_arena arena;
        cr_assert(cb_arena_init(&arena, (size_t)1 << 26).code == CB_OK);
        const struct cb_image image = picture(&arena, 256, 3);
        expect_finite_difference_cam(&engine, m, &image, 1e-2f, 1e-3);
        cb_arena_deinit(&arena);
        cb_model_destroy(m);
        onnx_free(&b);
    }
}

Test(grad_cam, of_trained_networks_equals_finite_differences)
{
    static const char *const models[] = { SHARED "squeezenet1.1", SHARED "mobilenet_v2",
                                          SHARED "resnet20-cifar10" };
    const struct cb_engine engine = engine_of(cb_isa_best());
    if (!cb_file_exists(SHARED))
        cr_skip_test(SHARED " is not there");
    for (size_t i = 0; i < CB_COUNT_OF(models); i++) {
        struct cb_model *m = NULL;
        struct cb_arena arena;
        const struct cb_status st =
            cb_model_load(&(struct cb_model_source){ .path = models[i] }, &m);
        cr_assert(st.code == CB_OK, "%s", st.msg);
        cr_assert(cb_arena_init(&arena, (size_t)1 << 26).code == CB_OK);
        const struct cb_image image = picture(&arena, 256, 4);
        expect_finite_difference_cam(&engine, m, &image, 1e-1f, 1e-3);
        cb_arena_deinit(&arena);
        cb_model_destroy(m);
    }
}

Test(grad_cam, refuses_a_class_or_a_layer_that_is_not_there)
{
    const struct cb_engine engine = engine_of(CB_ISA_GENERIC);
    struct onnx_builder b;
    struct cb_model *m = small_model(&b);
    struct cb_predictor *p = NULL;
    struct cb_arena arena;
    struct cb_cam cam;
    cr_assert(cb_arena_init(&arena, (size_t)1 << 26).code == CB_OK);
    cr_assert(cb_predictor_create(&engine, m, &p).code == CB_OK);
    const struct cb_image image = picture(&arena, 256, 3);
    cr_expect_eq(cb_grad_cam(p, &image, 5, -1, &arena, &cam).code, CB_ERR_INPUT);
    cr_expect_eq(cb_grad_cam(p, &image, 0, m->logits, &arena, &cam).code, CB_ERR_INPUT);
    cb_predictor_destroy(p);
    cb_model_destroy(m);
    onnx_free(&b);
    cb_arena_deinit(&arena);
}

/* Convolution, ReLU, a window of 4x4 averaged: at 4x4 one score a class, at other sizes maps or
 * nothing. */
static struct cb_model *windowed_model(struct onnx_builder *b, int side)
{
    struct cb_model *m = NULL;
    char recipe[128];
    *b = onnx_begin(13);
    onnx_input(b, "x", ONNX_FLOAT, ONNX_DIMS(-1, 3, 4, 4));
    onnx_random(b, "w", ONNX_DIMS(6, 3, 1, 1), 3);
    onnx_node(b, "Conv", "x w", "conv");
    onnx_node(b, "Relu", "conv", "relu");
    onnx_node(b, "AveragePool", "relu", "scores");
    onnx_attr_ints(b, "kernel_shape", ONNX_DIMS(4, 4));
    onnx_output(b, "scores", ONNX_FLOAT);
    snprintf(recipe, sizeof recipe, "{\"resize\":{\"height\":%d,\"width\":%d}}", side, side);
    onnx_property(b, "cambium.recipe", recipe);
    const struct cb_status st =
        cb_model_load(&(struct cb_model_source){ .bytes = onnx_end(b), .name = "net" }, &m);
    cr_assert(st.code == CB_OK, "%s", st.msg);
    return m;
}

Test(predictor, takes_sizes_other_than_the_files_own_where_the_network_allows_them)
{
    const struct cb_engine engine = engine_of(cb_isa_best());
    static const int sides[] = { 4, 9, 3 };
    static const enum cb_code want[] = { CB_OK, CB_OK, CB_ERR_MODEL };
    for (size_t i = 0; i < CB_COUNT_OF(sides); i++) {
        struct onnx_builder b;
        struct cb_arena arena;
        struct cb_predictor *p = NULL;
        struct cb_model *m = windowed_model(&b, sides[i]);
        struct cb_image images[3];
        struct cb_cam cam;
        float probabilities[18];
        double sum = 0;
        cr_assert(cb_arena_init(&arena, (size_t)1 << 26).code == CB_OK);
        for (int k = 0; k < 3; k++)
            images[k] = picture(&arena, 40 + k, (uint64_t)k + 5);
        cr_assert(cb_predictor_create(&engine, m, &p).code == CB_OK);
        const struct cb_status st = cb_predict(p, images, 3, probabilities);
        cr_expect_eq(st.code, want[i], "%d pixels: %s", sides[i], st.msg);
        for (int c = 0; c < 6 && !st.code; c++)
            sum += (double)probabilities[6 + c];
        if (!st.code) {
            cr_expect_float_eq(sum, 1, 1e-5);
            cr_expect_eq(cb_grad_cam(p, &images[1], -1, -1, &arena, &cam).code, CB_OK);
            cr_expect_float_eq(cam.probability, probabilities[6 + cam.class_index], 1e-5f);
        }
        cb_predictor_destroy(p);
        cb_model_destroy(m);
        onnx_free(&b);
        cb_arena_deinit(&arena);
    }
}
