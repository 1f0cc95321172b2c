/* SPDX-License-Identifier: Apache-2.0 */
/* A node meets its entry of the operator table. */
#include "infer/ops/op.h"

#include <inttypes.h>
#include <string.h>

static int refuse(struct accel_node *n, const char *reason, struct accel_error *err)
{
    if (reason == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a reason");
    n->unsupported = reason;
    return ACCEL_OK;
}

/* Counts argument i in; false: it was the last. A variadic list has no upper end. */
static bool count_arg(const struct accel_arg *arg, size_t i, size_t *least, size_t *most)
{
    if (arg == NULL)
        return false;
    *most = (arg->flags & ACCEL_ARG_VARIADIC) != 0 ? SIZE_MAX : i + 1;
    if ((arg->flags & ACCEL_ARG_OPTIONAL) == 0)
        *least = i + 1;
    return *most != SIZE_MAX;
}

static int check_arity(const struct accel_node *n, struct accel_error *err)
{
    size_t least = 0, most = 0;

    for (size_t i = 0; count_arg(accel_op_input(n->op, i), i, &least, &most);)
        i++;
    if (accel_node_formal(n) < least || accel_node_formal(n) > most)
        return accel_fail(err, ACCEL_E_INVALID, "node '%s' (%s): %zu inputs, it takes %zu%s",
                          n->name, n->op_type, accel_node_formal(n), least,
                          most > least ? " or more" : "");
    for (size_t i = 0; i < accel_node_formal(n); i++) {
        const struct accel_arg *arg = accel_op_input(n->op, i);

        if (n->inputs[i] == NULL && (arg->flags & ACCEL_ARG_OPTIONAL) == 0)
            return accel_fail(err, ACCEL_E_INVALID, "node '%s' (%s): input %zu '%s' is missing",
                              n->name, n->op_type, i, arg->name);
    }
    for (size_t i = 0; i < accel_node_formal(n); i++) {
        const struct accel_arg *arg = accel_op_input(n->op, i);

        if ((arg->flags & ACCEL_ARG_INTERNAL) != 0 && n->epilogue.add != (int32_t)i)
            return accel_fail(err, ACCEL_E_INVALID, "node '%s' (%s): %zu inputs are too many",
                              n->name, n->op_type, n->inputs_count);
    }
    least = most = 0;
    for (size_t o = 0; count_arg(accel_op_arg(n->op->out, ACCEL_OP_OUTPUTS, o), o, &least, &most);)
        o++;
    if (n->outputs_count > most || n->outputs_count == 0)
        return accel_fail(err, ACCEL_E_INVALID, "node '%s' (%s): %zu outputs", n->name, n->op_type,
                          n->outputs_count);
    for (size_t o = 1; o < n->outputs_count; o++)
        if (n->outputs[0] == NULL && n->outputs[o] != NULL &&
            (n->op->out[0].flags & (ACCEL_ARG_OPTIONAL | ACCEL_ARG_VARIADIC)) == 0)
            return accel_fail(err, ACCEL_E_INVALID, "node '%s' (%s): output 0 '%s' has no name",
                              n->name, n->op_type, n->op->out[0].name);
    return ACCEL_OK;
}

/* Attributes by the rules. *reason: why the table cannot have it (an attribute it does not know).
 */
static int check_attrs(const struct accel_node *n, const char **reason, struct accel_error *err)
{
    struct accel_bump *mem = &n->graph->ir->mem;

    *reason = NULL;
    for (size_t i = 0; i < n->attrs_count; i++) {
        const struct accel_attr *a = &n->attrs[i];
        const struct accel_attr_rule *rule = n->op->attrs;

        while (rule != NULL && rule->name != NULL && strcmp(rule->name, a->name) != 0)
            rule++;
        if (rule == NULL || rule->name == NULL) {
            *reason = accel_bump_printf(mem, "attribute '%s'", a->name);
            return *reason != NULL ? ACCEL_OK
                                   : accel_fail(err, ACCEL_E_NOMEM, "no memory for a reason");
        }
        if (rule->type != a->type && (rule->flags & ACCEL_ATTR_IGNORED) == 0)
            return accel_fail(err, ACCEL_E_INVALID,
                              "node '%s' (%s): attribute '%s' is of another type", n->name,
                              n->op_type, a->name);
    }
    for (const struct accel_attr_rule *rule = n->op->attrs; rule != NULL && rule->name != NULL;
         rule++)
        if ((rule->flags & ACCEL_ATTR_REQUIRED) != 0 && accel_attr(n, rule->name) == NULL)
            return accel_fail(err, ACCEL_E_INVALID, "node '%s' (%s): attribute '%s' is missing",
                              n->name, n->op_type, rule->name);
    return ACCEL_OK;
}

int accel_node_bind(struct accel_node *n, struct accel_error *err)
{
    struct accel_ir *ir = n->graph->ir;
    struct accel_error why = {0};
    const char *reason;
    int oldest;

    n->unsupported = NULL;
    if (n->opset == 0) /* else it comes out of a function with imports of its own */
        n->opset = accel_ir_opset(ir, n->domain);
    if (n->opset == 0)
        return accel_fail(err, ACCEL_E_INVALID,
                          "node '%s' (%s): the model imports no opset of its domain '%s'", n->name,
                          n->op_type, n->domain[0] != '\0' ? n->domain : "ai.onnx");
    n->op = accel_op_find(n->domain, n->op_type, n->opset, &oldest);
    if (n->op == NULL && oldest == 0)
        return refuse(n, "no such operator in the core", err);
    if (n->op == NULL && n->opset < oldest)
        return refuse(n, accel_bump_printf(&ir->mem, "the core has it from opset %d on", oldest),
                      err);
    if (n->op == NULL)
        return refuse(n, "removed from the standard before this opset", err);
    int rc = check_arity(n, err);
    if (rc == ACCEL_OK)
        rc = check_attrs(n, &reason, err);
    if (rc != ACCEL_OK)
        return rc;
    if (reason != NULL)
        return refuse(n, reason, err);
    if (n->op->parse == NULL)
        return ACCEL_OK;
    rc = n->op->parse(n, &ir->mem, &n->params, &why);
    if (rc == ACCEL_E_UNSUPPORTED)
        return refuse(n, accel_bump_strdup(&ir->mem, why.msg), err);
    if (rc != ACCEL_OK) {
        accel_fail(err, (enum accel_code)rc, "%s", why.msg);
        return accel_fail_in(err, "node '%s' (%s)", n->name, n->op_type);
    }
    return ACCEL_OK;
}
