/* SPDX-License-Identifier: Apache-2.0 */
/* A JSON body, and the groups of a device profile: what is canonical must be taken again. */
#include "core/arq.h"
#include "rest/request.h"

#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const known[] = {"name", "groups", "inputs", NULL};
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    ACCEL_CLEANUP(accel_freep) char *text = fuzz_text(data, size);
    struct accel_profile_group *groups;
    const char *canonical, *again;
    struct accel_error err;
    size_t count, count_again;
    json_t *json = accel_json_parse((const char *)data, size, ACCEL_JSON_DEPTH, &err);

    if (json != NULL) {
        (void)accel_json_check_object(json, "fuzz", known, &err);
        json_decref(json);
    }
    json_decref(accel_json_text(text));
    if (accel_profile_parse(text, &mem, &canonical, &groups, &count, &err) == ACCEL_OK) {
        FUZZ_MUST(accel_profile_parse(canonical, &mem, &again, &groups, &count_again, &err) ==
                  ACCEL_OK);
        FUZZ_MUST(count == count_again && strcmp(canonical, again) == 0);
    }
    return 0;
}
