#include "core/ops/shape/indices.h"

#include "core/ops/args.h"

struct cb_status cb_indices_check(const struct cb_node *node, const struct cb_arg *indices,
                                  const int64_t dims[], size_t width)
{
    const size_t n = cb_shape_count(&indices->shape);
    if (cb_args_is_float(indices) || indices->dtype == CB_BOOL)
        return cb_fail(CB_ERR_MODEL, "%s: wants whole numbers as indices, has %s", node->name,
                       cb_dtype_get(indices->dtype)->name);
    for (size_t k = 0; k < width && n > 0; k++)
        if (dims[k] == 0)
            return cb_fail(CB_ERR_MODEL, "%s: wants elements to choose from, has none", node->name);
    if (!indices->known || !indices->known->data)
        return cb_ok();
    for (size_t i = 0; i < n; i++) {
        const int64_t index = cb_args_int_at(indices->known, i), dim = dims[i % width];
        if (index < -dim || index >= dim)
            return cb_fail(CB_ERR_MODEL, "%s: wants an index of %lld elements, has %lld",
                           node->name, (long long)dim, (long long)index);
    }
    return cb_ok();
}
