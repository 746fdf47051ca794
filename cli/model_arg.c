#include "cli/model_arg.h"

#include <string.h>

#include "core/base/hash.h"
#include "importers/model/folder.h"
#include "importers/model/load.h"

/* A path that holds a model wins over a name in the models folder. */
static struct cb_status find(const struct cb_cli *cli, const char *arg, struct cb_model_files *out)
{
    const struct cb_status as_path = cb_model_files_find(arg, out);
    if (as_path.code == CB_OK)
        return as_path;
    if (cb_model_name_ok(arg) && cb_model_files_of(cli->models, arg, out).code == CB_OK)
        return cb_ok();
    if (strchr(arg, '/') || cb_path_ending(arg, ".onnx") || !cb_model_name_ok(arg))
        return as_path;
    return cb_fail(CB_ERR_NOT_FOUND,
                   "%s: no such model file or folder, and no model of that name in %s", arg,
                   cli->models);
}

static const struct cb_model *load_trunk(struct cb_cli *cli, const char *path)
{
    struct cb_model *model;
    struct cb_model_source source = {
        .path = path, .bytes = cb_seedling(), .name = path ? NULL : CB_SEEDLING, .cache = cli->cache
    };
    const struct cb_status st = cb_model_load(&source, &model);
    if (st.code)
        cb_cli_warn(cli, "%s", st.msg);
    return st.code ? NULL : model;
}

static bool has_digest(struct cb_bytes file, const struct cb_digest *digest)
{
    const struct cb_digest found = cb_digest_of(file.data, file.len);
    return memcmp(&found, digest, sizeof found) == 0;
}

/* The trunk of a head: kept beside the models by the server, or among them, by its content. */
static const struct cb_model *find_trunk(void *ctx, const struct cb_digest *digest)
{
    struct cb_cli *cli = ctx;
    const char *const *names;
    char text[CB_DIGEST_TEXT];
    const char *kept;
    int n;
    if (has_digest(cb_seedling(), digest))
        return load_trunk(cli, NULL);
    cb_digest_text(digest, text);
    kept = cb_arena_printf(&cli->arena, "%s/.trunks/%s.onnx", cli->models, text);
    if (kept && cb_file_is_regular(kept))
        return load_trunk(cli, kept);
    if (cb_model_names(cli->models, &cli->arena, &names, &n).code)
        return NULL;
    for (int i = 0; i < n; i++) {
        struct cb_model_files files;
        struct cb_bytes file;
        if (cb_model_files_of(cli->models, names[i], &files).code || files.is_head ||
            cb_file_map(files.onnx, &file).code)
            continue;
        const bool found = has_digest(file, digest);
        cb_file_unmap(&file);
        if (found)
            return load_trunk(cli, files.path);
    }
    return NULL;
}

static void release_trunk(void *ctx, const struct cb_model *trunk)
{
    (void)ctx;
    cb_model_destroy((struct cb_model *)(uintptr_t)trunk);
}

static struct cb_status open_source(struct cb_cli *cli, const char *arg,
                                    struct cb_model_source *source, struct cb_model **out)
{
    struct cb_model_files files;
    struct cb_status st = arg ? find(cli, arg, &files) : cb_ok();
    source->cache = cli->cache;
    source->find_trunk = find_trunk;
    source->release_trunk = release_trunk;
    source->ctx = cli;
    if (!arg || (st.code == CB_ERR_NOT_FOUND && strcmp(arg, CB_SEEDLING) == 0)) {
        source->bytes = cb_seedling();
        source->name = CB_SEEDLING;
        return cb_model_load(source, out);
    }
    CB_TRY(st);
    source->path = files.path;
    source->name = files.name;
    return cb_context(cb_model_load(source, out), "%s", arg);
}

struct cb_status cb_cli_open_model(struct cb_cli *cli, const char *arg, enum cb_model_use use,
                                   struct cb_model **out)
{
    return open_source(cli, arg,
                       &(struct cb_model_source){ .graph_only = use == CB_USE_TENSORS,
                                                  .no_digest = use != CB_USE_IDENTITY },
                       out);
}

struct cb_status cb_cli_open_model_for(struct cb_cli *cli, const char *arg,
                                       const struct cb_tensor *inputs, int n, struct cb_model **out)
{
    return open_source(
        cli, arg, &(struct cb_model_source){ .graph_only = true, .inputs = inputs, .n_inputs = n },
        out);
}

void cb_cli_tell_recipe(const struct cb_cli *cli, const struct cb_model *model)
{
    if (model->recipe.assumed)
        cb_cli_warn(cli, "%s has no recipe: that of torchvision's networks is assumed",
                    model->name);
}

const char *cb_cli_take_model(struct cb_cli *cli)
{
    struct cb_model_files files;
    const char *first = cli->args.n ? cli->args.item[0] : NULL;
    if (!first || (cb_file_is_regular(first) && !cb_path_ending(first, ".onnx")))
        return NULL;
    if (find(cli, first, &files).code && cli->args.n == 1 && strcmp(first, CB_SEEDLING))
        return NULL; /* a photo that is not there */
    cli->args.item++;
    cli->args.n--;
    return first;
}
