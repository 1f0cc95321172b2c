/* SPDX-License-Identifier: Apache-2.0 */
/* DepthToSpace and SpaceToDepth: a transpose of six axes. */
#include "infer/kernels/kernels.h"
#include "infer/ops/op.h"

#include <inttypes.h>
#include <string.h>

struct space_params {
    int64_t block;
    bool column_row_depth;
};

static int space_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                       struct accel_error *err)
{
    const char *mode = accel_attr_string(n, "mode", "DCR");
    struct space_params *p = accel_bump_alloc(mem, 1, sizeof(*p));

    if (p == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its attributes");
    *params = p;
    p->block = accel_attr_int(n, "blocksize", 0);
    p->column_row_depth = strcmp(mode, "CRD") == 0;
    if (!p->column_row_depth && strcmp(mode, "DCR") != 0)
        return accel_fail(err, ACCEL_E_INVALID, "mode is '%s'", mode);
    if (p->block < 1 || p->block > 1 << 15)
        return accel_fail(err, ACCEL_E_INVALID, "blocksize is %" PRId64, p->block);
    return ACCEL_OK;
}

static bool to_space(const struct accel_node *n)
{
    return n->op_type[0] == 'D';
}

/* Each dimension times up / down, where it is known. */
static int scaled(int64_t *dim, int64_t up, int64_t down, const char *what, struct accel_error *err)
{
    if (*dim < 0)
        return ACCEL_OK;
    if (*dim % down != 0)
        return accel_fail(err, ACCEL_E_INVALID, "%s of %" PRId64 " cannot be cut by %" PRId64, what,
                          *dim, down);
    if (__builtin_mul_overflow(*dim / down, up, dim))
        return accel_fail(err, ACCEL_E_INVALID, "%s overflows", what);
    return ACCEL_OK;
}

static int space_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct space_params *p = in->node->params;
    const bool deep = !to_space(in->node);
    const int64_t b = p->block, area = p->block * p->block;
    struct accel_shape y = in->in[0]->shape;

    if (y.rank != 4)
        return accel_fail(err, ACCEL_E_INVALID, "an input of rank %u instead of 4", y.rank);
    int rc = scaled(&y.dims[1], deep ? area : 1, deep ? 1 : area, "a depth", err);
    if (rc == ACCEL_OK)
        rc = scaled(&y.dims[2], deep ? 1 : b, deep ? b : 1, "a height", err);
    if (rc == ACCEL_OK)
        rc = scaled(&y.dims[3], deep ? 1 : b, deep ? b : 1, "a width", err);
    in->out[0]->dtype = in->in[0]->dtype;
    in->out[0]->shape = y;
    return rc;
}

/* ONNX DepthToSpace-28 and SpaceToDepth-28: the input as six axes, and the output's order. */
static int space_run(struct accel_run *run, struct accel_error *err)
{
    static const unsigned perms[2][2][6] = {
        /* SpaceToDepth: n c h b w b. */
        {{0, 3, 5, 1, 2, 4}, {0, 1, 3, 5, 2, 4}},
        /* DepthToSpace: n b b c h w, or n c b b h w. */
        {{0, 3, 4, 1, 5, 2}, {0, 1, 4, 2, 5, 3}},
    };
    const struct space_params *p = run->node->params;
    const struct accel_tensor *x = run->in[0];
    const bool deep = !to_space(run->node);
    const size_t b = (size_t)p->block, n = (size_t)x->dims[0], h = (size_t)x->dims[2],
                 w = (size_t)x->dims[3], c = (size_t)x->dims[1];
    const size_t shallow = c / (b * b);
    const size_t to_depth[6] = {n, c, h / b, b, w / b, b};
    const size_t depth_first[6] = {n, b, b, shallow, h, w};
    const size_t depth_last[6] = {n, shallow, b, b, h, w};

    (void)err;
    if (x->size_bytes > 0)
        accel_transpose(run->pool, accel_dtype_size(x->dtype), 6,
                        deep                  ? to_depth
                        : p->column_row_depth ? depth_last
                                              : depth_first,
                        perms[deep ? 0 : 1][p->column_row_depth], x->data, run->out[0]->data);
    return ACCEL_OK;
}

static const struct accel_attr_rule block_attrs[] = {
    {"blocksize", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED}, {0}};
static const struct accel_attr_rule mode_attrs[] = {
    {"blocksize", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED}, {"mode", ACCEL_ATTR_STRING, 0}, {0}};

#define SPACE(op, version, rules)                                                             \
    {                                                                                         \
        .name = op, .domain = "", .since = version, .kind = ACCEL_KIND_MOVE,                  \
        .in = {{"input", ACCEL_T_FIXED, 'T', 0}}, .out = {{"output", ACCEL_T_FIXED, 'T', 0}}, \
        .attrs = rules, .parse = space_parse, .infer = space_infer, .run = space_run          \
    }

const struct accel_op accel_ops_space[] = {
    SPACE("DepthToSpace", 1, block_attrs),
    SPACE("DepthToSpace", 11, mode_attrs),
    SPACE("SpaceToDepth", 1, block_attrs),
    SPACE("SpaceToDepth", 28, mode_attrs),
    {0},
};
