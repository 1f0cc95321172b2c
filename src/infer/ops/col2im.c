/* SPDX-License-Identifier: Apache-2.0 */
/* Col2Im. */
#include "infer/kernels/columns.h"

#include "infer/ops/elements.h"
#include "infer/ops/wide.h"

#include <inttypes.h>

/* An attribute of `count` numbers of at least `least`; absent: all are `otherwise`. */
static int sizes_of(const struct accel_node *n, const char *name, size_t count, int64_t least,
                    int64_t otherwise, size_t *sizes, struct accel_error *err)
{
    size_t given;
    const int64_t *list = accel_attr_ints(n, name, &given);

    if (list != NULL && given != count)
        return accel_fail(err, ACCEL_E_INVALID, "%s has %zu entries instead of %zu", name, given,
                          count);
    for (size_t i = 0; i < count; i++) {
        const int64_t v = list != NULL ? list[i] : otherwise;

        if (v < least || v > INT32_MAX)
            return accel_fail(err, ACCEL_E_INVALID, "%s[%zu] is %" PRId64, name, i, v);
        sizes[i] = (size_t)v;
    }
    return ACCEL_OK;
}

static int spatial_of(const struct accel_node *n, const int64_t *image, const int64_t *block,
                      size_t count, struct accel_columns *c, struct accel_error *err)
{
    size_t pads[2 * ACCEL_RANK_MAX];

    c->spatial = (unsigned)count;
    int rc = sizes_of(n, "strides", count, 1, 1, c->stride, err);
    if (rc == ACCEL_OK)
        rc = sizes_of(n, "dilations", count, 1, 1, c->dilation, err);
    if (rc == ACCEL_OK)
        rc = sizes_of(n, "pads", 2 * count, 0, 0, pads, err);
    for (size_t d = 0; d < count && rc == ACCEL_OK; d++) {
        if (image[d] < 0 || block[d] < 1 || image[d] > INT32_MAX || block[d] > INT32_MAX)
            return accel_fail(err, ACCEL_E_INVALID,
                              "axis %zu: a block of %" PRId64 " in an image of %" PRId64, d,
                              block[d], image[d]);
        c->image[d] = (size_t)image[d];
        c->kernel[d] = (size_t)block[d];
        c->pad_begin[d] = pads[d];
        /* Each of the numbers has 31 bits. */
        const size_t room = c->image[d] + pads[d] + pads[count + d],
                     reach = c->dilation[d] * (c->kernel[d] - 1) + 1;
        c->steps[d] = room < reach ? 0 : (room - reach) / c->stride[d] + 1;
    }
    return rc;
}

/* [planes, taps x steps] as they should be for x: [batch, channels * taps, steps]. */
static int check_columns(const struct accel_shape *x, struct accel_columns *c,
                         struct accel_error *err)
{
    size_t taps = 1, steps = 1;
    char text[ACCEL_SHAPE_TEXT];
    bool fits = true;

    for (unsigned d = 0; d < c->spatial; d++)
        fits = fits && !__builtin_mul_overflow(taps, c->kernel[d], &taps) &&
               !__builtin_mul_overflow(steps, c->steps[d], &steps);
    if (!fits || (x->dims[1] >= 0 && (size_t)x->dims[1] % taps != 0) ||
        (x->dims[2] >= 0 && (size_t)x->dims[2] != steps))
        return accel_fail(err, ACCEL_E_INVALID,
                          "an input of shape %s for blocks of %zu elements at %zu places",
                          accel_shape_format(x, text), taps, steps);
    if (x->dims[0] >= 0 && x->dims[1] >= 0)
        c->planes = (size_t)x->dims[0] * ((size_t)x->dims[1] / taps);
    return ACCEL_OK;
}

/* *known: image and block sizes are. */
static int columns_of(const struct accel_infer *in, struct accel_columns *c, bool *known,
                      struct accel_error *err)
{
    int64_t image[ACCEL_RANK_MAX], block[ACCEL_RANK_MAX];
    size_t count, blocks;

