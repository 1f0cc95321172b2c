/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_BASE_POOL_H
#define ACCEL_BASE_POOL_H

/* Threads that split one piece of work at a time: the inference core's parallel for. */

#include "acceld/error.h"
#include "base/util.h"

struct accel_pool;

/* threads counts the caller, who works too: 1 starts no thread. Errors: NOMEM, LIMIT. */
int accel_pool_new(unsigned threads, struct accel_pool **pool, struct accel_error *err);
void accel_pool_free(struct accel_pool *pool);
unsigned accel_pool_threads(const struct accel_pool *pool);

/* Calls fn(context, begin, end, thread) for disjoint ranges that cover 0..count, each a multiple
 * of `grain` long but for the last; returns when all are done. thread < threads: for scratch
 * memory per thread. One caller at a time; fn must not call it again. pool NULL: runs it all here,
 * as thread 0. */
typedef void accel_range_fn(void *context, size_t begin, size_t end, unsigned thread);
void accel_pool_run(struct accel_pool *pool, size_t count, size_t grain, accel_range_fn *fn,
                    void *context);

/* Work that may be given up. `stop` is asked, by any thread, whether it shall be; once it says yes
 * it says so until the caller has seen it. NULL: never. Set while nothing runs. */
typedef bool accel_stop_fn(void *context);
void accel_pool_watch(struct accel_pool *pool, accel_stop_fn *stop, void *context);
/* Is it given up? For loops that go on for long, once in some microseconds. NULL: no. */
bool accel_pool_stopped(const struct accel_pool *pool);
/* How much there is to do in the jobs that follow, in pieces after which it is time to ask. */
void accel_pool_expect(struct accel_pool *pool, double pieces);
/* As accel_pool_run, but asks between so many pieces, and when it is given up leaves the rest of
 * 0..count undone: for results that nothing before the caller's next look may be led by. */
void accel_pool_run_long(struct accel_pool *pool, size_t count, size_t grain, accel_range_fn *fn,
                         void *context);

/* CPUs this process may use: its affinity mask cut down to the cgroup's cpu.max quota, rounded up;
 * at least 1. */
unsigned accel_usable_cpus(void);
/* The cgroup's part of it, version 1 or 2, from proc and sys below `root` ("": the real ones);
 * UINT_MAX: no limit. */
unsigned accel_cgroup_cpus(const char *root);

#endif
