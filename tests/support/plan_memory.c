#include "tests/support/plan_memory.h"

#include <criterion/criterion.h>
#include <stdlib.h>

struct memory {
    const struct cb_plan *plan;
    int *producer;
    uint64_t *holds; /* [activation bytes / 4] */
    size_t chunk;    /* in work */
    int node;        /* that reads or writes */
};

static size_t channels_of(const struct cb_shape *s)
{
    return s->rank ? (size_t)s->dim[s->rank - 1] : 1;
}

/* Whether the node in work sees one chunk of v. */
static bool is_part(const struct memory *m, int v)
{
    return m->node < m->plan->chunks.end && m->plan->chunks.batched[v];
}

static size_t count_of(const struct memory *m, int v)
{
    const struct cb_tensor t = cb_plan_tensor(m->plan, v, m->node);
    return cb_tensor_count(&t);
}

/* Where element i of what the node sees lies, in floats. */
static size_t address(const struct memory *m, int v, size_t i)
{
    const struct cb_plan *plan = m->plan;
    const size_t c = channels_of(&plan->graph.values[v].shape);
    const size_t stride = plan->slice[v].whole >= 0 ? plan->slice[v].stride : c;
    if (is_part(m, v) && plan->chunks.whole[v])
        i += m->chunk * count_of(m, v);
    return plan->offset[v] / sizeof(float) + i / c * stride + i % c;
}

/* What element i of a value is, i counted over the whole batch: an element of a Concat along the
 * last axis, and of a view, is one of an input's; any other is its own. */
static uint64_t content(const struct memory *m, int v, size_t i)
{
    const struct cb_graph *g = &m->plan->graph;
    const struct cb_node *n = m->producer[v] < 0 ? NULL : &g->nodes[m->producer[v]];
    const struct cb_shape *s = &g->values[v].shape;
    if (n && cb_op_get(n->op)->view)
        return content(m, n->in[0], i);
    if (n && n->op == CB_OP_CONCAT && n->attr.axis.axis == s->rank - 1) {
        const size_t c = channels_of(s), pixel = i / c;
        size_t channel = i % c;
        for (int k = 0; k < n->n_in; k++) {
            const size_t size = channels_of(&g->values[n->in[k]].shape);
            if (channel < size)
                return content(m, n->in[k], pixel * size + channel);
            channel -= size;
        }
    }
    return ((uint64_t)v + 1) << 32 | i;
}

static uint64_t content_seen(const struct memory *m, int v, size_t i)
{
    return content(m, v, is_part(m, v) ? m->chunk * count_of(m, v) + i : i);
}

static void write_value(struct memory *m, int v)
{
    for (size_t i = 0; i < count_of(m, v); i++)
        m->holds[address(m, v, i)] = content_seen(m, v, i);
}

static void expect_value(const struct memory *m, int v, const char *what, const char *reader)
{
    for (size_t i = 0; i < count_of(m, v); i++)
        cr_assert_eq(m->holds[address(m, v, i)], content_seen(m, v, i),
                     "%s: element %zu of %s is gone when %s reads it", what, i,
                     m->plan->graph.values[v].name, reader);
}

static void run_node(struct memory *m, int i, const char *what)
{
    const struct cb_graph *g = &m->plan->graph;
    const struct cb_node *n = &g->nodes[i];
    m->node = i;
    for (int k = 0; k < n->n_in; k++)
        if (n->in[k] >= 0 && !g->values[n->in[k]].data)
            expect_value(m, n->in[k], what, n->name);
    write_value(m, n->out[0]);
}

void plan_memory_check(const struct cb_plan *plan, const char *what)
{
    const struct cb_graph *g = &plan->graph;
    struct memory m = { .plan = plan, .node = g->n_nodes };
    m.producer = calloc((size_t)g->n_values, sizeof *m.producer);
    m.holds = calloc(plan->activation_bytes / sizeof(float) + 1, sizeof *m.holds);
    cr_assert(m.producer && m.holds);
    for (int v = 0; v < g->n_values; v++)
        m.producer[v] = -1;
    for (int i = 0; i < g->n_nodes; i++)
        m.producer[g->nodes[i].out[0]] = i;
    for (int i = 0; i < g->n_inputs; i++)
        write_value(&m, g->inputs[i]);
    for (; plan->chunks.end && m.chunk < (size_t)plan->chunks.count; m.chunk++)
        for (int i = 0; i < plan->chunks.end; i++)
            run_node(&m, i, what);
    for (int i = plan->chunks.end; i < g->n_nodes; i++)
        run_node(&m, i, what);
    m.node = g->n_nodes;
    for (int i = 0; i < plan->n_outputs; i++)
        expect_value(&m, plan->outputs[i], what, "the caller");
    free(m.holds);
    free(m.producer);
}
