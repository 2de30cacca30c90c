/* Clipping and the two update rules, each beside its formula. Weight decay acts on tensors with two axes only. */
#include <math.h>
#include <string.h>

#include "internal.h"

enum { CHUNK = 16384 };

typedef struct {
    engine *e;
    parameter *p;
    float rate, decay, scale, correction1, correction2;
    double *sums;
} update_job;

static void for_each_parameter(engine *e, task *function, update_job *j, double cost) {
    for (int64_t i = 0; i < e->parameter_count; i++) {
        j->p = &e->parameters[i];
        if (j->p->gradients) { /* A tensor without one is passed over, as torch does it. */
            pool_run(e->pool, function, j, (int64_t)j->p->size, cost * (double)j->p->size);
        }
    }
}

static void zero_part(void *context, int64_t from, int64_t to, int thread) {
    (void)thread;
    memset(((update_job *)context)->p->gradients + from, 0, (size_t)(to - from) * sizeof(float));
}

int engine_zero_gradients(engine *e) {
    if (!e->training) {
        return fail(e, "zero_gradients: there are no gradients; call engine_init_for_training first");
    }
    double start = seconds_now();
    update_job j = {.e = e};
    for_each_parameter(e, zero_part, &j, 0.5);
    seconds_since(start, &e->spent.zero_gradients);
    return ENGINE_OK;
}

/* Squares are summed in chunks of fixed size, so that the sum does not depend on the threads. */
static double squares_of(const float *x, size_t size) {
    double total = 0.0;
    for (size_t first = 0; first < size; first += CHUNK) {
        size_t end = first + CHUNK < size ? first + CHUNK : size;
        double sum = 0.0;
#pragma omp simd reduction(+ : sum)
        for (size_t i = first; i < end; i++) {
            sum += (double)x[i] * (double)x[i];
        }
        total += sum;
    }
    return total;
}

static void scale_part(void *context, int64_t from, int64_t to, int thread) {
    const update_job *j = context;
    (void)thread;
    for (int64_t i = from; i < to; i++) {
        j->p->gradients[i] *= j->scale;
    }
}

int engine_clip(engine *e, double max_norm, double *norm) {
    if (!e->training) {
        return fail(e, "clip: there are no gradients; call engine_init_for_training first");
    }
    double start = seconds_now(), total = 0.0;
    for (int64_t i = 0; i < e->parameter_count; i++) {
        if (e->parameters[i].gradients) {
            total += squares_of(e->parameters[i].gradients, e->parameters[i].size);
        }
    }
    *norm = sqrt(total);
    double scale = max_norm / (*norm + 1e-6);
    if (!(scale >= 1.0)) { /* Also where it is not a number: that must not be hidden. */
        update_job j = {.e = e, .scale = (float)scale};
        for_each_parameter(e, scale_part, &j, 0.5);
    }
    seconds_since(start, &e->spent.clip);
    return ENGINE_OK;
}

/* g' = g + d w;  b = m b + g';  w = w - r b, with Nesterov w = w - r (g' + m b). */
static void sgd_part(void *context, int64_t from, int64_t to, int thread) {
    const update_job *j = context;
    float *restrict w = j->p->weights, *restrict momentum = j->p->first;
    const float *restrict g = j->p->gradients;
    float m = (float)j->e->c.momentum;
    (void)thread;
    if (!momentum) {
        for (int64_t i = from; i < to; i++) {
            w[i] -= j->rate * (g[i] + j->decay * w[i]);
        }
        return;
    }
    bool nesterov = j->e->c.nesterov;
    for (int64_t i = from; i < to; i++) {
        float slope = g[i] + j->decay * w[i];
        momentum[i] = m * momentum[i] + slope;
        w[i] -= j->rate * (nesterov ? slope + m * momentum[i] : momentum[i]);
    }
}

/* m = p m + (1-p) g;  v = q v + (1-q) g^2;  w = w - r d w - r (m / (1-p^t)) / (sqrt(v / (1-q^t)) + eps). */
static void adamw_part(void *context, int64_t from, int64_t to, int thread) {
    const update_job *j = context;
    float *restrict w = j->p->weights, *restrict first = j->p->first, *restrict second = j->p->second;
    const float *restrict g = j->p->gradients;
    float p = (float)j->e->c.beta1, q = (float)j->e->c.beta2, eps = (float)j->e->c.eps;
    float p_rest = (float)(1.0 - j->e->c.beta1), q_rest = (float)(1.0 - j->e->c.beta2);
    (void)thread;
    for (int64_t i = from; i < to; i++) {
        first[i] = p * first[i] + p_rest * g[i];
        second[i] = q * second[i] + q_rest * g[i] * g[i];
        float direction = first[i] * j->correction1 / (sqrtf(second[i] * j->correction2) + eps);
        w[i] -= j->rate * (j->decay * w[i] + direction);
    }
}

static void update_tensor(engine *e, parameter *p, double learning_rate) {
    double number = (double)e->updates;
    update_job j = {
        .e = e,
        .p = p,
        .rate = (float)learning_rate,
        .decay = p->axes > 1 ? (float)e->c.weight_decay : 0.0F,
        .correction1 = (float)(1.0 / (1.0 - pow(e->c.beta1, number))),
        .correction2 = (float)(1.0 / (1.0 - pow(e->c.beta2, number))),
    };
    bool adamw = e->c.optimizer == ADAMW;
    pool_run(e->pool, adamw ? adamw_part : sgd_part, &j, (int64_t)p->size, (adamw ? 8.0 : 1.0) * (double)p->size);
}

int engine_update(engine *e, double learning_rate) {
    if (!e->training) {
        return fail(e, "update: nothing to update by; call engine_init_for_training first");
    }
    fault_crash((long)e->updates);
    double start = seconds_now();
    e->updates++;
    for (int64_t i = 0; i < e->parameter_count; i++) {
        if (e->parameters[i].gradients) {
            update_tensor(e, &e->parameters[i], learning_rate);
        }
    }
    seconds_since(start, &e->spent.update);
    return ENGINE_OK;
}

static size_t remembered(const parameter *p) {
    return ((p->first != NULL) + (p->second != NULL)) * p->size * sizeof(float);
}

int64_t engine_state_size(const engine *e) {
    size_t total = sizeof e->updates;
    for (int64_t i = 0; i < e->parameter_count; i++) {
        total += remembered(&e->parameters[i]);
    }
    return (int64_t)total;
}

static char *copy(char *state, float *values, size_t size, bool save) {
    if (values) {
        memcpy(save ? (void *)state : values, save ? (void *)values : state, size * sizeof(float));
        state += size * sizeof(float);
    }
    return state;
}

static void exchange(engine *e, char *state, bool save) {
    memcpy(save ? (void *)state : &e->updates, save ? (void *)&e->updates : state, sizeof e->updates);
    state += sizeof e->updates;
    for (int64_t i = 0; i < e->parameter_count; i++) {
        parameter *p = &e->parameters[i];
        state = copy(state, p->first, p->size, save);
        state = copy(state, p->second, p->size, save);
    }
}

int engine_state_save(engine *e, void *state) {
    exchange(e, state, true);
    return ENGINE_OK;
}

int engine_state_restore(engine *e, const void *state, int64_t size) {
    if (size != engine_state_size(e)) {
        return fail(e, "state: %lld bytes, expected %lld", (long long)size, (long long)engine_state_size(e));
    }
    exchange(e, (char *)state, false);
    return ENGINE_OK;
}
