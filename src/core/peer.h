/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_CORE_PEER_H
#define ACCEL_CORE_PEER_H

/* The asking side of a channel to another process: many threads ask at once, one thread of the peer
 * reads the answers and wakes who waits for each. When the process at the other end dies, every
 * call under way fails with UNAVAILABLE and the reason. */

#include "core/ipc.h"

struct accel_peer;

/* News (id 0) from the other side; called on the reading thread, must not block. */
typedef void accel_peer_news_fn(void *context, struct accel_peer *peer,
                                struct accel_ipc_packet *packet);
/* Progress of one call; on the reading thread, must not block. */
typedef void accel_peer_progress_fn(void *context, double percent, const char *text);

/* Takes over `socket` in any case. `name` ("worker-cpu 1", "hardware pci") is for messages. */
int accel_peer_new(int socket, const char *name, accel_peer_news_fn *news, void *context,
                   struct accel_peer **peer, struct accel_error *err);
struct accel_peer *accel_peer_ref(struct accel_peer *peer);
void accel_peer_unref(struct accel_peer *peer);

/* Fails all calls under way and refuses new ones with `reason`; the socket is shut down. */
void accel_peer_down(struct accel_peer *peer, const char *reason);
bool accel_peer_is_down(const struct accel_peer *peer);
/* Calls under way. */
unsigned accel_peer_calls(const struct accel_peer *peer);

struct accel_call {
    Accel__Ipc__Message *request; /* the body is set; id and request_id are filled in here */
    const int *fds;
    size_t fds_count;
    int64_t deadline_ms;              /* from now; 0: none. Past it: TIMEOUT, and Cancel is sent */
    accel_peer_progress_fn *progress; /* or NULL */
    void *context;
    const _Atomic bool *cancelled; /* or NULL: when it turns true, Cancel is sent and the call ends
                                      as the other side answers; see accel_peer_poke */
    bool *sent; /* or NULL: true once the request is on its way. A call that failed with false has
                   never begun and may be asked of another process */
};

/* Sends the request and waits for its final answer, which is in *answer (free it in any case of
 * ACCEL_OK). An Error body becomes *err and its code. */
int accel_peer_call(struct accel_peer *peer, const struct accel_call *call,
                    struct accel_ipc_packet *answer, struct accel_error *err);
/* Wakes the calls under way to look at their `cancelled`. */
void accel_peer_poke(struct accel_peer *peer);
/* A message that is not answered. */
int accel_peer_tell(struct accel_peer *peer, Accel__Ipc__Message *message, const int *fds,
                    size_t fds_count, struct accel_error *err);

#endif
