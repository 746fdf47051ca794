/* importers/onnx/known.c - what is known of values while a model is loaded, for If, Loop and Scan.
 *
 * The core's own infer and forward, node by node over the graph so far: shapes where all inputs'
 * shapes are known, elements where there are few and constants decide them. Each node is looked at
 * once. Nothing of it goes into the graph, which may be planned for other shapes. */
#include <string.h>

#include "importers/onnx/loader.h"

#define FEW_ELEMENTS 16
#define MOST_ELEMENTS ((size_t)1 << 12) /* of a tensor whose elements are kept */
#define ALL_ELEMENTS ((size_t)1 << 22)  /* of all of them */
#define GIVEN_MOST ((size_t)1 << 20)    /* both where inputs are given, which is the user's doing */
#define GIVEN_ALL ((size_t)1 << 25)
#define MOST_SCRATCH ((size_t)64 << 20) /* that an operator may ask for */

struct entry {
    struct cb_shape shape; /* rank -1: not known */
    enum cb_dtype dtype;
    void *data;     /* NULL: not known */
    bool of_inputs; /* depends on what the model's inputs are */
};

struct cb_onnx_known {
    struct entry *entry; /* of values */
    int n, cap;
    int next_node;
    size_t most; /* elements of a tensor that may be kept, */
    size_t left; /* and still of all */
    struct cb_kernels kernels;
    struct cb_arg *in, *out;     /* [CB_MAX_ARGS] each, and so below */
    struct cb_tensor *tensors;   /* in, out */
    struct cb_tensor **pointers; /* in, out */
};

static struct cb_status begin(struct cb_onnx_loader *l)
{
    struct cb_arena *a = l->scratch;
    struct cb_onnx_known *k;
    CB_TRY(cb_arena_get(a, 1, sizeof *k, "known values", &k));
    CB_TRY(cb_arena_get(a, CB_MAX_ARGS, sizeof *k->in, "known values", &k->in));
    CB_TRY(cb_arena_get(a, CB_MAX_ARGS, sizeof *k->out, "known values", &k->out));
    CB_TRY(cb_arena_get(a, 2 * CB_MAX_ARGS, sizeof *k->tensors, "known values", &k->tensors));
    CB_TRY(cb_arena_get(a, 2 * CB_MAX_ARGS, sizeof *k->pointers, "known values", &k->pointers));
    k->most = l->import.n_inputs ? GIVEN_MOST : MOST_ELEMENTS;
    k->left = l->import.n_inputs ? GIVEN_ALL : ALL_ELEMENTS;
    k->kernels = cb_kernels_for(CB_ISA_GENERIC);
    l->known = k;
    return cb_ok();
}

/* Whether n elements may be kept. Few of them always: conditions are made of such. */
static bool take(struct cb_onnx_known *k, size_t n)
{
    if (n <= FEW_ELEMENTS)
        return true;
    if (n > k->most || n > k->left)
        return false;
    k->left -= n;
    return true;
}

static bool is_known_shape(const struct cb_shape *shape)
{
    for (int i = 0; i < shape->rank; i++)
        if (shape->dim[i] < 0)
            return false;
    return shape->rank >= 0 && cb_shape_check(shape);
}

/* A copy that is aligned, of few elements. */
static struct cb_status keep(struct cb_onnx_loader *l, struct entry *e, const void *data)
{
    const size_t n = cb_shape_count(&e->shape);
    if (!data || !cb_dtype_is_outer(e->dtype) || !take(l->known, n))
        return cb_ok();
    CB_TRY(cb_arena_get(l->scratch, n, cb_dtype_size(e->dtype), "known values", &e->data));
    if (n)
        memcpy(e->data, data, n * cb_dtype_size(e->dtype));
    return cb_ok();
}

/* Entries for the values that came since: constants, and first of all inputs. */
static struct cb_status add_entries(struct cb_onnx_loader *l)
{
    struct cb_onnx_known *k = l->known;
    const struct cb_graph *g = &l->model->graph;
    const bool first = k->n == 0;
    if (g->n_values > k->cap) {
        struct entry *grown;
        const int cap = g->n_values > 2 * k->cap ? g->n_values : 2 * k->cap;
        CB_TRY(cb_arena_get(l->scratch, (size_t)cap, sizeof *grown, "known values", &grown));
        if (k->n)
            memcpy(grown, k->entry, (size_t)k->n * sizeof *grown);
        k->entry = grown;
        k->cap = cap;
    }
    for (; k->n < g->n_values; k->n++)
        k->entry[k->n] = (struct entry){ .shape = { .rank = -1 } };
    for (int i = 0; first && i < g->n_inputs; i++) {
        const struct cb_value *v = &g->values[g->inputs[i]];
        const struct cb_tensor *given = i < l->import.n_inputs ? &l->import.inputs[i] : NULL;
        const struct cb_shape *shape = given ? &given->shape : &v->shape;
        struct entry *e = &k->entry[g->inputs[i]];
        e->of_inputs = true;
        e->dtype = given ? given->dtype : v->dtype;
        if (!is_known_shape(shape) || e->dtype == CB_DTYPE_NONE)
            continue;
        e->shape = *shape;
        CB_TRY(keep(l, e, given ? given->data : NULL));
    }
    return cb_ok();
}

