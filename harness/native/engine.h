/* The interface between the suite and a training engine: any shared library that exports these functions can
 * be put under test. Everything here is plain C11 and plain data; nothing of the suite is needed to build it.
 *
 * A life: create -> (the suite writes the weights) -> init_for_training
 *         -> zero_gradients -> backward, once for each part of a batch -> clip -> update -> ... -> destroy
 *
 * Rules
 * - Functions that return int return ENGINE_OK (0), or another number with the reason in engine_error(). They
 *   never exit, abort or print. A call that makes no sense is an error, never a silent nothing.
 * - An engine is used by one thread at a time; what threads it has of its own is its business. Two engines in
 *   one process share nothing.
 * - Numbers are float32 in row-major order; tokens and targets are int64, (batch, length). A linear weight is
 *   (outputs, inputs). A target of ENGINE_IGNORE does not count.
 * - The same calls give the same bits.
 *
 * "Required" functions must be there. What needs an "optional" one is skipped where it is missing. */
#ifndef ENGINE_H
#define ENGINE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ENGINE_ABI 1 /* The version of this file. */
#define ENGINE_OK 0
#define ENGINE_ERROR 1
#define ENGINE_IGNORE (-100)

#if defined(__GNUC__)
#define ENGINE_API __attribute__((visibility("default")))
#else
#define ENGINE_API
#endif

typedef struct engine engine;

/* One tensor. Pointers stay valid, and weights and gradients stay in place, until the engine is destroyed. */
typedef struct {
    const char *name;  /* As in the suite's description, such as "layers.0.attention.query.weight". */
    int64_t axes;      /* 1 or 2. */
    int64_t shape[2];  /* The second is 1 where there is one axis. */
    float *weights;    /* The suite reads and writes them between calls. */
    float *gradients;  /* NULL before init_for_training, and for a tensor that has none. */
} engine_parameter;

/* Bytes in use, by part. */
typedef struct {
    int64_t weights;
    int64_t gradients;       /* All of them; 0 before init_for_training. */
    int64_t optimizer;
    int64_t activations;
    int64_t shared_gradient; /* Of gradients: what more than one thread adds to. */
} engine_memory_use;

/* Seconds that training has taken so far, by part; forward, loss and backward are parts of engine_backward. What
 * only reads (engine_forward, engine_loss, engine_infer) counts nowhere. */
typedef struct {
    double zero_gradients;
    double forward;
    double loss;
    double backward;
    double clip;
    double update;
} engine_time_use;

/* Required. The ENGINE_ABI that the library was built with. */
ENGINE_API int engine_abi(void);

/* Required. A new engine, weights all zero, or NULL with the reason in `error` (`size` bytes, NUL included).
 *
 * `config` is text, a line for each key: "key=value\n". Always all of these, in no fixed order:
 *   vocab width layers heads kv_heads hidden sequence batch threads   whole numbers from 1; `batch` samples of
 *                     `sequence` tokens are the most that one call of backward is given in training
 *   norm=layernorm|rmsnorm  norm_eps=REAL  activation=gelu|swiglu  positions=none|sinusoidal|learned|rotary
 *   rope_theta=REAL   attention_output attention_bias mlp_bias final_norm tied   0 or 1
 *   optimizer=sgd|adamw  learning_rate weight_decay momentum beta1 beta2 eps=REAL  nesterov=0|1
 *   clip_norm=REAL    0 for none
 * An engine that cannot compute what it is told refuses; it never computes something else. */
ENGINE_API engine *engine_create(const char *config, char *error, size_t size);

/* Required. Frees everything; NULL is allowed. */
ENGINE_API void engine_destroy(engine *e);

/* Required. Why the last call failed, one line; valid until the next call. */
ENGINE_API const char *engine_error(const engine *e);

/* Required. The parameter table: how many tensors, and the one at an index from 0, in the model's order. */
ENGINE_API int64_t engine_parameter_count(const engine *e);
ENGINE_API int engine_parameter_at(engine *e, int64_t index, engine_parameter *parameter);

/* Required. Makes room for gradients and optimizer state. Without it, backward, clip, update and
 * zero_gradients are errors. Calling it twice is one call. */
ENGINE_API int engine_init_for_training(engine *e);

/* Required. Logits (batch, length, vocab) of tokens (batch, length): the forward pass of training. Any batch;
 * a length of at most `sequence`. */
ENGINE_API int engine_forward(engine *e, const int64_t *tokens, int64_t batch, int64_t length, float *logits);

/* Required. Cross entropy in nats summed over the counted targets, and how many count. No gradients. */
ENGINE_API int engine_loss(engine *e, const int64_t *tokens, const int64_t *targets, int64_t batch,
                           int64_t length, double *sum, int64_t *counted);

/* Required. Sets all gradients to zero. */
ENGINE_API int engine_zero_gradients(engine *e);

/* Required. Adds the gradients of (summed loss) / total to those that are there; `loss` is that quotient.
 * `total` is the counted targets of the whole batch, of which this may be a part. */
ENGINE_API int engine_backward(engine *e, const int64_t *tokens, const int64_t *targets, int64_t batch,
                               int64_t length, int64_t total, double *loss);

/* Required. Scales all gradients by max_norm / (norm + 1e-6) if that is below 1 or not a number; `norm` is the
 * L2 norm of all of them together, before. */
ENGINE_API int engine_clip(engine *e, double max_norm, double *norm);

/* Required. One step of the optimizer. Weight decay acts on tensors with two axes only. */
ENGINE_API int engine_update(engine *e, double learning_rate);

/* Optional. Logits as in engine_forward, by the path that generation takes. */
ENGINE_API int engine_infer(engine *e, const int64_t *tokens, int64_t batch, int64_t length, float *logits);

/* Optional, all three or none. What the optimizer remembers, to go on later: its bytes, a copy, its return. */
ENGINE_API int64_t engine_state_size(const engine *e);
ENGINE_API int engine_state_save(engine *e, void *state);
ENGINE_API int engine_state_restore(engine *e, const void *state, int64_t size);

/* Optional, both or none. A checkpoint of the weights in a file. */
ENGINE_API int engine_save(engine *e, const char *path);
ENGINE_API int engine_load(engine *e, const char *path);

/* Optional. Continues a prompt by `count` tokens, each drawn from the `top_k` most likely by their shares at
 * `temperature`; top_k 1 is greedy. The last `sequence` tokens are looked at. The same seed gives the same. */
ENGINE_API int engine_generate(engine *e, const int64_t *prompt, int64_t length, int64_t count, int64_t top_k,
                               double temperature, uint64_t seed, int64_t *generated);

/* Optional. Bytes in use. */
ENGINE_API int engine_memory(const engine *e, engine_memory_use *use);

/* Optional. Seconds spent, since the engine was made. */
ENGINE_API int engine_time(const engine *e, engine_time_use *use);

#ifdef __cplusplus
}
#endif

#endif
