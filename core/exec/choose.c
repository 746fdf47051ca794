/* Which algorithm each node runs, where several compete: the fastest that keeps its error budget.
 *
 * With choices in the engine, candidates are timed once for each kind of call and the order is
 * remembered; else, and when the time for measuring is up, the operator's own order counts. The
 * only candidate is set as well, so that no run looks for it. Accuracy depends on the weights, so
 * it is judged for every node; the verdict is kept with the packed weights, where a later process
 * finds it. No lock is held meanwhile. */
#include <string.h>

#include "core/base/clock.h"
#include "core/exec/choices.h"
#include "core/exec/stopwatch.h"

#define VERDICT 0x76657264u

struct choosing {
    struct cb_plan *plan;
    struct cb_choices *choices; /* NULL: by rule */
    struct cb_stopwatch watch;
};

/* What the time of the node depends on. */
static uint64_t key_of(const struct choosing *c, const struct cb_op_def *def,
                       const struct cb_node *node)
{
    const struct cb_plan *plan = c->plan;
    struct cb_node plain = *node;
    uint64_t key = cb_key_mix(cb_choices_machine(c->choices), node->op), word;
    def->choose(&plain, 0);
    key = cb_key_mix(key, (uint64_t)plan->engine->kernels.isa);
    key = cb_key_mix(key, plan->engine->kernels.bf16);
    key = cb_key_mix(key, cb_threads_count(plan->engine->threads));
    key = cb_key_mix(key, cb_stopwatch_class(&c->watch));
    for (int k = 0; k < node->n_in + node->n_out; k++) {
        const int v = k < node->n_in ? node->in[k] : node->out[k - node->n_in];
        const struct cb_tensor t = v < 0 ? (struct cb_tensor){ .shape = { .rank = -1 } }
                                         : cb_plan_tensor(plan, v, cb_plan_seen_from(plan, node));
        key = cb_key_mix(key, (uint64_t)(t.shape.rank + 1));
        for (int i = 0; i < t.shape.rank; i++)
            key = cb_key_mix(key, (uint64_t)t.shape.dim[i]);
    }
    for (size_t i = 0; i < sizeof plain.attr; i += sizeof word) {
        const size_t n = sizeof plain.attr - i < sizeof word ? sizeof plain.attr - i : sizeof word;
        word = 0;
        memcpy(&word, (const char *)&plain.attr + i, n);
        key = cb_key_mix(key, word);
    }
    return key ? key : 1;
}

/* A remembered order is taken when it names each candidate once, in whatever file it stood. */
static bool is_order_of(const struct cb_choice *choice, const int *candidates, int n)
{
    for (int i = 0; i < n; i++) {
        int found = 0;
        for (int k = 0; k < n; k++)
            found += choice->order[k] == candidates[i];
        if (found != 1)
            return false;
    }
    return choice->n == n;
}

/* Puts the candidates in the order of their speed. */
static void rank(struct choosing *c, const struct cb_op_def *def, struct cb_node *node,
                 int *candidates, int n)
{
    struct cb_choice choice;
    uint64_t key;
    if (!c->choices || c->plan->engine->kernels.isa == CB_ISA_GENERIC)
        return;
    key = key_of(c, def, node);
    if (!cb_choices_find(c->choices, key, &choice) || !is_order_of(&choice, candidates, n)) {
        choice = (struct cb_choice){ .key = key, .n = (uint8_t)n };
        if (!cb_stopwatch_rank(&c->watch, def, node, candidates, n, choice.order))
            return;
        cb_choices_add(c->choices, &choice, true);
    }
    for (int i = 0; i < n; i++)
        candidates[i] = choice.order[i];
}

struct judging {
    struct cb_packing *packing;
    const struct cb_op_def *def;
    const struct cb_node *node;
    uint64_t key;
    size_t bytes;
};

static void pack(void *ctx, void *block)
{
    const struct judging *j = ctx;
    cb_packing_write(j->packing, j->node, block, true);
}

/* Packs with the algorithm that the node has, and asks it. What is refused is not kept. */
static void judge(void *ctx, void *block)
{
    struct judging *j = ctx;
    struct cb_packing *p = j->packing;
    const struct cb_value *value = &p->plan->graph.values[j->node->in[1]];
    const void *packed;
    bool accurate = false;
    if (cb_weights_get(p->plan->weights, j->key, j->bytes, value->durable, pack, j, &packed).code ==
        CB_OK) {
        cb_sketch_node(&p->sketch, p->plan, j->node);
        p->sketch.tensors[1].data = (void *)(uintptr_t)cb_packing_elements(p, value);
        p->sketch.call.packed = packed;
        accurate = j->def->accurate(&p->sketch.call);
    }
    if (!accurate)
        cb_weights_discard(p->plan->weights, j->key);
    memcpy(block, &accurate, sizeof accurate);
}

static struct cb_status choose(struct choosing *c, const struct cb_op_def *def,
                               struct cb_node *node)
{
    int candidates[CB_ALGORITHMS_MAX], n;
    struct judging j = { .packing = &c->watch.packing, .def = def, .node = node };
    if (!cb_packing_key(j.packing, node, &j.key, &j.bytes))
        return cb_ok(); /* weights that are computed: the first that fits */
    n = def->algorithms(&j.packing->sketch.call, candidates);
    if (n > 1)
        rank(c, def, node, candidates, n);
    for (int i = 0; i < n; i++) {
        const void *verdict;
        bool accurate;
        def->choose(node, candidates[i]);
        if (i == n - 1 || !def->accurate || !cb_packing_key(j.packing, node, &j.key, &j.bytes))
            break;
        CB_TRY(cb_weights_get(c->plan->weights, cb_key_mix(j.key, VERDICT), sizeof accurate,
                              c->plan->graph.values[node->in[1]].durable, judge, &j, &verdict));
        memcpy(&accurate, verdict, sizeof accurate);
        if (accurate)
            break;
    }
    return cb_ok();
}

struct cb_status cb_plan_choose(struct cb_plan *plan, const struct cb_op_def *(*get)(enum cb_op))
{
    struct choosing c = { .plan = plan, .choices = plan->engine->choices };
    const int64_t budget = c.choices ? cb_choices_budget_ms(c.choices) * 1000000 : 0;
    bool any = false;
    for (int i = 0; i < plan->graph.n_nodes; i++)
        any |= get(plan->graph.nodes[i].op)->algorithms != NULL;
    if (!any)
        return cb_ok();
    struct cb_status st = cb_stopwatch_init(&c.watch, plan, cb_clock_ns() + budget);
    for (int i = 0; i < plan->graph.n_nodes && !st.code; i++) {
        const struct cb_op_def *def = get(plan->graph.nodes[i].op);
        if (def->algorithms)
            st = choose(&c, def, &plan->graph.nodes[i]);
    }
    cb_stopwatch_deinit(&c.watch);
    return st;
}
