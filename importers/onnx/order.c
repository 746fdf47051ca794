#include "importers/onnx/order.h"

#include <stdbool.h>

static bool in_order(const struct cb_onnx_needs *needs)
{
    for (int i = 0; i < needs->n_nodes; i++)
        for (int j = needs->first[i]; j < needs->first[i + 1]; j++)
            if (needs->from[j] >= i)
                return false;
    return true;
}

/* Kahn's algorithm: `open` counts what a node still waits for; the readers of node i stand in
 * reader[begin[i] .. begin[i + 1]). */
static int place_all(const struct cb_onnx_needs *needs, int *open, int *begin, int *reader,
                     int *order)
{
    const int n = needs->n_nodes;
    int placed = 0;
    for (int j = 0; j < needs->first[n]; j++)
        begin[needs->from[j] + 1]++;
    for (int i = 0; i < n; i++)
        begin[i + 1] += begin[i];
    for (int i = n - 1; i >= 0;
         i--) { /* from the back, so that begin[] ends up where each run begins */
        open[i] = needs->first[i + 1] - needs->first[i];
        for (int j = needs->first[i]; j < needs->first[i + 1]; j++)
            reader[--begin[needs->from[j] + 1]] = i;
    }
    for (int i = 0; i < n; i++)
        if (open[i] == 0)
            order[placed++] = i;
    for (int done = 0; done < placed; done++) {
        const int i = order[done], end = i + 2 <= n ? begin[i + 2] : needs->first[n];
        for (int k = begin[i + 1]; k < end; k++)
            if (--open[reader[k]] == 0)
                order[placed++] = reader[k];
    }
    return placed;
}

struct cb_status cb_onnx_order(const struct cb_onnx_needs *needs, struct cb_arena *arena,
                               int **order, int *stuck)
{
    const size_t n = (size_t)needs->n_nodes;
    int *open, *begin, *reader, *made;
    *stuck = -1;
    CB_TRY(cb_arena_get(arena, n, sizeof *made, "the order of nodes", &made));
    if (in_order(needs)) {
        for (int i = 0; i < needs->n_nodes; i++)
            made[i] = i;
        *order = made;
        return cb_ok();
    }
    CB_TRY(cb_arena_get(arena, n, sizeof *open, "the order of nodes", &open));
    CB_TRY(cb_arena_get(arena, n + 1, sizeof *begin, "the order of nodes", &begin));
    CB_TRY(cb_arena_get(arena, (size_t)needs->first[n], sizeof *reader, "the order of nodes",
                        &reader));
    const int placed = place_all(needs, open, begin, reader, made);
    *order = placed == needs->n_nodes ? made : NULL;
    for (int i = 0; placed < needs->n_nodes && *stuck < 0; i++)
        if (open[i] > 0)
            *stuck = i;
    return cb_ok();
}
