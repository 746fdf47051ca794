/* tests/fuzz/fuzz_image.c - any bytes as a photo: decoded within a small arena, then shrunk, at
 * full and at reduced size. What comes out must be whole: sides within the limits, every pixel
 * readable, the same twice. */
#include <string.h>

#include "core/image/preprocess.h"
#include "importers/image/decode.h"
#include "tests/fuzz/fuzz.h"

static const struct cb_decode_limits limits = { .max_pixels = 4000000,
                                                .max_side = 30000,
                                                .max_scans = 100 };

static bool is_whole(const struct cb_decoded *d)
{
    const int more = 8; /* the most that a reduced decode divides by */
    return d->image.rgb && d->width >= 1 && d->height >= 1 && d->width <= limits.max_side &&
           d->height <= limits.max_side &&
           (size_t)d->width * (size_t)d->height <= limits.max_pixels &&
           d->image.width <= d->width && d->image.height <= d->height &&
           d->image.width * more >= d->width && d->image.height * more >= d->height && d->format;
}

static void decode_and_shrink(struct cb_arena *arena, struct cb_bytes file, int wanted)
{
    static const struct cb_recipe recipe = { .short_side = 16,
                                             .interpolation = CB_BILINEAR,
                                             .antialias = true,
                                             .crop_height = 14,
                                             .crop_width = 14,
                                             .range = { 0, 1 },
                                             .std = { 1, 1, 1 } };
    float out[14 * 14 * 3];
    struct cb_decoded first, second;
    const size_t before = arena->used;
    struct cb_status st = cb_image_decode(arena, file, &limits, wanted, &first);
    if (st.code) {
        require(st.msg[0] && arena->used == before);
        return;
    }
    require(is_whole(&first));
    st = cb_preprocess(arena, &recipe, &first.image, out);
    for (size_t i = 0; !st.code && i < CB_COUNT_OF(out); i++)
        require(out[i] >= 0 && out[i] <= 1);
    st = cb_image_decode(arena, file, &limits, wanted, &second);
    require(st.code == CB_ERR_NOMEM ||
            (!st.code && !memcmp(first.image.rgb, second.image.rgb,
                                 (size_t)first.image.width * (size_t)first.image.height * 3)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct cb_arena arena;
    if (cb_arena_init(&arena, (size_t)64 << 20).code)
        return 0;
    decode_and_shrink(&arena, (struct cb_bytes){ data, len }, 0);
    cb_arena_rewind(&arena, 0);
    decode_and_shrink(&arena, (struct cb_bytes){ data, len }, 16);
    cb_arena_deinit(&arena);
    return 0;
}
