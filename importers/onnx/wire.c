#include "importers/onnx/wire.h"

#include "importers/onnx/limits.h"

/* Messages that are walked into. The first two are enum cb_wire_message. */
enum message {
    MODEL = CB_WIRE_MODEL,
    TENSOR = CB_WIRE_TENSOR,
    GRAPH,
    NODE,
    ATTRIBUTE,
    VALUE_INFO,
    TYPE,
    TENSOR_TYPE,
    SHAPE,
    DIM,
    OPSET,
    ENTRY,
    FUNCTION,
    SPARSE
};

enum action {
    COPY, /* as it lies */
    WALK, /* a message: field by field */
    EMPTY /* a message: only that it is there */
};

/* What reaches the parser; every other field is dropped. Only a graph may stand in itself, by a
 * node's attribute, and how deep is counted. */
/* clang-format off */
static const struct rule {
    enum message in;
    uint32_t number;
    enum action action;
    enum message what;
    size_t most; /* in one file; 0: as many as fit */
    const char *name;
} rules[] = {
    { MODEL, 1, COPY, 0, 0, "ir_version" },
    { MODEL, 2, COPY, 0, 0, "producer_name" },
    { MODEL, 3, COPY, 0, 0, "producer_version" },
    { MODEL, 7, WALK, GRAPH, 1, "graph" },
    { MODEL, 8, WALK, OPSET, CB_ONNX_MAX_OPSETS, "opset_import" },
    { MODEL, 14, WALK, ENTRY, CB_ONNX_MAX_PROPS, "metadata_props" },
    { MODEL, 25, WALK, FUNCTION, CB_ONNX_MAX_FUNCTIONS, "functions" },
    { GRAPH, 1, WALK, NODE, CB_ONNX_MAX_NODES, "node" },
    { GRAPH, 2, COPY, 0, 0, "name" },
    { GRAPH, 5, WALK, TENSOR, CB_ONNX_MAX_TENSORS, "initializer" },
    { GRAPH, 11, WALK, VALUE_INFO, CB_ONNX_MAX_VALUES, "input" },
    { GRAPH, 12, WALK, VALUE_INFO, CB_ONNX_MAX_VALUES, "output" },
    { GRAPH, 15, WALK, SPARSE, CB_ONNX_MAX_TENSORS, "sparse_initializer" },
    { NODE, 1, COPY, 0, CB_ONNX_MAX_ARGS, "input" },
    { NODE, 2, COPY, 0, CB_ONNX_MAX_ARGS, "output" },
    { NODE, 3, COPY, 0, 0, "name" },
    { NODE, 4, COPY, 0, 0, "op_type" },
    { NODE, 5, WALK, ATTRIBUTE, CB_ONNX_MAX_ATTRIBUTES, "attribute" },
    { NODE, 7, COPY, 0, 0, "domain" },
    { NODE, 8, COPY, 0, 0, "overload" },
    { ATTRIBUTE, 1, COPY, 0, 0, "name" },
    { ATTRIBUTE, 2, COPY, 0, 0, "f" },
    { ATTRIBUTE, 3, COPY, 0, 0, "i" },
    { ATTRIBUTE, 4, COPY, 0, 0, "s" },
    { ATTRIBUTE, 5, WALK, TENSOR, CB_ONNX_MAX_TENSORS, "t" },
    { ATTRIBUTE, 6, WALK, GRAPH, CB_ONNX_MAX_NODES, "g" },
    { ATTRIBUTE, 7, COPY, 0, 0, "floats" },
    { ATTRIBUTE, 8, COPY, 0, 0, "ints" },
    { ATTRIBUTE, 20, COPY, 0, 0, "type" },
    { ATTRIBUTE, 21, COPY, 0, 0, "ref_attr_name" },
    { ATTRIBUTE, 22, WALK, SPARSE, CB_ONNX_MAX_TENSORS, "sparse_tensor" },
    { SPARSE, 1, WALK, TENSOR, CB_ONNX_MAX_TENSORS, "values" },
    { SPARSE, 2, WALK, TENSOR, CB_ONNX_MAX_TENSORS, "indices" },
    { SPARSE, 3, COPY, 0, CB_ONNX_MAX_DIMS, "dims" },
    { VALUE_INFO, 1, COPY, 0, 0, "name" },
    { VALUE_INFO, 2, WALK, TYPE, 0, "type" },
    { TYPE, 1, WALK, TENSOR_TYPE, 0, "tensor_type" },
    { TYPE, 4, EMPTY, 0, 0, "sequence_type" },
    { TYPE, 5, EMPTY, 0, 0, "map_type" },
    { TYPE, 8, EMPTY, 0, 0, "sparse_tensor_type" },
    { TYPE, 9, EMPTY, 0, 0, "optional_type" },
    { TENSOR_TYPE, 1, COPY, 0, 0, "elem_type" },
    { TENSOR_TYPE, 2, WALK, SHAPE, 0, "shape" },
    { SHAPE, 1, WALK, DIM, CB_ONNX_MAX_DIMS, "dim" },
    { DIM, 1, COPY, 0, 0, "dim_value" },
    { DIM, 2, COPY, 0, 0, "dim_param" },
    { OPSET, 1, COPY, 0, 0, "domain" },
    { OPSET, 2, COPY, 0, 0, "version" },
    { FUNCTION, 1, COPY, 0, 0, "name" },
    { FUNCTION, 4, COPY, 0, CB_ONNX_MAX_ARGS, "input" },
    { FUNCTION, 5, COPY, 0, CB_ONNX_MAX_ARGS, "output" },
    { FUNCTION, 7, WALK, NODE, CB_ONNX_MAX_NODES, "node" },
    { FUNCTION, 9, WALK, OPSET, CB_ONNX_MAX_OPSETS * 64, "opset_import" },
    { FUNCTION, 10, COPY, 0, 0, "domain" },
    { FUNCTION, 11, WALK, ATTRIBUTE, CB_ONNX_MAX_ATTRIBUTES, "attribute_proto" },
    { FUNCTION, 13, COPY, 0, 0, "overload" },
    { TENSOR, 1, COPY, 0, 0, "dims" },
    { TENSOR, 2, COPY, 0, 0, "data_type" },
    { TENSOR, 3, EMPTY, 0, 0, "segment" },
    { TENSOR, 8, COPY, 0, 0, "name" },
    { TENSOR, 13, WALK, ENTRY, 3 * CB_ONNX_MAX_TENSORS, "external_data" },
    { TENSOR, 14, COPY, 0, 0, "data_location" },
    { ENTRY, 1, COPY, 0, 0, "key" },
    { ENTRY, 2, COPY, 0, 0, "value" },
};
/* clang-format on */

