#include "server/metrics.h"

#include <stdatomic.h>
#include <stdio.h>

#include "server/router.h"

#define ROUTES 64 /* rows of the router and one for requests that found none */
#define CLASSES 6 /* first digit of the code */

static const double bounds[] = { 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                 0.25,  0.5,    1,     2.5,  5,     10,   30 };
#define BOUNDS CB_COUNT_OF(bounds)

struct row {
    atomic_uint_fast64_t by_class[CLASSES], bucket[BOUNDS + 1], microseconds;
};

struct cb_metrics {
    struct row row[ROUTES];
    atomic_uint_fast64_t photos;
};

struct cb_status cb_metrics_create(struct cb_arena *arena, struct cb_metrics **out)
{
    return cb_arena_get(arena, 1, sizeof **out, "metrics", out);
}

void cb_metrics_request(struct cb_metrics *metrics, size_t route, int code, double seconds)
{
    struct row *row = &metrics->row[route < ROUTES - 1 ? route : ROUTES - 1];
    size_t i = 0;
    while (i < BOUNDS && seconds > bounds[i])
        i++;
    atomic_fetch_add(&row->by_class[(size_t)code / 100 % CLASSES], 1);
    atomic_fetch_add(&row->bucket[i], 1);
    atomic_fetch_add(&row->microseconds, (uint_fast64_t)(seconds * 1e6));
}

void cb_metrics_photos(struct cb_metrics *metrics, size_t n)
{
    atomic_fetch_add(&metrics->photos, n);
}

static void head(struct cb_buf *out, const char *name, const char *type, const char *meaning)
{
    cb_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, meaning, name, type);
}

void cb_metrics_gauge(struct cb_buf *out, const char *name, const char *meaning, double value)
{
    head(out, name, "gauge", meaning);
    cb_buf_printf(out, "%s %.17g\n", name, value);
}

static void print_histogram(const struct row *row, const char *labels, struct cb_buf *out)
{
    static const char name[] = "cambium_http_request_duration_seconds";
    uint_fast64_t sum = 0;
    for (size_t i = 0; i < BOUNDS; i++) {
        sum += atomic_load(&row->bucket[i]);
        cb_buf_printf(out, "%s_bucket{%s,le=\"%g\"} %llu\n", name, labels, bounds[i],
                      (unsigned long long)sum);
    }
    sum += atomic_load(&row->bucket[BOUNDS]);
    cb_buf_printf(out, "%s_bucket{%s,le=\"+Inf\"} %llu\n", name, labels, (unsigned long long)sum);
    cb_buf_printf(out, "%s_sum{%s} %.6f\n", name, labels,
                  (double)atomic_load(&row->microseconds) / 1e6);
    cb_buf_printf(out, "%s_count{%s} %llu\n", name, labels, (unsigned long long)sum);
}

/* The labels of a row, "" when it never had a request. */
static const char *labels_of(const struct cb_metrics *metrics, size_t i, char text[128])
{
    const struct cb_route *route = cb_router_row(i);
    uint_fast64_t sum = 0;
    for (size_t k = 0; k <= BOUNDS; k++)
        sum += atomic_load(&metrics->row[i].bucket[k]);
    text[0] = 0;
    if (sum)
        snprintf(text, 128, "method=\"%s\",route=\"%s\"", route ? route->method : "",
                 route ? route->path : "none");
    return text;
}

void cb_metrics_print(const struct cb_metrics *metrics, struct cb_buf *out)
{
    char labels[128];
    head(out, "cambium_http_requests_total", "counter", "Requests answered.");
    for (size_t i = 0; i < ROUTES; i++)
        for (size_t c = 1; c < CLASSES && *labels_of(metrics, i, labels); c++) {
            const uint_fast64_t n = atomic_load(&metrics->row[i].by_class[c]);
            if (n)
                cb_buf_printf(out, "cambium_http_requests_total{%s,code=\"%zuxx\"} %llu\n", labels,
                              c, (unsigned long long)n);
        }
    head(out, "cambium_http_request_duration_seconds", "histogram",
         "From the request line to the last byte sent.");
    for (size_t i = 0; i < ROUTES; i++)
        if (*labels_of(metrics, i, labels))
            print_histogram(&metrics->row[i], labels, out);
    head(out, "cambium_photos_total", "counter", "Photos classified or explained.");
    cb_buf_printf(out, "cambium_photos_total %llu\n",
                  (unsigned long long)atomic_load(&metrics->photos));
}
