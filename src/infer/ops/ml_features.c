/* SPDX-License-Identifier: Apache-2.0 */
/* Preparing features: Normalizer, Scaler, Imputer, Binarizer, ArrayFeatureExtractor,
 * FeatureVectorizer. */
#include "infer/kernels/kernels.h"
#include "infer/ops/ml.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static size_t elements_of(const struct accel_tensor *t)
{
    return t->size_bytes / accel_dtype_size(t->dtype);
}

static double value_at(const struct accel_tensor *t, size_t i)
{
    switch (t->dtype) {
    case ACCEL_DTYPE_FLOAT:
        return (double)((const float *)t->data)[i];
    case ACCEL_DTYPE_DOUBLE:
        return ((const double *)t->data)[i];
    case ACCEL_DTYPE_INT32:
        return ((const int32_t *)t->data)[i];
    default:
        return (double)((const int64_t *)t->data)[i];
    }
}

/* Same shape, floats. */
static int float_infer(struct accel_infer *in, struct accel_error *err)
{
    (void)err;
    in->out[0]->dtype = ACCEL_DTYPE_FLOAT;
    in->out[0]->shape = in->in[0]->shape;
    return ACCEL_OK;
}

/* Features of a row: the second dimension, or all of a vector. */
static int64_t features_of(const struct accel_shape *x)
{
    return x->rank == 0 ? 1 : x->dims[x->rank > 1];
}

/* ---------------------------------------------------------------- Normalizer */

enum norm { NORM_MAX, NORM_L1, NORM_L2 };
static const char *const norms[] = {"MAX", "L1", "L2"};

static enum norm norm_of(const struct accel_node *n)
{
    const char *name = accel_attr_string(n, "norm", "MAX");
    size_t i = 0;

    while (i < ACCEL_COUNT(norms) && strcmp(norms[i], name) != 0)
        i++;
    return (enum norm)i;
}

static int normalizer_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                            struct accel_error *err)
{
    (void)mem;
    (void)params;
    if ((size_t)norm_of(n) == ACCEL_COUNT(norms))
        return accel_fail(err, ACCEL_E_INVALID, "norm is '%s'", accel_attr_string(n, "norm", ""));
    return ACCEL_OK;
}

static int normalizer_infer(struct accel_infer *in, struct accel_error *err)
{
    if (in->in[0]->shape.rank == 0)
        return accel_fail(err, ACCEL_E_INVALID, "a scalar has no features");
    return float_infer(in, err);
}

/* MAX is the largest value, not magnitude; a norm of 0 leaves the row as it is. */
static void normalise(enum norm norm, const struct accel_tensor *x, size_t at, size_t n,
                      size_t step, float *y)
{
    float sum = 0, most = -INFINITY;

    for (size_t i = 0; i < n; i++) {
        const float v = (float)value_at(x, at + i * step);

        most = v > most ? v : most;
        sum += norm == NORM_L1 ? fabsf(v) : v * v;
    }
    const float by = norm == NORM_MAX ? most : sum;
    for (size_t i = 0; i < n; i++) {
        const float v = (float)value_at(x, at + i * step);
        float *to = y + at + i * step;

        if (by == 0)
            *to = v;
        else if (norm == NORM_L2)
            *to = copysignf(sqrtf(v * v / by), v);
        else
            *to = v / by;
    }
}

static int normalizer_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    const bool vector = x->rank == 1;
    const size_t outer = vector ? 1 : (size_t)x->dims[0];
    const size_t n = (size_t)x->dims[vector ? 0 : 1];
    const size_t inner = vector ? 1 : accel_dims_product(x->dims, 2, x->rank);

    (void)err;
    if (x->size_bytes == 0)
        return ACCEL_OK;
    for (size_t o = 0; o < outer; o++)
        for (size_t i = 0; i < inner; i++)
            normalise(norm_of(run->node), x, o * n * inner + i, n, inner, run->out[0]->data);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- Scaler */

