/* cli/models.c - cambium models: what is in the models folder. */
#include <sys/stat.h>

#include "cli/model_arg.h"
#include "cli/output.h"
#include "cli/verbs.h"
#include "importers/model/folder.h"
#include "importers/model/load.h"

struct entry {
    const char *name, *path; /* path NULL: embedded */
    int version;
    int64_t bytes;
};

static void print_entry(const struct entry *e)
{
    printf("%-32s %5d %10.1f MB  %s\n", e->name, e->version, (double)e->bytes / 1e6,
           e->path ? e->path : "(embedded)");
}

static void add_entry(struct cb_json *json, const struct entry *e)
{
    cb_json_open(json, NULL, '{');
    cb_json_text(json, "name", e->name);
    cb_json_int(json, "version", e->version);
    cb_json_int(json, "bytes", e->bytes);
    cb_json_text(json, "path", e->path);
    cb_json_close(json, '}');
}

static struct cb_status run(struct cb_cli *cli, const void *given)
{
    const struct entry seedling = { CB_SEEDLING, NULL, 1, (int64_t)cb_seedling().len };
    const char *const *names;
    struct cb_buf text;
    struct cb_json json;
    int n;
    (void)given;
    CB_TRY(cb_model_names(cli->models, &cli->arena, &names, &n));
    json = cb_output_begin(&text);
    cb_json_open(&json, NULL, '[');
    for (int i = -1; i < n; i++) {
        struct entry entry = seedling;
        struct cb_model_files files;
        struct stat info;
        if (i >= 0) {
            if (cb_model_files_of(cli->models, names[i], &files).code || stat(files.onnx, &info))
                continue;
            entry = (struct entry){ names[i], files.onnx, files.version, info.st_size };
        }
        if (cli->json)
            add_entry(&json, &entry);
        else
            print_entry(&entry);
    }
    cb_json_close(&json, ']');
    if (cli->json)
        return cb_output_json(&text, cb_ok());
    cb_buf_deinit(&text);
    return cb_ok();
}

const struct cb_verb cb_verb_models = {
    .name = "models",
    .usage = "[--models DIR]",
    .summary = "list the models that can be called by name",
    .notes = "The models folder is --models, else $CAMBIUM_MODELS, else cambium/models in\n"
             "the user's data folder. With --json: [{\"name\",\"version\",\"bytes\",\"path\"}].\n",
    .examples = "  cambium models\n  cambium models --models /srv/models --json\n",
    .min_args = 0,
    .max_args = 0,
    .run = run,
};
