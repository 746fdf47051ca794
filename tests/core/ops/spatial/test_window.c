#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "core/ops/spatial/window.h"

static const struct cb_window plain = { .stride = { 1, 1, 1 }, .dilation = { 1, 1, 1 } };

/* One spatial axis of `in` pixels; -1 when it is refused. */
static int64_t size_of(struct cb_window *w, int64_t in)
{
    struct cb_node node = { .name = "pool5" };
    const struct cb_shape x = { 3, { 1, in, 1 } };
    int64_t out[CB_MAX_SPATIAL];
    w->rank = 1;
    return cb_window_infer(&node, w, &x, NULL, out).code ? -1 : out[0];
}

Test(window, counts_places_as_the_formula_says)
{
    struct cb_window w = plain;
    w.kernel[0] = 3;
    cr_expect(eq(i64, size_of(&w, 7), 5));
    w.stride[0] = 2;
    cr_expect(eq(i64, size_of(&w, 7), 3));
    cr_expect(eq(i64, size_of(&w, 8), 3));
    w.dilation[0] = 2;
    cr_expect(eq(i64, size_of(&w, 8), 2));
    w.pad_begin[0] = 1, w.pad_end[0] = 2;
    cr_expect(eq(i64, size_of(&w, 8), 4));
}

Test(window, ceil_mode_adds_the_window_that_hangs_over_the_end)
{
    struct cb_window w = plain;
    w.kernel[0] = 3, w.stride[0] = 2, w.ceil_mode = true;
    cr_expect(eq(i64, size_of(&w, 7), 3));
    cr_expect(eq(i64, size_of(&w, 8), 4));
    cr_expect(eq(i64, size_of(&w, 2), 1));
}

Test(window, ceil_mode_drops_the_window_that_begins_in_the_padding)
{
    struct cb_window w = plain;
    w.kernel[0] = 1, w.stride[0] = 2, w.ceil_mode = true;
    cr_expect(eq(i64, size_of(&w, 2), 1));
    w.kernel[0] = 3, w.stride[0] = 3, w.pad_begin[0] = 1, w.pad_end[0] = 1;
    cr_expect(eq(i64, size_of(&w, 5), 2));
}

Test(window, same_puts_the_odd_pixel_at_the_end_or_at_the_beginning)
{
    struct cb_window w = plain;
    w.kernel[0] = 4, w.stride[0] = 2, w.auto_pad = CB_PAD_SAME_UPPER;
    cr_expect(eq(i64, size_of(&w, 5), 3));
    cr_expect(eq(i64, w.pad_begin[0], 1));
    cr_expect(eq(i64, w.pad_end[0], 2));
    w.auto_pad = CB_PAD_SAME_LOWER;
    cr_expect(eq(i64, size_of(&w, 5), 3));
    cr_expect(eq(i64, w.pad_begin[0], 2));
    cr_expect(eq(i64, w.pad_end[0], 1));
    w.kernel[0] = 1, w.stride[0] = 3;
    cr_expect(eq(i64, size_of(&w, 5), 2));
    cr_expect(eq(i64, w.pad_begin[0], 0));
    cr_expect(eq(i64, w.pad_end[0], 0));
}

Test(window, auto_pad_ignores_given_pads)
{
    struct cb_window w = plain;
    w.kernel[0] = 3, w.pad_begin[0] = w.pad_end[0] = 7, w.auto_pad = CB_PAD_VALID;
    cr_expect(eq(i64, size_of(&w, 5), 3));
    cr_expect(eq(i64, w.pad_begin[0], 0));
    cr_expect(eq(i64, w.pad_end[0], 0));
}

Test(window, takes_rank_and_kernel_from_the_filter)
{
    struct cb_node node = { .name = "conv1" };
    struct cb_window w = plain;
    const struct cb_shape x = { 4, { 2, 5, 7, 3 } }, filter = { 4, { 8, 3, 2, 4 } };
    int64_t out[CB_MAX_SPATIAL];
    cr_assert(eq(int, cb_window_infer(&node, &w, &x, &filter, out).code, CB_OK));
    cr_expect(eq(int, w.rank, 2));
    cr_expect(eq(i64, w.kernel[0], 2));
    cr_expect(eq(i64, w.kernel[1], 4));
    cr_expect(eq(i64, out[0], 4));
    cr_expect(eq(i64, out[1], 4));
}

static void expect_refused(struct cb_window w, struct cb_shape x, const struct cb_shape *filter,
                           const char *message)
{
    struct cb_node node = { .name = "pool5" };
    int64_t out[CB_MAX_SPATIAL];
    const struct cb_status st = cb_window_infer(&node, &w, &x, filter, out);
    cr_expect(ne(int, st.code, CB_OK), "is accepted: %s", message);
    cr_expect(eq(str, (char *)st.msg, (char *)message));
}

