/* SPDX-License-Identifier: Apache-2.0 */

/* TypeProto, TensorShapeProto, ValueInfoProto. */

#include "infer/onnx/reader.h"

#include <inttypes.h>

static int shape_of_proto(struct reader *r, struct accel_slice proto, struct accel_shape *shape,
                          const char ***dim_names, struct accel_error *err)
{
    struct accel_wire w = accel_wire_of(proto);
    struct accel_wire_field f, d;
    int more, inner;

    *shape = (struct accel_shape){.has_rank = true};
    while ((more = accel_wire_next(&w, &f, err)) > 0) {
        if (f.number != 1)
            continue;
        if (shape->rank == ACCEL_RANK_MAX)
            return accel_fail(err, ACCEL_E_INVALID, "more than %d dimensions", ACCEL_RANK_MAX);
        int64_t *dim = &shape->dims[shape->rank];
        *dim = ACCEL_DIM_ANY;
        struct accel_wire dim_wire = accel_wire_of(f.bytes);
        while ((inner = accel_wire_next(&dim_wire, &d, err)) > 0) {
            if (d.number == 1 && d.type == ACCEL_WIRE_VARINT) {
                /* Exporters write -1 and 0 for "any" here; below that nothing has a meaning. */
                const int64_t v = (int64_t)d.value;

                if (v < -1)
                    return accel_fail(err, ACCEL_E_INVALID,
                                      "dimension %u is negative (%" PRId64 ")", shape->rank, v);
                *dim = v == -1 ? ACCEL_DIM_ANY : v;
            } else if (d.number == 2) {
                const char *name;
                const int rc = accel_onnx_text(r, &d, "a dimension's name", &name, err);

                if (rc != ACCEL_OK)
                    return rc;
                if (*dim_names == NULL)
                    *dim_names = accel_bump_alloc(&r->ir->mem, ACCEL_RANK_MAX, sizeof(**dim_names));
                if (*dim_names == NULL)
                    return accel_onnx_no_memory(err);
                if (name[0] != '\0')
                    (*dim_names)[shape->rank] = name;
            }
        }
        if (inner < 0)
            return -inner;
        shape->rank++;
    }
    return more < 0 ? -more : ACCEL_OK;
}

/* What is around a type: a sequence (TypeProto's field 4), a map (5) or an optional (9). */
static void wrap_type(uint32_t field, struct accel_type *type)
{
    const enum accel_value_kind in = type->kind;

    type->kind = ACCEL_VALUE_OTHER;
    if (field == 4 && (in == ACCEL_VALUE_TENSOR || in == ACCEL_VALUE_MAP)) {
        type->kind = in | ACCEL_VALUE_SEQUENCE;
    } else if (field == 9 && in <= ACCEL_VALUE_SEQUENCE) {
        type->kind = in | ACCEL_VALUE_OPTIONAL;
    } else if (field == 5 && in == ACCEL_VALUE_TENSOR && accel_map_types(type->keys, type->dtype)) {
        type->kind = ACCEL_VALUE_MAP;
        type->shape = (struct accel_shape){0};
    }
    if ((type->kind & ACCEL_VALUE_MAP) == 0)
        type->keys = ACCEL_DTYPE_UNDEFINED;
}

int accel_onnx_type(struct reader *r, struct accel_slice proto, unsigned depth,
                    struct accel_type *type, const char ***dim_names, struct accel_error *err)
{
    struct accel_wire w = accel_wire_of(proto);
    struct accel_wire_field f, g;
    int more, inner, rc = ACCEL_OK;

    while (rc == ACCEL_OK && (more = accel_wire_next(&w, &f, err)) != 0) {
        if (more < 0)
            return -more;
        if (f.type != ACCEL_WIRE_BYTES)
            continue;
        if (f.number == 8)
            type->kind = ACCEL_VALUE_OTHER;
        if (f.number != 1 && f.number != 4 && f.number != 5 && f.number != 9)
            continue;
        const uint32_t element = f.number == 5 ? 2 : 1; /* field of what it is of */
        enum accel_dtype keys = ACCEL_DTYPE_UNDEFINED;
        bool wrapped = f.number == 5;
        struct accel_wire t = accel_wire_of(f.bytes);
        while (rc == ACCEL_OK && (inner = accel_wire_next(&t, &g, err)) != 0) {
            if (inner < 0)
                return -inner;
            if (f.number == 1 && g.number == 1) {
                if (g.value > ACCEL_DTYPE_LAST)
                    rc = accel_fail(err, ACCEL_E_UNSUPPORTED,
                                    "data type %" PRIu64 " is not supported", g.value);
                else
                    type->dtype = (enum accel_dtype)g.value;
            } else if (f.number == 1 && g.number == 2) {
                rc = shape_of_proto(r, g.bytes, &type->shape, dim_names, err);
            } else if (f.number == 5 && g.number == 1 && g.type == ACCEL_WIRE_VARINT) {
                keys = g.value <= ACCEL_DTYPE_LAST ? (enum accel_dtype)g.value : 0;
            } else if (f.number != 1 && g.number == element && g.type == ACCEL_WIRE_BYTES) {
                if (depth >= 2) {
                    type->kind = ACCEL_VALUE_OTHER;
                    return ACCEL_OK;
                }
                rc = accel_onnx_type(r, g.bytes, depth + 1, type, dim_names, err);
                wrapped = true;
            }
        }
        if (f.number == 5)
            type->keys = keys;
        if (wrapped)
            wrap_type(f.number, type);
    }
    /* Two types in one message. */
    if ((type->kind & ACCEL_VALUE_MAP) != 0 &&
        (!accel_map_types(type->keys, type->dtype) || type->shape.has_rank))
        *type = (struct accel_type){.kind = ACCEL_VALUE_OTHER};
    return rc;
}

int accel_onnx_value_info(struct reader *r, struct accel_slice proto, const char *what,
                          const char **name, struct accel_type *type, const char ***dim_names,
                          struct accel_error *err)
{
    struct accel_wire w = accel_wire_of(proto);
    struct accel_wire_field f;
    int more, rc = ACCEL_OK;

    *name = "";
    *dim_names = NULL;
    *type = (struct accel_type){0};
    while (rc == ACCEL_OK && (more = accel_wire_next(&w, &f, err)) != 0) {
        if (more < 0)
            return accel_fail_in(err, "%s '%s'", what, *name), -more;
        if (f.number == 1)
            rc = accel_onnx_text(r, &f, "a name", name, err);
        else if (f.number == 2 && f.type == ACCEL_WIRE_BYTES)
            rc = accel_onnx_type(r, f.bytes, 0, type, dim_names, err);
    }
    if (rc == ACCEL_OK && (*name)[0] == '\0')
        rc = accel_fail(err, ACCEL_E_INVALID, "has no name");
    if (rc != ACCEL_OK)
        accel_fail_in(err, "%s '%s'", what, *name);
    return rc;
}
