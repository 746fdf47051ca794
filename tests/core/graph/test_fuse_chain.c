/* Inverted residuals: what becomes one operator, what must not, and that the numbers stay. */
#include <criterion/criterion.h>

#include "core/exec/plan_internal.h"
#include "core/grad/grad.h"
#include "tests/support/close.h"
#include "tests/support/net.h"

enum { SIDE = 24, NARROW = 6, WIDE = 72 };

static int count_ops(const struct cb_graph *g, enum cb_op op)
{
    int n = 0;
    for (int i = 0; i < g->n_nodes; i++)
        n += g->nodes[i].op == op;
    return n;
}

/* The values of a block: expanded, filtered, projected. */
struct block {
    int expanded, filtered, projected;
};

static int depthwise(struct net *net, int x, int stride, int dilation)
{
    const int y = net_conv(net, "dw", x, 1, WIDE, 3, dilation, true);
    union cb_attr *attr = &net->graph.nodes[net->graph.n_nodes - 2].attr;
    attr->conv.group = WIDE;
    for (int i = 0; i < 2; i++) {
        attr->conv.window.stride[i] = stride;
        attr->conv.window.dilation[i] = dilation;
    }
    return net_relu(net, "dw_relu", net_batch_norm(net, "dw_bn", y, WIDE));
}

static struct block add_block(struct net *net, int x, int stride, bool residual)
{
    struct block b;
    b.expanded = net_relu(
        net, "up_relu",
        net_batch_norm(net, "up_bn", net_conv(net, "up", x, NARROW, WIDE, 1, 0, false), WIDE));
    b.filtered = depthwise(net, b.expanded, stride, 1);
    b.projected = net_conv(net, "down", b.filtered, WIDE, NARROW, 1, 0, true);
    if (residual)
        b.projected = net_op(net, CB_OP_ADD, "sum", x, b.projected);
    return b;
}

static struct net begin(int images, int *x)
{
    struct net net = net_begin(11);
    *x = net_input(&net, "x", (struct cb_shape){ 4, { images, NARROW, SIDE, SIDE - 1 } });
    return net;
}

static void add_output(struct net *net, int value)
{
    cr_assert_eq(cb_graph_add_output(&net->graph, value).code, CB_OK);
}

/* How many chains the best set makes of it; wrt -1: no gradient is wanted. */
static int chains_of(struct net *net, enum cb_isa isa, int wrt)
{
    struct cb_engine engine = { .kernels = cb_kernels_for(isa), .plan_budget = (size_t)1 << 30 };
    const struct cb_tensor input = { .shape = net->graph.values[net->input].shape,
                                     .dtype = CB_FLOAT32 };
    struct cb_plan *plan =
        net_plan(net, &engine,
                 &(struct cb_plan_options){ .inputs = &input, .wrt = &wrt, .n_wrt = wrt >= 0 });
    const int n = count_ops(cb_plan_graph(plan), CB_OP_CONV_CHAIN);
    cb_plan_destroy(plan);
    return n;
}

static int chains(struct net *net)
{
    return chains_of(net, cb_isa_best(), -1);
}

static void expect_same_with_and_without_passes(struct net *net)
{
    const struct cb_tensor want = net_run(net, CB_ISA_GENERIC, 1, true, false);
    for (enum cb_isa isa = CB_ISA_GENERIC; isa <= cb_isa_best(); isa++)
        for (size_t threads = 1; threads <= 2; threads++) {
            const struct cb_tensor got = net_run(net, isa, threads, false, threads == 2);
            cr_assert_eq(cb_tensor_count(&got), cb_tensor_count(&want));
            cb_expect_close(cb_tensor_count(&want), got.f, want.f, "isa %d, %zu threads", (int)isa,
                            threads);
        }
}

