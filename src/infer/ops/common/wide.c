/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/ops/wide.h"

static bool is_half(enum accel_dtype dtype)
{
    return accel_wide_dtype(dtype) != dtype;
}

static size_t padded(size_t bytes)
{
    return ACCEL_ROUND_UP(bytes, ACCEL_KERNEL_ALIGN);
}

/* Types as the operator sees them: wide[i] stands for a half types[i]. Adds the copies' bytes. */
static bool widen_types(const struct accel_type *const *types, size_t count,
                        struct accel_type *wide, const struct accel_type **seen, size_t *bytes)
{
    for (size_t i = 0; i < count; i++) {
        size_t own;

        seen[i] = types[i];
        if (types[i] == NULL || !is_half(types[i]->dtype))
            continue;
        wide[i] = *types[i];
        wide[i].dtype = ACCEL_DTYPE_FLOAT;
        wide[i].data = NULL; /* its bytes are halves */
        seen[i] = &wide[i];
        if (!accel_shape_bytes(&wide[i].shape, ACCEL_DTYPE_FLOAT, &own) ||
            own > SIZE_MAX / 2 - ACCEL_KERNEL_ALIGN ||
            __builtin_add_overflow(*bytes, padded(own), bytes))
            return false;
    }
    return true;
}

int accel_wide_prepare(struct accel_prepare *prep, accel_prepare_fn *inner, struct accel_error *err)
{
    const struct accel_node *n = prep->node;
    struct accel_type in[ACCEL_OP_INPUTS_MAX], out[ACCEL_OP_OUTPUTS];
    const struct accel_type *in_seen[ACCEL_OP_INPUTS_MAX] = {0}, *out_seen[ACCEL_OP_OUTPUTS] = {0};
    struct accel_prepare wide = *prep;
    size_t copies = 0;
    int rc = ACCEL_OK;

    if (n->inputs_count > ACCEL_OP_INPUTS_MAX || n->outputs_count > ACCEL_OP_OUTPUTS)
        return accel_fail(err, ACCEL_E_INTERNAL, "more arguments than its table has");
    if (!widen_types(prep->in, n->inputs_count, in, in_seen, &copies) ||
        !widen_types(prep->out, n->outputs_count, out, out_seen, &copies))
        return accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
    wide.in = in_seen;
    wide.out = out_seen;
    if (inner != NULL)
        rc = inner(&wide, err);
    prep->state = wide.state;
    if (rc == ACCEL_OK && __builtin_add_overflow(copies, wide.scratch_bytes, &prep->scratch_bytes))
        rc = accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
    return rc;
}

/* Tensors as the operator sees them, copies placed from *scratch on. */
static void widen_tensors(struct accel_tensor *const *tensors, size_t count,
                          struct accel_tensor *wide, struct accel_tensor **seen, char **scratch)
{
    for (size_t i = 0; i < count; i++) {
        seen[i] = tensors[i];
        if (tensors[i] == NULL || !is_half(tensors[i]->dtype))
            continue;
        wide[i] = *tensors[i];
        wide[i].dtype = ACCEL_DTYPE_FLOAT;
        wide[i].size_bytes = tensors[i]->size_bytes * 2;
        wide[i].data = *scratch;
        *scratch += padded(wide[i].size_bytes);
        seen[i] = &wide[i];
    }
}

int accel_wide_run(struct accel_run *run, accel_run_fn *inner, struct accel_error *err)
{
    const struct accel_node *n = run->node;
    struct accel_tensor in[ACCEL_OP_INPUTS_MAX], out[ACCEL_OP_OUTPUTS];
    struct accel_tensor *in_seen[ACCEL_OP_INPUTS_MAX] = {0}, *out_seen[ACCEL_OP_OUTPUTS] = {0};
    struct accel_run wide = *run;
    char *scratch = run->scratch;

    widen_tensors(run->in, n->inputs_count, in, in_seen, &scratch);
    widen_tensors(run->out, n->outputs_count, out, out_seen, &scratch);
    for (size_t i = 0; i < n->inputs_count; i++)
        if (in_seen[i] != run->in[i])
            accel_convert(run->kernels, run->pool, run->in[i]->size_bytes / 2, run->in[i]->dtype,
                          run->in[i]->data, ACCEL_DTYPE_FLOAT, in[i].data);
    wide.in = in_seen;
    wide.out = out_seen;
    wide.scratch = scratch;
    const int rc = inner(&wide, err);
    for (size_t i = 0; i < n->outputs_count && rc == ACCEL_OK; i++)
        if (out_seen[i] != run->out[i])
            accel_convert(run->kernels, run->pool, run->out[i]->size_bytes / 2, ACCEL_DTYPE_FLOAT,
                          out[i].data, run->out[i]->dtype, run->out[i]->data);
    return rc;
}

void accel_round_to_half(const struct accel_kernels *kernels, size_t n, float *y)
{
    uint16_t halves[256];

    for (size_t i = 0; i < n; i += ACCEL_COUNT(halves)) {
        const size_t count = ACCEL_MIN(n - i, ACCEL_COUNT(halves));

        accel_convert(kernels, NULL, count, ACCEL_DTYPE_FLOAT, y + i, ACCEL_DTYPE_FLOAT16, halves);
        accel_convert(kernels, NULL, count, ACCEL_DTYPE_FLOAT16, halves, ACCEL_DTYPE_FLOAT, y + i);
    }
}