    *c = (struct accel_columns){0};
    *known = accel_infer_ints(in, 1, image, ACCEL_RANK_MAX - 2, &count) &&
             accel_infer_ints(in, 2, block, ACCEL_RANK_MAX - 2, &blocks);
    if (!*known)
        return ACCEL_OK;
    if (count != blocks || count == 0)
        return accel_fail(err, ACCEL_E_INVALID, "image_shape has %zu entries, block_shape %zu",
                          count, blocks);
    const int rc = spatial_of(in->node, image, block, count, c, err);
    return rc == ACCEL_OK ? check_columns(&in->in[0]->shape, c, err) : rc;
}

static int col2im_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape, *image = &in->in[1]->shape;
    struct accel_shape *y = &in->out[0]->shape;
    struct accel_columns c;
    bool known;

    if (x->rank != 3 || image->rank != 1)
        return accel_fail(err, ACCEL_E_INVALID,
                          "an input of rank %u instead of 3, sizes of rank %u", x->rank,
                          image->rank);
    const int rc = columns_of(in, &c, &known, err);
    if (rc != ACCEL_OK)
        return rc;
    in->out[0]->dtype = in->in[0]->dtype;
    const int64_t spatial = known ? (int64_t)c.spatial : image->dims[0];
    if (spatial < 0 || spatial > ACCEL_RANK_MAX - 2)
        return spatial < 0
                   ? ACCEL_OK
                   : accel_fail(err, ACCEL_E_UNSUPPORTED, "an image of %" PRId64 " axes", spatial);
    *y = (struct accel_shape){.has_rank = true, .rank = 2 + (uint32_t)spatial};
    for (uint32_t d = 0; d < y->rank; d++)
        y->dims[d] = ACCEL_DIM_ANY;
    y->dims[0] = x->dims[0];
    for (unsigned d = 0; known && d < c.spatial; d++)
        y->dims[2 + d] = (int64_t)c.image[d];
    size_t taps = 1;
    for (unsigned d = 0; known && d < c.spatial; d++)
        taps *= c.kernel[d];
    if (known && x->dims[1] >= 0)
        y->dims[1] = x->dims[1] / (int64_t)taps;
    return ACCEL_OK;
}

static int col2im_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const struct accel_infer in = {.node = prep->node, .in = prep->in, .mem = prep->mem};
    struct accel_columns *c = accel_prepare_state(prep, sizeof(*c), err);
    bool known;

    if (c == NULL)
        return ACCEL_E_NOMEM;
    const int rc = columns_of(&in, c, &known, err);
    if (rc == ACCEL_OK && !known)
        return accel_fail(err, ACCEL_E_INVALID, "its sizes are not known");
    return rc;
}

static int col2im_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];

    if (!accel_columns_to_image(run->state, x->dtype, x->data, run->out[0]->data))
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "no kernel for %s", accel_dtype_name(x->dtype));
    return ACCEL_OK;
}

ACCEL_WIDE(col2im, col2im_prepare, col2im_run)

static const struct accel_attr_rule col2im_attrs[] = {{"dilations", ACCEL_ATTR_INTS, 0},
                                                      {"pads", ACCEL_ATTR_INTS, 0},
                                                      {"strides", ACCEL_ATTR_INTS, 0},
                                                      {0}};

#define NUM (ACCEL_T_NUMBERS | ACCEL_T_HALVES)
#define I64 ACCEL_T(INT64)

const struct accel_op accel_ops_col2im[] = {
    {.name = "Col2Im",
     .domain = "",
     .since = 18,
     .kind = ACCEL_KIND_REDUCE,
     .flops_per_value = 1,
     .in = {{"input", NUM, 'T', 0}, {"image_shape", I64, 0, 0}, {"block_shape", I64, 0, 0}},
     .out = {{"output", NUM, 'T', 0}},
     .attrs = col2im_attrs,
     .infer = col2im_infer,
     .prepare = col2im_wide_prepare,
     .run = col2im_wide_run},
    {0},
};
