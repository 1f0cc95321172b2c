/* SPDX-License-Identifier: Apache-2.0 */
/* RegexFullMatch. */
#include "infer/kernels/regex.h"

#include "infer/ops/elements.h"

static int regex_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                       struct accel_error *err)
{
    const struct accel_regex *regex = NULL;
    const int rc = accel_regex_compile(accel_attr_string(n, "pattern", ""), mem, &regex, err);

    *params = regex;
    return rc;
}

static int regex_infer(struct accel_infer *in, struct accel_error *err)
{
    (void)err;
    in->out[0]->dtype = ACCEL_DTYPE_BOOL;
    in->out[0]->shape = in->in[0]->shape;
    return ACCEL_OK;
}

static int regex_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    (void)err;
    prep->scratch_bytes = accel_regex_work_bytes(prep->node->params);
    return ACCEL_OK;
}

static int regex_run(struct accel_run *run, struct accel_error *err)
{
    char *const *x = run->in[0]->data;
    uint8_t *y = run->out[0]->data;

    (void)err;
    for (size_t i = 0; i < accel_elements(run->in[0]); i++)
        y[i] = accel_regex_matches(run->node->params, x[i], run->scratch);
    return ACCEL_OK;
}

static const struct accel_attr_rule regex_attrs[] = {
    {"pattern", ACCEL_ATTR_STRING, ACCEL_ATTR_REQUIRED}, {0}};

const struct accel_op accel_ops_regex[] = {
    {.name = "RegexFullMatch",
     .domain = "",
     .since = 20,
     .kind = ACCEL_KIND_OTHER,
     .flops_per_value = 100,
     .in = {{"X", ACCEL_T(STRING), 0, 0}},
     .out = {{"Y", ACCEL_T(BOOL), 0, 0}},
     .attrs = regex_attrs,
     .parse = regex_parse,
     .infer = regex_infer,
     .prepare = regex_prepare,
     .run = regex_run},
    {0},
};
