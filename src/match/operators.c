/* SPDX-License-Identifier: Apache-2.0 */

/* Time of an operator from measured ones like it: of the same operator and precision, else of the
 * operator in any, else of its kind. */
#include "match/operators.h"

#include <math.h>
#include <string.h>

#include "match/match_internal.h"

/* Points that make a group. An operator is like itself; of a kind it takes more to tell. */
#define OPERATOR_MIN 2
#define KIND_MIN     4
#define ANY          (-1) /* precision */

/* Weights that are read through once show what the memory can do only when they are more than a
 * call costs. */
#define STREAM_MIN 262144.0

struct group {
    struct group *next;
    const char *op; /* NULL: all of the kind */
    enum accel_kind kind;
    int precision;
    struct accel_trend_point *points;
    size_t count; /* 0: too few were measured */
    struct accel_trend trend;
};

struct accel_operators {
    const struct accel_resource *resource;
    struct accel_bump *mem;
    struct group *groups;
    double resident_bytes, run_s;
    bool failed;
};

struct accel_operators *accel_operators_new(const struct accel_resource *resource,
                                            double resident_bytes, struct accel_bump *mem)
{
    struct accel_operators *o = accel_bump_alloc(mem, 1, sizeof(*o));

    if (o == NULL)
        return NULL;
    *o = (struct accel_operators){
        .resource = resource, .mem = mem, .resident_bytes = resident_bytes};
    for (size_t i = 0; i < resource->rates_count; i++) {
        const struct accel_rate *r = &resource->rates[i];

        if (r->kind == ACCEL_KIND_OTHER && r->flops <= 0 && r->bytes <= 0)
            o->run_s = fmax(r->overhead_s, 0);
    }
    return o;
}

bool accel_operators_failed(const struct accel_operators *o)
{
    return o->failed;
}

double accel_operators_run_seconds(const struct accel_operators *o)
{
    return o->run_s;
}

/* Kinds whose constant input is gone through in a way of its own. For the others it is one more
 * input: an Add of a constant is an Add. */
static bool has_weights(enum accel_kind kind)
{
    return kind == ACCEL_KIND_CONV || kind == ACCEL_KIND_POINTWISE ||
           kind == ACCEL_KIND_DEPTHWISE || kind == ACCEL_KIND_GEMM || kind == ACCEL_KIND_GEMV ||
           kind == ACCEL_KIND_RECURRENT;
}

static struct accel_work work_of(enum accel_kind kind, double flops, double read, double written,
                                 double weights, double items)
{
    const bool own = has_weights(kind);

    return (struct accel_work){.part = {[ACCEL_WORK_CALL] = 1,
                                        [ACCEL_WORK_FLOPS] = flops,
                                        [ACCEL_WORK_READ] = own ? read : read + weights,
                                        [ACCEL_WORK_WRITTEN] = written,
                                        [ACCEL_WORK_WEIGHTS] = own ? weights : 0,
                                        [ACCEL_WORK_ITEMS] = items}};
}

static double seconds_of(const struct accel_rate *r)
{
    return fmax(r->overhead_s, 0) + (r->bytes_per_s > 0   ? r->bytes / r->bytes_per_s
                                     : r->flops_per_s > 0 ? r->flops / r->flops_per_s
                                                          : 0);
}

/* Signed and unsigned bytes are computed alike. */
static bool same_precision(int a, int b)
{
    const char *name = accel_match_peak_name(a);

    return a == b || b == ANY || (name != NULL && name == accel_match_peak_name(b));
}

static bool belongs(const struct group *g, const struct accel_rate *r)
{
    const double seconds = seconds_of(r);

    return r->kind == g->kind && r->op[0] != '\0' &&
           (g->op == NULL || strncmp(r->op, g->op, sizeof(r->op) - 1) == 0) &&
           same_precision((int)r->precision, g->precision) && isfinite(seconds) && seconds > 0;
}

