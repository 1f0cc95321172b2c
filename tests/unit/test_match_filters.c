/* SPDX-License-Identifier: Apache-2.0 */
#include "match_fixture.h"

static struct accel_candidate place_one(const struct accel_analysis *analysis,
                                        const struct accel_resource *resource,
                                        const struct accel_constraints *constraints)
{
    static struct accel_bump mem;
    struct accel_candidate *found = NULL;
    struct accel_error err = {0};

    accel_bump_free(&mem);
    if (!ok(accel_match_place(analysis, resource, 1, constraints, &mem, &found, &err) == ACCEL_OK,
            "one candidate comes back %s", err.msg))
        return (struct accel_candidate){0};
    return found[0];
}

static void refused(const struct accel_analysis *analysis, const struct accel_resource *resource,
                    const struct accel_constraints *constraints, const char *code,
                    const char *words)
{
    const struct accel_candidate c = place_one(analysis, resource, constraints);

    ok(!c.accepted && c.code != NULL && strcmp(c.code, code) == 0 &&
           strstr(c.reason, words) != NULL,
       "%s: %s", code, c.reason != NULL ? c.reason : "(accepted)");
}

static void by_state(void)
{
    const struct accel_constraints any = {0};
    struct accel_device device = card;
    struct accel_resource r = on_card;

    r.device = &device;
    ok(place_one(&two, &r, &any).accepted, "a healthy device is accepted");
    device.presence = ACCEL_GONE;
    refused(&two, &r, &any, "gone", "last scan");
    device = card;
    device.health = "failed";
    device.health_reason = "fell off the bus";
    refused(&two, &r, &any, "health", "fell off the bus");
    device.health = "degraded";
    ok(place_one(&two, &r, &any).accepted, "a degraded device still works");
    device = card;
    device.status = "maintaining";
    refused(&two, &r, &any, "maintenance", "operator");
    device = card;
    r.holder = "7c1e0000-0000-4000-8000-000000000000";
    refused(&two, &r, &any, "in-use", "ARQ 7c1e0000");
    const struct accel_constraints held = {.include_held = true};
    ok(place_one(&two, &r, &held).accepted, "unless held ones are asked for");
}

static void by_name_and_type(void)
{
    const char *const cpu[] = {"cpu:0"}, *const pci[] = {"0000:3B:00.0"},
                      *const uuid[] = {"22222222-2222-4222-8222-222222222222"},
                      *const types[] = {"CPU", "fpga"}, *const gpu[] = {"gpu"};
    struct accel_constraints c = {.devices = cpu, .devices_count = 1};

    refused(&two, &on_card, &c, "excluded", "not among");
    c.devices = pci;
    ok(place_one(&two, &on_card, &c).accepted, "named by PCI address, in capitals");
    c.devices = uuid;
    ok(place_one(&two, &on_card, &c).accepted, "named by uuid");
    c = (struct accel_constraints){.types = types, .types_count = 2};
    refused(&two, &on_card, &c, "type", "GPU");
    c = (struct accel_constraints){.types = gpu, .types_count = 1};
    ok(place_one(&two, &on_card, &c).accepted, "of a type asked for");
}

static void by_traits(void)
{
    const struct accel_deployable deps[] = {
        {.name = "a", .attributes_list = "[{\"rc\": \"PGPU\"}, {\"trait0\": \"CUSTOM_A\"}]"},
        {.name = "b",
         .attributes_list = "[{\"rc\": \"PGPU\"}, {\"trait0\": \"CUSTOM_A\"}, "
                            "{\"trait1\": \"CUSTOM_B\"}]"}};
    const char *const a[] = {"CUSTOM_A"}, *const both[] = {"CUSTOM_A", "CUSTOM_B"},
                      *const class[] = {"PGPU"};
    struct accel_resource r = on_card;
    struct accel_constraints c = {.required_traits = both, .required_count = 2};

    r.deployables = deps;
    r.deployables_count = 1;
    refused(&two, &r, &c, "traits", "lacks the required trait CUSTOM_B");
    r.deployables_count = 2;
    ok(place_one(&two, &r, &c).accepted, "one of its deployables has both");
    c.required_traits = class;
    c.required_count = 1;
    refused(&two, &r, &c, "traits", "PGPU"); /* a resource class is no trait */
    c = (struct accel_constraints){.forbidden_traits = a, .forbidden_count = 1};
    refused(&two, &r, &c, "traits", "forbidden trait CUSTOM_A");
    ok(place_one(&two, &on_card, &c).accepted, "no deployable has no forbidden trait");
    c = (struct accel_constraints){.required_traits = a, .required_count = 1};
    refused(&two, &on_card, &c, "traits", "no deployable");
}