/* Tags of the two fields of proto/onnx.proto that are not ONNX's, as they are written: fixed64. */
static const uint8_t tag_offset[] = { 0x89, 0xa4, 0xe8, 0x03 },
                     tag_length[] = { 0x91, 0xa4, 0xe8, 0x03 };

struct walk {
    struct cb_bytes file;
    struct cb_buf *out;
    int depth; /* of graphs in graphs */
    size_t seen[CB_COUNT_OF(rules)];
};

bool cb_wire_varint(struct cb_bytes *bytes, uint64_t *value)
{
    uint64_t v = 0;
    for (size_t i = 0; i < 10 && i < bytes->len; i++) {
        const uint8_t b = bytes->data[i];
        v |= (uint64_t)(b & 0x7f) << (7 * i);
        if (!(b & 0x80)) {
            *value = v;
            *bytes = (struct cb_bytes){ bytes->data + i + 1, bytes->len - i - 1 };
            return true;
        }
    }
    return false;
}

/* The payload's length, and `rest` moved to where it begins; false for a type that there is none
 * of. */
static bool payload(struct cb_bytes *rest, unsigned type, size_t *len)
{
    struct cb_bytes after = *rest;
    uint64_t v;
    switch (type) {
    case CB_WIRE_VARINT:
        if (!cb_wire_varint(&after, &v))
            return false;
        *len = rest->len - after.len;
        return true;
    case CB_WIRE_BYTES:
        if (!cb_wire_varint(rest, &v) || v > rest->len)
            return false;
        *len = (size_t)v;
        return true;
    case CB_WIRE_FIXED32:
    case CB_WIRE_FIXED64: *len = type == CB_WIRE_FIXED32 ? 4 : 8; return *len <= rest->len;
    default: /* groups, which ONNX never had */ return false;
    }
}

bool cb_wire_next(struct cb_bytes *message, struct cb_wire_field *field)
{
    struct cb_bytes rest = *message;
    uint64_t tag;
    size_t len;
    if (!cb_wire_varint(&rest, &tag) || tag >> 3 == 0 || tag >> 32 ||
        !payload(&rest, tag & 7, &len))
        return false;
    field->number = (uint32_t)(tag >> 3);
    field->type = tag & 7;
    field->data = (struct cb_bytes){ rest.data, len };
    field->start = message->data;
    *message = (struct cb_bytes){ rest.data + len, rest.len - len };
    return true;
}

