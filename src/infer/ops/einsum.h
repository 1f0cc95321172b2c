/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_OPS_EINSUM_H
#define ACCEL_INFER_OPS_EINSUM_H

/* The parts of Einsum: einsum_equation.c reads the equation, einsum_program.c makes steps of it for
 * one set of shapes, einsum.c takes them. */

#include "infer/ops/elements.h"
#include "infer/ops/wide.h"

/* ---------------------------------------------------------------- the equation */

/* Indices have numbers: letters in ASCII order, then the axes under an ellipsis from the last on.
 */
#define EINSUM_LETTERS  52
#define EINSUM_INDICES  (EINSUM_LETTERS + ACCEL_RANK_MAX)
#define EINSUM_ELLIPSIS UINT8_MAX

/* Of one operand or the output, as written. */
struct einsum_term {
    uint32_t count;
    uint8_t index[ACCEL_RANK_MAX + 1]; /* one may be the ellipsis */
};

struct einsum_equation {
    size_t operands;
    struct einsum_term *term; /* [operands] */
    struct einsum_term out;
    bool has_out;
};

/* For the entry's parse: *params becomes a struct einsum_equation. Errors: INVALID, UNSUPPORTED. */
int accel_einsum_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                       struct accel_error *err);

/* ---------------------------------------------------------------- with shapes */

/* What the shapes make of the equation. */
struct einsum_extents {
    int64_t dim[EINSUM_INDICES]; /* of each index; 0 where none: see `used` */
    bool used[EINSUM_INDICES];
    size_t last[EINSUM_INDICES]; /* operand that has it, counted from 1 */
    uint32_t dots;               /* axes under the widest ellipsis */
    uint32_t rank;               /* of the output */
    uint8_t out[ACCEL_RANK_MAX];
};

/* Axes of one operand by index; axes[i]: its index. Errors: INVALID. */
int accel_einsum_axes(const struct einsum_term *t, uint32_t rank, uint8_t *axes,
                      struct accel_error *err);
/* Errors: INVALID (the shapes do not fit the equation), UNSUPPORTED. */
int accel_einsum_extents(const struct einsum_equation *e, const struct accel_type *const *in,
                         struct einsum_extents *x, struct accel_error *err);
/* Indices that the output or an operand after number k has. */
void accel_einsum_needed(size_t k, const struct einsum_extents *x, bool needed[EINSUM_INDICES]);

/* ---------------------------------------------------------------- steps */

/* Where numbers lie: operand >= 0, or in scratch, or they are the output. */
enum { EINSUM_IN_SCRATCH = -1, EINSUM_IN_OUTPUT = -2 };
struct einsum_place {
    int where;
    size_t offset; /* bytes into scratch */
};

/* A tensor under way, axes of size 1 left out. */
struct einsum_view {
    struct einsum_place at;
    uint32_t rank;
    uint8_t index[ACCEL_RANK_MAX];
    size_t dim[ACCEL_RANK_MAX];
    ptrdiff_t stride[ACCEL_RANK_MAX];
};

struct einsum_step {
    enum { EINSUM_CONVERT, EINSUM_COPY, EINSUM_SUM, EINSUM_MULTIPLY, EINSUM_PRODUCT } kind;
    struct einsum_place from, other, to;
    struct einsum_view view; /* CONVERT: of size dim[0]; COPY, SUM: what is copied or summed */
    uint32_t sum;            /* SUM: bits of the axes that go */
    size_t batch, m, n, k;   /* MULTIPLY: k is 1 */
    bool trans_a, trans_b;   /* PRODUCT */
};

struct einsum_program {
    enum accel_dtype dtype, computed;
    size_t count;
    struct einsum_step *step;
    size_t top, gemm; /* bytes of scratch in use; those of the GEMM lie behind them */
};

/* Gives v dense strides; false: the elements overflow. */
bool accel_einsum_dense(struct einsum_view *v, size_t *elements);
/* For the entry's prepare: its state becomes a struct einsum_program. Errors: LIMIT, NOMEM,
 * UNSUPPORTED. */
int accel_einsum_prepare(struct accel_prepare *prep, struct accel_error *err);

#endif
