#include "core/train/hidden_layer.h"

#include <math.h>
#include <string.h>

#include "core/base/rng.h"
#include "core/train/cross_entropy.h"
#include "core/train/optimizer.h"

size_t cb_hidden_size(int inputs, int hidden, int classes)
{
    return ((size_t)inputs + 1) * (size_t)hidden + ((size_t)hidden + 1) * (size_t)classes;
}

struct cb_hidden_net cb_hidden_over(float *block, int inputs, int hidden, int classes)
{
    struct cb_hidden_net net = {
        .inputs = inputs, .hidden = hidden, .classes = classes, .w1 = block
    };
    net.b1 = net.w1 + (size_t)inputs * (size_t)hidden;
    net.w2 = net.b1 + hidden;
    net.b2 = net.w2 + (size_t)hidden * (size_t)classes;
    return net;
}

void cb_hidden_logits(const struct cb_products *p, const struct cb_hidden_net *net, size_t n,
                      const float *x, float *h, float *logits)
{
    const size_t in = (size_t)net->inputs, hidden = (size_t)net->hidden,
                 classes = (size_t)net->classes;
    cb_product_forward(p, n, in, hidden, x, net->w1, net->b1, 0, h);
    cb_product_forward(p, n, hidden, classes, h, net->w2, net->b2, -INFINITY, logits);
}

double cb_hidden_gradient(const struct cb_products *p, const struct cb_hidden_net *net,
                          const struct cb_hidden_batch *batch, float *gradient)
{
    const size_t n = batch->n, in = (size_t)net->inputs, hidden = (size_t)net->hidden,
                 classes = (size_t)net->classes;
    const struct cb_hidden_net g = cb_hidden_over(gradient, net->inputs, net->hidden, net->classes);
    cb_product_forward(p, n, in, hidden, batch->x, net->w1, net->b1, 0, batch->h);
    for (size_t i = 0; batch->keep && i < n * hidden; i++)
        batch->h[i] *= batch->keep[i];
    cb_product_forward(p, n, hidden, classes, batch->h, net->w2, net->b2, -INFINITY, batch->logits);
    const struct cb_cross_entropy entropy = {
        .n = n,
        .classes = classes,
        .row_stride = classes,
        .class_stride = 1,
        .logits = batch->logits,
        .labels = batch->labels,
        .weight = batch->weight,
        .gradient = batch->logits,
    };
    const double loss = cb_cross_entropy(&entropy, NULL);
    cb_product_to_weight(p, n, hidden, classes, batch->logits, batch->h, g.w2, g.b2);
    cb_product_to_input(p, n, hidden, classes, batch->logits, net->w2, batch->dh);
    for (size_t i = 0; i < n * hidden; i++) /* h is 0 where relu or dropout cut it off */
        batch->dh[i] =
            batch->h[i] > 0 ? batch->dh[i] * (batch->keep ? batch->keep[i] : 1.0f) : 0.0f;
    cb_product_to_weight(p, n, in, hidden, batch->dh, batch->x, g.w1, g.b1);
    return loss;
}

/* A training under way. */
struct run {
    const struct cb_hidden_training *t;
    const struct cb_hidden_net *net;
    struct cb_products products;
    struct cb_hidden_batch batch;
    struct cb_optimizer optimizer;
    struct cb_rng rng;
    size_t *order, n_teach; /* rows that teach */
    size_t step;            /* of them at a time */
    float *gradient, *best, *all_h, *all_logits;
};

static struct cb_status take_memory(struct run *r)
{
    const size_t in = (size_t)r->net->inputs, hidden = (size_t)r->net->hidden,
                 classes = (size_t)r->net->classes;
    const size_t size = cb_hidden_size(r->net->inputs, r->net->hidden, r->net->classes);
    struct cb_arena *scratch = r->t->scratch;
    const struct {
        float **to;
        size_t n;
    } blocks[] = {
        { &r->batch.x, CB_HIDDEN_BATCH * in },
        { &r->batch.weight, CB_HIDDEN_BATCH },
        { &r->batch.keep, CB_HIDDEN_BATCH * hidden },
        { &r->batch.h, CB_HIDDEN_BATCH * hidden },
        { &r->batch.dh, CB_HIDDEN_BATCH * hidden },
        { &r->batch.logits, CB_HIDDEN_BATCH * classes },
        { &r->all_h, r->t->n * hidden },
        { &r->all_logits, r->t->n * classes },
        { &r->gradient, size },
        { &r->best, size },
    };
    for (size_t i = 0; i < CB_COUNT_OF(blocks); i++)
        CB_TRY(cb_arena_get(scratch, blocks[i].n, sizeof(float), "training", blocks[i].to));
    CB_TRY(cb_arena_get(scratch, CB_HIDDEN_BATCH, sizeof(int), "training", &r->batch.labels));
    CB_TRY(cb_arena_get(scratch, r->t->n, sizeof(size_t), "training", &r->order));
    CB_TRY(cb_products_init(&r->products, r->t->engine, scratch, CB_HIDDEN_BATCH,
                            (size_t[]){ in, hidden, classes }));
    struct cb_optimizer_config config = cb_optimizer_default(CB_ADAMW);
    config.decay = r->t->decay;
    return cb_optimizer_init(&r->optimizer, scratch, &config, size);
}

