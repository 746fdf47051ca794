/* core/ops/op.h - what an operator is: its attributes, and what it must say about itself.
 *
 * Meaning follows ONNX's newest opset, with two differences. Image operators (convolution, pooling, LRN,
 * BatchNormalization, global pooling) are channels-last: x is [N, spatial..., C]; the importer writes the transposes.
 * Parameters such as axes, pads or a target shape may come as an input or stand in the attribute: infer reads a
 * known input into the attribute, and without that input the attribute stands (see cb_op_def.params).
 * Filters keep ONNX's order [M, C/group, spatial...]. Gradients of filters too. */
#pragma once

#include <stdbool.h>

#include "core/base/status.h"
#include "core/base/threads.h"
#include "core/kernels/kernels.h"
#include "core/ops/list.h"
#include "core/tensor/tensor.h"

#define CB_MAX_SPATIAL 3
#define CB_ALGORITHMS_MAX 12

enum cb_op {
#define CB_OP_VALUE(NAME, name) CB_OP_##NAME,
    CB_OPS(CB_OP_VALUE)
#undef CB_OP_VALUE
    CB_OP_COUNT
};

enum cb_auto_pad { CB_PAD_EXPLICIT, CB_PAD_VALID, CB_PAD_SAME_UPPER, CB_PAD_SAME_LOWER };
enum cb_scatter { CB_SCATTER_SET, CB_SCATTER_ADD, CB_SCATTER_MUL, CB_SCATTER_MAX, CB_SCATTER_MIN };
enum cb_pad_mode { CB_PAD_CONSTANT, CB_PAD_REFLECT, CB_PAD_EDGE, CB_PAD_WRAP };

/* Resize: where between the pixels of x those of y lie, and which of x is the nearest (SIMPLE: the one below, and
 * above where y is smaller: opset 10). FIT: wanted sizes are bounds that the sides keep their ratio within. */
enum cb_resize_mode { CB_RESIZE_NEAREST, CB_RESIZE_LINEAR, CB_RESIZE_CUBIC };
enum cb_resize_place {
    CB_PLACE_HALF_PIXEL, CB_PLACE_HALF_PIXEL_SYMMETRIC, CB_PLACE_PYTORCH_HALF_PIXEL, CB_PLACE_ALIGN_CORNERS,
    CB_PLACE_ASYMMETRIC, CB_PLACE_TF_HALF_PIXEL_FOR_NN, CB_PLACE_TF_CROP_AND_RESIZE
};
enum cb_resize_round { CB_ROUND_PREFER_FLOOR, CB_ROUND_PREFER_CEIL, CB_ROUND_FLOOR, CB_ROUND_CEIL, CB_ROUND_SIMPLE };
enum cb_resize_fit { CB_FIT_STRETCH, CB_FIT_NOT_LARGER, CB_FIT_NOT_SMALLER };

/* Ranks of a Transpose that infer turns into a permutation once it knows the input's rank (where it is too small,
 * the input stays as it stands): the importer puts the first two around image operators. */
#define CB_PERM_TO_LAST (-1)   /* [N,C,spatial...] -> [N,spatial...,C] */
#define CB_PERM_FROM_LAST (-2) /* [N,spatial...,C] -> [N,C,spatial...] */
#define CB_PERM_SWAP_LAST (-3) /* [...,M,K] -> [...,K,M] */
#define CB_PERM_BATCH (-4)     /* [M,batch...,K] -> [batch...,M,K] */

/* A window that slides over `rank` spatial axes. infer fills pads of the auto_pad forms. */
struct cb_window {
    int rank;         /* 1 to CB_MAX_SPATIAL; 0: take it from the input (and the kernel from the filter) */
    int64_t kernel[CB_MAX_SPATIAL], stride[CB_MAX_SPATIAL], dilation[CB_MAX_SPATIAL];
    int64_t pad_begin[CB_MAX_SPATIAL], pad_end[CB_MAX_SPATIAL];
    enum cb_auto_pad auto_pad;
    bool ceil_mode;
};

/* Up to CB_MAX_RANK numbers that an input may give. count -1: not given, the operator's default. */
struct cb_list {
    int count;
    int64_t v[CB_MAX_RANK];
};

/* By family, in list.h's order. Above each member: whose it is, inputs in order (in brackets: parameters, which
 * the attribute replaces; "?": may be absent), then what is not ONNX's own name or meaning. Axes count from 0, or from
 * the end where negative, until infer has seen the input. lo, hi: the result is clamped to [lo, hi] (-INFINITY and
 * INFINITY: not), and goes through `act` then; passes write both. */
union cb_attr {
    /* ---- spatial ---- */

