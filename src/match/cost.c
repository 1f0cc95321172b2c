/* SPDX-License-Identifier: Apache-2.0 */

/* How long a model takes on a device: per fused operator the larger of compute and traffic time at
 * the rate measured for that kind, precision and size, plus launch, plus transfers at the edges.
 * Without calibration the same from the peaks that driver or data sheet name. */

#include <math.h>
#include <string.h>

#include "match/match_internal.h"
#include "match/operators.h"

/* From this many real runs of the same model on they are better than any model of them. */
#define RUNS_ENOUGH 3

/* Share of the peak that a whole network reaches where nothing was measured: likely, best, worst.
 * Published end-to-end figures of vision networks at batch one lie between a tenth and nine tenths;
 * the interval says so rather than pretending to know. */
#define PEAK_LIKELY           0.35
#define PEAK_BEST             0.90
#define PEAK_WORST            0.08
/* The same for memory bandwidth, which is easier to reach. */
#define BANDWIDTH_LIKELY      0.65
#define BANDWIDTH_BEST        0.95
#define BANDWIDTH_WORST       0.25
/* Memory of a host whose bandwidth nobody tells: two to twelve channels of DDR4 or DDR5, shared. */
#define HOST_BANDWIDTH_LIKELY 1.5e10
#define HOST_BANDWIDTH_BEST   1.5e11
#define HOST_BANDWIDTH_WORST  4e9
/* Launch of one operator where it was not measured: a call on the host, a queue on a device. */
#define LAUNCH_HOST_S         2e-6
#define LAUNCH_DEVICE_S       8e-6
/* One transfer's fixed part, and the link where nobody says how fast it is: PCIe 3 x8 likely. */
#define TRANSFER_START_S      1e-5
#define LINK_LIKELY           6e9
#define LINK_BEST             2.5e10
#define LINK_WORST            1e9

/* What calibration cannot see (cold caches, operators side by side): added to every spread. */
#define CALIBRATED_MARGIN 0.10
/* Per factor of two that an operator lies outside the measured sizes. */
#define OUTSIDE_MARGIN    0.10
/* That many is what the measured points lie apart anyway; beyond those it says no more. */
#define NEAR_ENOUGH       2.0
#define OUTSIDE_MOST      4.0
#define ERROR_MOST        1.0
/* A kind or precision that was not measured itself, taken from its nearest relative. */
#define RELATIVE_MARGIN   1.0

/* Power drawn in a run, as a share of the limit: the limit itself is the upper end. */
#define POWER_LIKELY 0.75
#define POWER_WORST  1.0
#define POWER_BEST   0.25

struct span {
    double likely, low, high; /* seconds */
};

static void add(struct span *sum, struct span s)
{
    sum->likely += s.likely;
    sum->low += s.low;
    sum->high += s.high;
}

const struct accel_fact *accel_match_fact(const struct accel_resource *resource, const char *name)
{
    const struct accel_fact *best = NULL;

    for (size_t i = 0; i < resource->facts_count; i++) {
        const struct accel_fact *fact = &resource->facts[i];
        if (!fact->is_text && isfinite(fact->number) && fact->number > 0 &&
            strcmp(fact->name, name) == 0 && (best == NULL || fact->basis > best->basis))
            best = fact;
    }
    return best;
}

const char *accel_match_peak_name(int precision)
{
    switch (precision) {
    case ACCEL_DTYPE_FLOAT:
        return ACCEL_FACT_PEAK_FP32;
    case ACCEL_DTYPE_FLOAT16:
        return ACCEL_FACT_PEAK_FP16;
    case ACCEL_DTYPE_BFLOAT16:
        return ACCEL_FACT_PEAK_BF16;
    case ACCEL_DTYPE_INT8:
    case ACCEL_DTYPE_UINT8:
        return ACCEL_FACT_PEAK_INT8;
    default:
        return NULL;
    }
}

const char *accel_match_precision_name(int precision)
{
    switch (precision) {
    case ACCEL_DTYPE_FLOAT:
        return "fp32";
    case ACCEL_DTYPE_FLOAT16:
        return "fp16";
    case ACCEL_DTYPE_BFLOAT16:
        return "bf16";
    case ACCEL_DTYPE_INT8:
    case ACCEL_DTYPE_UINT8:
        return "int8";
    default:
        return "other";
    }
}

