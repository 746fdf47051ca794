#include "importers/onnx/tensors.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/tensor/half.h"
#include "importers/onnx/limits.h"
#include "importers/onnx/wire.h"
#include "importers/tensor/convert.h"

/* Numbers of TensorProto's data fields. */
enum {
    FLOAT_DATA = 4,
    INT32_DATA = 5,
    INT64_DATA = 7,
    RAW_DATA = 9,
    DOUBLE_DATA = 10,
    UINT64_DATA = 11
};

static const struct type {
    const char *name;
    enum cb_dtype dtype;
    uint32_t field; /* where values stand that are not in raw_data */
} types[] = {
    { "undefined", CB_DTYPE_NONE, 0 },     { "float", CB_FLOAT32, FLOAT_DATA },
    { "uint8", CB_UINT8, INT32_DATA },     { "int8", CB_INT8, INT32_DATA },
    { "uint16", CB_UINT16, INT32_DATA },   { "int16", CB_INT16, INT32_DATA },
    { "int32", CB_INT32, INT32_DATA },     { "int64", CB_INT64, INT64_DATA },
    { "string", CB_DTYPE_NONE, 0 },        { "bool", CB_BOOL, INT32_DATA },
    { "float16", CB_FLOAT16, INT32_DATA }, /* the bits */
    { "double", CB_FLOAT64, DOUBLE_DATA }, { "uint32", CB_UINT32, UINT64_DATA },
    { "uint64", CB_UINT64, UINT64_DATA },  { "complex64", CB_DTYPE_NONE, 0 },
    { "complex128", CB_DTYPE_NONE, 0 },    { "bfloat16", CB_BFLOAT16, INT32_DATA },
    { "float8e4m3fn", CB_DTYPE_NONE, 0 },  { "float8e4m3fnuz", CB_DTYPE_NONE, 0 },
    { "float8e5m2", CB_DTYPE_NONE, 0 },    { "float8e5m2fnuz", CB_DTYPE_NONE, 0 },
    { "uint4", CB_DTYPE_NONE, 0 },         { "int4", CB_DTYPE_NONE, 0 },
    { "float4e2m1", CB_DTYPE_NONE, 0 },    { "float8e8m0", CB_DTYPE_NONE, 0 },
    { "uint2", CB_DTYPE_NONE, 0 },         { "int2", CB_DTYPE_NONE, 0 },
};

enum cb_dtype cb_onnx_dtype(int64_t type)
{
    return type >= 0 && type < (int64_t)CB_COUNT_OF(types) ? types[type].dtype : CB_DTYPE_NONE;
}

const char *cb_onnx_dtype_name(int64_t type)
{
    return type >= 0 && type < (int64_t)CB_COUNT_OF(types) ? types[type].name : "unknown";
}

enum cb_dtype cb_onnx_dtype_find(const char *name)
{
    for (size_t i = 0; i < CB_COUNT_OF(types); i++)
        if (strcasecmp(types[i].name, name) == 0)
            return types[i].dtype;
    return CB_DTYPE_NONE;
}

void cb_onnx_files_close(struct cb_onnx_files *files)
{
    for (int i = 0; i < files->n_external; i++)
        cb_file_unmap(&files->external[i].bytes);
    files->n_external = 0;
}

static struct cb_status map_external(struct cb_onnx_files *files, const char *location,
                                     struct cb_bytes *out)
{
    for (int i = 0; i < files->n_external; i++)
        if (strcmp(files->external[i].location, location) == 0) {
            *out = files->external[i].bytes;
            return cb_ok();
        }
    if (!files->external)
        CB_TRY(cb_arena_get(files->arena, CB_ONNX_MAX_EXTERNAL, sizeof *files->external,
                            "external files", &files->external));
    if (files->n_external == CB_ONNX_MAX_EXTERNAL)
        return cb_fail(CB_ERR_MODEL, "more than %d files of external data", CB_ONNX_MAX_EXTERNAL);
    const char *name = cb_arena_text(files->arena, location, strlen(location));
    if (!name)
        return cb_fail(CB_ERR_NOMEM, "external data: over the budget");
    CB_TRY(cb_file_map_inside(files->folder, location, out));
    files->external[files->n_external++] = (struct cb_onnx_external){ name, *out };
    return cb_ok();
}

