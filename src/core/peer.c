/* SPDX-License-Identifier: Apache-2.0 */
#include "core/peer.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"

/* A dead process closes its channel a moment before the supervisor can say what killed it: calls
 * wait this long for the better reason. */
#define REASON_WAIT_MS 250
#define READER_STACK   (256 * 1024)

/* One call under way; on the caller's stack, in the peer's list. Guarded by the peer's lock. */
struct waiting {
    struct waiting *next;
    uint64_t id;
    pthread_cond_t wake;
    const struct accel_call *call;
    bool done;        /* `answer` is there */
    bool in_progress; /* the reader is inside call->progress: do not go away */
    struct accel_ipc_packet answer;
};

struct accel_peer {
    _Atomic unsigned refs;
    int socket;
    char name[64];
    accel_peer_news_fn *news;
    void *context;
    pthread_t reader;

    pthread_mutex_t lock;
    pthread_cond_t reason_known; /* `down` turned true */
    struct waiting *calls;
    unsigned calls_count;
    uint64_t last_id;
    bool ended;  /* the channel is closed: no new calls; the reason may still come */
    bool down;   /* the reason is final: calls under way fail */
    bool orphan; /* the last reference went on the reading thread, which frees the peer */
    char reason[ACCEL_ERROR_MSG_MAX];
};

static void cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attributes);
    pthread_condattr_destroy(&attributes);
}

