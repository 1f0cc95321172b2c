/* SPDX-License-Identifier: Apache-2.0 */
#include "rest/watch.h"

#include <errno.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"

#define SWEEP_MS 1000
#define WAKE_ID  0

struct accel_watch {
    pthread_mutex_t lock;
    pthread_t thread;
    struct accel_watched *first;
    void (*hung_up)(void *context); /* or NULL */
    void *context;
    uint64_t last_id;
    int epoll, wake;
    bool ending;
};

/* Under the lock. An entry may have gone between the event and us, so it is looked up. */
static struct accel_watched *find(struct accel_watch *watch, uint64_t id)
{
    struct accel_watched *it = watch->first;

    while (it != NULL && it->id != id)
        it = it->next;
    return it;
}

static void sweep(struct accel_watch *watch)
{
    const int64_t now = accel_now_ms();

    for (struct accel_watched *it = watch->first; it != NULL; it = it->next) {
        const int64_t deadline = atomic_load(&it->deadline_ms);

        if (deadline != 0 && now > deadline) {
            /* The event loop sees end of file and cleans up; closing here would race with it. */
            shutdown(it->fd, SHUT_RDWR);
            atomic_store(&it->deadline_ms, 0);
        }
    }
}

/* True when somebody waits for the one that is gone. */
static bool hang_up(struct accel_watched *it)
{
    it->hung_up = true;
    /* No byte more can come. This is an event of its own, so that the loop reads on to the end. */
    shutdown(it->fd, SHUT_RD);
    if (it->cancelled == NULL)
        return false;
    atomic_store(it->cancelled, true);
    return true;
}

static void *run(void *context)
{
    struct accel_watch *watch = context;
    struct epoll_event events[16];
    bool ending = false, any = false;

    while (!ending) {
        const int n = epoll_wait(watch->epoll, events, ACCEL_COUNT(events), any ? SWEEP_MS : -1);

        bool tell = false;

        pthread_mutex_lock(&watch->lock);
        for (int i = 0; i < n; i++) {
            struct accel_watched *it = find(watch, events[i].data.u64);
            uint64_t count;

            if (events[i].data.u64 == WAKE_ID)
                (void)!read(watch->wake, &count, sizeof(count));
            else if (it != NULL)
                tell |= hang_up(it);
        }
        sweep(watch);
        ending = watch->ending;
        any = watch->first != NULL;
        pthread_mutex_unlock(&watch->lock);
        if (tell && watch->hung_up != NULL)
            watch->hung_up(watch->context);
    }
    return NULL;
}

static void wake(struct accel_watch *watch)
{
    const uint64_t one = 1;

    (void)!write(watch->wake, &one, sizeof(one));
}

int accel_watch_new(void (*hung_up)(void *context), void *context, struct accel_watch **watch,
                    struct accel_error *err)
{
    ACCEL_CLEANUP(accel_freep) struct accel_watch *made = accel_calloc(1, sizeof(*made));
    ACCEL_CLEANUP(accel_closep) int epoll = epoll_create1(EPOLL_CLOEXEC);
    ACCEL_CLEANUP(accel_closep) int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event interest = {.events = EPOLLIN, .data.u64 = WAKE_ID};
    int rc;

    if (made == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to watch connections");
    if (epoll < 0 || event < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, event, &interest) != 0)
        return accel_fail_errno(err, errno, "watch of connections");
    pthread_mutex_init(&made->lock, NULL);
    made->hung_up = hung_up;
    made->context = context;
    made->epoll = epoll;
    made->wake = event;
    rc = pthread_create(&made->thread, NULL, run, made);
    if (rc != 0) {
        pthread_mutex_destroy(&made->lock);
        return accel_fail_errno(err, rc, "thread that watches connections");
    }
    accel_steal_fd(&epoll);
    accel_steal_fd(&event);
    *watch = accel_steal(&made);
    return ACCEL_OK;
}

void accel_watch_free(struct accel_watch *watch)
{
    if (watch == NULL)
        return;
    pthread_mutex_lock(&watch->lock);
    watch->ending = true;
    pthread_mutex_unlock(&watch->lock);
    wake(watch);
    pthread_join(watch->thread, NULL);
    pthread_mutex_destroy(&watch->lock);
    close(watch->epoll);
    close(watch->wake);
    accel_free(watch);
}

void accel_watch_add(struct accel_watch *watch, struct accel_watched *it)
{
    struct epoll_event interest = {.events = EPOLLRDHUP | EPOLLET};

    pthread_mutex_lock(&watch->lock);
    it->id = interest.data.u64 = ++watch->last_id;
    const bool was_empty = watch->first == NULL;
    it->cancelled = NULL;
    it->hung_up = false;
    it->previous = NULL;
    it->next = watch->first;
    if (it->next != NULL)
        it->next->previous = it;
    watch->first = it;
    /* Out of kernel memory for it: then only time-outs end this one. */
    (void)epoll_ctl(watch->epoll, EPOLL_CTL_ADD, it->fd, &interest);
    pthread_mutex_unlock(&watch->lock);
    if (was_empty)
        wake(watch);
}

void accel_watch_remove(struct accel_watch *watch, struct accel_watched *it)
{
    pthread_mutex_lock(&watch->lock);
    (void)epoll_ctl(watch->epoll, EPOLL_CTL_DEL, it->fd, NULL);
    if (it->previous != NULL)
        it->previous->next = it->next;
    else
        watch->first = it->next;
    if (it->next != NULL)
        it->next->previous = it->previous;
    pthread_mutex_unlock(&watch->lock);
}

void accel_watch_hangup(struct accel_watch *watch, struct accel_watched *it,
                        _Atomic bool *cancelled)
{
    pthread_mutex_lock(&watch->lock);
    it->cancelled = cancelled;
    if (cancelled != NULL && it->hung_up)
        atomic_store(cancelled, true);
    pthread_mutex_unlock(&watch->lock);
}
