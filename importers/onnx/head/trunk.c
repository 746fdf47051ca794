#include "importers/onnx/head/trunk.h"

#include <stdlib.h>
#include <string.h>

#include "importers/onnx/head/head_nodes.h"
#include "importers/onnx/limits.h"

enum {
    NODE_INPUT = 1,
    NODE_OUTPUT = 2,
    NODE_ATTRIBUTE = 5,
    ATTRIBUTE_GRAPH = 6,
    ATTRIBUTE_GRAPHS = 11
};
enum { INFO_NAME = 1 };
enum { ATTRIBUTE_I = 3, ATTRIBUTE_T = 5, TYPE_FLOAT16 = 10, TYPE_DOUBLE = 11, TYPE_BFLOAT16 = 16 };
enum {
    GRAPH_DOC = 10,
    GRAPH_SPARSE = 15,
    GRAPH_METADATA = 16,
    TENSOR_LOCATION = 14,
    IS_EXTERNAL = 1
};
enum { SPARSE_VALUES = 1 };

/* A name, and the node (its field in the graph) that makes it. */
struct maker {
    struct cb_bytes name;
    struct cb_bytes node;
    bool needed;
};

struct walk {
    struct cb_trunk *trunk;
    struct cb_arena *arena;
    struct maker *maker; /* [n] sorted by name */
    size_t n;
    struct cb_bytes *waiting; /* names still to be followed */
    size_t n_waiting, n_args;
    size_t n_fields, n_attributes;
};