static double element_size(int precision)
{
    switch (precision) {
    case ACCEL_DTYPE_FLOAT16:
    case ACCEL_DTYPE_BFLOAT16:
        return 2;
    case ACCEL_DTYPE_INT8:
    case ACCEL_DTYPE_UINT8:
        return 1;
    default:
        return 4;
    }
}

static bool is_arithmetic(int precision)
{
    return accel_match_peak_name(precision) != NULL;
}

/* In which precision an operator is computed when `wanted` is asked for (0: as it is), and by what
 * its bytes shrink. Operators on indices and booleans stay what they are. */
static int op_precision(int own, int wanted, double *scale)
{
    *scale = 1.0;
    if (wanted == 0 || !is_arithmetic(own))
        return own;
    *scale = element_size(wanted) / element_size(own);
    return wanted;
}

double accel_match_memory(const struct accel_analysis *analysis, int precision)
{
    double scale;

    (void)op_precision((int)analysis->precision, precision, &scale);
    return ((double)analysis->weights_bytes + (double)analysis->arena_bytes) * scale +
           (double)analysis->io_bytes;
}

/* ---------------------------------------------------------------- from calibration */

/* Whose rates stand in for a kind that was not measured, nearest first. */
static const enum accel_kind relatives[ACCEL_KIND_COUNT][3] = {
    [ACCEL_KIND_CONV] = {ACCEL_KIND_CONV, ACCEL_KIND_POINTWISE, ACCEL_KIND_GEMM},
    [ACCEL_KIND_POINTWISE] = {ACCEL_KIND_POINTWISE, ACCEL_KIND_GEMM, ACCEL_KIND_CONV},
    [ACCEL_KIND_DEPTHWISE] = {ACCEL_KIND_DEPTHWISE, ACCEL_KIND_POOL, ACCEL_KIND_ELEMENTWISE},
    [ACCEL_KIND_GEMM] = {ACCEL_KIND_GEMM, ACCEL_KIND_POINTWISE, ACCEL_KIND_CONV},
    [ACCEL_KIND_GEMV] = {ACCEL_KIND_GEMV, ACCEL_KIND_ELEMENTWISE, ACCEL_KIND_MOVE},
    [ACCEL_KIND_POOL] = {ACCEL_KIND_POOL, ACCEL_KIND_REDUCE, ACCEL_KIND_ELEMENTWISE},
    [ACCEL_KIND_ELEMENTWISE] = {ACCEL_KIND_ELEMENTWISE, ACCEL_KIND_MOVE, ACCEL_KIND_MOVE},
    [ACCEL_KIND_TRANSCENDENTAL] = {ACCEL_KIND_TRANSCENDENTAL, ACCEL_KIND_NORM,
                                   ACCEL_KIND_ELEMENTWISE},
    [ACCEL_KIND_NORM] = {ACCEL_KIND_NORM, ACCEL_KIND_TRANSCENDENTAL, ACCEL_KIND_ELEMENTWISE},
    [ACCEL_KIND_REDUCE] = {ACCEL_KIND_REDUCE, ACCEL_KIND_ELEMENTWISE, ACCEL_KIND_MOVE},
    [ACCEL_KIND_MOVE] = {ACCEL_KIND_MOVE, ACCEL_KIND_ELEMENTWISE, ACCEL_KIND_ELEMENTWISE},
    [ACCEL_KIND_RECURRENT] = {ACCEL_KIND_RECURRENT, ACCEL_KIND_GEMV, ACCEL_KIND_GEMM},
    [ACCEL_KIND_CLASSIC] = {ACCEL_KIND_CLASSIC, ACCEL_KIND_MOVE, ACCEL_KIND_ELEMENTWISE},
    [ACCEL_KIND_OTHER] = {ACCEL_KIND_OTHER, ACCEL_KIND_MOVE, ACCEL_KIND_ELEMENTWISE},
};

/* A rate at a size, between measured points in log space. */
struct point {
    double rate, overhead_s, spread;
    double outside; /* factors of two beyond the measured sizes */
    bool found;
};

/* Flops and their rate, or bytes and theirs. */
static double axis(const struct accel_rate *rate, bool traffic)
{
    return traffic ? rate->bytes : rate->flops;
}

static double rate_of(const struct accel_rate *rate, bool traffic)
{
    return traffic ? rate->bytes_per_s : rate->flops_per_s;
}

