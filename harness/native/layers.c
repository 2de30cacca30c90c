/* Norms, activations and rotary positions, each forward beside its backward. Work is split by rows, but for the
 * gradients of norms, which are sums over rows and split by columns. */
#include <math.h>

#include "exponential.h"
#include "internal.h"

typedef struct {
    engine *e;
    const norm *n;
    block *b;
    float *y, *stats;
    const float *x, *dy;
    int64_t length, heads;
    float direction;
    bool add;
} layer_job;

/* y = (x - mean) / deviation * w + b; rmsnorm has no mean and no b. */
static void norm_row(const layer_job *j, int64_t row) {
    int64_t width = j->e->c.width;
    const float *x = j->x + row * width, *w = j->n->weight->weights;
    const float *b = j->n->bias ? j->n->bias->weights : NULL;
    float *y = j->y + row * width;
    double sum = 0.0, squares = 0.0;
    if (b) {
        for (int64_t i = 0; i < width; i++) {
            sum += (double)x[i];
        }
    }
    float mean = (float)(sum / (double)width);
    for (int64_t i = 0; i < width; i++) {
        squares += (double)((x[i] - mean) * (x[i] - mean));
    }
    float scale = (float)(1.0 / sqrt(squares / (double)width + j->e->c.norm_eps));
    j->stats[2 * row] = mean;
    j->stats[2 * row + 1] = scale;
    for (int64_t i = 0; i < width; i++) {
        y[i] = (x[i] - mean) * scale * w[i] + (b ? b[i] : 0.0F);
    }
}

static void norm_rows(void *context, int64_t from, int64_t to, int thread) {
    (void)thread;
    for (int64_t row = from; row < to; row++) {
        norm_row(context, row);
    }
}

/* stats: (rows, 2), kept for backward. */
void norm_forward(engine *e, const norm *n, float *y, float *stats, const float *x, int64_t rows) {
    layer_job j = {.e = e, .n = n, .y = y, .stats = stats, .x = x};
    pool_run(e->pool, norm_rows, &j, rows, 4.0 * (double)rows * (double)e->c.width);
}

/* dx = (g - mean g - n mean(g n)) / deviation with g = dy w, n = (x - mean) / deviation. */
static void norm_backward_row(const layer_job *j, int64_t row) {
    int64_t width = j->e->c.width;
    const float *restrict x = j->x + row * width, *restrict dy = j->dy + row * width;
    const float *restrict w = j->n->weight->weights;
    float *restrict dx = j->y + row * width;
    float mean = j->stats[2 * row], scale = j->stats[2 * row + 1];
    double sum = 0.0, product = 0.0;
    for (int64_t i = 0; i < width; i++) {
        sum += (double)(dy[i] * w[i]);
        product += (double)(dy[i] * w[i] * (x[i] - mean) * scale);
    }
    float shift = j->n->bias ? (float)(sum / (double)width) : 0.0F, slope = (float)(product / (double)width);
    for (int64_t i = 0; i < width; i++) {
        float change = (dy[i] * w[i] - shift - (x[i] - mean) * scale * slope) * scale;
        dx[i] = j->add ? dx[i] + change : change;
    }
}

static void norm_backward_rows(void *context, int64_t from, int64_t to, int thread) {
    (void)thread;
    for (int64_t row = from; row < to; row++) {
        norm_backward_row(context, row);
    }
}

/* dw += sum dy n, db += sum dy over all rows, for some columns. */
static void norm_weights(void *context, int64_t from, int64_t to, int thread) {
    const layer_job *j = context;
    int64_t width = j->e->c.width;
    float *restrict w = j->n->weight->gradients, *restrict b = j->n->bias ? j->n->bias->gradients : NULL;
    (void)thread;
    for (int64_t row = 0; row < j->length; row++) {
        const float *restrict x = j->x + row * width, *restrict dy = j->dy + row * width;
        float mean = j->stats[2 * row], scale = j->stats[2 * row + 1];
        for (int64_t i = from; i < to; i++) {
            w[i] += dy[i] * (x[i] - mean) * scale;
        }
        for (int64_t i = from; b && i < to; i++) {
            b[i] += dy[i];
        }
    }
}