static int compare(struct cb_bytes a, struct cb_bytes b)
{
    const size_t len = a.len < b.len ? a.len : b.len;
    const int order = len ? memcmp(a.data, b.data, len) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int by_maker(const void *a, const void *b)
{
    return compare(((const struct maker *)a)->name, ((const struct maker *)b)->name);
}

static int by_name(const void *a, const void *b)
{
    return compare(*(const struct cb_bytes *)a, *(const struct cb_bytes *)b);
}

static bool is_bytes(const struct cb_wire_field *f, uint32_t number)
{
    return f->number == number && f->type == CB_WIRE_BYTES;
}

/* The last string field of that number; len 0: none. */
static struct cb_bytes text_field(struct cb_bytes message, uint32_t number)
{
    struct cb_bytes found = { 0 };
    for (struct cb_wire_field f; cb_wire_next(&message, &f);)
        if (is_bytes(&f, number))
            found = f.data;
    return found;
}

static int64_t int_field(struct cb_bytes message, uint32_t number)
{
    uint64_t value = 0;
    for (struct cb_wire_field f; cb_wire_next(&message, &f);)
        if (f.number == number && f.type == CB_WIRE_VARINT)
            cb_wire_varint(&f.data, &value);
    return (int64_t)value;
}

static struct cb_status read_model(struct cb_bytes file, struct cb_trunk *t)
{
    struct cb_wire_field f;
    t->ir_version = int_field(file, CB_MODEL_IR_VERSION);
    while (cb_wire_next(&file, &f)) {
        if (is_bytes(&f, CB_MODEL_GRAPH)) {
            if (t->graph.data)
                return cb_fail(CB_ERR_MODEL, "the model file has more than one graph");
            t->graph = f.data;
        } else if (is_bytes(&f, CB_MODEL_OPSET)) {
            const struct cb_bytes domain = text_field(f.data, CB_OPSET_DOMAIN);
            if (domain.len == 0 || compare(domain, cb_bytes_of_text("ai.onnx")) == 0)
                t->opset = int_field(f.data, CB_OPSET_VERSION);
        }
    }
    if (file.len || !t->graph.data)
        return cb_fail(CB_ERR_MODEL, "the model file is damaged, or has no graph");
    return cb_ok();
}

/* Counts first, so that tables can be taken. A node with a graph of its own may use names that are
 * not its inputs. */
static struct cb_status count(struct walk *w)
{
    struct cb_bytes graph = w->trunk->graph;
    for (struct cb_wire_field f; cb_wire_next(&graph, &f);) {
        w->n_fields++;
        if (!is_bytes(&f, CB_GRAPH_NODE))
            continue;
        for (struct cb_wire_field a; cb_wire_next(&f.data, &a);) {
            w->n_args += is_bytes(&a, NODE_INPUT);
            w->n += is_bytes(&a, NODE_OUTPUT);
            if (is_bytes(&a, NODE_ATTRIBUTE))
                for (struct cb_wire_field b; cb_wire_next(&a.data, &b);)
                    if (b.number == ATTRIBUTE_GRAPH || b.number == ATTRIBUTE_GRAPHS)
                        return cb_fail(CB_ERR_UNSUPPORTED,
                                       "the network has a node with a graph of its own");
        }
    }
    if (graph.len)
        return cb_fail(CB_ERR_MODEL, "the model file's graph is damaged");
    if (w->n_args > CB_ONNX_MAX_ARGS || w->n > CB_ONNX_MAX_ARGS)
        return cb_fail(CB_ERR_MODEL, "the model file's nodes have too many inputs or outputs");
    return cb_ok();
}

static struct cb_status list_makers(struct walk *w)
{
    struct cb_bytes graph = w->trunk->graph;
    size_t n = 0;
    CB_TRY(cb_arena_get(w->arena, w->n, sizeof *w->maker, "nodes", &w->maker));
    CB_TRY(cb_arena_get(w->arena, w->n_args + 1, sizeof *w->waiting, "names", &w->waiting));
    for (struct cb_wire_field f; cb_wire_next(&graph, &f);) {
        if (!is_bytes(&f, CB_GRAPH_NODE))
            continue;
        struct cb_bytes node = f.data;
        for (struct cb_wire_field a; cb_wire_next(&node, &a);)
            if (is_bytes(&a, NODE_OUTPUT) && a.data.len)
                w->maker[n++] = (struct maker){ .name = a.data, .node = f.data };
    }
    w->n = n;
    if (n)
        qsort(w->maker, n, sizeof *w->maker, by_maker);
    return cb_ok();
}

static struct maker *find_maker(const struct walk *w, struct cb_bytes name)
{
    const struct maker key = { .name = name };
    return w->n ? bsearch(&key, w->maker, w->n, sizeof key, by_maker) : NULL;
}

/* Marks what a needed node makes; its inputs wait to be followed. Each node's inputs wait at most
 * once. */
static void follow(struct walk *w, struct cb_bytes node)
{
    bool known = false;
    struct cb_bytes rest = node;
    for (struct cb_wire_field f; cb_wire_next(&rest, &f);)
        if (is_bytes(&f, NODE_OUTPUT) && f.data.len) {
            struct maker *m = find_maker(w, f.data);
            known |= m->needed;
            m->needed = true;
        }
    for (struct cb_wire_field f; !known && cb_wire_next(&node, &f);)
        if (is_bytes(&f, NODE_INPUT) && f.data.len)
            w->waiting[w->n_waiting++] = f.data;
}

/* Everything that `wanted` depends on: names are left in trunk->name, sorted. */
static struct cb_status walk_back(struct walk *w, struct cb_bytes wanted)
{
    struct cb_trunk *t = w->trunk;
    w->waiting[w->n_waiting++] = wanted;
    for (size_t i = 0; i < w->n_waiting; i++) {
        const struct maker *m = find_maker(w, w->waiting[i]);
        if (m && !m->needed)
            follow(w, m->node);
    }
    CB_TRY(cb_arena_get(w->arena, w->n_waiting + w->n, sizeof *t->name, "names", &t->name));
    for (size_t i = 0; i < w->n_waiting; i++)
        t->name[t->n_names++] = w->waiting[i];
    for (size_t i = 0; i < w->n; i++)
        if (w->maker[i].needed)
            t->name[t->n_names++] = w->maker[i].name;
    qsort(t->name, t->n_names, sizeof *t->name, by_name);
    return cb_ok();
}

static bool is_used(const struct cb_trunk *t, struct cb_bytes name)
{
    return bsearch(&name, t->name, t->n_names, sizeof name, by_name) != NULL;
}

static bool keeps_node(const struct walk *w, struct cb_bytes node)
{
    for (struct cb_wire_field f; cb_wire_next(&node, &f);)
        if (is_bytes(&f, NODE_OUTPUT) && f.data.len && find_maker(w, f.data)->needed)
            return true;
    return false;
}

static bool is_narrow_type(int64_t type)
{
    return type == TYPE_FLOAT16 || type == TYPE_DOUBLE || type == TYPE_BFLOAT16;
}

/* Whether a node brings in reals that are not 32 bits wide: a constant's tensor, or Cast's
 * target. */
static bool is_narrow_node(struct cb_bytes node)
{
    for (struct cb_wire_field f; cb_wire_next(&node, &f);)
        if (is_bytes(&f, NODE_ATTRIBUTE) &&
            (is_narrow_type(int_field(text_field(f.data, ATTRIBUTE_T), CB_TENSOR_TYPE)) ||
             is_narrow_type(int_field(f.data, ATTRIBUTE_I))))
            return true;
    return false;
}

static bool is_narrow(const struct cb_wire_field *f)
{
    if (f->number == CB_GRAPH_INITIALIZER)
        return is_narrow_type(int_field(f->data, CB_TENSOR_TYPE));
    return f->number == CB_GRAPH_NODE && is_narrow_node(f->data);
}

static bool keeps(const struct walk *w, const struct cb_wire_field *f)
{
    const struct cb_trunk *t = w->trunk;
    if (f->type != CB_WIRE_BYTES)
        return false;
    if (f->number == CB_GRAPH_NODE)
        return keeps_node(w, f->data);
    if (f->number == CB_GRAPH_INITIALIZER)
        return is_used(t, text_field(f->data, CB_TENSOR_NAME));
    if (f->number == GRAPH_SPARSE)
        return is_used(t, text_field(text_field(f->data, SPARSE_VALUES), CB_TENSOR_NAME));
    if (f->number == CB_GRAPH_INPUT || f->number == CB_GRAPH_VALUE_INFO)
        return is_used(t, text_field(f->data, INFO_NAME));
    return f->number == GRAPH_DOC || f->number == GRAPH_METADATA;
}

static struct cb_status gather(struct walk *w, struct cb_bytes wanted)
{
    struct cb_trunk *t = w->trunk;
    struct cb_bytes graph = t->graph;
    bool found = false;
    CB_TRY(cb_arena_get(w->arena, w->n_fields, sizeof *t->piece, "fields", &t->piece));
    for (struct cb_wire_field f; cb_wire_next(&graph, &f);) {
        if (!keeps(w, &f))
            continue;
        if (f.number == CB_GRAPH_INITIALIZER && int_field(f.data, TENSOR_LOCATION) == IS_EXTERNAL)
            return cb_fail(CB_ERR_UNSUPPORTED,
                           "the network's weights lie in files beside it: it cannot be one file");
        struct cb_bytes *last = t->n_pieces ? &t->piece[t->n_pieces - 1] : NULL;
        const size_t len = (size_t)(f.data.data + f.data.len - f.start);
        if (last && last->data + last->len == f.start)
            last->len += len;
        else
            t->piece[t->n_pieces++] = (struct cb_bytes){ f.start, len };
        t->bytes += len;
        t->narrow |= is_narrow(&f);
        found |= f.number == CB_GRAPH_INPUT && compare(text_field(f.data, INFO_NAME), wanted) == 0;
    }
    if (!found && !find_maker(w, wanted))
        return cb_fail(CB_ERR_MODEL, "the model file has no tensor \"%.*s\"",
                       (int)(wanted.len < 200 ? wanted.len : 200), (const char *)wanted.data);
    return cb_ok();
}

struct cb_status cb_trunk_find(struct cb_bytes file, const char *wanted, struct cb_arena *arena,
                               struct cb_trunk *out)
{
    struct cb_trunk trunk = { 0 };
    struct walk w = { .trunk = &trunk, .arena = arena };
    CB_TRY(read_model(file, &trunk));
    CB_TRY(count(&w));
    CB_TRY(list_makers(&w));
    CB_TRY(walk_back(&w, cb_bytes_of_text(wanted)));
    CB_TRY(gather(&w, cb_bytes_of_text(wanted)));
    *out = trunk;
    return cb_ok();
}

bool cb_trunk_uses(const struct cb_trunk *trunk, const char *prefix, bool whole)
{
    const size_t len = strlen(prefix);
    for (size_t i = 0; i < trunk->n_names; i++)
        if (trunk->name[i].len >= len && memcmp(trunk->name[i].data, prefix, len) == 0 &&
            (!whole || trunk->name[i].len == len))
            return true;
    return false;
}
