/* cli/quantize.c - cambium quantize: a network in int8, and what it costs. */
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/dataset_arg.h"
#include "cli/model_arg.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/quantising.h"
#include "cli/verbs.h"
#include "core/base/clock.h"
#include "core/image/preprocess.h"
#include "core/model/predictor.h"
#include "importers/image/decode.h"
#include "importers/model/load.h"

#define PIXEL_BUDGET ((size_t)4 << 30) /* address space */
#define TIMED_RUNS 9

struct options {
    const char *output, *ranges;
    int photos;
};

static const struct options defaults = { .ranges = "best", .photos = 100 };

/* clang-format off */
static const struct cb_option rows[] = {
    { .name = "output", .letter = 'o', .kind = CB_OPTION_TEXT,
      .offset = offsetof(struct options, output), .value = "OUT.onnx",
      .help = "where to write the network" },
    { .name = "photos", .letter = 'n', .kind = CB_OPTION_INT,
      .offset = offsetof(struct options, photos), .value = "N",
      .help = "photos from which ranges are taken (100)", .min = 1, .max = 1000000 },
    { .name = "ranges", .kind = CB_OPTION_TEXT, .offset = offsetof(struct options, ranges),
      .value = "HOW", .help = "mse, percentile, middle, extremes; or the one of them\n"
              "                         with which the best class agrees most often (best)" },
};
/* clang-format on */

struct photo {
    const char *path;
    int label; /* class of the model; -1: not known */
};

/* One way to choose ranges, and what came of it. */
struct candidate {
    enum cb_calibration_method method;
    struct cb_buf file;
    struct cb_model *model;
    struct cb_predictor *predictor;
    int agreed, right;  /* photos whose top-1 agrees with the network of reals; is right */
    double error, norm; /* of probabilities, or of features */
};

struct work {
    struct cb_cli *cli;
    const struct options *options;
    struct cb_model *model;
    struct candidate candidates[CB_CALIBRATION_METHODS], *best;
    int n_candidates;
    struct cb_dataset_arg data;
    struct photo *photos;
    int n_photos;
    bool labelled;
    struct cb_arena pixels;
    int used, right; /* photos; with labels: how many the network of reals has right */
    double ms, small_ms;
};

/* ---- photos ---- */

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct photo *)a)->path, ((const struct photo *)b)->path);
}

/* A folder without class folders: its files. */
static struct cb_status list_files(struct work *w, const char *folder)
{
    struct cb_status st = cb_ok();
    int cap = 0;
    DIR *dir = opendir(folder);
    if (!dir)
        return cb_fail(CB_ERR_IO, "%s: %s", folder, strerror(errno));
    for (struct dirent *e; !st.code && (e = readdir(dir));) {
        const char *path;
        if (e->d_name[0] == '.')
            continue;
        if (w->n_photos == cap) {
            struct photo *bigger;
            cap = cap ? cap * 2 : 256;
            st = cb_arena_get(&w->data.arena, (size_t)cap, sizeof *bigger, "photos", &bigger);
            if (st.code)
                break;
            if (w->n_photos)
                memcpy(bigger, w->photos, (size_t)w->n_photos * sizeof *bigger);
            w->photos = bigger;
        }
        if (!(path = cb_arena_printf(&w->data.arena, "%s/%s", folder, e->d_name)))
            st = cb_fail(CB_ERR_NOMEM, "no room for the list of photos");
        else
            w->photos[w->n_photos++] = (struct photo){ path, -1 };
    }
    closedir(dir);
    if (w->n_photos)
        qsort(w->photos, (size_t)w->n_photos, sizeof *w->photos, by_path);
    return st;
}

/* The photos of class folders, with the model's class where the folders' names are all labels of
 * it. */
static struct cb_status list_classes(struct work *w)
{
    const struct cb_dataset *d = &w->data.dataset;
    int *class_of;
    CB_TRY(
        cb_arena_get(&w->data.arena, (size_t)d->n_classes, sizeof *class_of, "classes", &class_of));
    CB_TRY(
        cb_arena_get(&w->data.arena, (size_t)d->n_photos, sizeof *w->photos, "photos", &w->photos));
    w->labelled = w->model->labels && w->model->classes > 0;
    for (int i = 0; i < d->n_classes && w->labelled; i++)
        w->labelled = cb_model_class(w->model, d->classes[i], &class_of[i]).code == CB_OK;
    for (int i = 0; i < d->n_photos; i++)
        w->photos[w->n_photos++] =
            (struct photo){ d->photos[i].path, w->labelled ? class_of[d->photos[i].label] : -1 };
    return cb_ok();
}

