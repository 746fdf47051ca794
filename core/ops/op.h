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

/* Inputs in brackets are parameters. "act": y is clamped to [lo, hi]; -INFINITY, INFINITY for none. */
union cb_attr {
    struct {
        struct cb_window window;
        int64_t group;
        float lo, hi;         /* "act", and then: */
        struct cb_act act;
        float in_lo, in_hi;   /* of x * scale + shift, where scale is given */
        int algorithm;        /* of cb_conv_algorithms, from 1; 0: the first that fits */
    } conv;                   /* x, w, bias?, residual?, scale?, shift? */
    struct {
        struct cb_window window;           /* of the depthwise convolution */
        float lo[3], hi[3];                /* of each stage (conv_chain.h), as those of conv */
        struct cb_act act[3];
    } chain;                  /* x, w, bias?, expand?, bias?, project?, bias?, residual? */
    struct {
        struct cb_window window;
        int64_t group, more[CB_MAX_SPATIAL]; /* more: output_padding */
        struct cb_list sizes;                /* wanted ones of y; not given: they follow */
    } conv_transpose;         /* x, w, bias? */
    struct { struct cb_window window; bool count_include_pad, column_major; float p; } pool; /* x -> y, indices? ;
                                 p: of LP_POOL, whose window of rank 0 is all of x */
    struct { float epsilon, momentum; bool training; float lo, hi; } batch_norm; /* x, scale, bias, mean, var; act */
    struct { struct cb_window window; struct cb_list sizes; int64_t pooled[CB_MAX_SPATIAL]; } unpool; /* x, indices,
                                 [sizes]? ; sizes [N, C, spatial...]; pooled: infer's, what the window gives */
    struct { enum cb_resize_mode mode; enum cb_pad_mode padding; bool align_corners; } sample; /* x, grid ; padding:
                                 CONSTANT is 0, EDGE is ONNX's border */
    struct { struct cb_list size; bool align_corners; } affine_grid; /* theta, [size] */
    struct { int64_t bins[2], samples; float scale; bool max, half_pixel; } roi; /* x, rois, images (MAX_ROI_POOL:
                                 x, rois) ; samples 0: as many as pixels */
    struct { struct cb_window window; struct cb_list image, block; } col2im; /* x, [image], [block] */
    struct { int64_t size; bool channels_first; } blocks;  /* DEPTH_TO_SPACE, SPACE_TO_DEPTH; mode CRD */
    struct {
        enum cb_resize_mode mode;
        enum cb_resize_place place;
        enum cb_resize_round round;
        enum cb_resize_fit fit;
        bool antialias, exclude_outside;
        float cubic, outside;              /* the cubic's coefficient; what stands outside of a roi's x */
        struct cb_list axes, sizes;
        int n_scales, n_roi;               /* -1: not given; once infer has seen x, one per axis of it, as sizes */
        double scale[CB_MAX_RANK], roi[2][CB_MAX_RANK];
    } resize;                 /* x, [roi]?, [scales]?, [sizes]? ; sizes and scales by inputs: one of them */
    struct { float alpha, beta, bias; int64_t size; } lrn;
    struct { float epsilon; int axes; bool centered; } layer_norm; /* x, scale?, bias? ; over the last `axes` axes */
    struct { float alpha, beta; bool trans_a, trans_b; float lo, hi; struct cb_act act; } gemm; /* a, b, c? ; "act" and act */
    struct { float lo, hi; struct cb_act act; } matmul;   /* a, b, bias?, residual? ; "act" and act; the last two
                                                             only where b is one matrix */
    struct { float alpha, beta; bool approximate; } unary;
    struct { double lo, hi; } clip;                                          /* x, [lo]?, [hi]? */
    struct { enum cb_dtype to; } cast;                /* QUANTISED_COPY too */
    struct { double ratio, training; } dropout;       /* x, [ratio]?, [training]? ; 0 one of them */
    struct { bool aligned; int axis; bool fmod; float lo, hi; } binary; /* a, b ; ADD has act. aligned: opset < 7,
                                                               b's dims stand at `axis` of a (-1: at its end) */
    struct { struct cb_list axes; bool keep_dims, noop_if_empty; } reduce;   /* x, [axes]? */
    struct { int axis; bool keep_dims, last; } arg;
    struct { int axis; bool flatten; } softmax;       /* flatten: opset < 13, over all axes from `axis` on */
    struct { struct cb_list dims; bool allow_zero; } reshape;                /* x, [dims] ; EXPAND too */
    struct { struct cb_list axes; } squeeze;                                 /* x, [axes]? ; UNSQUEEZE too */
    struct { int axis; } axis;                        /* FLATTEN, CONCAT, GATHER */
    struct { int axis; struct cb_list sizes; int parts; } split;             /* x, [sizes]? */
    struct { int rank; int perm[CB_MAX_RANK]; } transpose; /* rank 0: reverse the axes; or CB_PERM_TO_LAST, .. */
    struct { struct cb_list starts, ends, axes, steps; } slice; /* x, [starts], [ends], [axes]?, [steps]? */
    struct { struct cb_list begin, end, axes; enum cb_pad_mode mode; double value; } pad; /* x, [pads], [value]?, [axes]?;
                                                             begin, end per axis once infer has seen the input */
    struct { int axis, batch_dims; enum cb_scatter how; } places; /* x, indices, updates? : GATHER_ELEMENTS, .. SCATTER_ND */
    struct { int axis; int64_t k; bool smallest; } top_k;                    /* x, [k]? -> values, indices? */
    struct { int64_t k; bool lower, square; } trilu;  /* x, [k]? ; square: other matrices are refused */
    struct { int axis; double depth; } one_hot;       /* indices, [depth]?, values */
    struct { int axis; bool exclusive, reverse; } cumulate;                  /* x, [axis]? */
    struct { int batch_axis, time_axis; } sequence;   /* x, lengths */
    struct { int axis; bool flat, unsorted; } unique; /* x -> y, first?, inverse?, counts? ; flat: of all elements */
    struct { struct cb_list repeats; } tile;                                 /* x, [repeats] */
    struct { int64_t start, end; } shape;             /* end INT64_MAX: the rank */
    struct { struct cb_list dims; enum cb_dtype dtype; double value; } fill; /* [dims] */
    struct { enum cb_dtype dtype; double start, limit, step; } range;        /* [start], [limit], [step] */
    struct { int axis; int64_t block; enum cb_dtype to; bool zero_first; } quantise; /* x, scale, zero? ; NONE: the zero's
                                                             type, uint8. zero_first: added before rounding */
    struct {
        struct cb_window window;   /* of a convolution */
        int64_t group;
        float lo, hi;              /* "act" in real units, and then: */
        struct cb_act act;         /* none beside a residual */
        struct cb_quantum x, residual, y;
        bool to_real;              /* y is float */
        bool product;              /* x [..., C]: no spatial axes, whatever its rank */
    } quantised_conv;              /* x, w, w_scale, bias?, residual?, w_zero? */
    struct { struct cb_window window; bool count_include_pad; struct cb_quantum x, y; } quantised_pool; /* rank 0: global */
    struct { struct cb_quantum a, b, y; float lo, hi; bool zero_first; int origin; } quantised_add;       /* a, b ; act */
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
