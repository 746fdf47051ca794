/* cli/main.c - cambium VERB [OPTIONS] ARGS: the table of verbs, and what all of them share. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/verbs.h"

#define VERSION "0.1.0"

enum { EXIT_DONE, EXIT_FAILED, EXIT_USAGE };

static const struct cb_verb *const verbs[] = {
    &cb_verb_serve, &cb_verb_predict, &cb_verb_explain,  &cb_verb_features, &cb_verb_run,
    &cb_verb_train, &cb_verb_eval,    &cb_verb_quantize, &cb_verb_verify,   &cb_verb_inspect,
    &cb_verb_bench, &cb_verb_models,  &cb_verb_pull,
};

/* What every verb takes. */
struct common {
    int threads;
    const char *isa, *models, *cache, *precision;
    bool json, help;
};

/* clang-format off */
static const struct cb_option common_options[] = {
    { .name = "models", .kind = CB_OPTION_TEXT, .offset = offsetof(struct common, models),
      .value = "DIR", .help = "where models are found by name (else $CAMBIUM_MODELS)" },
    { .name = "cache", .kind = CB_OPTION_TEXT, .offset = offsetof(struct common, cache),
      .value = "DIR", .help = "where packed weights are kept; none: nowhere (else $CAMBIUM_CACHE)" },
    { .name = "json", .kind = CB_OPTION_FLAG, .offset = offsetof(struct common, json),
      .help = "results as JSON" },
    { .name = "threads", .kind = CB_OPTION_INT, .offset = offsetof(struct common, threads),
      .value = "N", .help = "threads that compute; 0: as many as this process may use", .min = 0,
      .max = 1024 },
    { .name = "isa", .kind = CB_OPTION_TEXT, .offset = offsetof(struct common, isa),
      .value = "NAME", .help = "auto, generic, avx2, avx512 or neon: use no more than that" },
    { .name = "precision", .kind = CB_OPTION_TEXT, .offset = offsetof(struct common, precision),
      .value = "NAME", .help = "fp32, or bf16: products round their factors, where the CPU gains" },
    { .name = "help", .letter = 'h', .kind = CB_OPTION_FLAG,
      .offset = offsetof(struct common, help), .help = "this text" },
};
/* clang-format on */

static void print_overview(FILE *to)
{
    fprintf(to, "usage: cambium VERB [OPTIONS] ARGS\n\n");
    for (size_t i = 0; i < CB_COUNT_OF(verbs); i++)
        fprintf(to, "  %-10s%s\n", verbs[i]->name, verbs[i]->summary);
    fprintf(to, "\n`cambium VERB --help` says more. MODEL is an .onnx file, a model folder, or a "
                "name in the\n"
                "models folder; without one, the embedded model `seedling` is taken.\n");
}

static void print_help(const struct cb_verb *verb)
{
    printf("usage: cambium %s %s\n\n%s.\n", verb->name, verb->usage, verb->summary);
    if (verb->notes)
        printf("\n%s", verb->notes);
    printf("\noptions:\n");
    cb_options_help(stdout, &(struct cb_option_set){ verb->options, verb->n_options, NULL });
    cb_options_help(stdout,
                    &(struct cb_option_set){ common_options, CB_COUNT_OF(common_options), NULL });
    if (verb->examples)
        printf("\nexamples:\n%s", verb->examples);
}

static const struct cb_verb *find_verb(const char *name)
{
    for (size_t i = 0; i < CB_COUNT_OF(verbs); i++)
        if (strcmp(verbs[i]->name, name) == 0)
            return verbs[i];
    return NULL;
}

/* What --isa and CAMBIUM_ISA allow of what the CPU can do: both may lower the choice, none raises
 * it. */
static struct cb_status choose_isa(struct cb_cli *cli, const char *option, enum cb_isa *out)
{
    const char *const wish[] = { option, getenv("CAMBIUM_ISA") };
    *out = cb_isa_best();
    for (size_t i = 0; i < CB_COUNT_OF(wish); i++) {
        if (!wish[i] || !*wish[i] || strcmp(wish[i], "auto") == 0)
            continue;
        const enum cb_isa isa = cb_isa_find(wish[i]);
        if (isa == CB_ISA_COUNT)
            return cb_cli_usage(cli, "%s: \"%s\" is none of auto, generic, avx2, avx512, neon",
                                i ? "CAMBIUM_ISA" : "--isa", wish[i]);
        if (isa > cb_isa_best())
            cb_cli_warn(cli, "this machine has no %s", wish[i]);
        if (isa < *out)
            *out = isa;
    }
    return cb_ok();
}

/* Half of the memory there is: what the activations of one plan may take. */
static size_t plan_budget(void)
{
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    const size_t least = (size_t)1 << 30;
    const size_t half = pages > 0 && page > 0 ? (size_t)pages / 2 * (size_t)page : least;
    return half > least ? half : least;
}

static struct cb_status models_folder(struct cb_cli *cli, const char *option)
{
    const char *env = getenv("CAMBIUM_MODELS"), *data = getenv("XDG_DATA_HOME"),
               *home = getenv("HOME");
    if (option || (env && *env))
        cli->models = option ? option : env;
    else if (data && *data)
        cli->models = cb_arena_printf(&cli->arena, "%s/cambium/models", data);
    else
        cli->models =
            cb_arena_printf(&cli->arena, "%s/.local/share/cambium/models", home ? home : "");
    return cli->models ? cb_ok() : cb_fail(CB_ERR_NOMEM, "the models folder's name is too long");
}

