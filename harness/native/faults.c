/* The faults that are more than a line; the others stand where they do harm. See faults.h. */
#define _POSIX_C_SOURCE 200809L
#include "faults.h"

#include <stdlib.h>
#include <time.h>

void fault_slow_start(void) {
#ifdef FAULT_SLOW_START
    struct timespec three_seconds = {.tv_sec = 3};
    nanosleep(&three_seconds, NULL);
#endif
}

void fault_crash(long updates) {
    if (updates < 2) {
        return;
    }
#if defined(FAULT_SEGFAULT)
    *(volatile int *)8 = 1;
#elif defined(FAULT_ABORT)
    abort();
#elif defined(FAULT_ENDLESS_LOOP)
    for (volatile int on = 1; on;) {
    }
#endif
}
