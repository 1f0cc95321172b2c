/* SPDX-License-Identifier: Apache-2.0 */
/* acceld.yaml. */
#include "config/config.h"

#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct accel_config *config = NULL;
    struct accel_error err;

    if (accel_config_parse((const char *)data, size, "fuzz.yaml", &config, &err) != ACCEL_OK)
        return 0;
    for (size_t i = 0; accel_config_key(i) != NULL; i++) {
        char *value = accel_config_value(config, i);

        FUZZ_MUST(value != NULL);
        accel_free(value);
    }
    accel_config_free(config);
    return 0;
}
