#include "tests/support/op_case.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#define ARENA_BYTES ((size_t)1 << 26) /* address space */
#define GUARD 64

struct cb_shape op_shape_around(int64_t first, int rank, const int64_t *middle, int64_t last)
{
    struct cb_shape s = { .rank = rank + 2 };
    s.dim[0] = first;
    for (int i = 0; i < rank; i++)
        s.dim[1 + i] = middle[i];
    s.dim[rank + 1] = last;
    return s;
}

struct op_case op_case_make(enum cb_op op)
{
    struct op_case c = { .threads = 1, .rng = cb_rng_seed(1) };
    c.node = (struct cb_node){ .op = op, .name = "node", .n_out = 1, .attr = cb_attr_default(op) };
    cr_assert(cb_arena_init(&c.arena, ARENA_BYTES).code == CB_OK);
    return c;
}

void op_case_free(struct op_case *c)
{
    cb_arena_deinit(&c->arena);
}

/* ---- inputs ---- */

/* `bytes` of 0xff (floats: NaN, whole numbers: -1) with as many again as the guard needs. */
static void *guarded(struct op_case *c, size_t bytes)
{
    uint8_t *p = cb_arena_alloc(&c->arena, bytes + GUARD, 1);
    cr_assert(p != NULL, "the case needs too much memory");
    return memset(p, 0xff, bytes + GUARD);
}

static void expect_guard(const struct op_case *c, const void *block, size_t bytes, const char *what)
{
    const uint8_t *p = (const uint8_t *)block + bytes;
    for (int i = 0; i < GUARD; i++)
        cr_assert(p[i] == 0xff, "%s: writes beyond the end of its %s", cb_op_get(c->node.op)->name,
                  what);
}

static struct cb_tensor *add_input(struct op_case *c, enum cb_dtype dtype, struct cb_shape shape)
{
    const int i = c->node.n_in++;
    cr_assert(i < OP_MAX_ARGS, "too many inputs for a case");
    c->in[i] = (struct cb_tensor){ .shape = shape, .dtype = dtype };
    c->in[i].data = guarded(c, cb_tensor_bytes(&c->in[i]));
    c->same_as[i] = i;
    return &c->in[i];
}

void op_case_add(struct op_case *c, struct cb_shape shape, const float *elements)
{
    struct cb_tensor *t = add_input(c, CB_FLOAT32, shape);
    memcpy(t->data, elements, cb_tensor_bytes(t));
}

void op_case_add_wholes(struct op_case *c, enum cb_dtype dtype, struct cb_shape shape,
                        const int64_t *elements)
{
    struct cb_tensor *t = add_input(c, dtype, shape);
    memcpy(t->data, elements, cb_tensor_bytes(t));
}

static void fill_distinct(struct cb_rng *rng, size_t n, float *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = ((float)i - (float)(n / 2)) * 0.05f + 0.025f;
    for (size_t i = n; i > 1; i--) {
        const size_t k = cb_rng_below(rng, i);
        const float t = out[k];
        out[k] = out[i - 1];
        out[i - 1] = t;
    }
}

void op_case_random(struct op_case *c, struct cb_shape shape, enum op_fill fill)
{
    struct cb_tensor *t = add_input(c, CB_FLOAT32, shape);
    const size_t n = cb_tensor_count(t);
    if (fill == OP_DISTINCT) {
        fill_distinct(&c->rng, n, t->f);
        return;
    }
    for (size_t i = 0; i < n; i++)
        t->f[i] = fill == OP_WHOLE      ? (float)cb_rng_below(&c->rng, 5) - 2.0f
                  : fill == OP_POSITIVE ? cb_rng_uniform(&c->rng, 0.5f, 1.5f)
                                        : cb_rng_uniform(&c->rng, -1.0f, 1.0f);
}

void op_case_again(struct op_case *c, int as)
{
    const int i = c->node.n_in++;
    c->in[i] = c->in[as];
    c->same_as[i] = as;
}

void op_case_absent(struct op_case *c)
{
    const int i = c->node.n_in++;
    c->in[i] = (struct cb_tensor){ .dtype = CB_DTYPE_NONE };
    c->same_as[i] = i;
}

/* ---- running ---- */

static bool is_param(const struct op_case *c, int i)
{
    return i < 32 && (cb_op_get(c->node.op)->params >> i & 1);
}

