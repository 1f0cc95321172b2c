/* SPDX-License-Identifier: Apache-2.0 */
/* LpPool and GlobalLpPool: (sum of |x|^p)^(1/p) over a window, padding counts as 0. */
#include "infer/ops/spatial.h"
#include "infer/ops/op.h"

#include <inttypes.h>

static int check_p(const struct accel_node *n, struct accel_error *err)
{
    const int64_t p = accel_attr_int(n, "p", 2);

    return p >= 1 ? ACCEL_OK : accel_fail(err, ACCEL_E_INVALID, "p is %" PRId64, p);
}

static int lp_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                    struct accel_error *err)
{
    const int rc = check_p(n, err);

    return rc == ACCEL_OK ? accel_pool_parse(n, mem, params, err) : rc;
}

static int global_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                        struct accel_error *err)
{
    (void)mem;
    (void)params;
    return check_p(n, err);
}

/* One window of all there is. */
static int global_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const struct accel_shape *x = &prep->in[0]->shape;
    struct accel_window *w = accel_prepare_state(prep, sizeof(*w), err);
    const size_t n = accel_dims_product(x->dims, 2, x->rank);

    if (w == NULL)
        return ACCEL_E_NOMEM;
    *w = (struct accel_window){.spatial = 1,
                               .planes = accel_dims_product(x->dims, 0, 2),
                               .in = {n},
                               .out = {1},
                               .kernel = {n},
                               .stride = {1},
                               .dilation = {1}};
    return ACCEL_OK;
}

static int lp_run(struct accel_run *run, struct accel_error *err)
{
    (void)err;
    if (run->out[0]->size_bytes > 0)
        accel_lppool_f32(run->pool, run->state, accel_attr_int(run->node, "p", 2), run->in[0]->data,
                         run->out[0]->data);
    return ACCEL_OK;
}

#define R ACCEL_T(FLOAT)

#define LP2                                                                                     \
    {"auto_pad", ACCEL_ATTR_STRING, 0}, {"kernel_shape", ACCEL_ATTR_INTS, ACCEL_ATTR_REQUIRED}, \
        {"p", ACCEL_ATTR_INT, 0}, {"pads", ACCEL_ATTR_INTS, 0},                                 \
    {                                                                                           \
        "strides", ACCEL_ATTR_INTS, 0                                                           \
    }

static const struct accel_attr_rule lp2_attrs[] = {LP2, {0}};
static const struct accel_attr_rule lp18_attrs[] = {
    LP2, {"ceil_mode", ACCEL_ATTR_INT, 0}, {"dilations", ACCEL_ATTR_INTS, 0}, {0}};
static const struct accel_attr_rule global_attrs[] = {{"p", ACCEL_ATTR_INT, 0}, {0}};

#define LP_POOL(version, rules)                                                                    \
    {                                                                                              \
        .name = "LpPool", .domain = "", .since = version, .kind = ACCEL_KIND_POOL,                 \
        .flops_per_value = 9, .in = {{"X", R, 'T', 0}}, .out = {{"Y", R, 'T', 0}}, .attrs = rules, \
        .parse = lp_parse, .infer = accel_pool_infer, .prepare = accel_pool_prepare, .run = lp_run \
    }

const struct accel_op accel_ops_lp_pool[] = {
    LP_POOL(2, lp2_attrs),
    LP_POOL(18, lp18_attrs),
    {.name = "GlobalLpPool",
     .domain = "",
     .since = 2,
     .kind = ACCEL_KIND_POOL,
     .in = {{"X", R, 'T', 0}},
     .out = {{"Y", R, 'T', 0}},
     .attrs = global_attrs,
     .parse = global_parse,
     .infer = accel_global_pool_infer,
     .prepare = global_prepare,
     .run = lp_run},
    {0},
};
