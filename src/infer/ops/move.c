/* SPDX-License-Identifier: Apache-2.0 */
/* Operators that put elements elsewhere: Transpose, Concat, Split, Slice, Gather, Pad, Expand,
 * Tile. */
#include "infer/kernels/kernels.h"
#include "infer/ops/op.h"

#include <inttypes.h>
#include <string.h>

static size_t element_size(const struct accel_tensor *t)
{
    return accel_element_bytes(t->dtype);
}

/* Element strides of a dense tensor. */
static void dense_strides(const int64_t *dims, uint32_t rank, ptrdiff_t *stride)
{
    ptrdiff_t step = 1;

    for (uint32_t i = rank; i-- > 0;) {
        stride[i] = step;
        step *= (ptrdiff_t)dims[i];
    }
}

static void sizes_of(const int64_t *dims, uint32_t rank, size_t *out)
{
    for (uint32_t i = 0; i < rank; i++)
        out[i] = (size_t)dims[i];
}

/* ---------------------------------------------------------------- Transpose */

static int perm_of(const struct accel_node *n, uint32_t rank, unsigned perm[ACCEL_RANK_MAX],
                   struct accel_error *err)
{
    uint32_t seen = 0;
    size_t count;
    const int64_t *p = accel_attr_ints(n, "perm", &count);

    if (p != NULL && count != rank)
        return accel_fail(err, ACCEL_E_INVALID, "perm has %zu entries for rank %u", count, rank);
    for (uint32_t i = 0; i < rank; i++) {
        const int64_t axis = p != NULL ? p[i] : (int64_t)(rank - 1 - i);

        if (axis < 0 || axis >= (int64_t)rank || (seen & 1u << axis) != 0)
            return accel_fail(err, ACCEL_E_INVALID, "perm is no permutation");
        seen |= 1u << axis;
        perm[i] = (unsigned)axis;
    }
    return ACCEL_OK;
}

static int transpose_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape;
    unsigned perm[ACCEL_RANK_MAX];
    const int rc = perm_of(in->node, x->rank, perm, err);

    if (rc != ACCEL_OK)
        return rc;
    in->out[0]->dtype = in->in[0]->dtype;
    in->out[0]->shape = *x;
    for (uint32_t i = 0; i < x->rank; i++)
        in->out[0]->shape.dims[i] = x->dims[perm[i]];
    return ACCEL_OK;
}

static int transpose_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    unsigned perm[ACCEL_RANK_MAX];
    size_t dims[ACCEL_RANK_MAX];
    const int rc = perm_of(run->node, x->rank, perm, err);

    if (rc != ACCEL_OK)
        return rc;
    sizes_of(x->dims, x->rank, dims);
    accel_transpose(run->pool, element_size(x), x->rank, dims, perm, x->data, run->out[0]->data);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- Concat */

static int concat_infer(struct accel_infer *in, struct accel_error *err)
{
    const int64_t stated = accel_attr_int(in->node, "axis", 1);
    struct accel_shape y = in->in[0]->shape;
    int64_t values[ACCEL_INTS_MAX];
    uint32_t axis;
    size_t n = 0;
    int rc = accel_axis(stated, y.rank, &axis, err);

    for (size_t i = 1; i < in->node->inputs_count && rc == ACCEL_OK; i++) {
        const struct accel_shape *x = &in->in[i]->shape;

        if (x->rank != y.rank)
            return accel_fail(err, ACCEL_E_INVALID, "input %zu has rank %u, the first %u", i,
                              x->rank, y.rank);
        for (uint32_t d = 0; d < y.rank; d++) {
            if (d == axis) {
                if (y.dims[d] < 0 || x->dims[d] < 0)
                    y.dims[d] = ACCEL_DIM_ANY;
                else if (__builtin_add_overflow(y.dims[d], x->dims[d], &y.dims[d]))
                    return accel_fail(err, ACCEL_E_INVALID, "the sum of dimensions overflows");
            } else if (y.dims[d] < 0) {
                y.dims[d] = x->dims[d];
            } else if (x->dims[d] >= 0 && x->dims[d] != y.dims[d]) {
                return accel_fail(err, ACCEL_E_INVALID,
                                  "input %zu: dimension %u is %" PRId64 ", of the others %" PRId64,
                                  i, d, x->dims[d], y.dims[d]);
            }
        }
    }
    if (rc != ACCEL_OK)
        return rc;
    in->out[0]->dtype = in->in[0]->dtype;
    in->out[0]->shape = y;
    if (y.rank != 1)
        return ACCEL_OK;
    for (size_t i = 0; i < in->node->inputs_count; i++) {
        size_t part;
        const int64_t dim = in->in[i]->shape.dims[0];

        if (accel_infer_partial(in, i, values + n, ACCEL_INTS_MAX - n, &part)) {
            n += part;
        } else if (dim >= 0 && (size_t)dim <= ACCEL_INTS_MAX - n &&
                   (in->in[i]->dtype == ACCEL_DTYPE_INT64 ||
                    in->in[i]->dtype == ACCEL_DTYPE_INT32)) {
            for (int64_t k = 0; k < dim; k++)
                values[n++] = ACCEL_INT_ANY;
        } else {
            return ACCEL_OK;
        }
    }
    return accel_infer_set_ints(in, 0, values, n, err);
}

