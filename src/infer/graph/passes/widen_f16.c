/* SPDX-License-Identifier: Apache-2.0 */
/* widen-f16: an operator that has no code for half precision computes in float, between a Cast of
 * each such input and one of each result, which is so rounded once per operator.
 *
 * ONNX Runtime does the same for FLOAT16, and drops the pair of casts between two operators that
 * both compute in float: the value between them is never rounded. So does this pass. It has no such
 * rule for BFLOAT16, where the standard's reference rounds after every operator: the pair stays.
 *
 * An operator that only moves elements knows halves. It computes in float too when that saves a
 * cast, in FLOAT16. A graph without halves is not touched; what the pass cannot place (a type not
 * known before others are) is left for its next round. Subgraphs have a run of their own: halves go
 * in and out of them. */
#include "infer/graph/passes.h"

#include <string.h>

#define ROUNDS_MAX 64

struct widening {
    struct accel_ir *ir;
    size_t count;              /* of the arrays, by value id */
    struct accel_value **wide; /* the value in float, if there is such a one */
    enum accel_dtype *dtype;   /* as far as is known by now */
    size_t changes;
};

static bool is_half(enum accel_dtype t)
{
    return t == ACCEL_DTYPE_FLOAT16 || t == ACCEL_DTYPE_BFLOAT16;
}

static bool has(uint32_t types, enum accel_dtype dtype)
{
    return (types >> dtype & 1) != 0;
}

static enum accel_dtype dtype_of(const struct widening *w, const struct accel_value *v)
{
    if (v == NULL)
        return ACCEL_DTYPE_UNDEFINED;
    return v->id < w->count ? w->dtype[v->id] : v->type.dtype;
}

/* ---------------------------------------------------------------- what to do with a node */

/* The float twin of v that may be read instead. */
static struct accel_value *twin(const struct widening *w, const struct accel_value *v)
{
    return v->id < w->count ? w->wide[v->id] : NULL;
}

/* A mover of FLOAT16 whose data are at hand in float: one that hands on the type of input 0. */
static bool follows(const struct widening *w, const struct accel_node *n)
{
    const struct accel_arg *first = &n->op->in[0];
    bool any = false;

    if (n->op->kind != ACCEL_KIND_MOVE || first->var == 0 || n->op->out[0].var != first->var)
        return false;
    /* Of a sequence or an optional that it makes there is no cast back; a view is what it views. */
    if ((n->op->out[0].flags & ACCEL_ARG_ANY_KIND) != 0 && (n->op->flags & ACCEL_OP_VIEW) == 0)
        return false;
    for (size_t i = 0; i < accel_node_formal(n); i++) {
        const struct accel_value *v = n->inputs[i];
        const struct accel_arg *arg = accel_op_input(n->op, i);

        if (v == NULL || arg == NULL || !is_half(dtype_of(w, v)))
            continue;
        if (dtype_of(w, v) != ACCEL_DTYPE_FLOAT16 || arg->var != first->var)
            return false;
        if (twin(w, v) != NULL)
            any = true;
        else if (v->data == NULL)
            return false;
    }
    return any;
}

/* Which of the arguments' letters become float: bit per letter 'A'..'_'; and bit 31 for inputs
 * without one. 0: leave the node alone. *half: what it is now. */
#define NO_LETTER 31u

static unsigned letter(const struct accel_arg *arg)
{
    return arg->var >= 'A' && arg->var < 'A' + (int)NO_LETTER ? (unsigned)(arg->var - 'A')
                                                              : NO_LETTER;
}

static uint32_t to_widen(const struct widening *w, const struct accel_node *n)
{
    const bool follow = follows(w, n);
    uint32_t letters = 0;

    for (size_t i = 0; i < accel_node_formal(n); i++) {
        const struct accel_arg *arg = accel_op_input(n->op, i);
        const enum accel_dtype dtype = dtype_of(w, n->inputs[i]);

        if (arg != NULL && is_half(dtype) && has(arg->types, ACCEL_DTYPE_FLOAT) &&
            (!has(arg->types, dtype) || follow))
            letters |= 1u << letter(arg);
    }
    return letters;
}

/* ---------------------------------------------------------------- doing it */

static struct accel_node *cast_node(struct widening *w, struct accel_graph *g, enum accel_dtype to,
                                    struct accel_value *from, const char *name,
                                    struct accel_error *err)
{
    struct accel_bump *mem = &g->ir->mem;
    struct accel_node *n = accel_node_new(g, "Cast", "", 1, 1, err);
    struct accel_attr *attr = accel_bump_alloc(mem, 1, sizeof(*attr));
    int64_t *value = accel_bump_alloc(mem, 1, sizeof(*value));

