/* Reads back what cb_onnx_save_head wrote. */
#include <stdint.h>
#include <string.h>

#include "importers/onnx/head/head_nodes.h"
#include "importers/onnx/head/save.h"
#include "importers/onnx/limits.h"
#include "importers/onnx/wire.h"

#define PREFIX "head."
#define MOST (1 << 24) /* of a head's inputs, units and classes */

struct matrix {
    const char *name;
    int rank;
    int64_t dim[2];
    struct cb_bytes raw; /* data NULL: not in the file */
};

enum { W1, B1, W2, B2, MATRICES };

struct reading {
    struct matrix matrix[MATRICES];
    struct cb_onnx_property *properties;
    int n_properties;
};

static const struct reading nothing_read = { .matrix = {
                                                 [W1] = { .name = PREFIX CB_HEAD_W1, .rank = 2 },
                                                 [B1] = { .name = PREFIX CB_HEAD_B1, .rank = 1 },
                                                 [W2] = { .name = PREFIX CB_HEAD_W2, .rank = 2 },
                                                 [B2] = { .name = PREFIX CB_HEAD_B2, .rank = 1 },
                                             } };

static struct cb_status damaged(const char *what)
{
    return cb_fail(CB_ERR_MODEL, "the head's file is damaged or none of ours: %s", what);
}

static bool is_text(struct cb_bytes bytes, const char *text)
{
    return bytes.len == strlen(text) && !memcmp(bytes.data, text, bytes.len);
}

/* One TensorProto of float raw_data; its name decides where it goes. */
static struct cb_status read_tensor(struct reading *r, struct cb_bytes tensor)
{
    struct matrix m = { 0 };
    struct cb_bytes name = { 0 };
    uint64_t v = 0, type = 0;
    for (struct cb_wire_field f; cb_wire_next(&tensor, &f);) {
        if (f.number == CB_TENSOR_DIMS && f.type == CB_WIRE_VARINT) {
            cb_wire_varint(&f.data, &v);
            if (m.rank == 2 || v < 1 || v > MOST)
                return damaged("a matrix's size");
            m.dim[m.rank++] = (int64_t)v;
        } else if (f.number == CB_TENSOR_TYPE && f.type == CB_WIRE_VARINT) {
            cb_wire_varint(&f.data, &type);
        } else if (f.number == CB_TENSOR_NAME && f.type == CB_WIRE_BYTES) {
            name = f.data;
        } else if (f.number == CB_TENSOR_RAW && f.type == CB_WIRE_BYTES) {
            m.raw = f.data;
        }
    }
    for (int i = 0; i < MATRICES; i++) {
        struct matrix *to = &r->matrix[i];
        if (!is_text(name, to->name))
            continue;
        if (to->raw.data || m.rank != to->rank || type != 1 || !m.raw.data ||
            m.raw.len != (size_t)m.dim[0] * (size_t)(m.rank == 2 ? m.dim[1] : 1) * sizeof(float))
            return damaged(to->name);
        m.name = to->name;
        *to = m;
        return cb_ok();
    }
    return damaged("a tensor that a head does not have");
}

static struct cb_status read_graph(struct reading *r, struct cb_bytes graph)
{
    for (struct cb_wire_field f; cb_wire_next(&graph, &f);)
        if (f.number == CB_GRAPH_INITIALIZER && f.type == CB_WIRE_BYTES)
            CB_TRY(read_tensor(r, f.data));
    return graph.len ? damaged("its graph") : cb_ok();
}

static struct cb_status read_property(struct reading *r, struct cb_bytes entry,
                                      struct cb_arena *arena)
{
    const char *key = "", *value = "";
    if (r->n_properties == CB_ONNX_MAX_PROPS)
        return damaged("too many properties");
    for (struct cb_wire_field f; cb_wire_next(&entry, &f);) {
        if (f.type != CB_WIRE_BYTES || (f.number != CB_ENTRY_KEY && f.number != CB_ENTRY_VALUE))
            continue;
        char *text = cb_arena_text(arena, (const char *)f.data.data, f.data.len);
        if (!text)
            return cb_fail(CB_ERR_NOMEM, "the head's file: no room for its properties");
        *(f.number == CB_ENTRY_KEY ? &key : &value) = text;
    }
    r->properties[r->n_properties++] = (struct cb_onnx_property){ key, value };
    return cb_ok();
}

static struct cb_status check(const struct reading *r)
{
    const struct matrix *m = r->matrix;
    const bool hidden = m[W1].raw.data != NULL;
    if (!m[W2].raw.data || !m[B2].raw.data || hidden != (m[B1].raw.data != NULL))
        return damaged("a matrix is missing");
    if (m[W2].dim[0] != m[B2].dim[0] || m[W2].dim[0] < 2 ||
        (hidden && (m[W1].dim[0] != m[B1].dim[0] || m[W1].dim[0] != m[W2].dim[1])))
        return damaged("its matrices do not fit each other");
    return cb_ok();
}

static struct cb_status copy_matrix(const struct matrix *m, struct cb_arena *arena,
                                    const float **out)
{
    float *copy;
    *out = NULL;
    if (!m->raw.data)
        return cb_ok();
    CB_TRY(cb_arena_get(arena, m->raw.len, 1, "head", &copy));
    memcpy(copy, m->raw.data, m->raw.len);
    *out = copy;
    return cb_ok();
}

static struct cb_status make_head(const struct reading *r, struct cb_arena *arena,
                                  struct cb_head *head)
{
    const struct matrix *m = r->matrix;
    const bool hidden = m[W1].raw.data != NULL;
    *head = (struct cb_head){ .classes = (int)m[W2].dim[0],
                              .hidden = hidden ? (int)m[W1].dim[0] : 0,
                              .inputs = (int)m[hidden ? W1 : W2].dim[1] };
    CB_TRY(copy_matrix(&m[W1], arena, &head->w1));
    CB_TRY(copy_matrix(&m[B1], arena, &head->b1));
    CB_TRY(copy_matrix(&m[W2], arena, &head->w2));
    return copy_matrix(&m[B2], arena, &head->b2);
}

struct cb_status cb_onnx_read_head(struct cb_bytes file, struct cb_arena *arena,
                                   struct cb_onnx_head_file *out)
{
    struct reading r = nothing_read;
    struct cb_onnx_head_file made;
    CB_TRY(
        cb_arena_get(arena, CB_ONNX_MAX_PROPS, sizeof *r.properties, "properties", &r.properties));
    for (struct cb_wire_field f; cb_wire_next(&file, &f);) {
        if (f.number == CB_MODEL_GRAPH && f.type == CB_WIRE_BYTES)
            CB_TRY(read_graph(&r, f.data));
        else if (f.number == CB_MODEL_METADATA && f.type == CB_WIRE_BYTES)
            CB_TRY(read_property(&r, f.data, arena));
    }
    if (file.len)
        return damaged("its end");
    CB_TRY(check(&r));
    CB_TRY(make_head(&r, arena, &made.head));
    made.properties = r.properties;
    made.n_properties = r.n_properties;
    *out = made;
    return cb_ok();
}

const char *cb_onnx_head_property(const struct cb_onnx_head_file *file, const char *key)
{
    for (int i = 0; i < file->n_properties; i++)
        if (!strcmp(file->properties[i].key, key))
            return file->properties[i].value;
    return NULL;
}
