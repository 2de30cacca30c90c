/* The parameter table: names, shapes and order as in the suite's description of a decoder. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "internal.h"

int64_t head_size(const engine *e) {
    return e->c.width / e->c.heads;
}

/* columns: 0 for a tensor of one axis. */
static parameter *add(engine *e, int64_t rows, int64_t columns, const char *format, ...) {
    parameter *p = &e->parameters[e->parameter_count++];
    va_list names;
    va_start(names, format);
    vsnprintf(p->name, sizeof p->name, format, names);
    va_end(names);
    p->axes = columns ? 2 : 1;
    p->shape[0] = rows;
    p->shape[1] = columns ? columns : 1;
    p->size = (size_t)(p->shape[0] * p->shape[1]);
    return p;
}

static norm add_norm(engine *e, const char *prefix, const char *name) {
    norm n = {.weight = add(e, e->c.width, 0, "%s%s.weight", prefix, name)};
    if (e->c.norm == LAYERNORM) {
        n.bias = add(e, e->c.width, 0, "%s%s.bias", prefix, name);
    }
    return n;
}

static linear add_linear(engine *e, const char *prefix, const char *name, int64_t outputs, int64_t inputs, int64_t bias) {
    linear l = {.weight = add(e, outputs, inputs, "%s%s.weight", prefix, name), .inputs = inputs, .outputs = outputs};
    if (bias) {
        l.bias = add(e, outputs, 0, "%s%s.bias", prefix, name);
    }
    return l;
}

static void add_block(engine *e, int64_t layer) {
    const config *c = &e->c;
    block *b = &e->blocks[layer];
    char prefix[32];
    snprintf(prefix, sizeof prefix, "layers.%lld.", (long long)layer);
    b->attention_norm = add_norm(e, prefix, "attention_norm");
    int64_t keys = c->kv_heads * head_size(e);
    b->query = add_linear(e, prefix, "attention.query", c->width, c->width, c->attention_bias);
    b->key = add_linear(e, prefix, "attention.key", keys, c->width, c->attention_bias);
    b->value = add_linear(e, prefix, "attention.value", keys, c->width, c->attention_bias);
    if (c->attention_output) {
        b->output = add_linear(e, prefix, "attention.output", c->width, c->width, c->attention_bias);
    }
    b->mlp_norm = add_norm(e, prefix, "mlp_norm");
    if (c->activation == SWIGLU) {
        b->gate = add_linear(e, prefix, "mlp.gate", c->hidden, c->width, c->mlp_bias);
    }
    b->up = add_linear(e, prefix, "mlp.up", c->hidden, c->width, c->mlp_bias);
    b->down = add_linear(e, prefix, "mlp.down", c->width, c->hidden, c->mlp_bias);
}

bool parameters_create(engine *e) {
    const config *c = &e->c;
    enum { MOST_IN_A_BLOCK = 18, MOST_BESIDE = 5 };
    e->blocks = calloc((size_t)c->layers, sizeof *e->blocks);
    e->parameters = calloc((size_t)c->layers * MOST_IN_A_BLOCK + MOST_BESIDE, sizeof *e->parameters);
    if (!e->blocks || !e->parameters) {
        return false;
    }
    e->embedding = add(e, c->vocab, c->width, "embedding");
    if (c->positions == LEARNED) {
        e->positions = add(e, c->sequence, c->width, "positions");
    }
    for (int64_t layer = 0; layer < c->layers; layer++) {
        add_block(e, layer);
    }
    if (c->final_norm) {
        e->final_norm = add_norm(e, "", "final_norm");
    }
    e->head = (linear){.weight = e->embedding, .inputs = c->width, .outputs = c->vocab};
    if (!c->tied) {
        e->head = add_linear(e, "", "head", c->vocab, c->width, 0);
    }
    return true;
}