static int concat_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *y = run->out[0];
    uint32_t axis = 0;
    size_t at = 0;

    if (accel_axis(accel_attr_int(run->node, "axis", 1), y->rank, &axis, err) != ACCEL_OK)
        return ACCEL_E_INVALID;
    const size_t size = element_size(y);
    const size_t outer = accel_dims_product(y->dims, 0, axis);
    const size_t row = accel_dims_product(y->dims, axis, y->rank);
    for (size_t i = 0; i < run->node->inputs_count; i++) {
        const struct accel_tensor *x = run->in[i];
        const size_t part = accel_dims_product(x->dims, axis, x->rank);
        char *to = (char *)y->data + at * size;

        at += part;
        if (to == x->data || x->size_bytes == 0)
            continue; /* the plan placed it here already */
        const size_t dims[2] = {outer, part};
        accel_copy_nd(run->pool, size, 2, dims, x->data, (const ptrdiff_t[]){(ptrdiff_t)part, 1},
                      to, (const ptrdiff_t[]){(ptrdiff_t)row, 1});
    }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- Split */

/* Sizes along the axis: given by attribute or input, or as equal as the version allows. Returns
 * false when they are not known. */
static int split_sizes(struct accel_infer *in, int64_t dim, int64_t *sizes, bool *known,
                       struct accel_error *err)
{
    const size_t n = in->node->outputs_count;
    const int since = in->node->op->since;
    size_t count = 0;

    *known = true;
    if (since < 13) {
        const int64_t *list = accel_attr_ints(in->node, "split", &count);

        if (list != NULL && count == n)
            memcpy(sizes, list, n * sizeof(*sizes));
    } else if (in->node->inputs_count > 1 && in->in[1] != NULL) {
        *known = accel_infer_ints(in, 1, sizes, n, &count);
        if (!*known)
            return ACCEL_OK;
    }
    if (count != 0 && count != n)
        return accel_fail(err, ACCEL_E_INVALID, "%zu sizes for %zu outputs", count, n);
    *known = dim >= 0;
    if (!*known)
        return ACCEL_OK;
    int64_t sum = 0;
    const int64_t each = (dim + (int64_t)n - 1) / (int64_t)n;
    if (count == 0 && since < 18 && dim % (int64_t)n != 0)
        return accel_fail(err, ACCEL_E_INVALID, "%" PRId64 " do not divide into %zu parts", dim, n);
    for (size_t i = 0; i < n; i++) {
        if (count == 0)
            sizes[i] = ACCEL_MIN(each, dim - sum);
        if (sizes[i] < 0 || __builtin_add_overflow(sum, sizes[i], &sum))
            return accel_fail(err, ACCEL_E_INVALID, "a part of %" PRId64, sizes[i]);
    }
    if (sum != dim)
        return accel_fail(err, ACCEL_E_INVALID, "parts of %" PRId64 " in all from %" PRId64, sum,
                          dim);
    return ACCEL_OK;
}

static int split_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape;
    const size_t n = in->node->outputs_count;
    uint32_t axis;
    bool known;
    int rc = accel_axis(accel_attr_int(in->node, "axis", 0), x->rank, &axis, err);

    if (rc != ACCEL_OK)
        return rc;
    const int64_t stated = accel_attr_int(in->node, "num_outputs", (int64_t)n);
    if (stated != (int64_t)n)
        return accel_fail(err, ACCEL_E_INVALID, "num_outputs is %" PRId64 ", it has %zu", stated,
                          n);
    int64_t *sizes = accel_bump_alloc(in->mem, n, sizeof(*sizes));
    if (sizes == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for %zu outputs", n);
    rc = split_sizes(in, x->dims[axis], sizes, &known, err);
    for (size_t i = 0; i < n && rc == ACCEL_OK; i++) {
        if (in->out[i] == NULL)
            continue;
        in->out[i]->dtype = in->in[0]->dtype;
        in->out[i]->shape = *x;
        in->out[i]->shape.dims[axis] = known ? sizes[i] : ACCEL_DIM_ANY;
    }
    return rc;
}

/* Sizes again, for outputs that nobody wants and that have no tensor. */
static int split_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const size_t n = prep->node->outputs_count;
    struct accel_infer in = {.node = prep->node, .in = prep->in, .mem = prep->mem};
    int64_t *sizes = accel_bump_alloc(prep->mem, n, sizeof(*sizes));
    uint32_t axis;
    bool known;

    if (sizes == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for %zu outputs", n);
    prep->state = sizes;
    int rc = accel_axis(accel_attr_int(prep->node, "axis", 0), prep->in[0]->shape.rank, &axis, err);
    return rc == ACCEL_OK ? split_sizes(&in, prep->in[0]->shape.dims[axis], sizes, &known, err)
                          : rc;
}

