/* cli/pull.c - cambium pull: a public network into the models folder. */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "cli/output.h"
#include "cli/progress.h"
#include "cli/verbs.h"
#include "importers/catalogue/pull.h"
#include "importers/model/folder.h"

struct options {
    const char *into, *from, *catalog, *sha256, *name;
    bool list, force;
    int stall_s;
};

static const struct options defaults = { .stall_s = 30 };

/* clang-format off */
#define AT(field) offsetof(struct options, field)
static const struct cb_option rows[] = {
    { .name = "list", .letter = 'l', .kind = CB_OPTION_FLAG, .offset = AT(list),
      .help = "what the catalogue has" },
    { .name = "into", .kind = CB_OPTION_TEXT, .offset = AT(into), .value = "DIR",
      .help = "the models folder it goes to (else as --models)" },
    { .name = "from", .kind = CB_OPTION_TEXT, .offset = AT(from), .value = "PLACE",
      .help = "a mirror's address, or a folder, instead of the original places" },
    { .name = "name", .kind = CB_OPTION_TEXT, .offset = AT(name), .value = "NAME",
      .help = "what it is called here (else as asked for, or as the file)" },
    { .name = "sha256", .kind = CB_OPTION_TEXT, .offset = AT(sha256), .value = "HEX",
      .help = "what the file's SHA-256 must be" },
    { .name = "force", .kind = CB_OPTION_FLAG, .offset = AT(force),
      .help = "replace a model folder that has this name" },
    { .name = "catalog", .kind = CB_OPTION_TEXT, .offset = AT(catalog), .value = "FILE",
      .help = "another catalogue than the one inside" },
    { .name = "stall", .kind = CB_OPTION_INT, .offset = AT(stall_s), .value = "SECONDS",
      .help = "give up when nothing comes for so long (30)", .min = 1, .max = 3600 },
};
/* clang-format on */

struct shown {
    struct cb_cli *cli;
    const char *name;
    struct cb_progress bar;
    bool begun;
    int64_t done;
};

/* Only for people who watch: a log is not for bars. */
static void show_progress(void *ctx, int64_t done, int64_t total)
{
    struct shown *s = ctx;
    if (!s->begun && isatty(STDERR_FILENO) == 1) {
        cb_progress_begin(&s->bar, s->name, (size_t)(total / 1000));
        s->begun = true;
    }
    s->done = done;
    if (s->begun)
        cb_progress_step(&s->bar, (size_t)(done / 1000), "kB");
}

static void end_progress(struct shown *s)
{
    if (s->begun)
        cb_progress_end(&s->bar, (size_t)(s->done / 1000), "kB");
    s->begun = false;
}

static void warn(void *ctx, const char *text)
{
    struct shown *s = ctx;
    end_progress(s);
    cb_cli_warn(s->cli, "%s", text);
}

static struct cb_status read_catalogue(struct cb_cli *cli, const char *file,
                                       struct cb_catalogue *out)
{
    struct cb_bytes text = cb_catalogue_embedded();
    if (!file)
        return cb_catalogue_parse(text, &cli->arena, out);
    CB_TRY(cb_file_map(file, &text));
    const struct cb_status st = cb_catalogue_parse(text, &cli->arena, out);
    cb_file_unmap(&text);
    return cb_context(st, "%.200s", file);
}

static void print_entry(const struct cb_catalogue_entry *e)
{
    char top1[16] = "", text[256];
    if (e->top1 > 0)
        snprintf(top1, sizeof top1, "%.2f", e->top1);
    printf("%-28s %7.1f MB  opset %2d  top-1 %5s  %-13s %s", e->name, (double)e->bytes / 1e6,
           e->opset, *top1 ? top1 : "-", e->licence ? e->licence : "-",
           cb_output_clean(e->title ? e->title : "", text, sizeof text));
    for (int i = 0; i < e->n_also; i++)
        printf("%s%s", i ? ", " : " (", e->also[i]);
    printf("%s\n", e->n_also ? ")" : "");
}

static void add_entry(struct cb_json *json, const struct cb_catalogue_entry *e)
{
    char digest[CB_DIGEST_TEXT];
    cb_digest_text(&e->digest, digest);
    cb_json_open(json, NULL, '{');
    cb_json_text(json, "name", e->name);
    cb_json_open(json, "also", '[');
    for (int i = 0; i < e->n_also; i++)
        cb_json_text(json, NULL, e->also[i]);
    cb_json_close(json, ']');
    cb_json_text(json, "title", e->title);
    cb_json_open(json, "addresses", '[');
    for (int i = 0; i < e->source->n; i++) {
        char address[PATH_MAX];
        if (cb_path_print(address, "%s%s", e->source->address[i], e->path))
            cb_json_text(json, NULL, address);
    }
    cb_json_close(json, ']');
    cb_json_int(json, "bytes", e->bytes);
    cb_json_text(json, "sha256", e->has_digest ? digest : NULL);
    cb_json_text(json, "licence", e->licence);
    cb_json_int(json, "opset", e->opset);
    if (e->top1 > 0)
        cb_json_real(json, "top1", e->top1);
    if (e->top5 > 0)
        cb_json_real(json, "top5", e->top5);
    if (e->parameters)
        cb_json_int(json, "parameters", e->parameters);
    cb_json_bool(json, "recipe", e->recipe);
    cb_json_text(json, "labels", e->labels ? e->labels->name : NULL);
    cb_json_close(json, '}');
}

