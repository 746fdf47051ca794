#include "core/image/resize_rows.h"

#include <string.h>

#ifdef __SSE2__ /* part of every x86-64, so nothing is asked of the CPU */
#include <emmintrin.h>
#endif

#define HALF (1 << (CB_RESIZE_BITS - 1))

static uint8_t finish(int32_t hi, int32_t lo)
{
    const int32_t v = (hi * 256 + lo + HALF) >> CB_RESIZE_BITS;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

static void across_pixel(const struct cb_resize_taps *taps, int i, const uint8_t *in, uint8_t *out)
{
    const int16_t *k_hi = taps->hi + (size_t)i * (size_t)taps->stride;
    const int16_t *k_lo = taps->lo + (size_t)i * (size_t)taps->stride;
    const uint8_t *p = in + (size_t)taps->first[i] * 3;
    int32_t hi[3] = { 0 }, lo[3] = { 0 };
    for (int j = 0; j < taps->count[i]; j++, p += 3)
        for (int c = 0; c < 3; c++) {
            hi[c] += p[c] * k_hi[j];
            lo[c] += p[c] * k_lo[j];
        }
    for (int c = 0; c < 3; c++)
        out[c] = finish(hi[c], lo[c]);
}

void cb_resize_row_across_plain(const struct cb_resize_taps *taps, int width, const uint8_t *in,
                                uint8_t *out)
{
    (void)width;
    for (int i = 0; i < taps->n; i++)
        across_pixel(taps, i, in, out + (size_t)i * 3);
}

/* Bytes [from, len) of a row. */
static void down_bytes(const struct cb_resize_taps *taps, int i, size_t from, size_t len,
                       const uint8_t *in, size_t row_len, uint8_t *out)
{
    const int16_t *k_hi = taps->hi + (size_t)i * (size_t)taps->stride;
    const int16_t *k_lo = taps->lo + (size_t)i * (size_t)taps->stride;
    const uint8_t *rows = in + (size_t)taps->first[i] * row_len;
    for (size_t x = from; x < len; x++) {
        int32_t hi = 0, lo = 0;
        for (int j = 0; j < taps->count[i]; j++) {
            const int v = rows[(size_t)j * row_len + x];
            hi += v * k_hi[j];
            lo += v * k_lo[j];
        }
        out[x] = finish(hi, lo);
    }
}

void cb_resize_row_down_plain(const struct cb_resize_taps *taps, int i, size_t len,
                              const uint8_t *in, size_t row_len, uint8_t *out)
{
    down_bytes(taps, i, 0, len, in, row_len, out);
}

#ifdef __SSE2__

static __m128i pair_of(const int16_t *k)
{
    int32_t two;
    memcpy(&two, k, sizeof two);
    return _mm_set1_epi32(two);
}

static __m128i four_bytes(const uint8_t *p)
{
    int32_t v;
    memcpy(&v, p, sizeof v);
    return _mm_cvtsi32_si128(v);
}

static __m128i finish4(__m128i hi, __m128i lo)
{
    const __m128i sum = _mm_add_epi32(_mm_slli_epi32(hi, 8), lo);
    return _mm_srai_epi32(_mm_add_epi32(sum, _mm_set1_epi32(HALF)), CB_RESIZE_BITS);
}

/* Two pixels a step: r0 r1 g0 g1 b0 b1 x x as 16 bits, times k0 k1 k0 k1 .., added in pairs. */
static void across_pixel_sse2(const struct cb_resize_taps *taps, int i, const uint8_t *in,
                              uint8_t *out)
{
    const __m128i zero = _mm_setzero_si128();
    const int16_t *k_hi = taps->hi + (size_t)i * (size_t)taps->stride;
    const int16_t *k_lo = taps->lo + (size_t)i * (size_t)taps->stride;
    const uint8_t *p = in + (size_t)taps->first[i] * 3;
    __m128i hi = zero, lo = zero;
    for (int j = 0; j < taps->count[i]; j += 2, p += 6) {
        const __m128i two = _mm_unpacklo_epi8(four_bytes(p), four_bytes(p + 3));
        const __m128i wide = _mm_unpacklo_epi8(two, zero);
        hi = _mm_add_epi32(hi, _mm_madd_epi16(wide, pair_of(k_hi + j)));
        lo = _mm_add_epi32(lo, _mm_madd_epi16(wide, pair_of(k_lo + j)));
    }
    const __m128i words = _mm_packs_epi32(finish4(hi, lo), zero);
    const int32_t bytes = _mm_cvtsi128_si32(_mm_packus_epi16(words, zero));
    memcpy(out, &bytes, 3);
}

void cb_resize_row_across(const struct cb_resize_taps *taps, int width, const uint8_t *in,
                          uint8_t *out)
{
    for (int i = 0; i < taps->n; i++, out += 3) {
        /* A step reads one byte past its two pixels, and an odd count reads one pixel more. */
        const int end = taps->first[i] + ((taps->count[i] + 1) & ~1);
        if (end < width)
            across_pixel_sse2(taps, i, in, out);
        else
            across_pixel(taps, i, in, out);
    }
}

/* 16 bytes of two rows, interleaved and widened, times the pair of coefficients. */
static void down_step(const uint8_t *a, const uint8_t *b, __m128i k_hi, __m128i k_lo, __m128i hi[4],
                      __m128i lo[4])
{
    const __m128i zero = _mm_setzero_si128();
    const __m128i va = _mm_loadu_si128((const __m128i *)(const void *)a);
    const __m128i vb = _mm_loadu_si128((const __m128i *)(const void *)b);
    const __m128i first = _mm_unpacklo_epi8(va, vb), second = _mm_unpackhi_epi8(va, vb);
    const __m128i wide[4] = { _mm_unpacklo_epi8(first, zero), _mm_unpackhi_epi8(first, zero),
                              _mm_unpacklo_epi8(second, zero), _mm_unpackhi_epi8(second, zero) };
    for (int q = 0; q < 4; q++) {
        hi[q] = _mm_add_epi32(hi[q], _mm_madd_epi16(wide[q], k_hi));
        lo[q] = _mm_add_epi32(lo[q], _mm_madd_epi16(wide[q], k_lo));
    }
}

void cb_resize_row_down(const struct cb_resize_taps *taps, int i, size_t len, const uint8_t *in,
                        size_t row_len, uint8_t *out)
{
    const int16_t *k_hi = taps->hi + (size_t)i * (size_t)taps->stride;
    const int16_t *k_lo = taps->lo + (size_t)i * (size_t)taps->stride;
    const uint8_t *rows = in + (size_t)taps->first[i] * row_len;
    const int count = taps->count[i];
    size_t x = 0;
    for (; x + 16 <= len; x += 16) {
        __m128i hi[4] = { 0 }, lo[4] = { 0 };
        for (int j = 0; j < count; j += 2) {
            const uint8_t *a = rows + (size_t)j * row_len + x;
            const uint8_t *b = j + 1 < count ? a + row_len : a; /* its coefficient is 0 */
            down_step(a, b, pair_of(k_hi + j), pair_of(k_lo + j), hi, lo);
        }
        const __m128i front = _mm_packs_epi32(finish4(hi[0], lo[0]), finish4(hi[1], lo[1]));
        const __m128i back = _mm_packs_epi32(finish4(hi[2], lo[2]), finish4(hi[3], lo[3]));
        _mm_storeu_si128((__m128i *)(void *)(out + x), _mm_packus_epi16(front, back));
    }
    down_bytes(taps, i, x, len, in, row_len, out);
}

#else

void cb_resize_row_across(const struct cb_resize_taps *taps, int width, const uint8_t *in,
                          uint8_t *out)
{
    cb_resize_row_across_plain(taps, width, in, out);
}

void cb_resize_row_down(const struct cb_resize_taps *taps, int i, size_t len, const uint8_t *in,
                        size_t row_len, uint8_t *out)
{
    cb_resize_row_down_plain(taps, i, len, in, row_len, out);
}

#endif
