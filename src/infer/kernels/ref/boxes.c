/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/kernels/boxes.h"

#include <math.h>

#include "base/util.h"
#include "infer/kernels/sort.h"

struct span {
    float low, high;
};

/* Along axis 0 (x) or 1 (y). */
static struct span span_of(const struct accel_nms *nms, size_t box, unsigned axis)
{
    const float *b = nms->boxes + 4 * box;

    if (nms->centered) {
        const float half = b[2 + axis] / 2;

        return (struct span){b[axis] - half, b[axis] + half};
    }
    const float p = b[1 - axis], q = b[3 - axis];
    return p > q ? (struct span){q, p} : (struct span){p, q};
}

static bool overlap(const struct accel_nms *nms, size_t a, size_t b)
{
    float area_a = 1, area_b = 1, both = 1;

    for (unsigned axis = 0; axis < 2; axis++) {
        const struct span p = span_of(nms, a, axis), q = span_of(nms, b, axis);
        const float low = ACCEL_MAX(p.low, q.low), high = ACCEL_MIN(p.high, q.high);

        if (high <= low)
            return false;
        area_a *= p.high - p.low;
        area_b *= q.high - q.low;
        both *= high - low;
    }
    const float either = area_a + area_b - both;
    if (both <= 0 || area_a <= 0 || area_b <= 0 || either <= 0)
        return false;
    return both / either > nms->iou;
}

static int by_score(const void *context, size_t a, size_t b)
{
    const float *scores = context, x = scores[a], y = scores[b];

    if (isnan(x) || isnan(y))
        return (isnan(x) != 0) - (isnan(y) != 0);
    return (x < y) - (x > y);
}

size_t accel_nms(struct accel_pool *pool, const struct accel_nms *nms, size_t *taken, size_t *order,
                 size_t *work)
{
    size_t candidates = 0, count = 0;

    for (size_t i = 0; i < nms->n; i++)
        if (nms->least == NULL || nms->scores[i] > *nms->least)
            order[candidates++] = i;
    accel_sort_order(candidates, order, work, by_score, nms->scores);
    for (size_t c = 0; c < candidates && count < nms->most; c++) {
        bool free = true;

        if (c % 16 == 15 && accel_pool_stopped(pool))
            break;
        for (size_t k = 0; k < count && free; k++)
            free = !overlap(nms, order[c], taken[k]);
        if (free)
            taken[count++] = order[c];
    }
    return count;
}
