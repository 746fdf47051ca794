/* tools/seedling.c - makes the embedded model: draws pictures (core/image/shapes.h), trains a small
 * convolutional network on them from scratch with the project's own engine, and writes it as an
 * ONNX file.
 *
 *     seedling OUT.onnx [STEPS]
 *
 * Four convolutions with ReLU and pooling, global average pooling, one product: 85,000 weights, He
 * initialisation (arXiv:1502.01852), Adam with a cosine schedule, a fresh batch of pictures at
 * every step. Repeatable: the same number of threads or not, the same instruction set gives the
 * same file. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/grad/grad.h"
#include "core/image/preprocess.h"
#include "core/image/shapes.h"
#include "core/train/optimizer.h"
#include "importers/onnx/load.h"
#include "tests/support/onnx_builder.h"

#define SIDE 64
#define BATCH 64
#define STEPS 2500
#define RATE 2e-3f
#define TEST_PICTURES 1024
#define SEED 20231

static const struct {
    const char *name;
    int out, in, kernel; /* kernel 0: the closing product */
} layers[] = {
    { "conv1", 16, 3, 5 }, { "conv2", 32, 16, 3 }, { "conv3", 64, 32, 3 }, { "conv4", 96, 64, 3 },
    { "classifier", CB_SHAPE_CLASSES, 96, 0 },
};
#define LAYERS (sizeof layers / sizeof *layers)

struct weights {
    float *w[LAYERS], *b[LAYERS];
};

static void die(struct cb_status st)
{
    if (st.code) {
        fprintf(stderr, "seedling: %s\n", st.msg);
        exit(1);
    }
}

static size_t weight_count(size_t i)
{
    const int taps = layers[i].kernel ? layers[i].kernel * layers[i].kernel : 1;
    return (size_t)(layers[i].out * layers[i].in * taps);
}

static struct weights initialise(struct cb_arena *arena, struct cb_rng *rng)
{
    struct weights w;
    for (size_t i = 0; i < LAYERS; i++) {
        const size_t n = weight_count(i);
        const float deviation = sqrtf(2.0f * (float)layers[i].out / (float)n);
        die(cb_arena_get(arena, n, sizeof(float), "weights", &w.w[i]));
        die(cb_arena_get(arena, (size_t)layers[i].out, sizeof(float), "weights", &w.b[i]));
        for (size_t k = 0; k < n; k++)
            w.w[i][k] = deviation * cb_rng_normal(rng);
    }
    return w;
}

static void add_layer(struct onnx_builder *b, size_t i, const struct weights *w, const char *in,
                      const char *out)
{
    const int64_t k = layers[i].kernel, pad = k / 2;
    char weight[32], bias[32], inputs[128];
    snprintf(weight, sizeof weight, "%s.weight", layers[i].name);
    snprintf(bias, sizeof bias, "%s.bias", layers[i].name);
    snprintf(inputs, sizeof inputs, "%s %s %s", in, weight, bias);
    onnx_floats(b, bias, ONNX_DIMS(layers[i].out), w->b[i]);
    if (k) {
        onnx_floats(b, weight, ONNX_DIMS(layers[i].out, layers[i].in, k, k), w->w[i]);
        onnx_node(b, "Conv", inputs, out);
        onnx_attr_ints(b, "kernel_shape", ONNX_DIMS(k, k));
        onnx_attr_ints(b, "pads", ONNX_DIMS(pad, pad, pad, pad));
    } else {
        onnx_floats(b, weight, ONNX_DIMS(layers[i].out, layers[i].in), w->w[i]);
        onnx_node(b, "Gemm", inputs, out);
        onnx_attr_int(b, "transB", 1);
    }
}

static void add_pool(struct onnx_builder *b, const char *in, const char *out)
{
    onnx_node(b, "MaxPool", in, out);
    onnx_attr_ints(b, "kernel_shape", ONNX_DIMS(2, 2));
    onnx_attr_ints(b, "strides", ONNX_DIMS(2, 2));
}

static const char recipe[] =
    "{\"resize\":{\"short_side\":64,\"interpolation\":\"bilinear\",\"antialias\":true},\"crop\":{"
    "\"height\":64,"
    "\"width\":64},\"color\":\"RGB\",\"range\":[-1,1],\"layout\":\"NCHW\"}";

