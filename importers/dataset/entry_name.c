#include "importers/dataset/entry_name.h"

#include <ctype.h>
#include <string.h>

#include "core/base/utf8.h"

static enum cb_entry_verdict refuse(struct cb_entry_name *out, const char *reason)
{
    out->reason = reason;
    return CB_ENTRY_REFUSED;
}

static bool is_part(const char *part, size_t len, const char *text)
{
    return len == strlen(text) && !memcmp(part, text, len);
}

static void keep(char out[CB_LABEL_MAX + 1], const char *part, size_t len)
{
    const size_t kept = len < CB_LABEL_MAX ? len : CB_LABEL_MAX;
    memcpy(out, part, kept);
    out[kept] = 0;
}

enum cb_entry_verdict cb_entry_name_read(const char *name, struct cb_entry_name *out)
{
    const size_t len = strlen(name);
    const char *part = name, *last = NULL;
    size_t last_len = 0;
    bool hidden = false;
    *out = (struct cb_entry_name){ .folders = -1 };
    if (len > CB_ENTRY_NAME_MAX || !cb_utf8_ok(name, len))
        return refuse(out, "its name is no readable text");
    if (name[0] == '/' || name[0] == '\\' || (isalpha((unsigned char)name[0]) && name[1] == ':'))
        return refuse(out, "its name is absolute");
    for (size_t part_len; *part; part += part_len) {
        while (*part == '/')
            part++;
        part_len = strcspn(part, "/");
        if (part_len == 0 || is_part(part, part_len, "."))
            continue;
        if (is_part(part, part_len, ".."))
            return refuse(out, "its name has ..");
        hidden |= part[0] == '.' || is_part(part, part_len, "__MACOSX");
        if (last) {
            if (out->folders == 0)
                keep(out->top, last, last_len);
            keep(out->label, last, last_len);
        }
        out->folders++;
        last = part;
        last_len = part_len;
        if (last_len > CB_LABEL_MAX && part[part_len] == '/')
            return refuse(out, "its folder's name is too long for a label");
    }
    if (hidden)
        return CB_ENTRY_HIDDEN;
    if (out->folders < 1)
        return refuse(out, "it is in no class folder");
    return cb_label_ok(out->label) ? CB_ENTRY_TAKEN
                                   : refuse(out, "its folder's name cannot be a label");
}
