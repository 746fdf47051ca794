#include "cli/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/markup.h"
#include "core/base/file.h"
#include "server/train_job.h"

#define PAGE_LIMIT ((size_t)256 << 20)
#define SCRATCH_BUDGET ((size_t)4 << 30) /* address space: tables, and one decoded photo */
#define WIDEST_MATRIX 40                 /* classes */
#define PHOTOS_SHOWN 18
#define PAIRS_SHOWN 15

static const char head[] =
    "<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n<style>\n"
    ":root{color-scheme:light dark;--page:#fff;--ink:#1c2330;--soft:#5d6677;--edge:#dfe3ea;"
    "--card:#f6f7f9;--blue:37,99,235;--red:220,80,40;--s0:#2563eb;--s1:#d9480f;--s2:#2b8a3e;"
    "--s3:#9333ea;--s4:#b08900}\n"
    "@media(prefers-color-scheme:dark){:root{--page:#14171d;--ink:#e6e9ef;--soft:#9aa4b5;"
    "--edge:#2d333e;--card:#1c2028;--blue:70,130,255;--red:240,110,60;--s0:#6ea0ff;--s1:#ff8a4c;"
    "--s2:#69c77d;--s3:#c58bff;--s4:#e2bd45}}\n"
    "*{box-sizing:border-box}body{margin:0 auto;padding:28px 24px 60px;max-width:1080px;"
    "background:var(--page);color:var(--ink);font:15px/1.5 system-ui,sans-serif}\n"
    "h1{font-size:24px;margin:0}h2{font-size:17px;margin:36px 0 8px}p{margin:4px 0 12px}\n"
    ".soft{color:var(--soft)}.tiles{display:grid;gap:12px;margin:20px 0;"
    "grid-template-columns:repeat(auto-fit,minmax(150px,1fr))}\n"
    ".tile{background:var(--card);border:1px solid var(--edge);border-radius:8px;"
    "padding:12px 14px}.tile b{display:block;font-size:24px;line-height:1.3}"
    ".tile span{display:block;color:var(--soft);font-size:13px}\n"
    ".plots{display:grid;gap:24px;grid-template-columns:repeat(auto-fit,minmax(290px,1fr))}"
    ".plots h2{margin-top:20px}svg{width:100%;max-width:400px;height:auto;display:block}\n"
    "svg text{font-size:11px;fill:var(--soft)}.grid{stroke:var(--edge)}"
    ".ideal{stroke:var(--ink);stroke-dasharray:4 4}.bar{fill:var(--s0)}"
    ".dot{fill:var(--s1)}.range{stroke:var(--s1);stroke-width:1.5}"
    ".line{fill:none;stroke-width:2}\n"
    ".s0{stroke:var(--s0);background:var(--s0)}.s1{stroke:var(--s1);background:var(--s1)}"
    ".s2{stroke:var(--s2);background:var(--s2)}.s3{stroke:var(--s3);background:var(--s3)}"
    ".s4{stroke:var(--s4);background:var(--s4)}\n"
    ".legend{font-size:13px}.legend span{margin-right:12px;white-space:nowrap}"
    ".legend i{display:inline-block;width:11px;height:11px;border-radius:2px;"
    "margin-right:5px}\n"
    ".wide{overflow-x:auto}table{border-collapse:collapse;font-size:14px;"
    "font-variant-numeric:tabular-nums}\n"
    "td,th{padding:4px 10px;text-align:right;border-bottom:1px solid var(--edge);"
    "font-weight:normal}th{color:var(--soft)}td:first-child,th:first-child{text-align:left}\n"
    ".matrix td,.matrix th{border:1px solid var(--page);padding:4px 6px;text-align:center;"
    "min-width:34px}.matrix tr>:first-child{text-align:right;white-space:nowrap;"
    "color:var(--ink)}.zero{color:var(--edge)}\n"
    ".photos{display:grid;gap:14px;grid-template-columns:repeat(auto-fill,minmax(150px,1fr))}"
    ".photos div{background:var(--card);border:1px solid var(--edge);border-radius:8px;"
    "padding:10px;font-size:13px;line-height:1.4;overflow-wrap:anywhere}"
    ".photos img{display:block;height:112px;max-width:100%;object-fit:contain;"
    "margin:0 auto 8px;border-radius:4px}\n"
    "</style>\n";

