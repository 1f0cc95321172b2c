/* SPDX-License-Identifier: Apache-2.0 */
#include "base/pool.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"

/* A job is open while workers may join it. The caller works too, closes the job when nothing is
 * left to claim, and waits only for the workers that joined: one that the kernel has not yet
 * scheduled costs nothing, which matters when the machine is shared. */
#define STATE_OPEN  0x80000000u /* set: workers may join */
#define STATE_COUNT 0x7fffffffu /* workers inside the job */

/* About 30 us of waiting for the next piece of work before sleeping: operators of a model follow
 * each other faster than a futex wakes. */
#define SPIN_TURNS 2000

#define THREADS_MAX 1024

struct worker {
    struct accel_pool *pool;
    pthread_t id;
    unsigned index; /* 1..threads-1; the caller is 0 */
};

struct accel_pool {
    unsigned threads;
    unsigned spin;
    struct worker *workers;
    unsigned started;

    /* Apart from each other: every worker spins on the first two, all claim by the third. */
    _Alignas(64) _Atomic uint32_t generation; /* counts jobs; futex of idle workers */
    _Atomic uint32_t sleepers;
    atomic_bool stop;
    _Alignas(64) _Atomic uint32_t state; /* STATE_*; futex of the waiting caller */
    _Atomic uint32_t caller_sleeps;
    _Alignas(64) _Atomic size_t next; /* first index nobody has claimed */

    /* The job; written only while no worker is inside one. */
    _Alignas(64) size_t count;
    size_t chunk;
    accel_range_fn *fn;
    void *context;
    bool may_stop;

    accel_stop_fn *give_up;
    void *give_up_context;
    double pieces;
};

static void futex_wait(_Atomic uint32_t *word, uint32_t expected)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

static void work(struct accel_pool *pool, unsigned thread)
{
    while (!pool->may_stop || !accel_pool_stopped(pool)) {
        const size_t begin =
            atomic_fetch_add_explicit(&pool->next, pool->chunk, memory_order_relaxed);
        if (begin >= pool->count)
            return;
        pool->fn(pool->context, begin, begin + ACCEL_MIN(pool->chunk, pool->count - begin), thread);
    }
}

/* Joins the job if it is still open. */
static bool join_job(struct accel_pool *pool)
{
    uint32_t state = atomic_load_explicit(&pool->state, memory_order_relaxed);

    while (state & STATE_OPEN)
        if (atomic_compare_exchange_weak_explicit(&pool->state, &state, state + 1,
                                                  memory_order_acquire, memory_order_relaxed))
            return true;
    return false;
}

static void leave_job(struct accel_pool *pool)
{
    /* The caller's wish to sleep is read after the decrement (both sequentially consistent), so
     * either it sees the count at 0 or we see that it sleeps. */
    const uint32_t before = atomic_fetch_sub(&pool->state, 1);

    if ((before & STATE_COUNT) == 1 && atomic_load(&pool->caller_sleeps) != 0)
        futex_wake(&pool->state);
}

static void *worker_main(void *argument)
{
    const struct worker *self = argument;
    struct accel_pool *pool = self->pool;
    uint32_t seen = 0; /* the generation when the pool was made */

    for (;;) {
        unsigned turns = 0;
        uint32_t now;

        while ((now = atomic_load_explicit(&pool->generation, memory_order_acquire)) == seen) {
            if (turns++ < pool->spin) {
                relax();
                continue;
            }
            atomic_fetch_add(&pool->sleepers, 1);
            futex_wait(&pool->generation, seen);
            atomic_fetch_sub(&pool->sleepers, 1);
        }
        seen = now;
        if (atomic_load_explicit(&pool->stop, memory_order_acquire))
            return NULL;
        if (join_job(pool)) {
            work(pool, self->index);
            leave_job(pool);
        }
    }
}

static void announce(struct accel_pool *pool)
{
    atomic_fetch_add(&pool->generation, 1);
    if (atomic_load(&pool->sleepers) > 0)
        futex_wake(&pool->generation);
}

