/* Chains of convolutions and pools, strip by strip: the same results for strips of every height and
 * any number of threads, and no memory lost. */
#include "core/exec/strips.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/close.h"
#include "tests/support/net.h"
#include "tests/support/plan_memory.h"

#define NEVER ((size_t)1 << 40)

static struct cb_engine engine;

static struct cb_plan *plan_of(struct net *net, enum cb_isa isa, size_t cache,
                               struct cb_threads *threads, int wrt)
{
    struct cb_tensor input = { .shape = net->graph.values[net->graph.inputs[0]].shape,
                               .dtype = CB_FLOAT32 };
    engine = (struct cb_engine){ .kernels = cb_kernels_for(isa),
                                 .plan_budget = (size_t)1 << 30,
                                 .threads = threads,
                                 .cache_bytes = cache };
    return net_plan(net, &engine,
                    &(struct cb_plan_options){ .inputs = &input, .wrt = &wrt, .n_wrt = wrt >= 0 });
}

static const float *run(struct net *net, const struct cb_plan *plan, size_t *n)
{
    struct cb_session *s = NULL;
    float *copy;
    cr_assert(cb_session_create(plan, &s).code == CB_OK);
    for (int again = 0; again < 2; again++) { /* a second run finds the first one's traces */
        struct cb_rng rng = cb_rng_seed(9);
        struct cb_tensor *x = cb_session_input(s, 0);
        cb_rng_fill(&rng, cb_tensor_count(x), x->f);
        cb_session_run(s);
    }
    *n = cb_tensor_count(cb_session_output(s, 0));
    copy = cb_arena_alloc(&net->arena, *n, sizeof *copy);
    cr_assert(copy);
    memcpy(copy, cb_session_output(s, 0)->f, *n * sizeof *copy);
    cb_session_destroy(s);
    return copy;
}

static int count_chained(const struct cb_plan *plan)
{
    int n = 0;
    for (int i = 0; i < plan->graph.n_nodes; i++)
        n += plan->strip_of[i] >= 0;
    return n;
}

/* Every instruction set, number of threads and size of cache; gives the most nodes in chains. */
static int expect_same(struct net *net, const char *what)
{
    static const size_t caches[] = { 1, 3000, 20000, 200000 };
    size_t n, got_n;
    int most = 0;
    struct cb_plan *plan = plan_of(net, CB_ISA_GENERIC, NEVER, NULL, -1);
    const float *want = run(net, plan, &n);
    cr_assert_eq(count_chained(plan), 0);
    cb_plan_destroy(plan);
    for (enum cb_isa isa = CB_ISA_GENERIC; isa <= cb_isa_best(); isa++)
        for (size_t threads = 1; threads <= 3; threads++)
            for (size_t i = 0; i < sizeof caches / sizeof *caches; i++) {
                struct cb_threads *pool;
                cr_assert(cb_threads_create(threads, &pool).code == CB_OK);
                plan = plan_of(net, isa, caches[i], pool, -1);
                plan_memory_check(plan, what);
                const float *got = run(net, plan, &got_n);
                cr_assert_eq(got_n, n);
                cb_expect_close(n, got, want, "%s, isa %d, %zu threads, cache %zu", what, (int)isa,
                                threads, caches[i]);
                most = count_chained(plan) > most ? count_chained(plan) : most;
                cb_plan_destroy(plan);
                cb_threads_destroy(pool);
            }
    return most;
}

/* The window of the operator that was added last, before its transpose. */
static struct cb_window *last_window(struct net *net)
{
    struct cb_node *n = &net->graph.nodes[net->graph.n_nodes - 2];
    return n->op == CB_OP_CONV ? &n->attr.conv.window : &n->attr.pool.window;
}

static int depthwise(struct net *net, int x, int channels, int kernel, int stride, int pad)
{
    const int y = net_conv(net, "depthwise", x, 1, channels, kernel, pad, true);
    net->graph.nodes[net->graph.n_nodes - 2].attr.conv.group = channels;
    last_window(net)->stride[0] = last_window(net)->stride[1] = stride;
    return y;
}

