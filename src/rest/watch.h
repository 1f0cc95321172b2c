/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_REST_WATCH_H
#define ACCEL_REST_WATCH_H

/* Sees what the event loop does not: a client that sends so slowly that its connection never idles,
 * one that hangs up while its request is suspended (libmicrohttpd reads no suspended socket), and
 * one that hangs up right behind its last bytes (libmicrohttpd 0.9.75 takes a short read for the
 * end of what there is and, being edge-triggered, never hears of the end of file that came along).
 * One thread, asleep while there are no connections. */

#include <stdatomic.h>

#include "acceld/error.h"
#include "base/util.h"

struct accel_watched {
    struct accel_watched *next, *previous; /* the watch's */
    int fd;
    uint64_t id;                 /* the watch's: descriptors are used again, this is not */
    _Atomic int64_t deadline_ms; /* on accel_now_ms(); past it the socket is shut down; 0: none */
    _Atomic bool *cancelled;     /* set when the peer hangs up; see accel_watch_hangup */
    bool hung_up;                /* the watch's */
};

struct accel_watch;

/* hung_up (or NULL) is called after somebody's `cancelled` was set, so that what waits sees it. */
int accel_watch_new(void (*hung_up)(void *context), void *context, struct accel_watch **watch,
                    struct accel_error *err);
void accel_watch_free(struct accel_watch *watch); /* nothing is watched any more; NULL is fine */
void accel_watch_add(struct accel_watch *watch, struct accel_watched *it);
void accel_watch_remove(struct accel_watch *watch, struct accel_watched *it);
/* From now on a hang-up sets *cancelled, at once if it was before; NULL: no longer. */
void accel_watch_hangup(struct accel_watch *watch, struct accel_watched *it,
                        _Atomic bool *cancelled);

#endif
