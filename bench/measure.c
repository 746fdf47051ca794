#include "bench/measure.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/file.h"
#include "importers/tensor/npy.h"

enum { ARGS_MAX = 32, ARG_LENGTH = 32, OUTPUT_MAX = 1 << 16, OUTPUTS_MAX = 64 };

/* A command line that grows; numbers are printed into `text`. */
struct command {
    const char *arg[ARGS_MAX];
    int n;
    char text[ARGS_MAX][ARG_LENGTH];
};

static void add(struct command *command, const char *arg)
{
    command->arg[command->n++] = arg;
}

static void add_number(struct command *command, const char *option, double value)
{
    add(command, option);
    snprintf(command->text[command->n], ARG_LENGTH, "%g", value);
    add(command, command->text[command->n]);
}

static const char *setting(const char *variable, const char *fallback)
{
    const char *value = getenv(variable);
    return value && *value ? value : fallback;
}

static const char *program_path(enum bench_program program)
{
    return program == BENCH_PEER ? setting("PEER", "build/release/peer-ort")
                                 : setting("CAMBIUM", "build/cambium");
}

bool bench_has_peer(void)
{
    return *setting("ORT_LIB", "") && cb_file_exists(program_path(BENCH_PEER));
}

/* What it prints, into `out`; false when it fails. */
static bool run(const struct command *command, char out[OUTPUT_MAX])
{
    int ends[2], status = 1;
    size_t len = 0;
    if (pipe(ends))
        return false;
    const pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execv(command->arg[0], (char *const *)(uintptr_t)command->arg);
        perror(command->arg[0]);
        _exit(127);
    }
    close(ends[1]);
    for (ssize_t n;
         len + 1 < OUTPUT_MAX && (n = read(ends[0], out + len, OUTPUT_MAX - 1 - len)) > 0;)
        len += (size_t)n;
    close(ends[0]);
    out[len] = 0;
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

/* Ours finds model.onnx in a folder, the peer wants it said. */
static const char *model_file(const char *model, char path[PATH_MAX])
{
    return cb_file_is_folder(model) && cb_path_print(path, "%s/model.onnx", model) ? path : model;
}

static double number(const cJSON *json, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, key);
    return cJSON_IsNumber(item) ? item->valuedouble : NAN;
}

static void add_precision(struct command *command)
{
    const char *precision = setting("PRECISION", NULL);
    if (!precision)
        return;
    add(command, "--precision");
    add(command, precision);
}

bool bench_measure(enum bench_program program, const struct bench_case *c,
                   struct bench_figures *out)
{
    const bool ours = program == BENCH_OURS;
    struct command command = { 0 };
    char path[PATH_MAX], text[OUTPUT_MAX], side[ARG_LENGTH];
    add(&command, program_path(program));
    add(&command, "bench");
    add(&command, ours ? c->model : model_file(c->model, path));
    add_number(&command, ours ? "--threads" : "-t", c->threads);
    add_number(&command, ours ? "--batch" : "-b", c->batch);
    add_number(&command, ours ? "--seconds" : "-s", c->seconds);
    if (c->side && ours) {
        snprintf(side, sizeof side, "%dx%d", c->side, c->side);
        add(&command, "--size");
        add(&command, side);
    } else if (c->side) {
        add_number(&command, "-h", c->side);
        add_number(&command, "-w", c->side);
    }
    if (ours) {
        add_precision(&command);
        add(&command, "--json");
    }
    if (!run(&command, text))
        return false;
    cJSON *json = cJSON_Parse(text);
    *out = (struct bench_figures){
        .median_ms = number(json, "median_ms"),
        .min_ms = number(json, "min_ms"),
        .load_ms = number(json, "load_ms"),
        .first_result_ms = number(json, "first_result_ms"),
        .peak_rss_mb = number(json, "peak_rss_mb"),
    };
    cJSON_Delete(json);
    return isfinite(out->median_ms);
}

static bool read_output(struct cb_arena *arena, const char *folder, const char *program, int i,
                        struct cb_tensor *out)
{
    char path[PATH_MAX];
    struct cb_bytes file;
    if (!cb_path_print(path, "%s/%s/output_%d.npy", folder, program, i) ||
        cb_file_map(path, &file).code)
        return false;
    const bool ok = cb_npy_read(arena, file, out).code == CB_OK && out->dtype == CB_FLOAT32;
    cb_file_unmap(&file);
    return ok;
}

