/* SPDX-License-Identifier: Apache-2.0 */
/* The table, and what its entries call. The families are collected from this folder by the build:
 * gen/op_families.h holds F(name) for each file. */
#include "infer/ops/op.h"

#include "infer/graph/half.h"

#include <string.h>

#define F(name) extern const struct accel_op accel_ops_##name[];
#include "op_families.h"
#undef F

static const struct accel_op *const families[] = {
#define F(name) accel_ops_##name,
#include "op_families.h"
#undef F
    NULL,
};

static const struct accel_op *entry_at(size_t i, bool own)
{
    for (size_t f = 0; families[f] != NULL; f++)
        for (const struct accel_op *op = families[f]; op->name != NULL; op++)
            if ((own || strcmp(op->domain, ACCEL_DOMAIN_OWN) != 0) && i-- == 0)
                return op;
    return NULL;
}

const struct accel_op *accel_op_at(size_t i)
{
    return entry_at(i, true);
}

const struct accel_op *accel_op_public_at(size_t i)
{
    return entry_at(i, false);
}

const struct accel_op *accel_op_find(const char *domain, const char *name, int64_t opset,
                                     int *oldest)
{
    const struct accel_op *best = NULL;
    int first = 0;

    for (size_t f = 0; families[f] != NULL; f++) {
        for (const struct accel_op *op = families[f]; op->name != NULL; op++) {
            if (strcmp(op->name, name) != 0 || strcmp(op->domain, domain) != 0)
                continue;
            if (first == 0 || op->since < first)
                first = op->since;
            if (op->since <= opset && (best == NULL || op->since > best->since))
                best = op;
        }
    }
    if (oldest != NULL)
        *oldest = first;
    return best != NULL && (best->flags & ACCEL_OP_REMOVED) != 0 ? NULL : best;
}

int64_t accel_opset_newest(const char *domain)
{
    /* The newest versions published when this was written; see docs/adding-an-operator.md. */
    if (domain[0] == '\0')
        return 28;
    if (strcmp(domain, "ai.onnx.ml") == 0)
        return 5;
    if (strcmp(domain, "com.microsoft") == 0)
        return 1;
    return 0;
}

/* ---------------------------------------------------------------- attributes */

const struct accel_attr *accel_attr(const struct accel_node *node, const char *name)
{
    for (size_t i = 0; i < node->attrs_count; i++)
        if (strcmp(node->attrs[i].name, name) == 0)
            return &node->attrs[i];
    return NULL;
}

int64_t accel_attr_int(const struct accel_node *node, const char *name, int64_t otherwise)
{
    const struct accel_attr *a = accel_attr(node, name);

    return a != NULL ? a->ints[0] : otherwise;
}

float accel_attr_float(const struct accel_node *node, const char *name, float otherwise)
{
    const struct accel_attr *a = accel_attr(node, name);

    return a != NULL ? a->floats[0] : otherwise;
}

const char *accel_attr_string(const struct accel_node *node, const char *name,
                              const char *otherwise)
{
    const struct accel_attr *a = accel_attr(node, name);

    return a != NULL ? a->strings[0].data : otherwise;
}

const int64_t *accel_attr_ints(const struct accel_node *node, const char *name, size_t *count)
{
    const struct accel_attr *a = accel_attr(node, name);

    *count = a != NULL ? a->count : 0;
    return a != NULL ? a->ints : NULL;
}

const float *accel_attr_floats(const struct accel_node *node, const char *name, size_t *count)
{
    const struct accel_attr *a = accel_attr(node, name);

    *count = a != NULL ? a->count : 0;
    return a != NULL ? a->floats : NULL;
}

const struct accel_tensor *accel_attr_tensor(const struct accel_node *node, const char *name)
{
    const struct accel_attr *a = accel_attr(node, name);

    return a != NULL ? &a->tensors[0] : NULL;
}

/* ---------------------------------------------------------------- values known to inference */

/* By memcpy: a large constant may still be an unaligned slice of the file. */
static bool int_at(const struct accel_tensor *t, size_t i, int64_t *out)
{
    const char *p = (const char *)t->data + i * accel_dtype_size(t->dtype);
    int64_t i64;
    int32_t i32;
    int16_t i16;
    uint16_t u16;
    uint32_t u32;

    switch (t->dtype) {
    case ACCEL_DTYPE_INT64:
        memcpy(&i64, p, 8);
        *out = i64;
        return true;
    case ACCEL_DTYPE_INT32:
        memcpy(&i32, p, 4);
        *out = i32;
        return true;
    case ACCEL_DTYPE_UINT32:
        memcpy(&u32, p, 4);
        *out = u32;
        return true;
    case ACCEL_DTYPE_INT16:
        memcpy(&i16, p, 2);
        *out = i16;
        return true;
    case ACCEL_DTYPE_UINT16:
        memcpy(&u16, p, 2);
        *out = u16;
        return true;
    case ACCEL_DTYPE_INT8:
        *out = *(const int8_t *)p;
        return true;
    case ACCEL_DTYPE_UINT8:
    case ACCEL_DTYPE_BOOL:
        *out = *(const uint8_t *)p;
        return true;
    default:
        return false;
    }
}

static size_t elements_of(const struct accel_tensor *t)
{
    const size_t size = accel_dtype_size(t->dtype);

    return size > 0 ? t->size_bytes / size : 0;
}

