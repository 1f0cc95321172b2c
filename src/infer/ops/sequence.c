/* SPDX-License-Identifier: Apache-2.0 */
/* Sequences of tensors. */
#include "infer/ops/control.h"

#include <inttypes.h>
#include <string.h>

/* ---------------------------------------------------------------- arguments */

/* Element k of an INT32 or INT64 tensor. */
static int64_t int_of(const struct accel_tensor *t, size_t k)
{
    int32_t i32;
    int64_t i64;

    if (t->dtype == ACCEL_DTYPE_INT32) {
        memcpy(&i32, (const char *)t->data + 4 * k, 4);
        return i32;
    }
    memcpy(&i64, (const char *)t->data + 8 * k, 8);
    return i64;
}

/* Input i as a position in [0, end); from the back when negative. *at is `otherwise` when it is
 * left out. */
static int position_in(const struct accel_run *run, size_t i, size_t end, size_t otherwise,
                       size_t *at, struct accel_error *err)
{
    const struct accel_tensor *t = i < accel_node_formal(run->node) ? run->in[i] : NULL;
    int64_t p;

    *at = otherwise;
    if (t == NULL)
        return ACCEL_OK;
    if (!accel_is_tensor(t) || t->size_bytes != accel_dtype_size(t->dtype) || t->size_bytes < 4)
        return accel_fail(err, ACCEL_E_INVALID, "the position is not one number");
    p = int_of(t, 0);
    if (p < 0)
        p += (int64_t)end;
    if (p < 0 || (uint64_t)p >= end)
        return accel_fail(err, ACCEL_E_INVALID, "position %" PRId64 " in a sequence of %zu",
                          int_of(t, 0), end);
    *at = (size_t)p;
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- making sequences */

static int empty_infer(struct accel_infer *in, struct accel_error *err)
{
    const int64_t dtype = accel_attr_int(in->node, "dtype", ACCEL_DTYPE_FLOAT);

    if (dtype <= 0 || dtype > 63 || accel_element_bytes((enum accel_dtype)dtype) == 0)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "a sequence of data type %" PRId64, dtype);
    in->out[0]->kind = ACCEL_VALUE_SEQUENCE;
    in->out[0]->dtype = (enum accel_dtype)dtype;
    return ACCEL_OK;
}

static int construct_infer(struct accel_infer *in, struct accel_error *err)
{
    (void)err;
    *in->out[0] = accel_type_element(in->in[0]);
    for (size_t i = 1; i < in->node->inputs_count; i++)
        accel_type_merge(in->out[0], in->in[i]);
    in->out[0]->kind = ACCEL_VALUE_SEQUENCE;
    return ACCEL_OK;
}

static int construct_run(struct accel_run *run, struct accel_error *err)
{
    struct accel_session *s = accel_run_session(run);
    const size_t count = accel_node_formal(run->node);
    struct accel_list *list = NULL;
    int rc = accel_list_new(s, run->out[0]->dtype, count, &list, err);

    if (rc != ACCEL_OK)
        return rc;
    for (size_t i = 0; i < count && rc == ACCEL_OK; i++) {
        if (!accel_is_tensor(run->in[i]))
            rc = accel_fail(err, ACCEL_E_INVALID, "input %zu is no tensor", i);
        else
            rc = accel_list_add(s, list, run->in[i], err);
    }
    if (rc != ACCEL_OK) {
        accel_list_unref(s, list);
        return rc;
    }
    return accel_run_give_list(run, 0, list, err);
}

static int insert_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_type tensor = accel_type_element(in->in[1]);
    const int rc = accel_infer_sequence(in, 0, err);

    *in->out[0] = accel_type_element(in->in[0]);
    accel_type_merge(in->out[0], &tensor);
    in->out[0]->kind = ACCEL_VALUE_SEQUENCE;
    return rc;
}

