/* SPDX-License-Identifier: Apache-2.0 */
/* Moving elements: strided copies and transposes. */
#include <assert.h>
#include <string.h>

#include "infer/kernels/nd.h"

/* Bytes moved per piece of threaded work. */
#define GRAIN_BYTES 65536
/* Side of the square that a transpose reads and writes at a time: both sides of it stay in L1. */
#define TILE        16

struct bytes16 {
    uint64_t half[2];
};

/* Operand 0 of nd is the source, operand 1 the destination. */
struct copy_job {
    size_t element_size;
    struct accel_nd nd;
    const void *src;
    void *dst;
};

#define COPY_ROW(T)                                          \
    do {                                                     \
        const T *s = (const T *)job->src + from;             \
        T *d = (T *)job->dst + to;                           \
        if (ss == 0 && ds == 1)                              \
            for (size_t i = 0; i < n; i++)                   \
                d[i] = s[0];                                 \
        else if (ds == 1)                                    \
            for (size_t i = 0; i < n; i++)                   \
                d[i] = s[(ptrdiff_t)i * ss];                 \
        else                                                 \
            for (size_t i = 0; i < n; i++)                   \
                d[(ptrdiff_t)i * ds] = s[(ptrdiff_t)i * ss]; \
    } while (0)

static void copy_row(const struct copy_job *job, size_t n, ptrdiff_t from, ptrdiff_t to,
                     ptrdiff_t ss, ptrdiff_t ds)
{
    if (ss == 1 && ds == 1) {
        memcpy((char *)job->dst + to * (ptrdiff_t)job->element_size,
               (const char *)job->src + from * (ptrdiff_t)job->element_size, n * job->element_size);
        return;
    }
    switch (job->element_size) {
    case 1:
        COPY_ROW(uint8_t);
        break;
    case 2:
        COPY_ROW(uint16_t);
        break;
    case 4:
        COPY_ROW(uint32_t);
        break;
    case 8:
        COPY_ROW(uint64_t);
        break;
    case 16:
        COPY_ROW(struct bytes16);
        break;
    default:
        assert(!"an element size that no type has");
    }
}

static void copy_range(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct copy_job *job = context;
    const unsigned last = job->nd.rank - 1;

    (void)thread;
    for (size_t row = begin; row < end; row++) {
        ptrdiff_t offset[3];

        accel_nd_row(&job->nd, 2, row, offset);
        copy_row(job, job->nd.dims[last], offset[0], offset[1], job->nd.stride[0][last],
                 job->nd.stride[1][last]);
    }
}

/* A single row, in parts. */
static void part_range(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct copy_job *job = context;
    const ptrdiff_t ss = job->nd.stride[0][0], ds = job->nd.stride[1][0];

    (void)thread;
    copy_row(job, end - begin, (ptrdiff_t)begin * ss, (ptrdiff_t)begin * ds, ss, ds);
}

/* The last axis is contiguous in the destination, the one before it in the source: in tiles, so
 * that a cache line fetched for one element serves its neighbours too. One unit of work: TILE
 * destination rows. */
static void tile_range(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct copy_job *job = context;
    const unsigned last = job->nd.rank - 1;
    const size_t rows = job->nd.dims[last - 1], columns = job->nd.dims[last];
    const size_t strips = (rows + TILE - 1) / TILE;
    const ptrdiff_t sr = job->nd.stride[0][last - 1], sc = job->nd.stride[0][last],
                    dr = job->nd.stride[1][last - 1], dc = job->nd.stride[1][last];

    (void)thread;
    for (size_t unit = begin; unit < end; unit++) {
        const size_t row = unit % strips * TILE, height = ACCEL_MIN((size_t)TILE, rows - row);
        ptrdiff_t offset[3];

        accel_nd_row(&job->nd, 2, unit / strips * rows + row, offset);
        for (size_t column = 0; column < columns; column += TILE) {
            const size_t width = ACCEL_MIN((size_t)TILE, columns - column);

            for (size_t i = 0; i < height; i++)
                copy_row(job, width, offset[0] + (ptrdiff_t)i * sr + (ptrdiff_t)column * sc,
                         offset[1] + (ptrdiff_t)i * dr + (ptrdiff_t)column * dc, sc, dc);
        }
    }
}