static bool is_usable(const struct accel_rate *rate, bool traffic)
{
    const double size = axis(rate, traffic), speed = rate_of(rate, traffic);

    return isfinite(size) && isfinite(speed) && size > 0 && speed > 0;
}

/* The next larger point of the same kind and precision, NULL when there is none. */
static const struct accel_rate *next_above(const struct accel_resource *r,
                                           const struct accel_rate *one, bool traffic)
{
    const struct accel_rate *next = NULL;

    for (size_t i = 0; i < r->rates_count; i++) {
        const struct accel_rate *rate = &r->rates[i];
        if (rate->kind == one->kind && rate->precision == one->precision &&
            is_usable(rate, traffic) && axis(rate, traffic) > axis(one, traffic) &&
            (next == NULL || axis(rate, traffic) < axis(next, traffic)))
            next = rate;
    }
    return next;
}

/* Smaller than all that was measured: what the two smallest points say a call costs that does
 * nothing, and from there in a straight line. */
static struct point below_smallest(const struct accel_rate *one, const struct accel_rate *two,
                                   bool traffic, double size)
{
    const double x1 = axis(one, traffic), t1 = x1 / rate_of(one, traffic);
    const double x2 = axis(two, traffic), t2 = x2 / rate_of(two, traffic);
    const double slope = fmin(fmax((t2 - t1) / (x2 - x1), 0), t1 / x1);

    return (struct point){.rate = size / (t1 - slope * (x1 - size)),
                          .overhead_s = fmax(one->overhead_s, 0),
                          .spread = fmax(one->spread, 0),
                          .outside = log2(x1 / size),
                          .found = true};
}

/* The rate of (kind, precision) at `size`: geometric between the two measured sizes around it, so
 * that time grows with size wherever the measured times do; that of the end beyond the ends. */
static struct point look_up(const struct accel_resource *r, enum accel_kind kind, int precision,
                            bool traffic, double size)
{
    const struct accel_rate *below = NULL, *above = NULL;

    for (size_t i = 0; i < r->rates_count; i++) {
        const struct accel_rate *rate = &r->rates[i];
        if (rate->kind != kind || (int)rate->precision != precision || !is_usable(rate, traffic))
            continue;
        const double at = axis(rate, traffic);
        if (at <= size && (below == NULL || at > axis(below, traffic)))
            below = rate;
        if (at >= size && (above == NULL || at < axis(above, traffic)))
            above = rate;
    }
    if (below == NULL && above == NULL)
        return (struct point){0};
    if (below == NULL || above == NULL || below == above ||
        axis(below, traffic) >= axis(above, traffic)) {
        const struct accel_rate *one = below != NULL ? below : above;
        const double ratio = size > 0 ? fabs(log2(size / axis(one, traffic))) : 0;
        if (below == NULL && size > 0 && next_above(r, one, traffic) != NULL)
            return below_smallest(one, next_above(r, one, traffic), traffic, size);
        return (struct point){.rate = rate_of(one, traffic),
                              .overhead_s = fmax(one->overhead_s, 0),
                              .spread = fmax(one->spread, 0),
                              .outside = ratio,
                              .found = true};
    }
    const double t = (log(size) - log(axis(below, traffic))) /
                     (log(axis(above, traffic)) - log(axis(below, traffic)));
    return (struct point){
        .rate = exp(log(rate_of(below, traffic)) * (1 - t) + log(rate_of(above, traffic)) * t),
        .overhead_s = fmax(below->overhead_s, 0) * (1 - t) + fmax(above->overhead_s, 0) * t,
        .spread = fmax(below->spread, 0) * (1 - t) + fmax(above->spread, 0) * t,
        .found = true};
}

/* The same, from the nearest relative when the kind or the precision was not measured: float
 * arithmetic in the precision asked for, then in fp32, which the core falls back to. */
static struct point look_up_near(const struct accel_resource *r, enum accel_kind kind,
                                 int precision, bool traffic, double size)
{
    const int tries[2] = {is_arithmetic(precision) ? precision : ACCEL_DTYPE_FLOAT,
                          ACCEL_DTYPE_FLOAT};

    for (size_t k = 0; k < 3; k++)
        for (size_t p = 0; p < 2; p++) {
            /* The flops of a move are a resize's indices: no measure of another kind's work. */
            if (!traffic && kind != ACCEL_KIND_MOVE && relatives[kind][k] == ACCEL_KIND_MOVE)
                continue;
            struct point point = look_up(r, relatives[kind][k], tries[p], traffic, size);
            if (!point.found)
                continue;
            if (k > 0 || tries[p] != precision)
                point.spread += RELATIVE_MARGIN * (k > 0 ? 1.0 : 0.25);
            return point;
        }
    return (struct point){0};
}

