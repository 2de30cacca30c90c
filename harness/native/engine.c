/* The interface of engine.h, as far as it is not where its subject is: life, the table, forward and backward. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "internal.h"

int fail(engine *e, const char *format, ...) {
    va_list values;
    va_start(values, format);
    vsnprintf(e->error, sizeof e->error, format, values);
    va_end(values);
    return ENGINE_ERROR;
}

int engine_abi(void) {
    return ENGINE_ABI;
}

static bool create(engine *e, const char *text, char *error, size_t size) {
    if (!config_read(&e->c, text, error, size)) {
        return false;
    }
    if (!parameters_create(e) || !layout_create(e)) {
        snprintf(error, size, "create: cannot allocate memory");
        return false;
    }
    e->pool = pool_create((int)e->c.threads);
    if (!e->pool) {
        snprintf(error, size, "create: cannot start %lld threads", (long long)e->c.threads);
        return false;
    }
    return true;
}

engine *engine_create(const char *text, char *error, size_t size) {
    fault_slow_start();
    engine *e = calloc(1, sizeof *e);
    if (!e) {
        snprintf(error, size, "create: cannot allocate memory");
        return NULL;
    }
    if (!create(e, text, error, size)) {
        engine_destroy(e);
        return NULL;
    }
    return e;
}

void engine_destroy(engine *e) {
    if (e) {
        pool_destroy(e->pool);
        arena_free(&e->memory);
        free(e->parameters);
        free(e->blocks);
        free(e);
    }
}

const char *engine_error(const engine *e) {
    return e->error;
}

int64_t engine_parameter_count(const engine *e) {
    return e->parameter_count;
}

int engine_parameter_at(engine *e, int64_t index, engine_parameter *out) {
    if (index < 0 || index >= e->parameter_count) {
        return fail(e, "parameter %lld of %lld", (long long)index, (long long)e->parameter_count);
    }
    const parameter *p = &e->parameters[index];
    *out = (engine_parameter){p->name, p->axes, {p->shape[0], p->shape[1]}, p->weights, p->gradients};
    return ENGINE_OK;
}

int engine_init_for_training(engine *e) {
    if (!e->training) {
        if (layout_training(e)) {
            return ENGINE_ERROR;
        }
        e->training = true;
    }
    return ENGINE_OK;
}

int engine_memory(const engine *e, engine_memory_use *use) {
    *use = e->use;
    return ENGINE_OK;
}

static int check(engine *e, const int64_t *tokens, const int64_t *targets, int64_t batch, int64_t length) {
    if (batch < 1 || length < 1 || length > e->c.sequence) {
        return fail(e, "%lld samples of %lld tokens, expected at least one of 1 to %lld tokens", (long long)batch,
                    (long long)length, (long long)e->c.sequence);
    }
    for (int64_t i = 0; i < batch * length; i++) {
        if (tokens[i] < 0 || tokens[i] >= e->c.vocab) {
            return fail(e, "token %lld, expected 0 to %lld", (long long)tokens[i], (long long)e->c.vocab - 1);
        }
        if (targets && targets[i] != ENGINE_IGNORE && (targets[i] < 0 || targets[i] >= e->c.vocab)) {
            return fail(e, "target %lld, expected 0 to %lld, or %d", (long long)targets[i],
                        (long long)e->c.vocab - 1, ENGINE_IGNORE);
        }
    }
    return ENGINE_OK;
}

/* Samples that fit into the memory at a time. */
static int64_t at_a_time(const engine *e, int64_t first, int64_t batch) {
    return batch - first < e->c.batch ? batch - first : e->c.batch;
}

int engine_forward(engine *e, const int64_t *tokens, int64_t batch, int64_t length, float *logits) {
    if (check(e, tokens, NULL, batch, length)) {
        return ENGINE_ERROR;
    }
    for (int64_t first = 0; first < batch; first += e->c.batch) {
        int64_t at = first * length;
        decoder_forward(e, tokens + at, at_a_time(e, first, batch), length, logits + at * e->c.vocab);
    }
    return ENGINE_OK;
}

int engine_loss(engine *e, const int64_t *tokens, const int64_t *targets, int64_t batch, int64_t length,
                double *sum, int64_t *counted) {
    if (check(e, tokens, targets, batch, length)) {
        return ENGINE_ERROR;
    }
    *sum = 0.0;
    *counted = 0;
    for (int64_t first = 0; first < batch; first += e->c.batch) {
        int64_t at = first * length, samples = at_a_time(e, first, batch);
        decoder_forward(e, tokens + at, samples, length, e->logits);
        *sum += cross_entropy(e, e->logits, targets + at, samples * length, counted);
    }
    return ENGINE_OK;
}

int engine_backward(engine *e, const int64_t *tokens, const int64_t *targets, int64_t batch, int64_t length,
                    int64_t total, double *loss) {
    if (!e->training) {
        return fail(e, "backward: there is no room for gradients; call engine_init_for_training first");
    }
    if (check(e, tokens, targets, batch, length)) {
        return ENGINE_ERROR;
    }
    if (total < 1) {
        return fail(e, "backward: total %lld, expected at least 1", (long long)total);
    }
    double sum = 0.0;
    for (int64_t first = 0; first < batch; first += e->c.batch) {
        int64_t at = first * length, samples = at_a_time(e, first, batch);
        double start = seconds_now();
        decoder_forward(e, tokens + at, samples, length, e->logits);
        start = seconds_since(start, &e->spent.forward);
        sum += cross_entropy_backward(e, targets + at, samples * length, total);
        start = seconds_since(start, &e->spent.loss);
        decoder_backward(e, tokens + at, samples, length);
        seconds_since(start, &e->spent.backward);
    }
    *loss = sum / (double)total;
#ifdef FAULT_UPDATE_IN_BACKWARD
    return engine_update(e, e->c.learning_rate);
#else
    return ENGINE_OK;
#endif
}
