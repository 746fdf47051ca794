/* What stands between DequantizeLinear and QuantizeLinear is done on bytes. One sweep in node
 * order: a real value may have a twin, a tensor of bytes with a scale and a zero that stand for the
 * same numbers. DequantizeLinear gives its output one; an operator whose inputs have twins is done
 * on them, where it has such a form, and where its result goes into QuantizeLinear or is a twin by
 * itself (a view, a maximum). Whole numbers may have twins as well, and go back to what others read
 * where they are done with. The nodes on reals stay beside those on bytes until drop-dead takes
 * what nobody reads. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/graph/passes/passes.h"
#include "core/graph/passes/quantised_constants.h"
#include "core/kernels/quantised_conv.h"

struct twin {
    int value; /* bytes; -1: none */
    struct cb_quantum quantum;
};

struct sweep {
    struct cb_pass *pass;
    struct cb_graph *graph;
    struct twin *twin;    /* [cap] of a real value, or of whole numbers */
    int *producer, *uses; /* [n_values] in the graph as it was */
    int *reader;          /* [n_values] the last node that reads it */
    int n_before;         /* values */
    bool *done;           /* [n_nodes] a Quantize whose bytes are there */
    int cap, cap_nodes;
    struct cb_node *nodes; /* the new ones */
    int n_nodes;
};

static bool equal(struct cb_quantum a, struct cb_quantum b)
{
    return a.zero == b.zero && memcmp(&a.scale, &b.scale, sizeof a.scale) == 0;
}

static const struct twin *twin_of(const struct sweep *s, int value)
{
    return value >= 0 && value < s->n_before && s->twin[value].value >= 0 ? &s->twin[value] : NULL;
}

static struct cb_status add_bytes(struct sweep *s, int like, int *out)
{
    const struct cb_value v = s->graph->values[like];
    char name[300];
    snprintf(name, sizeof name, "%.250s@bytes", v.name);
    return cb_graph_add_value(s->graph, name, CB_QUINT8, &v.shape, out);
}

/* A new node of `op` at the end; in and out are copied. */
static struct cb_status emit(struct sweep *s, enum cb_op op, const char *name,
                             const union cb_attr *attr, int n_in, const int *in, int out)
{
    struct cb_node node = { .op = op, .name = name, .n_in = n_in, .n_out = 1, .attr = *attr };
    CB_TRY(cb_arena_get(s->graph->arena, (size_t)n_in + 1, sizeof(int), name, &node.in));
    memcpy(node.in, in, (size_t)n_in * sizeof *in);
    node.out = node.in + n_in;
    node.out[0] = out;
    if (s->n_nodes == s->cap_nodes)
        return cb_fail(CB_ERR_NOMEM, "fuse-quantised: more nodes than foreseen");
    s->nodes[s->n_nodes++] = node;
    return cb_ok();
}

static struct cb_status add_constant(struct sweep *s, const char *name, struct cb_tensor t,
                                     const void *elements, int *out)
{
    void *data;
    CB_TRY(cb_arena_get(s->graph->arena, cb_tensor_count(&t), cb_dtype_size(t.dtype), name, &data));
    memcpy(data, elements, cb_tensor_bytes(&t));
    t.data = data;
    return cb_graph_add_constant(s->graph, name, &t, out);
}

/* ---- Quantize and Dequantize ---- */

/* A Quantize whose whole numbers may be bytes. */
static bool takes_bytes(const struct sweep *s, int i, struct cb_quantum *quantum)
{
    const struct cb_graph *g = s->graph;
    const struct cb_node *q = &g->nodes[i];
    return q->op == CB_OP_QUANTIZE && cb_dtype_get(g->values[q->in[0]].dtype)->is_float &&
           cb_quantised_quantum(g, q, quantum);
}

/* Nobody else than Dequantize reads the whole numbers that the Quantize i makes. */
static bool is_dequantised(const struct sweep *s, int i)
{
    const struct cb_graph *g = s->graph;
    const struct cb_node *q = &g->nodes[i];
    struct cb_quantum other;
    if (cb_pass_pinned(s->pass, q->out[0]))
        return false;
    for (int k = i + 1, left = s->uses[q->out[0]]; left > 0; k++) {
        const struct cb_node *n = &g->nodes[k];
        if (k == g->n_nodes)
            return false;
        for (int a = 0; a < n->n_in; a++)
            if (n->in[a] == q->out[0]) {
                if (n->op != CB_OP_DEQUANTIZE || a != 0 || !cb_quantised_quantum(g, n, &other))
                    return false;
                left--;
            }
    }
    return true;
}

