/* cli/eval.c - cambium eval: how good a network is on labelled photos. */
#include <stdio.h>
#include <string.h>

#include "cli/dataset_arg.h"
#include "cli/evaluation.h"
#include "cli/model_arg.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/verbs.h"
#include "importers/dataset/features.h"
#include "importers/model/load.h"
#include "server/train_job.h"

#define MISTAKES_LISTED 20

struct options {
    const char *report;
};

static const struct cb_option rows[] = {
    { .name = "report",
      .kind = CB_OPTION_TEXT,
      .offset = offsetof(struct options, report),
      .value = "OUT.html",
      .help = "a page with tables, plots and the worst mistakes" },
};

static const struct options defaults;

static void on_progress(void *ctx, int done, int total)
{
    (void)total;
    cb_progress_step(ctx, (size_t)done, "");
}

/* The model's class for each class of the dataset, by label. */
static struct cb_status match_classes(const struct cb_model *model,
                                      const struct cb_dataset *dataset, struct cb_arena *arena,
                                      int **out)
{
    CB_TRY(cb_arena_get(arena, (size_t)dataset->n_classes, sizeof **out, "classes", out));
    for (int i = 0; i < dataset->n_classes; i++)
        CB_TRY(cb_model_class(model, dataset->classes[i], &(*out)[i]));
    return cb_ok();
}

static struct cb_status list_labels(const struct cb_model *model, struct cb_arena *arena,
                                    const char *const **out)
{
    const char **labels;
    CB_TRY(cb_arena_get(arena, (size_t)model->classes, sizeof *labels, "labels", &labels));
    for (int i = 0; i < model->classes; i++) {
        char number[32];
        const char *label = cb_model_label(model, i, number);
        if (!(labels[i] = cb_arena_text(arena, label, strlen(label))))
            return cb_fail(CB_ERR_NOMEM, "no room for the labels");
    }
    *out = labels;
    return cb_ok();
}

static struct cb_status judge(struct cb_cli *cli, const struct cb_model *model,
                              struct cb_dataset_arg *data, struct cb_evaluation *out,
                              const int **photo)
{
    struct cb_progress progress;
    struct cb_feature_set set;
    int *class_of, *labels;
    CB_TRY(match_classes(model, &data->dataset, &data->arena, &class_of));
    const struct cb_feature_job job = { .engine = &cli->engine,
                                        .model = model,
                                        .dataset = &data->dataset,
                                        .on_progress = on_progress,
                                        .ctx = &progress };
    cb_progress_begin(&progress, "photos", (size_t)data->dataset.n_photos);
    CB_TRY(cb_dataset_probabilities(&job, &data->arena, &data->rejections, &set));
    cb_progress_end(&progress, (size_t)data->dataset.n_photos, "");
    CB_TRY(cb_arena_get(&data->arena, (size_t)set.n, sizeof *labels, "labels", &labels));
    for (int i = 0; i < set.n; i++)
        labels[i] = class_of[set.labels[i]];
    *photo = set.photo;
    return cb_evaluate(&data->arena, set.features, labels, set.n, model->classes, out);
}

static struct cb_status print_json(const struct cb_evaluation *e, const char *const *labels,
                                   const struct cb_dataset_arg *data, const int *photo)
{
    struct cb_buf text;
    struct cb_json json = cb_output_begin(&text);
    cb_json_open(&json, NULL, '{');
    struct cb_status st = cb_evaluation_write(e, labels, &json);
    if (st.code == CB_OK)
        st = cb_mistakes_write(e, labels, &data->dataset, photo, MISTAKES_LISTED, &json);
    cb_rejections_write(&data->rejections, &json);
    cb_json_close(&json, '}');
    return cb_output_json(&text, st);
}

static struct cb_status save_report(const char *path, const struct cb_model *model,
                                    const struct cb_dataset_arg *data,
                                    const struct cb_evaluation *e, const char *const *labels,
                                    const int *photo)
{
    char title[160], about[96];
    snprintf(title, sizeof title, "Evaluation of %.100s", model->name);
    snprintf(about, sizeof about, "%d photos of %d classes", e->n, data->dataset.n_classes);
    const struct cb_report report = { .title = title,
                                      .about = about,
                                      .evaluation = e,
                                      .labels = labels,
                                      .dataset = &data->dataset,
                                      .photo = photo };
    return cb_report_save(&report, path);
}

static struct cb_status evaluate(struct cb_cli *cli, const struct options *o,
                                 const struct cb_model *model, struct cb_dataset_arg *data)
{
    struct cb_evaluation e;
    const char *const *labels = NULL;
    const int *photo;
    if (data->dataset.n_photos == 0)
        return cb_fail(CB_ERR_CONTENT, "the dataset has no photos");
    CB_TRY(judge(cli, model, data, &e, &photo));
    cb_dataset_arg_tell(cli, data);
    if (e.n == 0)
        return cb_fail(CB_ERR_CONTENT, "not one photo of the dataset can be read");
    CB_TRY(list_labels(model, &data->arena, &labels));
    if (o->report)
        CB_TRY(save_report(o->report, model, data, &e, labels, photo));
    return cli->json ? print_json(&e, labels, data, photo) : cb_evaluation_print(cli, &e, labels);
}

static struct cb_status run(struct cb_cli *cli, const void *given)
{
    struct cb_dataset_arg data;
    struct cb_model *model;
    const char *name = cli->args.n > 1 ? cli->args.item[0] : NULL;
    CB_TRY(cb_cli_open_model(cli, name, CB_USE_IDENTITY, &model));
    cb_cli_tell_recipe(cli, model);
    struct cb_status st = cb_dataset_arg_open(cli->args.item[cli->args.n - 1], &data);
    if (st.code == CB_OK) {
        st = evaluate(cli, given, model, &data);
        cb_dataset_arg_close(&data);
    }
    cb_model_destroy(model);
    return st;
}

const struct cb_verb cb_verb_eval = {
    .name = "eval",
    .usage = "[MODEL] DATASET [OPTIONS]",
    .summary = "measure a network on labelled photos",
    .notes =
        "DATASET is as for `train`. The names of its class folders are looked up in the network's\n"
        "labels (an index counts as a name). Says top-1, top-5, precision and recall of each\n"
        "class, who is taken for whom, and how honest the probabilities are\n"
        "(docs/EVALUATION.md explains each figure).\n",
    .examples = "  cambium eval pets.onnx pets/val\n  cambium eval resnet50 photos.zip --json\n"
                "  cambium eval pets.onnx pets/val --report pets.html\n",
    .options = rows,
    .n_options = CB_COUNT_OF(rows),
    .defaults = &defaults,
    .size = sizeof defaults,
    .min_args = 1,
    .max_args = 2,
    .run = run,
};
