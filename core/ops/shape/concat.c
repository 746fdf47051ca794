/* core/ops/shape/concat.c - Concat puts tensors one after the other along an axis; Split cuts one
 * apart.
 *
 * Each part is a box in the whole: it has the whole's strides and begins where the parts before it
 * end. */
#include "core/ops/args.h"
#include "core/ops/defs.h"
#include "core/ops/elementwise/walk.h"

static struct cb_status concat_infer(struct cb_node *node, const struct cb_arg in[],
                                     struct cb_arg out[])
{
    struct cb_shape y;
    char first[CB_SHAPE_TEXT], other[CB_SHAPE_TEXT];
    int axis;
    CB_TRY(cb_args_check(node, in));
    y = in[0].shape;
    CB_TRY(cb_args_axis(node, node->attr.axis.axis, y.rank, &axis));
    for (int i = 1; i < node->n_in; i++) {
        struct cb_shape x = in[i].shape;
        if (in[i].dtype == CB_DTYPE_NONE)
            return cb_fail(CB_ERR_MODEL, "%s: wants input %d, has none", node->name, i);
        CB_TRY(cb_args_same_dtype(node, &in[0], &in[i]));
        x.dim[axis] = in[0].shape.dim[axis];
        if (!cb_shape_equal(&x, &in[0].shape))
            return cb_fail(CB_ERR_MODEL, "%s: wants input %d to be as %s beside axis %d, has %s",
                           node->name, i, cb_shape_text(&in[0].shape, first), axis,
                           cb_shape_text(&in[i].shape, other));
        y.dim[axis] += in[i].shape.dim[axis];
    }
    return cb_args_out(node, &out[0], in[0].dtype, &y);
}

/* The size of part i along the axis: as given; or of equal parts, of which the last may be
 * smaller. */
static int64_t part_size(const struct cb_node *node, int64_t dim, int i)
{
    const int64_t each = (dim + node->n_out - 1) / node->n_out, left = dim - each * i;
    if (node->attr.split.sizes.count >= 0)
        return node->attr.split.sizes.v[i];
    return left < 0 ? 0 : left < each ? left : each;
}

static struct cb_status check_sizes(const struct cb_node *node, int64_t dim)
{
    const struct cb_list *sizes = &node->attr.split.sizes;
    const int parts = node->attr.split.parts;
    if (sizes->count >= 0 ? sizes->count != node->n_out : parts > 0 && parts != node->n_out)
        return cb_fail(CB_ERR_MODEL, "%s: wants %d outputs, has %d", node->name,
                       sizes->count >= 0 ? sizes->count : parts, node->n_out);
    if (sizes->count < 0 && parts <= 0 && dim % node->n_out)
        return cb_fail(CB_ERR_MODEL, "%s: wants a multiple of %d to split, has %lld", node->name,
                       node->n_out, (long long)dim);
    for (int i = 0; i < sizes->count; i++)
        if (sizes->v[i] < 0)
            return cb_fail(CB_ERR_MODEL, "%s: wants sizes of 0 or more, has %lld", node->name,
                           (long long)sizes->v[i]);
    return cb_ok();
}

/* More sizes than a list holds must be those of equal parts. */
static struct cb_status read_sizes(struct cb_node *node, const struct cb_arg in[])
{
    const size_t n = cb_args_given(node, in, 1) && in[1].known ? cb_shape_count(&in[1].shape) : 0;
    if (n <= CB_MAX_RANK || in[1].shape.rank != 1 || n != (size_t)node->n_out ||
        cb_args_is_float(&in[1]))
        return cb_args_list(node, in, 1, "sizes", &node->attr.split.sizes);
    for (size_t i = 1; i < n; i++) {
        const int64_t first = cb_args_int_at(in[1].known, 0), size = cb_args_int_at(in[1].known, i);
        if (size != first && (i < n - 1 || size > first))
            return cb_fail(CB_ERR_UNSUPPORTED,
                           "%s: wants equal parts when there are more than %d, has %lld and %lld",
                           node->name, CB_MAX_RANK, (long long)first, (long long)size);
    }
    node->attr.split.parts = node->n_out;
    return cb_ok();
}

static struct cb_status split_infer(struct cb_node *node, const struct cb_arg in[],
                                    struct cb_arg out[])
{
    struct cb_shape y;
    int64_t dim, sum = 0;
    int axis;
    CB_TRY(cb_args_check(node, in));
    y = in[0].shape;
    CB_TRY(cb_args_axis(node, node->attr.split.axis, y.rank, &axis));
    CB_TRY(read_sizes(node, in));
    dim = y.dim[axis];
    CB_TRY(check_sizes(node, dim));
    for (int i = 0; i < node->n_out; i++) {
        y.dim[axis] = part_size(node, dim, i);
        CB_TRY(cb_args_out(node, &out[i], in[0].dtype, &y));
        sum += y.dim[axis];
    }
    if (sum != dim)
        return cb_fail(CB_ERR_MODEL, "%s: wants sizes that make %lld, has %lld", node->name,
                       (long long)dim, (long long)sum);
    return cb_ok();
}

