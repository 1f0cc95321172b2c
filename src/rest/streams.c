/* SPDX-License-Identifier: Apache-2.0 */
#include "rest/streams.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "rest/request.h"

#define BATCH    256 /* events in a buffer at once */
#define RETRY_MS 1000

struct accel_stream {
    struct accel_stream *next, *previous; /* under the lock */
    struct accel_streams *streams;
    struct accel_stream_options options;

    /* Under the lock: who has the rest. */
    enum { READING, WAITING, FILLING } state;

    /* The reader's; the thread's while it is FILLING. */
    struct accel_buf buf;
    size_t sent;    /* of buf */
    int64_t cursor; /* all up to here is in buf or was */
    int64_t told;   /* the last id that the client knows */
    bool over;

    /* Written while FILLING, read by the thread alone. */
    int64_t seen; /* `newest` when the outbox was last read to its end; -1: never */
    int64_t beat_ms;
};

struct accel_streams {
    struct accel_store *store;
    int64_t heartbeat_ms;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct accel_stream *first;
    unsigned count;
    int64_t newest;
    bool poked, ending, quitting;
};

/* ---------------------------------------------------------------- words */

json_t *accel_event_to_json(const struct accel_event *event)
{
    json_t *json = json_object();

    if (accel_json_set(json, "sequence", json_integer(event->sequence)) &&
        accel_json_set(json, "node", accel_json_text(event->node)) &&
        accel_json_set(json, "at", accel_json_text(event->at)) &&
        accel_json_set(json, "kind", accel_json_text(event->kind)) &&
        accel_json_set(json, "subject", accel_json_text(event->subject)) &&
        accel_json_set(json, "project_id", accel_json_text(event->project_id)) &&
        accel_json_set(json, "data", accel_json_stored(event->data)))
        return json;
    json_decref(json);
    return NULL;
}

static int into_buf(const char *bytes, size_t size, void *buf)
{
    accel_buf_append(buf, bytes, size);
    return accel_buf_failed(buf) ? -1 : 0;
}

/* Takes `data` (NULL: out of memory). Compact JSON has no line break: one data line holds it. */
static int put(struct accel_buf *out, int64_t id, const char *kind, json_t *data,
               struct accel_error *err)
{
    accel_buf_printf(out, "id: %lld\nevent: %s\ndata: ", (long long)id, kind);
    const int failed = data == NULL || json_dump_callback(data, into_buf, out, JSON_COMPACT) != 0;
    json_decref(data);
    accel_buf_puts(out, "\n\n");
    if (failed || accel_buf_failed(out))
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for an event");
    return ACCEL_OK;
}

int accel_sse_event(struct accel_buf *out, const struct accel_event *event, struct accel_error *err)
{
    return put(out, event->sequence, event->kind, accel_event_to_json(event), err);
}

const char *accel_event_gap(int64_t after, int64_t oldest, int64_t newest, struct accel_bump *mem,
                            int64_t *resume)
{
    const char *text = NULL;

    *resume = after;
    if (after > newest) {
        *resume = newest;
        text = accel_bump_printf(mem,
                                 "the newest event is %lld: %lld was given by another database; "
                                 "read the state anew (GET /v2/inventory), then go on after %lld",
                                 (long long)newest, (long long)after, (long long)newest);
    } else if (after > 0 && after < oldest - 1) {
        *resume = oldest - 1;
        text =
            accel_bump_printf(mem,
                              "events %lld to %lld are no longer kept: read the state anew (GET "
                              "/v2/inventory), then go on after %lld",
                              (long long)after + 1, (long long)oldest - 1, (long long)oldest - 1);
    } else {
        return NULL;
    }
    return text != NULL ? text : "events are no longer kept: read the state anew";
}

/* ---------------------------------------------------------------- filling */

static int put_gap(struct accel_stream *s, int64_t oldest, int64_t newest, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    const int64_t after = s->cursor;
    const char *detail = accel_event_gap(after, oldest, newest, &mem, &s->cursor);

    if (detail == NULL)
        return ACCEL_OK;
    return put(&s->buf, s->cursor, "gap",
               json_pack("{s:I, s:I, s:s}", "after", (json_int_t)after, "resumed_after",
                         (json_int_t)s->cursor, "detail", detail),
               err);
}

static int put_events(struct accel_stream *s, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_store *store = s->streams->store;
    struct accel_event *events;
    int64_t oldest, newest;
    size_t count = 0;
    /* The span first: whatever was committed by then is in the list or was not asked for. */
    int rc = accel_store_event_span(store, &oldest, &newest, err);

    if (rc == ACCEL_OK)
        rc = put_gap(s, oldest, newest, err);
    if (rc == ACCEL_OK)
        rc = accel_store_list_events(store, s->cursor, BATCH, &s->options.filter, &mem, &events,
                                     &count, err);
    for (size_t i = 0; rc == ACCEL_OK && i < count; i++) {
        rc = accel_sse_event(&s->buf, &events[i], err);
        s->cursor = events[i].sequence;
    }
    if (rc == ACCEL_OK && count < BATCH) {
        s->cursor = ACCEL_MAX(s->cursor, newest);
        s->seen = newest;
    }
    if (s->buf.size > 0)
        s->told = s->cursor;
    return rc;
}