static struct cb_status list_photos(struct work *w, const char *path)
{
    CB_TRY(cb_dataset_arg_open(path, &w->data));
    if (w->data.dataset.n_photos)
        return list_classes(w);
    CB_TRY(list_files(w, path));
    return w->n_photos ? cb_ok() : cb_fail(CB_ERR_CONTENT, "%s: there are no photos", path);
}

static struct cb_status read_photo(struct work *w, const char *path, struct cb_image *out)
{
    struct cb_decoded decoded;
    struct cb_bytes file;
    CB_TRY(cb_file_map(path, &file));
    const struct cb_status st = cb_image_decode(&w->pixels, file, &cb_decode_defaults,
                                                cb_recipe_wanted_side(&w->model->recipe), &decoded);
    cb_file_unmap(&file);
    CB_TRY(cb_context(st, "%s", path));
    *out = decoded.image;
    return cb_ok();
}

/* ---- ranges ---- */

struct sweep {
    struct work *work;
    struct cb_quantising *quantising;
    struct cb_progress progress;
    int height, width, done;
};

/* A photo of another size than the network's usual one is passed over; so is one that cannot be
 * read. */
static struct cb_status look_at(struct sweep *s, const char *path)
{
    struct work *w = s->work;
    const size_t mark = w->pixels.used;
    struct cb_image image;
    int height, width;
    struct cb_status st = read_photo(w, path, &image);
    if (!st.code) {
        cb_recipe_output_size(&w->model->recipe, image.width, image.height, &width, &height);
        if (height == s->height && width == s->width) {
            st = cb_preprocess(&w->pixels, &w->model->recipe, &image,
                               cb_calibration_input(s->quantising->calibration, 0)->f);
            if (!st.code) {
                cb_calibration_run(s->quantising->calibration);
                s->done++;
            }
        }
    }
    cb_arena_rewind(&w->pixels, mark);
    return st;
}

/* Photos evenly out of all, so that every class has some. */
static void look_at_all(struct sweep *s)
{
    const struct work *w = s->work;
    const int n = w->options->photos < w->n_photos ? w->options->photos : w->n_photos;
    for (int i = 0; i < n; i++) {
        (void)look_at(s, w->photos[(int64_t)i * w->n_photos / n].path);
        cb_progress_step(&s->progress, (size_t)s->done, "");
    }
}

static struct cb_status calibrate(struct work *w)
{
    struct cb_quantising q;
    struct sweep s = { .work = w, .quantising = &q };
    cb_model_default_size(w->model, &s.height, &s.width);
    const struct cb_tensor input = { .dtype = w->model->graph.values[w->model->input].dtype,
                                     .shape = { 4,
                                                { w->model->batch > 0 ? w->model->batch : 1,
                                                  s.height, s.width, w->model->channels } } };
    CB_TRY(cb_quantising_open(w->cli, w->model, &input, w->model->recipe.layout == CB_NCHW, &q));
    cb_progress_begin(
        &s.progress, "photos for ranges",
        2 * (size_t)(w->options->photos < w->n_photos ? w->options->photos : w->n_photos));
    look_at_all(&s);
    struct cb_status st =
        s.done ? cb_quantising_second(&q) : cb_fail(CB_ERR_CONTENT, "not one photo can be read");
    if (!st.code) {
        look_at_all(&s);
        cb_progress_end(&s.progress, (size_t)s.done, "");
        for (int i = 0; i < w->n_candidates && !st.code; i++)
            st = cb_quantising_write(&q, w->candidates[i].method, &w->candidates[i].file);
    }
    cb_quantising_close(&q);
    return st;
}

/* ---- what it costs ---- */

static int best_of(const float *p, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        best = p[i] > p[best] ? i : best;
    return best;
}

static void compare(struct candidate *c, const float *a, const float *b, int n, int label)
{
    const int best = best_of(b, n);
    c->agreed += best == best_of(a, n);
    c->right += best == label;
    for (int i = 0; i < n; i++) {
        c->error += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        c->norm += (double)a[i] * (double)a[i];
    }
}

static struct cb_status run_photo(struct cb_predictor *p, bool scores, const struct cb_image *image,
                                  float *out)
{
    return scores ? cb_predict(p, image, 1, out) : cb_features(p, image, 1, out);
}