static int split_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    const int64_t *sizes = run->state;
    uint32_t axis = 0;
    size_t at = 0;

    if (accel_axis(accel_attr_int(run->node, "axis", 0), x->rank, &axis, err) != ACCEL_OK)
        return ACCEL_E_INVALID;
    const size_t size = element_size(x);
    const size_t outer = accel_dims_product(x->dims, 0, axis);
    const size_t inner = accel_dims_product(x->dims, axis + 1, x->rank);
    const ptrdiff_t row = (ptrdiff_t)((size_t)x->dims[axis] * inner);
    for (size_t i = 0; i < run->node->outputs_count; i++) {
        const size_t part = (size_t)sizes[i] * inner;
        const size_t dims[2] = {outer, part};

        const char *from = (const char *)x->data + at * size;

        /* The plan may have laid it where it is. */
        if (run->out[i] != NULL && part > 0 && run->out[i]->data != from)
            accel_copy_nd(run->pool, size, 2, dims, from, (const ptrdiff_t[]){row, 1},
                          run->out[i]->data, (const ptrdiff_t[]){(ptrdiff_t)part, 1});
        at += part;
    }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- Slice */

struct slice {
    int64_t start[ACCEL_RANK_MAX], step[ACCEL_RANK_MAX], size[ACCEL_RANK_MAX]; /* size < 0: open */
};

/* One list of Slice: an attribute before 10, an input since. *n: SIZE_MAX when left out. */
static bool slice_list(const struct accel_infer *in, const char *name, size_t input, int64_t *out,
                       size_t *n)
{
    *n = SIZE_MAX;
    if (in->node->op->since < 10) {
        size_t count;
        const int64_t *list = accel_attr_ints(in->node, name, &count);

        if (list == NULL)
            return true;
        if (count > ACCEL_RANK_MAX)
            return false;
        memcpy(out, list, count * sizeof(*out));
        *n = count;
        return true;
    }
    if (input >= in->node->inputs_count || in->in[input] == NULL)
        return true;
    return accel_infer_partial(in, input, out, ACCEL_RANK_MAX, n);
}

/* ONNX Slice-13: bounds beyond the ends are cut, negative ones count from the end. */
static void slice_axis(int64_t dim, int64_t start, int64_t end, int64_t step, int64_t *from,
                       int64_t *size)
{
    start += start < 0 ? dim : 0;
    end += end < 0 && end >= -dim ? dim : 0;
    if (step > 0) {
        start = start < 0 ? 0 : ACCEL_MIN(start, dim);
        end = end < 0 ? 0 : ACCEL_MIN(end, dim);
        *size = end > start ? (end - start - 1) / step + 1 : 0;
    } else {
        start = start < 0 ? 0 : ACCEL_MIN(start, dim - 1);
        end = end < -1 ? -1 : ACCEL_MIN(end, dim - 1);
        *size = start > end ? (start - end - 1) / -(step < -INT64_MAX ? -INT64_MAX : step) + 1 : 0;
    }
    if (dim == 0)
        *size = 0;
    *from = *size > 0 ? start : 0;
}

/* *known: all axes and steps are (starts, ends and dims may be open: size < 0 then). */
static int slice_of(const struct accel_infer *in, struct slice *s, bool *known,
                    struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape;
    int64_t starts[ACCEL_RANK_MAX], ends[ACCEL_RANK_MAX], axes[ACCEL_RANK_MAX];
    int64_t steps[ACCEL_RANK_MAX];
    size_t n, n_end, n_axes, n_steps;
    uint32_t seen = 0;

    *known = false;
    for (uint32_t i = 0; i < x->rank; i++) {
        s->start[i] = 0;
        s->step[i] = 1;
        s->size[i] = x->dims[i];
    }
    if (!slice_list(in, "starts", 1, starts, &n) || !slice_list(in, "ends", 2, ends, &n_end) ||
        !slice_list(in, "axes", 3, axes, &n_axes) || !slice_list(in, "steps", 4, steps, &n_steps))
        return ACCEL_OK;
    if (n == SIZE_MAX || n != n_end || (n_axes != SIZE_MAX && n_axes != n) ||
        (n_steps != SIZE_MAX && n_steps != n) || n > x->rank)
        return accel_fail(err, ACCEL_E_INVALID, "starts, ends, axes or steps differ in length");
    for (size_t i = 0; i < n; i++) {
        uint32_t axis = (uint32_t)i;
        const int64_t step = n_steps != SIZE_MAX ? steps[i] : 1;

        if (step == ACCEL_INT_ANY || (n_axes != SIZE_MAX && axes[i] == ACCEL_INT_ANY))
            return ACCEL_OK;
        if (n_axes != SIZE_MAX) {
            const int rc = accel_axis(axes[i], x->rank, &axis, err);

            if (rc != ACCEL_OK)
                return rc;
        }
        if (step == 0 || (seen & 1u << axis) != 0)
            return accel_fail(err, ACCEL_E_INVALID,
                              step == 0 ? "a step of 0" : "an axis is given twice");
        seen |= 1u << axis;
        s->step[axis] = step;
        if (x->dims[axis] < 0 || starts[i] == ACCEL_INT_ANY || ends[i] == ACCEL_INT_ANY)
            s->size[axis] = ACCEL_DIM_ANY;
        else
            slice_axis(x->dims[axis], starts[i], ends[i], step, &s->start[axis], &s->size[axis]);
    }
    *known = true;
    return ACCEL_OK;
}

