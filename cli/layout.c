#include "cli/layout.h"

#include <stdbool.h>
#include <string.h>

enum { ORDER_SWEEPS = 16, PLACE_SWEEPS = 240 };

/* Neighbours of every place one layer away: list[start[i] .. start[i + 1]). */
struct neighbours {
    int *start, *list;
};

struct work {
    struct cb_layout *l;
    struct neighbours above, below;
    int *first, *row; /* the places of layer k from left to right: row[first[k] .. first[k + 1]) */
    int *rank;        /* [n_places] within its layer */
    double *key;      /* [n_places] */
};

static bool is_bend(const struct cb_layout *l, int place)
{
    return place >= l->n_boxes;
}

/* The edges of each box: first[box], then next[edge], to -1. */
struct edge_lists {
    int *first, *next;
};

static struct cb_status list_edges(const struct cb_layout *l, struct cb_arena *arena,
                                   struct edge_lists *out)
{
    CB_TRY(cb_arena_get(arena, (size_t)l->n_boxes, sizeof *out->first, "layout", &out->first));
    CB_TRY(cb_arena_get(arena, (size_t)l->n_edges, sizeof *out->next, "layout", &out->next));
    for (int i = 0; i < l->n_boxes; i++)
        out->first[i] = -1;
    for (int e = l->n_edges - 1; e >= 0; e--) {
        out->next[e] = out->first[l->edges[e][0]];
        out->first[l->edges[e][0]] = e;
    }
    return cb_ok();
}

static void find_layers(struct cb_layout *l, const struct edge_lists *lists)
{
    for (int box = 0; box < l->n_boxes; box++) {
        for (int e = lists->first[box]; e >= 0; e = lists->next[e]) {
            int *layer = &l->layer[l->edges[e][1]];
            *layer = *layer > l->layer[box] ? *layer : l->layer[box] + 1;
        }
        l->n_layers = l->layer[box] >= l->n_layers ? l->layer[box] + 1 : l->n_layers;
    }
}

/* Bends that the box's edges share: down to one layer above the farthest target. */
static int count_bends(const struct cb_layout *l, const struct edge_lists *lists, int box)
{
    int most = 0;
    for (int e = lists->first[box]; e >= 0; e = lists->next[e]) {
        const int span = l->layer[l->edges[e][1]] - l->layer[box] - 1;
        most = span > most ? span : most;
    }
    return most;
}

static struct cb_status add_lines(struct cb_layout *l, const struct edge_lists *lists,
                                  struct cb_arena *arena, const int *bends)
{
    const size_t most = (size_t)l->n_places + (size_t)l->n_edges;
    int next = l->n_boxes;
    CB_TRY(cb_arena_get(arena, most, sizeof *l->lines, "layout", &l->lines));
    for (int box = 0; box < l->n_boxes; box++) {
        for (int i = 0; i < bends[box]; i++) {
            l->layer[next + i] = l->layer[box] + 1 + i;
            l->lines[l->n_lines++] = (struct cb_layout_line){ i ? next + i - 1 : box, next + i };
        }
        for (int e = lists->first[box]; e >= 0; e = lists->next[e]) {
            const int to = l->edges[e][1], span = l->layer[to] - l->layer[box] - 1;
            l->lines[l->n_lines++] = (struct cb_layout_line){ span ? next + span - 1 : box, to };
        }
        next += bends[box];
    }
    return cb_ok();
}

static struct cb_status find_neighbours(const struct cb_layout *l, bool above,
                                        struct cb_arena *arena, struct neighbours *out)
{
    CB_TRY(cb_arena_get(arena, (size_t)l->n_places + 2, sizeof *out->start, "layout", &out->start));
    CB_TRY(cb_arena_get(arena, (size_t)l->n_lines, sizeof *out->list, "layout", &out->list));
    for (int i = 0; i < l->n_lines; i++)
        out->start[(above ? l->lines[i].to : l->lines[i].from) + 2]++;
    for (int i = 2; i < l->n_places + 2; i++)
        out->start[i] += out->start[i - 1];
    for (int i = 0; i < l->n_lines; i++) {
        const int at = above ? l->lines[i].to : l->lines[i].from;
        out->list[out->start[at + 1]++] = above ? l->lines[i].from : l->lines[i].to;
    }
    return cb_ok();
}

