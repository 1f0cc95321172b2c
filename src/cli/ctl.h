/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_CLI_CTL_H
#define ACCEL_CLI_CTL_H

/* accelctl: what its commands share. A command is a function over its operands that asks the daemon
 * over REST and prints a table, or with --json what the daemon answered. */

#include <jansson.h>
#include <signal.h>
#include <stdio.h>

#include "base/buf.h"
#include "cli/opts.h"

struct accel_ctl {
    const char *socket; /* unix socket; NULL: url is reached by TCP */
    const char *url;    /* "http://localhost", without a trailing slash */
    bool json, quiet;
    void *curl; /* one connection, reused */
};

/* Each runs one verb: argv[0..argc) is what follows the command's name on the command line. */
typedef int accel_ctl_command_fn(struct accel_ctl *ctl, int argc, char **argv,
                                 struct accel_error *err);
accel_ctl_command_fn accel_ctl_devices, accel_ctl_deployables, accel_ctl_drivers,
    accel_ctl_profiles, accel_ctl_arqs, accel_ctl_models, accel_ctl_place, accel_ctl_infer,
    accel_ctl_calibrate, accel_ctl_jobs, accel_ctl_health, accel_ctl_log_level, accel_ctl_events,
    accel_ctl_backup, accel_ctl_doctor;

/* A verb of a command: "accelctl devices show DEVICE". */
struct accel_ctl_verb {
    const char *name;     /* "list" is what a command without a verb does */
    const char *operands; /* "DEVICE", "NAME [VERSION]", "" */
    const char *help;
    accel_ctl_command_fn *run;
};
/* Finds argv[0] among the verbs (an array that ends with name NULL) and runs it; --help prints them
 * all. Errors: INVALID names the verbs there are. */
int accel_ctl_run_verb(struct accel_ctl *ctl, const char *command,
                       const struct accel_ctl_verb *verbs, int argc, char **argv,
                       struct accel_error *err);

/* Parses options and checks the number of operands, which argv begins with afterwards. With --help
 * it prints usage and returns ACCEL_E_CANCELLED with an empty message. opts NULL: none. */
int accel_ctl_options(const char *usage, const struct accel_opt *opts, int argc, char **argv,
                      int at_least, int at_most, int *operands, struct accel_error *err);

/* ---------------------------------------------------------------- HTTP */

struct accel_ctl_request {
    const char *method, *path; /* path with query, escaped */
    const json_t *body;        /* JSON, or NULL */
    const char *file;          /* sent as the body instead, streamed */
    const void *bytes;         /* or these */
    size_t bytes_count;
    size_t json_part; /* > 0: inference protocol, so much of `bytes` is JSON */
    bool progress;    /* a bar on a terminal when it takes over a second */
    const char *what; /* "upload squeezenet": named beside the bar */
    /* A stream of events: its bytes go here as they come; false ends it. One that says nothing for
     * longer than its heartbeats allow is given up. */
    bool (*take)(void *context, const char *bytes, size_t size);
    void *context;
    const char *last_event_id;          /* header to resume by, or NULL */
    const volatile sig_atomic_t *ended; /* by a signal: CANCELLED */
};

struct accel_ctl_reply {
    int status;
    struct accel_buf body;
    size_t json_part; /* Inference-Header-Content-Length of the answer, 0: all of it is JSON */
    char *location;   /* or NULL */
    json_t *json;     /* the JSON of the answer, or NULL */
};
void accel_ctl_reply_free(struct accel_ctl_reply *reply); /* fits ACCEL_CLEANUP */

/* Errors: UNAVAILABLE (nobody listens: says where and what to do), and every answer of 400 and
 * above by the daemon's own sentence with its code (404 NOT_FOUND, 409 CONFLICT, ...). */
int accel_ctl_send(struct accel_ctl *ctl, const struct accel_ctl_request *request,
                   struct accel_ctl_reply *reply, struct accel_error *err);
