/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON of an inference request. What we write of the numbers we must read again. */
#include "rest/tensors.h"

#include "fuzz/fuzz.h"

static void read_input(struct accel_oip_input input)
{
    ACCEL_CLEANUP(accel_freep) uint8_t *to = accel_malloc(input.size_bytes);
    ACCEL_CLEANUP(accel_freep) uint8_t *again = accel_calloc(input.size_bytes, 1);
    ACCEL_CLEANUP(accel_buf_free) struct accel_buf out = {0};
    struct accel_error err;

    FUZZ_MUST(input.size_bytes == input.elements * accel_dtype_size(input.dtype));
    FUZZ_MUST(input.size_bytes == 0 || (to != NULL && again != NULL));
    if (accel_oip_read_data(&input, to, &err) != ACCEL_OK ||
        accel_oip_write_data(input.dtype, to, input.size_bytes, input.name, &out, &err) != ACCEL_OK)
        return;
    input.data = (const char *)out.data;
    input.data_size = out.size;
    FUZZ_MUST(accel_oip_read_data(&input, again, &err) == ACCEL_OK);
    FUZZ_MUST(input.size_bytes == 0 || memcmp(to, again, input.size_bytes) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_oip_request oip;
    struct accel_error err;

    if (accel_oip_parse((const char *)data, size, 4096, &mem, &oip, &err) != ACCEL_OK)
        return 0;
    for (size_t i = 0; i < oip.inputs_count; i++)
        if (!oip.inputs[i].binary && oip.inputs[i].size_bytes <= 1u << 20)
            read_input(oip.inputs[i]);
    return 0;
}
