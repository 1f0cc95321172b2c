/* SPDX-License-Identifier: Apache-2.0 */
/* What calibration measures: that every point is a graph this core runs, and how parts and rounds
 * come together. The figures themselves are this machine's. */
#include "infer/calibrate/graph.h"
#include "infer/calibrate/points.h"

#include <math.h>
#include <string.h>

#include "acceld/infer.h"
#include "base/mem.h"
#include "tap.h"

static void every_point_is_measured(void)
{
    struct accel_error err = {0};
    struct accel_rate *rates = NULL;
    size_t count = 0, all = 0;
    uint32_t next = 0, parts = 0;
    bool seen[ACCEL_KIND_COUNT] = {false}, good = true, grows = true;
    int rc = ACCEL_OK;

    while (rc == ACCEL_OK && next < accel_calibration_count()) {
        const uint32_t before = next;
        rc = accel_calibrate_part(1, ACCEL_CPU_ALL, 1, 50, next, &next, &rates, &count, &err);
        if (rc != ACCEL_OK)
            break;
        parts++;
        grows = grows && next > before;
        for (size_t i = 0; i < count; i++) {
            const struct accel_rate *r = &rates[i];
            seen[r->kind] = true;
            good = good && isfinite(r->flops_per_s) && isfinite(r->bytes_per_s) &&
                   r->flops_per_s + r->bytes_per_s + r->overhead_s > 0 &&
                   r->bytes_written + r->bytes_weights <= r->bytes;
        }
        all += count;
        accel_rates_free(rates);
    }
    ok(rc == ACCEL_OK, "every point runs %s", err.msg);
    ok(all > accel_calibration_count() && good, "and gives a rate at least, %zu in all", all);
    ok(parts > 1 && grows, "in %u parts, each of which comes further", parts);
    bool kinds = true;
    for (int k = 0; k < ACCEL_KIND_COUNT; k++)
        kinds = kinds && seen[k];
    ok(kinds, "of every kind");
    ok(accel_calibrate_part(1, ACCEL_CPU_ALL, 1, 50, next + 1, &next, &rates, &count, &err) ==
           ACCEL_E_INVALID,
       "there is none after the last: %s", err.msg);
}

static void refuses(const char *text)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_error err = {0};
    void *bytes;
    size_t size;

    ok(accel_calibration_graph(text, &mem, &bytes, &size, &err) == ACCEL_E_INTERNAL, "%s", err.msg);
}

static void a_graph_is_what_its_text_says(void)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_error err = {0};
    struct accel_model *model = NULL;
    void *bytes;
    size_t size;

    ok(accel_calibration_graph("Conv(f1x2x4x4, F3x2x3x3, F3) pads=1,1,1,1 | Relu($)", &mem, &bytes,
                               &size, &err) == ACCEL_OK &&
           accel_model_load_memory(bytes, size, NULL, NULL, NULL, &model, &err) == ACCEL_OK,
       "a convolution and its activation %s", err.msg);
    const struct accel_analysis *a = accel_model_analysis(model);
    ok(a->ops_count == 1 && strcmp(a->ops[0].op, "Conv") == 0 &&
           strcmp(a->ops[0].fused, "Relu") == 0,
       "are one operator after the passes");
    /* 3 x 4 x 4 outputs of 2 x 9 multiply-adds, one flop each for the activation */
    ok(a->ops[0].flops == 2 * 48 * 18 + 48 && a->ops[0].bytes_written == 4 * 48,
       "of so many flops and bytes");
    accel_model_unref(model);
    refuses("Conv(f1x2x4x4, F3x2x3x3");
    refuses("Relu($)");
    refuses("Relu(f4) trailing");
    refuses("");
}

static void rounds_keep_the_quietest(void)
{
    struct accel_rate rates[] = {{.point = 1, .bytes = 100, .bytes_per_s = 100},
                                 {.point = 2, .bytes = 100, .bytes_per_s = 50},
                                 {.point = 3, .bytes = 100, .bytes_per_s = 7},
                                 {.point = 5, .flops = 100, .flops_per_s = 10}};
    const struct accel_rate more[] = {{.point = 1, .bytes = 100, .bytes_per_s = 50},
                                      {.point = 2, .bytes = 100, .bytes_per_s = 200},
                                      {.point = 4, .bytes = 100, .bytes_per_s = 900},
                                      {.point = 5, .flops = 100, .flops_per_s = 10}};

    accel_rates_merge(rates, 4, more, 4);
    ok(rates[0].bytes_per_s == 100 && rates[0].spread == 1, "1 s, then 2 s: 1 s, spread by all");
    ok(rates[1].bytes_per_s == 200 && rates[1].spread == 3, "2 s, then 0.5 s: 0.5 s, by three");
    ok(rates[2].point == 3 && rates[2].bytes_per_s == 7, "what the other round lacks stays");
    ok(rates[3].flops_per_s == 10 && rates[3].spread == 0, "the same twice: no spread");
}

int main(void)
{
    a_graph_is_what_its_text_says();
    rounds_keep_the_quietest();
    every_point_is_measured();
    return tap_done();
}
