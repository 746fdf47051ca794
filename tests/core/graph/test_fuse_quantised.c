/* Quantised networks with the passes and without: the same up to a rounding here and there, and all
 * on bytes. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "core/exec/plan_internal.h"
#include "tests/support/net.h"

static int add_value(struct net *net, const char *name, enum cb_dtype dtype)
{
    int v;
    net->graph.arena = &net->arena;
    cr_assert(cb_graph_add_value(&net->graph, name, dtype, NULL, &v).code == CB_OK);
    return v;
}

static int add(struct net *net, enum cb_op op, const char *name, enum cb_dtype dtype, int n_in,
               const int *in)
{
    const int v = add_value(net, name, dtype);
    cr_assert(cb_graph_add_node(&net->graph, op, name, n_in, in, 1, &v, NULL).code == CB_OK);
    return v;
}

static int constant(struct net *net, enum cb_dtype dtype, struct cb_shape shape, const void *data)
{
    struct cb_tensor t = { .shape = shape, .dtype = dtype };
    int v;
    net->graph.arena = &net->arena;
    t.data = cb_arena_alloc(&net->arena, cb_tensor_count(&t), cb_dtype_size(dtype));
    memcpy(t.data, data, cb_tensor_bytes(&t));
    cr_assert(cb_graph_add_constant(&net->graph, "constant", &t, &v).code == CB_OK);
    return v;
}

/* Quantize and Dequantize of one scale and zero. */
static int pair(struct net *net, int x, float scale, int64_t zero, enum cb_dtype dtype)
{
    const struct cb_shape one = { .rank = 0 };
    int in[3] = { x, constant(net, CB_FLOAT32, one, &scale), constant(net, dtype, one, &zero) };
    in[0] = add(net, CB_OP_QUANTIZE, "q", dtype, 3, in);
    return add(net, CB_OP_DEQUANTIZE, "dq", CB_FLOAT32, 3, in);
}

/* Dequantize of random int8 weights, a scale for each index along `axis`. */
static int weights(struct net *net, struct cb_shape shape, int axis)
{
    struct cb_tensor t = { .shape = shape };
    const size_t n = cb_tensor_count(&t), channels = (size_t)shape.dim[axis];
    int64_t *q = cb_arena_alloc(&net->arena, n, sizeof *q);
    float *scale = cb_arena_alloc(&net->arena, channels, sizeof *scale);
    for (size_t i = 0; i < n; i++)
        q[i] = (int64_t)cb_rng_below(&net->rng, 255) - 127;
    for (size_t i = 0; i < channels; i++)
        scale[i] = cb_rng_uniform(&net->rng, 0.001f, 0.004f);
    const int in[2] = { constant(net, CB_INT8, shape, q),
                        constant(net, CB_FLOAT32, (struct cb_shape){ 1, { (int64_t)channels } },
                                 scale) };
    const int v = add(net, CB_OP_DEQUANTIZE, "w", CB_FLOAT32, 2, in);
    net_last(net)->attr.quantise.axis = axis;
    return v;
}

static int conv(struct net *net, int x, int cin, int cout, int kernel, int group)
{
    int in[3] = { net_transpose(net, "x@nhwc", x, true) };
    in[1] = weights(net, (struct cb_shape){ 4, { cout, cin / group, kernel, kernel } }, 0);
    in[2] = net_constant(net, "b", (struct cb_shape){ 1, { cout } }, -0.5f, 0.5f);
    const int y = add(net, CB_OP_CONV, "conv", CB_FLOAT32, 3, in);
    struct cb_window *w = &net_last(net)->attr.conv.window;
    net_last(net)->attr.conv.group = group;
    w->rank = 2;
    for (int i = 0; i < 2; i++) {
        w->kernel[i] = kernel;
        w->pad_begin[i] = w->pad_end[i] = kernel / 2;
    }
    return net_transpose(net, "conv", y, false);
}

