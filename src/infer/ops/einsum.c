/* SPDX-License-Identifier: Apache-2.0 */
/* Einsum: any number of operands, taken from left to right. Each is joined with what the ones
 * before it gave: indices that nobody needs any more are summed as soon as possible, what is left
 * of a pair is a matrix product [batch, m, k] x [batch, k, n] (or, where nothing is summed, an
 * elementwise one), so that the GEMM does the work. */
#include "infer/ops/elements.h"
#include "infer/ops/wide.h"

#include <string.h>

/* ---------------------------------------------------------------- the equation */

/* Indices have numbers: letters in ASCII order, then the axes under an ellipsis from the last on.
 */
#define LETTERS  52
#define INDICES  (LETTERS + ACCEL_RANK_MAX)
#define ELLIPSIS UINT8_MAX

/* Of one operand or the output, as written. */
struct term {
    uint32_t count;
    uint8_t index[ACCEL_RANK_MAX + 1]; /* one may be ELLIPSIS */
};

struct equation {
    size_t operands;
    struct term *term; /* [operands] */
    struct term out;
    bool has_out;
};

static int letter_of(char c)
{
    return c >= 'A' && c <= 'Z' ? c - 'A' : c >= 'a' && c <= 'z' ? 26 + c - 'a' : -1;
}

/* Reads up to ',' or "->" or the end. */
static int read_term(const char **at, struct term *t, struct accel_error *err)
{
    bool ellipsis = false;

    for (; **at != '\0' && **at != ',' && **at != '-'; (*at)++) {
        const int letter = letter_of(**at);
        const bool dots = strncmp(*at, "...", 3) == 0;

        if (**at == ' ')
            continue;
        if (letter < 0 && (!dots || ellipsis))
            return accel_fail(
                err, ACCEL_E_INVALID,
                "equation: at '%s' neither a letter nor the only ellipsis of its term", *at);
        if (t->count == ACCEL_COUNT(t->index))
            return accel_fail(err, ACCEL_E_UNSUPPORTED, "equation: a term of more than %d indices",
                              ACCEL_RANK_MAX);
        t->index[t->count++] = dots ? ELLIPSIS : (uint8_t)letter;
        ellipsis = ellipsis || dots;
        *at += dots ? 2 : 0;
    }
    return ACCEL_OK;
}

static bool term_has(const struct term *t, uint8_t index)
{
    for (uint32_t i = 0; i < t->count; i++)
        if (t->index[i] == index)
            return true;
    return false;
}

static int check_output(const struct equation *e, struct accel_error *err)
{
    for (uint32_t i = 0; i < e->out.count; i++) {
        bool found = e->out.index[i] == ELLIPSIS;

        for (size_t k = 0; k < e->operands && !found; k++)
            found = term_has(&e->term[k], e->out.index[i]);
        for (uint32_t j = 0; j < i && found; j++)
            found = e->out.index[j] != e->out.index[i];
        if (!found)
            return accel_fail(err, ACCEL_E_INVALID,
                              "equation: the output has a letter twice, or one of no input");
    }
    return ACCEL_OK;
}

/* Without "->": the ellipsis, then the letters that occur once, in order. */
static void imply_output(struct equation *e)
{
    unsigned seen[LETTERS] = {0};
    bool ellipsis = false;

    for (size_t k = 0; k < e->operands; k++)
        for (uint32_t i = 0; i < e->term[k].count; i++) {
            if (e->term[k].index[i] == ELLIPSIS)
                ellipsis = true;
            else
                seen[e->term[k].index[i]]++;
        }
    if (ellipsis)
        e->out.index[e->out.count++] = ELLIPSIS;
    for (uint8_t letter = 0; letter < LETTERS; letter++)
        if (seen[letter] == 1 && e->out.count < ACCEL_COUNT(e->out.index))
            e->out.index[e->out.count++] = letter;
}

