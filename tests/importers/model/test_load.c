#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "importers/model/load.h"
#include "importers/onnx/head/save.h"
#include "tests/support/onnx_builder.h"
#include "tests/support/program.h"

static char *folder;

static void setup(void)
{
    folder = program_folder();
}

static void teardown(void)
{
    program_folder_remove(folder);
}

TestSuite(model_load, .init = setup, .fini = teardown);

/* The small classifier with these properties, written to FOLDER/NAME. */
static const char *write_classifier(const char *name, int side, const char *labels,
                                    const char *recipe)
{
    struct onnx_builder b = onnx_begin(17);
    const char *path = program_path(folder, name);
    onnx_small_classifier(&b, side, 3, 7);
    if (labels)
        onnx_property(&b, "cambium.labels", labels);
    if (recipe)
        onnx_property(&b, "cambium.recipe", recipe);
    const struct cb_bytes file = onnx_end(&b);
    cr_assert(cb_file_write(path, file.data, file.len).code == CB_OK);
    onnx_free(&b);
    return path;
}

static struct cb_model *load(const char *path)
{
    struct cb_model *model;
    const struct cb_status st = cb_model_load(&(struct cb_model_source){ .path = path }, &model);
    cr_assert(st.code == CB_OK, "%s", st.msg);
    return model;
}

static void expect_refusal(const char *path, enum cb_code code, const char *part)
{
    struct cb_model *model;
    const struct cb_status st = cb_model_load(&(struct cb_model_source){ .path = path }, &model);
    cr_expect(st.code == code, "code %d: %s", (int)st.code, st.msg);
    cr_expect(strstr(st.msg, part), "\"%s\" says nothing of \"%s\"", st.msg, part);
}

Test(model_load, a_file_alone_gets_the_assumed_recipe_at_its_own_size)
{
    struct cb_model *m = load(write_classifier("net.onnx", 64, NULL, NULL));
    cr_expect(m->recipe.assumed && m->recipe.short_side == 73 && m->recipe.crop_height == 64);
    cr_expect(m->recipe.mean[0] == 0.485f && m->recipe.color == CB_RGB);
    cr_expect(m->classes == 3 && m->labels == NULL && m->n_labels == 0);
    cr_expect(m->height == 64 && m->width == 64 && m->channels == 3 && m->opset == 17 &&
              m->version == 1);
    cr_expect_str_eq(m->name, "net");
    cb_model_destroy(m);
}

Test(model_load, an_open_size_is_taken_as_224)
{
    struct cb_model *m = load(write_classifier("net.onnx", 0, NULL, NULL));
    cr_expect(m->height == 0 && m->recipe.short_side == 256 && m->recipe.crop_width == 224);
    cb_model_destroy(m);
}

Test(model_load, the_anatomy_is_found_by_name)
{
    struct cb_model *m = load(write_classifier("net.onnx", 16, NULL, NULL));
    cr_expect_str_eq(m->graph.values[m->logits].name, "logits");
    cr_expect_str_eq(m->graph.values[m->bottleneck].name, "flat");
    cr_expect_str_eq(m->graph.values[m->cam_layer].name, "features");
    cb_model_destroy(m);
}

Test(model_load, metadata_is_read_and_files_beside_the_model_win)
{
    const char *path = write_classifier(
        "net.onnx", 16, "a\nb\nc", "{\"range\":[0,255],\"crop\":{\"height\":16,\"width\":16}}");
    struct cb_model *m = load(path);
    cr_expect(!m->recipe.assumed && m->recipe.range[1] == 255 && m->recipe.short_side == 0);
    cr_expect(m->n_labels == 3);
    cr_expect_str_eq(m->labels[2], "c");
    cb_model_destroy(m);
    program_write(program_path(folder, "labels.txt"), "x\ny\nz\n");
    program_write(program_path(folder, "net.recipe.json"),
                  "{\"color\":\"BGR\",\"resize\":{\"short_side\":20}}");
    m = load(path);
    cr_expect(m->recipe.color == CB_BGR && m->recipe.range[1] == 1);
    cr_expect(m->recipe.short_side == 20 && m->recipe.crop_height == 16,
              "the graph's size completes the geometry");
    cr_expect_str_eq(m->labels[0], "x");
    cb_model_destroy(m);
}

Test(model_load, a_recipe_without_geometry_gets_that_of_the_graph)
{
    struct cb_model *m = load(write_classifier("net.onnx", 224, NULL, "{\"mean\":[0.5]}"));
    cr_expect(!m->recipe.assumed && m->recipe.short_side == 256 && m->recipe.crop_height == 224);
    cb_model_destroy(m);
}

Test(model_load, the_recipe_may_name_bottleneck_and_cam_layer)
{
    struct cb_model *m = load(write_classifier(
        "net.onnx", 16, NULL, "{\"bottleneck\":\"pooled\",\"cam_layer\":\"conv\"}"));
    cr_expect_str_eq(m->graph.values[m->bottleneck].name, "pooled");
    cr_expect_str_eq(m->graph.values[m->cam_layer].name, "conv");
    cb_model_destroy(m);
    expect_refusal(write_classifier("bad.onnx", 16, NULL, "{\"cam_layer\":\"nowhere\"}"),
                   CB_ERR_INPUT, "nowhere");
}

