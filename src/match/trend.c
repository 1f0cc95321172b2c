/* SPDX-License-Identifier: Apache-2.0 */
#include "match/trend.h"

#include <math.h>

#define SWEEPS 300

/* Bytes, flops or 64ths of an item below which a part counts as nothing. */
#define NOTHING    64.0
/* Squared distance (in factors of two) within which points count alike. */
#define SAME       0.05
/* The weight of the trend against the measured points: as of one 2.6 factors of two away. */
#define FAR_WEIGHT 0.02
/* A time no clock can tell from nothing. */
#define LEAST_S    1e-9

static double dot(const struct accel_trend *trend, const struct accel_work *work)
{
    double seconds = 0;

    for (size_t p = 0; p < ACCEL_WORK_PARTS; p++)
        seconds += trend->each[p] * work->part[p];
    return fmax(seconds, LEAST_S);
}

void accel_trend_fit(struct accel_trend_point *points, size_t count, struct accel_trend *trend)
{
    /* Normal equations of: sum over parts of each[p] * part[p] / seconds = 1, columns scaled. */
    double gram[ACCEL_WORK_PARTS][ACCEL_WORK_PARTS] = {{0}}, right[ACCEL_WORK_PARTS] = {0};
    double scale[ACCEL_WORK_PARTS] = {0}, x[ACCEL_WORK_PARTS] = {0};

    for (size_t i = 0; i < count; i++)
        for (size_t p = 0; p < ACCEL_WORK_PARTS; p++)
            scale[p] = fmax(scale[p], points[i].work.part[p] / points[i].seconds);
    for (size_t i = 0; i < count; i++) {
        double row[ACCEL_WORK_PARTS];

        for (size_t p = 0; p < ACCEL_WORK_PARTS; p++)
            row[p] = scale[p] > 0 ? points[i].work.part[p] / points[i].seconds / scale[p] : 0;
        for (size_t p = 0; p < ACCEL_WORK_PARTS; p++) {
            right[p] += row[p];
            for (size_t q = 0; q < ACCEL_WORK_PARTS; q++)
                gram[p][q] += row[p] * row[q];
        }
    }
    for (int sweep = 0; sweep < SWEEPS; sweep++)
        for (size_t p = 0; p < ACCEL_WORK_PARTS; p++) {
            double rest = right[p];

            if (gram[p][p] <= 0)
                continue;
            for (size_t q = 0; q < ACCEL_WORK_PARTS; q++)
                rest -= gram[p][q] * x[q];
            x[p] = fmax(0, x[p] + rest / gram[p][p]);
        }
    for (size_t p = 0; p < ACCEL_WORK_PARTS; p++)
        trend->each[p] = scale[p] > 0 ? x[p] / scale[p] : 0;
    for (size_t i = 0; i < count; i++)
        points[i].residual = log(points[i].seconds / dot(trend, &points[i].work));
}

static double distance(const struct accel_work *a, const struct accel_work *b)
{
    double sum = 0;

    for (size_t p = ACCEL_WORK_FLOPS; p < ACCEL_WORK_PARTS; p++) {
        const double unit = p == ACCEL_WORK_ITEMS ? NOTHING : 1;
        const double d = log2((a->part[p] * unit + NOTHING) / (b->part[p] * unit + NOTHING));

        sum += d * d;
    }
    return sum;
}

struct accel_estimate accel_trend_estimate(const struct accel_trend *trend,
                                           const struct accel_trend_point *points, size_t count,
                                           const struct accel_work *work)
{
    double weights = FAR_WEIGHT, moved = 0, off = 0, nearest = INFINITY;

    for (size_t i = 0; i < count; i++) {
        const double d = distance(&points[i].work, work);
        const double weight = 1 / ((d + SAME) * (d + SAME));

        weights += weight;
        moved += weight * points[i].residual;
        nearest = fmin(nearest, sqrt(d));
    }
    moved /= weights;
    for (size_t i = 0; i < count; i++) {
        const double d = distance(&points[i].work, work);

        off += (fabs(points[i].residual - moved) + fmax(points[i].spread, 0)) /
               ((d + SAME) * (d + SAME));
    }
    return (struct accel_estimate){
        .seconds = dot(trend, work) * exp(moved), .error = off / weights, .nearest = nearest};
}
