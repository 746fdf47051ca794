#include <criterion/criterion.h>

#include "core/exec/plan_internal.h"
#include "core/graph/passes/passes.h"
#include "tests/support/close.h"
#include "tests/support/net.h"

static int count_ops(const struct cb_graph *g, enum cb_op op)
{
    int n = 0;
    for (int i = 0; i < g->n_nodes; i++)
        n += g->nodes[i].op == op;
    return n;
}

static struct cb_plan *plan_of(struct net *net, bool nhwc_input)
{
    static struct cb_engine engine;
    const struct cb_shape s = net->graph.values[net->graph.inputs[0]].shape;
    struct cb_tensor input = { .shape = s, .dtype = CB_FLOAT32 };
    if (nhwc_input)
        input.shape = (struct cb_shape){ 4, { s.dim[0], s.dim[2], s.dim[3], s.dim[1] } };
    engine = (struct cb_engine){ .kernels = cb_kernels_for(CB_ISA_GENERIC),
                                 .plan_budget = (size_t)1 << 30 };
    return net_plan(net, &engine,
                    &(struct cb_plan_options){ .inputs = &input, .nhwc_input = nhwc_input });
}

Test(passes, keep_what_a_residual_network_computes_on_every_isa)
{
    struct net net = net_begin(3);
    int layer;
    net_residual(&net, 2, 11, 13, &layer);
    const struct cb_tensor want = net_run(&net, CB_ISA_GENERIC, 1, true, false);
    for (enum cb_isa isa = CB_ISA_GENERIC; isa <= cb_isa_best(); isa++)
        for (int form = 0; form < 4; form++) {
            const struct cb_tensor got = net_run(&net, isa, 1 + form % 2, form == 0, form == 3);
            cr_assert_eq(cb_tensor_count(&got), cb_tensor_count(&want));
            cb_expect_close(cb_tensor_count(&want), got.f, want.f, "isa %d form %d", (int)isa,
                            form);
        }
    net_free(&net);
}

Test(passes, leave_no_transpose_in_a_convolutional_network_given_nhwc)
{
    struct net net = net_begin(4);
    int layer;
    net_residual(&net, 1, 9, 7, &layer);
    struct cb_plan *plan = plan_of(&net, true);
    cr_expect_eq(count_ops(cb_plan_graph(plan), CB_OP_TRANSPOSE), 0);
    cb_plan_destroy(plan);
    net_free(&net);
}

Test(passes, leave_only_the_inputs_transpose_given_nchw)
{
    struct net net = net_begin(4);
    int layer;
    net_residual(&net, 1, 9, 7, &layer);
    struct cb_plan *plan = plan_of(&net, false);
    cr_expect_eq(count_ops(cb_plan_graph(plan), CB_OP_TRANSPOSE), 1);
    cb_plan_destroy(plan);
    net_free(&net);
}

Test(passes, fold_and_fuse_all_that_follows_a_convolution)
{
    struct net net = net_begin(5);
    int layer;
    net_residual(&net, 1, 9, 7, &layer);
    struct cb_plan *plan = plan_of(&net, true);
    const struct cb_graph *g = cb_plan_graph(plan);
    cr_expect_eq(count_ops(g, CB_OP_BATCH_NORM), 0);
    cr_expect_eq(count_ops(g, CB_OP_RELU), 0);
    cr_expect_eq(count_ops(g, CB_OP_ADD), 0,
                 "the residual and the bias are part of convolution and product");
    cr_expect_eq(count_ops(g, CB_OP_MUL), 0);
    cr_expect_eq(count_ops(g, CB_OP_MATMUL), 1);
    cr_expect_eq(count_ops(g, CB_OP_CONV), 4);
    cb_plan_destroy(plan);
    net_free(&net);
}

Test(passes, keep_a_value_that_is_an_output_too)
{
    struct net net = net_begin(6);
    const int x = net_input(&net, "x", (struct cb_shape){ 4, { 1, 3, 5, 5 } });
    const int y = net_conv(&net, "conv", x, 3, 4, 3, 1, true),
              z = net_op(&net, CB_OP_RELU, "relu", y, -1);
    cr_assert(cb_graph_add_output(&net.graph, z).code == CB_OK &&
              cb_graph_add_output(&net.graph, y).code == CB_OK);
    struct cb_engine engine = { .kernels = cb_kernels_for(CB_ISA_GENERIC),
                                .plan_budget = (size_t)1 << 30 };
    struct cb_tensor input = { .shape = { 4, { 1, 3, 5, 5 } }, .dtype = CB_FLOAT32 };
    struct cb_session *s = NULL;
    struct cb_plan *plan = net_plan(&net, &engine, &(struct cb_plan_options){ .inputs = &input });
    cr_assert(cb_session_create(plan, &s).code == CB_OK);
    cb_rng_fill(&net.rng, 75, cb_session_input(s, 0)->f);
    cb_session_run(s);
    const struct cb_tensor *relu = cb_session_output(s, 0), *conv = cb_session_output(s, 1);
    bool negative = false;
    for (size_t i = 0; i < cb_tensor_count(conv); i++) {
        negative |= conv->f[i] < 0;
        cr_expect_eq(relu->f[i], conv->f[i] > 0 ? conv->f[i] : 0);
    }
    cr_expect(negative);
    cb_session_destroy(s);
    cb_plan_destroy(plan);
    net_free(&net);
}