static int scaler_infer(struct accel_infer *in, struct accel_error *err)
{
    const int64_t features = features_of(&in->in[0]->shape);
    static const char *const names[] = {"scale", "offset"};
    size_t first = 0;

    for (size_t a = 0; a < 2; a++) {
        size_t count;

        accel_attr_floats(in->node, names[a], &count);
        if (count == 0)
            return accel_fail(err, ACCEL_E_INVALID, "%s is missing", names[a]);
        if (a == 1 && count != first)
            return accel_fail(err, ACCEL_E_INVALID, "offset has %zu entries, scale has %zu", count,
                              first);
        first = count;
        if (count != 1 && features >= 0 && (int64_t)count != features)
            return accel_fail(err, ACCEL_E_INVALID, "%s has %zu entries for %" PRId64 " features",
                              names[a], count, features);
    }
    return float_infer(in, err);
}

static int scaler_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    const size_t n = elements_of(x);
    float *y = run->out[0]->data;
    size_t count;
    const float *scale = accel_attr_floats(run->node, "scale", &count);
    const float *offset = accel_attr_floats(run->node, "offset", &count);

    (void)err;
    for (size_t i = 0; i < n; i++) {
        const size_t f = i % count;

        if (x->dtype == ACCEL_DTYPE_DOUBLE)
            y[i] = (float)((((const double *)x->data)[i] - (double)offset[f]) * (double)scale[f]);
        else
            y[i] = ((float)value_at(x, i) - offset[f]) * scale[f];
    }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- Imputer */

static bool is_real(enum accel_dtype dtype)
{
    return dtype == ACCEL_DTYPE_FLOAT || dtype == ACCEL_DTYPE_DOUBLE;
}

static int imputer_infer(struct accel_infer *in, struct accel_error *err)
{
    const int64_t features = features_of(&in->in[0]->shape);
    const bool real = is_real(in->in[0]->dtype);
    const char *name = real ? "imputed_value_floats" : "imputed_value_int64s";
    const struct accel_attr *a = accel_attr(in->node, name);
    const size_t count = a != NULL ? a->count : 0;

    if (count == 0)
        return accel_fail(err, ACCEL_E_INVALID, "%s is missing, which an input of type %s needs",
                          name, accel_dtype_name(in->in[0]->dtype));
    if (count != 1 && features >= 0 && (int64_t)count != features)
        return accel_fail(err, ACCEL_E_INVALID, "%s has %zu entries for %" PRId64 " features", name,
                          count, features);
    return accel_infer_same(in, err);
}

static int imputer_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    const size_t n = elements_of(x);
    const float replaced = accel_attr_float(run->node, "replaced_value_float", 0);
    const int64_t replaced_int = accel_attr_int(run->node, "replaced_value_int64", 0);
    size_t count, count_int;
    const float *by = accel_attr_floats(run->node, "imputed_value_floats", &count);
    const int64_t *by_int = accel_attr_ints(run->node, "imputed_value_int64s", &count_int);

    (void)err;
    for (size_t i = 0; i < n; i++) {
        if (x->dtype == ACCEL_DTYPE_FLOAT) {
            const float v = ((const float *)x->data)[i];
            const bool gap = isnan(replaced) ? isnan(v) : v == replaced;

            ((float *)run->out[0]->data)[i] = gap ? by[i % count] : v;
        } else if (x->dtype == ACCEL_DTYPE_DOUBLE) {
            const double v = ((const double *)x->data)[i];
            const bool gap = isnan(replaced) ? isnan(v) : v == (double)replaced;

            ((double *)run->out[0]->data)[i] = gap ? (double)by[i % count] : v;
        } else if (x->dtype == ACCEL_DTYPE_INT64) {
            const int64_t v = ((const int64_t *)x->data)[i];

            ((int64_t *)run->out[0]->data)[i] = v == replaced_int ? by_int[i % count_int] : v;
        } else {
            const int32_t v = ((const int32_t *)x->data)[i];

            ((int32_t *)run->out[0]->data)[i] =
                v == replaced_int ? (int32_t)by_int[i % count_int] : v;
        }
    }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- Binarizer */

