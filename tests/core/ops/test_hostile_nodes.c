/* Nodes as a hostile file may hold them: whatever infer accepts, forward and backward must survive.
 * The cases' guards and the sanitizers find what is written or read outside. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>

#include "tests/support/op_case.h"

#define MOST_ELEMENTS 4096 /* more is not computed */

static int64_t draw_number(struct cb_rng *rng)
{
    static const int64_t odd[] = {
        INT64_MIN,           INT64_MAX,        -1,           0, 1, (int64_t)1 << 31,
        -((int64_t)1 << 31), (int64_t)1 << 62, INT64_MIN + 1
    };
    if (cb_rng_below(rng, 4) == 0)
        return odd[cb_rng_below(rng, CB_COUNT_OF(odd))];
    return (int64_t)cb_rng_below(rng, 9) - 3;
}

static int draw_axis(struct cb_rng *rng)
{
    return cb_rng_below(rng, 8) ? (int)cb_rng_below(rng, 9) - 4 : (int)draw_number(rng);
}

static struct cb_list draw_list(struct cb_rng *rng)
{
    struct cb_list list = { .count = (int)cb_rng_below(rng, cb_rng_below(rng, 4) ? 4 : 10) - 1 };
    for (int i = 0; i < CB_MAX_RANK; i++)
        list.v[i] = draw_number(rng);
    return list;
}

static struct cb_shape draw_shape(struct cb_rng *rng)
{
    struct cb_shape shape = { .rank = (int)cb_rng_below(rng, cb_rng_below(rng, 8) ? 4 : 9) };
    for (int i = 0; i < shape.rank; i++)
        shape.dim[i] = (int64_t)cb_rng_below(rng, 4);
    return shape;
}

static void draw_transpose(struct cb_rng *rng, struct cb_node *node)
{
    node->attr.transpose.rank = (int)cb_rng_below(rng, 7) - 2;
    for (int i = 0; i < CB_MAX_RANK; i++)
        node->attr.transpose.perm[i] = cb_rng_below(rng, 3) ? i : draw_axis(rng);
}

static void draw_resize(struct cb_rng *rng, struct cb_node *node)
{
    static const double numbers[] = { 0.5, 1, 1.5, 2, 1e-9, 1e9, -1, NAN };
    union cb_attr *a = &node->attr;
    a->resize.mode = (enum cb_resize_mode)cb_rng_below(rng, 3);
    a->resize.place = (enum cb_resize_place)cb_rng_below(rng, 7);
    a->resize.round = (enum cb_resize_round)cb_rng_below(rng, 5);
    a->resize.fit = (enum cb_resize_fit)cb_rng_below(rng, 3);
    a->resize.antialias = cb_rng_below(rng, 2);
    a->resize.exclude_outside = cb_rng_below(rng, 2);
    a->resize.sizes = draw_list(rng);
    a->resize.axes.count = cb_rng_below(rng, 4) ? -1 : 1;
    a->resize.axes.v[0] = draw_number(rng);
    a->resize.n_scales = (int)cb_rng_below(rng, 5) - 1;
    a->resize.n_roi = cb_rng_below(rng, 4) ? a->resize.sizes.count : (int)cb_rng_below(rng, 4) - 1;
    for (int i = 0; i < CB_MAX_RANK; i++) {
        a->resize.scale[i] = numbers[cb_rng_below(rng, cb_rng_below(rng, 4) ? 4 : 8)];
        a->resize.roi[0][i] = numbers[cb_rng_below(rng, 7)];
        a->resize.roi[1][i] = numbers[cb_rng_below(rng, 7)];
    }
}

/* Of operators on shapes. */
static void draw_shape_attr(struct cb_rng *rng, struct cb_node *node)
{
    union cb_attr *a = &node->attr;
    switch (node->op) {
    case CB_OP_RESHAPE:
    case CB_OP_EXPAND: a->reshape.dims = draw_list(rng); break;
    case CB_OP_SQUEEZE:
    case CB_OP_UNSQUEEZE: a->squeeze.axes = draw_list(rng); break;
    case CB_OP_TRANSPOSE: draw_transpose(rng, node); break;
    case CB_OP_SPLIT:
        a->split.axis = draw_axis(rng), a->split.sizes = draw_list(rng),
        a->split.parts = draw_axis(rng);
        node->n_out = 1 + (int)cb_rng_below(rng, 4);
        if (cb_rng_below(rng, 2))
            a->split.sizes.count = -1, a->split.parts = node->n_out;
        break;
    case CB_OP_SLICE:
        a->slice.starts = draw_list(rng), a->slice.ends = draw_list(rng);
        a->slice.axes = draw_list(rng), a->slice.steps = draw_list(rng);
        if (cb_rng_below(rng, 4))
            a->slice.ends.count = a->slice.steps.count = a->slice.starts.count;
        if (cb_rng_below(rng, 4))
            a->slice.axes.count = -1;
        break;
    case CB_OP_PAD:
        a->pad.begin = draw_list(rng), a->pad.end = draw_list(rng), a->pad.axes = draw_list(rng);
        a->pad.mode = (enum cb_pad_mode)cb_rng_below(rng, CB_PAD_WRAP + 2);
        if (cb_rng_below(rng, 4))
            a->pad.end.count = a->pad.axes.count = a->pad.begin.count;
        break;
    case CB_OP_TILE: a->tile.repeats = draw_list(rng); break;
    case CB_OP_SHAPE: a->shape.start = draw_number(rng), a->shape.end = draw_number(rng); break;
    case CB_OP_CONSTANT_OF_SHAPE: a->fill.dims = draw_list(rng); break;
    default: break;
    }
}

