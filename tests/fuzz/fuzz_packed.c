/* SPDX-License-Identifier: Apache-2.0 */
/* A packed model that is damaged, or that we never packed. */
#include "base/fd.h"
#include "fuzz/run_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct accel_load_options options;
    struct accel_model *model = NULL;
    ACCEL_CLEANUP(accel_closep) int fd = -1;
    struct accel_error err;

    run_limits(&options);
    FUZZ_MUST(accel_memfd_of("packed", data, size, &fd, &err) == ACCEL_OK);
    if (accel_model_open_packed(fd, &options, &model, &err) == ACCEL_OK) {
        run_on_zeros(model);
        accel_model_unref(model);
    }
    return 0;
}