static double percent(int part, int whole)
{
    return whole ? 100.0 * part / whole : 0;
}

/* "0.123", or a dash where there is no number. */
static const char *number(double v, char text[16])
{
    snprintf(text, 16, isnan(v) ? "\xe2\x80\x93" : "%.3f", v);
    return text;
}

/* --- headline --- */

static void add_tile(struct cb_buf *out, const char *name, const char *value, const char *note)
{
    cb_buf_printf(out, "<div class=\"tile\"><span>%s</span><b>%s</b><span>%s</span></div>\n", name,
                  value, note);
}

static void add_accuracy(struct cb_buf *out, const char *name, int part, int n,
                         struct cb_interval at)
{
    char value[32], note[96];
    snprintf(value, sizeof value, "%.1f %%", percent(part, n));
    snprintf(note, sizeof note, "%d of %d; 95 %%: %.1f to %.1f", part, n, 100 * at.low,
             100 * at.high);
    add_tile(out, name, value, note);
}

static void add_headline(struct cb_buf *out, const struct cb_report *r)
{
    const struct cb_evaluation *e = r->evaluation;
    char value[32], note[96], text[16];
    cb_buf_printf(out, "<h1>");
    cb_markup_text(out, r->title);
    cb_buf_printf(out, "</h1>\n<p class=\"soft\">");
    cb_markup_text(out, r->about);
    cb_buf_printf(out, "</p>\n<div class=\"tiles\">\n");
    add_accuracy(out, "Accuracy (top-1)", e->correct, e->n, e->top1);
    if (e->classes > 5)
        add_accuracy(out, "Top-5", e->correct5, e->n, e->top5);
    snprintf(value, sizeof value, "%.3f", e->macro.f1);
    snprintf(note, sizeof note, "precision %.3f, recall %.3f", e->macro.precision, e->macro.recall);
    add_tile(out, "F1, mean of classes", value, note);
    add_tile(out, "ROC area, mean of classes", number(e->macro.auc, text), "0.5 is chance");
    snprintf(value, sizeof value, "%.1f %%", 100 * e->reliability.error);
    add_tile(out, "Calibration error", value, "confidence against accuracy");
    snprintf(value, sizeof value, "%.3f", e->loss);
    snprintf(note, sizeof note, "Brier %.3f", e->brier);
    add_tile(out, "Cross-entropy", value, note);
    cb_buf_printf(out, "</div>\n");
}

static void add_temperature(struct cb_buf *out, const struct cb_head_judgement *j)
{
    const struct cb_evaluation *e = &j->held_out;
    cb_buf_printf(out,
                  "<p>Held-out photos: %.1f %% right (%d of %d; 95 %%: %.1f to %.1f). A "
                  "temperature of %.2f is in the head. Without it their cross-entropy would be "
                  "%.3f, with it %.3f; their calibration error %.1f %%, with it %.1f %%.</p>\n",
                  percent(e->correct, e->n), e->correct, e->n, 100 * e->top1.low,
                  100 * e->top1.high, j->temperature, j->plain_loss, e->loss, 100 * j->plain_error,
                  100 * e->reliability.error);
}

/* --- tables --- */

static void add_cell(struct cb_buf *out, int count, int of, bool right)
{
    const double share = of ? (double)count / of : 0;
    if (count == 0)
        cb_buf_printf(out, "<td class=\"zero\">0</td>");
    else
        cb_buf_printf(out, "<td style=\"background:rgba(var(--%s),%.2f)%s\">%d</td>",
                      right ? "blue" : "red", 0.12 + 0.78 * share, share > 0.5 ? ";color:#fff" : "",
                      count);
}

