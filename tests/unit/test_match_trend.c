/* SPDX-License-Identifier: Apache-2.0 */
/* The cost model of measured operators, with figures that can be worked out by hand. */
#include "match/operators.h"
#include "match/trend.h"
#include "match_fixture.h"

static bool within(double a, double b, double relative)
{
    return fabs(a - b) <= relative * fabs(b);
}

#define POINT(flops_, written_, seconds_)              \
    {                                                  \
        .work = {{[ACCEL_WORK_CALL] = 1,               \
                  [ACCEL_WORK_FLOPS] = (flops_),       \
                  [ACCEL_WORK_WRITTEN] = (written_)}}, \
        .seconds = (seconds_)                          \
    }

/* 1 us a call, 1 ns a flop, 0.1 ns a byte. */
static void finds_the_rates_behind_exact_times(void)
{
    struct accel_trend_point points[] = {POINT(0, 0, 1e-6), POINT(1e4, 0, 11e-6),
                                         POINT(0, 1e5, 11e-6), POINT(1e6, 1e6, 1.101e-3)};
    const struct accel_work between = {
        {[ACCEL_WORK_CALL] = 1, [ACCEL_WORK_FLOPS] = 1e5, [ACCEL_WORK_WRITTEN] = 5e5}};
    struct accel_trend trend;

    accel_trend_fit(points, 4, &trend);
    ok(within(trend.each[ACCEL_WORK_CALL], 1e-6, 1e-3) &&
           within(trend.each[ACCEL_WORK_FLOPS], 1e-9, 1e-3) &&
           within(trend.each[ACCEL_WORK_WRITTEN], 1e-10, 1e-3),
       "a call %g s, a flop %g s, a byte %g s", trend.each[ACCEL_WORK_CALL],
       trend.each[ACCEL_WORK_FLOPS], trend.each[ACCEL_WORK_WRITTEN]);
    ok(trend.each[ACCEL_WORK_ITEMS] == 0, "what no point has costs nothing");
    const struct accel_estimate e = accel_trend_estimate(&trend, points, 4, &between);
    ok(within(e.seconds, 1e-6 + 1e-4 + 5e-5, 1e-2), "between the points: 151 us, got %g us",
       e.seconds * 1e6);
    ok(e.error < 0.01, "and the points agree on it: %g", e.error);
}

/* Twice the bytes in a fifth of the time: no rate below 0 explains that. */
static void no_rate_is_negative(void)
{
    struct accel_trend_point points[] = {POINT(1e6, 1e3, 1e-3), POINT(1e5, 1e6, 1e-4),
                                         POINT(1e4, 2e6, 2e-5)};
    struct accel_trend trend;
    bool good = true;

    accel_trend_fit(points, 3, &trend);
    for (size_t p = 0; p < ACCEL_WORK_PARTS; p++)
        good = good && trend.each[p] >= 0;
    ok(good, "all rates are from 0 on");
}

/* All at 1 ns a flop but one, which takes three times as long. */
static void what_lies_off_the_trend_counts_nearby(void)
{
    struct accel_trend_point points[] = {POINT(1e4, 1e4, 1e-5), POINT(1e5, 1e5, 1e-4),
                                         POINT(1e6, 1e6, 1e-3), POINT(1e7, 1e7, 1e-2),
                                         POINT(1e8, 1e8, 1e-1), POINT(1e6, 1e2, 3e-3)};
    struct accel_trend trend;

    accel_trend_fit(points, 6, &trend);
    const struct accel_estimate at = accel_trend_estimate(&trend, points, 6, &points[5].work);
    ok(within(at.seconds, 3e-3, 0.05), "at a measured point its own time: 3 ms, got %g ms",
       at.seconds * 1e3);
    const struct accel_estimate like = accel_trend_estimate(&trend, points, 6, &points[3].work);
    ok(within(like.seconds, 1e-2, 0.05), "and the others have theirs: 10 ms, got %g ms",
       like.seconds * 1e3);
    const struct accel_work far = {{[ACCEL_WORK_CALL] = 1,
                                    [ACCEL_WORK_FLOPS] = 1e14,
                                    [ACCEL_WORK_READ] = 1e14,
                                    [ACCEL_WORK_WRITTEN] = 1e14}};
    const struct accel_estimate e = accel_trend_estimate(&trend, points, 6, &far);
    ok(e.nearest > 40 &&
           within(e.seconds, 1e14 * (trend.each[ACCEL_WORK_FLOPS] + trend.each[ACCEL_WORK_WRITTEN]),
                  0.01),
       "far from all of them the trend alone");
}

