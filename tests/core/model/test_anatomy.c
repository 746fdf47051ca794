#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "importers/model/load.h"
#include "tests/support/onnx_builder.h"

static struct cb_model *load(struct onnx_builder *b)
{
    struct cb_model *m = NULL;
    const struct cb_status st =
        cb_model_load(&(struct cb_model_source){ .bytes = onnx_end(b), .name = "net" }, &m);
    cr_assert(st.code == CB_OK, "%s", st.msg);
    return m;
}

static const char *name_of(const struct cb_model *m, int value)
{
    return value < 0 ? "none" : m->graph.values[value].name;
}

static void expect_anatomy(const struct cb_model *m, const char *logits, const char *bottleneck,
                           const char *cam)
{
    cr_expect_str_eq(name_of(m, m->logits), logits);
    cr_expect_str_eq(name_of(m, m->bottleneck), bottleneck);
    cr_expect_str_eq(name_of(m, m->cam_layer), cam);
}

static void add_conv(struct onnx_builder *b, const char *in, const char *out, int cin, int cout)
{
    char weight[32], inputs[80];
    snprintf(weight, sizeof weight, "%s_w", out);
    snprintf(inputs, sizeof inputs, "%s %s", in, weight);
    onnx_random(b, weight, ONNX_DIMS(cout, cin, 1, 1), 5);
    onnx_node(b, "Conv", inputs, out);
}

Test(anatomy, of_a_network_with_a_product_behind_pooling)
{
    struct onnx_builder b;
    b = onnx_begin(13);
    onnx_small_classifier(&b, 0, 6, 1);
    struct cb_model *m = load(&b);
    expect_anatomy(m, "logits", "flat", "features");
    cr_expect_eq(m->classes, 6);
    cb_model_destroy(m);
    onnx_free(&b);
}

Test(anatomy, of_a_network_whose_classifier_is_a_convolution_and_that_ends_in_softmax)
{
    struct onnx_builder b = onnx_begin(13);
    onnx_input(&b, "x", ONNX_FLOAT, ONNX_DIMS(-1, 3, 32, 32));
    add_conv(&b, "x", "trunk", 3, 4);
    onnx_node(&b, "Dropout", "trunk", "dropped");
    add_conv(&b, "dropped", "scores", 4, 7);
    onnx_node(&b, "Relu", "scores", "active");
    onnx_node(&b, "GlobalAveragePool", "active", "pooled");
    onnx_node(&b, "Flatten", "pooled", "flat");
    onnx_node(&b, "Softmax", "flat", "probabilities");
    onnx_output(&b, "probabilities", ONNX_FLOAT);
    struct cb_model *m = load(&b);
    expect_anatomy(m, "flat", "trunk", "active");
    cr_expect_eq(m->classes, 7);
    cb_model_destroy(m);
    onnx_free(&b);
}

Test(anatomy, of_a_trunk_without_classifier)
{
    struct onnx_builder b = onnx_begin(13);
    onnx_input(&b, "x", ONNX_FLOAT, ONNX_DIMS(-1, 3, 32, 32));
    add_conv(&b, "x", "c", 3, 4);
    const float one[4] = { 1, 1, 1, 1 }, zero[4] = { 0 };
    onnx_floats(&b, "one", ONNX_DIMS(4), one);
    onnx_floats(&b, "zero", ONNX_DIMS(4), zero);
    onnx_node(&b, "BatchNormalization", "c one zero zero one", "bn");
    onnx_node(&b, "Relu", "bn", "y");
    onnx_output(&b, "y", ONNX_FLOAT);
    struct cb_model *m = load(&b);
    expect_anatomy(m, "none", "y", "y");
    cr_expect_eq(m->classes, 0);
    cb_model_destroy(m);
    onnx_free(&b);
}

Test(anatomy, follows_what_the_recipe_names)
{
    struct onnx_builder b;
    b = onnx_begin(13);
    onnx_small_classifier(&b, 0, 6, 1);
    onnx_property(&b, "cambium.recipe", "{\"bottleneck\":\"features\",\"cam_layer\":\"conv\"}");
    struct cb_model *m = load(&b);
    expect_anatomy(m, "logits", "features", "conv");
    cb_model_destroy(m);
    onnx_free(&b);
}

Test(anatomy, names_a_tensor_of_the_recipe_that_is_not_there)
{
    struct onnx_builder b;
    struct cb_model *m = NULL;
    b = onnx_begin(13);
    onnx_small_classifier(&b, 0, 6, 1);
    onnx_property(&b, "cambium.recipe", "{\"cam_layer\":\"layer9\"}");
    const struct cb_status st =
        cb_model_load(&(struct cb_model_source){ .bytes = onnx_end(&b), .name = "net" }, &m);
    cr_expect_eq(st.code, CB_ERR_INPUT);
    cr_expect(strstr(st.msg, "layer9"), "%s", st.msg);
    onnx_free(&b);
}

Test(anatomy, refuses_an_input_that_is_no_picture)
{
    struct onnx_builder b = onnx_begin(13);
    struct cb_model *m = NULL;
    onnx_input(&b, "sound", ONNX_FLOAT, ONNX_DIMS(-1, 1, 16000));
    onnx_node(&b, "Relu", "sound", "y");
    onnx_output(&b, "y", ONNX_FLOAT);
    const struct cb_status st =
        cb_model_load(&(struct cb_model_source){ .bytes = onnx_end(&b), .name = "net" }, &m);
    cr_expect_eq(st.code, CB_ERR_UNSUPPORTED);
    cr_expect(strstr(st.msg, "sound"), "%s", st.msg);
    onnx_free(&b);
}
