/* SPDX-License-Identifier: Apache-2.0 */
#include "core/uuid.h"

#include <string.h>

#include "tap.h"

static void names_have_the_uuid_that_python_gives(void)
{
    /* python3 -c 'import uuid; print(uuid.uuid3(uuid.NAMESPACE_DNS, NAME))' */
    static const struct {
        const char *name, *uuid;
    } known[] = {
        {"node1_FakeDevice", "137101d1-da0a-3605-bb96-cf956e5f5383"},
        {"python.org", "6fa459ea-ee8a-3ca4-894e-db77e160355e"},
        {"cn1_0000:81:00.0", "63e711de-6f99-37b5-a79a-698475897b61"},
        /* Around the length where MD5's padding needs a second block: 16 + 39, 40, 48 bytes. */
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "96cb729a-b665-38ba-b98f-a35a1d044728"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "13c085b8-0e53-35ed-bd46-f814ae2cd6cf"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "12adee6c-b187-318d-82d2-f934bf55422b"},
        {"\xc3\xa9t\xc3\xa9_FPGA", "2b1ff44c-8575-3b45-9925-8f4d1a87f808"},
    };
    struct accel_uuid uuid;
    struct accel_error err;

    for (size_t i = 0; i < ACCEL_COUNT(known); i++) {
        ok(accel_uuid_of_name(known[i].name, &uuid, &err) == ACCEL_OK &&
               strcmp(uuid.text, known[i].uuid) == 0,
           "%s is %s", known[i].name, uuid.text);
    }
    ok(accel_uuid_of_name("", &uuid, &err) == ACCEL_E_INVALID, "an empty name has none");
    ok(accel_uuid_of_name(NULL, &uuid, &err) == ACCEL_E_INVALID, "nor has no name");
}

static void new_ones_differ(void)
{
    struct accel_uuid a, b, parsed;
    struct accel_error err;

    ok(accel_uuid_new(&a, &err) == ACCEL_OK && accel_uuid_new(&b, &err) == ACCEL_OK,
       "two are made");
    ok(strcmp(a.text, b.text) != 0, "they differ");
    ok(strlen(a.text) == 36 && a.text[14] == '4' && strchr("89ab", a.text[19]) != NULL,
       "version 4, variant 1: %s", a.text);
    ok(accel_uuid_parse(a.text, &parsed) && strcmp(parsed.text, a.text) == 0,
       "it parses to itself");
}

static void parses_what_clients_write(void)
{
    static const char *const good[] = {"137101d1-da0a-3605-bb96-cf956e5f5383",
                                       "137101D1-DA0A-3605-BB96-CF956E5F5383",
                                       "137101d1da0a3605bb96cf956e5f5383"};
    static const char *const bad[] = {"",
                                      "node1",
                                      "137101d1-da0a-3605-bb96-cf956e5f538",
                                      "137101d1-da0a-3605-bb96-cf956e5f53830",
                                      "137101d1-da0a-3605-bb96-cf956e5f538g",
                                      "137101d1-da0a-3605-bb96cf-956e5f5383",
                                      "{37101d1-da0a-3605-bb96-cf956e5f538}",
                                      "137101d1da0a3605bb96cf956e5f53 3"};
    struct accel_uuid uuid;

    for (size_t i = 0; i < ACCEL_COUNT(good); i++)
        ok(accel_uuid_parse(good[i], &uuid) && strcmp(uuid.text, good[0]) == 0, "%s is one",
           good[i]);
    for (size_t i = 0; i < ACCEL_COUNT(bad); i++) {
        uuid.text[0] = 'x';
        ok(!accel_uuid_parse(bad[i], &uuid) && uuid.text[0] == 'x', "\"%s\" is none", bad[i]);
    }
    ok(!accel_uuid_parse(NULL, &uuid), "nothing is none");
}

int main(void)
{
    names_have_the_uuid_that_python_gives();
    new_ones_differ();
    parses_what_clients_write();
    return tap_done();
}
