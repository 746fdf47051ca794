#include "core/tensor/dtype.h"

static const struct cb_dtype_info infos[CB_DTYPE_COUNT] = {
    [CB_DTYPE_NONE] = { "none", NULL, 0, false },
    [CB_FLOAT32]    = { "float", "<f4", 4, true },
    [CB_FLOAT64]    = { "double", "<f8", 8, true },
    [CB_FLOAT16]    = { "float16", "<f2", 2, true },
    [CB_BFLOAT16]   = { "bfloat16", NULL, 2, true },
    [CB_INT8]       = { "int8", "|i1", 1, false },
    [CB_INT16]      = { "int16", "<i2", 2, false },
    [CB_INT32]      = { "int32", "<i4", 4, false },
    [CB_INT64]      = { "int64", "<i8", 8, false },
    [CB_UINT8]      = { "uint8", "|u1", 1, false },
    [CB_UINT16]     = { "uint16", "<u2", 2, false },
    [CB_UINT32]     = { "uint32", "<u4", 4, false },
    [CB_UINT64]     = { "uint64", "<u8", 8, false },
    [CB_BOOL]       = { "bool", "|b1", 1, false },
    [CB_QUINT8]     = { "quint8", "|u1", 1, false },
    [CB_QINT8]      = { "qint8", "|i1", 1, false },
};

const struct cb_dtype_info *cb_dtype_get(enum cb_dtype dtype)
{
    return &infos[dtype];
}

size_t cb_dtype_size(enum cb_dtype dtype)
{
    if (dtype == CB_QUINT8 || dtype == CB_QINT8)
        return 1;
    return dtype == CB_DTYPE_NONE ? 0 : infos[dtype].is_float ? sizeof(float) : sizeof(int64_t);
}

int64_t cb_dtype_wrap(enum cb_dtype dtype, int64_t v)
{
    switch (dtype) {
    case CB_INT8: return (int8_t)v;
    case CB_INT16: return (int16_t)v;
    case CB_INT32: return (int32_t)v;
    case CB_UINT8: return (uint8_t)v;
    case CB_UINT16: return (uint16_t)v;
    case CB_UINT32: return (uint32_t)v;
    case CB_BOOL: return v != 0;
    default: return v;
    }
}
