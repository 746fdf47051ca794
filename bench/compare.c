/* bench/compare.c - ONNX Runtime and Cambium in turns, as Markdown tables.
 *
 *     compare speed MODEL...     milliseconds a run, and how many times faster we are
 *     compare load MODEL...      from a fresh process to the first result, and the memory it takes
 *
 * THREADS ("1 2"), BATCHES ("1 8"), ROUNDS (5), and what bench/measure.h reads. In each round the
 * peer runs, then we, so that both meet the same disturbances; medians over the rounds are taken,
 * and their ratio. Outputs on the same random input are compared first. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/measure.h"
#include "core/base/file.h"

enum { ROUNDS_MAX = 99, COLUMNS_MAX = 64 };

struct comparison {
    struct cb_arena arena;
    char **models;
    int n_models, rounds;
    double seconds;
};

struct column {
    int threads, batch;
    int same; /* the first column of that batch: outputs are compared there */
};

/* A row of the summary: a ratio in each column, NAN where there is none. */
struct ratios {
    const char *name;
    double of[COLUMNS_MAX];
};

static int make_columns(struct column out[COLUMNS_MAX])
{
    double threads[BENCH_LIST_MAX], batches[BENCH_LIST_MAX];
    const int n_threads = bench_list("THREADS", "1 2", threads);
    const int n_batches = bench_list("BATCHES", "1 8", batches);
    int n = 0;
    for (int i = 0; i < n_threads; i++)
        for (int k = 0; k < n_batches && n < COLUMNS_MAX; k++)
            out[n++] = (struct column){ (int)threads[i], (int)batches[k], k };
    return n;
}

/* Medians of both programs over the rounds. */
static bool measure_in_turns(const struct comparison *c, const struct bench_case *what,
                             double ms[BENCH_PROGRAMS])
{
    double all[BENCH_PROGRAMS][ROUNDS_MAX];
    for (int round = 0; round < c->rounds; round++)
        for (int program = 0; program < BENCH_PROGRAMS; program++) {
            struct bench_figures figures;
            if (!bench_measure((enum bench_program)program, what, &figures))
                return false;
            all[program][round] = figures.median_ms;
        }
    for (int program = 0; program < BENCH_PROGRAMS; program++)
        ms[program] = bench_median(all[program], c->rounds);
    return true;
}

struct outputs {
    bool compared, known;
    struct bench_agreement agreement;
};

static void print_agreement(struct comparison *c, const struct bench_case *what,
                            struct outputs *outputs)
{
    if (!outputs->compared)
        outputs->known = bench_agreement(&c->arena, what, &outputs->agreement);
    outputs->compared = true;
    if (outputs->known)
        printf(" %s (%.1e) |\n", outputs->agreement.agree ? "yes" : "NO",
               outputs->agreement.difference);
    else
        printf(" - |\n");
}

static void print_ratios(const struct ratios *rows, int n_rows, const struct column *columns, int n)
{
    printf("\n| times as fast as ONNX Runtime |");
    for (int k = 0; k < n; k++)
        printf(" %d thread%s, batch %d |", columns[k].threads, columns[k].threads > 1 ? "s" : "",
               columns[k].batch);
    printf("\n|---|");
    for (int k = 0; k < n; k++)
        printf("---:|");
    for (int i = 0; i < n_rows; i++) {
        printf("\n| %s |", rows[i].name);
        for (int k = 0; k < n; k++)
            if (isfinite(rows[i].of[k]))
                printf(" %.2f |", rows[i].of[k]);
            else
                printf(" - |");
    }
    printf("\n| **geometric mean** |");
    for (int k = 0; k < n; k++) {
        double sum = 0;
        int count = 0;
        for (int i = 0; i < n_rows; i++)
            if (isfinite(rows[i].of[k])) {
                sum += log(rows[i].of[k]);
                count++;
            }
        printf(" **%.2f** |", count ? exp(sum / count) : NAN);
    }
    printf("\n");
}

