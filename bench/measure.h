/* bench/measure.h - runs `cambium bench` and its peer as programs of their own, and reads their
 * figures. Settings come from the environment:
 *
 * CAMBIUM (build/cambium), PEER (build/release/peer-ort), ORT_LIB: the programs, the peer's library
 * SECONDS_EACH (1): how long each measurement lasts; PRECISION: of ours, as its flag wants it */
#pragma once

#include <stdbool.h>

#include "core/base/arena.h"

enum bench_program { BENCH_PEER, BENCH_OURS, BENCH_PROGRAMS };

struct bench_case {
    const char *model; /* a file, or a folder with model.onnx */
    int threads, batch;
    int side; /* of a square input; 0: the network's own */
    double seconds;
};

struct bench_figures {
    double median_ms, min_ms, load_ms, first_result_ms, peak_rss_mb;
};

/* False when the program fails; it has said why on stderr. */
bool bench_measure(enum bench_program program, const struct bench_case *c,
                   struct bench_figures *out);

/* Whether there is a peer to compare with. */
bool bench_has_peer(void);

/* Both programs on the same random input: the largest difference of any output, and whether all are
 * within 1e-3 of the value plus 1e-4 of the largest. False when one of them fails. */
struct bench_agreement {
    double difference; /* of the output's largest value */
    bool agree;
};
bool bench_agreement(struct cb_arena *arena, const struct bench_case *c,
                     struct bench_agreement *out);

/* "resnet18" of zoo/resnet18/model.onnx or zoo/resnet18.onnx. */
const char *bench_name(struct cb_arena *arena, const char *model);

/* The median of n values, which it sorts. */
double bench_median(double *values, int n);

/* Numbers of an environment variable, "1 2 8"; `fallback` where it is not set. How many. */
enum { BENCH_LIST_MAX = 16 };
int bench_list(const char *variable, const char *fallback, double out[BENCH_LIST_MAX]);
double bench_number(const char *variable, double fallback);
