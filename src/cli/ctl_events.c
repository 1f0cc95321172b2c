/* SPDX-License-Identifier: Apache-2.0 */
/* accelctl events: what happened; with --follow what happens, over lost connections too. */
#include "cli/ctl.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"

#define LAST       100
#define PAGE       1000
#define RETRY_MS   1000
#define LINE_BYTES (1u << 20) /* no event comes near */

static volatile sig_atomic_t ended;

static void on_signal(int number)
{
    (void)number;
    ended = 1;
}

/* ---------------------------------------------------------------- one event */

/* {"a": 1, "b": "x"} as a=1 b=x. */
static void print_data(const json_t *data)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)data, key, value) {
        if (json_is_string(value)) {
            printf(" %s=%s", key, json_string_value(value));
        } else {
            char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
            printf(" %s=%s", key, text != NULL ? text : "?");
            free(text);
        }
    }
}

/* One line each: a table cannot wait for its last row. */
static void print_event(const struct accel_ctl *ctl, const json_t *event)
{
    if (ctl->json) {
        json_dumpf(event, stdout, JSON_COMPACT);
    } else {
        printf("%8s  %.19s  %-20s %s", accel_ctl_text(event, "sequence"),
               accel_ctl_text(event, "at"), accel_ctl_text(event, "kind"),
               accel_ctl_text(event, "subject"));
        print_data(json_object_get(event, "data"));
    }
    printf("\n");
}

/* ---------------------------------------------------------------- pages */

/* Without --after: the newest ones. */
static int find_start(struct accel_ctl *ctl, long long *after, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_json_freep) json_t *answer = NULL;
    const int rc = accel_ctl_json(ctl, "GET", NULL, &answer, err, "/v2/events?limit=1");

    const long long oldest = json_integer_value(json_object_get(answer, "oldest"));
    const long long newest = json_integer_value(json_object_get(answer, "newest"));
    *after = ACCEL_MAX(ACCEL_MAX(newest - LAST, oldest - 1), 0);
    return rc;
}

static int list(struct accel_ctl *ctl, long long after, const char *kind, struct accel_error *err)
{
    size_t shown = PAGE;
    int rc = after < 0 ? find_start(ctl, &after, err) : ACCEL_OK;

    while (rc == ACCEL_OK && shown == PAGE) {
        ACCEL_CLEANUP(accel_json_freep) json_t *answer = NULL;
        const json_t *event;
        size_t i;

        rc = accel_ctl_json(ctl, "GET", NULL, &answer, err,
                            "/v2/events?limit=%d&after=%lld&kind=%s", PAGE, after, kind);
        json_array_foreach(json_object_get(answer, "events"), i, event) {
            print_event(ctl, event);
            after = json_integer_value(json_object_get(event, "sequence"));
        }
        shown = json_array_size(json_object_get(answer, "events"));
    }
    return rc;
}

/* ---------------------------------------------------------------- the stream */

struct follower {
    const struct accel_ctl *ctl;
    struct accel_buf line, data;
    char id[24], kind[80], last[24];
    bool connected;
};

static void end_event(struct follower *f)
{
    json_t *event = f->data.size > 0 ? json_loadb(f->data.data, f->data.size, 0, NULL) : NULL;

    if (f->id[0] != '\0')
        memcpy(f->last, f->id, sizeof(f->last));
    if (event != NULL && strcmp(f->kind, "gap") == 0)
        fprintf(stderr, "accelctl: %s\n", accel_ctl_text(event, "detail"));
    else if (event != NULL)
        print_event(f->ctl, event);
    json_decref(event);
    fflush(stdout);
    accel_buf_free(&f->data);
    f->kind[0] = f->id[0] = '\0';
}

static void take_line(struct follower *f, const char *line, size_t size)
{
    if (size == 0)
        end_event(f);
    else if (strncmp(line, "id: ", 4) == 0)
        snprintf(f->id, sizeof(f->id), "%s", line + 4);
    else if (strncmp(line, "event: ", 7) == 0)
        snprintf(f->kind, sizeof(f->kind), "%s", line + 7);
    else if (strncmp(line, "data: ", 6) == 0)
        accel_buf_append(&f->data, line + 6, size - 6);
}

