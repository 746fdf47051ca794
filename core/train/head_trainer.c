#include "core/train/head_trainer.h"

#include <math.h>
#include <string.h>

#include "core/model/softmax.h"
#include "core/train/hidden_layer.h"
#include "core/train/softmax_regression.h"
#include "core/train/split.h"
#include "core/train/temperature.h"

#define SCRATCH_BUDGET ((size_t)8 << 30) /* address space; bounds what one training may take */
#define FOLDS 4
#define PARTS 10           /* of the held-out examples, each judged with the others' temperature */
#define MANY_EXAMPLES 5000 /* from here on one fold judges instead of all */
#define DEFAULT_EPOCHS 300
#define DEFAULT_RATE 1e-3f
#define DEFAULT_DECAY 1e-2f

const struct cb_head_config cb_head_config_default = {
    .dropout = 0.5f, .patience = 20, .l2 = -1, .held_out = 0.2f, .balance = true, .seed = 1
};

/* A training under way. Arrays lie in scratch. Rows are the examples and their views. */
struct trainer {
    const struct cb_head_job *job;
    struct cb_arena scratch;
    bool judged;     /* a part is held out */
    int views, rows; /* of an example; of all */
    int *labels;     /* [rows] */
    bool *held_out;  /* [rows] also every view of an example that is */
    bool *original;  /* [rows] no view */
    float *all, *teach,
        *judge; /* [rows] weights: of each, those that teach, the examples held out */
    int n_judge;
    float *mean, scale; /* x = (feature - mean) x scale */
    float *x;           /* [rows, width] */
    size_t width;       /* inputs; for regression one more, that is 1 */
    int epochs;
};

/* The part that judges, as rows. */
struct held_out {
    float *logits;         /* [2 n, classes] */
    int *labels, *example; /* [2 n], [n] */
};

static struct cb_status check(struct trainer *t)
{
    const struct cb_head_job *job = t->job;
    const int least = t->judged ? 2 : 1;
    int *count;
    if (job->classes < 2)
        return cb_fail(CB_ERR_CONTENT, "training wants at least 2 classes, has %d", job->classes);
    CB_TRY(cb_arena_get(&t->scratch, (size_t)job->classes, sizeof(int), "class counts", &count));
    for (int i = 0; i < job->n; i++)
        count[job->labels[i]]++;
    for (int c = 0; c < job->classes; c++)
        if (count[c] < least)
            return cb_fail(CB_ERR_CONTENT, "class %d wants at least %d example%s, has %d", c, least,
                           least > 1 ? "s" : "", count[c]);
    for (int i = 0; i < t->rows; i++)
        for (int k = 0; k < job->inputs; k++)
            if (!isfinite(job->features[(size_t)i * (size_t)job->inputs + (size_t)k]))
                return cb_fail(CB_ERR_CONTENT, "example %d: feature %d is not finite", i / t->views,
                               k);
    return cb_ok();
}

/* Labels of all rows, and which of them are held out: decided by example. */
static struct cb_status deal_out(struct trainer *t)
{
    const struct cb_head_job *job = t->job;
    const size_t rows = (size_t)t->rows;
    bool *held_out;
    if (t->judged)
        CB_TRY(cb_split_held_out(&t->scratch, job->labels, job->n, job->classes,
                                 job->config->held_out, job->config->seed, &held_out));
    else
        CB_TRY(cb_arena_get(&t->scratch, (size_t)job->n, sizeof(bool), "split", &held_out));
    CB_TRY(cb_arena_get(&t->scratch, rows, sizeof(int), "labels", &t->labels));
    CB_TRY(cb_arena_get(&t->scratch, rows, sizeof(bool), "split", &t->held_out));
    CB_TRY(cb_arena_get(&t->scratch, rows, sizeof(bool), "split", &t->original));
    for (int i = 0; i < t->rows; i++) {
        t->labels[i] = job->labels[i / t->views];
        t->held_out[i] = held_out[i / t->views];
        t->original[i] = i % t->views == 0;
    }
    return cb_ok();
}

