/* importers/onnx/rules/einsum.c - Einsum-12: sums of products over labelled axes, as transposes,
 * matrix products and sums.
 *
 * Operands are taken in from left to right. Each is first brought to one axis a label (diagonals)
 * and summed over labels that nobody else knows. Two that share a label which is summed are a
 * product of matrices: [batch, own..., summed...] by [batch, summed..., own...]; otherwise they are
 * multiplied with broadcasting. The axes of "..." are labels too, counted from the last. */
#include <string.h>

#include "importers/onnx/attrs.h"
#include "importers/onnx/rules/rules.h"

enum { LETTERS = 52, LABELS = LETTERS + CB_MAX_RANK, MAX_EQUATION = 512 };

/* A value and the label of each of its axes. */
struct term {
    int value, n;
    int label[CB_MAX_RANK];
};

/* Labels as a set of bits. */
static uint64_t bit(int label)
{
    return (uint64_t)1 << label;
}

static uint64_t labels_of(const struct term *t)
{
    uint64_t set = 0;
    for (int i = 0; i < t->n; i++)
        set |= bit(t->label[i]);
    return set;
}

static struct cb_status append(struct term *t, int label)
{
    if (t->n >= CB_MAX_RANK)
        return cb_fail(CB_ERR_UNSUPPORTED, "more than %d axes", CB_MAX_RANK);
    t->label[t->n++] = label;
    return cb_ok();
}

/* Those labels of `from` that are in the set. */
static struct cb_status append_all(struct term *t, const struct term *from, uint64_t set)
{
    for (int i = 0; i < from->n; i++)
        if (set & bit(from->label[i]))
            CB_TRY(append(t, from->label[i]));
    return cb_ok();
}

/* --- the equation --- */

/* A to Z, a to z, as they are sorted where no output is given; -1: no letter. */
static int label_of(char c)
{
    return c >= 'A' && c <= 'Z' ? c - 'A' : c >= 'a' && c <= 'z' ? c - 'a' + 26 : -1;
}

/* The labels of text[0 .. len): letters, and at most one "...", which stands for `dots` axes. */
static struct cb_status parse_term(const char *text, size_t len, int dots, struct term *t)
{
    bool seen = false;
    t->n = 0;
    for (size_t i = 0; i < len; i++) {
        if (len - i >= 3 && memcmp(text + i, "...", 3) == 0 && !seen) {
            for (int k = dots; k-- > 0;)
                CB_TRY(append(t, LETTERS + k));
            seen = true;
            i += 2;
        } else if (label_of(text[i]) >= 0) {
            CB_TRY(append(t, label_of(text[i])));
        } else {
            return cb_fail(CB_ERR_MODEL, "equation has \"%.*s\"", (int)len, text);
        }
    }
    return cb_ok();
}

/* How many axes "..." stands for in operand i: those that no letter names; -1: there is none. */
static struct cb_status count_dots(const struct cb_onnx_node *node, int i, const char *text,
                                   size_t len, int *dots)
{
    const int rank = cb_onnx_in(node, i)->shape.rank;
    int letters = 0;
    bool has_dots = false;
    for (size_t k = 0; k < len; k++) {
        letters += label_of(text[k]) >= 0;
        has_dots |= text[k] == '.';
    }
    *dots = has_dots ? rank - letters : -1;
    if (has_dots && rank < 0)
        return cb_fail(CB_ERR_UNSUPPORTED, "\"...\" of input %d, whose rank is unknown", i);
    if (rank >= 0 && (has_dots ? rank < letters : rank != letters))
        return cb_fail(CB_ERR_MODEL, "equation has %d letters for input %d of rank %d", letters, i,
                       rank);
    return cb_ok();
}

/* Without an output in the equation: "...", then the letters that stand once, in order. */
static struct cb_status implicit_output(const int uses[], int dots, struct term *out)
{
    out->n = 0;
    for (int k = dots; k-- > 0;)
        CB_TRY(append(out, LETTERS + k));
    for (int k = 0; k < LETTERS; k++)
        if (uses[k] == 1)
            CB_TRY(append(out, k));
    return cb_ok();
}

