/* The plots of a report (report.h), as SVG that takes its colours from the page. */
#include <math.h>
#include <stdlib.h>

#include "cli/markup.h"
#include "cli/report.h"

/* The square that is plotted in, in the picture's units. */
#define LEFT 44
#define TOP 26
#define SIDE 260
#define CURVES 5

static double across(double x)
{
    return LEFT + SIDE * x;
}

static double down(double y)
{
    return TOP + SIDE * (1 - y);
}

static void open_plot(struct cb_buf *out, const char *name, const char *x, const char *y)
{
    cb_buf_printf(out,
                  "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">"
                  "<title>%s</title>\n",
                  LEFT + SIDE + 26, TOP + SIDE + 42, name, name);
    for (int i = 0; i <= 4; i++)
        cb_buf_printf(out,
                      "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>"
                      "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%d %%</text>\n",
                      LEFT, LEFT + SIDE, down(i / 4.0), down(i / 4.0), LEFT - 5, down(i / 4.0) + 4,
                      i * 25);
    cb_buf_printf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", across(0.5),
                  TOP + SIDE + 36, x);
    cb_buf_printf(out, "<text x=\"%d\" y=\"%d\">%s</text>\n", 4, TOP - 14, y);
}

static void close_plot(struct cb_buf *out)
{
    cb_buf_printf(out, "</svg>\n");
}

static void label_percents(struct cb_buf *out)
{
    for (int i = 0; i <= 4; i++)
        cb_buf_printf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%d %%</text>\n",
                      across(i / 4.0), TOP + SIDE + 17, i * 25);
}

static void draw_diagonal(struct cb_buf *out)
{
    cb_buf_printf(out, "<line class=\"ideal\" x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\"/>\n", LEFT,
                  TOP + SIDE, LEFT + SIDE, TOP);
}

void cb_report_reliability(struct cb_buf *out, const struct cb_reliability *r)
{
    const double width = (double)SIDE / CB_RELIABILITY_BINS;
    int most = 1;
    for (int b = 0; b < CB_RELIABILITY_BINS; b++)
        most = r->count[b] > most ? r->count[b] : most;
    open_plot(out, "Reliability: accuracy by confidence", "confidence", "accuracy");
    label_percents(out);
    for (int b = 0; b < CB_RELIABILITY_BINS; b++) {
        if (!r->count[b])
            continue;
        cb_buf_printf(out,
                      "<rect class=\"bar\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" "
                      "opacity=\"%.2f\"><title>%d photos: confidence %.1f %%, accuracy %.1f %%"
                      "</title></rect>",
                      LEFT + width * b + 1, down(r->accuracy[b]), width - 2, SIDE * r->accuracy[b],
                      0.3 + 0.7 * r->count[b] / most, r->count[b], 100 * r->confidence[b],
                      100 * r->accuracy[b]);
        cb_buf_printf(out, "<circle class=\"dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"3\"/>\n",
                      across(r->confidence[b]), down(r->accuracy[b]));
    }
    draw_diagonal(out);
    close_plot(out);
}

/* --- ROC --- */

struct area {
    int class_index;
    double auc;
};

static int smaller_area(const void *a, const void *b)
{
    const struct area *x = a, *y = b;
    return x->auc != y->auc ? (x->auc > y->auc) - (x->auc < y->auc)
                            : x->class_index - y->class_index;
}

static struct cb_status list_areas(const struct cb_evaluation *e, struct cb_arena *arena,
                                   struct area **out, int *n)
{
    CB_TRY(cb_arena_get(arena, (size_t)e->classes, sizeof **out, "areas", out));
    *n = 0;
    for (int c = 0; c < e->classes; c++)
        if (!isnan(e->auc[c]))
            (*out)[(*n)++] = (struct area){ c, e->auc[c] };
    qsort(*out, (size_t)*n, sizeof **out, smaller_area);
    return cb_ok();
}

/* Points that lie on a straight line between their neighbours say nothing: a curve of many photos
 * goes up in long steps. */
static void draw_curve(struct cb_buf *out, const struct cb_roc *roc, int colour)
{
    cb_buf_printf(out, "<polyline class=\"line s%d\" points=\"", colour);
    for (int i = 0; i < roc->n; i++) {
        const bool inner = i > 0 && i + 1 < roc->n;
        if (inner && ((roc->x[i - 1] == roc->x[i] && roc->x[i] == roc->x[i + 1]) ||
                      (roc->y[i - 1] == roc->y[i] && roc->y[i] == roc->y[i + 1])))
            continue;
        cb_buf_printf(out, "%.1f,%.1f ", across(roc->x[i]), down(roc->y[i]));
    }
    cb_buf_printf(out, "\"/>\n");
}

struct cb_status cb_report_roc(struct cb_buf *out, const struct cb_report *report,
                               struct cb_arena *arena)
{
    const struct cb_evaluation *e = report->evaluation;
    struct area *areas;
    int n;
    CB_TRY(list_areas(e, arena, &areas, &n));
    n = n < CURVES ? n : CURVES;
    open_plot(out, "ROC: true positives by false positives", "false positives", "true positives");
    label_percents(out);
    draw_diagonal(out);
    for (int i = n; i-- > 0;) { /* the worst on top */
        struct cb_roc roc;
        CB_TRY(cb_roc_curve(arena, e->probabilities, e->labels, e->n, e->classes,
                            areas[i].class_index, &roc));
        draw_curve(out, &roc, i);
    }
    close_plot(out);
    cb_buf_printf(out, "<p class=\"legend\">");
    for (int i = 0; i < n; i++) {
        cb_buf_printf(out, "<span><i class=\"s%d\"></i>", i);
        cb_markup_text(out, report->labels[areas[i].class_index]);
        cb_buf_printf(out, " %.3f</span> ", areas[i].auc);
    }
    cb_buf_printf(out, "%s</p>\n", n ? "" : "No class has examples on both sides.");
    return cb_ok();
}

/* --- learning curve --- */

/* Photos a class on a logarithmic axis. */
static double place_of(const struct cb_curve *curve, int per_class)
{
    const double first = log(curve->point[0].per_class);
    const double last = log(curve->point[curve->n - 1].per_class);
    return across(last > first ? (log(per_class) - first) / (last - first) : 0.5);
}

void cb_report_curve(struct cb_buf *out, const struct cb_curve *curve)
{
    double labelled = -100;
    open_plot(out, "Learning curve: accuracy by photos a class", "photos a class that teach",
              "accuracy");
    cb_buf_printf(out, "<polyline class=\"line s0\" points=\"");
    for (int i = 0; i < curve->n; i++)
        cb_buf_printf(out, "%.1f,%.1f ", place_of(curve, curve->point[i].per_class),
                      down(curve->point[i].accuracy));
    cb_buf_printf(out, "\"/>\n");
    for (int i = 0; i < curve->n; i++) {
        const struct cb_curve_point *p = &curve->point[i];
        const double x = place_of(curve, p->per_class);
        cb_buf_printf(out,
                      "<line class=\"range\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>"
                      "<circle class=\"dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\">"
                      "<title>%d a class: %.1f %%</title></circle>\n",
                      x, x, down(p->interval.low), down(p->interval.high), x, down(p->accuracy),
                      p->per_class, 100 * p->accuracy);
        if (x - labelled >= 24) {
            cb_buf_printf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%d</text>\n", x,
                          TOP + SIDE + 17, p->per_class);
            labelled = x;
        }
    }
    close_plot(out);
}
