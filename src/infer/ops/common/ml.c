/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/ops/ml.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---------------------------------------------------------------- scores */

int accel_ml_post_of(const struct accel_node *node, enum accel_ml_post *post,
                     struct accel_error *err)
{
    static const char *const names[] = {"NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT"};
    const char *name = accel_attr_string(node, "post_transform", "NONE");
    size_t i = 0;

    while (i < ACCEL_COUNT(names) && strcmp(names[i], name) != 0)
        i++;
    if (i == ACCEL_COUNT(names))
        return accel_fail(err, ACCEL_E_INVALID, "post_transform is '%s'", name);
    *post = (enum accel_ml_post)i;
    return ACCEL_OK;
}

float accel_ml_logistic(float x)
{
    const float v = 1 / (1 + expf(-fabsf(x)));

    return x < 0 ? 1 - v : v;
}

/* Inverse of the error function after Winitzki, the approximation (0.147) ONNX Runtime uses: a
 * better one would not agree with it. */
static float probit(float p)
{
    const float x = 2 * p - 1, l = logf((1 - x) * (1 + x));
    const float a = 2 / (3.14159f * 0.147f) + 0.5f * l, b = 1 / 0.147f * l;
    const float root = sqrtf(-a + sqrtf(a * a - b));

    return 1.41421356f * (x < 0 ? -root : root);
}

static float largest(size_t n, const float *s)
{
    float most = -FLT_MAX;

    for (size_t i = 0; i < n; i++)
        most = s[i] > most ? s[i] : most;
    return most;
}

/* zero: what is 0 stays 0. */
static void softmax(size_t n, float *s, bool zero)
{
    const float most = largest(n, s), least = expf(-most);
    float sum = 0;

    for (size_t i = 0; i < n; i++) {
        if (zero && s[i] <= 0.0000001f && s[i] >= -0.0000001f) {
            s[i] *= least;
            continue;
        }
        s[i] = expf(s[i] - most);
        sum += s[i];
    }
    for (size_t i = 0; i < n; i++)
        s[i] /= sum;
}

void accel_ml_post_row(enum accel_ml_post post, size_t n, float *s)
{
    switch (post) {
    case ACCEL_ML_NONE:
        break;
    case ACCEL_ML_LOGISTIC:
        for (size_t i = 0; i < n; i++)
            s[i] = accel_ml_logistic(s[i]);
        break;
    case ACCEL_ML_SOFTMAX:
        softmax(n, s, false);
        break;
    case ACCEL_ML_SOFTMAX_ZERO:
        softmax(n, s, true);
        break;
    case ACCEL_ML_PROBIT:
        for (size_t i = 0; i < n; i++)
            s[i] = probit(s[i]);
        break;
    }
}

void accel_ml_post_one(enum accel_ml_post post, enum accel_ml_second second, float score, float *z)
{
    const float s = score;

    if (post == ACCEL_ML_PROBIT) {
        z[0] = probit(s);
        return;
    }
    z[0] = s;
    if (second == ACCEL_ML_ALONE)
        return;
    if (post == ACCEL_ML_LOGISTIC) {
        z[0] = accel_ml_logistic(-s);
        z[1] = accel_ml_logistic(s);
        return;
    }
    z[0] = second == ACCEL_ML_COMPLEMENT ? 1 - s : -s;
    z[1] = s;
}

/* ---------------------------------------------------------------- labels */

int accel_ml_labels_of(const struct accel_node *node, const char *ints, const char *strings,
                       struct accel_ml_labels *labels, struct accel_error *err)
{
    const struct accel_attr *i = accel_attr(node, ints), *s = accel_attr(node, strings);
    const size_t ints_count = i != NULL ? i->count : 0, strings_count = s != NULL ? s->count : 0;

    if ((ints_count > 0) == (strings_count > 0))
        return accel_fail(err, ACCEL_E_INVALID, "%s of %s and %s must be given",
                          ints_count > 0 ? "only one" : "one", ints, strings);
    *labels = (struct accel_ml_labels){.count = ints_count + strings_count,
                                       .ints = ints_count > 0 ? i->ints : NULL,
                                       .strings = strings_count > 0 ? s->strings : NULL};
    return ACCEL_OK;
}