static struct cb_status check_output(const int uses[], int dots, const struct term *out)
{
    uint64_t set = 0;
    for (int i = 0; i < out->n; i++) {
        if (set & bit(out->label[i]) || uses[out->label[i]] == 0)
            return cb_fail(CB_ERR_MODEL, "the output has a label twice, or one that no input has");
        set |= bit(out->label[i]);
    }
    for (int k = 0; k < dots; k++)
        if (!(set & bit(LETTERS + k)))
            return cb_fail(CB_ERR_MODEL, "the inputs have \"...\", the output has not");
    return cb_ok();
}

/* Splits the equation, which has no blanks, into the operands' labels and the output's. */
static struct cb_status parse(const struct cb_onnx_node *node, const char *text,
                              struct term *operands, struct term *out)
{
    const char *arrow = strstr(text, "->"), *at = text;
    const char *end = arrow ? arrow : text + strlen(text);
    int uses[LABELS] = { 0 }, most = -1;
    for (int i = 0; i < node->n_in; i++) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const size_t len = (size_t)((comma ? comma : end) - at);
        int dots;
        if (node->in[i] < 0 || (comma != NULL) != (i + 1 < node->n_in))
            return cb_fail(CB_ERR_MODEL, "equation \"%s\" is not one of %d inputs", text,
                           node->n_in);
        CB_TRY(count_dots(node, i, at, len, &dots));
        CB_TRY(parse_term(at, len, dots, &operands[i]));
        operands[i].value = node->in[i];
        for (int k = 0; k < operands[i].n; k++)
            uses[operands[i].label[k]]++;
        most = dots > most ? dots : most;
        at += len + (comma != NULL);
    }
    if (!arrow)
        return implicit_output(uses, most, out);
    CB_TRY(parse_term(arrow + 2, strlen(arrow + 2), most, out));
    return check_output(uses, most, out);
}

/* --- one operand --- */

/* t by one operator; the labels are the caller's affair. */
static struct cb_status step(struct cb_onnx_node *node, enum cb_op op, const union cb_attr *attr,
                             struct term *t)
{
    return cb_onnx_step(node, op, attr, CB_ONNX_ARGS(t->value), &t->value);
}

/* t with its axes in the order perm. */
static struct cb_status permute(struct cb_onnx_node *node, struct term *t, const int perm[])
{
    const struct term from = *t;
    union cb_attr attr = cb_attr_default(CB_OP_TRANSPOSE);
    bool moves = false;
    attr.transpose.rank = t->n;
    for (int i = 0; i < t->n; i++) {
        attr.transpose.perm[i] = perm[i];
        t->label[i] = from.label[perm[i]];
        moves |= perm[i] != i;
    }
    return moves ? step(node, CB_OP_TRANSPOSE, &attr, t) : cb_ok();
}

/* t with its labels in the order of `order`, which has them all. */
static struct cb_status arrange(struct cb_onnx_node *node, struct term *t, const struct term *order)
{
    int perm[CB_MAX_RANK], n = 0;
    for (int i = 0; i < order->n; i++)
        for (int k = 0; k < t->n; k++)
            if (t->label[k] == order->label[i])
                perm[n++] = k;
    return permute(node, t, perm);
}

/* A label that stands twice: what is beside the diagonal of the two axes becomes 0, and the sum
 * over one of them leaves the diagonal. */
static struct cb_status take_diagonals(struct cb_onnx_node *node, struct term *t)
{
    union cb_attr triangle = cb_attr_default(CB_OP_TRILU), sum = cb_attr_default(CB_OP_REDUCE_SUM);
    triangle.trilu.square = true;
    sum.reduce.axes = (struct cb_list){ 1, { -1 } };
    sum.reduce.keep_dims = false;
    for (int i = 0; i < t->n; i++)
        for (int k = i + 1; k < t->n; k++) {
            int perm[CB_MAX_RANK], n = 0;
            if (t->label[i] != t->label[k])
                continue;
            for (int j = 0; j < t->n; j++)
                if (j != i && j != k)
                    perm[n++] = j;
            perm[n++] = i;
            perm[n++] = k;
            CB_TRY(permute(node, t, perm));
            triangle.trilu.lower = false;
            CB_TRY(step(node, CB_OP_TRILU, &triangle, t));
            triangle.trilu.lower = true;
            CB_TRY(step(node, CB_OP_TRILU, &triangle, t));
            CB_TRY(step(node, CB_OP_REDUCE_SUM, &sum, t));
            t->n--;
            i = -1; /* again: the axes have moved */
            break;
        }
    return cb_ok();
}

