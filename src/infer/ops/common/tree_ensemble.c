/* SPDX-License-Identifier: Apache-2.0 */
/* TreeEnsemble, of version 5: inner nodes and leaves apart, children by their place. */
#include "infer/ops/ml_tree.h"

#include <inttypes.h>
#include <math.h>

/* membership_values: the members of each BRANCH_MEMBER node in turn, each list ended by a NaN. */
static int parse_members(const struct accel_node *n, struct accel_tree_node *nodes, size_t inner,
                         struct accel_bump *mem, struct tree_params *p, struct accel_error *err)
{
    struct tree_numbers list;
    size_t at = 0;
    const int rc = accel_tree_numbers_of_tensor(n, "membership_values", &list, err);

    if (rc != ACCEL_OK)
        return rc;
    double *members = accel_bump_alloc(mem, list.count + 1, sizeof(*members));
    if (members == NULL)
        return accel_tree_no_memory(err);
    for (size_t i = 0; i < list.count; i++)
        members[i] = accel_tree_number_at(&list, i);
    members[list.count] = (double)NAN;
    p->trees.members = members;
    for (size_t i = 0; i < inner; i++) {
        if (nodes[i].mode != ACCEL_TREE_MEMBER)
            continue;
        if (at >= list.count)
            return accel_fail(err, ACCEL_E_INVALID,
                              "membership_values has fewer lists than nodes_modes asks for");
        nodes[i].value = (double)at;
        while (!isnan(members[at]))
            at++;
        at++;
    }
    return ACCEL_OK;
}

/* Entry i of a list of children: an inner node or a leaf. */
static int parse_child(const struct tree_ints *list, const struct tree_ints *is_leaf, size_t i,
                       size_t inner, size_t leaves, uint32_t *out, struct accel_error *err)
{
    const bool leaf = is_leaf->at[i] != 0;
    const int rc = accel_tree_check_entry(list, i, (int64_t)(leaf ? leaves : inner), err);

    if (rc == ACCEL_OK)
        *out = (uint32_t)((size_t)list->at[i] + (leaf ? inner : 0));
    return rc;
}

static int parse_inner(const struct accel_node *n, struct accel_tree_node *nodes, size_t inner,
                       size_t leaves, struct tree_params *p, struct accel_error *err)
{
    static const uint8_t modes[] = {ACCEL_TREE_LEQ, ACCEL_TREE_LT,  ACCEL_TREE_GTE,   ACCEL_TREE_GT,
                                    ACCEL_TREE_EQ,  ACCEL_TREE_NEQ, ACCEL_TREE_MEMBER};
    const struct tree_ints features = accel_tree_ints_of(n, "nodes_featureids"),
                           yes = accel_tree_ints_of(n, "nodes_truenodeids"),
                           no = accel_tree_ints_of(n, "nodes_falsenodeids"),
                           yes_leaf = accel_tree_ints_of(n, "nodes_trueleafs"),
                           no_leaf = accel_tree_ints_of(n, "nodes_falseleafs"),
                           missing = accel_tree_ints_of(n, "nodes_missing_value_tracks_true");
    const struct tree_ints *const lists[] = {&yes, &no, &yes_leaf, &no_leaf};
    const struct accel_tensor *mode = accel_attr_tensor(n, "nodes_modes");
    struct tree_numbers splits;
    int rc = accel_tree_numbers_of_tensor(n, "nodes_splits", &splits, err);

    if (rc == ACCEL_OK)
        rc = accel_tree_check_count(splits.name, splits.count, features.name, inner, err);
    if (rc == ACCEL_OK && mode->dtype != ACCEL_DTYPE_UINT8)
        rc = accel_fail(err, ACCEL_E_INVALID, "nodes_modes of type %s",
                        accel_dtype_name(mode->dtype));
    if (rc == ACCEL_OK)
        rc = accel_tree_check_count("nodes_modes", mode->size_bytes, features.name, inner, err);
    for (size_t l = 0; l < ACCEL_COUNT(lists) && rc == ACCEL_OK; l++)
        rc = accel_tree_check_count(lists[l]->name, lists[l]->count, features.name, inner, err);
    if (rc == ACCEL_OK && missing.count > 0)
        rc = accel_tree_check_count(missing.name, missing.count, features.name, inner, err);
    for (size_t i = 0; i < inner && rc == ACCEL_OK; i++) {
        const uint8_t m = ((const uint8_t *)mode->data)[i];

        if (m >= ACCEL_COUNT(modes))
            return accel_fail(err, ACCEL_E_INVALID, "nodes_modes: entry %zu is %u", i, m);
        nodes[i].mode = modes[m];
        nodes[i].value = accel_tree_number_at(&splits, i);
        nodes[i].missing = missing.count > 0 && missing.at[i] == 1;
        rc = accel_tree_check_entry(&features, i, INT32_MAX, err);
        if (rc != ACCEL_OK)
            return rc;
        nodes[i].feature = (uint32_t)features.at[i];
        p->features = ACCEL_MAX(p->features, nodes[i].feature + 1);
        rc = parse_child(&yes, &yes_leaf, i, inner, leaves, &nodes[i].yes, err);
        if (rc == ACCEL_OK)
            rc = parse_child(&no, &no_leaf, i, inner, leaves, &nodes[i].no, err);
    }
    return rc;
}