static struct cb_status infer(struct op_case *c, struct cb_arg *out)
{
    struct cb_arg in[OP_MAX_ARGS] = { 0 };
    c->node.in = c->in_index;
    c->node.out = c->out_index;
    for (int i = 0; i < c->node.n_in; i++) {
        const unsigned seen = c->known | cb_op_get(c->node.op)->sizes;
        const bool known = is_param(c, i) || (seen >> i & 1);
        c->in_index[i] = c->in[i].dtype ? c->same_as[i] : -1;
        in[i] = (struct cb_arg){ c->in[i].dtype, c->in[i].shape,
                                 known && c->in[i].dtype ? &c->in[i] : NULL };
    }
    for (int i = 0; i < c->node.n_out; i++)
        c->out_index[i] = c->unwanted >> i & 1 ? -1 : OP_MAX_ARGS + i;
    return cb_op_get(c->node.op)->infer(&c->node, in, out);
}

struct cb_status op_case_infer(struct op_case *c)
{
    struct cb_arg out[OP_MAX_ARGS] = { 0 };
    struct cb_status st = infer(c, out);
    for (int i = 0; i < c->node.n_out && st.code == CB_OK; i++) {
        cr_assert(cb_shape_check(&out[i].shape), "%s: output %d has no usable shape", c->node.name,
                  i);
        cr_assert(out[i].dtype != CB_DTYPE_NONE, "%s: output %d has no type", c->node.name, i);
        c->out[i] = (struct cb_tensor){ .shape = out[i].shape, .dtype = out[i].dtype };
        c->out[i].data = guarded(c, cb_tensor_bytes(&c->out[i]));
    }
    return st;
}

void op_case_expect_refusal(struct op_case *c, enum cb_code code, const char *message)
{
    struct cb_arg out[OP_MAX_ARGS] = { 0 };
    const struct cb_status st = infer(c, out);
    cr_expect(st.code == code && !strcmp(st.msg, message),
              "wanted code %d, \"%s\"\nfound  code %d, \"%s\"", (int)code, message, (int)st.code,
              st.msg);
}

/* Everything that a call points to. */
struct bench {
    struct cb_kernels kernels;
    struct cb_threads *threads;
    struct cb_tensor in_place;
    const struct cb_tensor *in[OP_MAX_ARGS], *dout[OP_MAX_ARGS];
    struct cb_tensor *out[OP_MAX_ARGS], *din[OP_MAX_ARGS];
    struct cb_op_call call;
    size_t mark, scratch_bytes;
};

static void set_up(struct op_case *c, struct bench *b)
{
    *b = (struct bench){ .kernels = cb_kernels_for(c->isa), .mark = c->arena.used };
    if (c->threads > 1)
        cr_assert(cb_threads_create(c->threads, &b->threads).code == CB_OK);
    for (int i = 0; i < c->node.n_in; i++) {
        const int k = c->same_as[i];
        b->in[i] = c->in[i].dtype && !is_param(c, i) ? &c->in[k] : NULL;
        b->din[i] = c->din[k].data ? &c->din[k] : NULL;
    }
    for (int i = 0; i < c->node.n_out; i++) {
        b->out[i] = c->unwanted >> i & 1 ? NULL : &c->out[i];
        b->dout[i] = c->dout[i].data ? &c->dout[i] : NULL;
    }
    b->call = (struct cb_op_call){ .node = &c->node,
                                   .kernels = &b->kernels,
                                   .threads = b->threads,
                                   .in = b->in,
                                   .out = b->out,
                                   .dout = b->dout,
                                   .din = b->din };
}

static void add_scratch(struct op_case *c, struct bench *b, bool backward)
{
    const struct cb_op_def *def = cb_op_get(c->node.op);
    b->scratch_bytes = def->scratch ? def->scratch(&b->call, backward) : 0;
    b->call.scratch = guarded(c, b->scratch_bytes);
}

static void tear_down(struct op_case *c, struct bench *b)
{
    if (b->call.scratch)
        expect_guard(c, b->call.scratch, b->scratch_bytes, "scratch");
    cb_threads_destroy(b->threads);
    cb_arena_rewind(&c->arena, b->mark);
}

/* The constants that are packed, as a plan keeps them: packed from a place that is not aligned, and
 * then gone. */
