#include "core/model/model.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define FALLBACK_SIDE 224

void cb_model_default_size(const struct cb_model *model, int *height, int *width)
{
    const struct cb_recipe *r = &model->recipe;
    *height = model->height      ? model->height
              : r->crop_height   ? r->crop_height
              : r->resize_height ? r->resize_height
                                 : FALLBACK_SIDE;
    *width = model->width      ? model->width
             : r->crop_width   ? r->crop_width
             : r->resize_width ? r->resize_width
                               : FALLBACK_SIDE;
}

const char *cb_model_label(const struct cb_model *model, int index, char text[32])
{
    if (index >= 0 && index < model->n_labels)
        return model->labels[index];
    snprintf(text, 32, "class %d", index);
    return text;
}

/* Whether `text` is one of the comma-separated synonyms of a label ("tabby, tabby cat"). */
static bool is_synonym(const char *label, const char *text)
{
    const size_t len = strlen(text);
    for (const char *p = label; p; p = strchr(p, ',')) {
        while (*p == ',' || *p == ' ')
            p++;
        if (!strncasecmp(p, text, len) && (p[len] == 0 || p[len] == ','))
            return true;
    }
    return false;
}

static bool contains(const char *label, const char *text)
{
    const size_t len = strlen(text);
    for (; *label; label++)
        if (!strncasecmp(label, text, len))
            return true;
    return false;
}

static bool is_equal(const char *label, const char *text)
{
    return strcmp(label, text) == 0;
}

struct cb_status cb_model_class(const struct cb_model *model, const char *text, int *out)
{
    static bool (*const match[])(const char *, const char *) = { is_equal, is_synonym, contains };
    char *end;
    const long index = strtol(text, &end, 10);
    if (isdigit((unsigned char)text[0]) && *end == 0) {
        if (index >= model->classes)
            return cb_fail(CB_ERR_INPUT, "class %ld: %s has classes 0 to %d", index, model->name,
                           model->classes - 1);
        *out = (int)index;
        return cb_ok();
    }
    for (size_t m = 0; m < CB_COUNT_OF(match) && text[0]; m++) {
        int found = -1, count = 0;
        for (int i = 0; i < model->n_labels && i < model->classes; i++)
            if (match[m](model->labels[i], text)) {
                found = found < 0 ? i : found;
                count++;
            }
        if (count > 1 && match[m] == contains)
            return cb_fail(CB_ERR_INPUT, "class '%.80s' fits %d labels of %s: give the index", text,
                           count, model->name);
        if (count) {
            *out = found;
            return cb_ok();
        }
    }
    return cb_fail(CB_ERR_INPUT, "class '%.80s': %s has no such label", text, model->name);
}

/* Whether an earlier argument of the graph is the same value. */
static bool seen_before(const struct cb_graph *g, int node, int input)
{
    const int v = g->nodes[node].in[input];
    for (int i = 0; i <= node; i++)
        for (int k = 0; k < (i < node ? g->nodes[i].n_in : input); k++)
            if (g->nodes[i].in[k] == v)
                return true;
    return false;
}

size_t cb_model_parameters(const struct cb_model *model)
{
    const struct cb_graph *g = &model->graph;
    size_t sum = 0;
    for (int i = 0; i < g->n_nodes; i++)
        for (int k = 0; k < g->nodes[i].n_in; k++) {
            const int v = g->nodes[i].in[k];
            if (v >= 0 && g->values[v].data && cb_dtype_get(g->values[v].dtype)->is_float &&
                !seen_before(g, i, k))
                sum += cb_shape_count(&g->values[v].shape);
        }
    return sum;
}
