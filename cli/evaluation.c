#include "cli/evaluation.h"

#include <math.h>

#include "cli/output.h"
#include "server/train_job.h"

#define LABEL_COLUMNS 24
#define WIDEST_MATRIX 16

static double percent(int part, int whole)
{
    return whole ? 100.0 * part / whole : 0;
}

static void print_area(double auc)
{
    if (isnan(auc))
        printf("%7s\n", "-");
    else
        printf("%7.3f\n", auc);
}

static void print_classes(const struct cb_evaluation *e, const char *const *labels, const int *seen,
                          int n)
{
    char label[LABEL_COLUMNS + 1];
    printf("\n%-*s %7s %10s %7s %15s %7s %7s\n", LABEL_COLUMNS, "class", "photos", "precision",
           "recall", "(95 %)", "F1", "AUC");
    for (int i = 0; i < n; i++) {
        const int c = seen[i];
        const int right = e->confusion[(size_t)c * (size_t)e->classes + (size_t)c];
        const struct cb_interval at = cb_wilson(right, e->count[c]);
        printf("%-*s %7d %10.3f %7.3f %6.3f to %5.3f %7.3f ", LABEL_COLUMNS,
               cb_output_clean(labels[c], label, sizeof label), e->count[c],
               (double)e->precision[c], (double)e->recall[c], at.low, at.high, (double)e->f1[c]);
        print_area(e->auc[c]);
    }
    printf("%-*s %7d %10.3f %7.3f %15s %7.3f ", LABEL_COLUMNS, "mean of classes", e->n,
           e->macro.precision, e->macro.recall, "", e->macro.f1);
    print_area(e->macro.auc);
}

static void print_confusion(const struct cb_evaluation *e, const char *const *labels,
                            const int *seen, int n)
{
    char label[LABEL_COLUMNS + 1];
    printf("\nconfusion (rows: what it is, columns: what it was taken for)\n%-*s", LABEL_COLUMNS,
           "");
    for (int p = 0; p < n; p++)
        printf(" %5d", p + 1);
    printf("\n");
    for (int t = 0; t < n; t++) {
        printf("%2d %-*s", t + 1, LABEL_COLUMNS - 3,
               cb_output_clean(labels[seen[t]], label, LABEL_COLUMNS - 3));
        for (int p = 0; p < n; p++)
            printf(" %5d", e->confusion[(size_t)seen[t] * (size_t)e->classes + (size_t)seen[p]]);
        printf("\n");
    }
}

struct cb_status cb_evaluation_print(struct cb_cli *cli, const struct cb_evaluation *evaluation,
                                     const char *const *labels)
{
    const struct cb_evaluation *e = evaluation;
    int *seen;
    CB_TRY(cb_arena_get(&cli->arena, (size_t)e->classes, sizeof *seen, "classes", &seen));
    const int n = cb_evaluation_seen(e, seen);
    printf("top-1 %.2f %% (%d of %d; 95 %%: %.1f to %.1f)", percent(e->correct, e->n), e->correct,
           e->n, 100 * e->top1.low, 100 * e->top1.high);
    if (e->classes > 5)
        printf("   top-5 %.2f %% (%.1f to %.1f)", percent(e->correct5, e->n), 100 * e->top5.low,
               100 * e->top5.high);
    printf("   cross-entropy %.4f\ncalibration error %.1f %%   Brier %.4f\n", e->loss,
           100 * e->reliability.error, e->brier);
    print_classes(e, labels, seen, n);
    if (n <= WIDEST_MATRIX)
        print_confusion(e, labels, seen, n);
    return cb_ok();
}