/* A comment; and, if events went by that this client had not asked for, the id to resume from: an
 * event without data is not dispatched, but its id is kept. */
static void put_heartbeat(struct accel_stream *s)
{
    accel_buf_puts(&s->buf, ": heartbeat\n");
    if (s->told != s->cursor)
        accel_buf_printf(&s->buf, "id: %lld\n", (long long)s->cursor);
    accel_buf_puts(&s->buf, "\n");
    s->told = s->cursor;
}

/* Without the lock: the stream is the thread's. True when there is something to read. */
static bool fill(struct accel_stream *s, int64_t now, bool ending, bool news)
{
    struct accel_error err;

    if (ending || atomic_load(s->options.cancelled)) {
        s->over = true;
        return true;
    }
    accel_buf_free(&s->buf);
    s->sent = 0;
    if (news && put_events(s, &err) != ACCEL_OK) {
        /* The client comes again with the last id that it has. */
        accel_log_warning("event stream ended", "why=\"%s\"", err.msg);
        s->over = true;
        return true;
    }
    if (s->buf.size == 0 && now >= s->beat_ms)
        put_heartbeat(s);
    if (s->buf.size == 0)
        return false;
    s->beat_ms = now + s->streams->heartbeat_ms;
    s->over = accel_buf_failed(&s->buf);
    return true;
}

/* Under the lock: the first that waits and has something to hear. */
static struct accel_stream *find_due(struct accel_streams *streams, int64_t now, bool *news)
{
    for (struct accel_stream *s = streams->first; s != NULL; s = s->next) {
        *news = streams->newest > s->seen;
        if (s->state == WAITING &&
            (streams->ending || atomic_load(s->options.cancelled) || *news || now >= s->beat_ms))
            return s;
    }
    return NULL;
}

static void wait_for_news(struct accel_streams *streams)
{
    int64_t until = INT64_MAX;

    for (const struct accel_stream *s = streams->first; s != NULL; s = s->next)
        if (s->state == WAITING)
            until = ACCEL_MIN(until, s->beat_ms);
    if (until == INT64_MAX) {
        pthread_cond_wait(&streams->wake, &streams->lock);
    } else {
        const struct timespec at = {until / 1000, until % 1000 * 1000000};
        pthread_cond_timedwait(&streams->wake, &streams->lock, &at);
    }
}

static void *run(void *context)
{
    struct accel_streams *streams = context;

    pthread_mutex_lock(&streams->lock);
    while (!streams->quitting) {
        const int64_t now = accel_now_ms();
        bool news;
        struct accel_stream *s = find_due(streams, now, &news);

        if (s == NULL) {
            if (!streams->poked)
                wait_for_news(streams);
            streams->poked = false;
            continue;
        }
        const bool ending = streams->ending;
        s->state = FILLING;
        pthread_mutex_unlock(&streams->lock);
        const bool something = fill(s, now, ending, news);
        pthread_mutex_lock(&streams->lock);
        s->state = something ? READING : WAITING;
        if (!something)
            continue;
        void (*wake)(void *) = s->options.wake;
        void *who = s->options.context;
        pthread_mutex_unlock(&streams->lock);
        /* From here on it may be read, and closed. */
        wake(who);
        pthread_mutex_lock(&streams->lock);
    }
    pthread_mutex_unlock(&streams->lock);
    return NULL;
}

/* ---------------------------------------------------------------- all streams */

static void on_commit(void *context, int64_t sequence)
{
    struct accel_streams *streams = context;

    pthread_mutex_lock(&streams->lock);
    streams->newest = ACCEL_MAX(streams->newest, sequence);
    streams->poked = true;
    pthread_cond_signal(&streams->wake);
    pthread_mutex_unlock(&streams->lock);
}

void accel_streams_poke(struct accel_streams *streams)
{
    pthread_mutex_lock(&streams->lock);
    streams->poked = true;
    pthread_cond_signal(&streams->wake);
    pthread_mutex_unlock(&streams->lock);
}

int accel_streams_new(struct accel_store *store, int64_t heartbeat_ms,
                      struct accel_streams **streams, struct accel_error *err)
{
    struct accel_streams *made = accel_calloc(1, sizeof(*made));
    pthread_condattr_t monotonic;

