#include "tests/support/net.h"

#include <criterion/criterion.h>
#include <string.h>

#define OK(expr)                                                                                   \
    do {                                                                                           \
        const struct cb_status st_ = (expr);                                                       \
        cr_assert(st_.code == CB_OK, "%s", st_.msg);                                               \
    } while (0)

struct net net_begin(uint64_t seed)
{
    struct net net = { .rng = cb_rng_seed(seed) };
    OK(cb_arena_init(&net.arena, (size_t)1 << 30));
    OK(cb_weights_create(&net.weights));
    cb_graph_init(&net.graph, NULL);
    return net;
}

void net_free(struct net *net)
{
    cb_weights_release(net->weights);
    cb_arena_deinit(&net->arena);
}

/* The graph keeps a pointer to the arena, which moved when the struct was returned. */
static struct cb_graph *graph_of(struct net *net)
{
    net->graph.arena = &net->arena;
    return &net->graph;
}

int net_input(struct net *net, const char *name, struct cb_shape shape)
{
    OK(cb_graph_add_value(graph_of(net), name, CB_FLOAT32, &shape, &net->input));
    OK(cb_graph_add_input(&net->graph, net->input));
    return net->input;
}

int net_constant(struct net *net, const char *name, struct cb_shape shape, float lo, float hi)
{
    struct cb_tensor t = { .shape = shape, .dtype = CB_FLOAT32 };
    const size_t n = cb_tensor_count(&t);
    int v;
    t.data = cb_arena_alloc(&net->arena, n, sizeof(float));
    cr_assert(t.data);
    for (size_t i = 0; i < n; i++)
        t.f[i] = cb_rng_uniform(&net->rng, lo, hi);
    OK(cb_graph_add_constant(graph_of(net), name, &t, &v));
    return v;
}

static int add(struct net *net, enum cb_op op, const char *name, int n_in, const int *in)
{
    OK(cb_graph_add_value(graph_of(net), name, CB_FLOAT32, NULL, &net->output));
    OK(cb_graph_add_node(&net->graph, op, name, n_in, in, 1, &net->output, NULL));
    return net->output;
}

struct cb_node *net_last(struct net *net)
{
    return &net->graph.nodes[net->graph.n_nodes - 1];
}

int net_op(struct net *net, enum cb_op op, const char *name, int a, int b)
{
    return add(net, op, name, b < 0 ? 1 : 2, (int[]){ a, b });
}

int net_transpose(struct net *net, const char *name, int x, bool to_nhwc)
{
    static const int perm[2][4] = { { 0, 3, 1, 2 }, { 0, 2, 3, 1 } };
    const int v = add(net, CB_OP_TRANSPOSE, name, 1, &x);
    net_last(net)->attr.transpose.rank = 4;
    memcpy(net_last(net)->attr.transpose.perm, perm[to_nhwc], sizeof perm[0]);
    return v;
}

int net_conv(struct net *net, const char *name, int x, int cin, int cout, int kernel, int pad,
             bool bias)
{
    const float scale = 1.5f / (float)(kernel * kernel);
    int in[3] = { net_transpose(net, "x@nhwc", x, true) };
    in[1] = net_constant(net, "w", (struct cb_shape){ 4, { cout, cin, kernel, kernel } }, -scale,
                         scale);
    in[2] = bias ? net_constant(net, "b", (struct cb_shape){ 1, { cout } }, -0.2f, 0.2f) : -1;
    const int y = add(net, CB_OP_CONV, name, bias ? 3 : 2, in);
    struct cb_window *w = &net_last(net)->attr.conv.window;
    w->rank = 2;
    for (int i = 0; i < 2; i++) {
        w->kernel[i] = kernel;
        w->pad_begin[i] = w->pad_end[i] = pad;
    }
    return net_transpose(net, name, y, false);
}

int net_batch_norm(struct net *net, const char *name, int x, int channels)
{
    const struct cb_shape shape = { 1, { channels } };
    int in[5] = { net_transpose(net, "x@nhwc", x, true) };
    in[1] = net_constant(net, "gamma", shape, 0.5f, 1.5f);
    in[2] = net_constant(net, "beta", shape, -0.3f, 0.3f);
    in[3] = net_constant(net, "mean", shape, -0.3f, 0.3f);
    in[4] = net_constant(net, "var", shape, 0.5f, 1.5f);
    return net_transpose(net, name, add(net, CB_OP_BATCH_NORM, name, 5, in), false);
}

int net_pool(struct net *net, const char *name, int x)
{
    const int in = net_transpose(net, "x@nhwc", x, true),
              y = add(net, net->smooth ? CB_OP_AVERAGE_POOL : CB_OP_MAX_POOL, name, 1, &in);
    struct cb_window *w = &net_last(net)->attr.pool.window;
    w->rank = 2;
    for (int i = 0; i < 2; i++) {
        w->kernel[i] = 3;
        w->stride[i] = 2;
        w->pad_begin[i] = w->pad_end[i] = 1;
    }
    return net_transpose(net, name, y, false);
}

int net_relu(struct net *net, const char *name, int x)
{
    return net_op(net, net->smooth ? CB_OP_TANH : CB_OP_RELU, name, x, -1);
}

