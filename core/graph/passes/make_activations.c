/* Activations that a file spells out become one operator:
 *
 *     x * sigmoid(x)                              Silu
 *     clamp(x + b, 0, h) / h                      HardSigmoid
 *     x * that, or (x * clamp(x + b, 0, h)) / h   HardSwish
 *     x * (1 + erf(x / sqrt 2)) / 2               Gelu, and its form with tanh
 *
 * A product is taken apart into its factors, so that the order in which they were multiplied does
 * not matter. */
#include "core/graph/passes/match.h"

#include <math.h>

#define SQRT_HALF 0.70710678118654752
#define GELU_SCALE 0.79788456080286536 /* sqrt(2 / pi) */
#define GELU_CUBIC 0.044715

enum { FACTORS = 4, DEPTH = 5 };

struct product {
    double constant;
    int factor[FACTORS], n; /* n > FACTORS: too many */
};

static void add_factor(struct product *p, int value)
{
    if (p->n < FACTORS)
        p->factor[p->n] = value;
    p->n++;
}

static void collect(const struct cb_match *m, int value, int depth, struct product *p);

/* The factors of what `node` makes, when it is a product; else false. */
static bool take_apart(const struct cb_match *m, const struct cb_node *node, int depth,
                       struct product *p)
{
    double c;
    int other;
    if (cb_match_with_scalar(m, node, CB_OP_POW, &other, &c) && (c == 2 || c == 3)) {
        for (int i = 0; i < (int)c; i++)
            add_factor(p, other);
        return true;
    }
    if (cb_match_with_scalar(m, node, CB_OP_DIV, &other, &c)) {
        p->constant /= c;
        collect(m, other, depth, p);
        return true;
    }
    if (node->op != CB_OP_MUL || node->attr.binary.aligned)
        return false;
    for (int k = 0; k < 2; k++) {
        if (cb_match_scalar(m, node->in[k], &c))
            p->constant *= c;
        else
            collect(m, node->in[k], depth, p);
    }
    return true;
}

static void collect(const struct cb_match *m, int value, int depth, struct product *p)
{
    const struct cb_node *node = depth > 0 ? cb_match_private(m, value) : NULL;
    if (!node || !take_apart(m, node, depth - 1, p))
        add_factor(p, value);
}

static struct product product_of(const struct cb_match *m, const struct cb_node *node)
{
    struct product p = { .constant = 1 };
    if (!take_apart(m, node, DEPTH, &p))
        p.n = 0;
    return p;
}

/* clamp(x + b, 0, h): x, b and h. */
static bool is_clamped(const struct cb_match *m, const struct cb_node *clip, int *x, double *b,
                       double *h)
{
    if (!clip || clip->op != CB_OP_CLIP || clip->attr.clip.lo != 0 || clip->attr.clip.hi <= 0 ||
        isinf(clip->attr.clip.hi))
        return false;
    for (int k = 1; k < clip->n_in; k++)
        if (clip->in[k] >= 0)
            return false;
    *h = clip->attr.clip.hi;
    return cb_match_with_scalar(m, cb_match_private(m, clip->in[0]), CB_OP_ADD, x, b);
}

/* 1 + f(u): the node of f. */
static const struct cb_node *one_plus(const struct cb_match *m, const struct cb_node *add,
                                      enum cb_op f)
{
    double one;
    int v;
    const struct cb_node *n;
    if (!cb_match_with_scalar(m, add, CB_OP_ADD, &v, &one) || one != 1)
        return NULL;
    n = cb_match_private(m, v);
    return n && n->op == f ? n : NULL;
}

static bool is_power(const struct product *p, int x, int n, double constant)
{
    bool all = p->n == n && cb_match_near(p->constant, constant);
    for (int i = 0; i < n && all; i++)
        all = p->factor[i] == x;
    return all;
}

/* sum is x + c x^3 (power 3), or 1 + c x^2 (power 2). */
static bool is_cubic(const struct cb_match *m, int sum, int x, int power)
{
    const struct cb_node *add = cb_match_private(m, sum);
    double one;
    int rest = -1;
    if (!add || add->op != CB_OP_ADD || add->attr.binary.aligned)
        return false;
    if (power == 2) {
        if (!cb_match_with_scalar(m, add, CB_OP_ADD, &rest, &one) || one != 1)
            return false;
    } else {
        if (add->in[0] != x && add->in[1] != x)
            return false;
        rest = add->in[add->in[0] == x];
    }
    struct product p = { .constant = 1 };
    collect(m, rest, DEPTH, &p);
    return is_power(&p, x, power, GELU_CUBIC);
}