/* A compute-bound benchmark shows how much traffic it caused, not how much the memory could do:
 * for such kinds the traffic's rate is at least that of plain copies of the same size. */
static bool is_compute_bound(enum accel_kind kind)
{
    return kind == ACCEL_KIND_CONV || kind == ACCEL_KIND_POINTWISE || kind == ACCEL_KIND_GEMM ||
           kind == ACCEL_KIND_DEPTHWISE || kind == ACCEL_KIND_TRANSCENDENTAL ||
           kind == ACCEL_KIND_RECURRENT;
}

static struct point traffic_rate(const struct accel_resource *r, enum accel_kind kind,
                                 int precision, double bytes)
{
    struct point own = look_up_near(r, kind, precision, true, bytes);

    if (is_compute_bound(kind)) {
        const struct point move = look_up_near(r, ACCEL_KIND_MOVE, precision, true, bytes);
        if (move.found && (!own.found || move.rate > own.rate))
            own = move;
    }
    return own;
}

/* Kinds whose speed hangs on the shape as much as on the size: a first layer, a deep one and one of
 * few pixels differ tenfold at the same flops. Work per byte tells them apart. */
static bool is_shaped(enum accel_kind kind)
{
    return kind == ACCEL_KIND_CONV || kind == ACCEL_KIND_POINTWISE || kind == ACCEL_KIND_GEMM ||
           kind == ACCEL_KIND_DEPTHWISE || kind == ACCEL_KIND_POOL;
}

/* Steps of work (log2) that count as much as one step of work per byte. */
#define WORK_WEIGHT    0.5
/* Fewer points than these span no plane. */
#define NEIGHBOURS_MIN 4

/* Seconds of flops and bytes among the measured points of (kind, precision): the flops' rate,
 * averaged in logarithms over all points, each weighted by the inverse of its distance to the
 * fourth power in the plane of work and work per byte (Shepard's interpolation: exact at the
 * points). */
static struct point among_neighbours(const struct accel_resource *r, enum accel_kind kind,
                                     int precision, double flops, double bytes)
{
    double sum = 0, weights = 0, spread = 0, overhead = 0, nearest = INFINITY;
    size_t count = 0;

    for (size_t i = 0; i < r->rates_count; i++) {
        const struct accel_rate *rate = &r->rates[i];
        if (rate->kind != kind || (int)rate->precision != precision || !is_usable(rate, false) ||
            !is_usable(rate, true))
            continue;
        const double work = log2(flops / rate->flops) * WORK_WEIGHT;
        const double ratio = log2(flops / bytes * rate->bytes / rate->flops);
        const double distance = work * work + ratio * ratio;
        const double weight = 1 / ((distance + 0.01) * (distance + 0.01));
        sum += weight * log(rate->flops_per_s);
        spread += weight * fmax(rate->spread, 0);
        overhead += weight * fmax(rate->overhead_s, 0);
        weights += weight;
        nearest = fmin(nearest, sqrt(distance));
        count++;
    }
    if (count < NEIGHBOURS_MIN)
        return (struct point){0};
    return (struct point){.rate = exp(sum / weights),
                          .overhead_s = overhead / weights,
                          .spread = spread / weights,
                          .outside = nearest,
                          .found = true};
}

static double op_bytes(const struct accel_op_analysis *op, double scale)
{
    return (op->bytes_read + op->bytes_written + op->bytes_weights) * scale;
}

