/* cli/report.h - an evaluation as one HTML page that stands alone: plots are SVG inside it, photos
 * are data: addresses, no script, nothing from outside; light and dark as the reader's system is.
 */
#pragma once

#include "core/base/buf.h"
#include "core/train/resampling.h"
#include "importers/dataset/dataset.h"

struct cb_report {
    const char *title, *about; /* what was judged, and how: a line each */
    const struct cb_evaluation *evaluation;
    const char *const *labels; /* [classes] */
    const struct cb_dataset *dataset;
    const int *photo;                       /* by example: row of the dataset's photos */
    const struct cb_head_judgement *judged; /* of a training; NULL: none */
    const struct cb_curve *curve;           /* NULL, or n 0: none */
};

/* Writes the page, at once or not at all. A photo that cannot be read is shown by its name. Errors:
 * CB_ERR_NOMEM, CB_ERR_IO. */
CB_MUST_USE struct cb_status cb_report_save(const struct cb_report *report, const char *path);

/* The parts below append to `out`. */

void cb_report_reliability(struct cb_buf *out, const struct cb_reliability *r);
void cb_report_curve(struct cb_buf *out, const struct cb_curve *curve);

/* Curves of the classes of the smallest areas. Errors: CB_ERR_NOMEM. */
CB_MUST_USE struct cb_status cb_report_roc(struct cb_buf *out, const struct cb_report *report,
                                           struct cb_arena *arena);

/* A photo, small, as an <img>; false when it cannot be read. */
bool cb_report_photo(struct cb_buf *out, const char *path, struct cb_arena *arena);