    /* CONV, INTEGER_CONV: x, w, bias?, residual?, scale?, shift? (INTEGER_CONV: x, w, x_zero?, w_zero?). Where scale is
     * given, x * scale + shift clamped to [in_lo, in_hi] is convolved. algorithm: of cb_conv_algorithms, from 1; 0: the
     * first that fits. */
    struct {
        struct cb_window window;
        int64_t group;
        float lo, hi;
        struct cb_act act;
        float in_lo, in_hi;
        int algorithm;
    } conv;
    /* CONV_CHAIN: x, w, bias?, expand?, bias?, project?, bias?, residual?. The window is the depthwise convolution's;
     * a clamp and an activation for each stage (conv_chain.h). */
    struct {
        struct cb_window window;
        float lo[3], hi[3];
        struct cb_act act[3];
    } chain;
    /* CONV_TRANSPOSE: x, w, bias?. more: output_padding; sizes: wanted ones of y, not given: they follow. */
    struct {
        struct cb_window window;
        int64_t group, more[CB_MAX_SPATIAL];
        struct cb_list sizes;
    } conv_transpose;
    /* MAX_POOL, AVERAGE_POOL, LP_POOL: x -> y, indices?. column_major: of the indices; p: of LP_POOL, whose window of
     * rank 0 is all of x. */
    struct { struct cb_window window; bool count_include_pad, column_major; float p; } pool;
    /* MAX_UNPOOL: x, indices, [sizes]?. sizes: of y, [N, C, spatial...]; pooled: infer's, what the window gives of y. */
    struct { struct cb_window window; struct cb_list sizes; int64_t pooled[CB_MAX_SPATIAL]; } unpool;
    /* GRID_SAMPLE: x, grid. padding: CONSTANT is 0, EDGE is ONNX's border. */
    struct { enum cb_resize_mode mode; enum cb_pad_mode padding; bool align_corners; } sample;
    /* AFFINE_GRID: theta, [size]. */
    struct { struct cb_list size; bool align_corners; } affine_grid;
    /* ROI_ALIGN: x, rois, images; MAX_ROI_POOL: x, rois. bins: of y, height and width; samples: along each side of a
     * bin, 0: as many as pixels; scale: pixels of x in one of the rois' units. */
    struct { int64_t bins[2], samples; float scale; bool max, half_pixel; } roi;
    /* DEPTH_TO_SPACE, SPACE_TO_DEPTH: x. size: of a block; channels_first: mode CRD. */
    struct { int64_t size; bool channels_first; } blocks;
    /* RESIZE: x, [roi]?, [scales]?, [sizes]? (one of the last two). cubic: the cubic's coefficient; outside: what stands
     * outside of a roi's x. n_scales, n_roi: -1: not given; once infer has seen x, one for each axis, as are sizes. */
    struct {
        enum cb_resize_mode mode;
        enum cb_resize_place place;
        enum cb_resize_round round;
        enum cb_resize_fit fit;
        bool antialias, exclude_outside;
        float cubic, outside;
        struct cb_list axes, sizes;
        int n_scales, n_roi;
        double scale[CB_MAX_RANK], roi[2][CB_MAX_RANK];
    } resize;
    /* COL2IM: x, [image], [block]. */
    struct { struct cb_window window; struct cb_list image, block; } col2im;

    /* ---- norm ---- */

    /* BATCH_NORM: x, scale, bias, mean, var. */
    struct { float epsilon, momentum; bool training; float lo, hi; } batch_norm;
    /* LRN: x. size: channels that are summed over. */
    struct { float alpha, beta, bias; int64_t size; } lrn;
    /* LAYER_NORM: x, scale?, bias?. axes: how many, the last ones; centered: less the mean (RMSNormalization is not). */
    struct { float epsilon; int axes; bool centered; } layer_norm;

    /* ---- product ---- */

    /* GEMM: a, b, c?. */
    struct { float alpha, beta; bool trans_a, trans_b; float lo, hi; struct cb_act act; } gemm;
    /* MATMUL: a, b, bias?, residual?; the last two only where b is one matrix. */
    struct { float lo, hi; struct cb_act act; } matmul;

    /* ---- elementwise ---- */

    /* LEAKY_RELU .. SHRINK: x. alpha, beta: ONNX's, or gamma (SELU), lambd and bias (SHRINK); approximate: GELU by tanh. */
    struct { float alpha, beta; bool approximate; } unary;
    /* CLIP: x, [lo]?, [hi]?. */
    struct { double lo, hi; } clip;
    /* CAST, QUANTISED_COPY: x. */
    struct { enum cb_dtype to; } cast;
    /* DROPOUT: x, [ratio]?, [training]?; one of the two is 0. */
    struct { double ratio, training; } dropout;
    /* ADD .. XOR: a, b. aligned: opset < 7, b's dims stand at `axis` of a (-1: at its end); fmod: of MOD; lo, hi: of ADD. */
    struct { bool aligned; int axis; bool fmod; float lo, hi; } binary;

