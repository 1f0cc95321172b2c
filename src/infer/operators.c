/* SPDX-License-Identifier: Apache-2.0 */
/* The operator table as the public interface shows it. */
#include "acceld/infer.h"
#include "infer/ops/op.h"

static size_t show_args(const struct accel_arg *args, size_t max, struct accel_operator_arg *out)
{
    size_t count = 0;

    /* An internal argument is there for the passes: no model can give it. */
    for (size_t i = 0; i < max && args[i].name != NULL; i++)
        if ((args[i].flags & ACCEL_ARG_INTERNAL) == 0)
            out[count++] =
                (struct accel_operator_arg){.name = args[i].name,
                                            .types = args[i].types & ACCEL_T_ALL,
                                            .group = args[i].var,
                                            .optional = (args[i].flags & ACCEL_ARG_OPTIONAL) != 0,
                                            .variadic = (args[i].flags & ACCEL_ARG_VARIADIC) != 0};
    return count;
}

bool accel_operator_at(size_t i, struct accel_operator *out)
{
    const struct accel_op *op = accel_op_public_at(i);

    if (op == NULL)
        return false;
    *out = (struct accel_operator){.domain = op->domain,
                                   .name = op->name,
                                   .since = op->since,
                                   .removed = (op->flags & ACCEL_OP_REMOVED) != 0};
    out->inputs_count = show_args(op->in, ACCEL_OP_INPUTS, out->inputs);
    if (op->in_more != NULL)
        out->inputs_count += show_args(op->in_more, ACCEL_OP_INPUTS_MAX - ACCEL_OP_INPUTS,
                                       out->inputs + out->inputs_count);
    out->outputs_count = show_args(op->out, ACCEL_OP_OUTPUTS, out->outputs);
    return true;
}
