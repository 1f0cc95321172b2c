/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/restart.h"

#include "tap.h"

static void delays_grow(void)
{
    static const int64_t want[] = {0, 1000, 2000, 4000, 8000, 16000, 30000, 30000};
    struct accel_restart r = {0};
    int64_t now = 1000000;
    unsigned right = 0;

    for (size_t i = 0; i < ACCEL_COUNT(want); i++) {
        const int64_t wait = accel_restart_after(&r, now);
        right += wait == want[i];
        now += wait + 100; /* it fails at once each time */
    }
    ok(right == ACCEL_COUNT(want), "0, 1, 2, 4, 8, 16, 30, 30 s when it fails at once");
}

static void a_minute_of_peace_forgives(void)
{
    struct accel_restart r = {0};

    ok(accel_restart_after(&r, 1000) == 0, "the first restart is immediate");
    ok(accel_restart_after(&r, 1000 + 59999) == 1000, "the second within 60 s waits");
    ok(accel_restart_after(&r, 1000 + 59999 + 1000 + 60000) == 0,
       "60 s after its restart it is the first again");
}

static void three_failures_in_ten_minutes(void)
{
    struct accel_restart r = {0};

    accel_restart_after(&r, 0);
    accel_restart_after(&r, 300000);
    ok(!accel_restart_too_often(&r), "two failures are not too often");
    accel_restart_after(&r, 600000);
    ok(accel_restart_too_often(&r), "the third in ten minutes is");
    accel_restart_after(&r, 900001);
    ok(!accel_restart_too_often(&r), "three in more than ten minutes are not");
}

int main(void)
{
    delays_grow();
    a_minute_of_peace_forgives();
    three_failures_in_ten_minutes();
    return tap_done();
}
