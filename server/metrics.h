/* server/metrics.h - what is counted, and how Prometheus reads it (text format 0.0.4).
 * Lock-free. */
#pragma once

#include <stddef.h>

#include "core/base/arena.h"
#include "core/base/buf.h"

struct cb_metrics;

CB_MUST_USE struct cb_status cb_metrics_create(struct cb_arena *arena, struct cb_metrics **out);

/* A request was answered. `route` is the router's row; SIZE_MAX: none. */
void cb_metrics_request(struct cb_metrics *metrics, size_t route, int code, double seconds);

/* Photos were classified or explained. */
void cb_metrics_photos(struct cb_metrics *metrics, size_t n);

void cb_metrics_print(const struct cb_metrics *metrics, struct cb_buf *out);

/* One gauge: name, meaning, value. */
void cb_metrics_gauge(struct cb_buf *out, const char *name, const char *meaning, double value);