static int einsum_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                        struct accel_error *err)
{
    const char *at = accel_attr_string(n, "equation", "");
    struct equation *e = accel_bump_alloc(mem, 1, sizeof(*e));
    struct term *terms = accel_bump_alloc(mem, n->inputs_count + 1, sizeof(*terms));
    int rc = ACCEL_OK;

    if (e == NULL || terms == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its equation");
    *params = e;
    e->term = terms;
    for (bool more = true; more && rc == ACCEL_OK; at += more) {
        if (e->operands == n->inputs_count)
            return accel_fail(err, ACCEL_E_INVALID, "equation: more terms than the %zu inputs",
                              n->inputs_count);
        rc = read_term(&at, &terms[e->operands++], err);
        more = *at == ',';
    }
    if (rc != ACCEL_OK)
        return rc;
    if (e->operands != n->inputs_count)
        return accel_fail(err, ACCEL_E_INVALID, "equation: %zu terms for %zu inputs", e->operands,
                          n->inputs_count);
    e->has_out = *at != '\0';
    if (!e->has_out) {
        imply_output(e);
        return ACCEL_OK;
    }
    if (strncmp(at, "->", 2) != 0)
        return accel_fail(err, ACCEL_E_INVALID, "equation: '%s' is not ->", at);
    at += 2;
    rc = read_term(&at, &e->out, err);
    if (rc == ACCEL_OK && *at != '\0')
        return accel_fail(err, ACCEL_E_INVALID, "equation: '%s' after the output", at);
    return rc == ACCEL_OK ? check_output(e, err) : rc;
}

/* ---------------------------------------------------------------- with shapes */

/* Axes of one operand by index; axes[i]: its index. */
static int expand(const struct term *t, uint32_t rank, uint8_t *axes, struct accel_error *err)
{
    const bool ellipsis = term_has(t, ELLIPSIS);
    const uint32_t letters = t->count - ellipsis;
    uint32_t at = 0;

    if (rank < letters || (rank > letters && !ellipsis))
        return accel_fail(err, ACCEL_E_INVALID, "an input of rank %u for a term of %u indices",
                          rank, letters);
    for (uint32_t i = 0; i < t->count; i++) {
        if (t->index[i] != ELLIPSIS) {
            axes[at++] = t->index[i];
            continue;
        }
        for (uint32_t left = rank - letters; left-- > 0;)
            axes[at++] = (uint8_t)(LETTERS + left);
    }
    return ACCEL_OK;
}

/* What the shapes make of the equation. */
struct extents {
    int64_t dim[INDICES]; /* of each index; 0 where none: see `used` */
    bool used[INDICES];
    size_t last[INDICES]; /* operand that has it, counted from 1 */
    uint32_t dots;        /* axes under the widest ellipsis */
    uint32_t rank;        /* of the output */
    uint8_t out[ACCEL_RANK_MAX];
};

static int merge_dim(struct extents *x, uint8_t index, int64_t dim, struct accel_error *err)
{
    int64_t *have = &x->dim[index];

    if (!x->used[index] || *have == 1 || (*have < 0 && dim > 1) || (*have < 0 && dim == 0))
        *have = dim;
    else if (dim >= 0 && dim != 1 && *have >= 0 && *have != dim)
        return accel_fail(err, ACCEL_E_INVALID, "one index stands for axes of %lld and %lld",
                          (long long)*have, (long long)dim);
    x->used[index] = true;
    return ACCEL_OK;
}

static int extents_of(const struct equation *e, const struct accel_type *const *in,
                      struct extents *x, struct accel_error *err)
{
    uint8_t axes[ACCEL_RANK_MAX];

    *x = (struct extents){0};
    for (size_t k = 0; k < e->operands; k++) {
        const struct accel_shape *s = &in[k]->shape;
        int rc = expand(&e->term[k], s->rank, axes, err);

        for (uint32_t i = 0; i < s->rank && rc == ACCEL_OK; i++) {
            if (axes[i] >= LETTERS)
                x->dots = ACCEL_MAX(x->dots, (uint32_t)axes[i] - LETTERS + 1);
            for (uint32_t j = 0; j < i; j++) /* a diagonal is of a square */
                if (axes[j] == axes[i] && s->dims[j] >= 0 && s->dims[i] >= 0 &&
                    s->dims[j] != s->dims[i])
                    return accel_fail(err, ACCEL_E_INVALID,
                                      "input %zu: a diagonal of axes that differ", k);
            x->last[axes[i]] = k + 1;
            rc = merge_dim(x, axes[i], s->dims[i], err);
        }
        if (rc != ACCEL_OK)
            return rc;
    }
    const bool dots = term_has(&e->out, ELLIPSIS);
    if (x->dots > 0 && !dots)
        return accel_fail(err, ACCEL_E_INVALID, "the inputs have an ellipsis, the output has none");
    x->rank = e->out.count - dots + (dots ? x->dots : 0);
    if (x->rank > ACCEL_RANK_MAX)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "an output of rank %u", x->rank);
    return expand(&e->out, x->rank, x->out, err);
}