static int slice_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape;
    int64_t values[ACCEL_INTS_MAX], out[ACCEL_INTS_MAX];
    struct accel_type *y = in->out[0];
    struct slice s;
    size_t n;
    bool known;
    const int rc = slice_of(in, &s, &known, err);

    if (rc != ACCEL_OK)
        return rc;
    y->dtype = in->in[0]->dtype;
    y->shape = *x;
    for (uint32_t i = 0; i < x->rank; i++)
        y->shape.dims[i] = known ? s.size[i] : ACCEL_DIM_ANY;
    if (!known || x->rank != 1 || s.size[0] < 0 || s.size[0] > ACCEL_INTS_MAX ||
        in->in[0]->data != NULL || !accel_infer_partial(in, 0, values, ACCEL_INTS_MAX, &n))
        return ACCEL_OK;
    for (int64_t i = 0; i < s.size[0]; i++)
        out[i] = values[s.start[0] + i * s.step[0]];
    return accel_infer_set_ints(in, 0, out, (size_t)s.size[0], err);
}

static int slice_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    struct accel_infer in = {.node = prep->node, .in = prep->in, .mem = prep->mem};
    struct slice *s = accel_bump_alloc(prep->mem, 1, sizeof(*s));
    bool known;

    if (s == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to prepare it");
    prep->state = s;
    const int rc = slice_of(&in, s, &known, err);
    if (rc == ACCEL_OK && !known)
        return accel_fail(err, ACCEL_E_INVALID, "its bounds are not known");
    return rc;
}

static int slice_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0], *y = run->out[0];
    const struct slice *s = run->state;
    ptrdiff_t from[ACCEL_RANK_MAX], to[ACCEL_RANK_MAX], at = 0;
    size_t dims[ACCEL_RANK_MAX];

    (void)err;
    if (y->size_bytes == 0)
        return ACCEL_OK;
    dense_strides(x->dims, x->rank, from);
    dense_strides(y->dims, y->rank, to);
    sizes_of(y->dims, y->rank, dims);
    for (uint32_t i = 0; i < x->rank; i++) {
        at += (ptrdiff_t)s->start[i] * from[i];
        /* A step larger than the axis takes one element: its product could overflow. */
        from[i] = s->size[i] > 1 ? from[i] * (ptrdiff_t)s->step[i] : 0;
    }
    accel_copy_nd(run->pool, element_size(x), x->rank, dims,
                  (const char *)x->data + at * (ptrdiff_t)element_size(x), from, y->data, to);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- Gather */

/* Indices that are known before running are held against the dimension they index, if it is. */
static int check_known_indices(struct accel_infer *in, int64_t dim, struct accel_error *err)
{
    int64_t at[ACCEL_INTS_MAX];
    size_t n;

    if (dim < 0 || !accel_infer_ints(in, 1, at, ACCEL_INTS_MAX, &n))
        return ACCEL_OK;
    for (size_t i = 0; i < n; i++)
        if (at[i] < -dim || at[i] >= dim)
            return accel_fail(err, ACCEL_E_INVALID, "index %" PRId64 " of a dimension of %" PRId64,
                              at[i], dim);
    return ACCEL_OK;
}

static int gather_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape, *idx = &in->in[1]->shape;
    struct accel_type *y = in->out[0];
    int64_t data[ACCEL_INTS_MAX], at[ACCEL_INTS_MAX];
    size_t n, n_at;
    uint32_t axis;
    const int rc = accel_axis(accel_attr_int(in->node, "axis", 0), x->rank, &axis, err);

    if (rc != ACCEL_OK)
        return rc;
    if (x->rank + idx->rank - 1 > ACCEL_RANK_MAX)
        return accel_fail(err, ACCEL_E_INVALID, "more than %d dimensions", ACCEL_RANK_MAX);
    if (check_known_indices(in, x->dims[axis], err) != ACCEL_OK)
        return ACCEL_E_INVALID;
    y->dtype = in->in[0]->dtype;
    y->shape = (struct accel_shape){.has_rank = true, .rank = x->rank + idx->rank - 1};
    for (uint32_t i = 0; i < y->shape.rank; i++)
        y->shape.dims[i] = i < axis               ? x->dims[i]
                           : i < axis + idx->rank ? idx->dims[i - axis]
                                                  : x->dims[i - idx->rank + 1];
    if (x->rank != 1 || idx->rank > 1 || in->in[0]->data != NULL ||
        !accel_infer_partial(in, 0, data, ACCEL_INTS_MAX, &n) ||
        !accel_infer_ints(in, 1, at, ACCEL_INTS_MAX, &n_at))
        return ACCEL_OK;
    for (size_t i = 0; i < n_at; i++) {
        if (at[i] < -(int64_t)n || at[i] >= (int64_t)n)
            return accel_fail(err, ACCEL_E_INVALID, "index %" PRId64 " of %zu", at[i], n);
        at[i] = data[at[i] < 0 ? at[i] + (int64_t)n : at[i]];
    }
    return accel_infer_set_ints(in, 0, at, n_at, err);
}

