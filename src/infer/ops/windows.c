/* SPDX-License-Identifier: Apache-2.0 */
/* HannWindow, HammingWindow, BlackmanWindow, MelWeightMatrix: tables made from a few numbers. */
#include "infer/kernels/windows.h"

#include "infer/ops/elements.h"

#include <inttypes.h>
#include <string.h>

#define OUT (ACCEL_T_NUMBERS | ACCEL_T_HALVES)

static int output_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                        struct accel_error *err)
{
    const int64_t type = accel_attr_int(n, "output_datatype", ACCEL_DTYPE_FLOAT);

    (void)mem;
    (void)params;
    if (type <= 0 || type > 31 || (OUT & 1u << type) == 0)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "output_datatype is %" PRId64, type);
    return ACCEL_OK;
}

static enum accel_dtype output_type(const struct accel_node *n)
{
    return (enum accel_dtype)accel_attr_int(n, "output_datatype", ACCEL_DTYPE_FLOAT);
}

/* Everything is computed in double first. */
static int doubles_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    size_t n;

    if (!accel_shape_elements(&prep->out[0]->shape, &n) ||
        __builtin_mul_overflow(n, sizeof(double), &prep->scratch_bytes))
        return accel_fail(err, ACCEL_E_INVALID, "its work space overflows");
    return ACCEL_OK;
}

static void round_doubles(struct accel_run *run)
{
    const struct accel_tensor *y = run->out[0];

    accel_convert(run->kernels, run->pool, accel_elements(y), ACCEL_DTYPE_DOUBLE, run->scratch,
                  y->dtype, y->data);
}

/* ---------------------------------------------------------------- windows */

static int window_infer(struct accel_infer *in, struct accel_error *err)
{
    int64_t size = ACCEL_DIM_ANY;
    size_t count;

    in->out[0]->dtype = output_type(in->node);
    if (accel_infer_ints(in, 0, &size, 1, &count) && (count != 1 || size < 0))
        return accel_fail(err, ACCEL_E_INVALID, "a size of %" PRId64, size);
    in->out[0]->shape = (struct accel_shape){.has_rank = true, .rank = 1, .dims = {size}};
    return ACCEL_OK;
}

static int window_run(struct accel_run *run, struct accel_error *err)
{
    static const struct {
        const char *name;
        double a[3];
    } kinds[] = {{"HannWindow", {0.5, 0.5, 0}},
                 {"HammingWindow", {25.0 / 46, 21.0 / 46, 0}},
                 {"BlackmanWindow", {0.42, 0.5, 0.08}}};
    size_t k = 0;

    (void)err;
    while (strcmp(kinds[k].name, run->node->op_type) != 0)
        k++;
    accel_cosine_window(accel_elements(run->out[0]), accel_attr_int(run->node, "periodic", 1) != 0,
                        kinds[k].a, run->scratch);
    round_doubles(run);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- MelWeightMatrix */

static int mel_infer(struct accel_infer *in, struct accel_error *err)
{
    int64_t sizes[3];
    bool known = true;

    for (size_t i = 0; i < 5; i++) {
        size_t n;

        if (accel_shape_elements(&in->in[i]->shape, &n) && n != 1)
            return accel_fail(err, ACCEL_E_INVALID, "input %zu is not one number", i);
        known = known && (i > 2 || accel_infer_ints(in, i, &sizes[i], 1, &n));
    }
    in->out[0]->dtype = output_type(in->node);
    in->out[0]->shape =
        (struct accel_shape){.has_rank = true, .rank = 2, .dims = {ACCEL_DIM_ANY, ACCEL_DIM_ANY}};
    if (!known)
        return ACCEL_OK;
    if (sizes[0] < 0 || sizes[1] < 1 || sizes[2] < 1)
        return accel_fail(err, ACCEL_E_INVALID,
                          "%" PRId64 " mel bins, a dft_length of %" PRId64
                          ", a sample_rate of %" PRId64,
                          sizes[0], sizes[1], sizes[2]);
    in->out[0]->shape.dims[0] = sizes[1] / 2 + 1;
    in->out[0]->shape.dims[1] = sizes[0];
    return ACCEL_OK;
}

static double hertz_at(struct accel_run *run, size_t i)
{
    double hertz = 0;

    accel_convert(run->kernels, NULL, 1, run->in[i]->dtype, run->in[i]->data, ACCEL_DTYPE_DOUBLE,
                  &hertz);
    return hertz;
}

static int mel_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_mel mel = {.bins = (size_t)run->out[0]->dims[1],
                                  .dft_length = (double)accel_integer_at(run->in[1], 0),
                                  .sample_rate = (double)accel_integer_at(run->in[2], 0),
                                  .low_hertz = hertz_at(run, 3),
                                  .high_hertz = hertz_at(run, 4)};

    if (!accel_mel_matrix(&mel, (size_t)run->out[0]->dims[0], run->scratch))
        return accel_fail(err, ACCEL_E_INVALID,
                          "bins from %g to %g Hz reach beyond a spectrum of %" PRId64
                          " rows at a sample_rate of %g",
                          mel.low_hertz, mel.high_hertz, run->out[0]->dims[0], mel.sample_rate);
    round_doubles(run);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- the entries */

#define INTS (ACCEL_T(INT32) | ACCEL_T(INT64))
#define REAL (ACCEL_T_FLOATS | ACCEL_T_HALVES)

static const struct accel_attr_rule window_attrs[] = {
    {"output_datatype", ACCEL_ATTR_INT, 0}, {"periodic", ACCEL_ATTR_INT, 0}, {0}};
static const struct accel_attr_rule mel_attrs[] = {{"output_datatype", ACCEL_ATTR_INT, 0}, {0}};

#define TABLE .domain = "", .kind = ACCEL_KIND_TRANSCENDENTAL, .flops_per_value = 8
#define WINDOW(op)                                                                    \
    {                                                                                 \
        .name = op, .since = 17, TABLE, .in = {{"size", INTS, 0, 0}},                 \
        .out = {{"output", OUT, 0, 0}}, .attrs = window_attrs, .parse = output_parse, \
        .infer = window_infer, .prepare = doubles_prepare, .run = window_run          \
    }

const struct accel_op accel_ops_windows[] = {
    WINDOW("HannWindow"),
    WINDOW("HammingWindow"),
    WINDOW("BlackmanWindow"),
    {.name = "MelWeightMatrix",
     .since = 17,
     TABLE,
     .in = {{"num_mel_bins", INTS, 'I', 0},
            {"dft_length", INTS, 'I', 0},
            {"sample_rate", INTS, 'I', 0},
            {"lower_edge_hertz", REAL, 'F', 0},
            {"upper_edge_hertz", REAL, 'F', 0}},
     .out = {{"output", OUT, 0, 0}},
     .attrs = mel_attrs,
     .parse = output_parse,
     .infer = mel_infer,
     .prepare = doubles_prepare,
     .run = mel_run},
    {0},
};
