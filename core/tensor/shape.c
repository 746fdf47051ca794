#include "core/tensor/shape.h"

#include <stdio.h>

size_t cb_shape_span(const struct cb_shape *shape, int from, int to)
{
    size_t n = 1;
    for (int i = from; i < to; i++)
        n *= (size_t)shape->dim[i];
    return n;
}

size_t cb_shape_count(const struct cb_shape *shape)
{
    return cb_shape_span(shape, 0, shape->rank);
}

bool cb_shape_check(const struct cb_shape *shape)
{
    size_t n = 1;
    bool empty = false;
    if (shape->rank < 0 || shape->rank > CB_MAX_RANK)
        return false;
    for (int i = 0; i < shape->rank; i++) {
        if (shape->dim[i] < 0 || shape->dim[i] > (int64_t)CB_MAX_ELEMENTS)
            return false;
        if (shape->dim[i] == 0)
            empty = true;
        else if (!empty && (n *= (size_t)shape->dim[i]) > CB_MAX_ELEMENTS)
            return false;
    }
    return true;
}

bool cb_shape_equal(const struct cb_shape *a, const struct cb_shape *b)
{
    if (a->rank != b->rank)
        return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i])
            return false;
    return true;
}

bool cb_shape_broadcast(const struct cb_shape *a, const struct cb_shape *b, struct cb_shape *out)
{
    const int rank = a->rank > b->rank ? a->rank : b->rank;
    struct cb_shape y = { .rank = rank };
    for (int i = 0; i < rank; i++) {
        const int ia = i - (rank - a->rank), ib = i - (rank - b->rank);
        const int64_t da = ia < 0 ? 1 : a->dim[ia], db = ib < 0 ? 1 : b->dim[ib];
        if (da != db && da != 1 && db != 1)
            return false;
        y.dim[i] = da == 1 ? db : da;
    }
    *out = y;
    return true;
}

void cb_shape_strides(const struct cb_shape *shape, const struct cb_shape *out,
                      size_t stride[CB_MAX_RANK])
{
    size_t step = 1;
    for (int i = out->rank - 1; i >= 0; i--) {
        const int k = i - (out->rank - shape->rank);
        stride[i] = k < 0 || shape->dim[k] == 1 ? 0 : step;
        if (k >= 0)
            step *= (size_t)shape->dim[k];
    }
}

const char *cb_shape_text(const struct cb_shape *shape, char text[CB_SHAPE_TEXT])
{
    int n = snprintf(text, CB_SHAPE_TEXT, shape->rank < 0 ? "[...]" : "[");
    for (int i = 0; i < shape->rank && n < CB_SHAPE_TEXT; i++) {
        const char *comma = i ? "," : "";
        if (shape->dim[i] < 0)
            n += snprintf(text + n, (size_t)(CB_SHAPE_TEXT - n), "%s?", comma);
        else
            n += snprintf(text + n, (size_t)(CB_SHAPE_TEXT - n), "%s%lld", comma,
                          (long long)shape->dim[i]);
    }
    if (shape->rank >= 0 && n < CB_SHAPE_TEXT)
        snprintf(text + n, (size_t)(CB_SHAPE_TEXT - n), "]");
    return text;
}

int cb_shape_axis(int64_t axis, int rank)
{
    if (axis < -rank || axis >= rank)
        return -1;
    return (int)(axis < 0 ? axis + rank : axis);
}