/* Sums t over labels that are not in the set. */
static struct cb_status sum_beside(struct cb_onnx_node *node, struct term *t, uint64_t keep)
{
    union cb_attr sum = cb_attr_default(CB_OP_REDUCE_SUM);
    struct term kept = { .n = 0 };
    sum.reduce.axes.count = 0;
    sum.reduce.keep_dims = false;
    for (int i = 0; i < t->n; i++)
        if (!(keep & bit(t->label[i])))
            sum.reduce.axes.v[sum.reduce.axes.count++] = i;
    if (sum.reduce.axes.count == 0)
        return cb_ok();
    CB_TRY(append_all(&kept, t, keep));
    CB_TRY(step(node, CB_OP_REDUCE_SUM, &sum, t));
    kept.value = t->value;
    *t = kept;
    return cb_ok();
}

/* --- two operands --- */

/* t's axes in the order of `order`, with axes of 1 for labels that it lacks. */
static struct cb_status align(struct cb_onnx_node *node, struct term *t, const struct term *order)
{
    const uint64_t own = labels_of(t);
    union cb_attr missing = cb_attr_default(CB_OP_UNSQUEEZE);
    CB_TRY(arrange(node, t, order));
    missing.squeeze.axes.count = 0;
    for (int i = 0; i < order->n; i++)
        if (!(own & bit(order->label[i])))
            missing.squeeze.axes.v[missing.squeeze.axes.count++] = i;
    return missing.squeeze.axes.count ? step(node, CB_OP_UNSQUEEZE, &missing, t) : cb_ok();
}

static struct cb_status multiply(struct cb_onnx_node *node, struct term *a, struct term *b,
                                 struct term *out)
{
    *out = *a;
    CB_TRY(append_all(out, b, ~labels_of(a)));
    CB_TRY(align(node, a, out));
    CB_TRY(align(node, b, out));
    CB_TRY(cb_onnx_temp(node, node->out[0], "product", &out->value));
    return cb_onnx_add(node, CB_OP_MUL, NULL, CB_ONNX_ARGS(a->value, b->value),
                       CB_ONNX_ARGS(out->value));
}

/* The dims [from, to) of a value. */
static struct cb_status dims_of(struct cb_onnx_node *node, int value, int from, int to, int *out)
{
    union cb_attr attr = cb_attr_default(CB_OP_SHAPE);
    attr.shape.start = from;
    attr.shape.end = to;
    CB_TRY(cb_onnx_temp(node, node->out[0], "dims", out));
    return cb_onnx_add(node, CB_OP_SHAPE, &attr, CB_ONNX_ARGS(value), CB_ONNX_ARGS(*out));
}

/* value reshaped to: the first `batch` dims as they are, then the dims `a`, then `b`. */
static struct cb_status reshape(struct cb_onnx_node *node, int *value, int batch, int a, int b)
{
    static const int64_t zeros[CB_MAX_RANK];
    const union cb_attr joined = { .axis = { 0 } };
    const int x = *value;
    int same, shape;
    CB_TRY(cb_onnx_add_ints(node, "batch", batch, zeros, &same));
    CB_TRY(cb_onnx_step(node, CB_OP_CONCAT, &joined, CB_ONNX_ARGS(same, a, b), &shape));
    CB_TRY(cb_onnx_temp(node, node->out[0], "reshaped", value));
    return cb_onnx_add(node, CB_OP_RESHAPE, NULL, CB_ONNX_ARGS(x, shape), CB_ONNX_ARGS(*value));
}

/* The product of dims [from, to) of a value, in a list of one. */
static struct cb_status merged(struct cb_onnx_node *node, int value, int from, int to, int *out)
{
    int dims;
    CB_TRY(dims_of(node, value, from, to, &dims));
    CB_TRY(cb_onnx_temp(node, node->out[0], "merged", out));
    return cb_onnx_add(node, CB_OP_REDUCE_PROD, NULL, CB_ONNX_ARGS(dims), CB_ONNX_ARGS(*out));
}

/* t, arranged as [batch..., first..., second...], as matrices; *value is where they are. */
static struct cb_status as_matrices(struct cb_onnx_node *node, const struct term *t, int batch,
                                    int first, int *value)
{
    int rows, columns;
    *value = t->value;
    if (first == 1 && t->n - batch == 2)
        return cb_ok();
    CB_TRY(merged(node, t->value, batch, batch + first, &rows));
    CB_TRY(merged(node, t->value, batch + first, t->n, &columns));
    return reshape(node, value, batch, rows, columns);
}

