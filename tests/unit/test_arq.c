/* SPDX-License-Identifier: Apache-2.0 */
#include "core/arq.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"

static struct accel_error err;

static void states_have_names(void)
{
    enum accel_arq_state state;

    ok(strcmp(accel_arq_state_name(ACCEL_ARQ_BIND_STARTED), "BindStarted") == 0, "BindStarted");
    ok(accel_arq_state_parse("UnbindFailed", &state) && state == ACCEL_ARQ_UNBIND_FAILED,
       "UnbindFailed");
    ok(!accel_arq_state_parse("bound", &state), "names have their case");
    ok(accel_arq_state_resolved(ACCEL_ARQ_BOUND) &&
           accel_arq_state_resolved(ACCEL_ARQ_BIND_FAILED) &&
           accel_arq_state_resolved(ACCEL_ARQ_DELETING),
       "Bound, BindFailed and Deleting are resolved");
    ok(!accel_arq_state_resolved(ACCEL_ARQ_INITIAL) &&
           !accel_arq_state_resolved(ACCEL_ARQ_BIND_STARTED) &&
           !accel_arq_state_resolved(ACCEL_ARQ_UNBOUND),
       "the others are not");
}

static void good_groups_are_rewritten(void)
{
    static const struct {
        const char *groups, *canonical;
        unsigned arqs;
    } good[] = {
        {"[{\"resources:FPGA\": \"1\", \"trait:CUSTOM_FAKE_DEVICE\": \"required\", "
         "\"accel:function_id\": \"3AFB\"}]",
         "[{\"resources:FPGA\": \"1\", \"trait:CUSTOM_FAKE_DEVICE\": \"required\", "
         "\"accel:function_id\": \"3AFB\"}]",
         1},
        {"[{\"resources:GPU\": 2}]", "[{\"resources:GPU\": \"2\"}]", 2},
        {"[{\"resources: CUSTOM_Q \": \"1\", \"accel:x\": 1}]",
         "[{\"accel:x\": \"1\", \"resources:CUSTOM_Q\": \"1\"}]", 1},
        {"[{\"trait: CUSTOM_A\": \"forbidden\", \"resources:PGPU\": \"1\"}]",
         "[{\"resources:PGPU\": \"1\", \"trait:CUSTOM_A\": \"forbidden\"}]", 1},
        {"[{}]", "[{}]", 0},
        {"[{\"accel:bitstream_id\": \"b\"}]", "[{\"accel:bitstream_id\": \"b\"}]", 0},
        {"[{\"resources:FPGA\": \" 3 \"}, {\"resources:VGPU\": \"+2\"}]",
         "[{\"resources:FPGA\": \" 3 \"}, {\"resources:VGPU\": \"+2\"}]", 5},
        {"[{\"resources:FPGA\": \"1\", \"resources:CUSTOM_QAT\": \"2\"}]",
         "[{\"resources:FPGA\": \"1\", \"resources:CUSTOM_QAT\": \"2\"}]", 3},
        {"[{\"resources:FPGA\": \"1\", \"trait:CUSTOM_FPGA_XILINX\": \"required\"}]",
         "[{\"resources:FPGA\": \"1\", \"trait:CUSTOM_FPGA_XILINX\": \"required\"}]", 2},
        {"[{\"resources:FPGA\": \"1\", \"trait:CUSTOM_FPGA_XILINX\": \"forbidden\"}]",
         "[{\"resources:FPGA\": \"1\", \"trait:CUSTOM_FPGA_XILINX\": \"forbidden\"}]", 1},
    };

    for (size_t i = 0; i < ACCEL_COUNT(good); i++) {
        ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
        const char *canonical = NULL;
        struct accel_profile_group *groups = NULL;
        size_t count = 0;
        unsigned arqs = 0;
        const int rc = accel_profile_parse(good[i].groups, &mem, &canonical, &groups, &count, &err);
        for (size_t g = 0; rc == ACCEL_OK && g < count; g++)
            arqs += groups[g].arqs;
        if (!ok(rc == ACCEL_OK && strcmp(canonical, good[i].canonical) == 0 && arqs == good[i].arqs,
                "%s makes %u ARQs", good[i].groups, arqs))
            printf("#   %s\n", rc == ACCEL_OK ? canonical : err.msg);
    }
}

