/* importers/onnx/rules/indices.c - operators that choose elements by indices, by order or by truth,
 * and those that are put together from them. */
#include <math.h>

#include "importers/onnx/attrs.h"
#include "importers/onnx/rules/rules.h"

/* GatherElements, GatherND and the scatters; `reduction` came with opset 16 (max, min: 18). */
struct cb_status cb_onnx_import_places(struct cb_onnx_node *node)
{
    static const char *const words[] = { "none", "add", "mul", "max", "min" };
    static const enum cb_scatter hows[] = { CB_SCATTER_SET, CB_SCATTER_ADD, CB_SCATTER_MUL,
                                            CB_SCATTER_MAX, CB_SCATTER_MIN };
    union cb_attr attr = cb_attr_default(node->rule->op);
    int how;
    CB_TRY(cb_onnx_attr_axis(node, "axis", 0, &attr.places.axis));
    CB_TRY(cb_onnx_attr_axis(node, "batch_dims", 0, &attr.places.batch_dims));
    CB_TRY(cb_onnx_attr_word(node, "reduction", words, 5, &how));
    attr.places.how = hows[how];
    return cb_onnx_add_same(node, &attr);
}

/* k is an attribute in TopK-1, an input from opset 10. */
struct cb_status cb_onnx_import_top_k(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(CB_OP_TOP_K);
    bool largest;
    if (node->rule->since < 10)
        CB_TRY(cb_onnx_attr_wanted(node, "k"));
    CB_TRY(cb_onnx_attr_int(node, "k", -1, &attr.top_k.k));
    CB_TRY(cb_onnx_attr_axis(node, "axis", -1, &attr.top_k.axis));
    CB_TRY(cb_onnx_attr_flag(node, "largest", true, &largest));
    attr.top_k.smallest = !largest;
    return cb_onnx_add_same(node, &attr);
}

struct cb_status cb_onnx_import_trilu(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(CB_OP_TRILU);
    bool upper;
    CB_TRY(cb_onnx_attr_flag(node, "upper", true, &upper));
    attr.trilu.lower = !upper;
    return cb_onnx_add_same(node, &attr);
}

/* EyeLike: ones in x's shape, of which both triangles leave diagonal k. Only a matrix has two sizes
 * to make its shape of. */
struct cb_status cb_onnx_import_eye_like(struct cb_onnx_node *node)
{
    union cb_attr fill = cb_attr_default(CB_OP_CONSTANT_OF_SHAPE);
    union cb_attr triangle = cb_attr_default(CB_OP_TRILU);
    const enum cb_dtype own = cb_onnx_in(node, 0)->dtype;
    union cb_attr matrix = cb_attr_default(CB_OP_RESHAPE);
    int shape, sizes, ones, upper;
    int64_t type;
    matrix.reshape.dims = (struct cb_list){ 1, { 2 } };
    CB_TRY(cb_onnx_attr_int(node, "dtype", 0, &type));
    CB_TRY(cb_onnx_attr_int(node, "k", 0, &triangle.trilu.k));
    fill.fill.dtype = type ? cb_onnx_dtype(type) : own;
    fill.fill.value = 1;
    if (fill.fill.dtype == CB_DTYPE_NONE)
        return cb_fail(CB_ERR_UNSUPPORTED, "type %s", type ? cb_onnx_dtype_name(type) : "unknown");
    CB_TRY(cb_onnx_step(node, CB_OP_SHAPE, NULL, CB_ONNX_ARGS(node->in[0]), &shape));
    CB_TRY(cb_onnx_step(node, CB_OP_RESHAPE, &matrix, CB_ONNX_ARGS(shape), &sizes));
    CB_TRY(cb_onnx_step(node, CB_OP_CONSTANT_OF_SHAPE, &fill, CB_ONNX_ARGS(sizes), &ones));
    CB_TRY(cb_onnx_step(node, CB_OP_TRILU, &triangle, CB_ONNX_ARGS(ones), &upper));
    triangle.trilu.lower = true;
    return cb_onnx_add(node, CB_OP_TRILU, &triangle, CB_ONNX_ARGS(upper),
                       CB_ONNX_ARGS(node->out[0]));
}

/* OneHot-9 knows no other indices than OneHot-11, but for negative ones, which choose nothing. */
struct cb_status cb_onnx_import_one_hot(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(CB_OP_ONE_HOT);
    CB_TRY(cb_onnx_attr_axis(node, "axis", -1, &attr.one_hot.axis));
    return cb_onnx_add_same(node, &attr);
}

