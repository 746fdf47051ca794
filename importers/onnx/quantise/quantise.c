/* importers/onnx/quantise/quantise.c - writes the quantised file: what stays is copied as it lies.
 */
#include "importers/onnx/quantise/quantise.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "importers/onnx/head/head_nodes.h"
#include "importers/onnx/quantise/quantise_parts.h"
#include "importers/onnx/wire.h"
#include "importers/onnx/wire_writer.h"

#define FILE_LIMIT ((size_t)INT32_MAX) /* protobuf's own, for one message */
#define NAME_BYTES 512
#define LEAST_IR 7 /* of opset 13 */

enum { NODE_INPUT = 1, NODE_OUTPUT = 2, NODE_NAME = 3, NODE_OP = 4, NODE_ATTRIBUTE = 5 };
enum { ATTRIBUTE_NAME = 1, ATTRIBUTE_I = 3, ATTRIBUTE_TYPE = 20, IS_INT = 2 };
enum { TYPE_FLOAT = 1, TYPE_UINT8 = 2, TYPE_INT8 = 3, TYPE_INT32 = 6, TYPE_INT64 = 7 };

struct writer {
    struct cb_onnx_quantise *q;
    struct cb_buf nodes, constants; /* fields of the graph */
    bool *used;                     /* per value: some node that is written reads it */
    struct cb_status status;
};

static struct cb_buf new_buf(void)
{
    struct cb_buf buf;
    cb_buf_init(&buf, SIZE_MAX / 2);
    return buf;
}

static const char *name_of(const struct writer *w, int value)
{
    return w->q->graph->values[value].name;
}

/* NAME_what, which must be new. */
static void make_name(struct writer *w, char name[NAME_BYTES], const char *base, const char *what)
{
    const int n = snprintf(name, NAME_BYTES, "%s_%s", base, what);
    if (n >= NAME_BYTES || cb_onnx_names_find(&w->q->names, name) >= 0)
        w->status = cb_fail(CB_ERR_UNSUPPORTED, "the name %.80s is too long, or taken", name);
}

static void put_constant(struct writer *w, const char *name, int type, int rank,
                         const int64_t *dims, const void *data, size_t len)
{
    struct cb_buf tensor = new_buf();
    for (int i = 0; i < rank; i++)
        cb_wire_put_int(&tensor, CB_TENSOR_DIMS, (uint64_t)dims[i]);
    cb_wire_put_int(&tensor, CB_TENSOR_TYPE, (uint64_t)type);
    cb_wire_put_text(&tensor, CB_TENSOR_NAME, name);
    cb_wire_put_bytes(&tensor, CB_TENSOR_RAW, data, len);
    cb_wire_put_message(&w->constants, CB_GRAPH_INITIALIZER, &tensor);
}

/* axis -1: no attribute. zero NULL: none. */
static void put_quantising(struct writer *w, const char *op, const char *const in[3],
                           const char *out, int axis)
{
    struct cb_buf node = new_buf();
    for (int k = 0; k < 3 && in[k]; k++)
        cb_wire_put_text(&node, NODE_INPUT, in[k]);
    cb_wire_put_text(&node, NODE_OUTPUT, out);
    cb_wire_put_text(&node, NODE_NAME, out);
    cb_wire_put_text(&node, NODE_OP, op);
    if (axis >= 0) {
        struct cb_buf attribute = new_buf();
        cb_wire_put_text(&attribute, ATTRIBUTE_NAME, "axis");
        cb_wire_put_int(&attribute, ATTRIBUTE_I, (uint64_t)axis);
        cb_wire_put_int(&attribute, ATTRIBUTE_TYPE, IS_INT);
        cb_wire_put_message(&node, NODE_ATTRIBUTE, &attribute);
    }
    cb_wire_put_message(&w->nodes, CB_GRAPH_NODE, &node);
}

/* ---- activations ---- */