/* The Quantize that alone reads `value`, if it takes bytes; -1: none. `any`: it may add the zero
 * before it rounds. */
static int quantize_behind(const struct sweep *s, int value, bool any, struct cb_quantum *quantum)
{
    const int i = s->uses[value] == 1 && !cb_pass_pinned(s->pass, value) ? s->reader[value] : -1;
    return i >= 0 && takes_bytes(s, i, quantum) &&
                   (any || !s->graph->nodes[i].attr.quantise.zero_first)
               ? i
               : -1;
}

/* The Quantize i has its bytes in a new value. */
static struct cb_status finish_quantize(struct sweep *s, int i, struct cb_quantum quantum, int *out)
{
    const int q = s->graph->nodes[i].out[0];
    CB_TRY(add_bytes(s, q, out));
    s->twin[q] = (struct twin){ *out, quantum };
    s->done[i] = true;
    return cb_ok();
}

/* Scale and zero as inputs of a node on bytes. */
static struct cb_status add_quantum(struct sweep *s, const char *name, struct cb_quantum quantum,
                                    int *scale, int *zero)
{
    const struct cb_tensor real = { .dtype = CB_FLOAT32 }, whole = { .dtype = CB_UINT8 };
    const int64_t z = quantum.zero;
    CB_TRY(add_constant(s, name, real, &quantum.scale, scale));
    return add_constant(s, name, whole, &z, zero);
}

/* y = table[x]: from bytes of one quantum to those of another, through a function of one number or
 * none. */
static struct cb_status emit_lookup(struct sweep *s, const struct cb_node *function,
                                    const struct twin *from, struct cb_quantum to, const char *name,
                                    int out)
{
    float x[256], y[256];
    uint8_t table[256];
    struct cb_kernels plain = cb_kernels_for(CB_ISA_GENERIC);
    struct cb_tensor in = { .shape = { 1, { 256 } }, .dtype = CB_FLOAT32, .data = x }, result = in;
    const struct cb_tensor *ins[3] = { &in, NULL, NULL };
    struct cb_tensor *outs[1] = { &result };
    int index;
    for (int i = 0; i < 256; i++)
        x[i] = y[i] = (float)(i - from->quantum.zero) * from->quantum.scale;
    result.data = y;
    if (function)
        cb_op_get(function->op)
            ->forward(&(struct cb_op_call){
                .node = function, .kernels = &plain, .in = ins, .out = outs });
    plain.quantised.quantise(256, y, to, table);
    const struct cb_tensor t = { .shape = { 1, { 256 } }, .dtype = CB_QUINT8 };
    CB_TRY(add_constant(s, name, t, table, &index));
    const union cb_attr attr = { 0 };
    return emit(s, CB_OP_QUANTISED_LOOKUP, name, &attr, 2, (int[]){ from->value, index }, out);
}

static struct cb_status sweep_quantize(struct sweep *s, int i)
{
    const struct cb_node *q = &s->graph->nodes[i];
    const struct twin *x = twin_of(s, q->in[0]);
    union cb_attr attr = q->attr;
    struct cb_quantum quantum;
    int bytes, scale, zero;
    if (s->done[i] || !takes_bytes(s, i, &quantum) || (!x && !is_dequantised(s, i)))
        return cb_ok();
    if (x && equal(x->quantum, quantum)) {
        s->twin[q->out[0]] = *x;
        s->done[i] = true;
        return cb_ok();
    }
    CB_TRY(finish_quantize(s, i, quantum, &bytes));
    if (x)
        return emit_lookup(s, NULL, x, quantum, q->name, bytes);
    CB_TRY(add_quantum(s, q->name, quantum, &scale, &zero));
    attr.quantise.to = CB_QUINT8;
    return emit(s, CB_OP_QUANTIZE, q->name, &attr, 3, (int[]){ q->in[0], scale, zero }, bytes);
}

static struct cb_status emit_copy(struct sweep *s, const char *name, enum cb_dtype to, int in,
                                  int out)
{
    const union cb_attr attr = { .cast = { to } };
    return emit(s, CB_OP_QUANTISED_COPY, name, &attr, 1, &in, out);
}

/* The reals of bytes, for whoever reads them. True when the node has been replaced. What does not
 * come from bytes gets a twin too: operators behind it may be done on that. */
