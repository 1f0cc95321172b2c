/* SPDX-License-Identifier: Apache-2.0 */
#include "rest/pool.h"

#include <pthread.h>
#include <string.h>

#include "base/mem.h"

struct accel_task_pool {
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct accel_task *first, **last;
    unsigned queued, idle, threads_count, threads_max;
    bool ending;
    pthread_t threads[];
};

static void *work(void *context)
{
    struct accel_task_pool *pool = context;

    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (pool->first == NULL && !pool->ending) {
            pool->idle++;
            pthread_cond_wait(&pool->work, &pool->lock);
            pool->idle--;
        }
        struct accel_task *task = pool->first;
        if (task == NULL)
            break;
        pool->first = task->next;
        if (pool->first == NULL)
            pool->last = &pool->first;
        pool->queued--;
        pthread_mutex_unlock(&pool->lock);
        task->run(task);
        pthread_mutex_lock(&pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

int accel_task_pool_new(unsigned threads_max, struct accel_task_pool **pool,
                        struct accel_error *err)
{
    struct accel_task_pool *made =
        accel_calloc(1, sizeof(*made) + threads_max * sizeof(made->threads[0]));

    if (made == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a pool of %u threads", threads_max);
    pthread_mutex_init(&made->lock, NULL);
    pthread_cond_init(&made->work, NULL);
    made->last = &made->first;
    made->threads_max = threads_max;
    *pool = made;
    return ACCEL_OK;
}

int accel_task_pool_add(struct accel_task_pool *pool, struct accel_task *task,
                        struct accel_error *err)
{
    int rc = 0;

    pthread_mutex_lock(&pool->lock);
    if (pool->queued + 1 > pool->idle && pool->threads_count < pool->threads_max) {
        rc = pthread_create(&pool->threads[pool->threads_count], NULL, work, pool);
        if (rc == 0)
            pool->threads_count++;
    }
    if (pool->threads_count == 0) {
        pthread_mutex_unlock(&pool->lock);
        return accel_fail(err, ACCEL_E_UNAVAILABLE, "cannot start a thread: %s", strerror(rc));
    }
    task->next = NULL;
    *pool->last = task;
    pool->last = &task->next;
    pool->queued++;
    pthread_cond_signal(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    return ACCEL_OK;
}

void accel_task_pool_free(struct accel_task_pool *pool)
{
    if (pool == NULL)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->ending = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->threads_count; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
    accel_free(pool);
}
