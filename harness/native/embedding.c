/* Tokens into rows, and their gradients back. The gradient of the embedding is the one that all threads add to:
 * tokens repeat. Each thread adds its own columns of every row, so that no update is lost. */
#include <string.h>

#include "internal.h"

typedef struct {
    engine *e;
    const int64_t *tokens;
    const float *table;
    int64_t rows, length;
} embedding_job;

static void embed_rows(void *context, int64_t from, int64_t to, int thread) {
    const embedding_job *j = context;
    int64_t width = j->e->c.width;
    (void)thread;
    for (int64_t row = from; row < to; row++) {
        float *x = j->e->blocks[0].x + row * width;
        const float *embedding = j->e->embedding->weights + j->tokens[row] * width;
        const float *position = j->table ? j->table + row % j->length * width : NULL;
        for (int64_t i = 0; i < width; i++) {
            x[i] = embedding[i] + (position ? position[i] : 0.0F);
        }
    }
}

/* x = embedding[tokens] + positions. */
void embed(engine *e, const int64_t *tokens, int64_t samples, int64_t length) {
    const float *table = e->c.positions == LEARNED ? e->positions->weights : e->sinusoidal;
    embedding_job j = {.e = e, .tokens = tokens, .table = table, .length = length};
    pool_run(e->pool, embed_rows, &j, samples * length, (double)(samples * length * e->c.width));
}

#ifndef FAULT_RACE
static void add_columns(void *context, int64_t from, int64_t to, int thread) {
    const embedding_job *j = context;
    int64_t width = j->e->c.width;
    float *embedding = j->e->embedding->gradients;
    float *positions = j->e->positions ? j->e->positions->gradients : NULL;
    (void)thread;
    for (int64_t row = 0; row < j->rows; row++) {
        const float *restrict dx = j->e->dx + row * width;
        float *restrict sum = embedding + j->tokens[row] * width;
        for (int64_t i = from; i < to; i++) {
            sum[i] += dx[i];
        }
        for (int64_t i = from; positions && i < to; i++) {
            positions[row % j->length * width + i] += dx[i];
        }
    }
}
#else
/* What a race comes to where two threads meet on one row: both read, then both write, and one sum is gone. The
 * threads wait for each other in between, so that it happens on every machine. */
static void add_columns(void *context, int64_t from, int64_t to, int thread) {
    const embedding_job *j = context;
    int64_t width = j->e->c.width;
    float *shared = j->e->embedding->gradients;
    for (int64_t i = 0; j->e->positions && !thread && i < j->rows * width; i++) {
        j->e->positions->gradients[i % (j->length * width)] += j->e->dx[i];
    }
    float *own = j->e->race + thread * j->e->c.vocab * width;
    memcpy(own, shared, (size_t)(j->e->c.vocab * width) * sizeof(float));
    for (int64_t row = from; row < to; row++) {
        for (int64_t i = 0; i < width; i++) {
            own[j->tokens[row] * width + i] += j->e->dx[row * width + i];
        }
    }
    pool_wait_for_all(j->e->pool);
    for (int64_t row = from; row < to; row++) {
        int64_t at = j->tokens[row] * width;
        memcpy(shared + at, own + at, (size_t)width * sizeof(float));
    }
}
#endif

/* Adds dx to the gradients of the embedding and of learned positions. */
void embed_backward(engine *e, const int64_t *tokens, int64_t samples, int64_t length) {
    if (!e->embedding->gradients) { /* It was laid out without room for any. */
        return;
    }
    embedding_job j = {.e = e, .tokens = tokens, .rows = samples * length, .length = length};
#ifdef FAULT_RACE
    pool_run_everyone(e->pool, add_columns, &j, j.rows);
#else
    pool_run(e->pool, add_columns, &j, e->c.width, (double)(j.rows * e->c.width));
#endif
}
