/* Whatever algorithms are chosen, a network computes the same: also behind a prologue, from a slice
 * of a Concat, and into one. */
#include <criterion/criterion.h>
#include <string.h>

#include "core/exec/plan_internal.h"
#include "tests/support/close.h"
#include "tests/support/net.h"

enum { N = 2, SIDE = 20, CLASSES = 16 };

/* Half of a dense block (arXiv:1608.06993), and a residual sum. */
static void make_net(struct net *net)
{
    const int x = net_input(net, "x", (struct cb_shape){ 4, { N, 16, SIDE, SIDE } });
    int a = net_relu(net, "r1", net_conv(net, "c1", x, 16, 24, 3, 1, true)), b;
    a = net_op(net, CB_OP_CONCAT, "joined", x, a);
    net_last(net)->attr.axis.axis = 1;
    b = net_relu(net, "r2", net_batch_norm(net, "n2", a, 40));
    b = net_conv(net, "c2", b, 40, 32, 1, 0, false);
    b = net_relu(net, "r3", net_batch_norm(net, "n3", b, 32));
    b = net_conv(net, "c3", b, 32, 40, 3, 1, false);
    b = net_op(net, CB_OP_ADD, "sum", a, b);
    b = net_op(net, CB_OP_CONCAT, "again", b, a);
    net_last(net)->attr.axis.axis = 1;
    b = net_conv(net, "c4", b, 80, CLASSES, 5, 2, true);
    cr_assert(cb_graph_add_output(&net->graph, b).code == CB_OK);
}

/* Every node that has a choice takes its candidate number `turn`; how many nodes there are. */
static int take(struct cb_plan *plan, int turn)
{
    struct cb_sketch sketch;
    int candidates[CB_ALGORITHMS_MAX], nodes = 0;
    cr_assert(cb_sketch_init(&sketch, plan).code == CB_OK);
    for (int i = 0; i < plan->graph.n_nodes; i++) {
        struct cb_node *n = &plan->graph.nodes[i];
        const struct cb_op_def *def = cb_op_get(n->op);
        if (!def->algorithms)
            continue;
        cb_sketch_node(&sketch, plan, n);
        const int count = def->algorithms(&sketch.call, candidates);
        if (count > 1) {
            nodes++;
            def->choose(n, candidates[turn % count]);
        }
    }
    return nodes;
}

static void run(const struct cb_plan *plan, float *y)
{
    struct cb_session *session;
    cr_assert(cb_session_create(plan, &session).code == CB_OK);
    struct cb_tensor *x = cb_session_input(session, 0);
    for (size_t i = 0; i < cb_tensor_count(x); i++)
        x->f[i] = (float)(i * 37 % 101) / 50 - 1;
    cb_session_run(session);
    memcpy(y, cb_session_output(session, 0)->f, N * CLASSES * SIDE * SIDE * sizeof *y);
    cb_session_destroy(session);
}

Test(candidates, all_compute_the_same)
{
    static float want[N * CLASSES * SIDE * SIDE], got[N * CLASSES * SIDE * SIDE];
    struct cb_engine engine = { .kernels = cb_kernels_for(CB_ISA_GENERIC),
                                .plan_budget = (size_t)1 << 30 };
    const struct cb_tensor x = { .shape = { 4, { N, 16, SIDE, SIDE } }, .dtype = CB_FLOAT32 };
    struct net net = net_begin(4);
    make_net(&net);
    struct cb_plan *plan = net_plan(&net, &engine, &(struct cb_plan_options){ .inputs = &x });
    run(plan, want);
    cb_plan_destroy(plan);
    for (enum cb_isa isa = CB_ISA_GENERIC; isa <= cb_isa_best(); isa++) {
        engine.kernels = cb_kernels_for(isa);
        for (int turn = 0; turn < CB_ALGORITHMS_MAX; turn++) {
            plan = net_plan(&net, &engine, &(struct cb_plan_options){ .inputs = &x });
            const int nodes = take(plan, turn);
            cr_expect(nodes > 1 || isa == CB_ISA_GENERIC);
            cr_assert(cb_plan_place_constants(plan).code == CB_OK);
            cr_assert(cb_plan_lay_out(plan).code == CB_OK);
            run(plan, got);
            const double error = cb_close_nmse(CB_COUNT_OF(got), got, want);
            cr_expect(error < 1e-9, "%s, turn %d: %g", engine.kernels.name, turn, error);
            cb_plan_destroy(plan);
        }
    }
    net_free(&net);
}
