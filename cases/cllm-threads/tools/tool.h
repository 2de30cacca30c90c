/* What the command line tools share: the model of report 002 on bytes, and how to give up. */
#ifndef TOOL_H
#define TOOL_H

#include <stdio.h>
#include <stdlib.h>

#include "engine.h"

enum { VOCAB = 1000, SEQUENCE = 32, BATCH = 4 };

static inline void give_up(const char *why) {
    fprintf(stderr, "%s\n", why);
    exit(1);
}

static inline void need(int result, const engine *e) {
    if (result != ENGINE_OK) {
        give_up(engine_error(e));
    }
}

static inline long whole(const char *text) {
    char *end;
    long number = strtol(text, &end, 10);
    if (end == text || *end || number < 1) {
        give_up("expected a whole number from 1");
    }
    return number;
}

static inline engine *make_engine(long threads) {
    char config[1024], error[256];
    snprintf(config, sizeof config,
             "vocab=%d\nwidth=128\nlayers=2\nheads=4\nkv_heads=4\nhidden=512\nsequence=%d\nbatch=%d\nthreads=%ld\n"
             "norm=layernorm\nnorm_eps=1e-5\nactivation=gelu\npositions=sinusoidal\nrope_theta=10000\n"
             "attention_output=0\nattention_bias=0\nmlp_bias=1\nfinal_norm=0\ntied=1\noptimizer=adamw\n"
             "learning_rate=0.001\nweight_decay=0.01\nmomentum=0\nbeta1=0.9\nbeta2=0.999\neps=1e-8\nnesterov=0\n"
             "clip_norm=1\n",
             VOCAB, SEQUENCE, BATCH, threads);
    engine *e = engine_create(config, error, sizeof error);
    if (!e) {
        give_up(error);
    }
    return e;
}

#endif
