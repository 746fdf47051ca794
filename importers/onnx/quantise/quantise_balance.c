/* importers/onnx/quantise/quantise_balance.c - factors that bring the channels of a tensor to
 * similar sizes.
 */
#include <math.h>
#include <string.h>

#include "importers/onnx/quantise/quantise_parts.h"

static const float least_factor = 0.1f;

static bool is(const struct cb_quantise_node *n, const char *op)
{
    return strcmp(n->proto->op_type, op) == 0;
}

/* What a positive factor a channel goes through unchanged. */
static bool commutes(const struct cb_quantise_node *n)
{
    return is(n, "Relu") || is(n, "MaxPool") || is(n, "Identity") || is(n, "Dropout");
}

/* All readers are whole convolutions, and `value` is no output of the graph. */
static bool is_read_by_convolutions(const struct cb_onnx_quantise *q, int value)
{
    int found = 0;
    for (int i = 0; i < q->n_nodes; i++) {
        const struct cb_quantise_node *n = &q->nodes[i];
        for (int k = 0; k < n->n_in && n->kind != CB_QUANTISE_GONE; k++)
            if (n->in[k] == value) {
                if (n->kind != CB_QUANTISE_PRODUCT || k != 0 || !is(n, "Conv") ||
                    cb_quantise_int(n, "group", 1) != 1)
                    return false;
                found++;
            }
    }
    return found > 0 && found == q->readers[value];
}

/* Marks `value` and what it is made from, back to the convolution; false when something else makes
 * it. */
static bool walk_back(const struct cb_onnx_quantise *q, int value, const float *factors, bool mark)
{
    for (;;) {
        const int p = q->producer[value];
        if (mark)
            q->factors[value] = factors;
        if (p < 0)
            return false;
        const struct cb_quantise_node *n = &q->nodes[p];
        if (n->kind == CB_QUANTISE_PRODUCT && is(n, "Conv"))
            return true;
        const bool folded = n->kind == CB_QUANTISE_GONE;
        if (!folded && !commutes(n))
            return false;
        value = n->in[0];
        if (value < 0 || q->readers[value] != 1)
            return false;
    }
}

/* The square root leaves half of the difference to the filters' own scales. */
static struct cb_status make_factors(struct cb_onnx_quantise *q, const float *peaks, size_t n,
                                     const float **out)
{
    float most = 0, *factors;
    CB_TRY(cb_arena_get(q->arena, n, sizeof *factors, "factors", &factors));
    for (size_t c = 0; c < n; c++)
        most = peaks[c] > most ? peaks[c] : most;
    for (size_t c = 0; c < n; c++) {
        factors[c] = most > 0 ? sqrtf(peaks[c] / most) : 1;
        factors[c] = factors[c] > least_factor ? factors[c] : least_factor;
    }
    *out = factors;
    return cb_ok();
}

struct cb_status cb_onnx_quantise_balance(struct cb_onnx_quantise *quantise,
                                          const float *const *peaks, const size_t *n,
                                          const float **out)
{
    struct cb_onnx_quantise *q = quantise;
    for (int i = 0; i < q->n_values; i++) {
        const int v = q->values[i];
        const float *factors;
        if (!peaks[i] || q->inferred->values[v].shape.rank < 3 || !is_read_by_convolutions(q, v) ||
            !walk_back(q, v, NULL, false))
            continue;
        CB_TRY(make_factors(q, peaks[i], n[i], &factors));
        (void)walk_back(q, v, factors, true);
    }
    for (int i = 0; i < q->n_values; i++)
        out[i] = q->factors[q->values[i]];
    return cb_ok();
}
