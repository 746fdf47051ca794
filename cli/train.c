/* cli/train.c - cambium train: a new head for a network, from labelled photos. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/dataset_arg.h"
#include "cli/evaluation.h"
#include "cli/model_arg.h"
#include "cli/output.h"
#include "cli/preview.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/verbs.h"
#include "importers/model/load.h"
#include "server/train_job.h"

#define WHOLE_FILE_LIMIT ((size_t)INT32_MAX)
#define PREVIEW_VIEWS 6 /* when nothing is trained that says how many */

struct options {
    const char *output, *cache, *preview, *augment, *views;
    bool no_cache, no_balance;
    const char *mode, *hidden, *dropout, *epochs, *patience, *learning_rate, *l2, *held_out, *seed;
    const char *folds, *report;
    bool curve;
};

#define TEXT(field, flag, called, about)                                                           \
    {                                                                                              \
        .name = flag, .kind = CB_OPTION_TEXT, .offset = offsetof(struct options, field),           \
        .value = called, .help = about                                                             \
    }

static const struct cb_option rows[] = {
    { .name = "output",
      .letter = 'o',
      .kind = CB_OPTION_TEXT,
      .offset = offsetof(struct options, output),
      .value = "OUT.onnx",
      .help = "the trained model: trunk and head in one file" },
    TEXT(mode, "mode", "head", "head: a new head on bottleneck features"),
    TEXT(hidden, "hidden", "N", "units of a hidden layer; 0 (softmax regression)"),
    TEXT(dropout, "dropout", "P", "of the hidden layer, 0 to 0.9 (0.5)"),
    TEXT(epochs, "epochs", "N", "at most (auto)"),
    TEXT(patience, "patience", "N", "epochs without improvement before it stops (20)"),
    TEXT(learning_rate, "learning-rate", "X", "of the hidden layer (auto)"),
    TEXT(l2, "l2", "X", "weight decay (auto: chosen by cross-validation)"),
    TEXT(held_out, "held-out", "F", "part of each class that judges, 0.05 to 0.5 (0.2)"),
    { .name = "no-balance",
      .kind = CB_OPTION_FLAG,
      .offset = offsetof(struct options, no_balance),
      .help = "do not weigh rare classes up" },
    TEXT(seed, "seed", "N", "the same seed gives the same head (1)"),
    TEXT(augment, "augment", "S",
         "also learn from augmented views: 0 to 1, or flip=0.5,rotate=10,... (0)"),
    TEXT(views, "views", "K", "of each photo: itself, and K - 1 augmented ones (1)"),
    TEXT(preview, "preview", "OUT.png", "a sheet of photos and their views; -o may be left out"),
    TEXT(folds, "folds", "K", "cross-validate too: every photo judged by a head that never saw it"),
    { .name = "curve",
      .kind = CB_OPTION_FLAG,
      .offset = offsetof(struct options, curve),
      .help = "a learning curve: accuracy by the number of photos a class" },
    TEXT(report, "report", "OUT.html", "a page with tables, plots and the worst mistakes"),
    TEXT(cache, "cache", "DIR", "where features are kept (~/.cache/cambium/features)"),
    { .name = "no-cache",
      .kind = CB_OPTION_FLAG,
      .offset = offsetof(struct options, no_cache),
      .help = "make all features anew, keep none" },
};

static const struct options defaults;

static struct cb_status read_config(const struct options *o, struct cb_train_config *config)
{
    const struct {
        const char *key, *value;
    } given[] = {
        { "mode", o->mode },
        { "hidden", o->hidden },
        { "dropout", o->dropout },
        { "epochs", o->epochs },
        { "patience", o->patience },
        { "learning_rate", o->learning_rate },
        { "l2", o->l2 },
        { "held_out", o->held_out },
        { "seed", o->seed },
        { "augment", o->augment },
        { "views", o->views },
        { "folds", o->folds },
        { "curve", o->curve ? "true" : NULL },
        { "balance", o->no_balance ? "false" : NULL },
    };
    *config = cb_train_config_default;
    for (size_t i = 0; i < CB_COUNT_OF(given); i++)
        if (given[i].value)
            CB_TRY(cb_train_config_set(config, given[i].key, given[i].value));
    if (o->preview && cb_augment_is_nothing(&config->augment))
        return cb_fail(CB_ERR_INPUT, "--preview wants --augment: there is nothing to show");
    if (!o->output && config->views == 1)
        config->views = PREVIEW_VIEWS;
    return cb_train_config_check(config);
}

