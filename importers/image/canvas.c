#include <string.h>

#include "importers/image/codec.h"

#define GRAY 128
#define BLOCK 32 /* pixels: a block of rows of both pictures stays in the cache */

struct cb_status cb_canvas_check(struct cb_canvas *canvas, int64_t full_width, int64_t full_height)
{
    const struct cb_decode_limits *limits = canvas->limits;
    if (full_width < 1 || full_height < 1)
        return cb_fail(CB_ERR_CONTENT, "%s: %lld x %lld pixels", canvas->format,
                       (long long)full_width, (long long)full_height);
    if (full_width > limits->max_side || full_height > limits->max_side)
        return cb_fail(CB_ERR_TOO_LARGE, "%s: %lld x %lld pixels: a side may have %d at most",
                       canvas->format, (long long)full_width, (long long)full_height,
                       limits->max_side);
    if ((uint64_t)full_width * (uint64_t)full_height > limits->max_pixels)
        return cb_fail(CB_ERR_TOO_LARGE, "%s: %lld x %lld pixels: %zu in all are the limit",
                       canvas->format, (long long)full_width, (long long)full_height,
                       limits->max_pixels);
    canvas->full_width = (int)full_width;
    canvas->full_height = (int)full_height;
    return cb_ok();
}

/* clang-format off */
/* How the upright picture reads the one in the file, by EXIF orientation: its columns are rows of
 * the file's (swap); the file's are read from the right (flip_x) or from the bottom (flip_y). */
static const struct turn {
    bool swap, flip_x, flip_y;
} turns[9] = {
    [1] = { false, false, false }, [2] = { false, true, false }, [3] = { false, true, true },
    [4] = { false, false, true },  [5] = { true, false, false }, [6] = { true, false, true },
    [7] = { true, true, true },    [8] = { true, true, false },
};
/* clang-format on */

struct cb_status cb_canvas_begin(struct cb_canvas *canvas, int width, int height)
{
    const bool swap = turns[canvas->orientation].swap;
    const size_t row = (size_t)width * 3, rows = (size_t)height;
    canvas->width = width;
    canvas->height = height;
    canvas->image = (struct cb_image){ swap ? height : width, swap ? width : height, NULL };
    CB_TRY(cb_arena_get(canvas->arena, rows, row, "photo", &canvas->image.rgb));
    canvas->rgb = canvas->image.rgb;
    if (canvas->orientation > 1)
        return cb_arena_get(canvas->arena, rows, row, "photo", &canvas->rgb);
    return cb_ok();
}

void cb_canvas_gray(struct cb_canvas *canvas, int row)
{
    const size_t len = (size_t)canvas->width * 3;
    memset(canvas->rgb + (size_t)row * len, GRAY, (size_t)(canvas->height - row) * len);
}

/* One block of the upright picture; step: bytes in the file's picture per column and row of it. */
static void turn_block(const uint8_t *from, ptrdiff_t step_x, ptrdiff_t step_y, int columns,
                       int rows, uint8_t *to, size_t to_row)
{
    for (int y = 0; y < rows; y++) {
        const uint8_t *p = from + y * step_y;
        uint8_t *q = to + (size_t)y * to_row;
        for (int x = 0; x < columns; x++, p += step_x, q += 3)
            memcpy(q, p, 3);
    }
}

void cb_canvas_finish(struct cb_canvas *canvas)
{
    const struct turn turn = turns[canvas->orientation];
    const struct cb_image *out = &canvas->image;
    const ptrdiff_t row = (ptrdiff_t)canvas->width * 3;
    const ptrdiff_t along = turn.flip_x ? -3 : 3, down = turn.flip_y ? -row : row;
    const ptrdiff_t step_x = turn.swap ? down : along, step_y = turn.swap ? along : down;
    const uint8_t *from =
        canvas->rgb + (turn.flip_x ? row - 3 : 0) + (turn.flip_y ? (canvas->height - 1) * row : 0);
    const size_t out_row = (size_t)out->width * 3;
    if (canvas->orientation == 1)
        return;
    for (int y = 0; y < out->height; y += BLOCK)
        for (int x = 0; x < out->width; x += BLOCK)
            turn_block(from + x * step_x + y * step_y, step_x, step_y,
                       out->width - x < BLOCK ? out->width - x : BLOCK,
                       out->height - y < BLOCK ? out->height - y : BLOCK,
                       out->rgb + (size_t)y * out_row + (size_t)x * 3, out_row);
    cb_arena_rewind(canvas->arena,
                    (size_t)(out->rgb - canvas->arena->base) + out_row * (size_t)out->height);
}

/* a * b / 255, rounded. */
static unsigned scaled(unsigned a, unsigned b)
{
    const unsigned t = a * b + 128;
    return (t + (t >> 8)) >> 8;
}

void cb_canvas_over_white(size_t n, const uint8_t *rgba, uint8_t *rgb)
{
    for (size_t i = 0; i < n; i++, rgba += 4, rgb += 3)
        for (int c = 0; c < 3; c++)
            rgb[c] = (uint8_t)(255 - scaled(255u - rgba[c], rgba[3]));
}