/* An entry, of a constant too: its elements are looked at when somebody asks. */
static struct cb_status entry_of(struct cb_onnx_loader *l, int value, struct entry **out)
{
    const struct cb_value *v = &l->model->graph.values[value];
    struct entry *e = *out = &l->known->entry[value];
    if (!v->data || e->shape.rank >= 0)
        return cb_ok();
    e->shape = v->shape;
    e->dtype = v->dtype;
    return keep(l, e, v->data);
}

/* Whether all is known that the node's infer needs; *elements: and its inputs. */
static struct cb_status collect(struct cb_onnx_loader *l, const struct cb_node *n, bool *ready,
                                bool *elements, bool *of_inputs)
{
    struct cb_onnx_known *k = l->known;
    const unsigned params = cb_op_get(n->op)->params;
    *ready = *elements = true;
    *of_inputs = false;
    for (int i = 0; i < n->n_in; i++) {
        struct entry *e;
        k->in[i] = (struct cb_arg){ .dtype = CB_DTYPE_NONE };
        k->pointers[i] = NULL;
        if (n->in[i] < 0)
            continue;
        CB_TRY(entry_of(l, n->in[i], &e));
        *of_inputs |= e->of_inputs;
        k->tensors[i] = (struct cb_tensor){ .shape = e->shape, .dtype = e->dtype, .data = e->data };
        k->pointers[i] = &k->tensors[i];
        k->in[i].shape = e->shape;
        k->in[i].dtype = e->dtype;
        k->in[i].known = e->data ? &k->tensors[i] : NULL;
        *ready &= e->shape.rank >= 0 && (e->data || i >= 32 || !(params >> i & 1));
        *elements &= e->data != NULL;
    }
    *elements |= n->op == CB_OP_SHAPE || n->op == CB_OP_SIZE;
    return cb_ok();
}

/* Computes a node of few elements. */
static struct cb_status compute(struct cb_onnx_loader *l, const struct cb_node *n)
{
    struct cb_onnx_known *k = l->known;
    const struct cb_op_def *def = cb_op_get(n->op);
    struct cb_op_call call = { .node = n,
                               .kernels = &k->kernels,
                               .in = (const struct cb_tensor *const *)k->pointers,
                               .out = k->pointers + CB_MAX_ARGS };
    struct cb_arena scratch = { 0 };
    size_t bytes = 0;
    for (int i = 0; i < n->n_out; i++) {
        struct cb_tensor *t = &k->tensors[CB_MAX_ARGS + i];
        k->pointers[CB_MAX_ARGS + i] = n->out[i] < 0 ? NULL : t;
        if (n->out[i] < 0)
            continue;
        const size_t count = cb_shape_count(&k->out[i].shape);
        if (!take(k, count))
            return cb_ok();
        *t = (struct cb_tensor){ .shape = k->out[i].shape, .dtype = k->out[i].dtype };
        CB_TRY(cb_arena_get(l->scratch, count, cb_dtype_size(t->dtype), n->name, &t->data));
    }
    if (def->scratch && (bytes = def->scratch(&call, false)) > MOST_SCRATCH)
        return cb_ok();
    if (bytes) {
        CB_TRY(cb_arena_init(&scratch, bytes + CB_ALIGN));
        call.scratch = cb_arena_alloc(&scratch, bytes, 1);
    }
    def->forward(&call);
    cb_arena_deinit(&scratch);
    for (int i = 0; i < n->n_out; i++)
        if (n->out[i] >= 0)
            k->entry[n->out[i]].data = k->tensors[CB_MAX_ARGS + i].data;
    return cb_ok();
}

static struct cb_status learn_node(struct cb_onnx_loader *l, const struct cb_node *given)
{
    struct cb_onnx_known *k = l->known;
    struct cb_node n = *given; /* infer fills its attributes */
    bool ready, elements, of_inputs;
    CB_TRY(collect(l, &n, &ready, &elements, &of_inputs));
    for (int i = 0; i < n.n_out; i++) {
        k->out[i] = (struct cb_arg){ .dtype = CB_DTYPE_NONE };
        if (n.out[i] >= 0)
            k->entry[n.out[i]].of_inputs = of_inputs;
    }
    /* What infer refuses here the plan will refuse, and say why. */
    if (!ready || cb_op_get(n.op)->infer(&n, k->in, k->out).code)
        return cb_ok();
    for (int i = 0; i < n.n_out; i++)
        if (n.out[i] >= 0 && !cb_shape_check(&k->out[i].shape))
            return cb_ok();
    for (int i = 0; i < n.n_out; i++)
        if (n.out[i] >= 0) {
            k->entry[n.out[i]].shape = k->out[i].shape;
            k->entry[n.out[i]].dtype = k->out[i].dtype;
        }
    return elements ? compute(l, &n) : cb_ok();
}

struct cb_status cb_onnx_known(struct cb_onnx_loader *l, int value, struct cb_tensor *out)
{
    const struct cb_graph *g = &l->model->graph;
    struct entry *e;
    if (!l->known)
        CB_TRY(begin(l));
    CB_TRY(add_entries(l));
    for (; l->known->next_node < g->n_nodes; l->known->next_node++)
        CB_TRY(learn_node(l, &g->nodes[l->known->next_node]));
    CB_TRY(entry_of(l, value, &e));
    *out = (struct cb_tensor){ .shape = e->shape, .dtype = e->dtype, .data = e->data };
    l->model->decided |= e->of_inputs && e->shape.rank >= 0;
    return cb_ok();
}