/* Splits the job in so many pieces, or as many as there are grains. */
static void split(struct accel_pool *pool, size_t count, size_t grain, size_t pieces, bool may_stop,
                  accel_range_fn *fn, void *context)
{
    const size_t grains = (count - 1) / grain + 1;

    pool->chunk = ACCEL_MAX(grains / pieces, (size_t)1) * grain;
    pool->may_stop = may_stop;
    pool->count = count;
    pool->fn = fn;
    pool->context = context;
    /* Ranges are claimed past the end once per thread: keep that from wrapping. */
    if (count > SIZE_MAX / 2 || pool->chunk > SIZE_MAX / 4 / pool->threads) {
        fn(context, 0, count, 0);
        return;
    }
    atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
    atomic_store_explicit(&pool->state, STATE_OPEN, memory_order_release);
    announce(pool);

    work(pool, 0);

    uint32_t state = atomic_fetch_and(&pool->state, ~STATE_OPEN) & ~STATE_OPEN;
    for (unsigned turns = 0; state != 0; state = atomic_load(&pool->state)) {
        if (turns++ < pool->spin) {
            relax();
            continue;
        }
        atomic_store(&pool->caller_sleeps, 1);
        state = atomic_load(&pool->state);
        if (state != 0)
            futex_wait(&pool->state, state);
        atomic_store(&pool->caller_sleeps, 0);
    }
}

/* Four per thread: a slow thread costs a quarter of its share, not all of it. */
static size_t pieces_of(const struct accel_pool *pool)
{
    return pool->threads == 1 ? 1 : 4 * (size_t)pool->threads;
}

void accel_pool_run(struct accel_pool *pool, size_t count, size_t grain, accel_range_fn *fn,
                    void *context)
{
    grain = ACCEL_MAX(grain, (size_t)1);
    if (pool == NULL || pool->threads == 1 || count <= grain) {
        if (count > 0)
            fn(context, 0, count, 0);
        return;
    }
    split(pool, count, grain, pieces_of(pool), false, fn, context);
}

void accel_pool_run_long(struct accel_pool *pool, size_t count, size_t grain, accel_range_fn *fn,
                         void *context)
{
    if (count == 0 || accel_pool_stopped(pool))
        return;
    if (pool == NULL || pool->give_up == NULL || pool->pieces <= (double)pieces_of(pool)) {
        accel_pool_run(pool, count, grain, fn, context);
        return;
    }
    const double pieces = ACCEL_MIN(pool->pieces, (double)count);
    split(pool, count, ACCEL_MAX(grain, (size_t)1), (size_t)pieces, true, fn, context);
}

void accel_pool_watch(struct accel_pool *pool, accel_stop_fn *stop, void *context)
{
    pool->give_up = stop;
    pool->give_up_context = context;
    pool->pieces = 0;
}

bool accel_pool_stopped(const struct accel_pool *pool)
{
    return pool != NULL && pool->give_up != NULL && pool->give_up(pool->give_up_context);
}

void accel_pool_expect(struct accel_pool *pool, double pieces)
{
    pool->pieces = pieces;
}

void accel_pool_free(struct accel_pool *pool)
{
    if (pool == NULL)
        return;
    atomic_store_explicit(&pool->stop, true, memory_order_release);
    announce(pool);
    for (unsigned i = 0; i < pool->started; i++)
        pthread_join(pool->workers[i].id, NULL);
    accel_free(pool->workers);
    accel_free(pool);
}

static void freep(struct accel_pool **pool)
{
    accel_pool_free(*pool);
}

int accel_pool_new(unsigned threads, struct accel_pool **out, struct accel_error *err)
{
    ACCEL_CLEANUP(freep) struct accel_pool *pool = NULL;
    sigset_t all, old;

    if (threads < 1 || threads > THREADS_MAX)
        return accel_fail(err, ACCEL_E_LIMIT, "%u threads: 1 to %d are possible", threads,
                          THREADS_MAX);
    pool = accel_aligned_alloc(64, sizeof(*pool));
    if (pool == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a thread pool");
    memset(pool, 0, sizeof(*pool));
    pool->threads = threads;
    /* With fewer CPUs than threads a spinning worker keeps a working one off its CPU. */
    pool->spin = threads <= accel_usable_cpus() ? SPIN_TURNS : 0;
    pool->workers = accel_calloc(threads - 1, sizeof(*pool->workers));
    if (pool->workers == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for %u threads", threads);

    /* Signals are for the threads that expect them. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = 0;
    for (unsigned i = 0; i + 1 < threads && rc == 0; i++) {
        pool->workers[i] = (struct worker){.pool = pool, .index = i + 1};
        rc = pthread_create(&pool->workers[i].id, NULL, worker_main, &pool->workers[i]);
        if (rc == 0)
            pool->started++;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0)
        return accel_fail(err, ACCEL_E_LIMIT, "thread %u of %u: %s", pool->started + 2, threads,
                          strerror(rc));
    *out = accel_steal(&pool);
    return ACCEL_OK;
}

unsigned accel_pool_threads(const struct accel_pool *pool)
{
    return pool != NULL ? pool->threads : 1;
}
