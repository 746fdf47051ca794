#include "core/train/split.h"

#include <criterion/criterion.h>
#include <string.h>

enum { N = 103, CLASSES = 4 };

/* 2 of class 0, 7 of class 1, 31 of class 2, 63 of class 3, mixed. */
static void make_labels(int labels[N])
{
    static const int count[CLASSES] = { 2, 7, 31, 63 };
    int at = 0;
    for (int c = 0; c < CLASSES; c++)
        for (int i = 0; i < count[c]; i++)
            labels[at++ * 37 % N] = c; /* 37 and 103 have no common factor */
}

Test(split, holds_out_a_share_of_every_class)
{
    int labels[N], held[CLASSES] = { 0 };
    bool *flags;
    struct cb_arena arena;
    make_labels(labels);
    cr_assert_eq(cb_arena_init(&arena, 1 << 16).code, CB_OK);
    cr_assert_eq(cb_split_held_out(&arena, labels, N, CLASSES, 0.2f, 5, &flags).code, CB_OK);
    for (int i = 0; i < N; i++)
        held[labels[i]] += flags[i];
    cr_expect_eq(held[0], 1, "at least one, and one is left: %d", held[0]);
    cr_expect_eq(held[1], 1);
    cr_expect_eq(held[2], 6);
    cr_expect_eq(held[3], 13);
    cb_arena_deinit(&arena);
}

Test(split, the_seed_decides)
{
    int labels[N];
    bool *a, *b, *c;
    struct cb_arena arena;
    make_labels(labels);
    cr_assert_eq(cb_arena_init(&arena, 1 << 16).code, CB_OK);
    cr_assert_eq(cb_split_held_out(&arena, labels, N, CLASSES, 0.3f, 5, &a).code, CB_OK);
    cr_assert_eq(cb_split_held_out(&arena, labels, N, CLASSES, 0.3f, 5, &b).code, CB_OK);
    cr_assert_eq(cb_split_held_out(&arena, labels, N, CLASSES, 0.3f, 6, &c).code, CB_OK);
    cr_expect_arr_eq(a, b, N);
    cr_expect_neq(memcmp(a, c, N), 0);
    cb_arena_deinit(&arena);
}

Test(split, folds_are_even_and_leave_held_out_and_lonely_examples_alone)
{
    int labels[N], *fold, size[4] = { 0 }, of_last[4] = { 0 };
    bool *held_out;
    struct cb_arena arena;
    make_labels(labels);
    cr_assert_eq(cb_arena_init(&arena, 1 << 16).code, CB_OK);
    cr_assert_eq(cb_split_held_out(&arena, labels, N, CLASSES, 0.2f, 5, &held_out).code, CB_OK);
    cr_assert_eq(cb_split_folds(&arena, labels, N, CLASSES, held_out, 4, 9, &fold).code, CB_OK);
    for (int i = 0; i < N; i++) {
        cr_assert(fold[i] >= -1 && fold[i] < 4);
        if (held_out[i] || labels[i] == 0)
            cr_expect_eq(fold[i], -1, "example %d", i);
        else
            size[fold[i]]++, of_last[fold[i]] += labels[i] == 3;
    }
    for (int k = 0; k < 4; k++) {
        cr_expect(size[k] == 20 || size[k] == 21, "fold %d has %d", k, size[k]);
        cr_expect(of_last[k] == 12 || of_last[k] == 13, "fold %d has %d of the last class", k,
                  of_last[k]);
    }
    cb_arena_deinit(&arena);
}

Test(split, balanced_classes_weigh_the_same_together)
{
    int labels[N];
    float weight[CLASSES], sum[CLASSES] = { 0 };
    make_labels(labels);
    cb_split_class_weights(labels, N, CLASSES, true, weight);
    for (int i = 0; i < N; i++)
        sum[labels[i]] += weight[labels[i]];
    for (int c = 0; c < CLASSES; c++)
        cr_expect_float_eq(sum[c], (float)N / CLASSES, 1e-3f, "class %d: %g", c, (double)sum[c]);
    cb_split_class_weights(labels, N, CLASSES, false, weight);
    for (int c = 0; c < CLASSES; c++)
        cr_expect_eq(weight[c], 1);
}