static bool parse_size(const char *text, size_t *out)
{
    char *end;
    errno = 0;
    const unsigned long long v = strtoull(text, &end, 10);
    *out = (size_t)v;
    return text[0] >= '0' && text[0] <= '9' && *end == 0 && errno == 0;
}

/* The bytes of external data: keys location, offset (0), length (to the end of the file). */
static struct cb_status find_external(struct cb_onnx_files *files, const Onnx__TensorProto *proto,
                                      struct cb_bytes *out)
{
    const char *location = NULL, *offset = "0", *length = NULL;
    struct cb_bytes file;
    size_t from, len;
    for (size_t i = 0; i < proto->n_external_data; i++) {
        const char *key = proto->external_data[i]->key, *value = proto->external_data[i]->value;
        if (!key || !value)
            continue;
        if (strcmp(key, "location") == 0)
            location = value;
        else if (strcmp(key, "offset") == 0)
            offset = value;
        else if (strcmp(key, "length") == 0)
            length = value;
    }
    if (!location || !*location)
        return cb_fail(CB_ERR_MODEL, "external data without a location");
    if (!files->folder)
        return cb_fail(CB_ERR_UNSUPPORTED,
                       "external data (%.100s) can not be had here: one file is wanted", location);
    CB_TRY(cb_context(map_external(files, location, &file), "external data"));
    if (!parse_size(offset, &from) || from > file.len)
        return cb_fail(CB_ERR_MODEL, "external data: offset %.40s in %.100s of %zu bytes", offset,
                       location, file.len);
    len = file.len - from;
    if (length && (!parse_size(length, &len) || len > file.len - from))
        return cb_fail(CB_ERR_MODEL, "external data: %.40s bytes at %zu in %.100s of %zu", length,
                       from, location, file.len);
    *out = (struct cb_bytes){ file.data + from, len };
    return cb_ok();
}

/* What a TensorProto holds. */
struct found {
    bool raw;
    struct cb_bytes bytes; /* raw, or the last run of typed values */
    int runs;              /* of typed values */
    size_t values;         /* in all runs */
};

/* How many values a field of typed data holds; SIZE_MAX when it holds a part of one. */
static size_t count_values(uint32_t number, const struct cb_wire_field *field)
{
    const size_t width = number == FLOAT_DATA    ? 4
                         : number == DOUBLE_DATA ? 8
                                                 : 0,
                 len = field->data.len;
    size_t n = 0;
    if (width)
        return len % width || (field->type != CB_WIRE_BYTES && len != width) ||
                       field->type == CB_WIRE_VARINT
                   ? SIZE_MAX
                   : len / width;
    if (field->type != CB_WIRE_BYTES)
        return field->type == CB_WIRE_VARINT ? 1 : SIZE_MAX;
    for (size_t i = 0; i < len; i++)
        n += !(field->data.data[i] & 0x80);
    return len && (field->data.data[len - 1] & 0x80) ? SIZE_MAX : n;
}

static struct cb_status find_data(struct cb_onnx_files *files, const Onnx__TensorProto *proto,
                                  uint32_t number, struct found *found)
{
    struct cb_bytes rest = { files->model.data + proto->file_offset, (size_t)proto->file_length };
    struct cb_wire_field field;
    *found = (struct found){ 0 };
    if (proto->has_data_location &&
        proto->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL) {
        found->raw = true;
        return find_external(files, proto, &found->bytes);
    }
    while (cb_wire_next(&rest, &field)) {
        if (field.number == RAW_DATA && field.type == CB_WIRE_BYTES) {
            found->raw = true;
            found->bytes = field.data;
        } else if (field.number == number && !found->raw) {
            const size_t n = count_values(number, &field);
            if (n == SIZE_MAX)
                return cb_fail(CB_ERR_MODEL, "data end within a value");
            found->values += n;
            found->runs++;
            found->bytes = field.data;
        }
    }
    return cb_ok();
}

