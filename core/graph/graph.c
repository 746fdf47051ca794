#include "core/graph/graph.h"

#include <string.h>

void cb_graph_init(struct cb_graph *graph, struct cb_arena *arena)
{
    *graph = (struct cb_graph){ .arena = arena };
}

/* Room for one more element in an arena-held array: doubled when full, the old one is left behind.
 */
static struct cb_status grow(struct cb_arena *arena, void *array_pointer, int count, int *cap,
                             size_t size)
{
    void *old, *bigger;
    const int wanted = *cap ? *cap * 2 : 32;
    if (count < *cap)
        return cb_ok();
    CB_TRY(cb_arena_get(arena, (size_t)wanted, size, "graph", &bigger));
    memcpy(&old, array_pointer, sizeof old);
    if (count)
        memcpy(bigger, old, (size_t)count * size);
    memcpy(array_pointer, &bigger, sizeof bigger);
    *cap = wanted;
    return cb_ok();
}

static struct cb_status add_index(struct cb_graph *graph, int **array, int *count, int *cap,
                                  int index)
{
    CB_TRY(grow(graph->arena, array, *count, cap, sizeof **array));
    (*array)[(*count)++] = index;
    return cb_ok();
}

struct cb_status cb_graph_add_input(struct cb_graph *graph, int value)
{
    return add_index(graph, &graph->inputs, &graph->n_inputs, &graph->cap_inputs, value);
}

struct cb_status cb_graph_add_output(struct cb_graph *graph, int value)
{
    return add_index(graph, &graph->outputs, &graph->n_outputs, &graph->cap_outputs, value);
}

struct cb_status cb_graph_add_value(struct cb_graph *graph, const char *name, enum cb_dtype dtype,
                                    const struct cb_shape *shape, int *out)
{
    char *copy = cb_arena_text(graph->arena, name, strlen(name));
    if (!copy)
        return cb_fail(CB_ERR_NOMEM, "graph: no room for the name of value %d", graph->n_values);
    CB_TRY(grow(graph->arena, &graph->values, graph->n_values, &graph->cap_values,
                sizeof *graph->values));
    graph->values[graph->n_values] = (struct cb_value){
        .name = copy,
        .dtype = dtype,
        .shape = shape ? *shape : (struct cb_shape){ .rank = -1 },
    };
    *out = graph->n_values++;
    return cb_ok();
}

struct cb_status cb_graph_add_constant(struct cb_graph *graph, const char *name,
                                       const struct cb_tensor *tensor, int *out)
{
    CB_TRY(cb_graph_add_value(graph, name, tensor->dtype, &tensor->shape, out));
    graph->values[*out].data = tensor->data;
    graph->values[*out].key = cb_key_mix(0x636f6e7374616e74u, (uint64_t)*out);
    return cb_ok();
}

struct cb_status cb_graph_add_node(struct cb_graph *graph, enum cb_op op, const char *name,
                                   int n_in, const int *in, int n_out, const int *out,
                                   struct cb_node **node)
{
    struct cb_node made = { .op = op, .n_in = n_in, .n_out = n_out, .attr = cb_attr_default(op) };
    made.name = cb_arena_text(graph->arena, name, strlen(name));
    if (!made.name)
        return cb_fail(CB_ERR_NOMEM, "graph: no room for the name of node %d", graph->n_nodes);
    CB_TRY(cb_arena_get(graph->arena, (size_t)n_in, sizeof *made.in, "graph", &made.in));
    CB_TRY(cb_arena_get(graph->arena, (size_t)n_out, sizeof *made.out, "graph", &made.out));
    if (n_in)
        memcpy(made.in, in, (size_t)n_in * sizeof *in);
    if (n_out)
        memcpy(made.out, out, (size_t)n_out * sizeof *out);
    CB_TRY(
        grow(graph->arena, &graph->nodes, graph->n_nodes, &graph->cap_nodes, sizeof *graph->nodes));
    graph->nodes[graph->n_nodes] = made;
    if (node)
        *node = &graph->nodes[graph->n_nodes];
    graph->n_nodes++;
    return cb_ok();
}

static struct cb_status copy_array(struct cb_arena *arena, const void *from, int count, size_t size,
                                   void *out_pointer)
{
    void *copy;
    CB_TRY(cb_arena_get(arena, (size_t)count, size, "graph copy", &copy));
    if (count)
        memcpy(copy, from, (size_t)count * size);
    memcpy(out_pointer, &copy, sizeof copy);
    return cb_ok();
}

