/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_REST_POOL_H
#define ACCEL_REST_POOL_H

/* Threads that run what would hold up the event loop. First come, first served; threads start when
 * they are first needed. How much waits is bounded by limits.requests, not here. */

#include "acceld/error.h"

struct accel_task {
    struct accel_task *next; /* the pool's */
    void (*run)(struct accel_task *task);
};

struct accel_task_pool;

int accel_task_pool_new(unsigned threads_max, struct accel_task_pool **pool,
                        struct accel_error *err);
/* The task must live until it has run. Errors: UNAVAILABLE when not even one thread starts. */
int accel_task_pool_add(struct accel_task_pool *pool, struct accel_task *task,
                        struct accel_error *err);
/* Runs what is queued, then ends the threads. NULL is fine. */
void accel_task_pool_free(struct accel_task_pool *pool);

#endif