struct cb_status cb_onnx_import_cumulate(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(node->rule->op);
    CB_TRY(cb_onnx_attr_flag(node, "exclusive", false, &attr.cumulate.exclusive));
    CB_TRY(cb_onnx_attr_flag(node, "reverse", false, &attr.cumulate.reverse));
    return cb_onnx_add_same(node, &attr);
}

struct cb_status cb_onnx_import_reverse_sequence(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(CB_OP_REVERSE_SEQUENCE);
    CB_TRY(cb_onnx_attr_axis(node, "batch_axis", 1, &attr.sequence.batch_axis));
    CB_TRY(cb_onnx_attr_axis(node, "time_axis", 0, &attr.sequence.time_axis));
    return cb_onnx_add_same(node, &attr);
}

struct cb_status cb_onnx_import_unique(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(CB_OP_UNIQUE);
    bool sorted;
    CB_TRY(cb_onnx_attr_flag(node, "sorted", true, &sorted));
    CB_TRY(cb_onnx_attr_axis(node, "axis", 0, &attr.unique.axis));
    attr.unique.flat = !cb_onnx_attr_find(node, "axis");
    attr.unique.unsorted = !sorted;
    return cb_onnx_add_same(node, &attr);
}

/* Compress: gathers where the condition is true; without an axis from x as one row. */
struct cb_status cb_onnx_import_compress(struct cb_onnx_node *node)
{
    union cb_attr gather = cb_attr_default(CB_OP_GATHER);
    union cb_attr row = cb_attr_default(CB_OP_RESHAPE);
    int x = node->in[0], places, indices;
    CB_TRY(cb_onnx_attr_axis(node, "axis", 0, &gather.axis.axis));
    row.reshape.dims = (struct cb_list){ 1, { -1 } };
    CB_TRY(cb_onnx_step(node, CB_OP_NON_ZERO, NULL, CB_ONNX_ARGS(node->in[1]), &places));
    CB_TRY(cb_onnx_step(node, CB_OP_RESHAPE, &row, CB_ONNX_ARGS(places), &indices));
    if (!cb_onnx_attr_find(node, "axis")) {
        CB_TRY(cb_onnx_step(node, CB_OP_RESHAPE, &row, CB_ONNX_ARGS(node->in[0]), &x));
    }
    return cb_onnx_add(node, CB_OP_GATHER, &gather, CB_ONNX_ARGS(x, indices),
                       CB_ONNX_ARGS(node->out[0]));
}

/* Only NaN differs from itself. */
struct cb_status cb_onnx_import_is_nan(struct cb_onnx_node *node)
{
    const int x = node->in[0];
    int same;
    CB_TRY(cb_onnx_step(node, CB_OP_EQUAL, NULL, CB_ONNX_ARGS(x, x), &same));
    return cb_onnx_add(node, CB_OP_NOT, NULL, CB_ONNX_ARGS(same), CB_ONNX_ARGS(node->out[0]));
}

/* x, or its absolute value where both signs count, against infinity; neither: nothing is less than
 * itself. */
struct cb_status cb_onnx_import_is_inf(struct cb_onnx_node *node)
{
    const int x = node->in[0];
    bool below, above;
    int infinity, other = x;
    CB_TRY(cb_onnx_attr_flag(node, "detect_negative", true, &below));
    CB_TRY(cb_onnx_attr_flag(node, "detect_positive", true, &above));
    if (!below && !above)
        return cb_onnx_add(node, CB_OP_LESS, NULL, CB_ONNX_ARGS(x, x), CB_ONNX_ARGS(node->out[0]));
    CB_TRY(cb_onnx_add_scalar(node, "infinity", cb_onnx_in(node, 0)->dtype,
                              above ? (double)INFINITY : (double)-INFINITY, &infinity));
    if (below && above) {
        CB_TRY(cb_onnx_step(node, CB_OP_ABS, NULL, CB_ONNX_ARGS(x), &other));
    }
    return cb_onnx_add(node, CB_OP_EQUAL, NULL, CB_ONNX_ARGS(other, infinity),
                       CB_ONNX_ARGS(node->out[0]));
}

struct cb_status cb_onnx_import_bit_shift(struct cb_onnx_node *node)
{
    static const char *const words[] = { "", "LEFT", "RIGHT" };
    int word;
    CB_TRY(cb_onnx_attr_word(node, "direction", words, 3, &word));
    if (word == 0)
        return cb_fail(CB_ERR_MODEL, "no direction");
    return cb_onnx_add(node, word == 1 ? CB_OP_SHIFT_LEFT : CB_OP_SHIFT_RIGHT, NULL,
                       CB_ONNX_ARGS(node->in[0], node->in[1]), CB_ONNX_ARGS(node->out[0]));
}
