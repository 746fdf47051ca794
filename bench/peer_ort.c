/* bench/peer_ort.c - ONNX Runtime as `cambium bench` and `cambium run` would have it: the same
 * input, the same figures.
 *
 *     peer-ort bench MODEL [-t THREADS] [-b BATCH] [-h HEIGHT -w WIDTH] [-s SECONDS]
 *     peer-ort run MODEL [...] -o FOLDER      writes input_0.npy, ..., output_0.npy, ...
 *
 * $ORT_LIB names libonnxruntime.so. Its C interface is a table of functions that only grows at its
 * end (https://onnxruntime.ai/docs/api/c/struct_ort_api.html); what is called here is taken by its
 * place. All is left at its defaults but the number of threads. */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "importers/tensor/npy.h"

enum { API_VERSION = 7, FLOAT = 1, ARENA_ALLOCATOR = 1, DEFAULT_MEMORY = 0, ERRORS = 3 };
enum { WARM_UPS = 2, LEAST_RUNS = 3, MOST_RUNS = 100000, MOST_VALUES = 64, OPEN_SIDE = 224 };

typedef void *status; /* NULL: all is well */
typedef void *unused; /* the size of a function's address */

struct api {
    unused f0[2];
    const char *(*error_message)(const void *status);
    status (*create_env)(int severity, const char *id, void **env);
    unused f4[3];
    status (*create_session)(const void *env, const char *path, const void *options, void **out);
    unused f8[1];
    status (*run)(void *session, const void *options, const char *const *in_names,
                  const void *const *in, size_t n_in, const char *const *out_names, size_t n_out,
                  void **out);
    status (*create_options)(void **options);
    unused f11[13];
    status (*set_threads)(void *options, int threads);
    unused f25[5];
    status (*count_inputs)(const void *session, size_t *n);
    status (*count_outputs)(const void *session, size_t *n);
    unused f32[1];
    status (*input_type)(const void *session, size_t i, void **type);
    unused f34[2];
    status (*input_name)(const void *session, size_t i, void *allocator, char **name);
    status (*output_name)(const void *session, size_t i, void *allocator, char **name);
    unused f38[11];
    status (*wrap)(const void *memory, void *data, size_t bytes, const int64_t *dims, size_t rank,
                   int type, void **value);
    unused f50[1];
    status (*data)(void *value, void **data);
    unused f52[3];
    status (*tensor_of_type)(const void *type, const void **tensor);
    unused f56[4];
    status (*element_type)(const void *tensor, int *type);
    status (*rank)(const void *tensor, size_t *rank);
    status (*dims)(const void *tensor, int64_t *dims, size_t rank);
    unused f63[2];
    status (*tensor_of_value)(const void *value, void **tensor);
    unused f66[3];
    status (*cpu_memory)(int allocator, int kind, void **memory);
    unused f70[8];
    status (*default_allocator)(void **allocator);
    unused f79[17];
    void (*release_value)(void *value);
};
_Static_assert(offsetof(struct api, release_value) == 96 * sizeof(unused), "its place");

struct api_base {
    const struct api *(*api)(uint32_t version);
    const char *(*version)(void);
};

struct peer {
    const char *model, *folder;
    int threads, batch, height, width;
    double seconds, began_ms, load_ms;
    const struct api *api;
    void *session, *memory, *allocator;
    size_t n_in, n_out;
    char *in_name[MOST_VALUES], *out_name[MOST_VALUES];
    void *in[MOST_VALUES], *out[MOST_VALUES];
    struct cb_arena arena;
};

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "peer-ort: %s: %s\n", what, why);
    exit(1);
}

static void check(const struct peer *p, status st)
{
    if (st)
        fail(p->model, p->api->error_message(st));
}

