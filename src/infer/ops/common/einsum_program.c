/* SPDX-License-Identifier: Apache-2.0 */
/* An Einsum as a list of steps, for one set of shapes. */
#include "infer/ops/einsum.h"

#include <string.h>

/* What an operand is computed in: integers of few bits wrap in more just the same. */
static enum accel_dtype computed_type(enum accel_dtype dtype)
{
    switch (dtype) {
    case ACCEL_DTYPE_FLOAT16:
    case ACCEL_DTYPE_BFLOAT16:
        return ACCEL_DTYPE_FLOAT;
    case ACCEL_DTYPE_INT8:
    case ACCEL_DTYPE_INT16:
    case ACCEL_DTYPE_UINT8:
    case ACCEL_DTYPE_UINT16:
        return ACCEL_DTYPE_INT32;
    default:
        return dtype;
    }
}

static int allot(struct einsum_program *p, size_t elements, struct einsum_place *at,
                 struct accel_error *err)
{
    size_t bytes;

    if (__builtin_mul_overflow(elements, accel_dtype_size(p->computed), &bytes) ||
        bytes > SIZE_MAX / 2 - 64 ||
        __builtin_add_overflow(p->top, ACCEL_ROUND_UP(bytes, (size_t)64), &bytes) ||
        bytes > SIZE_MAX / 4)
        return accel_fail(err, ACCEL_E_LIMIT, "an intermediate tensor is too large");
    *at = (struct einsum_place){EINSUM_IN_SCRATCH, p->top};
    p->top = bytes;
    return ACCEL_OK;
}

static bool has(const struct einsum_view *v, uint8_t index)
{
    for (uint32_t i = 0; i < v->rank; i++)
        if (v->index[i] == index)
            return true;
    return false;
}

bool accel_einsum_dense(struct einsum_view *v, size_t *elements)
{
    *elements = 1;
    for (uint32_t i = v->rank; i-- > 0;) {
        v->stride[i] = (ptrdiff_t)*elements;
        /* An empty axis must not hide an overflow: count it as one. */
        if (__builtin_mul_overflow(*elements, ACCEL_MAX(v->dim[i], (size_t)1), elements) ||
            *elements > SIZE_MAX / 64)
            return false;
    }
    for (uint32_t i = 0; i < v->rank; i++)
        if (v->dim[i] == 0)
            *elements = 0;
    return true;
}

static bool is_dense(const struct einsum_view *v)
{
    struct einsum_view other = *v;
    size_t elements;

    return accel_einsum_dense(&other, &elements) &&
           memcmp(other.stride, v->stride, v->rank * sizeof(*v->stride)) == 0;
}

/* An operand: its repeated indices as one step along the diagonal, converted where need be. */
static int operand_view(struct einsum_program *p, const struct einsum_term *t,
                        const struct accel_shape *s, int operand, struct einsum_view *v,
                        struct accel_error *err)
{
    uint8_t axes[ACCEL_RANK_MAX];
    size_t elements = 1;
    ptrdiff_t stride = 1;
    int rc = accel_einsum_axes(t, s->rank, axes, err);

    *v = (struct einsum_view){.at = {operand, 0}};
    for (uint32_t i = s->rank; i-- > 0 && rc == ACCEL_OK;) {
        uint32_t k = 0;

        elements *= (size_t)s->dims[i];
        if (s->dims[i] == 1)
            continue;
        while (k < v->rank && v->index[k] != axes[i])
            k++;
        if (k == v->rank) { /* axes come from the last on: make room in front */
            memmove(v->index + 1, v->index, v->rank * sizeof(*v->index));
            memmove(v->dim + 1, v->dim, v->rank * sizeof(*v->dim));
            memmove(v->stride + 1, v->stride, v->rank * sizeof(*v->stride));
            v->index[0] = axes[i];
            v->dim[0] = (size_t)s->dims[i];
            v->stride[0] = stride;
            v->rank++;
        } else {
            v->stride[k] += stride;
        }
        stride *= s->dims[i] > 0 ? (ptrdiff_t)s->dims[i] : 1;
    }
    if (rc != ACCEL_OK || p->computed == p->dtype)
        return rc;
    struct einsum_step *step = &p->step[p->count++];
    *step =
        (struct einsum_step){.kind = EINSUM_CONVERT, .from = v->at, .view = {.dim = {elements}}};
    rc = allot(p, elements, &step->to, err);
    v->at = step->to;
    return rc;
}

