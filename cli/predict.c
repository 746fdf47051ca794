/* cli/predict.c - cambium predict: the most probable classes of photos. */

#include "cli/output.h"
#include "cli/photo_args.h"
#include "cli/verbs.h"

struct options {
    int top;
};

static const struct options defaults = { .top = 5 };

/* clang-format off */
static const struct cb_option rows[] = {
    { .name = "top", .letter = 'k', .kind = CB_OPTION_INT,
      .offset = offsetof(struct options, top), .value = "N",
      .help = "how many classes a photo (5)", .min = 1, .max = 100000 },
};
/* clang-format on */

struct work {
    struct cb_photo_args photos;
    struct cb_json json;
    float *probabilities; /* [CB_PHOTO_BATCH, classes] */
    int *best;            /* [classes] */
    int top;
};

static void print_text(const struct work *w, const char *file, const float *probabilities, int n)
{
    char number[32], label[160];
    printf("%s\n", file);
    for (int i = 0; i < n; i++) {
        const char *text = cb_model_label(w->photos.model, w->best[i], number);
        printf("  %6.2f %%  %s\n", 100 * (double)probabilities[w->best[i]],
               cb_output_clean(text, label, sizeof label));
    }
}

static void add_json(struct work *w, const char *file, const float *probabilities, int n)
{
    cb_json_open(&w->json, NULL, '{');
    cb_json_text(&w->json, "file", file);
    cb_json_open(&w->json, "classes", '[');
    for (int i = 0; i < n; i++)
        cb_output_class(&w->json, NULL, w->photos.model, w->best[i], probabilities[w->best[i]]);
    cb_json_close(&w->json, ']');
    cb_json_close(&w->json, '}');
}

static struct cb_status predict_batch(void *ctx, const struct cb_image *images,
                                      const char *const *files, int n)
{
    struct work *w = ctx;
    const int classes = w->photos.model->classes;
    CB_TRY(cb_predict(w->photos.predictor, images, n, w->probabilities));
    for (int i = 0; i < n; i++) {
        const float *row = w->probabilities + (size_t)i * (size_t)classes;
        const int found = cb_top_k(row, classes, w->top < classes ? w->top : classes, w->best);
        if (w->photos.cli->json)
            add_json(w, files[i], row, found);
        else
            print_text(w, files[i], row, found);
    }
    return cb_ok();
}

static struct cb_status predict_all(struct cb_cli *cli, struct work *w)
{
    const size_t classes = (size_t)w->photos.model->classes;
    struct cb_buf answer;
    struct cb_status st;
    if (classes == 0)
        return cb_fail(CB_ERR_UNSUPPORTED,
                       "%s has no classifier; its features are what `cambium features` gives",
                       w->photos.model->name);
    CB_TRY(cb_arena_get(&cli->arena, CB_PHOTO_BATCH * classes, sizeof(float), "probabilities",
                        &w->probabilities));
    CB_TRY(cb_arena_get(&cli->arena, classes, sizeof(int), "classes", &w->best));
    w->json = cb_output_begin(&answer);
    cb_json_open(&w->json, NULL, '[');
    st = cb_photo_args_each(&w->photos, true, predict_batch, w);
    cb_json_close(&w->json, ']');
    if (cli->json)
        return cb_output_json(&answer, st);
    cb_buf_deinit(&answer);
    return st;
}

static struct cb_status run(struct cb_cli *cli, const void *given)
{
    const struct options *options = given;
    struct work w = { .top = options->top };
    struct cb_status st;
    CB_TRY(cb_photo_args_open(cli, &w.photos));
    st = predict_all(cli, &w);
    if (st.code == CB_OK && w.photos.failed)
        st = cb_fail(CB_ERR_CONTENT, "%d of %d photos could not be used", w.photos.failed,
                     cli->args.n);
    cb_photo_args_close(&w.photos);
    return st;
}

const struct cb_verb cb_verb_predict = {
    .name = "predict",
    .usage = "[MODEL] IMAGE... [--top 5]",
    .summary = "say what photos show",
    .notes =
        "Photos are JPEG, PNG or WebP. With --json:\n"
        "[{\"file\",\"classes\":[{\"index\",\"label\",\"probability\"}]}], best first. A photo\n"
        "that cannot be read is a line on stderr; the others are answered all the same.\n",
    .examples = "  cambium predict squeezenet1.1 dog.jpg\n"
                "  cambium predict models/resnet50/model.onnx *.jpg --top 3 --json\n",
    .options = rows,
    .n_options = CB_COUNT_OF(rows),
    .defaults = &defaults,
    .size = sizeof defaults,
    .min_args = 1,
    .max_args = -1,
    .run = run,
};
