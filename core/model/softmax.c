#include "core/model/softmax.h"

#include <math.h>

double cb_softmax(size_t n, size_t stride, const float *logits, float *out)
{
    float top = logits[0];
    double sum = 0;
    for (size_t k = 1; k < n; k++)
        top = logits[k * stride] > top ? logits[k * stride] : top;
    for (size_t k = 0; k < n; k++) {
        const float e = expf(logits[k * stride] - top);
        sum += (double)e;
        if (out)
            out[k * stride] = e;
    }
    const float scale = (float)(1 / sum);
    for (size_t k = 0; out && k < n; k++)
        out[k * stride] *= scale;
    return log(sum) + (double)top;
}

void cb_softmax_rows(size_t n, size_t classes, const float *logits, float *probabilities)
{
    for (size_t i = 0; i < n; i++)
        cb_softmax(classes, 1, logits + i * classes, probabilities + i * classes);
}
