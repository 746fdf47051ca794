#include "cli/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"

#define BAR_COLUMNS 24
#define BAR_EVERY_NS 100000000
#define LINE_EVERY_NS 2000000000

void cb_progress_begin(struct cb_progress *progress, const char *what, size_t total)
{
    *progress = (struct cb_progress){
        .what = what,
        .total = total,
        .terminal = isatty(STDERR_FILENO) == 1,
        .began_ns = cb_clock_ns(),
    };
}

/* "  3 s left", or the time it took so far where the end is not known. */
static void print_time(char *out, size_t room, const struct cb_progress *p, size_t done)
{
    const double seconds = (double)(cb_clock_ns() - p->began_ns) * 1e-9;
    if (p->total == 0 || done == 0 || done >= p->total)
        snprintf(out, room, "%.1f s", seconds);
    else
        snprintf(out, room, "%.0f s left", seconds * (double)(p->total - done) / (double)done);
}

static void show(struct cb_progress *p, size_t done, const char *note)
{
    char bar[BAR_COLUMNS + 1] = "", count[48], time[32];
    const size_t filled =
        p->total ? (done < p->total ? done * BAR_COLUMNS / p->total : BAR_COLUMNS) : 0;
    const char *gap = *note ? "  " : "";
    print_time(time, sizeof time, p, done);
    if (p->total)
        snprintf(count, sizeof count, "%zu/%zu", done, p->total);
    else
        snprintf(count, sizeof count, "%zu", done);
    if (!p->terminal) {
        fprintf(stderr, "%s: %s%s%s  %s\n", p->what, count, gap, note, time);
        return;
    }
    memset(bar, '.', BAR_COLUMNS);
    memset(bar, '#', filled);
    const int drawn = fprintf(stderr, "\r%s [%s] %s%s%s  %s", p->what, bar, count, gap, note, time);
    if (drawn < p->drawn)
        fprintf(stderr, "%*s", p->drawn - drawn, "");
    p->drawn = drawn;
    fflush(stderr);
}

void cb_progress_step(struct cb_progress *progress, size_t done, const char *note)
{
    const int64_t now = cb_clock_ns();
    const int64_t last = progress->shown_ns ? progress->shown_ns : progress->began_ns;
    if (now - last < (progress->terminal ? BAR_EVERY_NS : LINE_EVERY_NS))
        return;
    progress->shown_ns = now;
    show(progress, done, note);
}

void cb_progress_end(struct cb_progress *progress, size_t done, const char *note)
{
    show(progress, done, note);
    if (progress->terminal)
        fputc('\n', stderr);
}