static bool take(void *context, const char *bytes, size_t size)
{
    struct follower *f = context;

    f->connected = true;
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != '\n') {
            accel_buf_append(&f->line, &bytes[i], 1);
            continue;
        }
        accel_buf_append(&f->line, "", 1);
        if (accel_buf_failed(&f->line))
            return false;
        take_line(f, f->line.data, f->line.size - 1);
        f->line.size = 0;
        if (accel_buf_failed(&f->data) || ferror(stdout))
            return false;
    }
    return f->line.size < LINE_BYTES;
}

static int follow(struct accel_ctl *ctl, long long after, const char *kind, struct accel_error *err)
{
    const struct sigaction action = {.sa_handler = on_signal};
    struct follower f = {.ctl = ctl};
    char path[128];
    int rc;

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (after >= 0)
        snprintf(f.last, sizeof(f.last), "%lld", after);
    snprintf(path, sizeof(path), "/v2/events?kind=%s", kind);
    do {
        ACCEL_CLEANUP(accel_ctl_reply_free) struct accel_ctl_reply reply = {0};
        const struct accel_ctl_request request = {
            .method = "GET",
            .path = path,
            .take = take,
            .context = &f,
            .last_event_id = f.last[0] != '\0' ? f.last : NULL,
            .ended = &ended,
        };

        f.line.size = 0; /* of a connection that broke in the middle of a line */
        accel_buf_free(&f.data);
        f.kind[0] = f.id[0] = '\0';
        rc = accel_ctl_send(ctl, &request, &reply, err);
        if (accel_buf_failed(&f.line) || accel_buf_failed(&f.data)) {
            rc = accel_fail(err, ACCEL_E_NOMEM, "no memory for an event");
            break;
        }
        if (ferror(stdout))
            break;                   /* nobody reads it any more */
        if (f.connected && !ended) { /* a signal ends the pause */
            const struct timespec pause = {RETRY_MS / 1000, RETRY_MS % 1000 * 1000000L};
            nanosleep(&pause, NULL);
        }
        /* Ended by the daemon, or lost: it may be restarting. What it refuses is final. */
    } while (!ended && f.connected &&
             (rc == ACCEL_OK || rc == ACCEL_E_UNAVAILABLE || rc == ACCEL_E_BUSY));
    accel_buf_free(&f.line);
    accel_buf_free(&f.data);
    return ended ? ACCEL_OK : rc;
}

int accel_ctl_events(struct accel_ctl *ctl, int argc, char **argv, struct accel_error *err)
{
    const char *kind = "", *asked = NULL;
    bool follows = false;
    long long after = -1;
    char escaped[80];
    const struct accel_opt opts[] = {
        {"follow", 'f', ACCEL_OPT_FLAG, &follows, NULL, "go on with what happens, until Ctrl-C"},
        {"after", 'a', ACCEL_OPT_STRING, &asked, "N",
         "from behind this event on (the last 100; with --follow: only what comes)"},
        {"kind", 'k', ACCEL_OPT_STRING, &kind, "PREFIX",
         "kinds that begin so: device. or arq.bound"},
        {NULL, 0, ACCEL_OPT_FLAG, NULL, NULL, NULL},
    };
    int operands, rc = accel_ctl_options("events", opts, argc, argv, 0, 0, &operands, err);

    if (rc != ACCEL_OK)
        return rc;
    if (asked != NULL) {
        char *end;
        errno = 0;
        after = strtoll(asked, &end, 10);
        if (end == asked || *end != '\0' || after < 0 || errno != 0)
            return accel_fail(err, ACCEL_E_INVALID,
                              "--after: expected the sequence of an event, got \"%s\"", asked);
    }
    if (strlen(kind) * 3 >= sizeof(escaped))
        return accel_fail(err, ACCEL_E_INVALID, "--kind: that is too long");
    accel_ctl_escape(kind, escaped, sizeof(escaped));
    return follows ? follow(ctl, after, escaped, err) : list(ctl, after, escaped, err);
}
