/* SPDX-License-Identifier: Apache-2.0 */
/* Floats of 4, 6 and 8 bits and integers of 2 and 4. The tables of ONNX Cast-25 and ml_dtypes are
 * the definition; where ONNX Runtime 1.31 differs its bits are taken and the place says so. */
#include "infer/kernels/small.h"

#include <math.h>
#include <string.h>

/* sign, exponent, mantissa; code 0 is zero and exponent 0 holds the subnormals. */
struct format {
    unsigned exponent_bits, mantissa_bits;
    int bias;
    uint8_t max, nan; /* codes without sign: the largest number, NaN */
    uint8_t overflow; /* of |x| beyond the largest power of two that fits, not saturated */
    bool has_nan;
    bool unsigned_zero; /* FNUZ: no -0, its code is the only NaN */
};

static const struct format *format_of(enum accel_dtype dtype)
{
    static const struct format e4m3fn = {4, 3, 7, 0x7e, 0x7f, 0x7f, true, false},
                               e4m3fnuz = {4, 3, 8, 0x7f, 0x80, 0x80, true, true},
                               e5m2 = {5, 2, 15, 0x7b, 0x7f, 0x7c, true, false},
                               e5m2fnuz = {5, 2, 16, 0x7f, 0x80, 0x80, true, true},
                               e2m1 = {2, 1, 1, 0x07, 0, 0x07, false, false},
                               e2m3 = {2, 3, 1, 0x1f, 0, 0x1f, false, false},
                               e3m2 = {3, 2, 3, 0x1f, 0, 0x1f, false, false};

    switch (dtype) {
    case ACCEL_DTYPE_FLOAT8E4M3FN:
        return &e4m3fn;
    case ACCEL_DTYPE_FLOAT8E4M3FNUZ:
        return &e4m3fnuz;
    case ACCEL_DTYPE_FLOAT8E5M2:
        return &e5m2;
    case ACCEL_DTYPE_FLOAT8E5M2FNUZ:
        return &e5m2fnuz;
    case ACCEL_DTYPE_FLOAT4E2M1:
        return &e2m1;
    case ACCEL_DTYPE_FLOAT6E2M3:
        return &e2m3;
    case ACCEL_DTYPE_FLOAT6E3M2:
        return &e3m2;
    default:
        return NULL;
    }
}

bool accel_is_small_float(enum accel_dtype dtype)
{
    return dtype == ACCEL_DTYPE_FLOAT8E8M0 || format_of(dtype) != NULL;
}

unsigned accel_small_int_bits(enum accel_dtype dtype)
{
    switch (dtype) {
    case ACCEL_DTYPE_UINT4:
    case ACCEL_DTYPE_INT4:
        return 4;
    case ACCEL_DTYPE_UINT2:
    case ACCEL_DTYPE_INT2:
        return 2;
    default:
        return 0;
    }
}

bool accel_small_int_signed(enum accel_dtype dtype)
{
    return dtype == ACCEL_DTYPE_INT4 || dtype == ACCEL_DTYPE_INT2;
}

/* ---------------------------------------------------------------- to float */

float accel_small_to_float(enum accel_dtype dtype, uint8_t code)
{
    const struct format *f = format_of(dtype);

    if (f == NULL) /* FLOAT8E8M0 */
        return code == 0xff ? NAN : ldexpf(1, code - 127);
    const unsigned sign_bit = 1u << (f->exponent_bits + f->mantissa_bits);
    const unsigned magnitude = code & (sign_bit - 1);
    const unsigned exponent = magnitude >> f->mantissa_bits;
    const unsigned mantissa = magnitude & ((1u << f->mantissa_bits) - 1);
    const bool negative = (code & sign_bit) != 0;
    float value;

    if (f->unsigned_zero && code == f->nan)
        return NAN;
    if (f->has_nan && !f->unsigned_zero && magnitude > f->max)
        value = magnitude == f->overflow && f->overflow != f->nan ? INFINITY : NAN;
    else if (exponent == 0)
        value = ldexpf((float)mantissa, 1 - f->bias - (int)f->mantissa_bits);
    else
        value = ldexpf((float)(mantissa | 1u << f->mantissa_bits),
                       (int)exponent - f->bias - (int)f->mantissa_bits);
    return negative ? -value : value;
}