/* Parts of a whole along the last axis; a part that lies in its place already is not copied. */
static bool concat_takes_stride(const struct cb_op_call *call, int input)
{
    (void)input;
    const int rank = call->out[0]->shape.rank;
    return rank > 1 && cb_shape_axis(call->node->attr.axis.axis, rank) == rank - 1;
}

/* A part in the whole. Copies (or adds) it out of the whole, or into it. */
struct part {
    const struct cb_tensor *whole, *part;
    int axis;
    size_t first; /* along the axis */
    bool out_of;
};

static size_t walk_of(const struct part *p, struct cb_walk *walk)
{
    ptrdiff_t step[CB_MAX_RANK], part_step[CB_MAX_RANK];
    cb_walk_tensor_strides(p->whole, step);
    cb_walk_tensor_strides(p->part, part_step);
    *walk = cb_walk_over(&p->part->shape);
    cb_walk_add_steps(walk, p->out_of ? step : part_step);
    cb_walk_add_steps(walk, p->out_of ? part_step : step);
    return p->first * (size_t)step[p->axis];
}

static void copy_part(const struct cb_op_call *call, const struct part *p)
{
    const size_t size = cb_dtype_size(p->whole->dtype);
    struct cb_walk walk;
    char *whole = p->whole->data, *part = p->part->data;
    if (cb_tensor_count(p->part) == 0)
        return;
    whole += walk_of(p, &walk) * size;
    if (whole != part) /* else it lies in its place already */
        cb_walk_copy(&walk, call->threads, size, p->out_of ? whole : part,
                     p->out_of ? part : whole);
}

static void add_part(const struct cb_op_call *call, const struct part *p)
{
    struct cb_walk walk;
    float *whole = p->whole->f, *part = p->part->f;
    if (cb_tensor_count(p->part) == 0)
        return;
    whole += walk_of(p, &walk);
    cb_walk_accumulate(&walk, call->threads, p->out_of ? whole : part, p->out_of ? part : whole);
}

static void concat_forward(const struct cb_op_call *call)
{
    struct part p = { .whole = call->out[0],
                      .axis = cb_shape_axis(call->node->attr.axis.axis, call->out[0]->shape.rank) };
    for (int i = 0; i < call->node->n_in; i++) {
        p.part = call->in[i];
        copy_part(call, &p);
        p.first += (size_t)p.part->shape.dim[p.axis];
    }
}

static void concat_backward(const struct cb_op_call *call)
{
    struct part p = { .whole = call->dout[0], .out_of = true };
    if (!p.whole)
        return;
    p.axis = cb_shape_axis(call->node->attr.axis.axis, p.whole->shape.rank);
    for (int i = 0; i < call->node->n_in; i++) {
        p.part = call->din[i];
        if (p.part)
            add_part(call, &p);
        p.first += (size_t)call->in[i]->shape.dim[p.axis];
    }
}

static void split_forward(const struct cb_op_call *call)
{
    struct part p = { .whole = call->in[0],
                      .out_of = true,
                      .axis = cb_shape_axis(call->node->attr.split.axis, call->in[0]->shape.rank) };
    for (int i = 0; i < call->node->n_out; i++) {
        p.part = call->out[i];
        if (p.part)
            copy_part(call, &p);
        p.first += (size_t)part_size(call->node, p.whole->shape.dim[p.axis], i);
    }
}

static void split_backward(const struct cb_op_call *call)
{
    struct part p = { .whole = call->din[0] };
    if (!p.whole)
        return;
    p.axis = cb_shape_axis(call->node->attr.split.axis, p.whole->shape.rank);
    for (int i = 0; i < call->node->n_out; i++) {
        p.part = call->dout[i];
        if (p.part)
            add_part(call, &p);
        p.first += (size_t)part_size(call->node, p.whole->shape.dim[p.axis], i);
    }
}

/* clang-format off */
const struct cb_op_def cb_op_concat = {
    .name = "Concat", .min_in = 1, .max_in = CB_MAX_ARGS, .max_out = 1,
    .infer = concat_infer, .takes_stride = concat_takes_stride, .forward = concat_forward, .backward = concat_backward,
};

const struct cb_op_def cb_op_split = {
    .name = "Split", .min_in = 1, .max_in = 2, .max_out = CB_MAX_ARGS, .params = 1u << 1,
    .infer = split_infer, .forward = split_forward, .backward = split_backward,
};
