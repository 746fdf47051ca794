#include "core/exec/session.h"

#include <string.h>

#include "core/base/clock.h"
#include "core/exec/plan_internal.h"
#include "core/exec/session_internal.h"
#include "core/exec/strips.h"

static void wire_value(const struct cb_session *s, int v, int i, struct cb_tensor *out)
{
    const struct cb_plan *plan = s->plan;
    *out = cb_plan_tensor(plan, v, i);
    if (plan->offset[v] != CB_NO_OFFSET)
        out->data = s->activations + plan->offset[v];
    else if (plan->constant[v])
        out->data = (void *)(uintptr_t)plan->constant[v];
}

static struct cb_status wire_values(struct cb_session *s)
{
    const struct cb_plan *plan = s->plan;
    const size_t n = (size_t)plan->graph.n_values;
    CB_TRY(cb_arena_get(&s->arena, n, sizeof *s->tensors, "session", &s->tensors));
    for (int v = 0; v < plan->graph.n_values; v++)
        wire_value(s, v, plan->chunks.end, &s->tensors[v]);
    if (!plan->chunks.end)
        return cb_ok();
    CB_TRY(cb_arena_get(&s->arena, n, sizeof *s->parts, "session", &s->parts));
    CB_TRY(cb_arena_get(&s->arena, n, sizeof *s->moving, "session", &s->moving));
    for (int v = 0; v < plan->graph.n_values; v++) {
        wire_value(s, v, 0, &s->parts[v]);
        if (plan->chunks.whole[v])
            s->moving[s->n_moving++] = v;
    }
    return cb_ok();
}

static struct cb_status wire_calls(struct cb_session *s)
{
    const struct cb_plan *plan = s->plan;
    const struct cb_graph *g = &plan->graph;
    CB_TRY(cb_arena_get(&s->arena, (size_t)g->n_nodes, sizeof *s->calls, "session", &s->calls));
    for (int i = 0; i < g->n_nodes; i++) {
        const struct cb_node *n = &g->nodes[i];
        struct cb_tensor **in, **out, *tensors = i < plan->chunks.end ? s->parts : s->tensors;
        CB_TRY(cb_arena_get(&s->arena, (size_t)n->n_in, sizeof *in, "session", &in));
        CB_TRY(cb_arena_get(&s->arena, (size_t)n->n_out, sizeof *out, "session", &out));
        for (int k = 0; k < n->n_in; k++)
            in[k] = n->in[k] < 0 ? NULL : &tensors[n->in[k]];
        for (int k = 0; k < n->n_out; k++)
            out[k] = n->out[k] < 0 ? NULL : &tensors[n->out[k]];
        s->calls[i] = (struct cb_op_call){
            .node = n,
            .kernels = &plan->engine->kernels,
            .threads = plan->engine->threads,
            .in = (const struct cb_tensor *const *)in,
            .out = out,
            .packed = plan->packed[i],
            .scratch = s->activations + plan->scratch_offset,
        };
    }
    return cb_ok();
}

struct cb_status cb_session_create(const struct cb_plan *plan, struct cb_session **out)
{
    struct cb_session *s;
    struct cb_status st;
    const size_t pointers =
        (size_t)plan->graph.n_nodes * 2 * ((size_t)plan->widest * sizeof(void *) + CB_ALIGN);
    const size_t tables =
        (size_t)plan->graph.n_values * (2 * sizeof(struct cb_tensor) + sizeof(int)) +
        (size_t)plan->graph.n_nodes * sizeof(struct cb_op_call);
    CB_TRY(cb_arena_begin(plan->activation_bytes + pointers + tables + ((size_t)1 << 16), sizeof *s,
                          &s));
    s->plan = plan;
    s->activations =
        cb_arena_alloc(&s->arena, plan->activation_bytes ? plan->activation_bytes : 1, 1);
    st =
        s->activations ? wire_values(s) : cb_fail(CB_ERR_NOMEM, "session: no room for activations");
    if (!st.code)
        st = wire_calls(s);
    if (st.code)
        cb_session_destroy(s);
    else
        *out = s;
    return st;
}

void cb_session_destroy(struct cb_session *session)
{
    if (!session)
        return;
    cb_arena_deinit(&session->arena);
}

struct cb_tensor *cb_session_input(struct cb_session *session, int i)
{
    return &session->tensors[session->plan->graph.inputs[i]];
}

const struct cb_tensor *cb_session_output(const struct cb_session *session, int i)
{
    return &session->tensors[session->plan->outputs[i]];
}

const struct cb_tensor *cb_session_value(const struct cb_session *session, int value)
{
    return &session->tensors[value];
}

/* Node i, or the chain that begins there; gives the node after. */
static int run_node(struct cb_session *session, int i)
{
    const struct cb_strips *strips = cb_strips_at(session->plan, i);
    struct cb_op_call *call = &session->calls[i];
    if (strips)
        cb_strips_run(strips, call, call->scratch);
    else
        cb_op_get(call->node->op)->forward(call);
    return i + (strips ? strips->count : 1);
}

/* ns: what each node took is added to it (a chain's at its first node); NULL: nobody asks. */
static void run_nodes(struct cb_session *session, int first, int end, int64_t *ns)
{
    int64_t before = ns ? cb_clock_ns() : 0;
    for (int i = first, next; i < end; i = next) {
        next = run_node(session, i);
        if (!ns)
            continue;
        const int64_t now = cb_clock_ns();
        ns[i] += now - before;
        before = now;
    }
}

/* Bytes from one chunk's part of a value to the next one's. */
static size_t chunk_bytes(const struct cb_tensor *part)
{
    const size_t stride = cb_tensor_pixel_stride(part);
    const int rank = part->shape.rank;
    const size_t pixels = rank > 1 ? cb_shape_span(&part->shape, 0, rank - 1) : 1;
    return pixels * stride * cb_dtype_size(part->dtype);
}

static void run_chunk(struct cb_session *session, size_t chunk, int64_t *ns)
{
    for (int i = 0; i < session->n_moving; i++) {
        const int v = session->moving[i];
        struct cb_tensor *part = &session->parts[v];
        part->data = (uint8_t *)session->tensors[v].data + chunk * chunk_bytes(part);
    }
    run_nodes(session, 0, session->plan->chunks.end, ns);
}

static void run_all(struct cb_session *session, int64_t *ns)
{
    const struct cb_chunks *chunks = &session->plan->chunks;
    for (size_t chunk = 0; chunks->end && chunk < (size_t)chunks->count; chunk++)
        run_chunk(session, chunk, ns);
    run_nodes(session, chunks->end, session->plan->graph.n_nodes, ns);
}

void cb_session_run(struct cb_session *session)
{
    run_all(session, NULL);
}

void cb_session_run_timed(struct cb_session *session, int64_t *ns)
{
    memset(ns, 0, (size_t)session->plan->graph.n_nodes * sizeof *ns);
    run_all(session, ns);
}

const char *cb_session_algorithm(const struct cb_session *session, int node)
{
    const struct cb_op_def *def = cb_op_get(session->plan->graph.nodes[node].op);
    return def->algorithm ? def->algorithm(&session->calls[node]) : NULL;
}
