/* SPDX-License-Identifier: Apache-2.0 */
#include "core/rates_json.h"

#include <math.h>
#include <string.h>

#include "tap.h"

static void refuses(const char *text, const char *what)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_rate *rates;
    size_t count;
    struct accel_error err = {0};

    ok(accel_rates_from_json(text, strlen(text), &mem, &rates, &count, &err) == ACCEL_E_INVALID,
       "refuses %s: %s", what, err.msg);
}

int main(void)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    const struct accel_rate rate = {.kind = ACCEL_KIND_GEMM,
                                    .precision = ACCEL_DTYPE_FLOAT16,
                                    .flops = 1e9,
                                    .bytes = 12345,
                                    .flops_per_s = 7.25e10,
                                    .bytes_per_s = 1e10,
                                    .overhead_s = 1.5e-6,
                                    .spread = 0.0625};
    struct accel_rate bad = rate, *back;
    struct accel_error err;
    size_t count;
    char *text;

    ok(accel_rates_to_json(&rate, 1, &text, &err) == ACCEL_OK, "rates become JSON");
    ok(accel_rates_from_json(text, strlen(text), &mem, &back, &count, &err) == ACCEL_OK &&
           count == 1 && memcmp(back, &rate, sizeof(rate)) == 0,
       "and come back the same");
    accel_free(text);
    bad.flops_per_s = INFINITY;
    ok(accel_rates_to_json(&bad, 1, &text, &err) == ACCEL_E_INVALID,
       "an infinite rate is refused: %s", err.msg);
    refuses("{", "half a document");
    refuses("{}", "no list");
    refuses("{\"rates\": [{\"kind\": \"magic\"}]}", "an unknown kind");
    refuses("{\"rates\": [{\"kind\": \"gemm\", \"precision\": \"float\", \"flops\": -1}]}",
            "a negative figure");
    refuses("{\"rates\": [7]}", "a number for a rate");

    for (long nth = 0;; nth++) {
        accel_fault_arm(nth);
        ACCEL_CLEANUP(accel_bump_free) struct accel_bump other = {0};
        const char *one = "{\"rates\": []}";
        const int rc = accel_rates_from_json(one, strlen(one), &other, &back, &count, &err);
        if (!accel_fault_disarm()) {
            ok(rc == ACCEL_OK && count == 0 && nth > 0, "an empty list is a list");
            break;
        }
        ok(rc == ACCEL_E_NOMEM, "reports that allocation %ld failed", nth);
    }
    return tap_done();
}
