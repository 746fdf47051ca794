/* importers/image/jpeg.c - JPEG, by libjpeg-turbo.
 *
 * libjpeg's error_exit must not return: longjmp is the only way out of its depths, as its own
 * manual says. It stays in this file: `guarded` is the one place that setjmp is called at, it has
 * no locals that could be lost, and everything that lives across the jump is in struct job. */
#include <setjmp.h>
#include <stdio.h> /* jpeglib.h wants FILE */
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "importers/image/codec.h"

/* A scan may pass over all pixels and cost no bytes, so scans x pixels are held below this, too. */
#define MAX_SCANNED_PIXELS 2000000000
#define FEW_SCANS 16 /* allowed at any size: encoders make about ten */

struct job {
    struct jpeg_decompress_struct cinfo;
    struct jpeg_error_mgr error;
    struct jpeg_source_mgr source;
    struct jpeg_progress_mgr progress;
    jmp_buf escape;
    struct cb_status st;
    struct cb_canvas *canvas;
    int wanted_short_side;
    int max_scans;
    bool ended;   /* the file was over before its end marker */
    bool starved; /* a scan was over before its last block */
};

static _Noreturn void leave(struct job *job, struct cb_status st)
{
    job->st = st;
    longjmp(job->escape, 1);
}

static enum cb_code code_of(int message)
{
    return message == JERR_OUT_OF_MEMORY || message == JERR_NO_BACKING_STORE ? CB_ERR_NOMEM
                                                                             : CB_ERR_CONTENT;
}

static void on_error(j_common_ptr cinfo)
{
    char text[JMSG_LENGTH_MAX];
    cinfo->err->format_message(cinfo, text);
    leave(cinfo->client_data, cb_fail(code_of(cinfo->err->msg_code), "jpeg: %s", text));
}

/* A scan met a marker before its last block. A restart marker only lost some; any other ends the
 * scan, and libjpeg leaves the rest gray. */
static void on_message(j_common_ptr base, int level)
{
    struct job *job = base->client_data;
    const struct jpeg_decompress_struct *cinfo = &job->cinfo;
    const int marker = cinfo->unread_marker;
    if (level >= 0 || base->err->msg_code != JWRN_HIT_MARKER ||
        (marker >= JPEG_RST0 && marker < JPEG_RST0 + 8))
        return;
    if (!job->starved && cinfo->input_scan_number <= 1 && cinfo->input_iMCU_row == 0)
        leave(job,
              cb_fail(CB_ERR_CONTENT, "jpeg: cut short before the first row of blocks was whole"));
    job->starved = true;
}

static void no_output(j_common_ptr cinfo)
{
    (void)cinfo;
}

static void on_progress(j_common_ptr cinfo)
{
    struct job *job = cinfo->client_data;
    if (job->cinfo.input_scan_number > job->max_scans)
        leave(job, cb_fail(CB_ERR_TOO_LARGE, "jpeg: more than %d scans of %u x %u pixels",
                           job->max_scans, job->cinfo.image_width, job->cinfo.image_height));
}

static void source_nothing(j_decompress_ptr cinfo)
{
    (void)cinfo;
}

/* The file is over: libjpeg is given the end marker that should have been there. */
static boolean source_more(j_decompress_ptr cinfo)
{
    static const JOCTET end[] = { 0xff, JPEG_EOI };
    struct job *job = cinfo->client_data;
    job->ended = true;
    cinfo->src->next_input_byte = end;
    cinfo->src->bytes_in_buffer = sizeof end;
    return TRUE;
}

static void source_skip(j_decompress_ptr cinfo, long n)
{
    struct jpeg_source_mgr *source = cinfo->src;
    if (n <= 0)
        return;
    if ((size_t)n > source->bytes_in_buffer) {
        source_more(cinfo);
        return;
    }
    source->next_input_byte += n;
    source->bytes_in_buffer -= (size_t)n;
}

/* Pillow's CMYK to RGB; libjpeg gives the inks as Adobe writes them: 255 is none. */
static void ink_to_rgb(size_t n, const uint8_t *cmyk, uint8_t *rgb)
{
    for (size_t i = 0; i < n; i++, cmyk += 4, rgb += 3)
        for (int c = 0; c < 3; c++) {
            const int t = (255 - cmyk[c]) * cmyk[3] + 128;
            rgb[c] = (uint8_t)(cmyk[3] - ((t + (t >> 8)) >> 8));
        }
}

/* libjpeg decodes at M/8 of the size in less time. Taken only where M/8 of both sides is whole, so
 * that the picture's geometry stays exact, and never for inks, whose product with black is far from
 * linear. */
