#include "cli/photo_args.h"

#include "cli/model_arg.h"
#include "importers/model/load.h"

#define PIXEL_BUDGET ((size_t)8 << 30) /* address space */

struct cb_status cb_photo_args_open(struct cb_cli *cli, struct cb_photo_args *out)
{
    struct cb_photo_args photos = { .cli = cli };
    const char *name = cb_cli_take_model(cli);
    struct cb_status st = cb_cli_open_model(cli, name, CB_USE_PHOTOS, &photos.model);
    if (st.code)
        return st;
    cb_cli_tell_recipe(cli, photos.model);
    st = cb_arena_init(&photos.arena, PIXEL_BUDGET);
    if (st.code == CB_OK)
        st = cb_predictor_create(&cli->engine, photos.model, &photos.predictor);
    *out = photos;
    if (st.code)
        cb_photo_args_close(out);
    return st;
}

void cb_photo_args_close(struct cb_photo_args *photos)
{
    cb_predictor_destroy(photos->predictor);
    cb_model_destroy(photos->model);
    cb_arena_deinit(&photos->arena);
}

struct cb_status cb_photo_args_read(struct cb_photo_args *photos, const char *path, bool full,
                                    struct cb_decoded *out)
{
    struct cb_bytes file;
    struct cb_status st;
    CB_TRY(cb_file_map(path, &file));
    st = cb_image_decode(&photos->arena, file, &cb_decode_defaults,
                         full ? 0 : cb_recipe_wanted_side(&photos->model->recipe), out);
    cb_file_unmap(&file);
    if (st.code == CB_OK && out->truncated)
        cb_cli_warn(photos->cli, "%s: the file is cut short; what is missing is taken as gray",
                    path);
    return cb_context(st, "%s", path);
}

static void pass_over(struct cb_photo_args *photos, const struct cb_status *why)
{
    photos->failed++;
    cb_cli_warn(photos->cli, "%s", why->msg);
}

/* Photos that were read and wait to be used. */
struct batch {
    struct cb_image images[CB_PHOTO_BATCH];
    const char *files[CB_PHOTO_BATCH];
    int n;
};

/* The photos from `*next` on, as many as a batch holds. */
static struct cb_status read_batch(struct cb_photo_args *photos, bool go_on, int *next,
                                   struct batch *out)
{
    const struct cb_texts *args = &photos->cli->args;
    for (out->n = 0; *next < args->n && out->n < CB_PHOTO_BATCH; ++*next) {
        struct cb_decoded photo;
        const struct cb_status st = cb_photo_args_read(photos, args->item[*next], false, &photo);
        if (st.code && !go_on)
            return st;
        if (st.code) {
            pass_over(photos, &st);
            continue;
        }
        out->images[out->n] = photo.image;
        out->files[out->n++] = args->item[*next];
    }
    return cb_ok();
}

/* fn for the whole batch; when that fails, for each photo alone, so that the message names it. */
static struct cb_status use_batch(struct cb_photo_args *photos, bool go_on,
                                  const struct batch *batch, cb_photo_args_fn *fn, void *ctx)
{
    if (batch->n == 0 || fn(ctx, batch->images, batch->files, batch->n).code == CB_OK)
        return cb_ok();
    for (int i = 0; i < batch->n; i++) {
        const struct cb_status st =
            cb_context(fn(ctx, batch->images + i, batch->files + i, 1), "%s", batch->files[i]);
        if (st.code && !go_on)
            return st;
        if (st.code)
            pass_over(photos, &st);
    }
    return cb_ok();
}

struct cb_status cb_photo_args_each(struct cb_photo_args *photos, bool go_on, cb_photo_args_fn *fn,
                                    void *ctx)
{
    const size_t mark = photos->arena.used;
    struct batch batch;
    if (photos->cli->args.n == 0)
        return cb_cli_usage(photos->cli, "wants a photo");
    for (int next = 0; next < photos->cli->args.n;) {
        CB_TRY(read_batch(photos, go_on, &next, &batch));
        CB_TRY(use_batch(photos, go_on, &batch, fn, ctx));
        cb_arena_rewind(&photos->arena, mark);
    }
    return cb_ok();
}