static int gather_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0], *idx = run->in[1];
    uint32_t axis = 0;

    if (accel_axis(accel_attr_int(run->node, "axis", 0), x->rank, &axis, err) != ACCEL_OK)
        return ACCEL_E_INVALID;
    const size_t outer = accel_dims_product(x->dims, 0, axis);
    const size_t bytes = accel_dims_product(x->dims, axis + 1, x->rank) * element_size(x);
    const size_t n = accel_dims_product(idx->dims, 0, idx->rank);
    const int64_t dim = x->dims[axis];
    char *to = run->out[0]->data;
    for (size_t o = 0; o < outer; o++) {
        for (size_t i = 0; i < n; i++) {
            int64_t k = idx->dtype == ACCEL_DTYPE_INT64 ? ((const int64_t *)idx->data)[i]
                                                        : ((const int32_t *)idx->data)[i];

            if (k < -dim || k >= dim)
                return accel_fail(err, ACCEL_E_INVALID,
                                  "index %" PRId64 " is outside an axis of %" PRId64, k, dim);
            k += k < 0 ? dim : 0;
            memcpy(to, (const char *)x->data + (o * (size_t)dim + (size_t)k) * bytes, bytes);
            to += bytes;
        }
    }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- Pad */

struct pad_params {
    enum { PAD_CONSTANT, PAD_REFLECT, PAD_EDGE, PAD_WRAP } mode;
    float value; /* Pad-2 */
};

static int pad_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                     struct accel_error *err)
{
    static const char *const modes[] = {"constant", "reflect", "edge", "wrap"};
    const char *mode = accel_attr_string(n, "mode", "constant");
    struct pad_params *p = accel_bump_alloc(mem, 1, sizeof(*p));
    unsigned m = 0;

    if (p == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its attributes");
    while (m < ACCEL_COUNT(modes) && strcmp(modes[m], mode) != 0)
        m++;
    if (m == ACCEL_COUNT(modes))
        return accel_fail(err, ACCEL_E_INVALID, "mode is '%s'", mode);
    p->mode = m;
    p->value = accel_attr_float(n, "value", 0);
    *params = p;
    return ACCEL_OK;
}

/* Pads by axis, begin then end. */
static int pads_of(const struct accel_infer *in, int64_t begin[ACCEL_RANK_MAX],
                   int64_t end[ACCEL_RANK_MAX], bool *known, struct accel_error *err)
{
    const uint32_t rank = in->in[0]->shape.rank;
    int64_t pads[2 * ACCEL_RANK_MAX], axes[ACCEL_RANK_MAX];
    size_t n, n_axes = rank;

    *known = false;
    for (uint32_t i = 0; i < rank; i++) {
        begin[i] = end[i] = 0;
        axes[i] = i;
    }
    if (in->node->op->since < 11) {
        const int64_t *list = accel_attr_ints(in->node, "pads", &n);

        if (n > (size_t)2 * ACCEL_RANK_MAX)
            return accel_fail(err, ACCEL_E_INVALID, "%zu pads", n);
        memcpy(pads, list, n * sizeof(*pads));
    } else if (!accel_infer_ints(in, 1, pads, (size_t)2 * ACCEL_RANK_MAX, &n) ||
               (in->node->inputs_count > 3 && in->in[3] != NULL &&
                !accel_infer_ints(in, 3, axes, ACCEL_RANK_MAX, &n_axes))) {
        return ACCEL_OK;
    }
    if (n != 2 * n_axes)
        return accel_fail(err, ACCEL_E_INVALID, "%zu pads for %zu axes", n, n_axes);
    for (size_t i = 0; i < n_axes; i++) {
        uint32_t axis;
        const int rc = accel_axis(axes[i], rank, &axis, err);

        if (rc != ACCEL_OK)
            return rc;
        begin[axis] = pads[i];
        end[axis] = pads[n_axes + i];
        if (begin[axis] > INT32_MAX || begin[axis] < -INT32_MAX || end[axis] > INT32_MAX ||
            end[axis] < -INT32_MAX)
            return accel_fail(err, ACCEL_E_INVALID, "a pad of %" PRId64, begin[axis]);
    }
    *known = true;
    return ACCEL_OK;
}

static int pad_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct pad_params *p = in->node->params;
    const struct accel_shape *x = &in->in[0]->shape;
    int64_t begin[ACCEL_RANK_MAX], end[ACCEL_RANK_MAX];
    bool known;
    const int rc = pads_of(in, begin, end, &known, err);

    if (rc != ACCEL_OK)
        return rc;
    in->out[0]->dtype = in->in[0]->dtype;
    in->out[0]->shape = *x;
    for (uint32_t i = 0; i < x->rank; i++) {
        int64_t *d = &in->out[0]->shape.dims[i];

        if (!known || x->dims[i] < 0) {
            *d = known && begin[i] == 0 && end[i] == 0 ? x->dims[i] : ACCEL_DIM_ANY;
            continue;
        }
        if (__builtin_add_overflow(x->dims[i], begin[i] + end[i], d) || *d < 0)
            return accel_fail(err, ACCEL_E_INVALID, "axis %u becomes negative or overflows", i);
        if (p->mode != PAD_CONSTANT && *d > 0 &&
            (x->dims[i] == 0 ||
             (p->mode == PAD_REFLECT && (begin[i] >= x->dims[i] || end[i] >= x->dims[i]))))
            return accel_fail(err, ACCEL_E_INVALID, "axis %u of %" PRId64 " is too short to be %s",
                              i, x->dims[i], p->mode == PAD_REFLECT ? "reflected" : "continued");
    }
    return ACCEL_OK;
}

