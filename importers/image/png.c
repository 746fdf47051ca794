#include <limits.h>
#include <string.h>

#include <spng.h>

#include "importers/image/codec.h"

#define MAX_CHUNK ((size_t)16 << 20) /* of what is no pixels: profiles, texts */

/* clang-format off */
/* The seven passes of an interlaced picture: where each starts and how far its pixels lie apart.
 * PNG, third edition, section 8.1. */
static const struct pass {
    int x, y, step_x, step_y;
} passes[] = {
    { 0, 0, 8, 8 }, { 4, 0, 8, 8 }, { 0, 4, 4, 8 }, { 2, 0, 4, 4 },
    { 0, 2, 2, 4 }, { 1, 0, 2, 2 }, { 0, 1, 1, 2 },
};

/* How far apart the pixels lie that the passes before pass i have given; of the first: its own. */
static const struct { size_t x, y; } grids[] = {
    { 8, 8 }, { 8, 8 }, { 4, 8 }, { 4, 4 }, { 2, 4 }, { 2, 2 }, { 1, 2 },
};
/* clang-format on */

struct job {
    spng_ctx *ctx;
    struct cb_canvas *canvas;
    struct spng_ihdr header;
    bool alpha;    /* lines are RGBA, else RGB */
    uint8_t *line; /* one line as it comes; NULL when it can go straight to the canvas */
    size_t line_len;
};

static struct cb_status failed(int code)
{
    return cb_fail(code == SPNG_EMEM ? CB_ERR_NOMEM : CB_ERR_CONTENT, "png: %s",
                   spng_strerror(code));
}

static struct cb_status open_file(struct job *job, struct cb_bytes file)
{
    struct spng_trns transparent;
    int code =
        spng_set_image_limits(job->ctx, INT_MAX, INT_MAX); /* ours are held below, and named */
    if (!code)
        code = spng_set_chunk_limits(job->ctx, MAX_CHUNK, MAX_CHUNK);
    if (!code)
        code = spng_set_crc_action(job->ctx, SPNG_CRC_ERROR, SPNG_CRC_DISCARD);
    if (!code)
        code = spng_set_png_buffer(job->ctx, file.data, file.len);
    if (!code)
        code = spng_get_ihdr(job->ctx, &job->header);
    if (code)
        return failed(code);
    CB_TRY(cb_canvas_check(job->canvas, job->header.width, job->header.height));
    code = spng_get_trns(job->ctx, &transparent);
    if (code && code != SPNG_ECHUNKAVAIL)
        return failed(code);
    job->alpha = code == SPNG_OK || job->header.color_type == SPNG_COLOR_TYPE_GRAYSCALE_ALPHA ||
                 job->header.color_type == SPNG_COLOR_TYPE_TRUECOLOR_ALPHA;
    return cb_ok();
}

static struct cb_status take_memory(struct job *job)
{
    const int width = (int)job->header.width, height = (int)job->header.height;
    CB_TRY(cb_canvas_begin(job->canvas, width, height));
    if (job->header.interlace_method)
        cb_canvas_gray(job->canvas, 0);
    job->line_len = (size_t)width * (job->alpha ? 4 : 3);
    if (!job->alpha && !job->header.interlace_method)
        return cb_ok();
    return cb_arena_get(job->canvas->arena, job->line_len, 1, "photo", &job->line);
}

/* A line of a pass, spread over its row; or of a picture that is not interlaced. */
static void put_line(struct job *job, const struct spng_row_info *info)
{
    static const struct pass whole = { 0, 0, 1, 1 };
    const struct pass *pass = job->header.interlace_method ? &passes[info->pass] : &whole;
    const size_t bytes = job->alpha ? 4 : 3, width = job->header.width;
    uint8_t *row = job->canvas->rgb + (size_t)info->row_num * width * 3;
    const uint8_t *from = job->line;
    if (job->alpha && pass == &whole) {
        cb_canvas_over_white(width, from, row);
        return;
    }
    for (size_t x = (size_t)pass->x; x < width; x += (size_t)pass->step_x, from += bytes) {
        if (job->alpha)
            cb_canvas_over_white(1, from, row + x * 3);
        else
            memcpy(row + x * 3, from, 3);
    }
}

/* An interlaced picture whose data ended in this pass: its blocks get the colour of their first
 * pixel. */
static void spread(struct job *job, int pass)
{
    const size_t width = job->header.width, height = job->header.height;
    uint8_t *rgb = job->canvas->rgb;
    for (size_t y = 0; y < height; y++)
        for (size_t x = 0; x < width; x++) {
            const size_t from_y = y - y % grids[pass].y, from_x = x - x % grids[pass].x;
            memmove(rgb + (y * width + x) * 3, rgb + (from_y * width + from_x) * 3, 3);
        }
}

/* What a picture cut short lacks after this line. */
static void fill_rest(struct job *job, const struct spng_row_info *line)
{
    if (job->header.interlace_method)
        spread(job, line->pass);
    else
        cb_canvas_gray(job->canvas, (int)line->row_num);
}

/* Reads lines to the end, or to where it breaks off: `line` is then the one that is not there. */
static int read_lines(struct job *job, struct spng_row_info *line)
{
    const int format = job->alpha ? SPNG_FMT_RGBA8 : SPNG_FMT_RGB8;
    const int flags = SPNG_DECODE_PROGRESSIVE | (job->alpha ? SPNG_DECODE_TRNS : 0);
    int code = spng_decode_image(job->ctx, NULL, 0, format, flags);
    while (!code && !(code = spng_get_row_info(job->ctx, line))) {
        uint8_t *row = job->canvas->rgb + (size_t)line->row_num * job->header.width * 3;
        code = spng_decode_scanline(job->ctx, job->line ? job->line : row, job->line_len);
        if (job->line && (!code || code == SPNG_EOI))
            put_line(job, line);
    }
    return code;
}

static struct cb_status read_all(struct job *job, struct cb_bytes file, bool *truncated)
{
    struct spng_row_info line = { 0 };
    CB_TRY(open_file(job, file));
    CB_TRY(take_memory(job));
    const int code = read_lines(job, &line);
    if (code == SPNG_EOI)
        return cb_ok();
    if ((code != SPNG_IO_EOF && code != SPNG_EIDAT_TOO_SHORT) ||
        (line.scanline_idx == 0 && line.pass == 0))
        return failed(code);
    fill_rest(job, &line);
    *truncated = true;
    return cb_ok();
}

struct cb_status cb_png_read(struct cb_canvas *canvas, struct cb_bytes file, int wanted_short_side,
                             bool *truncated)
{
    struct job job = { .ctx = spng_ctx_new(0), .canvas = canvas };
    (void)wanted_short_side; /* a PNG has one size */
    if (!job.ctx)
        return cb_fail(CB_ERR_NOMEM, "png: no memory");
    struct cb_status st = read_all(&job, file, truncated);
    spng_ctx_free(job.ctx);
    return st;
}