static struct cb_quantum quantum_of(const struct cb_onnx_quantise *q, int value)
{
    const struct cb_onnx_range r = q->range[cb_quantise_root(q, value)];
    const float lo = r.lo < 0 ? r.lo : 0, hi = r.hi > 0 ? r.hi : 0;
    struct cb_quantum quantum = { (hi - lo) / 255, 0 };
    if (!(quantum.scale > 1e-30f) || !isfinite(quantum.scale))
        quantum.scale = 1;
    quantum.zero = (int)lrintf(-lo / quantum.scale);
    quantum.zero = quantum.zero < 0 ? 0 : quantum.zero > 255 ? 255 : quantum.zero;
    return quantum;
}

static bool is_input(const struct cb_onnx_quantise *q, int value)
{
    for (int i = 0; i < q->graph->n_inputs; i++)
        if (q->graph->inputs[i] == value)
            return true;
    return false;
}

/* Pixels lie on a grid of 256 steps. Where 0 lies between two of them (-1 .. 1 has it half way, the
 * worst place), a zero that is a byte would round every pixel. So a network's input is shifted by
 * this much onto a grid that has 0, and the filters that read it take the shift back; padding,
 * which is not shifted, is off by at most half a step. */
static float shift_of_input(const struct cb_onnx_quantise *q, int value)
{
    const struct cb_quantum quantum = quantum_of(q, value);
    int convolutions = 0;
    for (int i = 0; i < q->n_nodes; i++) {
        const struct cb_quantise_node *n = &q->nodes[i];
        convolutions += n->kind == CB_QUANTISE_PRODUCT && n->in[0] == value &&
                        strcmp(n->proto->op_type, "Conv") == 0;
    }
    if (!is_input(q, value) || convolutions != q->readers[value])
        return 0;
    const float lo = q->range[cb_quantise_root(q, value)].lo;
    const float off = -lo / quantum.scale - (float)quantum.zero;
    return fabsf(off) > 1e-3f && fabsf(off) <= 0.5f ? off * quantum.scale : 0;
}

/* The name of a value, or of its sum with what it is shifted by. */
static void put_shift(struct writer *w, int value, char name[NAME_BYTES])
{
    const float shift = shift_of_input(w->q, value);
    char constant[NAME_BYTES];
    (void)snprintf(name, NAME_BYTES, "%s", name_of(w, value));
    if (!(fabsf(shift) > 0))
        return;
    make_name(w, constant, name_of(w, value), "shift");
    make_name(w, name, name_of(w, value), "shifted");
    put_constant(w, constant, TYPE_FLOAT, 0, NULL, &shift, sizeof shift);
    put_quantising(w, "Add", (const char *[]){ name_of(w, value), constant, NULL }, name, -1);
}

/* QuantizeLinear and DequantizeLinear behind a value that is wanted so. */
static void put_pair(struct writer *w, int value)
{
    const struct cb_quantum quantum = quantum_of(w->q, value);
    const uint8_t zero_byte = (uint8_t)quantum.zero;
    const char *name = name_of(w, value);
    char scale[NAME_BYTES], zero[NAME_BYTES], whole[NAME_BYTES], real[NAME_BYTES];
    char from[NAME_BYTES];
    put_shift(w, value, from);
    make_name(w, scale, name, "scale");
    make_name(w, zero, name, "zero_point");
    make_name(w, whole, name, "quantized");
    make_name(w, real, name, "dequantized");
    put_constant(w, scale, TYPE_FLOAT, 0, NULL, &quantum.scale, sizeof quantum.scale);
    put_constant(w, zero, TYPE_UINT8, 0, NULL, &zero_byte, 1);
    put_quantising(w, "QuantizeLinear", (const char *[]){ from, scale, zero }, whole, -1);
    put_quantising(w, "DequantizeLinear", (const char *[]){ whole, scale, zero }, real, -1);
}

/* ---- weights ---- */

static float real_at(const struct cb_onnx_quantise *q, int value, size_t i)
{
    float f;
    memcpy(&f, (const char *)q->inferred->values[value].data + i * sizeof f, sizeof f);
    return f;
}

/* A product's weights and bias with what is folded into them. A MatMul takes no bias. */
struct weights {
    const struct cb_quantise_node *node;
    size_t outputs, each; /* each: numbers of an output */
    float *factor, *bias; /* [outputs] */
    bool has_bias;
};