/* Class weights come from the examples: each has the same number of views. */
static struct cb_status weigh(struct trainer *t)
{
    const struct cb_head_job *job = t->job;
    const size_t rows = (size_t)t->rows;
    float *class_weight;
    CB_TRY(deal_out(t));
    CB_TRY(cb_arena_get(&t->scratch, (size_t)job->classes, sizeof(float), "class weights",
                        &class_weight));
    CB_TRY(cb_arena_get(&t->scratch, rows, sizeof(float), "example weights", &t->all));
    CB_TRY(cb_arena_get(&t->scratch, rows, sizeof(float), "example weights", &t->teach));
    CB_TRY(cb_arena_get(&t->scratch, rows, sizeof(float), "example weights", &t->judge));
    cb_split_class_weights(job->labels, job->n, job->classes, job->config->balance, class_weight);
    for (size_t i = 0; i < rows; i++) {
        const bool judges = t->held_out[i] && t->original[i];
        t->all[i] = class_weight[t->labels[i]];
        t->teach[i] = t->held_out[i] ? 0 : t->all[i];
        t->judge[i] = judges ? t->all[i] : 0;
        t->n_judge += judges;
    }
    return cb_ok();
}

/* Mean of each feature and the common scale, from the examples that teach. */
static struct cb_status measure(struct trainer *t)
{
    const size_t n = (size_t)t->rows, d = (size_t)t->job->inputs;
    const double teaching = (double)(t->job->n - t->n_judge) * t->views;
    double *sum, *square, variance = 0;
    CB_TRY(cb_arena_get(&t->scratch, d, sizeof(double), "feature means", &sum));
    CB_TRY(cb_arena_get(&t->scratch, d, sizeof(double), "feature means", &square));
    CB_TRY(cb_arena_get(&t->scratch, d, sizeof(float), "feature means", &t->mean));
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; !t->held_out[i] && k < d; k++) {
            const double v = (double)t->job->features[i * d + k];
            sum[k] += v;
            square[k] += v * v;
        }
    for (size_t k = 0; k < d; k++) {
        t->mean[k] = (float)(sum[k] / teaching);
        variance += fmax(0, square[k] / teaching - (sum[k] / teaching) * (sum[k] / teaching));
    }
    variance /= (double)d;
    t->scale = variance > 1e-20 ? (float)(1 / sqrt(variance)) : 1.0f;
    return cb_ok();
}

static struct cb_status standardise(struct trainer *t)
{
    const size_t n = (size_t)t->rows, d = (size_t)t->job->inputs;
    t->width = t->job->config->hidden ? d : d + 1;
    CB_TRY(measure(t));
    CB_TRY(cb_arena_get(&t->scratch, n * t->width, sizeof(float), "features", &t->x));
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < d; k++)
            t->x[i * t->width + k] = (t->job->features[i * d + k] - t->mean[k]) * t->scale;
        if (t->width > d)
            t->x[i * t->width + d] = 1;
    }
    return cb_ok();
}

/* Weights on x (rows `stride` apart) become weights on features: W (f - mean) scale + b. */
static void fold_scale(const struct trainer *t, int rows, const float *w, size_t stride,
                       float *w_out, float *b_out)
{
    const size_t d = (size_t)t->job->inputs;
    for (size_t r = 0; r < (size_t)rows; r++) {
        double shift = 0;
        for (size_t k = 0; k < d; k++) {
            w_out[r * d + k] = w[r * stride + k] * t->scale;
            shift += (double)w_out[r * d + k] * (double)t->mean[k];
        }
        b_out[r] = (float)((double)b_out[r] - shift);
    }
}

static bool cancelled(const struct trainer *t)
{
    return t->job->cancel && atomic_load(t->job->cancel);
}

static void report(const struct trainer *t, int epoch, double train_loss, double loss, int correct)
{
    if (t->job->on_epoch)
        t->job->on_epoch(t->job->ctx,
                         &(struct cb_epoch){ epoch, t->epochs, (float)train_loss, (float)loss,
                                             (float)correct / (float)t->n_judge });
}

/* Where the k-th of n held-out examples stands when they are dealt out to `parts`, a stretch each:
 * every part then has its share of every class. */
static size_t place_of(size_t k, size_t n, size_t parts)
{
    const size_t part = k % parts, more = n % parts;
    return part * (n / parts) + (part < more ? part : more) + k / parts;
}

/* Logits and labels of the held-out examples, by their places, twice over: all that is outside one
 * stretch is then a stretch too. */