static const struct rule *rule_of(enum message in, uint32_t number)
{
    for (size_t i = 0; i < CB_COUNT_OF(rules); i++)
        if (rules[i].in == in && rules[i].number == number)
            return &rules[i];
    return NULL;
}

static void add_tag(struct cb_buf *out, uint32_t number)
{
    const uint32_t tag = number << 3 | CB_WIRE_BYTES; /* numbers of messages stay below 32 */
    const uint8_t bytes[2] = { (uint8_t)(tag < 0x80 ? tag : (tag & 0x7f) | 0x80),
                               (uint8_t)(tag >> 7) };
    cb_buf_add(out, bytes, tag < 0x80 ? 1 : 2);
}

/* In LENGTH_BYTES whether v needs them or not: a length is known only when what it counts is
 * written. */
#define LENGTH_BYTES 4
_Static_assert(CB_ONNX_MAX_SLIM < (size_t)1 << 7 * LENGTH_BYTES,
               "a length of the slim message fits");

static void put_length(uint8_t *at, size_t v)
{
    for (int i = 0; i < LENGTH_BYTES; i++, v >>= 7)
        at[i] = (uint8_t)((v & 0x7f) | (i + 1 < LENGTH_BYTES ? 0x80 : 0));
}

static void add_place(struct walk *w, struct cb_bytes message)
{
    const uint64_t place[2] = { (uint64_t)(message.data - w->file.data), message.len };
    cb_buf_add(w->out, tag_offset, sizeof tag_offset);
    cb_buf_add(w->out, &place[0], 8); /* little-endian, as all that Cambium runs on */
    cb_buf_add(w->out, tag_length, sizeof tag_length);
    cb_buf_add(w->out, &place[1], 8);
}

static struct cb_status walk_message(struct walk *w, enum message kind, struct cb_bytes message);

static struct cb_status keep_message(struct walk *w, const struct rule *rule,
                                     struct cb_bytes message)
{
    static const uint8_t zero[LENGTH_BYTES];
    add_tag(w->out, rule->number);
    cb_buf_add(w->out, zero, rule->action == EMPTY ? 1 : LENGTH_BYTES);
    if (rule->action == EMPTY)
        return cb_ok();
    const size_t begin = w->out->len;
    const int deeper = rule->what == GRAPH;
    if (deeper && w->depth == CB_ONNX_MAX_DEPTH)
        return cb_fail(CB_ERR_MODEL, "graphs stand in graphs deeper than %d: over the limit",
                       CB_ONNX_MAX_DEPTH);
    w->depth += deeper;
    CB_TRY(walk_message(w, rule->what, message));
    w->depth -= deeper;
    if (!w->out->failed)
        put_length((uint8_t *)w->out->data + begin - LENGTH_BYTES, w->out->len - begin);
    return cb_ok();
}

static struct cb_status keep(struct walk *w, const struct rule *rule,
                             const struct cb_wire_field *field)
{
    if (rule->most && w->seen[rule - rules]++ == rule->most)
        return cb_fail(CB_ERR_MODEL, "more than %zu of %s: over the limit", rule->most, rule->name);
    if (rule->action != COPY && field->type != CB_WIRE_BYTES)
        return cb_fail(CB_ERR_MODEL, "no ONNX model: %s is no message", rule->name);
    if (rule->action != COPY)
        CB_TRY(keep_message(w, rule, field->data));
    else
        cb_buf_add(w->out, field->start,
                   (size_t)(field->data.data + field->data.len - field->start));
    return w->out->failed
               ? cb_fail(CB_ERR_NOMEM, "names and attributes are over the limit of %zu bytes",
                         w->out->limit)
               : cb_ok();
}

static struct cb_status walk_message(struct walk *w, enum message kind, struct cb_bytes message)
{
    struct cb_bytes rest = message;
    struct cb_wire_field field;
    while (cb_wire_next(&rest, &field)) {
        const struct rule *rule = rule_of(kind, field.number);
        if (rule)
            CB_TRY(keep(w, rule, &field));
    }
    if (rest.len)
        return cb_fail(CB_ERR_MODEL, "no ONNX model: broken field at byte %zu of %zu",
                       (size_t)(rest.data - w->file.data), w->file.len);
    if (kind == TENSOR)
        add_place(w, message);
    return cb_ok();
}

struct cb_status cb_wire_slim(struct cb_bytes file, enum cb_wire_message root, struct cb_buf *out)
{
    struct walk w = { .file = file, .out = out };
    return walk_message(&w, (enum message)root, file);
}