static int binarizer_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    const size_t n = elements_of(x);
    const double threshold = (double)accel_attr_float(run->node, "threshold", 0);

    (void)err;
    for (size_t i = 0; i < n; i++) {
        const bool over = value_at(x, i) > threshold;

        switch (x->dtype) {
        case ACCEL_DTYPE_FLOAT:
            ((float *)run->out[0]->data)[i] = over;
            break;
        case ACCEL_DTYPE_DOUBLE:
            ((double *)run->out[0]->data)[i] = over;
            break;
        case ACCEL_DTYPE_INT32:
            ((int32_t *)run->out[0]->data)[i] = over;
            break;
        default:
            ((int64_t *)run->out[0]->data)[i] = over;
            break;
        }
    }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- ArrayFeatureExtractor */

static int extract_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape, *y = &in->in[1]->shape;
    struct accel_shape *z = &in->out[0]->shape;
    size_t picks = 0;

    if (x->rank == 0)
        return accel_fail(err, ACCEL_E_INVALID, "a scalar has no features");
    in->out[0]->dtype = in->in[0]->dtype;
    *z = *x;
    if (x->rank == 1) {
        z->rank = 2;
        z->dims[0] = 1;
    }
    z->dims[z->rank - 1] = accel_shape_elements(y, &picks) ? (int64_t)picks : ACCEL_DIM_ANY;
    return ACCEL_OK;
}

static int extract_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    const int64_t *picks = run->in[1]->data;
    const size_t count = run->in[1]->size_bytes / sizeof(*picks);
    const size_t size =
        x->dtype == ACCEL_DTYPE_STRING ? sizeof(char *) : accel_dtype_size(x->dtype);
    const int64_t features = x->dims[x->rank - 1];
    const size_t rows = accel_dims_product(x->dims, 0, x->rank - 1);
    char *to = run->out[0]->data;

    for (size_t p = 0; p < count; p++)
        if (picks[p] < 0 || picks[p] >= features)
            return accel_fail(err, ACCEL_E_INVALID,
                              "index %" PRId64 " is outside %" PRId64 " features", picks[p],
                              features);
    for (size_t r = 0; r < rows; r++)
        for (size_t p = 0; p < count; p++, to += size)
            memcpy(to, (const char *)x->data + (r * (size_t)features + (size_t)picks[p]) * size,
                   size);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- FeatureVectorizer */

static int vectorizer_infer(struct accel_infer *in, struct accel_error *err)
{
    size_t count;
    const int64_t *wide = accel_attr_ints(in->node, "inputdimensions", &count);
    int64_t rows = ACCEL_DIM_ANY, total = 0;

    if (count != in->node->inputs_count)
        return accel_fail(err, ACCEL_E_INVALID, "inputdimensions has %zu entries for %zu inputs",
                          count, in->node->inputs_count);
    for (size_t i = 0; i < count; i++) {
        int64_t own, features;
        const int rc = accel_ml_rows(&in->in[i]->shape, &own, &features, err);

        if (rc != ACCEL_OK)
            return rc;
        if (wide[i] < 0 || __builtin_add_overflow(total, wide[i], &total))
            return accel_fail(err, ACCEL_E_INVALID, "inputdimensions: entry %zu is %" PRId64, i,
                              wide[i]);
        if (own >= 0 && rows >= 0 && own != rows)
            return accel_fail(err, ACCEL_E_INVALID,
                              "input %zu has %" PRId64 " rows, those before it %" PRId64, i, own,
                              rows);
        rows = own >= 0 ? own : rows;
    }
    accel_ml_shape(in->out[0], ACCEL_DTYPE_FLOAT, 2, rows, total);
    return ACCEL_OK;
}

