/* importers/image/webp.c - WebP, by libwebp. Of an animation the first frame is the photo. */
#include <string.h>

#include <webp/decode.h>
#include <webp/demux.h>

#include "importers/image/codec.h"

/* A frame of the picture and where it lies on the canvas. */
struct frame {
    struct cb_bytes bytes;
    int x, y, width, height;
    bool alpha;
};

static struct cb_status failed(VP8StatusCode code)
{
    static const char *const reasons[] = {
        [VP8_STATUS_OUT_OF_MEMORY] = "no memory",
        [VP8_STATUS_INVALID_PARAM] = "a size that cannot be",
        [VP8_STATUS_BITSTREAM_ERROR] = "damaged",
        [VP8_STATUS_UNSUPPORTED_FEATURE] = "a feature that is not supported",
        [VP8_STATUS_NOT_ENOUGH_DATA] = "cut short before the first row",
    };
    const char *reason = (size_t)code < CB_COUNT_OF(reasons) ? reasons[code] : NULL;
    return cb_fail(code == VP8_STATUS_OUT_OF_MEMORY ? CB_ERR_NOMEM : CB_ERR_CONTENT, "webp: %s",
                   reason ? reason : "damaged");
}

static struct cb_status first_frame(struct cb_bytes file, struct frame *frame)
{
    WebPDemuxState state;
    WebPIterator iterator;
    struct cb_status st = cb_fail(CB_ERR_CONTENT, "webp: an animation without a first frame");
    WebPDemuxer *demux = WebPDemuxPartial(&(WebPData){ file.data, file.len }, &state);
    if (!demux)
        return st;
    if (WebPDemuxGetFrame(demux, 1, &iterator)) {
        *frame = (struct frame){ { iterator.fragment.bytes, iterator.fragment.size },
                                 iterator.x_offset,
                                 iterator.y_offset,
                                 iterator.width,
                                 iterator.height,
                                 iterator.has_alpha };
        WebPDemuxReleaseIterator(&iterator);
        st = cb_ok();
    }
    WebPDemuxDelete(demux);
    return st;
}

/* Decodes the frame to `to`, rows `row_len` bytes apart; *rows: how many are whole. */
static struct cb_status decode_frame(const struct frame *frame, uint8_t *to, size_t row_len,
                                     size_t len, int *rows)
{
    WebPDecoderConfig config;
    if (!WebPInitDecoderConfig(&config))
        return cb_fail(CB_ERR_UNSUPPORTED, "webp: the library is of another version");
    config.output.colorspace = frame->alpha ? MODE_RGBA : MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = to;
    config.output.u.RGBA.stride = (int)row_len;
    config.output.u.RGBA.size = len;
    WebPIDecoder *decoder = WebPIDecode(NULL, 0, &config);
    if (!decoder)
        return failed(VP8_STATUS_OUT_OF_MEMORY);
    VP8StatusCode code = WebPIUpdate(decoder, frame->bytes.data, frame->bytes.len);
    *rows = frame->height;
    if (code == VP8_STATUS_SUSPENDED) {
        if (!WebPIDecGetRGB(decoder, rows, NULL, NULL, NULL) || *rows < 1)
            code = VP8_STATUS_NOT_ENOUGH_DATA;
        else
            code = VP8_STATUS_OK;
    }
    WebPIDelete(decoder);
    return code == VP8_STATUS_OK ? cb_ok() : failed(code);
}

/* Straight to its place where it is opaque; else beside it, and then over white. */
static struct cb_status place_frame(struct cb_canvas *canvas, const struct frame *frame, int *rows)
{
    const size_t row_len = (size_t)canvas->width * 3, width = (size_t)frame->width;
    uint8_t *to = canvas->rgb + (size_t)frame->y * row_len + (size_t)frame->x * 3;
    uint8_t *rgba;
    if (!frame->alpha)
        return decode_frame(frame, to, row_len, row_len * (size_t)(frame->height - 1) + width * 3,
                            rows);
    CB_TRY(cb_arena_get(canvas->arena, width * 4, (size_t)frame->height, "photo", &rgba));
    CB_TRY(decode_frame(frame, rgba, width * 4, width * 4 * (size_t)frame->height, rows));
    for (size_t y = 0; y < (size_t)*rows; y++)
        cb_canvas_over_white(width, rgba + y * width * 4, to + y * row_len);
    return cb_ok();
}

struct cb_status cb_webp_read(struct cb_canvas *canvas, struct cb_bytes file, int wanted_short_side,
                              bool *truncated)
{
    WebPBitstreamFeatures features;
    int rows;
    (void)wanted_short_side; /* scaled decoding is another filter than the recipe's */
    const VP8StatusCode code = WebPGetFeatures(file.data, file.len, &features);
    if (code != VP8_STATUS_OK)
        return failed(code);
    CB_TRY(cb_canvas_check(canvas, features.width, features.height));
    struct frame frame = { file, 0, 0, features.width, features.height, features.has_alpha };
    if (features.has_animation)
        CB_TRY(first_frame(file, &frame));
    if (frame.x < 0 || frame.y < 0 || frame.width < 1 || frame.height < 1 ||
        frame.width > features.width - frame.x || frame.height > features.height - frame.y)
        return cb_fail(CB_ERR_CONTENT, "webp: a frame of %d x %d does not fit %d x %d", frame.width,
                       frame.height, features.width, features.height);
    CB_TRY(cb_canvas_begin(canvas, features.width, features.height));
    if (features.has_animation) /* what no frame covers is transparent */
        memset(canvas->rgb, 255, (size_t)features.width * (size_t)features.height * 3);
    CB_TRY(place_frame(canvas, &frame, &rows));
    if (rows < frame.height) {
        cb_canvas_gray(canvas, frame.y + rows);
        *truncated = true;
    }
    return cb_ok();
}
