#include "importers/onnx/names.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct cb_status cb_onnx_names_init(struct cb_onnx_names *names, struct cb_arena *arena, size_t cap)
{
    *names = (struct cb_onnx_names){ .cap = (int)cap };
    return cb_arena_get(arena, cap, sizeof *names->entry, "names", &names->entry);
}

void cb_onnx_names_add(struct cb_onnx_names *names, const char *text, int value)
{
    assert(names->n < names->cap);
    names->entry[names->n++] = (struct cb_onnx_name){ text, value, -1 };
}

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct cb_onnx_name *)a)->text, ((const struct cb_onnx_name *)b)->text);
}

const char *cb_onnx_names_sort(struct cb_onnx_names *names)
{
    if (names->n)
        qsort(names->entry, (size_t)names->n, sizeof *names->entry, by_text);
    names->n_sorted = names->n;
    for (int i = 1; i < names->n; i++)
        if (by_text(&names->entry[i - 1], &names->entry[i]) == 0)
            return names->entry[i].text;
    return NULL;
}

const struct cb_onnx_name *cb_onnx_names_get(const struct cb_onnx_names *names, const char *text)
{
    const struct cb_onnx_name wanted = { .text = text };
    return names->n_sorted
               ? bsearch(&wanted, names->entry, (size_t)names->n_sorted, sizeof wanted, by_text)
               : NULL;
}

int cb_onnx_names_find(const struct cb_onnx_names *names, const char *text)
{
    const struct cb_onnx_name *found = cb_onnx_names_get(names, text);
    return found ? found->value : -1;
}