Test(passes, one_constant_read_by_many_is_not_rewritten_for_all_of_them)
{
    struct net net = net_begin(8);
    const struct cb_shape shape = { 3, { 64, 64, 256 } }, turned = { 3, { 256, 64, 64 } };
    const int x = net_input(&net, "x", shape), k = net_constant(&net, "k", turned, -1, 1);
    int v = net_op(&net, CB_OP_TRANSPOSE, "t", x, -1);
    for (int i = 0; i < 40; i++) /* 4 MB each time */
        v = net_op(&net, CB_OP_TANH, "y", net_op(&net, CB_OP_SUB, "s", v, k), -1);
    cr_assert(cb_graph_add_output(&net.graph, v).code == CB_OK);
    struct cb_plan *plan = plan_of(&net, false);
    cr_expect_lt(plan->arena.used, (size_t)140 << 20);
    cb_plan_destroy(plan);
    net_free(&net);
}

Test(passes, weights_that_two_convolutions_share_stay_as_they_are)
{
    struct net net = net_begin(9);
    const int x = net_input(&net, "x", (struct cb_shape){ 4, { 1, 3, 6, 5 } });
    const int a = net_conv(&net, "a", x, 3, 3, 3, 1, true),
              w = net.graph.nodes[net.graph.n_nodes - 2].in[1];
    int b = net_conv(&net, "b", net_batch_norm(&net, "m", a, 3), 3, 3, 3, 1, true);
    net.graph.nodes[net.graph.n_nodes - 2].in[1] = w;
    b = net_op(&net, CB_OP_MUL, "scale", b,
               net_constant(&net, "two", (struct cb_shape){ 0 }, 2, 3));
    net.output = net_batch_norm(&net, "n", b, 3);
    cr_assert(cb_graph_add_output(&net.graph, net.output).code == CB_OK);
    const struct cb_tensor want = net_run(&net, CB_ISA_GENERIC, 1, true, false);
    const struct cb_tensor got = net_run(&net, CB_ISA_GENERIC, 1, false, false);
    cb_expect_close(cb_tensor_count(&want), got.f, want.f, "shared weights");
    net_free(&net);
}

Test(passes, zero_padding_joins_the_convolution)
{
    struct net net = net_begin(7);
    const int x = net_input(&net, "x", (struct cb_shape){ 4, { 2, 3, 6, 5 } });
    const int p = net_op(&net, CB_OP_PAD, "pad", x, -1);
    struct cb_list *begin = &net_last(&net)->attr.pad.begin, *end = &net_last(&net)->attr.pad.end;
    *begin = (struct cb_list){ 4, { 0, 0, 1, 2 } };
    *end = (struct cb_list){ 4, { 0, 0, 0, 1 } };
    cr_assert(cb_graph_add_output(&net.graph, net_conv(&net, "conv", p, 3, 4, 3, 0, true)).code ==
              CB_OK);
    struct cb_plan *plan = plan_of(&net, true);
    cr_expect_eq(count_ops(cb_plan_graph(plan), CB_OP_PAD), 0);
    cb_plan_destroy(plan);
    const struct cb_tensor want = net_run(&net, CB_ISA_GENERIC, 1, true, false);
    const struct cb_tensor got = net_run(&net, CB_ISA_GENERIC, 1, false, true);
    cb_expect_close(cb_tensor_count(&want), got.f, want.f, "pad");
    net_free(&net);
}

