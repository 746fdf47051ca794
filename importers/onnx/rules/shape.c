/* importers/onnx/rules/shape.c - operators that move elements, that speak of shapes, and constants.
 *
 * Numbers such as axes came as attributes first and as inputs later. An input stays one (core's
 * infer reads it); an attribute fills the core attribute. */
#include <string.h>

#include "importers/onnx/attrs.h"
#include "importers/onnx/rules/rules.h"

struct cb_status cb_onnx_import_reshape(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(node->rule->op);
    CB_TRY(cb_onnx_attr_list(node, "shape", &attr.reshape.dims)); /* Reshape-1 */
    CB_TRY(cb_onnx_attr_flag(node, "allowzero", false, &attr.reshape.allow_zero));
    return cb_onnx_add_same(node, &attr);
}

struct cb_status cb_onnx_import_flatten(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(CB_OP_FLATTEN);
    CB_TRY(cb_onnx_attr_axis(node, "axis", 1, &attr.axis.axis));
    return cb_onnx_add_same(node, &attr);
}

struct cb_status cb_onnx_import_squeeze(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(node->rule->op);
    CB_TRY(cb_onnx_attr_list(node, "axes", &attr.squeeze.axes));
    return cb_onnx_add_same(node, &attr);
}

struct cb_status cb_onnx_import_transpose(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(CB_OP_TRANSPOSE);
    struct cb_list perm;
    unsigned seen = 0;
    CB_TRY(cb_onnx_attr_list(node, "perm", &perm));
    attr.transpose.rank = perm.count < 0 ? 0 : perm.count;
    for (int i = 0; i < perm.count; i++) {
        if (perm.v[i] < 0 || perm.v[i] >= perm.count || seen & 1u << perm.v[i])
            return cb_fail(CB_ERR_MODEL, "perm is no permutation");
        seen |= 1u << perm.v[i];
        attr.transpose.perm[i] = (int)perm.v[i];
    }
    return cb_onnx_add_same(node, &attr);
}

/* Concat-1's axis is 1 unless given; later it must be. */
struct cb_status cb_onnx_import_concat(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(CB_OP_CONCAT);
    if (node->rule->since >= 4)
        CB_TRY(cb_onnx_attr_wanted(node, "axis"));
    CB_TRY(cb_onnx_attr_axis(node, "axis", 1, &attr.axis.axis));
    return cb_onnx_add_same(node, &attr);
}

struct cb_status cb_onnx_import_gather(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(CB_OP_GATHER);
    CB_TRY(cb_onnx_attr_axis(node, "axis", 0, &attr.axis.axis));
    return cb_onnx_add_same(node, &attr);
}

/* The sizes of the parts: attribute `split` (until opset 12), input 1, or none: equal parts. */
struct cb_status cb_onnx_import_split(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(CB_OP_SPLIT);
    const struct cb_onnx_args out = { node->n_out, node->out };
    const int64_t *sizes;
    int64_t parts;
    size_t n;
    int input;
    CB_TRY(cb_onnx_attr_axis(node, "axis", 0, &attr.split.axis));
    CB_TRY(cb_onnx_attr_int(node, "num_outputs", 0, &parts));
    CB_TRY(cb_onnx_attr_ints(node, "split", &sizes, &n));
    if (parts && parts != node->n_out)
        return cb_fail(CB_ERR_MODEL, "num_outputs is %lld, there are %d", (long long)parts,
                       node->n_out);
    attr.split.parts = (int)parts;
    if (!sizes)
        return cb_onnx_add_same(node, &attr);
    if (n > CB_MAX_ARGS)
        return cb_fail(CB_ERR_MODEL, "split has %zu numbers", n);
    CB_TRY(cb_onnx_add_ints(node, "split", (int)n, sizes, &input));
    return cb_onnx_add(node, CB_OP_SPLIT, &attr, CB_ONNX_ARGS(node->in[0], input), out);
}

struct cb_status cb_onnx_import_slice(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(CB_OP_SLICE);
    CB_TRY(cb_onnx_attr_list(node, "starts", &attr.slice.starts)); /* Slice-1 */
    CB_TRY(cb_onnx_attr_list(node, "ends", &attr.slice.ends));
    CB_TRY(cb_onnx_attr_list(node, "axes", &attr.slice.axes));
    return cb_onnx_add_same(node, &attr);
}

static const char *const pad_modes[] = { "constant", "reflect", "edge", "wrap" };
static const enum cb_pad_mode pad_kinds[] = { CB_PAD_CONSTANT, CB_PAD_REFLECT, CB_PAD_EDGE,
                                              CB_PAD_WRAP };

