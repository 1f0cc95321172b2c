/* SPDX-License-Identifier: Apache-2.0 */
#include "match_fixture.h"

static struct accel_prediction predict(const struct accel_analysis *analysis,
                                       const struct accel_resource *resource, int precision)
{
    struct accel_prediction p = {0};
    const char *reason = "";

    ok(accel_match_predict(analysis, resource, precision, &p, &reason), "predicts (%s)", reason);
    return p;
}

/* conv: max(1e9 / 1e11 = 10 ms, 4 MB at the copy's 1e10 B/s) + 10 us; move: 1 MB / 1e10 = 100 us */
static void calibrated_example_by_hand(void)
{
    const struct accel_prediction p = predict(&two, &on_host, 0);

    ok(near(p.latency_s, 0.01 + 1e-5 + 1e-4), "calibrated: %.9f s", p.latency_s);
    ok(p.basis == ACCEL_PREDICTED_FROM_CALIBRATION &&
           strcmp(accel_prediction_basis_name(p.basis), "calibrated") == 0,
       "says that it comes from calibration");
    /* conv: factor 1 + 0.05 + 0.10, move: 1 + 0.10, no flops beyond what was measured */
    ok(near(p.latency_high_s, 0.01001 * 1.15 + 1e-4 * 1.1) &&
           near(p.latency_low_s, 0.01001 / 1.15 + 1e-4 / 1.1),
       "the interval comes from the spread: %.6f .. %.6f", p.latency_low_s, p.latency_high_s);
    ok(p.transfer_s == 0, "the host has no link to cross");
    ok(near(p.memory_bytes, 6.6e6), "memory is weights, arena and edges");
    ok(near(p.kinds[ACCEL_KIND_CONV].latency_s, 0.01001) && p.kinds[ACCEL_KIND_CONV].ops == 1 &&
           p.kinds[ACCEL_KIND_MOVE].bytes == 1e6 && p.kinds[ACCEL_KIND_GEMM].ops == 0,
       "says where the time goes");
    ok(p.energy_j == 0, "no power limit, no energy");
    ok(near(p.throughput_per_s, 1 / p.latency_s), "one at a time");
}

/* 1e9 flop at 0.35 of 1e13 = 285.7 us, 4 MB at 0.65 of 1e12 = 6.2 us; move 1.54 us; 8 us a launch;
 * edges 0.6 MB at 0.65 of 12 GB/s + 20 us. */
static void roofline_example_by_hand(void)
{
    const struct accel_prediction p = predict(&two, &on_card, 0);
    const double transfer = 6e5 / (0.65 * 1.2e10) + 2e-5;
    const double want = 1e9 / 3.5e12 + 8e-6 + 1e6 / 0.65e12 + 8e-6 + transfer;

    ok(near(p.latency_s, want), "from peaks: %.9f s", p.latency_s);
    ok(near(p.transfer_s, transfer), "the transfers at the edges are part of it");
    ok(p.basis == ACCEL_PREDICTED_FROM_REPORTED, "says that the driver reported it");
    ok(p.latency_low_s < p.latency_s / 2 && p.latency_high_s > 2 * p.latency_s,
       "and the interval is wide: %.6f .. %.6f", p.latency_low_s, p.latency_high_s);
    ok(near(p.energy_j, 200 * 0.75 * p.latency_s) && p.energy_low_j < p.energy_j &&
           p.energy_high_j > p.energy_j,
       "energy is power limit times latency, with an interval");
}

static void worst_origin_rules(void)
{
    struct accel_fact facts[ACCEL_COUNT(card_facts)];
    struct accel_resource r = on_card;

    memcpy(facts, card_facts, sizeof(facts));
    r.facts = facts;
    facts[0].basis = ACCEL_BASIS_CATALOGUE;
    ok(predict(&two, &r, 0).basis == ACCEL_PREDICTED_FROM_CATALOGUE,
       "one figure from a data sheet makes it a data sheet's");
    facts[0].basis = ACCEL_BASIS_MEASURED;
    facts[2].number = 0;
    const struct accel_prediction p = predict(&two, &r, 0);
    ok(p.basis == ACCEL_PREDICTED_FROM_CATALOGUE && near(p.transfer_s, 6e5 / 6e9 + 2e-5),
       "an unknown link is assumed, and said so");

    const struct accel_fact both[] = {FACT(ACCEL_FACT_PEAK_FP32, 1, ACCEL_BASIS_CATALOGUE),
                                      FACT(ACCEL_FACT_PEAK_FP32, 2, ACCEL_BASIS_MEASURED),
                                      FACT(ACCEL_FACT_PEAK_FP32, 3, ACCEL_BASIS_REPORTED)};
    const struct accel_resource many = {.device = &card, .facts = both, .facts_count = 3};
    ok(accel_match_fact(&many, ACCEL_FACT_PEAK_FP32)->number == 2,
       "measured beats reported beats catalogue");
    ok(accel_match_fact(&many, ACCEL_FACT_PEAK_FP16) == NULL, "an unknown fact is none");
}

