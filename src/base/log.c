/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define LINE_MAX_BYTES 2048

static char log_role[32] = "acceld";
static bool log_to_journal;
static _Atomic int log_level = ACCEL_LOG_INFO;
static _Thread_local char log_request[64];

static const struct {
    enum accel_log_level level;
    const char *name;
} levels[] = {
    {ACCEL_LOG_ERROR, "error"},
    {ACCEL_LOG_WARNING, "warning"},
    {ACCEL_LOG_INFO, "info"},
    {ACCEL_LOG_DEBUG, "debug"},
};

void accel_log_init(const char *role, enum accel_log_level level)
{
    snprintf(log_role, sizeof(log_role), "%s", role);
    log_to_journal = getenv("JOURNAL_STREAM") != NULL;
    accel_log_set_level(level);
}

void accel_log_set_level(enum accel_log_level level)
{
    atomic_store_explicit(&log_level, (int)level, memory_order_relaxed);
}

enum accel_log_level accel_log_get_level(void)
{
    return (enum accel_log_level)atomic_load_explicit(&log_level, memory_order_relaxed);
}

bool accel_log_level_parse(const char *name, enum accel_log_level *level)
{
    for (size_t i = 0; i < ACCEL_COUNT(levels); i++)
        if (strcmp(levels[i].name, name) == 0) {
            *level = levels[i].level;
            return true;
        }
    return false;
}

const char *accel_log_level_name(enum accel_log_level level)
{
    for (size_t i = 0; i < ACCEL_COUNT(levels); i++)
        if (levels[i].level == level)
            return levels[i].name;
    return "?";
}

void accel_log_set_request(const char *request_id)
{
    snprintf(log_request, sizeof(log_request), "%s", request_id != NULL ? request_id : "");
}

const char *accel_log_request(void)
{
    return log_request;
}

static size_t advance(size_t used, int wrote)
{
    if (wrote < 0)
        return used;
    return ACCEL_MIN(used + (size_t)wrote, (size_t)LINE_MAX_BYTES - 2);
}

void accel_log(enum accel_log_level level, const char *msg, const char *fmt, ...)
{
    char line[LINE_MAX_BYTES], now[ACCEL_TIMESTAMP_SIZE];
    size_t used = 0;
    va_list args;

    if (level > accel_log_get_level())
        return;
    if (log_to_journal) {
        used = advance(used, snprintf(line, sizeof(line), "<%d>", (int)level));
    } else {
        accel_timestamp(now);
        used = advance(used, snprintf(line, sizeof(line), "time=%s level=%s ", now,
                                      accel_log_level_name(level)));
    }
    used = advance(used, snprintf(line + used, sizeof(line) - used, "role=%s ", log_role));
    if (log_request[0] != '\0')
        used =
            advance(used, snprintf(line + used, sizeof(line) - used, "request=%s ", log_request));
    used = advance(used, snprintf(line + used, sizeof(line) - used, "msg=\"%s\"", msg));
    if (fmt[0] != '\0') {
        line[used++] = ' ';
        va_start(args, fmt);
        used = advance(used, vsnprintf(line + used, sizeof(line) - used, fmt, args));
        va_end(args);
    }
    /* What came from outside must not be able to begin a line of its own. */
    for (size_t i = 0; i < used; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = ' ';
    line[used++] = '\n';
    /* One write, so that lines of several processes on one descriptor do not mix. */
    if (write(STDERR_FILENO, line, used) < 0)
        return;
}
