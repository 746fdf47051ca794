/* cli/layout.h - places for the boxes of a directed graph, drawn from top to bottom.
 *
 * Layers by the longest path; an edge over several layers runs through bends, one a layer, which
 * all edges of one source share; the order within a layer by the mean place of neighbours
 * (Sugiyama, Tagawa, Toda, doi:10.1109/TSMC.1981.4308636); then abscissas near the neighbours'
 * mean, in order and with room between. */
#pragma once

#include "core/base/arena.h"

#define CB_LAYOUT_MOST 200000 /* places, and edges: beyond, nobody could read it */

struct cb_layout_line {
    int from, to; /* places one layer apart; from n_boxes on: bends */
};

struct cb_layout {
    /* Given: edges lead from a box to one of higher number. */
    int n_boxes, n_edges;
    const double *width;   /* [n_boxes] */
    const int (*edges)[2]; /* [n_edges] from, to */
    double gap;            /* between neighbours */
    /* Made: */
    int n_places, n_layers, n_lines;
    int *layer; /* [n_places] boxes, then bends */
    double *x;  /* [n_places] middles; the leftmost edge is 0 */
    double right;
    struct cb_layout_line *lines; /* [n_lines] */
};

/* What is made lies in `arena`. Errors: CB_ERR_NOMEM, CB_ERR_TOO_LARGE. */
CB_MUST_USE struct cb_status cb_layout_find(struct cb_layout *layout, struct cb_arena *arena);
