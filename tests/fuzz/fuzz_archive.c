/* tests/fuzz/fuzz_archive.c - any bytes as an archive of photos, into a folder of its own. Whatever
 * is in it, every file that is left lies in a class folder of ours under the digest of its content,
 * and nothing is beside them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/hash.h"
#include "importers/dataset/store.h"
#include "tests/fuzz/fuzz.h"

static const struct cb_dataset_limits limits = {
    .max_entries = 500,
    .max_photo_bytes = 1 << 20,
    .max_total_bytes = 8 << 20,
    .max_ratio = 100,
    .max_pixels = 1000000,
};

static void check_photo(const char *folder, const struct cb_dataset_photo *photo)
{
    struct cb_bytes file;
    char hex[CB_DIGEST_TEXT];
    const size_t root = strlen(folder);
    require(!strncmp(photo->path, folder, root) && photo->path[root] == '/' &&
            photo->path[root + 1] == 'c');
    require(strlen(photo->path) > root + 7 + 64 && photo->path[root + 6] == '/');
    require(cb_file_map(photo->path, &file).code == CB_OK);
    const struct cb_digest digest = cb_digest_of(file.data, file.len);
    cb_digest_text(&digest, hex);
    require(!strncmp(photo->path + root + 7, hex, 64));
    cb_file_unmap(&file);
}

static void unpack(const char *folder, struct cb_bytes bytes, struct cb_arena *arena)
{
    struct cb_rejections rejections = { .arena = arena };
    struct cb_dataset_store *store;
    struct cb_dataset dataset;
    require(cb_dataset_store_open(folder, &limits, &store).code == CB_OK);
    const struct cb_status st = cb_dataset_store_add_archive(
        store, &(struct cb_archive_source){ .bytes = bytes }, &rejections);
    require(st.code != CB_ERR_IO && st.code != CB_ERR_INPUT);
    require(cb_dataset_store_close(store).code == CB_OK);
    const int before = rejections.count;
    require(cb_dataset_open(folder, arena, &rejections, &dataset).code == CB_OK &&
            rejections.count == before);
    for (int i = 0; i < dataset.n_classes; i++)
        require(cb_label_ok(dataset.classes[i]));
    for (int i = 0; i < dataset.n_photos; i++)
        check_photo(folder, &dataset.photos[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char folder[] = "/tmp/cambium-fuzz-XXXXXX";
    struct cb_arena arena;
    if (!mkdtemp(folder))
        return 0;
    require(cb_arena_init(&arena, (size_t)32 << 20).code == CB_OK);
    unpack(folder, (struct cb_bytes){ data, len }, &arena);
    require(cb_folder_remove(folder).code == CB_OK);
    cb_arena_deinit(&arena);
    return 0;
}