static int insert_run(struct accel_run *run, struct accel_error *err)
{
    struct accel_session *s = accel_run_session(run);
    struct accel_list *from, *list = NULL;
    size_t at;
    int rc = accel_run_list(run, 0, &from, err);

    /* One beyond the last is a place to insert at, too. */
    if (rc == ACCEL_OK)
        rc = position_in(run, 2, from->count + 1, from->count, &at, err);
    if (rc == ACCEL_OK && (!accel_is_tensor(run->in[1]) || run->in[1]->dtype != from->dtype))
        rc = accel_fail(err, ACCEL_E_INVALID, "a tensor of %s cannot go into a sequence of %s",
                        accel_dtype_name(run->in[1]->dtype), accel_dtype_name(from->dtype));
    if (rc != ACCEL_OK)
        return rc;
    /* Negative positions count from the end of what there is, not from beyond it. */
    if (run->node->inputs_count > 2 && run->in[2] != NULL && int_of(run->in[2], 0) < 0) {
        if (at == 0)
            return accel_fail(err, ACCEL_E_INVALID, "position %" PRId64 " in a sequence of %zu",
                              int_of(run->in[2], 0), from->count);
        at--;
    }
    rc = accel_list_new(s, from->dtype, from->count + 1, &list, err);
    if (rc != ACCEL_OK)
        return rc;
    accel_list_share(list, from, 0, at);
    rc = accel_list_add(s, list, run->in[1], err);
    if (rc != ACCEL_OK) {
        accel_list_unref(s, list);
        return rc;
    }
    accel_list_share(list, from, at, from->count);
    return accel_run_give_list(run, 0, list, err);
}

static int same_sequence_infer(struct accel_infer *in, struct accel_error *err)
{
    *in->out[0] = accel_type_element(in->in[0]);
    in->out[0]->kind = ACCEL_VALUE_SEQUENCE;
    return accel_infer_sequence(in, 0, err);
}

static int empty_run(struct accel_run *run, struct accel_error *err)
{
    struct accel_list *list = NULL;
    const int rc = accel_list_new(accel_run_session(run), run->out[0]->dtype, 0, &list, err);

    return rc == ACCEL_OK ? accel_run_give_list(run, 0, list, err) : rc;
}

static int erase_run(struct accel_run *run, struct accel_error *err)
{
    struct accel_list *from, *list = NULL;
    size_t at;
    int rc = accel_run_list(run, 0, &from, err);

    if (rc == ACCEL_OK && from->count == 0)
        rc = accel_fail(err, ACCEL_E_INVALID, "nothing to erase from an empty sequence");
    if (rc == ACCEL_OK)
        rc = position_in(run, 1, from->count, from->count - 1, &at, err);
    if (rc == ACCEL_OK)
        rc = accel_list_new(accel_run_session(run), from->dtype, from->count - 1, &list, err);
    if (rc != ACCEL_OK)
        return rc;
    accel_list_share(list, from, 0, at);
    accel_list_share(list, from, at + 1, from->count);
    return accel_run_give_list(run, 0, list, err);
}

/* ---------------------------------------------------------------- looking into sequences */

static int at_infer(struct accel_infer *in, struct accel_error *err)
{
    *in->out[0] = accel_type_element(in->in[0]);
    return accel_infer_sequence(in, 0, err);
}

static int at_run(struct accel_run *run, struct accel_error *err)
{
    struct accel_list *list = NULL;
    size_t at;
    int rc = accel_run_list(run, 0, &list, err);

    if (rc == ACCEL_OK)
        rc = position_in(run, 1, list->count, list->count, &at, err);
    return rc == ACCEL_OK ? accel_run_give(run, 0, &list->items[at]->tensor, err) : rc;
}

static int length_infer(struct accel_infer *in, struct accel_error *err)
{
    in->out[0]->dtype = ACCEL_DTYPE_INT64;
    in->out[0]->shape.has_rank = true;
    return accel_infer_sequence(in, 0, err);
}