/* v in the order of indices given, dense; nothing is done when it is that already. */
static int arrange(struct einsum_program *p, struct einsum_view *v, const uint8_t *order,
                   struct accel_error *err)
{
    struct einsum_view ordered = *v;
    size_t elements;

    for (uint32_t i = 0; i < v->rank; i++) {
        uint32_t k = 0;

        while (v->index[k] != order[i])
            k++;
        ordered.index[i] = v->index[k];
        ordered.dim[i] = v->dim[k];
        ordered.stride[i] = v->stride[k];
    }
    if (is_dense(&ordered)) {
        *v = ordered;
        return ACCEL_OK;
    }
    struct einsum_step *step = &p->step[p->count++];
    *step = (struct einsum_step){.kind = EINSUM_COPY, .from = v->at, .view = ordered};
    *v = ordered;
    if (!accel_einsum_dense(v, &elements))
        return accel_fail(err, ACCEL_E_LIMIT, "an intermediate tensor is too large");
    const int rc = allot(p, elements, &step->to, err);
    v->at = step->to;
    return rc;
}

/* Sums over the indices of v that are not to be kept. */
static int sum_out(struct einsum_program *p, struct einsum_view *v, const bool *kept,
                   struct accel_error *err)
{
    struct einsum_view left = {.rank = 0};
    uint32_t mask = 0;
    size_t elements;

    for (uint32_t i = 0; i < v->rank; i++)
        if (!kept[v->index[i]])
            mask |= 1u << i;
    if (mask == 0)
        return ACCEL_OK;
    int rc = arrange(p, v, v->index, err);
    if (rc != ACCEL_OK)
        return rc;
    struct einsum_step *step = &p->step[p->count++];
    *step = (struct einsum_step){.kind = EINSUM_SUM, .from = v->at, .view = *v, .sum = mask};
    for (uint32_t i = 0; i < v->rank; i++) {
        if ((mask & 1u << i) != 0)
            continue;
        left.index[left.rank] = v->index[i];
        left.dim[left.rank++] = v->dim[i];
    }
    if (!accel_einsum_dense(&left, &elements))
        return accel_fail(err, ACCEL_E_LIMIT, "an intermediate tensor is too large");
    rc = allot(p, elements, &step->to, err);
    left.at = step->to;
    *v = left;
    return rc;
}

/* Indices of a pair by what becomes of them. */
struct roles {
    uint32_t batch, m, n, k; /* how many */
    uint8_t of_batch[ACCEL_RANK_MAX], of_m[ACCEL_RANK_MAX], of_n[ACCEL_RANK_MAX],
        of_k[ACCEL_RANK_MAX];
};

static void assign_roles(const struct einsum_view *a, const struct einsum_view *b,
                         const bool *needed, struct roles *r)
{
    *r = (struct roles){0};
    for (uint32_t i = 0; i < a->rank; i++) {
        const uint8_t index = a->index[i];

        if (!has(b, index))
            r->of_m[r->m++] = index;
        else if (needed[index])
            r->of_batch[r->batch++] = index;
        else
            r->of_k[r->k++] = index;
    }
    for (uint32_t i = 0; i < b->rank; i++)
        if (!has(a, b->index[i]))
            r->of_n[r->n++] = b->index[i];
}

static size_t extent(const struct einsum_view *v, const uint8_t *indices, uint32_t count)
{
    size_t product = 1; /* of sizes in one tensor that fits */

    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < v->rank; k++)
            if (v->index[k] == indices[i])
                product *= v->dim[k];
    return product;
}

