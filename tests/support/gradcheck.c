#include "tests/support/gradcheck.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#define FIRST_SEED 11 /* not the one that inputs were drawn with: u must not follow x */
#define SEEDS 3

static double dot(size_t n, const float *a, const float *b)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)a[i] * b[i];
    return sum;
}

static float *copy(struct op_case *c, size_t n, const float *from)
{
    float *to = cb_arena_alloc(&c->arena, n + 1, sizeof *to);
    cr_assert(to != NULL);
    return n ? memcpy(to, from, n * sizeof *to) : to;
}

/* L = sum over outputs of <dout, out>. */
static double loss(struct op_case *c)
{
    double sum = 0;
    op_case_forward(c);
    for (int i = 0; i < c->node.n_out; i++)
        if (c->dout[i].data)
            sum += dot(cb_tensor_count(&c->out[i]), c->dout[i].f, c->out[i].f);
    return sum;
}

/* Moves input i along `v` and gives (L(x + hv) - L(x - hv)) / 2h with the step that float really
 * makes. */
static double slope(struct op_case *c, int i, const float *v, double step)
{
    const size_t n = cb_tensor_count(&c->in[i]);
    float *x = c->in[i].f, *start = copy(c, n, x);
    for (size_t k = 0; k < n; k++)
        x[k] = (float)(start[k] + step * v[k]);
    const double above = loss(c);
    for (size_t k = 0; k < n; k++)
        x[k] = (float)(start[k] - step * v[k]);
    const double below = loss(c);
    memcpy(x, start, n * sizeof *x);
    return (above - below) / (2 * step);
}

static void check_slope(struct op_case *c, int i, double step, double tolerance, int seed)
{
    const size_t n = cb_tensor_count(&c->in[i]);
    const float *g = copy(c, n, c->din[i].f);
    float *v = copy(c, n, g);
    cb_rng_fill(&c->rng, n, v);
    const double analytic = dot(n, g, v), numeric = slope(c, i, v, step);
    const double usual =
        0.5 * sqrt(dot(n, g, g)); /* a direction across the gradient must not blow the error up */
    const double error =
        fabs(analytic - numeric) / fmax(fmax(fabs(analytic), fabs(numeric)), fmax(usual, 1e-6));
    cr_expect(error <= tolerance,
              "%s, %s, seed %d: input %d has slope %.7g, backward says %.7g (error %.2g)",
              cb_op_get(c->node.op)->name, cb_kernels_for(c->isa).name, seed, i, numeric, analytic,
              error);
}

/* Backward adds: from 1 it comes to 1 more than from 0. */
static void check_accumulation(struct op_case *c, float *const want[])
{
    op_case_clear(c);
    for (int i = 0; i < c->node.n_in; i++)
        for (size_t k = 0; c->din[i].data && k < cb_tensor_count(&c->din[i]); k++)
            c->din[i].f[k] = 1.0f;
    op_case_backward(c);
    for (int i = 0; i < c->node.n_in; i++)
        for (size_t k = 0; c->din[i].data && k < cb_tensor_count(&c->din[i]); k++)
            cr_assert(fabs(c->din[i].f[k] - 1.0f - want[i][k]) <= 1e-5 * (1 + fabsf(want[i][k])),
                      "%s: the gradient of input %d is not added", cb_op_get(c->node.op)->name, i);
}

/* One gradient alone is what it is together with the others. */
static void check_alone(struct op_case *c, float *const want[])
{
    struct cb_tensor din[OP_MAX_ARGS];
    memcpy(din, c->din, sizeof din);
    for (int i = 0; i < c->node.n_in; i++) {
        if (!din[i].data)
            continue;
        const size_t n = cb_tensor_count(&din[i]);
        memset(c->din, 0, sizeof c->din);
        c->din[i] = din[i];
        memset(din[i].data, 0, n * sizeof(float));
        op_case_backward(c);
        cr_expect(op_case_error(n, din[i].f, want[i]) <= 1e-10,
                  "%s: input %d alone has another gradient", cb_op_get(c->node.op)->name, i);
    }
    memcpy(c->din, din, sizeof din);
}

static void check_on(struct op_case *c, double step, double tolerance)
{
    float *g[OP_MAX_ARGS] = { 0 };
    for (int seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
        c->rng = cb_rng_seed((uint64_t)seed);
        memset(c->dout, 0, sizeof c->dout);
        op_case_run(c);
        op_case_clear(c);
        op_case_backward(c);
        for (int i = 0; i < c->node.n_in; i++)
            if (c->din[i].data)
                check_slope(c, i, step, tolerance, seed);
    }
    for (int i = 0; i < c->node.n_in; i++)
        if (c->din[i].data)
            g[i] = copy(c, cb_tensor_count(&c->din[i]), c->din[i].f);
    op_case_forward(c);
    check_accumulation(c, g);
    check_alone(c, g);
}

void gradcheck_step(struct op_case *c, double step, double tolerance)
{
    for (enum cb_isa isa = CB_ISA_GENERIC; isa <= cb_isa_best(); isa++) {
        c->isa = isa;
        check_on(c, step, tolerance);
    }
}

void gradcheck(struct op_case *c, double tolerance)
{
    gradcheck_step(c, 1e-2, tolerance);
}
