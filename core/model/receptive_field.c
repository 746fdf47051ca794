#include "core/model/receptive_field.h"

#include <math.h>
#include <string.h>

#define SAME_STRIDE 1e-6 /* of strides: those behind Resize are quotients */

struct walk {
    const struct cb_graph *graph;
    struct cb_field *fields; /* [n_values] */
};

static const struct cb_shape *shape_of(const struct walk *w, int value)
{
    return &w->graph->values[value].shape;
}

static const struct cb_field *field_of(const struct walk *w, int value)
{
    static const struct cb_field none = { 0 };
    return value < 0 ? &none : &w->fields[value];
}

/* Elements along the axis are put together: each result sees them all. */
static void gather_axis(struct cb_field *f, int axis)
{
    f->whole |= f->axis[axis].located;
    f->axis[axis].located = false;
}

static void gather_all(struct cb_field *f)
{
    for (int i = 0; i < CB_MAX_RANK; i++)
        gather_axis(f, i);
    f->whole |= f->depends;
}

/* y sees what it saw, and what x sees. */
static void join_axis(struct cb_field *y, int i, const struct cb_field_axis *x)
{
    struct cb_field_axis *a = &y->axis[i];
    if (!x->located)
        return;
    if (!a->located) {
        *a = *x;
    } else if (a->of != x->of || fabs(a->stride - x->stride) > SAME_STRIDE * x->stride) {
        y->whole = true;
    } else {
        a->start = x->start < a->start ? x->start : a->start;
        a->end = x->end > a->end ? x->end : a->end;
    }
}

/* The same, x broadcast to y's shape. */
static void join(struct cb_field *y, const struct cb_shape *to, const struct cb_field *x,
                 const struct cb_shape *from)
{
    const int shift = to->rank - from->rank;
    if (!x->depends)
        return;
    y->depends = true;
    y->whole |= x->whole;
    for (int i = 0; i < from->rank && shift >= 0; i++)
        if (x->axis[i].located && from->dim[i] == 1 && to->dim[i + shift] > 1)
            y->whole = true;
        else
            join_axis(y, i + shift, &x->axis[i]);
}

/* Element by element, with broadcasting. */
static void by_element(const struct walk *w, const struct cb_node *n, struct cb_field out[])
{
    for (int k = 0; k < n->n_in; k++)
        if (n->in[k] >= 0)
            join(&out[0], shape_of(w, n->out[0]), field_of(w, n->in[k]), shape_of(w, n->in[k]));
}

/* Input 0 alone, whose axes are those of the output. */
static void as_input(const struct walk *w, const struct cb_node *n, struct cb_field out[])
{
    out[0] = *field_of(w, n->in[0]);
}

/* Output i sees the inputs i * stride - pad + k * dilation. */
static void slide(struct cb_field *f, int axis, const struct cb_window *window, int k)
{
    struct cb_field_axis *a = &f->axis[axis];
    if (!a->located) {
        f->whole |= f->depends && window->kernel[k] > 1;
        return;
    }
    a->end +=
        a->stride * (double)((window->kernel[k] - 1) * window->dilation[k] - window->pad_begin[k]);
    a->start -= a->stride * (double)window->pad_begin[k];
    a->stride *= (double)window->stride[k];
}

static void by_window(const struct walk *w, const struct cb_node *n, struct cb_field out[])
{
    const struct cb_window *window =
        n->op == CB_OP_CONV ? &n->attr.conv.window : &n->attr.pool.window;
    const int last = shape_of(w, n->in[0])->rank - 1;
    out[0] = *field_of(w, n->in[0]);
    for (int k = 0; k < window->rank && k + 1 < last; k++)
        slide(&out[0], k + 1, window, k);
    if (n->op == CB_OP_CONV)
        gather_axis(&out[0], last);
    for (int k = 1; k < n->n_in; k++) /* filters that are computed from the photo */
        out[0].whole |= field_of(w, n->in[k])->depends;
    if (n->n_out > 1)
        out[1] = out[0];
}

/* Output i sees the inputs that are at * i + from .. at * i + to. */
static void rescale(struct cb_field_axis *a, double at, double from, double to)
{
    a->start += a->stride * from;
    a->end += a->stride * to;
    a->stride *= at;
}

