/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/ops/recurrent_quantised.h"

#include "infer/ops/quantised.h"

#include <inttypes.h>
#include <string.h>

/* Inputs of each side: weights, scale, zero point. */
static const struct {
    size_t weights, scale, zero;
    const char *name;
} sides[] = {[ACCEL_QLSTM_W] = {1, 8, 9, "W"}, [ACCEL_QLSTM_R] = {2, 10, 11, "R"}};

int accel_qlstm_check(const struct accel_infer *in, int64_t directions, int64_t columns,
                      struct accel_error *err)
{
    for (size_t k = 0; k < 2 * ACCEL_COUNT(sides); k++) {
        const bool scale = k % 2 == 0;
        const size_t i = scale ? sides[k / 2].scale : sides[k / 2].zero;
        const struct accel_shape *s = &in->in[i]->shape;

        if (s->rank < 1 || s->rank > 2 || (s->dims[0] >= 0 && s->dims[0] != directions) ||
            (s->rank == 2 && s->dims[1] >= 0 && columns >= 0 && s->dims[1] != columns))
            return accel_fail(err, ACCEL_E_INVALID,
                              "input %zu '%s_%s' must be [%" PRId64 "] or [%" PRId64 ", %" PRId64
                              "]",
                              i, sides[k / 2].name, scale ? "scale" : "zero_point", directions,
                              directions, columns);
    }
    return ACCEL_OK;
}

int accel_qlstm_prepack(struct accel_prepack *pack, size_t directions, struct accel_error *err)
{
    for (unsigned side = 0; side < ACCEL_COUNT(sides); side++) {
        const struct accel_tensor *b = accel_prepack_input(pack, sides[side].weights);
        size_t each, bytes;
        void *blob;
        bool fill;

        if (b == NULL || b->rank != 3 || b->dims[0] != (int64_t)directions)
            continue;
        const size_t k = (size_t)b->dims[1], n = (size_t)b->dims[2];
        if (!accel_qgemm_packed_b_bytes(pack->kernels, k, n, &each) || each > SIZE_MAX - 63 ||
            __builtin_mul_overflow(ACCEL_ROUND_UP(each, 64), directions, &bytes))
            return accel_fail(err, ACCEL_E_INVALID, "a matrix of %zu x %zu is too large", k, n);
        if (bytes == 0)
            continue;
        const int rc = accel_prepack_blob(pack, side, bytes, &blob, &fill, err);
        if (rc != ACCEL_OK)
            return rc;
        for (size_t d = 0; d < directions && fill; d++)
            accel_qgemm_pack_b(pack->kernels, k, n, b->dtype == ACCEL_DTYPE_INT8,
                               (const char *)b->data + d * k * n, n, 1,
                               (char *)blob + d * ACCEL_ROUND_UP(each, 64));
        pack->consumed |= 1u << sides[side].weights;
    }
    return ACCEL_OK;
}

static struct accel_qgemm product(size_t m, size_t k, size_t n, const void *packed)
{
    return (struct accel_qgemm){
        .m = m, .n = n, .k = k, .a_row = k, .a_col = 1, .b_row = n, .b_col = 1, .packed_b = packed};
}

int accel_qlstm_scratch(const struct accel_prepare *prep, enum accel_qlstm_side side, size_t rows,
                        size_t *bytes, struct accel_error *err)
{
    const int64_t *b = prep->in[sides[side].weights]->shape.dims;
    const struct accel_qgemm g =
        product(rows, (size_t)b[1], (size_t)b[2], prep->blobs[sides[side].weights - 1]);
    size_t values;

    if (!accel_qgemm_scratch_bytes(prep->kernels, &g, prep->threads, bytes) ||
        __builtin_mul_overflow(g.m, g.k, &values) || values > SIZE_MAX - 63 ||
        __builtin_add_overflow(*bytes, ACCEL_ROUND_UP(values, 64), bytes))
        return accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
    return ACCEL_OK;
}

int accel_qlstm_zeros(const struct accel_run *run, struct accel_error *err)
{
    for (size_t side = 0; side < ACCEL_COUNT(sides); side++) {
        const struct accel_tensor *zero = run->in[sides[side].zero];
        const uint8_t *z = zero->data;
        const uint8_t wanted = zero->dtype == ACCEL_DTYPE_INT8 || zero->size_bytes == 0 ? 0 : z[0];

        for (size_t i = 0; zero->rank == 2 && i < zero->size_bytes; i++)
            if (z[i] != wanted)
                return accel_fail(err, ACCEL_E_INVALID,
                                  "%s_zero_point: element %zu is not %u: the zero points of "
                                  "columns must %s",
                                  sides[side].name, i, wanted,
                                  zero->dtype == ACCEL_DTYPE_INT8 ? "be 0" : "all be the same");
    }
    return ACCEL_OK;
}

void accel_qlstm_multiply(const struct accel_run *run, enum accel_qlstm_side side, size_t direction,
                          size_t rows, size_t set, const float *a, float *y, void *scratch)
{
    const struct accel_tensor *b = run->in[sides[side].weights];
    const struct accel_tensor *scale = run->in[sides[side].scale];
    const struct accel_tensor *zero = run->in[sides[side].zero];
    const size_t columns = (size_t)b->dims[2];
    const char *packed = run->blobs[side];
    struct accel_qgemm g = product(rows, (size_t)b->dims[1], columns, NULL);
    uint8_t *values = scratch, a_zero;
    float a_scale;

    accel_quantize_dynamic(run->pool, set * g.k, a, values, &a_scale, &a_zero);
    memset(values + set * g.k, 0, (rows - set) * g.k);
    g.a = values;
    g.a_zero = &a_zero;
    g.b_signed = accel_quant_signed(b);
    g.b_zero = (const char *)zero->data + direction * (zero->rank == 2 ? columns : 1);
    if (packed != NULL) {
        size_t each = 0;

        accel_qgemm_packed_b_bytes(run->kernels, g.k, columns, &each);
        g.packed_b = packed + direction * ACCEL_ROUND_UP(each, 64);
    } else {
        g.b = (const char *)b->data + direction * g.k * columns;
    }
    g.out = (struct accel_quant_out){.dtype = ACCEL_DTYPE_FLOAT,
                                     .alpha = 1,
                                     .y_scale = 1,
                                     .a_scale = &a_scale,
                                     .b_scale = (const float *)scale->data +
                                                direction * (scale->rank == 2 ? columns : 1),
                                     .b_scale_stride = scale->rank == 2 ? 1 : 0,
                                     .y = y};
    accel_qgemm(run->kernels, run->pool, &g, values + ACCEL_ROUND_UP(rows * g.k, 64));
}
