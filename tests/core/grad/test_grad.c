#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "core/grad/grad.h"
#include "tests/support/net.h"

/* d <u, output> / d wrt of a whole network, against finite differences in a random direction v. */
struct probe {
    struct cb_plan *plan;
    struct cb_session *session;
    struct cb_grad *grad;
    struct cb_tensor input;
    float *x, *u;
};

static struct probe probe_make(struct net *net, enum cb_isa isa, int wrt, bool no_passes)
{
    static struct cb_engine engine; /* the plan keeps a pointer to it */
    struct probe p = { 0 };
    engine = (struct cb_engine){ .kernels = cb_kernels_for(isa), .plan_budget = (size_t)1 << 30 };
    p.input = (struct cb_tensor){ .shape = net->graph.values[net->graph.inputs[0]].shape,
                                  .dtype = CB_FLOAT32 };
    p.plan = net_plan(net, &engine,
                      &(struct cb_plan_options){
                          .inputs = &p.input, .wrt = &wrt, .n_wrt = 1, .no_passes = no_passes });
    cr_assert(cb_session_create(p.plan, &p.session).code == CB_OK);
    const struct cb_status st = cb_grad_create(p.session, &p.grad);
    cr_assert(st.code == CB_OK, "%s", st.msg);
    p.x = cb_arena_alloc(&net->arena, cb_tensor_count(&p.input), sizeof *p.x);
    cb_rng_fill(&net->rng, cb_tensor_count(&p.input), p.x);
    p.u = cb_grad_seed(p.grad, 0)->f;
    cb_rng_fill(&net->rng, cb_tensor_count(cb_session_output(p.session, 0)), p.u);
    return p;
}

static double loss(struct probe *p)
{
    double sum = 0;
    memcpy(cb_session_input(p->session, 0)->f, p->x, cb_tensor_bytes(&p->input));
    cb_session_run(p->session);
    const struct cb_tensor *y = cb_session_output(p->session, 0);
    for (size_t i = 0; i < cb_tensor_count(y); i++)
        sum += (double)p->u[i] * (double)y->f[i];
    return sum;
}

static void probe_free(struct probe *p)
{
    cb_grad_destroy(p->grad);
    cb_session_destroy(p->session);
    cb_plan_destroy(p->plan);
}

/* Moves `at` (n floats) along v by +-h and compares. */
static void expect_gradient(struct probe *p, struct net *net, float *at, size_t n, float h,
                            const char *what)
{
    float *v = cb_arena_alloc(&net->arena, n, sizeof *v),
          *keep = cb_arena_alloc(&net->arena, n, sizeof *keep);
    double analytic = 0, l[2];
    cb_rng_fill(&net->rng, n, v);
    memcpy(keep, at, n * sizeof *at);
    loss(p);
    cb_grad_run(p->grad);
    for (size_t i = 0; i < n; i++)
        analytic += (double)cb_grad_of(p->grad, 0)->f[i] * (double)v[i];
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < n; i++)
            at[i] = keep[i] + (side ? -h : h) * v[i];
        l[side] = loss(p);
    }
    memcpy(at, keep, n * sizeof *at);
    const double numeric = (l[0] - l[1]) / (2 * (double)h);
    cr_expect_lt(fabs(analytic - numeric), 1e-2 * fmax(fabs(analytic), fabs(numeric)) + 1e-3,
                 "%s: %g, %g", what, analytic, numeric);
}

Test(grad, of_the_input_of_a_residual_network_agrees_with_finite_differences)
{
    for (enum cb_isa isa = CB_ISA_GENERIC; isa <= cb_isa_best(); isa++)
        for (int no_passes = 0; no_passes < 2; no_passes++) {
            struct net net = net_begin(11);
            int layer;
            net_residual(&net, 2, 9, 7, &layer);
            struct probe p = probe_make(&net, isa, net.graph.inputs[0], no_passes);
            expect_gradient(&p, &net, p.x, cb_tensor_count(&p.input), 1e-3f,
                            no_passes ? "plain" : "fused");
            probe_free(&p);
            net_free(&net);
        }
}