void accel_ml_label_write(const struct accel_ml_labels *labels, size_t which,
                          const struct accel_tensor *y, size_t row)
{
    if (labels->ints != NULL)
        ((int64_t *)y->data)[row] = labels->ints[which];
    else
        ((const char **)y->data)[row] = labels->strings[which].data;
}

/* ---------------------------------------------------------------- rows */

int accel_ml_rows(const struct accel_shape *x, int64_t *rows, int64_t *features,
                  struct accel_error *err)
{
    if (x->rank != 1 && x->rank != 2)
        return accel_fail(err, ACCEL_E_INVALID, "an input of rank %u: rows of features are needed",
                          x->rank);
    *rows = x->rank == 2 ? x->dims[0] : 1;
    *features = x->dims[x->rank - 1];
    return ACCEL_OK;
}

void accel_ml_shape(struct accel_type *out, enum accel_dtype dtype, uint32_t rank, int64_t rows,
                    int64_t columns)
{
    if (out == NULL)
        return;
    out->dtype = dtype;
    out->shape = (struct accel_shape){.has_rank = true, .rank = rank, .dims = {rows, columns}};
}

size_t accel_ml_floats_bytes(const struct accel_type *x)
{
    size_t n = 0;

    if (x->dtype == ACCEL_DTYPE_FLOAT || !accel_shape_elements(&x->shape, &n))
        return 0;
    return ACCEL_ROUND_UP(n * sizeof(float), 64);
}

const float *accel_ml_floats(const struct accel_run *run, const struct accel_tensor *x)
{
    if (x->dtype == ACCEL_DTYPE_FLOAT)
        return x->data;
    accel_convert(run->kernels, run->pool, x->size_bytes / accel_dtype_size(x->dtype), x->dtype,
                  x->data, ACCEL_DTYPE_FLOAT, run->scratch);
    return run->scratch;
}

int accel_ml_keep_tensors(const struct accel_node *node, struct accel_bump *mem,
                          struct accel_error *err)
{
    for (size_t i = 0; i < node->attrs_count; i++) {
        const struct accel_attr *a = &node->attrs[i];

        for (size_t k = 0; a->type == ACCEL_ATTR_TENSOR && k < a->count; k++) {
            /* Made by the reader in the ir's memory: only its users see it as const. */
            struct accel_tensor *t = (struct accel_tensor *)(uintptr_t)&a->tensors[k];

            if (t->dtype == ACCEL_DTYPE_STRING || t->size_bytes <= ACCEL_CONSTANT_SMALL)
                continue;
            void *copy = accel_bump_alloc(mem, t->size_bytes, 1);
            if (copy == NULL)
                return accel_fail(err, ACCEL_E_NOMEM, "no memory for attribute %s", a->name);
            t->data = memcpy(copy, t->data, t->size_bytes);
        }
    }
    return ACCEL_OK;
}

/* X against the number of features that the attributes make. */
static int check_features(const struct accel_infer *in, size_t want, int64_t *rows,
                          struct accel_error *err)
{
    int64_t features = ACCEL_DIM_ANY;
    const int rc = accel_ml_rows(&in->in[0]->shape, rows, &features, err);

    if (rc == ACCEL_OK && features >= 0 && features != (int64_t)want)
        return accel_fail(err, ACCEL_E_INVALID,
                          "the input has %" PRId64 " features, the coefficients are for %zu",
                          features, want);
    return rc;
}

int accel_ml_scores_infer(struct accel_infer *in, const struct accel_ml_labels *labels,
                          size_t features, size_t columns, struct accel_error *err)
{
    const bool classify = labels->count > 0;
    int64_t rows = ACCEL_DIM_ANY;
    const int rc = check_features(in, features, &rows, err);

    if (rc != ACCEL_OK)
        return rc;
    if (classify)
        accel_ml_shape(in->out[0], accel_ml_label_type(labels), 1, rows, 0);
    if (!classify || in->node->outputs_count > 1)
        accel_ml_shape(in->out[classify], ACCEL_DTYPE_FLOAT, 2, rows, (int64_t)columns);
    return ACCEL_OK;
}

struct accel_ml_list accel_ml_list_of(const struct accel_node *n, const char *name)
{
    struct accel_ml_list f;

    f.at = accel_attr_floats(n, name, &f.count);
    return f;
}
