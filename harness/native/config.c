/* Reads the text of "key=value" lines that engine_create is given. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

enum { WHOLE, SWITCH, REAL, CHOICE };

typedef struct {
    const char *name;
    int kind;
    size_t offset;
    const char *choices; /* Separated by '|', numbered from 0. */
} key;

#define KEY(name, kind, choices) {#name, kind, offsetof(config, name), choices}

static const key KEYS[] = {
    KEY(vocab, WHOLE, 0), KEY(width, WHOLE, 0), KEY(layers, WHOLE, 0), KEY(heads, WHOLE, 0),
    KEY(kv_heads, WHOLE, 0), KEY(hidden, WHOLE, 0), KEY(sequence, WHOLE, 0), KEY(batch, WHOLE, 0),
    KEY(threads, WHOLE, 0), KEY(norm, CHOICE, "layernorm|rmsnorm"), KEY(activation, CHOICE, "gelu|swiglu"),
    KEY(positions, CHOICE, "none|sinusoidal|learned|rotary"), KEY(attention_output, SWITCH, 0),
    KEY(attention_bias, SWITCH, 0), KEY(mlp_bias, SWITCH, 0), KEY(final_norm, SWITCH, 0), KEY(tied, SWITCH, 0),
    KEY(norm_eps, REAL, 0), KEY(rope_theta, REAL, 0), KEY(optimizer, CHOICE, "sgd|adamw"),
    KEY(nesterov, SWITCH, 0), KEY(learning_rate, REAL, 0), KEY(weight_decay, REAL, 0), KEY(momentum, REAL, 0),
    KEY(beta1, REAL, 0), KEY(beta2, REAL, 0), KEY(eps, REAL, 0), KEY(clip_norm, REAL, 0),
};
enum { NUMBER_OF_KEYS = sizeof KEYS / sizeof *KEYS };

static bool read_whole(int64_t *target, const char *value, int64_t least, int64_t most) {
    char *end;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    *target = number;
    return end != value && *end == '\0' && errno == 0 && number >= least && number <= most;
}

static bool read_real(double *target, const char *value) {
    char *end;
    *target = strtod(value, &end);
    return end != value && *end == '\0' && isfinite(*target);
}

static bool read_choice(int64_t *target, const char *value, const char *choices) {
    size_t length = strlen(value);
    for (*target = 0; choices; (*target)++) {
        const char *end = strchr(choices, '|');
        size_t size = end ? (size_t)(end - choices) : strlen(choices);
        if (size == length && strncmp(choices, value, size) == 0) {
            return true;
        }
        choices = end ? end + 1 : NULL;
    }
    return false;
}

static bool read_value(config *c, const key *k, const char *value) {
    void *target = (char *)c + k->offset;
    switch (k->kind) {
    case WHOLE:
        return read_whole(target, value, 1, INT32_MAX);
    case SWITCH:
        return read_whole(target, value, 0, 1);
    case REAL:
        return read_real(target, value);
    default:
        return read_choice(target, value, k->choices);
    }
}

static bool read_line(config *c, char *line, bool *seen, char *error, size_t size) {
    char *value = strchr(line, '=');
    if (value) {
        *value++ = '\0';
        for (int i = 0; i < NUMBER_OF_KEYS; i++) {
            if (strcmp(KEYS[i].name, line) == 0) {
                seen[i] = true;
                if (read_value(c, &KEYS[i], value)) {
                    return true;
                }
                snprintf(error, size, "config: %s=%s cannot be computed", line, value);
                return false;
            }
        }
    }
    snprintf(error, size, "config: unknown key '%s'", line);
    return false;
}

static bool check(const config *c, char *error, size_t size) {
    if (c->width % c->heads || c->heads % c->kv_heads) {
        snprintf(error, size, "config: heads must divide width, and kv_heads must divide heads");
        return false;
    }
    if (c->positions == ROTARY && c->width / c->heads % 2) {
        snprintf(error, size, "config: rotary positions need an even head size");
        return false;
    }
    return true;
}

bool config_read(config *c, const char *text, char *error, size_t size) {
    bool seen[NUMBER_OF_KEYS] = {false};
    char line[128];
    while (*text) {
        size_t length = strcspn(text, "\n");
        if (length >= sizeof line) {
            snprintf(error, size, "config: a line of more than %zu characters", sizeof line - 1);
            return false;
        }
        memcpy(line, text, length);
        line[length] = '\0';
        if (length && !read_line(c, line, seen, error, size)) {
            return false;
        }
        text += length + (text[length] == '\n');
    }
    for (int i = 0; i < NUMBER_OF_KEYS; i++) {
        if (!seen[i]) {
            snprintf(error, size, "config: lacks '%s'", KEYS[i].name);
            return false;
        }
    }
    return check(c, error, size);
}
