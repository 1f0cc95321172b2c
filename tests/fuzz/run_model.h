/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FUZZ_RUN_MODEL_H
#define TESTS_FUZZ_RUN_MODEL_H

/* What fuzz_onnx and fuzz_packed do with a model that was taken. */

#include "acceld/infer.h"
#include "fuzz/fuzz.h"

#define RUN_INPUTS_MAX 16
#define RUN_BYTES_MAX  ((size_t)1 << 20)

static inline void run_limits(struct accel_load_options *options)
{
    accel_load_options_init(options);
    options->limits = (struct accel_limits){
        .model_bytes = 1u << 20,
        .nodes = 256,
        .nesting = 8,
        .arena_bytes = 4u << 20,
        .tensor_bytes = 1u << 20,
        .run_ms = 200,
    };
}

/* Runs it once on zeros, free dimensions as 1; a model with other inputs is let be. */
static inline void run_on_zeros(struct accel_model *model)
{
    const struct accel_session_options options = {.struct_size = sizeof(options), .threads = 1};
    const size_t inputs_count = accel_model_input_count(model);
    const size_t outputs_count = accel_model_output_count(model);
    struct accel_named_tensor inputs[RUN_INPUTS_MAX] = {0}, outputs[RUN_INPUTS_MAX] = {0};
    struct accel_session *session = NULL;
    struct accel_error err;
    size_t i;

    if (inputs_count > RUN_INPUTS_MAX || outputs_count > RUN_INPUTS_MAX)
        return;
    for (i = 0; i < outputs_count; i++)
        outputs[i].name = accel_model_output(model, i)->name;
    for (i = 0; i < inputs_count; i++) {
        const struct accel_tensor_info *info = accel_model_input(model, i);
        struct accel_tensor *t = &inputs[i].tensor;
        size_t bytes = accel_dtype_size(info->dtype);

        inputs[i].name = info->name;
        t->dtype = info->dtype;
        t->rank = info->rank;
        for (uint32_t d = 0; d < info->rank; d++) {
            t->dims[d] = info->dims[d] < 0 ? 1 : info->dims[d];
            if (__builtin_mul_overflow(bytes, (size_t)t->dims[d], &bytes))
                goto done;
        }
        if (accel_dtype_size(info->dtype) == 0 || bytes > RUN_BYTES_MAX)
            goto done;
        t->size_bytes = bytes;
        t->data = accel_calloc(bytes > 0 ? bytes : 1, 1);
        FUZZ_MUST(t->data != NULL);
    }
    if (accel_session_new(model, &options, &session, &err) == ACCEL_OK &&
        accel_session_run(session, inputs, inputs_count, outputs, outputs_count, &err) ==
            ACCEL_OK) {
        volatile uint8_t last = 0;

        for (i = 0; i < outputs_count; i++)
            for (size_t b = 0; b < outputs[i].tensor.size_bytes; b++)
                last ^= ((const uint8_t *)outputs[i].tensor.data)[b];
        (void)last;
    }
done:
    accel_session_free(session);
    for (i = 0; i < inputs_count; i++)
        accel_free(inputs[i].tensor.data);
}

#endif