Test(grad, of_every_filter_and_vector_agrees_with_finite_differences)
{
    for (enum cb_isa isa = CB_ISA_GENERIC; isa <= cb_isa_best(); isa++) {
        struct net net = net_begin(12);
        int layer, tried = 0;
        net.smooth = true;
        net_residual(&net, 2, 9, 7, &layer);
        for (int v = 0; v < net.graph.n_values; v++) {
            if (!net.graph.values[v].data)
                continue;
            struct probe p = probe_make(&net, isa, v, false);
            expect_gradient(&p, &net, (float *)(uintptr_t)net.graph.values[v].data,
                            cb_shape_count(&net.graph.values[v].shape), 1e-2f,
                            net.graph.values[v].name);
            probe_free(&p);
            tried++;
        }
        cr_expect_gt(tried, 15);
        net_free(&net);
    }
}

Test(grad, of_an_inner_layer_is_that_of_the_network_behind_it)
{
    struct net net = net_begin(13);
    int layer;
    net_residual(&net, 1, 9, 7, &layer);
    struct probe p = probe_make(&net, cb_isa_best(), layer, false);
    loss(&p);
    cb_grad_run(p.grad);
    const struct cb_tensor *a = cb_session_value(p.session, layer), *g = cb_grad_of(p.grad, 0);
    cr_assert_eq(a->shape.dim[1], 15);
    /* logits are linear in the layer's mean: the gradient is constant over space, and <g, a> = <u,
     * y - y(0)> */
    const size_t area = (size_t)(a->shape.dim[2] * a->shape.dim[3]);
    double product = 0, direct = 0;
    for (size_t i = 0; i < cb_tensor_count(a); i++) {
        cr_assert_float_eq(g->f[i], g->f[i / area * area], 1e-6f);
        product += (double)g->f[i] * (double)a->f[i];
    }
    const int bias = cb_graph_find(&net.graph, "fc_b");
    for (int i = 0; i < 5; i++)
        direct += (double)p.u[i] * ((double)cb_session_output(p.session, 0)->f[i] -
                                    (double)((const float *)net.graph.values[bias].data)[i]);
    cr_expect_float_eq(product, direct, 1e-4 * fabs(direct) + 1e-5);
    probe_free(&p);
    net_free(&net);
}

Test(grad, names_an_operator_that_has_none)
{
    struct net net = net_begin(14);
    const int x = net_input(&net, "x", (struct cb_shape){ 1, { 3 } });
    const int above = net_op(&net, CB_OP_GREATER, "odd", x, x),
              y = net_op(&net, CB_OP_CAST, "number", above, -1);
    net_last(&net)->attr.cast.to = CB_FLOAT32;
    cr_assert(cb_graph_add_output(&net.graph, y).code == CB_OK);
    const struct cb_engine engine = { .kernels = cb_kernels_for(CB_ISA_GENERIC),
                                      .plan_budget = 1 << 20 };
    struct cb_tensor input = { .shape = { 1, { 3 } }, .dtype = CB_FLOAT32 };
    struct cb_plan *plan = net_plan(
        &net, &engine, &(struct cb_plan_options){ .inputs = &input, .wrt = &x, .n_wrt = 1 });
    struct cb_session *s = NULL;
    struct cb_grad *grad = NULL;
    cr_assert(cb_session_create(plan, &s).code == CB_OK);
    const struct cb_status st = cb_grad_create(s, &grad);
    cr_expect_eq(st.code, CB_ERR_UNSUPPORTED);
    cr_expect(strstr(st.msg, "odd"), "%s", st.msg);
    cb_session_destroy(s);
    cb_plan_destroy(plan);
    net_free(&net);
}