struct pad_state {
    int64_t begin[ACCEL_RANK_MAX], end[ACCEL_RANK_MAX];
};

static int pad_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    struct accel_infer in = {.node = prep->node, .in = prep->in, .mem = prep->mem};
    struct pad_state *s = accel_bump_alloc(prep->mem, 1, sizeof(*s));
    bool known;

    if (s == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to prepare it");
    prep->state = s;
    const int rc = pads_of(&in, s->begin, s->end, &known, err);
    if (rc == ACCEL_OK && !known)
        return accel_fail(err, ACCEL_E_INVALID, "its pads are not known");
    return rc;
}

/* Where the element at `at` of the padded axis comes from; -1: the constant. */
static int64_t pad_source(int mode, int64_t at, int64_t dim)
{
    if (at >= 0 && at < dim)
        return at;
    switch (mode) {
    case PAD_REFLECT:
        return at < 0 ? -at : 2 * (dim - 1) - at;
    case PAD_EDGE:
        return at < 0 ? 0 : dim - 1;
    case PAD_WRAP:
        return (at % dim + dim) % dim;
    default:
        return -1;
    }
}

/* Row by row of the last axis; the rows' source follows from the outer axes. */
static void pad_rows(const struct accel_tensor *x, struct accel_tensor *y, int mode,
                     const struct pad_state *s)
{
    const size_t size = element_size(x);
    const uint32_t rank = y->rank, last = rank - 1;
    const size_t rows = accel_dims_product(y->dims, 0, last);
    const int64_t width = y->dims[last], in_width = x->dims[last];

    for (size_t r = 0; r < rows; r++) {
        size_t rest = r, from = 0, step = 1;
        bool outside = false;

        for (uint32_t d = last; d-- > 0;) {
            const int64_t at = (int64_t)(rest % (size_t)y->dims[d]);
            const int64_t source = pad_source(mode, at - s->begin[d], x->dims[d]);

            rest /= (size_t)y->dims[d];
            outside = outside || source < 0;
            from += source < 0 ? 0 : (size_t)source * step;
            step *= (size_t)x->dims[d];
        }
        if (outside)
            continue;
        char *to = (char *)y->data + r * (size_t)width * size;
        const char *row = (const char *)x->data + from * (size_t)in_width * size;
        if (mode == PAD_CONSTANT) {
            const int64_t skip = s->begin[last] < 0 ? -s->begin[last] : 0;
            const int64_t lead = s->begin[last] > 0 ? s->begin[last] : 0;
            const int64_t n = ACCEL_MIN(in_width - skip, width - lead);

            if (n > 0)
                memcpy(to + (size_t)lead * size, row + (size_t)skip * size, (size_t)n * size);
            continue;
        }
        for (int64_t i = 0; i < width; i++)
            memcpy(to + (size_t)i * size,
                   row + (size_t)pad_source(mode, i - s->begin[last], in_width) * size, size);
    }
}

