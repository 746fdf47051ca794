#include "core/exec/strips.h"

#include <string.h>

/* Of the results between two stages, at a time: the second-level cache, less what else is read. */
#define ROOM_BYTES ((size_t)3 << 18)

/* Lines [first, end). */
struct lines {
    size_t first, end;
};

struct stage {
    const struct cb_op_call *call;
    size_t kernel, stride, dilation, pad, in, out; /* of the first spatial axis */
    size_t line_bytes;                             /* of its result in a room */
};

struct chain {
    const struct cb_strips *strips;
    struct stage stage[CB_STRIP_STAGES];
};

static const struct cb_window *window_of(const struct cb_node *n)
{
    return n->op == CB_OP_CONV ? &n->attr.conv.window : &n->attr.pool.window;
}

static size_t size_at(const struct cb_tensor *t, int axis)
{
    return (size_t)t->shape.dim[axis];
}

static struct stage stage_of(const struct cb_op_call *call)
{
    const struct cb_window *w = window_of(call->node);
    const struct cb_tensor *y = call->out[0];
    return (struct stage){
        .call = call,
        .kernel = (size_t)w->kernel[0],
        .stride = (size_t)w->stride[0],
        .dilation = (size_t)w->dilation[0],
        .pad = (size_t)w->pad_begin[0],
        .in = size_at(call->in[0], 1),
        .out = size_at(y, 1),
        .line_bytes = size_at(y, 2) * size_at(y, 3) * sizeof(float),
    };
}

/* The lines of a stage's input that lines `out` of its result are made of. */
static struct lines source(const struct stage *s, struct lines out)
{
    const size_t start = out.first * s->stride, span = (s->kernel - 1) * s->dilation + 1;
    const size_t end = (out.end - 1) * s->stride + span;
    struct lines in = { start > s->pad ? start - s->pad : 0, end > s->pad ? end - s->pad : 0 };
    in.end = in.end < s->in ? in.end : s->in;
    in.first = in.first < in.end ? in.first : in.end;
    return in;
}

/* One stage's part of a strip. */
struct part {
    struct cb_node node;
    struct cb_tensor in[6], out;
    const struct cb_tensor *ins[6];
    struct cb_tensor *outs[1];
    struct cb_op_call call;
};

/* Lines [l.first, l.end) of a tensor of `base`'s data, of which line 0 is line `zero`. */
static struct cb_tensor lines_of(const struct cb_tensor *t, struct lines l, void *data, size_t zero)
{
    struct cb_tensor part = *t;
    const size_t line = size_at(t, 2) * cb_tensor_pixel_stride(t) * sizeof(float);
    part.shape.dim[1] = (int64_t)(l.end - l.first);
    part.data = data ? (char *)data + (l.first - zero) * line : NULL;
    return part;
}

static void fill_part(const struct stage *s, struct lines in, struct lines out, struct part *p)
{
    const struct cb_op_call *call = s->call;
    const size_t start = out.first * s->stride;
    p->node = *call->node;
    *(p->node.op == CB_OP_CONV ? &p->node.attr.conv.window.pad_begin[0]
                               : &p->node.attr.pool.window.pad_begin[0]) =
        (int64_t)(s->pad > start ? s->pad - start : 0);
    for (int k = 0; k < call->node->n_in; k++)
        p->ins[k] = call->in[k];
    p->in[0] = lines_of(call->in[0], in, call->in[0]->data, 0);
    p->ins[0] = &p->in[0];
    if (p->node.op == CB_OP_CONV && p->node.n_in > 3 && call->in[3]) { /* the residual */
        p->in[3] = lines_of(call->in[3], out, call->in[3]->data, 0);
        p->ins[3] = &p->in[3];
    }
    p->out = lines_of(call->out[0], out, call->out[0]->data, 0);
    p->outs[0] = &p->out;
    p->call = *call;
    p->call.node = &p->node;
    p->call.in = p->ins;
    p->call.out = p->outs;
    p->call.threads = NULL;
}