static void start_weights(struct run *r)
{
    const struct cb_hidden_net *net = r->net;
    const size_t n1 = (size_t)net->inputs * (size_t)net->hidden,
                 n2 = (size_t)net->hidden * (size_t)net->classes;
    memset(net->w1, 0, cb_hidden_size(net->inputs, net->hidden, net->classes) * sizeof(float));
    for (size_t i = 0; i < n1; i++)
        net->w1[i] = cb_rng_normal(&r->rng) * sqrtf(2.0f / (float)net->inputs);
    for (size_t i = 0; i < n2; i++)
        net->w2[i] = cb_rng_normal(&r->rng) * sqrtf(1.0f / (float)net->hidden);
}

static void gather_batch(struct run *r, size_t from)
{
    const struct cb_hidden_training *t = r->t;
    const size_t in = (size_t)r->net->inputs, hidden = (size_t)r->net->hidden;
    r->batch.n = r->n_teach - from < r->step ? r->n_teach - from : r->step;
    for (size_t i = 0; i < r->batch.n; i++) {
        const size_t row = r->order[from + i];
        memcpy(r->batch.x + i * in, t->x + row * in, in * sizeof(float));
        r->batch.labels[i] = t->labels[row];
        r->batch.weight[i] = t->teach[row];
    }
    for (size_t i = 0; i < r->batch.n * hidden; i++)
        r->batch.keep[i] = cb_rng_uniform(&r->rng, 0, 1) < t->dropout ? 0 : 1 / (1 - t->dropout);
}

static double teach_epoch(struct run *r)
{
    const struct cb_hidden_net *net = r->net;
    const struct cb_hidden_net g =
        cb_hidden_over(r->gradient, net->inputs, net->hidden, net->classes);
    const size_t hidden = (size_t)net->hidden, classes = (size_t)net->classes;
    const struct cb_parameter parameters[] = {
        { net->w1, g.w1, (size_t)net->inputs * hidden, true },
        { net->b1, g.b1, hidden, false },
        { net->w2, g.w2, hidden * classes, true },
        { net->b2, g.b2, classes, false },
    };
    double loss = 0;
    cb_rng_shuffle(&r->rng, r->n_teach, r->order);
    for (size_t from = 0; from < r->n_teach; from += r->step) {
        gather_batch(r, from);
        loss += cb_hidden_gradient(&r->products, net, &r->batch, r->gradient) * (double)r->batch.n /
                (double)r->n_teach;
        cb_optimizer_step(&r->optimizer, parameters, CB_COUNT_OF(parameters), r->t->rate);
    }
    return loss;
}

static void judge_epoch(struct run *r, struct cb_hidden_epoch *epoch)
{
    const struct cb_hidden_training *t = r->t;
    const size_t classes = (size_t)r->net->classes;
    const struct cb_cross_entropy entropy = {
        .n = t->n,
        .classes = classes,
        .row_stride = classes,
        .class_stride = 1,
        .logits = r->all_logits,
        .labels = t->labels,
        .weight = t->judge,
    };
    cb_hidden_logits(&r->products, r->net, t->n, t->x, r->all_h, r->all_logits);
    for (size_t i = 0; i < t->n; i++) {
        const float *row = r->all_logits + i * classes;
        size_t best = 0;
        for (size_t k = 1; k < classes; k++)
            best = row[k] > row[best] ? k : best;
        epoch->correct += t->judge[i] > 0 && best == (size_t)t->labels[i];
    }
    epoch->judge_loss = cb_cross_entropy(&entropy, NULL);
}

static struct cb_status train(struct run *r, int *best_epoch)
{
    const struct cb_hidden_training *t = r->t;
    const size_t bytes =
        cb_hidden_size(r->net->inputs, r->net->hidden, r->net->classes) * sizeof(float);
    double best = INFINITY;
    *best_epoch = 0;
    for (int e = 1; e <= t->epochs && (!t->judge || e - *best_epoch <= t->patience); e++) {
        struct cb_hidden_epoch epoch = { .epoch = e, .train_loss = teach_epoch(r) };
        if (t->judge)
            judge_epoch(r, &epoch);
        if (!t->judge || epoch.judge_loss < best) {
            best = epoch.judge_loss;
            *best_epoch = e;
            memcpy(r->best, r->net->w1, bytes);
        }
        if (t->on_epoch && !t->on_epoch(t->ctx, &epoch))
            return cb_fail(CB_ERR_CANCELLED, "training was cancelled");
    }
    if (*best_epoch)
        memcpy(r->net->w1, r->best, bytes);
    return cb_ok();
}

struct cb_status cb_hidden_train(const struct cb_hidden_training *training,
                                 struct cb_hidden_net *net, int *best_epoch)
{
    const size_t mark = training->scratch->used;
    struct run r = { .t = training, .net = net, .rng = cb_rng_seed(training->seed) };
    struct cb_status st = take_memory(&r);
    if (st.code == CB_OK) {
        for (size_t i = 0; i < training->n; i++)
            if (training->teach[i] > 0)
                r.order[r.n_teach++] = i;
        r.step = r.n_teach / 8 < 4                 ? 4
                 : r.n_teach / 8 < CB_HIDDEN_BATCH ? r.n_teach / 8
                                                   : CB_HIDDEN_BATCH;
        start_weights(&r);
        st = train(&r, best_epoch);
    }
    cb_arena_rewind(training->scratch, mark);
    return st;
}
