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
    options->values = true;
}

/* Zeros of the info's shape, free dimensions as 1; false: too large, or of no numbers. */
static inline bool zeros_of(const struct accel_tensor_info *info, struct accel_tensor *t)
{
    size_t bytes = accel_dtype_size(info->dtype);

    *t = (struct accel_tensor){.dtype = info->dtype, .rank = info->rank};
    for (uint32_t d = 0; d < info->rank; d++) {
        t->dims[d] = info->dims[d] < 0 ? 1 : info->dims[d];
        if (__builtin_mul_overflow(bytes, (size_t)t->dims[d], &bytes))
            return false;
    }
    if (accel_dtype_size(info->dtype) == 0 || bytes > RUN_BYTES_MAX)
        return false;
    t->size_bytes = bytes;
    t->data = accel_calloc(bytes > 0 ? bytes : 1, 1);
    FUZZ_MUST(t->data != NULL);
    return true;
}

static inline uint8_t bytes_of(const struct accel_tensor *t)
{
    uint8_t last = 0;

    for (size_t b = 0; b < t->size_bytes; b++)
        last ^= ((const uint8_t *)t->data)[b];
    return last;
}

/* Keys and values of three: what is a number as text, too. */
static inline void map_parts(enum accel_dtype keys, enum accel_dtype values,
                             struct accel_tensor parts[2])
{
    static const int64_t numbers[] = {2, 0, 1};
    static const char *const texts[] = {"2", "0", "1"};
    static const double zeros[3];

    for (int k = 0; k < 2; k++) {
        const enum accel_dtype dtype = k == 0 ? keys : values;
        const void *data = dtype == ACCEL_DTYPE_STRING  ? (const void *)texts
                           : dtype == ACCEL_DTYPE_INT64 ? (const void *)numbers
                                                        : (const void *)zeros;

        parts[k] = (struct accel_tensor){.dtype = dtype,
                                         .rank = 1,
                                         .dims = {3},
                                         .data = (void *)(uintptr_t)data,
                                         .size_bytes =
                                             3 * (dtype == ACCEL_DTYPE_FLOAT ? sizeof(float) : 8)};
    }
}

/* Runs it once on zeros: a sequence holds one tensor or map, an optional is absent. A model with
 * other inputs is let be. */
static inline void run_on_zeros(struct accel_model *model)
{
    const struct accel_session_options options = {.struct_size = sizeof(options), .threads = 1};
    const size_t inputs_count = accel_model_input_count(model);
    const size_t outputs_count = accel_model_output_count(model);
    struct accel_named_value inputs[RUN_INPUTS_MAX] = {0}, outputs[RUN_INPUTS_MAX] = {0};
    struct accel_tensor zeros[RUN_INPUTS_MAX] = {0}, maps[RUN_INPUTS_MAX][2];
    struct accel_session *session = NULL;
    struct accel_error err;
    bool good = inputs_count <= RUN_INPUTS_MAX && outputs_count <= RUN_INPUTS_MAX;
    size_t i;

    for (i = 0; good && i < outputs_count; i++)
        outputs[i].name = accel_model_output(model, i)->name;
    for (i = 0; good && i < inputs_count; i++) {
        const enum accel_value_kind kind = accel_model_input_kind(model, i);

        good = (kind & ACCEL_VALUE_MAP) != 0 || zeros_of(accel_model_input(model, i), &zeros[i]);
        inputs[i] = (struct accel_named_value){
            .name = accel_model_input(model, i)->name, .kind = kind, .tensor = zeros[i]};
        if ((kind & ACCEL_VALUE_OPTIONAL) != 0)
            inputs[i].kind = ACCEL_VALUE_OPTIONAL;
        if (kind == ACCEL_VALUE_SEQUENCE) {
            inputs[i].items = &zeros[i];
            inputs[i].count = 1;
        }
        if ((kind & ACCEL_VALUE_MAP) != 0) {
            map_parts(accel_model_input_keys(model, i), accel_model_input(model, i)->dtype,
                      maps[i]);
            inputs[i].items = maps[i];
            inputs[i].count = 2;
        }
    }
    if (good && accel_session_new(model, &options, &session, &err) == ACCEL_OK &&
        accel_session_run_values(session, inputs, inputs_count, outputs, outputs_count,
                                 sizeof(inputs[0]), &err) == ACCEL_OK) {
        volatile uint8_t last = 0;

        for (i = 0; i < outputs_count; i++) {
            if (outputs[i].kind == ACCEL_VALUE_TENSOR)
                last ^= bytes_of(&outputs[i].tensor);
            for (size_t k = 0; k < outputs[i].count; k++)
                last ^= bytes_of(&outputs[i].items[k]);
        }
        (void)last;
    }
    accel_session_free(session);
    for (i = 0; i < RUN_INPUTS_MAX; i++)
        accel_free(zeros[i].data);
}

#endif