static struct cb_status judge_photos(struct work *w, struct cb_predictor *large)
{
    struct cb_progress progress;
    int n = w->model->classes;
    float *a, *b;
    const bool scores = n > 0;
    if (!scores)
        CB_TRY(cb_feature_length(large, &n));
    CB_TRY(cb_arena_get(&w->data.arena, (size_t)n, sizeof *a, "scores", &a));
    CB_TRY(cb_arena_get(&w->data.arena, (size_t)n, sizeof *b, "scores", &b));
    cb_progress_begin(&progress, "photos compared", (size_t)w->n_photos);
    for (int i = 0; i < w->n_photos; i++) {
        const size_t mark = w->pixels.used;
        struct cb_image image;
        struct cb_status st = read_photo(w, w->photos[i].path, &image);
        if (!st.code && !(st = run_photo(large, scores, &image, a)).code) {
            w->used++;
            w->right += best_of(a, n) == w->photos[i].label;
            for (int k = 0; k < w->n_candidates; k++) {
                CB_TRY(run_photo(w->candidates[k].predictor, scores, &image, b));
                compare(&w->candidates[k], a, b, n, w->photos[i].label);
            }
        }
        cb_arena_rewind(&w->pixels, mark);
        cb_progress_step(&progress, (size_t)i, "");
    }
    cb_progress_end(&progress, (size_t)w->n_photos, "");
    return cb_ok();
}

static bool is_better(const struct candidate *a, const struct candidate *b, bool scores)
{
    if (scores && a->agreed != b->agreed)
        return a->agreed > b->agreed;
    return a->error < b->error;
}

static struct cb_status open_session(struct work *w, const struct cb_model *model,
                                     struct cb_plan **plan, struct cb_session **session)
{
    int height, width;
    cb_model_default_size(model, &height, &width);
    const struct cb_tensor input = {
        .dtype = model->graph.values[model->input].dtype,
        .shape = { 4, { model->batch > 0 ? model->batch : 1, height, width, model->channels } }
    };
    const struct cb_plan_options options = { .inputs = &input,
                                             .nhwc_input = model->recipe.layout == CB_NCHW };
    CB_TRY(cb_plan_create(&w->cli->engine, &model->graph, model->weights, &options, plan));
    return cb_session_create(*plan, session);
}

/* The best of some runs of each, in turns. */
static struct cb_status measure(struct work *w)
{
    struct cb_plan *plans[2] = { NULL, NULL };
    struct cb_session *sessions[2] = { NULL, NULL };
    double best[2] = { INFINITY, INFINITY };
    struct cb_status st = open_session(w, w->model, &plans[0], &sessions[0]);
    if (!st.code)
        st = open_session(w, w->best->model, &plans[1], &sessions[1]);
    for (int i = 0; i < TIMED_RUNS && !st.code; i++)
        for (int k = 0; k < 2; k++) {
            struct cb_tensor *x = cb_session_input(sessions[k], 0);
            memset(x->data, 0, cb_tensor_bytes(x));
            const double began = cb_clock_ms();
            cb_session_run(sessions[k]);
            best[k] = fmin(best[k], cb_clock_ms() - began);
        }
    for (int k = 0; k < 2; k++) {
        cb_session_destroy(sessions[k]);
        cb_plan_destroy(plans[k]);
    }
    w->ms = best[0];
    w->small_ms = best[1];
    return st;
}

static struct cb_status open_candidate(struct work *w, struct candidate *c)
{
    const struct cb_model_source source = { .bytes = { (uint8_t *)c->file.data, c->file.len },
                                            .name = w->model->name,
                                            .no_digest = true };
    CB_TRY(cb_model_load(&source, &c->model));
    return cb_predictor_create(&w->cli->engine, c->model, &c->predictor);
}

static struct cb_status judge(struct work *w)
{
    struct cb_predictor *large = NULL;
    struct cb_status st = cb_predictor_create(&w->cli->engine, w->model, &large);
    for (int i = 0; i < w->n_candidates && !st.code; i++)
        st = open_candidate(w, &w->candidates[i]);
    if (!st.code)
        st = judge_photos(w, large);
    cb_predictor_destroy(large);
    CB_TRY(st);
    w->best = &w->candidates[0];
    for (int i = 1; i < w->n_candidates; i++)
        if (is_better(&w->candidates[i], w->best, w->model->classes > 0))
            w->best = &w->candidates[i];
    return measure(w);
}

/* ---- the answer ---- */

static double part(int n, int of)
{
    return of ? (double)n / of : 0;
}

