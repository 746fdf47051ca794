/* bench/plots.c - how the time grows with the batch, with the input's size and with threads.
 *
 *     plots measure FOLDER MODEL...    writes scaling-{batch,size,threads}.csv, then draws
 *     plots draw FOLDER                draws the .svg from the .csv that are there
 *
 * PLOT_BATCHES ("1 2 4 8 16 32 64"), PLOT_SIDES ("128 192 256 320 384 448 512"), PLOT_THREADS
 * ("1 2"), ROUNDS (3), and what bench/measure.h reads. The peer takes part where it is there, in
 * turns, and where it can run the network: a file that fixes its input's size is run at other sizes
 * by us alone. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/chart.h"
#include "bench/measure.h"
#include "core/base/file.h"

enum { ROUNDS_MAX = 99, PLOTS = 3 };

static const char *const program_names[BENCH_PROGRAMS] = { "ONNX Runtime", "Cambium" };

/* What a picture varies, and what it shows of a measurement. */
struct plot {
    const char *file, *variable, *fallback, *title, *x_label, *y_label;
    bool log_x, log_y, speed_up;
    void (*set)(struct bench_case *c, int value);
    double (*y)(double ms, int x);
};

static void set_batch(struct bench_case *c, int value)
{
    c->batch = value;
}

static void set_side(struct bench_case *c, int value)
{
    c->side = value;
}

static void set_threads(struct bench_case *c, int value)
{
    c->threads = value;
}

static double each(double ms, int x)
{
    return ms / x;
}

static double whole(double ms, int x)
{
    (void)x;
    return ms;
}

static const struct plot plots[PLOTS] = {
    { .file = "scaling-batch",
      .variable = "PLOT_BATCHES",
      .fallback = "1 2 4 8 16 32 64",
      .title = "Time for each photo, by photos in a run (one thread)",
      .x_label = "photos in a run (logarithmic)",
      .y_label = "milliseconds for each photo (logarithmic)",
      .log_x = true,
      .log_y = true,
      .set = set_batch,
      .y = each },
    { .file = "scaling-size",
      .variable = "PLOT_SIDES",
      .fallback = "128 192 256 320 384 448 512",
      .title = "Time for one photo, by its size (one thread)",
      .x_label = "side of the input, pixels (logarithmic)",
      .y_label = "milliseconds (logarithmic)",
      .log_x = true,
      .log_y = true,
      .set = set_side,
      .y = whole },
    { .file = "scaling-threads",
      .variable = "PLOT_THREADS",
      .fallback = "1 2",
      .title = "One photo on several threads",
      .x_label = "threads",
      .y_label = "times as fast as on one",
      .speed_up = true,
      .set = set_threads,
      .y = whole },
};

/* One round after the other, the programs in turns; NAN for one that fails. */
static void measure_point(const struct bench_case *c, int rounds, double ms[BENCH_PROGRAMS])
{
    double all[BENCH_PROGRAMS][ROUNDS_MAX];
    bool runs[BENCH_PROGRAMS] = { bench_has_peer(), true };
    for (int round = 0; round < rounds; round++)
        for (int program = 0; program < BENCH_PROGRAMS; program++) {
            struct bench_figures figures;
            runs[program] =
                runs[program] && bench_measure((enum bench_program)program, c, &figures);
            if (runs[program])
                all[program][round] = figures.median_ms;
        }
    for (int program = 0; program < BENCH_PROGRAMS; program++)
        ms[program] = runs[program] ? bench_median(all[program], rounds) : NAN;
}

static bool measure_plot(const struct plot *plot, struct cb_arena *arena, const char *folder,
                         char **models, int n_models)
{
    const int rounds = (int)bench_number("ROUNDS", 3);
    double values[BENCH_LIST_MAX], ms[BENCH_PROGRAMS];
    const int n = bench_list(plot->variable, plot->fallback, values);
    char path[PATH_MAX];
    FILE *f;
    if (rounds < 1 || rounds > ROUNDS_MAX ||
        !cb_path_print(path, "%s/%s.csv", folder, plot->file) || !(f = fopen(path, "w")))
        return false;
    fprintf(f, "network,program,threads,batch,side,median_ms\n");
    for (int m = 0; m < n_models; m++)
        for (int i = 0; i < n; i++) {
            struct bench_case c = { .model = models[m],
                                    .threads = 1,
                                    .batch = 1,
                                    .seconds = bench_number("SECONDS_EACH", 1) };
            plot->set(&c, (int)values[i]);
            measure_point(&c, rounds, ms);
            for (int program = BENCH_PROGRAMS - 1; program >= 0; program--)
                if (isfinite(ms[program]))
                    fprintf(f, "%s,%s,%d,%d,%d,%.6g\n", bench_name(arena, models[m]),
                            program_names[program], c.threads, c.batch, c.side, ms[program]);
            fflush(f);
        }
    return fclose(f) == 0;
}