static void swap_axes(struct accel_nd *nd, unsigned i, unsigned j)
{
    const size_t dim = nd->dims[i];

    nd->dims[i] = nd->dims[j];
    nd->dims[j] = dim;
    for (unsigned o = 0; o < 2; o++) {
        const ptrdiff_t stride = nd->stride[o][i];

        nd->stride[o][i] = nd->stride[o][j];
        nd->stride[o][j] = stride;
    }
}

void accel_copy_nd(struct accel_pool *pool, size_t element_size, unsigned rank, const size_t *dims,
                   const void *src, const ptrdiff_t *src_stride, void *dst,
                   const ptrdiff_t *dst_stride)
{
    struct copy_job job = {.element_size = element_size, .nd.rank = rank, .src = src, .dst = dst};

    for (unsigned d = 0; d < rank; d++) {
        job.nd.dims[d] = dims[d];
        job.nd.stride[0][d] = src_stride[d];
        job.nd.stride[1][d] = dst_stride[d];
    }
    accel_nd_simplify(&job.nd, 2);
    const size_t n = accel_nd_count(&job.nd);
    const unsigned last = job.nd.rank - 1;
    unsigned best = last;

    if (n == 0)
        return;
    /* The axis that both step through by one, else the longest row, may lie anywhere: the order of
     * a copy is free. A row of a few elements costs more in bookkeeping than in moving. */
    for (unsigned d = 0; d <= last; d++)
        if (job.nd.stride[0][d] == 1 && job.nd.stride[1][d] == 1)
            best = d;
    if (best != last)
        swap_axes(&job.nd, best, last);
    const size_t width = job.nd.dims[last];

    if (last == 0) {
        accel_pool_run(pool, n, GRAIN_BYTES, part_range, &job);
        return;
    }
    if (job.nd.stride[0][last] != 1 && job.nd.stride[1][last] == 1) {
        for (unsigned d = 0; d < last; d++)
            if (job.nd.stride[0][d] == 1 && job.nd.dims[d] >= 4 && width >= 4) {
                if (d != last - 1)
                    swap_axes(&job.nd, d, last - 1);
                const size_t rows = job.nd.dims[last - 1], strips = (rows + TILE - 1) / TILE;
                const size_t strip_bytes = TILE * width * element_size;

                accel_pool_run(pool, n / width / rows * strips, GRAIN_BYTES / strip_bytes + 1,
                               tile_range, &job);
                return;
            }
    }
    accel_pool_run(pool, n / width, GRAIN_BYTES / (width * element_size) + 1, copy_range, &job);
}

void accel_transpose(struct accel_pool *pool, size_t element_size, unsigned rank,
                     const size_t *dims, const unsigned *perm, const void *x, void *y)
{
    size_t out[ACCEL_RANK_MAX];
    ptrdiff_t x_stride[ACCEL_RANK_MAX], src[ACCEL_RANK_MAX], dst[ACCEL_RANK_MAX], step = 1;

    for (unsigned d = rank; d-- > 0;) {
        x_stride[d] = step;
        step *= (ptrdiff_t)dims[d];
    }
    step = 1;
    for (unsigned d = rank; d-- > 0;) {
        out[d] = dims[perm[d]];
        src[d] = x_stride[perm[d]];
        dst[d] = step;
        step *= (ptrdiff_t)out[d];
    }
    accel_copy_nd(pool, element_size, rank, out, x, src, y, dst);
}

void accel_fill(size_t element_size, size_t n, const void *value, void *y)
{
    const size_t dims[1] = {n};
    const ptrdiff_t none[1] = {0}, one[1] = {1};

    accel_copy_nd(NULL, element_size, 1, dims, value, none, y, one);
}