/* Which lines of each result one strip makes anew, and which of it the next stage reads. */
struct step {
    struct lines made[CB_STRIP_STAGES], read[CB_STRIP_STAGES];
};

/* The step for lines `last` of the last result, when lines up to have[j] of the others are there.
 */
static struct step step_for(const struct chain *c, struct lines last,
                            const size_t have[CB_STRIP_STAGES])
{
    const int n = c->strips->count;
    struct step step;
    step.made[n - 1] = step.read[n - 1] = last;
    for (int j = n - 2; j >= 0; j--) {
        step.read[j] = source(&c->stage[j + 1], step.made[j + 1]);
        step.made[j] = step.read[j];
        if (have[j] > step.made[j].first)
            step.made[j].first = have[j] < step.made[j].end ? have[j] : step.made[j].end;
    }
    return step;
}

struct worker {
    const struct chain *chain;
    char *room[CB_STRIP_STAGES], *scratch;
    size_t zero[CB_STRIP_STAGES], have[CB_STRIP_STAGES]; /* lines [zero, have) are in the room */
};

/* What the step still reads of a room moves to its beginning. */
static void move_up(struct worker *w, int j, size_t first)
{
    const size_t line = w->chain->stage[j].line_bytes;
    if (w->have[j] > first && first > w->zero[j])
        memmove(w->room[j], w->room[j] + (first - w->zero[j]) * line, (w->have[j] - first) * line);
    w->zero[j] = first;
}

static void run_step(struct worker *w, const struct step *step)
{
    const struct chain *c = w->chain;
    const int n = c->strips->count;
    for (int j = 0; j < n; j++) {
        const struct stage *s = &c->stage[j];
        struct part p;
        if (j < n - 1)
            move_up(w, j, step->read[j].first);
        if (step->made[j].first == step->made[j].end)
            continue;
        const struct lines in = source(s, step->made[j]);
        fill_part(s, in, step->made[j], &p);
        if (j > 0)
            p.in[0] = lines_of(s->call->in[0], in, w->room[j - 1], w->zero[j - 1]);
        if (j < n - 1)
            p.out = lines_of(s->call->out[0], step->made[j], w->room[j], w->zero[j]);
        p.call.scratch = w->scratch;
        cb_op_get(p.node.op)->forward(&p.call);
        w->have[j] = step->made[j].end;
    }
}

/* The lines of the last result that range i of them has. */
static struct lines range_of(const struct cb_strips *s, size_t lines, size_t i)
{
    return (struct lines){ i * lines / s->ranges, (i + 1) * lines / s->ranges };
}

struct job {
    struct chain chain;
    char *memory;
};

static void run_range(void *ctx, size_t i, size_t number)
{
    const struct job *job = ctx;
    const struct cb_strips *s = job->chain.strips;
    struct worker w = { .chain = &job->chain };
    char *at = job->memory + number * s->bytes;
    const struct lines all = range_of(s, job->chain.stage[s->count - 1].out, i);
    for (int j = 0; j < s->count - 1; j++) {
        w.room[j] = at;
        at += cb_align_up(s->room[j] * job->chain.stage[j].line_bytes);
    }
    w.scratch = at;
    for (size_t first = all.first; first < all.end; first += s->lines) {
        const struct lines last = { first,
                                    first + s->lines < all.end ? first + s->lines : all.end };
        const struct step step = step_for(&job->chain, last, w.have);
        run_step(&w, &step);
    }
}

static struct chain chain_of(const struct cb_strips *strips, const struct cb_op_call *calls)
{
    struct chain c = { .strips = strips };
    for (int j = 0; j < strips->count; j++)
        c.stage[j] = stage_of(&calls[j]);
    return c;
}

void cb_strips_run(const struct cb_strips *strips, const struct cb_op_call *calls, void *memory)
{
    struct job job = { .chain = chain_of(strips, calls), .memory = memory };
    cb_threads_for(calls[0].threads, strips->ranges, run_range, &job);
}

