/* Where everything lies, decided before anything is used:
 *
 *   weights | tables, logits, one block's activations | gradients | optimizer | the other blocks' activations
 *   `--------------- inference ----------------------' `----------------- training -------------------------' */
#include <math.h>

#include "internal.h"

static size_t rows(const engine *e) {
    return (size_t)(e->c.batch * e->c.sequence);
}

static void take_weights(engine *e) {
    for (int64_t i = 0; i < e->parameter_count; i++) {
        e->parameters[i].weights = arena_take(&e->memory, e->parameters[i].size);
    }
}

static void take_block(engine *e, block *b) {
    const config *c = &e->c;
    arena *a = &e->memory;
    size_t m = rows(e), width = (size_t)c->width, keys = (size_t)(c->kv_heads * head_size(e));
    b->x = arena_take(a, m * width);
    b->h1 = arena_take(a, m * width);
    b->stats1 = arena_take(a, m * 2);
    b->q = arena_take(a, m * width);
    b->k = arena_take(a, m * keys);
    b->v = arena_take(a, m * keys);
    b->shares = arena_take(a, (size_t)c->heads * m * (size_t)c->sequence);
    b->joined = arena_take(a, m * width);
    b->x2 = arena_take(a, m * width);
    b->h2 = arena_take(a, m * width);
    b->stats2 = arena_take(a, m * 2);
    b->u = arena_take(a, m * (size_t)c->hidden);
    b->g = c->activation == SWIGLU ? arena_take(a, m * (size_t)c->hidden) : NULL;
    b->act = arena_take(a, m * (size_t)c->hidden);
}

/* Without training nobody looks back: all blocks work in the place of the first. */
static void share_block(engine *e) {
    for (int64_t i = 1; i < e->c.layers; i++) {
        block own = e->blocks[i];
        e->blocks[i] = e->blocks[0];
        e->blocks[i].attention_norm = own.attention_norm;
        e->blocks[i].mlp_norm = own.mlp_norm;
        e->blocks[i].query = own.query;
        e->blocks[i].key = own.key;
        e->blocks[i].value = own.value;
        e->blocks[i].output = own.output;
        e->blocks[i].gate = own.gate;
        e->blocks[i].up = own.up;
        e->blocks[i].down = own.down;
    }
}

static size_t largest_packed(const engine *e) {
    int64_t widest = e->c.hidden > e->c.width ? e->c.hidden : e->c.width;
    return packed_floats((int64_t)rows(e), widest);
}

static void take_inference(engine *e) {
    const config *c = &e->c;
    arena *a = &e->memory;
    size_t m = rows(e), length = (size_t)c->sequence, width = (size_t)c->width;
    e->sinusoidal = c->positions == SINUSOIDAL ? arena_take(a, length * width) : NULL;
    if (c->positions == ROTARY) {
        e->cosine = arena_take(a, length * (size_t)head_size(e) / 2);
        e->sine = arena_take(a, length * (size_t)head_size(e) / 2);
    }
    e->last = arena_take(a, m * width);
    e->final = c->final_norm ? arena_take(a, m * width) : e->last;
    e->final_stats = arena_take(a, m * 2);
    e->logits = arena_take(a, m * (size_t)c->vocab);
    e->packed = arena_take(a, largest_packed(e));
    e->row_loss = (double *)(void *)arena_take(a, 2 * m);
    take_block(e, &e->blocks[0]);
}

static void take_gradients(engine *e) {
    for (int64_t i = 0; i < e->parameter_count; i++) {
        e->parameters[i].gradients = arena_take(&e->memory, e->parameters[i].size);
    }
}

static void take_optimizer(engine *e) {
    for (int64_t i = 0; i < e->parameter_count; i++) {
        parameter *p = &e->parameters[i];
        if (e->c.optimizer == ADAMW || e->c.momentum > 0.0) {
            p->first = arena_take(&e->memory, p->size);
        }
        if (e->c.optimizer == ADAMW) {
            p->second = arena_take(&e->memory, p->size);
        }
    }
}