static bool calibrated_op(struct accel_operators *operators, const struct accel_resource *r,
                          const struct accel_op_analysis *op, int wanted, struct span *time)
{
    double scale;
    const int precision = op_precision((int)op->precision, wanted, &scale);
    const double flops = op->flops, bytes = op_bytes(op, scale);
    struct accel_estimate e;

    if ((flops > 0 || bytes > 0) && accel_operators_estimate(operators, op, precision, scale, &e)) {
        const double margin = 1 + CALIBRATED_MARGIN + fmin(e.error, ERROR_MOST) +
                              OUTSIDE_MARGIN * fmin(fmax(e.nearest - NEAR_ENOUGH, 0), OUTSIDE_MOST);
        *time = (struct span){
            .likely = e.seconds, .low = e.seconds / margin, .high = e.seconds * margin};
        return true;
    }
    const struct point shaped = is_shaped(op->kind) && flops > 0 && bytes > 0
                                    ? among_neighbours(r, op->kind, precision, flops, bytes)
                                    : (struct point){0};
    if (shaped.found) {
        const double likely = flops / shaped.rate + shaped.overhead_s;
        const double margin =
            1 + shaped.spread + CALIBRATED_MARGIN + OUTSIDE_MARGIN * shaped.outside;
        *time = (struct span){.likely = likely, .low = likely / margin, .high = likely * margin};
        return true;
    }
    const struct point compute =
        flops > 0 ? look_up_near(r, op->kind, precision, false, flops) : (struct point){0};
    const struct point traffic =
        bytes > 0 ? traffic_rate(r, op->kind, precision, bytes) : (struct point){0};
    const double compute_s = compute.found ? flops / compute.rate : 0;
    const double traffic_s = traffic.found ? bytes / traffic.rate : 0;
    const struct point *ruling = compute_s >= traffic_s ? &compute : &traffic;

    if (!compute.found && !traffic.found) {
        if (flops > 0 || bytes > 0)
            return false;
        *time = (struct span){0}; /* a reshape: nothing is done */
        return true;
    }
    const double margin = 1 + ruling->spread + CALIBRATED_MARGIN + OUTSIDE_MARGIN * ruling->outside;
    const double likely = fmax(compute_s, traffic_s) + ruling->overhead_s;
    *time = (struct span){.likely = likely, .low = likely / margin, .high = likely * margin};
    return true;
}

/* ---------------------------------------------------------------- from peaks */

struct roof {
    double launch_s;
    const struct accel_fact *bandwidth;           /* NULL: assumed */
    double bytes_likely, bytes_best, bytes_worst; /* bytes per second */
    const struct accel_resource *resource;
    enum accel_basis basis; /* the worst of the facts used */
};

static void used(struct roof *roof, const struct accel_fact *fact)
{
    if (fact->basis < roof->basis)
        roof->basis = fact->basis;
}

/* Peak for a precision; a device without a figure for it computes in fp32. */
static const struct accel_fact *peak_for(const struct accel_resource *r, int precision)
{
    const char *name = accel_match_peak_name(precision);
    const struct accel_fact *fact = name != NULL ? accel_match_fact(r, name) : NULL;

    return fact != NULL ? fact : accel_match_fact(r, ACCEL_FACT_PEAK_FP32);
}

static struct span roofline_op(struct roof *roof, const struct accel_op_analysis *op, int wanted,
                               const struct accel_fact *any_peak)
{
    double scale;
    const int precision = op_precision((int)op->precision, wanted, &scale);
    const double bytes = op_bytes(op, scale);
    const struct accel_fact *peak = peak_for(roof->resource, precision);

    if (peak == NULL)
        peak = any_peak;
    if (op->flops > 0)
        used(roof, peak);
    if (bytes > 0 && roof->bandwidth != NULL)
        used(roof, roof->bandwidth);
    else if (bytes > 0)
        roof->basis = ACCEL_BASIS_CATALOGUE;
    if (op->flops <= 0 && bytes <= 0)
        return (struct span){0};
    return (struct span){
        .likely = fmax(op->flops / (peak->number * PEAK_LIKELY), bytes / roof->bytes_likely) +
                  roof->launch_s,
        .low = fmax(op->flops / (peak->number * PEAK_BEST), bytes / roof->bytes_best),
        .high = fmax(op->flops / (peak->number * PEAK_WORST), bytes / roof->bytes_worst) +
                2 * roof->launch_s};
}

/* ---------------------------------------------------------------- the whole model */

static struct span transfers(const struct accel_analysis *analysis, const struct accel_resource *r,
                             enum accel_basis *basis)
{
    const struct accel_fact *link = accel_match_fact(r, ACCEL_FACT_LINK_BANDWIDTH);
    const double bytes = (double)analysis->io_bytes;
    const double fixed = 2 * TRANSFER_START_S; /* in and out */

