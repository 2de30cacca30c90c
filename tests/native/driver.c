/* Everything that engine.h offers, on small models of every kind: what the sanitizers watch. Prints the number of
 * models; leaves with 1 and a line if something is not as it should be. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"

enum { SEQUENCE = 7, BATCH = 3, VOCAB = 13, TOKENS = SEQUENCE * BATCH };

static void check(int good, const char *what) {
    if (!good) {
        fprintf(stderr, "not as it should be: %s\n", what);
        exit(1);
    }
}

static const char *const MODELS[] = {
    "norm=layernorm\nactivation=gelu\npositions=sinusoidal\nattention_output=0\nattention_bias=0\nmlp_bias=1\n"
    "final_norm=0\ntied=1\noptimizer=sgd\nmomentum=0\nnesterov=0\nheads=1\nkv_heads=1\nwidth=24\nhidden=40\n",
    "norm=rmsnorm\nactivation=swiglu\npositions=rotary\nattention_output=1\nattention_bias=0\nmlp_bias=0\n"
    "final_norm=1\ntied=1\noptimizer=adamw\nmomentum=0\nnesterov=0\nheads=4\nkv_heads=2\nwidth=40\nhidden=56\n",
    "norm=layernorm\nactivation=swiglu\npositions=learned\nattention_output=1\nattention_bias=1\nmlp_bias=1\n"
    "final_norm=1\ntied=0\noptimizer=sgd\nmomentum=0.9\nnesterov=1\nheads=2\nkv_heads=1\nwidth=34\nhidden=9\n",
    "norm=rmsnorm\nactivation=gelu\npositions=none\nattention_output=0\nattention_bias=1\nmlp_bias=0\n"
    "final_norm=0\ntied=0\noptimizer=adamw\nmomentum=0\nnesterov=0\nheads=3\nkv_heads=3\nwidth=12\nhidden=70\n",
};
enum { NUMBER_OF_MODELS = sizeof MODELS / sizeof *MODELS };

static engine *make(const char *model, int threads) {
    char config[1024], error[256] = "";
    snprintf(config, sizeof config,
             "%svocab=%d\nlayers=2\nsequence=%d\nbatch=%d\nthreads=%d\nnorm_eps=1e-5\nrope_theta=10000\n"
             "learning_rate=0.01\nweight_decay=0.1\nbeta1=0.9\nbeta2=0.99\neps=1e-8\nclip_norm=0.5\n",
             model, VOCAB, SEQUENCE, BATCH, threads);
    engine *e = engine_create(config, error, sizeof error);
    check(e != NULL, error);
    return e;
}

static void fill(engine *e) {
    uint32_t state = 7;
    for (int64_t i = 0; i < engine_parameter_count(e); i++) {
        engine_parameter p;
        check(engine_parameter_at(e, i, &p) == ENGINE_OK, "parameter_at");
        for (int64_t k = 0; k < p.shape[0] * p.shape[1]; k++) {
            state = state * 1664525U + 1013904223U;
            p.weights[k] = (float)(state >> 8) / 16777216.0F - 0.5F;
        }
    }
}

static void make_batch(int64_t *tokens, int64_t *targets) {
    for (int i = 0; i < TOKENS; i++) {
        tokens[i] = (i * 5 + i / 3) % VOCAB;
        targets[i] = i % 4 ? (i * 3) % VOCAB : ENGINE_IGNORE;
    }
}

static double train(engine *e, int steps) {
    int64_t tokens[TOKENS], targets[TOKENS];
    double loss = 0.0, norm;
    make_batch(tokens, targets);
    for (int step = 0; step < steps; step++) {
        check(engine_zero_gradients(e) == ENGINE_OK, "zero_gradients");
        check(engine_backward(e, tokens, targets, BATCH, SEQUENCE, TOKENS, &loss) == ENGINE_OK, "backward");
        check(engine_clip(e, 0.5, &norm) == ENGINE_OK && isfinite(norm), "clip");
        check(engine_update(e, 0.01) == ENGINE_OK, "update");
    }
    return loss;
}

static void resources(engine *e) {
    engine_memory_use memory;
    engine_time_use spent;
    check(engine_memory(e, &memory) == ENGINE_OK && memory.gradients == memory.weights, "memory");
    check(engine_time(e, &spent) == ENGINE_OK, "time");
    double least = fmin(fmin(spent.zero_gradients, spent.forward), fmin(spent.loss, spent.backward));
    check(least > 0.0 && spent.clip > 0.0 && spent.update > 0.0, "a part of the time is missing");
}

static void errors(engine *e) {
    int64_t tokens[TOKENS], targets[TOKENS];
    double loss;
    make_batch(tokens, targets);
    check(engine_update(e, 0.1) != ENGINE_OK, "update before init_for_training");
    check(strstr(engine_error(e), "init_for_training") != NULL, engine_error(e));
    check(engine_init_for_training(e) == ENGINE_OK && engine_init_for_training(e) == ENGINE_OK, "init twice");
    tokens[2] = VOCAB;
    check(engine_backward(e, tokens, targets, BATCH, SEQUENCE, 1, &loss) != ENGINE_OK, "a token out of range");
    check(engine_backward(e, tokens, targets, 1, TOKENS, 1, &loss) != ENGINE_OK, "too long a sample");
    check(engine_load(e, "/nowhere/at/all") != ENGINE_OK, "a checkpoint that is not there");
}

static void resume(engine *e) {
    int64_t size = engine_state_size(e);
    void *state = malloc((size_t)size);
    check(state != NULL && engine_state_save(e, state) == ENGINE_OK, "state_save");
    check(engine_state_restore(e, state, size) == ENGINE_OK, "state_restore");
    check(engine_state_restore(e, state, size - 1) != ENGINE_OK, "a state of another size");
    free(state);
}

static void checkpoint(engine *e, const char *model, const char *path) {
    int64_t tokens[TOKENS], targets[TOKENS], text[2][20];
    float before[TOKENS * VOCAB], after[TOKENS * VOCAB];
    make_batch(tokens, targets);
    check(engine_save(e, path) == ENGINE_OK, engine_error(e));
    engine *other = make(model, 2);
    check(engine_load(other, path) == ENGINE_OK, engine_error(other));
    check(engine_forward(e, tokens, BATCH, SEQUENCE, before) == ENGINE_OK, "forward");
    check(engine_infer(other, tokens, BATCH, SEQUENCE, after) == ENGINE_OK, "infer");
    check(memcmp(before, after, sizeof before) == 0, "logits after load");
    check(engine_generate(e, tokens, 3, 20, 5, 0.8, 4, text[0]) == ENGINE_OK, "generate");
    check(engine_generate(other, tokens, 3, 20, 5, 0.8, 4, text[1]) == ENGINE_OK, "generate");
    check(memcmp(text[0], text[1], sizeof text[0]) == 0, "text of one seed");
    engine_destroy(other);
}

int main(int count, char **arguments) {
    check(count == 2, "driver CHECKPOINT");
    for (int i = 0; i < NUMBER_OF_MODELS; i++) {
        double losses[3];
        int threads[] = {1, 2, 8};
        for (int k = 0; k < 3; k++) {
            engine *e = make(MODELS[i], threads[k]);
            fill(e);
            errors(e);
            losses[k] = train(e, 4);
            resources(e);
            resume(e);
            checkpoint(e, MODELS[i], arguments[1]);
            engine_destroy(e);
        }
        check(losses[0] == losses[1] && losses[0] == losses[2], "the number of threads changes the loss");
    }
    printf("%d models\n", NUMBER_OF_MODELS);
    return 0;
}
