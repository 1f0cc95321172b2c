/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_REST_WATCH_H
#define ACCEL_REST_WATCH_H

/* Sees what the event loop cannot: a client that sends so slowly that its connection never idles,
 * and one that hangs up while its request is suspended (libmicrohttpd reads no suspended socket).
 * One thread, asleep while there are no connections. */

#include <stdatomic.h>

#include "acceld/error.h"
#include "base/util.h"

struct accel_watched {
    struct accel_watched *next, *previous; /* the watch's */
    int fd;
    _Atomic int64_t deadline_ms; /* on accel_now_ms(); past it the socket is shut down; 0: none */
    _Atomic bool *cancelled;     /* set when the peer hangs up; see accel_watch_hangup */
};

struct accel_watch;

/* hung_up (or NULL) is called after somebody's `cancelled` was set, so that what waits sees it. */
int accel_watch_new(void (*hung_up)(void *context), void *context, struct accel_watch **watch,
                    struct accel_error *err);
void accel_watch_free(struct accel_watch *watch); /* nothing is watched any more; NULL is fine */
void accel_watch_add(struct accel_watch *watch, struct accel_watched *it);
void accel_watch_remove(struct accel_watch *watch, struct accel_watched *it);
/* From now on a hang-up sets *cancelled; NULL: no longer. */
void accel_watch_hangup(struct accel_watch *watch, struct accel_watched *it,
                        _Atomic bool *cancelled);

#endif
