/* cli/features.c - cambium features: the bottleneck's features of photos, as one array. */
#include "cli/photo_args.h"
#include "cli/progress.h"
#include "cli/verbs.h"
#include "importers/tensor/npy.h"

struct options {
    const char *output;
};

/* clang-format off */
static const struct cb_option rows[] = {
    { .name = "output", .letter = 'o', .kind = CB_OPTION_TEXT,
      .offset = offsetof(struct options, output), .value = "OUT.npy",
      .help = "the file to write: float32 [photos, features]" },
};
/* clang-format on */

static const struct options defaults;

struct work {
    struct cb_photo_args photos;
    struct cb_progress progress;
    float *features; /* [photos, d] */
    int d, done;
};

static struct cb_status add_features(void *ctx, const struct cb_image *images,
                                     const char *const *files, int n)
{
    struct work *w = ctx;
    (void)files;
    CB_TRY(
        cb_features(w->photos.predictor, images, n, w->features + (size_t)w->done * (size_t)w->d));
    w->done += n;
    cb_progress_step(&w->progress, (size_t)w->done, "");
    return cb_ok();
}

static struct cb_status write_features(struct cb_cli *cli, struct work *w, const char *path)
{
    const size_t n = (size_t)cli->args.n;
    CB_TRY(cb_feature_length(w->photos.predictor, &w->d));
    CB_TRY(
        cb_arena_get(&w->photos.arena, n * (size_t)w->d, sizeof(float), "features", &w->features));
    cb_progress_begin(&w->progress, "features", n);
    CB_TRY(cb_photo_args_each(&w->photos, false, add_features, w));
    cb_progress_end(&w->progress, n, "");
    const struct cb_tensor out = { .shape = { 2, { cli->args.n, w->d } },
                                   .dtype = CB_FLOAT32,
                                   .f = w->features };
    CB_TRY(cb_npy_save(path, &out));
    if (!cli->json)
        printf("%s: float32 [%d, %d]\n", path, cli->args.n, w->d);
    else
        printf("{\"n\":%d,\"d\":%d}\n", cli->args.n, w->d);
    return cb_ok();
}

static struct cb_status run(struct cb_cli *cli, const void *given)
{
    const struct options *options = given;
    struct work w = { 0 };
    struct cb_status st;
    if (!options->output)
        return cb_cli_usage(cli, "-o OUT.npy is wanted");
    CB_TRY(cb_photo_args_open(cli, &w.photos));
    st = write_features(cli, &w, options->output);
    cb_photo_args_close(&w.photos);
    return st;
}

const struct cb_verb cb_verb_features = {
    .name = "features",
    .usage = "[MODEL] IMAGE... -o OUT.npy",
    .summary = "write the features that the network's classifier sees",
    .notes = "One row a photo, in the order given: the bottleneck, averaged over space where\n"
             "it is spatial.\n",
    .examples = "  cambium features squeezenet1.1 photos/*.jpg -o features.npy\n",
    .options = rows,
    .n_options = CB_COUNT_OF(rows),
    .defaults = &defaults,
    .size = sizeof defaults,
    .min_args = 1,
    .max_args = -1,
    .run = run,
};
