/* SPDX-License-Identifier: Apache-2.0 */
/* An .onnx or a tar as a client uploads it: analysed, loaded, run, packed, opened, run again. */
#include "base/fd.h"
#include "fuzz/run_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct accel_load_options options;
    struct accel_analysis *analysis = NULL;
    struct accel_model *model = NULL, *packed = NULL;
    ACCEL_CLEANUP(accel_closep) int fd = -1;
    struct accel_error err;

    run_limits(&options);
    if (accel_analyse_bundle(data, size, &options, &analysis, &err) == ACCEL_OK)
        accel_analysis_free(analysis);
    if (accel_model_load_bundle(data, size, &options, &model, &err) != ACCEL_OK)
        return 0;
    run_on_zeros(model);
    FUZZ_MUST(accel_memfd_new("packed", 0, &fd, &err) == ACCEL_OK);
    if (accel_model_pack(model, fd, &err) == ACCEL_OK && accel_memfd_seal(fd, &err) == ACCEL_OK &&
        accel_model_open_packed(fd, &options, &packed, &err) == ACCEL_OK) {
        run_on_zeros(packed);
        accel_model_unref(packed);
    }
    accel_model_unref(model);
    return 0;
}
