#include <criterion/criterion.h>
#include <string.h>

#include "tests/support/net.h"

Test(graph, sorts_nodes_that_stand_in_any_order)
{
    struct net net = net_begin(1);
    const int x = net_input(&net, "x", (struct cb_shape){ 1, { 3 } });
    int v = x;
    for (int i = 0; i < 50; i++)
        v = net_op(&net, CB_OP_RELU, "r", v, i % 3 ? -1 : -1);
    cr_assert(cb_graph_add_output(&net.graph, v).code == CB_OK);
    for (int i = 0; i < 25; i++) { /* last first */
        const struct cb_node n = net.graph.nodes[i];
        net.graph.nodes[i] = net.graph.nodes[49 - i];
        net.graph.nodes[49 - i] = n;
    }
    cr_expect_eq(cb_graph_verify(&net.graph, "shuffling").code, CB_ERR_MODEL);
    cr_assert(cb_graph_sort(&net.graph).code == CB_OK);
    cr_expect(cb_graph_verify(&net.graph, "sorting").code == CB_OK);
    net_free(&net);
}

Test(graph, names_a_node_that_depends_on_itself)
{
    struct net net = net_begin(1);
    const int x = net_input(&net, "x", (struct cb_shape){ 1, { 3 } });
    const int a = net_op(&net, CB_OP_ADD, "first", x, x),
              b = net_op(&net, CB_OP_RELU, "second", a, -1);
    net.graph.nodes[0].in[1] = b;
    const struct cb_status st = cb_graph_sort(&net.graph);
    cr_expect_eq(st.code, CB_ERR_MODEL);
    cr_expect(strstr(st.msg, "depends on its own output"), "%s", st.msg);
    net_free(&net);
}

Test(graph, names_an_input_that_nothing_makes)
{
    struct net net = net_begin(1);
    int orphan;
    net_input(&net, "x", (struct cb_shape){ 1, { 3 } });
    cr_assert(cb_graph_add_value(&net.graph, "orphan", CB_FLOAT32, NULL, &orphan).code == CB_OK);
    net_op(&net, CB_OP_RELU, "lonely", orphan, -1);
    const struct cb_status st = cb_graph_sort(&net.graph);
    cr_expect_eq(st.code, CB_ERR_MODEL);
    cr_expect_str_eq(st.msg, "lonely: nothing makes its input 'orphan'");
    net_free(&net);
}

Test(graph, a_copy_may_be_rewritten_without_harm_to_the_original)
{
    struct net net = net_begin(1);
    struct cb_arena arena;
    struct cb_graph copy;
    const int x = net_input(&net, "x", (struct cb_shape){ 1, { 3 } });
    net_op(&net, CB_OP_RELU, "r", x, -1);
    cr_assert(cb_arena_init(&arena, 1 << 20).code == CB_OK);
    cr_assert(cb_graph_copy(&net.graph, &arena, &copy).code == CB_OK);
    copy.nodes[0].in[0] = 1;
    copy.nodes[0].op = CB_OP_TANH;
    copy.values[0].dtype = CB_INT64;
    cr_expect_eq(net.graph.nodes[0].in[0], x);
    cr_expect_eq(net.graph.nodes[0].op, CB_OP_RELU);
    cr_expect_eq(net.graph.values[0].dtype, CB_FLOAT32);
    cb_arena_deinit(&arena);
    net_free(&net);
}
