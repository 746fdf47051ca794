#include "bench/chart.h"

#include <math.h>
#include <stdio.h>

enum {
    WIDTH = 860,
    HEIGHT = 470,
    LEFT = 72,
    RIGHT = 660,
    TOP = 56,
    BOTTOM = 404, /* of the plot itself */
    COLOURS = 6,
    TICKS_MAX = 64,
    LEGEND_X = RIGHT + 24,
    LEGEND_STEP = 24,
};

static const char style[] =
    "<style>\n"
    "text { font: 13px system-ui, sans-serif; fill: #1f2328 }\n"
    ".title { font-size: 16px; font-weight: 600 }\n"
    ".paper { fill: #ffffff; stroke: #d1d9e0 }\n"
    ".grid { stroke: #d1d9e0; stroke-width: 1 }\n"
    ".axis { stroke: #59636e; stroke-width: 1; fill: none }\n"
    ".line { stroke: currentColor; stroke-width: 2; fill: none; stroke-linejoin: round }\n"
    ".dashed { stroke-dasharray: 6 4 }\n"
    ".dot { stroke: currentColor; stroke-width: 1.5; fill: currentColor }\n"
    ".hollow { fill: #ffffff }\n"
    ".ideal { stroke: #59636e; stroke-width: 1.5; stroke-dasharray: 2 4 }\n"
    ".key { color: #59636e }\n"
    ".c0 { color: #0969da } .c1 { color: #bc4c00 } .c2 { color: #1a7f37 }\n"
    ".c3 { color: #8250df } .c4 { color: #bf3989 } .c5 { color: #0e7490 }\n"
    "@media (prefers-color-scheme: dark) {\n"
    "text { fill: #e6edf3 } .paper { fill: #0d1117; stroke: #3d444d } .hollow { fill: #0d1117 }\n"
    ".grid { stroke: #2a313c } .axis, .ideal { stroke: #9198a1 } .key { color: #9198a1 }\n"
    ".c0 { color: #58a6ff } .c1 { color: #ff9b5e } .c2 { color: #56d364 }\n"
    ".c3 { color: #bc8cff } .c4 { color: #ff7bbf } .c5 { color: #39c5cf }\n"
    "}\n</style>\n";

/* An axis: values lo .. hi to pixels from .. to, and where its ticks stand. */
struct axis {
    bool log;
    double lo, hi, from, to;
    int n;
    double tick[TICKS_MAX];
};

static double place(const struct axis *a, double v)
{
    const double at = a->log ? log(v / a->lo) / log(a->hi / a->lo) : (v - a->lo) / (a->hi - a->lo);
    return a->from + at * (a->to - a->from);
}

static void add_tick(struct axis *a, double v)
{
    for (int i = 0; i < a->n; i++)
        if (a->tick[i] == v)
            return;
    if (a->n < TICKS_MAX)
        a->tick[a->n++] = v;
}

static struct axis make_x(const struct chart *chart)
{
    struct axis a = { .log = chart->log_x, .lo = INFINITY, .hi = 0, .from = LEFT, .to = RIGHT };
    for (int s = 0; s < chart->n; s++)
        for (int i = 0; i < chart->series[s].n; i++) {
            const double v = chart->series[s].x[i];
            a.lo = fmin(a.lo, v);
            a.hi = fmax(a.hi, v);
            add_tick(&a, v);
        }
    if (!(a.hi > a.lo))
        a.hi = 2 * (a.lo = isfinite(a.lo) ? a.lo : 1);
    a.from += 12; /* dots do not touch the frame */
    a.to -= 12;
    return a;
}

/* 1, 2 or 5 times a power of ten, at least v. */
static double round_up(double v)
{
    static const double steps[] = { 1, 2, 5, 10 };
    const double power = pow(10, floor(log10(v)));
    for (int i = 0; i < 4; i++)
        if (steps[i] * power >= v * (1 - 1e-9))
            return steps[i] * power;
    return v;
}

static void add_log_ticks(struct axis *a)
{
    static const double steps[] = { 1, 2, 5 };
    const bool few = log10(a->hi / a->lo) > 3; /* tens alone */
    for (double power = pow(10, floor(log10(a->lo))); power <= a->hi; power *= 10)
        for (int i = 0; i < (few ? 1 : 3); i++)
            if (steps[i] * power >= a->lo && steps[i] * power <= a->hi)
                add_tick(a, steps[i] * power);
}

static struct axis make_y(const struct chart *chart, double x_hi)
{
    struct axis a = { .log = chart->log_y, .lo = INFINITY, .hi = 0, .from = BOTTOM, .to = TOP };
    for (int s = 0; s < chart->n; s++)
        for (int i = 0; i < chart->series[s].n; i++) {
            a.lo = fmin(a.lo, chart->series[s].y[i]);
            a.hi = fmax(a.hi, chart->series[s].y[i]);
        }
    if (chart->ideal)
        a.hi = fmax(a.hi, x_hi);
    if (!isfinite(a.lo) || a.lo <= 0)
        a.lo = a.hi = 1;
    if (a.log) {
        a.lo /= 1.25;
        a.hi *= 1.25;
        add_log_ticks(&a);
        return a;
    }
    const double step = round_up(a.hi / 5);
    a.lo = 0;
    a.hi = step * ceil(a.hi / step * (1 - 1e-9));
    for (int i = 0; i <= (int)(a.hi / step + 0.5); i++)
        add_tick(&a, i * step);
    return a;
}

