/* core/image/resize_rows.h - the two inner loops of a resize: one row across, one row down.
 *
 * A coefficient has 22 fraction bits and is kept as hi * 256 + lo with 0 <= lo <= 255, so that
 * 16-bit multiply-adds give the exact 32-bit sum: the plain and the SSE2 form agree to the bit. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define CB_RESIZE_BITS 22

/* The taps of n output positions: position i is the sum over j < count[i] of in[first[i] + j] times
 * coefficient j. Its coefficients start at i * stride; stride is even and those past count[i] are
 * 0. */
struct cb_resize_taps {
    int n, stride;
    int *first, *count;
    int16_t *hi, *lo;
};

/* out [taps->n, 3] from one row of `width` pixels. */
void cb_resize_row_across(const struct cb_resize_taps *taps, int width, const uint8_t *in,
                          uint8_t *out);
void cb_resize_row_across_plain(const struct cb_resize_taps *taps, int width, const uint8_t *in,
                                uint8_t *out);

/* out [len] at output position i, from rows that lie row_len bytes apart; `in` is row 0. */
void cb_resize_row_down(const struct cb_resize_taps *taps, int i, size_t len, const uint8_t *in,
                        size_t row_len, uint8_t *out);
void cb_resize_row_down_plain(const struct cb_resize_taps *taps, int i, size_t len,
                              const uint8_t *in, size_t row_len, uint8_t *out);