static int parse_leaves(const struct accel_node *n, struct accel_tree_node *leaf, size_t leaves,
                        struct accel_bump *mem, struct tree_params *p, struct accel_error *err)
{
    const struct tree_ints targets = accel_tree_ints_of(n, "leaf_targetids");
    struct tree_numbers weights;
    int rc = accel_tree_numbers_of_tensor(n, "leaf_weights", &weights, err);

    if (rc == ACCEL_OK)
        rc = accel_tree_check_count(weights.name, weights.count, targets.name, leaves, err);
    struct accel_tree_weight *w = accel_bump_alloc(mem, leaves + 1, sizeof(*w));
    if (w == NULL)
        return accel_tree_no_memory(err);
    for (size_t i = 0; i < leaves && rc == ACCEL_OK; i++) {
        rc = accel_tree_check_entry(&targets, i, (int64_t)p->targets, err);
        if (rc != ACCEL_OK)
            return rc;
        w[i] = (struct accel_tree_weight){.target = (uint32_t)targets.at[i],
                                          .value = accel_tree_number_at(&weights, i)};
        leaf[i] = (struct accel_tree_node){.mode = ACCEL_TREE_LEAF, .yes = (uint32_t)i, .no = 1};
    }
    p->trees.weights = w;
    return rc;
}

int accel_tree_ensemble_parse(const struct accel_node *n, struct accel_bump *mem,
                              const void **params, struct accel_error *err)
{
    static const enum accel_tree_aggregate aggregates[] = {ACCEL_TREE_AVERAGE, ACCEL_TREE_SUM,
                                                           ACCEL_TREE_MIN, ACCEL_TREE_MAX};
    static const enum accel_ml_post posts[] = {ACCEL_ML_NONE, ACCEL_ML_SOFTMAX, ACCEL_ML_LOGISTIC,
                                               ACCEL_ML_SOFTMAX_ZERO, ACCEL_ML_PROBIT};
    const struct tree_ints roots = accel_tree_ints_of(n, "tree_roots");
    const size_t inner = accel_tree_ints_of(n, "nodes_featureids").count,
                 leaves = accel_tree_ints_of(n, "leaf_targetids").count;
    const int64_t aggregate = accel_attr_int(n, "aggregate_function", 1);
    const int64_t post = accel_attr_int(n, "post_transform", 0);
    struct tree_params *p = accel_bump_alloc(mem, 1, sizeof(*p));

    if (p == NULL)
        return accel_tree_no_memory(err);
    *params = p;
    if (aggregate < 0 || aggregate >= (int64_t)ACCEL_COUNT(aggregates))
        return accel_fail(err, ACCEL_E_INVALID, "aggregate_function is %" PRId64, aggregate);
    if (post < 0 || post >= (int64_t)ACCEL_COUNT(posts))
        return accel_fail(err, ACCEL_E_INVALID, "post_transform is %" PRId64, post);
    if (roots.count == 0 || inner + leaves >= UINT32_MAX)
        return accel_fail(err, ACCEL_E_INVALID, "tree_roots has %zu entries", roots.count);
    p->trees.aggregate = aggregates[aggregate];
    p->post = posts[post];
    struct accel_tree_node *nodes = accel_bump_alloc(mem, inner + leaves + 1, sizeof(*nodes));
    uint32_t *root = accel_bump_alloc(mem, roots.count, sizeof(*root));
    if (nodes == NULL || root == NULL)
        return accel_tree_no_memory(err);
    p->trees.nodes = nodes;
    p->trees.roots = root;
    p->trees.roots_count = roots.count;
    int rc = accel_ml_keep_tensors(n, mem, err);
    if (rc == ACCEL_OK)
        rc = accel_tree_targets_of(n, p, err);
    if (rc == ACCEL_OK)
        rc = parse_inner(n, nodes, inner, leaves, p, err);
    if (rc == ACCEL_OK)
        rc = parse_members(n, nodes, inner, mem, p, err);
    if (rc == ACCEL_OK)
        rc = parse_leaves(n, nodes + inner, leaves, mem, p, err);
    for (size_t r = 0; r < roots.count && rc == ACCEL_OK; r++) {
        rc = accel_tree_check_entry(&roots, r, (int64_t)inner, err);
        root[r] = (uint32_t)roots.at[r];
    }
    if (rc != ACCEL_OK)
        return rc;
    return accel_tree_check_forest(p, inner + leaves, "nodes_truenodeids, nodes_falsenodeids", err);
}