static void says_when_no_rate_is_known(void)
{
    const struct accel_resource bare = {.device = &card};
    const struct accel_resource no_bandwidth = {
        .device = &card, .facts = card_facts, .facts_count = 1};
    const struct accel_resource no_peak = {
        .device = &card, .facts = card_facts + 1, .facts_count = 1};
    struct accel_prediction p;
    const char *reason = "";

    ok(!accel_match_predict(&two, &bare, 0, &p, &reason) && strstr(reason, "neither") != NULL, "%s",
       reason);
    ok(!accel_match_predict(&two, &no_bandwidth, 0, &p, &reason) &&
           strstr(reason, "bandwidth") != NULL,
       "%s", reason);
    ok(!accel_match_predict(&two, &no_peak, 0, &p, &reason) && strstr(reason, "peak") != NULL, "%s",
       reason);
}

/* Before its first calibration the host answers all the same: 1 Gflop at 0.35 of 1e11 = 28.6 ms. */
static void a_host_does_without_its_bandwidth(void)
{
    const struct accel_fact peak[] = {FACT(ACCEL_FACT_PEAK_FP32, 1e11, ACCEL_BASIS_REPORTED)};
    const struct accel_resource r = {.device = &host, .facts = peak, .facts_count = 1};
    const struct accel_prediction p = predict(&two, &r, 0);

    ok(near(p.latency_s, 1e9 / 3.5e10 + 1e6 / 1.5e10 + 2 * 2e-6), "from an assumed one: %.6f s",
       p.latency_s);
    ok(p.basis == ACCEL_PREDICTED_FROM_CATALOGUE && p.latency_high_s > 4 * p.latency_s,
       "which the basis and a wide interval say");
}

static double time_of(double flops, const struct accel_resource *r)
{
    const struct accel_op_analysis op[] = {CONV(flops, 1)};
    const struct accel_analysis a = {
        .precision = ACCEL_DTYPE_FLOAT, .runnable = true, .ops_count = 1, .ops = op};

    struct accel_prediction p = {0};
    const char *reason;
    (void)accel_match_predict(&a, r, 0, &p, &reason);
    return p.latency_s;
}

/* Two shapes of one size: 10 Gflop/s at 10 flops per byte, 100 at 100. */
static void shape_counts_as_much_as_size(void)
{
    const struct accel_rate rates[] = {
        RATE(ACCEL_KIND_CONV, 1e6, 1e5, 1e10, 1e9, 0, 0),
        RATE(ACCEL_KIND_CONV, 1e6, 1e4, 1e11, 1e9, 0, 0),
        RATE(ACCEL_KIND_CONV, 1e9, 1e8, 1e10, 1e9, 0, 0),
        RATE(ACCEL_KIND_CONV, 1e9, 1e7, 1e11, 1e9, 0, 0),
    };
    const struct accel_resource r = {.device = &host, .rates = rates, .rates_count = 4};
    const struct accel_op_analysis shallow[] = {CONV(1e7, 1e6)}, deep[] = {CONV(1e7, 1e5)};
    struct accel_analysis a = {.precision = ACCEL_DTYPE_FLOAT, .ops_count = 1, .ops = shallow};

    const double slow = predict(&a, &r, 0).latency_s;
    a.ops = deep;
    const double fast = predict(&a, &r, 0).latency_s;
    ok(fabs(log(slow / 1e-3)) < 0.2, "an operator of little work per byte takes its like's rate");
    ok(fabs(log(fast / 1e-4)) < 0.2, "and one of much work per byte its like's");
}

static void interpolation_is_monotone(void)
{
    /* Deliberately out of order. Times: 1e6: 1 ms, 1e8: 10 ms, 1e10: 200 ms. */
    const struct accel_rate rates[] = {
        RATE(ACCEL_KIND_CONV, 1e10, 1, 5e10, 1e12, 0, 0),
        RATE(ACCEL_KIND_CONV, 1e6, 1, 1e9, 1e12, 0, 0),
        RATE(ACCEL_KIND_CONV, 1e8, 1, 1e10, 1e12, 0, 0),
    };
    const struct accel_resource r = {.device = &host, .rates = rates, .rates_count = 3};
    double before = 0;
    bool grows = true;

    for (double flops = 1e4; flops < 1e12; flops *= 1.3) {
        const double now = time_of(flops, &r);
        grows = grows && now > before;
        before = now;
    }
    ok(grows, "a larger operator never takes less time");
    ok(near(time_of(1e6, &r), 1e-3) && near(time_of(1e8, &r), 1e-2) && near(time_of(1e10, &r), 0.2),
       "and takes the measured time at each measured size");
    /* halfway in log space: rate sqrt(1e9 * 1e10) at 1e7 */
    ok(near(time_of(1e7, &r), 1e7 / sqrt(1e19)), "between them the rate is the geometric mean");
    ok(near(time_of(1e11, &r), 2), "above the largest its rate stays");
    ok(near(time_of(1e4, &r), 1e-3 - 9e-3 / 9.9e7 * 9.9e5),
       "below the smallest the line through the two smallest says what a call costs");

    const struct accel_op_analysis inside[] = {CONV(1e8, 1)}, outside[] = {CONV(4e10, 1)};
    struct accel_analysis a = {.precision = ACCEL_DTYPE_FLOAT, .ops_count = 1, .ops = inside};
    const struct accel_prediction in = predict(&a, &r, 0);
    a.ops = outside;
    const struct accel_prediction out = predict(&a, &r, 0);
    ok(near(in.latency_high_s / in.latency_s, 1.1) && near(out.latency_high_s / out.latency_s, 1.3),
       "two doublings outside the measured sizes widen the interval");
}

