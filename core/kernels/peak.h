/* core/kernels/peak.h - what the multiply-adds of a set reach at best on this machine, now. */
#pragma once

#include "core/base/threads.h"
#include "core/kernels/kernels.h"

/* GFLOP/s of the set's largest tile over data in the first-level cache, on all threads: the best of
 * some tries, which take about a tenth of a second together. */
double cb_peak_gflops(const struct cb_kernels *kernels, struct cb_threads *threads);
