/* A 1x1 convolution reads each pixel of its input once, or a few times from the caches: scaling it
 * on the way saves a pass over memory. Two usual cases: BatchNormalization (and ReLU) before the
 * convolution (arXiv:1603.05027, arXiv:1608.06993), and the gates of squeeze-and-excitation
 * (arXiv:1709.01507). */
#include "core/graph/passes/affine.h"
#include "core/graph/passes/match.h"
#include "core/ops/spatial/conv_shape.h"

enum { X, W, BIAS, RESIDUAL, SCALE, SHIFT, INPUTS };

static bool takes_prologue(const struct cb_match *m, const struct cb_node *conv)
{
    const struct cb_value *values = m->graph->values;
    if (conv->op != CB_OP_CONV || m->has_grad[conv->out[0]] ||
        (conv->n_in > SCALE && conv->in[SCALE] >= 0))
        return false;
    const struct cb_conv_shape s =
        cb_conv_shape_of(&conv->attr.conv.window, conv->attr.conv.group, &values[conv->in[X]].shape,
                         &values[conv->out[0]].shape);
    return cb_conv_takes_prologue(&s);
}

/* gate is [N, 1..., C] for x [N, spatial..., C]. */
static bool is_gate(const struct cb_shape *gate, const struct cb_shape *x)
{
    if (gate->rank != x->rank)
        return false;
    for (int i = 0; i < x->rank; i++)
        if (gate->dim[i] != (i == 0 || i == x->rank - 1 ? x->dim[i] : 1))
            return false;
    return true;
}

/* The operand of `mul` that is a gate for the other; -1: none. */
static int gate_of(const struct cb_graph *g, const struct cb_node *mul)
{
    if (mul->op != CB_OP_MUL || mul->attr.binary.aligned)
        return -1;
    for (int k = 1; k >= 0; k--)
        if (is_gate(&g->values[mul->in[k]].shape, &g->values[mul->in[1 - k]].shape) &&
            cb_shape_equal(&g->values[mul->in[1 - k]].shape, &g->values[mul->out[0]].shape))
            return k;
    return -1;
}

static struct cb_status add_numbers(struct cb_graph *g, const char *name, float *numbers,
                                    size_t channels, int *out)
{
    const struct cb_tensor t = { .shape = { 1, { (int64_t)channels } },
                                 .dtype = CB_FLOAT32,
                                 .f = numbers };
    return cb_graph_add_constant(g, name, &t, out);
}

/* The constants of `before` become in[SCALE] and in[SHIFT], its input in[X]. */
static struct cb_status take_affine(struct cb_graph *g, const struct cb_node *before,
                                    struct cb_node *conv, int *in)
{
    struct cb_affine a;
    int data;
    CB_TRY(cb_affine_find(g, before, &data, &a));
    if (!a.shift || !cb_shape_equal(&g->values[data].shape, &g->values[before->out[0]].shape))
        return cb_ok();
    const struct cb_shape x = g->values[data].shape;
    const size_t channels = (size_t)x.dim[x.rank - 1];
    if (!a.scale) {
        CB_TRY(cb_arena_get(g->arena, channels, sizeof *a.scale, before->name, &a.scale));
        for (size_t c = 0; c < channels; c++)
            a.scale[c] = 1;
    }
    CB_TRY(add_numbers(g, before->name, a.scale, channels, &in[SCALE]));
    CB_TRY(add_numbers(g, before->name, a.shift, channels, &in[SHIFT]));
    conv->attr.conv.in_lo = a.lo;
    conv->attr.conv.in_hi = a.hi;
    in[X] = data;
    return cb_ok();
}

static struct cb_status fuse(struct cb_match *m, struct cb_node *conv)
{
    struct cb_graph *g = m->graph;
    const struct cb_node *before = cb_match_private(m, conv->in[X]);
    int *in;
    if (!before)
        return cb_ok();
    CB_TRY(cb_arena_get(g->arena, INPUTS, sizeof *in, conv->name, &in));
    for (int k = 0; k < INPUTS; k++)
        in[k] = k < conv->n_in ? conv->in[k] : -1;
    const int gate = gate_of(g, before);
    if (gate >= 0) {
        in[X] = before->in[1 - gate];
        in[SCALE] = before->in[gate];
    } else {
        CB_TRY(take_affine(g, before, conv, in));
    }
    if (in[SCALE] < 0)
        return cb_ok();
    conv->in = in;
    conv->n_in = INPUTS;
    return cb_ok();
}

struct cb_status cb_pass_fuse_prologue(struct cb_pass *pass)
{
    struct cb_match m;
    CB_TRY(cb_match_init(&m, pass));
    for (int i = 0; i < pass->graph->n_nodes; i++)
        if (takes_prologue(&m, &pass->graph->nodes[i]))
            CB_TRY(fuse(&m, &pass->graph->nodes[i]));
    return cb_ok(); /* what was fused is dead now */
}