static struct cb_status held_out_logits(struct trainer *t, const struct cb_head *head, size_t parts,
                                        struct cb_arena *arena, struct held_out *out)
{
    const size_t d = (size_t)t->job->inputs, classes = (size_t)t->job->classes;
    const size_t n = (size_t)t->n_judge;
    CB_TRY(cb_arena_get(&t->scratch, 2 * n * classes, sizeof(float), "logits", &out->logits));
    CB_TRY(cb_arena_get(arena, 2 * n, sizeof(int), "labels", &out->labels));
    CB_TRY(cb_arena_get(arena, n, sizeof(int), "examples", &out->example));
    for (size_t i = 0, k = 0; i < (size_t)t->rows; i++)
        if (t->held_out[i] && t->original[i]) {
            const size_t row = place_of(k++, n, parts);
            cb_head_run(head, 1, t->job->features + i * d, out->logits + row * classes);
            out->labels[row] = out->labels[n + row] = t->labels[i];
            out->example[row] = (int)i / t->views;
        }
    memcpy(out->logits + n * classes, out->logits, n * classes * sizeof(float));
    return cb_ok();
}

/* Each part's temperature comes from the others, so that what is judged was not fitted to the
 * examples that judge; the head that is handed out gets the temperature of all. */
static struct cb_status judge_head(struct trainer *t, const struct cb_head *head,
                                   struct cb_arena *arena, struct cb_head_judgement *out)
{
    const int k = t->job->classes, n = t->n_judge, parts = n < PARTS ? n : PARTS;
    struct held_out h;
    float *p;
    CB_TRY(held_out_logits(t, head, (size_t)parts, arena, &h));
    CB_TRY(cb_arena_get(arena, (size_t)n * (size_t)k, sizeof(float), "probabilities", &p));
    cb_temperature_softmax(h.logits, n, k, 1, p);
    out->plain_loss = cb_negative_log_likelihood(p, h.labels, n, k);
    out->plain_error = cb_reliability_of(p, h.labels, n, k).error;
    out->temperature = cb_temperature_fit(h.logits, h.labels, n, k);
    for (int part = 0, from = 0, to; part < parts; part++, from = to) {
        to = from + n / parts + (part < n % parts);
        const size_t first = (size_t)from * (size_t)k, others = (size_t)to * (size_t)k;
        const double temperature =
            cb_temperature_fit(h.logits + others, h.labels + to, n - (to - from), k);
        cb_temperature_softmax(h.logits + first, to - from, k, temperature, p + first);
    }
    CB_TRY(cb_evaluate(arena, p, h.labels, n, k, &out->held_out));
    out->held_out.example = h.example;
    return cb_ok();
}

/* logits / temperature, in the weights that make them. */
static void cool(size_t n, float *weights, double temperature)
{
    for (size_t i = 0; i < n; i++)
        weights[i] = (float)((double)weights[i] / temperature);
}

/* --- softmax regression --- */

struct linear {
    struct trainer *t;
    struct cb_regression r;
};

static bool after_silent_step(void *ctx, const struct cb_regression_step *step)
{
    const struct linear *l = ctx;
    (void)step;
    return !cancelled(l->t);
}

static bool after_step(void *ctx, const struct cb_regression_step *step)
{
    struct linear *l = ctx;
    int correct = 0;
    if (l->t->job->on_epoch) {
        const double loss = cb_regression_judge(&l->r, step->parameters, l->t->judge, &correct);
        report(l->t, step->step, step->loss, loss, correct);
    }
    return !cancelled(l->t);
}

static struct cb_status choose_l2(struct linear *l)
{
    struct trainer *t = l->t;
    const struct cb_head_job *job = t->job;
    int *fold, *row_fold, folds = t->rows < MANY_EXAMPLES ? FOLDS : 1;
    bool *held_out;
    l->r.l2 = (double)job->config->l2;
    if (job->config->l2 >= 0)
        return cb_ok();
    l->r.l2 = 0.1;
    CB_TRY(cb_arena_get(&t->scratch, (size_t)job->n, sizeof(bool), "split", &held_out));
    CB_TRY(cb_arena_get(&t->scratch, (size_t)t->rows, sizeof(int), "split", &row_fold));
    for (int i = 0; i < job->n; i++)
        held_out[i] = t->held_out[i * t->views];
    CB_TRY(cb_split_folds(&t->scratch, job->labels, job->n, job->classes, held_out, FOLDS,
                          job->config->seed + 1, &fold));
    int judging = 0;
    for (int i = 0; i < t->rows; i++) {
        row_fold[i] = fold[i / t->views];
        judging += row_fold[i] >= 0;
    }
    return judging ? cb_regression_choose_l2(&l->r, row_fold, folds, &l->r.l2) : cb_ok();
}