static void pack(struct op_case *c, struct bench *b, struct cb_tensor weights[OP_MAX_ARGS])
{
    const struct cb_op_def *def = cb_op_get(c->node.op);
    const unsigned packs = def->packs ? def->packs : 1u << 1;
    const size_t packed_bytes = c->constant && def->pack ? def->packed_bytes(&b->call) : 0;
    if (!packed_bytes) /* these elements are used as they lie */
        return;
    void *packed = guarded(c, packed_bytes);
    for (int k = 1; k < c->node.n_in; k++) {
        if (!(packs >> k & 1) || !b->in[k])
            continue;
        const size_t bytes = cb_tensor_bytes(&c->in[k]);
        weights[k] = c->in[k];
        weights[k].data = memcpy((uint8_t *)guarded(c, bytes + 1) + 1, c->in[k].data, bytes);
        b->in[k] = &weights[k];
        b->call.packing = k;
        def->pack(&b->call, packed);
        weights[k].data = NULL;
    }
    expect_guard(c, packed, packed_bytes, "packed weights");
    b->call.packed = packed;
}

void op_case_forward(struct op_case *c)
{
    const struct cb_op_def *def = cb_op_get(c->node.op);
    struct cb_tensor weights[OP_MAX_ARGS];
    struct bench b;
    set_up(c, &b);
    for (int i = 0; i < c->node.n_out; i++)
        memset(c->out[i].data, 0xff, cb_tensor_bytes(&c->out[i]));
    if (c->in_place) {
        cr_assert(def->in_place || def->view, "%s cannot run in place", def->name);
        memcpy(c->out[0].data, c->in[0].data, cb_tensor_bytes(&c->in[0]));
        b.in_place = c->in[0];
        b.in_place.data = c->out[0].data;
        b.in[0] = &b.in_place;
    }
    pack(c, &b, weights);
    add_scratch(c, &b, false);
    def->forward(&b.call);
    for (int i = 0; i < c->node.n_out; i++)
        expect_guard(c, c->out[i].data, cb_tensor_bytes(&c->out[i]), "output");
    tear_down(c, &b);
}

void op_case_run(struct op_case *c)
{
    const struct cb_status st = op_case_infer(c);
    cr_assert(st.code == CB_OK, "%s", st.msg);
    op_case_forward(c);
}

/* ---- gradients ---- */

static bool wants_gradient(const struct op_case *c, int i)
{
    return c->in[i].dtype && cb_dtype_get(c->in[i].dtype)->is_float && c->same_as[i] == i &&
           !is_param(c, i) && !(c->frozen >> i & 1);
}

void op_case_clear(struct op_case *c)
{
    for (int i = 0; i < c->node.n_in; i++) {
        if (!wants_gradient(c, i))
            continue;
        const size_t bytes = cb_tensor_bytes(&c->in[i]);
        if (!c->din[i].data) {
            c->din[i] = c->in[i];
            c->din[i].data = guarded(c, bytes);
        }
        memset(c->din[i].data, 0, bytes);
    }
}

static void make_gradients(struct op_case *c)
{
    bool there = false;
    for (int i = 0; i < c->node.n_in; i++)
        there |= c->din[i].data != NULL;
    if (!there)
        op_case_clear(c);
    for (int i = 0; i < c->node.n_out; i++) {
        if (c->dout[i].data || !cb_dtype_get(c->out[i].dtype)->is_float || (c->unwanted >> i & 1))
            continue;
        c->dout[i] = c->out[i];
        c->dout[i].data = guarded(c, cb_tensor_bytes(&c->out[i]));
        cb_rng_fill(&c->rng, cb_tensor_count(&c->out[i]), c->dout[i].f);
    }
}

void op_case_backward(struct op_case *c)
{
    const struct cb_op_def *def = cb_op_get(c->node.op);
    struct cb_tensor weights[OP_MAX_ARGS];
    struct bench b;
    cr_assert(def->backward != NULL, "%s has no backward", def->name);
    make_gradients(c);
    set_up(c, &b);
    pack(c, &b, weights);
    b.in[1] = c->node.n_in > 1 && b.in[1] ? &c->in[c->same_as[1]] : NULL;
    add_scratch(c, &b, true);
    def->backward(&b.call);
    for (int i = 0; i < c->node.n_in; i++)
        if (c->din[i].data)
            expect_guard(c, c->din[i].data, cb_tensor_bytes(&c->din[i]), "gradient");
    tear_down(c, &b);
}

/* ---- expectations ---- */