static void open_library(struct peer *p)
{
    const char *path = getenv("ORT_LIB");
    union {
        void *object;
        const struct api_base *(*base)(void);
    } found = { 0 };
    void *library = path ? dlopen(path, RTLD_NOW) : NULL;
    if (!library)
        fail("ORT_LIB", path ? dlerror() : "is to name libonnxruntime.so");
    found.object = dlsym(library, "OrtGetApiBase");
    if (!found.object || !(p->api = found.base()->api(API_VERSION)))
        fail(path, "has no C interface of the version wanted");
}

static void load(struct peer *p)
{
    void *env, *options;
    check(p, p->api->create_env(ERRORS, "peer", &env));
    check(p, p->api->create_options(&options));
    check(p, p->api->set_threads(options, p->threads));
    check(p, p->api->create_session(env, p->model, options, &p->session));
    check(p, p->api->cpu_memory(ARENA_ALLOCATOR, DEFAULT_MEMORY, &p->memory));
    check(p, p->api->default_allocator(&p->allocator));
    check(p, p->api->count_inputs(p->session, &p->n_in));
    check(p, p->api->count_outputs(p->session, &p->n_out));
    if (p->n_in > MOST_VALUES || p->n_out > MOST_VALUES)
        fail(p->model, "has too many inputs or outputs");
    for (size_t i = 0; i < p->n_in; i++)
        check(p, p->api->input_name(p->session, i, p->allocator, &p->in_name[i]));
    for (size_t i = 0; i < p->n_out; i++)
        check(p, p->api->output_name(p->session, i, p->allocator, &p->out_name[i]));
}

/* As in cli/bench.c: every size that is open, the batch, and height and width where given. */
static void fill_shape(const struct peer *p, struct cb_shape *shape)
{
    int64_t open[CB_MAX_RANK] = { p->batch, 1, 1, 1, 1, 1, 1, 1 };
    if (shape->rank == 4) {
        open[1] = 3;
        open[2] = p->height ? p->height : OPEN_SIDE;
        open[3] = p->height ? p->width : OPEN_SIDE;
    }
    for (int i = 0; i < shape->rank; i++)
        if (shape->dim[i] < 0 || i == 0 || (p->height && shape->rank == 4 && i >= 2))
            shape->dim[i] = open[i];
}

static void save(const struct peer *p, const char *what, size_t i, const struct cb_tensor *t)
{
    char path[PATH_MAX];
    if (!cb_path_print(path, "%s/%s_%zu.npy", p->folder, what, i) || cb_npy_save(path, t).code)
        fail(p->folder, "cannot be written");
}

/* The numbers of cli/bench.c. */
static void make_input(struct peer *p, size_t i)
{
    struct cb_tensor t = { .dtype = CB_FLOAT32 };
    const void *tensor;
    void *type;
    uint32_t r = 12345;
    int element;
    size_t rank;
    check(p, p->api->input_type(p->session, i, &type));
    check(p, p->api->tensor_of_type(type, &tensor));
    check(p, p->api->element_type(tensor, &element));
    check(p, p->api->rank(tensor, &rank));
    if (element != FLOAT || rank > CB_MAX_RANK)
        fail(p->model, "an input is no tensor of floats");
    t.shape.rank = (int)rank;
    check(p, p->api->dims(tensor, t.shape.dim, rank));
    fill_shape(p, &t.shape);
    if (!cb_shape_check(&t.shape) ||
        !(t.data = cb_arena_alloc(&p->arena, cb_tensor_count(&t), sizeof(float))))
        fail(p->model, "its input would be too large");
    for (size_t k = 0; k < cb_tensor_count(&t); k++) {
        r = r * 1664525u + 1013904223u;
        t.f[k] = (float)(r >> 8) / 8388608.0f - 1.0f;
    }
    check(p, p->api->wrap(p->memory, t.data, cb_tensor_bytes(&t), t.shape.dim, rank, FLOAT,
                          &p->in[i]));
    if (p->folder)
        save(p, "input", i, &t);
}