/* A run of varints; at most `room`, and what count_values counted. */
static size_t read_varints(enum cb_dtype dtype, struct cb_bytes run, size_t room,
                           struct cb_tensor *out, size_t at)
{
    size_t n = 0;
    uint64_t v;
    for (; n < room && cb_wire_varint(&run, &v); n++)
        if (dtype == CB_FLOAT16)
            out->f[at + n] = cb_half_to_float((uint16_t)v);
        else if (dtype == CB_BFLOAT16)
            out->f[at + n] = cb_half_bfloat_to_float((uint16_t)v);
        else
            out->i[at + n] = cb_dtype_wrap(dtype, (int64_t)v);
    return n;
}

static struct cb_status read_typed(struct cb_bytes message, const struct type *type, size_t count,
                                   struct cb_tensor *out)
{
    struct cb_wire_field field;
    size_t at = 0;
    while (cb_wire_next(&message, &field)) {
        if (field.number != type->field)
            continue;
        if (type->field == FLOAT_DATA || type->field == DOUBLE_DATA) {
            const size_t n = count_values(type->field, &field);
            cb_convert_in(type->dtype, n, field.data.data, out->f + at);
            at += n;
        } else {
            at += read_varints(type->dtype, field.data, count - at, out, at);
        }
    }
    return at == count ? cb_ok() : cb_fail(CB_ERR_MODEL, "wants %zu values, has %zu", count, at);
}

static struct cb_status read_dims(size_t n, const int64_t *dims, struct cb_shape *shape)
{
    if (n > CB_MAX_RANK)
        return cb_fail(CB_ERR_UNSUPPORTED, "a tensor of rank %zu", n);
    *shape = (struct cb_shape){ .rank = (int)n };
    for (size_t i = 0; i < n; i++)
        shape->dim[i] = dims[i];
    char text[CB_SHAPE_TEXT];
    if (!cb_shape_check(shape))
        return cb_fail(CB_ERR_MODEL, "dims %s: negative or too large", cb_shape_text(shape, text));
    return cb_ok();
}

static struct cb_status read_shape(const Onnx__TensorProto *proto, struct cb_shape *shape)
{
    return read_dims(proto->n_dims, proto->dims, shape);
}

struct cb_status cb_onnx_tensor_read(struct cb_onnx_files *files, const Onnx__TensorProto *proto,
                                     struct cb_tensor *out, bool *in_place)
{
    const enum cb_dtype dtype = cb_onnx_dtype(proto->data_type);
    struct cb_tensor t = { .dtype = dtype };
    struct found found;
    if (dtype == CB_DTYPE_NONE)
        return cb_fail(CB_ERR_UNSUPPORTED, "a tensor of type %s (%d)",
                       cb_onnx_dtype_name(proto->data_type), proto->data_type);
    if (proto->segment)
        return cb_fail(CB_ERR_UNSUPPORTED, "a tensor in segments");
    CB_TRY(read_shape(proto, &t.shape));
    const struct type *type = &types[proto->data_type];
    CB_TRY(find_data(files, proto, type->field, &found));
    const size_t count = cb_tensor_count(&t), outer = count * cb_dtype_get(dtype)->outer_size;
    char text[CB_SHAPE_TEXT];
    if (found.raw && found.bytes.len != outer)
        return cb_fail(CB_ERR_MODEL, "%s %s wants %zu bytes, has %zu", cb_dtype_get(dtype)->name,
                       cb_shape_text(&t.shape, text), outer, found.bytes.len);
    if (!found.raw && found.values != count)
        return cb_fail(CB_ERR_MODEL, "%s %s wants %zu values, has %zu", cb_dtype_get(dtype)->name,
                       cb_shape_text(&t.shape, text), count, found.values);
    *in_place = dtype == CB_FLOAT32 && count && (found.raw || found.runs == 1);
    if (*in_place) {
        t.data = (void *)(uintptr_t)found.bytes.data;
    } else {
        CB_TRY(cb_arena_get(files->arena, count, cb_dtype_size(dtype), "a tensor", &t.data));
        if (found.raw)
            cb_convert_in(dtype, count, found.bytes.data, t.data);
        else
            CB_TRY(read_typed((struct cb_bytes){ files->model.data + proto->file_offset,
                                                 (size_t)proto->file_length },
                              type, count, &t));
    }
    *out = t;
    return cb_ok();
}

