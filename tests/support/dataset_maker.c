#include "tests/support/dataset_maker.h"

#include <stdio.h>
#include <string.h>

#include "core/base/rng.h"
#include "tests/support/photo_maker.h"

#define SIDE_MAX 64

static uint8_t noisy(struct cb_rng *rng, int level)
{
    const int v = level + (int)cb_rng_below(rng, 60) - 30;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

void make_photo(int side, int red, int green, int blue, uint64_t seed, struct cb_buf *out)
{
    static uint8_t rgb[SIDE_MAX * SIDE_MAX * 3];
    struct cb_rng rng = cb_rng_seed(seed);
    const struct cb_image image = { .width = side, .height = side, .rgb = rgb };
    for (int i = 0; i < side * side; i++) {
        rgb[3 * i] = noisy(&rng, red);
        rgb[3 * i + 1] = noisy(&rng, green);
        rgb[3 * i + 2] = noisy(&rng, blue);
    }
    photo_jpeg(&image, &(struct photo_jpeg){ .quality = 90, .channels = 3 }, out);
}

void tar_add(struct cb_buf *tar, const char *name, const void *data, size_t len)
{
    static const char zeroes[512];
    char head[512] = { 0 };
    unsigned sum = 0;
    snprintf(head, 100, "%s", name);
    snprintf(head + 100, 8, "0000644");
    snprintf(head + 108, 8, "0000000");
    snprintf(head + 116, 8, "0000000");
    snprintf(head + 124, 12, "%011zo", len);
    snprintf(head + 136, 12, "%011o", 0);
    memset(head + 148, ' ', 8);
    head[156] = '0';
    memcpy(head + 257, "ustar\00000", 8);
    for (size_t i = 0; i < sizeof head; i++)
        sum += (unsigned char)head[i];
    snprintf(head + 148, 8, "%06o", sum);
    cb_buf_add(tar, head, sizeof head);
    cb_buf_add(tar, data, len);
    cb_buf_add(tar, zeroes, (512 - len % 512) % 512);
}

void tar_end(struct cb_buf *tar)
{
    static const char zeroes[1024];
    cb_buf_add(tar, zeroes, sizeof zeroes);
}

void make_dataset(int classes, int n, struct cb_buf *out)
{
    static const struct {
        const char *name;
        int r, g, b;
    } class[] = {
        { "red", 200, 40, 40 },
        { "green", 40, 200, 40 },
        { "blue", 40, 40, 200 },
    };
    for (int c = 0; c < classes; c++)
        for (int i = 0; i < n; i++) {
            struct cb_buf photo;
            char name[64];
            cb_buf_init(&photo, 1 << 20);
            make_photo(24 + i % 7, class[c].r, class[c].g, class[c].b, (uint64_t)(100 * c + i + 1),
                       &photo);
            snprintf(name, sizeof name, "set/%s/%d.jpg", class[c].name, i);
            tar_add(out, name, photo.data, photo.len);
            cb_buf_deinit(&photo);
        }
    tar_end(out);
}
