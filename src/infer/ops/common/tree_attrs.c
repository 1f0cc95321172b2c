/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes of ensembles of trees, and whether they make a forest. */
#include "infer/ops/ml_tree.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---------------------------------------------------------------- reading attributes */

double accel_tree_number_at(const struct tree_numbers *n, size_t i)
{
    double d;
    float f;

    if (n->dtype == ACCEL_DTYPE_DOUBLE) {
        memcpy(&d, (const char *)n->data + i * sizeof(d), sizeof(d));
        return d;
    }
    memcpy(&f, (const char *)n->data + i * sizeof(f), sizeof(f));
    return (double)f;
}

int accel_tree_numbers_of_tensor(const struct accel_node *node, const char *name,
                                 struct tree_numbers *out, struct accel_error *err)
{
    const struct accel_tensor *t = accel_attr_tensor(node, name);

    *out = (struct tree_numbers){.name = name, .dtype = ACCEL_DTYPE_FLOAT};
    if (t == NULL)
        return ACCEL_OK;
    if (t->dtype != ACCEL_DTYPE_FLOAT && t->dtype != ACCEL_DTYPE_DOUBLE)
        return accel_fail(err,
                          t->dtype == ACCEL_DTYPE_FLOAT16 ? ACCEL_E_UNSUPPORTED : ACCEL_E_INVALID,
                          "%s of type %s", name, accel_dtype_name(t->dtype));
    out->dtype = t->dtype;
    out->data = t->data;
    out->count = t->size_bytes / accel_dtype_size(t->dtype);
    return ACCEL_OK;
}

int accel_tree_numbers_of(const struct accel_node *node, const char *name, const char *as_tensor,
                          struct tree_numbers *out, struct accel_error *err)
{
    size_t count;
    const float *list = accel_attr_floats(node, name, &count);
    const int rc = accel_tree_numbers_of_tensor(node, as_tensor, out, err);

    if (rc != ACCEL_OK || count == 0)
        return rc;
    if (out->count > 0)
        return accel_fail(err, ACCEL_E_INVALID, "%s and %s are both given", name, as_tensor);
    *out = (struct tree_numbers){
        .name = name, .dtype = ACCEL_DTYPE_FLOAT, .data = list, .count = count};
    return ACCEL_OK;
}

struct tree_ints accel_tree_ints_of(const struct accel_node *node, const char *name)
{
    struct tree_ints i = {.name = name};

    i.at = accel_attr_ints(node, name, &i.count);
    return i;
}

int accel_tree_check_count(const char *name, size_t count, const char *of, size_t want,
                           struct accel_error *err)
{
    if (count == want)
        return ACCEL_OK;
    return accel_fail(err, ACCEL_E_INVALID, "%s has %zu entries, %s has %zu", name, count, of,
                      want);
}

int accel_tree_check_entry(const struct tree_ints *list, size_t i, int64_t below,
                           struct accel_error *err)
{
    if (list->at[i] >= 0 && list->at[i] < below)
        return ACCEL_OK;
    return accel_fail(err, ACCEL_E_INVALID, "%s: entry %zu is %" PRId64 ", outside 0 to %" PRId64,
                      list->name, i, list->at[i], below - 1);
}

int accel_tree_no_memory(struct accel_error *err)
{
    return accel_fail(err, ACCEL_E_NOMEM, "no memory for trees");
}

int accel_tree_targets_of(const struct accel_node *n, struct tree_params *p,
                          struct accel_error *err)
{
    const int64_t targets = accel_attr_int(n, "n_targets", 1);

    if (targets < 1 || targets > INT32_MAX)
        return accel_fail(err, ACCEL_E_INVALID, "n_targets is %" PRId64, targets);
    p->targets = (size_t)targets;
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- what makes it a forest */

int accel_tree_check_forest(struct tree_params *p, size_t nodes, const char *name,
                            struct accel_error *err)
{
    ACCEL_CLEANUP(accel_freep) uint32_t *stack = accel_calloc(nodes, sizeof(*stack));
    ACCEL_CLEANUP(accel_freep) uint8_t *seen = accel_calloc(nodes, 1);
    const struct accel_tree_node *node = p->trees.nodes;
    size_t depth = 0, inner = 0;

    if (stack == NULL || seen == NULL)
        return accel_tree_no_memory(err);
    for (size_t r = 0; r < p->trees.roots_count; r++) {
        stack[depth++] = p->trees.roots[r];
        while (depth > 0) {
            const uint32_t at = stack[--depth];

            if (node[at].mode == ACCEL_TREE_LEAF)
                continue;
            if (seen[at])
                return accel_fail(err, ACCEL_E_INVALID,
                                  "%s: node %u is reached twice: that is no tree", name, at);
            seen[at] = 1;
            inner++;
            /* Leaves need no visit: so the stack never holds more than the inner nodes. */
            if (node[node[at].no].mode != ACCEL_TREE_LEAF)
                stack[depth++] = node[at].no;
            if (depth == nodes)
                return accel_fail(err, ACCEL_E_INVALID, "%s: more ways than nodes: no tree", name);
            if (node[node[at].yes].mode != ACCEL_TREE_LEAF)
                stack[depth++] = node[at].yes;
            if (depth == nodes)
                return accel_fail(err, ACCEL_E_INVALID, "%s: more ways than nodes: no tree", name);
        }
    }
    p->depth = log2((double)inner / (double)p->trees.roots_count + 1);
    return ACCEL_OK;
}
