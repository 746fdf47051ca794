/* core/kernels/simd/set.h - all loops of a fast set, over the including file's vector. */
#pragma once

#include "core/kernels/simd/derived.h"

static ALWAYS_INLINE float vec_sum(vec v)
{
    float sum = 0;
    for (int j = 0; j < W; j++)
        sum += v[j];
    return sum;
}

#include "core/kernels/simd/activation.h"
#include "core/kernels/simd/depthwise.h"
#include "core/kernels/simd/depthwise_line.h"
#include "core/kernels/simd/elementwise.h"
#include "core/kernels/simd/rows.h"
#include "core/kernels/simd/tile.h"
#include "core/kernels/simd/winograd.h"
#include "core/kernels/simd/winograd_taps.h"

static void use_set(struct cb_kernels *k)
{
    k->vector = W;
    k->mr = MR;
    k->nr = NR;
    k->tile = tile;
    k->depthwise = depthwise;
    k->depthwise_line = depthwise_line;
    k->winograd_input = winograd_input;
    k->winograd_filter = winograd_filter;
    k->winograd_output = winograd_output;
    k->winograd_taps = winograd_taps;
    k->max_rows = max_rows;
    k->sum_rows = sum_rows;
    k->clamp = clamp;
    k->add = add;
    k->mul = mul;
    k->affine = affine;
    k->axpy = axpy;
    k->dot = dot;
    k->normalize = normalize;
    k->activate[CB_ACT_SIGMOID] = act_sigmoid;
    k->activate[CB_ACT_SILU] = act_silu;
    k->activate[CB_ACT_HARD_SIGMOID] = act_hard_sigmoid;
    k->activate[CB_ACT_HARD_SWISH] = act_hard_swish;
    k->activate[CB_ACT_GELU] = act_gelu;
    k->activate[CB_ACT_GELU_TANH] = act_gelu_tanh;
    k->activate[CB_ACT_TANH] = act_tanh;
}