/* ---------------------------------------------------------------- operators */

#define OP_RATE(kind_, op_, precision_, flops_, bytes_, weights_, seconds_)                   \
    {                                                                                         \
        .kind = (kind_), .precision = (precision_), .op = op_, .flops = (flops_),             \
        .bytes = (bytes_), .bytes_weights = (weights_), .flops_per_s = (flops_) / (seconds_), \
        .bytes_per_s = (bytes_) / (seconds_)                                                  \
    }
#define F32 ACCEL_DTYPE_FLOAT

/* Transposes at 1 ns a byte, resizes at 10; a product in bytes at 0.1 ns a flop, which knows only
 * unsigned ones; products with one row at 10 and, from memory, 40 ps a byte; a run is 5 us. */
static const struct accel_rate measured[] = {
    OP_RATE(ACCEL_KIND_MOVE, "Transpose", F32, 0, 1e4, 0, 1e-5),
    OP_RATE(ACCEL_KIND_MOVE, "Transpose", F32, 0, 1e6, 0, 1e-3),
    OP_RATE(ACCEL_KIND_MOVE, "Resize", F32, 0, 1e4, 0, 1e-4),
    OP_RATE(ACCEL_KIND_MOVE, "Resize", F32, 0, 1e6, 0, 1e-2),
    OP_RATE(ACCEL_KIND_GEMM, "MatMulInteger", ACCEL_DTYPE_UINT8, 1e6, 1e4, 1e3, 1e-4),
    OP_RATE(ACCEL_KIND_GEMM, "MatMulInteger", ACCEL_DTYPE_UINT8, 1e8, 1e6, 1e5, 1e-2),
    OP_RATE(ACCEL_KIND_GEMV, "Gemm", F32, 5e5, 1e6, 1e6, 1e-5),
    OP_RATE(ACCEL_KIND_GEMV, "Gemm", F32, 5e7, 1e8, 1e8, 4e-3),
    OP_RATE(ACCEL_KIND_CONV, "Conv", F32, 1e7, 1.1e6, 1e6, 1e-3),
    OP_RATE(ACCEL_KIND_CONV, "Conv", F32, 1e9, 1.1e6, 1e6, 1e-1),
    {.kind = ACCEL_KIND_OTHER, .precision = F32, .overhead_s = 5e-6},
};
static const struct accel_resource calibrated = {
    .device = &host, .rates = measured, .rates_count = ACCEL_COUNT(measured)};

static double seconds_of(const struct accel_op_analysis *op, double resident)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_operators *o = accel_operators_new(&calibrated, resident, &mem);
    struct accel_estimate e = {0};

    return o != NULL && accel_operators_estimate(o, op, (int)op->precision, 1, &e) ? e.seconds : -1;
}

