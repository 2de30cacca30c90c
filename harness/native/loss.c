/* Cross entropy in nats: - log softmax(z)[target], summed. Rows are added in order, whoever computed them. */
#include <math.h>
#include <string.h>

#include "exponential.h"
#include "internal.h"

typedef struct {
    engine *e;
    const float *logits;
    const int64_t *targets;
    int64_t total;
} loss_job;

static float largest_of(const float *z, int64_t size) {
    float largest = z[0];
    for (int64_t i = 0; i < size; i++) {
        largest = z[i] > largest ? z[i] : largest;
    }
    return largest;
}

/* Sum of e^(z - largest): in float32 for a stretch, in float64 over the stretches. */
static double sum_of(const float *z, float largest, int64_t size) {
    enum { STRETCH = 512 };
    double total = 0.0;
    for (int64_t first = 0; first < size; first += STRETCH) {
        float sum = 0.0F;
        int64_t end = first + STRETCH < size ? first + STRETCH : size;
#pragma omp simd reduction(+ : sum)
        for (int64_t i = first; i < end; i++) {
            sum += exponential(z[i] - largest);
        }
        total += (double)sum;
    }
    return total;
}

static void loss_rows(void *context, int64_t from, int64_t to, int thread) {
    const loss_job *j = context;
    int64_t vocab = j->e->c.vocab;
    (void)thread;
    for (int64_t row = from; row < to; row++) {
        const float *z = j->logits + row * vocab;
        j->e->row_loss[row] = 0.0;
        if (j->targets[row] != ENGINE_IGNORE) {
            float largest = largest_of(z, vocab);
            j->e->row_loss[row] = log(sum_of(z, largest, vocab)) + (double)largest - (double)z[j->targets[row]];
        }
    }
}

static double summed(const engine *e, int64_t rows) {
    double total = 0.0;
    for (int64_t row = 0; row < rows; row++) {
        total += e->row_loss[row];
    }
    return total;
}

/* The sum; `counted` grows by the number of rows that count. */
double cross_entropy(engine *e, const float *logits, const int64_t *targets, int64_t rows, int64_t *counted) {
    loss_job j = {.e = e, .logits = logits, .targets = targets};
    pool_run(e->pool, loss_rows, &j, rows, 8.0 * (double)(rows * e->c.vocab));
    for (int64_t row = 0; row < rows; row++) {
        *counted += targets[row] != ENGINE_IGNORE;
    }
    return summed(e, rows);
}

/* Logits into their gradient: (softmax(z) - onehot) / total. */
static double gradient_row(float *z, int64_t target, int64_t vocab, int64_t total) {
    float largest = largest_of(z, vocab);
    double sum = sum_of(z, largest, vocab), loss = log(sum) + (double)largest - (double)z[target];
    float scale = (float)(1.0 / (sum * (double)total));
#pragma omp simd
    for (int64_t i = 0; i < vocab; i++) {
        z[i] = exponential(z[i] - largest) * scale;
    }
    z[target] -= (float)(1.0 / (double)total);
    return loss;
}

static void gradient_rows(void *context, int64_t from, int64_t to, int thread) {
    const loss_job *j = context;
    int64_t vocab = j->e->c.vocab;
    (void)thread;
    for (int64_t row = from; row < to; row++) {
        float *z = j->e->logits + row * vocab;
        if (j->targets[row] == ENGINE_IGNORE) {
            memset(z, 0, (size_t)vocab * sizeof(float));
            j->e->row_loss[row] = 0.0;
        } else {
            j->e->row_loss[row] = gradient_row(z, j->targets[row], vocab, j->total);
        }
    }
}

/* The sum; the logits become their gradient. */
double cross_entropy_backward(engine *e, const int64_t *targets, int64_t rows, int64_t total) {
    loss_job j = {.e = e, .targets = targets, .total = total};
    pool_run(e->pool, gradient_rows, &j, rows, 16.0 * (double)(rows * e->c.vocab));
    return summed(e, rows);
}