static size_t index_of(const struct weights *w, size_t output, size_t k)
{
    return w->node->axis ? k * w->outputs + output : output * w->each + k;
}

static void fold_norm(const struct cb_onnx_quantise *q, const struct cb_quantise_node *norm,
                      struct weights *out)
{
    const double epsilon = (double)cb_quantise_float(norm, "epsilon", 1e-5f);
    for (size_t m = 0; m < out->outputs; m++) {
        const double factor =
            (double)real_at(q, norm->in[1], m) / sqrt((double)real_at(q, norm->in[4], m) + epsilon);
        const double bias = (double)out->bias[m] - (double)real_at(q, norm->in[3], m);
        out->bias[m] = (float)(bias * factor + (double)real_at(q, norm->in[2], m));
        out->factor[m] = (float)factor;
    }
}

static struct cb_status read_weights(struct cb_onnx_quantise *q, const struct cb_quantise_node *n,
                                     struct weights *out)
{
    const struct cb_shape *shape = &q->inferred->values[n->in[1]].shape;
    const int bias = n->n_in > 2 ? n->in[2] : -1;
    *out = (struct weights){ .node = n, .outputs = (size_t)shape->dim[n->axis] };
    out->each = cb_shape_count(shape) / (out->outputs ? out->outputs : 1);
    CB_TRY(cb_arena_get(q->arena, out->outputs, sizeof(float), "weights", &out->factor));
    CB_TRY(cb_arena_get(q->arena, out->outputs, sizeof(float), "weights", &out->bias));
    for (size_t m = 0; m < out->outputs; m++) {
        out->factor[m] = 1;
        out->bias[m] = bias < 0 ? 0 : real_at(q, bias, m);
    }
    out->has_bias = strcmp(n->proto->op_type, "MatMul") != 0;
    if (n->folded >= 0)
        fold_norm(q, &q->nodes[n->folded], out);
    const float *balance = q->factors[n->folded < 0 ? n->out[0] : q->nodes[n->folded].out[0]];
    for (size_t m = 0; balance && m < out->outputs; m++) {
        out->factor[m] /= balance[m];
        out->bias[m] /= balance[m];
    }
    return cb_ok();
}

/* The squared error of an output's weights at a scale; stops where it is not below `best`. */
static float error_at(const float *w, size_t n, float scale, float best)
{
    float sum = 0;
    for (size_t k = 0; k < n; k += 64) {
        const size_t end = k + 64 < n ? k + 64 : n;
        for (size_t i = k; i < end; i++) {
            const float q = w[i] / scale, bound = q > 127 ? 127 : q < -127 ? -127 : q;
            /* rounds to even: 3 * 2^22 leaves no bits for a fraction */
            const float rounded = (bound + 12582912.0f) - 12582912.0f;
            const float e = rounded * scale - w[i];
            sum += e * e;
        }
        if (sum >= best)
            return best;
    }
    return sum;
}

/* The scale of an output's weights: of those that make the largest one 64 to 160, the one of least
 * squared error: it may clip, and it finds the grid that weights already lie on. Where weights are
 * next to nothing, the bias must still fit into 32 bits. */
static float weight_scale(const struct weights *w, const float *row, size_t m, float x_scale)
{
    float largest = 0, best = INFINITY, chosen;
    for (size_t k = 0; k < w->each; k++)
        largest = fabsf(row[k]) > largest ? fabsf(row[k]) : largest;
    chosen = largest / 127;
    if (largest > 1e-30f)
        for (int top = 160; top >= 64; top--) {
            const float error = error_at(row, w->each, largest / (float)top, best);
            if (error < best) {
                best = error;
                chosen = largest / (float)top;
            }
        }
    const float least = fabsf(w->bias[m]) / x_scale / 1e9f;
    chosen = chosen > least ? chosen : least;
    return chosen > 1e-30f ? chosen : 1;
}

/* The channel of x that weight k of output m is multiplied with. */
static size_t channel_of(const struct cb_onnx_quantise *q, const struct weights *w, size_t m,
                         size_t k)
{
    const struct cb_shape *shape = &q->inferred->values[w->node->in[1]].shape;
    if (shape->rank == 2)
        return k;
    const size_t groups = (size_t)cb_quantise_int(w->node, "group", 1);
    const size_t taps = cb_shape_span(shape, 2, shape->rank);
    return m / (w->outputs / groups) * (size_t)shape->dim[1] + k / taps;
}

