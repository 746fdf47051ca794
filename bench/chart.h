/* bench/chart.h - a line chart as an SVG file that carries its own light and dark colours. */
#pragma once

#include <stdbool.h>

enum { CHART_POINTS_MAX = 32, CHART_SERIES_MAX = 24 };

struct chart_series {
    char name[64];
    int colour;  /* series of one colour share a line of the legend: that of the first */
    bool dashed; /* explained by `dashed` of the chart */
    int n;
    double x[CHART_POINTS_MAX], y[CHART_POINTS_MAX];
};

struct chart {
    const char *title, *x_label, *y_label;
    const char *solid, *dashed; /* what the two kinds of line mean */
    bool log_x, log_y;          /* a linear y begins at 0 */
    bool ideal;                 /* the line y = x, as far as x goes */
    int n;
    struct chart_series series[CHART_SERIES_MAX];
};

/* Ticks of x stand at the values that there are. False when the file cannot be written. */
bool chart_write(const struct chart *chart, const char *path);
