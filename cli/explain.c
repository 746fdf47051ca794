/* cli/explain.c - cambium explain: where the network looked, as a picture over the photo or as
 * numbers. */
#include <limits.h>
#include <string.h>

#include "cli/output.h"
#include "cli/photo_args.h"
#include "cli/verbs.h"
#include "core/explain/heatmap.h"
#include "importers/image/encode_png.h"
#include "importers/tensor/npy.h"

#define MAX_PNG ((size_t)1 << 30)

struct options {
    const char *output, *class_text, *layer, *method, *format;
    double alpha;
};

static const struct options defaults = { .method = "grad-cam", .alpha = 0.5 };

/* clang-format off */
static const struct cb_option rows[] = {
    { .name = "output", .letter = 'o', .kind = CB_OPTION_TEXT,
      .offset = offsetof(struct options, output), .value = "OUT.png",
      .help = "the file to write" },
    { .name = "class", .letter = 'c', .kind = CB_OPTION_TEXT,
      .offset = offsetof(struct options, class_text), .value = "CLASS",
      .help = "index or label (the most probable one)" },
    { .name = "layer", .kind = CB_OPTION_TEXT, .offset = offsetof(struct options, layer),
      .value = "TENSOR", .help = "where the map is taken (the model's CAM layer)" },
    { .name = "method", .kind = CB_OPTION_TEXT, .offset = offsetof(struct options, method),
      .value = "NAME", .help = "grad-cam" },
    { .name = "format", .kind = CB_OPTION_TEXT, .offset = offsetof(struct options, format),
      .value = "LIST", .help = "png, json or npy; several with commas (as OUT ends, else png)" },
    { .name = "alpha", .kind = CB_OPTION_REAL, .offset = offsetof(struct options, alpha),
      .value = "A", .help = "how much the colours cover the photo, 0 to 1 (0.5)", .min = 0,
      .max = 1 },
};
/* clang-format on */

struct work {
    struct cb_photo_args photos;
    struct cb_decoded photo;
    struct cb_cam cam;
    const struct options *options;
};

static struct cb_status write_png(struct work *w, const char *path)
{
    struct cb_image overlay;
    struct cb_buf png;
    struct cb_status st;
    CB_TRY(cb_heatmap_overlay(&w->photos.arena, &w->photo.image, &w->photos.model->recipe,
                              w->cam.map, w->cam.height, w->cam.width, (float)w->options->alpha,
                              &overlay));
    cb_buf_init(&png, MAX_PNG);
    st = cb_png_encode(&overlay, &png);
    if (st.code == CB_OK)
        st = cb_file_write(path, png.data, png.len);
    cb_buf_deinit(&png);
    return st;
}

/* What the map is about, and the map when it is wanted: rows of numbers. */
static void add_cam(struct cb_json *json, const struct work *w, bool with_map)
{
    const struct cb_model *model = w->photos.model;
    cb_output_class(json, "class", model, w->cam.class_index, w->cam.probability);
    cb_json_text(json, "method", w->options->method);
    cb_json_text(json, "layer", model->graph.values[w->cam.layer].name);
    cb_json_int(json, "height", w->cam.height);
    cb_json_int(json, "width", w->cam.width);
    if (!with_map)
        return;
    cb_json_open(json, "map", '[');
    for (int y = 0; y < w->cam.height; y++) {
        cb_json_open(json, NULL, '[');
        for (int x = 0; x < w->cam.width; x++)
            cb_json_real(json, NULL, (double)w->cam.map[y * w->cam.width + x]);
        cb_json_close(json, ']');
    }
    cb_json_close(json, ']');
}

static struct cb_status write_json(struct work *w, const char *path)
{
    struct cb_buf text;
    struct cb_json json = cb_output_begin(&text);
    struct cb_status st;
    cb_json_open(&json, NULL, '{');
    add_cam(&json, w, true);
    cb_json_close(&json, '}');
    cb_buf_add(&text, "\n", 1);
    st = text.failed ? cb_fail(CB_ERR_NOMEM, "%s: the map is too large", path)
                     : cb_file_write(path, text.data, text.len);
    cb_buf_deinit(&text);
    return st;
}

static struct cb_status write_npy(struct work *w, const char *path)
{
    const struct cb_tensor map = { .shape = { 2, { w->cam.height, w->cam.width } },
                                   .dtype = CB_FLOAT32,
                                   .f = w->cam.map };
    return cb_npy_save(path, &map);
}

static const struct format {
    const char *name;
    struct cb_status (*write)(struct work *w, const char *path);
} formats[] = { { "png", write_png }, { "json", write_json }, { "npy", write_npy } };

static const struct format *find_format(const char *name, size_t len)
{
    for (size_t i = 0; i < CB_COUNT_OF(formats); i++)
        if (strlen(formats[i].name) == len && memcmp(formats[i].name, name, len) == 0)
            return &formats[i];
    return NULL;
}

/* The format that a file name ends with; NULL for another ending. */
static const struct format *format_of(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot ? find_format(dot + 1, strlen(dot + 1)) : NULL;
}

