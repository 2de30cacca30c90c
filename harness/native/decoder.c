/* The forward pass: x = embedding + positions; x = x + attention(norm(x)); x = x + feed_forward(norm(x)), a
 * block after the other; logits = norm(x) head^T. */
#include "internal.h"

static void attention_forward(engine *e, block *b, int64_t samples, int64_t length) {
    int64_t rows = samples * length, width = e->c.width;
    norm_forward(e, &b->attention_norm, b->h1, b->stats1, b->x, rows);
    pack_transposed(e->pool, e->packed, b->h1, rows, width);
    multiply_weight(e->pool, b->q, e->packed, &b->query, NULL, rows);
    multiply_weight(e->pool, b->k, e->packed, &b->key, NULL, rows);
    multiply_weight(e->pool, b->v, e->packed, &b->value, NULL, rows);
    rotate(e, b->q, e->c.heads, rows, length, 1.0F);
    rotate(e, b->k, e->c.kv_heads, rows, length, 1.0F);
    attend(e, b, samples, length);
    if (e->c.attention_output) {
        pack_transposed(e->pool, e->packed, b->joined, rows, width);
        multiply_weight(e->pool, b->x2, e->packed, &b->output, b->x, rows);
        return;
    }
    for (int64_t i = 0; i < rows * width; i++) {
        b->x2[i] = b->x[i] + b->joined[i];
    }
}

static void feed_forward(engine *e, block *b, float *y, int64_t rows) {
    norm_forward(e, &b->mlp_norm, b->h2, b->stats2, b->x2, rows);
    pack_transposed(e->pool, e->packed, b->h2, rows, e->c.width);
    multiply_weight(e->pool, b->u, e->packed, &b->up, NULL, rows);
    if (b->gate.weight) {
        multiply_weight(e->pool, b->g, e->packed, &b->gate, NULL, rows);
    }
    activate(e, b, rows);
    pack_transposed(e->pool, e->packed, b->act, rows, e->c.hidden);
    multiply_weight(e->pool, y, e->packed, &b->down, b->x2, rows);
}

/* logits: (samples, length, V). At most `capacity` samples of at most `sequence` tokens. */
void decoder_forward(engine *e, const int64_t *tokens, int64_t samples, int64_t length, float *logits) {
    int64_t rows = samples * length;
    embed(e, tokens, samples, length);
    for (int64_t i = 0; i < e->c.layers; i++) {
        attention_forward(e, &e->blocks[i], samples, length);
        feed_forward(e, &e->blocks[i], i + 1 < e->c.layers ? e->blocks[i + 1].x : e->last, rows);
    }
    if (e->c.final_norm) {
        norm_forward(e, &e->final_norm, e->final, e->final_stats, e->last, rows);
    }
    pack_transposed(e->pool, e->packed, e->final, rows, e->c.width);
    multiply_weight(e->pool, logits, e->packed, &e->head, NULL, rows);
}