static int length_run(struct accel_run *run, struct accel_error *err)
{
    struct accel_list *list = NULL;
    const int rc = accel_run_list(run, 0, &list, err);

    if (rc == ACCEL_OK)
        *(int64_t *)run->out[0]->data = (int64_t)list->count;
    return rc;
}

/* ---------------------------------------------------------------- concatenating, splitting */

static int concat_infer(struct accel_infer *in, struct accel_error *err)
{
    in->out[0]->dtype = in->in[0]->dtype;
    return accel_infer_sequence(in, 0, err);
}

/* The shape of the whole; *axis is counted from the front. */
static int concat_shape(const struct accel_run *run, const struct accel_list *list,
                        struct accel_shape *shape, uint32_t *axis, struct accel_error *err)
{
    const bool fresh = accel_attr_int(run->node, "new_axis", 0) != 0;
    int rc;

    if (list->count == 0)
        return accel_fail(err, ACCEL_E_INVALID, "an empty sequence cannot be concatenated");
    *shape = accel_shape_of(&list->items[0]->tensor);
    if (fresh && shape->rank == ACCEL_RANK_MAX)
        return accel_fail(err, ACCEL_E_INVALID, "tensors of rank %u cannot get another axis",
                          shape->rank);
    rc = accel_axis(accel_attr_int(run->node, "axis", 0), shape->rank + fresh, axis, err);
    if (rc != ACCEL_OK)
        return rc;
    int64_t total = 0;
    for (size_t k = 0; k < list->count; k++) {
        const struct accel_tensor *t = &list->items[k]->tensor;
        bool same = t->rank == shape->rank;

        for (uint32_t d = 0; same && d < shape->rank; d++)
            same = t->dims[d] == shape->dims[d] || (!fresh && d == *axis);
        if (!same || __builtin_add_overflow(total, fresh ? 1 : t->dims[*axis], &total))
            return accel_fail(err, ACCEL_E_INVALID, "tensor %zu of the sequence has another shape",
                              k);
    }
    if (fresh) {
        memmove(&shape->dims[*axis + 1], &shape->dims[*axis],
                (shape->rank - *axis) * sizeof(shape->dims[0]));
        shape->rank++;
    }
    shape->dims[*axis] = total;
    return ACCEL_OK;
}

static int concat_run(struct accel_run *run, struct accel_error *err)
{
    struct accel_list *list = NULL;
    struct accel_shape shape;
    uint32_t axis;
    int rc = accel_run_list(run, 0, &list, err);

    if (rc == ACCEL_OK)
        rc = concat_shape(run, list, &shape, &axis, err);
    if (rc != ACCEL_OK)
        return rc;
    run->out[0]->dtype = list->dtype;
    rc = accel_run_output(run, 0, &shape, err);
    if (rc != ACCEL_OK || run->out[0]->size_bytes == 0)
        return rc;
    const size_t before = accel_dims_product(shape.dims, 0, axis);
    const size_t row = run->out[0]->size_bytes / before;
    size_t at = 0;
    for (size_t k = 0; k < list->count; k++) {
        const struct accel_tensor *t = &list->items[k]->tensor;
        const size_t part = t->size_bytes / before;

        for (size_t b = 0; b < before; b++)
            memcpy((char *)run->out[0]->data + b * row + at, (const char *)t->data + b * part,
                   part);
        at += part;
    }
    return ACCEL_OK;
}

static int split_infer(struct accel_infer *in, struct accel_error *err)
{
    const bool whole = in->node->inputs_count > 1 && in->in[1] != NULL;
    const bool keep = whole || accel_attr_int(in->node, "keepdims", 1) != 0;
    struct accel_type *out = in->out[0];
    uint32_t axis;

    *out = accel_type_element(in->in[0]);
    out->kind = ACCEL_VALUE_SEQUENCE;
    if (!out->shape.has_rank)
        return ACCEL_OK;
    const int rc = accel_axis(accel_attr_int(in->node, "axis", 0), out->shape.rank, &axis, err);
    if (rc != ACCEL_OK)
        return rc;
    if (!keep) {
        out->shape.rank--;
        memmove(&out->shape.dims[axis], &out->shape.dims[axis + 1],
                (out->shape.rank - axis) * sizeof(out->shape.dims[0]));
    } else {
        out->shape.dims[axis] = whole ? ACCEL_DIM_ANY : 1;
    }
    return ACCEL_OK;
}

