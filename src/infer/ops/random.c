/* SPDX-License-Identifier: Apache-2.0 */
/* RandomNormal, RandomUniform and their ...Like, Bernoulli, Multinomial. With a seed every run
 * gives the same numbers, the same for all nodes of that seed, and they are those of the first run
 * of a session of ONNX Runtime (kernels/random.h), whose later runs go on where that one stopped.
 * Within a run a node in a loop goes on, there and here. Without a seed each run's differ. Halves
 * are drawn as floats and rounded. */
#include "infer/ops/random.h"

#include "infer/ops/elements.h"
#include "infer/ops/wide.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <sys/random.h>

/* ---------------------------------------------------------------- seeds and types */

/* As the machine that ONNX Runtime was built for converts a float: by way of a signed number of 64
 * bits, whose lower half stays, and to 0 what has no such number. */
static uint32_t seed_of(float seed)
{
    return fabsf(seed) < 0x1p63f ? (uint32_t)(int64_t)seed : 0;
}

int accel_random_unseeded(struct accel_random *g, struct accel_error *err)
{
    uint32_t seed;

    while (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
        if (errno != EINTR)
            return accel_fail(err, ACCEL_E_INTERNAL, "the system gives no random numbers: %s",
                              strerror(errno));
    accel_random_begin(g, seed);
    return ACCEL_OK;
}

/* The sequence of the node's seed, or of one that the system gives, begun or gone on with. */
static int sequence_of(struct accel_run *run, struct accel_random **g, struct accel_error *err)
{
    const struct accel_attr *seed = accel_attr(run->node, "seed");
    void *kept;
    const int rc = accel_run_keep(run, sizeof(**g), &kept, err);

    if (rc != ACCEL_OK)
        return rc;
    *g = kept;
    if ((*g)->state != 0) /* which no sequence ever is */
        return ACCEL_OK;
    if (seed == NULL)
        return accel_random_unseeded(*g, err);
    accel_random_begin(*g, seed_of(*seed->floats));
    return ACCEL_OK;
}

/* Attribute dtype, if there is one, is of the types of the entry's output. */
static int dtype_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                       struct accel_error *err)
{
    const int64_t type = accel_attr_int(n, "dtype", ACCEL_DTYPE_FLOAT);

    (void)mem;
    (void)params;
    /* Multinomial's default is INT32; what is said is checked, the defaults are right. */
    if (accel_attr(n, "dtype") != NULL &&
        (type <= 0 || type > 31 || (n->op->out[0].types & 1u << type) == 0))
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "dtype is %" PRId64, type);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- RandomNormal, RandomUniform */

static int shape_infer(struct accel_infer *in, struct accel_error *err)
{
    size_t rank;
    const int64_t *dims = accel_attr_ints(in->node, "shape", &rank);

    if (rank > ACCEL_RANK_MAX)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "a shape of %zu dimensions", rank);
    in->out[0]->dtype = (enum accel_dtype)accel_attr_int(in->node, "dtype", ACCEL_DTYPE_FLOAT);
    in->out[0]->shape = (struct accel_shape){.has_rank = true, .rank = (uint32_t)rank};
    for (size_t i = 0; i < rank; i++) {
        if (dims[i] < 0)
            return accel_fail(err, ACCEL_E_INVALID, "shape[%zu] is %" PRId64, i, dims[i]);
        in->out[0]->shape.dims[i] = dims[i];
    }
    return ACCEL_OK;
}

static int like_infer(struct accel_infer *in, struct accel_error *err)
{
    const enum accel_dtype dtype =
        (enum accel_dtype)accel_attr_int(in->node, "dtype", in->in[0]->dtype);

    if ((in->node->op->out[0].types & 1u << dtype) == 0)
        return accel_fail(err, ACCEL_E_INVALID, "like an input of type %s: dtype must say of what",
                          accel_dtype_name(dtype));
    in->out[0]->dtype = dtype;
    in->out[0]->shape = in->in[0]->shape;
    return ACCEL_OK;
}