static void write_text(FILE *f, double x, double y, const char *attributes, const char *text)
{
    fprintf(f, "<text x=\"%.1f\" y=\"%.1f\" %s>", x, y, attributes);
    for (; *text; text++)
        if (*text == '<' || *text == '&')
            fprintf(f, "&#%d;", *text);
        else
            fputc(*text, f);
    fprintf(f, "</text>\n");
}

static void write_axes(FILE *f, const struct chart *chart, const struct axis *x,
                       const struct axis *y)
{
    char number[32], turned[80];
    double last = -1e9;
    for (int i = 0; i < y->n; i++) {
        const double at = place(y, y->tick[i]);
        fprintf(f, "<path class=\"grid\" d=\"M%d %.1fH%d\"/>\n", LEFT, at, RIGHT);
        snprintf(number, sizeof number, "%g", y->tick[i]);
        write_text(f, LEFT - 8, at + 4.5, "text-anchor=\"end\"", number);
    }
    for (int i = 0; i < x->n; i++) {
        const double at = place(x, x->tick[i]);
        fprintf(f, "<path class=\"grid\" d=\"M%.1f %dV%d\"/>\n", at, TOP, BOTTOM);
        snprintf(number, sizeof number, "%g", x->tick[i]);
        if (at - last > 26) {
            write_text(f, at, BOTTOM + 20, "text-anchor=\"middle\"", number);
            last = at;
        }
    }
    fprintf(f, "<path class=\"axis\" d=\"M%d %dV%dH%d\"/>\n", LEFT, TOP, BOTTOM, RIGHT);
    write_text(f, (LEFT + RIGHT) / 2, BOTTOM + 44, "text-anchor=\"middle\"", chart->x_label);
    snprintf(turned, sizeof turned, "text-anchor=\"middle\" transform=\"rotate(-90 22 %d)\"",
             (TOP + BOTTOM) / 2);
    write_text(f, 22, (TOP + BOTTOM) / 2, turned, chart->y_label);
    write_text(f, LEFT, 32, "class=\"title\"", chart->title);
}

static void write_dot(FILE *f, double x, double y, bool hollow)
{
    fprintf(f, "<circle class=\"dot%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\"/>\n",
            hollow ? " hollow" : "", x, y);
}

static void write_series(FILE *f, const struct chart_series *s, const struct axis *x,
                         const struct axis *y)
{
    fprintf(f, "<g class=\"c%d\">\n<path class=\"line%s\" d=\"", s->colour % COLOURS,
            s->dashed ? " dashed" : "");
    for (int i = 0; i < s->n; i++)
        fprintf(f, "%s%.1f %.1f", i ? "L" : "M", place(x, s->x[i]), place(y, s->y[i]));
    fprintf(f, "\"/>\n");
    for (int i = 0; i < s->n; i++)
        write_dot(f, place(x, s->x[i]), place(y, s->y[i]), s->dashed);
    fprintf(f, "</g>\n");
}

static void write_key(FILE *f, const char *class, const char *line, int row, const char *text)
{
    const int at = TOP + 8 + row * LEGEND_STEP;
    fprintf(f, "<path class=\"%s %s\" d=\"M%d %dh28\"/>\n", line, class, LEGEND_X, at);
    write_text(f, LEGEND_X + 38, at + 4.5, "", text);
}

static void write_legend(FILE *f, const struct chart *chart)
{
    char class[8];
    bool dashed = false, seen[CHART_SERIES_MAX] = { false };
    int row = 0;
    for (int s = 0; s < chart->n; s++) {
        const struct chart_series *series = &chart->series[s];
        dashed |= series->dashed;
        if (series->colour >= CHART_SERIES_MAX || seen[series->colour])
            continue;
        seen[series->colour] = true;
        snprintf(class, sizeof class, "c%d", series->colour % COLOURS);
        write_key(f, class, "line", row++, series->name);
    }
    row++;
    if (chart->solid)
        write_key(f, "key", "line", row++, chart->solid);
    if (chart->dashed && dashed)
        write_key(f, "key", "line dashed", row++, chart->dashed);
    if (chart->ideal)
        write_key(f, "", "ideal", row++, "ideal");
}

bool chart_write(const struct chart *chart, const char *path)
{
    FILE *f = fopen(path, "w");
    const struct axis x = make_x(chart), y = make_y(chart, x.hi);
    if (!f)
        return false;
    fprintf(f,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" "
            "height=\"%d\">\n%s<rect class=\"paper\" x=\"0.5\" y=\"0.5\" width=\"%d\" "
            "height=\"%d\" rx=\"6\"/>\n",
            WIDTH, HEIGHT, WIDTH, HEIGHT, style, WIDTH - 1, HEIGHT - 1);
    write_axes(f, chart, &x, &y);
    if (chart->ideal)
        fprintf(f, "<path class=\"ideal\" d=\"M%.1f %.1fL%.1f %.1f\"/>\n", place(&x, x.lo),
                place(&y, x.lo), place(&x, x.hi), place(&y, x.hi));
    for (int dashed = 1; dashed >= 0; dashed--) /* the solid lines above the others */
        for (int s = 0; s < chart->n; s++)
            if (chart->series[s].n && chart->series[s].dashed == dashed)
                write_series(f, &chart->series[s], &x, &y);
    write_legend(f, chart);
    fprintf(f, "</svg>\n");
    return fclose(f) == 0;
}
