#include "core/train/lbfgs.h"

#include <math.h>
#include <string.h>

#define PAIRS 8 /* steps remembered */

struct pair {
    float *s, *y; /* change of x, change of the gradient */
    double sy;    /* s . y > 0 */
};

struct walk {
    const struct cb_lbfgs *p;
    struct pair pair[PAIRS]; /* a ring: the newest is (next - 1) % PAIRS */
    int count, next;
    float *x, *gradient, *direction, *new_x, *new_gradient;
    double loss;
};

static double dot(size_t n, const float *a, const float *b)
{
    double sum[4] = { 0 };
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (size_t k = 0; k < 4; k++)
            sum[k] += (double)a[i + k] * (double)b[i + k];
    for (; i < n; i++)
        sum[0] += (double)a[i] * (double)b[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

static void add_scaled(size_t n, double a, const float *x, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = (float)((double)y[i] + a * (double)x[i]);
}

/* direction = - H gradient, H from the pairs: the two-loop recursion. */
static void find_direction(struct walk *w)
{
    const size_t n = w->p->n;
    double alpha[PAIRS];
    for (size_t i = 0; i < n; i++)
        w->direction[i] = -w->gradient[i];
    for (int k = 1; k <= w->count; k++) {
        const int at = (w->next - k + PAIRS) % PAIRS;
        alpha[at] = dot(n, w->pair[at].s, w->direction) / w->pair[at].sy;
        add_scaled(n, -alpha[at], w->pair[at].y, w->direction);
    }
    if (w->count) {
        const struct pair *last = &w->pair[(w->next - 1 + PAIRS) % PAIRS];
        const double scale = last->sy / dot(n, last->y, last->y);
        for (size_t i = 0; i < n; i++)
            w->direction[i] = (float)(scale * (double)w->direction[i]);
    }
    for (int k = w->count; k >= 1; k--) {
        const int at = (w->next - k + PAIRS) % PAIRS;
        const double beta = dot(n, w->pair[at].y, w->direction) / w->pair[at].sy;
        add_scaled(n, alpha[at] - beta, w->pair[at].s, w->direction);
    }
}

/* What single precision cannot tell of a loss. */
#define NOISE 1e-7

/* Halves the step until the loss falls by a share of what the slope promises (Armijo). False: it
 * does not fall. */
static bool search_line(struct walk *w, double *new_loss)
{
    const size_t n = w->p->n;
    const double slope = dot(n, w->gradient, w->direction);
    double step = w->count ? 1 : fmin(1, 1 / sqrt(dot(n, w->gradient, w->gradient)));
    if (!(slope < 0))
        return false;
    for (int tries = 0; tries < 12; tries++, step /= 2) {
        memcpy(w->new_x, w->x, n * sizeof(float));
        add_scaled(n, step, w->direction, w->new_x);
        *new_loss = w->p->loss(w->p->ctx, w->new_x, w->new_gradient);
        if (*new_loss <= w->loss + 1e-4 * step * slope + NOISE * fabs(w->loss))
            return true;
    }
    return false;
}

static void swap(float **a, float **b)
{
    float *t = *a;
    *a = *b;
    *b = t;
}

/* Takes the new point over; its pair is remembered when it has positive curvature. */
static void accept(struct walk *w, double new_loss)
{
    const size_t n = w->p->n;
    struct pair *pair = &w->pair[w->next];
    for (size_t i = 0; i < n; i++) {
        pair->s[i] = w->new_x[i] - w->x[i];
        pair->y[i] = w->new_gradient[i] - w->gradient[i];
    }
    pair->sy = dot(n, pair->s, pair->y);
    if (pair->sy > 1e-10 * dot(n, pair->y, pair->y)) {
        w->next = (w->next + 1) % PAIRS;
        w->count += w->count < PAIRS;
    } else if (w->count == PAIRS) {
        w->count--; /* its place was the oldest one's */
    }
    swap(&w->x, &w->new_x);
    swap(&w->gradient, &w->new_gradient);
    w->loss = new_loss;
}

static struct cb_status take_memory(struct walk *w, struct cb_arena *scratch)
{
    const size_t n = w->p->n;
    float **const vectors[] = { &w->x, &w->gradient, &w->direction, &w->new_x, &w->new_gradient };
    for (size_t i = 0; i < CB_COUNT_OF(vectors); i++)
        CB_TRY(cb_arena_get(scratch, n, sizeof(float), "optimiser", vectors[i]));
    for (int i = 0; i < PAIRS; i++) {
        CB_TRY(cb_arena_get(scratch, n, sizeof(float), "optimiser", &w->pair[i].s));
        CB_TRY(cb_arena_get(scratch, n, sizeof(float), "optimiser", &w->pair[i].y));
    }
    return cb_ok();
}

static struct cb_lbfgs_result walk_down(struct walk *w)
{
    struct cb_lbfgs_result result = { 0 };
    const struct cb_lbfgs *p = w->p;
    int idle = 0; /* steps in a row that were lost in the noise */
    w->loss = p->loss(p->ctx, w->x, w->gradient);
    while (result.steps < p->max_steps) {
        const double size = sqrt(dot(p->n, w->gradient, w->gradient));
        double new_loss;
        if (idle == 2 || size <= p->tolerance * fmax(1, sqrt(dot(p->n, w->x, w->x))))
            break;
        find_direction(w);
        if (!search_line(w, &new_loss))
            break;
        idle = w->loss - new_loss > 10 * NOISE * fabs(w->loss) ? 0 : idle + 1;
        accept(w, new_loss);
        result.steps++;
        if (p->on_step && !p->on_step(p->ctx, result.steps, w->loss, w->x)) {
            result.stopped = true;
            break;
        }
    }
    result.loss = w->loss;
    return result;
}

struct cb_status cb_lbfgs_run(const struct cb_lbfgs *problem, struct cb_arena *scratch, float *x,
                              struct cb_lbfgs_result *out)
{
    const size_t mark = scratch->used;
    struct walk w = { .p = problem };
    struct cb_status st = take_memory(&w, scratch);
    if (st.code == CB_OK) {
        memcpy(w.x, x, problem->n * sizeof(float));
        *out = walk_down(&w);
        memcpy(x, w.x, problem->n * sizeof(float));
    }
    cb_arena_rewind(scratch, mark);
    return st;
}