static int numbers_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_node *n = run->node;
    const struct accel_tensor *y = run->out[0];
    struct accel_random *g;
    const int rc = sequence_of(run, &g, err);

    if (rc != ACCEL_OK)
        return rc;
    if (strncmp(n->op_type, "RandomNormal", strlen("RandomNormal")) == 0)
        accel_random_normal(g, y->dtype, accel_elements(y), accel_attr_float(n, "mean", 0),
                            accel_attr_float(n, "scale", 1), y->data);
    else
        accel_random_uniform(g, y->dtype, accel_elements(y), accel_attr_float(n, "low", 0),
                             accel_attr_float(n, "high", 1), y->data);
    return ACCEL_OK;
}

ACCEL_WIDE(numbers, NULL, numbers_run)

/* ---------------------------------------------------------------- Bernoulli */

/* Scratch: a byte for each, which then becomes a number of the type asked for. */
static int bernoulli_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    (void)err;
    accel_shape_elements(&prep->in[0]->shape, &prep->scratch_bytes);
    return ACCEL_OK;
}

/* 1 where what is drawn is above the probability, which is 1 with 1 - p: the body that the standard
 * gives this function, and what ONNX Runtime runs, although its text has it the other way round. */
static int bernoulli_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *p = run->in[0], *y = run->out[0];
    struct accel_random *g;
    const int rc = sequence_of(run, &g, err);

    if (rc != ACCEL_OK)
        return rc;
    accel_random_bernoulli(g, p->dtype, accel_elements(p), p->data, run->scratch);
    accel_convert(run->kernels, run->pool, accel_elements(y), ACCEL_DTYPE_BOOL, run->scratch,
                  y->dtype, y->data);
    return ACCEL_OK;
}

ACCEL_WIDE(bernoulli, bernoulli_prepare, bernoulli_run)

/* ---------------------------------------------------------------- Multinomial */

static int multinomial_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape;
    const int64_t samples = accel_attr_int(in->node, "sample_size", 1);

    if (x->rank != 2 || x->dims[1] == 0)
        return accel_fail(err, ACCEL_E_INVALID, "an input of rank %u, not [batch, classes]",
                          x->rank);
    if (samples < 1)
        return accel_fail(err, ACCEL_E_INVALID, "sample_size is %" PRId64, samples);
    in->out[0]->dtype = (enum accel_dtype)accel_attr_int(in->node, "dtype", ACCEL_DTYPE_INT32);
    in->out[0]->shape =
        (struct accel_shape){.has_rank = true, .rank = 2, .dims = {x->dims[0], samples}};
    return ACCEL_OK;
}

/* Scratch: running sums of one row, then all samples as INT64. */
static int multinomial_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    size_t samples;

    if (!accel_shape_bytes(&prep->out[0]->shape, ACCEL_DTYPE_INT64, &samples) ||
        __builtin_add_overflow((size_t)prep->in[0]->shape.dims[1] * sizeof(double), samples,
                               &prep->scratch_bytes))
        return accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
    return ACCEL_OK;
}

static int multinomial_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0], *y = run->out[0];
    const size_t rows = (size_t)x->dims[0], classes = (size_t)x->dims[1];
    double *sums = run->scratch;
    int64_t *samples = (int64_t *)(sums + classes);
    struct accel_random *g;
    const int rc = sequence_of(run, &g, err);

    if (rc != ACCEL_OK)
        return rc;
    accel_random_classes(g, x->dtype, rows, classes, x->data, (size_t)y->dims[1], samples, sums);
    accel_convert(run->kernels, run->pool, accel_elements(y), ACCEL_DTYPE_INT64, samples, y->dtype,
                  y->data);
    return ACCEL_OK;
}

ACCEL_WIDE(multinomial, multinomial_prepare, multinomial_run)

/* ---------------------------------------------------------------- the entries */

#define ANY   (ACCEL_T_FIXED | ACCEL_T(STRING))
#define EARLY (ACCEL_T_FLOATS | ACCEL_T(FLOAT16)) /* BFLOAT16 came with version 22 */
#define INTS  (ACCEL_T(INT32) | ACCEL_T(INT64))

