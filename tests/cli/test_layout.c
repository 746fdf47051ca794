#include <criterion/criterion.h>
#include <math.h>

#include "cli/layout.h"

static struct cb_arena arena;

static void setup(void)
{
    cr_assert(cb_arena_init(&arena, (size_t)1 << 26).code == CB_OK);
}

static void teardown(void)
{
    cb_arena_deinit(&arena);
}

TestSuite(layout, .init = setup, .fini = teardown);

static double half(const struct cb_layout *l, int place)
{
    return place < l->n_boxes ? l->width[place] / 2 : 0;
}

/* What every drawing must keep. */
static void expect_drawable(const struct cb_layout *l)
{
    for (int i = 0; i < l->n_lines; i++)
        cr_expect_eq(l->layer[l->lines[i].to], l->layer[l->lines[i].from] + 1,
                     "line %d leads from layer %d to %d", i, l->layer[l->lines[i].from],
                     l->layer[l->lines[i].to]);
    for (int i = 0; i < l->n_places; i++) {
        cr_expect(l->x[i] - half(l, i) >= -1e-6 && l->x[i] + half(l, i) <= l->right + 1e-6);
        for (int k = 0; k < i; k++)
            cr_expect(l->layer[i] != l->layer[k] ||
                          fabs(l->x[i] - l->x[k]) >= half(l, i) + half(l, k) + l->gap - 1e-6,
                      "places %d and %d of layer %d are %g apart", i, k, l->layer[i],
                      fabs(l->x[i] - l->x[k]));
    }
}

Test(layout, of_a_residual_block_leads_the_skip_past_its_boxes)
{
    static const double width[] = { 40, 60, 60, 40 };
    static const int edges[][2] = { { 0, 1 }, { 1, 2 }, { 0, 3 }, { 2, 3 } };
    struct cb_layout l = { .n_boxes = 4, .n_edges = 4, .width = width, .edges = edges, .gap = 10 };
    cr_assert(cb_layout_find(&l, &arena).code == CB_OK);
    cr_expect(l.n_layers == 4 && l.n_places == 6 && l.n_lines == 6);
    expect_drawable(&l);
}

Test(layout, draws_edges_of_one_source_through_the_same_bends)
{
    static const double width[] = { 10, 10, 10, 10, 10 };
    static const int edges[][2] = { { 0, 1 }, { 0, 2 }, { 1, 2 }, { 0, 3 },
                                    { 2, 3 }, { 0, 4 }, { 3, 4 } };
    struct cb_layout l = { .n_boxes = 5, .n_edges = 7, .width = width, .edges = edges, .gap = 5 };
    cr_assert(cb_layout_find(&l, &arena).code == CB_OK);
    cr_expect_eq(l.n_places, 8);
    expect_drawable(&l);
}

Test(layout, of_branches_crosses_none_of_them)
{
    static const double width[] = { 30, 50, 50, 50, 50, 50, 50, 30 };
    static const int edges[][2] = { { 0, 1 }, { 0, 2 }, { 0, 3 }, { 1, 6 }, { 2, 5 },
                                    { 3, 4 }, { 4, 7 }, { 5, 7 }, { 6, 7 } };
    struct cb_layout l = { .n_boxes = 8, .n_edges = 9, .width = width, .edges = edges, .gap = 8 };
    cr_assert(cb_layout_find(&l, &arena).code == CB_OK);
    expect_drawable(&l);
    for (int i = 0; i < l.n_lines; i++)
        for (int k = 0; k < i; k++) {
            const struct cb_layout_line a = l.lines[i], b = l.lines[k];
            cr_expect(l.layer[a.from] != l.layer[b.from] ||
                          (l.x[a.from] - l.x[b.from]) * (l.x[a.to] - l.x[b.to]) >= 0,
                      "lines %d and %d cross", i, k);
        }
}

Test(layout, of_random_graphs_keeps_boxes_apart)
{
    enum { BOXES = 40, EDGES = 80 };
    double width[BOXES];
    int edges[EDGES][2];
    uint64_t state = 9;
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < BOXES; i++)
            width[i] = 10 + (double)((state = state * 6364136223846793005u + 1) >> 58);
        for (int i = 0; i < EDGES; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            edges[i][0] = (int)((state >> 33) % (BOXES - 1));
            edges[i][1] =
                edges[i][0] + 1 + (int)((state >> 45) % (uint64_t)(BOXES - 1 - edges[i][0]));
        }
        struct cb_layout l = { .n_boxes = BOXES,
                               .n_edges = EDGES,
                               .width = width,
                               .edges = (const int(*)[2])edges,
                               .gap = 7 };
        cr_assert(cb_layout_find(&l, &arena).code == CB_OK);
        expect_drawable(&l);
        cb_arena_rewind(&arena, 0);
    }
}

Test(layout, of_nothing_is_empty)
{
    struct cb_layout l = { .gap = 7 };
    cr_assert(cb_layout_find(&l, &arena).code == CB_OK);
    cr_expect(l.n_places == 0 && l.n_layers == 0 && l.right == 0);
}