/* add: to what is in dx, instead of in its place. */
void norm_backward(engine *e, const norm *n, float *dx, const float *dy, const float *x, const float *stats,
                   bool add, int64_t rows) {
    layer_job j = {.e = e, .n = n, .y = dx, .dy = dy, .x = x, .stats = (float *)stats, .add = add, .length = rows};
    double cost = 6.0 * (double)rows * (double)e->c.width;
    if (n->weight->gradients) {
        pool_run(e->pool, norm_weights, &j, e->c.width, cost / 2.0);
    }
    pool_run(e->pool, norm_backward_rows, &j, rows, cost);
}

/* gelu: x/2 (1 + tanh u) = x s(2 u), u = sqrt(2/pi) (x + 0.044715 x^3): exact, and no tanh is needed. */
#define GELU_SCALE (2.0F * 0.7978845608F)
#define GELU_CUBE 0.044715F

static void activate_part(void *context, int64_t from, int64_t to, int thread) {
    block *b = ((layer_job *)context)->b;
    const float *restrict u = b->u, *restrict g = b->g;
    float *restrict act = b->act;
    (void)thread;
    if (((layer_job *)context)->e->c.activation == SWIGLU) {
#pragma omp simd
        for (int64_t i = from; i < to; i++) {
            act[i] = g[i] * sigmoid(g[i]) * u[i];
        }
        return;
    }
#pragma omp simd
    for (int64_t i = from; i < to; i++) {
        act[i] = u[i] * sigmoid(GELU_SCALE * u[i] * (1.0F + GELU_CUBE * u[i] * u[i]));
    }
}

/* act = gelu(u), or silu(g) u. */
void activate(engine *e, block *b, int64_t rows) {
    layer_job j = {.e = e, .b = b};
    int64_t items = rows * e->c.hidden;
    pool_run(e->pool, activate_part, &j, items, 8.0 * (double)items);
}

static void activate_backward_part(void *context, int64_t from, int64_t to, int thread) {
    const layer_job *j = context;
    const float *restrict u = j->b->u, *restrict g = j->b->g;
    float *restrict da = j->e->da, *restrict dg = j->e->dg;
    (void)thread;
    if (j->e->c.activation == SWIGLU) {
#pragma omp simd
        for (int64_t i = from; i < to; i++) {
            float s = sigmoid(g[i]), d = da[i];
            dg[i] = d * u[i] * s * (1.0F + g[i] * (1.0F - s));
            da[i] = d * g[i] * s;
        }
        return;
    }
#pragma omp simd
    for (int64_t i = from; i < to; i++) {
        float x = u[i], s = sigmoid(GELU_SCALE * x * (1.0F + GELU_CUBE * x * x));
        da[i] *= s + x * s * (1.0F - s) * GELU_SCALE * (1.0F + 3.0F * GELU_CUBE * x * x);
    }
}

/* da: of act before, of u after; dg: of g. */
void activate_backward(engine *e, block *b, int64_t rows) {
    layer_job j = {.e = e, .b = b};
    int64_t items = rows * e->c.hidden;
    pool_run(e->pool, activate_backward_part, &j, items, 12.0 * (double)items);
}

/* The pair (i, i + A/2) turns by the angle of its row's position, as in Llama. */
static void rotate_rows(void *context, int64_t from, int64_t to, int thread) {
    const layer_job *j = context;
    int64_t half = head_size(j->e) / 2;
    (void)thread;
    for (int64_t row = from; row < to; row++) {
        const float *cosine = j->e->cosine + row % j->length * half, *sine = j->e->sine + row % j->length * half;
        for (int64_t head = 0; head < j->heads; head++) {
            float *restrict first = j->y + (row * j->heads + head) * 2 * half, *restrict second = first + half;
            for (int64_t i = 0; i < half; i++) {
                float a = first[i], b = second[i], s = j->direction * sine[i];
                first[i] = a * cosine[i] - b * s;
                second[i] = b * cosine[i] + a * s;
            }
        }
    }
}

/* In place. direction: 1, or -1 for the gradient. */
void rotate(engine *e, float *x, int64_t heads, int64_t rows, int64_t length, float direction) {
    if (e->c.positions == ROTARY) {
        layer_job j = {.e = e, .y = x, .heads = heads, .length = length, .direction = direction};
        pool_run(e->pool, rotate_rows, &j, rows, 4.0 * (double)(rows * heads * head_size(e)));
    }
}
