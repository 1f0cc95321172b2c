/* SPDX-License-Identifier: Apache-2.0 */
/* Scan. Where the standard leaves room it does as ONNX Runtime does. */
#include "infer/ops/control.h"

#include <inttypes.h>
#include <string.h>

/* Scan-8 has a batch in front of everything and lengths per batch; since 9 axes may be chosen. */
struct scan {
    struct accel_graph *body;
    bool batched;
    size_t states, scans, outs; /* state values, inputs that are cut up, outputs put together */
    size_t first;               /* input: 1 behind sequence_lens */
    const int64_t *in_axes, *in_back, *out_axes, *out_back; /* NULL: all 0 */
};

static int scan_list(const struct accel_node *n, const char *name, size_t want,
                     const int64_t **values, struct accel_error *err)
{
    size_t count;

    *values = accel_attr_ints(n, name, &count);
    if (*values != NULL && count != want)
        return accel_fail(err, ACCEL_E_INVALID, "%s has %zu values, %zu are needed", name, count,
                          want);
    return ACCEL_OK;
}

static int scan_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                      struct accel_error *err)
{
    struct scan *s = accel_bump_alloc(mem, 1, sizeof(*s));
    const int64_t scans = accel_attr_int(n, "num_scan_inputs", 0);

    if (s == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for its attributes");
    s->batched = n->op->since == 8;
    s->first = s->batched;
    const size_t values = accel_node_formal(n) - ACCEL_MIN(s->first, accel_node_formal(n));
    if (scans < 1 || (uint64_t)scans > values)
        return accel_fail(err, ACCEL_E_INVALID, "num_scan_inputs is %" PRId64 ", it has %zu inputs",
                          scans, values);
    s->body = accel_attr_graph(n, "body");
    s->scans = (size_t)scans;
    s->states = values - s->scans;
    int rc =
        accel_subgraph_check(s->body, "body", values, ACCEL_MAX(s->states, n->outputs_count), err);
    if (rc != ACCEL_OK)
        return rc;
    s->outs = s->body->outputs_count - s->states;
    for (size_t i = s->first; i < accel_node_formal(n); i++)
        if (n->inputs[i] == NULL)
            return accel_fail(err, ACCEL_E_INVALID, "input %zu is missing", i);
    rc = scan_list(n, s->batched ? "directions" : "scan_input_directions", s->scans, &s->in_back,
                   err);
    if (rc == ACCEL_OK)
        rc = scan_list(n, "scan_input_axes", s->scans, &s->in_axes, err);
    if (rc == ACCEL_OK)
        rc = scan_list(n, "scan_output_axes", s->outs, &s->out_axes, err);
    if (rc == ACCEL_OK)
        rc = scan_list(n, "scan_output_directions", s->outs, &s->out_back, err);
    *params = s;
    return rc;
}

static void drop_dim(struct accel_shape *s, uint32_t axis)
{
    if (!s->has_rank)
        return;
    s->rank--;
    memmove(&s->dims[axis], &s->dims[axis + 1], (s->rank - axis) * sizeof(s->dims[0]));
}

/* *into becomes what both say; -1 says nothing. */
static int agree(int64_t *into, int64_t dim, const char *what, struct accel_error *err)
{
    if (*into >= 0 && dim >= 0 && *into != dim)
        return accel_fail(err, ACCEL_E_INVALID,
                          "%s %" PRId64 " of one input, %" PRId64 " of another", what, *into, dim);
    *into = ACCEL_MAX(*into, dim);
    return ACCEL_OK;
}

/* Takes the batch and, of what is cut up, the sequence out of the shape of value i. */
static int body_shape(const struct scan *s, size_t i, struct accel_shape *shape, int64_t *batch,
                      int64_t *length, uint32_t *axis, struct accel_error *err)
{
    int rc = ACCEL_OK;

    *axis = 0;
    if (!shape->has_rank)
        return ACCEL_OK;
    if (shape->rank < (uint32_t)s->batched + (i >= s->states))
        return accel_fail(err, ACCEL_E_INVALID, "value %zu of rank %u is nothing to scan", i,
                          shape->rank);
    if (s->batched) {
        rc = agree(batch, shape->dims[0], "batch size", err);
        drop_dim(shape, 0);
    }
    if (i < s->states || rc != ACCEL_OK)
        return rc;
    rc = accel_axis(s->in_axes != NULL ? s->in_axes[i - s->states] : 0, shape->rank, axis, err);
    if (rc == ACCEL_OK)
        rc = agree(length, shape->dims[*axis], "sequence length", err);
    if (rc == ACCEL_OK)
        drop_dim(shape, *axis);
    return rc;
}

/* The other way round for output o, given the shape of one slice or state. */
static int whole_shape(const struct scan *s, size_t o, struct accel_shape *shape, int64_t batch,
                       int64_t length, uint32_t *axis, struct accel_error *err)
{
    *axis = 0;
    if (!shape->has_rank)
        return ACCEL_OK;
    if (shape->rank + s->batched + (o >= s->states) > ACCEL_RANK_MAX)
        return accel_fail(err, ACCEL_E_INVALID, "output %zu has more than %d dimensions", o,
                          ACCEL_RANK_MAX);
    if (o >= s->states) {
        const int rc = accel_axis(s->out_axes != NULL ? s->out_axes[o - s->states] : 0,
                                  shape->rank + 1, axis, err);

        if (rc != ACCEL_OK)
            return rc;
        accel_shape_insert(shape, *axis, length);
    }
    if (s->batched)
        accel_shape_insert(shape, 0, batch);
    return ACCEL_OK;
}

static int scan_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct scan *s = in->node->params;
    const size_t values = s->states + s->scans;
    struct accel_type *inputs = accel_bump_alloc(in->mem, values + 1, sizeof(*inputs));
    struct accel_type *out = accel_bump_alloc(in->mem, s->body->outputs_count + 1, sizeof(*out));
    int64_t batch = ACCEL_DIM_ANY, length = ACCEL_DIM_ANY;
    uint32_t axis;
    int rc = ACCEL_OK;

    if (inputs == NULL || out == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to infer shapes");
    for (size_t i = 0; i < values && rc == ACCEL_OK; i++) {
        inputs[i] = accel_type_without_value(in->in[s->first + i]);
        rc = body_shape(s, i, &inputs[i].shape, &batch, &length, &axis, err);
    }
    if (rc == ACCEL_OK)
        rc = accel_infer_carried(in, s->body, inputs, 0, s->states, 0, out, err);
    for (size_t o = 0; o < in->node->outputs_count && rc == ACCEL_OK; o++) {
        if (in->out[o] == NULL)
            continue;
        *in->out[o] = o < s->states ? inputs[o] : out[o];
        rc = whole_shape(s, o, &in->out[o]->shape, batch, length, &axis, err);
    }
    return rc;
}

/* A tensor seen as [before, length, inner bytes]. */
struct cut {
    size_t before, length, inner;
};

static struct cut cut_of(const struct accel_shape *shape, uint32_t axis, enum accel_dtype dtype)
{
    return (struct cut){.before = accel_dims_product(shape->dims, 0, axis),
                        .length = (size_t)shape->dims[axis],
                        .inner = accel_dims_product(shape->dims, axis + 1, shape->rank) *
                                 accel_element_bytes(dtype)};
}

struct scanning {
    struct accel_run *run;
    const struct scan *scan;
    size_t batch, length;
    struct accel_tensor *inputs, *outputs; /* of the body */
    struct accel_held *now, *next;         /* states */
    struct accel_held *slices;             /* of inputs, where they do not lie in one piece */
    struct cut *in, *out;                  /* by input that is cut up, output put together */
    bool *made;                            /* by output of the node: it has its memory */
};

static void end_scan(struct scanning *x)
{
    for (size_t i = 0; x->now != NULL && i < x->scan->states; i++) {
        accel_run_release(x->run, &x->now[i]);
        accel_run_release(x->run, &x->next[i]);
    }
    for (size_t i = 0; x->slices != NULL && i < x->scan->scans; i++)
        accel_run_release(x->run, &x->slices[i]);
    accel_free(x->inputs);
    accel_free(x->outputs);
    accel_free(x->now);
    accel_free(x->next);
    accel_free(x->slices);
    accel_free(x->in);
    accel_free(x->out);
    accel_free(x->made);
}

/* Shapes of this run; the body's inputs get all but their data. */
static int begin_scan(struct scanning *x, struct accel_error *err)
{
    const struct scan *s = x->scan;
    const size_t values = s->states + s->scans;
    int64_t batch = ACCEL_DIM_ANY, length = ACCEL_DIM_ANY;

    x->inputs = accel_calloc(values, sizeof(*x->inputs));
    x->outputs = accel_calloc(s->body->outputs_count, sizeof(*x->outputs));
    x->next = accel_calloc(s->states, sizeof(*x->next));
    x->now = x->next != NULL ? accel_calloc(s->states, sizeof(*x->now)) : NULL;
    x->slices = accel_calloc(s->scans, sizeof(*x->slices));
    x->in = accel_calloc(s->scans, sizeof(*x->in));
    x->out = accel_calloc(s->body->outputs_count, sizeof(*x->out));
    x->made = accel_calloc(s->body->outputs_count, sizeof(*x->made));
    if (x->inputs == NULL || x->outputs == NULL || x->now == NULL || x->slices == NULL ||
        x->in == NULL || x->out == NULL || x->made == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a scan");
    for (size_t i = 0; i < values; i++) {
        const struct accel_tensor *t = x->run->in[s->first + i];
        struct accel_tensor *to = &x->inputs[i];
        uint32_t axis;

        if (accel_is_list(t) || accel_is_none(t) || accel_element_bytes(t->dtype) == 0)
            return accel_fail(err, ACCEL_E_INVALID, "input %zu is nothing to scan", s->first + i);
        struct accel_shape shape = accel_shape_of(t), whole = shape;
        const int rc = body_shape(s, i, &shape, &batch, &length, &axis, err);
        if (rc != ACCEL_OK)
            return rc;
        if (s->batched)
            drop_dim(&whole, 0);
        if (i >= s->states)
            x->in[i - s->states] = cut_of(&whole, axis, t->dtype);
        accel_tensor_describe(to, t->dtype, &shape);
    }
    x->batch = s->batched ? (size_t)batch : 1;
    x->length = (size_t)length;
    return ACCEL_OK;
}

/* Points the body's inputs at step t of batch b. */
static int take_slices(struct scanning *x, size_t b, size_t t, struct accel_error *err)
{
    const struct scan *s = x->scan;

    for (size_t i = 0; i < s->scans; i++) {
        const struct cut *c = &x->in[i];
        const char *from = x->run->in[s->first + s->states + i]->data;
        const size_t step = s->in_back != NULL && s->in_back[i] == 1 ? x->length - 1 - t : t;
        struct accel_tensor *to = &x->inputs[s->states + i];

        if (c->before * c->inner == 0)
            continue;
        from += b * c->before * c->length * c->inner + step * c->inner;
        to->data = (void *)(uintptr_t)from;
        if (c->before == 1)
            continue;
        const int rc = accel_run_held_reserve(x->run, &x->slices[i], to->size_bytes, err);
        if (rc != ACCEL_OK)
            return rc;
        to->data = x->slices[i].data;
        for (size_t k = 0; k < c->before; k++)
            memcpy((char *)to->data + k * c->inner, from + k * c->length * c->inner, c->inner);
    }
    return ACCEL_OK;
}

/* Gives output o its memory when its first slice or state is there, zeroed where a shorter sequence
 * of the batch leaves some of it out. */
static int make_output(struct scanning *x, size_t o, const struct accel_tensor *slice,
                       struct accel_error *err)
{
    const struct scan *s = x->scan;
    struct accel_tensor *out = x->run->out[o];
    uint32_t axis;

    if (accel_is_list(slice) || accel_is_none(slice) || accel_element_bytes(slice->dtype) == 0)
        return accel_fail(err, ACCEL_E_INVALID, "output %zu of its body is no tensor", o);
    struct accel_shape shape = accel_shape_of(slice);
    int rc = whole_shape(s, o, &shape, (int64_t)x->batch, (int64_t)x->length, &axis, err);
    if (rc != ACCEL_OK)
        return rc;
    out->dtype = slice->dtype;
    rc = accel_run_output(x->run, o, &shape, err);
    if (rc != ACCEL_OK)
        return rc;
    if (out->size_bytes > 0 && s->batched)
        memset(out->data, 0, out->size_bytes);
    if (s->batched)
        drop_dim(&shape, 0);
    if (o >= s->states)
        x->out[o] = cut_of(&shape, axis, slice->dtype);
    else
        x->out[o] = (struct cut){.before = 1, .length = 1, .inner = slice->size_bytes};
    x->made[o] = true;
    return ACCEL_OK;
}

/* Slice or state for output o, at step t of batch b. */
static int put_slice(struct scanning *x, size_t o, size_t b, size_t t,
                     const struct accel_tensor *slice, struct accel_error *err)
{
    const struct scan *s = x->scan;
    const struct cut *c = &x->out[o];
    int rc = ACCEL_OK;

    if (o >= x->run->node->outputs_count || x->run->out[o] == NULL)
        return ACCEL_OK;
    if (!x->made[o])
        rc = make_output(x, o, slice, err);
    if (rc != ACCEL_OK)
        return rc;
    if (slice->size_bytes != c->before * c->inner || slice->dtype != x->run->out[o]->dtype)
        return accel_fail(err, ACCEL_E_INVALID, "output %zu of its body changed its shape", o);
    if (slice->size_bytes == 0)
        return ACCEL_OK;
    if (o >= s->states && s->out_back != NULL && s->out_back[o - s->states] == 1)
        t = x->length - 1 - t;
    char *to = (char *)x->run->out[o]->data + b * c->before * c->length * c->inner + t * c->inner;
    for (size_t k = 0; k < c->before; k++)
        memcpy(to + k * c->length * c->inner, (const char *)slice->data + k * c->inner, c->inner);
    return ACCEL_OK;
}

static int scan_step(struct scanning *x, size_t b, size_t t, struct accel_error *err)
{
    const struct scan *s = x->scan;
    int rc = take_slices(x, b, t, err);

    if (rc == ACCEL_OK)
        rc = accel_run_subgraph(x->run, s->body, x->inputs, x->outputs, err);
    for (size_t i = 0; i < s->states && rc == ACCEL_OK; i++)
        rc = accel_run_hold(x->run, &x->next[i], &x->outputs[i], err);
    for (size_t o = 0; o < s->outs && rc == ACCEL_OK; o++)
        rc = put_slice(x, s->states + o, b, t, &x->outputs[s->states + o], err);
    struct accel_held *const swapped = x->now;
    x->now = x->next;
    x->next = swapped;
    for (size_t i = 0; i < s->states; i++)
        x->inputs[i] = x->now[i].value;
    return rc;
}

static int scan_batch(struct scanning *x, size_t b, struct accel_error *err)
{
    const struct scan *s = x->scan;
    const void *lengths = s->batched && x->run->in[0] != NULL ? x->run->in[0]->data : NULL;
    int64_t length = (int64_t)x->length;
    int rc = ACCEL_OK;

    if (lengths != NULL)
        memcpy(&length, (const char *)lengths + b * sizeof(length), sizeof(length));
    if (length < 0 || (size_t)length > x->length)
        return accel_fail(err, ACCEL_E_INVALID,
                          "sequence_lens[%zu] is %" PRId64 ", the sequences have %zu", b, length,
                          x->length);
    for (size_t i = 0; i < s->states; i++) {
        const struct accel_tensor *t = x->run->in[s->first + i];
        struct accel_shape shape = accel_shape_of(t);
        struct accel_tensor *to = &x->inputs[i];

        /* The batch before may have left another shape behind. */
        if (s->batched)
            drop_dim(&shape, 0);
        *to = (struct accel_tensor){0};
        accel_tensor_describe(to, t->dtype, &shape);
        to->data = to->size_bytes > 0 ? (char *)t->data + b * to->size_bytes : NULL;
    }
    for (size_t t = 0; t < (size_t)length && rc == ACCEL_OK; t++)
        rc = scan_step(x, b, t, err);
    for (size_t i = 0; i < s->states && rc == ACCEL_OK; i++)
        rc = put_slice(x, i, b, 0, &x->inputs[i], err);
    return rc;
}

static int scan_run(struct accel_run *run, struct accel_error *err)
{
    const struct scan *s = run->node->params;
    ACCEL_CLEANUP(end_scan) struct scanning x = {.run = run, .scan = s};
    int rc = begin_scan(&x, err);

    if (rc == ACCEL_OK && s->batched && run->in[0] != NULL &&
        (run->in[0]->dtype != ACCEL_DTYPE_INT64 || run->in[0]->size_bytes != 8 * x.batch))
        rc = accel_fail(err, ACCEL_E_INVALID, "sequence_lens is not %zu numbers", x.batch);
    for (size_t b = 0; b < x.batch && rc == ACCEL_OK; b++)
        rc = scan_batch(&x, b, err);
    for (size_t o = 0; o < run->node->outputs_count && rc == ACCEL_OK; o++) {
        struct accel_shape shape;

        if (run->out[o] == NULL || x.made[o])
            continue;
        /* Nothing was scanned: as inferred, what is open as nothing. */
        shape = accel_run_output_type(run, o)->shape;
        if (!shape.has_rank || accel_run_output_type(run, o)->dtype == ACCEL_DTYPE_UNDEFINED)
            return accel_fail(err, ACCEL_E_INVALID,
                              "output %zu: nothing to scan, and its body does not say its shape",
                              o);
        for (uint32_t d = 0; d < shape.rank; d++)
            if (shape.dims[d] < 0)
                shape.dims[d] = 0;
        run->out[o]->dtype = accel_run_output_type(run, o)->dtype;
        rc = accel_run_output(run, o, &shape, err);
        if (rc == ACCEL_OK && run->out[o]->size_bytes > 0)
            memset(run->out[o]->data, 0, run->out[o]->size_bytes);
    }
    return rc;
}

/* ---------------------------------------------------------------- the entries */

#define ANY  ACCEL_T_EVERY
#define REST ACCEL_ARG_REST

static const struct accel_attr_rule scan8_attrs[] = {
    {"body", ACCEL_ATTR_GRAPH, ACCEL_ATTR_REQUIRED},
    {"num_scan_inputs", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED},
    {"directions", ACCEL_ATTR_INTS, 0},
    {0},
};
static const struct accel_attr_rule scan_attrs[] = {
    {"body", ACCEL_ATTR_GRAPH, ACCEL_ATTR_REQUIRED},
    {"num_scan_inputs", ACCEL_ATTR_INT, ACCEL_ATTR_REQUIRED},
    {"scan_input_axes", ACCEL_ATTR_INTS, 0},
    {"scan_input_directions", ACCEL_ATTR_INTS, 0},
    {"scan_output_axes", ACCEL_ATTR_INTS, 0},
    {"scan_output_directions", ACCEL_ATTR_INTS, 0},
    {0},
};

const struct accel_op accel_ops_control_scan[] = {
    {.domain = "",
     .name = "Scan",
     .since = 8,
     ACCEL_OP_RUNS_GRAPHS,
     .in = {{"sequence_lens", ACCEL_T(INT64), 0, ACCEL_ARG_OPTIONAL},
            {"initial_state_and_scan_inputs", ANY, 0, REST}},
     .out = {{"final_state_and_scan_outputs", ANY, 0, REST}},
     .attrs = scan8_attrs,
     .parse = scan_parse,
     .infer = scan_infer,
     .run = scan_run},
    {.domain = "",
     .name = "Scan",
     .since = 9,
     ACCEL_OP_RUNS_GRAPHS,
     .in = {{"initial_state_and_scan_inputs", ANY, 0, REST}},
     .out = {{"final_state_and_scan_outputs", ANY, 0, REST}},
     .attrs = scan_attrs,
     .parse = scan_parse,
     .infer = scan_infer,
     .run = scan_run},
    {0},
};
