/* core/tensor/tensor.h - a shape, a type, and borrowed elements. */
#pragma once

#include "core/tensor/dtype.h"
#include "core/tensor/shape.h"

/* Row-major and dense, but for pixel_stride. Which member holds the elements follows from dtype: f
 * for real types, u8 and i8 for quantised ones, i for all others (see dtype.h). The struct never
 * owns them. */
struct cb_tensor {
    struct cb_shape shape;
    enum cb_dtype dtype;
    union {
        void *data;
        float *f;
        int64_t *i;
        uint8_t *u8;
        int8_t *i8;
    };
    /* Elements from one pixel (the last axis) to the next, where this is a slice of wider pixels;
     * 0: dense. Only operators that say so see others (cb_op_def.takes_stride). */
    size_t pixel_stride;
};

/* The same; of a dense tensor the last axis's length. */
static inline size_t cb_tensor_pixel_stride(const struct cb_tensor *t)
{
    const int rank = t->shape.rank;
    return t->pixel_stride ? t->pixel_stride : rank > 0 ? (size_t)t->shape.dim[rank - 1] : 1;
}

static inline size_t cb_tensor_count(const struct cb_tensor *t)
{
    return cb_shape_count(&t->shape);
}

static inline size_t cb_tensor_bytes(const struct cb_tensor *t)
{
    return cb_tensor_count(t) * cb_dtype_size(t->dtype);
}
