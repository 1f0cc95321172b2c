/* SPDX-License-Identifier: Apache-2.0 */
/* common-subexpressions: of nodes that compute the same from the same, the first is kept. Exporters
 * write the chains that compute shapes, and masks, once per use. */
#include "infer/graph/passes.h"

#include <string.h>

/* Constants up to this size are compared by their bytes; a larger one equals only itself. */
#define COMPARED_BYTES ((size_t)4096)

/* FNV-1a over the words given: http://www.isthe.com/chongo/tech/comp/fnv. */
static uint64_t mix(uint64_t hash, const void *bytes, size_t size)
{
    const unsigned char *b = bytes;

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ b[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static bool comparable(const struct accel_tensor *t)
{
    return t != NULL && t->data != NULL && t->dtype != ACCEL_DTYPE_STRING &&
           t->size_bytes <= COMPARED_BYTES;
}

static bool same_tensor(const struct accel_tensor *a, const struct accel_tensor *b)
{
    return comparable(a) && comparable(b) && a->dtype == b->dtype && a->rank == b->rank &&
           memcmp(a->dims, b->dims, a->rank * sizeof(*a->dims)) == 0 &&
           memcmp(a->data, b->data, a->size_bytes) == 0;
}

static bool same_value(const struct accel_value *a, const struct accel_value *b)
{
    return a == b || (a != NULL && b != NULL && same_tensor(a->data, b->data));
}

static bool same_attr(const struct accel_attr *a, const struct accel_attr *b)
{
    if (strcmp(a->name, b->name) != 0 || a->type != b->type || a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        bool same = false;

        switch (a->type) {
        case ACCEL_ATTR_FLOAT:
        case ACCEL_ATTR_FLOATS: /* by their bits: 0 is not -0, and NaN is NaN */
            same = memcmp(&a->floats[i], &b->floats[i], sizeof(float)) == 0;
            break;
        case ACCEL_ATTR_INT:
        case ACCEL_ATTR_INTS:
            same = a->ints[i] == b->ints[i];
            break;
        case ACCEL_ATTR_STRING:
        case ACCEL_ATTR_STRINGS:
            same = a->strings[i].size == b->strings[i].size &&
                   memcmp(a->strings[i].data, b->strings[i].data, a->strings[i].size) == 0;
            break;
        case ACCEL_ATTR_TENSOR:
        case ACCEL_ATTR_TENSORS:
            same = same_tensor(&a->tensors[i], &b->tensors[i]);
            break;
        default:
            break;
        }
        if (!same)
            return false;
    }
    return true;
}

static uint64_t hash_of(const struct accel_node *n)
{
    uint64_t hash = mix(UINT64_C(0xcbf29ce484222325), n->op_type, strlen(n->op_type));

    for (size_t i = 0; i < n->inputs_count; i++) {
        const struct accel_value *v = n->inputs[i];
        const uint32_t id = v != NULL ? v->id : UINT32_MAX;

        if (v != NULL && comparable(v->data))
            hash = mix(hash, v->data->data, v->data->size_bytes);
        else
            hash = mix(hash, &id, sizeof(id));
    }
    return mix(hash, &n->attrs_count, sizeof(n->attrs_count));
}

/* Always the same result for the same inputs, and all of it in its outputs. */
static bool pure(const struct accel_node *n)
{
    return n->op != NULL && n->unsupported == NULL && n->captures_count == 0 &&
           (n->op->flags & (ACCEL_OP_RANDOM | ACCEL_OP_CONTROL)) == 0;
}

/* Can `again` be left out for `first`? */
static bool repeats(const struct accel_node *first, const struct accel_node *again)
{
    if (first->op != again->op || first->inputs_count != again->inputs_count ||
        first->attrs_count != again->attrs_count || again->outputs_count > first->outputs_count ||
        strcmp(first->fused, again->fused) != 0 ||
        memcmp(&first->epilogue, &again->epilogue, sizeof(first->epilogue)) != 0)
        return false;
    for (size_t i = 0; i < first->inputs_count; i++)
        if (!same_value(first->inputs[i], again->inputs[i]))
            return false;
    for (size_t i = 0; i < first->attrs_count; i++) {
        const struct accel_attr *other = accel_attr(again, first->attrs[i].name);

        if (other == NULL || !same_attr(&first->attrs[i], other))
            return false;
    }
    for (size_t o = 0; o < again->outputs_count; o++)
        if (again->outputs[o] != NULL && first->outputs[o] == NULL)
            return false;
    return true;
}

int accel_pass_common_subexpressions(struct accel_ir *ir, size_t *changes, struct accel_error *err)
{
    struct accel_graph *g = ir->main;
    size_t slots = 16;

    while (slots < g->nodes_count * 2)
        slots *= 2;
    ACCEL_CLEANUP(accel_freep)
    struct accel_node **table = accel_calloc(slots, sizeof(struct accel_node *));
    if (table == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to compare %zu nodes", g->nodes_count);
    for (size_t i = 0; i < g->nodes_count; i++) {
        struct accel_node *n = g->nodes[i];

        accel_node_resolve(n);
        if (!pure(n))
            continue;
        size_t at = hash_of(n) & (slots - 1);
        /* A few hundred nodes of one hash would be a hostile model's: each gives up in time. */
        for (unsigned tries = 0; table[at] != NULL && tries < 64 && !n->dead; tries++) {
            if (repeats(table[at], n)) {
                for (size_t o = 0; o < n->outputs_count; o++)
                    if (n->outputs[o] != NULL)
                        accel_value_replace(n->outputs[o], table[at]->outputs[o]);
                n->dead = true;
                (*changes)++;
            } else {
                at = (at + 1) & (slots - 1);
            }
        }
        if (!n->dead && table[at] == NULL)
            table[at] = n;
    }
    return ACCEL_OK;
}