static struct cb_status sweep_dequantize(struct sweep *s, int i, bool *replaced)
{
    const struct cb_node *d = &s->graph->nodes[i];
    const struct twin *x = twin_of(s, d->in[0]);
    struct cb_quantum quantum;
    int scale, zero, bytes;
    if (!cb_quantised_quantum(s->graph, d, &quantum) || s->graph->values[d->in[0]].data)
        return cb_ok();
    if (!x) {
        CB_TRY(add_bytes(s, d->in[0], &bytes));
        CB_TRY(emit_copy(s, d->name, CB_QUINT8, d->in[0], bytes));
        s->twin[d->in[0]] = s->twin[d->out[0]] = (struct twin){ bytes, quantum };
        return cb_ok();
    }
    s->twin[d->out[0]] = (struct twin){ x->value, quantum };
    CB_TRY(add_quantum(s, d->name, quantum, &scale, &zero));
    *replaced = true;
    return emit(s, CB_OP_DEQUANTIZE, d->name, &d->attr, 3, (int[]){ x->value, scale, zero },
                d->out[0]);
}

/* ---- products ---- */

static int input(const struct cb_node *n, int k)
{
    return k < n->n_in ? n->in[k] : -1;
}

/* A product as Conv, Gemm and MatMul have it. */
struct product {
    int x, w, bias, residual; /* values; -1: none */
    int axis;                 /* of w: its outputs */
    union cb_attr attr;
};

static bool read_product(const struct sweep *s, const struct cb_node *n, struct product *p)
{
    const struct cb_value *values = s->graph->values;
    *p = (struct product){ n->in[0], n->in[1], input(n, 2),
                           -1,       1,        cb_attr_default(CB_OP_QUANTISED_CONV) };
    if (n->op == CB_OP_CONV) {
        p->axis = 0;
        p->residual = input(n, 3);
        p->attr.quantised_conv.window = n->attr.conv.window;
        p->attr.quantised_conv.group = n->attr.conv.group;
        p->attr.quantised_conv.lo = n->attr.conv.lo;
        p->attr.quantised_conv.hi = n->attr.conv.hi;
        p->attr.quantised_conv.act = n->attr.conv.act;
        const int64_t c = values[p->x].shape.dim[values[p->x].shape.rank - 1];
        return input(n, 4) < 0 &&
               (p->residual < 0 || (n->attr.conv.act.kind == CB_ACT_NONE &&
                                    (n->attr.conv.group == 1 || n->attr.conv.group != c)));
    }
    if (values[p->x].shape.rank < 2 || values[p->w].shape.rank != 2)
        return false;
    p->attr.quantised_conv.product = true;
    if (n->op == CB_OP_MATMUL) {
        p->residual = input(n, 3);
        p->attr.quantised_conv.lo = n->attr.matmul.lo;
        p->attr.quantised_conv.hi = n->attr.matmul.hi;
        p->attr.quantised_conv.act = n->attr.matmul.act;
        return p->residual < 0 || n->attr.matmul.act.kind == CB_ACT_NONE;
    }
    p->axis = n->attr.gemm.trans_b ? 0 : 1;
    p->attr.quantised_conv.lo = n->attr.gemm.lo;
    p->attr.quantised_conv.hi = n->attr.gemm.hi;
    p->attr.quantised_conv.act = n->attr.gemm.act;
    return !n->attr.gemm.trans_a && fabsf(n->attr.gemm.alpha - 1) <= 0 &&
           (p->bias < 0 || fabsf(n->attr.gemm.beta - 1) <= 0);
}