struct cb_status cb_onnx_import_pad(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(CB_OP_PAD);
    int mode;
    CB_TRY(cb_onnx_attr_word(node, "mode", pad_modes, 4, &mode));
    attr.pad.mode = pad_kinds[mode];
    return cb_onnx_add_same(node, &attr);
}

/* Before opset 11: begin and end of every axis, and the value, as attributes. */
struct cb_status cb_onnx_import_pad_1(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(CB_OP_PAD);
    const int64_t *pads;
    size_t n;
    float value;
    int mode;
    CB_TRY(cb_onnx_attr_word(node, "mode", pad_modes, 3, &mode));
    CB_TRY(cb_onnx_attr_float(node, "value", 0.0f, &value));
    CB_TRY(cb_onnx_attr_ints(node, "pads", &pads, &n));
    if (!pads)
        CB_TRY(cb_onnx_attr_ints(node, "paddings", &pads, &n)); /* Pad-1 */
    if (!pads || n % 2 || n / 2 > CB_MAX_RANK)
        return cb_fail(CB_ERR_MODEL, "pads wants two numbers an axis, has %zu in all", n);
    attr.pad.mode = pad_kinds[mode];
    attr.pad.value = (double)value;
    attr.pad.begin.count = attr.pad.end.count = (int)(n / 2);
    for (size_t i = 0; i < n / 2; i++) {
        attr.pad.begin.v[i] = pads[i];
        attr.pad.end.v[i] = pads[n / 2 + i];
    }
    return cb_onnx_add_same(node, &attr);
}

/* Tile-1: `tiles` copies along `axis`, both inputs. */
struct cb_status cb_onnx_import_tile_1(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(CB_OP_CONCAT);
    double tiles, axis;
    int *copies;
    if (!cb_onnx_known_scalar(node, 1, &tiles) || !cb_onnx_known_scalar(node, 2, &axis))
        return cb_fail(CB_ERR_UNSUPPORTED, "tiles and axis that are no constants");
    if (!(tiles >= 1) || tiles > CB_MAX_ARGS || !(axis >= 0) || axis >= CB_MAX_RANK)
        return cb_fail(CB_ERR_UNSUPPORTED, "%g tiles along axis %g", tiles, axis);
    CB_TRY(cb_arena_get(node->import->scratch, (size_t)tiles, sizeof *copies, "tiles", &copies));
    for (int i = 0; i < (int)tiles; i++)
        copies[i] = node->in[0];
    attr.axis.axis = (int)axis;
    return cb_onnx_add(node, CB_OP_CONCAT, &attr, (struct cb_onnx_args){ (int)tiles, copies },
                       CB_ONNX_ARGS(node->out[0]));
}

struct cb_status cb_onnx_import_shape(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(CB_OP_SHAPE);
    CB_TRY(cb_onnx_attr_int(node, "start", 0, &attr.shape.start));
    CB_TRY(cb_onnx_attr_int(node, "end", INT64_MAX, &attr.shape.end));
    return cb_onnx_add_same(node, &attr);
}

struct cb_status cb_onnx_import_constant_of_shape(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(CB_OP_CONSTANT_OF_SHAPE);
    const Onnx__AttributeProto *a = cb_onnx_attr_find(node, "value");
    struct cb_tensor t;
    bool in_place;
    if (!a)
        return cb_onnx_add_same(node, &attr);
    if (!a->t)
        return cb_fail(CB_ERR_MODEL, "attribute value wants a tensor");
    CB_TRY(cb_context(cb_onnx_tensor_read(node->import->files, a->t, &t, &in_place),
                      "attribute value"));
    if (cb_tensor_count(&t) != 1)
        return cb_fail(CB_ERR_MODEL, "value wants one element, has %zu", cb_tensor_count(&t));
    attr.fill.dtype = t.dtype;
    if (cb_dtype_get(t.dtype)->is_float) {
        float v;
        memcpy(&v, t.data, sizeof v);
        attr.fill.value = (double)v;
    } else {
        attr.fill.value = (double)t.i[0];
    }
    return cb_onnx_add_same(node, &attr);
}

