/* SPDX-License-Identifier: Apache-2.0 */
/* A .npy or a TensorProto: what is taken must be written and taken again. */
#include "cli/tensor_file.h"

#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct accel_owned_tensor t = {0}, again = {0};
    struct accel_error err;

    if (accel_tensor_from_npy(data, size, &t, &err) == ACCEL_OK) {
        ACCEL_CLEANUP(accel_buf_free) struct accel_buf out = {0};

        FUZZ_MUST(accel_tensor_to_npy(&t.tensor, &out, &err) == ACCEL_OK);
        FUZZ_MUST(accel_tensor_from_npy(out.data, out.size, &again, &err) == ACCEL_OK);
        FUZZ_MUST(t.tensor.size_bytes == again.tensor.size_bytes);
        FUZZ_MUST(t.tensor.size_bytes == 0 ||
                  memcmp(t.tensor.data, again.tensor.data, t.tensor.size_bytes) == 0);
        accel_owned_tensor_free(&again);
        accel_owned_tensor_free(&t);
    }
    if (accel_tensor_from_pb(data, size, &t, &err) == ACCEL_OK) {
        ACCEL_CLEANUP(accel_buf_free) struct accel_buf out = {0};
        size_t count;

        FUZZ_MUST(accel_tensor_count(&t.tensor, &count, &err) == ACCEL_OK);
        FUZZ_MUST(accel_tensor_to_pb(&t.tensor, t.name, &out, &err) == ACCEL_OK);
        FUZZ_MUST(accel_tensor_from_pb(out.data, out.size, &again, &err) == ACCEL_OK);
        FUZZ_MUST(t.tensor.size_bytes == again.tensor.size_bytes);
        accel_owned_tensor_free(&again);
        accel_owned_tensor_free(&t);
    }
    return 0;
}