static void draw_attr(struct cb_rng *rng, struct cb_node *node)
{
    union cb_attr *a = &node->attr;
    switch (node->op) {
    case CB_OP_CAST: a->cast.to = (enum cb_dtype)cb_rng_below(rng, CB_DTYPE_COUNT + 1); break;
    case CB_OP_CLIP:
        a->clip.lo = (double)draw_number(rng), a->clip.hi = (double)draw_number(rng);
        break;
    case CB_OP_FLATTEN:
    case CB_OP_CONCAT:
    case CB_OP_GATHER: a->axis.axis = draw_axis(rng); break;
    case CB_OP_ARG_MAX:
    case CB_OP_ARG_MIN: a->arg.axis = draw_axis(rng); break;
    case CB_OP_HARDMAX: a->softmax.flatten = cb_rng_below(rng, 2); /* fallthrough */
    case CB_OP_SOFTMAX:
    case CB_OP_LOG_SOFTMAX: a->softmax.axis = draw_axis(rng); break;
    case CB_OP_GATHER_ELEMENTS:
    case CB_OP_GATHER_ND:
    case CB_OP_SCATTER_ELEMENTS:
    case CB_OP_SCATTER_ND:
        a->places.axis = draw_axis(rng), a->places.batch_dims = draw_axis(rng) / 3;
        a->places.how = (enum cb_scatter)cb_rng_below(rng, CB_SCATTER_MIN + 2);
        break;
    case CB_OP_TOP_K: a->top_k.axis = draw_axis(rng), a->top_k.k = draw_number(rng); break;
    case CB_OP_TRILU: a->trilu.k = draw_number(rng), a->trilu.lower = cb_rng_below(rng, 2); break;
    case CB_OP_ONE_HOT:
        a->one_hot.axis = draw_axis(rng), a->one_hot.depth = (double)draw_number(rng);
        break;
    case CB_OP_CUM_SUM:
    case CB_OP_CUM_PROD:
        a->cumulate.axis = draw_axis(rng), a->cumulate.exclusive = cb_rng_below(rng, 2);
        break;
    case CB_OP_REVERSE_SEQUENCE:
        a->sequence.batch_axis = draw_axis(rng), a->sequence.time_axis = draw_axis(rng);
        break;
    case CB_OP_UNIQUE:
        a->unique.axis = draw_axis(rng), a->unique.flat = cb_rng_below(rng, 2);
        node->n_out = 1 + (int)cb_rng_below(rng, 4);
        break;
    case CB_OP_QUANTIZE:
    case CB_OP_DEQUANTIZE:
        a->quantise.axis = draw_axis(rng);
        a->quantise.block = cb_rng_below(rng, 2) ? 0 : draw_number(rng);
        a->quantise.to = cb_rng_below(rng, 4)
                             ? CB_DTYPE_NONE
                             : (enum cb_dtype)cb_rng_below(rng, CB_DTYPE_COUNT + 1);
        break;
    case CB_OP_INTEGER_CONV:
        a->conv.group = cb_rng_below(rng, 4) ? 1 : draw_number(rng);
        a->conv.window.pad_begin[0] = draw_number(rng), a->conv.window.stride[0] = draw_number(rng);
        if (cb_rng_below(rng, 2))
            a->conv.window = cb_attr_default(node->op).conv.window;
        break;
    case CB_OP_RESIZE: draw_resize(rng, node); break;
    default:
        if (node->op >= CB_OP_ADD && node->op <= CB_OP_XOR)
            a->binary.aligned = cb_rng_below(rng, 2), a->binary.axis = draw_axis(rng);
        else if (node->op >= CB_OP_REDUCE_SUM && node->op <= CB_OP_REDUCE_SUM_SQUARE)
            a->reduce.axes = draw_list(rng), a->reduce.keep_dims = cb_rng_below(rng, 2);
        else
            draw_shape_attr(rng, node);
    }
}

static enum cb_dtype draw_dtype(struct cb_rng *rng)
{
    static const enum cb_dtype some[] = { CB_FLOAT32, CB_INT64, CB_INT8, CB_UINT64, CB_BOOL };
    return some[cb_rng_below(rng, 2) ? 0 : cb_rng_below(rng, CB_COUNT_OF(some))];
}