/* How a tensor is cut along an axis. */
struct pieces {
    size_t count, step;               /* step: of each, but perhaps the last; 0: see sizes */
    const struct accel_tensor *sizes; /* of each */
};

static int pieces_of(const struct accel_run *run, int64_t dim, struct pieces *p,
                     struct accel_error *err)
{
    const struct accel_tensor *split = run->node->inputs_count > 1 ? run->in[1] : NULL;
    int64_t left = dim;

    *p = (struct pieces){.count = (size_t)dim, .step = 1};
    if (split == NULL)
        return ACCEL_OK;
    if (!accel_is_tensor(split) || split->rank > 1 ||
        (split->dtype != ACCEL_DTYPE_INT32 && split->dtype != ACCEL_DTYPE_INT64))
        return accel_fail(err, ACCEL_E_INVALID, "split is neither a number nor a list of numbers");
    if (split->rank == 0) {
        const int64_t step = int_of(split, 0);

        if (step <= 0)
            return accel_fail(err, ACCEL_E_INVALID, "pieces of %" PRId64, step);
        p->step = (size_t)ACCEL_MIN(step, ACCEL_MAX(dim, (int64_t)1));
        p->count = ((size_t)dim + p->step - 1) / p->step;
        return ACCEL_OK;
    }
    *p = (struct pieces){.count = (size_t)split->dims[0], .sizes = split};
    for (size_t k = 0; k < p->count; k++) {
        const int64_t size = int_of(split, k);

        if (size < 0 || size > left)
            return accel_fail(err, ACCEL_E_INVALID,
                              "piece %zu of %" PRId64 " of a dimension of %" PRId64, k, size, dim);
        left -= size;
    }
    if (left > 0)
        return accel_fail(err, ACCEL_E_INVALID, "the pieces leave %" PRId64 " of %" PRId64 " over",
                          left, dim);
    return ACCEL_OK;
}

static int cut(struct accel_run *run, const struct pieces *p, uint32_t axis, bool keep,
               struct accel_list *list, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    const size_t before = accel_dims_product(x->dims, 0, axis);
    const size_t inner =
        accel_dims_product(x->dims, axis + 1, x->rank) * accel_element_bytes(x->dtype);
    const size_t row = (size_t)x->dims[axis] * inner;
    size_t at = 0;

    for (size_t k = 0; k < p->count; k++) {
        const size_t size = p->sizes != NULL ? (size_t)int_of(p->sizes, k)
                                             : ACCEL_MIN(p->step, (size_t)x->dims[axis] - at);
        struct accel_tensor piece = *x;
        void *data;

        piece.dims[axis] = (int64_t)size;
        piece.size_bytes = before * size * inner;
        if (!keep) {
            piece.rank--;
            memmove(&piece.dims[axis], &piece.dims[axis + 1],
                    (piece.rank - axis) * sizeof(piece.dims[0]));
        }
        const int rc = accel_list_room(accel_run_session(run), list, &piece, &data, err);
        if (rc != ACCEL_OK)
            return rc;
        for (size_t b = 0; b < before && size * inner > 0; b++)
            memcpy((char *)data + b * size * inner, (const char *)x->data + b * row + at * inner,
                   size * inner);
        at += size;
    }
    return ACCEL_OK;
}