static struct cb_status find_rows(struct work *w, struct cb_arena *arena)
{
    const struct cb_layout *l = w->l;
    CB_TRY(cb_arena_get(arena, (size_t)l->n_layers + 2, sizeof *w->first, "layout", &w->first));
    CB_TRY(cb_arena_get(arena, (size_t)l->n_places, sizeof *w->row, "layout", &w->row));
    CB_TRY(cb_arena_get(arena, (size_t)l->n_places, sizeof *w->rank, "layout", &w->rank));
    CB_TRY(cb_arena_get(arena, (size_t)l->n_places, sizeof *w->key, "layout", &w->key));
    for (int i = 0; i < l->n_places; i++)
        w->first[l->layer[i] + 2]++;
    for (int k = 2; k < l->n_layers + 2; k++)
        w->first[k] += w->first[k - 1];
    for (int i = 0; i < l->n_places; i++) {
        const int at = w->first[l->layer[i] + 1]++;
        w->row[at] = i;
        w->rank[i] = at - w->first[l->layer[i]];
    }
    return cb_ok();
}

/* By the mean rank of the neighbours on one side; those without keep their place. */
static void order_row(struct work *w, int k, const struct neighbours *side)
{
    int *row = w->row + w->first[k];
    const int n = w->first[k + 1] - w->first[k];
    for (int i = 0; i < n; i++) {
        const int *from = side->list + side->start[row[i]],
                  *to = side->list + side->start[row[i] + 1];
        double sum = 0;
        for (const int *p = from; p < to; p++)
            sum += w->rank[*p];
        w->key[row[i]] = from < to ? sum / (double)(to - from) : w->rank[row[i]];
    }
    for (int i = 1; i < n; i++) { /* stable */
        const int place = row[i];
        int at = i;
        for (; at > 0 && w->key[row[at - 1]] > w->key[place]; at--)
            row[at] = row[at - 1];
        row[at] = place;
    }
    for (int i = 0; i < n; i++)
        w->rank[row[i]] = i;
}

static double width_of(const struct cb_layout *l, int place)
{
    return is_bend(l, place) ? 0 : l->width[place];
}

/* Where a place would like to be: near its neighbours, and in line with bends. */
static double wish(const struct work *w, int place, const struct neighbours *side, double *weight)
{
    double sum = 0;
    for (int i = side->start[place]; i < side->start[place + 1]; i++) {
        const int other = side->list[i];
        const double pull = (is_bend(w->l, place) ? 3 : 1) * (is_bend(w->l, other) ? 3 : 1);
        sum += pull * w->l->x[other];
        *weight += pull;
    }
    return sum;
}

/* The least squares of distances to the wishes, in order and with room between: blocks of places
 * that would overlap share their mean (pool adjacent violators). */
static void place_row(struct work *w, int k, bool up, bool down, double (*block)[3])
{
    struct cb_layout *l = w->l;
    const int *row = w->row + w->first[k], n = w->first[k + 1] - w->first[k];
    double offset = 0;
    int blocks = 0;
    for (int i = 0; i < n; i++) {
        double weight = 0, sum = up ? wish(w, row[i], &w->above, &weight) : 0;
        sum += down ? wish(w, row[i], &w->below, &weight) : 0;
        if (i)
            offset += (width_of(l, row[i - 1]) + width_of(l, row[i])) / 2 + l->gap;
        const double at = (weight > 0 ? sum / weight : l->x[row[i]]) - offset;
        w->key[row[i]] = offset;
        weight = weight > 0 ? weight : 0.01;
        block[blocks][0] = at;
        block[blocks][1] = weight;
        block[blocks++][2] = 1;
        for (; blocks > 1 && block[blocks - 2][0] > block[blocks - 1][0]; blocks--) {
            double *a = block[blocks - 2], *b = block[blocks - 1];
            a[0] = (a[0] * a[1] + b[0] * b[1]) / (a[1] + b[1]);
            a[1] += b[1];
            a[2] += b[2];
        }
    }
    for (int i = 0, b = 0, left = blocks ? (int)block[0][2] : 0; i < n; i++) {
        l->x[row[i]] = block[b][0] + w->key[row[i]];
        if (--left == 0 && ++b < blocks)
            left = (int)block[b][2];
    }
}