/* u = sqrt(2 / pi) (x + c x^3), or sqrt(2 / pi) x (1 + c x^2). */
static bool is_tanh_argument(const struct cb_match *m, int u, int x)
{
    struct product p = { .constant = 1 };
    collect(m, u, DEPTH, &p);
    if (!cb_match_near(p.constant, GELU_SCALE))
        return false;
    if (p.n == 1)
        return is_cubic(m, p.factor[0], x, 3);
    for (int i = 0; i < 2 && p.n == 2; i++)
        if (p.factor[i] == x && is_cubic(m, p.factor[1 - i], x, 2))
            return true;
    return false;
}

static bool become_hard(struct cb_node *act, enum cb_op op, double alpha, double beta)
{
    act->op = op;
    act->attr.unary.alpha = (float)alpha;
    act->attr.unary.beta = (float)beta;
    return true;
}

/* constant * x * f, f of x: one of those with a gate. */
static bool find_gated(const struct cb_match *m, double constant, int x, const struct cb_node *f,
                       struct cb_node *act)
{
    const bool plain = constant == 1 && f->n_in == 1 && f->in[0] == x;
    double b, h;
    int of;
    act->op = CB_OP_SILU;
    if (plain && f->op == CB_OP_SIGMOID)
        return true;
    if (plain && f->op == CB_OP_HARD_SIGMOID)
        return become_hard(act, CB_OP_HARD_SWISH, (double)f->attr.unary.alpha,
                           (double)f->attr.unary.beta);
    return is_clamped(m, f, &of, &b, &h) && of == x && cb_match_near(constant * h, 1) &&
           become_hard(act, CB_OP_HARD_SWISH, constant, constant * b);
}

/* x * f / 2, f of x: a Gelu. */
static bool find_gelu(const struct cb_match *m, int x, const struct cb_node *f, struct cb_node *act)
{
    const struct cb_node *erf = one_plus(m, f, CB_OP_ERF), *tanh = one_plus(m, f, CB_OP_TANH);
    struct product u = { .constant = 1 };
    act->op = CB_OP_GELU;
    if (erf) {
        collect(m, erf->in[0], DEPTH, &u);
        return is_power(&u, x, 1, SQRT_HALF);
    }
    act->attr.unary.approximate = true;
    return tanh && is_tanh_argument(m, tanh->in[0], x);
}

/* Whether node makes an activation of *x; `act` holds what it becomes. */
static bool find_activation(const struct cb_match *m, const struct cb_node *node, int *x,
                            struct cb_node *act)
{
    const struct product p = product_of(m, node);
    double b, h;
    if (p.n == 1 && is_clamped(m, cb_match_private(m, p.factor[0]), x, &b, &h) &&
        cb_match_near(p.constant * h, 1))
        return become_hard(act, CB_OP_HARD_SIGMOID, p.constant, p.constant * b);
    for (int i = 0; i < 2 && p.n == 2; i++) {
        const struct cb_node *f = cb_match_private(m, p.factor[1 - i]);
        *act = (struct cb_node){ 0 };
        *x = p.factor[i];
        if (f && (find_gated(m, p.constant, *x, f, act) ||
                  (cb_match_near(p.constant, 0.5) && find_gelu(m, *x, f, act))))
            return true;
    }
    return false;
}

struct cb_status cb_pass_make_activations(struct cb_pass *pass)
{
    struct cb_graph *g = pass->graph;
    struct cb_match m;
    CB_TRY(cb_match_init(&m, pass));
    for (int i = 0; i < g->n_nodes; i++) {
        struct cb_node *n = &g->nodes[i], act = { 0 };
        int x, *in;
        if ((n->op != CB_OP_MUL && n->op != CB_OP_DIV) ||
            !cb_dtype_get(g->values[n->out[0]].dtype)->is_float ||
            !find_activation(&m, n, &x, &act) ||
            !cb_shape_equal(&g->values[x].shape, &g->values[n->out[0]].shape))
            continue;
        CB_TRY(cb_arena_get(g->arena, 1, sizeof *in, n->name, &in));
        in[0] = x;
        cb_match_become(n, act.op, 1, in);
        n->attr = act.attr;
    }
    return cb_pass_drop_dead(pass);
}
