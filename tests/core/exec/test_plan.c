#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "core/exec/plan_internal.h"
#include "tests/support/close.h"
#include "tests/support/net.h"

static struct cb_engine engine_of(enum cb_isa isa)
{
    return (struct cb_engine){ .kernels = cb_kernels_for(isa), .plan_budget = (size_t)1 << 30 };
}

Test(plan, activations_that_live_together_never_overlap)
{
    struct net net = net_begin(2);
    const struct cb_engine engine = engine_of(CB_ISA_GENERIC);
    struct cb_tensor input = { .shape = { 4, { 2, 3, 17, 11 } }, .dtype = CB_FLOAT32 };
    int layer;
    net_residual(&net, 2, 17, 11, &layer);
    struct cb_plan *plan = net_plan(&net, &engine, &(struct cb_plan_options){ .inputs = &input });
    const struct cb_graph *g = cb_plan_graph(plan);
    for (int i = 0; i < g->n_nodes; i++) /* a node's inputs and outputs, unless it works in place */
        for (int a = 0; a < g->nodes[i].n_in; a++) {
            const int in = g->nodes[i].in[a], out = g->nodes[i].out[0];
            if (in < 0 || g->values[in].data || plan->offset[in] == plan->offset[out] ||
                plan->slice[in].whole == out) /* test_slices.c looks at these */
                continue;
            const struct cb_tensor x = cb_value_tensor(&g->values[in]),
                                   y = cb_value_tensor(&g->values[out]);
            cr_expect(plan->offset[in] + cb_tensor_bytes(&x) <= plan->offset[out] ||
                          plan->offset[out] + cb_tensor_bytes(&y) <= plan->offset[in],
                      "%s", g->nodes[i].name);
        }
    cb_plan_destroy(plan);
    net_free(&net);
}

Test(plan, reuses_memory_of_a_long_chain)
{
    struct net net = net_begin(2);
    const struct cb_engine engine = engine_of(CB_ISA_GENERIC);
    struct cb_tensor input = { .shape = { 4, { 1, 4, 16, 16 } }, .dtype = CB_FLOAT32 };
    int v = net_input(&net, "x", input.shape);
    for (int i = 0; i < 12; i++)
        v = net_conv(&net, "c", v, 4, 4, 3, 1, true);
    cr_assert(cb_graph_add_output(&net.graph, v).code == CB_OK);
    struct cb_plan *plan = net_plan(&net, &engine, &(struct cb_plan_options){ .inputs = &input });
    cr_expect_leq(plan->scratch_offset, 3 * 4 * 16 * 16 * sizeof(float),
                  "two activations and the output's transpose");
    cb_plan_destroy(plan);
    net_free(&net);
}

Test(plan, every_budget_gives_a_result_or_says_that_memory_is_short)
{
    struct net net = net_begin(2);
    struct cb_engine engine = engine_of(CB_ISA_GENERIC);
    struct cb_tensor input = { .shape = { 4, { 1, 3, 9, 9 } }, .dtype = CB_FLOAT32 };
    int layer, refused = 0;
    net_residual(&net, 1, 9, 9, &layer);
    for (size_t budget = 0; budget < 40000; budget += 997) {
        struct cb_plan *plan = NULL;
        engine.plan_budget = budget;
        const struct cb_status st = cb_plan_create(
            &engine, &net.graph, net.weights, &(struct cb_plan_options){ .inputs = &input }, &plan);
        cr_expect(st.code == CB_OK || st.code == CB_ERR_TOO_LARGE, "%s", st.msg);
        refused += st.code != CB_OK;
        cb_plan_destroy(plan);
    }
    cr_expect_gt(refused, 0);
    net_free(&net);
}

Test(plan, more_values_than_are_searched_still_lie_apart)
{
    enum { N = 20000 };
    struct net net = net_begin(2);
    const struct cb_engine engine = engine_of(CB_ISA_GENERIC);
    struct cb_tensor input = { .shape = { 1, { 3 } }, .dtype = CB_FLOAT32 };
    const int x = net_input(&net, "x", input.shape);
    for (int i = 0; i < N; i++)
        cr_assert(cb_graph_add_output(&net.graph, net_op(&net, CB_OP_TANH, "y", x, -1)).code ==
                  CB_OK);
    struct cb_plan *plan = net_plan(&net, &engine, &(struct cb_plan_options){ .inputs = &input });
    bool *taken = calloc(N + 1, sizeof *taken);
    for (int i = 0; i < plan->n_outputs; i++) {
        const size_t slot = plan->offset[plan->outputs[i]] / CB_ALIGN;
        cr_assert_lt(slot, N + 1);
        cr_assert(!taken[slot], "output %d", i);
        taken[slot] = true;
    }
    cr_expect_leq(plan->scratch_offset, (size_t)(N + 1) * CB_ALIGN);
    free(taken);
    cb_plan_destroy(plan);
    net_free(&net);
}