static struct cb_status sweep_product(struct sweep *s, int i)
{
    struct cb_graph *g = s->graph;
    const struct cb_node *n = &g->nodes[i];
    struct cb_quantised_weights w;
    struct product p;
    struct cb_quantum quantum;
    if (!read_product(s, n, &p) || !twin_of(s, p.x) ||
        (p.residual >= 0 && !twin_of(s, p.residual)) || s->producer[p.w] < 0)
        return cb_ok();
    const size_t filters = (size_t)g->values[p.w].shape.dim[p.axis];
    const size_t depth = cb_shape_count(&g->values[p.w].shape) / filters;
    int bias = -1, out = n->out[0];
    CB_TRY(cb_quantised_weights_of(s->pass, &g->nodes[s->producer[p.w]], p.axis, &w));
    if (w.value < 0 || depth > CB_QUANTISED_DEPTH_MAX / (w.zero < 0 ? 1 : 2))
        return cb_ok();
    p.attr.quantised_conv.x = s->twin[p.x].quantum;
    if (p.bias >= 0)
        CB_TRY(cb_quantised_sums_of(g,
                                    s->producer[p.bias] < 0 ? NULL : &g->nodes[s->producer[p.bias]],
                                    &w, s->twin[p.x].quantum.scale, depth, &bias));
    if (p.bias >= 0 && bias < 0)
        CB_TRY(cb_quantised_reals_of(
            g, p.bias, s->producer[p.bias] < 0 ? NULL : &g->nodes[s->producer[p.bias]], filters,
            &bias));
    if ((p.bias >= 0) != (bias >= 0))
        return cb_ok();
    if (p.residual >= 0)
        p.attr.quantised_conv.residual = s->twin[p.residual].quantum;
    const int q = quantize_behind(s, out, false, &quantum);
    p.attr.quantised_conv.to_real = q < 0;
    if (q >= 0) {
        p.attr.quantised_conv.y = quantum;
        CB_TRY(finish_quantize(s, q, quantum, &out));
    }
    s->done[i] = true;
    const int residual = p.residual >= 0 ? s->twin[p.residual].value : -1;
    return emit(s, CB_OP_QUANTISED_CONV, n->name, &p.attr,
                w.zero >= 0     ? 6
                : residual >= 0 ? 5
                                : 4,
                (int[]){ s->twin[p.x].value, w.value, w.scale, bias, residual, w.zero }, out);
}

/* ---- others ---- */

/* Same numbers in another shape, or the largest of them: the result is a twin with the input's
 * quantum. */
static struct cb_status sweep_same(struct sweep *s, const struct cb_node *n, enum cb_op op,
                                   const union cb_attr *attr)
{
    const struct twin *x = twin_of(s, n->in[0]);
    int out;
    if (!x)
        return cb_ok();
    CB_TRY(add_bytes(s, n->out[0], &out));
    s->twin[n->out[0]] = (struct twin){ out, x->quantum };
    return emit(s, op, n->name, attr, 1, (int[]){ x->value }, out);
}

static struct cb_status sweep_max_pool(struct sweep *s, int i)
{
    const struct cb_node *n = &s->graph->nodes[i];
    union cb_attr attr = cb_attr_default(CB_OP_QUANTISED_MAX_POOL);
    if (n->n_out > 1 && n->out[1] >= 0)
        return cb_ok();
    attr.quantised_pool.window = n->attr.pool.window;
    return sweep_same(s, n, CB_OP_QUANTISED_MAX_POOL, &attr);
}

static struct cb_status sweep_view(struct sweep *s, int i)
{
    const struct cb_node *n = &s->graph->nodes[i];
    return sweep_same(s, n, n->op, &n->attr);
}

static struct cb_status sweep_average(struct sweep *s, int i)
{
    const struct cb_node *n = &s->graph->nodes[i];
    const struct twin *x = twin_of(s, n->in[0]);
    union cb_attr attr = cb_attr_default(CB_OP_QUANTISED_AVERAGE_POOL);
    const struct cb_shape *shape = &s->graph->values[n->in[0]].shape;
    struct cb_quantum quantum;
    int out;
    const int q = x ? quantize_behind(s, n->out[0], false, &quantum) : -1;
    if (q < 0 || shape->rank > 2 + CB_MAX_SPATIAL)
        return cb_ok();
    CB_TRY(finish_quantize(s, q, quantum, &out));
    if (n->op == CB_OP_AVERAGE_POOL) {
        attr.quantised_pool.window = n->attr.pool.window;
        attr.quantised_pool.count_include_pad = n->attr.pool.count_include_pad;
    } else {
        attr.quantised_pool.window.rank = shape->rank - 2;
        for (int k = 0; k < shape->rank - 2; k++)
            attr.quantised_pool.window.kernel[k] = shape->dim[1 + k];
    }
    attr.quantised_pool.x = x->quantum;
    attr.quantised_pool.y = quantum;
    s->done[i] = true;
    return emit(s, CB_OP_QUANTISED_AVERAGE_POOL, n->name, &attr, 1, (int[]){ x->value }, out);
}

