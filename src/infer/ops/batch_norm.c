/* SPDX-License-Identifier: Apache-2.0 */
/* BatchNormalization: inference, and since 14 training. */
#include "infer/kernels/norm.h"
#include "infer/ops/op.h"

#include <inttypes.h>
#include <math.h>

static int parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                 struct accel_error *err)
{
    const bool training = accel_attr_int(n, "training_mode", 0) != 0;

    (void)mem;
    (void)params;
    /* Before 14 the number of outputs meant training, by a definition nobody runs. */
    if (n->op->since < 14 && n->outputs_count > 1)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "more than one output (training)");
    if (!training && n->outputs_count > 1)
        return accel_fail(err, ACCEL_E_INVALID, "more than one output, but training_mode is 0");
    return ACCEL_OK;
}

/* spatial 0 (opset 7 alone): every element of an image has statistics of its own. */
static bool is_spatial(const struct accel_node *n)
{
    return accel_attr_int(n, "spatial", 1) != 0;
}

static int check_statistic(const struct accel_infer *in, size_t i, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape, *s = &in->in[i]->shape;
    const bool spatial = is_spatial(in->node);
    const uint32_t rank = spatial || x->rank < 2 ? 1 : x->rank - 1;

    if (in->in[i]->dtype != in->in[0]->dtype)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "input %zu of %s beside one of %s", i,
                          accel_dtype_name(in->in[i]->dtype), accel_dtype_name(in->in[0]->dtype));
    if (s->rank != rank)
        return accel_fail(err, ACCEL_E_INVALID, "input %zu has rank %u instead of %u", i, s->rank,
                          rank);
    for (uint32_t d = 0; d < rank; d++) {
        const int64_t wants = x->rank > 1 ? x->dims[1 + d] : 1;

        if (s->dims[d] >= 0 && wants >= 0 && s->dims[d] != wants)
            return accel_fail(err, ACCEL_E_INVALID,
                              "input %zu has %" PRId64 " elements instead of %" PRId64, i,
                              s->dims[d], wants);
    }
    return ACCEL_OK;
}

static int infer(struct accel_infer *in, struct accel_error *err)
{
    int rc = ACCEL_OK;

    if (in->in[0]->shape.rank == 0)
        return accel_fail(err, ACCEL_E_INVALID, "a scalar has no channels");
    for (size_t i = 1; i < 5 && rc == ACCEL_OK; i++)
        rc = check_statistic(in, i, err);
    for (size_t o = 1; o < in->node->outputs_count; o++)
        if (in->out[o] != NULL) {
            in->out[o]->dtype = in->in[3]->dtype;
            in->out[o]->shape = in->in[3]->shape;
        }
    return rc == ACCEL_OK ? accel_infer_same(in, err) : rc;
}

/* The tensor as [batch][channels][inner]. */
struct layout {
    size_t batch, channels, inner;
};

static struct layout layout_of(const struct accel_node *n, uint32_t rank, const int64_t *dims)
{
    struct layout l = {.batch = (size_t)dims[0], .channels = 1, .inner = 1};

    if (rank > 1 && !is_spatial(n))
        l.channels = accel_dims_product(dims, 1, rank);
    else if (rank > 1) {
        l.channels = (size_t)dims[1];
        l.inner = accel_dims_product(dims, 2, rank);
    }
    return l;
}

/* ---------------------------------------------------------------- inference, in float */

static void scale_shift(size_t channels, float epsilon, const float *gamma, const float *beta,
                        const float *mean, const float *variance, float *scale, float *shift)
{
    for (size_t c = 0; c < channels; c++) {
        const double s = (double)gamma[c] / sqrt((double)variance[c] + (double)epsilon);

        scale[c] = (float)s;
        shift[c] = (float)((double)beta[c] - (double)mean[c] * s);
    }
}

/* Constant statistics become one scale and one shift per channel. */
static int prepack(struct accel_prepack *pack, struct accel_error *err)
{
    const struct accel_tensor *in[5];
    void *blob;
    bool fill;

    if (accel_attr_int(pack->node, "training_mode", 0) != 0)
        return ACCEL_OK;
    for (size_t i = 1; i < 5; i++) {
        in[i] = accel_prepack_input(pack, i);
        if (in[i] == NULL || in[i]->dtype != ACCEL_DTYPE_FLOAT || in[i]->rank != 1 ||
            in[i]->dims[0] != in[1]->dims[0])
            return ACCEL_OK;
    }
    const size_t channels = (size_t)in[1]->dims[0];
    const int rc = accel_prepack_blob(pack, 0, 2 * channels * sizeof(float), &blob, &fill, err);
    if (rc == ACCEL_OK && fill)
        scale_shift(channels, accel_attr_float(pack->node, "epsilon", 1e-5f), in[1]->data,
                    in[2]->data, in[3]->data, in[4]->data, blob, (float *)blob + channels);
    pack->consumed = 0x1e;
    return rc;
}

static int prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const struct accel_shape *x = &prep->in[0]->shape;
    const struct layout l = layout_of(prep->node, x->rank, x->dims);

    if (prep->blobs[0] == NULL &&
        __builtin_mul_overflow(l.channels, 3 * accel_dtype_size(prep->in[0]->dtype),
                               &prep->scratch_bytes))
        return accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- double, and training */

static void finish(const struct accel_run *run)
{
    const struct accel_activation *act = &run->node->epilogue.act;
    const struct accel_tensor *y = run->out[0];

    if (act->op != ACCEL_UNARY_IDENTITY)
        accel_unary(run->kernels, run->pool, act->op, act->alpha, act->beta, y->dtype,
                    y->size_bytes / accel_dtype_size(y->dtype), y->data, y->data);
}

