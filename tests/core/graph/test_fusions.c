/* Chains of operators that become one: what is left of them, that the outputs stay, and that where
 * gradients flow nothing is fused that has none. */
#include <criterion/criterion.h>
#include <string.h>

#include "core/exec/plan_internal.h"
#include "core/grad/grad.h"
#include "tests/support/close.h"
#include "tests/support/net.h"

static int count_ops(const struct cb_graph *g, enum cb_op op)
{
    int n = 0;
    for (int i = 0; i < g->n_nodes; i++)
        n += g->nodes[i].op == op;
    return n;
}

static const struct cb_node *find_op(const struct cb_graph *g, enum cb_op op)
{
    for (int i = 0; i < g->n_nodes; i++)
        if (g->nodes[i].op == op)
            return &g->nodes[i];
    return NULL;
}

static struct cb_engine engine;

static struct cb_plan *plan_of(struct net *net, int wrt, bool no_passes)
{
    struct cb_tensor input = { .shape = net->graph.values[net->graph.inputs[0]].shape,
                               .dtype = CB_FLOAT32 };
    engine = (struct cb_engine){ .kernels = cb_kernels_for(cb_isa_best()),
                                 .plan_budget = (size_t)1 << 30 };
    return net_plan(net, &engine,
                    &(struct cb_plan_options){
                        .inputs = &input, .wrt = &wrt, .n_wrt = wrt >= 0, .no_passes = no_passes });
}

static void expect_same_outputs(struct net *net, const char *what)
{
    const struct cb_tensor want = net_run(net, CB_ISA_GENERIC, 1, true, false);
    for (enum cb_isa isa = CB_ISA_GENERIC; isa <= cb_isa_best(); isa++)
        for (size_t threads = 1; threads <= 3; threads += 2) {
            const struct cb_tensor got = net_run(net, isa, threads, false, false);
            cb_expect_close(cb_tensor_count(&want), got.f, want.f, "%s, isa %d", what, (int)isa);
        }
}

/* d <ramp, output> / d wrt with the passes and without. */
static void expect_same_gradient(struct net *net, int wrt, const char *what)
{
    float *kept = NULL;
    for (int no_passes = 1; no_passes >= 0; no_passes--) {
        struct cb_plan *plan = plan_of(net, wrt, no_passes);
        struct cb_session *s = NULL;
        struct cb_grad *grad = NULL;
        struct cb_rng rng = cb_rng_seed(5);
        cr_assert(cb_session_create(plan, &s).code == CB_OK);
        cr_assert(cb_grad_create(s, &grad).code == CB_OK);
        struct cb_tensor *x = cb_session_input(s, 0), *u = cb_grad_seed(grad, 0);
        cb_rng_fill(&rng, cb_tensor_count(x), x->f);
        cb_rng_fill(&rng, cb_tensor_count(u), u->f);
        cb_session_run(s);
        cb_grad_run(grad);
        const struct cb_tensor *g = cb_grad_of(grad, 0);
        const size_t n = cb_tensor_count(g);
        if (no_passes) {
            kept = cb_arena_alloc(&net->arena, n, sizeof *kept);
            memcpy(kept, g->f, n * sizeof *kept);
        } else {
            cb_expect_close(n, g->f, kept, "gradient, %s", what);
        }
        cb_grad_destroy(grad);
        cb_session_destroy(s);
        cb_plan_destroy(plan);
    }
}

static int scalar(struct net *net, float v)
{
    return net_constant(net, "scalar", (struct cb_shape){ 0 }, v, v);
}

static int vector(struct net *net, int n)
{
    return net_constant(net, "vector", (struct cb_shape){ 1, { n } }, 0.5f, 1.5f);
}

static int clip(struct net *net, int x, double lo, double hi)
{
    const int y = net_op(net, CB_OP_CLIP, "clip", x, -1);
    net_last(net)->attr.clip.lo = lo;
    net_last(net)->attr.clip.hi = hi;
    return y;
}

static int by(struct net *net, enum cb_op op, int a, int b)
{
    return net_op(net, op, cb_op_get(op)->name, a, b);
}

/* ---- activations ---- */

static int relu6_of_x_plus_3(struct net *net, int x)
{
    return clip(net, by(net, CB_OP_ADD, x, scalar(net, 3)), 0, 6);
}

