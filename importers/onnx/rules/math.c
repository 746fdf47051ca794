/* importers/onnx/rules/math.c - elementwise operators, products, and what is a short chain of
 * those. */
#include <math.h>

#include "importers/onnx/attrs.h"
#include "importers/onnx/rules/rules.h"

struct cb_status cb_onnx_import_same(struct cb_onnx_node *node)
{
    return cb_onnx_add_same(node, NULL);
}

/* Operators with alpha, and beta or (Selu) gamma; the defaults are the operator's. */
struct cb_status cb_onnx_import_unary(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(node->rule->op);
    const char *second = node->rule->op == CB_OP_SELU ? "gamma" : "beta";
    CB_TRY(cb_onnx_attr_float(node, "alpha", attr.unary.alpha, &attr.unary.alpha));
    CB_TRY(cb_onnx_attr_float(node, second, attr.unary.beta, &attr.unary.beta));
    return cb_onnx_add_same(node, &attr);
}

/* Selu-1 has its constants with fewer digits. */
struct cb_status cb_onnx_import_selu_1(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(CB_OP_SELU);
    CB_TRY(cb_onnx_attr_float(node, "alpha", 1.6732f, &attr.unary.alpha));
    CB_TRY(cb_onnx_attr_float(node, "gamma", 1.0507f, &attr.unary.beta));
    return cb_onnx_add_same(node, &attr);
}

/* Shrink's lambd and bias are floats for whole numbers too, which take the way through float. */
struct cb_status cb_onnx_import_shrink(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(CB_OP_SHRINK);
    const union cb_attr to_real = { .cast = { CB_FLOAT32 } };
    const union cb_attr back = { .cast = { cb_onnx_in(node, 0)->dtype } };
    int real, shrunk;
    CB_TRY(cb_onnx_attr_float(node, "lambd", attr.unary.alpha, &attr.unary.alpha));
    CB_TRY(cb_onnx_attr_float(node, "bias", attr.unary.beta, &attr.unary.beta));
    if (back.cast.to == CB_DTYPE_NONE || cb_dtype_get(back.cast.to)->is_float)
        return cb_onnx_add_same(node, &attr);
    CB_TRY(cb_onnx_step(node, CB_OP_CAST, &to_real, CB_ONNX_ARGS(node->in[0]), &real));
    CB_TRY(cb_onnx_step(node, CB_OP_SHRINK, &attr, CB_ONNX_ARGS(real), &shrunk));
    return cb_onnx_add(node, CB_OP_CAST, &back, CB_ONNX_ARGS(shrunk), CB_ONNX_ARGS(node->out[0]));
}

struct cb_status cb_onnx_import_gelu(struct cb_onnx_node *node)
{
    static const char *const kinds[] = { "none", "tanh" };
    union cb_attr attr = cb_attr_default(CB_OP_GELU);
    int kind;
    CB_TRY(cb_onnx_attr_word(node, "approximate", kinds, 2, &kind));
    attr.unary.approximate = kind == 1;
    return cb_onnx_add_same(node, &attr);
}

/* Swish-24: y = x * sigmoid(alpha * x). */
struct cb_status cb_onnx_import_swish(struct cb_onnx_node *node)
{
    const int x = node->in[0];
    int scaled = x, gate;
    float alpha;
    CB_TRY(cb_onnx_attr_float(node, "alpha", 1.0f, &alpha));
    if (alpha < 1.0f || alpha > 1.0f) {
        int factor;
        CB_TRY(
            cb_onnx_add_scalar(node, "alpha", cb_onnx_in(node, 0)->dtype, (double)alpha, &factor));
        CB_TRY(cb_onnx_step(node, CB_OP_MUL, NULL, CB_ONNX_ARGS(x, factor), &scaled));
    }
    CB_TRY(cb_onnx_step(node, CB_OP_SIGMOID, NULL, CB_ONNX_ARGS(scaled), &gate));
    return cb_onnx_add(node, CB_OP_MUL, NULL, CB_ONNX_ARGS(x, gate), CB_ONNX_ARGS(node->out[0]));
}

/* Until opset 10 the bounds are attributes; Clip-6 gives them the largest floats as defaults, which
 * clip nothing but infinities. */
struct cb_status cb_onnx_import_clip_1(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(CB_OP_CLIP);
    float lo, hi;
    CB_TRY(cb_onnx_attr_float(node, "min", -INFINITY, &lo));
    CB_TRY(cb_onnx_attr_float(node, "max", INFINITY, &hi));
    attr.clip.lo = (double)lo;
    attr.clip.hi = (double)hi;
    return cb_onnx_add_same(node, &attr);
}

/* Cast's `to`: a number, in Cast-1 a name. */
static struct cb_status read_dtype(const struct cb_onnx_node *node, const char *name,
                                   enum cb_dtype *out)
{
    const Onnx__AttributeProto *a = cb_onnx_attr_find(node, name);
    int64_t type;
    if (a && a->has_s) {
        char text[16] = "";
        for (size_t i = 0; i < a->s.len && i + 1 < sizeof text; i++)
            text[i] = (char)a->s.data[i];
        if ((*out = cb_onnx_dtype_find(text)) == CB_DTYPE_NONE)
            return cb_fail(CB_ERR_UNSUPPORTED, "type %s", text);
        return cb_ok();
    }
    CB_TRY(cb_onnx_attr_int(node, name, 0, &type));
    if ((*out = cb_onnx_dtype(type)) == CB_DTYPE_NONE)
        return cb_fail(CB_ERR_UNSUPPORTED, "type %s (%lld)", cb_onnx_dtype_name(type),
                       (long long)type);
    return cb_ok();
}