/* A network with everything that has a form on bytes: input [2,3,11,9], output [2,5]. */
static void build(struct net *net, enum cb_dtype dtype)
{
    const int64_t zero = dtype == CB_INT8 ? 0 : 128, low = dtype == CB_INT8 ? -128 : 0;
    int a = pair(net, net_input(net, "x", (struct cb_shape){ 4, { 2, 3, 11, 9 } }), 0.008f, zero,
                 dtype);
    a = pair(net, net_relu(net, "relu", conv(net, a, 3, 8, 3, 1)), 0.02f, low, dtype);
    a = pair(net, net_pool(net, "pool", a), 0.02f, low, dtype);
    int b = pair(net, net_relu(net, "relu", conv(net, a, 8, 8, 3, 8)), 0.01f, low, dtype);
    b = conv(net, b, 8, 8, 1, 1); /* added while it is a sum */
    b = pair(net, net_op(net, CB_OP_ADD, "fused", a, b), 0.03f, zero, dtype);
    int c = pair(net, conv(net, b, 8, 8, 3, 2), 0.05f, zero + 5, dtype);
    c = pair(net, net_op(net, CB_OP_ADD, "sum", b, c), 0.06f, zero, dtype);
    int d = pair(net, net_op(net, CB_OP_HARD_SIGMOID, "gate", c, -1), 0.004f, low, dtype);
    d = net_op(net, CB_OP_CONCAT, "joined", c, d);
    net_last(net)->attr.axis.axis = 1;
    d = pair(net, d, 0.05f, zero, dtype);
    d = net_transpose(net, "gap",
                      net_op(net, CB_OP_GLOBAL_AVERAGE_POOL, "gap@nhwc",
                             net_transpose(net, "x@nhwc", d, true), -1),
                      false);
    d = net_op(net, CB_OP_FLATTEN, "flat", pair(net, d, 0.02f, zero, dtype), -1);
    d = net_op(net, CB_OP_MATMUL, "logits", d, weights(net, (struct cb_shape){ 2, { 16, 5 } }, 1));
    cr_assert(cb_graph_add_output(&net->graph, d).code == CB_OK);
}

static double error(const struct cb_tensor *got, const struct cb_tensor *want)
{
    double sum = 0, all = 0;
    for (size_t i = 0; i < cb_tensor_count(want); i++) {
        sum += pow((double)got->f[i] - (double)want->f[i], 2);
        all += pow((double)want->f[i], 2);
    }
    return sqrt(sum / all);
}

Test(fuse_quantised, computes_what_the_network_says_on_every_isa)
{
    for (int form = 0; form < 2; form++) {
        struct net net = net_begin(11);
        build(&net, form ? CB_INT8 : CB_UINT8);
        const struct cb_tensor want = net_run(&net, CB_ISA_GENERIC, 1, true, false);
        for (enum cb_isa isa = CB_ISA_GENERIC; isa <= cb_isa_best(); isa++)
            for (size_t threads = 1; threads <= 3; threads += 2) {
                const struct cb_tensor got = net_run(&net, isa, threads, false, threads > 1);
                /* One byte of the pooled features that rounds the other way is about 0.02. */
                cr_expect(error(&got, &want) < 0.05, "isa %d: %g", (int)isa, error(&got, &want));
            }
        net_free(&net);
    }
}

static int count_ops(const struct cb_graph *g, enum cb_op op)
{
    int n = 0;
    for (int i = 0; i < g->n_nodes; i++)
        n += g->nodes[i].op == op;
    return n;
}

static struct cb_plan *plan_of(struct net *net, int wrt)
{
    static struct cb_engine engine;
    const struct cb_tensor input = { .shape = { 4, { 2, 11, 9, 3 } }, .dtype = CB_FLOAT32 };
    engine = (struct cb_engine){ .kernels = cb_kernels_for(CB_ISA_GENERIC),
                                 .plan_budget = (size_t)1 << 30 };
    return net_plan(net, &engine,
                    &(struct cb_plan_options){
                        .inputs = &input, .nhwc_input = true, .wrt = &wrt, .n_wrt = wrt >= 0 });
}

