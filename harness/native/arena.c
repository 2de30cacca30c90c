/* One block of memory for everything. The layout is written once and run twice: first to measure, then to hand
 * out. Addresses are reserved for inference and training together, so that no pointer ever moves; pages of the
 * training part become usable, and so count as memory, only when training is asked for. */
#define _DEFAULT_SOURCE
#include <sys/mman.h>

#include "internal.h"

enum { ALIGNMENT = 64, PAGE = 4096, HUGE_PAGE = 2 << 20 };

float *arena_take(arena *a, size_t floats) {
    float *taken = a->base ? (float *)(void *)(a->base + a->used) : NULL;
    a->used += (floats * sizeof(float) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return taken;
}

bool arena_reserve(arena *a) {
    size_t size = (a->used + PAGE - 1) / PAGE * PAGE;
    void *base = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) {
        return false;
    }
    *a = (arena){.base = base, .reserved = size};
    /* Large models wait for address translation else; small ones would only seem to take more memory. */
    if (size > 16 * (size_t)HUGE_PAGE) {
        (void)madvise(base, size, MADV_HUGEPAGE);
    }
    return true;
}

bool arena_commit(arena *a, size_t from, size_t to) {
    from = from / PAGE * PAGE;
    to = (to + PAGE - 1) / PAGE * PAGE;
    return to <= from || mprotect(a->base + from, to - from, PROT_READ | PROT_WRITE) == 0;
}

void arena_free(arena *a) {
    if (a->base) {
        munmap(a->base, a->reserved);
    }
    *a = (arena){0};
}