/* Over the labels of both that are not in `keep`; there is one at least. */
static struct cb_status contract(struct cb_onnx_node *node, struct term *a, struct term *b,
                                 uint64_t keep, struct term *out)
{
    const uint64_t in_a = labels_of(a), in_b = labels_of(b), summed = in_a & in_b & ~keep;
    struct term batch = { .n = 0 }, left, right;
    int x, y, own_a, own_b;
    CB_TRY(append_all(&batch, a, in_b & keep));
    left = right = *out = batch;
    CB_TRY(append_all(&left, a, ~in_b));
    CB_TRY(append_all(out, a, ~in_b));
    CB_TRY(append_all(out, b, ~in_a));
    const int rows = left.n - batch.n;
    CB_TRY(append_all(&left, a, summed));
    CB_TRY(append_all(&right, a, summed));
    const int inner = right.n - batch.n;
    CB_TRY(append_all(&right, b, ~in_a));
    if (batch.n + 2 > CB_MAX_RANK)
        return cb_fail(CB_ERR_UNSUPPORTED, "more than %d axes", CB_MAX_RANK);
    CB_TRY(arrange(node, a, &left));
    CB_TRY(arrange(node, b, &right));
    CB_TRY(as_matrices(node, a, batch.n, rows, &x));
    CB_TRY(as_matrices(node, b, batch.n, inner, &y));
    CB_TRY(cb_onnx_step(node, CB_OP_MATMUL, NULL, CB_ONNX_ARGS(x, y), &out->value));
    if (rows == 1 && out->n - batch.n == 2)
        return cb_ok();
    CB_TRY(dims_of(node, a->value, batch.n, batch.n + rows, &own_a));
    CB_TRY(dims_of(node, b->value, batch.n + inner, b->n, &own_b));
    return reshape(node, &out->value, batch.n, own_a, own_b);
}

/* --- all of them --- */

/* The attribute without blanks, ended by a 0. */
static struct cb_status read_equation(const struct cb_onnx_node *node, char text[MAX_EQUATION])
{
    const Onnx__AttributeProto *a = cb_onnx_attr_find(node, "equation");
    size_t n = 0;
    if (!a || !a->has_s || a->s.len >= MAX_EQUATION)
        return cb_fail(CB_ERR_MODEL, "equation is missing, or longer than %d letters",
                       MAX_EQUATION);
    for (size_t i = 0; i < a->s.len; i++) {
        if (a->s.data[i] < ' ' || a->s.data[i] > '~')
            return cb_fail(CB_ERR_MODEL, "equation has a character %d", a->s.data[i]);
        if (a->s.data[i] != ' ')
            text[n++] = (char)a->s.data[i];
    }
    text[n] = 0;
    return cb_ok();
}

struct cb_status cb_onnx_import_einsum(struct cb_onnx_node *node)
{
    char text[MAX_EQUATION];
    struct term *operands, out, so_far;
    CB_TRY(cb_arena_get(node->import->scratch, (size_t)node->n_in, sizeof *operands, "labels",
                        &operands));
    CB_TRY(read_equation(node, text));
    CB_TRY(parse(node, text, operands, &out));
    for (int i = 0; i < node->n_in; i++) {
        uint64_t later = labels_of(&out); /* what is wanted behind operand i */
        for (int k = i + 1; k < node->n_in; k++)
            later |= labels_of(&operands[k]);
        CB_TRY(take_diagonals(node, &operands[i]));
        CB_TRY(sum_beside(node, &operands[i], later | (i ? labels_of(&so_far) : 0)));
        if (i == 0) {
            so_far = operands[0];
            continue;
        }
        struct term a = so_far, b = operands[i];
        CB_TRY(labels_of(&a) & labels_of(&b) & ~later ? contract(node, &a, &b, later, &so_far)
                                                      : multiply(node, &a, &b, &so_far));
        CB_TRY(sum_beside(node, &so_far, later));
    }
    CB_TRY(arrange(node, &so_far, &out));
    return cb_onnx_add(node, CB_OP_IDENTITY, NULL, CB_ONNX_ARGS(so_far.value),
                       CB_ONNX_ARGS(node->out[0]));
}