Test(model_load, refusals_say_what_and_where)
{
    expect_refusal(program_path(folder, "gone.onnx"), CB_ERR_NOT_FOUND, "gone.onnx");
    expect_refusal(write_classifier("l.onnx", 16, "a\nb", NULL), CB_ERR_INPUT,
                   "2 labels for a network of 3 classes");
    expect_refusal(write_classifier("r.onnx", 16, NULL, "{\"size\":3}"), CB_ERR_INPUT,
                   "there is no key \"size\"");
    program_write(program_path(folder, "t.onnx"), "this is no model");
    expect_refusal(program_path(folder, "t.onnx"), CB_ERR_MODEL, "");
    program_write(program_path(folder, "e.onnx"), "");
    expect_refusal(program_path(folder, "e.onnx"), CB_ERR_MODEL, "");
}

Test(model_load, the_graph_alone_needs_no_picture)
{
    struct onnx_builder b = onnx_begin(17);
    struct cb_model *m;
    onnx_input(&b, "x", ONNX_FLOAT, ONNX_DIMS(2, 5));
    onnx_node(&b, "Relu", "x", "y");
    onnx_output(&b, "y", ONNX_FLOAT);
    struct cb_model_source source = { .bytes = onnx_end(&b), .graph_only = true };
    cr_assert(cb_model_load(&source, &m).code == CB_OK);
    cr_expect(m->input == -1 && m->classes == 0 && m->graph.n_inputs == 1);
    cb_model_destroy(m);
    source.graph_only = false;
    cr_expect(cb_model_load(&source, &m).code == CB_ERR_UNSUPPORTED);
    onnx_free(&b);
}

Test(model_load, seedling_is_a_model)
{
    struct cb_model *m;
    const struct cb_status st =
        cb_model_load(&(struct cb_model_source){ .bytes = cb_seedling(), .name = "seedling" }, &m);
    cr_assert(st.code == CB_OK, "%s", st.msg);
    cr_expect(m->classes >= 8 && m->n_labels == m->classes && !m->recipe.assumed &&
              m->bottleneck >= 0);
    cr_expect(cb_model_file(m).data == cb_seedling().data);
    cb_model_destroy(m);
}

/* A trunk that is lent out once. */
struct shelf {
    const struct cb_model *trunk;
    int lent;
};

static const struct cb_model *lend(void *ctx, const struct cb_digest *digest)
{
    struct shelf *shelf = ctx;
    if (memcmp(digest, &shelf->trunk->digest, sizeof *digest))
        return NULL;
    shelf->lent++;
    return shelf->trunk;
}

static void take_back(void *ctx, const struct cb_model *trunk)
{
    struct shelf *shelf = ctx;
    cr_expect(trunk == shelf->trunk);
    shelf->lent--;
}

/* FOLDER/NAME/head.onnx with two classes on "flat" of the trunk of that digest. */
static const char *write_head(const char *name, const struct cb_digest *trunk)
{
    static const float w[2 * 4] = { 1, 0, 0, 0, 0, 1, 0, 0 }, b[2] = { 0.5f, -0.5f };
    char digest[CB_DIGEST_TEXT], path[64];
    const struct cb_onnx_property properties[] = {
        { "cambium.trunk", digest },
        { "cambium.bottleneck", "flat" },
        { "cambium.labels", "ant\nbee" },
    };
    const struct cb_head head = { .inputs = 4, .classes = 2, .w2 = w, .b2 = b };
    struct cb_buf out;
    cb_digest_text(trunk, digest);
    cb_buf_init(&out, 1 << 20);
    const struct cb_onnx_save save = { .name = name,
                                       .head = &head,
                                       .bottleneck = "flat",
                                       .properties = properties,
                                       .n_properties = 3 };
    cr_assert(cb_onnx_save_head(&save, &out).code == CB_OK);
    cr_assert(cb_folder_make(program_path(folder, name)).code == CB_OK);
    snprintf(path, sizeof path, "%s/head.onnx", name);
    cr_assert(cb_file_write(program_path(folder, path), out.data, out.len).code == CB_OK);
    cb_buf_deinit(&out);
    return program_path(folder, name);
}

Test(model_load, a_head_finds_its_trunk_and_gives_it_back)
{
    struct cb_model *trunk = load(write_classifier("net.onnx", 16, NULL, "{\"std\":[0.5]}")), *m;
    struct shelf shelf = { .trunk = trunk };
    struct cb_model_source source = { .path = write_head("bees", &trunk->digest),
                                      .find_trunk = lend,
                                      .release_trunk = take_back,
                                      .ctx = &shelf };
    const struct cb_status st = cb_model_load(&source, &m);
    cr_assert(st.code == CB_OK, "%s", st.msg);
    cr_expect(shelf.lent == 1 && m->trained_here && m->classes == 2 && m->n_labels == 2);
    cr_expect_str_eq(m->name, "bees");
    cr_expect_str_eq(m->labels[1], "bee");
    cr_expect_str_eq(m->graph.values[m->bottleneck].name, "flat");
    cr_expect_str_eq(m->graph.values[m->cam_layer].name, "features");
    cr_expect(memcmp(&m->digest, &trunk->digest, sizeof m->digest) == 0);
    cr_expect(m->recipe.std[0] == 0.5f && !m->recipe.assumed, "the recipe is the trunk's");
    cr_expect(m->weights == trunk->weights, "packed weights are the trunk's");
    cr_expect(cb_model_file(m).data == cb_model_file(trunk).data);
    cb_model_destroy(m);
    cr_expect(shelf.lent == 0);
    cb_model_destroy(trunk);
}

Test(model_load, a_head_without_its_trunk_is_refused)
{
    const struct cb_digest other = cb_digest_of("x", 1);
    expect_refusal(write_head("lost", &other), CB_ERR_NOT_FOUND, "is not here");
}