static int erf_plus_one(struct net *net, int x, bool divided)
{
    const int u = divided ? by(net, CB_OP_DIV, x, scalar(net, 1.41421356f))
                          : by(net, CB_OP_MUL, scalar(net, 0.70710678f), x);
    return by(net, CB_OP_ADD, by(net, CB_OP_ERF, u, -1), scalar(net, 1));
}

/* 1 + tanh(sqrt(2 / pi) (x + c x^3)), in the forms in which files have it. */
static int tanh_plus_one(struct net *net, int x, int form)
{
    int u;
    if (form == 0) {
        const int cube = by(net, CB_OP_POW, x, scalar(net, 3));
        u = by(net, CB_OP_MUL,
               by(net, CB_OP_ADD, x, by(net, CB_OP_MUL, cube, scalar(net, 0.044715f))),
               scalar(net, 0.79788456f));
    } else {
        const int square = by(net, CB_OP_MUL, x, x);
        const int inner =
            by(net, CB_OP_ADD, scalar(net, 1), by(net, CB_OP_MUL, square, scalar(net, 0.044715f)));
        u = by(net, CB_OP_MUL, by(net, CB_OP_MUL, x, scalar(net, 0.79788456f)), inner);
    }
    return by(net, CB_OP_ADD, scalar(net, 1), by(net, CB_OP_TANH, u, -1));
}

enum { FORMS = 12 };

static int activation_form(struct net *net, int form, int x)
{
    switch (form) {
    case 0: return by(net, CB_OP_MUL, x, by(net, CB_OP_SIGMOID, x, -1));
    case 1: return by(net, CB_OP_MUL, by(net, CB_OP_SIGMOID, x, -1), x);
    case 2: return by(net, CB_OP_MUL, x, by(net, CB_OP_HARD_SIGMOID, x, -1));
    case 3:
        return by(net, CB_OP_DIV, by(net, CB_OP_MUL, x, relu6_of_x_plus_3(net, x)), scalar(net, 6));
    case 4:
        return by(net, CB_OP_MUL, by(net, CB_OP_DIV, relu6_of_x_plus_3(net, x), scalar(net, 6)), x);
    case 5: return by(net, CB_OP_MUL, relu6_of_x_plus_3(net, x), scalar(net, 1.0f / 6));
    case 6:
        return by(net, CB_OP_MUL, by(net, CB_OP_MUL, x, erf_plus_one(net, x, true)),
                  scalar(net, 0.5f));
    case 7:
        return by(net, CB_OP_MUL, by(net, CB_OP_MUL, scalar(net, 0.5f), x),
                  erf_plus_one(net, x, false));
    case 8:
        return by(net, CB_OP_MUL, x,
                  by(net, CB_OP_MUL, scalar(net, 0.5f), erf_plus_one(net, x, true)));
    case 9:
        return by(net, CB_OP_MUL, by(net, CB_OP_DIV, x, scalar(net, 2)), tanh_plus_one(net, x, 0));
    case 10:
        return by(net, CB_OP_MUL, by(net, CB_OP_MUL, x, tanh_plus_one(net, x, 1)),
                  scalar(net, 0.5f));
    default: return by(net, CB_OP_GELU, x, -1);
    }
}

static const enum cb_activation form_act[FORMS] = {
    CB_ACT_SILU,       CB_ACT_SILU,         CB_ACT_HARD_SWISH, CB_ACT_HARD_SWISH,
    CB_ACT_HARD_SWISH, CB_ACT_HARD_SIGMOID, CB_ACT_GELU,       CB_ACT_GELU,
    CB_ACT_GELU,       CB_ACT_GELU_TANH,    CB_ACT_GELU_TANH,  CB_ACT_GELU,
};

Test(fusions, an_activation_that_is_spelled_out_ends_the_convolution_before_it)
{
    for (int form = 0; form < FORMS; form++) {
        struct net net = net_begin(20);
        const int x = net_input(&net, "x", (struct cb_shape){ 4, { 2, 3, 6, 5 } });
        const int y = activation_form(&net, form, net_conv(&net, "conv", x, 3, 19, 3, 1, true));
        cr_assert(cb_graph_add_output(&net.graph, y).code == CB_OK);
        struct cb_plan *plan = plan_of(&net, -1, false);
        const struct cb_graph *g = cb_plan_graph(plan);
        const struct cb_node *conv = find_op(g, CB_OP_CONV);
        cr_expect_eq(g->n_nodes, 3, "form %d: %d nodes beside two transposes", form,
                     g->n_nodes - 2);
        cr_expect_eq(conv->attr.conv.act.kind, form_act[form], "form %d", form);
        cb_plan_destroy(plan);
        expect_same_outputs(&net, "activation");
        net_free(&net);
    }
}

