/* SPDX-License-Identifier: Apache-2.0 */
/* A .npy, a TensorProto or one of the messages of other values: what is taken must be written and
 * taken again. */
#include "cli/value_file.h"

#include "fuzz/fuzz.h"

static void read_value(const uint8_t *data, size_t size, enum accel_value_kind kind)
{
    ACCEL_CLEANUP(accel_owned_value_free) struct accel_owned_value v = {0}, again = {0};
    ACCEL_CLEANUP(accel_buf_free) struct accel_buf out = {0};
    struct accel_error err;

    if (accel_value_from_pb(data, size, kind, &v, &err) != ACCEL_OK)
        return;
    const struct accel_named_value named = accel_value_named(&v, v.name);
    FUZZ_MUST(accel_value_to_pb(&named, kind, &out, &err) == ACCEL_OK);
    FUZZ_MUST(accel_value_from_pb(out.data, out.size, kind, &again, &err) == ACCEL_OK);
    FUZZ_MUST(v.kind == again.kind && v.count == again.count);
    for (size_t i = 0; i < v.count; i++)
        FUZZ_MUST(v.tensors[i].size_bytes == again.tensors[i].size_bytes);
}

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
    for (unsigned kind = ACCEL_VALUE_SEQUENCE; kind <= (ACCEL_VALUE_MAP | ACCEL_VALUE_SEQUENCE);
         kind++)
        if (kind < ACCEL_VALUE_OTHER || kind >= ACCEL_VALUE_MAP)
            read_value(data, size, (enum accel_value_kind)kind);
    return 0;
}