const struct cb_strips *cb_strips_at(const struct cb_plan *plan, int i)
{
    return plan->strips && plan->strip_of[i] >= 0 && plan->strips[plan->strip_of[i]].first == i
               ? &plan->strips[plan->strip_of[i]]
               : NULL;
}

/* ---- when the plan is made ---- */

struct finder {
    struct cb_plan *plan;
    int *uses;
    struct cb_sketch sketch[CB_STRIP_STAGES];
    size_t cache;
};

static bool is_depthwise(const struct cb_graph *g, const struct cb_node *n)
{
    const struct cb_shape *x = &g->values[n->in[0]].shape;
    return n->op == CB_OP_CONV && n->attr.conv.group == x->dim[x->rank - 1] &&
           n->attr.conv.group == g->values[n->in[1]].shape.dim[0];
}

/* A convolution with packed weights, or a pool, over one image of two spatial axes. */
static bool is_stage(const struct cb_plan *plan, int i)
{
    const struct cb_node *n = &plan->graph.nodes[i];
    if (n->op != CB_OP_CONV && (n->op != CB_OP_MAX_POOL || n->n_out > 1))
        return false;
    const struct cb_tensor x = cb_plan_tensor(plan, n->in[0], i);
    return x.shape.rank == 4 && x.shape.dim[0] == 1 && n->n_in <= 6 &&
           cb_dtype_get(x.dtype)->is_float && (n->op != CB_OP_CONV || plan->packed[i]);
}

/* Whether what node i makes is read by the next one alone, as its input, and is worth it: a large
 * result, between stages of which one computes little for each number. */
static bool is_link(const struct finder *f, int i)
{
    const struct cb_plan *plan = f->plan;
    const struct cb_node *a = &plan->graph.nodes[i], *b = a + 1;
    const int v = a->out[0];
    if (i + 1 >= plan->graph.n_nodes || i + 1 == plan->chunks.end || !is_stage(plan, i) ||
        !is_stage(plan, i + 1) || b->in[0] != v || f->uses[v] != 1 || plan->kept[v] ||
        plan->slice[v].whole >= 0 || plan->chunks.whole[v] ||
        (!is_depthwise(&plan->graph, a) && !is_depthwise(&plan->graph, b) &&
         b->op != CB_OP_MAX_POOL))
        return false;
    const struct cb_tensor t = cb_plan_tensor(plan, v, i);
    return cb_tensor_bytes(&t) >= f->cache / 4;
}

/* The rooms that so many lines at a time want; all their bytes. */
static size_t find_rooms(const struct chain *c, struct cb_strips *s)
{
    size_t bytes = 0, lines = s->lines;
    for (int j = s->count - 2; j >= 0; j--) {
        const struct stage *next = &c->stage[j + 1];
        lines = (lines - 1) * next->stride + (next->kernel - 1) * next->dilation + 1;
        lines = lines < next->in ? lines : next->in;
        s->room[j] = lines;
        bytes += cb_align_up(lines * c->stage[j].line_bytes);
    }
    return bytes;
}

/* As many lines at a time as the cache holds, at least one. */
static size_t choose_lines(const struct chain *c, struct cb_strips *s, size_t room)
{
    const size_t most = c->stage[s->count - 1].out;
    s->lines = 1;
    while (s->lines < most) {
        s->lines++;
        if (find_rooms(c, s) > room) {
            s->lines--;
            break;
        }
    }
    return find_rooms(c, s);
}

/* A range for each thread, unless the lines that two ranges both make were too many. */
static bool choose_ranges(const struct chain *c, struct cb_strips *s, size_t threads)
{
    size_t twice = 0;
    for (int j = 1; j < s->count; j++)
        twice += (c->stage[j].kernel - 1) * c->stage[j].dilation;
    s->ranges = threads;
    return threads <= c->stage[s->count - 1].out && (threads - 1) * twice * 8 <= c->stage[1].in;
}

