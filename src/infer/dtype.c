/* SPDX-License-Identifier: Apache-2.0 */
#include "acceld/infer.h"
#include "base/util.h"

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
};

size_t accel_dtype_size(enum accel_dtype dtype)
{
    return (unsigned)dtype < ACCEL_COUNT(types) ? types[dtype].size : 0;
}

const char *accel_dtype_name(enum accel_dtype dtype)
{
    return (unsigned)dtype < ACCEL_COUNT(types) && types[dtype].name != NULL ? types[dtype].name
                                                                             : "?";
}