void net_residual(struct net *net, int n, int h, int w, int *layer)
{
    const int x = net_input(net, "x", (struct cb_shape){ 4, { n, 3, h, w } });
    int a = net_conv(net, "stem", x, 3, 8, 3, 1, true), b, c;
    a = net_relu(net, "stem_relu", net_batch_norm(net, "stem_bn", a, 8));
    a = net_pool(net, "pool", a);
    b = net_relu(net, "r1",
                 net_batch_norm(net, "bn1", net_conv(net, "c1", a, 8, 8, 3, 1, false), 8));
    b = net_batch_norm(net, "bn2", net_conv(net, "c2", b, 8, 8, 1, 0, false), 8);
    a = net_relu(net, "r2", net_op(net, CB_OP_ADD, "sum", a, b));
    c = net_op(net, CB_OP_MUL, "scaled", net_conv(net, "c3", a, 8, 7, 3, 1, true),
               net_constant(net, "per_channel", (struct cb_shape){ 3, { 7, 1, 1 } }, 0.5f, 1.5f));
    a = net_op(net, CB_OP_CONCAT, "joined", a, c);
    net_last(net)->attr.axis.axis = 1;
    a = net_op(net, net->smooth ? CB_OP_SOFTPLUS : CB_OP_LEAKY_RELU, "features", a, -1);
    *layer = a;
    a = net_transpose(net, "gap",
                      net_op(net, CB_OP_GLOBAL_AVERAGE_POOL, "gap@nhwc",
                             net_transpose(net, "x@nhwc", a, true), -1),
                      false);
    a = net_op(net, CB_OP_FLATTEN, "flat", a, -1);
    a = net_op(net, CB_OP_MATMUL, "product", a,
               net_constant(net, "fc", (struct cb_shape){ 2, { 15, 5 } }, -1, 1));
    a = net_op(net, CB_OP_ADD, "logits", a,
               net_constant(net, "fc_b", (struct cb_shape){ 1, { 5 } }, -1, 1));
    OK(cb_graph_add_output(&net->graph, a));
}

struct cb_plan *net_plan(struct net *net, const struct cb_engine *engine,
                         const struct cb_plan_options *options)
{
    struct cb_plan *plan = NULL;
    graph_of(net);
    OK(cb_plan_create(engine, &net->graph, net->weights, options, &plan));
    return plan;
}

int net_concat(struct net *net, int n, const int *parts)
{
    const int y = add(net, CB_OP_CONCAT, "concat", n, parts);
    net_last(net)->attr.axis.axis = 1;
    return y;
}

void net_finish(struct net *net, int y)
{
    OK(cb_graph_add_output(&net->graph, y));
}

void net_random(struct net *net, uint64_t seed, struct cb_shape x)
{
    struct cb_rng rng = cb_rng_seed(seed);
    int value[14] = { net_input(net, "x", x) }, channels[14] = { (int)x.dim[1] }, n = 1;
    for (; n < 14; n++) {
        const int from = (int)cb_rng_below(&rng, (uint64_t)n), kind = (int)cb_rng_below(&rng, 6);
        channels[n] = channels[from];
        if (kind < 3) {
            channels[n] = 8 + (int)cb_rng_below(&rng, 4);
            value[n] = net_conv(net, "conv", value[from], channels[from], channels[n],
                                kind == 0 ? 1 : 3, kind == 0 ? 0 : 1, true);
        } else if (kind == 3) {
            value[n] = net_relu(net, "relu", value[from]);
        } else {
            int parts[4], count = 2 + (int)cb_rng_below(&rng, 3);
            channels[n] = 0;
            for (int k = 0; k < count; k++) {
                const int part = kind == 4 ? k % n : (int)cb_rng_below(&rng, (uint64_t)n);
                parts[k] = value[part];
                channels[n] += channels[part];
            }
            value[n] = net_concat(net, count, parts);
        }
    }
    for (int k = 1; k < n; k++)
        if (k == n - 1 || cb_rng_below(&rng, 5) == 0)
            net_finish(net, value[k]);
}

struct cb_tensor net_run(struct net *net, enum cb_isa isa, size_t threads, bool no_passes,
                         bool nhwc_input)
{
    struct cb_engine engine = { .kernels = cb_kernels_for(isa), .plan_budget = (size_t)1 << 30 };
    struct cb_tensor input = { .shape = graph_of(net)->values[net->graph.inputs[0]].shape,
                               .dtype = CB_FLOAT32 },
                     y;
    const struct cb_shape s = input.shape;
    struct cb_plan_options options = { .inputs = &input,
                                       .no_passes = no_passes,
                                       .nhwc_input = nhwc_input };
    struct cb_rng rng = cb_rng_seed(99);
    struct cb_plan *plan;
    struct cb_session *session = NULL;
    if (nhwc_input)
        input.shape = (struct cb_shape){ 4, { s.dim[0], s.dim[2], s.dim[3], s.dim[1] } };
    OK(cb_threads_create(threads, &engine.threads));
    plan = net_plan(net, &engine, &options);
    OK(cb_session_create(plan, &session));
    float *x = cb_session_input(session, 0)->f;
    const size_t area = s.rank == 4 ? (size_t)(s.dim[2] * s.dim[3]) : 1,
                 channels = s.rank == 4 ? (size_t)s.dim[1] : 1;
    for (size_t i = 0; i < cb_shape_count(&s); i++) { /* in [N,C,H,W] order, whatever the layout */
        const size_t n = i / (area * channels), c = i / area % channels, p = i % area;
        x[nhwc_input ? (n * area + p) * channels + c : i] = cb_rng_uniform(&rng, -1, 1);
    }
    cb_session_run(session);
    y = *cb_session_output(session, 0);
    float *copy = cb_arena_alloc(&net->arena, cb_tensor_bytes(&y) + sizeof *copy, 1);
    cr_assert(copy);
    memcpy(copy, y.data, cb_tensor_bytes(&y));
    y.f = copy;
    cb_session_destroy(session);
    cb_plan_destroy(plan);
    cb_threads_destroy(engine.threads);
    return y;
}
