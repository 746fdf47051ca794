#include "importers/onnx/parse.h"

#include "importers/onnx/limits.h"
#include "importers/onnx/wire.h"

/* What protobuf-c allocates ends where the arena does. */
struct budget {
    struct cb_arena *arena;
    bool spent;
};

static void *take(void *data, size_t size)
{
    struct budget *b = data;
    void *p = cb_arena_alloc(b->arena, size, 1);
    b->spent |= !p;
    return p;
}

static void give(void *data, void *p)
{
    (void)data, (void)p; /* all of it goes with the arena */
}

static struct cb_status parse(struct cb_arena *arena, struct cb_bytes file,
                              enum cb_wire_message root, const ProtobufCMessageDescriptor *kind,
                              ProtobufCMessage **out)
{
    struct budget budget = { arena, false };
    ProtobufCAllocator allocator = { take, give, &budget };
    struct cb_buf slim;
    cb_buf_init(&slim, CB_ONNX_MAX_SLIM);
    struct cb_status st = cb_wire_slim(file, root, &slim);
    if (st.code == CB_OK) {
        ProtobufCMessage *message =
            protobuf_c_message_unpack(kind, &allocator, slim.len, (uint8_t *)slim.data);
        if (message)
            *out = message;
        else
            st = budget.spent ? cb_fail(CB_ERR_NOMEM, "names and attributes are over the budget")
                              : cb_fail(CB_ERR_MODEL, "no ONNX file: a field is of another type");
    }
    cb_buf_deinit(&slim);
    return st;
}

struct cb_status cb_onnx_parse_model(struct cb_arena *arena, struct cb_bytes file,
                                     Onnx__ModelProto **out)
{
    ProtobufCMessage *message = NULL;
    CB_TRY(parse(arena, file, CB_WIRE_MODEL, &onnx__model_proto__descriptor, &message));
    *out = (Onnx__ModelProto *)message;
    return cb_ok();
}

struct cb_status cb_onnx_parse_tensor(struct cb_arena *arena, struct cb_bytes file,
                                      Onnx__TensorProto **out)
{
    ProtobufCMessage *message = NULL;
    CB_TRY(parse(arena, file, CB_WIRE_TENSOR, &onnx__tensor_proto__descriptor, &message));
    *out = (Onnx__TensorProto *)message;
    return cb_ok();
}