    if (accel_device_is_host_side(r->device->type))
        return (struct span){0};
    if (link == NULL) {
        *basis = ACCEL_BASIS_CATALOGUE;
        return (struct span){.likely = bytes / LINK_LIKELY + fixed,
                             .low = bytes / LINK_BEST,
                             .high = bytes / LINK_WORST + 2 * fixed};
    }
    if (link->basis < *basis)
        *basis = link->basis;
    return (struct span){.likely = bytes / (link->number * BANDWIDTH_LIKELY) + fixed,
                         .low = bytes / link->number,
                         .high = bytes / (link->number * BANDWIDTH_WORST) + 2 * fixed};
}

static void count_op(struct accel_prediction *p, const struct accel_op_analysis *op, double latency)
{
    struct accel_kind_share *share = &p->kinds[op->kind];

    share->latency_s += latency;
    share->flops += op->flops;
    share->bytes += op_bytes(op, 1.0);
    share->ops++;
}

const char accel_match_no_memory[] = "no memory to predict";

/* False with *why NULL when a rate is missing. */
static bool predict_calibrated(const struct accel_analysis *analysis,
                               const struct accel_resource *r, int precision,
                               struct accel_prediction *p, struct span *sum, const char **why)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    bool known = r->rates_count > 0;
    double scale;

    *why = NULL;
    if (!known && analysis->ops_count > 0)
        return false;

    (void)op_precision((int)analysis->precision, precision, &scale);
    struct accel_operators *operators = accel_operators_new(
        r, ((double)analysis->weights_bytes + (double)analysis->arena_bytes) * scale, &mem);
    for (size_t i = 0; operators != NULL && i < analysis->ops_count; i++) {
        struct span op;
        known = calibrated_op(operators, r, &analysis->ops[i], precision, &op);
        if (!known)
            break;
        add(sum, op);
        count_op(p, &analysis->ops[i], op.likely);
    }
    if (operators == NULL || accel_operators_failed(operators)) {
        *why = accel_match_no_memory;
        return false;
    }
    if (!known && analysis->ops_count > 0)
        return false;
    const double run_s = accel_operators_run_seconds(operators);
    add(sum,
        (struct span){run_s, run_s / (1 + CALIBRATED_MARGIN), run_s * (1 + CALIBRATED_MARGIN)});
    p->kinds[ACCEL_KIND_OTHER].latency_s += run_s;
    return true;
}

/* False when the memory's bandwidth is neither known nor to be guessed: accelerators lie three
 * orders of magnitude apart. */
static bool find_bandwidth(struct roof *roof)
{
    roof->bandwidth = accel_match_fact(roof->resource, ACCEL_FACT_MEMORY_BANDWIDTH);
    if (roof->bandwidth != NULL) {
        roof->bytes_likely = roof->bandwidth->number * BANDWIDTH_LIKELY;
        roof->bytes_best = roof->bandwidth->number * BANDWIDTH_BEST;
        roof->bytes_worst = roof->bandwidth->number * BANDWIDTH_WORST;
        return true;
    }
    roof->bytes_likely = HOST_BANDWIDTH_LIKELY;
    roof->bytes_best = HOST_BANDWIDTH_BEST;
    roof->bytes_worst = HOST_BANDWIDTH_WORST;
    return accel_device_is_host_side(roof->resource->device->type);
}

static const char *predict_roofline(const struct accel_analysis *analysis,
                                    const struct accel_resource *r, int precision,
                                    struct accel_prediction *p, struct span *sum,
                                    enum accel_basis *basis)
{
    struct roof roof = {.launch_s = accel_device_is_host_side(r->device->type) ? LAUNCH_HOST_S
                                                                               : LAUNCH_DEVICE_S,
                        .resource = r,
                        .basis = ACCEL_BASIS_MEASURED};
    static const char *const any[] = {ACCEL_FACT_PEAK_FP32, ACCEL_FACT_PEAK_FP16,
                                      ACCEL_FACT_PEAK_BF16, ACCEL_FACT_PEAK_INT8};
    const struct accel_fact *peak =
        peak_for(r, precision != 0 ? precision : (int)analysis->precision);

    for (size_t i = 0; i < ACCEL_COUNT(any) && peak == NULL; i++)
        peak = accel_match_fact(r, any[i]);
    const bool bandwidth = find_bandwidth(&roof);