static struct cb_status sweep_add(struct sweep *s, int i)
{
    const struct cb_node *n = &s->graph->nodes[i];
    const struct twin *a = twin_of(s, n->in[0]), *b = twin_of(s, n->in[1]);
    union cb_attr attr = cb_attr_default(CB_OP_QUANTISED_ADD);
    struct cb_quantum quantum;
    int out;
    if (!a || !b || n->attr.binary.aligned ||
        !cb_shape_equal(&s->graph->values[n->in[0]].shape, &s->graph->values[n->in[1]].shape))
        return cb_ok();
    const int q = quantize_behind(s, n->out[0], true, &quantum);
    if (q < 0)
        return cb_ok();
    CB_TRY(finish_quantize(s, q, quantum, &out));
    attr.quantised_add.zero_first = s->graph->nodes[q].attr.quantise.zero_first;
    if (attr.quantised_add.zero_first &&
        s->graph->values[s->graph->nodes[q].out[0]].dtype == CB_INT8)
        attr.quantised_add.origin = 128;
    attr.quantised_add.a = a->quantum;
    attr.quantised_add.b = b->quantum;
    attr.quantised_add.y = quantum;
    attr.quantised_add.lo = n->attr.binary.lo;
    attr.quantised_add.hi = n->attr.binary.hi;
    s->done[i] = true;
    return emit(s, CB_OP_QUANTISED_ADD, n->name, &attr, 2, (int[]){ a->value, b->value }, out);
}

/* Parts of one quantum are put together as they are; others are brought to the result's first. */
static struct cb_status sweep_concat(struct sweep *s, int i)
{
    const struct cb_node *n = &s->graph->nodes[i];
    struct cb_quantum quantum;
    bool same = true;
    int *parts, out;
    for (int k = 0; k < n->n_in; k++) {
        if (!twin_of(s, n->in[k]))
            return cb_ok();
        same &= equal(s->twin[n->in[k]].quantum, s->twin[n->in[0]].quantum);
    }
    const int q = quantize_behind(s, n->out[0], false, &quantum);
    if (q < 0 && !same)
        return cb_ok();
    if (q < 0)
        quantum = s->twin[n->in[0]].quantum;
    CB_TRY(cb_arena_get(s->graph->arena, (size_t)n->n_in, sizeof *parts, n->name, &parts));
    for (int k = 0; k < n->n_in; k++) {
        const struct twin from = s->twin[n->in[k]];
        parts[k] = from.value;
        if (equal(from.quantum, quantum))
            continue;
        CB_TRY(add_bytes(s, n->in[k], &parts[k]));
        CB_TRY(emit_lookup(s, NULL, &from, quantum, n->name, parts[k]));
    }
    if (q >= 0) {
        CB_TRY(finish_quantize(s, q, quantum, &out));
        s->done[i] = true;
    } else {
        CB_TRY(add_bytes(s, n->out[0], &out));
        s->twin[n->out[0]] = (struct twin){ out, quantum };
    }
    return emit(s, CB_OP_CONCAT, n->name, &n->attr, n->n_in, parts, out);
}

static struct cb_status sweep_function(struct sweep *s, int i)
{
    const struct cb_node *n = &s->graph->nodes[i];
    const struct twin *x = twin_of(s, n->in[0]);
    struct cb_quantum quantum;
    int out;
    for (int k = 1; k < n->n_in; k++)
        if (n->in[k] >= 0)
            return cb_ok();
    const int q = x ? quantize_behind(s, n->out[0], false, &quantum) : -1;
    if (q < 0)
        return cb_ok();
    CB_TRY(finish_quantize(s, q, quantum, &out));
    s->done[i] = true;
    return emit_lookup(s, n, x, quantum, n->name, out);
}

typedef struct cb_status sweep_fn(struct sweep *s, int i);

static sweep_fn *fn_of(enum cb_op op)
{
    switch (op) {
    case CB_OP_QUANTIZE: return sweep_quantize;
    case CB_OP_CONV:
    case CB_OP_GEMM:
    case CB_OP_MATMUL: return sweep_product;
    case CB_OP_MAX_POOL: return sweep_max_pool;
    case CB_OP_AVERAGE_POOL:
    case CB_OP_GLOBAL_AVERAGE_POOL: return sweep_average;
    case CB_OP_ADD: return sweep_add;
    case CB_OP_CONCAT: return sweep_concat;
    case CB_OP_RESHAPE:
    case CB_OP_FLATTEN:
    case CB_OP_SQUEEZE:
    case CB_OP_UNSQUEEZE:
    case CB_OP_TRANSPOSE:
    case CB_OP_SLICE:
    case CB_OP_IDENTITY: return sweep_view;
    case CB_OP_CAST: return NULL;
    default: return op >= CB_OP_RELU && op < CB_OP_NOT ? sweep_function : NULL;
    }
}