static int split_run(struct accel_run *run, struct accel_error *err)
{
    const bool whole = run->node->inputs_count > 1 && run->in[1] != NULL;
    const bool keep = whole || accel_attr_int(run->node, "keepdims", 1) != 0;
    const struct accel_tensor *x = run->in[0];
    struct accel_session *s = accel_run_session(run);
    struct accel_list *list = NULL;
    struct pieces p;
    uint32_t axis;
    int rc = accel_axis(accel_attr_int(run->node, "axis", 0), x->rank, &axis, err);

    if (rc == ACCEL_OK)
        rc = pieces_of(run, x->dims[axis], &p, err);
    if (rc == ACCEL_OK)
        rc = accel_list_new(s, x->dtype, p.count, &list, err);
    if (rc != ACCEL_OK)
        return rc;
    rc = cut(run, &p, axis, keep, list, err);
    if (rc != ACCEL_OK) {
        accel_list_unref(s, list);
        return rc;
    }
    return accel_run_give_list(run, 0, list, err);
}

/* ---------------------------------------------------------------- the table */

static const struct accel_attr_rule empty_attrs[] = {{"dtype", ACCEL_ATTR_INT, 0}, {0}};
static const struct accel_attr_rule concat_attrs[] = {
    {"axis", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED},
    {"new_axis", ACCEL_ATTR_INT, 0},
    {0},
};
static const struct accel_attr_rule split_attrs[] = {
    {"axis", ACCEL_ATTR_INT, 0},
    {"keepdims", ACCEL_ATTR_INT, 0},
    {0},
};
#define ANY      ACCEL_T_EVERY
#define POSITION (ACCEL_T(INT32) | ACCEL_T(INT64))
#define OTHER    ACCEL_ARG_ANY_KIND
#define OP(op, version)                                                  \
    .name = op, .domain = "", .since = version, .kind = ACCEL_KIND_MOVE, \
    .flags = ACCEL_OP_DYNAMIC | ACCEL_OP_ANY_RANK

const struct accel_op accel_ops_sequence[] = {
    {OP("SequenceEmpty", 11), .out = {{"output", ANY, 0, OTHER}}, .attrs = empty_attrs,
     .infer = empty_infer, .run = empty_run},
    {OP("SequenceConstruct", 11), .in = {{"inputs", ANY, 'T', ACCEL_ARG_VARIADIC}},
     .out = {{"output_sequence", ANY, 'T', OTHER}}, .infer = construct_infer, .run = construct_run},
    {OP("SequenceInsert", 11),
     .in = {{"input_sequence", ANY, 'T', OTHER},
            {"tensor", ANY, 'T', 0},
            {"position", POSITION, 0, ACCEL_ARG_OPTIONAL}},
     .out = {{"output_sequence", ANY, 'T', OTHER}}, .infer = insert_infer, .run = insert_run},
    {OP("SequenceErase", 11),
     .in = {{"input_sequence", ANY, 'T', OTHER}, {"position", POSITION, 0, ACCEL_ARG_OPTIONAL}},
     .out = {{"output_sequence", ANY, 'T', OTHER}}, .infer = same_sequence_infer, .run = erase_run},
    {OP("SequenceAt", 11),
     .in = {{"input_sequence", ANY, 'T', OTHER}, {"position", POSITION, 0, 0}},
     .out = {{"tensor", ANY, 'T', 0}}, .infer = at_infer, .run = at_run},
    {OP("SequenceLength", 11), .in = {{"input_sequence", ANY, 'T', OTHER}},
     .out = {{"length", ACCEL_T(INT64), 0, 0}}, .infer = length_infer, .run = length_run},
    {OP("ConcatFromSequence", 11), .in = {{"input_sequence", ANY, 'T', OTHER}},
     .out = {{"concat_result", ANY, 'T', 0}}, .attrs = concat_attrs, .infer = concat_infer,
     .run = concat_run},
    {OP("SplitToSequence", 11),
     .in = {{"input", ANY, 'T', 0}, {"split", POSITION, 0, ACCEL_ARG_OPTIONAL}},
     .out = {{"output_sequence", ANY, 'T', OTHER}}, .attrs = split_attrs, .infer = split_infer,
     .run = split_run},
    {0},
};