static struct cb_status answer(const struct work *w)
{
    const bool scores = w->model->classes > 0;
    const struct candidate *c = w->best;
    const double before = (double)cb_model_file(w->model).len, error = sqrt(c->error / c->norm);
    if (!w->cli->json) {
        printf("%s: %.1f MB, was %.1f MB; ranges by %s\n", w->options->output,
               (double)c->file.len / 1e6, before / 1e6, cb_calibration_method_name(c->method));
        printf("speed: %.2f ms in int8, %.2f ms in fp32 (%d threads, one photo)\n", w->small_ms,
               w->ms, (int)cb_threads_count(w->cli->engine.threads));
        if (scores)
            printf("top-1 agrees with fp32 on %.2f %% of %d photos\n",
                   100 * part(c->agreed, w->used), w->used);
        else
            printf("features differ by %.2f %% on %d photos\n", 100 * error, w->used);
        if (w->labelled)
            printf("top-1 accuracy: %.2f %% in int8, %.2f %% in fp32\n",
                   100 * part(c->right, w->used), 100 * part(w->right, w->used));
        return cb_ok();
    }
    struct cb_buf text;
    struct cb_json json = cb_output_begin(&text);
    cb_json_open(&json, NULL, '{');
    cb_json_text(&json, "file", w->options->output);
    cb_json_text(&json, "ranges", cb_calibration_method_name(c->method));
    cb_json_int(&json, "bytes", (int64_t)c->file.len);
    cb_json_int(&json, "bytes_fp32", (int64_t)before);
    cb_json_real(&json, "ms", w->small_ms);
    cb_json_real(&json, "ms_fp32", w->ms);
    cb_json_int(&json, "photos", w->used);
    if (scores)
        cb_json_real(&json, "agreement", part(c->agreed, w->used));
    cb_json_real(&json, scores ? "probability_error" : "feature_error", error);
    if (w->labelled) {
        cb_json_real(&json, "accuracy", part(c->right, w->used));
        cb_json_real(&json, "accuracy_fp32", part(w->right, w->used));
    }
    cb_json_close(&json, '}');
    return cb_output_json(&text, cb_ok());
}

static struct cb_status quantise(struct work *w)
{
    const char *dataset = w->cli->args.item[w->cli->args.n - 1];
    CB_TRY(cb_arena_init(&w->pixels, PIXEL_BUDGET));
    CB_TRY(list_photos(w, dataset));
    CB_TRY(calibrate(w));
    CB_TRY(judge(w));
    CB_TRY(cb_file_write(w->options->output, w->best->file.data, w->best->file.len));
    return answer(w);
}

static struct cb_status run(struct cb_cli *cli, const void *given)
{
    struct work w = { .cli = cli, .options = given };
    const char *name = cli->args.n > 1 ? cli->args.item[0] : NULL;
    const enum cb_calibration_method only = cb_calibration_method_find(w.options->ranges);
    if (!w.options->output)
        return cb_cli_usage(cli, "wants -o OUT.onnx");
    if (only == CB_CALIBRATION_METHODS && strcmp(w.options->ranges, "best") != 0)
        return cb_cli_usage(cli,
                            "--ranges: \"%s\" is none of mse, percentile, middle, extremes, best",
                            w.options->ranges);
    for (int i = 0; i < CB_CALIBRATION_METHODS; i++)
        if (only == CB_CALIBRATION_METHODS || i == (int)only)
            w.candidates[w.n_candidates++].method = (enum cb_calibration_method)i;
    CB_TRY(cb_cli_open_model(cli, name, CB_USE_PHOTOS, &w.model));
    cb_cli_tell_recipe(cli, w.model);
    const struct cb_status st = quantise(&w);
    for (int i = 0; i < w.n_candidates; i++) {
        cb_predictor_destroy(w.candidates[i].predictor);
        cb_model_destroy(w.candidates[i].model);
        cb_buf_deinit(&w.candidates[i].file);
    }
    cb_arena_deinit(&w.pixels);
    cb_dataset_arg_close(&w.data);
    cb_model_destroy(w.model);
    return st;
}

const struct cb_verb cb_verb_quantize = {
    .name = "quantize",
    .usage = "[MODEL] DATASET -o OUT.onnx [--photos N] [--ranges HOW]",
    .summary = "make a network of bytes (int8), several times faster and a quarter of the size",
    .notes =
        "DATASET is as for `train`, or a folder of photos without labels: the ranges of the\n"
        "network's numbers are taken from some of them, and all of them are then given to both\n"
        "networks. Says how often the best class is the same, with labels how often it is right,\n"
        "and how fast both are. The file is standard ONNX (QuantizeLinear, DequantizeLinear) with\n"
        "recipe and labels inside. docs/QUANTISATION.md says what is rounded.\n",
    .examples = "  cambium quantize mobilenet_v2 photos/ -o mobilenet_v2-int8.onnx\n"
                "  cambium quantize pets.onnx pets/train -o pets-int8.onnx --photos 300\n",
    .options = rows,
    .n_options = CB_COUNT_OF(rows),
    .defaults = &defaults,
    .size = sizeof defaults,
    .min_args = 1,
    .max_args = 2,
    .run = run,
};
