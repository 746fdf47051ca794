#include "importers/dataset/dataset.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/base/utf8.h"

#define FILE_TEXT 240 /* bytes of a file's name that are kept */

/* `name` with what cannot be read as '?'; a long one ends in "...". */
static char *printable(struct cb_arena *arena, const char *name)
{
    const size_t len = strlen(name);
    char *text = cb_arena_alloc(arena, FILE_TEXT + 4, 1);
    size_t at = 0, n;
    for (size_t i = 0; text && i < len; i += n) {
        if (at + 4 > FILE_TEXT) {
            memcpy(text + at, "...", 4);
            break;
        }
        if ((n = cb_utf8_character(name + i, len - i)))
            memcpy(text + at, name + i, n);
        else
            text[at] = '?';
        at += n ? n : 1;
        n = n ? n : 1;
    }
    return text;
}

static bool make_room(struct cb_rejections *r)
{
    struct cb_rejection *bigger;
    const int cap = r->cap ? r->cap * 2 : 16;
    if (r->n_listed < r->cap)
        return true;
    if (r->n_listed >= CB_REJECTIONS_LISTED ||
        !(bigger = cb_arena_alloc(r->arena, (size_t)cap, sizeof *bigger)))
        return false;
    if (r->n_listed)
        memcpy(bigger, r->list, (size_t)r->n_listed * sizeof *bigger);
    r->list = bigger;
    r->cap = cap;
    return true;
}

void cb_rejections_add(struct cb_rejections *rejections, const char *file, const char *fmt, ...)
{
    char reason[256];
    va_list args;
    if (!rejections)
        return;
    rejections->count++;
    va_start(args, fmt);
    vsnprintf(reason, sizeof reason, fmt, args);
    va_end(args);
    if (rejections->n_listed >= CB_REJECTIONS_LISTED || !make_room(rejections))
        return;
    const struct cb_rejection made = { printable(rejections->arena, file),
                                       printable(rejections->arena, reason) };
    if (made.file && made.reason)
        rejections->list[rejections->n_listed++] = made;
}

bool cb_label_ok(const char *label)
{
    const size_t len = strlen(label);
    return len >= 1 && len <= CB_LABEL_MAX && label[0] != '.' && label[0] != ' ' &&
           label[len - 1] != ' ' && !strpbrk(label, "/\\") && cb_utf8_ok(label, len);
}

struct cb_status cb_dataset_check_trainable(const struct cb_dataset *dataset)
{
    if (dataset->n_classes < 2)
        return cb_fail(CB_ERR_CONTENT, "training wants photos of at least 2 classes, has %d%s%s",
                       dataset->n_classes, dataset->n_classes ? ": " : "",
                       dataset->n_classes ? dataset->classes[0] : "");
    for (int i = 0; i < dataset->n_classes; i++)
        if (dataset->counts[i] < 2)
            return cb_fail(CB_ERR_CONTENT, "class '%s' wants at least 2 photos, has %d",
                           dataset->classes[i], dataset->counts[i]);
    return cb_ok();
}
