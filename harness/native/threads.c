/* Worker threads that sleep until there is something to do.
 *
 * Every piece of work is split by what it writes: no two threads ever write one number, so nothing is lost, and
 * no bit of the result depends on who does what, or on how many there are. So pieces are taken by whoever is
 * awake, and nobody waits for a thread that the system has not let run. */
#define _GNU_SOURCE
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "internal.h"

#ifndef ENGINE_GRAIN
#define ENGINE_GRAIN 100000.0 /* Multiplications for each thread that are worth waking it. */
#endif
enum { SPINS = 4000, PIECES_EACH = 4, CROWDED = 4 };

typedef struct {
    pool *pool;
    int number;
} worker;

struct pool {
    int threads, spins, created;
    double grain;
    pthread_t *handles;
    worker *workers;
    pthread_mutex_t lock;
    pthread_cond_t start, finished;
    pthread_barrier_t all;
    atomic_uint generation; /* Counts the jobs. */
    bool open, everyone;
    atomic_bool stop;
    int active;
    task *function;
    void *context;
    int64_t items, pieces;
    atomic_llong next;
};

static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

static void do_piece(pool *p, int64_t piece, int thread) {
    p->function(p->context, p->items * piece / p->pieces, p->items * (piece + 1) / p->pieces, thread);
}

static void do_pieces(pool *p, int thread) {
    if (p->everyone) {
        do_piece(p, thread, thread);
        return;
    }
    for (int64_t piece; (piece = atomic_fetch_add(&p->next, 1)) < p->pieces;) {
        do_piece(p, piece, thread);
    }
}

/* Waits for a job, first awake, then asleep: one that follows at once is met without a system call. Returns
 * whether to take part: a job may be over before a thread comes. */
static bool await_job(pool *p, unsigned *seen) {
    for (int i = 0; i < p->spins && atomic_load(&p->generation) == *seen; i++) {
        relax();
    }
    pthread_mutex_lock(&p->lock);
    while (atomic_load(&p->generation) == *seen) {
        pthread_cond_wait(&p->start, &p->lock);
    }
    *seen = atomic_load(&p->generation);
    bool takes_part = p->open && !p->stop;
    p->active += takes_part && !p->everyone;
    pthread_mutex_unlock(&p->lock);
    return takes_part;
}

static void *work(void *argument) {
    worker *self = argument;
    pool *p = self->pool;
    unsigned seen = 0;
    for (;;) {
        if (await_job(p, &seen)) {
            do_pieces(p, self->number);
            pthread_mutex_lock(&p->lock);
            if (--p->active == 0) {
                pthread_cond_signal(&p->finished);
            }
            pthread_mutex_unlock(&p->lock);
        } else if (p->stop) {
            return NULL;
        }
    }
}

static void open_job(pool *p, task *function, void *context, int64_t items, bool everyone) {
    int64_t most = p->threads * PIECES_EACH;
    pthread_mutex_lock(&p->lock);
    p->function = function;
    p->context = context;
    p->items = items;
    p->everyone = everyone;
    p->pieces = everyone ? p->threads : items < most ? items : most;
    p->active = everyone ? p->threads - 1 : 0;
    p->open = true;
    atomic_store(&p->next, 0);
    atomic_fetch_add(&p->generation, 1);
    pthread_cond_broadcast(&p->start);
    pthread_mutex_unlock(&p->lock);
}

static void close_job(pool *p) {
    pthread_mutex_lock(&p->lock);
    p->open = p->everyone; /* Who has not come yet is not needed, unless everyone is. */
    while (p->active) {
        pthread_cond_wait(&p->finished, &p->lock);
    }
    p->open = false;
    pthread_mutex_unlock(&p->lock);
}

/* cost: multiplications of all items together, roughly. */
void pool_run(pool *p, task *function, void *context, int64_t items, double cost) {
    if (items < 2 || cost < p->grain) {
        function(context, 0, items, 0);
        return;
    }
    open_job(p, function, context, items, false);
    do_pieces(p, 0);
    close_job(p);
}

/* Each thread gets one share, and all of them run at the same time. */
void pool_run_everyone(pool *p, task *function, void *context, int64_t items) {
    open_job(p, function, context, items, true);
    do_pieces(p, 0);
    close_job(p);
}

/* Within pool_run_everyone: nobody goes on before all are here. */
void pool_wait_for_all(pool *p) {
    pthread_barrier_wait(&p->all);
}

/* Without others a job never opens; where threads share cores, waking them costs more. */
static double grain_of(int threads, bool crowded) {
    return threads == 1 ? INFINITY : ENGINE_GRAIN * threads * (crowded ? CROWDED : 1);
}

pool *pool_create(int threads) {
    pool *p = calloc(1, sizeof *p);
    if (!p) {
        return NULL;
    }
    p->threads = threads;
    bool crowded = threads > sysconf(_SC_NPROCESSORS_ONLN);
    p->grain = grain_of(threads, crowded);
    p->spins = crowded ? 0 : SPINS; /* One that spins keeps another from working. */
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->start, NULL);
    pthread_cond_init(&p->finished, NULL);
    pthread_barrier_init(&p->all, NULL, (unsigned)threads);
    p->handles = calloc((size_t)threads, sizeof *p->handles);
    p->workers = calloc((size_t)threads, sizeof *p->workers);
    for (int i = 1; p->handles && p->workers && i < threads; i++) {
        p->workers[i] = (worker){p, i};
        if (pthread_create(&p->handles[i], NULL, work, &p->workers[i])) {
            break;
        }
        p->created = i;
    }
    if (p->created < threads - 1 || !p->handles || !p->workers) {
        pool_destroy(p);
        return NULL;
    }
    return p;
}

void pool_destroy(pool *p) {
    if (!p) {
        return;
    }
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->stop, true);
    atomic_fetch_add(&p->generation, 1);
    pthread_cond_broadcast(&p->start);
    pthread_mutex_unlock(&p->lock);
    for (int i = 1; i <= p->created; i++) {
        pthread_join(p->handles[i], NULL);
    }
    pthread_barrier_destroy(&p->all);
    pthread_cond_destroy(&p->finished);
    pthread_cond_destroy(&p->start);
    pthread_mutex_destroy(&p->lock);
    free(p->handles);
    free(p->workers);
    free(p);
}