static void place_all(struct work *w, double (*block)[3])
{
    struct cb_layout *l = w->l;
    double left = 0;
    for (int k = 0; k < l->n_layers; k++)
        place_row(w, k, false, false, block);
    for (int sweep = 0; sweep < PLACE_SWEEPS; sweep++) {
        const bool last = sweep >= PLACE_SWEEPS / 2, down = sweep % 2 == 0;
        for (int i = 0; i < l->n_layers; i++)
            place_row(w, down ? i : l->n_layers - 1 - i, down || last, !down || last, block);
    }
    for (int i = 0; i < l->n_places; i++)
        left = l->x[i] - width_of(l, i) / 2 < left || i == 0 ? l->x[i] - width_of(l, i) / 2 : left;
    for (int i = 0; i < l->n_places; i++) {
        l->x[i] -= left;
        l->right =
            l->x[i] + width_of(l, i) / 2 > l->right ? l->x[i] + width_of(l, i) / 2 : l->right;
    }
}

/* Layers of the boxes, and how many bends each needs. */
static struct cb_status count_places(struct cb_layout *l, const struct edge_lists *lists,
                                     struct cb_arena *arena, int **bends)
{
    int *layer;
    l->n_places = l->n_boxes;
    l->n_layers = l->n_lines = 0;
    l->right = 0;
    CB_TRY(cb_arena_get(arena, (size_t)l->n_boxes, sizeof **bends, "layout", bends));
    CB_TRY(cb_arena_get(arena, (size_t)l->n_boxes, sizeof *layer, "layout", &l->layer));
    find_layers(l, lists);
    for (int i = 0; i < l->n_boxes; i++)
        l->n_places += (*bends)[i] = count_bends(l, lists, i);
    if (l->n_places > CB_LAYOUT_MOST || l->n_edges > CB_LAYOUT_MOST)
        return cb_fail(CB_ERR_TOO_LARGE, "a drawing with %d bends and %d lines, most is %d",
                       l->n_places - l->n_boxes, l->n_edges, CB_LAYOUT_MOST);
    CB_TRY(cb_arena_get(arena, (size_t)l->n_places, sizeof *layer, "layout", &layer));
    if (l->n_boxes)
        memcpy(layer, l->layer, (size_t)l->n_boxes * sizeof *layer);
    l->layer = layer;
    return cb_ok();
}

struct cb_status cb_layout_find(struct cb_layout *l, struct cb_arena *arena)
{
    struct work w = { .l = l };
    struct edge_lists lists;
    double(*block)[3];
    int *bends;
    CB_TRY(list_edges(l, arena, &lists));
    CB_TRY(count_places(l, &lists, arena, &bends));
    CB_TRY(cb_arena_get(arena, (size_t)l->n_places, sizeof *l->x, "layout", &l->x));
    CB_TRY(cb_arena_get(arena, (size_t)l->n_places, sizeof *block, "layout", &block));
    CB_TRY(add_lines(l, &lists, arena, bends));
    CB_TRY(find_neighbours(l, true, arena, &w.above));
    CB_TRY(find_neighbours(l, false, arena, &w.below));
    CB_TRY(find_rows(&w, arena));
    for (int sweep = 0; sweep < ORDER_SWEEPS; sweep++)
        for (int i = 0; i < l->n_layers; i++)
            order_row(&w, sweep % 2 ? l->n_layers - 1 - i : i, sweep % 2 ? &w.below : &w.above);
    place_all(&w, block);
    return cb_ok();
}