Test(fuse_quantised, leaves_reals_at_the_ends_alone)
{
    struct net net = net_begin(12);
    build(&net, CB_UINT8);
    struct cb_plan *plan = plan_of(&net, -1);
    const struct cb_graph *g = cb_plan_graph(plan);
    cr_expect_eq(count_ops(g, CB_OP_QUANTIZE), 1, "the input");
    cr_expect_eq(count_ops(g, CB_OP_DEQUANTIZE), 0);
    cr_expect_eq(count_ops(g, CB_OP_QUANTISED_CONV), 5, "four convolutions and the product");
    cr_expect_eq(count_ops(g, CB_OP_CONV) + count_ops(g, CB_OP_MATMUL), 0);
    cr_expect_eq(count_ops(g, CB_OP_QUANTISED_ADD), 1, "the other sum is part of a convolution");
    cr_expect_eq(count_ops(g, CB_OP_ADD), 0);
    cr_expect_eq(count_ops(g, CB_OP_QUANTISED_MAX_POOL), 1);
    cr_expect_eq(count_ops(g, CB_OP_QUANTISED_AVERAGE_POOL), 1);
    for (int i = 0; i < g->n_nodes; i++)
        if (g->nodes[i].op == CB_OP_CONCAT)
            cr_expect_eq(g->values[g->nodes[i].out[0]].dtype, CB_QUINT8);
    cb_plan_destroy(plan);
    net_free(&net);
}

Test(fuse_quantised, gradients_pass_through_the_rounding)
{
    struct net net = net_begin(13);
    build(&net, CB_UINT8);
    struct cb_plan *plan = plan_of(&net, net.graph.inputs[0]);
    const struct cb_graph *g = cb_plan_graph(plan);
    cr_expect_eq(count_ops(g, CB_OP_QUANTIZE) + count_ops(g, CB_OP_DEQUANTIZE), 0);
    cr_expect_eq(count_ops(g, CB_OP_QUANTISED_CONV), 0);
    cr_expect(plan->has_grad[plan->outputs[0]]);
    cb_plan_destroy(plan);
    net_free(&net);
}

Test(fuse_quantised, keeps_a_quantised_tensor_that_is_asked_for)
{
    struct net net = net_begin(14);
    const int x = net_input(&net, "x", (struct cb_shape){ 2, { 2, 3 } });
    const float scale = 0.01f;
    const int64_t zero = 100;
    const struct cb_shape one = { .rank = 0 };
    int in[3] = { x, constant(&net, CB_FLOAT32, one, &scale),
                  constant(&net, CB_UINT8, one, &zero) };
    const int q = add(&net, CB_OP_QUANTIZE, "q", CB_UINT8, 3, in);
    cr_assert(cb_graph_add_output(&net.graph, q).code == CB_OK);
    const struct cb_tensor y = net_run(&net, CB_ISA_GENERIC, 1, false, false);
    cr_expect_eq(y.dtype, CB_UINT8);
    net_free(&net);
}

/* Dequantize of uint8 weights 0 .. 255 with one zero: less it they need 9 bits. */
static int wide_weights(struct net *net, struct cb_shape shape, int64_t zero)
{
    const size_t n = cb_shape_count(&shape);
    int64_t *q = cb_arena_alloc(&net->arena, n, sizeof *q);
    const float scale = 0.003f;
    const struct cb_shape one = { .rank = 0 };
    for (size_t i = 0; i < n; i++)
        q[i] = i ? (int64_t)cb_rng_below(&net->rng, 256) : 255;
    const int in[3] = { constant(net, CB_UINT8, shape, q), constant(net, CB_FLOAT32, one, &scale),
                        constant(net, CB_UINT8, one, &zero) };
    return add(net, CB_OP_DEQUANTIZE, "w", CB_FLOAT32, 3, in);
}

/* A bias of int32 in units of `scale`. */
static int whole_bias(struct net *net, int64_t count, float scale)
{
    int64_t *q = cb_arena_alloc(&net->arena, (size_t)count, sizeof *q);
    for (int64_t i = 0; i < count; i++)
        q[i] = (int64_t)cb_rng_below(&net->rng, 2000) - 1000;
    const struct cb_shape shape = { 1, { count } }, one = { .rank = 0 };
    const int in[2] = { constant(net, CB_INT32, shape, q), constant(net, CB_FLOAT32, one, &scale) };
    return add(net, CB_OP_DEQUANTIZE, "b", CB_FLOAT32, 2, in);
}