bool accel_infer_partial(const struct accel_infer *in, size_t i, int64_t *values, size_t max,
                         size_t *count)
{
    if (i >= in->node->inputs_count || in->in[i] == NULL)
        return false;
    const struct accel_type *type = in->in[i];
    if (type->data != NULL && type->data->data != NULL) {
        const size_t n = elements_of(type->data);

        if (n > max)
            return false;
        for (size_t k = 0; k < n; k++) {
            if (!int_at(type->data, k, &values[k]))
                return false;
            /* The one number that would read as "not known"; its neighbour is as far out. */
            if (values[k] == ACCEL_INT_ANY)
                values[k]++;
        }
        *count = n;
        return true;
    }
    if (type->ints == NULL || type->ints_count > max)
        return false;
    memcpy(values, type->ints, type->ints_count * sizeof(*values));
    *count = type->ints_count;
    return true;
}

bool accel_infer_ints(const struct accel_infer *in, size_t i, int64_t *values, size_t max,
                      size_t *count)
{
    size_t n;

    if (!accel_infer_partial(in, i, values, max, &n))
        return false;
    if (in->in[i]->data == NULL)
        for (size_t k = 0; k < n; k++)
            if (values[k] == ACCEL_INT_ANY)
                return false;
    *count = n;
    return true;
}

bool accel_infer_floats(const struct accel_infer *in, size_t i, float *values, size_t max,
                        size_t *count)
{
    if (i >= in->node->inputs_count || in->in[i] == NULL || in->in[i]->data == NULL ||
        in->in[i]->data->data == NULL)
        return false;
    const struct accel_tensor *t = in->in[i]->data;
    const size_t n = elements_of(t);
    if (n > max)
        return false;
    for (size_t k = 0; k < n; k++) {
        int64_t integer;
        double d;

        if (t->dtype == ACCEL_DTYPE_FLOAT)
            memcpy(&values[k], (const char *)t->data + 4 * k, 4);
        else if (t->dtype == ACCEL_DTYPE_DOUBLE) {
            memcpy(&d, (const char *)t->data + 8 * k, 8);
            values[k] = (float)d;
        } else if (t->dtype == ACCEL_DTYPE_FLOAT16) {
            uint16_t h;

            memcpy(&h, (const char *)t->data + 2 * k, 2);
            values[k] = accel_half_to_float(h);
        } else if (int_at(t, k, &integer))
            values[k] = (float)integer;
        else
            return false;
    }
    *count = n;
    return true;
}

int accel_infer_set_ints(struct accel_infer *in, size_t o, const int64_t *values, size_t count,
                         struct accel_error *err)
{
    struct accel_type *type = in->out[o];
    bool known = true;

    if (type == NULL || count > ACCEL_INTS_MAX)
        return ACCEL_OK;
    for (size_t k = 0; k < count; k++)
        known = known && values[k] != ACCEL_INT_ANY;
    int64_t *copy = accel_bump_alloc(in->mem, count + 1, sizeof(*copy));
    if (copy == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a value");
    memcpy(copy, values, count * sizeof(*copy));
    if (!known || !accel_shape_static(&type->shape) ||
        (type->dtype != ACCEL_DTYPE_INT64 && type->dtype != ACCEL_DTYPE_INT32)) {
        type->ints = copy;
        type->ints_count = count;
        return ACCEL_OK;
    }
    struct accel_tensor *t = accel_bump_alloc(in->mem, 1, sizeof(*t));
    if (t == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a value");
    for (size_t k = 0; type->dtype == ACCEL_DTYPE_INT32 && k < count; k++) {
        const int32_t v = (int32_t)values[k];

        memcpy((char *)copy + 4 * k, &v, sizeof(v));
    }
    *t = (struct accel_tensor){.dtype = type->dtype,
                               .rank = type->shape.rank,
                               .data = copy,
                               .size_bytes = count * accel_dtype_size(type->dtype)};
    memcpy(t->dims, type->shape.dims, t->rank * sizeof(t->dims[0]));
    type->data = t;
    return ACCEL_OK;
}

int accel_infer_same(struct accel_infer *in, struct accel_error *err)
{
    (void)err;
    in->out[0]->dtype = in->in[0]->dtype;
    in->out[0]->shape = in->in[0]->shape;
    return ACCEL_OK;
}

int accel_infer_broadcast(struct accel_infer *in, struct accel_error *err)
{
    struct accel_shape shape = in->in[0]->shape;

    for (size_t i = 1; i < in->node->inputs_count; i++) {
        if (in->in[i] == NULL)
            continue;
        const int rc = accel_shape_broadcast(&shape, &in->in[i]->shape, &shape, err);
        if (rc != ACCEL_OK)
            return rc;
    }
    in->out[0]->dtype = in->in[0]->dtype;
    in->out[0]->shape = shape;
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- prepare and run */

_Alignas(64) char accel_no_scratch[64];

void *accel_prepare_state(struct accel_prepare *prep, size_t bytes, struct accel_error *err)
{
    prep->state = accel_bump_alloc(prep->mem, 1, bytes);
    if (prep->state == NULL)
        accel_fail(err, ACCEL_E_NOMEM, "no memory to prepare it");
    return prep->state;
}