    if (made == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for event streams");
    made->store = store;
    made->heartbeat_ms = heartbeat_ms;
    pthread_mutex_init(&made->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&made->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    const int rc = pthread_create(&made->thread, NULL, run, made);
    if (rc != 0) {
        pthread_cond_destroy(&made->wake);
        pthread_mutex_destroy(&made->lock);
        accel_free(made);
        return accel_fail_errno(err, rc, "thread for event streams");
    }
    accel_store_on_commit(store, on_commit, made);
    *streams = made;
    return ACCEL_OK;
}

void accel_streams_end(struct accel_streams *streams)
{
    pthread_mutex_lock(&streams->lock);
    streams->ending = streams->poked = true;
    pthread_cond_signal(&streams->wake);
    pthread_mutex_unlock(&streams->lock);
}

void accel_streams_free(struct accel_streams *streams)
{
    if (streams == NULL)
        return;
    accel_store_on_commit(streams->store, NULL, NULL);
    pthread_mutex_lock(&streams->lock);
    streams->quitting = streams->poked = true;
    pthread_cond_signal(&streams->wake);
    pthread_mutex_unlock(&streams->lock);
    pthread_join(streams->thread, NULL);
    pthread_cond_destroy(&streams->wake);
    pthread_mutex_destroy(&streams->lock);
    accel_free(streams);
}

unsigned accel_streams_count(struct accel_streams *streams)
{
    pthread_mutex_lock(&streams->lock);
    const unsigned count = streams->count;
    pthread_mutex_unlock(&streams->lock);
    return count;
}

/* ---------------------------------------------------------------- one stream */

static int enlist(struct accel_streams *streams, struct accel_stream *s, struct accel_error *err)
{
    int rc = ACCEL_OK;

    pthread_mutex_lock(&streams->lock);
    if (streams->ending) {
        rc = accel_fail(err, ACCEL_E_UNAVAILABLE, "the daemon is stopping");
    } else if (streams->count >= s->options.max) {
        rc = accel_fail(err, ACCEL_E_BUSY,
                        "%u event streams are open (limits.event_streams): close one, or ask for a "
                        "page (?limit=100)",
                        streams->count);
    } else {
        s->next = streams->first;
        if (s->next != NULL)
            s->next->previous = s;
        streams->first = s;
        streams->count++;
    }
    pthread_mutex_unlock(&streams->lock);
    return rc;
}

int accel_stream_open(struct accel_streams *streams, const struct accel_stream_options *options,
                      struct accel_stream **stream, struct accel_error *err)
{
    struct accel_stream *made = accel_calloc(1, sizeof(*made));
    int rc = ACCEL_OK;

    if (made == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for an event stream");
    made->streams = streams;
    made->options = *options;
    made->state = READING;
    made->seen = -1;
    made->cursor = options->after;
    made->beat_ms = accel_now_ms() + streams->heartbeat_ms;
    if (options->after < 0)
        rc = accel_store_last_sequence(streams->store, &made->cursor, err);
    /* At once: the client sees that it is connected, and has an id to come again with. */
    accel_buf_printf(&made->buf, ": acceld events\nretry: %d\nid: %lld\n\n", RETRY_MS,
                     (long long)made->cursor);
    made->told = made->cursor;
    if (rc == ACCEL_OK && accel_buf_failed(&made->buf))
        rc = accel_fail(err, ACCEL_E_NOMEM, "no memory for an event stream");
    if (rc == ACCEL_OK)
        rc = enlist(streams, made, err);
    if (rc != ACCEL_OK) {
        accel_buf_free(&made->buf);
        accel_free(made);
        return rc;
    }
    *stream = made;
    return ACCEL_OK;
}

void accel_stream_close(struct accel_stream *stream)
{
    if (stream == NULL)
        return;
    struct accel_streams *streams = stream->streams;

    pthread_mutex_lock(&streams->lock);
    if (stream->previous != NULL)
        stream->previous->next = stream->next;
    else
        streams->first = stream->next;
    if (stream->next != NULL)
        stream->next->previous = stream->previous;
    streams->count--;
    pthread_mutex_unlock(&streams->lock);
    accel_buf_free(&stream->buf);
    accel_free(stream);
}

ssize_t accel_stream_read(struct accel_stream *stream, char *out, size_t size)
{
    const size_t n = ACCEL_MIN(size, stream->buf.size - stream->sent);

    if (stream->over)
        return -1;
    memcpy(out, stream->buf.data + stream->sent, n);
    stream->sent += n;
    return (ssize_t)n;
}

void accel_stream_wait(struct accel_stream *stream)
{
    struct accel_streams *streams = stream->streams;

    pthread_mutex_lock(&streams->lock);
    stream->state = WAITING;
    streams->poked = true;
    pthread_cond_signal(&streams->wake);
    pthread_mutex_unlock(&streams->lock);
}