/* accel_ctl_send of a method and a formatted path; *json is a new reference, NULL when the answer
 * is empty. `body` is taken over. */
ACCEL_PRINTF(6, 7)
int accel_ctl_json(struct accel_ctl *ctl, const char *method, json_t *body, json_t **json,
                   struct accel_error *err, const char *path_fmt, ...);
/* Percent-encodes one path segment or query value into `out`, which is returned. */
const char *accel_ctl_escape(const char *text, char *out, size_t size);
/* For ACCEL_CLEANUP on json_t *. */
void accel_json_freep(json_t **json);

/* ---------------------------------------------------------------- output */

/* A table whose columns are as wide as what is in them. Cells are copied. */
#define ACCEL_TABLE_COLUMNS_MAX 16
struct accel_table;
struct accel_table *accel_table_new(const char *const *titles, size_t columns);
/* printf of one cell; rows fill from left to right. */
ACCEL_PRINTF(2, 3) void accel_table_cell(struct accel_table *table, const char *fmt, ...);
/* Numbers look better on the right. */
void accel_table_align_right(struct accel_table *table, size_t column);
void accel_table_print(struct accel_table *table, FILE *out);
void accel_table_free(struct accel_table **table); /* for ACCEL_CLEANUP */

/* How a column shows the member of a JSON object that it is of. */
enum accel_ctl_format {
    ACCEL_CTL_TEXT,   /* as accel_ctl_text() */
    ACCEL_CTL_NUMBER, /* the same, on the right */
    ACCEL_CTL_SHORT,  /* the first 8 characters: enough of a uuid to name it by */
    ACCEL_CTL_BYTES,
    ACCEL_CTL_PERCENT,
    ACCEL_CTL_MS, /* whole milliseconds */
};
struct accel_ctl_column {
    const char *title, *key;
    enum accel_ctl_format format;
};
/* answer[key], an array of objects, as a table with one row each; with --json the answer as it is.
 */
void accel_ctl_print_list(const struct accel_ctl *ctl, const json_t *answer, const char *key,
                          const struct accel_ctl_column *columns, size_t count);
/* The verb "list" of most commands: no operands, GET path, accel_ctl_print_list. */
int accel_ctl_list(struct accel_ctl *ctl, const char *usage, const char *path, const char *key,
                   const struct accel_ctl_column *columns, size_t count, int argc, char **argv,
                   struct accel_error *err);
/* The verb "show": one operand, GET path/operand, printed as JSON. */
int accel_ctl_show(struct accel_ctl *ctl, const char *usage, const char *path, int argc,
                   char **argv, struct accel_error *err);

/* A bar on standard error, when that is a terminal, from the second second on. */
struct accel_bar {
    int64_t begun_ms, drawn_ms;
    bool visible;
    const char *what;
};
void accel_bar_begin(struct accel_bar *bar, const char *what);
void accel_bar_update(struct accel_bar *bar, double percent, const char *text);
void accel_bar_end(struct accel_bar *bar);

/* Prints JSON, indented. */
void accel_ctl_print_json(const json_t *json);
/* The string, number or boolean at object[key] as text, "-" when absent or null; into a small
 * rotating buffer, good for one printf. */
const char *accel_ctl_text(const json_t *object, const char *key);
/* "1.5 GiB"; "12.3 ms": for people. */
const char *accel_ctl_bytes(double bytes);
const char *accel_ctl_seconds(double seconds);

/* The uuid of a device named by uuid, beginning of a uuid (8 digits or more), identity or PCI
 * address. Errors: NOT_FOUND lists what there is to name, CONFLICT when several match. */
int accel_ctl_find_device(struct accel_ctl *ctl, const char *name, char uuid[37],
                          struct accel_error *err);
/* Waits for a job, with its bar; *job is its last state. Errors: what the job failed with. */
int accel_ctl_wait_job(struct accel_ctl *ctl, const char *name, json_t **job,
                       struct accel_error *err);

#endif
