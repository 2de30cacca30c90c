/* The inference path: logits, and text drawn from them. */
#include <stdlib.h>
#include <string.h>

#include "exponential.h"
#include "internal.h"

#ifdef FAULT_RANDOM_LOGITS
int engine_infer(engine *e, const int64_t *tokens, int64_t batch, int64_t length, float *logits) {
    static uint64_t state = 1;
    (void)tokens;
    for (int64_t i = 0; i < batch * length * e->c.vocab; i++) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        logits[i] = (float)(state >> 40) / 16777216.0F;
    }
    return ENGINE_OK;
}
#else
int engine_infer(engine *e, const int64_t *tokens, int64_t batch, int64_t length, float *logits) {
    return engine_forward(e, tokens, batch, length, logits);
}
#endif

/* SplitMix64 (Steele et al., 2014): a number from 0 to below 1. */
static double draw(uint64_t *state) {
    uint64_t z = *state += 0x9E3779B97F4A7C15U;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1.0p-53;
}

static int64_t best_of(const float *logits, int64_t vocab) {
    int64_t best = 0;
    for (int64_t i = 1; i < vocab; i++) {
        best = logits[i] > logits[best] ? i : best;
    }
    return best;
}

/* One of the `top_k` most likely, by its share among them. Takes logits apart. */
static int64_t choose(float *logits, int64_t vocab, int64_t top_k, double temperature, uint64_t *state,
                      int64_t *tokens, double *shares) {
    double total = 0.0;
    float largest = logits[best_of(logits, vocab)];
    for (int64_t i = 0; i < top_k; i++) {
        tokens[i] = best_of(logits, vocab);
        total += shares[i] = (double)exponential((logits[tokens[i]] - largest) / (float)temperature);
        logits[tokens[i]] = -INFINITY;
    }
    double at = draw(state) * total;
    int64_t i = 0;
    while (i + 1 < top_k && at >= shares[i]) {
        at -= shares[i++];
    }
    return tokens[i];
}

typedef struct {
    int64_t *text, *tokens;
    float *logits;
    double *shares;
} scratch;

static bool scratch_create(scratch *s, const engine *e, int64_t length, int64_t top_k) {
    s->text = malloc((size_t)length * sizeof *s->text);
    s->tokens = malloc((size_t)top_k * sizeof *s->tokens);
    s->shares = malloc((size_t)top_k * sizeof *s->shares);
    s->logits = malloc((size_t)(e->c.sequence * e->c.vocab) * sizeof *s->logits);
    return s->text && s->tokens && s->shares && s->logits;
}

static void scratch_free(scratch *s) {
    free(s->text);
    free(s->tokens);
    free(s->shares);
    free(s->logits);
}

static int continue_text(engine *e, scratch *s, int64_t length, int64_t count, int64_t top_k, double temperature,
                         uint64_t seed) {
    for (int64_t end = length; end < length + count; end++) {
        int64_t seen = end < e->c.sequence ? end : e->c.sequence;
        int result = engine_infer(e, s->text + end - seen, 1, seen, s->logits);
        if (result) {
            return result;
        }
        float *logits = s->logits + (seen - 1) * e->c.vocab;
        s->text[end] = top_k == 1 ? best_of(logits, e->c.vocab)
                                  : choose(logits, e->c.vocab, top_k, temperature, &seed, s->tokens, s->shares);
    }
    return ENGINE_OK;
}

int engine_generate(engine *e, const int64_t *prompt, int64_t length, int64_t count, int64_t top_k,
                    double temperature, uint64_t seed, int64_t *generated) {
    if (length < 1 || count < 0 || top_k < 1 || !(temperature > 0.0)) {
        return fail(e, "generate: needs a prompt, top_k of at least 1, and a temperature above 0");
    }
    top_k = top_k < e->c.vocab ? top_k : e->c.vocab;
    scratch s = {0};
    int result = ENGINE_ERROR;
    if (scratch_create(&s, e, length + count, top_k)) {
        memcpy(s.text, prompt, (size_t)length * sizeof *prompt);
        result = continue_text(e, &s, length, count, top_k, temperature, seed);
        memcpy(generated, s.text + length, (size_t)count * sizeof *generated);
    } else {
        fail(e, "generate: cannot allocate memory");
    }
    scratch_free(&s);
    return result;
}
