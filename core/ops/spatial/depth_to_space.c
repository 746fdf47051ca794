/* core/ops/spatial/depth_to_space.c - DepthToSpace and SpaceToDepth, channels last: the channels of
 * a pixel as a block of pixels, and back.
 *
 * Deep [N,H,W,C*b*b], wide [N,H*b,W*b,C]. ONNX DepthToSpace-13 (its modes DCR and CRD),
 * SpaceToDepth-13 (DCR's order). An operator of its own, not a Reshape: that would need height and
 * width when the network is read. */
#include "core/ops/args.h"
#include "core/ops/defs.h"
#include "core/ops/elementwise/walk.h"

static struct cb_status check(const struct cb_node *node, const struct cb_arg in[])
{
    char text[CB_SHAPE_TEXT];
    CB_TRY(cb_args_check(node, in));
    if (in[0].shape.rank != 4)
        return cb_fail(CB_ERR_MODEL, "%s: wants [N,H,W,C], has %s", node->name,
                       cb_shape_text(&in[0].shape, text));
    if (node->attr.blocks.size < 1 || node->attr.blocks.size > INT16_MAX)
        return cb_fail(CB_ERR_MODEL, "%s: wants blocks of 1 to %d pixels, has %lld", node->name,
                       INT16_MAX, (long long)node->attr.blocks.size);
    return cb_ok();
}

static struct cb_status to_space_infer(struct cb_node *node, const struct cb_arg in[],
                                       struct cb_arg out[])
{
    const int64_t b = node->attr.blocks.size;
    CB_TRY(check(node, in));
    struct cb_shape y = in[0].shape;
    if (y.dim[3] % (b * b))
        return cb_fail(CB_ERR_MODEL, "%s: %lld channels are no blocks of %lld by %lld", node->name,
                       (long long)y.dim[3], (long long)b, (long long)b);
    y.dim[1] *= b;
    y.dim[2] *= b;
    y.dim[3] /= b * b;
    return cb_args_out(node, &out[0], in[0].dtype, &y);
}

static struct cb_status to_depth_infer(struct cb_node *node, const struct cb_arg in[],
                                       struct cb_arg out[])
{
    const int64_t b = node->attr.blocks.size;
    CB_TRY(check(node, in));
    struct cb_shape y = in[0].shape;
    if (y.dim[1] % b || y.dim[2] % b)
        return cb_fail(CB_ERR_MODEL, "%s: %lld by %lld pixels are no blocks of %lld by %lld",
                       node->name, (long long)y.dim[1], (long long)y.dim[2], (long long)b,
                       (long long)b);
    y.dim[1] /= b;
    y.dim[2] /= b;
    y.dim[3] *= b * b;
    return cb_args_out(node, &out[0], in[0].dtype, &y);
}

/* Over image, line, line of a block, block, pixel of its line, channel; from the input to the
 * output, or back. */
static struct cb_walk walk_of(const struct cb_op_call *call, bool from_deep)
{
    const bool to_space = call->node->op == CB_OP_DEPTH_TO_SPACE;
    const struct cb_shape *deep = &(to_space ? call->in[0] : call->out[0])->shape;
    const ptrdiff_t b = (ptrdiff_t)call->node->attr.blocks.size;
    const ptrdiff_t n = (ptrdiff_t)deep->dim[0], h = (ptrdiff_t)deep->dim[1];
    const ptrdiff_t w = (ptrdiff_t)deep->dim[2], d = (ptrdiff_t)deep->dim[3], c = d / (b * b);
    const bool crd = call->node->attr.blocks.channels_first;
    const ptrdiff_t in_deep[] = {
        h * w * d, w * d, crd ? b : b * c, d, crd ? 1 : c, crd ? b * b : 1
    };
    const ptrdiff_t in_wide[] = { h * w * d, b * w * b * c, w * b * c, b * c, c, 1 };
    struct cb_walk walk = {
        .rank = 6, .dim = { (size_t)n, (size_t)h, (size_t)b, (size_t)w, (size_t)b, (size_t)c }
    };
    cb_walk_add_steps(&walk, from_deep ? in_deep : in_wide);
    cb_walk_add_steps(&walk, from_deep ? in_wide : in_deep);
    return walk;
}

static void forward(const struct cb_op_call *call)
{
    const struct cb_walk walk = walk_of(call, call->node->op == CB_OP_DEPTH_TO_SPACE);
    if (cb_tensor_count(call->out[0]))
        cb_walk_copy(&walk, call->threads, cb_dtype_size(call->in[0]->dtype), call->in[0]->data,
                     call->out[0]->data);
}

static void backward(const struct cb_op_call *call)
{
    const struct cb_walk walk = walk_of(call, call->node->op == CB_OP_SPACE_TO_DEPTH);
    if (call->dout[0] && call->din[0] && cb_tensor_count(call->out[0]))
        cb_walk_accumulate(&walk, call->threads, call->dout[0]->f, call->din[0]->f);
}

const struct cb_op_def cb_op_depth_to_space = {
    .name = "DepthToSpace",
    .min_in = 1,
    .max_in = 1,
    .max_out = 1,
    .infer = to_space_infer,
    .forward = forward,
    .backward = backward,
};

const struct cb_op_def cb_op_space_to_depth = {
    .name = "SpaceToDepth",
    .min_in = 1,
    .max_in = 1,
    .max_out = 1,
    .infer = to_depth_infer,
    .forward = forward,
    .backward = backward,
};