static void choose_scale(struct job *job)
{
    static const unsigned eighths[] = { 1, 2, 4 };
    struct jpeg_decompress_struct *cinfo = &job->cinfo;
    const unsigned w = cinfo->image_width, h = cinfo->image_height, side = w < h ? w : h;
    if (job->wanted_short_side < 1 || cinfo->out_color_space == JCS_CMYK)
        return;
    for (size_t i = 0; i < CB_COUNT_OF(eighths); i++) {
        const unsigned m = eighths[i];
        const unsigned rest = side * m / 8;
        if (w * m % 8 || h * m % 8 || rest < (unsigned)job->canvas->limits->reduced_side ||
            rest / CB_DECODE_SPARE < (unsigned)job->wanted_short_side)
            continue;
        cinfo->scale_num = m;
        cinfo->scale_denom = 8;
        return;
    }
}

static void hold_limits(struct job *job)
{
    struct jpeg_decompress_struct *cinfo = &job->cinfo;
    struct cb_status st = cb_canvas_check(job->canvas, cinfo->image_width, cinfo->image_height);
    if (st.code)
        leave(job, st);
    const size_t pixels = (size_t)cinfo->image_width * cinfo->image_height;
    const size_t scans = MAX_SCANNED_PIXELS / pixels;
    const size_t fair = scans > FEW_SCANS ? scans : FEW_SCANS;
    const int most = job->canvas->limits->max_scans;
    job->max_scans = fair < (size_t)most ? (int)fair : most;
}

static void choose_colors(struct job *job)
{
    struct jpeg_decompress_struct *cinfo = &job->cinfo;
    if (cinfo->num_components == 2 || cinfo->num_components > 4)
        leave(job, cb_fail(CB_ERR_CONTENT, "jpeg: %d colour components: 1, 3 and 4 are read",
                           cinfo->num_components));
    cinfo->out_color_space = cinfo->num_components == 4 ? JCS_CMYK : JCS_RGB;
}

/* Room for the pixels; libjpeg may take for itself as much as the arena then has left, and 0 would
 * mean any amount to it. */
static void take_memory(struct job *job)
{
    struct jpeg_decompress_struct *cinfo = &job->cinfo;
    const struct cb_arena *arena = job->canvas->arena;
    jpeg_calc_output_dimensions(cinfo);
    struct cb_status st =
        cb_canvas_begin(job->canvas, (int)cinfo->output_width, (int)cinfo->output_height);
    if (st.code)
        leave(job, st);
    const size_t left = arena->budget - arena->used;
    cinfo->mem->max_memory_to_use = left ? (long)left : 1;
}

static void read_rows(struct job *job)
{
    struct jpeg_decompress_struct *cinfo = &job->cinfo;
    const size_t width = cinfo->output_width;
    const bool ink = cinfo->out_color_space == JCS_CMYK;
    uint8_t *line = NULL;
    if (ink) {
        struct cb_status st = cb_arena_get(job->canvas->arena, width, 4, "photo", &line);
        if (st.code)
            leave(job, st);
    }
    while (cinfo->output_scanline < cinfo->output_height) {
        uint8_t *to = job->canvas->rgb + (size_t)cinfo->output_scanline * width * 3;
        JSAMPROW row = ink ? line : to;
        jpeg_read_scanlines(cinfo, &row, 1);
        if (ink)
            ink_to_rgb(width, line, to);
    }
}

static void decode(struct job *job)
{
    struct jpeg_decompress_struct *cinfo = &job->cinfo;
    jpeg_create_decompress(cinfo);
    cinfo->src = &job->source;
    cinfo->progress = &job->progress;
    jpeg_read_header(cinfo, TRUE);
    hold_limits(job);
    choose_colors(job);
    choose_scale(job);
    take_memory(job);
    jpeg_start_decompress(cinfo); /* reads all scans where there are many */
    read_rows(job);
}

static struct cb_status guarded(struct job *job)
{
    if (!setjmp(job->escape))
        decode(job);
    jpeg_destroy_decompress(&job->cinfo);
    return job->st;
}

struct cb_status cb_jpeg_read(struct cb_canvas *canvas, struct cb_bytes file, int wanted_short_side,
                              bool *truncated)
{
    struct job job = { .canvas = canvas, .wanted_short_side = wanted_short_side, .st = cb_ok() };
    job.cinfo.err = jpeg_std_error(&job.error);
    job.cinfo.client_data = &job;
    job.error.error_exit = on_error;
    job.error.emit_message = on_message;
    job.error.output_message = no_output;
    job.progress.progress_monitor = on_progress;
    job.source = (struct jpeg_source_mgr){
        .next_input_byte = file.data,
        .bytes_in_buffer = file.len,
        .init_source = source_nothing,
        .fill_input_buffer = source_more,
        .skip_input_data = source_skip,
        .resync_to_restart = jpeg_resync_to_restart,
        .term_source = source_nothing,
    };
    CB_TRY(guarded(&job));
    *truncated = job.starved || (job.ended && job.cinfo.input_scan_number > 1);
    return cb_ok();
}
