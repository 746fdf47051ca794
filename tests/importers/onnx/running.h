/* tests/importers/onnx/running.h - a model from a text, loaded and run on one input of floats. */
#pragma once

#include <math.h>

#include "tests/importers/onnx/loading.h"
#include "tests/support/run_graph.h"

#define FLOATS(...) (const float[]){ __VA_ARGS__ }, sizeof((float[]){ __VA_ARGS__ }) / 4

/* The first output of the model on x, of rank 1. */
static inline void expect_run(const char *text, int64_t n_x, const float *x, const float *wanted,
                              size_t n_wanted)
{
    struct loading l = load_text(text);
    const struct cb_tensor in = { .dtype = CB_FLOAT32,
                                  .shape = { 1, { n_x } },
                                  .data = (void *)(uintptr_t)x };
    float y[64];
    expect_ok(l);
    const size_t n = run_graph(&l.model.graph, &in, -1, true, 64, y);
    cr_expect_eq(n, n_wanted, "%zu values, not %zu", n, n_wanted);
    for (size_t i = 0; i < n && n == n_wanted; i++)
        cr_expect(fabsf(y[i] - wanted[i]) <= 1e-5f * (1.0f + fabsf(wanted[i])), "%zu: %g not %g", i,
                  (double)y[i], (double)wanted[i]);
    load_end(&l);
}
