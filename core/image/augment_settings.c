/* Augmentation's strengths by name: one table for the dial, for reading and for printing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/image/augment.h"

/* clang-format off */
static const struct strength {
    const char *name;
    size_t offset;
    double most;
    float dial; /* at dial 1 */
} strengths[] = {
    { "flip",       offsetof(struct cb_augment, flip),       1,    0.5f  },
    { "crop",       offsetof(struct cb_augment, crop),       0.95, 0.6f  },
    { "stretch",    offsetof(struct cb_augment, stretch),    1,    0.33f },
    { "translate",  offsetof(struct cb_augment, translate),  0.5,  0.1f  },
    { "rotate",     offsetof(struct cb_augment, rotate),     180,  20    },
    { "zoom",       offsetof(struct cb_augment, zoom),       1,    0.2f  },
    { "brightness", offsetof(struct cb_augment, brightness), 1,    0.4f  },
    { "contrast",   offsetof(struct cb_augment, contrast),   1,    0.4f  },
    { "saturation", offsetof(struct cb_augment, saturation), 1,    0.4f  },
    { "erase",      offsetof(struct cb_augment, erase),      1,    0.5f  },
};
/* clang-format on */

static float get(const struct cb_augment *augment, const struct strength *s)
{
    float value;
    memcpy(&value, (const char *)augment + s->offset, sizeof value);
    return value;
}

static void set(struct cb_augment *augment, const struct strength *s, float value)
{
    memcpy((char *)augment + s->offset, &value, sizeof value);
}

struct cb_augment cb_augment_dial(float dial)
{
    struct cb_augment augment = { 0 };
    for (size_t i = 0; i < CB_COUNT_OF(strengths); i++)
        set(&augment, &strengths[i], dial * strengths[i].dial);
    return augment;
}

/* A number from 0 to `most` that is all of the text up to `end`. */
static bool read_number(const char *text, const char *end, double most, float *out)
{
    char *stop = NULL;
    const double number = strtod(text, &stop);
    *out = (float)number;
    return stop == end && end > text && number >= 0 && number <= most;
}

/* As much of a part as a message shows. */
static int shown(const char *text, const char *end)
{
    return end - text < 40 ? (int)(end - text) : 40;
}

static struct cb_status read_item(const char *text, const char *end, bool first,
                                  struct cb_augment *out)
{
    const char *equals = memchr(text, '=', (size_t)(end - text));
    float value;
    if (!equals) {
        if (!first || !read_number(text, end, 1, &value))
            return cb_fail(CB_ERR_INPUT,
                           "augment: '%.*s' is neither a strength from 0 to 1, which comes first, "
                           "nor NAME=VALUE",
                           shown(text, end), text);
        *out = cb_augment_dial(value);
        return cb_ok();
    }
    for (size_t i = 0; i < CB_COUNT_OF(strengths); i++) {
        const struct strength *s = &strengths[i];
        if (strlen(s->name) != (size_t)(equals - text) || memcmp(s->name, text, strlen(s->name)))
            continue;
        if (!read_number(equals + 1, end, s->most, &value))
            return cb_fail(CB_ERR_INPUT, "augment: %s is a number from 0 to %g, not '%.*s'",
                           s->name, s->most, shown(equals + 1, end), equals + 1);
        set(out, s, value);
        return cb_ok();
    }
    return cb_fail(CB_ERR_INPUT,
                   "augment: '%.*s' is none of flip, crop, stretch, translate, rotate, zoom, "
                   "brightness, contrast, saturation and erase",
                   shown(text, equals), text);
}

struct cb_status cb_augment_parse(const char *text, struct cb_augment *out)
{
    struct cb_augment augment = { 0 };
    for (const char *at = text, *end; at; at = *end ? end + 1 : NULL) {
        end = at + strcspn(at, ",");
        CB_TRY(read_item(at, end, at == text, &augment));
    }
    *out = augment;
    return cb_ok();
}

void cb_augment_print(const struct cb_augment *augment, char text[CB_AUGMENT_TEXT])
{
    size_t len = 0;
    snprintf(text, CB_AUGMENT_TEXT, "0");
    for (size_t i = 0; i < CB_COUNT_OF(strengths) && len < CB_AUGMENT_TEXT; i++)
        if (get(augment, &strengths[i]) > 0)
            len += (size_t)snprintf(text + len, CB_AUGMENT_TEXT - len, "%s%s=%.9g", len ? "," : "",
                                    strengths[i].name, (double)get(augment, &strengths[i]));
}

bool cb_augment_is_nothing(const struct cb_augment *augment)
{
    bool nothing = true;
    for (size_t i = 0; i < CB_COUNT_OF(strengths); i++)
        nothing &= !(get(augment, &strengths[i]) > 0);
    return nothing;
}