static int compare_speed(struct comparison *c)
{
    struct column columns[COLUMNS_MAX];
    const int n = make_columns(columns);
    struct ratios *rows = cb_arena_alloc(&c->arena, (size_t)c->n_models, sizeof *rows);
    printf("| network | threads | batch | ONNX Runtime, ms | Cambium, ms | ratio | agree "
           "(largest difference) |\n|---|---:|---:|---:|---:|---:|---|\n");
    for (int i = 0; i < c->n_models; i++) {
        struct outputs outputs[COLUMNS_MAX] = { 0 };
        rows[i].name = bench_name(&c->arena, c->models[i]);
        for (int k = 0; k < n; k++) {
            const struct bench_case what = { .model = c->models[i],
                                             .threads = columns[k].threads,
                                             .batch = columns[k].batch,
                                             .seconds = c->seconds };
            double ms[BENCH_PROGRAMS];
            printf("| %s | %d | %d |", rows[i].name, what.threads, what.batch);
            rows[i].of[k] = NAN;
            if (measure_in_turns(c, &what, ms)) {
                rows[i].of[k] = ms[BENCH_PEER] / ms[BENCH_OURS];
                printf(" %.3f | %.3f | %.2f |", ms[BENCH_PEER], ms[BENCH_OURS], rows[i].of[k]);
                print_agreement(c, &what, &outputs[columns[k].same]);
            } else {
                printf(" - | - | - | - |\n");
            }
            fflush(stdout);
        }
    }
    print_ratios(rows, c->n_models, columns, n);
    return 0;
}

/* The peer; we without a cache; we with what the start before has left there. */
enum start { PEER_START, FIRST_START, SECOND_START, STARTS };

static bool measure_start(enum start start, const struct bench_case *what, const char *cache,
                          struct bench_figures *out)
{
    if (start == FIRST_START && cb_folder_remove(cache).code)
        return false;
    return bench_measure(start == PEER_START ? BENCH_PEER : BENCH_OURS, what, out);
}

/* Medians of each figure over the rounds. */
static bool measure_starts(const struct comparison *c, const struct bench_case *what,
                           const char *cache, struct bench_figures out[STARTS])
{
    double load[STARTS][ROUNDS_MAX], first[STARTS][ROUNDS_MAX], memory[STARTS][ROUNDS_MAX];
    for (int round = 0; round < c->rounds; round++)
        for (int s = 0; s < STARTS; s++) {
            struct bench_figures figures;
            if (!measure_start((enum start)s, what, cache, &figures))
                return false;
            load[s][round] = figures.load_ms;
            first[s][round] = figures.first_result_ms;
            memory[s][round] = figures.peak_rss_mb;
        }
    for (int s = 0; s < STARTS; s++)
        out[s] = (struct bench_figures){ .load_ms = bench_median(load[s], c->rounds),
                                         .first_result_ms = bench_median(first[s], c->rounds),
                                         .peak_rss_mb = bench_median(memory[s], c->rounds) };
    return true;
}

static int compare_load(struct comparison *c)
{
    char folder[] = "/tmp/cambium-cache-XXXXXX", cache[PATH_MAX];
    if (!mkdtemp(folder) || !cb_path_print(cache, "%s/cache", folder))
        return 1;
    setenv("CAMBIUM_CACHE", cache, 1);
    printf(
        "| network | ONNX Runtime: load, ms | first result, ms | peak, MB | Cambium, first start: "
        "load | first result | peak | second start: load | first result | peak |\n"
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n");
    for (int i = 0; i < c->n_models; i++) {
        const struct bench_case what = { .model = c->models[i],
                                         .threads = (int)bench_number("THREADS", 2),
                                         .batch = 1,
                                         .seconds = 0.001 };
        struct bench_figures starts[STARTS];
        printf("| %s |", bench_name(&c->arena, c->models[i]));
        if (measure_starts(c, &what, cache, starts))
            for (int s = 0; s < STARTS; s++)
                printf(" %.1f | %.1f | %.0f |", starts[s].load_ms, starts[s].first_result_ms,
                       starts[s].peak_rss_mb);
        printf("\n");
        fflush(stdout);
    }
    return cb_folder_remove(folder).code != CB_OK;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(struct comparison *c);
    } what[] = { { "speed", compare_speed }, { "load", compare_load } };
    struct comparison c = { .models = argv + 2,
                            .n_models = argc - 2,
                            .rounds = (int)bench_number("ROUNDS", 5),
                            .seconds = bench_number("SECONDS_EACH", 1) };
    if (c.n_models < 1 || c.rounds < 1 || c.rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: compare speed|load MODEL... (ROUNDS: 1 to %d)\n", ROUNDS_MAX);
        return 2;
    }
    if (!bench_has_peer()) {
        fprintf(stderr, "compare: there is no peer: make bench-deps\n");
        return 1;
    }
    if (cb_arena_init(&c.arena, (size_t)4 << 30).code)
        return 1;
    for (size_t i = 0; i < sizeof what / sizeof *what; i++)
        if (strcmp(argv[1], what[i].name) == 0)
            return what[i].run(&c);
    fprintf(stderr, "compare: there is no \"%s\"\n", argv[1]);
    return 2;
}