static void compare(const struct cb_tensor *ours, const struct cb_tensor *peer,
                    struct bench_agreement *out)
{
    const size_t n = cb_tensor_count(peer);
    double largest = 0;
    if (!cb_shape_equal(&ours->shape, &peer->shape)) {
        *out = (struct bench_agreement){ INFINITY, false };
        return;
    }
    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, fabs((double)peer->f[i]));
    for (size_t i = 0; i < n; i++) {
        const double want = (double)peer->f[i], off = fabs((double)ours->f[i] - want);
        out->agree &= off <= 1e-3 * fabs(want) + 1e-4 * largest; /* false for NaN */
        out->difference = fmax(out->difference, largest > 0 ? off / largest : off);
    }
}

static bool run_both(const struct bench_case *c, const char *folder)
{
    char path[PATH_MAX], text[OUTPUT_MAX], inputs[OUTPUTS_MAX][64], ours[PATH_MAX], peer[PATH_MAX];
    struct command command = { 0 };
    if (!cb_path_print(peer, "%s/peer", folder) || !cb_path_print(ours, "%s/ours", folder) ||
        cb_folder_make(peer).code)
        return false;
    add(&command, program_path(BENCH_PEER));
    add(&command, "run");
    add(&command, model_file(c->model, path));
    add_number(&command, "-b", c->batch);
    add(&command, "-o");
    add(&command, peer);
    if (!run(&command, text))
        return false;
    command = (struct command){ 0 };
    add(&command, program_path(BENCH_OURS));
    add(&command, "run");
    add(&command, c->model);
    add_precision(&command);
    add(&command, "--output-dir");
    add(&command, ours);
    add(&command, "--input");
    for (int i = 0; i < ARGS_MAX / 2; i++) {
        snprintf(inputs[i], sizeof inputs[i], "%.40s/input_%d.npy", peer, i);
        if (!cb_file_exists(inputs[i]))
            break;
        add(&command, inputs[i]);
    }
    return run(&command, text);
}

bool bench_agreement(struct cb_arena *arena, const struct bench_case *c,
                     struct bench_agreement *out)
{
    char folder[] = "/tmp/cambium-bench-XXXXXX";
    const size_t mark = arena->used;
    int outputs = 0;
    if (!mkdtemp(folder))
        return false;
    *out = (struct bench_agreement){ .agree = true };
    if (run_both(c, folder))
        for (; outputs < OUTPUTS_MAX; outputs++) {
            struct cb_tensor ours, peer;
            if (!read_output(arena, folder, "peer", outputs, &peer) ||
                !read_output(arena, folder, "ours", outputs, &ours))
                break;
            compare(&ours, &peer, out);
        }
    cb_arena_rewind(arena, mark);
    (void)!cb_folder_remove(folder).code;
    return outputs > 0;
}

const char *bench_name(struct cb_arena *arena, const char *model)
{
    char *text = cb_arena_printf(arena, "%s", model), *slash;
    if (!text)
        return model;
    for (size_t n = strlen(text); n > 1 && text[n - 1] == '/'; n--)
        text[n - 1] = 0;
    slash = strrchr(text, '/');
    if (slash && strcmp(slash, "/model.onnx") == 0) {
        *slash = 0;
        slash = strrchr(text, '/');
    }
    char *dot = strstr(slash ? slash : text, ".onnx");
    if (dot)
        *dot = 0;
    return slash ? slash + 1 : text;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, by_value);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

int bench_list(const char *variable, const char *fallback, double out[BENCH_LIST_MAX])
{
    const char *text = setting(variable, fallback);
    char *end;
    int n = 0;
    for (; n < BENCH_LIST_MAX; n++, text = end) {
        out[n] = strtod(text, &end);
        if (end == text)
            break;
    }
    return n;
}

double bench_number(const char *variable, double fallback)
{
    const char *value = setting(variable, NULL);
    return value ? atof(value) : fallback;
}