static int pad_run(struct accel_run *run, struct accel_error *err)
{
    static const uint8_t zero[16];
    static const char *const empty = "";
    const struct pad_params *p = run->node->params;
    const struct accel_tensor *x = run->in[0];
    const size_t size = element_size(x);
    const void *value = x->dtype == ACCEL_DTYPE_STRING ? (const void *)&empty : zero;
    const double wide = p->value;

    (void)err;
    if (run->node->op->since >= 11 && run->node->inputs_count > 2 && run->in[2] != NULL &&
        run->in[2]->size_bytes >= size)
        value = run->in[2]->data;
    else if (run->node->op->since < 11 && x->dtype == ACCEL_DTYPE_FLOAT)
        value = &p->value;
    else if (run->node->op->since < 11 && x->dtype == ACCEL_DTYPE_DOUBLE)
        value = &wide;
    if (x->rank == 0) {
        memcpy(run->out[0]->data, x->data, size);
        return ACCEL_OK;
    }
    if (run->out[0]->size_bytes == 0)
        return ACCEL_OK;
    if (p->mode == PAD_CONSTANT)
        accel_fill(size, run->out[0]->size_bytes / size, value, run->out[0]->data);
    if (x->size_bytes > 0)
        pad_rows(x, run->out[0], (int)p->mode, run->state);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- Expand, Tile */

static int expand_infer(struct accel_infer *in, struct accel_error *err)
{
    int64_t dims[ACCEL_RANK_MAX];
    struct accel_shape want = {.has_rank = true};
    size_t n;

    in->out[0]->dtype = in->in[0]->dtype;
    if (!accel_infer_partial(in, 1, dims, ACCEL_RANK_MAX, &n)) {
        const struct accel_shape *s = &in->in[1]->shape;

        if (s->rank != 1 || s->dims[0] > ACCEL_RANK_MAX)
            return accel_fail(err, ACCEL_E_INVALID, "input 1 'shape' is no list of at most %d",
                              ACCEL_RANK_MAX);
        /* How many dimensions is known, if not which. */
        n = s->dims[0] >= 0 ? (size_t)s->dims[0] : 0;
        for (size_t i = 0; i < n; i++)
            dims[i] = ACCEL_INT_ANY;
        if (s->dims[0] < 0)
            return ACCEL_OK;
    }
    want.rank = (uint32_t)n;
    for (size_t i = 0; i < n; i++) {
        if (dims[i] != ACCEL_INT_ANY && dims[i] < 0)
            return accel_fail(err, ACCEL_E_INVALID, "shape[%zu] is %" PRId64, i, dims[i]);
        want.dims[i] = dims[i] == ACCEL_INT_ANY ? ACCEL_DIM_ANY : dims[i];
    }
    return accel_shape_broadcast(&in->in[0]->shape, &want, &in->out[0]->shape, err);
}

static int expand_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0], *y = run->out[0];
    struct accel_nd nd = {.rank = y->rank};
    ptrdiff_t to[ACCEL_RANK_MAX];

    (void)err;
    sizes_of(y->dims, y->rank, nd.dims);
    accel_nd_operand(&nd, 0, x->rank, x->dims);
    dense_strides(y->dims, y->rank, to);
    if (y->size_bytes > 0)
        accel_copy_nd(run->pool, element_size(x), y->rank, nd.dims, x->data, nd.stride[0], y->data,
                      to);
    return ACCEL_OK;
}

static int tile_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_shape *x = &in->in[0]->shape;
    int64_t repeats[ACCEL_RANK_MAX];
    size_t n;

    in->out[0]->dtype = in->in[0]->dtype;
    in->out[0]->shape = *x;
    if (!accel_infer_partial(in, 1, repeats, ACCEL_RANK_MAX, &n)) {
        for (uint32_t i = 0; i < x->rank; i++)
            in->out[0]->shape.dims[i] = ACCEL_DIM_ANY;
        return ACCEL_OK;
    }
    if (n != x->rank)
        return accel_fail(err, ACCEL_E_INVALID, "%zu repeats for rank %u", n, x->rank);
    for (size_t i = 0; i < n; i++) {
        int64_t *d = &in->out[0]->shape.dims[i];

        if (repeats[i] == ACCEL_INT_ANY || *d < 0)
            *d = ACCEL_DIM_ANY;
        else if (repeats[i] < 0 || __builtin_mul_overflow(*d, repeats[i], d))
            return accel_fail(err, ACCEL_E_INVALID, "%" PRId64 " repeats", repeats[i]);
    }
    return ACCEL_OK;
}

/* As a copy of twice the rank: [repeat, dim] by [repeat, dim]. */
static int tile_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    struct accel_tensor *y = run->out[0];
    ptrdiff_t from[ACCEL_RANK_MAX];
    const size_t size = element_size(x);
    const size_t n = y->size_bytes / size;

    (void)err;
    dense_strides(x->dims, x->rank, from);
    for (size_t i = 0; i < n;) {
        /* The innermost run that stays inside one copy of x's last axis. */
        size_t rest = i, at = 0;
        const size_t run_length = x->rank > 0 ? (size_t)x->dims[x->rank - 1] : 1;

        for (uint32_t d = x->rank; d-- > 0;) {
            at += (size_t)from[d] * (rest % (size_t)y->dims[d] % (size_t)x->dims[d]);
            rest /= (size_t)y->dims[d];
        }
        memcpy((char *)y->data + i * size, (const char *)x->data + at * size, run_length * size);
        i += run_length;
    }
    return ACCEL_OK;
}

/* Slice and Gather read of their data what they write, not all of it. */
static void selected_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    double *from = prep->node->inputs[0]->data != NULL ? &cost->bytes_weights : &cost->bytes_read;

    *from = ACCEL_MIN(*from, cost->bytes_written);
}

/* ---------------------------------------------------------------- the entries */

#define ANY ACCEL_T_ALL
#define IND (ACCEL_T(INT32) | ACCEL_T(INT64))
#define I64 ACCEL_T(INT64)

static const struct accel_attr_rule perm_attrs[] = {{"perm", ACCEL_ATTR_INTS, 0}, {0}};
static const struct accel_attr_rule axis_attrs[] = {{"axis", ACCEL_ATTR_INT, 0}, {0}};
static const struct accel_attr_rule axis_required[] = {
    {"axis", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED}, {0}};
static const struct accel_attr_rule split2_attrs[] = {
    {"axis", ACCEL_ATTR_INT, 0}, {"split", ACCEL_ATTR_INTS, 0}, {0}};
static const struct accel_attr_rule split18_attrs[] = {
    {"axis", ACCEL_ATTR_INT, 0}, {"num_outputs", ACCEL_ATTR_INT, 0}, {0}};
