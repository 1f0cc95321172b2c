/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tensor_compare.h"

#include <math.h>
#include <string.h>

#include "tap.h"

static struct accel_comparison compare(enum accel_dtype dtype, const void *got, const void *want,
                                       size_t n, size_t size, enum accel_rule rule)
{
    struct accel_tensor a = {.dtype = dtype, .rank = 1, .dims = {(int64_t)n}}, b;
    struct accel_comparison r;

    a.size_bytes = n * size;
    b = a;
    a.data = (void *)got;
    b.data = (void *)want;
    accel_tensor_compare(&a, &b, rule, &r);
    return r;
}
#define COMPARE(dtype, got, want, rule) \
    compare(dtype, got, want, sizeof(got) / sizeof((got)[0]), sizeof((got)[0]), rule)

static void floats_pass_by_either_bound(void)
{
    const float want[] = {0, 1, -100}, near[] = {9e-5f, 1.001f, -100.09f};
    const float far[] = {0, 1.01f, -100}, tiny[] = {3e-4f, 1, -100}, none[] = {NAN, 1, -100};
    struct accel_comparison r = COMPARE(ACCEL_DTYPE_FLOAT, near, want, ACCEL_RULE_FLOAT);

    ok(r.pass && r.worst > 0.8 && r.worst <= 1, "floats within 1e-4 + 1e-3 |b| pass (%g)", r.worst);
    r = COMPARE(ACCEL_DTYPE_FLOAT, far, want, ACCEL_RULE_FLOAT);
    ok(!r.pass && fabs(r.rel_l2 - 1e-4) < 1e-6, "one beyond it fails with its L2 error %g",
       r.rel_l2);
    ok(strstr(r.why, "1 of 3") != NULL && strstr(r.why, "[1]") != NULL, "and is named: %s", r.why);
    ok(COMPARE(ACCEL_DTYPE_FLOAT, far, want, ACCEL_RULE_HALF).pass,
       "a model in half precision may have that L2 error");
    r = COMPARE(ACCEL_DTYPE_FLOAT, tiny, want, ACCEL_RULE_FLOAT);
    ok(r.pass && r.worst > 1, "an L2 error of 3e-6 passes what the other bound refuses");
    ok(!COMPARE(ACCEL_DTYPE_FLOAT, none, want, ACCEL_RULE_HALF).pass, "a NaN is no number");
    ok(!COMPARE(ACCEL_DTYPE_FLOAT, want, none, ACCEL_RULE_HALF).pass, "a number is no NaN");
    ok(!COMPARE(ACCEL_DTYPE_FLOAT, none, want, ACCEL_RULE_QUANTISED).pass,
       "not in a quantised model either");
    ok(COMPARE(ACCEL_DTYPE_FLOAT, none, none, ACCEL_RULE_FLOAT).pass, "two NaN agree");
}

static void infinities_agree_with_themselves_only(void)
{
    const float up[] = {INFINITY, 1}, down[] = {-INFINITY, 1}, big[] = {3e38f, 1};

    ok(COMPARE(ACCEL_DTYPE_FLOAT, up, up, ACCEL_RULE_FLOAT).pass, "infinity is infinity");
    ok(!COMPARE(ACCEL_DTYPE_FLOAT, down, up, ACCEL_RULE_FLOAT).pass, "minus infinity is not");
    ok(!COMPARE(ACCEL_DTYPE_FLOAT, big, up, ACCEL_RULE_FLOAT).pass, "a large number is not");
}

static void integers_are_exact_but_for_quantised_steps(void)
{
    const uint8_t want[] = {10, 0, 255}, two[] = {12, 2, 253}, three[] = {200, 3, 255};
    const int64_t index[] = {INT64_MAX}, other[] = {INT64_MAX - 1};

    ok(COMPARE(ACCEL_DTYPE_UINT8, want, want, ACCEL_RULE_FLOAT).pass, "equal integers pass");
    ok(!COMPARE(ACCEL_DTYPE_UINT8, two, want, ACCEL_RULE_FLOAT).pass, "unequal ones do not");
    ok(COMPARE(ACCEL_DTYPE_UINT8, two, want, ACCEL_RULE_QUANTISED).pass,
       "two steps are allowed in a quantised model");
    ok(!COMPARE(ACCEL_DTYPE_UINT8, three, want, ACCEL_RULE_QUANTISED).pass, "more are not");
    ok(!COMPARE(ACCEL_DTYPE_INT64, other, index, ACCEL_RULE_QUANTISED).pass,
       "indices are exact, to the last of 64 bits");
}

static void halves_are_compared_by_value(void)
{
    const uint16_t want[] = {0x3c00, 0xc000, 0x0001, 0x7c00}; /* 1, -2, 2^-24, infinity */
    const uint16_t near[] = {0x3c01, 0xc000, 0x0002, 0x7c00}, far[] = {0x3d00, 0xc000, 1, 0x7c00};

    const uint16_t pi[] = {0x4049}, less[] = {0x4048}, far_less[] = {0x4008};

    ok(COMPARE(ACCEL_DTYPE_FLOAT16, near, want, ACCEL_RULE_HALF).pass, "a last bit may differ");
    ok(!COMPARE(ACCEL_DTYPE_FLOAT16, far, want, ACCEL_RULE_HALF).pass, "a quarter may not");
    ok(COMPARE(ACCEL_DTYPE_BFLOAT16, pi, pi, ACCEL_RULE_FLOAT).pass &&
           !COMPARE(ACCEL_DTYPE_BFLOAT16, less, pi, ACCEL_RULE_FLOAT).pass,
       "a last bit of bfloat16 is 0.5 %% and fails");
    ok(fabs(COMPARE(ACCEL_DTYPE_BFLOAT16, far_less, pi, ACCEL_RULE_FLOAT).max_abs - 1.015625) <
           1e-6,
       "bfloat16 is compared by value too");
}

static void strings_and_shapes_are_compared(void)
{
    const char *const want[] = {"cat", "dog"}, *const got[] = {"cat", "cow"};
    const float values[] = {1, 2};
    struct accel_tensor a = {.dtype = ACCEL_DTYPE_FLOAT, .rank = 2, .dims = {1, 2}}, b = a;
    struct accel_comparison r = COMPARE(ACCEL_DTYPE_STRING, got, want, ACCEL_RULE_FLOAT);

    ok(!r.pass && strstr(r.why, "cow") != NULL, "another string fails: %s", r.why);
    ok(COMPARE(ACCEL_DTYPE_STRING, want, want, ACCEL_RULE_FLOAT).pass, "the same strings pass");
    a.data = b.data = (void *)values;
    b.dims[0] = 2;
    b.dims[1] = 1;
    accel_tensor_compare(&a, &b, ACCEL_RULE_FLOAT, &r);
    ok(!r.pass && strstr(r.why, "float 1x2, expected float 2x1") != NULL, "another shape fails: %s",
       r.why);
}

int main(void)
{
    floats_pass_by_either_bound();
    infinities_agree_with_themselves_only();
    integers_are_exact_but_for_quantised_steps();
    halves_are_compared_by_value();
    strings_and_shapes_are_compared();
    return tap_done();
}
