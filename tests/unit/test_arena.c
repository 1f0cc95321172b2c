/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/plan/arena.h"

#include "base/mem.h"
#include "tap.h"

#include <stdlib.h>

static bool overlaps(const struct accel_lifetime *life, const size_t *at, size_t i, size_t j)
{
    return life[i].first <= life[j].last && life[j].first <= life[i].last &&
           at[i] < at[j] + life[j].bytes && at[j] < at[i] + life[i].bytes;
}

static void never_overlaps(void)
{
    struct accel_lifetime life[200];
    size_t at[200], total, wrong = 0, past = 0, sum = 0;
    struct accel_error err;

    srand(7);
    for (size_t i = 0; i < 200; i++) {
        const uint32_t first = (uint32_t)(rand() % 100);

        life[i] = (struct accel_lifetime){.bytes = (size_t)(rand() % 5000),
                                          .first = first,
                                          .last = first + (uint32_t)(rand() % 10)};
        sum += life[i].bytes;
    }
    ok(accel_arena_place(life, 200, at, &total, &err) == ACCEL_OK, "places 200 buffers");
    for (size_t i = 0; i < 200; i++) {
        past += at[i] % 64 != 0 || at[i] + life[i].bytes > total;
        for (size_t j = 0; j < i; j++)
            wrong += overlaps(life, at, i, j);
    }
    ok(wrong == 0, "no two that live together overlap");
    ok(past == 0, "each is aligned and lies within the total");
    ok(total < sum / 4, "memory is used again: %zu of %zu bytes", total, sum);
}

static void survives_every_failed_allocation(void)
{
    const struct accel_lifetime life[] = {{256, 0, 2}, {64, 1, 1}, {128, 2, 3}};
    size_t at[3], total;
    struct accel_error err;

    for (long nth = 0;; nth++) {
        accel_fault_arm(nth);
        const int rc = accel_arena_place(life, 3, at, &total, &err);
        if (!accel_fault_disarm()) {
            ok(rc == ACCEL_OK && total == 384, "places three buffers in 384 bytes");
            return;
        }
        ok(rc == ACCEL_E_NOMEM, "reports that allocation %ld failed", nth);
    }
}

int main(void)
{
    const struct accel_lifetime huge[] = {{SIZE_MAX - 100, 0, 1}, {SIZE_MAX - 100, 0, 1}};
    size_t at[2], total = 1;
    struct accel_error err;

    never_overlaps();
    survives_every_failed_allocation();
    ok(accel_arena_place(huge, 2, at, &total, &err) == ACCEL_E_INVALID, "refuses what overflows");
    ok(accel_arena_place(NULL, 0, NULL, &total, &err) == ACCEL_OK && total == 0,
       "no buffers need no bytes");
    return tap_done();
}