static void add_matrix(struct cb_buf *out, const struct cb_report *r, const int *seen, int n)
{
    const struct cb_evaluation *e = r->evaluation;
    cb_buf_printf(out, "<h2>Confusion matrix</h2>\n<p class=\"soft\">Rows: what a photo is. "
                       "Columns: what it was taken for, by the row's number.</p>\n"
                       "<div class=\"wide\"><table class=\"matrix\"><tr><th></th>");
    for (int p = 0; p < n; p++)
        cb_buf_printf(out, "<th>%d</th>", p + 1);
    cb_buf_printf(out, "</tr>\n");
    for (int t = 0; t < n; t++) {
        cb_buf_printf(out, "<tr><td>");
        cb_markup_text(out, r->labels[seen[t]]);
        cb_buf_printf(out, " <span class=\"soft\">%d</span></td>", t + 1);
        for (int p = 0; p < n; p++)
            add_cell(out, e->confusion[(size_t)seen[t] * (size_t)e->classes + (size_t)seen[p]],
                     e->count[seen[t]], t == p);
        cb_buf_printf(out, "</tr>\n");
    }
    cb_buf_printf(out, "</table></div>\n");
}

struct pair {
    int of, as, count;
};

static int more_often(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    return x->count != y->count ? y->count - x->count
           : x->of != y->of     ? x->of - y->of
                                : x->as - y->as;
}

/* In place of a matrix that nobody could read. */
static struct cb_status add_pairs(struct cb_buf *out, const struct cb_report *r,
                                  struct cb_arena *arena)
{
    const struct cb_evaluation *e = r->evaluation;
    struct pair *pairs;
    int n = 0;
    CB_TRY(cb_arena_get(arena, (size_t)e->n, sizeof *pairs, "pairs", &pairs));
    for (int t = 0; t < e->classes; t++)
        for (int p = 0; e->count[t] && p < e->classes; p++) {
            const int count = e->confusion[(size_t)t * (size_t)e->classes + (size_t)p];
            if (count && t != p)
                pairs[n++] = (struct pair){ t, p, count };
        }
    qsort(pairs, (size_t)n, sizeof *pairs, more_often);
    cb_buf_printf(out, "<h2>Most often confused</h2>\n<div class=\"wide\"><table>"
                       "<tr><th>what it is</th><th>taken for</th><th>photos</th></tr>\n");
    for (int i = 0; i < n && i < PAIRS_SHOWN; i++) {
        cb_buf_printf(out, "<tr><td>");
        cb_markup_text(out, r->labels[pairs[i].of]);
        cb_buf_printf(out, "</td><td>");
        cb_markup_text(out, r->labels[pairs[i].as]);
        cb_buf_printf(out, "</td><td>%d</td></tr>\n", pairs[i].count);
    }
    cb_buf_printf(out, "</table></div>\n");
    return cb_ok();
}

static void add_classes(struct cb_buf *out, const struct cb_report *r, const int *seen, int n)
{
    const struct cb_evaluation *e = r->evaluation;
    char text[16];
    cb_buf_printf(out, "<h2>Classes</h2>\n<div class=\"wide\"><table><tr><th>class</th>"
                       "<th>photos</th><th>precision</th><th>recall</th><th>95 %%</th>"
                       "<th>F1</th><th>ROC area</th></tr>\n");
    for (int i = 0; i < n; i++) {
        const int c = seen[i];
        const int right = e->confusion[(size_t)c * (size_t)e->classes + (size_t)c];
        const struct cb_interval at = cb_wilson(right, e->count[c]);
        cb_buf_printf(out, "<tr><td>");
        cb_markup_text(out, r->labels[c]);
        cb_buf_printf(out,
                      "</td><td>%d</td><td>%.3f</td><td>%.3f</td>"
                      "<td class=\"soft\">%.2f to %.2f</td><td>%.3f</td><td>%s</td></tr>\n",
                      e->count[c], (double)e->precision[c], (double)e->recall[c], at.low, at.high,
                      (double)e->f1[c], number(e->auc[c], text));
    }
    cb_buf_printf(out, "</table></div>\n");
}

/* --- photos --- */

static void add_photo(struct cb_buf *out, const struct cb_report *r, const struct cb_mistake *m,
                      struct cb_arena *arena)
{
    const int *example = r->evaluation->example;
    const int photo = r->photo[example ? example[m->row] : m->row];
    cb_buf_printf(out, "<div>");
    cb_report_photo(out, r->dataset->photos[photo].path, arena);
    cb_markup_text(out, r->dataset->photos[photo].name);
    cb_buf_printf(out, "<br>taken for <b>");
    cb_markup_text(out, r->labels[m->predicted]);
    cb_buf_printf(out, "</b> %.1f&nbsp;%%<br><span class=\"soft\">labelled ",
                  100 * (double)m->of_predicted);
    cb_markup_text(out, r->labels[m->label]);
    cb_buf_printf(out, " %.1f&nbsp;%%</span></div>\n", 100 * (double)m->of_label);
}