/* Input j reaches the outputs j * stride - pad + k * dilation. */
static void by_conv_transpose(const struct walk *w, const struct cb_node *n, struct cb_field out[])
{
    const struct cb_window *window = &n->attr.conv_transpose.window;
    const int last = shape_of(w, n->in[0])->rank - 1;
    out[0] = *field_of(w, n->in[0]);
    for (int k = 0; k < window->rank && k + 1 < last; k++) {
        const double stride = (double)window->stride[k], pad = (double)window->pad_begin[k];
        const double reach = (double)((window->kernel[k] - 1) * window->dilation[k]);
        rescale(&out[0].axis[k + 1], 1 / stride, (pad - reach) / stride, pad / stride);
    }
    gather_axis(&out[0], last);
    out[0].whole |= field_of(w, n->in[1])->depends;
}

static void by_depth_to_space(const struct walk *w, const struct cb_node *n, struct cb_field out[])
{
    const double size = (double)n->attr.blocks.size;
    out[0] = *field_of(w, n->in[0]);
    for (int i = 1; i <= 2; i++)
        if (n->op == CB_OP_DEPTH_TO_SPACE)
            rescale(&out[0].axis[i], 1 / size, (1 - size) / size, 0);
        else
            rescale(&out[0].axis[i], size, 0, size - 1);
}

/* Between the places at most: the nearest may lie on either side. */
static void by_resize(const struct walk *w, const struct cb_node *n, struct cb_field out[])
{
    const struct cb_shape *x = shape_of(w, n->in[0]), *y = shape_of(w, n->out[0]);
    const enum cb_resize_place place = n->attr.resize.place;
    out[0] = *field_of(w, n->in[0]);
    for (int i = 0; i < x->rank; i++) {
        const double scale = n->attr.resize.scale[i];
        const bool aligned = place == CB_PLACE_ALIGN_CORNERS,
                   halves = place <= CB_PLACE_PYTORCH_HALF_PIXEL;
        double at = 1 / scale, first = 0, reach = n->attr.resize.mode == CB_RESIZE_CUBIC ? 2 : 1;
        if (x->dim[i] == y->dim[i] && scale == 1)
            continue;
        if (place == CB_PLACE_TF_CROP_AND_RESIZE || place == CB_PLACE_HALF_PIXEL_SYMMETRIC) {
            gather_axis(&out[0], i);
            continue;
        }
        if (aligned)
            at = y->dim[i] > 1 ? (double)(x->dim[i] - 1) / (double)(y->dim[i] - 1) : 1;
        if (halves || place == CB_PLACE_TF_HALF_PIXEL_FOR_NN)
            first = 0.5 / scale - (halves ? 0.5 : 0);
        if (n->attr.resize.antialias && scale < 1)
            reach /= scale;
        rescale(&out[0].axis[i], at, first - reach, first + reach);
    }
}

static void by_global_pool(const struct walk *w, const struct cb_node *n, struct cb_field out[])
{
    const int last = shape_of(w, n->in[0])->rank - 1;
    out[0] = *field_of(w, n->in[0]);
    for (int i = 1; i < last; i++)
        gather_axis(&out[0], i);
}

/* Elements of the last `axes` axes are normalized together. */
static void by_layer_norm(const struct walk *w, const struct cb_node *n, struct cb_field out[])
{
    const int rank = shape_of(w, n->in[0])->rank;
    out[0] = *field_of(w, n->in[0]);
    for (int i = rank - n->attr.layer_norm.axes; i < rank; i++)
        if (i >= 0)
            out[0].whole |= out[0].axis[i].located;
}

static void by_softmax(const struct walk *w, const struct cb_node *n, struct cb_field out[])
{
    const int rank = shape_of(w, n->in[0])->rank, axis = cb_shape_axis(n->attr.softmax.axis, rank);
    const int last = n->attr.softmax.flatten ? rank : axis + 1;
    out[0] = *field_of(w, n->in[0]);
    for (int i = axis; i < last; i++)
        out[0].whole |= out[0].axis[i].located;
}