static bool fit(struct accel_operators *o, struct group *g)
{
    const struct accel_resource *resource = o->resource;
    size_t n = 0;

    for (size_t i = 0; i < resource->rates_count; i++)
        n += belongs(g, &resource->rates[i]);
    if (n < (g->op != NULL ? OPERATOR_MIN : KIND_MIN))
        return true;
    g->points = accel_bump_alloc(o->mem, n, sizeof(*g->points));
    if (g->points == NULL)
        return false;
    for (size_t i = 0; i < resource->rates_count; i++) {
        const struct accel_rate *r = &resource->rates[i];
        const double read = fmax(r->bytes - r->bytes_written - r->bytes_weights, 0);

        if (belongs(g, r))
            g->points[g->count++] = (struct accel_trend_point){
                .work =
                    work_of(r->kind, r->flops, read, r->bytes_written, r->bytes_weights, r->items),
                .seconds = seconds_of(r),
                .spread = r->spread};
    }
    accel_trend_fit(g->points, g->count, &g->trend);
    return true;
}

/* NULL: too few points. */
static const struct group *group_of(struct accel_operators *o, const char *op, enum accel_kind kind,
                                    int precision)
{
    struct group *g = o->groups;

    while (g != NULL && (g->kind != kind || g->precision != precision ||
                         (g->op == NULL) != (op == NULL) || (op != NULL && strcmp(g->op, op) != 0)))
        g = g->next;
    if (g == NULL) {
        g = accel_bump_alloc(o->mem, 1, sizeof(*g));
        if (g != NULL)
            *g = (struct group){.next = o->groups, .op = op, .kind = kind, .precision = precision};
        o->failed = o->failed || g == NULL || !fit(o, g);
        if (o->failed)
            return NULL;
        o->groups = g;
    }
    return g->count > 0 ? g : NULL;
}

/* ---------------------------------------------------------------- weights from afar */

/* Seconds per byte at which weights come that are read through once per `resident` bytes: from the
 * matrix-vector products, which do nothing else. Grows with the size. 0: none was measured. */
static double stream_cost(const struct accel_resource *r, double resident)
{
    double below = 0, above = 0, below_at = 0, above_at = INFINITY;

    for (size_t i = 0; i < r->rates_count; i++) {
        const struct accel_rate *rate = &r->rates[i];
        const double at = rate->bytes_weights;

        if (rate->kind != ACCEL_KIND_GEMV || rate->precision != ACCEL_DTYPE_FLOAT ||
            at < STREAM_MIN)
            continue;
        const double cost = seconds_of(rate) / at;
        if (at <= resident) {
            below = fmax(below, cost);
            below_at = fmax(below_at, at);
        } else if (at < above_at) {
            above = cost;
            above_at = at;
        }
    }
    if (below_at == 0)
        return above; /* closer than the smallest that was measured */
    if (!isfinite(above_at))
        return below;
    const double t = log(resident / below_at) / log(above_at / below_at);
    return below + (fmax(above, below) - below) * t;
}

/* What it takes longer than where it was measured, which was with its weights at hand. */
static double from_afar(const struct accel_operators *o, enum accel_kind kind, double weights,
                        double seconds)
{
    const double resident = fmax(o->resident_bytes, weights);

    if (!has_weights(kind) || resident < STREAM_MIN || weights <= 0)
        return 0;
    const double far = stream_cost(o->resource, resident);
    /* Here it is all there is to do. */
    if (kind == ACCEL_KIND_GEMV)
        return fmax(0, weights >= STREAM_MIN ? weights * far - seconds : 0);
    return weights * fmax(0, far - stream_cost(o->resource, fmax(weights, STREAM_MIN)));
}

bool accel_operators_estimate(struct accel_operators *o, const struct accel_op_analysis *op,
                              int precision, double scale, struct accel_estimate *estimate)
{
    const struct group *g = group_of(o, op->op, op->kind, precision);
    const double weights = op->bytes_weights * scale;

    if (g == NULL)
        g = group_of(o, op->op, op->kind, ANY);
    if (g == NULL)
        g = group_of(o, NULL, op->kind, precision);
    if (g == NULL)
        g = group_of(o, NULL, op->kind, ANY);
    if (g == NULL)
        return false;
    const struct accel_work work = work_of(op->kind, op->flops, op->bytes_read * scale,
                                           op->bytes_written * scale, weights, op->items);
    *estimate = accel_trend_estimate(&g->trend, g->points, g->count, &work);
    estimate->seconds += from_afar(o, op->kind, weights, estimate->seconds);
    return true;
}