/* What an input has too few of is 0, what it has too many of is cut off. */
static int vectorizer_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *y = run->out[0];
    const size_t rows = (size_t)y->dims[0], total = (size_t)y->dims[1];
    float *to = y->data;
    size_t count, at = 0;
    const int64_t *wide = accel_attr_ints(run->node, "inputdimensions", &count);

    (void)err;
    memset(to, 0, y->size_bytes);
    for (size_t i = 0; i < count; i++) {
        const struct accel_tensor *x = run->in[i];
        const size_t features = (size_t)x->dims[x->rank - 1];
        const size_t n = ACCEL_MIN(features, (size_t)wide[i]);

        for (size_t r = 0; r < rows; r++)
            for (size_t f = 0; f < n; f++)
                to[r * total + at + f] = (float)value_at(x, r * features + f);
        at += (size_t)wide[i];
    }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- the entries */

static const struct accel_attr_rule normalizer_attrs[] = {{"norm", ACCEL_ATTR_STRING, 0}, {0}};
static const struct accel_attr_rule scaler_attrs[] = {
    {"offset", ACCEL_ATTR_FLOATS, 0}, {"scale", ACCEL_ATTR_FLOATS, 0}, {0}};
static const struct accel_attr_rule imputer_attrs[] = {
    {"imputed_value_floats", ACCEL_ATTR_FLOATS, 0},
    {"imputed_value_int64s", ACCEL_ATTR_INTS, 0},
    {"replaced_value_float", ACCEL_ATTR_FLOAT, 0},
    {"replaced_value_int64", ACCEL_ATTR_INT, 0},
    {0}};
static const struct accel_attr_rule binarizer_attrs[] = {{"threshold", ACCEL_ATTR_FLOAT, 0}, {0}};
static const struct accel_attr_rule vectorizer_attrs[] = {
    {"inputdimensions", ACCEL_ATTR_INTS, ACCEL_ATTR_REQUIRED}, {0}};

#define ML   .domain = "ai.onnx.ml", .since = 1, .kind = ACCEL_KIND_CLASSIC, .flops_per_value = 2
#define ANY  (ACCEL_ML_IN | ACCEL_T(STRING))
#define REAL .in = {{"X", ACCEL_ML_IN, 0, 0}}, .out = {{"Y", ACCEL_T(FLOAT), 0, 0}}
#define SAME .in = {{"X", ACCEL_ML_IN, 'T', 0}}, .out = {{"Y", ACCEL_ML_IN, 'T', 0}}, .in_place = 1

const struct accel_op accel_ops_ml_features[] = {
    {.name = "Normalizer",
     ML,
     REAL,
     .attrs = normalizer_attrs,
     .parse = normalizer_parse,
     .infer = normalizer_infer,
     .run = normalizer_run},
    {.name = "Scaler", ML, REAL, .attrs = scaler_attrs, .infer = scaler_infer, .run = scaler_run},
    {.name = "Imputer",
     ML,
     SAME,
     .attrs = imputer_attrs,
     .infer = imputer_infer,
     .run = imputer_run},
    {.name = "Binarizer",
     ML,
     SAME,
     .attrs = binarizer_attrs,
     .infer = accel_infer_same,
     .run = binarizer_run},
    {.name = "ArrayFeatureExtractor",
     ML,
     .in = {{"X", ANY, 'T', 0}, {"Y", ACCEL_T(INT64), 0, 0}},
     .out = {{"Z", ANY, 'T', 0}},
     .infer = extract_infer,
     .run = extract_run},
    {.name = "FeatureVectorizer",
     ML,
     .in = {{"X", ACCEL_ML_IN, 'T', ACCEL_ARG_VARIADIC | ACCEL_ARG_MIXED}},
     .out = {{"Y", ACCEL_T(FLOAT), 0, 0}},
     .attrs = vectorizer_attrs,
     .infer = vectorizer_infer,
     .run = vectorizer_run},
    {0},
};