static struct onnx_builder build(const struct weights *w)
{
    struct onnx_builder b = onnx_begin(13);
    char labels[256] = "";
    onnx_input(&b, "image", ONNX_FLOAT, ONNX_DIMS(-1, 3, SIDE, SIDE));
    for (size_t i = 0; i + 1 < LAYERS; i++) {
        char in[16] = "image", conv[16], relu[16], pooled[16];
        const bool last = i + 2 == LAYERS;
        if (i)
            snprintf(in, sizeof in, "pool%zu", i);
        snprintf(conv, sizeof conv, "conv%zu", i + 1);
        snprintf(relu, sizeof relu, last ? "features" : "relu%zu", i + 1);
        snprintf(pooled, sizeof pooled, "pool%zu", i + 1);
        add_layer(&b, i, w, in, conv);
        onnx_node(&b, "Relu", conv, relu);
        if (!last)
            add_pool(&b, relu, pooled);
    }
    onnx_node(&b, "GlobalAveragePool", "features", "pooled");
    onnx_node(&b, "Flatten", "pooled", "flat");
    add_layer(&b, LAYERS - 1, w, "flat", "logits");
    onnx_output(&b, "logits", ONNX_FLOAT);
    for (int c = 0; c < CB_SHAPE_CLASSES; c++)
        snprintf(labels + strlen(labels), sizeof labels - strlen(labels), "%s%s", c ? "\n" : "",
                 cb_shapes_label(c));
    onnx_property(&b, "cambium.labels", labels);
    onnx_property(&b, "cambium.recipe", recipe);
    return b;
}

/* A plan with a session and gradients of all weights; w then points at the session's own weights.
 */
struct trainer {
    struct cb_engine engine;
    struct cb_weights *packed;
    struct cb_onnx_model model;
    struct cb_plan *plan;
    struct cb_session *session;
    struct cb_grad *grad;
    struct cb_parameter parameters[2 * LAYERS];
};

static void open_trainer(struct trainer *t, struct cb_arena *arena, struct cb_bytes file)
{
    const struct cb_tensor input = { .shape = { 4, { BATCH, SIDE, SIDE, 3 } },
                                     .dtype = CB_FLOAT32 };
    int wrt[2 * LAYERS];
    t->engine = (struct cb_engine){ .kernels = cb_kernels_for(cb_isa_best()),
                                    .plan_budget = (size_t)1 << 32 };
    die(cb_threads_create(0, &t->engine.threads));
    die(cb_weights_create(&t->packed));
    die(cb_onnx_load(arena, file, &(struct cb_onnx_options){ 0 }, &t->model));
    for (size_t i = 0; i < 2 * LAYERS; i++) {
        char name[32];
        snprintf(name, sizeof name, "%s.%s", layers[i / 2].name, i % 2 ? "bias" : "weight");
        wrt[i] = cb_graph_find(&t->model.graph, name);
    }
    die(cb_plan_create(&t->engine, &t->model.graph, t->packed,
                       &(struct cb_plan_options){
                           .inputs = &input, .wrt = wrt, .n_wrt = 2 * LAYERS, .nhwc_input = true },
                       &t->plan));
    die(cb_session_create(t->plan, &t->session));
    die(cb_grad_create(t->session, &t->grad));
    for (size_t i = 0; i < 2 * LAYERS; i++) {
        const struct cb_tensor *w = cb_session_value(t->session, wrt[i]);
        t->parameters[i] = (struct cb_parameter){ .w = w->f, .g = cb_grad_of(t->grad, (int)i)->f,
                                                  .n = cb_tensor_count(w), .decay = i % 2 == 0 };
    }
}

/* Each picture has a generator of its own, so that threads may draw in any order. */
struct drawing {
    struct trainer *trainer;
    uint64_t first;
    int label[BATCH];
};

static void draw_one(void *ctx, size_t i, size_t worker)
{
    static const struct cb_recipe plain = { .color = CB_RGB,
                                            .range = { -1, 1 },
                                            .std = { 1, 1, 1 } };
    struct drawing *d = ctx;
    struct cb_rng rng = cb_rng_seed(SEED + d->first + i);
    struct cb_tensor *x = cb_session_input(d->trainer->session, 0);
    struct cb_arena arena;
    struct cb_image image;
    (void)worker;
    die(cb_arena_init(&arena, (size_t)1 << 22));
    d->label[i] = (int)cb_rng_below(&rng, CB_SHAPE_CLASSES);
    /* drawn larger and reduced, as a photo is */
    const int side = SIDE + (int)cb_rng_below(&rng, SIDE);
    die(cb_shapes_draw(&arena, &rng, d->label[i], side, &image, NULL));
    die(cb_image_resize(&arena, &image, SIDE, SIDE, CB_BILINEAR, true, &image));
    die(cb_preprocess(&arena, &plain, &image, x->f + i * SIDE * SIDE * 3));
    cb_arena_deinit(&arena);
}

