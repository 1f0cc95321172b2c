/* SPDX-License-Identifier: Apache-2.0 */
/* NonZero. */
#include "infer/ops/elements.h"

#include <string.h>

static int nonzero_infer(struct accel_infer *in, struct accel_error *err)
{
    (void)err;
    in->out[0]->dtype = ACCEL_DTYPE_INT64;
    /* ONNX Runtime's answer for a scalar has one row as well. */
    in->out[0]->shape =
        (struct accel_shape){.has_rank = true,
                             .rank = 2,
                             .dims = {ACCEL_MAX((int64_t)in->in[0]->shape.rank, 1), ACCEL_DIM_ANY}};
    return ACCEL_OK;
}

static bool is_nonzero(const struct accel_tensor *x, size_t i)
{
    static const uint8_t zero[16];
    const size_t size = accel_element_bytes(x->dtype);

    /* By value, not by bytes: -0 is zero. */
    if (x->dtype == ACCEL_DTYPE_FLOAT)
        return ((const float *)x->data)[i] != 0;
    if (x->dtype == ACCEL_DTYPE_DOUBLE)
        return ((const double *)x->data)[i] != 0;
    return memcmp((const char *)x->data + i * size, zero, size) != 0;
}

static int nonzero_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    const size_t n = accel_elements(x);
    const size_t rows = x->rank > 0 ? x->rank : 1;
    size_t found = 0, at = 0;

    for (size_t i = 0; i < n; i++)
        found += is_nonzero(x, i);
    const struct accel_shape shape = {
        .has_rank = true, .rank = 2, .dims = {(int64_t)rows, (int64_t)found}};
    const int rc = accel_run_output(run, 0, &shape, err);
    if (rc != ACCEL_OK || run->out[0] == NULL)
        return rc;
    int64_t *y = run->out[0]->data;
    for (size_t i = 0; i < n; i++) {
        size_t rest = i;

        if (!is_nonzero(x, i))
            continue;
        if (x->rank == 0)
            y[at] = 0;
        for (uint32_t d = x->rank; d-- > 0;) {
            y[d * found + at] = (int64_t)(rest % (size_t)x->dims[d]);
            rest /= (size_t)x->dims[d];
        }
        at++;
    }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- the entries */

const struct accel_op accel_ops_nonzero[] = {
    {.name = "NonZero",
     .domain = "",
     .since = 9,
     .kind = ACCEL_KIND_MOVE,
     .flags = ACCEL_OP_DYNAMIC,
     .in = {{"X", ACCEL_T_NUMBERS | ACCEL_T(BOOL), 'T', 0}},
     .out = {{"Y", ACCEL_T(INT64), 0, 0}},
     .infer = nonzero_infer,
     .run = nonzero_run},
    {0},
};