Test(plan, what_shapes_depend_on_is_computed_only_while_it_is_small)
{
    struct net net = net_begin(2);
    const struct cb_engine engine = engine_of(CB_ISA_GENERIC);
    struct cb_tensor input = { .shape = { 1, { 2 } }, .dtype = CB_FLOAT32 };
    int64_t *size;
    struct cb_tensor dims = { .shape = { 1, { 1 } }, .dtype = CB_INT64 };
    struct cb_plan *plan = NULL;
    int shape;
    const int x = net_input(&net, "x", input.shape);
    cr_assert(cb_arena_get(&net.arena, 1, sizeof *size, "size", &size).code == CB_OK);
    *size = 1 << 26;
    dims.data = size;
    cr_assert(cb_graph_add_constant(&net.graph, "size", &dims, &shape).code == CB_OK);
    const int many = net_op(&net, CB_OP_EXPAND, "many", shape, shape);
    cr_assert(cb_graph_add_output(&net.graph, net_op(&net, CB_OP_RESHAPE, "y", x, many)).code ==
              CB_OK);
    const struct cb_status st = cb_plan_create(
        &engine, &net.graph, net.weights, &(struct cb_plan_options){ .inputs = &input }, &plan);
    cr_expect_eq(st.code, CB_ERR_TOO_LARGE);
    cr_expect(strstr(st.msg, "many"), "%s", st.msg);
    cb_plan_destroy(plan);
    net_free(&net);
}

Test(plan, weights_are_packed_once_for_all_plans)
{
    struct net net = net_begin(2);
    const struct cb_engine engine = engine_of(CB_ISA_GENERIC); /* one form for all shapes */
    int layer;
    net_residual(&net, 1, 9, 9, &layer);
    size_t bytes[2];
    for (int i = 0; i < 2; i++) {
        struct cb_tensor input = { .shape = { 4, { 1 + i, 3, 9 + 2 * i, 9 } },
                                   .dtype = CB_FLOAT32 };
        struct cb_plan *plan =
            net_plan(&net, &engine, &(struct cb_plan_options){ .inputs = &input });
        bytes[i] = cb_weights_bytes(net.weights);
        cb_plan_destroy(plan);
    }
    cr_expect_gt(bytes[0], 0);
    cr_expect_eq(bytes[0], bytes[1]);
    net_free(&net);
}

Test(plan, reads_constants_that_are_not_aligned)
{
    struct net net = net_begin(2);
    int layer;
    net_residual(&net, 1, 9, 9, &layer);
    const struct cb_tensor want = net_run(&net, cb_isa_best(), 1, false, false);
    for (int v = 0; v < net.graph.n_values; v++) {
        struct cb_value *value = &net.graph.values[v];
        if (!value->data)
            continue;
        const struct cb_tensor t = cb_value_tensor(value);
        char *moved = (char *)cb_arena_alloc(&net.arena, cb_tensor_bytes(&t) + 3, 1) + 3;
        memcpy(moved, value->data, cb_tensor_bytes(&t));
        value->data = moved;
        value->key = cb_key_mix(value->key, 1);
    }
    const struct cb_tensor got = net_run(&net, cb_isa_best(), 1, false, false);
    cb_expect_equal(cb_tensor_count(&want), got.f, want.f, "unaligned");
    net_free(&net);
}

Test(session, a_timed_run_gives_the_same_and_names_each_node_s_algorithm)
{
    struct net net = net_begin(2);
    const struct cb_engine engine = engine_of(CB_ISA_GENERIC);
    int layer, convolutions = 0;
    net_residual(&net, 1, 9, 9, &layer);
    struct cb_tensor input = { .shape = { 4, { 1, 3, 9, 9 } }, .dtype = CB_FLOAT32 };
    struct cb_plan *plan = net_plan(&net, &engine, &(struct cb_plan_options){ .inputs = &input });
    const struct cb_graph *g = cb_plan_graph(plan);
    struct cb_session *session;
    float want[5];
    int64_t ns[64];
    cr_assert_eq(cb_session_create(plan, &session).code, CB_OK);
    cr_assert_leq(g->n_nodes, 64);
    memset(ns, 0xff, sizeof ns);
    for (int run = 0; run < 2; run++) {
        struct cb_rng rng = cb_rng_seed(3);
        cb_rng_fill(&rng, 3 * 9 * 9, cb_session_input(session, 0)->f);
        if (run == 0)
            cb_session_run(session);
        else
            cb_session_run_timed(session, ns);
        if (run == 0)
            memcpy(want, cb_session_output(session, 0)->f, sizeof want);
    }
    cb_expect_equal(5, cb_session_output(session, 0)->f, want, "timed");
    for (int i = 0; i < g->n_nodes; i++) {
        const char *algorithm = cb_session_algorithm(session, i);
        cr_expect_geq(ns[i], 0);
        if (g->nodes[i].op != CB_OP_CONV) {
            cr_expect_null(algorithm);
            continue;
        }
        convolutions++;
        cr_expect_str_eq(algorithm, "direct");
    }
    cr_expect_gt(convolutions, 2);
    cr_expect_gt(cb_plan_activation_bytes(plan), 3 * 9 * 9 * sizeof(float));
    cb_session_destroy(session);
    cb_plan_destroy(plan);
    net_free(&net);
}