/* Asks every strip of every stage for its scratch. False when one of them would want its weights in
 * another form than the whole has. */
static bool find_scratch(const struct chain *c, struct cb_strips *s)
{
    for (size_t i = 0; i < s->ranges; i++) {
        const struct lines all = range_of(s, c->stage[s->count - 1].out, i);
        size_t have[CB_STRIP_STAGES] = { 0 };
        for (size_t first = all.first; first < all.end; first += s->lines) {
            const struct lines last = { first,
                                        first + s->lines < all.end ? first + s->lines : all.end };
            const struct step step = step_for(c, last, have);
            for (int j = 0; j < s->count; j++) {
                const struct cb_op_def *def = cb_op_get(c->stage[j].call->node->op);
                struct part p;
                have[j] = step.made[j].end;
                if (step.made[j].first == step.made[j].end)
                    continue;
                const struct lines in = source(&c->stage[j], step.made[j]);
                fill_part(&c->stage[j], in, step.made[j], &p);
                if (in.first == in.end ||
                    (def->packed_form &&
                     def->packed_form(&p.call) != def->packed_form(c->stage[j].call)) ||
                    (def->packed_bytes &&
                     def->packed_bytes(&p.call) != def->packed_bytes(c->stage[j].call)))
                    return false;
                const size_t bytes = def->scratch ? def->scratch(&p.call, false) : 0;
                s->scratch = bytes > s->scratch ? bytes : s->scratch;
            }
        }
    }
    return true;
}

static bool make_strips(struct finder *f, int first, int count, struct cb_strips *out)
{
    struct cb_plan *plan = f->plan;
    struct cb_strips s = { .first = first, .count = count };
    struct cb_op_call calls[CB_STRIP_STAGES];
    for (int j = 0; j < count; j++) {
        cb_sketch_node(&f->sketch[j], plan, &plan->graph.nodes[first + j]);
        f->sketch[j].call.packed = plan->packed[first + j];
        calls[j] = f->sketch[j].call;
    }
    const struct chain c = chain_of(&s, calls);
    const size_t rooms = choose_lines(&c, &s, f->cache / 2);
    if (!choose_ranges(&c, &s, cb_threads_count(plan->engine->threads)) || !find_scratch(&c, &s))
        return false;
    s.bytes = rooms + cb_align_up(s.scratch);
    *out = s;
    return true;
}

struct cb_status cb_plan_find_strips(struct cb_plan *plan, bool none)
{
    struct cb_graph *g = &plan->graph;
    struct finder f = { .plan = plan };
    int n = 0;
    f.cache = plan->engine->cache_bytes ? plan->engine->cache_bytes : 2 * ROOM_BYTES;
    CB_TRY(cb_arena_get(&plan->arena, (size_t)g->n_nodes, sizeof *plan->strips, "plan",
                        &plan->strips));
    CB_TRY(cb_arena_get(&plan->arena, (size_t)g->n_nodes, sizeof *plan->strip_of, "plan",
                        &plan->strip_of));
    CB_TRY(cb_arena_get(&plan->arena, (size_t)g->n_values, 1, "plan", &plan->unseen));
    CB_TRY(cb_graph_uses(g, &plan->arena, &f.uses));
    for (int j = 0; j < CB_STRIP_STAGES; j++)
        CB_TRY(cb_sketch_init(&f.sketch[j], plan));
    for (int i = 0; i < g->n_nodes; i++)
        plan->strip_of[i] = -1;
    for (int i = 0; i < g->n_nodes && !none && !plan->n_wrt; i++) {
        int count = 1;
        while (count < CB_STRIP_STAGES && is_link(&f, i + count - 1))
            count++;
        if (count < 2 || !make_strips(&f, i, count, &plan->strips[n]))
            continue;
        for (int j = 0; j < count; j++) {
            plan->strip_of[i + j] = n;
            plan->unseen[g->nodes[i + j].out[0]] = j < count - 1;
        }
        n++;
        i += count - 1;
    }
    return cb_ok();
}
