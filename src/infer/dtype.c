/* SPDX-License-Identifier: Apache-2.0 */
#include "acceld/infer.h"
#include "base/half.h"
#include "base/util.h"
#include "infer/kernels/small.h"

#include <math.h>
#include <string.h>

static const struct {
    const char *name;
    size_t size;
} types[] = {
    [ACCEL_DTYPE_FLOAT] = {"float", 4},
    [ACCEL_DTYPE_UINT8] = {"uint8", 1},
    [ACCEL_DTYPE_INT8] = {"int8", 1},
    [ACCEL_DTYPE_UINT16] = {"uint16", 2},
    [ACCEL_DTYPE_INT16] = {"int16", 2},
    [ACCEL_DTYPE_INT32] = {"int32", 4},
    [ACCEL_DTYPE_INT64] = {"int64", 8},
    [ACCEL_DTYPE_STRING] = {"string", 0},
    [ACCEL_DTYPE_BOOL] = {"bool", 1},
    [ACCEL_DTYPE_FLOAT16] = {"float16", 2},
    [ACCEL_DTYPE_DOUBLE] = {"double", 8},
    [ACCEL_DTYPE_UINT32] = {"uint32", 4},
    [ACCEL_DTYPE_UINT64] = {"uint64", 8},
    [ACCEL_DTYPE_COMPLEX64] = {"complex64", 8},
    [ACCEL_DTYPE_COMPLEX128] = {"complex128", 16},
    [ACCEL_DTYPE_BFLOAT16] = {"bfloat16", 2},
    [ACCEL_DTYPE_FLOAT8E4M3FN] = {"float8e4m3fn", 1},
    [ACCEL_DTYPE_FLOAT8E4M3FNUZ] = {"float8e4m3fnuz", 1},
    [ACCEL_DTYPE_FLOAT8E5M2] = {"float8e5m2", 1},
    [ACCEL_DTYPE_FLOAT8E5M2FNUZ] = {"float8e5m2fnuz", 1},
    [ACCEL_DTYPE_UINT4] = {"uint4", 1},
    [ACCEL_DTYPE_INT4] = {"int4", 1},
    [ACCEL_DTYPE_FLOAT4E2M1] = {"float4e2m1", 1},
    [ACCEL_DTYPE_FLOAT8E8M0] = {"float8e8m0", 1},
    [ACCEL_DTYPE_UINT2] = {"uint2", 1},
    [ACCEL_DTYPE_INT2] = {"int2", 1},
    [ACCEL_DTYPE_FLOAT6E2M3] = {"float6e2m3", 1},
    [ACCEL_DTYPE_FLOAT6E3M2] = {"float6e3m2", 1},
};

size_t accel_dtype_size(enum accel_dtype dtype)
{
    return (unsigned)dtype < ACCEL_COUNT(types) ? types[dtype].size : 0;
}

unsigned accel_dtype_bits(enum accel_dtype dtype)
{
    switch (dtype) {
    case ACCEL_DTYPE_UINT2:
    case ACCEL_DTYPE_INT2:
        return 2;
    case ACCEL_DTYPE_UINT4:
    case ACCEL_DTYPE_INT4:
    case ACCEL_DTYPE_FLOAT4E2M1:
        return 4;
    case ACCEL_DTYPE_FLOAT6E2M3:
    case ACCEL_DTYPE_FLOAT6E3M2:
        return 6;
    default:
        return 8 * (unsigned)accel_dtype_size(dtype);
    }
}

const char *accel_dtype_name(enum accel_dtype dtype)
{
    return (unsigned)dtype < ACCEL_COUNT(types) && types[dtype].name != NULL ? types[dtype].name
                                                                             : "?";
}

double accel_dtype_number(enum accel_dtype dtype, const void *at)
{
    float single;
    double wide;
    int64_t bits = 0;

    if (accel_is_small_float(dtype))
        return (double)accel_small_to_float(dtype, *(const uint8_t *)at);
    memcpy(&bits, at, ACCEL_MIN(accel_dtype_size(dtype), sizeof(bits)));
    switch (dtype) {
    case ACCEL_DTYPE_FLOAT:
        memcpy(&single, at, sizeof(single));
        return (double)single;
    case ACCEL_DTYPE_DOUBLE:
        memcpy(&wide, at, sizeof(wide));
        return wide;
    case ACCEL_DTYPE_FLOAT16:
        return (double)accel_half_to_float((uint16_t)bits);
    case ACCEL_DTYPE_BFLOAT16:
        bits = (int64_t)((uint64_t)bits << 16);
        memcpy(&single, &bits, sizeof(single));
        return (double)single;
    case ACCEL_DTYPE_INT8:
    case ACCEL_DTYPE_INT4:
    case ACCEL_DTYPE_INT2:
        return (double)(int8_t)bits;
    case ACCEL_DTYPE_INT16:
        return (double)(int16_t)bits;
    case ACCEL_DTYPE_INT32:
        return (double)(int32_t)bits;
    case ACCEL_DTYPE_UINT64:
        return (double)(uint64_t)bits;
    case ACCEL_DTYPE_STRING:
    case ACCEL_DTYPE_COMPLEX64:
    case ACCEL_DTYPE_COMPLEX128:
    case ACCEL_DTYPE_UNDEFINED:
        return (double)NAN;
    default: /* INT64, and unsigned types below it */
        return (double)bits;
    }
}

const char *accel_value_kind_text(enum accel_value_kind kind)
{
    static const char *const texts[] = {
        [ACCEL_VALUE_TENSOR] = "a tensor",
        [ACCEL_VALUE_SEQUENCE] = "a sequence",
        [ACCEL_VALUE_OPTIONAL] = "an optional tensor",
        [ACCEL_VALUE_OPTIONAL | ACCEL_VALUE_SEQUENCE] = "an optional sequence",
        [ACCEL_VALUE_MAP] = "a map",
        [ACCEL_VALUE_MAP | ACCEL_VALUE_SEQUENCE] = "a sequence of maps"};

    return (unsigned)kind < ACCEL_COUNT(texts) && texts[kind] != NULL
               ? texts[kind]
               : "a value of a kind unknown here";
}