    /* ---- reduce ---- */

    /* REDUCE_SUM .. REDUCE_SUM_SQUARE: x, [axes]?. */
    struct { struct cb_list axes; bool keep_dims, noop_if_empty; } reduce;
    /* ARG_MAX, ARG_MIN: x. last: of equal ones. */
    struct { int axis; bool keep_dims, last; } arg;
    /* TOP_K: x, [k]? -> values, indices?. */
    struct { int axis; int64_t k; bool smallest; } top_k;
    /* CUM_SUM, CUM_PROD: x, [axis]?. */
    struct { int axis; bool exclusive, reverse; } cumulate;
    /* SOFTMAX, LOG_SOFTMAX, HARDMAX: x. flatten: opset < 13, over all axes from `axis` on. */
    struct { int axis; bool flatten; } softmax;

    /* ---- shape ---- */

    /* RESHAPE, EXPAND: x, [dims]. */
    struct { struct cb_list dims; bool allow_zero; } reshape;
    /* FLATTEN: x; CONCAT: x...; GATHER: x, indices. */
    struct { int axis; } axis;
    /* SQUEEZE, UNSQUEEZE: x, [axes]?. */
    struct { struct cb_list axes; } squeeze;
    /* TRANSPOSE: x. rank 0: reverse the axes; or CB_PERM_TO_LAST, .. */
    struct { int rank; int perm[CB_MAX_RANK]; } transpose;
    /* SPLIT: x, [sizes]?. parts: equal ones, without sizes. */
    struct { int axis; struct cb_list sizes; int parts; } split;
    /* SLICE: x, [starts], [ends], [axes]?, [steps]?. */
    struct { struct cb_list starts, ends, axes, steps; } slice;
    /* PAD: x, [pads], [value]?, [axes]?. begin, end: for each axis of x once infer has seen it. */
    struct { struct cb_list begin, end, axes; enum cb_pad_mode mode; double value; } pad;
    /* TILE: x, [repeats]. */
    struct { struct cb_list repeats; } tile;
    /* GATHER_ELEMENTS, GATHER_ND: x, indices; SCATTER_ELEMENTS, SCATTER_ND: x, indices, updates. */
    struct { int axis, batch_dims; enum cb_scatter how; } places;
    /* TRILU: x, [k]?. square: other matrices are refused. */
    struct { int64_t k; bool lower, square; } trilu;
    /* REVERSE_SEQUENCE: x, lengths. */
    struct { int batch_axis, time_axis; } sequence;
    /* ONE_HOT: indices, [depth]?, values. */
    struct { int axis; double depth; } one_hot;
    /* UNIQUE: x -> y, first?, inverse?, counts?. flat: of all elements. */
    struct { int axis; bool flat, unsorted; } unique;
    /* SHAPE: x. end INT64_MAX: the rank. */
    struct { int64_t start, end; } shape;
    /* CONSTANT_OF_SHAPE: [dims]. */
    struct { struct cb_list dims; enum cb_dtype dtype; double value; } fill;
    /* RANGE: [start], [limit], [step]. */
    struct { enum cb_dtype dtype; double start, limit, step; } range;

    /* ---- quantised ---- */

    /* QUANTIZE, DEQUANTIZE: x, scale, zero?. block: elements of `axis` to a scale, 0: all; to: NONE: the zero's type,
     * uint8 without one; zero_first: added before rounding. */
    struct { int axis; int64_t block; enum cb_dtype to; bool zero_first; } quantise;
    /* QUANTISED_CONV: x, w, w_scale, bias?, residual?, w_zero?. lo, hi: in real units; act: none beside a residual;
     * to_real: y is float; product: x [..., C] has no spatial axes, whatever its rank. */
    struct {
        struct cb_window window;
        int64_t group;
        float lo, hi;
        struct cb_act act;
        struct cb_quantum x, residual, y;
        bool to_real;
        bool product;
    } quantised_conv;
    /* QUANTISED_MAX_POOL, QUANTISED_AVERAGE_POOL: x. A window of rank 0: all of x. */
    struct { struct cb_window window; bool count_include_pad; struct cb_quantum x, y; } quantised_pool;
    /* QUANTISED_ADD: a, b. zero_first: as above, for numbers that are bytes less `origin` (128: int8). */
    struct { struct cb_quantum a, b, y; float lo, hi; bool zero_first; int origin; } quantised_add;
};

