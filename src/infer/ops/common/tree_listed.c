/* SPDX-License-Identifier: Apache-2.0 */
/* TreeEnsembleClassifier and TreeEnsembleRegressor: nodes and weights as lists that name them by
 * tree and number. */
#include "infer/ops/ml_tree.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct node_key {
    int64_t tree, id;
    uint32_t index;
};

static int compare_keys(const void *a, const void *b)
{
    const struct node_key *x = a, *y = b;

    if (x->tree != y->tree)
        return x->tree < y->tree ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

static const struct node_key *find_node(const struct node_key *keys, size_t count, int64_t tree,
                                        int64_t id)
{
    const struct node_key want = {.tree = tree, .id = id};

    return bsearch(&want, keys, count, sizeof(want), compare_keys);
}

static int mode_of(const struct accel_bytes *text, size_t i, uint8_t *mode, struct accel_error *err)
{
    static const char *const names[] = {
        [ACCEL_TREE_LEQ] = "BRANCH_LEQ", [ACCEL_TREE_LT] = "BRANCH_LT",
        [ACCEL_TREE_GTE] = "BRANCH_GTE", [ACCEL_TREE_GT] = "BRANCH_GT",
        [ACCEL_TREE_EQ] = "BRANCH_EQ",   [ACCEL_TREE_NEQ] = "BRANCH_NEQ",
        [ACCEL_TREE_MEMBER] = "", /* version 5 alone */
        [ACCEL_TREE_LEAF] = "LEAF"};

    for (size_t m = 0; m < ACCEL_COUNT(names); m++)
        if (names[m][0] != '\0' && strcmp(names[m], text->data) == 0) {
            *mode = (uint8_t)m;
            return ACCEL_OK;
        }
    return accel_fail(err, ACCEL_E_INVALID, "nodes_modes: entry %zu is '%s'", i, text->data);
}

/* Sorted by tree and number, so that a node can be found. */
static int make_keys(const struct tree_ints *trees, const struct tree_ints *ids,
                     struct node_key *keys, struct accel_error *err)
{
    for (size_t i = 0; i < trees->count; i++)
        keys[i] = (struct node_key){.tree = trees->at[i], .id = ids->at[i], .index = (uint32_t)i};
    qsort(keys, trees->count, sizeof(*keys), compare_keys);
    for (size_t i = 1; i < trees->count; i++)
        if (compare_keys(&keys[i - 1], &keys[i]) == 0)
            return accel_fail(err, ACCEL_E_INVALID,
                              "nodes_nodeids: node %" PRId64 " of tree %" PRId64 " is there twice",
                              keys[i].id, keys[i].tree);
    return ACCEL_OK;
}

/* The first node listed of each tree is its root. */
static void find_roots(const struct tree_ints *trees, const struct node_key *keys, uint32_t *roots,
                       size_t *count)
{
    *count = 0;
    for (size_t i = 0; i < trees->count; i++) {
        /* keys are sorted by tree: the run of this one is looked at once, at its smallest index. */
        if (i == 0 || keys[i - 1].tree != keys[i].tree)
            roots[(*count)++] = keys[i].index;
        else if (keys[i].index < roots[*count - 1])
            roots[*count - 1] = keys[i].index;
    }
}

static int compare_u32(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static int child(const struct node_key *keys, size_t count, int64_t tree,
                 const struct tree_ints *list, size_t i, uint32_t *out, struct accel_error *err)
{
    const struct node_key *k = find_node(keys, count, tree, list->at[i]);

    if (k == NULL)
        return accel_fail(err, ACCEL_E_INVALID,
                          "%s: entry %zu names node %" PRId64 ", which tree %" PRId64 " lacks",
                          list->name, i, list->at[i], tree);
    *out = k->index;
    return ACCEL_OK;
}

static int parse_nodes(const struct accel_node *n, struct accel_tree_node *nodes, size_t count,
                       const struct node_key *keys, struct tree_params *p, struct accel_error *err)
{
    const struct tree_ints trees = accel_tree_ints_of(n, "nodes_treeids"),
                           yes = accel_tree_ints_of(n, "nodes_truenodeids"),
                           no = accel_tree_ints_of(n, "nodes_falsenodeids"),
                           features = accel_tree_ints_of(n, "nodes_featureids"),
                           missing = accel_tree_ints_of(n, "nodes_missing_value_tracks_true");
    const struct accel_attr *modes = accel_attr(n, "nodes_modes");
    struct tree_numbers values;
    int rc = accel_tree_numbers_of(n, "nodes_values", "nodes_values_as_tensor", &values, err);

    if (rc == ACCEL_OK)
        rc = accel_tree_check_count(yes.name, yes.count, trees.name, count, err);
    if (rc == ACCEL_OK)
        rc = accel_tree_check_count(no.name, no.count, trees.name, count, err);
    if (rc == ACCEL_OK)
        rc = accel_tree_check_count(features.name, features.count, trees.name, count, err);
    if (rc == ACCEL_OK && missing.count > 0)
        rc = accel_tree_check_count(missing.name, missing.count, trees.name, count, err);
    if (rc == ACCEL_OK)
        rc = accel_tree_check_count("nodes_modes", modes != NULL ? modes->count : 0, trees.name,
                                    count, err);
    if (rc == ACCEL_OK)
        rc = accel_tree_check_count(values.name, values.count, trees.name, count, err);
    for (size_t i = 0; i < count && rc == ACCEL_OK; i++) {
        struct accel_tree_node *t = &nodes[i];

        rc = mode_of(&modes->strings[i], i, &t->mode, err);
        if (rc != ACCEL_OK || t->mode == ACCEL_TREE_LEAF)
            continue;
        t->value = accel_tree_number_at(&values, i);
        t->missing = missing.count > 0 && missing.at[i] == 1;
        rc = accel_tree_check_entry(&features, i, INT32_MAX, err);
        if (rc != ACCEL_OK)
            return rc;
        t->feature = (uint32_t)features.at[i];
        p->features = ACCEL_MAX(p->features, t->feature + 1);
        rc = child(keys, count, trees.at[i], &yes, i, &t->yes, err);
        if (rc == ACCEL_OK)
            rc = child(keys, count, trees.at[i], &no, i, &t->no, err);
    }
    return rc;
}

/* Gives each leaf its weights, in the order of the attributes. `kind`: "class" or "target". */
static int parse_weights(const struct accel_node *n, const char *const names[5],
                         struct accel_tree_node *nodes, size_t count, const struct node_key *keys,
                         struct accel_bump *mem, struct tree_params *p, struct accel_error *err)
{
    const struct tree_ints targets = accel_tree_ints_of(n, names[0]),
                           ids = accel_tree_ints_of(n, names[1]),
                           trees = accel_tree_ints_of(n, names[2]);
    struct tree_numbers weights;
    uint32_t at = 0;
    bool one = true;
    int rc = accel_tree_numbers_of(n, names[3], names[4], &weights, err);

    if (rc == ACCEL_OK)
        rc = accel_tree_check_count(ids.name, ids.count, targets.name, targets.count, err);
    if (rc == ACCEL_OK)
        rc = accel_tree_check_count(trees.name, trees.count, targets.name, targets.count, err);
    if (rc == ACCEL_OK)
        rc = accel_tree_check_count(weights.name, weights.count, targets.name, targets.count, err);
    if (rc != ACCEL_OK)
        return rc;
    if (targets.count > UINT32_MAX)
        return accel_fail(err, ACCEL_E_LIMIT, "%s has %zu entries", targets.name, targets.count);
    ACCEL_CLEANUP(accel_freep) uint32_t *leaf = accel_calloc(targets.count, sizeof(*leaf));
    struct accel_tree_weight *w = accel_bump_alloc(mem, targets.count + 1, sizeof(*w));
    if (leaf == NULL || w == NULL)
        return accel_tree_no_memory(err);
    p->positive = true;
    for (size_t i = 0; i < targets.count; i++) {
        const struct node_key *k = find_node(keys, count, trees.at[i], ids.at[i]);

        if (k == NULL)
            return accel_fail(err, ACCEL_E_INVALID,
                              "%s: entry %zu names node %" PRId64 " of tree %" PRId64
                              ", which there is not",
                              ids.name, i, ids.at[i], trees.at[i]);
        rc = accel_tree_check_entry(&targets, i, (int64_t)p->targets, err);
        if (rc != ACCEL_OK)
            return rc;
        leaf[i] = k->index;
        p->positive = p->positive && !(accel_tree_number_at(&weights, i) < 0);
        one = one && targets.at[i] == targets.at[0];
        /* What an inner node is given is never read: exporters may do so. */
        if (nodes[k->index].mode == ACCEL_TREE_LEAF)
            nodes[k->index].no++;
    }
    p->binary = p->targets == 2 && one && targets.count > 0;
    for (size_t i = 0; i < count; i++) {
        if (nodes[i].mode != ACCEL_TREE_LEAF)
            continue;
        nodes[i].yes = at;
        at += nodes[i].no;
        nodes[i].no = 0;
    }
    for (size_t i = 0; i < targets.count; i++) {
        struct accel_tree_node *l = &nodes[leaf[i]];

        if (l->mode == ACCEL_TREE_LEAF)
            w[l->yes + l->no++] = (struct accel_tree_weight){
                .target = (uint32_t)targets.at[i], .value = accel_tree_number_at(&weights, i)};
    }
    p->trees.weights = w;
    return ACCEL_OK;
}

static int parse_base(const struct accel_node *n, struct accel_bump *mem, struct tree_params *p,
                      struct accel_error *err)
{
    struct tree_numbers base;
    const int rc = accel_tree_numbers_of(n, "base_values", "base_values_as_tensor", &base, err);

    if (rc != ACCEL_OK)
        return rc;
    if (base.count > p->targets)
        return accel_fail(err, ACCEL_E_INVALID, "%s has %zu entries for %zu targets", base.name,
                          base.count, p->targets);
    double *copy = accel_bump_alloc(mem, base.count + 1, sizeof(*copy));
    if (copy == NULL)
        return accel_tree_no_memory(err);
    for (size_t i = 0; i < base.count; i++)
        copy[i] = accel_tree_number_at(&base, i);
    p->base = copy;
    p->base_count = base.count;
    return ACCEL_OK;
}

static int parse_listed(const struct accel_node *n, const char *const weights[5],
                        struct accel_bump *mem, struct tree_params *p, struct accel_error *err)
{
    const struct tree_ints trees = accel_tree_ints_of(n, "nodes_treeids"),
                           ids = accel_tree_ints_of(n, "nodes_nodeids");
    const size_t count = trees.count;

    if (count == 0 || count >= UINT32_MAX)
        return accel_fail(err, ACCEL_E_INVALID, "nodes_treeids has %zu entries", count);
    int rc = accel_tree_check_count(ids.name, ids.count, trees.name, count, err);
    if (rc != ACCEL_OK)
        return rc;
    ACCEL_CLEANUP(accel_freep) struct node_key *keys = accel_calloc(count, sizeof(*keys));
    struct accel_tree_node *nodes = accel_bump_alloc(mem, count, sizeof(*nodes));
    uint32_t *roots = accel_bump_alloc(mem, count, sizeof(*roots));
    if (keys == NULL || nodes == NULL || roots == NULL)
        return accel_tree_no_memory(err);
    p->trees.nodes = nodes;
    p->trees.roots = roots;
    rc = make_keys(&trees, &ids, keys, err);
    find_roots(&trees, keys, roots, &p->trees.roots_count);
    if (rc == ACCEL_OK)
        rc = parse_nodes(n, nodes, count, keys, p, err);
    if (rc == ACCEL_OK)
        rc = parse_weights(n, weights, nodes, count, keys, mem, p, err);
    if (rc == ACCEL_OK)
        rc = parse_base(n, mem, p, err);
    if (rc != ACCEL_OK)
        return rc;
    /* Trees are added up in the order in which they are listed. */
    qsort(roots, p->trees.roots_count, sizeof(*roots), compare_u32);
    return accel_tree_check_forest(p, count, "nodes_truenodeids, nodes_falsenodeids", err);
}

int accel_tree_classifier_parse(const struct accel_node *n, struct accel_bump *mem,
                                const void **params, struct accel_error *err)
{
    static const char *const weights[] = {"class_ids", "class_nodeids", "class_treeids",
                                          "class_weights", "class_weights_as_tensor"};
    struct tree_params *p = accel_bump_alloc(mem, 1, sizeof(*p));

    if (p == NULL)
        return accel_tree_no_memory(err);
    *params = p;
    int rc = accel_ml_labels_of(n, "classlabels_int64s", "classlabels_strings", &p->labels, err);
    if (rc == ACCEL_OK)
        rc = accel_ml_post_of(n, &p->post, err);
    if (rc == ACCEL_OK)
        rc = accel_ml_keep_tensors(n, mem, err);
    p->targets = p->labels.count;
    return rc == ACCEL_OK ? parse_listed(n, weights, mem, p, err) : rc;
}

int accel_tree_regressor_parse(const struct accel_node *n, struct accel_bump *mem,
                               const void **params, struct accel_error *err)
{
    static const char *const weights[] = {"target_ids", "target_nodeids", "target_treeids",
                                          "target_weights", "target_weights_as_tensor"};
    static const char *const names[] = {[ACCEL_TREE_SUM] = "SUM",
                                        [ACCEL_TREE_AVERAGE] = "AVERAGE",
                                        [ACCEL_TREE_MIN] = "MIN",
                                        [ACCEL_TREE_MAX] = "MAX"};
    const char *aggregate = accel_attr_string(n, "aggregate_function", "SUM");
    struct tree_params *p = accel_bump_alloc(mem, 1, sizeof(*p));
    size_t a = 0;

    if (p == NULL)
        return accel_tree_no_memory(err);
    *params = p;
    while (a < ACCEL_COUNT(names) && strcmp(names[a], aggregate) != 0)
        a++;
    if (a == ACCEL_COUNT(names))
        return accel_fail(err, ACCEL_E_INVALID, "aggregate_function is '%s'", aggregate);
    p->trees.aggregate = (enum accel_tree_aggregate)a;
    int rc = accel_ml_keep_tensors(n, mem, err);
    if (rc == ACCEL_OK)
        rc = accel_tree_targets_of(n, p, err);
    if (rc == ACCEL_OK)
        rc = accel_ml_post_of(n, &p->post, err);
    return rc == ACCEL_OK ? parse_listed(n, weights, mem, p, err) : rc;
}
