/* SPDX-License-Identifier: Apache-2.0 */
#include "match_fixture.h"

static struct accel_bump mem;

static struct accel_candidate *place(const struct accel_resource *resources, size_t count,
                                     const struct accel_constraints *constraints)
{
    struct accel_candidate *found = NULL;
    struct accel_error err = {0};

    ok(accel_match_place(&two, resources, count, constraints, &mem, &found, &err) == ACCEL_OK,
       "places %s", err.msg);
    return found;
}

static void every_resource_comes_back_once_in_order(void)
{
    struct accel_device broken = card, twin = card;
    struct accel_resource all[] = {on_host, on_card, on_card, on_card};

    broken.identity = "pci:0000:01:00.0";
    broken.health = "failed";
    twin.identity = "pci:0000:0a:00.0";
    all[1].device = &broken;
    all[3].device = &twin;
    const struct accel_candidate *c = place(all, 4, &(struct accel_constraints){0});
    ok(c[0].resource == &all[3] && c[1].resource == &all[2],
       "the fast ones come first, equals by identity");
    ok(c[2].resource == &all[0] && c[2].accepted && c[2].score > c[1].score, "then the slower one");
    ok(c[3].resource == &all[1] && !c[3].accepted, "then the refused one");

    const struct accel_resource turned[] = {all[3], all[2], all[1], all[0]};
    const struct accel_candidate *again = place(turned, 4, &(struct accel_constraints){0});
    bool same = true;
    for (size_t i = 0; i < 4; i++)
        same = same && again[i].resource->device == c[i].resource->device &&
               again[i].score == c[i].score;
    ok(same, "the order asked in does not matter");
}

static void objectives(void)
{
    const struct accel_fact host_facts[] = {
        FACT(ACCEL_FACT_POWER_LIMIT, 2, ACCEL_BASIS_REPORTED),
        FACT(ACCEL_FACT_PEAK_FP32, 1e11, ACCEL_BASIS_REPORTED),
    };
    struct accel_resource both[] = {on_card, on_host};
    struct accel_constraints c = {.objective = ACCEL_OBJECTIVE_THROUGHPUT};

    ok(place(both, 2, &c)[0].resource == &both[0], "throughput: the fast one");
    c.objective = ACCEL_OBJECTIVE_ENERGY;
    ok(place(both, 2, &c)[1].score == INFINITY, "unknown energy comes last");
    both[1].facts = host_facts;
    both[1].facts_count = 2;
    ok(place(both, 2, &c)[0].resource == &both[1], "energy: 15 mJ beat 60 mJ");
    c.objective = ACCEL_OBJECTIVE_COST;
    ok(place(both, 2, &c)[0].resource == &both[1], "cost: the least capable that will do");
    c.max_latency_s = 0.005;
    ok(place(both, 2, &c)[0].resource == &both[0], "which is another one when time is short");
}

static void refuses_nonsense(void)
{
    struct accel_candidate *found = NULL;
    struct accel_error err = {0};
    const struct accel_constraints c = {.precision = ACCEL_DTYPE_STRING};

    ok(accel_match_place(&two, &on_host, 1, &c, &mem, &found, &err) == ACCEL_E_INVALID, "%s",
       err.msg);
    ok(accel_match_place(&two, NULL, 0, &(struct accel_constraints){0}, &mem, &found, &err) ==
           ACCEL_OK,
       "a node without devices has no candidates");
}

int main(void)
{
    every_resource_comes_back_once_in_order();
    objectives();
    refuses_nonsense();
    accel_bump_free(&mem);
    return tap_done();
}