Test(plan, computes_what_depends_on_shapes_alone_when_it_is_made)
{
    struct net net = net_begin(2);
    const struct cb_engine engine = engine_of(CB_ISA_GENERIC);
    struct cb_tensor input = { .shape = { 4, { 2, 3, 4, 5 } }, .dtype = CB_FLOAT32 };
    const int x = net_input(&net, "x", input.shape);
    const int shape = net_op(&net, CB_OP_SHAPE, "shape", x, -1);
    net_last(&net)->attr.shape.end = 2;
    const int y = net_op(&net, CB_OP_EXPAND, "unused", x, shape);
    (void)y;
    const int z = net_op(&net, CB_OP_RESHAPE, "reshaped", x,
                         net_op(&net, CB_OP_CONCAT, "dims", shape, shape));
    net.graph.nodes[2].attr.axis.axis = 0; /* [2,3,2,3] has 36 elements, x 120 */
    cr_assert(cb_graph_add_output(&net.graph, z).code == CB_OK);
    struct cb_plan *plan = NULL;
    const struct cb_status st = cb_plan_create(
        &engine, &net.graph, net.weights, &(struct cb_plan_options){ .inputs = &input }, &plan);
    cr_expect_neq(st.code, CB_OK);
    cr_expect(strstr(st.msg, "reshaped"), "%s", st.msg);
    input.shape = (struct cb_shape){ 4, { 2, 3, 3, 2 } };
    plan = net_plan(&net, &engine, &(struct cb_plan_options){ .inputs = &input });
    const struct cb_shape want = { 4, { 2, 3, 2, 3 } };
    cr_expect(cb_shape_equal(&cb_plan_graph(plan)->values[z].shape, &want));
    cr_expect_eq(cb_plan_graph(plan)->n_nodes, 1);
    cb_plan_destroy(plan);
    net_free(&net);
}

Test(plan, names_a_parameter_that_only_data_decides)
{
    struct net net = net_begin(2);
    const struct cb_engine engine = engine_of(CB_ISA_GENERIC);
    struct cb_tensor input = { .shape = { 1, { 2 } }, .dtype = CB_INT64 };
    struct cb_plan *plan = NULL;
    const int x = net_input(&net, "wanted", input.shape);
    cr_assert(cb_graph_add_output(&net.graph, net_op(&net, CB_OP_RESHAPE, "reshape", x, x)).code ==
              CB_OK);
    const struct cb_status st = cb_plan_create(
        &engine, &net.graph, net.weights, &(struct cb_plan_options){ .inputs = &input }, &plan);
    cr_expect_eq(st.code, CB_ERR_UNSUPPORTED);
    cr_expect(strstr(st.msg, "'wanted'"), "%s", st.msg);
    bool known[1] = { false };
    cr_assert(cb_plan_known_inputs(&net.graph, &net.arena, known).code == CB_OK);
    cr_expect(known[0]);
    net_free(&net);
}

/* y = x B with B = [[n], [2]] made of the shape [n,2] of relu(x): a constant of each plan. */
Test(plan, weights_made_of_the_inputs_shape_are_not_those_of_another_plan)
{
    struct net net = net_begin(2);
    const struct cb_engine engine = engine_of(cb_isa_best());
    const int x = net_input(&net, "x", (struct cb_shape){ 2, { -1, 2 } });
    const int shape = net_op(&net, CB_OP_SHAPE, "shape", net_op(&net, CB_OP_RELU, "r", x, -1), -1);
    const int real = net_op(&net, CB_OP_CAST, "real", shape, -1);
    net_last(&net)->attr.cast.to = CB_FLOAT32;
    const int b = net_op(&net, CB_OP_RESHAPE, "b", real, -1);
    net_last(&net)->attr.reshape.dims = (struct cb_list){ 2, { 2, 1 } };
    cr_assert(cb_graph_add_output(&net.graph, net_op(&net, CB_OP_MATMUL, "y", x, b)).code == CB_OK);
    for (int n = 1; n <= 3; n += 2) {
        struct cb_tensor input = { .shape = { 2, { n, 2 } }, .dtype = CB_FLOAT32 };
        struct cb_plan *plan =
            net_plan(&net, &engine, &(struct cb_plan_options){ .inputs = &input });
        struct cb_session *s = NULL;
        cr_assert(cb_session_create(plan, &s).code == CB_OK);
        for (int i = 0; i < 2 * n; i++)
            cb_session_input(s, 0)->f[i] = (float)(i + 1);
        cb_session_run(s);
        for (int i = 0; i < n; i++)
            cr_expect_float_eq(cb_session_output(s, 0)->f[i],
                               (float)((2 * i + 1) * n + (2 * i + 2) * 2), 1e-5f, "n %d", n);
        cb_session_destroy(s);
        cb_plan_destroy(plan);
    }
    net_free(&net);
}
