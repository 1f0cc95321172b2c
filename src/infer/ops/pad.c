/* SPDX-License-Identifier: Apache-2.0 */
/* Pad. */
#include "infer/kernels/kernels.h"
#include "infer/ops/elements.h"

#include <inttypes.h>
#include <string.h>

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

/* Of Pad-2, where they are required; an input since, and of com.microsoft. */
static bool pads_are_attribute(const struct accel_node *n)
{
    return accel_attr(n, "pads") != NULL;
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
    if (pads_are_attribute(in->node)) {
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
    struct pad_state *s = accel_prepare_state(prep, sizeof(*s), err);
    bool known;

    if (s == NULL)
        return ACCEL_E_NOMEM;
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
    const size_t size = accel_element_bytes(x->dtype);
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
    const size_t size = accel_element_bytes(x->dtype);
    const void *value = x->dtype == ACCEL_DTYPE_STRING ? (const void *)&empty : zero;
    const double wide = p->value;

    (void)err;
    if (accel_given(run->node, 2) && run->in[2]->size_bytes >= size)
        value = run->in[2]->data;
    else if (pads_are_attribute(run->node) && x->dtype == ACCEL_DTYPE_FLOAT)
        value = &p->value;
    else if (pads_are_attribute(run->node) && x->dtype == ACCEL_DTYPE_DOUBLE)
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

/* ---------------------------------------------------------------- the entries */

#define ANY ACCEL_T_ALL
#define IND (ACCEL_T(INT32) | ACCEL_T(INT64))
#define I64 ACCEL_T(INT64)
#define F32 ACCEL_T(FLOAT)

static const struct accel_attr_rule pad2_attrs[] = {{"mode", ACCEL_ATTR_STRING, 0},
                                                    {"pads", ACCEL_ATTR_INTS, ACCEL_ATTR_REQUIRED},
                                                    {"value", ACCEL_ATTR_FLOAT, 0},
                                                    {0}};
static const struct accel_attr_rule pad_attrs[] = {{"mode", ACCEL_ATTR_STRING, 0}, {0}};

#define MOVE(op, version) .name = op, .domain = "", .since = version, .kind = ACCEL_KIND_MOVE

const struct accel_op accel_ops_pad[] = {
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
    {.name = "Pad",
     .domain = "com.microsoft",
     .since = 1,
     .kind = ACCEL_KIND_MOVE,
     .in = {{"data", F32, 'T', 0}, {"pads", I64, 0, 0}, {"value", F32, 'T', ACCEL_ARG_OPTIONAL}},
     .out = {{"output", F32, 'T', 0}},
     .attrs = pad_attrs,
     .parse = pad_parse,
     .infer = pad_infer,
     .prepare = pad_prepare,
     .run = pad_run},
    {0},
};