struct cb_status cb_graph_copy(const struct cb_graph *from, struct cb_arena *arena,
                               struct cb_graph *to)
{
    struct cb_graph copy = *from;
    copy.arena = arena;
    copy.cap_values = copy.n_values;
    copy.cap_nodes = copy.n_nodes;
    copy.cap_inputs = copy.n_inputs;
    copy.cap_outputs = copy.n_outputs;
    CB_TRY(copy_array(arena, from->values, from->n_values, sizeof *from->values, &copy.values));
    CB_TRY(copy_array(arena, from->nodes, from->n_nodes, sizeof *from->nodes, &copy.nodes));
    CB_TRY(copy_array(arena, from->inputs, from->n_inputs, sizeof *from->inputs, &copy.inputs));
    CB_TRY(copy_array(arena, from->outputs, from->n_outputs, sizeof *from->outputs, &copy.outputs));
    for (int i = 0; i < copy.n_nodes; i++) {
        struct cb_node *n = &copy.nodes[i];
        CB_TRY(copy_array(arena, n->in, n->n_in, sizeof *n->in, &n->in));
        CB_TRY(copy_array(arena, n->out, n->n_out, sizeof *n->out, &n->out));
    }
    *to = copy;
    return cb_ok();
}

int cb_graph_find(const struct cb_graph *graph, const char *name)
{
    for (int i = 0; i < graph->n_values; i++)
        if (!strcmp(graph->values[i].name, name))
            return i;
    return -1;
}

struct cb_status cb_graph_producers(const struct cb_graph *graph, struct cb_arena *arena, int **out)
{
    int *producer;
    CB_TRY(cb_arena_get(arena, (size_t)graph->n_values, sizeof *producer, "graph", &producer));
    for (int v = 0; v < graph->n_values; v++)
        producer[v] = -1;
    for (int i = 0; i < graph->n_nodes; i++)
        for (int k = 0; k < graph->nodes[i].n_out; k++)
            if (graph->nodes[i].out[k] >= 0)
                producer[graph->nodes[i].out[k]] = i;
    *out = producer;
    return cb_ok();
}

struct cb_status cb_graph_uses(const struct cb_graph *graph, struct cb_arena *arena, int **out)
{
    int *uses;
    CB_TRY(cb_arena_get(arena, (size_t)graph->n_values, sizeof *uses, "graph", &uses));
    for (int i = 0; i < graph->n_nodes; i++)
        for (int k = 0; k < graph->nodes[i].n_in; k++)
            if (graph->nodes[i].in[k] >= 0)
                uses[graph->nodes[i].in[k]]++;
    for (int i = 0; i < graph->n_outputs; i++)
        uses[graph->outputs[i]]++;
    *out = uses;
    return cb_ok();
}

/* Ready values: constants, inputs, and what placed nodes make. */
static struct cb_status mark_given(const struct cb_graph *graph, bool **out)
{
    bool *ready;
    CB_TRY(
        cb_arena_get(graph->arena, (size_t)graph->n_values, sizeof *ready, "graph order", &ready));
    for (int v = 0; v < graph->n_values; v++)
        ready[v] = graph->values[v].data != NULL;
    for (int i = 0; i < graph->n_inputs; i++)
        ready[graph->inputs[i]] = true;
    *out = ready;
    return cb_ok();
}

/* Depth-first over producers with an explicit stack: linear, however the nodes stood in the file.
 */
struct sorter {
    struct cb_graph *graph;
    const int *producer;
    bool *ready;
    char *state; /* per node: 0 new, 1 on the stack, 2 placed */
    int *stack, *next_input;
    struct cb_node *sorted;
    int n_sorted;
};

static struct cb_status place(struct sorter *s, int root)
{
    int depth = 0;
    if (s->state[root])
        return cb_ok();
    s->stack[0] = root;
    s->next_input[0] = 0;
    s->state[root] = 1;
    while (depth >= 0) {
        const int i = s->stack[depth];
        const struct cb_node *node = &s->graph->nodes[i];
        const int k = s->next_input[depth]++;
        if (k < node->n_in) {
            const int v = node->in[k], p = v < 0 || s->ready[v] ? -1 : s->producer[v];
            if (v < 0 || s->ready[v])
                continue;
            if (p < 0)
                return cb_fail(CB_ERR_MODEL, "%s: nothing makes its input '%s'", node->name,
                               s->graph->values[v].name);
            if (s->state[p] == 1)
                return cb_fail(CB_ERR_MODEL, "%s: its input '%s' depends on its own output",
                               node->name, s->graph->values[v].name);
            if (s->state[p] == 0) {
                s->state[p] = 1;
                s->stack[++depth] = p;
                s->next_input[depth] = 0;
            }
            continue;
        }
        s->sorted[s->n_sorted++] = *node;
        s->state[i] = 2;
        for (int o = 0; o < node->n_out; o++)
            if (node->out[o] >= 0)
                s->ready[node->out[o]] = true;
        depth--;
    }
    return cb_ok();
}