static void run_double(const struct accel_run *run, const struct layout *l)
{
    const double *x = run->in[0]->data, *gamma = run->in[1]->data, *beta = run->in[2]->data,
                 *mean = run->in[3]->data, *variance = run->in[4]->data;
    const double epsilon = (double)accel_attr_float(run->node, "epsilon", 1e-5f);
    double *y = run->out[0]->data;

    for (size_t row = 0; row < l->batch * l->channels; row++) {
        const size_t c = row % l->channels;
        const double scale = gamma[c] / sqrt(variance[c] + epsilon);

        for (size_t i = row * l->inner; i < (row + 1) * l->inner; i++)
            y[i] = (x[i] - mean[c]) * scale + beta[c];
    }
}

/* old * momentum + now * (1 - momentum), into out. */
static void blend(enum accel_dtype dtype, size_t n, float momentum, const void *old,
                  const void *now, void *out)
{
    for (size_t i = 0; i < n; i++) {
        if (dtype == ACCEL_DTYPE_DOUBLE)
            ((double *)out)[i] = ((const double *)old)[i] * (double)momentum +
                                 ((const double *)now)[i] * (1 - (double)momentum);
        else
            ((float *)out)[i] =
                ((const float *)old)[i] * momentum + ((const float *)now)[i] * (1 - momentum);
    }
}

static int train(const struct accel_run *run, const struct layout *l, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    const size_t bytes = l->channels * accel_dtype_size(x->dtype);
    char *mean = run->scratch, *variance = mean + bytes;

    if (!accel_batch_norm_train(run->kernels, run->pool, x->dtype, l->batch, l->channels, l->inner,
                                accel_attr_float(run->node, "epsilon", 1e-5f), x->data,
                                run->in[1]->data, run->in[2]->data, mean, variance,
                                variance + bytes, run->out[0]->data))
        return accel_fail(err, ACCEL_E_INTERNAL, "no kernel for this type");
    finish(run);
    for (size_t o = 1; o < run->node->outputs_count; o++)
        if (run->out[o] != NULL)
            blend(x->dtype, l->channels, accel_attr_float(run->node, "momentum", 0.9f),
                  run->in[2 + o]->data, o == 1 ? mean : variance, run->out[o]->data);
    return ACCEL_OK;
}

static int run_float(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    const struct layout l = layout_of(run->node, x->rank, x->dims);
    const float *scale = run->blobs[0];

    if (accel_attr_int(run->node, "training_mode", 0) != 0)
        return train(run, &l, err);
    if (x->size_bytes == 0)
        return ACCEL_OK;
    if (x->dtype == ACCEL_DTYPE_DOUBLE) {
        run_double(run, &l);
        return ACCEL_OK;
    }
    if (scale == NULL) {
        scale_shift(l.channels, accel_attr_float(run->node, "epsilon", 1e-5f), run->in[1]->data,
                    run->in[2]->data, run->in[3]->data, run->in[4]->data, run->scratch,
                    (float *)run->scratch + l.channels);
        scale = run->scratch;
    }
    accel_channel_affine_f32(run->kernels, run->pool, l.batch, l.channels, l.inner, x->data, scale,
                             scale + l.channels, run->node->epilogue.act, run->out[0]->data);
    return ACCEL_OK;
}

#define R   ACCEL_T_FLOATS
#define OPT ACCEL_ARG_OPTIONAL

static const struct accel_attr_rule attrs_7[] = {{"epsilon", ACCEL_ATTR_FLOAT, 0},
                                                 {"momentum", ACCEL_ATTR_FLOAT, 0},
                                                 {"spatial", ACCEL_ATTR_INT, 0},
                                                 {0}};
static const struct accel_attr_rule attrs_9[] = {
    {"epsilon", ACCEL_ATTR_FLOAT, 0}, {"momentum", ACCEL_ATTR_FLOAT, 0}, {0}};
static const struct accel_attr_rule attrs_14[] = {{"epsilon", ACCEL_ATTR_FLOAT, 0},
                                                  {"momentum", ACCEL_ATTR_FLOAT, 0},
                                                  {"training_mode", ACCEL_ATTR_INT, 0},
                                                  {0}};

#define BN(version, rules)                                                                        \
    .name = "BatchNormalization", .domain = "", .since = version, .flags = ACCEL_OP_EPILOGUE,     \
    .kind = ACCEL_KIND_NORM, .flops_per_value = 2, .in_place = 1, .attrs = rules, .parse = parse, \
    .infer = infer, .prepack = prepack, .prepare = prepare, .run = run_float,                     \
    .in = {{"X", R, 'T', 0},                                                                      \
           {"scale", R, 'S', 0},                                                                  \
           {"B", R, 'S', 0},                                                                      \
           {"input_mean", R, 'U', 0},                                                             \
           {"input_var", R, 'U', 0}}

/* The outputs of training were five before 14. */
#define OLD_OUT                                                        \
    {                                                                  \
        {"Y", R, 'T', 0}, {"mean", R, 'U', OPT}, {"var", R, 'U', OPT}, \
            {"saved_mean", R, 'U', OPT},                               \
        {                                                              \
            "saved_var", R, 'U', OPT                                   \
        }                                                              \
    }

const struct accel_op accel_ops_batch_norm[] = {
    {BN(7, attrs_7), .out = OLD_OUT},
    {BN(9, attrs_9), .out = OLD_OUT},
    {BN(14, attrs_14),
     .out = {{"Y", R, 'T', 0}, {"running_mean", R, 'U', OPT}, {"running_var", R, 'U', OPT}}},
    {0},
};