static void traffic_rules_where_it_is_the_larger(void)
{
    const struct accel_op_analysis op[] = {CONV(1e6, 1e9)};
    const struct accel_analysis a = {.precision = ACCEL_DTYPE_FLOAT, .ops_count = 1, .ops = op};

    ok(near(predict(&a, &on_host, 0).latency_s, 0.1),
       "1 GB at the copy's 10 GB/s, not at the convolution's own 0.4 GB/s");
}

static void falls_back_to_relatives(void)
{
    const struct accel_op_analysis op[] = {{.name = "p",
                                            .op = "Conv",
                                            .kind = ACCEL_KIND_POINTWISE,
                                            .precision = ACCEL_DTYPE_FLOAT16,
                                            .flops = 1e9}};
    const struct accel_analysis a = {.precision = ACCEL_DTYPE_FLOAT16, .ops_count = 1, .ops = op};
    const struct accel_prediction p = predict(&a, &on_host, 0);

    ok(near(p.latency_s, 0.01001), "an unmeasured kind takes its relative's rate");
    ok(p.latency_high_s > 2 * p.latency_s, "with a wide interval");

    const struct accel_op_analysis nothing[] = {
        {.name = "r", .op = "Reshape", .kind = ACCEL_KIND_MOVE, .precision = ACCEL_DTYPE_INT64}};
    const struct accel_analysis b = {
        .precision = ACCEL_DTYPE_FLOAT, .ops_count = 1, .ops = nothing};
    ok(predict(&b, &on_host, 0).latency_s == 0, "what does nothing takes no time");
    ok(predict(&b, &on_card, 0).latency_s == predict(&b, &on_card, 0).transfer_s,
       "but for the transfers");
}

static void runs_beat_models(void)
{
    struct accel_resource r = on_host;

    r.measured_count = 2;
    r.measured_mean_s = 0.02;
    r.measured_sd_s = 0.001;
    ok(predict(&two, &r, 0).basis == ACCEL_PREDICTED_FROM_CALIBRATION, "two runs are not enough");
    r.measured_count = 3;
    const struct accel_prediction p = predict(&two, &r, 0);
    ok(p.basis == ACCEL_PREDICTED_FROM_RUNS && p.latency_s == 0.02, "three runs are");
    ok(near(p.latency_low_s, 0.018) && near(p.latency_high_s, 0.022),
       "two standard deviations either way");
    double sum = 0;
    for (size_t k = 0; k < ACCEL_KIND_COUNT; k++)
        sum += p.kinds[k].latency_s;
    ok(near(sum, 0.02), "the kinds share what was measured");
    ok(predict(&two, &r, ACCEL_DTYPE_FLOAT16).basis != ACCEL_PREDICTED_FROM_RUNS,
       "runs in another precision tell nothing");
    r.rates_count = 0;
    ok(predict(&two, &r, 0).latency_s == 0.02, "runs do without any rate");
}

static void precision_changes_rate_and_bytes(void)
{
    const struct accel_fact facts[] = {
        FACT(ACCEL_FACT_PEAK_FP32, 1e13, ACCEL_BASIS_REPORTED),
        FACT(ACCEL_FACT_PEAK_FP16, 4e13, ACCEL_BASIS_REPORTED),
        FACT(ACCEL_FACT_MEMORY_BANDWIDTH, 1e12, ACCEL_BASIS_REPORTED),
    };
    const struct accel_resource r = {.device = &host, .facts = facts, .facts_count = 3};
    const struct accel_prediction fp32 = predict(&two, &r, 0),
                                  fp16 = predict(&two, &r, ACCEL_DTYPE_FLOAT16);

    ok(near(fp16.kinds[ACCEL_KIND_CONV].latency_s - 2e-6,
            (fp32.kinds[ACCEL_KIND_CONV].latency_s - 2e-6) / 4),
       "four times the peak, a quarter of the compute time");
    ok(near(fp16.memory_bytes, 3.6e6), "half the weights and arena");
}

int main(void)
{
    calibrated_example_by_hand();
    roofline_example_by_hand();
    worst_origin_rules();
    says_when_no_rate_is_known();
    a_host_does_without_its_bandwidth();
    shape_counts_as_much_as_size();
    interpolation_is_monotone();
    traffic_rules_where_it_is_the_larger();
    falls_back_to_relatives();
    runs_beat_models();
    precision_changes_rate_and_bytes();
    return tap_done();
}