Test(fusions, what_only_resembles_an_activation_stays)
{
    for (int form = 0; form < 5; form++) {
        struct net net = net_begin(21);
        const int x = net_input(&net, "x", (struct cb_shape){ 4, { 1, 3, 4, 5 } });
        const int a = net_conv(&net, "a", x, 3, 3, 3, 1, true);
        int y = -1;
        switch (form) {
        case 0: y = by(&net, CB_OP_MUL, a, by(&net, CB_OP_SIGMOID, x, -1)); break;
        case 1:
            y = by(&net, CB_OP_MUL, by(&net, CB_OP_MUL, a, erf_plus_one(&net, a, true)),
                   scalar(&net, 0.6f));
            break;
        case 2:
            y = by(&net, CB_OP_MUL, by(&net, CB_OP_MUL, a, erf_plus_one(&net, x, true)),
                   scalar(&net, 0.5f));
            break;
        case 3:
            y = by(&net, CB_OP_DIV, by(&net, CB_OP_MUL, a, relu6_of_x_plus_3(&net, a)),
                   scalar(&net, 5));
            break;
        case 4: { /* the gate is an output too */
            const int gate = by(&net, CB_OP_SIGMOID, a, -1);
            cr_assert(cb_graph_add_output(&net.graph, gate).code == CB_OK);
            y = by(&net, CB_OP_MUL, a, gate);
            break;
        }
        }
        cr_assert(cb_graph_add_output(&net.graph, y).code == CB_OK);
        struct cb_plan *plan = plan_of(&net, -1, false);
        cr_expect_gt(count_ops(cb_plan_graph(plan), CB_OP_MUL), 0, "form %d", form);
        cb_plan_destroy(plan);
        expect_same_outputs(&net, "no activation");
        net_free(&net);
    }
}

Test(fusions, activations_stay_operators_where_gradients_flow)
{
    for (int form = 0; form < FORMS; form++) {
        struct net net = net_begin(22);
        const int x = net_input(&net, "x", (struct cb_shape){ 4, { 2, 3, 6, 5 } });
        const int a = activation_form(&net, form, net_conv(&net, "a", x, 3, 4, 3, 1, true));
        const int w = net.graph.nodes[1].in[1];
        const int b = activation_form(&net, form, net_conv(&net, "b", a, 4, 5, 1, 0, true));
        cr_assert(cb_graph_add_output(&net.graph, b).code == CB_OK);
        expect_same_gradient(&net, a, "of a layer between");
        expect_same_gradient(&net, x, "of the input");
        expect_same_gradient(&net, w, "of a filter");
        net_free(&net);
    }
}

/* ---- normalisation ---- */

static int mean(struct net *net, int x)
{
    const int y = net_op(net, CB_OP_REDUCE_MEAN, "mean", x, -1);
    net_last(net)->attr.reduce.axes = (struct cb_list){ 1, { -1 } };
    return y;
}

enum { NORMS = 5 };

static int norm_form(struct net *net, int form, int x, int n)
{
    const int d = form == 3 ? x : by(net, CB_OP_SUB, x, mean(net, x));
    const int again = form == 2 ? by(net, CB_OP_SUB, x, mean(net, x)) : d;
    const int square =
        form == 0 ? by(net, CB_OP_POW, again, scalar(net, 2)) : by(net, CB_OP_MUL, again, again);
    const int root =
        by(net, CB_OP_SQRT, by(net, CB_OP_ADD, mean(net, square), scalar(net, 1e-3f)), -1);
    const int y = form == 0 || form == 2
                      ? by(net, CB_OP_DIV, d, root)
                      : by(net, CB_OP_MUL, by(net, CB_OP_RECIPROCAL, root, -1), d);
    if (form == 4)
        return y;
    const int scaled = by(net, CB_OP_MUL, y, vector(net, n));
    return form == 3 ? scaled : by(net, CB_OP_ADD, vector(net, n), scaled);
}