/* [batch, rows, columns] unless v lies dense as [batch, columns, rows] and may stay so. */
static int as_matrix(struct einsum_program *p, struct einsum_view *v, const struct roles *r,
                     const uint8_t *rows, uint32_t rows_count, const uint8_t *columns,
                     uint32_t columns_count, bool *transposed, struct accel_error *err)
{
    uint8_t order[ACCEL_RANK_MAX], turned[ACCEL_RANK_MAX];

    memcpy(order, r->of_batch, r->batch);
    memcpy(order + r->batch, rows, rows_count);
    memcpy(order + r->batch + rows_count, columns, columns_count);
    memcpy(turned, r->of_batch, r->batch);
    memcpy(turned + r->batch, columns, columns_count);
    memcpy(turned + r->batch + columns_count, rows, rows_count);
    *transposed =
        p->computed == ACCEL_DTYPE_FLOAT && is_dense(v) && memcmp(v->index, turned, v->rank) == 0;
    return *transposed ? ACCEL_OK : arrange(p, v, order, err);
}

/* acc = acc joined with v. */
static int join(struct einsum_program *p, struct einsum_view *acc, struct einsum_view *v,
                const bool *needed, struct accel_error *err)
{
    struct roles r;
    struct einsum_view y = {.rank = 0};
    struct einsum_step step = {.kind = EINSUM_PRODUCT};
    size_t elements;

    assign_roles(acc, v, needed, &r);
    if (r.batch + r.m + r.n > ACCEL_RANK_MAX)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "an intermediate tensor of rank %u",
                          r.batch + r.m + r.n);
    int rc = as_matrix(p, acc, &r, r.of_m, r.m, r.of_k, r.k, &step.trans_a, err);
    if (rc == ACCEL_OK)
        rc = as_matrix(p, v, &r, r.of_k, r.k, r.of_n, r.n, &step.trans_b, err);
    if (rc != ACCEL_OK)
        return rc;
    step.batch = extent(acc, r.of_batch, r.batch);
    step.m = extent(acc, r.of_m, r.m);
    step.n = extent(v, r.of_n, r.n);
    step.k = extent(acc, r.of_k, r.k);
    step.kind = step.k == 1 ? EINSUM_MULTIPLY : EINSUM_PRODUCT;
    step.from = acc->at;
    step.other = v->at;
    for (uint32_t i = 0; i < r.batch + r.m + r.n; i++) {
        const uint8_t index = i < r.batch         ? r.of_batch[i]
                              : i < r.batch + r.m ? r.of_m[i - r.batch]
                                                  : r.of_n[i - r.batch - r.m];

        y.index[i] = index;
        y.dim[i] = extent(has(acc, index) ? acc : v, &index, 1);
        y.rank++;
    }
    if (!accel_einsum_dense(&y, &elements))
        return accel_fail(err, ACCEL_E_LIMIT, "an intermediate tensor is too large");
    rc = allot(p, elements, &step.to, err);
    y.at = step.to;
    p->step[p->count++] = step;
    *acc = y;
    return rc;
}

/* The result into the output: by a copy, unless the last step can write there. */
static int finish(struct einsum_program *p, struct einsum_view *acc, const struct einsum_extents *x,
                  struct accel_error *err)
{
    uint8_t order[ACCEL_RANK_MAX];
    uint32_t count = 0;

    for (uint32_t i = 0; i < x->rank; i++)
        if (has(acc, x->out[i]))
            order[count++] = x->out[i];
    int rc = arrange(p, acc, order, err);
    if (rc != ACCEL_OK)
        return rc;
    struct einsum_step *last = p->count > 0 ? &p->step[p->count - 1] : NULL;
    if (p->computed != p->dtype || last == NULL || last->kind == EINSUM_CONVERT ||
        last->to.where != acc->at.where || last->to.offset != acc->at.offset) {
        p->step[p->count++] =
            (struct einsum_step){.kind = EINSUM_COPY, .from = acc->at, .view = *acc};
        last = &p->step[p->count - 1];
    }
    last->to = (struct einsum_place){EINSUM_IN_OUTPUT, 0};
    return ACCEL_OK;
}