static void by_figures(void)
{
    struct accel_analysis big = two;
    struct accel_constraints c = {.max_memory_bytes = 1048576};

    big.weights_bytes = (size_t)12 << 30;
    refused(&big, &on_card, &(struct accel_constraints){0}, "memory",
            "needs 12.0 GiB, has 7.5 GiB");
    refused(&two, &on_card, &c, "memory", "at most 1.0 MiB was asked for");
    c = (struct accel_constraints){.max_latency_s = 0.001};
    refused(&two, &on_host, &c, "latency", "would take 10.11 ms, at most 1.00 ms");
    ok(place_one(&two, &on_host, &c).prediction.latency_s > 0.01,
       "a refused one has its prediction too");
    c = (struct accel_constraints){.max_power_w = 150};
    refused(&two, &on_card, &c, "power", "200 W, at most 150 W");
    refused(&two, &on_host, &c, "power", "not known");
    refused(&two, &(struct accel_resource){.device = &card}, &(struct accel_constraints){0},
            "unknown-rate", "neither");
}

static void by_what_the_core_can_do(void)
{
    struct accel_op_analysis ops[] = {CONV(1e9, 4e6), MOVE(1e6)};
    struct accel_analysis foreign = two;
    struct accel_constraints c = {.runnable_only = true};

    refused(&two, &on_card, &c, "not-runnable", "predicted only");
    ok(place_one(&two, &on_host, &c).accepted && place_one(&two, &on_host, &c).runnable,
       "the core runs on the host");
    ops[1].op = "Einsum";
    ops[1].unsupported = "no such operator";
    foreign.ops = ops;
    foreign.runnable = false;
    refused(&foreign, &on_host, &(struct accel_constraints){0}, "operators",
            "1 of 2 operators, first m (Einsum): no such operator");
    const struct accel_candidate other =
        place_one(&foreign, &on_card, &(struct accel_constraints){0});
    ok(other.accepted && !other.runnable, "another device may run it with software of its own");
    c = (struct accel_constraints){.precision = ACCEL_DTYPE_BFLOAT16};
    refused(&two, &on_card, &c, "precision", "bf16");
    refused(&two, &on_host, &c, "precision", "bf16");
    c.precision = ACCEL_DTYPE_FLOAT;
    ok(place_one(&two, &on_host, &c).accepted, "the core computes in fp32 wherever it runs");
}

static void survives_every_failed_allocation(const struct accel_resource *resource)
{
    const struct accel_constraints c = {.max_power_w = 150, .max_latency_s = 1e-9};

    for (long nth = 0;; nth++) {
        ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
        struct accel_candidate *found = NULL;
        struct accel_error err = {0};

        accel_fault_arm(nth);
        const int rc = accel_match_place(&two, resource, 1, &c, &mem, &found, &err);
        if (!accel_fault_disarm()) {
            ok(rc == ACCEL_OK && !found[0].accepted, "places once memory suffices");
            return;
        }
        ok(rc == ACCEL_E_NOMEM, "reports that allocation %ld failed", nth);
    }
}

int main(void)
{
    by_state();
    by_name_and_type();
    by_traits();
    by_figures();
    by_what_the_core_can_do();
    survives_every_failed_allocation(&on_card);
    survives_every_failed_allocation(&on_host);
    return tap_done();
}