/* Which formats are wanted, a bit each. */
static struct cb_status choose_formats(struct cb_cli *cli, const struct options *options,
                                       unsigned *out)
{
    const struct format *format = format_of(options->output);
    *out = 1u << (format ? format - formats : 0);
    if (!options->format)
        return cb_ok();
    *out = 0;
    for (const char *p = options->format;; p++) {
        const size_t len = strcspn(p, ",");
        if (!(format = find_format(p, len)))
            return cb_cli_usage(cli, "--format: \"%.*s\" is none of png, json, npy", (int)len, p);
        *out |= 1u << (format - formats);
        if (!*(p += len))
            return cb_ok();
    }
}

/* One format is written to OUT as it is named; of several each gets its own ending. */
static struct cb_status write_all(struct work *w, unsigned wanted)
{
    const char *output = w->options->output;
    const size_t stem =
        format_of(output) ? (size_t)(strrchr(output, '.') - output) : strlen(output);
    for (size_t i = 0; i < CB_COUNT_OF(formats); i++) {
        char path[PATH_MAX];
        if (!(wanted & 1u << i))
            continue;
        if (snprintf(path, sizeof path, "%.*s.%s", (int)stem, output, formats[i].name) >=
            (int)sizeof path)
            return cb_fail(CB_ERR_INPUT, "-o: the path is too long");
        CB_TRY(formats[i].write(w, wanted == 1u << i ? output : path));
    }
    return cb_ok();
}

static struct cb_status answer(const struct work *w, const char *file)
{
    const struct cb_model *model = w->photos.model;
    char number[32], label[160];
    struct cb_buf text;
    if (!w->photos.cli->json) {
        printf(
            "%s: %s (%.2f %%), looked at in %s [%d, %d]\n", w->options->output,
            cb_output_clean(cb_model_label(model, w->cam.class_index, number), label, sizeof label),
            100 * (double)w->cam.probability, model->graph.values[w->cam.layer].name, w->cam.height,
            w->cam.width);
        return cb_ok();
    }
    struct cb_json json = cb_output_begin(&text);
    cb_json_open(&json, NULL, '{');
    cb_json_text(&json, "file", file);
    cb_json_text(&json, "output", w->options->output);
    add_cam(&json, w, false);
    cb_json_close(&json, '}');
    return cb_output_json(&text, cb_ok());
}

static struct cb_status explain(struct cb_cli *cli, struct work *w, unsigned wanted)
{
    const struct cb_model *model = w->photos.model;
    int class_index = -1, layer = -1;
    if (cli->args.n != 1)
        return cb_cli_usage(cli, "wants one photo, has %d", cli->args.n);
    if (w->options->class_text)
        CB_TRY(cb_model_class(model, w->options->class_text, &class_index));
    if (w->options->layer && (layer = cb_graph_find(&model->graph, w->options->layer)) < 0)
        return cb_fail(CB_ERR_INPUT, "--layer: %s has no tensor \"%s\"", model->name,
                       w->options->layer);
    CB_TRY(cb_photo_args_read(&w->photos, cli->args.item[0], true, &w->photo));
    CB_TRY(cb_grad_cam(w->photos.predictor, &w->photo.image, class_index, layer, &w->photos.arena,
                       &w->cam));
    CB_TRY(write_all(w, wanted));
    return answer(w, cli->args.item[0]);
}

static struct cb_status run(struct cb_cli *cli, const void *given)
{
    struct work w = { .options = given };
    struct cb_status st;
    unsigned wanted;
    if (!w.options->output)
        return cb_cli_usage(cli, "-o OUT.png is wanted");
    if (strcmp(w.options->method, "grad-cam"))
        return cb_cli_usage(cli, "--method: there is no \"%s\", only grad-cam", w.options->method);
    CB_TRY(choose_formats(cli, w.options, &wanted));
    CB_TRY(cb_photo_args_open(cli, &w.photos));
    st = explain(cli, &w, wanted);
    cb_photo_args_close(&w.photos);
    return st;
}

const struct cb_verb cb_verb_explain = {
    .name = "explain",
    .usage = "[MODEL] IMAGE -o OUT.png [--class CLASS] [OPTIONS]",
    .summary = "show which part of a photo speaks for a class",
    .notes = "Grad-CAM (arXiv:1610.02391) for the class score before softmax. The picture\n"
             "has the photo's own size; what the recipe's crop left out is unchanged. json\n"
             "and npy are the raw map, float32 [h, w], after ReLU and before scaling.\n",
    .examples =
        "  cambium explain squeezenet1.1 dog.jpg -o dog-why.png\n"
        "  cambium explain squeezenet1.1 pets.jpg -o cat.png --class tabby --format png,npy\n",
    .options = rows,
    .n_options = CB_COUNT_OF(rows),
    .defaults = &defaults,
    .size = sizeof defaults,
    .min_args = 1,
    .max_args = 2,
    .run = run,
};