Test(fusions, a_normalisation_that_is_spelled_out_is_one_operator)
{
    for (int form = 0; form < NORMS; form++) {
        struct net net = net_begin(23);
        const int x = net_input(&net, "x", (struct cb_shape){ 3, { 2, 5, 37 } });
        cr_assert(cb_graph_add_output(&net.graph, norm_form(&net, form, x, 37)).code == CB_OK);
        struct cb_plan *plan = plan_of(&net, -1, false);
        const struct cb_graph *g = cb_plan_graph(plan);
        cr_expect_eq(g->n_nodes, 1, "form %d: %d nodes", form, g->n_nodes);
        cr_expect_eq(count_ops(g, CB_OP_LAYER_NORM), 1);
        cr_expect_eq(find_op(g, CB_OP_LAYER_NORM)->attr.layer_norm.centered, form != 3);
        cb_plan_destroy(plan);
        expect_same_outputs(&net, "normalisation");
        expect_same_gradient(&net, x, "of a normalisation's input");
        net_free(&net);
    }
}

Test(fusions, a_mean_that_is_differentiated_by_stays_outside_the_normalisation)
{
    struct net net = net_begin(24);
    const int x = net_input(&net, "x", (struct cb_shape){ 2, { 3, 7 } });
    const int y = norm_form(&net, 0, x, 7), m = net.graph.nodes[0].out[0];
    cr_assert(cb_graph_add_output(&net.graph, y).code == CB_OK);
    struct cb_plan *plan = plan_of(&net, m, false);
    cr_expect_eq(count_ops(cb_plan_graph(plan), CB_OP_REDUCE_MEAN), 1);
    cr_expect_not(find_op(cb_plan_graph(plan), CB_OP_LAYER_NORM)->attr.layer_norm.centered);
    cb_plan_destroy(plan);
    expect_same_gradient(&net, m, "of a mean");
    net_free(&net);
}

/* ---- products ---- */

Test(fusions, all_that_follows_a_product_with_one_matrix_joins_it)
{
    for (int rank = 1; rank <= 4; rank++) {
        struct net net = net_begin(25);
        struct cb_shape shape = { rank, { 0 } };
        for (int i = 0; i < rank; i++)
            shape.dim[i] = i == rank - 1 ? 11 : 2 + i;
        const int x = net_input(&net, "x", shape);
        const struct cb_shape wide = { 2, { 11, 37 } }, narrow = { 2, { 37, 11 } };
        int y = by(&net, CB_OP_MATMUL, x, net_constant(&net, "w", wide, -1, 1));
        y = activation_form(&net, 6, by(&net, CB_OP_ADD, vector(&net, 37), y));
        y = by(&net, CB_OP_MATMUL, y, net_constant(&net, "v", narrow, -1, 1));
        y = by(&net, CB_OP_MUL, by(&net, CB_OP_ADD, y, vector(&net, 11)), vector(&net, 11));
        y = net_op(&net, CB_OP_RELU, "relu", by(&net, CB_OP_ADD, x, y), -1);
        cr_assert(cb_graph_add_output(&net.graph, y).code == CB_OK);
        struct cb_plan *plan = plan_of(&net, -1, false);
        const struct cb_graph *g = cb_plan_graph(plan);
        cr_expect_eq(g->n_nodes, 2, "rank %d: %d nodes", rank, g->n_nodes);
        cr_expect_eq(g->nodes[0].attr.matmul.act.kind, CB_ACT_GELU);
        cr_expect_eq(g->nodes[1].attr.matmul.lo, 0);
        cr_expect_eq(g->nodes[1].n_in, 4);
        cb_plan_destroy(plan);
        expect_same_outputs(&net, "product");
        expect_same_gradient(&net, x, "of a product's input");
        net_free(&net);
    }
}