static void each_operator_by_its_own_rates(void)
{
    const struct accel_op_analysis transpose = {
        .op = "Transpose", .kind = ACCEL_KIND_MOVE, .precision = F32, .bytes_read = 1e5};
    const struct accel_op_analysis resize = {
        .op = "Resize", .kind = ACCEL_KIND_MOVE, .precision = F32, .bytes_read = 1e5};
    const struct accel_op_analysis indices = {.op = "Transpose",
                                              .kind = ACCEL_KIND_MOVE,
                                              .precision = ACCEL_DTYPE_INT64,
                                              .bytes_read = 1e5};
    const struct accel_op_analysis product = {.op = "MatMulInteger",
                                              .kind = ACCEL_KIND_GEMM,
                                              .precision = ACCEL_DTYPE_INT8,
                                              .flops = 1e7,
                                              .bytes_read = 9e4,
                                              .bytes_weights = 1e4};
    const struct accel_op_analysis unknown = {
        .op = "TreeEnsembleRegressor", .kind = ACCEL_KIND_CLASSIC, .precision = F32, .flops = 1e4};
    const struct accel_op_analysis like = {
        .op = "Concat", .kind = ACCEL_KIND_MOVE, .precision = F32, .bytes_read = 1e5};

    ok(within(seconds_of(&transpose, 0), 1e-4, 0.02), "100 kB transposed in 100 us");
    ok(within(seconds_of(&resize, 0), 1e-3, 0.02), "and resized in 1 ms");
    ok(within(seconds_of(&indices, 0), 1e-4, 0.02),
       "in a precision that was not measured as in another");
    ok(within(seconds_of(&product, 0), 1e-3, 0.02), "signed bytes as unsigned ones: 1 ms");
    ok(seconds_of(&like, 0) > 1e-4 && seconds_of(&like, 0) < 1e-3,
       "an operator that was not measured lies among those of its kind");
    ok(seconds_of(&unknown, 0) < 0, "of a kind of which nothing is known it does not guess");
}

/* 1 MB of weights at hand: 10 ps a byte. Between 100 MB of others: 40, so 30 us more. */
static void weights_from_afar_take_longer(void)
{
    const struct accel_op_analysis conv = {.op = "Conv",
                                           .kind = ACCEL_KIND_CONV,
                                           .precision = F32,
                                           .flops = 1e7,
                                           .bytes_read = 1e5,
                                           .bytes_weights = 1e6};
    const struct accel_op_analysis row = {.op = "Gemm",
                                          .kind = ACCEL_KIND_GEMV,
                                          .precision = F32,
                                          .flops = 5e5,
                                          .bytes_weights = 1e6};
    const double near_s = seconds_of(&conv, 1e6), far_s = seconds_of(&conv, 1e8);

    ok(within(far_s - near_s, 3e-5, 1e-6), "a convolution: 30 us more, got %g us",
       (far_s - near_s) * 1e6);
    ok(within(seconds_of(&row, 1e6), 1e-5, 0.05) && within(seconds_of(&row, 1e8), 4e-5, 0.01),
       "a product with one row, which is nothing but weights: 10 us, then 40 us");
}

static void a_run_costs_too(void)
{
    const struct accel_op_analysis op[] = {
        {.op = "Transpose", .kind = ACCEL_KIND_MOVE, .precision = F32, .bytes_read = 1e4}};
    const struct accel_analysis a = {.precision = F32, .runnable = true, .ops_count = 1, .ops = op};
    struct accel_prediction p = {0};
    const char *reason = "";

    ok(accel_match_predict(&a, &calibrated, 0, &p, &reason) && within(p.latency_s, 1.5e-5, 0.02),
       "10 us of work and 5 us for the run: %g us", p.latency_s * 1e6);
    ok(p.basis == ACCEL_PREDICTED_FROM_CALIBRATION && p.latency_low_s < p.latency_s &&
           p.latency_high_s > p.latency_s && near(p.kinds[ACCEL_KIND_OTHER].latency_s, 5e-6),
       "which goes by the name of other");
}

int main(void)
{
    finds_the_rates_behind_exact_times();
    no_rate_is_negative();
    what_lies_off_the_trend_counts_nearby();
    each_operator_by_its_own_rates();
    weights_from_afar_take_longer();
    a_run_costs_too();
    return tap_done();
}
