#include "core/train/temperature.h"

#include <math.h>

#include "core/model/softmax.h"

#define MOST_STEPS 100

/* Loss and its first two derivatives by beta = 1 / temperature, means over examples. */
struct slope {
    double loss, first, second;
};

/* loss = log(sum exp(beta z)) - beta t.z; first = E[z] - t.z; second = Var[z], the expectation
 * being that of softmax(beta z). */
static void add_example(const float *z, int label, int classes, double beta, double of_label,
                        struct slope *sum)
{
    const double of_other = (1 - of_label) / (classes - 1);
    double most = -INFINITY, weight = 0, mean = 0, square = 0, target = 0;
    for (int c = 0; c < classes; c++)
        most = fmax(most, (double)z[c]);
    for (int c = 0; c < classes; c++) {
        const double v = (double)z[c] - most, w = exp(beta * v);
        weight += w;
        mean += w * v;
        square += w * v * v;
        target += v * (c == label ? of_label : of_other);
    }
    mean /= weight;
    sum->loss += log(weight) - beta * target;
    sum->first += mean - target;
    sum->second += fmax(0, square / weight - mean * mean);
}

static struct slope slope_at(const float *logits, const int *labels, int n, int classes,
                             double beta)
{
    const double of_label = ((double)n + 1) / ((double)n + 2);
    struct slope sum = { 0 };
    for (int i = 0; i < n; i++)
        add_example(logits + (size_t)i * (size_t)classes, labels[i], classes, beta, of_label, &sum);
    return (struct slope){ sum.loss / n, sum.first / n, sum.second / n };
}

double cb_temperature_loss(const float *logits, const int *labels, int n, int classes,
                           double temperature)
{
    return n > 0 && classes > 1 ? slope_at(logits, labels, n, classes, 1 / temperature).loss : 0;
}

/* Newton's step where it stays between the bounds, which close in on the zero of the first
 * derivative; their middle otherwise. */
double cb_temperature_fit(const float *logits, const int *labels, int n, int classes)
{
    double low = 1 / CB_TEMPERATURE_MOST, high = 1 / CB_TEMPERATURE_LEAST, beta = 1;
    if (n < 1 || classes < 2)
        return 1;
    for (int step = 0; step < MOST_STEPS && high - low > 1e-12 * high; step++) {
        const struct slope s = slope_at(logits, labels, n, classes, beta);
        if (s.first == 0)
            break;
        if (s.first > 0)
            high = beta;
        else
            low = beta;
        const double next = s.second > 0 ? beta - s.first / s.second : low;
        const double taken = next > low && next < high ? next : sqrt(low * high);
        if (fabs(taken - beta) <= 1e-10 * beta)
            break;
        beta = taken;
    }
    return 1 / beta;
}

void cb_temperature_softmax(const float *logits, int n, int classes, double temperature,
                            float *probabilities)
{
    const size_t count = (size_t)n * (size_t)classes;
    for (size_t i = 0; i < count; i++)
        probabilities[i] = (float)((double)logits[i] / temperature);
    cb_softmax_rows((size_t)n, (size_t)classes, probabilities, probabilities);
}
