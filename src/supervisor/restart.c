/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/restart.h"

#include <string.h>

#define FIRST_DELAY_MS 1000
#define MAX_DELAY_MS   30000
#define WINDOW_MS      60000

static int64_t delay_of(unsigned in_row)
{
    int64_t delay = FIRST_DELAY_MS;

    if (in_row <= 1)
        return 0;
    for (unsigned i = 2; i < in_row && delay < MAX_DELAY_MS; i++)
        delay *= 2;
    return ACCEL_MIN(delay, MAX_DELAY_MS);
}

int64_t accel_restart_after(struct accel_restart *restart, int64_t now_ms)
{
    /* The time it was waiting for its restart is not time it ran well. */
    if (restart->in_row > 0 &&
        now_ms - restart->failed_ms[0] - delay_of(restart->in_row) < WINDOW_MS)
        restart->in_row++;
    else
        restart->in_row = 1;
    memmove(&restart->failed_ms[1], &restart->failed_ms[0],
            sizeof(restart->failed_ms) - sizeof(restart->failed_ms[0]));
    restart->failed_ms[0] = now_ms;
    if (restart->failures < ACCEL_QUARANTINE_FAILURES)
        restart->failures++;
    return delay_of(restart->in_row);
}

bool accel_restart_too_often(const struct accel_restart *restart)
{
    return restart->failures == ACCEL_QUARANTINE_FAILURES &&
           restart->failed_ms[0] - restart->failed_ms[ACCEL_QUARANTINE_FAILURES - 1] <=
               ACCEL_QUARANTINE_WINDOW_MS;
}
