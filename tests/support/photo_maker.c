#include "tests/support/photo_maker.h"

#include <criterion/criterion.h>
#include <string.h>

#include <jpeglib.h>
#include <webp/encode.h>

size_t photo_exif(int orientation, bool little, uint8_t out[32])
{
    static const uint8_t le[] = { 'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12,
                                  1,   3,   0,  1, 0, 0, 0, 0, 0, 0, 0 };
    static const uint8_t be[] = { 'M',  'M', 0, 42, 0, 0, 0, 8, 0, 1, 1,
                                  0x12, 0,   3, 0,  0, 0, 1, 0, 0, 0, 0 };
    memcpy(out, little ? le : be, sizeof le);
    out[little ? 18 : 19] = (uint8_t)orientation;
    return sizeof le;
}

static void write_line(struct jpeg_compress_struct *cinfo, const uint8_t *rgb, int width)
{
    uint8_t line[4096 * 4];
    JSAMPROW row = line;
    cr_assert_leq(width, 4096);
    for (int x = 0; x < width; x++, rgb += 3)
        for (int c = 0; c < cinfo->input_components; c++)
            line[x * cinfo->input_components + c] =
                c < 3 ? rgb[c] : 255; /* ink inverted: 255 is none */
    jpeg_write_scanlines(cinfo, &row, 1);
}

void photo_jpeg(const struct cb_image *image, const struct photo_jpeg *how, struct cb_buf *out)
{
    static const J_COLOR_SPACE spaces[] = { [1] = JCS_GRAYSCALE, [3] = JCS_RGB, [4] = JCS_CMYK };
    struct jpeg_compress_struct cinfo;
    struct jpeg_error_mgr error;
    unsigned char *data = NULL;
    unsigned long len = 0;
    uint8_t app1[64] = "Exif\0";
    cinfo.err = jpeg_std_error(&error);
    jpeg_create_compress(&cinfo);
    jpeg_mem_dest(&cinfo, &data, &len);
    cinfo.image_width = (JDIMENSION)image->width;
    cinfo.image_height = (JDIMENSION)image->height;
    cinfo.input_components = how->channels;
    cinfo.in_color_space = spaces[how->channels];
    jpeg_set_defaults(&cinfo);
    if (how->ycck)
        jpeg_set_colorspace(&cinfo, JCS_YCCK);
    jpeg_set_quality(&cinfo, how->quality, TRUE);
    if (how->progressive)
        jpeg_simple_progression(&cinfo);
    if (how->whole_chroma)
        cinfo.comp_info[0].h_samp_factor = cinfo.comp_info[0].v_samp_factor = 1;
    jpeg_start_compress(&cinfo, TRUE);
    if (how->orientation)
        jpeg_write_marker(
            &cinfo, JPEG_APP0 + 1, app1,
            6 + (unsigned)photo_exif(how->orientation, how->orientation % 2, app1 + 6));
    for (int y = 0; y < image->height; y++)
        write_line(&cinfo, image->rgb + y * image->width * 3, image->width);
    jpeg_finish_compress(&cinfo);
    jpeg_destroy_compress(&cinfo);
    cb_buf_add(out, data, len);
    free(data);
}

void photo_png(const struct spng_ihdr *header, const void *samples, size_t len,
               const struct spng_plte *palette, const struct spng_trns *transparent,
               struct cb_buf *out)
{
    struct spng_ihdr ihdr = *header;
    spng_ctx *ctx = spng_ctx_new(SPNG_CTX_ENCODER);
    int code = spng_set_option(ctx, SPNG_ENCODE_TO_BUFFER, 1);
    size_t made;
    cr_assert_eq(code, 0);
    cr_assert_eq(spng_set_ihdr(ctx, &ihdr), 0);
    if (palette) {
        struct spng_plte copy = *palette;
        cr_assert_eq(spng_set_plte(ctx, &copy), 0);
    }
    if (transparent) {
        struct spng_trns copy = *transparent;
        cr_assert_eq(spng_set_trns(ctx, &copy), 0);
    }
    code = spng_encode_image(ctx, samples, len, SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE);
    cr_assert_eq(code, 0, "%s", spng_strerror(code));
    void *data = spng_get_png_buffer(ctx, &made, &code);
    cr_assert_not_null(data);
    cb_buf_add(out, data, made);
    free(data);
    spng_ctx_free(ctx);
}

/* PNG, third edition, annex D, bit by bit. */
static uint32_t crc_of(const uint8_t *p, size_t len)
{
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < len; i++) {
        crc ^= p[i];
        for (int k = 0; k < 8; k++)
            crc = crc & 1 ? 0xedb88320u ^ (crc >> 1) : crc >> 1;
    }
    return ~crc;
}

static void put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (24 - 8 * i));
}

void photo_png_chunk(const struct cb_buf *png, const char *type, const void *data, size_t len,
                     struct cb_buf *out)
{
    uint8_t chunk[128];
    size_t at = 8 + 25; /* the signature and IHDR */
    cr_assert_leq(len, sizeof chunk - 12);
    put32(chunk, (uint32_t)len);
    memcpy(chunk + 4, type, 4);
    memcpy(chunk + 8, data, len);
    put32(chunk + 8 + len, crc_of(chunk + 4, len + 4));
    cb_buf_add(out, png->data, at);
    cb_buf_add(out, chunk, len + 12);
    cb_buf_add(out, png->data + at, png->len - at);
}

void photo_webp(int width, int height, const uint8_t *rgba, struct cb_buf *out)
{
    uint8_t *data = NULL;
    const size_t len = WebPEncodeLosslessRGBA(rgba, width, height, width * 4, &data);
    cr_assert_gt(len, 0);
    cb_buf_add(out, data, len);
    WebPFree(data);
}
