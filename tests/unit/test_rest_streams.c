/* SPDX-License-Identifier: Apache-2.0 */
/* Event streams without a server: the outbox of a real store, read as libmicrohttpd would. */
#include "rest/streams.h"

#include <semaphore.h>

#include "store_fixture.h"

static struct accel_streams *streams;

/* Who sends a stream: woken by it. */
struct reader {
    struct accel_stream *stream;
    _Atomic bool cancelled;
    sem_t woken;
    char text[8192];
};

static void wake(void *context)
{
    sem_post(&((struct reader *)context)->woken);
}

static int open_reader(struct reader *r, int64_t after, const char *project, const char *kind,
                       unsigned max)
{
    const struct accel_stream_options options = {
        .after = after,
        .filter = {project, kind},
        .max = max,
        .cancelled = &r->cancelled,
        .wake = wake,
        .context = r,
    };

    r->stream = NULL;
    r->cancelled = false;
    sem_init(&r->woken, 0, 0);
    return accel_stream_open(streams, &options, &r->stream, &err);
}

/* Waits for what comes next; NULL: the stream is over. */
static const char *hear(struct reader *r)
{
    ssize_t n = accel_stream_read(r->stream, r->text, sizeof(r->text) - 1);

    while (n == 0) {
        accel_stream_wait(r->stream);
        while (sem_wait(&r->woken) != 0) {
        }
        n = accel_stream_read(r->stream, r->text, sizeof(r->text) - 1);
    }
    r->text[ACCEL_MAX(n, 0)] = '\0';
    return n < 0 ? NULL : r->text;
}

/* The same without the heartbeats in between. */
static const char *hear_event(struct reader *r)
{
    const char *text;

    do
        text = hear(r);
    while (text != NULL && text[0] == ':');
    return text;
}

static bool heard(const char *text, const char *what)
{
    if (text != NULL && strstr(text, what) != NULL)
        return true;
    printf("# heard: %s\n", text != NULL ? text : "(nothing)");
    return false;
}

static void add(struct accel_store *store, const char *kind, const char *project)
{
    if (accel_store_add_event(store, kind, "s", project, "{\"a\": \"b\\nc\"}", &err) != ACCEL_OK)
        printf("# event: %s\n", err.msg);
}

static void an_event_is_three_lines(void)
{
    const struct accel_event event = {7,   "n",  "2026-01-01T00:00:00.000000+00:00", "device.added",
                                      "s", NULL, "{\"text\": \"one\\ntwo\"}"};

    for (long nth = 0;; nth++) {
        ACCEL_CLEANUP(accel_buf_free) struct accel_buf out = {0};
        accel_fault_arm(nth);
        const int rc = accel_sse_event(&out, &event, &err);
        if (accel_fault_disarm()) {
            ok(rc == ACCEL_E_NOMEM, "reports that allocation %ld failed", nth);
            continue;
        }
        accel_buf_append(&out, "", 1);
        ok(rc == ACCEL_OK && strcmp(out.data, "id: 7\nevent: device.added\ndata: {\"sequence\":7,"
                                              "\"node\":\"n\","
                                              "\"at\":\"2026-01-01T00:00:00.000000+00:00\","
                                              "\"kind\":\"device.added\",\"subject\":\"s\","
                                              "\"project_id\":null,"
                                              "\"data\":{\"text\":\"one\\ntwo\"}}\n\n") == 0,
           "an event is id, event and one line of data");
        return;
    }
}

static void a_gap_is_told_with_its_cure(void)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    int64_t resume;

    ok(accel_event_gap(0, 500, 900, &mem, &resume) == NULL && resume == 0,
       "who saw nothing yet misses nothing");
    ok(accel_event_gap(499, 500, 900, &mem, &resume) == NULL && resume == 499,
       "the oldest follows what was seen");
    ok(heard(accel_event_gap(498, 500, 900, &mem, &resume), "events 499 to 499") && resume == 499,
       "one is missing");
    ok(accel_event_gap(900, 500, 900, &mem, &resume) == NULL, "nothing new is no gap");
    ok(heard(accel_event_gap(901, 500, 900, &mem, &resume), "another database") && resume == 900,
       "a number that was never given is of another database");
}