static const struct accel_attr_rule slice_attrs[] = {{"axes", ACCEL_ATTR_INTS, 0},
                                                     {"starts", ACCEL_ATTR_INTS,
                                                      ACCEL_ATTR_REQUIRED},
                                                     {"ends", ACCEL_ATTR_INTS, ACCEL_ATTR_REQUIRED},
                                                     {0}};
static const struct accel_attr_rule pad2_attrs[] = {{"mode", ACCEL_ATTR_STRING, 0},
                                                    {"pads", ACCEL_ATTR_INTS, ACCEL_ATTR_REQUIRED},
                                                    {"value", ACCEL_ATTR_FLOAT, 0},
                                                    {0}};
static const struct accel_attr_rule pad_attrs[] = {{"mode", ACCEL_ATTR_STRING, 0}, {0}};

#define MOVE(op, version) .name = op, .domain = "", .since = version, .kind = ACCEL_KIND_MOVE

const struct accel_op accel_ops_move[] = {
    {MOVE("Transpose", 1), .in = {{"data", ANY, 'T', 0}}, .out = {{"transposed", ANY, 'T', 0}},
     .attrs = perm_attrs, .infer = transpose_infer, .run = transpose_run},
    {MOVE("Concat", 4), .flags = ACCEL_OP_PLACED, .in = {{"inputs", ANY, 'T', ACCEL_ARG_VARIADIC}},
     .out = {{"concat_result", ANY, 'T', 0}}, .attrs = axis_required, .infer = concat_infer,
     .run = concat_run},
    {MOVE("Split", 2), .in = {{"input", ANY, 'T', 0}},
     .out = {{"outputs", ANY, 'T', ACCEL_ARG_VARIADIC}}, .attrs = split2_attrs,
     .flags = ACCEL_OP_PIECES, .infer = split_infer, .prepare = split_prepare, .run = split_run},
    {MOVE("Split", 13), .flags = ACCEL_OP_PIECES,
     .in = {{"input", ANY, 'T', 0}, {"split", I64, 0, ACCEL_ARG_OPTIONAL}},
     .out = {{"outputs", ANY, 'T', ACCEL_ARG_VARIADIC}}, .attrs = axis_attrs, .infer = split_infer,
     .prepare = split_prepare, .run = split_run},
    {MOVE("Split", 18), .flags = ACCEL_OP_PIECES,
     .in = {{"input", ANY, 'T', 0}, {"split", I64, 0, ACCEL_ARG_OPTIONAL}},
     .out = {{"outputs", ANY, 'T', ACCEL_ARG_VARIADIC}}, .attrs = split18_attrs,
     .infer = split_infer, .prepare = split_prepare, .run = split_run},
    {MOVE("Slice", 1), .in = {{"data", ANY, 'T', 0}}, .out = {{"output", ANY, 'T', 0}},
     .attrs = slice_attrs, .infer = slice_infer, .prepare = slice_prepare, .run = slice_run,
     .cost = selected_cost},
    {MOVE("Slice", 10),
     .in = {{"data", ANY, 'T', 0},
            {"starts", IND, 'I', 0},
            {"ends", IND, 'I', 0},
            {"axes", IND, 'I', ACCEL_ARG_OPTIONAL},
            {"steps", IND, 'I', ACCEL_ARG_OPTIONAL}},
     .out = {{"output", ANY, 'T', 0}}, .infer = slice_infer, .prepare = slice_prepare,
     .run = slice_run, .cost = selected_cost},
    {MOVE("Gather", 1), .in = {{"data", ANY, 'T', 0}, {"indices", IND, 0, 0}},
     .out = {{"output", ANY, 'T', 0}}, .attrs = axis_attrs, .infer = gather_infer,
     .run = gather_run, .cost = selected_cost},
    {MOVE("Pad", 2), .in = {{"data", ACCEL_T_FLOATS, 'T', 0}},
     .out = {{"output", ACCEL_T_FLOATS, 'T', 0}}, .attrs = pad2_attrs, .parse = pad_parse,
     .infer = pad_infer, .prepare = pad_prepare, .run = pad_run},
    {MOVE("Pad", 11),
     .in = {{"data", ANY, 'T', 0},
            {"pads", I64, 0, 0},
            {"constant_value", ANY, 'T', ACCEL_ARG_OPTIONAL},
            {"axes", IND, 0, ACCEL_ARG_OPTIONAL}},
     .out = {{"output", ANY, 'T', 0}}, .attrs = pad_attrs, .parse = pad_parse, .infer = pad_infer,
     .prepare = pad_prepare, .run = pad_run},
    {MOVE("Expand", 8), .in = {{"input", ANY, 'T', 0}, {"shape", I64, 0, 0}},
     .out = {{"output", ANY, 'T', 0}}, .infer = expand_infer, .run = expand_run},
    {MOVE("Tile", 6), .in = {{"input", ANY, 'T', 0}, {"repeats", I64, 0, 0}},
     .out = {{"output", ANY, 'T', 0}}, .infer = tile_infer, .run = tile_run},
    {0},
};
