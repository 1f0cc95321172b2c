/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_REST_STREAMS_H
#define ACCEL_REST_STREAMS_H

/* Server-Sent Events out of the store's outbox. One thread serves all streams: it sleeps until the
 * store commits news or a heartbeat is due, fills the buffers of those streams that wait and wakes
 * who sends them. No stream holds a thread and no event loop reads the store. No MHD type: who
 * sends is told by a callback.
 *
 * What a stream says: "id:" the sequence, "event:" the kind, "data:" one line of JSON. Where events
 * that it should have had are no longer kept: "event: gap" with the cure. */

#include <stdatomic.h>
#include <sys/types.h>

#include <jansson.h>

#include "base/buf.h"
#include "store/store.h"

#define ACCEL_HEARTBEAT_MS 15000

struct accel_streams;
struct accel_stream;

/* Registers with accel_store_on_commit. heartbeat_ms: a stream without news says so. */
int accel_streams_new(struct accel_store *store, int64_t heartbeat_ms,
                      struct accel_streams **streams, struct accel_error *err);
/* All streams are closed. NULL is fine. */
void accel_streams_free(struct accel_streams *streams);
/* From now on every stream ends and none is opened. */
void accel_streams_end(struct accel_streams *streams);
/* Somebody's `cancelled` was set. Does not block. */
void accel_streams_poke(struct accel_streams *streams);
unsigned accel_streams_count(struct accel_streams *streams);

struct accel_stream_options {
    int64_t after;                    /* sequence of the last one seen; < 0: only what comes */
    struct accel_event_filter filter; /* strings live as long as the stream */
    unsigned max;                     /* streams at once */
    const _Atomic bool *cancelled;    /* the client hung up */
    void (*wake)(void *context);      /* there is something to read: once per accel_stream_wait */
    void *context;
};
/* Errors: BUSY (as many as may be), UNAVAILABLE (they are ending), NOMEM, those of the store. */
int accel_stream_open(struct accel_streams *streams, const struct accel_stream_options *options,
                      struct accel_stream **stream, struct accel_error *err);
/* Not while a wake is owed. NULL is fine. */
void accel_stream_close(struct accel_stream *stream);
/* Bytes put into `out`; 0: nothing now, call accel_stream_wait; -1: the stream is over. */
ssize_t accel_stream_read(struct accel_stream *stream, char *out, size_t size);
/* wake() is called once when there is something to read or the stream is over, maybe before this
 * returns; until then the stream must not be touched. */
void accel_stream_wait(struct accel_stream *stream);

/* Has the outbox let go of what follows `after`, or is that a number it never gave? Then NULL is
 * not the answer but a sentence with the cure, in `mem`. *resume (out): what can be gone on from.
 */
const char *accel_event_gap(int64_t after, int64_t oldest, int64_t newest, struct accel_bump *mem,
                            int64_t *resume);
/* {sequence, node, at, kind, subject, project_id, data}; NULL when memory is out. */
json_t *accel_event_to_json(const struct accel_event *event);
/* One event as a stream has it. Errors: NOMEM. */
int accel_sse_event(struct accel_buf *out, const struct accel_event *event,
                    struct accel_error *err);

#endif
