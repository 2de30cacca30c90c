/* What the files of this engine share. Legend: M rows (samples x tokens), D width, H heads, K key/value heads,
 * A head size, F hidden, L tokens of a sample, V vocabulary. `dy` is the gradient of the loss by y. */
#ifndef INTERNAL_H
#define INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine.h"
#include "faults.h"

enum { LAYERNORM, RMSNORM };
enum { GELU, SWIGLU };
enum { NO_POSITIONS, SINUSOIDAL, LEARNED, ROTARY };
enum { SGD, ADAMW };

/* config.c: what engine_create was told. */
typedef struct {
    int64_t vocab, width, layers, heads, kv_heads, hidden, sequence, batch, threads;
    int64_t norm, activation, positions;
    int64_t attention_output, attention_bias, mlp_bias, final_norm, tied;
    double norm_eps, rope_theta;
    int64_t optimizer, nesterov;
    double learning_rate, weight_decay, momentum, beta1, beta2, eps, clip_norm;
} config;

bool config_read(config *c, const char *text, char *error, size_t size);

/* arena.c: one block of memory, reserved whole, handed out in order, made usable in two steps. */
typedef struct {
    char *base; /* NULL while the layout is only measured. */
    size_t used, reserved;
} arena;

float *arena_take(arena *a, size_t floats);
bool arena_reserve(arena *a);
bool arena_commit(arena *a, size_t from, size_t to);
void arena_free(arena *a);

/* threads.c: calls of one function on disjoint ranges of items. */
typedef struct pool pool;
typedef void task(void *context, int64_t from, int64_t to, int thread);

pool *pool_create(int threads);
void pool_destroy(pool *p);
void pool_run(pool *p, task *function, void *context, int64_t items, double cost);
void pool_run_everyone(pool *p, task *function, void *context, int64_t items);
void pool_wait_for_all(pool *p);

typedef struct {
    char name[64];
    int64_t axes, shape[2];
    size_t size;
    float *weights, *gradients;
    float *first, *second; /* What the optimizer remembers: momentum, or Adam's two averages. */
} parameter;

typedef struct {
    parameter *weight, *bias; /* bias: NULL where there is none. */
    int64_t inputs, outputs;
} linear;

typedef struct {
    parameter *weight, *bias; /* weight: NULL where there is no norm; bias: of layernorm only. */
} norm;

/* One block, and what its forward pass keeps for backward. */
typedef struct {
    norm attention_norm, mlp_norm;
    linear query, key, value, output, gate, up, down;
    float *x, *h1, *stats1;           /* (M, D) input, (M, D) normalised, (M, 2) mean and 1 / deviation */
    float *q, *k, *v, *shares, *joined; /* (M, H A), (M, K A) twice, (samples, H, L, L), (M, D) */
    float *x2, *h2, *stats2;          /* the same for the second half */
    float *u, *g, *act;               /* (M, F) up, gate, activated */
} block;

struct engine {
    config c;
    arena memory;
    pool *pool;
    bool training;
    char error[256];
    size_t inference_end; /* Of the arena: what lies behind is for training only. */
    engine_memory_use use;
    engine_time_use spent;

    int64_t parameter_count;
    parameter *parameters;
    parameter *embedding, *positions;
    block *blocks;
    norm final_norm;
    linear head;

    float *sinusoidal;       /* (L, D) */
    float *cosine, *sine;    /* (L, A / 2) */
    float *last, *final, *final_stats;
    float *logits;           /* (M, V), and their gradient */
    float *packed;           /* operands of matrix products in the order in which they are read */
    double *row_loss;        /* (M,) */
    float *dx, *dh, *dq, *dk, *dv, *da, *dg;
    float *row;              /* (threads, L) */
#ifdef FAULT_RACE
    float *race;             /* (threads, V, D) */
#endif
    int64_t updates;
};

/* engine.c */
int fail(engine *e, const char *format, ...);

/* clock.c */
double seconds_now(void);
double seconds_since(double start, double *part);

/* parameters.c */
bool parameters_create(engine *e);
int64_t head_size(const engine *e);

/* layout.c */
bool layout_create(engine *e);
int layout_training(engine *e);

/* matmul.c */
size_t packed_floats(int64_t rows, int64_t columns);
void pack_transposed(pool *p, float *packed, const float *x, int64_t rows, int64_t columns);
void pack_columns(pool *p, float *packed, const float *x, int64_t rows, int64_t columns);
void multiply_weight(pool *p, float *y, const float *packed, const linear *w, const float *residual, int64_t rows);
void multiply_input_gradient(pool *p, float *dx, const float *dy, const linear *w, bool add, int64_t rows);
void multiply_weight_gradient(pool *p, const linear *w, const float *dy, const float *packed, int64_t rows);

/* layers.c */
void norm_forward(engine *e, const norm *n, float *y, float *stats, const float *x, int64_t rows);
void norm_backward(engine *e, const norm *n, float *dx, const float *dy, const float *x, const float *stats,
                   bool add, int64_t rows);
void activate(engine *e, block *b, int64_t rows);
void activate_backward(engine *e, block *b, int64_t rows);
void rotate(engine *e, float *x, int64_t heads, int64_t rows, int64_t length, float direction);

/* attention.c */
void attend(engine *e, block *b, int64_t samples, int64_t length);
void attend_backward(engine *e, block *b, const float *dy, int64_t samples, int64_t length);

/* decoder.c, backward.c, loss.c, embedding.c */
void embed(engine *e, const int64_t *tokens, int64_t samples, int64_t length);
void embed_backward(engine *e, const int64_t *tokens, int64_t samples, int64_t length);
void decoder_forward(engine *e, const int64_t *tokens, int64_t samples, int64_t length, float *logits);
void decoder_backward(engine *e, const int64_t *tokens, int64_t samples, int64_t length);
double cross_entropy(engine *e, const float *logits, const int64_t *targets, int64_t rows, int64_t *counted);
double cross_entropy_backward(engine *e, const int64_t *targets, int64_t rows, int64_t total);

#endif