static void groups_are_taken_apart(void)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_profile_group *groups = NULL;
    const char *canonical;
    size_t count = 0;

    ok(accel_profile_parse("[{\"resources:FPGA\": 1}, {\"resources:CUSTOM_NIC\": 2, "
                           "\"trait:CUSTOM_A\": \"required\", \"trait:CUSTOM_B\": \"forbidden\"}]",
                           &mem, &canonical, &groups, &count, &err) == ACCEL_OK &&
           count == 2,
       "two groups");
    const struct accel_profile_group *g = &groups[1];
    ok(g->resources_count == 1 && strcmp(g->resources[0].resource_class, "CUSTOM_NIC") == 0 &&
           g->resources[0].amount == 2 && g->required_count == 1 &&
           strcmp(g->required[0], "CUSTOM_A") == 0 && g->forbidden_count == 1 &&
           strcmp(g->forbidden[0], "CUSTOM_B") == 0 && g->arqs == 2,
       "the second asks for two NICs with A and without B");
}

static void bad_groups_are_refused(void)
{
    static const struct {
        const char *groups, *says;
    } bad[] = {
        {"", "groups"},
        {"{}", "array"},
        {"[]", "at least one"},
        {"[1]", "groups[0]"},
        {"[{}, []]", "groups[1]"},
        {"[{\"resources:FPGA\": \"1\"", "groups"},
        {"[{\"foo:bar\": \"1\"}]", "foo:bar"},
        {"[{\"resources1:FPGA\": \"1\"}]", "resources1:FPGA"},
        {"[{\"resources:PCPU\": \"1\"}]", "resources:PCPU"},
        {"[{\"resources:\": \"1\"}]", "resources:"},
        {"[{\"resources:FPGA\": \"x\"}]", "resources:FPGA"},
        {"[{\"resources:FPGA\": \"\"}]", "resources:FPGA"},
        {"[{\"resources:FPGA\": 0}]", "resources:FPGA"},
        {"[{\"resources:FPGA\": -1}]", "resources:FPGA"},
        {"[{\"resources:FPGA\": 1.5}]", "resources:FPGA"},
        {"[{\"resources:FPGA\": \"1x\"}]", "resources:FPGA"},
        {"[{\"resources:FPGA\": \"99999999999999999999\"}]", "resources:FPGA"},
        {"[{\"resources:FPGA\": null}]", "string or a number"},
        {"[{\"resources:FPGA\": true}]", "string or a number"},
        {"[{\"resources:FPGA\": 900}, {\"resources:GPU\": 900}]", "1800"},
        {"[{\"trait:HW_CPU\": \"required\"}]", "CUSTOM_"},
        {"[{\"trait:CUSTOM_A\": \"wanted\"}]", "wanted"},
        {"[{\"trait:CUSTOM_A\": {}}]", "trait:CUSTOM_A"},
        {"[{\"accel:x\": [1]}]", "accel:x"},
        {"[{\"resources:FPGA\": 1, \"resources: FPGA\": 1}]", "twice"},
        {"[{\"resources:FPGA\": 1, \"resources:FPGA\": 1}]", "groups"},
    };

    for (size_t i = 0; i < ACCEL_COUNT(bad); i++) {
        ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
        const char *canonical;
        struct accel_profile_group *groups;
        size_t count;
        err.msg[0] = '\0';
        ok(accel_profile_parse(bad[i].groups, &mem, &canonical, &groups, &count, &err) ==
                   ACCEL_E_INVALID &&
               strstr(err.msg, bad[i].says) != NULL,
           "%s: %s", bad[i].groups, err.msg);
    }
}

static void survives_every_failed_allocation(void)
{
    static const char text[] = "[{\"resources: FPGA\": 1, \"trait:CUSTOM_A\": \"required\"}]";

    for (long nth = 0;; nth++) {
        ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
        const char *canonical;
        struct accel_profile_group *groups;
        size_t count;
        accel_fault_arm(nth);
        const int rc = accel_profile_parse(text, &mem, &canonical, &groups, &count, &err);
        if (!accel_fault_disarm()) {
            ok(rc == ACCEL_OK && nth > 0, "with its memory it parses");
            return;
        }
        ok(rc == ACCEL_E_NOMEM, "allocation %ld failing is reported", nth);
    }
}

int main(void)
{
    states_have_names();
    good_groups_are_rewritten();
    groups_are_taken_apart();
    bad_groups_are_refused();
    survives_every_failed_allocation();
    return tap_done();
}