/* What rounding the weights of output m adds to its mean, and a shift of x to all of it. */
static double shift_of(const struct cb_onnx_quantise *q, const struct weights *w, size_t m,
                       const float *row, const int8_t *bytes, float scale)
{
    const struct cb_onnx_range *x = &q->own[w->node->in[0]];
    const double of_x = (double)shift_of_input(q, w->node->in[0]);
    double shift = 0;
    for (size_t k = 0; fabs(of_x) > 0 && k < w->each; k++)
        shift += (double)bytes[index_of(w, m, k)] * (double)scale * of_x;
    for (size_t k = 0; x->means && k < w->each; k++) {
        const size_t c = channel_of(q, w, m, k);
        if (c < x->n_means)
            shift +=
                ((double)bytes[index_of(w, m, k)] * (double)scale - (double)row[k]) * x->means[c];
    }
    return shift;
}

static int8_t weight_byte(float real, float scale)
{
    const float v = rintf(real / scale);
    return (int8_t)(v > 127 ? 127 : v < -127 ? -127 : v);
}

static struct cb_status put_weights(struct writer *w, struct weights *weights, const char *base,
                                    float x_scale, float **scales)
{
    struct cb_onnx_quantise *q = w->q;
    const struct cb_shape *shape = &q->inferred->values[weights->node->in[1]].shape;
    const size_t count = weights->outputs * weights->each;
    const int64_t outputs = (int64_t)weights->outputs;
    char name[NAME_BYTES], scale[NAME_BYTES], zero[NAME_BYTES], real[NAME_BYTES];
    const float *balance = q->factors[weights->node->in[0]];
    int8_t *bytes, *zeros;
    float *row;
    CB_TRY(cb_arena_get(q->arena, weights->each, sizeof *row, "weights", &row));
    CB_TRY(cb_arena_get(q->arena, weights->outputs, sizeof **scales, "weights", scales));
    CB_TRY(cb_arena_get(q->arena, count, 1, "weights", &bytes));
    CB_TRY(cb_arena_get(q->arena, weights->outputs, 1, "weights", &zeros));
    for (size_t m = 0; m < weights->outputs; m++) {
        for (size_t k = 0; k < weights->each; k++)
            row[k] = real_at(q, weights->node->in[1], index_of(weights, m, k)) *
                     weights->factor[m] * (balance ? balance[channel_of(q, weights, m, k)] : 1);
        (*scales)[m] = weight_scale(weights, row, m, x_scale);
        for (size_t k = 0; k < weights->each; k++)
            bytes[index_of(weights, m, k)] = weight_byte(row[k], (*scales)[m]);
        if (weights->has_bias)
            weights->bias[m] -= (float)shift_of(q, weights, m, row, bytes, (*scales)[m]);
    }
    make_name(w, name, base, "weight_quantized");
    make_name(w, scale, base, "weight_scale");
    make_name(w, zero, base, "weight_zero_point");
    make_name(w, real, base, "weight_dequantized");
    put_constant(w, name, TYPE_INT8, shape->rank, shape->dim, bytes, count);
    put_constant(w, scale, TYPE_FLOAT, 1, &outputs, *scales, weights->outputs * sizeof(float));
    put_constant(w, zero, TYPE_INT8, 1, &outputs, zeros, weights->outputs);
    put_quantising(w, "DequantizeLinear", (const char *[]){ name, scale, zero }, real,
                   weights->node->axis);
    return cb_ok();
}

