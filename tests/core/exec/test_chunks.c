/* The first part of a network, a few images at a time: the same results, whatever the chunks, and
 * no memory lost between them. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "core/exec/plan_internal.h"
#include "tests/support/close.h"
#include "tests/support/net.h"
#include "tests/support/plan_memory.h"

#define ALWAYS ((size_t)1) /* one image at a time */
#define NEVER ((size_t)1 << 40)

static struct cb_engine engine;

static struct cb_plan *plan_of(struct net *net, enum cb_isa isa, size_t cache, int wrt)
{
    struct cb_tensor input = { .shape = net->graph.values[net->graph.inputs[0]].shape,
                               .dtype = CB_FLOAT32 };
    engine = (struct cb_engine){ .kernels = cb_kernels_for(isa),
                                 .plan_budget = (size_t)1 << 30,
                                 .cache_bytes = cache };
    return net_plan(net, &engine,
                    &(struct cb_plan_options){ .inputs = &input, .wrt = &wrt, .n_wrt = wrt >= 0 });
}

/* All outputs, one after the other. */
static size_t run(struct net *net, const struct cb_plan *plan, float **out)
{
    struct cb_session *s = NULL;
    struct cb_rng rng = cb_rng_seed(9);
    size_t n = 0;
    cr_assert(cb_session_create(plan, &s).code == CB_OK);
    for (int again = 0; again < 2; again++) { /* a second run finds the first one's traces */
        struct cb_tensor *x = cb_session_input(s, 0);
        rng = cb_rng_seed(9);
        cb_rng_fill(&rng, cb_tensor_count(x), x->f);
        cb_session_run(s);
    }
    for (int i = 0; i < plan->n_outputs; i++)
        n += cb_tensor_count(cb_session_output(s, i));
    *out = cb_arena_alloc(&net->arena, n, sizeof **out);
    cr_assert(*out);
    n = 0;
    for (int i = 0; i < plan->n_outputs; i++) {
        const struct cb_tensor *y = cb_session_output(s, i);
        memcpy(*out + n, y->f, cb_tensor_bytes(y));
        n += cb_tensor_count(y);
    }
    cb_session_destroy(s);
    return n;
}

/* With chunks as `cache` makes them, and without any. Gives how many nodes run in chunks. */
static int expect_same(struct net *net, size_t cache, const char *what)
{
    struct cb_plan *plan = plan_of(net, CB_ISA_GENERIC, NEVER, -1);
    float *want, *got;
    int end = 0;
    const size_t n = run(net, plan, &want);
    cr_assert_eq(plan->chunks.end, 0);
    cb_plan_destroy(plan);
    for (enum cb_isa isa = CB_ISA_GENERIC; isa <= cb_isa_best(); isa++) {
        plan = plan_of(net, isa, cache, -1);
        plan_memory_check(plan, what);
        cr_assert_eq(run(net, plan, &got), n);
        cb_expect_close(n, got, want, "%s, isa %d, %d nodes x %d", what, (int)isa, plan->chunks.end,
                        (int)plan->chunks.count);
        end = plan->chunks.end;
        cb_plan_destroy(plan);
    }
    return end;
}

static int concat(struct net *net, int a, int b)
{
    return net_concat(net, 2, (int[]){ a, b });
}

/* Branches, gates, a residual, a normalisation, a head. */
static void build(struct net *net, int images, bool inner_output)
{
    const int x = net_input(net, "x", (struct cb_shape){ 4, { images, 9, 13, 11 } });
    const int a =
        net_relu(net, "a", net_batch_norm(net, "n", net_conv(net, "a", x, 9, 8, 3, 1, true), 8));
    const int b =
        concat(net, net_conv(net, "b", a, 8, 8, 1, 0, true), net_op(net, CB_OP_TANH, "t", a, -1));
    int gate = net_op(net, CB_OP_REDUCE_MEAN, "squeeze", b, -1);
    net_last(net)->attr.reduce.axes = (struct cb_list){ 2, { 2, 3 } };
    gate = net_op(net, CB_OP_SIGMOID, "gate", net_conv(net, "g", gate, 16, 16, 1, 0, true), -1);
    const int c = net_conv(net, "c", net_op(net, CB_OP_MUL, "mul", b, gate), 16, 8, 1, 0, true);
    const int d = net_op(net, CB_OP_ADD, "add", c, a);
    const int k = net_constant(net, "k", (struct cb_shape){ 3, { 8, 1, 1 } }, -1, 1);
    const int e = net_pool(net, "e", net_op(net, CB_OP_SUB, "sub", d, k));
    int f = net_op(net, CB_OP_REDUCE_MEAN, "mean", net_conv(net, "f", e, 8, 7, 3, 1, true), -1);
    net_last(net)->attr.reduce.axes = (struct cb_list){ 2, { 2, 3 } };
    f = net_op(net, CB_OP_FLATTEN, "flatten", f, -1);
    net_last(net)->attr.axis.axis = 1;
    const int w = net_constant(net, "w", (struct cb_shape){ 2, { 7, 5 } }, -1, 1);
    net_finish(net, net_op(net, CB_OP_SOFTMAX, "y", net_op(net, CB_OP_MATMUL, "m", f, w), -1));
    if (inner_output)
        net_finish(net, d);
}

Test(chunks, a_network_gives_the_same_for_every_size_of_chunk)
{
    static const int batches[] = { 2, 3, 4, 6 };
    static const size_t caches[] = { ALWAYS, 20000, 30000, 60000 };
    for (size_t i = 0; i < 4; i++)
        for (size_t k = 0; k < 4; k++)
            for (int inner = 0; inner < 2; inner++) {
                char what[64];
                struct net net = net_begin(50);
                build(&net, batches[i], inner);
                snprintf(what, sizeof what, "%d images, cache %zu", batches[i], caches[k]);
                const int end = expect_same(&net, caches[k], what);
                cr_expect(end > 0 || caches[k] >= 20000, "%s: nothing runs in chunks", what);
                net_free(&net);
            }
}

