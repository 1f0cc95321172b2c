/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_OPS_ML_H
#define ACCEL_INFER_OPS_ML_H

/* What the operators of ai.onnx.ml share. The standard leaves much of them open (ties, one score
 * for two classes, formulas of the transforms): what ONNX Runtime's CPU provider does decides. */

#include "infer/ops/op.h"

#define ACCEL_ML_IN \
    (ACCEL_T(FLOAT) | ACCEL_T(DOUBLE) | ACCEL_T(INT32) | ACCEL_T(INT64)) /* numbers it takes */

/* What a classifier takes and gives, and a regressor. */
#define ACCEL_ML_CLASSES              \
    .in = {{"X", ACCEL_ML_IN, 0, 0}}, \
    .out = {{"Y", ACCEL_T(INT64) | ACCEL_T(STRING), 0, 0}, {"Z", ACCEL_T(FLOAT), 0, 0}}
#define ACCEL_ML_TARGETS .in = {{"X", ACCEL_ML_IN, 0, 0}}, .out = {{"Y", ACCEL_T(FLOAT), 0, 0}}

/* ---------------------------------------------------------------- scores */

enum accel_ml_post {
    ACCEL_ML_NONE,
    ACCEL_ML_LOGISTIC,
    ACCEL_ML_SOFTMAX,
    ACCEL_ML_SOFTMAX_ZERO,
    ACCEL_ML_PROBIT,
};

/* Of attribute post_transform. Errors: INVALID. */
int accel_ml_post_of(const struct accel_node *node, enum accel_ml_post *post,
                     struct accel_error *err);
/* In place, n >= 2 scores of a row. */
void accel_ml_post_row(enum accel_ml_post post, size_t n, float *scores);
/* How one score becomes the scores of two classes. LOGISTIC gives the logistic of -s and s, other
 * transforms but PROBIT are left out. Under PROBIT z[0] alone is written: what ONNX Runtime has in
 * the second place then is whatever its memory held. */
enum accel_ml_second {
    ACCEL_ML_ALONE,      /* it does not: z[0] alone is written */
    ACCEL_ML_COMPLEMENT, /* 1 - s, s */
    ACCEL_ML_OPPOSITE,   /* -s, s */
};
void accel_ml_post_one(enum accel_ml_post post, enum accel_ml_second second, float score, float *z);
float accel_ml_logistic(float x);

/* ---------------------------------------------------------------- labels */

/* Class labels out of two attributes of which one is set; both pointers are into the node. */
struct accel_ml_labels {
    size_t count;
    const int64_t *ints;               /* NULL: strings */
    const struct accel_bytes *strings; /* NULL: ints */
};

/* Errors: INVALID (both or neither). */
int accel_ml_labels_of(const struct accel_node *node, const char *ints, const char *strings,
                       struct accel_ml_labels *labels, struct accel_error *err);
static inline enum accel_dtype accel_ml_label_type(const struct accel_ml_labels *labels)
{
    return labels->ints != NULL ? ACCEL_DTYPE_INT64 : ACCEL_DTYPE_STRING;
}
/* y[row] = label `which`. */
void accel_ml_label_write(const struct accel_ml_labels *labels, size_t which,
                          const struct accel_tensor *y, size_t row);

/* ---------------------------------------------------------------- rows */

/* X is [rows, features]; a vector is one row. Either may be ACCEL_DIM_ANY. Errors: INVALID. */
int accel_ml_rows(const struct accel_shape *x, int64_t *rows, int64_t *features,
                  struct accel_error *err);
/* The output has `rank` dimensions: rows, columns. */
void accel_ml_shape(struct accel_type *out, enum accel_dtype dtype, uint32_t rank, int64_t rows,
                    int64_t columns);
/* Scratch that X takes as floats: 0 when it is that already. */
size_t accel_ml_floats_bytes(const struct accel_type *x);
/* X as floats, converted into run->scratch when it is not. */
const float *accel_ml_floats(const struct accel_run *run, const struct accel_tensor *x);

static inline size_t accel_ml_rows_of(const struct accel_tensor *x)
{
    return x->rank == 2 ? (size_t)x->dims[0] : 1;
}
/* For infer: rows of so many features make labels, if there are any, and scores of so many columns,
 * which a classifier may leave out. Errors: INVALID. */
int accel_ml_scores_infer(struct accel_infer *in, const struct accel_ml_labels *labels,
                          size_t features, size_t columns, struct accel_error *err);

/* ---------------------------------------------------------------- attributes */

struct accel_ml_list {
    const float *at;
    size_t count; /* 0: left out */
};

struct accel_ml_list accel_ml_list_of(const struct accel_node *node, const char *name);
/* Large tensors in attributes are slices of the file, which is gone when the model is packed: makes
 * them memory of the ir. For parse. Errors: NOMEM. */
int accel_ml_keep_tensors(const struct accel_node *node, struct accel_bump *mem,
                          struct accel_error *err);

#endif