static struct cb_status put_bias(struct writer *w, const struct weights *weights, const char *base,
                                 float x_scale, const float *scales)
{
    const int64_t outputs = (int64_t)weights->outputs;
    char name[NAME_BYTES], scale[NAME_BYTES], real[NAME_BYTES];
    int32_t *wholes;
    float *units;
    CB_TRY(cb_arena_get(w->q->arena, weights->outputs, sizeof *wholes, "bias", &wholes));
    CB_TRY(cb_arena_get(w->q->arena, weights->outputs, sizeof *units, "bias", &units));
    for (size_t m = 0; m < weights->outputs; m++) {
        units[m] = x_scale * scales[m];
        wholes[m] = (int32_t)llrint((double)weights->bias[m] / (double)units[m]);
    }
    make_name(w, name, base, "bias_quantized");
    make_name(w, scale, base, "bias_scale");
    make_name(w, real, base, "bias_dequantized");
    put_constant(w, name, TYPE_INT32, 1, &outputs, wholes, weights->outputs * sizeof *wholes);
    put_constant(w, scale, TYPE_FLOAT, 1, &outputs, units, weights->outputs * sizeof *units);
    put_quantising(w, "DequantizeLinear", (const char *[]){ name, scale, NULL }, real, 0);
    return cb_ok();
}

/* ---- nodes ---- */

static bool is_text(struct cb_bytes bytes, const char *text)
{
    return text && bytes.len == strlen(text) && !memcmp(bytes.data, text, bytes.len);
}

static bool drops(const struct cb_upgrade *upgrade, struct cb_bytes attribute)
{
    for (struct cb_wire_field f; cb_wire_next(&attribute, &f);)
        for (size_t i = 0; f.number == ATTRIBUTE_NAME && i < CB_COUNT_OF(upgrade->drop); i++)
            if (is_text(f.data, upgrade->drop[i]))
                return true;
    return false;
}

/* What an upgrade makes an input of: the constant, and its name as the node's next input. */
static void put_list(struct writer *w, const struct cb_quantise_node *n, const char *attribute,
                     struct cb_buf *node)
{
    const Onnx__AttributeProto *a = cb_quantise_attribute(n, attribute);
    const int64_t count = (int64_t)a->n_ints;
    char name[NAME_BYTES];
    make_name(w, name, name_of(w, n->out[0]), attribute);
    put_constant(w, name, TYPE_INT64, 1, &count, a->ints, a->n_ints * sizeof *a->ints);
    cb_wire_put_text(node, NODE_INPUT, name);
}

static void put_bounds(struct writer *w, const struct cb_quantise_node *n, struct cb_buf *node)
{
    static const char *const names[] = { "min", "max" };
    for (int i = 0; i < 2; i++) {
        const float bound = cb_quantise_float(n, names[i], i ? INFINITY : -INFINITY);
        char name[NAME_BYTES];
        make_name(w, name, name_of(w, n->out[0]), names[i]);
        put_constant(w, name, TYPE_FLOAT, 0, NULL, &bound, sizeof bound);
        cb_wire_put_text(node, NODE_INPUT, name);
    }
}

/* Input k of a node that is no weight: the value, or the reals of its bytes. */
static void put_input(struct writer *w, int value, struct cb_buf *node)
{
    char real[NAME_BYTES];
    if (value < 0) {
        cb_wire_put_text(node, NODE_INPUT, "");
    } else if (w->q->wanted[value]) {
        snprintf(real, sizeof real, "%s_dequantized", name_of(w, value));
        cb_wire_put_text(node, NODE_INPUT, real);
    } else {
        cb_wire_put_text(node, NODE_INPUT, name_of(w, value));
        w->used[value] = true;
    }
}

/* The node with its inputs, output and attributes exchanged; `base` not NULL: weights and bias are
 * BASE_weight.. */
