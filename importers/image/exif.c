#include "importers/image/exif.h"

#include <string.h>

#define TAG_ORIENTATION 0x0112
#define TYPE_SHORT 3
#define TYPE_LONG 4

/* JPEG markers, ITU-T T.81 table B.1. */
#define MARKER_SOS 0xda
#define MARKER_EOI 0xd9
#define MARKER_APP1 0xe1

static struct cb_bytes after(struct cb_bytes bytes, size_t n)
{
    return n < bytes.len ? (struct cb_bytes){ bytes.data + n, bytes.len - n }
                         : (struct cb_bytes){ 0 };
}

static struct cb_bytes first(struct cb_bytes bytes, size_t n)
{
    return (struct cb_bytes){ bytes.data, n < bytes.len ? n : bytes.len };
}

static bool starts(struct cb_bytes bytes, const char *text, size_t len)
{
    return bytes.len >= len && !memcmp(bytes.data, text, len);
}

/* An unsigned number of n bytes at `at`; 0 where it does not lie inside. */
static uint32_t number(struct cb_bytes bytes, size_t at, size_t n, bool little)
{
    const struct cb_bytes from = after(bytes, at);
    uint32_t v = 0;
    if (from.len < n)
        return 0;
    for (size_t i = 0; i < n; i++)
        v = v << 8 | from.data[little ? n - 1 - i : i];
    return v;
}

/* TIFF 6.0, section 2: a header of 8 bytes says the byte order and where the directory lies; an
 * entry has tag, type, count and value: 2, 2, 4 and 4 bytes. */
int cb_exif_orientation(struct cb_bytes block)
{
    const struct cb_bytes tiff = starts(block, "Exif", 5) ? after(block, 6) : block;
    const bool little = starts(tiff, "II*", 4);
    if (!little && !starts(tiff, "MM\0*", 4))
        return 1;
    const struct cb_bytes directory = after(tiff, number(tiff, 4, 4, little));
    const uint32_t entries = number(directory, 0, 2, little);
    for (uint32_t i = 0; i < entries; i++) {
        const struct cb_bytes entry = after(directory, 2 + 12 * (size_t)i);
        const uint32_t type = number(entry, 2, 2, little);
        if (entry.len < 12)
            break;
        if (number(entry, 0, 2, little) != TAG_ORIENTATION ||
            (type != TYPE_SHORT && type != TYPE_LONG))
            continue;
        const uint32_t value = number(entry, 8, type == TYPE_SHORT ? 2 : 4, little);
        return value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 1;
}

/* Segments until the first scan: 0xff (any number of them), marker, length that counts itself. */
int cb_exif_of_jpeg(struct cb_bytes file)
{
    for (struct cb_bytes at = after(file, 2); at.len >= 4 && at.data[0] == 0xff;) {
        const uint8_t marker = at.data[1];
        const uint32_t len = number(at, 2, 2, false);
        if (marker == 0xff) {
            at = after(at, 1);
            continue;
        }
        if (marker == MARKER_SOS || marker == MARKER_EOI || len < 2)
            break;
        const struct cb_bytes body = first(after(at, 4), len - 2);
        if (marker == MARKER_APP1 && starts(body, "Exif", 5))
            return cb_exif_orientation(body);
        at = after(at, 2 + (size_t)len);
    }
    return 1;
}

/* Chunks: length, type, data, CRC. PNG, third edition, 5.3 and 11.3.4.6. */
int cb_exif_of_png(struct cb_bytes file)
{
    for (struct cb_bytes at = after(file, 8); at.len >= 12;) {
        const uint32_t len = number(at, 0, 4, false);
        if (starts(after(at, 4), "eXIf", 4))
            return cb_exif_orientation(first(after(at, 8), len));
        at = after(at, 12 + (size_t)len);
    }
    return 1;
}

/* RIFF chunks: type, length, data, a byte of padding after an odd length. RFC 9649, section 2.3. */
int cb_exif_of_webp(struct cb_bytes file)
{
    for (struct cb_bytes at = after(file, 12); at.len >= 8;) {
        const uint32_t len = number(at, 4, 4, true);
        if (starts(at, "EXIF", 4))
            return cb_exif_orientation(first(after(at, 8), len));
        at = after(at, 8 + (size_t)len + (len & 1));
    }
    return 1;
}