/* Rows of the first factor stay rows. */
static void by_product(const struct walk *w, const struct cb_node *n, struct cb_field out[])
{
    const struct cb_field *a = field_of(w, n->in[0]), *b = field_of(w, n->in[1]);
    const int rank_a = shape_of(w, n->in[0])->rank, rank = shape_of(w, n->out[0])->rank;
    out[0] = *a;
    gather_axis(&out[0], n->op == CB_OP_GEMM && n->attr.gemm.trans_a ? 0
                         : rank_a > 0                                ? rank_a - 1
                                                                     : 0);
    if (b->depends || rank_a != rank || (n->op == CB_OP_GEMM && n->attr.gemm.trans_a)) {
        out[0].depends |= b->depends;
        gather_all(&out[0]);
    }
}

static void by_transpose(const struct walk *w, const struct cb_node *n, struct cb_field out[])
{
    const struct cb_field *x = field_of(w, n->in[0]);
    const int rank = shape_of(w, n->in[0])->rank;
    out[0] = *x;
    for (int i = 0; i < rank; i++)
        out[0].axis[i] =
            x->axis[n->attr.transpose.rank == rank ? n->attr.transpose.perm[i] : rank - 1 - i];
}

/* An axis that becomes several: steps along the outermost are that much longer, and see more. */
static void split_axis(struct cb_field *f, int to, const struct cb_field_axis *x, int64_t inner)
{
    f->axis[to] = *x;
    f->axis[to].end += x->stride * (double)(inner - 1);
    f->axis[to].stride *= (double)inner;
}

/* The first axis from `i` on with more than one element. */
static int next_axis(const struct cb_shape *s, int i)
{
    while (i < s->rank && s->dim[i] == 1)
        i++;
    return i;
}

/* Runs of axes that hold the same number of elements before and after. */
static void by_reshape(const struct walk *w, const struct cb_node *n, struct cb_field out[])
{
    const struct cb_shape *from = shape_of(w, n->in[0]), *to = shape_of(w, n->out[0]);
    const struct cb_field *x = field_of(w, n->in[0]);
    out[0].depends = x->depends;
    out[0].whole = x->whole;
    for (int i = 0; i < from->rank; i++)
        out[0].whole |= x->axis[i].located && from->dim[i] == 1;
    for (int i = next_axis(from, 0), j = next_axis(to, 0); i < from->rank && j < to->rank;) {
        const int first = i, target = j;
        int64_t before = from->dim[i], after = to->dim[j];
        while (before != after) {
            int *side = before < after ? &i : &j;
            const struct cb_shape *s = before < after ? from : to;
            if ((*side = next_axis(s, *side + 1)) >= s->rank) {
                out[0].whole |= out[0].depends;
                return;
            }
            *(before < after ? &before : &after) *= s->dim[*side];
        }
        if (i == first && x->axis[i].located)
            split_axis(&out[0], target, &x->axis[i], from->dim[i] / to->dim[target]);
        for (int k = first; k <= i && i > first; k++)
            out[0].whole |= x->axis[k].located;
        i = next_axis(from, i + 1);
        j = next_axis(to, j + 1);
    }
}

static void by_concat(const struct walk *w, const struct cb_node *n, struct cb_field out[])
{
    const int rank = shape_of(w, n->out[0])->rank;
    by_element(w, n, out);
    gather_axis(&out[0], cb_shape_axis(n->attr.axis.axis, rank));
}

static void by_split(const struct walk *w, const struct cb_node *n, struct cb_field out[])
{
    const int axis = cb_shape_axis(n->attr.split.axis, shape_of(w, n->in[0])->rank);
    int64_t at = 0;
    for (int k = 0; k < n->n_out; k++) {
        out[k] = *field_of(w, n->in[0]);
        out[k].axis[axis].start += out[k].axis[axis].stride * (double)at;
        out[k].axis[axis].end += out[k].axis[axis].stride * (double)at;
        at += n->out[k] < 0 ? 0 : shape_of(w, n->out[k])->dim[axis];
    }
}

static void by_slice(const struct walk *w, const struct cb_node *n, struct cb_field out[])
{
    const struct cb_list *starts = &n->attr.slice.starts, *axes = &n->attr.slice.axes;
    const struct cb_list *steps = &n->attr.slice.steps;
    const struct cb_shape *x = shape_of(w, n->in[0]);
    out[0] = *field_of(w, n->in[0]);
    for (int i = 0; i < starts->count; i++) {
        const int axis = cb_shape_axis((int)(axes->count >= 0 ? axes->v[i] : i), x->rank);
        const int64_t step = steps->count >= 0 ? steps->v[i] : 1, dim = x->dim[axis];
        int64_t start = starts->v[i] < 0 ? starts->v[i] + dim : starts->v[i];
        struct cb_field_axis *a = &out[0].axis[axis];
        start = start < 0 ? 0 : start > dim ? dim : start;
        if (step < 1) {
            gather_axis(&out[0], axis);
            continue;
        }
        a->start += a->stride * (double)start;
        a->end += a->stride * (double)start;
        a->stride *= (double)step;
    }
}