static void draw_input(struct cb_rng *rng, struct op_case *c, struct cb_shape shape,
                       enum cb_dtype dtype)
{
    int64_t numbers[6561]; /* 3 to the highest rank */
    if (dtype == CB_FLOAT32) {
        op_case_random(c, shape, OP_UNIFORM);
        return;
    }
    for (size_t i = 0; i < cb_shape_count(&shape); i++)
        numbers[i] = cb_dtype_wrap(dtype, draw_number(rng));
    op_case_add_wholes(c, dtype, shape, numbers);
}

/* What infer says of the outputs, without memory for them. */
static bool would_be_small(struct op_case *c)
{
    struct cb_arg in[OP_MAX_ARGS] = { 0 }, out[OP_MAX_ARGS] = { 0 };
    const struct cb_node before = c->node;
    const unsigned known = cb_op_get(before.op)->params | cb_op_get(before.op)->sizes;
    size_t n = 0;
    for (int i = 0; i < c->node.n_in; i++)
        in[i] =
            (struct cb_arg){ c->in[i].dtype, c->in[i].shape, known >> i & 1 ? &c->in[i] : NULL };
    if (cb_op_get(c->node.op)->infer(&c->node, in, out).code)
        return false;
    for (int i = 0; i < c->node.n_out; i++)
        n += cb_shape_count(&out[i].shape);
    c->node = before;
    return n <= MOST_ELEMENTS;
}

/* The shape of input i, most often one that is accepted. */
static struct cb_shape draw_input_shape(struct cb_rng *rng, const struct cb_node *node, int i,
                                        struct cb_shape first)
{
    const int batch = cb_shape_axis(node->attr.sequence.batch_axis, first.rank);
    if (cb_rng_below(rng, 3) == 0)
        return draw_shape(rng);
    if (node->op == CB_OP_ONE_HOT && i > 0)
        return i == 1 ? OP_SCALAR : OP_SHAPE(2);
    if (node->op == CB_OP_REVERSE_SEQUENCE && i == 1 && batch >= 0)
        return OP_SHAPE(first.dim[batch]);
    if (node->op == CB_OP_SCATTER_ND && i == 1)
        return OP_SHAPE(2, 1);
    if (node->op == CB_OP_SCATTER_ND && i == 2 && first.rank > 0)
        first.dim[0] = 2;
    return first;
}

/* True when infer accepted it. */
static bool run_random(enum cb_op op, uint64_t seed)
{
    struct op_case c = op_case_make(op);
    struct cb_rng rng = cb_rng_seed(seed * CB_OP_COUNT + op);
    const struct cb_op_def *def = cb_op_get(op);
    const int most = def->max_in < 4 ? def->max_in : 4;
    const int n_in = def->min_in + (int)cb_rng_below(&rng, (uint64_t)(most - def->min_in) + 1);
    struct cb_shape shape = draw_shape(&rng);
    const bool bytes = op == CB_OP_INTEGER_CONV || op == CB_OP_INTEGER_MATMUL;
    const enum cb_dtype dtype = op == CB_OP_WHERE ? CB_BOOL : bytes ? CB_INT8 : draw_dtype(&rng);
    if (op == CB_OP_INTEGER_CONV && cb_rng_below(&rng, 4)) { /* else hardly any filter fits */
        shape.rank = 3;
        shape.dim[2] = shape.dim[1];
    }
    draw_attr(&rng, &c.node);
    for (int i = 0; i < n_in; i++) {
        const bool scale = op == CB_OP_DEQUANTIZE && i == 1;
        const bool indices = op >= CB_OP_GATHER && op <= CB_OP_REVERSE_SEQUENCE && i == 1;
        draw_input(&rng, &c, draw_input_shape(&rng, &c.node, i, shape),
                   scale                   ? CB_FLOAT32
                   : indices               ? CB_INT64
                   : cb_rng_below(&rng, 8) ? dtype
                                           : draw_dtype(&rng));
    }
    const bool accepted = would_be_small(&c) && !op_case_infer(&c).code;
    if (accepted) {
        op_case_forward(&c);
        if (def->backward && cb_dtype_get(c.in[0].dtype)->is_float)
            op_case_backward(&c);
    }
    op_case_free(&c);
    return accepted;
}

Test(hostile_nodes, resize_nothing_that_they_should_not, .timeout = 120)
{
    int accepted = 0;
    for (uint64_t seed = 1; seed <= 6000; seed++)
        accepted += run_random(CB_OP_RESIZE, seed);
    cr_expect(accepted > 50, "only %d cases say anything", accepted);
}

Test(hostile_nodes, do_no_harm, .timeout = 120)
{
    /* Those from CB_OP_QUANTISED_CONV on are made by a pass, never by a file. */
    for (enum cb_op op = CB_OP_RELU; op < CB_OP_QUANTISED_CONV; op++) {
        int accepted = 0;
        for (uint64_t seed = 1; seed <= 600; seed++)
            accepted += run_random(op, seed);
        cr_expect(accepted > 5, "%s: only %d cases say anything", cb_op_get(op)->name, accepted);
    }
}
