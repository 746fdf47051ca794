/* Einsum against its definition: a loop over all labels. */
#include <math.h>

#include "core/base/rng.h"
#include "tests/importers/onnx/loading.h"
#include "tests/support/onnx_builder.h"
#include "tests/support/run_graph.h"

enum { LABELS = 5, MOST = 512 };

static const int64_t size_of[LABELS] = { 2, 3, 4, 2, 3 }; /* of a, b, c, d, e */

struct operand {
    char labels[9];
    int64_t dim[8];
    int rank;
    size_t count;
    float v[MOST];
};

static struct operand operand_of(const char *labels, size_t len, struct cb_rng *rng)
{
    struct operand o = { .rank = (int)len, .count = 1 };
    memcpy(o.labels, labels, len);
    for (int i = 0; i < o.rank; i++) {
        o.dim[i] = size_of[labels[i] - 'a'];
        o.count *= (size_t)o.dim[i];
    }
    if (rng)
        cb_rng_fill(rng, o.count, o.v);
    return o;
}

static float *element(struct operand *o, const int64_t at[LABELS])
{
    size_t k = 0;
    for (int i = 0; i < o->rank; i++)
        k = k * (size_t)o->dim[i] + (size_t)at[o->labels[i] - 'a'];
    return &o->v[k];
}

/* y = the sum of products over all labels that any operand has. */
static void define(struct operand *y, int n, struct operand *x)
{
    int64_t at[LABELS] = { 0 }, size[LABELS] = { 1, 1, 1, 1, 1 };
    int k;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < x[i].rank; j++)
            size[x[i].labels[j] - 'a'] = x[i].dim[j];
    do {
        float product = 1;
        for (int i = 0; i < n; i++)
            product *= *element(&x[i], at);
        *element(y, at) += product;
        for (k = LABELS - 1; k >= 0 && ++at[k] == size[k]; k--)
            at[k] = 0;
    } while (k >= 0);
}

static void run(const char *equation, const char *output, int n, struct operand *x, bool passes)
{
    static const char *const names[] = { "x", "x w", "x w v" };
    struct operand y = operand_of(output, strlen(output), NULL);
    struct onnx_builder b = onnx_begin(12);
    float got[MOST];
    define(&y, n, x);
    onnx_input(&b, "x", ONNX_FLOAT, (struct onnx_dims){ x[0].rank, x[0].dim });
    for (int i = 1; i < n; i++)
        onnx_floats(&b, i == 1 ? "w" : "v", (struct onnx_dims){ x[i].rank, x[i].dim }, x[i].v);
    onnx_node(&b, "Einsum", names[n - 1], "y");
    onnx_attr_text(&b, "equation", equation);
    onnx_output(&b, "y", ONNX_FLOAT);
    struct loading l = load_bytes(onnx_end(&b), NULL);
    cr_assert_eq(l.st.code, CB_OK, "%s: %s", equation, l.st.msg);
    struct cb_tensor in = { .shape = { .rank = x[0].rank }, .dtype = CB_FLOAT32, .data = x[0].v };
    for (int i = 0; i < x[0].rank; i++)
        in.shape.dim[i] = x[0].dim[i];
    cr_assert_eq(run_graph(&l.model.graph, &in, -1, passes, MOST, got), y.count, "%s", equation);
    for (size_t i = 0; i < y.count; i++)
        cr_assert(fabsf(got[i] - y.v[i]) < 1e-5f, "%s: element %zu is %g, not %g", equation, i,
                  (double)got[i], (double)y.v[i]);
    load_end(&l);
    onnx_free(&b);
}