struct cb_status cb_onnx_import_cast(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(CB_OP_CAST);
    CB_TRY(cb_onnx_attr_wanted(node, "to"));
    CB_TRY(read_dtype(node, "to", &attr.cast.to));
    return cb_onnx_add_same(node, &attr);
}

struct cb_status cb_onnx_import_cast_like(struct cb_onnx_node *node)
{
    union cb_attr attr = { .cast = { cb_onnx_in(node, 1)->dtype } };
    if (attr.cast.to == CB_DTYPE_NONE)
        return cb_fail(CB_ERR_UNSUPPORTED, "the type of input 1 is not known");
    return cb_onnx_add(node, CB_OP_CAST, &attr, CB_ONNX_ARGS(node->in[0]),
                       CB_ONNX_ARGS(node->out[0]));
}

/* Before opset 7: equal shapes, or with broadcast=1 b's dims stand at `axis` of a. */
struct cb_status cb_onnx_import_binary_1(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(node->rule->op);
    CB_TRY(cb_onnx_attr_flag(node, "broadcast", false, &attr.binary.aligned));
    CB_TRY(cb_onnx_attr_axis(node, "axis", -1, &attr.binary.axis));
    return cb_onnx_add_same(node, &attr);
}

/* Before opset 7 the slope has one number, or one a channel: at axis 1. */
struct cb_status cb_onnx_import_prelu_1(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(CB_OP_PRELU);
    attr.binary.aligned = true;
    attr.binary.axis = 1;
    return cb_onnx_add_same(node, &attr);
}

/* Real numbers without fmod, in files of opset 10 to 12: the sign follows b, y = a - floor(a / b) *
 * b. */
static struct cb_status add_floor_mod(struct cb_onnx_node *node)
{
    const int a = node->in[0], b = node->in[1];
    int ratio, whole, multiple;
    CB_TRY(cb_onnx_step(node, CB_OP_DIV, NULL, CB_ONNX_ARGS(a, b), &ratio));
    CB_TRY(cb_onnx_step(node, CB_OP_FLOOR, NULL, CB_ONNX_ARGS(ratio), &whole));
    CB_TRY(cb_onnx_step(node, CB_OP_MUL, NULL, CB_ONNX_ARGS(whole, b), &multiple));
    return cb_onnx_add(node, CB_OP_SUB, NULL, CB_ONNX_ARGS(a, multiple),
                       CB_ONNX_ARGS(node->out[0]));
}

struct cb_status cb_onnx_import_mod(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(CB_OP_MOD);
    CB_TRY(cb_onnx_attr_flag(node, "fmod", false, &attr.binary.fmod));
    if (!attr.binary.fmod && cb_dtype_get(cb_onnx_in(node, 0)->dtype)->is_float)
        return add_floor_mod(node);
    return cb_onnx_add_same(node, &attr);
}

/* Any number of inputs, one too: a chain of the rule's operator, into `out`. */
static struct cb_status add_chain(struct cb_onnx_node *node, int out)
{
    int so_far = node->in[0], next;
    for (int i = 0; i < node->n_in; i++)
        if (node->in[i] < 0)
            return cb_fail(CB_ERR_MODEL, "input %d is missing", i);
    if (node->n_in == 1)
        return cb_onnx_add(node, CB_OP_IDENTITY, NULL, CB_ONNX_ARGS(so_far), CB_ONNX_ARGS(out));
    for (int i = 1; i < node->n_in; i++, so_far = next) {
        next = out;
        if (i + 1 < node->n_in)
            CB_TRY(cb_onnx_temp(node, node->out[0], "part", &next));
        CB_TRY(cb_onnx_add(node, node->rule->op, NULL, CB_ONNX_ARGS(so_far, node->in[i]),
                           CB_ONNX_ARGS(next)));
    }
    return cb_ok();
}

struct cb_status cb_onnx_import_chain(struct cb_onnx_node *node)
{
    return add_chain(node, node->out[0]);
}

struct cb_status cb_onnx_import_mean(struct cb_onnx_node *node)
{
    int sum, count;
    CB_TRY(cb_onnx_temp(node, node->out[0], "sum", &sum));
    CB_TRY(add_chain(node, sum));
    CB_TRY(cb_onnx_add_scalar(node, "count", node->import->graph->values[sum].dtype, node->n_in,
                              &count));
    return cb_onnx_add(node, CB_OP_DIV, NULL, CB_ONNX_ARGS(sum, count), CB_ONNX_ARGS(node->out[0]));
}

/* Gemm-1's broadcast=1 stretches c as NumPy does; without it the shapes are equal. */
struct cb_status cb_onnx_import_gemm(struct cb_onnx_node *node)
{
    union cb_attr attr = cb_attr_default(CB_OP_GEMM);
    CB_TRY(cb_onnx_attr_float(node, "alpha", 1.0f, &attr.gemm.alpha));
    CB_TRY(cb_onnx_attr_float(node, "beta", 1.0f, &attr.gemm.beta));
    CB_TRY(cb_onnx_attr_flag(node, "transA", false, &attr.gemm.trans_a));
    CB_TRY(cb_onnx_attr_flag(node, "transB", false, &attr.gemm.trans_b));
    return cb_onnx_add_same(node, &attr);
}