static struct cb_status put_node(struct writer *w, const struct cb_quantise_node *n,
                                 const char *base, bool has_bias)
{
    struct cb_buf node = new_buf();
    struct cb_bytes raw = n->raw;
    struct cb_upgrade upgrade;
    int outputs = 0;
    CB_TRY(cb_upgrade_node(w->q, n, &upgrade));
    for (int k = 0; k < (base ? 1 : n->n_in); k++)
        put_input(w, n->in[k], &node);
    for (int k = 0; base && k < 1 + has_bias; k++) {
        char name[NAME_BYTES];
        make_name(w, name, base, k ? "bias_dequantized" : "weight_dequantized");
        cb_wire_put_text(&node, NODE_INPUT, name);
    }
    if (upgrade.list)
        put_list(w, n, upgrade.list, &node);
    if (upgrade.bounds)
        put_bounds(w, n, &node);
    for (struct cb_wire_field f; cb_wire_next(&raw, &f);) {
        if (f.number == NODE_INPUT || (f.number == NODE_OP && upgrade.op) ||
            (f.number == NODE_ATTRIBUTE && drops(&upgrade, f.data)) ||
            (f.number == NODE_OUTPUT && upgrade.n_out && outputs++ >= upgrade.n_out) ||
            (f.number == NODE_OUTPUT && n->folded >= 0))
            continue;
        cb_buf_add(&node, f.start, (size_t)(f.data.data + f.data.len - f.start));
    }
    if (upgrade.op)
        cb_wire_put_text(&node, NODE_OP, upgrade.op);
    if (n->folded >= 0)
        cb_wire_put_text(&node, NODE_OUTPUT, name_of(w, w->q->nodes[n->folded].out[0]));
    cb_wire_put_message(&w->nodes, CB_GRAPH_NODE, &node);
    return cb_ok();
}

static struct cb_status put_product(struct writer *w, const struct cb_quantise_node *n)
{
    const float x_scale = quantum_of(w->q, n->in[0]).scale;
    const char *base = name_of(w, n->out[0]);
    struct weights weights;
    const size_t mark = w->q->arena->used;
    float *scales;
    CB_TRY(read_weights(w->q, n, &weights));
    CB_TRY(put_weights(w, &weights, base, x_scale, &scales));
    if (weights.has_bias)
        CB_TRY(put_bias(w, &weights, base, x_scale, scales));
    CB_TRY(put_node(w, n, base, weights.has_bias));
    cb_arena_rewind(w->q->arena, mark);
    return cb_ok();
}

static struct cb_status put_nodes(struct writer *w)
{
    struct cb_onnx_quantise *q = w->q;
    for (int i = 0; i < q->graph->n_inputs; i++)
        if (q->wanted[q->graph->inputs[i]])
            put_pair(w, q->graph->inputs[i]);
    for (int i = 0; i < q->n_nodes; i++) {
        const struct cb_quantise_node *n = &q->nodes[i];
        if (n->kind == CB_QUANTISE_GONE)
            continue;
        CB_TRY(n->kind == CB_QUANTISE_PRODUCT ? put_product(w, n) : put_node(w, n, NULL, false));
        const struct cb_quantise_node *last = n->folded < 0 ? n : &q->nodes[n->folded];
        for (int k = 0; k < last->n_out; k++)
            if (last->out[k] >= 0 && q->wanted[last->out[k]])
                put_pair(w, last->out[k]);
        CB_TRY(w->status);
    }
    return cb_ok();
}

/* ---- the rest of the file ---- */

static struct cb_bytes text_field(struct cb_bytes message, uint32_t number)
{
    struct cb_bytes found = { 0 };
    for (struct cb_wire_field f; cb_wire_next(&message, &f);)
        if (f.number == number && f.type == CB_WIRE_BYTES)
            found = f.data;
    return found;
}

static int value_named(const struct cb_onnx_quantise *q, struct cb_bytes name)
{
    char text[NAME_BYTES];
    if (name.len >= sizeof text)
        return -1;
    memcpy(text, name.data, name.len);
    text[name.len] = 0;
    return cb_onnx_names_find(&q->names, text);
}

/* Inputs that are no constants, constants that are still read, and the outputs. */
static void put_declarations(const struct writer *w, struct cb_buf *graph)
{
    struct cb_bytes rest = w->q->graph_bytes;
    for (struct cb_wire_field f; cb_wire_next(&rest, &f);) {
        bool keeps = f.number == CB_GRAPH_OUTPUT || f.number == CB_GRAPH_NAME;
        if (f.number == CB_GRAPH_INPUT)
            keeps = is_input(w->q, value_named(w->q, text_field(f.data, 1)));
        if (f.number == CB_GRAPH_INITIALIZER) {
            const int value = value_named(w->q, text_field(f.data, CB_TENSOR_NAME));
            keeps = value >= 0 && w->used[value];
        }
        if (keeps)
            cb_buf_add(graph, f.start, (size_t)(f.data.data + f.data.len - f.start));
    }
}

