/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t read_clock(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t accel_now_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t accel_thread_ns(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

void accel_timestamp(char out[ACCEL_TIMESTAMP_SIZE])
{
    struct timespec now;
    struct tm utc;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    snprintf(out, ACCEL_TIMESTAMP_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d.%06ld+00:00",
             utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
             now.tv_nsec / 1000);
}
