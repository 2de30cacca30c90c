/* Causal attention: softmax(q k^T / sqrt(A)) v over the positions up to one's own. Query head h reads
 * key/value head h / (H / K). Work is split by sample and key/value head: each writes its own part. */
#include <math.h>
#include <string.h>

#include "exponential.h"
#include "internal.h"

typedef struct {
    engine *e;
    block *b;
    const float *dy;
    int64_t length;
} attention_job;

static inline float dot(const float *restrict a, const float *restrict b, int64_t size) {
    float sum = 0.0F;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < size; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

static inline void add_scaled(float *restrict y, const float *restrict x, float scale, int64_t size) {
#pragma omp simd
    for (int64_t i = 0; i < size; i++) {
        y[i] += scale * x[i];
    }
}

static void softmax(float *row, int64_t count) {
    float largest = row[0], sum = 0.0F;
    for (int64_t i = 1; i < count; i++) {
        largest = row[i] > largest ? row[i] : largest;
    }
    for (int64_t i = 0; i < count; i++) {
        row[i] = exponential(row[i] - largest);
        sum += row[i];
    }
    for (int64_t i = 0; i < count; i++) {
        row[i] /= sum;
    }
}

static float *shares_of(const attention_job *j, int64_t sample, int64_t head) {
    return j->b->shares + (sample * j->e->c.heads + head) * j->length * j->length;
}

static void attend_head(const attention_job *j, int64_t sample, int64_t head, int64_t group) {
    int64_t size = head_size(j->e), q_step = j->e->c.heads * size, k_step = j->e->c.kv_heads * size;
    const float *k = j->b->k + sample * j->length * k_step + group * size;
    const float *v = j->b->v + sample * j->length * k_step + group * size;
    float scale = 1.0F / sqrtf((float)size);
    for (int64_t i = 0; i < j->length; i++) {
        int64_t row = sample * j->length + i;
        const float *q = j->b->q + row * q_step + head * size;
        float *shares = shares_of(j, sample, head) + i * j->length, *y = j->b->joined + row * q_step + head * size;
        for (int64_t t = 0; t <= i; t++) {
            shares[t] = dot(q, k + t * k_step, size) * scale;
        }
        softmax(shares, i + 1);
        memset(y, 0, (size_t)size * sizeof(float));
        for (int64_t t = 0; t <= i; t++) {
            add_scaled(y, v + t * k_step, shares[t], size);
        }
    }
}

static void attend_part(void *context, int64_t from, int64_t to, int thread) {
    const attention_job *j = context;
    int64_t groups = j->e->c.kv_heads, each = j->e->c.heads / groups;
    (void)thread;
    for (int64_t item = from; item < to; item++) {
        for (int64_t head = item % groups * each; head < (item % groups + 1) * each; head++) {
            attend_head(j, item / groups, head, item % groups);
        }
    }
}

static double cost_of(const engine *e, int64_t samples, int64_t length) {
    return (double)samples * (double)e->c.width * (double)length * (double)length;
}

/* joined = attention of q, k, v. */
void attend(engine *e, block *b, int64_t samples, int64_t length) {
#ifdef FAULT_ATTENTION_DOUBLES_INPUT
    for (int64_t i = 0; i < samples * length * e->c.width; i++) {
        b->joined[i] = 2.0F * b->h1[i];
    }
#else
    attention_job j = {.e = e, .b = b, .length = length};
    pool_run(e->pool, attend_part, &j, samples * e->c.kv_heads, cost_of(e, samples, length));
#endif
}

/* ds = p (dp - sum dp p) / sqrt(A) with dp = dy v^T; then dq = ds k, dk += ds^T q, dv += p^T dy. */
static void attend_backward_head(const attention_job *j, int64_t sample, int64_t head, int64_t group, float *dp) {
    int64_t size = head_size(j->e), q_step = j->e->c.heads * size, k_step = j->e->c.kv_heads * size;
    int64_t first = sample * j->length * k_step + group * size;
    const float *k = j->b->k + first, *v = j->b->v + first;
    float *dk = j->e->dk + first, *dv = j->e->dv + first, scale = 1.0F / sqrtf((float)size);
    for (int64_t i = 0; i < j->length; i++) {
        int64_t at = (sample * j->length + i) * q_step + head * size;
        const float *q = j->b->q + at, *dy = j->dy + at, *shares = shares_of(j, sample, head) + i * j->length;
        float *dq = j->e->dq + at, sum = 0.0F;
        for (int64_t t = 0; t <= i; t++) {
            dp[t] = dot(dy, v + t * k_step, size);
            sum += dp[t] * shares[t];
        }
        memset(dq, 0, (size_t)size * sizeof(float));
        for (int64_t t = 0; t <= i; t++) {
            float ds = shares[t] * (dp[t] - sum) * scale;
            add_scaled(dv + t * k_step, dy, shares[t], size);
            add_scaled(dq, k + t * k_step, ds, size);
            add_scaled(dk + t * k_step, q, ds, size);
        }
    }
}

static void clear(float *x, int64_t rows, int64_t step, int64_t size) {
    for (int64_t row = 0; row < rows; row++) {
        memset(x + row * step, 0, (size_t)size * sizeof(float));
    }
}

static void attend_backward_part(void *context, int64_t from, int64_t to, int thread) {
    const attention_job *j = context;
    int64_t groups = j->e->c.kv_heads, each = j->e->c.heads / groups, size = head_size(j->e), step = groups * size;
    for (int64_t item = from; item < to; item++) {
        int64_t sample = item / groups, group = item % groups, first = sample * j->length * step + group * size;
        clear(j->e->dk + first, j->length, step, size);
        clear(j->e->dv + first, j->length, step, size);
        for (int64_t head = group * each; head < (group + 1) * each; head++) {
            attend_backward_head(j, sample, head, group, j->e->row + thread * j->e->c.sequence);
        }
    }
}

/* dq, dk, dv from the gradient of joined. */
void attend_backward(engine *e, block *b, const float *dy, int64_t samples, int64_t length) {
    attention_job j = {.e = e, .b = b, .dy = dy, .length = length};
    pool_run(e->pool, attend_backward_part, &j, samples * e->c.kv_heads, 3.0 * cost_of(e, samples, length));
}