static void put_header(const struct cb_onnx_quantise *q, const struct cb_onnx_property *properties,
                       int n_properties, struct cb_buf *out)
{
    struct cb_bytes rest = q->file;
    const int64_t ir = q->model->ir_version < LEAST_IR ? LEAST_IR : q->model->ir_version;
    cb_wire_put_int(out, CB_MODEL_IR_VERSION, (uint64_t)ir);
    for (struct cb_wire_field f; cb_wire_next(&rest, &f);) {
        bool keeps = f.number != CB_MODEL_IR_VERSION && f.number != CB_MODEL_GRAPH;
        if (f.number == CB_MODEL_OPSET) {
            const struct cb_bytes domain = text_field(f.data, CB_OPSET_DOMAIN);
            keeps = domain.len && !is_text(domain, "ai.onnx");
        }
        for (int i = 0; f.number == CB_MODEL_METADATA && i < n_properties; i++)
            keeps &= !is_text(text_field(f.data, CB_ENTRY_KEY), properties[i].key);
        if (keeps)
            cb_buf_add(out, f.start, (size_t)(f.data.data + f.data.len - f.start));
    }
    struct cb_buf opset = new_buf();
    cb_wire_put_text(&opset, CB_OPSET_DOMAIN, "");
    cb_wire_put_int(&opset, CB_OPSET_VERSION,
                    (uint64_t)(q->opset < CB_QDQ_OPSET ? CB_QDQ_OPSET : q->opset));
    cb_wire_put_message(out, CB_MODEL_OPSET, &opset);
    for (int i = 0; i < n_properties; i++) {
        struct cb_buf entry = new_buf();
        cb_wire_put_text(&entry, CB_ENTRY_KEY, properties[i].key);
        cb_wire_put_text(&entry, CB_ENTRY_VALUE, properties[i].value);
        cb_wire_put_message(out, CB_MODEL_METADATA, &entry);
    }
}

/* Groups have the range of all their members. */
static void spread_ranges(struct cb_onnx_quantise *q, const struct cb_onnx_range *ranges)
{
    memset(q->range, 0, (size_t)q->graph->n_values * sizeof *q->range);
    for (int i = 0; i < q->n_values; i++) {
        q->own[q->values[i]] = ranges[i];
        struct cb_onnx_range *r = &q->range[cb_quantise_root(q, q->values[i])];
        r->lo = ranges[i].lo < r->lo ? ranges[i].lo : r->lo;
        r->hi = ranges[i].hi > r->hi ? ranges[i].hi : r->hi;
    }
}

struct cb_status cb_onnx_quantise_write(struct cb_onnx_quantise *quantise,
                                        const struct cb_onnx_range *ranges,
                                        const struct cb_onnx_property *properties, int n_properties,
                                        struct cb_buf *out)
{
    struct writer w = { .q = quantise, .nodes = new_buf(), .constants = new_buf() };
    struct cb_buf rest = new_buf();
    struct cb_status st = cb_arena_get(quantise->arena, (size_t)quantise->graph->n_values,
                                       sizeof *w.used, "values", &w.used);
    spread_ranges(quantise, ranges);
    if (!st.code)
        st = put_nodes(&w);
    if (!st.code) {
        put_header(quantise, properties, n_properties, out);
        put_declarations(&w, &rest);
        cb_wire_put_length(out, CB_MODEL_GRAPH, w.nodes.len + w.constants.len + rest.len);
        cb_buf_add(out, w.nodes.data, w.nodes.len);
        cb_buf_add(out, w.constants.data, w.constants.len);
        cb_buf_add(out, rest.data, rest.len);
        out->failed |= w.nodes.failed || w.constants.failed || rest.failed;
        if (out->failed)
            st = cb_fail(CB_ERR_NOMEM, "no room for the model's ONNX file");
        else if (out->len > FILE_LIMIT)
            st = cb_fail(CB_ERR_TOO_LARGE, "a model of %zu bytes does not fit into one ONNX file",
                         out->len);
    }
    cb_buf_deinit(&w.nodes);
    cb_buf_deinit(&w.constants);
    cb_buf_deinit(&rest);
    return st;
}
