/* A node's constant weights in the kernels' form. */
#include "core/base/file.h"
#include "core/exec/plan_internal.h"

struct cb_status cb_packing_init(struct cb_packing *packing, struct cb_plan *plan,
                                 struct cb_threads *threads, size_t largest_scaled)
{
    *packing = (struct cb_packing){ .plan = plan, .threads = threads };
    CB_TRY(cb_sketch_init(&packing->sketch, plan));
    CB_TRY(cb_arena_init(&packing->arena, largest_scaled));
    return largest_scaled
               ? cb_arena_get(&packing->arena, largest_scaled, 1, "plan", &packing->scaled)
               : cb_ok();
}

void cb_packing_deinit(struct cb_packing *packing)
{
    cb_arena_deinit(&packing->arena);
}

bool cb_packing_takes(const struct cb_node *node, int k)
{
    const struct cb_op_def *def = cb_op_get(node->op);
    return def->packed_bytes && k < node->n_in && node->in[k] >= 0 &&
           (def->packs ? k < 32 && (def->packs >> k & 1) : k == 1);
}

int cb_packing_shortest_lived(const struct cb_plan *plan, const struct cb_node *node)
{
    for (int k = 1; k < node->n_in; k++)
        if (cb_packing_takes(node, k) && !plan->graph.values[node->in[k]].durable)
            return node->in[k];
    return node->in[1];
}

bool cb_packing_key(struct cb_packing *packing, const struct cb_node *node, uint64_t *key,
                    size_t *bytes)
{
    const struct cb_plan *plan = packing->plan;
    const struct cb_op_def *def = cb_op_get(node->op);
    if (!cb_packing_takes(node, 1))
        return false;
    cb_sketch_node(&packing->sketch, plan, node);
    for (int k = 1; k < node->n_in; k++) {
        const int v = node->in[k];
        if (!cb_packing_takes(node, k))
            continue;
        if (!plan->graph.values[v].data || (v < plan->n_wanted && plan->wanted[v]))
            return false;
        packing->sketch.tensors[k].data = (void *)(uintptr_t)plan->graph.values[v].data;
    }
    if (!(*bytes = def->packed_bytes(&packing->sketch.call)))
        return false;
    *key = cb_key_mix(cb_key_mix(plan->graph.values[node->in[1]].key, node->op), *bytes);
    for (int k = 2; k < node->n_in; k++)
        if (cb_packing_takes(node, k))
            *key = cb_key_mix(cb_key_mix(*key, (uint64_t)k), plan->graph.values[node->in[k]].key);
    *key = cb_key_mix(*key, (uint64_t)plan->engine->kernels.isa);
    *key = cb_key_mix(*key, plan->engine->kernels.bf16);
    if (def->packed_form)
        *key = cb_key_mix(*key, def->packed_form(&packing->sketch.call));
    return true;
}

size_t cb_packing_largest_scaled(const struct cb_plan *plan)
{
    size_t most = 0;
    for (int v = 0; v < plan->graph.n_values; v++) {
        const struct cb_tensor t = cb_value_tensor(&plan->graph.values[v]);
        if (plan->graph.values[v].scale && cb_tensor_bytes(&t) > most)
            most = cb_tensor_bytes(&t);
    }
    return cb_align_up(most);
}

struct scaling {
    const char *from; /* maybe unaligned */
    const float *scale;
    size_t rows, columns;
    bool by_column;
    float *to;
};

static void scale_row(void *ctx, size_t row, size_t worker)
{
    const struct scaling *s = ctx;
    float *to = s->to + row * s->columns;
    (void)worker;
    memcpy(to, s->from + row * s->columns * sizeof *to, s->columns * sizeof *to);
    for (size_t i = 0; i < s->columns; i++)
        to[i] *= s->scale[s->by_column ? i : row];
}

const void *cb_packing_elements(struct cb_packing *packing, const struct cb_value *value)
{
    struct scaling s = { .from = value->data, .scale = value->scale };
    const size_t count = cb_shape_count(&value->shape);
    if (!value->scale || !count)
        return value->data;
    s.to = packing->scaled;
    s.by_column = value->scale_last;
    if (s.by_column)
        s.rows = count / (size_t)value->shape.dim[value->shape.rank - 1];
    else
        s.rows = (size_t)value->shape.dim[0];
    s.columns = count / s.rows;
    cb_threads_for(packing->threads, s.rows, scale_row, &s);
    return s.to;
}

/* Input k of the node, whose call has been sketched. */
static void write_input(struct cb_packing *packing, const struct cb_node *node, int k, void *block,
                        bool last)
{
    const struct cb_value *value = &packing->plan->graph.values[node->in[k]];
    const size_t bytes = cb_shape_count(&value->shape) * cb_dtype_size(value->dtype);
    struct cb_sketch *sketch = &packing->sketch;
    sketch->tensors[k].data = (void *)(uintptr_t)cb_packing_elements(packing, value);
    /* A file's pages come back when they are read once more; temporary memory would be lost. */
    last &= value->mapped && !cb_plan_is_temporary(packing->plan, value->data);
    if (last && value->scale)
        cb_file_let_go(value->data, bytes);
    sketch->call.packing = k;
    sketch->call.mapped = last && !value->scale;
    cb_op_get(node->op)->pack(&sketch->call, block);
    if (sketch->call.mapped)
        cb_file_let_go(value->data, bytes);
}

void cb_packing_write(struct cb_packing *packing, const struct cb_node *node, void *block,
                      bool last)
{
    cb_sketch_node(&packing->sketch, packing->plan, node);
    packing->sketch.call.threads = packing->threads;
    for (int k = 1; k < node->n_in; k++)
        if (cb_packing_takes(node, k))
            write_input(packing, node, k, block, last);
}