    if (peak == NULL && roof.bandwidth == NULL)
        return "neither calibrated nor is a peak rate or a memory bandwidth known";
    if (peak == NULL)
        return "not calibrated, and no peak rate is known";
    if (!bandwidth)
        return "not calibrated, and no memory bandwidth is known";
    for (size_t i = 0; i < analysis->ops_count; i++) {
        const struct span op = roofline_op(&roof, &analysis->ops[i], precision, peak);
        add(sum, op);
        count_op(p, &analysis->ops[i], op.likely);
    }
    *basis = roof.basis;
    return NULL;
}

/* Real runs of this model: their mean, and two standard deviations as the interval. */
static void take_runs(const struct accel_resource *r, struct accel_prediction *p)
{
    const double mean = r->measured_mean_s, scale = mean / (p->latency_s > 0 ? p->latency_s : mean);
    const double half = fmax(2 * r->measured_sd_s, 0.02 * mean);

    for (size_t k = 0; k < ACCEL_KIND_COUNT; k++)
        p->kinds[k].latency_s *= scale;
    p->transfer_s *= scale;
    p->latency_s = mean;
    p->latency_low_s = fmax(mean - half, 0.1 * mean);
    p->latency_high_s = mean + half;
    p->basis = ACCEL_PREDICTED_FROM_RUNS;
}

static void add_energy(const struct accel_resource *r, struct accel_prediction *p)
{
    const struct accel_fact *limit = accel_match_fact(r, ACCEL_FACT_POWER_LIMIT);

    if (limit == NULL)
        return;
    p->energy_j = limit->number * POWER_LIKELY * p->latency_s;
    p->energy_low_j = limit->number * POWER_BEST * p->latency_low_s;
    p->energy_high_j = limit->number * POWER_WORST * p->latency_high_s;
}

bool accel_match_predict(const struct accel_analysis *analysis,
                         const struct accel_resource *resource, int precision,
                         struct accel_prediction *prediction, const char **reason)
{
    struct accel_prediction p = {.memory_bytes = accel_match_memory(analysis, precision)};
    const bool runs = resource->measured_count >= RUNS_ENOUGH && resource->measured_mean_s > 0 &&
                      (precision == 0 || precision == (int)analysis->precision);
    struct span sum = {0};
    enum accel_basis basis = ACCEL_BASIS_MEASURED;
    const char *why = NULL;

    for (size_t k = 0; k < ACCEL_KIND_COUNT; k++)
        p.kinds[k].kind = (enum accel_kind)k;
    p.basis = ACCEL_PREDICTED_FROM_CALIBRATION;
    if (!predict_calibrated(analysis, resource, precision, &p, &sum, reason)) {
        if (*reason == accel_match_no_memory)
            return false;
        sum = (struct span){0};
        for (size_t k = 0; k < ACCEL_KIND_COUNT; k++)
            p.kinds[k] = (struct accel_kind_share){.kind = (enum accel_kind)k};
        why = predict_roofline(analysis, resource, precision, &p, &sum, &basis);
        p.basis = ACCEL_PREDICTED_FROM_REPORTED;
    }
    if (why != NULL && !runs) {
        *reason = why;
        return false;
    }
    if (why == NULL) {
        const struct span moved = transfers(analysis, resource, &basis);
        add(&sum, moved);
        p.transfer_s = moved.likely;
        if (p.basis == ACCEL_PREDICTED_FROM_REPORTED && basis == ACCEL_BASIS_CATALOGUE)
            p.basis = ACCEL_PREDICTED_FROM_CATALOGUE;
    }
    p.latency_s = sum.likely;
    p.latency_low_s = sum.low;
    p.latency_high_s = sum.high;
    if (runs)
        take_runs(resource, &p);
    p.throughput_per_s = p.latency_s > 0 ? 1 / p.latency_s : 0;
    add_energy(resource, &p);
    *prediction = p;
    return true;
}

const char *accel_prediction_basis_name(enum accel_prediction_basis basis)
{
    switch (basis) {
    case ACCEL_PREDICTED_FROM_RUNS:
        return "measured-runs";
    case ACCEL_PREDICTED_FROM_CALIBRATION:
        return "calibrated";
    case ACCEL_PREDICTED_FROM_REPORTED:
        return "reported";
    case ACCEL_PREDICTED_FROM_CATALOGUE:
        return "catalogue";
    }
    return "?";
}
