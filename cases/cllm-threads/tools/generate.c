/* generate CHECKPOINT PROMPT COUNT TOP_K SEED: continues a prompt by COUNT bytes and prints them. */
#include <stdint.h>
#include <string.h>

#include "tool.h"

int main(int count, char **arguments) {
    if (count != 6) {
        give_up("generate CHECKPOINT PROMPT COUNT TOP_K SEED");
    }
    engine *e = make_engine(1);
    need(engine_load(e, arguments[1]), e);
    size_t length = strlen(arguments[2]);
    long wanted = whole(arguments[3]);
    int64_t *prompt = malloc((length + 1) * sizeof *prompt), *text = malloc((size_t)wanted * sizeof *text);
    if (!prompt || !text) {
        give_up("cannot allocate memory");
    }
    for (size_t i = 0; i < length; i++) {
        prompt[i] = (unsigned char)arguments[2][i];
    }
    uint64_t seed = (uint64_t)whole(arguments[5]);
    need(engine_generate(e, prompt, (int64_t)length, wanted, whole(arguments[4]), 1.0, seed, text), e);
    for (long i = 0; i < wanted; i++) {
        putchar(text[i] < 256 ? (int)text[i] : '?');
    }
    putchar('\n');
    free(prompt);
    free(text);
    engine_destroy(e);
    return 0;
}
