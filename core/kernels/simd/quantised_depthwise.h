/* core/kernels/simd/quantised_depthwise.h - depthwise convolution of bytes, over vectors of 1, 2 or
 * 4 lanes of 16 channels. Four taps are woven together (byte i of each stands side by side), so
 * that one multiply-add of 4 bytes takes four taps of a channel.
 *
 * LANES_1, LANES_2, LANES_4: vectors that there are. Each defines, by simd/quantised_lanes.h,
 * depthwise_run_L(d, m, c, w, lanes, lane): `m` pixels of the run at channel c. */
#pragma once

#define LANES 1
#include "core/kernels/simd/quantised_lanes.h"
#undef LANES
#define LANES 2
#include "core/kernels/simd/quantised_lanes.h"
#undef LANES
#ifdef HAS_FOUR_LANES
#define LANES 4
#include "core/kernels/simd/quantised_lanes.h"
#undef LANES
#endif

static void depthwise(const struct cb_quantised_depthwise *d)
{
    for (size_t c = 0; c < d->channels;) {
        const size_t lanes = cb_quantised_lanes(d->channels, c);
        if (lanes == 1) {
            depthwise_run_1(d, c, 1, 0);
        } else if (lanes == 2) {
            depthwise_run_2(d, c, 2, 0);
        } else {
#ifdef HAS_FOUR_LANES
            depthwise_run_4(d, c, 4, 0);
#else
            depthwise_run_2(d, c, 4, 0);
            depthwise_run_2(d, c, 4, 2);
#endif
        }
        c += lanes * CB_QUANTISED_LANE;
    }
}