static void by_pad(const struct walk *w, const struct cb_node *n, struct cb_field out[])
{
    const int rank = shape_of(w, n->in[0])->rank;
    out[0] = *field_of(w, n->in[0]);
    for (int i = 0; i < rank && i < n->attr.pad.begin.count; i++) {
        struct cb_field_axis *a = &out[0].axis[i];
        a->start -= a->stride * (double)n->attr.pad.begin.v[i];
        a->end -= a->stride * (double)n->attr.pad.begin.v[i];
    }
}

static void by_tile(const struct walk *w, const struct cb_node *n, struct cb_field out[])
{
    const struct cb_shape *x = shape_of(w, n->in[0]), *y = shape_of(w, n->out[0]);
    out[0] = *field_of(w, n->in[0]);
    for (int i = 0; i < x->rank; i++)
        if (x->dim[i] != y->dim[i])
            gather_axis(&out[0], i);
}

static void by_gather(const struct walk *w, const struct cb_node *n, struct cb_field out[])
{
    const struct cb_field *x = field_of(w, n->in[0]);
    const int rank = shape_of(w, n->in[0])->rank, more = shape_of(w, n->out[0])->rank - rank;
    const int axis = cb_shape_axis(n->attr.axis.axis, rank);
    out[0].depends = x->depends || field_of(w, n->in[1])->depends;
    out[0].whole = x->whole || x->axis[axis].located || field_of(w, n->in[1])->depends;
    for (int i = 0; i < rank; i++)
        if (i != axis)
            out[0].axis[i < axis ? i : i + more] = x->axis[i];
}

static void drop_axes(struct cb_field *f, int rank, const bool flags[CB_MAX_RANK], bool keep)
{
    int to = 0;
    for (int i = 0; i < rank; i++) {
        if (flags[i])
            gather_axis(f, i);
        if (keep || !flags[i])
            f->axis[to++] = f->axis[i];
    }
    for (; to < rank; to++)
        f->axis[to].located = false;
}

static void by_reduce(const struct walk *w, const struct cb_node *n, struct cb_field out[])
{
    const struct cb_list *axes = &n->attr.reduce.axes;
    const int rank = shape_of(w, n->in[0])->rank;
    bool flags[CB_MAX_RANK];
    out[0] = *field_of(w, n->in[0]);
    if (axes->count <= 0 && n->attr.reduce.noop_if_empty)
        return;
    for (int i = 0; i < rank; i++)
        flags[i] = axes->count <= 0;
    for (int i = 0; i < axes->count; i++)
        flags[cb_shape_axis((int)axes->v[i], rank)] = true;
    drop_axes(&out[0], rank, flags, n->attr.reduce.keep_dims);
}

static void by_arg(const struct walk *w, const struct cb_node *n, struct cb_field out[])
{
    const int rank = shape_of(w, n->in[0])->rank;
    bool flags[CB_MAX_RANK] = { false };
    out[0] = *field_of(w, n->in[0]);
    flags[cb_shape_axis(n->attr.arg.axis, rank)] = true;
    drop_axes(&out[0], rank, flags, n->attr.arg.keep_dims);
}

/* Of shapes alone. */
static void of_nothing(const struct walk *w, const struct cb_node *n, struct cb_field out[])
{
    (void)w, (void)n, (void)out;
}

static void of_everything(const struct walk *w, const struct cb_node *n, struct cb_field out[])
{
    for (int i = 0; i < n->n_out; i++) {
        for (int k = 0; k < n->n_in; k++)
            out[i].depends |= field_of(w, n->in[k])->depends;
        out[i].whole = out[i].depends;
    }
}