Test(fusions, a_product_with_many_matrices_keeps_its_sum)
{
    struct net net = net_begin(26);
    const int x = net_input(&net, "x", (struct cb_shape){ 3, { 2, 3, 5 } });
    const int w = net_constant(&net, "w", (struct cb_shape){ 3, { 2, 5, 5 } }, -1, 1);
    const int y = by(&net, CB_OP_ADD, by(&net, CB_OP_MATMUL, x, w), vector(&net, 5));
    cr_assert(cb_graph_add_output(&net.graph, by(&net, CB_OP_ADD, y, x)).code == CB_OK);
    struct cb_plan *plan = plan_of(&net, -1, false);
    cr_expect_eq(count_ops(cb_plan_graph(plan), CB_OP_ADD), 2);
    cb_plan_destroy(plan);
    expect_same_outputs(&net, "many matrices");
    net_free(&net);
}

/* ---- what comes before a convolution ---- */

Test(fusions, batch_normalisation_and_relu_join_the_1x1_convolution_behind_them)
{
    struct net net = net_begin(27);
    const int x = net_input(&net, "x", (struct cb_shape){ 4, { 2, 3, 6, 5 } });
    const int a = net_conv(&net, "a", x, 3, 19, 3, 1, true);
    const int n = net_op(&net, CB_OP_RELU, "relu", net_batch_norm(&net, "bn", a, 19), -1);
    const int b = net_conv(&net, "b", n, 19, 19, 1, 0, true);
    cr_assert(cb_graph_add_output(&net.graph, by(&net, CB_OP_MUL, a, b)).code == CB_OK);
    struct cb_plan *plan = plan_of(&net, -1, false);
    const struct cb_graph *g = cb_plan_graph(plan);
    cr_expect_eq(count_ops(g, CB_OP_BATCH_NORM), 0);
    cr_expect_eq(count_ops(g, CB_OP_RELU), 0);
    cb_plan_destroy(plan);
    plan = plan_of(&net, a, false);
    cr_expect_eq(count_ops(cb_plan_graph(plan), CB_OP_BATCH_NORM), 1, "a gradient flows through");
    cb_plan_destroy(plan);
    expect_same_outputs(&net, "prologue");
    expect_same_gradient(&net, a, "before a prologue");
    net_free(&net);
}

Test(fusions, only_1x1_convolutions_that_alone_read_it_take_a_normalisation)
{
    for (int form = 0; form < 2; form++) {
        struct net net = net_begin(28);
        const int x = net_input(&net, "x", (struct cb_shape){ 4, { 1, 3, 6, 5 } });
        const int n = net_batch_norm(&net, "bn", x, 3);
        int y = net_conv(&net, "b", n, 3, 3, form ? 1 : 3, form ? 0 : 1, true);
        if (form)
            y = by(&net, CB_OP_MUL, n, y);
        cr_assert(cb_graph_add_output(&net.graph, y).code == CB_OK);
        struct cb_plan *plan = plan_of(&net, -1, false);
        cr_expect_eq(count_ops(cb_plan_graph(plan), CB_OP_BATCH_NORM), 1, "form %d", form);
        cb_plan_destroy(plan);
        expect_same_outputs(&net, "no prologue");
        net_free(&net);
    }
}

Test(fusions, the_gates_of_squeeze_and_excitation_join_the_convolution_behind_them)
{
    struct net net = net_begin(29);
    const int x = net_input(&net, "x", (struct cb_shape){ 4, { 3, 4, 6, 5 } });
    const int a = activation_form(&net, 0, net_conv(&net, "a", x, 4, 19, 3, 1, true));
    int gate = net_op(&net, CB_OP_REDUCE_MEAN, "squeeze", a, -1);
    net_last(&net)->attr.reduce.axes = (struct cb_list){ 2, { 2, 3 } };
    gate = by(&net, CB_OP_SIGMOID, net_conv(&net, "excite", gate, 19, 19, 1, 0, true), -1);
    const int y = net_conv(&net, "b", by(&net, CB_OP_MUL, gate, a), 19, 7, 1, 0, true);
    cr_assert(cb_graph_add_output(&net.graph, y).code == CB_OK);
    struct cb_plan *plan = plan_of(&net, -1, false);
    cr_expect_eq(count_ops(cb_plan_graph(plan), CB_OP_MUL), 0);
    cr_expect_eq(count_ops(cb_plan_graph(plan), CB_OP_SIGMOID), 0);
    cb_plan_destroy(plan);
    expect_same_outputs(&net, "gates");
    expect_same_gradient(&net, a, "before gates");
    expect_same_gradient(&net, gate, "of a gate");
    net_free(&net);
}