Test(einsum, equals_its_definition)
{
    static const struct {
        const char *equation, *output;
    } cases[] = {
        { "ab->ba", "ba" },
        { "abc->b", "b" },
        { "ba", "ab" },
        { "aa->a", "a" },
        { "aa", "" },
        { "aab->ba", "ba" },
        { "aad->", "" },
        { "ab,bc->ac", "ac" },
        { "ab,bc", "ac" },
        { "ab,cb->ca", "ca" },
        { "ab,ab->", "" },
        { "ab,ab->b", "b" },
        { "a,b->ab", "ab" },
        { "ab,bcde->", "" },
        { "abc,dbc->da", "da" },
        { "abcd,ebad->ce", "ce" },
        { "abc,dbe->adce", "adce" },
        { "ab,c->cb", "cb" },
        { "abc,acd->abd", "abd" },
        { "bbc,ca->ab", "ab" },
        { "ab,bc,cd->ad", "ad" },
        { "ab,ac,bc->a", "a" },
        { "a,a,a->a", "a" },
        { " a b , b c -> c a ", "ca" },
    };
    for (size_t i = 0; i < CB_COUNT_OF(cases); i++) {
        struct cb_rng rng = cb_rng_seed(i + 1);
        struct operand x[3];
        int n = 0;
        char text[32] = "";
        for (const char *at = cases[i].equation; *at; at++)
            if (*at != ' ')
                strncat(text, at, 1);
        for (const char *at = text; *at >= 'a' && n < 3;) {
            const size_t len = strspn(at, "abcde");
            x[n++] = operand_of(at, len, &rng);
            at += len + (at[len] == ',');
        }
        run(cases[i].equation, cases[i].output, n, x, true);
        run(cases[i].equation, cases[i].output, n, x, false);
    }
}

Test(einsum, dots_stand_for_axes_that_broadcast)
{
    static const float weights[] = { 1, 2, 3, 4, 5, 6 };
    const struct cb_tensor x = { .shape = { 3, { 2, 1, 2 } },
                                 .dtype = CB_FLOAT32,
                                 .data = (float[]){ 1, 2, 3, 4 } };
    const float want[] = { 9, 12, 15, 19, 26, 33 };
    float got[6];
    struct onnx_builder b = onnx_begin(12);
    onnx_input(&b, "x", ONNX_FLOAT, ONNX_DIMS(2, 1, 2));
    onnx_floats(&b, "w", ONNX_DIMS(2, 3), weights);
    onnx_node(&b, "Einsum", "x w", "y");
    onnx_attr_text(&b, "equation", "...ij,jk->...ik");
    onnx_output(&b, "y", ONNX_FLOAT);
    struct loading l = load_bytes(onnx_end(&b), NULL);
    expect_ok(l);
    cr_assert_eq(run_graph(&l.model.graph, &x, -1, true, 6, got), 6);
    for (int i = 0; i < 6; i++)
        cr_expect(fabsf(got[i] - want[i]) < 1e-5f, "element %d is %g", i, (double)got[i]);
    load_end(&l);
    onnx_free(&b);
}

Test(einsum, refuses_equations_that_say_nothing)
{
    static const struct {
        const char *equation, *says;
    } cases[] = {
        { "ab", "equation has 2 letters for input 0 of rank 3" },
        { "abc,a", "is not one of 1 inputs" },
        { "abc->aa", "a label twice" },
        { "abc->ad", "one that no input has" },
        { "ab.->a", "equation has" },
        { "a...->a", "the output has not" },
        { "a......->a", "equation has" },
        { "ab\xc3->a", "equation has a character 195" },
    };
    for (size_t i = 0; i < CB_COUNT_OF(cases); i++) {
        struct onnx_builder b = onnx_begin(12);
        onnx_input(&b, "x", ONNX_FLOAT, ONNX_DIMS(2, 3, 4));
        onnx_node(&b, "Einsum", "x", "y");
        onnx_attr_text(&b, "equation", cases[i].equation);
        onnx_output(&b, "y", ONNX_FLOAT);
        struct loading l = load_bytes(onnx_end(&b), NULL);
        expect_fail(l, CB_ERR_MODEL, cases[i].says);
        load_end(&l);
        onnx_free(&b);
    }
}