#define BASIC                       \
    {"dtype", ACCEL_ATTR_INT, 0},   \
    {                               \
        "seed", ACCEL_ATTR_FLOAT, 0 \
    }
#define NORMAL                            \
    BASIC, {"mean", ACCEL_ATTR_FLOAT, 0}, \
    {                                     \
        "scale", ACCEL_ATTR_FLOAT, 0      \
    }
#define UNIFORM                          \
    BASIC, {"low", ACCEL_ATTR_FLOAT, 0}, \
    {                                    \
        "high", ACCEL_ATTR_FLOAT, 0      \
    }
#define SHAPE                                         \
    {                                                 \
        "shape", ACCEL_ATTR_INTS, ACCEL_ATTR_REQUIRED \
    }
static const struct accel_attr_rule normal_attrs[] = {NORMAL, SHAPE, {0}};
static const struct accel_attr_rule uniform_attrs[] = {UNIFORM, SHAPE, {0}};
static const struct accel_attr_rule normal_like_attrs[] = {NORMAL, {0}};
static const struct accel_attr_rule uniform_like_attrs[] = {UNIFORM, {0}};
static const struct accel_attr_rule bernoulli_attrs[] = {BASIC, {0}};
static const struct accel_attr_rule multinomial_attrs[] = {
    BASIC, {"sample_size", ACCEL_ATTR_INT, 0}, {0}};

#define RANDOM                                                                 \
    .domain = "", .kind = ACCEL_KIND_TRANSCENDENTAL, .flags = ACCEL_OP_RANDOM, \
    .flops_per_value = 40, .parse = dtype_parse
#define NUMBERS(op, version, types, rules)                                                      \
    {                                                                                           \
        .name = op, .since = version, RANDOM, .out = {{"output", types, 0, 0}}, .attrs = rules, \
        .infer = shape_infer, .prepare = numbers_wide_prepare, .run = numbers_wide_run          \
    }
#define LIKE(op, version, types, rules)                                        \
    {                                                                          \
        .name = op, .since = version, RANDOM, .in = {{"input", ANY, 0, 0}},    \
        .out = {{"output", types, 0, 0}}, .attrs = rules, .infer = like_infer, \
        .prepare = numbers_wide_prepare, .run = numbers_wide_run               \
    }
#define BERNOULLI(version, types)                                                         \
    {                                                                                     \
        .name = "Bernoulli", .since = version, RANDOM, .in = {{"input", types, 0, 0}},    \
        .out = {{"output", ACCEL_T_NUMBERS | ACCEL_T_HALVES | ACCEL_T(BOOL), 0, 0}},      \
        .attrs = bernoulli_attrs, .infer = like_infer, .prepare = bernoulli_wide_prepare, \
        .run = bernoulli_wide_run                                                         \
    }
#define MULTINOMIAL(version, types)                                                              \
    {                                                                                            \
        .name = "Multinomial", .since = version, RANDOM, .in = {{"input", types, 0, 0}},         \
        .out = {{"output", INTS, 0, 0}}, .attrs = multinomial_attrs, .infer = multinomial_infer, \
        .prepare = multinomial_wide_prepare, .run = multinomial_wide_run                         \
    }

const struct accel_op accel_ops_random[] = {
    NUMBERS("RandomNormal", 1, EARLY, normal_attrs),
    NUMBERS("RandomNormal", 22, ACCEL_T_REALS, normal_attrs),
    NUMBERS("RandomUniform", 1, EARLY, uniform_attrs),
    NUMBERS("RandomUniform", 22, ACCEL_T_REALS, uniform_attrs),
    LIKE("RandomNormalLike", 1, EARLY, normal_like_attrs),
    LIKE("RandomNormalLike", 22, ACCEL_T_REALS, normal_like_attrs),
    LIKE("RandomUniformLike", 1, EARLY, uniform_like_attrs),
    LIKE("RandomUniformLike", 22, ACCEL_T_REALS, uniform_like_attrs),
    BERNOULLI(15, EARLY),
    BERNOULLI(22, ACCEL_T_REALS),
    MULTINOMIAL(7, EARLY),
    MULTINOMIAL(22, ACCEL_T_REALS),
    {0},
};