static void expect_products(struct net *net, struct cb_shape shape, int products, int reals)
{
    static struct cb_engine engine;
    const struct cb_tensor input = { .shape = shape, .dtype = CB_FLOAT32 };
    engine = (struct cb_engine){ .kernels = cb_kernels_for(CB_ISA_GENERIC),
                                 .plan_budget = (size_t)1 << 30 };
    struct cb_plan *plan = net_plan(net, &engine, &(struct cb_plan_options){ .inputs = &input });
    const struct cb_graph *g = cb_plan_graph(plan);
    cr_expect_eq(count_ops(g, CB_OP_QUANTISED_CONV), products);
    cr_expect_eq(count_ops(g, CB_OP_CONV) + count_ops(g, CB_OP_MATMUL) + count_ops(g, CB_OP_GEMM) +
                     count_ops(g, CB_OP_ADD),
                 reals);
    cb_plan_destroy(plan);
    const struct cb_tensor want = net_run(net, CB_ISA_GENERIC, 1, true, false);
    for (enum cb_isa isa = CB_ISA_GENERIC; isa <= cb_isa_best(); isa++) {
        const struct cb_tensor got = net_run(net, isa, 2, false, false);
        cr_expect(error(&got, &want) < 0.02, "isa %d: %g", (int)isa, error(&got, &want));
    }
    net_free(net);
}

Test(fuse_quantised, weights_with_zeros_and_a_bias_of_whole_numbers)
{
    struct net net = net_begin(15);
    const int64_t groups[] = { 1, 6 };
    int a = pair(&net, net_input(&net, "x", (struct cb_shape){ 4, { 2, 6, 7, 5 } }), 0.008f, 131,
                 CB_UINT8);
    for (int i = 0; i < 2; i++) {
        const int x = net_transpose(&net, "x@nhwc", a, true);
        const int in[3] = {
            x, wide_weights(&net, (struct cb_shape){ 4, { 6, 6 / groups[i], 3, 3 } }, i ? 0 : 200),
            whole_bias(&net, 6, (i ? 0.02f : 0.008f) * 0.003f)
        };
        const int y = add(&net, CB_OP_CONV, "conv", CB_FLOAT32, 3, in);
        struct cb_window *w = &net_last(&net)->attr.conv.window;
        net_last(&net)->attr.conv.group = groups[i];
        w->rank = 2;
        w->kernel[0] = w->kernel[1] = 3;
        w->pad_begin[0] = w->pad_end[1] = 1;
        a = pair(&net, net_transpose(&net, "conv", y, false), i ? 0.1f : 0.02f, i ? 7 : 128,
                 CB_UINT8);
    }
    cr_assert(cb_graph_add_output(&net.graph, a).code == CB_OK);
    expect_products(&net, (struct cb_shape){ 4, { 2, 6, 7, 5 } }, 2, 0);
}

Test(fuse_quantised, a_product_of_any_rank_keeps_its_bias)
{
    struct net net = net_begin(16);
    const int x = pair(&net, net_input(&net, "x", (struct cb_shape){ 3, { 2, 3, 9 } }), 0.008f, 131,
                       CB_UINT8);
    int y = net_op(&net, CB_OP_MATMUL, "product", x,
                   weights(&net, (struct cb_shape){ 2, { 9, 5 } }, 1));
    y = net_op(&net, CB_OP_ADD, "biased", y,
               net_constant(&net, "b", (struct cb_shape){ 1, { 5 } }, 1, 3));
    cr_assert(cb_graph_add_output(&net.graph, pair(&net, y, 0.02f, 40, CB_UINT8)).code == CB_OK);
    expect_products(&net, (struct cb_shape){ 3, { 2, 3, 9 } }, 1, 0);
}