static struct timespec at_ns(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

static void peer_destroy(struct accel_peer *peer)
{
    close(peer->socket);
    pthread_cond_destroy(&peer->reason_known);
    pthread_mutex_destroy(&peer->lock);
    accel_free(peer);
}

/* Lock held. */
static void wake_all(struct accel_peer *peer)
{
    for (struct waiting *w = peer->calls; w != NULL; w = w->next)
        pthread_cond_signal(&w->wake);
}

/* Lock held. The first reason stays. */
static void set_down(struct accel_peer *peer, const char *reason)
{
    peer->ended = true;
    if (!peer->down) {
        peer->down = true;
        snprintf(peer->reason, sizeof(peer->reason), "%s", reason);
    }
    pthread_cond_broadcast(&peer->reason_known);
    wake_all(peer);
}

/* Lock held. */
static struct waiting *find_call(struct accel_peer *peer, uint64_t id)
{
    for (struct waiting *w = peer->calls; w != NULL; w = w->next)
        if (w->id == id)
            return w;
    return NULL;
}

/* Gives the packet to the call it answers; one that answers none (its caller has given up) is
 * dropped with its descriptors. */
static void deliver(struct accel_peer *peer, struct accel_ipc_packet *packet)
{
    const Accel__Ipc__Message *m = packet->message;

    pthread_mutex_lock(&peer->lock);
    struct waiting *w = find_call(peer, m->id);
    if (w == NULL || w->done) {
        pthread_mutex_unlock(&peer->lock);
        return;
    }
    if (m->body_case == ACCEL__IPC__MESSAGE__BODY_PROGRESS) {
        if (w->call->progress != NULL) {
            w->in_progress = true;
            pthread_mutex_unlock(&peer->lock);
            w->call->progress(w->call->context, m->progress->percent, m->progress->text);
            pthread_mutex_lock(&peer->lock);
            w->in_progress = false;
            pthread_cond_signal(&w->wake);
        }
    } else {
        w->answer = *packet;
        *packet = (struct accel_ipc_packet){0};
        w->done = true;
        pthread_cond_signal(&w->wake);
    }
    pthread_mutex_unlock(&peer->lock);
}

/* The channel is closed: gives the supervisor a moment to say why. */
static void reader_ends(struct accel_peer *peer, const struct accel_error *why)
{
    const struct timespec until = at_ns(accel_now_ns() + REASON_WAIT_MS * (int64_t)1000000);

    pthread_mutex_lock(&peer->lock);
    peer->ended = true;
    if (why->code == ACCEL_E_UNAVAILABLE)
        while (!peer->down && peer->calls != NULL)
            if (pthread_cond_timedwait(&peer->reason_known, &peer->lock, &until) == ETIMEDOUT)
                break;
    set_down(peer, why->msg);
    pthread_mutex_unlock(&peer->lock);
    /* After damaged input nothing of this sender is worth reading: it sees its channel end. */
    shutdown(peer->socket, SHUT_RDWR);
}

static void *reader_main(void *context)
{
    struct accel_peer *peer = context;
    struct accel_ipc_packet packet;
    struct accel_error err;
    int rc;

    while ((rc = accel_ipc_receive(peer->socket, &packet, &err)) == ACCEL_OK) {
        if (packet.message->id != 0)
            deliver(peer, &packet);
        else if (peer->news != NULL)
            peer->news(peer->context, peer, &packet);
        accel_ipc_packet_free(&packet);
    }
    if (rc != ACCEL_E_UNAVAILABLE)
        accel_log_error("channel failed", "peer=\"%s\" error=\"%s\"", peer->name, err.msg);
    reader_ends(peer, &err);

    pthread_mutex_lock(&peer->lock);
    const bool orphan = peer->orphan;
    pthread_mutex_unlock(&peer->lock);
    if (orphan)
        peer_destroy(peer);
    return NULL;
}

int accel_peer_new(int socket, const char *name, accel_peer_news_fn *news, void *context,
                   struct accel_peer **peer, struct accel_error *err)
{
    struct accel_peer *made = accel_calloc(1, sizeof(*made));
    pthread_attr_t attributes;

    if (made == NULL) {
        accel_closep(&socket);
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for the channel to %s", name);
    }
    atomic_init(&made->refs, 1);
    made->socket = socket;
    snprintf(made->name, sizeof(made->name), "%s", name);
    made->news = news;
    made->context = context;
    pthread_mutex_init(&made->lock, NULL);
    cond_init(&made->reason_known);

    pthread_attr_init(&attributes);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    pthread_attr_setstacksize(&attributes, READER_STACK);
#endif
    /* The reader may look at peer->reader only after it was written: it never does. */
    const int rc = pthread_create(&made->reader, &attributes, reader_main, made);
    pthread_attr_destroy(&attributes);
    if (rc != 0) {
        peer_destroy(made);
        return accel_fail_errno(err, rc, "thread for the channel to %s", name);
    }
    *peer = made;
    return ACCEL_OK;
}

struct accel_peer *accel_peer_ref(struct accel_peer *peer)
{
    atomic_fetch_add_explicit(&peer->refs, 1, memory_order_relaxed);
    return peer;
}

void accel_peer_unref(struct accel_peer *peer)
{
    if (peer == NULL || atomic_fetch_sub_explicit(&peer->refs, 1, memory_order_acq_rel) != 1)
        return;
    accel_peer_down(peer, "the channel was closed");
    if (pthread_equal(pthread_self(), peer->reader)) {
        pthread_mutex_lock(&peer->lock);
        peer->orphan = true;
        pthread_detach(peer->reader);
        pthread_mutex_unlock(&peer->lock);
        return;
    }
    /* No callback runs any more when this returns: `context` may go. */
    pthread_join(peer->reader, NULL);
    peer_destroy(peer);
}

void accel_peer_down(struct accel_peer *peer, const char *reason)
{
    pthread_mutex_lock(&peer->lock);
    set_down(peer, reason);
    pthread_mutex_unlock(&peer->lock);
    shutdown(peer->socket, SHUT_RDWR);
}

bool accel_peer_is_down(const struct accel_peer *peer)
{
    struct accel_peer *p = (struct accel_peer *)peer; /* the lock is no part of what is asked */

    pthread_mutex_lock(&p->lock);
    const bool ended = p->ended;
    pthread_mutex_unlock(&p->lock);
    return ended;
}

unsigned accel_peer_calls(const struct accel_peer *peer)
{
    struct accel_peer *p = (struct accel_peer *)peer;

    pthread_mutex_lock(&p->lock);
    const unsigned count = p->calls_count;
    pthread_mutex_unlock(&p->lock);
    return count;
}

static int is_gone(const struct accel_peer *peer, struct accel_error *err)
{
    return accel_fail(err, ACCEL_E_UNAVAILABLE, "%s: %s", peer->name,
                      peer->reason[0] != '\0' ? peer->reason : "its channel has ended");
}

static int send_message(struct accel_peer *peer, Accel__Ipc__Message *message, uint64_t id,
                        const int *fds, size_t fds_count, struct accel_error *err)
{
    message->id = id;
    message->request_id = (char *)accel_log_request();
    if (accel_ipc_send(peer->socket, message, fds, fds_count, err) != ACCEL_OK)
        return accel_fail_in(err, "%s", peer->name);
    return ACCEL_OK;
}

static void send_cancel(struct accel_peer *peer, uint64_t id)
{
    Accel__Ipc__Cancel body = ACCEL__IPC__CANCEL__INIT;
    Accel__Ipc__Message message = ACCEL__IPC__MESSAGE__INIT;

    message.body_case = ACCEL__IPC__MESSAGE__BODY_CANCEL;
    message.cancel = &body;
    /* If it cannot be sent the channel is ending, which ends the call anyway. */
    (void)send_message(peer, &message, id, NULL, 0, NULL);
}

/* Lock held; returns with it held. Waits until the call is answered, the peer is down or the
 * deadline passes. */
static int wait_answer(struct accel_peer *peer, struct waiting *w, int64_t deadline_ns,
                       struct accel_error *err)
{
    const struct timespec until = at_ns(deadline_ns);
    bool cancel_sent = false, late = false;

    for (;;) {
        if (w->done)
            return ACCEL_OK;
        if (peer->down)
            return is_gone(peer, err);
        if (late)
            return accel_fail(err, ACCEL_E_TIMEOUT, "%s did not answer within %lld ms", peer->name,
                              (long long)w->call->deadline_ms);
        if (!cancel_sent && w->call->cancelled != NULL && atomic_load(w->call->cancelled)) {
            cancel_sent = true;
            pthread_mutex_unlock(&peer->lock); /* a send may wait for the reader at the far end */
            send_cancel(peer, w->id);
            pthread_mutex_lock(&peer->lock);
            continue;
        }
        if (deadline_ns == 0)
            pthread_cond_wait(&w->wake, &peer->lock);
        else if (pthread_cond_timedwait(&w->wake, &peer->lock, &until) == ETIMEDOUT)
            late = true;
    }
}

/* Lock held. */
static void forget(struct accel_peer *peer, struct waiting *w)
{
    struct waiting **slot = &peer->calls;

    while (w->in_progress)
        pthread_cond_wait(&w->wake, &peer->lock);
    while (*slot != w)
        slot = &(*slot)->next;
    *slot = w->next;
    peer->calls_count--;
}

int accel_peer_call(struct accel_peer *peer, const struct accel_call *call,
                    struct accel_ipc_packet *answer, struct accel_error *err)
{
    struct waiting w = {.call = call};
    const int64_t deadline_ns =
        call->deadline_ms > 0 ? accel_now_ns() + call->deadline_ms * 1000000 : 0;

    *answer = (struct accel_ipc_packet){0};
    if (call->sent != NULL)
        *call->sent = false;
    pthread_mutex_lock(&peer->lock);
    if (peer->ended) {
        const int gone = is_gone(peer, err);
        pthread_mutex_unlock(&peer->lock);
        return gone;
    }
    cond_init(&w.wake);
    w.id = ++peer->last_id;
    w.next = peer->calls;
    peer->calls = &w;
    peer->calls_count++;
    pthread_mutex_unlock(&peer->lock);

    int rc = send_message(peer, call->request, w.id, call->fds, call->fds_count, err);
    if (call->sent != NULL)
        *call->sent = rc == ACCEL_OK;

    pthread_mutex_lock(&peer->lock);
    if (rc == ACCEL_OK || rc == ACCEL_E_UNAVAILABLE) {
        /* The send failed because the process died: the reader will know the reason. */
        if (rc == ACCEL_E_UNAVAILABLE && !peer->ended) {
            pthread_mutex_unlock(&peer->lock);
            shutdown(peer->socket, SHUT_RDWR);
            pthread_mutex_lock(&peer->lock);
        }
        rc = wait_answer(peer, &w, deadline_ns, err);
    }
    forget(peer, &w);
    pthread_mutex_unlock(&peer->lock);
    pthread_cond_destroy(&w.wake);
    if (rc == ACCEL_E_TIMEOUT)
        send_cancel(peer, w.id);
    if (rc != ACCEL_OK) {
        /* An answer may have come between the deadline and the lock. */
        accel_ipc_packet_free(&w.answer);
        return rc;
    }
    if (w.answer.message->body_case == ACCEL__IPC__MESSAGE__BODY_ERROR) {
        rc = accel_ipc_to_error(w.answer.message->error, err);
        accel_ipc_packet_free(&w.answer);
        return rc;
    }
    *answer = w.answer;
    return ACCEL_OK;
}

void accel_peer_poke(struct accel_peer *peer)
{
    pthread_mutex_lock(&peer->lock);
    wake_all(peer);
    pthread_mutex_unlock(&peer->lock);
}

int accel_peer_tell(struct accel_peer *peer, Accel__Ipc__Message *message, const int *fds,
                    size_t fds_count, struct accel_error *err)
{
    if (accel_peer_is_down(peer)) {
        pthread_mutex_lock(&peer->lock);
        const int gone = is_gone(peer, err);
        pthread_mutex_unlock(&peer->lock);
        return gone;
    }
    return send_message(peer, message, 0, fds, fds_count, err);
}