bool cb_onnx_tensor_bytes(struct cb_onnx_files *files, const Onnx__TensorProto *proto,
                          struct cb_tensor *out)
{
    struct cb_tensor t = { .dtype = CB_QINT8 };
    struct found found;
    if (cb_onnx_dtype(proto->data_type) != CB_INT8 || proto->segment ||
        read_shape(proto, &t.shape).code || find_data(files, proto, INT32_DATA, &found).code ||
        !found.raw || found.bytes.len != cb_tensor_count(&t) || found.bytes.len == 0)
        return false;
    t.data = (void *)(uintptr_t)found.bytes.data;
    *out = t;
    return true;
}

/* Where element i of a sparse tensor stands: its index is one number, or one for each axis. */
static struct cb_status place_of(const struct cb_tensor *indices, const struct cb_shape *dense,
                                 size_t i, size_t *out)
{
    const int n = indices->shape.rank == 2 ? (int)indices->shape.dim[1] : 1;
    const int64_t *index = indices->i + i * (size_t)n, count = (int64_t)cb_shape_count(dense);
    int64_t at = 0;
    for (int k = 0; k < n; k++) {
        const int64_t size = indices->shape.rank == 2 ? dense->dim[k] : count;
        if (index[k] < 0 || index[k] >= size)
            return cb_fail(CB_ERR_MODEL, "index %lld of a sparse tensor, wants 0 to %lld",
                           (long long)index[k], (long long)size - 1);
        at = indices->shape.rank == 2 ? at * size + index[k] : index[k];
    }
    *out = (size_t)at;
    return cb_ok();
}

struct cb_status cb_onnx_sparse_read(struct cb_onnx_files *files,
                                     const Onnx__SparseTensorProto *proto, struct cb_tensor *out)
{
    struct cb_tensor values, indices, t;
    bool in_place;
    if (!proto->values || !proto->indices)
        return cb_fail(CB_ERR_MODEL, "a sparse tensor without values or indices");
    CB_TRY(cb_onnx_tensor_read(files, proto->values, &values, &in_place));
    CB_TRY(cb_onnx_tensor_read(files, proto->indices, &indices, &in_place));
    t = (struct cb_tensor){ .dtype = values.dtype };
    CB_TRY(read_dims(proto->n_dims, proto->dims, &t.shape));
    const size_t n = cb_tensor_count(&values), size = cb_dtype_size(t.dtype);
    const struct cb_shape *at = &indices.shape;
    if (indices.dtype != CB_INT64 || values.shape.rank != 1 || at->rank < 1 || at->rank > 2 ||
        at->dim[0] != values.shape.dim[0] || (at->rank == 2 && at->dim[1] != t.shape.rank))
        return cb_fail(CB_ERR_MODEL, "indices of a sparse tensor do not fit its values");
    if (cb_tensor_count(&t) > CB_ONNX_MAX_SPARSE)
        return cb_fail(CB_ERR_TOO_LARGE, "a sparse tensor of %zu elements", cb_tensor_count(&t));
    CB_TRY(cb_arena_get(files->arena, cb_tensor_count(&t), size, "a sparse tensor", &t.data));
    for (size_t i = 0; i < n; i++) {
        size_t place = 0;
        CB_TRY(place_of(&indices, &t.shape, i, &place));
        memcpy((uint8_t *)t.data + place * size, (const uint8_t *)values.data + i * size, size);
    }
    *out = t;
    return cb_ok();
}
