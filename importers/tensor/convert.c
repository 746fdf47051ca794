#include "importers/tensor/convert.h"

#include <string.h>

#include "core/tensor/half.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "memory is little-endian, as files are");

/* in_NAME, out_NAME: n elements of the outer type to and from the inner, by expressions of v. */
/* clang-format off */
#define CONVERSION(name, outer_type, inner_type, to_inner, to_outer)               \
    static void in_##name(size_t n, const uint8_t *from, void *memory)             \
    {                                                                              \
        inner_type *to = memory;                                                   \
        for (size_t i = 0; i < n; i++) {                                           \
            outer_type v;                                                          \
            memcpy(&v, from + i * sizeof v, sizeof v);                             \
            to[i] = to_inner;                                                      \
        }                                                                          \
    }                                                                              \
    static void out_##name(size_t n, const void *memory, uint8_t *to)              \
    {                                                                              \
        const inner_type *from = memory;                                           \
        for (size_t i = 0; i < n; i++) {                                           \
            const inner_type v = from[i];                                          \
            const outer_type o = to_outer;                                         \
            memcpy(to + i * sizeof o, &o, sizeof o);                               \
        }                                                                          \
    }
/* clang-format on */

CONVERSION(float32, float, float, v, v)
CONVERSION(float64, double, float, (float)v, v)
CONVERSION(float16, uint16_t, float, cb_half_to_float(v), cb_half_from_float(v))
CONVERSION(bfloat16, uint16_t, float, cb_half_bfloat_to_float(v), cb_half_bfloat_from_float(v))
CONVERSION(int8, int8_t, int64_t, v, (int8_t)v)
CONVERSION(int16, int16_t, int64_t, v, (int16_t)v)
CONVERSION(int32, int32_t, int64_t, v, (int32_t)v)
CONVERSION(int64, int64_t, int64_t, v, v)
CONVERSION(uint8, uint8_t, int64_t, v, (uint8_t)v)
CONVERSION(uint16, uint16_t, int64_t, v, (uint16_t)v)
CONVERSION(uint32, uint32_t, int64_t, v, (uint32_t)v)
CONVERSION(uint64, uint64_t, int64_t, (int64_t)v, (uint64_t)v)
CONVERSION(bool, uint8_t, int64_t, v != 0, v != 0)

static const struct {
    void (*in)(size_t n, const uint8_t *from, void *memory);
    void (*out)(size_t n, const void *memory, uint8_t *to);
} conversions[CB_DTYPE_COUNT] = {
    [CB_FLOAT32] = { in_float32, out_float32 }, [CB_FLOAT64] = { in_float64, out_float64 },
    [CB_FLOAT16] = { in_float16, out_float16 }, [CB_BFLOAT16] = { in_bfloat16, out_bfloat16 },
    [CB_INT8] = { in_int8, out_int8 },          [CB_INT16] = { in_int16, out_int16 },
    [CB_INT32] = { in_int32, out_int32 },       [CB_INT64] = { in_int64, out_int64 },
    [CB_UINT8] = { in_uint8, out_uint8 },       [CB_UINT16] = { in_uint16, out_uint16 },
    [CB_UINT32] = { in_uint32, out_uint32 },    [CB_UINT64] = { in_uint64, out_uint64 },
    [CB_BOOL] = { in_bool, out_bool },
};

void cb_convert_in(enum cb_dtype dtype, size_t n, const void *outer, void *memory)
{
    if (n)
        conversions[dtype].in(n, outer, memory);
}

void cb_convert_out(enum cb_dtype dtype, size_t n, const void *memory, void *outer)
{
    if (n)
        conversions[dtype].out(n, memory, outer);
}