struct cb_status cb_graph_sort(struct cb_graph *graph)
{
    const size_t n = (size_t)graph->n_nodes;
    struct sorter s = { .graph = graph };
    int *producer;
    CB_TRY(mark_given(graph, &s.ready));
    CB_TRY(cb_graph_producers(graph, graph->arena, &producer));
    s.producer = producer;
    CB_TRY(cb_arena_get(graph->arena, n, 1, "graph order", &s.state));
    CB_TRY(cb_arena_get(graph->arena, n, sizeof *s.stack, "graph order", &s.stack));
    CB_TRY(cb_arena_get(graph->arena, n, sizeof *s.next_input, "graph order", &s.next_input));
    CB_TRY(cb_arena_get(graph->arena, n, sizeof *s.sorted, "graph order", &s.sorted));
    for (int i = 0; i < graph->n_nodes; i++)
        CB_TRY(place(&s, i));
    graph->nodes = s.sorted;
    graph->cap_nodes = graph->n_nodes;
    return cb_ok();
}

static struct cb_status verify_node(const struct cb_graph *graph, const struct cb_node *node,
                                    const bool *ready, const char *after)
{
    const struct cb_op_def *def;
    if ((unsigned)node->op >= CB_OP_COUNT)
        return cb_fail(CB_ERR_MODEL, "after %s: %s has no operator", after, node->name);
    def = cb_op_get(node->op);
    if (node->n_in < def->min_in || node->n_in > def->max_in)
        return cb_fail(CB_ERR_MODEL, "after %s: %s (%s) wants %d to %d inputs, has %d", after,
                       node->name, def->name, def->min_in, def->max_in, node->n_in);
    if (node->n_out < 1 || node->n_out > def->max_out)
        return cb_fail(CB_ERR_MODEL, "after %s: %s (%s) wants 1 to %d outputs, has %d", after,
                       node->name, def->name, def->max_out, node->n_out);
    for (int k = 0; k < node->n_in; k++) {
        const int v = node->in[k];
        if (v < -1 || v >= graph->n_values || (v < 0 && k < def->min_in && !(def->params >> k & 1)))
            return cb_fail(CB_ERR_MODEL, "after %s: %s (%s) lacks input %d", after, node->name,
                           def->name, k);
        if (v >= 0 && !ready[v])
            return cb_fail(CB_ERR_MODEL, "after %s: %s reads '%s' before it is made", after,
                           node->name, graph->values[v].name);
    }
    return cb_ok();
}

struct cb_status cb_graph_verify(const struct cb_graph *graph, const char *after)
{
    struct cb_arena *arena = graph->arena;
    const size_t mark = arena->used;
    struct cb_status st;
    bool *ready;
    CB_TRY(mark_given(graph, &ready));
    st = cb_ok();
    for (int i = 0; i < graph->n_nodes && !st.code; i++) {
        const struct cb_node *node = &graph->nodes[i];
        st = verify_node(graph, node, ready, after);
        for (int k = 0; k < node->n_out && !st.code; k++) {
            const int v = node->out[k];
            if (v < -1 || v >= graph->n_values)
                st = cb_fail(CB_ERR_MODEL, "after %s: %s has no output %d", after, node->name, k);
            else if (v >= 0 && ready[v])
                st = cb_fail(CB_ERR_MODEL, "after %s: '%s' is made twice (again by %s)", after,
                             graph->values[v].name, node->name);
            else if (v >= 0)
                ready[v] = true;
        }
    }
    for (int i = 0; i < graph->n_outputs && !st.code; i++)
        if (!ready[graph->outputs[i]])
            st = cb_fail(CB_ERR_MODEL, "after %s: nothing makes the output '%s'", after,
                         graph->values[graph->outputs[i]].name);
    cb_arena_rewind(arena, mark);
    return st;
}

struct cb_tensor cb_value_tensor(const struct cb_value *value)
{
    return (struct cb_tensor){ .shape = value->shape,
                               .dtype = value->dtype,
                               .data = (void *)(uintptr_t)value->data };
}

uint64_t cb_key_mix(uint64_t key, uint64_t with)
{
    uint64_t z = key * 0x9e3779b97f4a7c15u + with + 0x632be59bd9b4e019u;
    z = (z ^ (z >> 32)) * 0xd6e8feb86659fd93u;
    z = (z ^ (z >> 29)) * 0xbf58476d1ce4e5b9u;
    return z ^ (z >> 32);
}
