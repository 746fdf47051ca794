#include "core/train/cross_entropy.h"

#include "core/model/softmax.h"

/* Rows summed in order by one thread; pieces are summed in order after them. */
#define ROWS_A_PIECE 64
#define PIECES_A_LOOP 256

struct loop {
    const struct cb_cross_entropy *c;
    size_t first; /* row of piece 0 */
    double scale; /* 1 / sum of weights */
    double loss[PIECES_A_LOOP];
};

static double one_row(const struct loop *loop, size_t i)
{
    const struct cb_cross_entropy *c = loop->c;
    const size_t stride = c->class_stride, label = (size_t)c->labels[i] * stride;
    const float *row = c->logits + i * c->row_stride;
    float *gradient = c->gradient ? c->gradient + i * c->row_stride : NULL;
    const float weight = c->weight ? c->weight[i] : 1.0f;
    const float scale = (float)((double)weight * loop->scale);
    const double score = (double)row[label]; /* before the gradient takes its memory */
    if (weight == 0) {
        for (size_t k = 0; gradient && k < c->classes; k++)
            gradient[k * stride] = 0;
        return 0;
    }
    const double loss = cb_softmax(c->classes, stride, row, gradient) - score;
    if (gradient)
        gradient[label] -= 1;
    for (size_t k = 0; gradient && k < c->classes; k++)
        gradient[k * stride] *= scale;
    return (double)weight * loss;
}

static void one_piece(void *ctx, size_t piece, size_t worker)
{
    struct loop *loop = ctx;
    const size_t from = loop->first + piece * ROWS_A_PIECE;
    const size_t to = from + ROWS_A_PIECE < loop->c->n ? from + ROWS_A_PIECE : loop->c->n;
    double sum = 0;
    (void)worker;
    for (size_t i = from; i < to; i++)
        sum += one_row(loop, i);
    loop->loss[piece] = sum;
}

double cb_cross_entropy(const struct cb_cross_entropy *c, struct cb_threads *threads)
{
    struct loop loop = { .c = c };
    double weights = 0, sum = 0;
    for (size_t i = 0; i < c->n; i++)
        weights += c->weight ? (double)c->weight[i] : 1;
    loop.scale = weights > 0 ? 1 / weights : 0;
    for (; loop.first < c->n; loop.first += PIECES_A_LOOP * ROWS_A_PIECE) {
        const size_t left = (c->n - loop.first + ROWS_A_PIECE - 1) / ROWS_A_PIECE;
        const size_t pieces = left < PIECES_A_LOOP ? left : PIECES_A_LOOP;
        cb_threads_for(threads, pieces, one_piece, &loop);
        for (size_t k = 0; k < pieces; k++)
            sum += loop.loss[k];
    }
    return sum * loop.scale;
}