    if (n == NULL || attr == NULL || value == NULL) {
        accel_fail(err, ACCEL_E_NOMEM, "no memory for a cast");
        return NULL;
    }
    *value = to;
    *attr = (struct accel_attr){.name = "to", .type = ACCEL_ATTR_INT, .count = 1, .ints = value};
    n->attrs = attr;
    n->attrs_count = 1;
    n->name = accel_bump_printf(mem, "%s%s", name, to == ACCEL_DTYPE_FLOAT ? "_wide" : "_narrow");
    if (n->name == NULL) {
        accel_fail(err, ACCEL_E_NOMEM, "no memory for a cast");
        return NULL;
    }
    n->inputs[0] = from;
    w->changes++;
    return accel_node_bind(n, err) == ACCEL_OK ? n : NULL;
}

/* Nodes that a sweep adds to one graph; they join it at its end, linking sorts them. */
struct additions {
    struct accel_node **nodes;
    size_t count, capacity;
};

static void additions_free(struct additions *a)
{
    accel_free(a->nodes);
}

static int add_node(struct additions *a, struct accel_node *n, struct accel_error *err)
{
    if (n == NULL)
        return err != NULL ? (int)err->code : ACCEL_E_NOMEM;
    const int rc = accel_grow(&a->nodes, &a->capacity, a->count + 1, sizeof(*a->nodes), err);
    if (rc == ACCEL_OK)
        a->nodes[a->count++] = n;
    return rc;
}

/* A constant in float beside the one in half, which others may still read. */
static struct accel_value *wide_constant(struct widening *w, struct accel_value *v,
                                         struct accel_error *err)
{
    const struct accel_tensor *half = accel_value_constant(w->ir, v, err);
    void *data;

    if (half == NULL)
        return NULL;
    const struct accel_shape shape = accel_shape_of(half);
    struct accel_value *wide =
        accel_constant_new(v->graph, v->name, ACCEL_DTYPE_FLOAT, &shape, &data, err);
    if (wide != NULL && half->size_bytes > 0)
        accel_convert(w->ir->kernels, NULL, half->size_bytes / 2, half->dtype, half->data,
                      ACCEL_DTYPE_FLOAT, data);
    w->changes++;
    return wide;
}

static int widen_input(struct widening *w, struct accel_node *n, size_t i, struct additions *added,
                       struct accel_error *err)
{
    struct accel_value *v = n->inputs[i], *wide = twin(w, v);
    int rc = ACCEL_OK;

    if (wide == NULL && v->data != NULL) {
        wide = wide_constant(w, v, err);
    } else if (wide == NULL) {
        struct accel_node *cast = cast_node(w, n->graph, ACCEL_DTYPE_FLOAT, v, v->name, err);

        rc = add_node(added, cast, err);
        wide = rc == ACCEL_OK ? accel_value_new(n->graph, cast->name, err) : NULL;
        if (wide != NULL) {
            wide->producer = cast;
            cast->outputs[0] = wide;
        }
    }
    if (wide == NULL)
        return rc != ACCEL_OK ? rc : err != NULL ? (int)err->code : ACCEL_E_NOMEM;
    if (v->id < w->count)
        w->wide[v->id] = wide;
    n->inputs[i] = wide;
    return ACCEL_OK;
}

/* The node makes a new value; what it made so far comes out of a cast of that. */
static int narrow_output(struct widening *w, struct accel_node *n, size_t o, enum accel_dtype half,
                         struct additions *added, struct accel_error *err)
{
    struct accel_value *v = n->outputs[o], *wide = accel_value_new(n->graph, v->name, err);

    if (wide == NULL)
        return ACCEL_E_NOMEM;
    wide->producer = n;
    wide->output = (uint32_t)o;
    n->outputs[o] = wide;
    struct accel_node *cast = cast_node(w, n->graph, half, wide, v->name, err);
    if (cast == NULL)
        return err != NULL ? (int)err->code : ACCEL_E_NOMEM;
    cast->outputs[0] = v;
    v->producer = cast;
    v->output = 0;
    if (v->id < w->count) {
        w->dtype[v->id] = half;
        w->wide[v->id] = half == ACCEL_DTYPE_FLOAT16 ? wide : NULL;
    }
    return add_node(added, cast, err);
}

static int widen_node(struct widening *w, struct accel_node *n, uint32_t letters,
                      struct additions *added, struct accel_error *err)
{
    enum accel_dtype half = ACCEL_DTYPE_UNDEFINED;
    int rc = ACCEL_OK;