static void take_backward(engine *e) {
    const config *c = &e->c;
    arena *a = &e->memory;
    size_t m = rows(e), width = (size_t)c->width, keys = (size_t)(c->kv_heads * head_size(e));
    for (int64_t i = 1; i < c->layers; i++) {
        take_block(e, &e->blocks[i]);
    }
    e->dx = arena_take(a, m * width);
    e->dh = arena_take(a, m * width);
    e->dq = arena_take(a, m * width);
    e->dk = arena_take(a, m * keys);
    e->dv = arena_take(a, m * keys);
    e->da = arena_take(a, m * (size_t)c->hidden);
    e->dg = c->activation == SWIGLU ? arena_take(a, m * (size_t)c->hidden) : NULL;
    e->row = arena_take(a, (size_t)(c->threads * c->sequence));
#ifdef FAULT_RACE
    e->race = arena_take(a, (size_t)(c->threads * c->vocab * c->width));
#endif
}

static int64_t measured(arena *a, size_t *from) {
    int64_t bytes = (int64_t)(a->used - *from);
    *from = a->used;
    return bytes;
}

/* Run twice: with no memory it measures, with memory it hands out. */
static engine_memory_use take_all(engine *e) {
    engine_memory_use use = {0};
    size_t from = 0;
    take_weights(e);
    use.weights = measured(&e->memory, &from);
    take_inference(e);
    use.activations = measured(&e->memory, &from);
    e->inference_end = from;
#ifndef FAULT_TRAINING_AFTER_LAYOUT
    take_gradients(e);
#endif
    use.gradients = measured(&e->memory, &from);
    take_optimizer(e);
    use.optimizer = measured(&e->memory, &from);
    take_backward(e);
    use.activations += measured(&e->memory, &from);
    use.shared_gradient = use.gradients ? (int64_t)(e->embedding->size * sizeof(float)) : 0;
    return use;
}

/* As in Vaswani et al. (2017): sin(t / 10000^(2i/D)) and cos of the same in turn. */
static void fill_sinusoidal(engine *e) {
    for (int64_t t = 0; t < e->c.sequence; t++) {
        for (int64_t i = 0; i < e->c.width; i++) {
            double angle = (double)t * pow(10000.0, -(double)(i - i % 2) / (double)e->c.width);
            e->sinusoidal[t * e->c.width + i] = (float)(i % 2 ? cos(angle) : sin(angle));
        }
    }
}

static void fill_rotary(engine *e) {
    int64_t half = head_size(e) / 2;
    for (int64_t t = 0; t < e->c.sequence; t++) {
        for (int64_t i = 0; i < half; i++) {
            double angle = (double)t * pow(e->c.rope_theta, -2.0 * (double)i / (double)head_size(e));
            e->cosine[t * half + i] = (float)cos(angle);
            e->sine[t * half + i] = (float)sin(angle);
        }
    }
}

/* What is there before training is asked for. */
static void hide_training(engine *e) {
    for (int64_t i = 0; i < e->parameter_count; i++) {
        e->parameters[i].gradients = e->parameters[i].first = e->parameters[i].second = NULL;
    }
    e->use.gradients = e->use.optimizer = e->use.shared_gradient = 0;
    e->use.activations = (int64_t)e->inference_end - e->use.weights;
    share_block(e);
}

bool layout_create(engine *e) {
    take_all(e);
    if (!arena_reserve(&e->memory)) {
        return false;
    }
    e->use = take_all(e);
    hide_training(e);
    if (!arena_commit(&e->memory, 0, e->inference_end)) {
        return false;
    }
    if (e->sinusoidal) {
        fill_sinusoidal(e);
    }
    if (e->cosine) {
        fill_rotary(e);
    }
    return true;
}

/* Makes the rest of the reserved memory usable; the kernel gives it out as zeros. */
int layout_training(engine *e) {
    if (!arena_commit(&e->memory, e->inference_end, e->memory.reserved)) {
        return fail(e, "init_for_training: cannot allocate memory, %zu bytes", e->memory.reserved - e->inference_end);
    }
    e->memory.used = 0;
    e->use = take_all(e);
    return ENGINE_OK;
}
