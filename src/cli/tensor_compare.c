/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tensor_compare.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/tensor_file.h"

#define ABSOLUTE     1e-4
#define RELATIVE     1e-3
#define L2_FLOAT     1e-5
#define L2_HALF      1e-3
#define COSINE_QUANT 0.9999
#define STEPS_QUANT  2.0

static bool is_float(enum accel_dtype dtype)
{
    return dtype == ACCEL_DTYPE_FLOAT || dtype == ACCEL_DTYPE_DOUBLE ||
           dtype == ACCEL_DTYPE_FLOAT16 || dtype == ACCEL_DTYPE_BFLOAT16 ||
           dtype == ACCEL_DTYPE_COMPLEX64 || dtype == ACCEL_DTYPE_COMPLEX128 ||
           (dtype >= ACCEL_DTYPE_FLOAT8E4M3FN && dtype <= ACCEL_DTYPE_FLOAT8E5M2FNUZ) ||
           dtype == ACCEL_DTYPE_FLOAT4E2M1 || dtype == ACCEL_DTYPE_FLOAT8E8M0 ||
           dtype == ACCEL_DTYPE_FLOAT6E2M3 || dtype == ACCEL_DTYPE_FLOAT6E3M2;
}

/* Element i as a double; of a complex tensor, part i. 64-bit integers lose what a double cannot
 * hold: they are compared as bytes, this is for the figures. */
static double element(const struct accel_tensor *t, size_t i)
{
    if (t->dtype == ACCEL_DTYPE_COMPLEX64)
        return ((const float *)t->data)[i];
    if (t->dtype == ACCEL_DTYPE_COMPLEX128)
        return ((const double *)t->data)[i];
    return accel_dtype_number(t->dtype, (const char *)t->data + i * accel_dtype_size(t->dtype));
}

/* "[0,4,17]" */
static const char *position(const struct accel_tensor *t, size_t i, char *text, size_t size)
{
    size_t index[ACCEL_RANK_MAX], at = 0;

    for (uint32_t d = t->rank; d-- > 0;) {
        index[d] = t->dims[d] > 0 ? i % (size_t)t->dims[d] : 0;
        i /= t->dims[d] > 0 ? (size_t)t->dims[d] : 1;
    }
    at = (size_t)snprintf(text, size, "[");
    for (uint32_t d = 0; d < t->rank && at < size; d++)
        at += (size_t)snprintf(text + at, size - at, "%s%zu", d > 0 ? "," : "", index[d]);
    if (at < size)
        snprintf(text + at, size - at, "]");
    return text;
}

static void compare_strings(const struct accel_tensor *got, const struct accel_tensor *want,
                            size_t count, struct accel_comparison *r)
{
    char *const *a = got->data, *const *b = want->data;
    char where[128];

    for (size_t i = 0; i < count; i++)
        if (strcmp(a[i], b[i]) != 0) {
            r->pass = false;
            snprintf(r->why, sizeof(r->why), "at %s \"%.40s\", expected \"%.40s\"",
                     position(want, i, where, sizeof(where)), a[i], b[i]);
            return;
        }
}

/* |a-b|; 0 for the same infinity or no number on both sides, infinite where only one is finite. */
static double distance(double a, double b)
{
    if (a == b || (isnan(a) && isnan(b)))
        return 0;
    return isfinite(a) && isfinite(b) ? fabs(a - b) : INFINITY;
}

static void compare_numbers(const struct accel_tensor *got, const struct accel_tensor *want,
                            size_t count, enum accel_rule rule, struct accel_comparison *r)
{
    const size_t size = accel_dtype_size(want->dtype);
    const bool real = is_float(want->dtype);
    /* Of a quantised model, what may be a step off; its int32 and int64 are indices and shapes. */
    const bool stepped =
        rule == ACCEL_RULE_QUANTISED && (real || (size == 1 && accel_dtype_bits(want->dtype) == 8));
    double difference2 = 0, got2 = 0, want2 = 0, dot = 0;
    size_t bad = 0, first = 0;
    bool finite = true;
    char where[128];

    for (size_t i = 0; i < count; i++) {
        const double a = element(got, i), b = element(want, i), off = distance(a, b);
        const double bound = ABSOLUTE + RELATIVE * fabs(b);
        bool is_bad;

        if (real)
            is_bad = isinf(off) || off > bound;
        else if (stepped)
            is_bad = off > STEPS_QUANT;
        else
            is_bad = memcmp((char *)got->data + i * size, (char *)want->data + i * size, size) != 0;
        if (is_bad && bad++ == 0)
            first = i;
        r->worst = fmax(r->worst, isinf(off) || off == 0 ? off : off / bound);
        r->max_abs = fmax(r->max_abs, off);
        if (isfinite(a) && isfinite(b)) {
            difference2 += off * off;
            got2 += a * a;
            want2 += b * b;
            dot += a * b;
        } else if (off > 0) {
            finite = false;
        }
    }
    if (!finite || (difference2 > 0 && want2 == 0))
        r->rel_l2 = INFINITY;
    else
        r->rel_l2 = difference2 > 0 ? sqrt(difference2 / want2) : 0;
    if (difference2 > 0)
        r->cosine = got2 > 0 && want2 > 0 ? dot / sqrt(got2 * want2) : 0;
    r->pass = bad == 0 || (real && r->rel_l2 <= (rule == ACCEL_RULE_HALF ? L2_HALF : L2_FLOAT)) ||
              (stepped && finite && r->cosine >= COSINE_QUANT);
    if (!r->pass)
        snprintf(r->why, sizeof(r->why), "%zu of %zu elements differ, first at %s: %.9g, not %.9g",
                 bad, count, position(want, first, where, sizeof(where)), element(got, first),
                 element(want, first));
}

void accel_tensor_compare(const struct accel_tensor *got, const struct accel_tensor *want,
                          enum accel_rule rule, struct accel_comparison *r)
{
    const bool is_complex =
        want->dtype == ACCEL_DTYPE_COMPLEX64 || want->dtype == ACCEL_DTYPE_COMPLEX128;
    char have[128], wanted[128];
    size_t count;

    *r = (struct accel_comparison){.pass = true, .cosine = 1};
    if (got->dtype != want->dtype || got->rank != want->rank ||
        memcmp(got->dims, want->dims, got->rank * sizeof(*got->dims)) != 0) {
        r->pass = false;
        snprintf(r->why, sizeof(r->why), "%s %s, expected %s %s", accel_dtype_name(got->dtype),
                 accel_shape_text(got->dims, got->rank, have, sizeof(have)),
                 accel_dtype_name(want->dtype),
                 accel_shape_text(want->dims, want->rank, wanted, sizeof(wanted)));
        return;
    }
    if (accel_tensor_count(want, &count, NULL) != ACCEL_OK) {
        r->pass = false;
        snprintf(r->why, sizeof(r->why), "its dimensions overflow");
    } else if (want->dtype == ACCEL_DTYPE_STRING) {
        compare_strings(got, want, count, r);
    } else {
        compare_numbers(got, want, is_complex ? 2 * count : count, rule, r);
    }
}
