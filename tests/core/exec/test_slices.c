/* Concat in place: nothing is copied where everybody around knows slices, the results stay, and
 * what lives together never overlaps, element by element. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "core/exec/plan_internal.h"
#include "tests/support/close.h"
#include "tests/support/net.h"
#include "tests/support/plan_memory.h"

static struct cb_engine engine;

static struct cb_plan *plan_of(struct net *net)
{
    struct cb_tensor input = { .shape = net->graph.values[net->graph.inputs[0]].shape,
                               .dtype = CB_FLOAT32 };
    engine = (struct cb_engine){ .kernels = cb_kernels_for(cb_isa_best()),
                                 .plan_budget = (size_t)1 << 30 };
    return net_plan(net, &engine, &(struct cb_plan_options){ .inputs = &input });
}

/* Parts of Concats that the run will copy. */
static int count_copies(const struct cb_plan *plan)
{
    const struct cb_graph *g = &plan->graph;
    int copies = 0;
    for (int i = 0; i < g->n_nodes; i++) {
        size_t at = g->nodes[i].op == CB_OP_CONCAT ? plan->offset[g->nodes[i].out[0]] : 0;
        for (int k = 0; k < g->nodes[i].n_in && g->nodes[i].op == CB_OP_CONCAT; k++) {
            const struct cb_shape *s = &g->values[g->nodes[i].in[k]].shape;
            copies += plan->offset[g->nodes[i].in[k]] != at;
            at += (size_t)s->dim[s->rank - 1] * sizeof(float);
        }
    }
    return copies;
}

static void expect_all_well(struct net *net, int copies, const char *what)
{
    struct cb_plan *plan = plan_of(net);
    cr_expect_eq(count_copies(plan), copies, "%s: %d copies, not %d", what, count_copies(plan),
                 copies);
    plan_memory_check(plan, what);
    cb_plan_destroy(plan);
    const struct cb_tensor want = net_run(net, CB_ISA_GENERIC, 1, true, false);
    for (enum cb_isa isa = CB_ISA_GENERIC; isa <= cb_isa_best(); isa++)
        for (int form = 0; form < 2; form++) {
            const struct cb_tensor got = net_run(net, isa, 1 + 2 * (size_t)form, false, form);
            cb_expect_close(cb_tensor_count(&want), got.f, want.f, "%s, isa %d", what, (int)isa);
        }
}

/* Layers that read all that was made before them, as a DenseNet's block has them. */
Test(slices, a_block_of_a_densenet_is_one_buffer)
{
    struct net net = net_begin(40);
    const int x = net_input(&net, "x", (struct cb_shape){ 4, { 2, 3, 6, 5 } });
    int parts[5], all = 0;
    parts[0] = net_pool(&net, "pool", net_conv(&net, "stem", x, 3, 9, 3, 1, true));
    for (int i = 1; i < 5; i++) {
        const int channels = 9 + 8 * (i - 1);
        const int n = net_relu(&net, "relu",
                               net_batch_norm(&net, "norm", net_concat(&net, i, parts), channels));
        const int narrow =
            net_relu(&net, "relu", net_conv(&net, "1x1", n, channels, 16, 1, 0, true));
        parts[i] = net_conv(&net, "3x3", narrow, 16, 8, 3, 1, true);
    }
    all = net_relu(&net, "relu", net_batch_norm(&net, "norm", net_concat(&net, 5, parts), 41));
    net_finish(&net, net_conv(&net, "last", all, 41, 7, 3, 1, true));
    expect_all_well(&net, 0, "dense block");
    net_free(&net);
}

Test(slices, branches_and_nested_concats_write_to_their_places)
{
    struct net net = net_begin(41);
    const int x = net_input(&net, "x", (struct cb_shape){ 4, { 2, 9, 7, 5 } });
    const int a = net_relu(&net, "a", net_conv(&net, "a", x, 9, 8, 1, 0, true));
    const int b = net_relu(&net, "b", net_conv(&net, "b", a, 8, 9, 3, 1, true));
    const int c = net_conv(&net, "c", a, 8, 10, 3, 1, true);
    const int inner = net_concat(&net, 2, (int[]){ b, c });
    const int y =
        net_concat(&net, 3, (int[]){ a, inner, net_conv(&net, "d", x, 9, 11, 1, 0, true) });
    const int p = net_pool(&net, "pool", y);
    const int q =
        net_pool(&net, "again", net_concat(&net, 2, (int[]){ p, net_pool(&net, "p", y) }));
    net_finish(&net, net_conv(&net, "last", q, 76, 3, 1, 0, true));
    expect_all_well(&net, 0, "branches");
    net_free(&net);
}

