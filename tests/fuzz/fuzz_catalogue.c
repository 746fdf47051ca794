/* tests/fuzz/fuzz_catalogue.c - a catalogue that is taken names no place outside its addresses and
 * no model that would be a path. */
#include <string.h>

#include "importers/catalogue/catalogue.h"
#include "importers/model/folder.h"
#include "tests/fuzz/fuzz.h"

static void check_place(const struct cb_catalogue_source *source, const char *path)
{
    require(source && source->n > 0);
    for (int i = 0; i < source->n; i++)
        require(strncmp(source->address[i], "https://", 8) == 0 &&
                !strpbrk(source->address[i], "@ \r\n"));
    require(path && *path && *path != '/' && *path != '.' && !strstr(path, "/.") &&
            !strpbrk(path, " \r\n\\?#%"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct cb_catalogue catalogue;
    struct cb_arena arena;
    if (cb_arena_init(&arena, (size_t)64 << 20).code)
        return 0;
    if (cb_catalogue_parse((struct cb_bytes){ data, len }, &arena, &catalogue).code == CB_OK)
        for (int i = 0; i < catalogue.n; i++) {
            const struct cb_catalogue_entry *e = &catalogue.entry[i];
            require(cb_model_name_ok(e->name) && cb_catalogue_find(&catalogue, e->name) == e);
            for (int k = 0; k < e->n_also; k++)
                require(cb_model_name_ok(e->also[k]));
            check_place(e->source, e->path);
            if (e->labels && !e->labels->item)
                check_place(e->labels->source, e->labels->path);
            require(e->bytes >= 0 && e->top1 >= 0 && e->top1 <= 100);
        }
    cb_arena_deinit(&arena);
    return 0;
}
