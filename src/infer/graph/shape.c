/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/graph/graph.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool accel_shape_static(const struct accel_shape *shape)
{
    if (!shape->has_rank)
        return false;
    for (uint32_t i = 0; i < shape->rank; i++)
        if (shape->dims[i] < 0)
            return false;
    return true;
}

bool accel_shape_equal(const struct accel_shape *a, const struct accel_shape *b)
{
    if (a->has_rank != b->has_rank || a->rank != b->rank)
        return false;
    for (uint32_t i = 0; i < a->rank; i++)
        if (a->dims[i] != b->dims[i])
            return false;
    return true;
}

const char *accel_shape_format(const struct accel_shape *shape, char text[ACCEL_SHAPE_TEXT])
{
    size_t at = 0;

    if (!shape->has_rank || shape->rank == 0) {
        snprintf(text, ACCEL_SHAPE_TEXT, "%s", shape->has_rank ? "scalar" : "any");
        return text;
    }
    for (uint32_t i = 0; i < shape->rank && at < ACCEL_SHAPE_TEXT - 24; i++) {
        const char *x = i > 0 ? "x" : "";

        if (shape->dims[i] < 0)
            at += (size_t)snprintf(text + at, ACCEL_SHAPE_TEXT - at, "%s?", x);
        else
            at +=
                (size_t)snprintf(text + at, ACCEL_SHAPE_TEXT - at, "%s%" PRId64, x, shape->dims[i]);
    }
    return text;
}

bool accel_shape_elements(const struct accel_shape *shape, size_t *elements)
{
    size_t product = 1;
    bool zero = false;

    for (uint32_t i = 0; i < shape->rank; i++) {
        if (shape->dims[i] < 0)
            return false;
        /* A zero must not hide an overflow: 0 x 2^40 x 2^40 has strides nobody can compute. */
        if (shape->dims[i] == 0)
            zero = true;
        else if (__builtin_mul_overflow(product, (size_t)shape->dims[i], &product) ||
                 product > (size_t)INT64_MAX)
            return false;
    }
    *elements = zero ? 0 : product;
    return true;
}

bool accel_shape_bytes(const struct accel_shape *shape, enum accel_dtype dtype, size_t *bytes)
{
    size_t elements;
    const size_t size = accel_element_bytes(dtype);

    return size > 0 && accel_shape_elements(shape, &elements) &&
           !__builtin_mul_overflow(elements, size, bytes) && *bytes <= (size_t)INT64_MAX;
}

void accel_tensor_describe(struct accel_tensor *t, enum accel_dtype dtype,
                           const struct accel_shape *shape)
{
    t->dtype = dtype;
    t->rank = shape->rank;
    memcpy(t->dims, shape->dims, sizeof(t->dims));
    t->size_bytes = 0;
    accel_shape_bytes(shape, dtype, &t->size_bytes);
}

int accel_shape_broadcast(const struct accel_shape *a, const struct accel_shape *b,
                          struct accel_shape *out, struct accel_error *err)
{
    struct accel_shape s = {.has_rank = a->has_rank && b->has_rank};

    if (!s.has_rank) {
        *out = s;
        return ACCEL_OK;
    }
    s.rank = ACCEL_MAX(a->rank, b->rank);
    for (uint32_t i = 0; i < s.rank; i++) {
        const uint32_t lead_a = s.rank - a->rank, lead_b = s.rank - b->rank;
        const int64_t x = i < lead_a ? 1 : a->dims[i - lead_a];
        const int64_t y = i < lead_b ? 1 : b->dims[i - lead_b];

        if (x == y || y == 1)
            s.dims[i] = x;
        else if (x == 1)
            s.dims[i] = y;
        else if (x < 0 || y < 0)
            s.dims[i] = ACCEL_MAX(x, y); /* the unknown one can only be 1 or the same */
        else {
            char ta[ACCEL_SHAPE_TEXT], tb[ACCEL_SHAPE_TEXT];

            return accel_fail(err, ACCEL_E_INVALID, "shapes %s and %s do not broadcast",
                              accel_shape_format(a, ta), accel_shape_format(b, tb));
        }
    }
    *out = s;
    return ACCEL_OK;
}

int accel_axis(int64_t axis, uint32_t rank, uint32_t *out, struct accel_error *err)
{
    if (axis < -(int64_t)rank || axis >= (int64_t)rank)
        return accel_fail(err, ACCEL_E_INVALID, "axis %" PRId64 " is outside a tensor of rank %u",
                          axis, rank);
    *out = (uint32_t)(axis < 0 ? axis + (int64_t)rank : axis);
    return ACCEL_OK;
}

size_t accel_dims_product(const int64_t *dims, uint32_t begin, uint32_t end)
{
    size_t product = 1;

    for (uint32_t i = begin; i < end; i++)
        product *= (size_t)dims[i];
    return product;
}

bool accel_map_types(enum accel_dtype keys, enum accel_dtype values)
{
    return (keys == ACCEL_DTYPE_INT64 || keys == ACCEL_DTYPE_STRING) &&
           (values == ACCEL_DTYPE_INT64 || values == ACCEL_DTYPE_FLOAT ||
            values == ACCEL_DTYPE_DOUBLE || values == ACCEL_DTYPE_STRING);
}