/* The series of a network and program; a new one behind the others where it is not there yet. */
static struct chart_series *find_series(struct chart *chart, const char *network, bool peer)
{
    int colour = -1, last = -1;
    for (int s = 0; s < chart->n; s++) {
        struct chart_series *series = &chart->series[s];
        const bool same = strcmp(series->name, network) == 0;
        if (same && series->dashed == peer)
            return series;
        colour = same ? series->colour : colour;
        last = series->colour > last ? series->colour : last;
    }
    if (chart->n == CHART_SERIES_MAX)
        return NULL;
    struct chart_series *series = &chart->series[chart->n++];
    series->colour = colour < 0 ? last + 1 : colour;
    series->dashed = peer;
    snprintf(series->name, sizeof series->name, "%s", network);
    return series;
}

static void add_line(struct chart *chart, const struct plot *plot, const char *line)
{
    char network[64], program[32];
    struct bench_case c = { 0 };
    double ms;
    if (sscanf(line, "%63[^,],%31[^,],%d,%d,%d,%lf", network, program, &c.threads, &c.batch,
               &c.side, &ms) != 6)
        return; /* the heading */
    struct chart_series *s =
        find_series(chart, network, strcmp(program, program_names[BENCH_PEER]) == 0);
    const int x = plot->set == set_batch ? c.batch : plot->set == set_side ? c.side : c.threads;
    if (!s || s->n == CHART_POINTS_MAX)
        return;
    s->x[s->n] = x;
    s->y[s->n++] = plot->y(ms, x);
}

/* Times become how many times as fast as the first. */
static void to_speed_up(struct chart_series *s)
{
    const double first = s->y[0];
    for (int i = 0; i < s->n; i++)
        s->y[i] = first / s->y[i];
}

static bool draw_plot(const struct plot *plot, struct chart *chart, const char *folder)
{
    char path[PATH_MAX], line[256];
    FILE *f;
    *chart = (struct chart){ .title = plot->title,
                             .x_label = plot->x_label,
                             .y_label = plot->y_label,
                             .solid = program_names[BENCH_OURS],
                             .dashed = program_names[BENCH_PEER],
                             .log_x = plot->log_x,
                             .log_y = plot->log_y,
                             .ideal = plot->speed_up };
    if (!cb_path_print(path, "%s/%s.csv", folder, plot->file) || !(f = fopen(path, "r")))
        return false;
    while (fgets(line, sizeof line, f))
        add_line(chart, plot, line);
    fclose(f);
    for (int s = 0; s < chart->n && plot->speed_up; s++)
        to_speed_up(&chart->series[s]);
    return chart->n > 0 && cb_path_print(path, "%s/%s.svg", folder, plot->file) &&
           chart_write(chart, path);
}

int main(int argc, char **argv)
{
    const bool measures = argc > 3 && strcmp(argv[1], "measure") == 0;
    struct cb_arena arena;
    struct chart *chart;
    if (!measures && (argc != 3 || strcmp(argv[1], "draw") != 0)) {
        fprintf(stderr, "usage: plots measure FOLDER MODEL... | plots draw FOLDER\n");
        return 2;
    }
    if (cb_arena_init(&arena, (size_t)1 << 26).code ||
        cb_arena_get(&arena, 1, sizeof *chart, "chart", &chart).code)
        return 1;
    for (int i = 0; i < PLOTS; i++)
        if ((measures && !measure_plot(&plots[i], &arena, argv[2], argv + 3, argc - 3)) ||
            !draw_plot(&plots[i], chart, argv[2])) {
            fprintf(stderr, "plots: %s/%s: cannot be made\n", argv[2], plots[i].file);
            return 1;
        }
    return 0;
}