static void add_photos(struct cb_buf *out, const struct cb_report *r, const char *title,
                       const char *about, const struct cb_mistake *list, int n,
                       struct cb_arena *arena)
{
    cb_buf_printf(out, "<h2>%s</h2>\n<p class=\"soft\">%s</p>\n<div class=\"photos\">\n", title,
                  n ? about : "None.");
    for (int i = 0; i < n; i++)
        add_photo(out, r, &list[i], arena);
    cb_buf_printf(out, "</div>\n");
}

static struct cb_status add_mistakes(struct cb_buf *out, const struct cb_report *r,
                                     struct cb_arena *arena)
{
    struct cb_mistake *list;
    int n;
    CB_TRY(cb_worst_mistakes(r->evaluation, arena, PHOTOS_SHOWN, &list, &n));
    add_photos(out, r, "Worst mistakes", "Wrong, the surest first.", list, n, arena);
    CB_TRY(cb_suspicious_labels(r->evaluation, arena, PHOTOS_SHOWN, &list, &n));
    add_photos(out, r, "Suspicious labels",
               "As sure to be of another class as that class's own photos are on average: look "
               "whether they lie in the right folder.",
               list, n, arena);
    return cb_ok();
}

/* --- the page --- */

static struct cb_status add_plots(struct cb_buf *out, const struct cb_report *r,
                                  struct cb_arena *arena)
{
    cb_buf_printf(out, "<div class=\"plots\">\n<div><h2>Reliability</h2>\n");
    cb_report_reliability(out, &r->evaluation->reliability);
    cb_buf_printf(out, "<p class=\"soft\">Bars on the dashed line: it is right as often as it is "
                       "sure. Pale bars have few photos.</p></div>\n<div><h2>ROC curves</h2>\n");
    CB_TRY(cb_report_roc(out, r, arena));
    cb_buf_printf(out, "<p class=\"soft\">Each class against the rest, those of the smallest "
                       "area.</p></div>\n");
    if (r->curve && r->curve->n) {
        cb_buf_printf(out, "<div><h2>Learning curve</h2>\n");
        cb_report_curve(out, r->curve);
        cb_buf_printf(out,
                      "<p class=\"soft\">Mean of %d draws, and its 95 %% interval. Where it "
                      "still rises at the end, more photos help.</p></div>\n",
                      r->curve->seeds);
    }
    cb_buf_printf(out, "</div>\n");
    return cb_ok();
}

static struct cb_status write_page(const struct cb_report *r, struct cb_arena *arena,
                                   struct cb_buf *out)
{
    int *seen;
    CB_TRY(cb_arena_get(arena, (size_t)r->evaluation->classes, sizeof *seen, "classes", &seen));
    const int n = cb_evaluation_seen(r->evaluation, seen);
    cb_buf_printf(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><title>");
    cb_markup_text(out, r->title);
    cb_buf_printf(out, "</title>\n%s</head><body>\n", head);
    add_headline(out, r);
    if (r->judged)
        add_temperature(out, r->judged);
    if (n <= WIDEST_MATRIX)
        add_matrix(out, r, seen, n);
    else
        CB_TRY(add_pairs(out, r, arena));
    CB_TRY(add_plots(out, r, arena));
    add_classes(out, r, seen, n);
    CB_TRY(add_mistakes(out, r, arena));
    cb_buf_printf(out, "</body></html>\n");
    return out->failed ? cb_fail(CB_ERR_NOMEM, "the report takes too much memory") : cb_ok();
}

struct cb_status cb_report_save(const struct cb_report *report, const char *path)
{
    struct cb_arena arena;
    struct cb_buf page;
    CB_TRY(cb_arena_init(&arena, SCRATCH_BUDGET));
    cb_buf_init(&page, PAGE_LIMIT);
    struct cb_status st = write_page(report, &arena, &page);
    if (st.code == CB_OK)
        st = cb_file_write(path, page.data, page.len);
    cb_buf_deinit(&page);
    cb_arena_deinit(&arena);
    return st;
}