static struct cb_status linear_head(struct trainer *t, struct cb_arena *arena,
                                    const float *parameters, double temperature,
                                    struct cb_head *head)
{
    const size_t d = (size_t)t->job->inputs, classes = (size_t)t->job->classes;
    float *w, *b;
    CB_TRY(cb_arena_get(arena, d * classes, sizeof(float), "head", &w));
    CB_TRY(cb_arena_get(arena, classes, sizeof(float), "head", &b));
    for (size_t c = 0; c < classes; c++)
        b[c] = parameters[c * t->width + d];
    fold_scale(t, t->job->classes, parameters, t->width, w, b);
    cool(d * classes, w, temperature);
    cool(classes, b, temperature);
    *head =
        (struct cb_head){ .inputs = t->job->inputs, .classes = t->job->classes, .w2 = w, .b2 = b };
    return cb_ok();
}

static struct cb_status train_linear(struct trainer *t, struct cb_arena *arena,
                                     struct cb_head *head, struct cb_head_judgement *judgement)
{
    const struct cb_head_job *job = t->job;
    struct linear l = { .t = t,
                        .r = { .engine = job->engine,
                               .scratch = &t->scratch,
                               .n = (size_t)t->rows,
                               .inputs = t->width,
                               .classes = (size_t)job->classes,
                               .labels = t->labels,
                               .weight = t->teach,
                               .judges = t->original,
                               .max_steps = t->epochs,
                               .on_step = after_silent_step } };
    struct cb_head judged;
    float *parameters;
    l.r.ctx = &l;
    CB_TRY(
        cb_arena_get(&t->scratch, l.r.inputs * l.r.classes, sizeof(float), "weights", &parameters));
    CB_TRY(cb_regression_init(&l.r, t->x));
    CB_TRY(choose_l2(&l));
    if (t->judged) {
        l.r.on_step = after_step;
        CB_TRY(cb_regression_fit(&l.r, parameters));
        CB_TRY(linear_head(t, &t->scratch, parameters, 1, &judged));
        CB_TRY(judge_head(t, &judged, arena, judgement));
    }
    l.r.weight = t->all;
    l.r.on_step = after_silent_step;
    CB_TRY(cb_regression_fit(&l.r, parameters));
    return linear_head(t, arena, parameters, judgement->temperature, head);
}

/* --- one hidden layer --- */

static bool after_epoch(void *ctx, const struct cb_hidden_epoch *epoch)
{
    const struct trainer *t = ctx;
    report(t, epoch->epoch, epoch->train_loss, epoch->judge_loss, epoch->correct);
    return !cancelled(t);
}

static bool after_silent_epoch(void *ctx, const struct cb_hidden_epoch *epoch)
{
    (void)epoch;
    return !cancelled(ctx);
}

static struct cb_status hidden_head(struct trainer *t, struct cb_arena *arena,
                                    const struct cb_hidden_net *net, double temperature,
                                    struct cb_head *head)
{
    float *block;
    CB_TRY(cb_arena_get(arena, cb_hidden_size(net->inputs, net->hidden, net->classes),
                        sizeof(float), "head", &block));
    const struct cb_hidden_net to = cb_hidden_over(block, net->inputs, net->hidden, net->classes);
    memcpy(block, net->w1, cb_hidden_size(net->inputs, net->hidden, net->classes) * sizeof(float));
    fold_scale(t, net->hidden, net->w1, (size_t)net->inputs, to.w1, to.b1);
    cool((size_t)net->hidden * (size_t)net->classes, to.w2, temperature);
    cool((size_t)net->classes, to.b2, temperature);
    *head = (struct cb_head){ .inputs = net->inputs,
                              .hidden = net->hidden,
                              .classes = net->classes,
                              .w1 = to.w1,
                              .b1 = to.b1,
                              .w2 = to.w2,
                              .b2 = to.b2 };
    return cb_ok();
}