/* The average of a padded tensor: whether its padding is the pool's own now. */
Test(passes, zero_padding_joins_an_average_that_counts_it)
{
    static const struct {
        int64_t pad, own;
        bool counts, ceil;
        int left; /* Pads */
    } forms[] = {
        { 1, 0, true, false, 0 },  { 1, 0, false, false, 0 }, { 1, 1, true, false, 0 },
        { 1, 1, false, false, 1 }, { 1, 0, true, true, 1 },   { 0, 1, false, true, 0 },
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct net net = net_begin(7);
        net.smooth = true;
        const int x = net_input(&net, "x", (struct cb_shape){ 4, { 2, 3, 6, 5 } });
        const int p = net_op(&net, CB_OP_PAD, "pad", x, -1);
        net_last(&net)->attr.pad.begin =
            (struct cb_list){ 4, { 0, 0, forms[i].pad, 2 * forms[i].pad } };
        net_last(&net)->attr.pad.end = (struct cb_list){ 4, { 0, 0, 0, forms[i].pad } };
        const int y = net_pool(&net, "pool", p);
        union cb_attr *attr = &net.graph.nodes[net.graph.n_nodes - 2].attr;
        attr->pool.count_include_pad = forms[i].counts;
        attr->pool.window.ceil_mode = forms[i].ceil;
        for (int k = 0; k < 2; k++)
            attr->pool.window.pad_begin[k] = attr->pool.window.pad_end[k] = forms[i].own;
        cr_assert(cb_graph_add_output(&net.graph, y).code == CB_OK);
        struct cb_plan *plan = plan_of(&net, true);
        cr_expect_eq(count_ops(cb_plan_graph(plan), CB_OP_PAD), forms[i].left, "form %zu", i);
        cb_plan_destroy(plan);
        const struct cb_tensor want = net_run(&net, CB_ISA_GENERIC, 1, true, false);
        const struct cb_tensor got = net_run(&net, CB_ISA_GENERIC, 1, false, true);
        cb_expect_close(cb_tensor_count(&want), got.f, want.f, "form %zu", i);
        net_free(&net);
    }
}

/* Operators that name axes, each between two convolutions. */
static void axis_case(int which, struct net *net)
{
    const int x = net_input(net, "x", (struct cb_shape){ 4, { 2, 3, 6, 5 } });
    int y = net_conv(net, "first", x, 3, 4, 3, 1, true), k = 4;
    switch (which) {
    case 0:
        y = net_op(net, CB_OP_SOFTMAX, "softmax", y, -1);
        net_last(net)->attr.softmax.axis = 1;
        break;
    case 1:
        y = net_op(net, CB_OP_SLICE, "slice", y, -1);
        net_last(net)->attr.slice.starts = (struct cb_list){ 2, { 1, 5 } };
        net_last(net)->attr.slice.ends = (struct cb_list){ 2, { 4, 0 } };
        net_last(net)->attr.slice.axes = (struct cb_list){ 2, { 1, 2 } };
        net_last(net)->attr.slice.steps = (struct cb_list){ 2, { 1, -2 } };
        k = 3;
        break;
    case 2:
        y = net_op(net, CB_OP_REDUCE_MEAN, "mean", y, -1);
        net_last(net)->attr.reduce.axes = (struct cb_list){ 2, { 2, 3 } };
        net_last(net)->attr.reduce.keep_dims = true;
        break;
    case 3:
        y = net_op(net, CB_OP_ADD, "channel", y,
                   net_constant(net, "k", (struct cb_shape){ 3, { 4, 1, 1 } }, -1, 1));
        break;
    case 4:
        y = net_op(net, CB_OP_MUL, "map", y,
                   net_constant(net, "k", (struct cb_shape){ 2, { 6, 5 } }, -1, 1));
        break;
    case 5: {
        const int squeezed = net_op(net, CB_OP_REDUCE_MAX, "max", y, -1);
        net_last(net)->attr.reduce.axes = (struct cb_list){ 2, { 2, 3 } };
        net_last(net)->attr.reduce.keep_dims = true;
        y = net_op(net, CB_OP_MUL, "excited", y, net_op(net, CB_OP_SIGMOID, "gate", squeezed, -1));
        break;
    }
    case 6: {
        y = net_op(net, CB_OP_RESIZE, "resized", y, -1);
        union cb_attr *a = &net_last(net)->attr;
        a->resize.mode = CB_RESIZE_LINEAR;
        a->resize.axes = (struct cb_list){ 2, { 3, 2 } };
        a->resize.sizes = (struct cb_list){ 2, { 9, 3 } };
        break;
    }
    default:
        y = net_op(net, CB_OP_TRANSPOSE, "reversed", net_op(net, CB_OP_TRANSPOSE, "there", y, -1),
                   -1);
        break;
    }
    cr_assert(cb_graph_add_output(&net->graph, net_conv(net, "second", y, k, 5, 1, 0, true)).code ==
              CB_OK);
}

Test(passes, transposes_move_through_operators_that_name_axes)
{
    for (int which = 0; which < 8; which++) {
        struct net net = net_begin(8);
        axis_case(which, &net);
        struct cb_plan *plan = plan_of(&net, true);
        cr_expect_leq(count_ops(cb_plan_graph(plan), CB_OP_TRANSPOSE), 1,
                      "case %d: only the output's", which);
        cb_plan_destroy(plan);
        const struct cb_tensor want = net_run(&net, CB_ISA_GENERIC, 1, true, false);
        const struct cb_tensor got = net_run(&net, CB_ISA_GENERIC, 1, false, true);
        cr_expect(cb_shape_equal(&got.shape, &want.shape), "case %d", which);
        cb_expect_close(cb_tensor_count(&want), got.f, want.f, "case %d", which);
        net_free(&net);
    }
}
