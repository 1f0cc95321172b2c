/* SPDX-License-Identifier: Apache-2.0 */
/* Optionals: a value that may be missing. */
#include "infer/ops/control.h"

static int optional_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct accel_attr *type = accel_attr(in->node, "type");
    const bool given = in->node->inputs_count > 0 && in->in[0] != NULL;

    if (!given && type == NULL)
        return accel_fail(err, ACCEL_E_INVALID, "neither an input nor a type");
    *in->out[0] = given ? *in->in[0] : type->types[0];
    if (!given && type->types[0].kind > ACCEL_VALUE_SEQUENCE)
        return accel_fail(err, ACCEL_E_UNSUPPORTED, "an optional of %s",
                          accel_value_kind_text(type->types[0].kind));
    in->out[0]->data = NULL;
    in->out[0]->ints = NULL;
    in->out[0]->ints_count = 0;
    in->out[0]->kind |= ACCEL_VALUE_OPTIONAL;
    return ACCEL_OK;
}

static int pass_run(struct accel_run *run, struct accel_error *err)
{
    const bool given = run->node->inputs_count > 0 && run->in[0] != NULL;
    const struct accel_tensor none = accel_slot_of_none(run->out[0]->dtype);

    return accel_run_give(run, 0, given ? run->in[0] : &none, err);
}

static int has_element_infer(struct accel_infer *in, struct accel_error *err)
{
    (void)err;
    in->out[0]->dtype = ACCEL_DTYPE_BOOL;
    in->out[0]->shape.has_rank = true;
    return ACCEL_OK;
}

static int has_element_run(struct accel_run *run, struct accel_error *err)
{
    const bool given = run->node->inputs_count > 0 && run->in[0] != NULL;

    (void)err;
    *(bool *)run->out[0]->data = given && !accel_is_none(run->in[0]);
    return ACCEL_OK;
}

static int get_element_infer(struct accel_infer *in, struct accel_error *err)
{
    (void)err;
    *in->out[0] = accel_type_element(in->in[0]);
    in->out[0]->kind = in->in[0]->kind & ~(unsigned)ACCEL_VALUE_OPTIONAL;
    return ACCEL_OK;
}

static int get_element_run(struct accel_run *run, struct accel_error *err)
{
    if (accel_is_none(run->in[0]))
        return accel_fail(err, ACCEL_E_INVALID, "the optional holds nothing");
    return accel_run_give(run, 0, run->in[0], err);
}

/* ---------------------------------------------------------------- the table */

static const struct accel_attr_rule optional_attrs[] = {{"type", ACCEL_ATTR_TYPE, 0}, {0}};

#define ANY   ACCEL_T_EVERY
#define OTHER ACCEL_ARG_ANY_KIND
#define OP(op, version)                                                  \
    .name = op, .domain = "", .since = version, .kind = ACCEL_KIND_MOVE, \
    .flags = ACCEL_OP_DYNAMIC | ACCEL_OP_ANY_RANK

const struct accel_op accel_ops_optional[] = {
    {OP("Optional", 15), .in = {{"input", ANY, 'V', ACCEL_ARG_OPTIONAL | OTHER}},
     .out = {{"output", ANY, 'V', OTHER}}, .attrs = optional_attrs, .infer = optional_infer,
     .run = pass_run},
    {OP("OptionalHasElement", 15), .in = {{"input", ANY, 0, ACCEL_ARG_OPTIONAL | OTHER}},
     .out = {{"output", ACCEL_T(BOOL), 0, 0}}, .infer = has_element_infer, .run = has_element_run},
    {OP("OptionalGetElement", 15), .in = {{"input", ANY, 'V', OTHER}},
     .out = {{"output", ANY, 'V', OTHER}}, .infer = get_element_infer, .run = get_element_run},
    {0},
};