Test(chunks, hold_as_many_images_as_fit_the_cache)
{
    static const struct {
        size_t cache;
        int64_t images;
    } forms[] = { { ALWAYS, 1 }, { 24000, 2 }, { 36000, 3 } };
    for (size_t i = 0; i < 3; i++) {
        struct net net = net_begin(51);
        const int x = net_input(&net, "x", (struct cb_shape){ 4, { 6, 9, 13, 11 } });
        net_finish(&net, net_conv(&net, "a", x, 9, 9, 1, 0, true)); /* 5148 bytes in, as many out */
        struct cb_plan *plan = plan_of(&net, cb_isa_best(), forms[i].cache, -1);
        cr_expect_gt(plan->chunks.end, 0);
        cr_expect_eq(plan->chunks.images, forms[i].images, "cache %zu: %d", forms[i].cache,
                     (int)plan->chunks.images);
        cr_expect_eq(plan->chunks.images * plan->chunks.count, 6);
        cb_plan_destroy(plan);
        net_free(&net);
    }
}

Test(chunks, take_less_memory_than_the_batch)
{
    struct net net = net_begin(52);
    build(&net, 6, false);
    struct cb_plan *whole = plan_of(&net, cb_isa_best(), NEVER, -1);
    struct cb_plan *parts = plan_of(&net, cb_isa_best(), ALWAYS, -1);
    cr_expect_lt(parts->scratch_offset, whole->scratch_offset / 2);
    cb_plan_destroy(whole);
    cb_plan_destroy(parts);
    net_free(&net);
}

Test(chunks, there_are_none_where_gradients_flow_or_weights_are_large)
{
    struct net net = net_begin(53);
    build(&net, 4, false);
    struct cb_plan *plan = plan_of(&net, cb_isa_best(), ALWAYS, net.graph.inputs[0]);
    cr_expect_eq(plan->chunks.end, 0);
    cb_plan_destroy(plan);
    net_free(&net);
    net = net_begin(53);
    const int x = net_input(&net, "x", (struct cb_shape){ 4, { 4, 9, 2, 1 } });
    net_finish(&net, net_conv(&net, "a", x, 9, 9, 3, 1, true));
    plan = plan_of(&net, cb_isa_best(), ALWAYS, -1);
    for (int i = 0; i < plan->chunks.end; i++)
        cr_expect_neq(plan->graph.nodes[i].op, CB_OP_CONV);
    cb_plan_destroy(plan);
    net_free(&net);
}

/* What looks beyond its image, right behind a convolution. */
static int mix(struct net *net, int form, int y)
{
    const int same = net_constant(net, "k", (struct cb_shape){ 4, { 4, 8, 13, 11 } }, -1, 1);
    int z;
    switch (form) {
    case 0:
        z = net_op(net, CB_OP_REDUCE_MAX, "over images", y, -1);
        net_last(net)->attr.reduce.axes = (struct cb_list){ 1, { 0 } };
        return net_op(net, CB_OP_SUB, "sub", y, z);
    case 1: return net_op(net, CB_OP_SUB, "sub", y, same);
    case 2:
        z = net_op(net, CB_OP_SOFTMAX, "softmax", y, -1);
        net_last(net)->attr.softmax.axis = 0;
        return z;
    case 3:
        z = net_op(net, CB_OP_SLICE, "slice", y, -1);
        net_last(net)->attr.slice.starts = (struct cb_list){ 1, { 3 } };
        net_last(net)->attr.slice.ends = (struct cb_list){ 1, { -9 } };
        net_last(net)->attr.slice.axes = (struct cb_list){ 1, { 0 } };
        net_last(net)->attr.slice.steps = (struct cb_list){ 1, { -1 } };
        return net_op(net, CB_OP_ADD, "add", y, z);
    case 4:
        z = net_op(net, CB_OP_RESHAPE, "reshape", y, -1);
        net_last(net)->attr.reshape.dims = (struct cb_list){ 4, { 2, 16, 13, 11 } };
        z = net_op(net, CB_OP_SOFTMAX, "softmax", z, -1);
        net_last(net)->attr.softmax.axis = 1;
        return z;
    default: {
        z = net_op(net, CB_OP_TRANSPOSE, "transpose", y, -1);
        net_last(net)->attr.transpose.rank = 4;
        memcpy(net_last(net)->attr.transpose.perm, (int[]){ 1, 0, 2, 3 }, 4 * sizeof(int));
        return net_op(net, CB_OP_TANH, "tanh", z, -1);
    }
    }
}

Test(chunks, end_before_what_looks_at_other_images)
{
    for (int form = 0; form < 6; form++) {
        char what[32];
        struct net net = net_begin(54);
        const int x = net_input(&net, "x", (struct cb_shape){ 4, { 4, 9, 13, 11 } });
        net_finish(&net, mix(&net, form, net_conv(&net, "a", x, 9, 8, 1, 0, true)));
        snprintf(what, sizeof what, "form %d", form);
        cr_expect_gt(expect_same(&net, ALWAYS, what), 0, "%s", what);
        net_free(&net);
    }
}

Test(chunks, no_memory_is_lost_in_networks_at_random)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct net net = net_begin(seed);
        struct cb_rng rng = cb_rng_seed(seed);
        char what[32];
        net_random(&net, seed, (struct cb_shape){ 4, { 4, 9, 9, 10 } });
        snprintf(what, sizeof what, "seed %d", (int)seed);
        expect_same(&net, 1 + cb_rng_below(&rng, 60000), what);
        net_free(&net);
    }
}