/* One of the forms of Constant-12 that are no tensor: a number or a list of them. */
static struct cb_status read_plain(const struct cb_onnx_node *node, const char *name,
                                   const Onnx__AttributeProto *a, struct cb_tensor *t)
{
    struct cb_arena *arena = node->import->graph->arena;
    const bool floats = strncmp(name, "value_float", 11) == 0;
    const bool list = strcmp(name, "value_floats") == 0 || strcmp(name, "value_ints") == 0;
    const size_t n = !list ? 1 : floats ? a->n_floats : a->n_ints;
    const void *from = !list    ? (floats ? (const void *)&a->f : &a->i)
                       : floats ? (const void *)a->floats
                                : a->ints;
    *t = (struct cb_tensor){ .dtype = floats ? CB_FLOAT32 : CB_INT64,
                             .shape = { list, { (int64_t)n } } };
    CB_TRY(cb_arena_get(arena, n, cb_dtype_size(t->dtype), "a constant", &t->data));
    if (n)
        memcpy(t->data, from, n * cb_dtype_size(t->dtype));
    return cb_ok();
}

struct cb_status cb_onnx_import_constant(struct cb_onnx_node *node)
{
    static const char *const plain[] = { "value_float", "value_floats", "value_int", "value_ints" };
    static const char *const refused[] = { "value_string", "value_strings" };
    const Onnx__AttributeProto *a = cb_onnx_attr_find(node, "value");
    struct cb_tensor t;
    bool in_place = false;
    for (size_t i = 0; i < CB_COUNT_OF(refused); i++)
        if (cb_onnx_attr_find(node, refused[i]))
            return cb_fail(CB_ERR_UNSUPPORTED, "%s", refused[i]);
    if (a && a->t) {
        CB_TRY(cb_onnx_tensor_read(node->import->files, a->t, &t, &in_place));
        cb_onnx_set_constant(node->import, node->out[0], &t, in_place && node->import->mapped);
        return cb_ok();
    }
    if ((a = cb_onnx_attr_find(node, "sparse_value")) && a->sparse_tensor) {
        CB_TRY(cb_onnx_sparse_read(node->import->files, a->sparse_tensor, &t));
        cb_onnx_set_constant(node->import, node->out[0], &t, false);
        return cb_ok();
    }
    for (size_t i = 0; i < CB_COUNT_OF(plain); i++)
        if ((a = cb_onnx_attr_find(node, plain[i]))) {
            CB_TRY(read_plain(node, plain[i], a, &t));
            cb_onnx_set_constant(node->import, node->out[0], &t, false);
            return cb_ok();
        }
    return cb_fail(CB_ERR_MODEL, "no value");
}

/* The mask of a Dropout that drops nothing, in x's shape: from opset 12 ones (what is kept); before
 * it ONNX does not say, and ONNX Runtime gives zeros. bool from opset 10, before it the type of
 * x. */
static struct cb_status add_mask(struct cb_onnx_node *node)
{
    union cb_attr mask = cb_attr_default(CB_OP_CONSTANT_OF_SHAPE);
    const enum cb_dtype dtype = cb_onnx_in(node, 0)->dtype;
    int shape;
    mask.fill.dtype = node->rule->since >= 10  ? CB_BOOL
                      : dtype == CB_DTYPE_NONE ? CB_FLOAT32
                                               : dtype;
    mask.fill.value = node->rule->since >= 12;
    CB_TRY(cb_onnx_step(node, CB_OP_SHAPE, NULL, CB_ONNX_ARGS(node->in[0]), &shape));
    return cb_onnx_add(node, CB_OP_CONSTANT_OF_SHAPE, &mask, CB_ONNX_ARGS(shape),
                       CB_ONNX_ARGS(node->out[1]));
}

/* Inference: y is x. Only training (opset 12: an input that says so) with a ratio above 0 drops
 * anything; where the file leaves either open, the plan will know. */
struct cb_status cb_onnx_import_dropout(struct cb_onnx_node *node)
{
    double ratio = 0.5, training = 0;
    const bool ratio_open = cb_onnx_has(node, 1) && !cb_onnx_known_scalar(node, 1, &ratio);
    const bool training_open = cb_onnx_has(node, 2) && !cb_onnx_known_scalar(node, 2, &training);
    const bool open = (ratio_open || ratio != 0) && (training_open || training != 0);
    if (open && !ratio_open && !training_open)
        return cb_fail(CB_ERR_UNSUPPORTED, "training mode");
    CB_TRY(cb_onnx_add(node, open ? CB_OP_DROPOUT : CB_OP_IDENTITY, NULL,
                       (struct cb_onnx_args){ open ? node->n_in : 1, node->in },
                       CB_ONNX_ARGS(node->out[0])));
    return node->n_out > 1 ? add_mask(node) : cb_ok();
}