static int einsum_infer(struct accel_infer *in, struct accel_error *err)
{
    struct accel_shape *y = &in->out[0]->shape;
    struct extents x;
    const int rc = extents_of(in->node->params, in->in, &x, err);

    if (rc != ACCEL_OK)
        return rc;
    in->out[0]->dtype = in->in[0]->dtype;
    *y = (struct accel_shape){.has_rank = true, .rank = x.rank};
    for (uint32_t i = 0; i < x.rank; i++)
        y->dims[i] = x.dim[x.out[i]];
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- steps */

/* Where numbers lie: operand >= 0, or in scratch, or they are the output. */
enum { IN_SCRATCH = -1, IN_OUTPUT = -2 };
struct place {
    int where;
    size_t offset; /* bytes into scratch */
};

/* A tensor under way, axes of size 1 left out. */
struct view {
    struct place at;
    uint32_t rank;
    uint8_t index[ACCEL_RANK_MAX];
    size_t dim[ACCEL_RANK_MAX];
    ptrdiff_t stride[ACCEL_RANK_MAX];
};

struct step {
    enum { CONVERT, COPY, SUM, MULTIPLY, PRODUCT } kind;
    struct place from, other, to;
    struct view view;      /* CONVERT: of size dim[0]; COPY, SUM: what is copied or summed */
    uint32_t sum;          /* SUM: bits of the axes that go */
    size_t batch, m, n, k; /* MULTIPLY: k is 1 */
    bool trans_a, trans_b; /* PRODUCT */
};

struct program {
    enum accel_dtype dtype, computed;
    size_t count;
    struct step *step;
    size_t top, gemm; /* bytes of scratch in use; those of the GEMM lie behind them */
};

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

static int allot(struct program *p, size_t elements, struct place *at, struct accel_error *err)
{
    size_t bytes;

    if (__builtin_mul_overflow(elements, accel_dtype_size(p->computed), &bytes) ||
        bytes > SIZE_MAX / 2 - 64 ||
        __builtin_add_overflow(p->top, ACCEL_ROUND_UP(bytes, (size_t)64), &bytes) ||
        bytes > SIZE_MAX / 4)
        return accel_fail(err, ACCEL_E_LIMIT, "an intermediate tensor is too large");
    *at = (struct place){IN_SCRATCH, p->top};
    p->top = bytes;
    return ACCEL_OK;
}

static bool has(const struct view *v, uint8_t index)
{
    for (uint32_t i = 0; i < v->rank; i++)
        if (v->index[i] == index)
            return true;
    return false;
}

/* Dense strides; false: the elements overflow. */
static bool make_dense(struct view *v, size_t *elements)
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

static bool is_dense(const struct view *v)
{
    struct view other = *v;
    size_t elements;

    return make_dense(&other, &elements) &&
           memcmp(other.stride, v->stride, v->rank * sizeof(*v->stride)) == 0;
}

/* An operand: its repeated indices as one step along the diagonal, converted where need be. */
static int operand_view(struct program *p, const struct term *t, const struct accel_shape *s,
                        int operand, struct view *v, struct accel_error *err)
{
    uint8_t axes[ACCEL_RANK_MAX];
    size_t elements = 1;
    ptrdiff_t stride = 1;
    int rc = expand(t, s->rank, axes, err);

    *v = (struct view){.at = {operand, 0}};
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
    struct step *step = &p->step[p->count++];
    *step = (struct step){.kind = CONVERT, .from = v->at, .view = {.dim = {elements}}};
    rc = allot(p, elements, &step->to, err);
    v->at = step->to;
    return rc;
}

/* v in the order of indices given, dense; nothing is done when it is that already. */
static int arrange(struct program *p, struct view *v, const uint8_t *order, struct accel_error *err)
{
    struct view ordered = *v;
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
    struct step *step = &p->step[p->count++];
    *step = (struct step){.kind = COPY, .from = v->at, .view = ordered};
    *v = ordered;
    if (!make_dense(v, &elements))
        return accel_fail(err, ACCEL_E_LIMIT, "an intermediate tensor is too large");
    const int rc = allot(p, elements, &step->to, err);
    v->at = step->to;
    return rc;
}

/* Sums over the indices of v that are not to be kept. */
static int sum_out(struct program *p, struct view *v, const bool *kept, struct accel_error *err)
{
    struct view left = {.rank = 0};
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
    struct step *step = &p->step[p->count++];
    *step = (struct step){.kind = SUM, .from = v->at, .view = *v, .sum = mask};
    for (uint32_t i = 0; i < v->rank; i++) {
        if ((mask & 1u << i) != 0)
            continue;
        left.index[left.rank] = v->index[i];
        left.dim[left.rank++] = v->dim[i];
    }
    if (!make_dense(&left, &elements))
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

static void assign_roles(const struct view *a, const struct view *b, const bool *needed,
                         struct roles *r)
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

static size_t extent(const struct view *v, const uint8_t *indices, uint32_t count)
{
    size_t product = 1; /* of sizes in one tensor that fits */

    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < v->rank; k++)
            if (v->index[k] == indices[i])
                product *= v->dim[k];
    return product;
}

/* [batch, rows, columns] unless v lies dense as [batch, columns, rows] and may stay so. */
static int as_matrix(struct program *p, struct view *v, const struct roles *r, const uint8_t *rows,
                     uint32_t rows_count, const uint8_t *columns, uint32_t columns_count,
                     bool *transposed, struct accel_error *err)
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
static int join(struct program *p, struct view *acc, struct view *v, const bool *needed,
                struct accel_error *err)
{
    struct roles r;
    struct view y = {.rank = 0};
    struct step step = {.kind = PRODUCT};
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
    step.kind = step.k == 1 ? MULTIPLY : PRODUCT;
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
    if (!make_dense(&y, &elements))
        return accel_fail(err, ACCEL_E_LIMIT, "an intermediate tensor is too large");
    rc = allot(p, elements, &step.to, err);
    y.at = step.to;
    p->step[p->count++] = step;
    *acc = y;
    return rc;
}

/* The result into the output: by a copy, unless the last step can write there. */
static int finish(struct program *p, struct view *acc, const struct extents *x,
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
    struct step *last = p->count > 0 ? &p->step[p->count - 1] : NULL;
    if (p->computed != p->dtype || last == NULL || last->kind == CONVERT ||
        last->to.where != acc->at.where || last->to.offset != acc->at.offset) {
        p->step[p->count++] = (struct step){.kind = COPY, .from = acc->at, .view = *acc};
        last = &p->step[p->count - 1];
    }
    last->to = (struct place){IN_OUTPUT, 0};
    return ACCEL_OK;
}

static int gemm_scratch(const struct accel_prepare *prep, struct program *p,
                        struct accel_error *err)
{
    for (size_t i = 0; i < p->count && p->computed == ACCEL_DTYPE_FLOAT; i++) {
        const struct step *s = &p->step[i];
        const struct accel_gemm gemm = {
            .m = s->m, .n = s->n, .k = s->k, .batch_rank = 1, .batch = {s->batch}};
        size_t bytes;

        if (s->kind != PRODUCT)
            continue;
        const int rc =
            accel_gemm_f32_scratch_bytes(prep->kernels, &gemm, prep->threads, &bytes, err);
        if (rc != ACCEL_OK)
            return rc;
        p->gemm = ACCEL_MAX(p->gemm, bytes);
    }
    return ACCEL_OK;
}

/* Indices that the output or an operand after number k has. */
static void needed_after(size_t k, const struct extents *x, bool needed[INDICES])
{
    for (size_t i = 0; i < INDICES; i++)
        needed[i] = x->last[i] > k + 1;
    for (uint32_t i = 0; i < x->rank; i++)
        needed[x->out[i]] = true;
}

static int compile(const struct accel_prepare *prep, struct program *p, struct accel_error *err)
{
    const struct equation *e = prep->node->params;
    bool needed[INDICES], kept[INDICES];
    struct extents x;
    struct view acc = {.rank = 0}, v;
    int rc = extents_of(e, prep->in, &x, err);

    for (size_t k = 0; k < e->operands && rc == ACCEL_OK; k++) {
        needed_after(k, &x, needed);
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

static int einsum_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    /* Of each operand a conversion, two sums of two steps, two copies and the product; at the end
     * two copies and a conversion. */
    const size_t most = prep->node->inputs_count * 8 + 3;
    struct program *p = accel_bump_alloc(prep->mem, 1, sizeof(*p));

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
        struct step *last = &p->step[p->count - 1];

        accel_shape_elements(&prep->out[0]->shape, &elements);
        rc = allot(p, elements, &last->to, err);
        p->step[p->count++] = (struct step){
            .kind = CONVERT, .from = last->to, .to = {IN_OUTPUT, 0}, .view = {.dim = {elements}}};
    }
    if (rc == ACCEL_OK)
        rc = gemm_scratch(prep, p, err);
    if (rc == ACCEL_OK && __builtin_add_overflow(p->top, p->gemm, &prep->scratch_bytes))
        rc = accel_fail(err, ACCEL_E_LIMIT, "its work space is too large");
    return rc;
}

/* ---------------------------------------------------------------- running */

static void *address(const struct accel_run *run, const struct place *at)
{
    return at->where == IN_SCRATCH  ? (char *)run->scratch + at->offset
           : at->where == IN_OUTPUT ? run->out[0]->data
                                    : run->in[at->where]->data;
}

static void multiply(const struct accel_run *run, const struct step *s, enum accel_dtype dtype)
{
    const struct accel_nd nd = {
        .rank = 3,
        .dims = {s->batch, s->m, s->n},
        .stride = {{(ptrdiff_t)s->m, 1, 0}, {(ptrdiff_t)s->n, 0, 1}},
    };

    accel_binary(run->kernels, run->pool, ACCEL_BINARY_MUL, dtype, &nd, address(run, &s->from),
                 address(run, &s->other), address(run, &s->to));
}

static void product(const struct accel_run *run, const struct step *s, const struct program *p)
{
    const size_t size = accel_dtype_size(p->computed), mk = s->m * s->k, kn = s->k * s->n,
                 mn = s->m * s->n;
    const char *a = address(run, &s->from), *b = address(run, &s->other);
    char *y = address(run, &s->to);

    if (s->batch * mn == 0)
        return;
    if (s->k == 0) {
        memset(y, 0, s->batch * mn * size);
        return;
    }
    if (p->computed != ACCEL_DTYPE_FLOAT) {
        for (size_t i = 0; i < s->batch; i++)
            accel_matmul_any(p->computed, s->m, s->n, s->k, a + i * mk * size, b + i * kn * size,
                             y + i * mn * size);
        return;
    }
    const struct accel_gemm gemm = {.m = s->m,
                                    .n = s->n,
                                    .k = s->k,
                                    .a = (const float *)a,
                                    .lda = s->trans_a ? s->m : s->k,
                                    .trans_a = s->trans_a,
                                    .b = (const float *)b,
                                    .ldb = s->trans_b ? s->k : s->n,
                                    .trans_b = s->trans_b,
                                    .alpha = 1,
                                    .y = (float *)y,
                                    .ldy = s->n,
                                    .batch_rank = 1,
                                    .batch = {s->batch},
                                    .batch_stride_a = {mk},
                                    .batch_stride_b = {kn},
                                    .batch_stride_y = {mn}};
    accel_gemm_f32(run->kernels, run->pool, &gemm, (char *)run->scratch + p->top);
}

static void copy(const struct accel_run *run, const struct step *s, enum accel_dtype dtype)
{
    struct view dense = s->view;
    size_t elements;

    make_dense(&dense, &elements);
    if (elements > 0)
        accel_copy_nd(run->pool, accel_dtype_size(dtype), s->view.rank, s->view.dim,
                      address(run, &s->from), s->view.stride, address(run, &s->to), dense.stride);
}

static void convert(const struct accel_run *run, const struct step *s, const struct program *p)
{
    const bool last = s->to.where == IN_OUTPUT;

    accel_convert(run->kernels, run->pool, s->view.dim[0], last ? p->computed : p->dtype,
                  address(run, &s->from), last ? p->dtype : p->computed, address(run, &s->to));
}

static int einsum_run(struct accel_run *run, struct accel_error *err)
{
    const struct program *p = run->state;

    (void)err;
    for (size_t i = 0; i < p->count; i++) {
        const struct step *s = &p->step[i];

        switch (s->kind) {
        case CONVERT:
            convert(run, s, p);
            break;
        case COPY:
            copy(run, s, p->computed);
            break;
        case SUM:
            accel_reduce(run->kernels, run->pool, ACCEL_REDUCE_SUM, p->computed, s->view.rank,
                         s->view.dim, s->sum, address(run, &s->from), address(run, &s->to));
            break;
        case MULTIPLY:
            multiply(run, s, p->computed);
            break;
        case PRODUCT:
            product(run, s, p);
            break;
        }
    }
    return ACCEL_OK;
}

/* As it is done: each operand against the indices that it and the ones before it have. */
static void einsum_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    const struct equation *e = prep->node->params;
    uint8_t axes[ACCEL_RANK_MAX];
    struct extents x;
    double all = 1;

    if (extents_of(e, prep->in, &x, NULL) != ACCEL_OK)
        return;
    for (size_t i = 0; i < INDICES; i++)
        all *= x.used[i] && x.dim[i] > 0 ? (double)x.dim[i] : 1;
    if (e->operands <= 2) {
        cost->flops = all * (double)e->operands;
        return;
    }
    bool seen[INDICES], needed[INDICES];
    memset(seen, 0, sizeof(seen));
    for (size_t k = 0; k < e->operands; k++) {
        double here = 2;

        expand(&e->term[k], prep->in[k]->shape.rank, axes, NULL);
        for (uint32_t i = 0; i < prep->in[k]->shape.rank; i++)
            seen[axes[i]] = true;
        for (size_t i = 0; i < INDICES; i++)
            here *= seen[i] && x.dim[i] > 0 ? (double)x.dim[i] : 1;
        cost->flops += k > 0 ? here : 0;
        needed_after(k, &x, needed);
        for (size_t i = 0; i < INDICES; i++)
            seen[i] = seen[i] && needed[i];
    }
}

/* ---------------------------------------------------------------- the entries */

static const struct accel_attr_rule einsum_attrs[] = {
    {"equation", ACCEL_ATTR_STRING, ACCEL_ATTR_REQUIRED}, {0}};

#define EARLY (ACCEL_T_NUMBERS | ACCEL_T(FLOAT16))
#define EINSUM(version, types)                                                                  \
    {                                                                                           \
        .name = "Einsum", .domain = "", .since = version, .kind = ACCEL_KIND_GEMM,              \
        .in = {{"Inputs", types, 'T', ACCEL_ARG_VARIADIC}}, .out = {{"Output", types, 'T', 0}}, \
        .attrs = einsum_attrs, .parse = einsum_parse, .infer = einsum_infer,                    \
        .prepare = einsum_prepare, .run = einsum_run, .cost = einsum_cost                       \
    }

const struct accel_op accel_ops_einsum[] = {
    EINSUM(12, EARLY),
    EINSUM(28, EARLY | ACCEL_T(BFLOAT16)),
    {0},
};
