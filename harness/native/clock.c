/* Where the time of a training goes. */
#define _POSIX_C_SOURCE 200809L
#include <time.h>

#include "internal.h"

double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Adds what has passed since `start` to a part; returns when the next part begins. */
double seconds_since(double start, double *part) {
    double now = seconds_now();
    *part += now - start;
    return now;
}

int engine_time(const engine *e, engine_time_use *use) {
    *use = e->spent;
    return ENGINE_OK;
}
