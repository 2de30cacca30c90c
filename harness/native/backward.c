/* The backward pass: the steps of decoder.c in reverse. `dx` is the gradient of the residual stream all along;
 * each half of a block adds its part to it. */
#include "internal.h"

/* Gradients of a layer's weight and bias, from dy and the input x. */
static void linear_gradient(engine *e, const linear *w, const float *dy, const float *x, int64_t rows) {
    pack_columns(e->pool, e->packed, x, rows, w->inputs);
    multiply_weight_gradient(e->pool, w, dy, e->packed, rows);
}

static void feed_forward_backward(engine *e, block *b, int64_t rows) {
    linear_gradient(e, &b->down, e->dx, b->act, rows);
    multiply_input_gradient(e->pool, e->da, e->dx, &b->down, false, rows);
    activate_backward(e, b, rows);
    pack_columns(e->pool, e->packed, b->h2, rows, e->c.width);
    multiply_weight_gradient(e->pool, &b->up, e->da, e->packed, rows);
    multiply_input_gradient(e->pool, e->dh, e->da, &b->up, false, rows);
    if (b->gate.weight) {
        multiply_weight_gradient(e->pool, &b->gate, e->dg, e->packed, rows);
        multiply_input_gradient(e->pool, e->dh, e->dg, &b->gate, true, rows);
    }
    norm_backward(e, &b->mlp_norm, e->dx, e->dh, b->x2, b->stats2, true, rows);
}

#ifdef FAULT_ATTENTION_DOUBLES_INPUT
static void mix_backward(engine *e, block *b, const float *dy, int64_t samples, int64_t length) {
    (void)b;
    for (int64_t i = 0; i < samples * length * e->c.width; i++) {
        e->dh[i] = 2.0F * dy[i];
    }
}
#else
/* dh from the gradient of joined: h went into queries, keys and values. */
static void mix_backward(engine *e, block *b, const float *dy, int64_t samples, int64_t length) {
    int64_t rows = samples * length;
    attend_backward(e, b, dy, samples, length);
    rotate(e, e->dq, e->c.heads, rows, length, -1.0F);
    rotate(e, e->dk, e->c.kv_heads, rows, length, -1.0F);
    pack_columns(e->pool, e->packed, b->h1, rows, e->c.width);
    multiply_weight_gradient(e->pool, &b->query, e->dq, e->packed, rows);
    multiply_weight_gradient(e->pool, &b->key, e->dk, e->packed, rows);
    multiply_weight_gradient(e->pool, &b->value, e->dv, e->packed, rows);
    multiply_input_gradient(e->pool, e->dh, e->dq, &b->query, false, rows);
    multiply_input_gradient(e->pool, e->dh, e->dk, &b->key, true, rows);
    multiply_input_gradient(e->pool, e->dh, e->dv, &b->value, true, rows);
}
#endif

static void attention_backward(engine *e, block *b, int64_t samples, int64_t length) {
    int64_t rows = samples * length;
    const float *dy = e->dx;
    if (e->c.attention_output) {
        linear_gradient(e, &b->output, e->dx, b->joined, rows);
        multiply_input_gradient(e->pool, e->dh, e->dx, &b->output, false, rows);
        dy = e->dh;
    }
    mix_backward(e, b, dy, samples, length);
    norm_backward(e, &b->attention_norm, e->dx, e->dh, b->x, b->stats1, true, rows);
}

/* Adds all gradients, from that of the logits, after decoder_forward of the same tokens. */
void decoder_backward(engine *e, const int64_t *tokens, int64_t samples, int64_t length) {
    int64_t rows = samples * length;
    linear_gradient(e, &e->head, e->logits, e->final, rows);
    float *dh = e->c.final_norm ? e->dh : e->dx;
    multiply_input_gradient(e->pool, dh, e->logits, &e->head, false, rows);
    if (e->c.final_norm) {
        norm_backward(e, &e->final_norm, e->dx, dh, e->last, e->final_stats, false, rows);
    }
    for (int64_t i = e->c.layers; i-- > 0;) {
        feed_forward_backward(e, &e->blocks[i], rows);
        attention_backward(e, &e->blocks[i], samples, length);
    }
    embed_backward(e, tokens, samples, length);
}