/* Where features are kept; NULL: nowhere. */
static const char *cache_folder(struct cb_cli *cli, const struct options *o)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (o->no_cache || o->cache)
        return o->no_cache ? NULL : o->cache;
    if (cache && *cache)
        return cb_arena_printf(&cli->arena, "%s/cambium/features", cache);
    return home && *home ? cb_arena_printf(&cli->arena, "%s/.cache/cambium/features", home) : NULL;
}

struct showing {
    struct cb_progress progress;
    const char *stage; /* NULL: none begun */
    size_t done;
    char note[80];
};

static void end_stage(struct showing *s)
{
    if (s->stage)
        cb_progress_end(&s->progress, s->done, s->note);
    s->stage = NULL;
}

static void on_progress(void *ctx, const struct cb_train_progress *p)
{
    struct showing *s = ctx;
    if (!s->stage || strcmp(s->stage, p->stage)) {
        end_stage(s);
        s->stage = p->stage;
        cb_progress_begin(&s->progress, p->stage, p->epoch ? 0 : (size_t)p->total);
    }
    s->done = (size_t)p->done;
    s->note[0] = 0;
    if (p->epoch)
        snprintf(s->note, sizeof s->note, "loss %.4f, held out %.4f (%.1f %%)",
                 (double)p->epoch->train_loss, (double)p->epoch->held_out_loss,
                 100 * (double)p->epoch->held_out_accuracy);
    cb_progress_step(&s->progress, s->done, s->note);
}

static struct cb_status print_json(const struct cb_train_report *r, const char *output)
{
    struct cb_buf text;
    struct cb_json json = cb_output_begin(&text);
    cb_json_open(&json, NULL, '{');
    const struct cb_status st = cb_train_report_write(r, &json);
    cb_json_text(&json, "model", output);
    cb_json_close(&json, '}');
    return cb_output_json(&text, st);
}

static void print_curve(const struct cb_curve *curve)
{
    printf("\nlearning curve (mean of %d draws)\n%9s %7s %9s %15s %15s\n", curve->seeds, "a class",
           "photos", "accuracy", "(95 %)", "range");
    for (int i = 0; i < curve->n; i++) {
        const struct cb_curve_point *p = &curve->point[i];
        printf("%9d %7d %7.1f %% %6.1f to %5.1f %6.1f to %5.1f\n", p->per_class, p->n,
               100 * p->accuracy, 100 * p->interval.low, 100 * p->interval.high, 100 * p->least,
               100 * p->most);
    }
}

static struct cb_status save_report(const char *path, const struct cb_train_report *r,
                                    const char *output)
{
    char about[160];
    const bool all = r->cross_validation.n > 0;
    const char *slash = strrchr(output, '/');
    if (all)
        snprintf(about, sizeof about,
                 "%d photos of %d classes, each judged by a head that never saw it (%d folds)",
                 r->photos, r->classes, r->folds);
    else
        snprintf(about, sizeof about,
                 "%d held-out photos of %d classes, judged by a head that learned from %d others",
                 r->judged.held_out.n, r->classes, r->photos - r->judged.held_out.n);
    const struct cb_report report = { .title = slash ? slash + 1 : output,
                                      .about = about,
                                      .evaluation =
                                          all ? &r->cross_validation : &r->judged.held_out,
                                      .labels = r->labels,
                                      .dataset = r->dataset,
                                      .photo = r->photo,
                                      .judged = &r->judged,
                                      .curve = &r->curve };
    return cb_report_save(&report, path);
}

static struct cb_status print_report(struct cb_cli *cli, const struct cb_train_report *r,
                                     const char *output)
{
    if (cli->json)
        return print_json(r, output);
    printf(
        "%d photos of %d classes (%d features each, %d from the cache, %d duplicates left out)\n",
        r->photos, r->classes, r->inputs, r->cached, r->duplicates);
    if (r->views > 1)
        printf("%d views of each photo; held-out photos judge as they are\n", r->views);
    printf("features %.2f s, head %.2f s\n\nheld-out photos: ", r->seconds_features,
           r->seconds_head);
    CB_TRY(cb_evaluation_print(cli, &r->judged.held_out, r->labels));
    printf("\ntemperature %.3f; without it: cross-entropy %.4f, calibration error %.1f %%\n",
           r->judged.temperature, r->judged.plain_loss, 100 * r->judged.plain_error);
    if (r->cross_validation.n) {
        printf("\n%d-fold cross-validation: ", r->folds);
        CB_TRY(cb_evaluation_print(cli, &r->cross_validation, r->labels));
    }
    if (r->curve.n)
        print_curve(&r->curve);
    printf("\n%s\n", output);
    return cb_ok();
}