void op_case_expect_floats(const struct op_case *c, int i, double tolerance, const float *want)
{
    const struct cb_tensor *y = &c->out[i];
    cr_assert(cb_dtype_get(y->dtype)->is_float, "output %d is not real", i);
    for (size_t k = 0; k < cb_tensor_count(y); k++)
        cr_expect(y->f[k] == want[k] || (isnan(y->f[k]) && isnan(want[k])) ||
                      fabs(y->f[k] - want[k]) <= tolerance,
                  "output %d[%zu]: wanted %.9g, found %.9g", i, k, want[k], y->f[k]);
}

void op_case_expect_wholes(const struct op_case *c, int i, const int64_t *want)
{
    const struct cb_tensor *y = &c->out[i];
    cr_assert(!cb_dtype_get(y->dtype)->is_float, "output %d is not whole", i);
    for (size_t k = 0; k < cb_tensor_count(y); k++)
        cr_expect(y->i[k] == want[k], "output %d[%zu]: wanted %lld, found %lld", i, k,
                  (long long)want[k], (long long)y->i[k]);
}

void op_case_expect_shape(const struct op_case *c, int i, struct cb_shape want)
{
    char a[CB_SHAPE_TEXT], b[CB_SHAPE_TEXT];
    cr_expect(cb_shape_equal(&c->out[i].shape, &want), "output %d: wanted %s, found %s", i,
              cb_shape_text(&want, a), cb_shape_text(&c->out[i].shape, b));
}

double op_case_error(size_t n, const float *got, const float *want)
{
    double difference = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        if (got[i] == want[i] || (isnan(got[i]) && isnan(want[i])))
            continue;
        const double d = (double)got[i] - want[i];
        difference += d * d;
    }
    for (size_t i = 0; i < n; i++)
        size += isfinite(want[i]) ? (double)want[i] * want[i] : 0;
    return difference == 0 ? 0 : difference / fmax(size, 1e-30);
}

static struct cb_tensor copy_of(struct op_case *c, const struct cb_tensor *t)
{
    struct cb_tensor copy = *t;
    copy.data = memcpy(guarded(c, cb_tensor_bytes(t)), t->data, cb_tensor_bytes(t));
    return copy;
}

static void expect_close(const struct op_case *c, const struct cb_tensor *got,
                         const struct cb_tensor *want, double limit, const char *what, int i)
{
    const char *isa = cb_kernels_for(c->isa).name;
    if (!cb_dtype_get(got->dtype)->is_float) {
        cr_expect(!memcmp(got->data, want->data, cb_tensor_bytes(got)), "%s %d differs on %s", what,
                  i, isa);
        return;
    }
    const double error = op_case_error(cb_tensor_count(got), got->f, want->f);
    cr_expect(error <= limit, "%s %d on %s, %zu threads, %s: error %g", what, i, isa, c->threads,
              c->constant ? "packed" : "as it lies", error);
}

static void run_both(struct op_case *c)
{
    op_case_forward(c);
    if (!cb_op_get(c->node.op)->backward)
        return;
    op_case_clear(c);
    op_case_backward(c);
}

void op_case_expect_same_on_every_isa(struct op_case *c, double limit)
{
    const struct cb_op_def *def = cb_op_get(c->node.op);
    struct cb_tensor out[OP_MAX_ARGS], din[OP_MAX_ARGS];
    const struct op_case before = *c;
    c->isa = CB_ISA_GENERIC;
    c->threads = 1;
    c->constant = false;
    op_case_run(c);
    run_both(c);
    for (int i = 0; i < c->node.n_out; i++)
        out[i] = copy_of(c, &c->out[i]);
    for (int i = 0; i < c->node.n_in; i++)
        if (c->din[i].data)
            din[i] = copy_of(c, &c->din[i]);
    for (int k = 0; k < (CB_ISA_COUNT << 2); k++) {
        c->isa = (enum cb_isa)(k >> 2);
        c->threads = k & 2 ? 3 : 1;
        c->constant = k & 1;
        if (c->isa > cb_isa_best() || (c->constant && !def->pack))
            continue;
        run_both(c);
        for (int i = 0; i < c->node.n_out; i++)
            if (!(c->unwanted >> i & 1))
                expect_close(c, &c->out[i], &out[i], limit, "output", i);
        for (int i = 0; i < c->node.n_in; i++)
            if (c->din[i].data)
                expect_close(c, &c->din[i], &din[i], limit, "gradient", i);
    }
    c->isa = before.isa;
    c->threads = before.threads;
    c->constant = before.constant;
}
