/* cli/progress.h - how far a long piece of work is: a bar on a terminal, plain lines elsewhere,
 * always on stderr.
 *
 * One thread at a time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cb_progress {
    const char *what; /* "features"; borrowed */
    size_t total;     /* steps; 0: not known */
    bool terminal;
    int64_t began_ns, shown_ns;
    int drawn; /* columns of the bar on the screen */
};

void cb_progress_begin(struct cb_progress *progress, const char *what, size_t total);

/* `done` steps are done; `note` (may be "") follows the figures: "loss 0.31". Draws only as often
 * as one can read. */
void cb_progress_step(struct cb_progress *progress, size_t done, const char *note);

/* Shows the last state for certain and ends the line. */
void cb_progress_end(struct cb_progress *progress, size_t done, const char *note);