static struct cb_status save(const struct cb_model *model, const struct cb_buf *head,
                             const char *path)
{
    struct cb_buf whole;
    cb_buf_init(&whole, WHOLE_FILE_LIMIT);
    struct cb_status st =
        cb_train_export(model, (struct cb_bytes){ (const uint8_t *)head->data, head->len }, &whole);
    if (st.code == CB_OK)
        st = cb_file_write(path, whole.data, whole.len);
    cb_buf_deinit(&whole);
    return st;
}

static struct cb_status train(struct cb_cli *cli, const struct options *o,
                              const struct cb_model *model, struct cb_dataset_arg *data)
{
    struct showing showing = { 0 };
    struct cb_train_job job = { .engine = &cli->engine,
                                .model = model,
                                .dataset = &data->dataset,
                                .cache = cache_folder(cli, o),
                                .on_progress = on_progress,
                                .ctx = &showing };
    struct cb_train_result result;
    CB_TRY(read_config(o, &job.config));
    struct cb_status st = cb_train_run(&job, &data->arena, &data->rejections, &result);
    end_stage(&showing);
    cb_dataset_arg_tell(cli, data);
    CB_TRY(st);
    st = save(model, &result.head_file, o->output);
    cb_buf_deinit(&result.head_file);
    if (st.code == CB_OK && o->report)
        st = save_report(o->report, &result.report, o->output);
    return st.code ? st : print_report(cli, &result.report, o->output);
}

/* The sheet first: it takes a moment, and training may be long. */
static struct cb_status preview_and_train(struct cb_cli *cli, const struct options *o,
                                          const struct cb_train_config *config,
                                          const struct cb_model *model, struct cb_dataset_arg *data)
{
    if (o->preview)
        CB_TRY(cb_preview_write(&data->dataset, config, o->preview));
    return model ? train(cli, o, model, data) : cb_ok();
}

static struct cb_status run(struct cb_cli *cli, const void *given)
{
    const struct options *o = given;
    struct cb_train_config config;
    struct cb_dataset_arg data;
    struct cb_model *model = NULL; /* of a preview alone */
    const char *name = cli->args.n > 1 ? cli->args.item[0] : NULL;
    if (!o->output && !o->preview)
        return cb_cli_usage(cli, "-o OUT.onnx is wanted");
    const struct cb_status wrong = read_config(o, &config);
    if (wrong.code == CB_ERR_INPUT)
        return cb_cli_usage(cli, "%s", wrong.msg);
    CB_TRY(wrong);
    if (o->output) {
        CB_TRY(cb_cli_open_model(cli, name, CB_USE_IDENTITY, &model));
        cb_cli_tell_recipe(cli, model);
    }
    struct cb_status st = cb_dataset_arg_open(cli->args.item[cli->args.n - 1], &data);
    if (st.code == CB_OK) {
        st = preview_and_train(cli, o, &config, model, &data);
        cb_dataset_arg_close(&data);
    }
    cb_model_destroy(model);
    return st;
}

const struct cb_verb cb_verb_train = {
    .name = "train",
    .usage = "[MODEL] DATASET -o OUT.onnx [OPTIONS]",
    .summary = "teach a network your own classes",
    .notes =
        "DATASET is a folder with a folder of photos for each class, or a .zip, .tar or .tar.gz\n"
        "of one. The network's own classifier is replaced by a new head; its trunk stays as it "
        "is.\n"
        "A part of each class is held out and judges a head that never saw it; the head that is\n"
        "written learned from all photos. --folds, --curve and --report say more\n"
        "(docs/EVALUATION.md).\n"
        "Augmented views are mirrored, cropped, turned, in another light: --augment 0.3 is mild,\n"
        "1 the most; or by name: flip crop stretch translate rotate zoom brightness contrast\n"
        "saturation erase. Photos that judge are never augmented.\n",
    .examples = "  cambium train squeezenet1.1 pets/ -o pets.onnx\n"
                "  cambium train mobilenet_v2 flowers.zip -o flowers.onnx --hidden 64 --json\n"
                "  cambium train mobilenet_v2 pets/ -o pets.onnx --augment 0.5 --views 4\n"
                "  cambium train pets/ --augment 0.5,rotate=45 --preview sheet.png\n",
    .options = rows,
    .n_options = CB_COUNT_OF(rows),
    .defaults = &defaults,
    .size = sizeof defaults,
    .min_args = 1,
    .max_args = 2,
    .run = run,
};
