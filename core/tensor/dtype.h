/* core/tensor/dtype.h - element types, and how their values are kept in memory.
 *
 * A tensor says the type that the network declares. In memory there are two: every real type is
 * computed as 32-bit float, every whole number and truth value as 64-bit integer; integer results
 * are wrapped to the declared width by the operator that makes them. Conversion happens at the door
 * only (importers/tensor). Quantised activations of a plan are bytes: see CB_QUINT8. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cb_dtype {
    CB_DTYPE_NONE,
    CB_FLOAT32, CB_FLOAT64, CB_FLOAT16, CB_BFLOAT16,
    CB_INT8, CB_INT16, CB_INT32, CB_INT64,
    CB_UINT8, CB_UINT16, CB_UINT32, CB_UINT64,
    CB_BOOL,
    /* One byte an element: activations 0 .. 255 and weights -128 .. 127, whose scale and zero the
     * operators that use them know. A pass makes them (fuse_quantised.c); and the importer leaves
     * weights that DequantizeLinear alone reads as they lie. */
    CB_QUINT8, CB_QINT8,
    CB_DTYPE_COUNT,
    CB_DTYPE_OUTER_END = CB_QUINT8 /* those before it are a network's */
};

struct cb_dtype_info {
    const char *name;   /* as ONNX prints it: float, double, int64 */
    const char *npy;    /* NumPy's little-endian descr; bfloat16 has none: NULL */
    size_t outer_size;  /* bytes of an element outside: in files and messages */
    bool is_float;
};

const struct cb_dtype_info *cb_dtype_get(enum cb_dtype dtype);

/* Whether it is one of the types of a network, not of a plan's inside. */
static inline bool cb_dtype_is_outer(enum cb_dtype dtype)
{
    return (int)dtype > CB_DTYPE_NONE && dtype < CB_DTYPE_OUTER_END;
}

/* Bytes of an element in memory: 4 for real types, 1 for quantised ones, 8 for the others. */
size_t cb_dtype_size(enum cb_dtype dtype);

/* v wrapped (two's complement) to the width of an integer type; 0 or 1 for bool. */
int64_t cb_dtype_wrap(enum cb_dtype dtype, int64_t v);
