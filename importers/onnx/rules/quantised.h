/* importers/onnx/rules/quantised.h - what the rules of quantised operators are made of. */
#pragma once

#include "importers/onnx/rules/rules.h"

/* A quantised tensor: its whole numbers, scale and zero (-1: none; it is 0 then). zero_first: what is
 * rounded is the quotient with the zero, as ONNX Runtime does it in some operators. */
struct cb_onnx_quantised {
    int value, scale, zero;
    bool zero_first;
};

static inline struct cb_onnx_quantised cb_onnx_quantised_of(int value, int scale, int zero)
{
    return (struct cb_onnx_quantised){ value, scale, zero, false };
}

/* Inputs i, i + 1 and i + 2; -1 where one is absent. */
struct cb_onnx_quantised cb_onnx_quantised_at(const struct cb_onnx_node *node, int i);

/* The reals of x: along `axis`, when its scale is a list. */
CB_MUST_USE struct cb_status cb_onnx_dequantise(struct cb_onnx_node *node,
                                                struct cb_onnx_quantised x, int axis, int *out);

/* Makes y.value of reals; without a zero it gets the type of value `like`. */
CB_MUST_USE struct cb_status cb_onnx_quantise(struct cb_onnx_node *node, int real,
                                              struct cb_onnx_quantised y, int axis, int like);

/* `op` by the rule `import` with this node's attributes, of inputs `in` to `out`. */
CB_MUST_USE struct cb_status cb_onnx_add_inner(struct cb_onnx_node *node, enum cb_op op,
                                               cb_onnx_rule_fn *import, struct cb_onnx_args in,
                                               int out);

/* x as float; x itself where it is. */
CB_MUST_USE struct cb_status cb_onnx_to_float(struct cb_onnx_node *node, int x, int *out);

/* A list of numbers, one for each row, as a column. */
CB_MUST_USE struct cb_status cb_onnx_as_column(struct cb_onnx_node *node, int x, int *out);

/* The reals of a bias of whole numbers, whose scale is x's times w's. */
CB_MUST_USE struct cb_status cb_onnx_dequantise_bias(struct cb_onnx_node *node, int bias,
                                                     struct cb_onnx_quantised x,
                                                     struct cb_onnx_quantised w, int axis,
                                                     int *out);

/* Whether the pass fuse-quantised sees to this product of x and constant weights, so that it is to
 * be written with reals. y.scale -1: it gives reals. */
bool cb_onnx_becomes_bytes(const struct cb_onnx_node *node, struct cb_onnx_quantised x,
                           struct cb_onnx_quantised w, struct cb_onnx_quantised y);

/* sums (int32) * x_scale * w_scale * alpha + bias (real, -1: none), as reals in y.value where
 * y.scale is -1; else quantised, without a bias. w_scale stands at `axis`, -1: at the end. Without a
 * zero of y it gets the type of value `like`. */
struct cb_onnx_sums {
    int sums, x_scale, w_scale, axis, bias;
    float alpha;
    struct cb_onnx_quantised y;
    int like;
};
CB_MUST_USE struct cb_status cb_onnx_scale_sums(struct cb_onnx_node *node,
                                                const struct cb_onnx_sums *s);

/* y = a b, both quantised, with NumPy's rules; y.scale and bias as above. */
CB_MUST_USE struct cb_status cb_onnx_add_product(struct cb_onnx_node *node,
                                                 struct cb_onnx_quantised a,
                                                 struct cb_onnx_quantised b, int bias,
                                                 struct cb_onnx_quantised y);

/* DynamicQuantizeLinear of x to whole numbers (-1: a new value), with their scale and zero. */
CB_MUST_USE struct cb_status cb_onnx_quantise_dynamically(struct cb_onnx_node *node, int x,
                                                          struct cb_onnx_quantised *out);