    for (size_t i = 0; i < accel_node_formal(n) && rc == ACCEL_OK; i++) {
        const struct accel_arg *arg = accel_op_input(n->op, i);
        const enum accel_dtype dtype = dtype_of(w, n->inputs[i]);

        if (arg == NULL || !is_half(dtype) || (letters >> letter(arg) & 1) == 0)
            continue;
        if (half == ACCEL_DTYPE_UNDEFINED || letter(arg) != NO_LETTER)
            half = dtype;
        rc = widen_input(w, n, i, added, err);
    }
    for (size_t o = 0; o < n->outputs_count && rc == ACCEL_OK; o++) {
        const struct accel_arg *arg = accel_op_arg(n->op->out, ACCEL_OP_OUTPUTS, o);

        if (n->outputs[o] != NULL && arg != NULL && letter(arg) != NO_LETTER &&
            (letters >> letter(arg) & 1) != 0)
            rc = narrow_output(w, n, o, half, added, err);
    }
    /* It was refused for the type that is gone. */
    return rc == ACCEL_OK ? accel_node_bind(n, err) : rc;
}

/* Types of the outputs of a node that inference could not ask yet, for those behind it. */
static void guess(struct widening *w, const struct accel_node *n)
{
    for (size_t o = 0; o < n->outputs_count; o++) {
        const struct accel_value *v = n->outputs[o];
        const struct accel_arg *arg = accel_op_arg(n->op->out, ACCEL_OP_OUTPUTS, o);

        if (v == NULL || arg == NULL || v->id >= w->count || arg->var == 0 ||
            w->dtype[v->id] != ACCEL_DTYPE_UNDEFINED)
            continue;
        for (size_t i = 0; i < accel_node_formal(n); i++) {
            const struct accel_arg *from = accel_op_input(n->op, i);

            if (n->inputs[i] != NULL && from != NULL && from->var == arg->var &&
                (from->flags & ACCEL_ARG_MIXED) == 0)
                w->dtype[v->id] = dtype_of(w, n->inputs[i]);
        }
    }
}

static int sweep(struct widening *w, struct accel_graph *g, struct accel_error *err)
{
    ACCEL_CLEANUP(additions_free) struct additions added = {0};
    int rc = ACCEL_OK;

    for (size_t i = 0; i < g->nodes_count && rc == ACCEL_OK; i++) {
        struct accel_node *n = g->nodes[i];

        if (n->op != NULL) {
            const uint32_t letters = to_widen(w, n);

            guess(w, n);
            if (letters != 0)
                rc = widen_node(w, n, letters, &added, err);
        }
    }
    if (rc != ACCEL_OK || added.count == 0)
        return rc;
    struct accel_node **nodes =
        accel_bump_alloc(&w->ir->mem, g->nodes_count + added.count, sizeof(*nodes));
    if (nodes == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a graph");
    memcpy(nodes, g->nodes, g->nodes_count * sizeof(*nodes));
    memcpy(nodes + g->nodes_count, added.nodes, added.count * sizeof(*nodes));
    g->nodes = nodes;
    g->nodes_count += added.count;
    return ACCEL_OK;
}

static bool wanted(const struct accel_ir *ir)
{
    for (size_t id = 0; id < ir->values_count; id++)
        if (is_half(ir->values[id]->type.dtype) ||
            (ir->values[id]->data != NULL && is_half(ir->values[id]->data->dtype)))
            return true;
    return false;
}

static int one_round(struct accel_ir *ir, size_t *changes, struct accel_error *err)
{
    const size_t count = ir->values_count;
    ACCEL_CLEANUP(accel_freep)
    struct accel_value **wide = accel_calloc(count + 1, sizeof(struct accel_value *));
    ACCEL_CLEANUP(accel_freep) enum accel_dtype *dtype = accel_calloc(count + 1, sizeof(*dtype));
    struct widening w = {.ir = ir, .count = count, .wide = wide, .dtype = dtype};

    if (wide == NULL || dtype == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for the values' types");
    for (size_t id = 0; id < count; id++) {
        const struct accel_value *v = ir->values[id];

        dtype[id] = v->data != NULL ? v->data->dtype : v->type.dtype;
    }
    const int rc = sweep(&w, ir->main, err);
    *changes = w.changes;
    return rc;
}

int accel_pass_widen_f16(struct accel_ir *ir, size_t *changes, struct accel_error *err)
{
    if (!wanted(ir))
        return ACCEL_OK;
    for (unsigned round = 0; round < ROUNDS_MAX; round++) {
        size_t done = 0;
        int rc = one_round(ir, &done, err);

        if (rc != ACCEL_OK || done == 0)
            return rc;
        *changes += done;
        rc = accel_ir_link(ir, err);
        if (rc == ACCEL_OK)
            rc = accel_ir_infer(ir, err);
        if (rc != ACCEL_OK)
            return rc;
    }
    return ACCEL_OK;
}
