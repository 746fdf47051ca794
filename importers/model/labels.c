#include "importers/model/labels.h"

#include <string.h>

#include "core/base/utf8.h"

#define MAX_BYTES ((size_t)16 << 20)
#define MAX_LABELS 1000000

/* Tabs are allowed in a label. */
static bool is_text(const uint8_t *p, size_t len)
{
    for (size_t n; len; p += n, len -= n)
        if ((n = *p == '\t' ? 1 : cb_utf8_character((const char *)p, len)) == 0)
            return false;
    return true;
}

/* The line at `at`, without its end; the next one begins at *next. */
static size_t line_length(struct cb_bytes text, size_t at, size_t *next)
{
    const uint8_t *p = text.data + at, *end = memchr(p, '\n', text.len - at);
    size_t len = end ? (size_t)(end - p) : text.len - at;
    *next = at + len + (end ? 1 : 0);
    return len && p[len - 1] == '\r' ? len - 1 : len;
}

struct cb_status cb_labels_parse(struct cb_bytes text, struct cb_arena *arena,
                                 const char *const **labels, int *n)
{
    const size_t start = text.len >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    const char **list;
    size_t lines = 1, last = 0, count = 0;
    if (text.len > MAX_BYTES)
        return cb_fail(CB_ERR_INPUT, "labels: %zu bytes, at most %zu are read", text.len,
                       MAX_BYTES);
    for (size_t i = 0; i < text.len; i++)
        lines += text.data[i] == '\n';
    if (lines > MAX_LABELS)
        return cb_fail(CB_ERR_INPUT, "labels: more than %d lines", MAX_LABELS);
    CB_TRY(cb_arena_get(arena, lines, sizeof *list, "labels", &list));
    for (size_t at = start, next; at < text.len; at = next) {
        const size_t len = line_length(text, at, &next);
        if (!is_text(text.data + at, len))
            return cb_fail(CB_ERR_INPUT, "labels: line %zu is no UTF-8 text", count + 1);
        if (!(list[count++] = cb_arena_text(arena, (const char *)text.data + at, len)))
            return cb_fail(CB_ERR_NOMEM, "labels: too much text");
        last = len ? count : last;
    }
    *labels = list;
    *n = (int)last;
    return cb_ok();
}