/* As MobileNets have it: wide, depthwise, narrow, and the input again. */
Test(strips, an_inverted_bottleneck_is_one_chain)
{
    for (int kernel = 3; kernel <= 5; kernel += 2)
        for (int stride = 1; stride <= 2; stride++) {
            char what[48];
            struct net net = net_begin(60);
            const int x = net_input(&net, "x", (struct cb_shape){ 4, { 1, 9, 29, 11 } });
            const int wide = net_relu(&net, "r", net_conv(&net, "wide", x, 9, 33, 1, 0, true));
            const int d =
                net_relu(&net, "r", depthwise(&net, wide, 33, kernel, stride, kernel / 2));
            int y = net_conv(&net, "narrow", d, 33, 9, 1, 0, true);
            if (stride == 1)
                y = net_op(&net, CB_OP_ADD, "add", y, x);
            net_finish(&net, y);
            snprintf(what, sizeof what, "kernel %d, stride %d", kernel, stride);
            cr_expect_eq(expect_same(&net, what), 3, "%s", what);
            net_free(&net);
        }
}

Test(strips, a_stem_may_begin_a_chain_and_a_pool_may_end_it)
{
    struct net net = net_begin(61);
    const int x = net_input(&net, "x", (struct cb_shape){ 4, { 1, 3, 37, 11 } });
    const int a = net_relu(&net, "a", net_conv(&net, "stem", x, 3, 9, 3, 1, true));
    net_finish(&net, net_conv(&net, "b", net_pool(&net, "pool", a), 9, 4, 3, 1, true));
    cr_expect_eq(expect_same(&net, "stem and pool"), 2);
    net_free(&net);
}

Test(strips, each_image_of_a_batch_that_runs_in_chunks_has_strips)
{
    struct net net = net_begin(62);
    const int x = net_input(&net, "x", (struct cb_shape){ 4, { 3, 9, 29, 11 } });
    const int wide = net_conv(&net, "wide", x, 9, 20, 1, 0, true);
    net_finish(&net,
               net_conv(&net, "narrow", depthwise(&net, wide, 20, 3, 1, 1), 20, 9, 1, 0, true));
    cr_expect_eq(expect_same(&net, "batch"), 3);
    net_free(&net);
}

Test(strips, a_result_that_somebody_else_reads_ends_a_chain)
{
    for (int form = 0; form < 3; form++) {
        struct net net = net_begin(63);
        const int x = net_input(&net, "x", (struct cb_shape){ 4, { 1, 9, 29, 11 } });
        const int wide = net_conv(&net, "wide", x, 9, 20, 1, 0, true);
        int y = depthwise(&net, wide, 20, 3, 1, 1);
        if (form == 0)
            y = net_op(&net, CB_OP_SUB, "sub", y, wide);
        net_finish(&net, y);
        if (form == 1)
            net_finish(&net, wide);
        struct cb_plan *plan = plan_of(&net, cb_isa_best(), 1, NULL, form == 2 ? x : -1);
        cr_expect_eq(count_chained(plan), 0, "form %d", form);
        cb_plan_destroy(plan);
        net_free(&net);
    }
}

/* Windows of every kind one behind the other. */
Test(strips, chains_at_random_give_the_same)
{
    int chained = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct net net = net_begin(seed);
        struct cb_rng rng = cb_rng_seed(seed);
        char what[32];
        int channels = 9;
        int y = net_input(&net, "x", (struct cb_shape){ 4, { 1, 9, 31, 7 } });
        for (int i = 0; i < 5; i++) {
            const int kernel = 1 + (int)cb_rng_below(&rng, 3), kind = (int)cb_rng_below(&rng, 4);
            const int pad = (int)cb_rng_below(&rng, (uint64_t)kernel);
            if (kind == 0) {
                y = net_pool(&net, "pool", y);
            } else if (kind == 1) {
                const int wider = 8 + (int)cb_rng_below(&rng, 12);
                y = net_conv(&net, "conv", y, channels, wider, kernel, pad, true);
                channels = wider;
            } else {
                y = depthwise(&net, y, channels, kernel, 1 + (int)cb_rng_below(&rng, 2), pad);
                if (kernel > 1 && i == 0)
                    last_window(&net)->dilation[0] = 1 + (int64_t)cb_rng_below(&rng, 3);
                last_window(&net)->pad_end[0] += (int64_t)cb_rng_below(&rng, 2);
            }
            last_window(&net)->pad_begin[1] = last_window(&net)->pad_end[1] = 1;
            if (kernel == 1 && kind > 0)
                last_window(&net)->pad_begin[1] = last_window(&net)->pad_end[1] = 0;
        }
        net_finish(&net, y);
        snprintf(what, sizeof what, "seed %d", (int)seed);
        chained += expect_same(&net, what) > 0;
        net_free(&net);
    }
    cr_expect_gt(chained, 20);
}