static int gemm_scratch(const struct accel_prepare *prep, struct einsum_program *p,
                        struct accel_error *err)
{
    for (size_t i = 0; i < p->count && p->computed == ACCEL_DTYPE_FLOAT; i++) {
        const struct einsum_step *s = &p->step[i];
        const struct accel_gemm gemm = {
            .m = s->m, .n = s->n, .k = s->k, .batch_rank = 1, .batch = {s->batch}};
        size_t bytes;

        if (s->kind != EINSUM_PRODUCT)
            continue;
        const int rc =
            accel_gemm_f32_scratch_bytes(prep->kernels, &gemm, prep->threads, &bytes, err);
        if (rc != ACCEL_OK)
            return rc;
        p->gemm = ACCEL_MAX(p->gemm, bytes);
    }
    return ACCEL_OK;
}

static int compile(const struct accel_prepare *prep, struct einsum_program *p,
                   struct accel_error *err)
{
    const struct einsum_equation *e = prep->node->params;
    bool needed[EINSUM_INDICES], kept[EINSUM_INDICES];
    struct einsum_extents x;
    struct einsum_view acc = {.rank = 0}, v;
    int rc = accel_einsum_extents(e, prep->in, &x, err);

    for (size_t k = 0; k < e->operands && rc == ACCEL_OK; k++) {
        accel_einsum_needed(k, &x, needed);
        rc = operand_view(p, &e->term[k], &prep->in[k]->shape, (int)k, &v, err);
        memcpy(kept, needed, sizeof(kept));
        for (uint32_t i = 0; i < acc.rank && k > 0; i++)
            kept[acc.index[i]] = true;
        if (rc == ACCEL_OK)
            rc = sum_out(p, &v, kept, err);
        memcpy(kept, needed, sizeof(kept));
        for (uint32_t i = 0; i < v.rank; i++)
            kept[v.index[i]] = true;
        if (rc == ACCEL_OK && k > 0)
            rc = sum_out(p, &acc, kept, err);
        if (rc == ACCEL_OK && k > 0)
            rc = join(p, &acc, &v, needed, err);
        else
            acc = v;
    }
    return rc == ACCEL_OK ? finish(p, &acc, &x, err) : rc;
}

int accel_einsum_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    /* Of each operand a conversion, two sums of two steps, two copies and the product; at the end
     * two copies and a conversion. */
    const size_t most = prep->node->inputs_count * 8 + 3;
    struct einsum_program *p = accel_bump_alloc(prep->mem, 1, sizeof(*p));

    if (p != NULL)
        p->step = accel_bump_alloc(prep->mem, most, sizeof(*p->step));
    if (p == NULL || p->step == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to prepare it");
    prep->state = p;
    p->dtype = prep->in[0]->dtype;
    p->computed = computed_type(p->dtype);
    int rc = compile(prep, p, err);
    /* Converted at the end: the result lies in scratch before. */
    if (rc == ACCEL_OK && p->computed != p->dtype) {
        size_t elements;
        struct einsum_step *last = &p->step[p->count - 1];

        accel_shape_elements(&prep->out[0]->shape, &elements);
        rc = allot(p, elements, &last->to, err);
        p->step[p->count++] = (struct einsum_step){.kind = EINSUM_CONVERT,
                                                   .from = last->to,
                                                   .to = {EINSUM_IN_OUTPUT, 0},
                                                   .view = {.dim = {elements}}};
    }
    if (rc == ACCEL_OK)
        rc = gemm_scratch(prep, p, err);
    if (rc == ACCEL_OK && __builtin_add_overflow(p->top, p->gemm, &prep->scratch_bytes))
        rc = accel_fail(err, ACCEL_E_LIMIT, "its work space is too large");
    return rc;
}
