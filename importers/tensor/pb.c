#include "importers/tensor/pb.h"

#include "core/tensor/half.h"
#include "importers/onnx/parse.h"
#include "importers/onnx/tensors.h"
#include "importers/onnx/wire.h"
#include "importers/tensor/convert.h"

#define SCRATCH ((size_t)1 << 20) /* dims and names; the data are not parsed */

static struct cb_status read_with(struct cb_arena *scratch, struct cb_arena *arena,
                                  struct cb_bytes file, struct cb_tensor *out)
{
    struct cb_onnx_files files = { .model = file, .arena = arena };
    Onnx__TensorProto *proto;
    struct cb_tensor t;
    bool in_place;
    CB_TRY(cb_onnx_parse_tensor(scratch, file, &proto));
    CB_TRY(cb_onnx_tensor_read(&files, proto, &t, &in_place));
    if (in_place) {
        const void *data = t.data;
        CB_TRY(
            cb_arena_get(arena, cb_tensor_count(&t), cb_dtype_size(t.dtype), "a tensor", &t.data));
        cb_convert_in(t.dtype, cb_tensor_count(&t), data, t.data);
    }
    *out = t;
    return cb_ok();
}

struct cb_status cb_pb_read(struct cb_arena *arena, struct cb_bytes file, struct cb_tensor *out)
{
    struct cb_arena scratch;
    CB_TRY(cb_arena_init(&scratch, SCRATCH));
    const struct cb_status st = read_with(&scratch, arena, file, out);
    cb_arena_deinit(&scratch);
    return st;
}

struct cb_status cb_pb_read_as(struct cb_arena *arena, struct cb_bytes file, enum cb_dtype dtype,
                               struct cb_tensor *out)
{
    struct cb_tensor t;
    CB_TRY(cb_pb_read(arena, file, &t));
    if (dtype == CB_BFLOAT16 && t.dtype == CB_UINT16) {
        const int64_t *bits = t.i;
        const size_t count = cb_tensor_count(&t);
        CB_TRY(cb_arena_get(arena, count, sizeof(float), "a tensor", &t.data));
        for (size_t i = 0; i < count; i++)
            t.f[i] = cb_half_bfloat_to_float((uint16_t)bits[i]);
        t.dtype = CB_BFLOAT16;
    }
    *out = t;
    return cb_ok();
}

const char *cb_pb_name(struct cb_arena *arena, struct cb_bytes file)
{
    enum { NAME = 8 };
    struct cb_wire_field field;
    while (cb_wire_next(&file, &field))
        if (field.number == NAME && field.type == CB_WIRE_BYTES && field.data.len)
            return cb_arena_text(arena, (const char *)field.data.data, field.data.len);
    return NULL;
}
