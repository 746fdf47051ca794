#include "importers/image/exif.h"

#include <criterion/criterion.h>
#include <string.h>

#include "core/base/rng.h"
#include "tests/support/photo_maker.h"

Test(exif, reads_both_byte_orders_with_and_without_the_name_before)
{
    uint8_t block[64] = "Exif\0";
    for (int little = 0; little < 2; little++)
        for (int orientation = 1; orientation <= 8; orientation++) {
            const size_t len = photo_exif(orientation, little, block + 6);
            cr_expect_eq(cb_exif_orientation((struct cb_bytes){ block, len + 6 }), orientation);
            cr_expect_eq(cb_exif_orientation((struct cb_bytes){ block + 6, len }), orientation);
        }
}

Test(exif, anything_else_is_upright)
{
    uint8_t block[32];
    size_t len = photo_exif(9, true, block);
    cr_expect_eq(cb_exif_orientation((struct cb_bytes){ block, len }), 1, "a value of 9");
    len = photo_exif(6, true, block);
    block[12] = 5; /* a fraction */
    cr_expect_eq(cb_exif_orientation((struct cb_bytes){ block, len }), 1, "a wrong type");
    len = photo_exif(6, true, block);
    memset(block + 4, 0xff, 4);
    cr_expect_eq(cb_exif_orientation((struct cb_bytes){ block, len }), 1, "a directory outside");
    cr_expect_eq(cb_exif_orientation((struct cb_bytes){ 0 }), 1, "no bytes");
}

Test(exif, cut_anywhere_it_reads_only_what_is_there)
{
    for (int little = 0; little < 2; little++) {
        uint8_t block[32];
        const size_t len = photo_exif(6, little, block);
        for (size_t cut = 0; cut < len; cut++) {
            uint8_t *copy = malloc(cut + 1); /* so that a sanitizer sees a read past the end */
            memcpy(copy, block, cut);
            cr_expect_eq(cb_exif_orientation((struct cb_bytes){ copy, cut }), 1, "cut at %zu", cut);
            free(copy);
        }
    }
}

Test(exif, random_bytes_in_every_container_end)
{
    static int (*const readers[])(struct cb_bytes) = { cb_exif_of_jpeg, cb_exif_of_png,
                                                       cb_exif_of_webp, cb_exif_orientation };
    struct cb_rng rng = cb_rng_seed(7);
    uint8_t bytes[300];
    for (int seed = 0; seed < 2000; seed++) {
        const size_t len = cb_rng_below(&rng, sizeof bytes);
        for (size_t i = 0; i < len; i++) {
            const uint64_t r = cb_rng_next(&rng);
            bytes[i] = (uint8_t)(r & 7 ? (r >> 8) : r & 8 ? 0xff : 0);
        }
        for (size_t k = 0; k < CB_COUNT_OF(readers); k++) {
            const int orientation = readers[k]((struct cb_bytes){ bytes, len });
            cr_assert(orientation >= 1 && orientation <= 8, "seed %d", seed);
        }
    }
}
