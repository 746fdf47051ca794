#include "importers/onnx/attrs.h"

#include <string.h>

#include "importers/onnx/loader.h"

#define TYPE(name) ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__##name

static const Onnx__AttributeProto *find(Onnx__AttributeProto *const *list, size_t n,
                                        const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (list[i]->name && strcmp(list[i]->name, name) == 0)
            return list[i];
    return NULL;
}

/* In a function's body an attribute may stand for one of the call, or for its default. */
const Onnx__AttributeProto *cb_onnx_attr_find(const struct cb_onnx_node *node, const char *name)
{
    const Onnx__AttributeProto *a = find(node->proto->attribute, node->proto->n_attribute, name);
    while (a && a->ref_attr_name && *a->ref_attr_name) {
        const struct cb_onnx_scope *scope = node->scope;
        const char *of_call = a->ref_attr_name;
        if (!scope->function)
            return NULL;
        node = scope->caller;
        a = find(node->proto->attribute, node->proto->n_attribute, of_call);
        if (!a)
            return find(scope->function->attribute_proto, scope->function->n_attribute_proto,
                        of_call);
    }
    return a;
}

struct cb_status cb_onnx_attr_wanted(const struct cb_onnx_node *node, const char *name)
{
    return cb_onnx_attr_find(node, name) ? cb_ok()
                                         : cb_fail(CB_ERR_MODEL, "attribute %s is missing", name);
}

/* A value of 0 may be left out by writers of proto3, an empty list by all: then the declared type
 * must say it. */
static bool is_of_type(const Onnx__AttributeProto *a, bool has,
                       Onnx__AttributeProto__AttributeType type)
{
    return has ? !a->has_type || a->type == type || a->type == 0 : a->has_type && a->type == type;
}

static struct cb_status fail_type(const char *name, const char *type)
{
    return cb_fail(CB_ERR_MODEL, "attribute %s wants %s", name, type);
}

struct cb_status cb_onnx_attr_int(const struct cb_onnx_node *node, const char *name, int64_t absent,
                                  int64_t *out)
{
    const Onnx__AttributeProto *a = cb_onnx_attr_find(node, name);
    if (a && !is_of_type(a, a->has_i, TYPE(INT)))
        return fail_type(name, "an int");
    *out = a ? a->i : absent;
    return cb_ok();
}

struct cb_status cb_onnx_attr_float(const struct cb_onnx_node *node, const char *name, float absent,
                                    float *out)
{
    const Onnx__AttributeProto *a = cb_onnx_attr_find(node, name);
    if (a && !is_of_type(a, a->has_f, TYPE(FLOAT)))
        return fail_type(name, "a float");
    *out = a ? a->f : absent;
    return cb_ok();
}

struct cb_status cb_onnx_attr_axis(const struct cb_onnx_node *node, const char *name, int absent,
                                   int *out)
{
    int64_t v;
    CB_TRY(cb_onnx_attr_int(node, name, absent, &v));
    if (v < -CB_MAX_RANK || v > CB_MAX_RANK)
        return cb_fail(CB_ERR_MODEL, "attribute %s is %lld, beyond every rank", name, (long long)v);
    *out = (int)v;
    return cb_ok();
}

struct cb_status cb_onnx_attr_flag(const struct cb_onnx_node *node, const char *name, bool absent,
                                   bool *out)
{
    int64_t v;
    CB_TRY(cb_onnx_attr_int(node, name, absent, &v));
    *out = v != 0;
    return cb_ok();
}

struct cb_status cb_onnx_attr_ints(const struct cb_onnx_node *node, const char *name,
                                   const int64_t **v, size_t *n)
{
    static const int64_t none = 0; /* an empty list is there all the same */
    const Onnx__AttributeProto *a = cb_onnx_attr_find(node, name);
    *v = NULL;
    *n = 0;
    if (!a)
        return cb_ok();
    if (!is_of_type(a, a->n_ints > 0, TYPE(INTS)))
        return fail_type(name, "ints");
    *v = a->n_ints ? a->ints : &none;
    *n = a->n_ints;
    return cb_ok();
}

struct cb_status cb_onnx_attr_list(const struct cb_onnx_node *node, const char *name,
                                   struct cb_list *out)
{
    const int64_t *v;
    size_t n;
    *out = (struct cb_list){ .count = -1 };
    CB_TRY(cb_onnx_attr_ints(node, name, &v, &n));
    if (n > CB_MAX_RANK)
        return cb_fail(CB_ERR_UNSUPPORTED, "attribute %s with %zu numbers", name, n);
    if (!v)
        return cb_ok();
    out->count = (int)n;
    memcpy(out->v, v, n * sizeof *v);
    return cb_ok();
}

struct cb_status cb_onnx_attr_word(const struct cb_onnx_node *node, const char *name,
                                   const char *const words[], int n, int *out)
{
    const Onnx__AttributeProto *a = cb_onnx_attr_find(node, name);
    *out = 0;
    if (a && !is_of_type(a, a->has_s, TYPE(STRING)))
        return fail_type(name, "a string");
    if (!a || a->s.len == 0)
        return cb_ok();
    for (int i = 0; i < n; i++)
        if (a->s.len == strlen(words[i]) && memcmp(a->s.data, words[i], a->s.len) == 0) {
            *out = i;
            return cb_ok();
        }
    return cb_fail(CB_ERR_MODEL, "attribute %s is \"%.*s\"", name,
                   (int)(a->s.len < 40 ? a->s.len : 40), (const char *)a->s.data);
}