static void warn_of_cache(void *ctx, const char *text)
{
    cb_cli_warn(ctx, "cache: %s", text);
}

/* Without a usable folder there is no cache: that is no failure. */
static void open_cache(struct cb_cli *cli, const char *option, enum cb_isa isa)
{
    const char *env = getenv("CAMBIUM_CACHE"), *base = getenv("XDG_CACHE_HOME"),
               *home = getenv("HOME"), *folder = option ? option : env;
    if (cli->verb->by_rule && !option)
        return;
    if (!folder || !*folder)
        folder = base && *base == '/'   ? cb_arena_printf(&cli->arena, "%s/cambium", base)
                 : home && *home == '/' ? cb_arena_printf(&cli->arena, "%s/.cache/cambium", home)
                                        : NULL;
    if (!folder || strcmp(folder, "none") == 0)
        return;
    const struct cb_cache_options options = {
        .folder = folder, .isa = isa, .warn = warn_of_cache, .ctx = cli
    };
    const struct cb_status st = cb_cache_open(&options, &cli->cache);
    if (st.code)
        cb_cli_warn(cli, "no cache: %s", st.msg);
    else
        cli->engine.choices = cb_cache_choices(cli->cache);
}

/* bf16 is a wish: without instructions for it there is nothing to be gained. */
static struct cb_status use_precision(struct cb_cli *cli, const char *name)
{
    cli->precision = "fp32";
    if (!name || strcmp(name, "fp32") == 0)
        return cb_ok();
    if (strcmp(name, "int8") == 0 && cli->verb->quantises) {
        cli->precision = name;
        return cb_ok();
    }
    if (strcmp(name, "bf16"))
        return cb_cli_usage(cli, "--precision: \"%s\" is none of fp32, bf16%s", name,
                            cli->verb->quantises ? ", int8" : " (for int8: cambium quantize)");
    if (!cli->engine.kernels.fast_pairs) {
        cb_cli_warn(cli, "no bfloat16 products with %s here: computed in fp32",
                    cli->engine.kernels.name);
        return cb_ok();
    }
    cli->precision = name;
    cli->engine.kernels.bf16 = true;
    return cb_ok();
}

static struct cb_status run_verb(struct cb_cli *cli, const struct common *common,
                                 const void *options)
{
    enum cb_isa isa;
    struct cb_status st;
    CB_TRY(models_folder(cli, common->models));
    CB_TRY(choose_isa(cli, common->isa, &isa));
    cli->json = common->json;
    cli->engine =
        (struct cb_engine){ .kernels = cb_kernels_for(isa), .plan_budget = plan_budget() };
    CB_TRY(use_precision(cli, common->precision));
    CB_TRY(cb_threads_create((size_t)common->threads, &cli->engine.threads));
    open_cache(cli, common->cache, isa);
    st = cli->verb->run(cli, options);
    fflush(stdout); /* the answer is out before anything is saved */
    cb_cache_close(cli->cache);
    cb_threads_destroy(cli->engine.threads);
    if (st.code == CB_OK && (fflush(stdout) || ferror(stdout)))
        st = cb_fail(CB_ERR_IO, "stdout: the results could not be written");
    return st;
}

static struct cb_status parse_and_run(struct cb_cli *cli, int argc, char **argv)
{
    const struct cb_verb *verb = cli->verb;
    struct common common = { 0 };
    void *options;
    CB_TRY(cb_arena_get(&cli->arena, verb->size + 1, 1, "options", &options));
    if (verb->size)
        memcpy(options, verb->defaults, verb->size);
    const struct cb_option_set sets[] = {
        { verb->options, verb->n_options, options },
        { common_options, CB_COUNT_OF(common_options), &common },
    };
    struct cb_status st =
        cb_options_parse(&cli->arena, sets, CB_COUNT_OF(sets), argc, argv, &cli->args);
    if (common.help) {
        print_help(verb);
        return cb_ok();
    }
    if (st.code)
        return cb_cli_usage(cli, "%s", st.msg);
    if (cli->args.n < verb->min_args || (verb->max_args >= 0 && cli->args.n > verb->max_args))
        return cb_cli_usage(cli, "wants %s", verb->usage);
    return run_verb(cli, &common, options);
}

static int answer_without_verb(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : NULL;
    const struct cb_verb *about = argc > 2 ? find_verb(argv[2]) : NULL;
    if (word && strcmp(word, "--version") == 0)
        return printf("cambium " VERSION "\n") > 0 ? EXIT_DONE : EXIT_FAILED;
    if (word &&
        (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0)) {
        about ? print_help(about) : print_overview(stdout);
        return EXIT_DONE;
    }
    if (word)
        fprintf(stderr, "cambium: there is no verb \"%s\" (see cambium --help)\n", word);
    else
        print_overview(stderr);
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    struct cb_cli cli = { .verb = argc > 1 ? find_verb(argv[1]) : NULL };
    struct cb_status st;
    if (!cli.verb)
        return answer_without_verb(argc, argv);
    st = cb_arena_init(&cli.arena, (size_t)1 << 30);
    if (st.code == CB_OK)
        st = parse_and_run(&cli, argc - 2, argv + 2);
    if (st.code)
        fprintf(stderr, "cambium %s: %s%s%s%s\n", cli.verb->name, st.msg,
                cli.wrong_usage ? " (see cambium " : "", cli.wrong_usage ? cli.verb->name : "",
                cli.wrong_usage ? " --help)" : "");
    cb_arena_deinit(&cli.arena);
    return st.code == CB_OK ? EXIT_DONE : cli.wrong_usage ? EXIT_USAGE : EXIT_FAILED;
}
