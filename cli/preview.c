#include "cli/preview.h"

#include <string.h>

#include "core/base/file.h"
#include "core/image/augment.h"
#include "core/image/resize.h"
#include "importers/dataset/features.h"
#include "importers/image/decode.h"
#include "importers/image/encode_png.h"

#define ROWS 8
#define CELL 128 /* pixels a side */
#define GAP 4
#define MAX_PNG ((size_t)64 << 20)
#define PIXEL_BUDGET ((size_t)1 << 30) /* address space */

static int side_of(int cells)
{
    return cells * (CELL + GAP) + GAP;
}

/* The middle of a photo in a cell of the sheet: the short side fills it. */
static struct cb_status draw_cell(struct cb_arena *arena, const struct cb_image *photo, int row,
                                  int column, struct cb_image *sheet)
{
    const struct cb_recipe recipe = { .short_side = CELL };
    struct cb_resize how = {
        .interpolation = CB_BILINEAR, .antialias = true, .window_width = CELL, .window_height = CELL
    };
    struct cb_image cell;
    cb_recipe_resized_size(&recipe, photo->width, photo->height, &how.width, &how.height);
    how.left = (how.width - CELL) / 2;
    how.top = (how.height - CELL) / 2;
    CB_TRY(cb_resize_run(arena, photo, &how, &cell));
    for (int y = 0; y < CELL; y++)
        memcpy(sheet->rgb + 3 * ((size_t)(side_of(row) + y) * (size_t)sheet->width +
                                 (size_t)side_of(column)),
               cell.rgb + 3 * (size_t)y * CELL, (size_t)3 * CELL);
    return cb_ok();
}

static struct cb_status draw_row(struct cb_arena *arena, struct cb_bytes file, int row,
                                 const struct cb_train_config *config, struct cb_image *sheet)
{
    const struct cb_digest digest = cb_digest_of(file.data, file.len);
    struct cb_decoded photo;
    if (cb_image_decode(arena, file, &cb_decode_defaults, CELL, &photo).code || photo.truncated)
        return cb_ok();
    const size_t mark = arena->used;
    for (int view = 0; view < config->views; view++) {
        const struct cb_augmentation how = cb_augment_draw(
            &config->augment, config->head.seed, cb_photo_number(&digest), (uint64_t)view);
        struct cb_image made;
        CB_TRY(cb_augment_apply(arena, &photo.image, &how, &made));
        CB_TRY(draw_cell(arena, &made, row, view, sheet));
        cb_arena_rewind(arena, mark);
    }
    return cb_ok();
}

static struct cb_status draw(struct cb_arena *arena, const struct cb_dataset *dataset,
                             const struct cb_train_config *config, struct cb_image *sheet)
{
    const int rows = dataset->n_photos < ROWS ? dataset->n_photos : ROWS;
    *sheet = (struct cb_image){ .width = side_of(config->views), .height = side_of(rows) };
    const size_t bytes = 3 * (size_t)sheet->width * (size_t)sheet->height;
    CB_TRY(cb_arena_get(arena, bytes, 1, "sheet", &sheet->rgb));
    memset(sheet->rgb, 255, bytes);
    for (int row = 0; row < rows; row++) {
        const size_t i = (size_t)row * (size_t)dataset->n_photos / (size_t)rows;
        const size_t mark = arena->used;
        struct cb_bytes file;
        if (cb_file_map(dataset->photos[i].path, &file).code)
            continue;
        const struct cb_status st = draw_row(arena, file, row, config, sheet);
        cb_file_unmap(&file);
        CB_TRY(st);
        cb_arena_rewind(arena, mark);
    }
    return cb_ok();
}

struct cb_status cb_preview_write(const struct cb_dataset *dataset,
                                  const struct cb_train_config *config, const char *path)
{
    struct cb_image sheet;
    struct cb_arena arena;
    struct cb_buf png;
    if (dataset->n_photos == 0)
        return cb_fail(CB_ERR_CONTENT, "preview: the dataset has no photos");
    CB_TRY(cb_arena_init(&arena, PIXEL_BUDGET));
    cb_buf_init(&png, MAX_PNG);
    struct cb_status st = draw(&arena, dataset, config, &sheet);
    if (st.code == CB_OK)
        st = cb_png_encode(&sheet, &png);
    if (st.code == CB_OK)
        st = cb_file_write(path, png.data, png.len);
    cb_buf_deinit(&png);
    cb_arena_deinit(&arena);
    return st;
}