void accel_small_to_floats(enum accel_dtype dtype, size_t n, const uint8_t *x, float *y)
{
    float table[256];

    if (n < 256) {
        for (size_t i = 0; i < n; i++)
            y[i] = accel_small_to_float(dtype, x[i]);
        return;
    }
    for (unsigned code = 0; code < 256; code++)
        table[code] = accel_small_to_float(dtype, (uint8_t)code);
    for (size_t i = 0; i < n; i++)
        y[i] = table[x[i]];
}

/* ---------------------------------------------------------------- from float */

/* The power of two above, below or nearest to the value (a tie goes up). Negative numbers and zero
 * are below the least: 2^-127, which is 0x00. */
static uint8_t to_e8m0(float value, const struct accel_cast *cast)
{
    int exponent;

    if (isnan(value))
        return 0xff;
    if (!(value >= 0x1p-127f))
        return cast->saturate ? 0 : 0xff;
    if (isinf(value) || (value > 0x1p127f && !cast->saturate))
        return cast->saturate ? 0xfe : 0xff;
    const float fraction = frexpf(value, &exponent); /* [0.5, 1): twice that is 1.m */
    const bool up = cast->round == ACCEL_ROUND_UP        ? fraction > 0.5f
                    : cast->round == ACCEL_ROUND_NEAREST ? fraction >= 0.75f
                                                         : false;
    const int code = exponent - 1 + 127 + (int)up;

    return (uint8_t)(code > 0xfe ? 0xfe : code);
}

/* |value| as a code, rounded; may be beyond f->max. *cut: the same cut off. */
static unsigned round_magnitude(const struct format *f, uint32_t bits, unsigned *cut)
{
    const int exponent = (int)(bits >> 23) - 127; /* a subnormal float is far below all formats */
    const int least = 1 - f->bias;
    const unsigned shift =
        23 - f->mantissa_bits + (exponent < least ? (unsigned)(least - exponent) : 0);
    const uint32_t mantissa = (bits & 0x7fffff) | 0x800000;

    *cut = 0;
    if (shift > 24)
        return 0;
    const uint32_t kept = mantissa >> shift, lost = mantissa & ((1u << shift) - 1);
    const uint32_t half = 1u << (shift - 1);
    /* A normal number keeps its leading one, which counts as one in the exponent. */
    *cut = kept + ((unsigned)(exponent < least ? 0 : exponent - least) << f->mantissa_bits);
    return *cut + (lost > half || (lost == half && (kept & 1)));
}

static uint8_t beyond(const struct format *f, unsigned code, unsigned cut, bool saturate)
{
    if (saturate || !f->has_nan)
        return f->max;
    /* ONNX Runtime: E4M3FN gives 448 for 480 <= |x| < 496, and E5M2 NaN where rounding alone goes
     * beyond the largest number. */
    if (f->max == 0x7e && code == 0x7f && cut == 0x7f)
        return f->max;
    return cut <= f->max ? f->nan : f->overflow;
}

uint8_t accel_small_from_float(enum accel_dtype dtype, float value, const struct accel_cast *cast)
{
    const struct format *f = format_of(dtype);
    uint32_t bits;
    unsigned cut;

    if (f == NULL)
        return to_e8m0(value, cast);
    memcpy(&bits, &value, sizeof(bits));
    const uint8_t sign = (uint8_t)((bits >> 31) << (f->exponent_bits + f->mantissa_bits));
    const uint32_t magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000)
        /* Without a NaN: zero of the other sign, as ml_dtypes has it. */
        return f->unsigned_zero ? f->nan
               : f->has_nan     ? sign | f->nan
                                : sign ^ (uint8_t)(1u << (f->exponent_bits + f->mantissa_bits));
    unsigned code = round_magnitude(f, magnitude, &cut);
    if (magnitude == 0x7f800000 || code > f->max)
        code = beyond(f, code, cut, cast->saturate);
    if (f->unsigned_zero && (code == 0 || code == f->nan))
        return (uint8_t)code;
    return (uint8_t)(sign | code);
}

uint8_t accel_small_int(enum accel_dtype dtype, uint64_t value)
{
    const unsigned bits = accel_small_int_bits(dtype), word = (unsigned)value & ((1u << bits) - 1);
    const unsigned sign = accel_small_int_signed(dtype) ? 1u << (bits - 1) : 0;

    return (uint8_t)((word ^ sign) - sign);
}

uint8_t accel_small_int_from_float(enum accel_dtype dtype, float value)
{
    const float rounded = roundf(value);

    if (!(fabsf(rounded) < 0x1p31f))
        return 0;
    return accel_small_int(dtype, (uint64_t)(int64_t)rounded);
}