/* Draws a batch, runs it; gives how many were right, adds to loss, and seeds d loss / d logits. */
static int run_batch(struct trainer *t, uint64_t first, double *loss)
{
    struct drawing d = { .trainer = t, .first = first };
    const float *logits;
    float *seed = cb_grad_seed(t->grad, 0)->f;
    int right = 0;
    cb_threads_for(t->engine.threads, BATCH, draw_one, &d);
    cb_session_run(t->session);
    logits = cb_session_output(t->session, 0)->f;
    for (int i = 0; i < BATCH; i++, logits += CB_SHAPE_CLASSES, seed += CB_SHAPE_CLASSES) {
        double sum = 0;
        int best = 0;
        for (int c = 1; c < CB_SHAPE_CLASSES; c++)
            best = logits[c] > logits[best] ? c : best;
        for (int c = 0; c < CB_SHAPE_CLASSES; c++)
            sum += exp((double)(logits[c] - logits[best]));
        for (int c = 0; c < CB_SHAPE_CLASSES; c++)
            seed[c] = ((float)(exp((double)(logits[c] - logits[best])) / sum) - (c == d.label[i])) /
                      BATCH;
        *loss += log(sum) - (double)(logits[d.label[i]] - logits[best]);
        right += best == d.label[i];
    }
    return right;
}

static void train(struct trainer *t, struct cb_arena *arena, int steps)
{
    const struct cb_optimizer_config config = cb_optimizer_default(CB_ADAM);
    struct cb_optimizer optimizer;
    size_t n = 0;
    double loss = 0;
    int right = 0;
    for (size_t i = 0; i < 2 * LAYERS; i++)
        n += t->parameters[i].n;
    die(cb_optimizer_init(&optimizer, arena, &config, n));
    for (int step = 0; step < steps; step++) {
        const float rate = RATE * 0.5f * (1 + cosf(3.14159265f * (float)step / (float)steps));
        right += run_batch(t, (uint64_t)step * BATCH, &loss);
        cb_grad_run(t->grad);
        cb_optimizer_step(&optimizer, t->parameters, 2 * LAYERS, rate);
        if (step % 100 == 99) {
            printf("step %d of %d: loss %.3f, right %.1f %%\n", step + 1, steps,
                   loss / (100 * BATCH), 100.0 * right / (100 * BATCH));
            fflush(stdout);
            loss = right = 0;
        }
    }
}

int main(int argc, char **argv)
{
    const int steps = argc > 2 ? atoi(argv[2]) : STEPS;
    struct cb_rng rng = cb_rng_seed(SEED);
    struct trainer t = { 0 };
    struct cb_arena arena;
    struct weights w;
    double loss = 0;
    int right = 0;
    if (argc < 2) {
        fprintf(stderr, "usage: seedling OUT.onnx [STEPS]\n");
        return 2;
    }
    die(cb_arena_init(&arena, (size_t)1 << 30));
    w = initialise(&arena, &rng);
    struct onnx_builder b = build(&w);
    open_trainer(&t, &arena, onnx_end(&b));
    train(&t, &arena, steps);
    for (int i = 0; i < TEST_PICTURES / BATCH; i++) /* pictures far behind those trained on */
        right += run_batch(&t, ((uint64_t)1 << 40) + (uint64_t)i * BATCH, &loss);
    printf("fresh pictures: %.1f %% of %d right, loss %.3f\n", 100.0 * right / TEST_PICTURES,
           TEST_PICTURES, loss / TEST_PICTURES);
    for (size_t i = 0; i < LAYERS; i++) {
        w.w[i] = t.parameters[2 * i].w;
        w.b[i] = t.parameters[2 * i + 1].w;
    }
    struct onnx_builder trained = build(&w);
    const struct cb_bytes out = onnx_end(&trained);
    die(cb_file_write(argv[1], out.data, out.len));
    onnx_free(&trained);
    onnx_free(&b);
    cb_grad_destroy(t.grad);
    cb_session_destroy(t.session);
    cb_plan_destroy(t.plan);
    cb_onnx_model_deinit(&t.model);
    cb_weights_release(t.packed);
    cb_threads_destroy(t.engine.threads);
    cb_arena_deinit(&arena);
    return 0;
}
