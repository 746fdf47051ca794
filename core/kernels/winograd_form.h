/* core/kernels/winograd_form.h - the shape of a convolution as Winograd's tiles, its weights in that
 * form, and how every form ends. Private to core/kernels. */
#pragma once

#include "core/kernels/conv_parts.h"
#include "core/kernels/winograd.h"

enum {
    CB_WINOGRAD_PIXELS = CB_WINOGRAD_POINTS_MAX * CB_WINOGRAD_POINTS_MAX,
    CB_WINOGRAD_LINE = 16 /* floats in a line of the cache */
};

/* Axis 0 is the height, 1 the width; what lies before them counts as images. */
struct cb_winograd_form {
    size_t n[2], m[2], k[2]; /* points, outputs and taps of a tile */
    size_t points;           /* n[0] * n[1] */
    size_t matrices;         /* of weights; and which of them each point has */
    unsigned char matrix[CB_WINOGRAD_PIXELS];
    size_t tiles[2];   /* of a picture, along each axis */
    size_t total;      /* tiles of all pictures */
    size_t panels, cp; /* panels of output channels; floats of a transformed pixel */
    size_t block;      /* tiles in a block */
    bool shared;       /* all threads work on one block */
};

/* With so many points along each axis that has taps; false when the shape is none for that. */
bool cb_winograd_form_of(const struct cb_kernels *, const struct cb_conv_shape *, size_t points,
                         struct cb_winograd_form *out);

/* Sets block and shared for so many threads. */
void cb_winograd_choose_blocks(struct cb_winograd_form *form, size_t threads);

/* Floats of one point's plane of so many tiles. */
size_t cb_winograd_plane(const struct cb_winograd_form *form, size_t tiles);

/* [panel][matrix][cin][nr]. */
size_t cb_winograd_packed_bytes(const struct cb_kernels *, const struct cb_conv_shape *,
                                const struct cb_winograd_form *);
void cb_winograd_pack(const struct cb_kernels *, const struct cb_conv_shape *,
                      const struct cb_winograd_form *, struct cb_threads *, const void *w,
                      const float *scale, void *packed);

/* The filters as they are, [vector of output channels][cin][tap][vector]. */
size_t cb_winograd_taps_bytes(const struct cb_kernels *, const struct cb_conv_shape *,
                              const struct cb_winograd_form *);
void cb_winograd_pack_taps(const struct cb_kernels *, const struct cb_conv_shape *,
                           const struct cb_winograd_form *, struct cb_threads *, const void *w,
                           const float *scale, void *packed);

/* Whether the error with these weights, as cb_conv_error says it, is within the budget of a layer. */
bool cb_winograd_accurate(const struct cb_kernels *, const struct cb_conv_shape *,
                          const struct cb_conv_algorithm *, const void *w, const void *packed);

/* Transforms a tile's products of the panel that begins with output channel `column` back, and
 * finishes them: `tile` has points, size, inside and in; its first output is pixel number `pixel`. */
void cb_winograd_finish(const struct cb_kernels *, const struct cb_conv_call *,
                        struct cb_winograd_output tile, size_t pixel, size_t column);
