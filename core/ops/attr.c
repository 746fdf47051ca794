/* core/ops/attr.c - what a node's attributes are before anyone says otherwise: ONNX's defaults. */
#include <math.h>

#include "core/ops/op.h"

#define WINDOW    { .stride = { 1, 1, 1 }, .dilation = { 1, 1, 1 } }
#define NO_ACT    .lo = -INFINITY, .hi = INFINITY
#define NOT_GIVEN { .count = -1 }
#define POOL      { .pool = { .window = WINDOW } }
#define BINARY    { .binary = { .axis = -1, NO_ACT } }
#define REDUCE    { .reduce = { .axes = NOT_GIVEN, .keep_dims = true } }
#define ARG       { .arg = { .keep_dims = true } }
#define SOFTMAX   { .softmax = { .axis = -1 } }
#define SHAPED    { .reshape = { .dims = NOT_GIVEN } }
#define SQUEEZED  { .squeeze = { .axes = NOT_GIVEN } }

static const union cb_attr defaults[CB_OP_COUNT] = {
    /* spatial */
    [CB_OP_CONV] = { .conv = { .window = WINDOW, .group = 1, NO_ACT, .in_lo = -INFINITY, .in_hi = INFINITY } },
    [CB_OP_CONV_CHAIN] = { .chain = { .window = WINDOW,
                                      .lo = { -INFINITY, -INFINITY, -INFINITY },
                                      .hi = { INFINITY, INFINITY, INFINITY } } },
    [CB_OP_CONV_TRANSPOSE] = { .conv_transpose = { .window = WINDOW, .group = 1, .sizes = NOT_GIVEN } },
    [CB_OP_MAX_POOL] = POOL,
    [CB_OP_AVERAGE_POOL] = POOL,
    [CB_OP_LP_POOL] = { .pool = { .window = WINDOW, .p = 2 } },
    [CB_OP_MAX_UNPOOL] = { .unpool = { .window = WINDOW, .sizes = NOT_GIVEN } },
    [CB_OP_GRID_SAMPLE] = { .sample = { .mode = CB_RESIZE_LINEAR } },
    [CB_OP_AFFINE_GRID] = { .affine_grid = { .size = NOT_GIVEN } },
    [CB_OP_ROI_ALIGN] = { .roi = { .bins = { 1, 1 }, .scale = 1, .half_pixel = true } },
    [CB_OP_MAX_ROI_POOL] = { .roi = { .bins = { 1, 1 }, .scale = 1 } },
    [CB_OP_RESIZE] = { .resize = { .cubic = -0.75f, .axes = NOT_GIVEN, .sizes = NOT_GIVEN,
                                   .n_scales = -1, .n_roi = -1 } },
    [CB_OP_COL2IM] = { .col2im = { .window = WINDOW, .image = NOT_GIVEN, .block = NOT_GIVEN } },

    /* norm */
    [CB_OP_BATCH_NORM] = { .batch_norm = { .epsilon = 1e-5f, .momentum = 0.9f, NO_ACT } },
    [CB_OP_LRN] = { .lrn = { .alpha = 1e-4f, .beta = 0.75f, .bias = 1.0f } },
    [CB_OP_LAYER_NORM] = { .layer_norm = { .epsilon = 1e-5f, .axes = 1, .centered = true } },

    /* product */
    [CB_OP_GEMM] = { .gemm = { .alpha = 1.0f, .beta = 1.0f, NO_ACT } },
    [CB_OP_MATMUL] = { .matmul = { NO_ACT } },

    /* elementwise */
    [CB_OP_LEAKY_RELU] = { .unary = { .alpha = 0.01f } },
    [CB_OP_CLIP] = { .clip = { .lo = -INFINITY, .hi = INFINITY } },
    [CB_OP_HARD_SIGMOID] = { .unary = { .alpha = 0.2f, .beta = 0.5f } },
    [CB_OP_HARD_SWISH] = { .unary = { .alpha = 1.0f / 6, .beta = 0.5f } },
    [CB_OP_ELU] = { .unary = { .alpha = 1.0f } },
    [CB_OP_SELU] = { .unary = { .alpha = 1.67326319217681884765625f,
                                .beta = 1.05070102214813232421875f } },
    [CB_OP_CELU] = { .unary = { .alpha = 1.0f } },
    [CB_OP_THRESHOLDED_RELU] = { .unary = { .alpha = 1.0f } },
    [CB_OP_SHRINK] = { .unary = { .alpha = 0.5f } },
    [CB_OP_DROPOUT] = { .dropout = { .ratio = 0.5 } },
    [CB_OP_ADD] = BINARY,
    [CB_OP_SUB] = BINARY,
    [CB_OP_MUL] = BINARY,
    [CB_OP_DIV] = BINARY,
    [CB_OP_POW] = BINARY,
    [CB_OP_MOD] = BINARY,
    [CB_OP_MIN] = BINARY,
    [CB_OP_MAX] = BINARY,
    [CB_OP_PRELU] = BINARY,
    [CB_OP_EQUAL] = BINARY,
    [CB_OP_GREATER] = BINARY,
    [CB_OP_LESS] = BINARY,
    [CB_OP_GREATER_EQUAL] = BINARY,
    [CB_OP_LESS_EQUAL] = BINARY,
    [CB_OP_BITWISE_AND] = BINARY,
    [CB_OP_BITWISE_OR] = BINARY,
    [CB_OP_BITWISE_XOR] = BINARY,
    [CB_OP_SHIFT_LEFT] = BINARY,
    [CB_OP_SHIFT_RIGHT] = BINARY,
    [CB_OP_AND] = BINARY,
    [CB_OP_OR] = BINARY,
    [CB_OP_XOR] = BINARY,

    /* reduce */
    [CB_OP_REDUCE_SUM] = REDUCE,
    [CB_OP_REDUCE_MEAN] = REDUCE,
    [CB_OP_REDUCE_MAX] = REDUCE,
    [CB_OP_REDUCE_MIN] = REDUCE,
    [CB_OP_REDUCE_PROD] = REDUCE,
    [CB_OP_REDUCE_L1] = REDUCE,
    [CB_OP_REDUCE_L2] = REDUCE,
    [CB_OP_REDUCE_LOG_SUM] = REDUCE,
    [CB_OP_REDUCE_LOG_SUM_EXP] = REDUCE,
    [CB_OP_REDUCE_SUM_SQUARE] = REDUCE,
    [CB_OP_ARG_MAX] = ARG,
    [CB_OP_ARG_MIN] = ARG,
    [CB_OP_HARDMAX] = SOFTMAX,
    [CB_OP_TOP_K] = { .top_k = { .axis = -1, .k = -1 } },
    [CB_OP_SOFTMAX] = SOFTMAX,
    [CB_OP_LOG_SOFTMAX] = SOFTMAX,

    /* shape */
    [CB_OP_RESHAPE] = SHAPED,
    [CB_OP_FLATTEN] = { .axis = { .axis = 1 } },
    [CB_OP_SQUEEZE] = SQUEEZED,
    [CB_OP_UNSQUEEZE] = SQUEEZED,
    [CB_OP_SPLIT] = { .split = { .sizes = NOT_GIVEN } },
    [CB_OP_SLICE] = { .slice = { NOT_GIVEN, NOT_GIVEN, NOT_GIVEN, NOT_GIVEN } },
    [CB_OP_PAD] = { .pad = { .begin = NOT_GIVEN, .end = NOT_GIVEN, .axes = NOT_GIVEN } },
    [CB_OP_EXPAND] = SHAPED,
    [CB_OP_TILE] = { .tile = { .repeats = NOT_GIVEN } },
    [CB_OP_REVERSE_SEQUENCE] = { .sequence = { .batch_axis = 1 } },
    [CB_OP_ONE_HOT] = { .one_hot = { .axis = -1, .depth = -1 } },
    [CB_OP_SHAPE] = { .shape = { .end = INT64_MAX } },
    [CB_OP_CONSTANT_OF_SHAPE] = { .fill = { .dims = NOT_GIVEN, .dtype = CB_FLOAT32 } },

    /* quantised */
    [CB_OP_QUANTIZE] = { .quantise = { .axis = 1 } },
    [CB_OP_DEQUANTIZE] = { .quantise = { .axis = 1 } },
    [CB_OP_INTEGER_CONV] = { .conv = { .window = WINDOW, .group = 1 } },
    [CB_OP_QUANTISED_CONV] = { .quantised_conv = { .window = WINDOW, .group = 1, NO_ACT } },
    [CB_OP_QUANTISED_MAX_POOL] = { .quantised_pool = { .window = WINDOW } },
    [CB_OP_QUANTISED_AVERAGE_POOL] = { .quantised_pool = { .window = WINDOW } },
    [CB_OP_QUANTISED_ADD] = { .quantised_add = { NO_ACT } },
};

union cb_attr cb_attr_default(enum cb_op op)
{
    return defaults[op];
}
