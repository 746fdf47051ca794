#include "core/graph/passes/affine.h"

#include <math.h>
#include <string.h>

float cb_affine_number(const struct cb_value *v, size_t i)
{
    float f;
    memcpy(&f, (const char *)v->data + i * sizeof f, sizeof f); /* maybe unaligned */
    return f;
}

bool cb_affine_is_constant(const struct cb_graph *g, int value)
{
    return value >= 0 && g->values[value].data && cb_dtype_get(g->values[value].dtype)->is_float;
}

bool cb_affine_is_per_channel(const struct cb_graph *g, int value, int rank, size_t channels)
{
    const struct cb_shape *s;
    size_t count;
    if (!cb_affine_is_constant(g, value))
        return false;
    s = &g->values[value].shape;
    count = cb_shape_count(s);
    return s->rank <= rank && (count == 1 || (count == channels && s->rank > 0 &&
                                              s->dim[s->rank - 1] == (int64_t)channels));
}

static struct cb_status batch_norm_affine(struct cb_graph *g, const struct cb_node *n,
                                          size_t channels, struct cb_affine *out)
{
    uint32_t epsilon;
    CB_TRY(cb_arena_get(g->arena, channels, sizeof(float), n->name, &out->scale));
    CB_TRY(cb_arena_get(g->arena, channels, sizeof(float), n->name, &out->shift));
    for (size_t c = 0; c < channels; c++) {
        const float gamma = cb_affine_number(&g->values[n->in[1]], c),
                    beta = cb_affine_number(&g->values[n->in[2]], c);
        const float mean = cb_affine_number(&g->values[n->in[3]], c),
                    var = cb_affine_number(&g->values[n->in[4]], c);
        const double s = gamma / sqrt((double)var + (double)n->attr.batch_norm.epsilon);
        out->scale[c] = (float)s;
        out->shift[c] = (float)(beta - mean * s);
    }
    for (int k = 1; k < 5; k++) {
        out->key = cb_key_mix(out->key, g->values[n->in[k]].key);
        out->durable &= g->values[n->in[k]].durable;
    }
    memcpy(&epsilon, &n->attr.batch_norm.epsilon, sizeof epsilon);
    out->key = cb_key_mix(out->key, epsilon);
    out->lo = n->attr.batch_norm.lo;
    out->hi = n->attr.batch_norm.hi;
    return cb_ok();
}

static struct cb_status arithmetic_affine(struct cb_graph *g, const struct cb_node *n, int constant,
                                          size_t channels, struct cb_affine *out)
{
    const struct cb_value *v = &g->values[constant];
    const size_t step = cb_shape_count(&v->shape) == 1 ? 0 : 1;
    const bool scales = n->op == CB_OP_MUL || n->op == CB_OP_DIV;
    CB_TRY(cb_arena_get(g->arena, channels, sizeof(float), n->name, &out->shift));
    if (scales)
        CB_TRY(cb_arena_get(g->arena, channels, sizeof(float), n->name, &out->scale));
    for (size_t c = 0; c < channels; c++) {
        const float f = cb_affine_number(v, c * step);
        if (scales)
            out->scale[c] = n->op == CB_OP_MUL ? f : 1 / f;
        else
            out->shift[c] = n->op == CB_OP_ADD ? f : -f;
    }
    out->key = cb_key_mix(v->key, n->op);
    out->durable = v->durable;
    out->lo = n->op == CB_OP_ADD ? n->attr.binary.lo : -INFINITY;
    out->hi = n->op == CB_OP_ADD ? n->attr.binary.hi : INFINITY;
    return cb_ok();
}

struct cb_status cb_affine_find(struct cb_graph *g, const struct cb_node *n, int *data,
                                struct cb_affine *out)
{
    const struct cb_shape *y = &g->values[n->out[0]].shape;
    const size_t channels = y->rank > 0 ? (size_t)y->dim[y->rank - 1] : 0;
    *out = (struct cb_affine){ .key = n->op, .durable = true };
    *data = n->in[0];
    if (n->op == CB_OP_BATCH_NORM) {
        for (int k = 1; k < 5; k++)
            if (n->in[k] < 0 || !cb_affine_is_per_channel(g, n->in[k], 1, channels) ||
                cb_shape_count(&g->values[n->in[k]].shape) != channels)
                return cb_ok();
        return n->attr.batch_norm.training ? cb_ok() : batch_norm_affine(g, n, channels, out);
    }
    if (n->op < CB_OP_ADD || n->op > CB_OP_DIV || n->attr.binary.aligned)
        return cb_ok();
    if (cb_affine_is_per_channel(g, n->in[1], y->rank, channels))
        return arithmetic_affine(g, n, n->in[1], channels, out);
    if ((n->op == CB_OP_ADD || n->op == CB_OP_MUL) &&
        cb_affine_is_per_channel(g, n->in[0], y->rank, channels)) {
        *data = n->in[1];
        return arithmetic_affine(g, n, n->in[0], channels, out);
    }
    return cb_ok();
}