static double run_once(struct peer *p)
{
    for (size_t i = 0; i < p->n_out; i++)
        p->out[i] = NULL;
    const double began = cb_clock_ms();
    check(p,
          p->api->run(p->session, NULL, (const char *const *)p->in_name, (const void *const *)p->in,
                      p->n_in, (const char *const *)p->out_name, p->n_out, p->out));
    return cb_clock_ms() - began;
}

static void release_outputs(struct peer *p)
{
    for (size_t i = 0; i < p->n_out; i++)
        p->api->release_value(p->out[i]);
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void bench(struct peer *p)
{
    double *times = cb_arena_alloc(&p->arena, MOST_RUNS, sizeof *times);
    struct rusage use;
    int runs = 0;
    run_once(p);
    const double first_ms = cb_clock_ms() - p->began_ms;
    release_outputs(p);
    for (int i = 1; i < WARM_UPS; i++) {
        run_once(p);
        release_outputs(p);
    }
    const double end = cb_clock_ms() + p->seconds * 1e3;
    while (runs < LEAST_RUNS || (runs < MOST_RUNS && cb_clock_ms() < end)) {
        times[runs++] = run_once(p);
        release_outputs(p);
    }
    qsort(times, (size_t)runs, sizeof *times, by_value);
    getrusage(RUSAGE_SELF, &use);
    printf("{\"median_ms\":%.6g,\"min_ms\":%.6g,\"batch\":%d,\"threads\":%d,\"peak_rss_mb\":%.6g,"
           "\"load_ms\":%.6g,\"first_result_ms\":%.6g,\"runs\":%d}\n",
           times[runs / 2], times[0], p->batch, p->threads, (double)use.ru_maxrss / 1024,
           p->load_ms, first_ms, runs);
}

static void save_outputs(struct peer *p)
{
    run_once(p);
    for (size_t i = 0; i < p->n_out; i++) {
        struct cb_tensor t = { .dtype = CB_FLOAT32 };
        void *tensor;
        int element;
        size_t rank;
        check(p, p->api->tensor_of_value(p->out[i], &tensor));
        check(p, p->api->element_type(tensor, &element));
        check(p, p->api->rank(tensor, &rank));
        if (element != FLOAT || rank > CB_MAX_RANK)
            continue;
        t.shape.rank = (int)rank;
        check(p, p->api->dims(tensor, t.shape.dim, rank));
        check(p, p->api->data(p->out[i], &t.data));
        save(p, "output", i, &t);
    }
}

int main(int argc, char **argv)
{
    struct peer p = { .threads = 1, .batch = 1, .seconds = 2, .began_ms = cb_clock_ms() };
    const bool benches = argc > 2 && strcmp(argv[1], "bench") == 0;
    if (argc < 3 || (!benches && strcmp(argv[1], "run") != 0))
        fail("usage", "bench|run MODEL [-t THREADS] [-b BATCH] [-h H -w W] [-s SECONDS] [-o DIR]");
    p.model = argv[2];
    optind = 3;
    for (int option; (option = getopt(argc, argv, "t:b:h:w:s:o:")) != -1;)
        switch (option) {
        case 't': p.threads = atoi(optarg); break;
        case 'b': p.batch = atoi(optarg); break;
        case 'h': p.height = atoi(optarg); break;
        case 'w': p.width = atoi(optarg); break;
        case 's': p.seconds = atof(optarg); break;
        case 'o': p.folder = optarg; break;
        default: return 2;
        }
    if (cb_arena_init(&p.arena, (size_t)16 << 30).code || (!benches && !p.folder))
        fail(argv[1], "wants -o FOLDER");
    open_library(&p);
    const double began = cb_clock_ms();
    load(&p);
    p.load_ms = cb_clock_ms() - began;
    for (size_t i = 0; i < p.n_in; i++)
        make_input(&p, i);
    if (benches)
        bench(&p);
    else
        save_outputs(&p);
    return 0;
}