static struct cb_status train_hidden(struct trainer *t, struct cb_arena *arena,
                                     struct cb_head *head, struct cb_head_judgement *judgement)
{
    const struct cb_head_job *job = t->job;
    const struct cb_head_config *c = job->config;
    struct cb_hidden_training training = {
        .engine = job->engine,
        .scratch = &t->scratch,
        .n = (size_t)t->rows,
        .x = t->x,
        .labels = t->labels,
        .teach = t->teach,
        .judge = t->judge,
        .dropout = c->dropout,
        .rate = c->learning_rate > 0 ? c->learning_rate : DEFAULT_RATE,
        .decay = c->l2 >= 0 ? c->l2 : DEFAULT_DECAY,
        .epochs = t->epochs,
        .patience = c->patience,
        .seed = c->seed,
        .on_epoch = after_epoch,
        .ctx = t,
    };
    struct cb_head judged;
    float *block;
    int best_epoch;
    CB_TRY(cb_arena_get(&t->scratch, cb_hidden_size(job->inputs, c->hidden, job->classes),
                        sizeof(float), "weights", &block));
    struct cb_hidden_net net = cb_hidden_over(block, job->inputs, c->hidden, job->classes);
    CB_TRY(cb_hidden_train(&training, &net, &best_epoch));
    CB_TRY(hidden_head(t, &t->scratch, &net, 1, &judged));
    CB_TRY(judge_head(t, &judged, arena, judgement));
    training.teach = t->all;
    training.judge = NULL;
    training.epochs = best_epoch;
    training.on_epoch = after_silent_epoch;
    CB_TRY(cb_hidden_train(&training, &net, &best_epoch));
    return hidden_head(t, arena, &net, judgement->temperature, head);
}

static struct cb_status train(struct trainer *t, struct cb_arena *arena, struct cb_head *head,
                              struct cb_head_judgement *judgement)
{
    CB_TRY(check(t));
    CB_TRY(weigh(t));
    CB_TRY(standardise(t));
    return t->job->config->hidden ? train_hidden(t, arena, head, judgement)
                                  : train_linear(t, arena, head, judgement);
}

struct cb_status cb_head_train(const struct cb_head_job *job, struct cb_arena *arena,
                               struct cb_head *head, struct cb_head_judgement *judgement)
{
    const int views = job->views > 1 ? job->views : 1;
    struct trainer t = { .job = job,
                         .judged = judgement || job->config->hidden,
                         .views = views,
                         .rows = job->n * views,
                         .epochs = job->config->epochs ? job->config->epochs : DEFAULT_EPOCHS };
    struct cb_head_judgement made = { .temperature = 1 };
    struct cb_status st = cb_arena_init(&t.scratch, SCRATCH_BUDGET);
    if (st.code == CB_OK)
        st = train(&t, arena, head, &made);
    cb_arena_deinit(&t.scratch);
    if (st.code == CB_OK && judgement)
        *judgement = made;
    return st;
}

/* Eight sums, so that the compiler may use vectors. */
static float dot(size_t n, const float *a, const float *b)
{
    float sum[8] = { 0 };
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (size_t k = 0; k < 8; k++)
            sum[k] += a[i + k] * b[i + k];
    for (; i < n; i++)
        sum[0] += a[i] * b[i];
    return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

void cb_head_run(const struct cb_head *head, int n, const float *features, float *logits)
{
    const size_t in = (size_t)head->inputs, hidden = (size_t)head->hidden,
                 classes = (size_t)head->classes;
    for (size_t i = 0; i < (size_t)n; i++) {
        const float *x = features + i * in;
        float *y = logits + i * classes;
        for (size_t c = 0; c < classes; c++)
            y[c] = hidden ? head->b2[c] : head->b2[c] + dot(in, head->w2 + c * in, x);
        for (size_t j = 0; j < hidden; j++) {
            const float h = fmaxf(0, head->b1[j] + dot(in, head->w1 + j * in, x));
            for (size_t c = 0; c < classes; c++)
                y[c] += head->w2[c * hidden + j] * h;
        }
    }
}