/* The longest list of inputs or outputs a node may have. */
#define CB_MAX_ARGS 4096

struct cb_node {
    enum cb_op op;
    const char *name;  /* for messages; never NULL */
    int n_in, n_out;
    int *in, *out;     /* values of the graph; -1: an optional one that is absent */
    union cb_attr attr;
};

/* What infer knows of an input, and says of an output. */
struct cb_arg {
    enum cb_dtype dtype;           /* CB_DTYPE_NONE: absent */
    struct cb_shape shape;         /* known */
    const struct cb_tensor *known; /* its elements, when they are known at plan time; else NULL */
};

/* One execution of one node. */
struct cb_op_call {
    const struct cb_node *node;
    const struct cb_kernels *kernels;
    struct cb_threads *threads;
    const struct cb_tensor *const *in;   /* node->n_in of them; NULL: absent */
    struct cb_tensor *const *out;        /* written by forward, readable in backward; NULL: not wanted, never [0] */
    const struct cb_tensor *const *dout; /* d loss / d out; NULL entry: zero */
    struct cb_tensor *const *din;        /* backward ADDS d loss / d in; NULL entry: not wanted */
    bool mapped;                         /* pack: the input is read for the last time, its pages may be let go */
    int packing;                         /* pack: the input that it packs, of those in `packs` */
    const void *packed;                  /* what pack made of constant weights; NULL: they are no constant */
    void *scratch;                       /* scratch bytes, 64-byte aligned, contents undefined */
};

struct cb_op_def {
    const char *name;   /* in messages, dumps and metrics: ONNX's name where there is one */
    int min_in, max_in, max_out;
    unsigned params;    /* bit i: input i is a parameter, known when the plan is made; dropped after infer */
    unsigned sizes;     /* bit i: the shape of the output follows from input i's elements: known too, but kept */
    bool view;          /* out[0] has in[0]'s elements in the same order: the plan may share the memory */
    bool late;          /* of constants alone it is not computed before the passes: one of them wants to see it */
    bool in_place;      /* forward may be given out[0]->data == in[0]->data */
    /* The element type of output i, from those of the inputs (CB_DTYPE_NONE: absent or unknown). NULL: in[0]'s. */
    enum cb_dtype (*result)(const struct cb_node *node, const enum cb_dtype in[], int i);
    /* Checks everything that forward relies on; fills outputs' type and shape and the attributes that were open.
     * Messages begin with the node's name. `known` of outputs is the caller's affair. */
    struct cb_status (*infer)(struct cb_node *node, const struct cb_arg in[], struct cb_arg out[]);
    /* Bytes; shapes are known, data may be NULL. NULL: none. `backward`: what backward wants. */
    size_t (*scratch)(const struct cb_op_call *call, bool backward);
    /* Constant weights in the kernels' form, in one block. NULL: the operator uses them as they lie (aligned).
     * packs: bit i: in[i] is packed, by a call of its own with call->packing = i; 0: in[1] alone. */
    unsigned packs;
    size_t (*packed_bytes)(const struct cb_op_call *call);
    uint64_t (*packed_form)(const struct cb_op_call *call);    /* differs where the layout does; NULL: one form */
    void (*pack)(const struct cb_op_call *call, void *packed); /* in[packing]->data may be unaligned here */
    /* Where several algorithms compete: those that may compute this call, best guess first; how many. NULL: one way.
     * The plan times them on the real shapes and calls `choose` with the fastest that is accurate. */
    int (*algorithms)(const struct cb_op_call *call, int out[CB_ALGORITHMS_MAX]);
    void (*choose)(struct cb_node *node, int algorithm);
    const char *(*algorithm)(const struct cb_op_call *call);   /* the name of the one that computes it; NULL: one way */
    /* Whether the chosen algorithm keeps its error budget with these weights (in[1] and packed). NULL: all do. */
    bool (*accurate)(const struct cb_op_call *call);
    /* Whether forward may be given in[input], or out[0] where `input` is -1, as a slice of wider pixels
     * (cb_tensor.pixel_stride); shapes are known. NULL: never. backward sees dense tensors alone. */
    bool (*takes_stride)(const struct cb_op_call *call, int input);
    void (*forward)(const struct cb_op_call *call);            /* cannot fail: infer checked everything */
    void (*backward)(const struct cb_op_call *call);           /* NULL: not differentiable */
};

/* Never NULL for op < CB_OP_COUNT. */
const struct cb_op_def *cb_op_get(enum cb_op op);

/* A node's attributes at their defaults: windows of stride and dilation 1, lists not given, no activation. */
union cb_attr cb_attr_default(enum cb_op op);
