#include "core/train/optimizer.h"

#include <assert.h>
#include <math.h>

struct cb_optimizer_config cb_optimizer_default(enum cb_optimizer_kind kind)
{
    return (struct cb_optimizer_config){
        .kind = kind, .momentum = 0.9f, .beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-8f
    };
}

struct cb_status cb_optimizer_init(struct cb_optimizer *optimizer, struct cb_arena *arena,
                                   const struct cb_optimizer_config *config, size_t n)
{
    struct cb_optimizer o = { .config = *config, .n = n };
    CB_TRY(cb_arena_get(arena, n, sizeof(float), "optimizer state", &o.first));
    if (config->kind != CB_SGD)
        CB_TRY(cb_arena_get(arena, n, sizeof(float), "optimizer state", &o.second));
    *optimizer = o;
    return cb_ok();
}

/* What a step of one parameter knows; corrections undo the moments' start at zero. */
struct step {
    const struct cb_optimizer_config *config;
    const struct cb_parameter *p;
    float *first, *second;
    float rate, decay, correct1, correct2;
};

static void step_sgd(const struct step *s)
{
    const struct cb_parameter *p = s->p;
    for (size_t i = 0; i < p->n; i++) {
        s->first[i] = s->config->momentum * s->first[i] + p->g[i] + s->decay * p->w[i];
        p->w[i] -= s->rate * s->first[i];
    }
}

static void step_moments(const struct step *s, float coupled, float decoupled)
{
    const struct cb_optimizer_config *c = s->config;
    const struct cb_parameter *p = s->p;
    for (size_t i = 0; i < p->n; i++) {
        const float g = p->g[i] + coupled * p->w[i];
        s->first[i] = c->beta1 * s->first[i] + (1 - c->beta1) * g;
        s->second[i] = c->beta2 * s->second[i] + (1 - c->beta2) * g * g;
        p->w[i] -= s->rate *
                   (s->correct1 * s->first[i] / (sqrtf(s->correct2 * s->second[i]) + c->epsilon) +
                    decoupled * p->w[i]);
    }
}

static void step_adam(const struct step *s)
{
    step_moments(s, s->decay, 0);
}

static void step_adamw(const struct step *s)
{
    step_moments(s, 0, s->decay);
}

static void (*const steps[CB_OPTIMIZER_COUNT])(const struct step *) = {
    [CB_SGD] = step_sgd, [CB_ADAM] = step_adam, [CB_ADAMW] = step_adamw
};

void cb_optimizer_step(struct cb_optimizer *optimizer, const struct cb_parameter *parameters,
                       size_t count, float rate)
{
    const struct cb_optimizer_config *c = &optimizer->config;
    const double t = (double)++optimizer->steps;
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        const struct step step = {
            .config = c,
            .p = &parameters[i],
            .rate = rate,
            .decay = parameters[i].decay ? c->decay : 0,
            .first = optimizer->first + at,
            .second = optimizer->second ? optimizer->second + at : NULL,
            .correct1 = (float)(1 / (1 - pow((double)c->beta1, t))),
            .correct2 = (float)(1 / (1 - pow((double)c->beta2, t))),
        };
        assert(parameters[i].n <= optimizer->n - at);
        steps[c->kind](&step);
        at += parameters[i].n;
    }
}
