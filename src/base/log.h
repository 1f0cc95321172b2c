/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_BASE_LOG_H
#define ACCEL_BASE_LOG_H

/* One line per event on standard error, as key=value pairs that journald and people can read:
 *   <6>role=control request=req-7c1e... msg="device added" device=60c3... pci=0000:3b:00.0
 * Under systemd (JOURNAL_STREAM) a line begins with its sd-daemon priority, else with the time. */

#include "acceld/error.h"
#include "base/util.h"

enum accel_log_level {
    ACCEL_LOG_ERROR = 3,
    ACCEL_LOG_WARNING = 4,
    ACCEL_LOG_INFO = 6, /* for operators: one line per change of state */
    ACCEL_LOG_DEBUG = 7,
};

/* Call once, before threads: the role named in every line ("control"). */
void accel_log_init(const char *role, enum accel_log_level level);
void accel_log_set_level(enum accel_log_level level);
enum accel_log_level accel_log_get_level(void);
/* "error", "warning", "info", "debug"; false when it is none of them. */
bool accel_log_level_parse(const char *name, enum accel_log_level *level);
const char *accel_log_level_name(enum accel_log_level level);

/* The request id put into every line this thread logs from now on; NULL: none. Copied. */
void accel_log_set_request(const char *request_id);
const char *accel_log_request(void); /* "" when there is none */

/* `msg` is a constant sentence; the printf part gives further key=value pairs, "" for none:
 *   accel_log(ACCEL_LOG_INFO, "device added", "device=%s pci=%s", uuid, address);
 * Values with blanks are the caller's to quote: "%s" between \" and \", newlines are escaped here.
 */
ACCEL_PRINTF(3, 4)
void accel_log(enum accel_log_level level, const char *msg, const char *fmt, ...);

#define accel_log_error(...)   accel_log(ACCEL_LOG_ERROR, __VA_ARGS__)
#define accel_log_warning(...) accel_log(ACCEL_LOG_WARNING, __VA_ARGS__)
#define accel_log_info(...)    accel_log(ACCEL_LOG_INFO, __VA_ARGS__)
#define accel_log_debug(...)   accel_log(ACCEL_LOG_DEBUG, __VA_ARGS__)

#endif