static struct cb_status begin(struct sweep *s)
{
    struct cb_graph *g = s->graph;
    const size_t n_values = (size_t)g->n_values, n_nodes = (size_t)g->n_nodes;
    s->n_before = g->n_values;
    CB_TRY(cb_graph_producers(g, g->arena, &s->producer));
    CB_TRY(cb_graph_uses(g, g->arena, &s->uses));
    CB_TRY(cb_arena_get(g->arena, n_values, sizeof *s->reader, "fuse-quantised", &s->reader));
    CB_TRY(cb_arena_get(g->arena, n_values, sizeof *s->twin, "fuse-quantised", &s->twin));
    CB_TRY(cb_arena_get(g->arena, n_nodes, sizeof *s->done, "fuse-quantised", &s->done));
    for (size_t v = 0; v < n_values; v++)
        s->twin[v].value = -1;
    for (int i = 0; i < g->n_nodes; i++) {
        s->cap_nodes += 2 + g->nodes[i].n_in;
        for (int k = 0; k < g->nodes[i].n_in; k++)
            if (g->nodes[i].in[k] >= 0)
                s->reader[g->nodes[i].in[k]] = i;
    }
    return cb_arena_get(g->arena, (size_t)s->cap_nodes, sizeof *s->nodes, "fuse-quantised",
                        &s->nodes);
}

static struct cb_status run(struct sweep *s)
{
    struct cb_graph *g = s->graph;
    CB_TRY(begin(s));
    for (int i = 0; i < g->n_nodes; i++) {
        const struct cb_node node = g->nodes[i];
        sweep_fn *fn = node.out[0] >= 0 ? fn_of(node.op) : NULL;
        bool replaced = false;
        if (node.op == CB_OP_DEQUANTIZE)
            CB_TRY(sweep_dequantize(s, i, &replaced));
        else if (fn)
            CB_TRY(fn(s, i));
        if (node.op == CB_OP_QUANTIZE && s->done[i])
            CB_TRY(emit_copy(s, node.name, g->values[node.out[0]].dtype, s->twin[node.out[0]].value,
                             node.out[0]));
        if (replaced || s->done[i])
            continue;
        if (s->n_nodes == s->cap_nodes)
            return cb_fail(CB_ERR_NOMEM, "fuse-quantised: more nodes than foreseen");
        s->nodes[s->n_nodes++] = node;
    }
    g->nodes = s->nodes;
    g->n_nodes = s->n_nodes;
    g->cap_nodes = s->cap_nodes;
    return cb_ok();
}

/* Gradients pass through a rounding as if it were none (arXiv:1308.3432): Quantize and Dequantize
 * become a Clip to what bytes can hold. */
static void leave_out_rounding(struct cb_graph *g, const int *producer)
{
    for (int i = 0; i < g->n_nodes; i++) {
        struct cb_node *d = &g->nodes[i];
        struct cb_quantum in, out;
        const int p = d->op == CB_OP_DEQUANTIZE ? producer[d->in[0]] : -1;
        if (p < 0 || g->nodes[p].op != CB_OP_QUANTIZE ||
            !cb_quantised_quantum(g, &g->nodes[p], &in) || !cb_quantised_quantum(g, d, &out) ||
            !equal(in, out))
            continue;
        d->op = CB_OP_CLIP;
        d->attr = cb_attr_default(CB_OP_CLIP);
        d->attr.clip.lo = (double)in.scale * (0 - in.zero);
        d->attr.clip.hi = (double)in.scale * (255 - in.zero);
        d->in[0] = g->nodes[p].in[0];
        d->n_in = 1;
    }
}

struct cb_status cb_pass_fuse_quantised(struct cb_pass *pass)
{
    struct sweep s = { .pass = pass, .graph = pass->graph };
    bool any = false;
    for (int i = 0; i < pass->graph->n_nodes; i++)
        any |= pass->graph->nodes[i].op == CB_OP_QUANTIZE ||
               pass->graph->nodes[i].op == CB_OP_DEQUANTIZE;
    if (!any)
        return cb_ok();
    if (pass->wanted_grad) {
        CB_TRY(cb_graph_producers(s.graph, s.graph->arena, &s.producer));
        leave_out_rounding(s.graph, s.producer);
    } else {
        CB_TRY(run(&s));
    }
    CB_TRY(cb_pass_drop_dead(pass));
    return cb_quantised_fold_constants(pass);
}
