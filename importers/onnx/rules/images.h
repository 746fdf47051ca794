/* importers/onnx/rules/images.h - what rules of operators on [N,C,spatial...] share: image.c has
 * it. */
#pragma once

#include "importers/onnx/import.h"

/* The rule's operator with its first images_in inputs and images_out outputs channels-last inside:
 * y is made from "y@nhwc". At most 5 inputs and 3 outputs. */
CB_MUST_USE struct cb_status cb_onnx_add_images(struct cb_onnx_node *node,
                                                const union cb_attr *attr, int images_in,
                                                int images_out);

/* kernel_shape, strides, dilations, pads, auto_pad, ceil_mode. */
CB_MUST_USE struct cb_status cb_onnx_read_window(const struct cb_onnx_node *node,
                                                 struct cb_window *w);