static void a_stream_tells_what_is_committed(void)
{
    struct accel_store *store = new_store();
    static struct reader all, live, other;

    fine(accel_streams_new(store, 20, &streams, &err), "streams");
    add(store, "device.added", NULL);
    add(store, "arq.bound", "p1");
    fine(open_reader(&all, 0, NULL, NULL, 3), "one of everything");
    fine(open_reader(&live, -1, NULL, "device.", 3), "one of devices, from now on");
    fine(open_reader(&other, 0, "p2", NULL, 3), "one of another project");
    ok(heard(hear(&all), "id: 0\n\n") && heard(hear(&live), "id: 2\n\n"),
       "the first words tell where it begins");
    ok(open_reader(&(struct reader){0}, 0, NULL, NULL, 3) == ACCEL_E_BUSY &&
           accel_streams_count(streams) == 3,
       "a fourth is one too many: %s", err.msg);
    const char *text = hear_event(&all);
    ok(heard(text, "id: 1\nevent: device.added\n") && heard(text, "id: 2\nevent: arq.bound\n"),
       "what was there comes first");
    text = hear_event(&other);
    ok(heard(text, "device.added") && strstr(text, "arq.bound") == NULL,
       "another project's events are not there");
    add(store, "arq.unbound", "p1");
    ok(heard(hear_event(&all), "id: 3\nevent: arq.unbound\n"), "news are heard");
    text = hear(&live);
    while (text != NULL && strstr(text, "id: 3\n") == NULL)
        text = hear(&live);
    ok(heard(text, ": heartbeat\nid: 3\n\n"),
       "a heartbeat says how far it is when others' events went by");
    ok(heard(hear(&live), ": heartbeat\n\n"), "and nothing more when none did");
    add(store, "device.gone", NULL);
    ok(heard(hear_event(&live), "id: 4\nevent: device.gone\n"), "the kind asked for is heard");
    all.cancelled = true;
    accel_streams_poke(streams);
    const char *end;
    do
        end = hear(&all);
    while (end != NULL);
    ok(end == NULL, "a stream whose client hung up is over");
    accel_stream_close(all.stream);
    accel_streams_end(streams);
    do
        end = hear(&live);
    while (end != NULL);
    do
        end = hear(&other);
    while (end != NULL);
    ok(end == NULL, "at the end all are over");
    ok(open_reader(&(struct reader){0}, 0, NULL, NULL, 9) == ACCEL_E_UNAVAILABLE,
       "and none is opened");
    accel_stream_close(live.stream);
    accel_stream_close(other.stream);
    accel_streams_free(streams);
    add(store, "x", NULL);
    ok(true, "a commit after it finds nobody");
    accel_store_close(store);
}

static void many_events_come_in_order(void)
{
    struct accel_store *store = new_store();
    static struct reader r;
    const int64_t many = 600; /* more than are read at once */
    int64_t next = 1;
    bool in_order = true;

    for (int64_t i = 0; i < many; i++)
        add(store, "fill", NULL);
    fine(accel_streams_new(store, 60000, &streams, &err), "streams");
    fine(open_reader(&r, 0, NULL, NULL, 1), "a stream from the first event on");
    char line[64] = "";
    size_t length = 0;
    while (next <= many) {
        const char *text = hear(&r);
        if (text == NULL)
            break;
        for (; *text != '\0'; text++) {
            if (*text != '\n') {
                if (length + 1 < sizeof(line))
                    line[length++] = *text;
                continue;
            }
            line[length] = '\0';
            length = 0;
            if (strncmp(line, "id: ", 4) == 0 && strcmp(line, "id: 0") != 0)
                in_order = in_order && atoll(line + 4) == next++;
        }
    }
    ok(in_order && next == many + 1, "%lld events come once each, in order", (long long)many);
    r.cancelled = true;
    accel_streams_poke(streams);
    while (hear(&r) != NULL) {
    }
    accel_stream_close(r.stream);
    accel_streams_free(streams);
    accel_store_close(store);
}

int main(void)
{
    an_event_is_three_lines();
    a_gap_is_told_with_its_cure();
    a_stream_tells_what_is_committed();
    many_events_come_in_order();
    remove_folder();
    return tap_done();
}
