/* tests/support/net.h - small graphs for tests of passes, plans and gradients, as the importer
 * would make them: values [N,C,H,W], image operators channels-last between transposes. */
#pragma once

#include "core/base/arena.h"
#include "core/base/rng.h"
#include "core/exec/session.h"

struct net {
    struct cb_arena arena;
    struct cb_graph graph;
    struct cb_weights *weights;
    struct cb_rng rng;
    int input, output;
    bool smooth; /* tanh for ReLU, average for max pooling: for finite differences */
};

struct net net_begin(uint64_t seed);
void net_free(struct net *net);

/* Each adds nodes and gives the new value. Weights are random constants. */
int net_input(struct net *net, const char *name, struct cb_shape shape);
int net_constant(struct net *net, const char *name, struct cb_shape shape, float lo, float hi);
/* One output; b -1: one input. */
int net_op(struct net *net, enum cb_op op, const char *name, int a, int b);
int net_transpose(struct net *net, const char *name, int x, bool to_nhwc);
int net_conv(struct net *net, const char *name, int x, int cin, int cout, int kernel, int pad,
             bool bias);
int net_batch_norm(struct net *net, const char *name, int x, int channels);
int net_pool(struct net *net, const char *name, int x); /* 3x3, stride 2, pad 1 */
int net_relu(struct net *net, const char *name, int x);
int net_concat(struct net *net, int n, const int *parts); /* of channels */
struct cb_node *net_last(struct net *net);

/* Two residual blocks with BatchNormalization, a concat, pooling and a classifier: input [n,3,h,w],
 * output [n,5]. layer: the value before global pooling. */
void net_residual(struct net *net, int n, int h, int w, int *layer);

/* What the network gives; any number of times. */
void net_finish(struct net *net, int y);

/* Thirteen layers, each a convolution, a ReLU or a concat of what was made before it, from an input
 * of that shape ([n,c,h,w]); some of them outputs. */
void net_random(struct net *net, uint64_t seed, struct cb_shape x);

/* Runs the graph's output on random input (the same for the same seed); result in the net's arena.
 */
struct cb_tensor net_run(struct net *net, enum cb_isa isa, size_t threads, bool no_passes,
                         bool nhwc_input);

/* A plan of the net for one input shape. */
struct cb_plan *net_plan(struct net *net, const struct cb_engine *engine,
                         const struct cb_plan_options *options);
