/* tests/fuzz/fuzz_recipe.c - what is read prints, and reads back the same. */
#include <string.h>

#include "importers/model/labels.h"
#include "importers/model/load.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    const struct cb_bytes bytes = { data, len };
    struct cb_arena arena;
    struct cb_recipe recipe, again;
    const char *const *labels;
    char *text;
    int n;
    if (cb_arena_init(&arena, (size_t)64 << 20).code)
        return 0;
    if (cb_recipe_parse(bytes, &recipe).code == CB_OK &&
        cb_recipe_print(&recipe, &arena, &text).code == CB_OK) {
        if (cb_recipe_parse((struct cb_bytes){ (const uint8_t *)text, strlen(text) }, &again).code)
            __builtin_trap();
        if (recipe.short_side != again.short_side || recipe.crop_width != again.crop_width ||
            recipe.color != again.color || memcmp(recipe.range, again.range, sizeof recipe.range))
            __builtin_trap();
    }
    if (cb_labels_parse(bytes, &arena, &labels, &n).code == CB_OK && (size_t)n > len)
        __builtin_trap();
    cb_arena_deinit(&arena);
    return 0;
}
