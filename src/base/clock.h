/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_BASE_CLOCK_H
#define ACCEL_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

/* Monotonic time, for deadlines and durations. */
int64_t accel_now_ns(void);
/* CPU time of the calling thread: what others take of the machine is not in it. */
int64_t accel_thread_ns(void);
static inline int64_t accel_now_ms(void)
{
    return accel_now_ns() / 1000000;
}

/* Wall-clock time as the wire has it: "2026-11-20T23:02:01.930572+00:00". */
#define ACCEL_TIMESTAMP_SIZE 100 /* 33 in our era; room for what the types could hold */
void accel_timestamp(char out[ACCEL_TIMESTAMP_SIZE]);

#endif