/* What cannot lie in a slice is copied, and only that. */
Test(slices, a_part_that_must_be_dense_is_copied)
{
    for (int form = 0; form < 4; form++) {
        struct net net = net_begin(42);
        const int x = net_input(&net, "x", (struct cb_shape){ 4, { 2, 9, 7, 5 } });
        const int a = net_conv(&net, "a", x, 9, 8, 1, 0, true);
        int b = net_conv(&net, "b", x, 9, 8, 3, 1, true), rest = -1, y;
        switch (form) {
        case 0: b = net_op(&net, CB_OP_SOFTPLUS, "producer", b, -1); break;
        case 1: rest = net_op(&net, CB_OP_SOFTPLUS, "reader", b, -1); break;
        case 2: net_finish(&net, b); break;
        case 3: b = a; break; /* the second place of one value */
        }
        y = net_concat(&net, 2, (int[]){ a, b });
        y = net_conv(&net, "last", y, 16, 8, 3, 1, true);
        if (rest >= 0)
            y = net_op(&net, CB_OP_SUB, "sub", y, rest);
        net_finish(&net, y);
        expect_all_well(&net, 1, "form");
        net_free(&net);
    }
}

Test(slices, a_whole_that_is_asked_for_is_dense_and_its_beginning_may_still_be_read)
{
    struct net net = net_begin(43);
    const int x = net_input(&net, "x", (struct cb_shape){ 4, { 1, 9, 4, 5 } });
    const int a = net_conv(&net, "a", x, 9, 8, 1, 0, true);
    const int b = net_conv(&net, "b", a, 8, 8, 3, 1, true);
    const int whole = net_concat(&net, 2, (int[]){ a, b });
    const int more =
        net_concat(&net, 3, (int[]){ a, b, net_conv(&net, "c", whole, 16, 8, 3, 1, true) });
    net_finish(&net, net_conv(&net, "d", more, 24, 3, 3, 1, true));
    net_finish(&net, whole);
    struct cb_plan *plan = plan_of(&net);
    plan_memory_check(plan, "asked for");
    cb_plan_destroy(plan);
    expect_all_well(&net, 2, "asked for");
    net_free(&net);
}

Test(slices, where_gradients_flow_everything_is_dense)
{
    struct net net = net_begin(44);
    const int x = net_input(&net, "x", (struct cb_shape){ 4, { 1, 9, 4, 5 } });
    const int a = net_conv(&net, "a", x, 9, 8, 1, 0, true);
    const int b = net_conv(&net, "b", a, 8, 8, 3, 1, true);
    net_finish(&net, net_conv(&net, "c", net_concat(&net, 2, (int[]){ a, b }), 16, 8, 3, 1, true));
    struct cb_tensor input = { .shape = { 4, { 1, 9, 4, 5 } }, .dtype = CB_FLOAT32 };
    engine = (struct cb_engine){ .kernels = cb_kernels_for(cb_isa_best()),
                                 .plan_budget = (size_t)1 << 30 };
    struct cb_plan *plan = net_plan(
        &net, &engine, &(struct cb_plan_options){ .inputs = &input, .wrt = &x, .n_wrt = 1 });
    for (int v = 0; v < plan->graph.n_values; v++)
        cr_expect_lt(plan->slice[v].whole, 0, "%s", plan->graph.values[v].name);
    cb_plan_destroy(plan);
    net_free(&net);
}

/* Networks at random: a layer reads one value or joins some; nothing may be lost. */
Test(slices, no_memory_is_lost_in_networks_at_random)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct net net = net_begin(seed);
        char what[32];
        net_random(&net, seed, (struct cb_shape){ 4, { 2, 9, 3, 4 } });
        struct cb_plan *plan = plan_of(&net);
        snprintf(what, sizeof what, "seed %d", (int)seed);
        plan_memory_check(plan, what);
        cb_plan_destroy(plan);
        const struct cb_tensor want = net_run(&net, CB_ISA_GENERIC, 1, true, false);
        const struct cb_tensor got = net_run(&net, cb_isa_best(), 1, false, false);
        cb_expect_close(cb_tensor_count(&want), got.f, want.f, "%s", what);
        net_free(&net);
    }
}