static struct cb_status list(struct cb_cli *cli, const struct cb_catalogue *catalogue)
{
    struct cb_buf text;
    struct cb_json json = cb_output_begin(&text);
    cb_json_open(&json, NULL, '[');
    for (int i = 0; i < catalogue->n; i++)
        if (cli->json)
            add_entry(&json, &catalogue->entry[i]);
        else
            print_entry(&catalogue->entry[i]);
    cb_json_close(&json, ']');
    if (cli->json)
        return cb_output_json(&text, cb_ok());
    cb_buf_deinit(&text);
    return cb_ok();
}

static struct cb_status report(struct cb_cli *cli, const char *name, const struct cb_pull_result *r)
{
    char digest[CB_DIGEST_TEXT];
    struct cb_buf text;
    cb_digest_text(&r->digest, digest);
    if (!cli->json) {
        printf("%s  %s, %.1f MB%s, SHA-256 %s%s\n", r->path,
               r->already ? "is there already" : "fetched", (double)r->bytes / 1e6,
               r->resumed ? ", gone on with what was there" : "",
               r->verified ? "verified " : "not verified, is ", digest);
        return cb_ok();
    }
    struct cb_json json = cb_output_begin(&text);
    cb_json_open(&json, NULL, '{');
    cb_json_text(&json, "name", name);
    cb_json_text(&json, "path", r->path);
    cb_json_int(&json, "bytes", r->bytes);
    cb_json_int(&json, "resumed", r->resumed);
    cb_json_text(&json, "sha256", digest);
    cb_json_bool(&json, "verified", r->verified);
    cb_json_bool(&json, "already", r->already);
    cb_json_bool(&json, "recipe", r->recipe);
    cb_json_bool(&json, "labels", r->labels);
    cb_json_close(&json, '}');
    return cb_output_json(&text, cb_ok());
}

/* The name in an address: what stands behind the last '/', without .onnx. */
static const char *name_in(struct cb_cli *cli, const char *address)
{
    const char *slash = strrchr(address, '/'), *last = slash ? slash + 1 : address,
               *end = cb_path_ending(last, ".onnx");
    return cb_arena_text(&cli->arena, last, end ? (size_t)(end - last) : strlen(last));
}

static struct cb_status fill(struct cb_cli *cli, const struct options *o, struct cb_pull *pull)
{
    const char *what = cli->args.item[0];
    struct cb_catalogue catalogue;
    if (strstr(what, "://")) {
        pull->address = what;
        pull->name = o->name ? o->name : name_in(cli, what);
        if (pull->name && !cb_model_name_ok(pull->name))
            return cb_cli_usage(cli, "%.200s: says no model's name; give --name NAME", what);
        return pull->name ? cb_ok() : cb_fail(CB_ERR_NOMEM, "%.200s: name is too long", what);
    }
    CB_TRY(read_catalogue(cli, o->catalog, &catalogue));
    if (!(pull->entry = cb_catalogue_find(&catalogue, what)))
        return cb_fail(CB_ERR_NOT_FOUND, "%.80s: the catalogue has no such name (--list shows all)",
                       what);
    pull->name = o->name ? o->name : what;
    return cb_ok();
}

static struct cb_status run(struct cb_cli *cli, const void *given)
{
    const struct options *o = given;
    struct shown shown = { .cli = cli };
    struct cb_pull pull = { .folder = o->into ? o->into : cli->models,
                            .from = o->from,
                            .stall_s = o->stall_s,
                            .replace = o->force,
                            .progress = show_progress,
                            .warn = warn,
                            .ctx = &shown };
    struct cb_pull_result result;
    struct cb_catalogue catalogue;
    struct cb_digest digest;
    if (o->list) {
        CB_TRY(read_catalogue(cli, o->catalog, &catalogue));
        return list(cli, &catalogue);
    }
    if (cli->args.n != 1)
        return cb_cli_usage(cli, "wants NAME or ADDRESS, or --list");
    if (o->sha256) {
        if (!cb_digest_parse(o->sha256, &digest))
            return cb_cli_usage(cli, "--sha256: \"%.80s\" is not 64 hex digits in lower case",
                                o->sha256);
        pull.digest = &digest;
    }
    CB_TRY(fill(cli, o, &pull));
    shown.name = pull.name;
    const struct cb_status st = cb_pull_run(&pull, &cli->arena, &result);
    end_progress(&shown);
    CB_TRY(st);
    if (!result.verified)
        cb_cli_warn(cli, "%s: nobody says what its SHA-256 must be: not verified", pull.name);
    if (!result.recipe)
        cb_cli_warn(cli, "%s: no recipe is known: torchvision's will be assumed", pull.name);
    return report(cli, pull.name, &result);
}

const struct cb_verb cb_verb_pull = {
    .name = "pull",
    .usage = "NAME or ADDRESS [--from PLACE] [--into DIR], or --list",
    .summary = "fetch a public network into the models folder, verified",
    .notes =
        "NAME is in the catalogue (--list), which says where the file is, its length, its "
        "SHA-256,\n"
        "the recipe for photos and the labels; `predict NAME PHOTO` finds it then. ADDRESS is "
        "any\n"
        "https:// address of an .onnx file. Only whole and verified files appear under their "
        "name.\n"
        "An interrupted pull goes on where it stopped. --from takes a mirror (http:// is allowed\n"
        "there: the digest says whether the bytes are right) or a folder, and then needs no\n"
        "network. docs/CATALOGUE.md\n",
    .examples = "  cambium pull --list\n"
                "  cambium pull resnet50 --into models/\n"
                "  cambium pull squeezenet1.1 --from /media/usb\n"
                "  cambium pull https://example.org/net.onnx --sha256 5c688690f8ba...\n",
    .options = rows,
    .n_options = CB_COUNT_OF(rows),
    .defaults = &defaults,
    .size = sizeof defaults,
    .min_args = 0,
    .max_args = 1,
    .by_rule = true,
    .run = run,
};
