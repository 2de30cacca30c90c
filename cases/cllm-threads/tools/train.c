/* train TEXT CHECKPOINT STEPS THREADS: trains on the bytes of a text and writes a checkpoint.
 * Prints a line for each step, where the time went, and the memory by part. */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "tool.h"

typedef struct {
    unsigned char *bytes;
    size_t size;
} text;

static text read_text(const char *path) {
    FILE *file = fopen(path, "rb");
    text t = {.bytes = malloc(1 << 20)};
    if (!file || !t.bytes) {
        give_up("cannot read the text");
    }
    t.size = fread(t.bytes, 1, 1 << 20, file);
    fclose(file);
    if (t.size <= SEQUENCE) {
        give_up("the text is too short");
    }
    return t;
}

static double uniform(uint64_t *state) {
    *state = *state * 6364136223846793005U + 1442695040888963407U;
    return ((double)(*state >> 11) + 0.5) * 0x1.0p-53;
}

/* Matrices: normal of deviation 0.02 (Box and Muller, 1958); gains 1; biases 0. */
static void draw_weights(engine *e) {
    uint64_t state = 1;
    for (int64_t i = 0; i < engine_parameter_count(e); i++) {
        engine_parameter p;
        need(engine_parameter_at(e, i, &p), e);
        float start = strstr(p.name, "norm.weight") ? 1.0F : 0.0F;
        for (int64_t k = 0; k < p.shape[0] * p.shape[1]; k++) {
            double radius = sqrt(-2.0 * log(uniform(&state)));
            p.weights[k] = p.axes == 2 ? (float)(0.02 * radius * cos(6.283185307179586 * uniform(&state))) : start;
        }
    }
}

static void fill_batch(const text *t, long step, int64_t *tokens, int64_t *targets) {
    for (int64_t sample = 0; sample < BATCH; sample++) {
        size_t start = (size_t)(step * BATCH + sample) * 16 % (t->size - SEQUENCE);
        for (int64_t i = 0; i < SEQUENCE; i++) {
            tokens[sample * SEQUENCE + i] = t->bytes[start + (size_t)i];
            targets[sample * SEQUENCE + i] = t->bytes[start + (size_t)i + 1];
        }
    }
}

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + 1e-9 * (double)at.tv_nsec;
}

static void train(engine *e, const text *t, long steps) {
    int64_t tokens[BATCH * SEQUENCE], targets[BATCH * SEQUENCE];
    double backward = 0.0, update = 0.0;
    for (long step = 0; step < steps; step++) {
        double loss, norm, start = now();
        fill_batch(t, step, tokens, targets);
        need(engine_zero_gradients(e), e);
        need(engine_backward(e, tokens, targets, BATCH, SEQUENCE, BATCH * SEQUENCE, &loss), e);
        backward += now() - start;
        start = now();
        need(engine_clip(e, 1.0, &norm), e);
        need(engine_update(e, 0.001), e);
        update += now() - start;
        printf("step %ld loss %.6f grad_norm %.6f\n", step, loss, norm);
    }
    printf("seconds backward %.6f update %.6f\n", backward, update);
}

static void print_memory(const engine *e) {
    engine_memory_use use;
    engine_memory(e, &use);
    printf("bytes weights %lld gradients %lld optimizer %lld activations %lld shared_gradient %lld\n",
           (long long)use.weights, (long long)use.gradients, (long long)use.optimizer, (long long)use.activations,
           (long long)use.shared_gradient);
}

int main(int count, char **arguments) {
    if (count != 5) {
        give_up("train TEXT CHECKPOINT STEPS THREADS");
    }
    text t = read_text(arguments[1]);
    engine *e = make_engine(whole(arguments[4]));
    draw_weights(e);
    need(engine_init_for_training(e), e);
    train(e, &t, whole(arguments[3]));
    print_memory(e);
    need(engine_save(e, arguments[2]), e);
    printf("saved %s\n", arguments[2]);
    engine_destroy(e);
    free(t.bytes);
    return 0;
}