Test(fuse_chain, makes_one_operator_of_each_inverted_residual)
{
    int x;
    struct net net = begin(2, &x);
    const struct block a = add_block(&net, x, 1, true), b = add_block(&net, a.projected, 2, false);
    add_output(&net, b.projected);
    cr_expect_eq(chains(&net), cb_isa_best() == CB_ISA_GENERIC ? 0 : 2);
    cr_expect_eq(chains_of(&net, CB_ISA_GENERIC, -1), 0);
    expect_same_with_and_without_passes(&net);
    net_free(&net);
}

Test(fuse_chain, leaves_a_projection_that_something_stands_before)
{
    int x;
    struct net net = begin(1, &x);
    struct block b = add_block(&net, x, 1, false);
    /* squeeze and excitation without the squeeze */
    net.graph.n_nodes -= 3;
    const int scale = net_op(&net, CB_OP_SIGMOID, "gate",
                             net_op(&net, CB_OP_GLOBAL_AVERAGE_POOL, "mean",
                                    net_transpose(&net, "nhwc", b.filtered, true), -1),
                             -1);
    const int scaled =
        net_op(&net, CB_OP_MUL, "scaled", net_transpose(&net, "nhwc2", b.filtered, true), scale);
    b.projected = net_conv(&net, "down", net_transpose(&net, "nchw", scaled, false), WIDE, NARROW,
                           1, 0, true);
    add_output(&net, b.projected);
    if (cb_isa_best() != CB_ISA_GENERIC)
        cr_expect_eq(chains(&net), 1);
    expect_same_with_and_without_passes(&net);
    net_free(&net);
}

Test(fuse_chain, joins_a_depthwise_convolution_and_the_projection_behind_it)
{
    struct net net = net_begin(12);
    const int x = net_input(&net, "x", (struct cb_shape){ 4, { 1, WIDE, SIDE, SIDE } });
    add_output(&net, net_conv(&net, "point", depthwise(&net, x, 1, 1), WIDE, 9, 1, 0, true));
    if (cb_isa_best() != CB_ISA_GENERIC)
        cr_expect_eq(chains(&net), 1);
    expect_same_with_and_without_passes(&net);
    net_free(&net);
}

Test(fuse_chain, keeps_a_value_that_somebody_else_reads)
{
    for (int which = 0; which < 2; which++) {
        int x;
        struct net net = begin(1, &x);
        const struct block b = add_block(&net, x, 1, false);
        add_output(&net, b.projected);
        add_output(&net, which ? b.filtered : b.expanded);
        if (cb_isa_best() != CB_ISA_GENERIC)
            cr_expect_eq(chains(&net), 1, "the other neighbour is still joined");
        expect_same_with_and_without_passes(&net);
        net_free(&net);
    }
}

Test(fuse_chain, leaves_small_pictures_and_dilated_kernels)
{
    struct net net = net_begin(13);
    int x = net_input(&net, "x", (struct cb_shape){ 4, { 1, NARROW, 7, 7 } });
    add_output(&net, add_block(&net, x, 1, true).projected);
    cr_expect_eq(chains(&net), 0);
    net_free(&net);

    net = begin(1, &x);
    const int wide = net_conv(&net, "up", x, NARROW, WIDE, 1, 0, false);
    add_output(&net, net_conv(&net, "down", depthwise(&net, wide, 1, 2), WIDE, NARROW, 1, 0, true));
    cr_expect_eq(chains(&net), 0);
    expect_same_with_and_without_passes(&net);
    net_free(&net);
}

Test(fuse_chain, leaves_what_gradients_flow_through)
{
    int x;
    struct net net = begin(1, &x);
    const struct block a = add_block(&net, x, 1, true), b = add_block(&net, a.projected, 1, false);
    add_output(&net, b.projected);
    cr_expect_eq(chains_of(&net, cb_isa_best(), x), 0);
    if (cb_isa_best() != CB_ISA_GENERIC)
        cr_expect_eq(chains_of(&net, cb_isa_best(), a.projected), 1, "the block before it is free");
    net_free(&net);
}