/* Of the operators from `first` to `last` in core/ops/list.h. */
/* clang-format off */
static const struct rule {
    enum cb_op first, last;
    void (*find)(const struct walk *w, const struct cb_node *n, struct cb_field out[]);
} rules[] = {
    { CB_OP_CONV,                CB_OP_CONV,              by_window },
    { CB_OP_MAX_POOL,            CB_OP_AVERAGE_POOL,      by_window },
    { CB_OP_CONV_TRANSPOSE,      CB_OP_CONV_TRANSPOSE,    by_conv_transpose },
    { CB_OP_DEPTH_TO_SPACE,      CB_OP_SPACE_TO_DEPTH,    by_depth_to_space },
    { CB_OP_RESIZE,              CB_OP_RESIZE,            by_resize },
    { CB_OP_GLOBAL_AVERAGE_POOL, CB_OP_GLOBAL_MAX_POOL,   by_global_pool },
    { CB_OP_BATCH_NORM,          CB_OP_LRN,               as_input },
    { CB_OP_LAYER_NORM,          CB_OP_LAYER_NORM,        by_layer_norm },
    { CB_OP_GEMM,                CB_OP_MATMUL,            by_product },
    { CB_OP_RELU,                CB_OP_WHERE,             by_element },
    { CB_OP_REDUCE_SUM,          CB_OP_REDUCE_SUM_SQUARE, by_reduce },
    { CB_OP_ARG_MAX,             CB_OP_ARG_MIN,           by_arg },
    { CB_OP_SOFTMAX,             CB_OP_LOG_SOFTMAX,       by_softmax },
    { CB_OP_RESHAPE,             CB_OP_UNSQUEEZE,         by_reshape },
    { CB_OP_TRANSPOSE,           CB_OP_TRANSPOSE,         by_transpose },
    { CB_OP_CONCAT,              CB_OP_CONCAT,            by_concat },
    { CB_OP_SPLIT,               CB_OP_SPLIT,             by_split },
    { CB_OP_SLICE,               CB_OP_SLICE,             by_slice },
    { CB_OP_PAD,                 CB_OP_PAD,               by_pad },
    { CB_OP_EXPAND,              CB_OP_EXPAND,            by_element },
    { CB_OP_TILE,                CB_OP_TILE,              by_tile },
    { CB_OP_GATHER,              CB_OP_GATHER,            by_gather },
    { CB_OP_SHAPE,               CB_OP_RANGE,             of_nothing },
    { CB_OP_QUANTIZE,            CB_OP_DEQUANTIZE,        as_input },
};
/* clang-format on */

static const struct rule *rule_of(enum cb_op op)
{
    static const struct rule unknown = { .find = of_everything };
    for (size_t i = 0; i < CB_COUNT_OF(rules); i++)
        if (op >= rules[i].first && op <= rules[i].last)
            return &rules[i];
    return &unknown;
}

static struct cb_field input_field(const struct cb_shape *shape, bool channels_last)
{
    struct cb_field f = { .depends = true };
    const int first = channels_last ? 1 : 2;
    for (int k = 0; k < shape->rank - 2 && k < CB_MAX_SPATIAL; k++)
        f.axis[first + k] = (struct cb_field_axis){ .located = true, .of = k, .stride = 1 };
    return f;
}

struct cb_status cb_fields_find(const struct cb_graph *graph, int input, bool channels_last,
                                struct cb_arena *arena, struct cb_field **out)
{
    struct walk w = { .graph = graph };
    struct cb_field *results;
    CB_TRY(cb_arena_get(arena, (size_t)graph->n_values, sizeof *w.fields, "fields", &w.fields));
    CB_TRY(cb_arena_get(arena, CB_MAX_ARGS, sizeof *results, "fields", &results));
    w.fields[input] = input_field(&graph->values[input].shape, channels_last);
    for (int i = 0; i < graph->n_nodes; i++) {
        const struct cb_node *n = &graph->nodes[i];
        memset(results, 0, (size_t)n->n_out * sizeof *results);
        rule_of(n->op)->find(&w, n, results);
        for (int k = 0; k < n->n_out; k++)
            if (n->out[k] >= 0)
                w.fields[n->out[k]] = results[k];
    }
    *out = w.fields;
    return cb_ok();
}

const struct cb_field_axis *cb_field_along(const struct cb_field *field, int of)
{
    for (int i = 0; i < CB_MAX_RANK; i++)
        if (field->axis[i].located && field->axis[i].of == of)
            return &field->axis[i];
    return NULL;
}
