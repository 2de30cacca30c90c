/* The least that engine.h asks for: an engine that computes nothing, to be bent by flags into wrong ones. */
#include <stdio.h>
#include <stdlib.h>

#include "engine.h"

#ifndef SPEAKS
#define SPEAKS ENGINE_ABI
#endif
#ifndef TENSORS
#define TENSORS 2
#endif
#ifndef NAME
#define NAME "embedding"
#endif
#ifndef ROWS
#define ROWS 11
#endif

struct engine {
    float numbers[2][1024];
};

int engine_abi(void) {
    return SPEAKS;
}

engine *engine_create(const char *config, char *error, size_t size) {
    (void)config;
    snprintf(error, size, "the stub refuses");
#ifdef REFUSES
    return NULL;
#else
    return calloc(1, sizeof(engine));
#endif
}

void engine_destroy(engine *e) {
    free(e);
}

const char *engine_error(const engine *e) {
    (void)e;
    return "the stub\nbroke";
}

int64_t engine_parameter_count(const engine *e) {
    (void)e;
    return TENSORS;
}

int engine_parameter_at(engine *e, int64_t index, engine_parameter *p) {
    engine_parameter table[] = {{NAME, 2, {ROWS, 4}, e->numbers[0], NULL}, {"final_norm.weight", 1, {4, 1}, e->numbers[1], NULL}};
#ifdef WITHOUT_WEIGHTS
    table[1].weights = NULL;
#endif
    *p = table[index];
    return ENGINE_OK;
}

int engine_init_for_training(engine *e) {
    (void)e;
    return ENGINE_OK;
}

int engine_forward(engine *e, const int64_t *tokens, int64_t batch, int64_t length, float *logits) {
    (void)e, (void)tokens, (void)batch, (void)length, (void)logits;
    return ENGINE_ERROR;
}

int engine_loss(engine *e, const int64_t *tokens, const int64_t *targets, int64_t batch, int64_t length, double *sum,
                int64_t *counted) {
    (void)e, (void)tokens, (void)targets, (void)batch, (void)length, (void)sum, (void)counted;
    return ENGINE_ERROR;
}

int engine_zero_gradients(engine *e) {
    (void)e;
    return ENGINE_OK;
}

int engine_backward(engine *e, const int64_t *tokens, const int64_t *targets, int64_t batch, int64_t length,
                    int64_t total, double *loss) {
    (void)e, (void)tokens, (void)targets, (void)batch, (void)length, (void)total, (void)loss;
    return ENGINE_ERROR;
}

int engine_clip(engine *e, double max_norm, double *norm) {
    (void)e, (void)max_norm, (void)norm;
    return ENGINE_OK;
}

#ifndef WITHOUT_UPDATE
int engine_update(engine *e, double learning_rate) {
    (void)e, (void)learning_rate;
    return ENGINE_OK;
}
#endif