Test(window, says_why_it_refuses)
{
    const struct cb_shape x = { 4, { 1, 5, 6, 3 } }, filter = { 4, { 8, 3, 2, 4 } };
    struct cb_window w = plain;
    expect_refused(w, x, NULL, "pool5: the window's size is missing");
    expect_refused(w, (struct cb_shape){ 2, { 8, 8 } }, NULL,
                   "pool5: wants [N,spatial...,C], has [8,8]");
    expect_refused(w, (struct cb_shape){ 6, { 1, 1, 1, 1, 1, 1 } }, NULL,
                   "pool5: wants at most 3 spatial axes, has 4");
    expect_refused(w, (struct cb_shape){ 4, { 1, 5, 0, 3 } }, &filter,
                   "pool5: wants sizes of at least 1, has [1,5,0,3]");
    w.rank = 1;
    expect_refused(w, x, NULL, "pool5: a window of 1 axes over an input of 2 spatial axes");
    w.rank = 2, w.kernel[0] = 2, w.kernel[1] = 3;
    expect_refused(w, x, &filter, "pool5: kernel of axis 1 is 3, its filter has 4");
    w.kernel[1] = 7;
    expect_refused(w, x, NULL, "pool5: a window of 7 does not fit axis 1 of 6 padded by 0 and 0");
    w.kernel[1] = 0;
    expect_refused(w, x, NULL, "pool5: kernel of axis 1 wants 1 to 2147483648, has 0");
    w.kernel[1] = 3, w.stride[1] = 0;
    expect_refused(w, x, NULL, "pool5: stride of axis 1 wants 1 to 2147483648, has 0");
    w.stride[1] = 1, w.dilation[0] = -1;
    expect_refused(w, x, NULL, "pool5: dilation of axis 0 wants 1 to 2147483648, has -1");
    w.dilation[0] = INT64_MAX;
    expect_refused(w, x, NULL,
                   "pool5: dilation of axis 0 wants 1 to 2147483648, has 9223372036854775807");
    w.dilation[0] = 1, w.pad_end[0] = -2;
    expect_refused(w, x, NULL, "pool5: padding at the end of axis 0 wants 0 to 2147483648, has -2");
}

/* Against the definition: which of the taps lie inside the input, and inside the padded input. */
Test(window, spans_are_the_taps_inside)
{
    for (int64_t k = 0; k < 3 * 3 * 3 * 3 * 4; k++) {
        struct cb_window w = plain;
        w.kernel[0] = 1 + k % 3, w.stride[0] = 1 + k / 3 % 3, w.dilation[0] = 1 + k / 9 % 3;
        w.pad_begin[0] = k / 27 % 3, w.pad_end[0] = (k + 1) / 27 % 3, w.ceil_mode = k & 1;
        const int64_t in = 5 + k / 81, out = size_of(&w, in);
        if (out < 1)
            continue;
        const struct cb_grid g = cb_grid_make(&w, &(struct cb_shape){ 3, { 1, in, 1 } },
                                              &(struct cb_shape){ 3, { 1, out, 1 } });
        for (int64_t o = 0; o < out; o++) {
            const struct cb_span s = cb_grid_span(&g, 2, (size_t)o);
            size_t inside = 0, padded = 0;
            for (int64_t t = 0; t < w.kernel[0]; t++) {
                const int64_t at = o * w.stride[0] + t * w.dilation[0] - w.pad_begin[0];
                padded += at < in + w.pad_end[0];
                if (at >= 0 && at < in && !inside++)
                    cr_assert(eq(sz, s.begin, (size_t)at), "case %d", (int)k);
            }
            cr_assert(eq(sz, s.count, inside), "case %d", (int)k);
            cr_assert(eq(sz, s.padded, padded), "case %d", (int)k);
            cr_assert(le(sz, s.count, cb_grid_max_taps(&g)), "case %d", (int)k);
        }
    }
}

Test(window, takes_the_largest_numbers_without_overflow)
{
    struct cb_window w = plain;
    w.kernel[0] = w.dilation[0] = w.stride[0] = (int64_t)1 << 31;
    w.auto_pad = CB_PAD_SAME_LOWER;
    cr_assert(eq(i64, size_of(&w, (int64_t)1 << 31), 1));
    const struct cb_grid g = cb_grid_make(&w, &(struct cb_shape){ 3, { 1, (int64_t)1 << 31, 1 } },
                                          &(struct cb_shape){ 3, { 1, 1, 1 } });
    const struct cb_span s = cb_grid_span(&g, 2, 0);
    cr_expect(eq(sz, s.count, 1));
}
