/* SPDX-License-Identifier: Apache-2.0 */
/* Ensembles of decision trees: TreeEnsembleClassifier, TreeEnsembleRegressor, TreeEnsemble.
 *
 * All that a walk relies on is checked once, when the attributes are parsed; see kernels/trees.h.
 * Ties, one score for two classes and the order of additions are those of ONNX Runtime. */
#include "infer/kernels/kernels.h"
#include "infer/kernels/trees.h"
#include "infer/ops/ml.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct tree_params {
    struct accel_trees trees;
    enum accel_ml_post post;
    size_t targets;
    uint32_t features; /* at least so many are read */
    const double *base;
    size_t base_count;
    struct accel_ml_labels labels; /* of a classifier, else count 0 */
    bool binary;                   /* two classes, weights of one */
    bool positive;                 /* no weight is below 0 */
    double depth;                  /* mean number of comparisons per tree, for the cost */
};

/* ---------------------------------------------------------------- reading attributes */

/* Numbers given as a list of floats or as a tensor. */
struct numbers {
    const char *name;
    enum accel_dtype dtype;
    const void *data; /* aligned or not: a tensor may be a slice of the file */
    size_t count;
};

static double number_at(const struct numbers *n, size_t i)
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

static int numbers_of_tensor(const struct accel_node *node, const char *name, struct numbers *out,
                             struct accel_error *err)
{
    const struct accel_tensor *t = accel_attr_tensor(node, name);

    *out = (struct numbers){.name = name, .dtype = ACCEL_DTYPE_FLOAT};
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

static int numbers_of(const struct accel_node *node, const char *name, const char *as_tensor,
                      struct numbers *out, struct accel_error *err)
{
    size_t count;
    const float *list = accel_attr_floats(node, name, &count);
    const int rc = numbers_of_tensor(node, as_tensor, out, err);

    if (rc != ACCEL_OK || count == 0)
        return rc;
    if (out->count > 0)
        return accel_fail(err, ACCEL_E_INVALID, "%s and %s are both given", name, as_tensor);
    *out = (struct numbers){.name = name, .dtype = ACCEL_DTYPE_FLOAT, .data = list, .count = count};
    return ACCEL_OK;
}

struct ints {
    const char *name;
    const int64_t *at;
    size_t count;
};

static struct ints ints_of(const struct accel_node *node, const char *name)
{
    struct ints i = {.name = name};

    i.at = accel_attr_ints(node, name, &i.count);
    return i;
}

static int check_count(const char *name, size_t count, const char *of, size_t want,
                       struct accel_error *err)
{
    if (count == want)
        return ACCEL_OK;
    return accel_fail(err, ACCEL_E_INVALID, "%s has %zu entries, %s has %zu", name, count, of,
                      want);
}

static int check_entry(const struct ints *list, size_t i, int64_t below, struct accel_error *err)
{
    if (list->at[i] >= 0 && list->at[i] < below)
        return ACCEL_OK;
    return accel_fail(err, ACCEL_E_INVALID, "%s: entry %zu is %" PRId64 ", outside 0 to %" PRId64,
                      list->name, i, list->at[i], below - 1);
}

static int no_memory(struct accel_error *err)
{
    return accel_fail(err, ACCEL_E_NOMEM, "no memory for trees");
}

/* ---------------------------------------------------------------- what makes it a forest */

/* No inner node is reached twice: neither by a cycle nor by two ways. Leaves may be shared. Also
 * counts the comparisons of a mean walk. */
static int check_forest(struct tree_params *p, size_t nodes, const char *name,
                        struct accel_error *err)
{
    ACCEL_CLEANUP(accel_freep) uint32_t *stack = accel_calloc(nodes, sizeof(*stack));
    ACCEL_CLEANUP(accel_freep) uint8_t *seen = accel_calloc(nodes, 1);
    const struct accel_tree_node *node = p->trees.nodes;
    size_t depth = 0, inner = 0;

    if (stack == NULL || seen == NULL)
        return no_memory(err);
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

/* ---------------------------------------------------------------- versions 1 and 3 */

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
static int make_keys(const struct ints *trees, const struct ints *ids, struct node_key *keys,
                     struct accel_error *err)
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
static void find_roots(const struct ints *trees, const struct node_key *keys, uint32_t *roots,
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

static int child(const struct node_key *keys, size_t count, int64_t tree, const struct ints *list,
                 size_t i, uint32_t *out, struct accel_error *err)
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
    const struct ints trees = ints_of(n, "nodes_treeids"), yes = ints_of(n, "nodes_truenodeids"),
                      no = ints_of(n, "nodes_falsenodeids"),
                      features = ints_of(n, "nodes_featureids"),
                      missing = ints_of(n, "nodes_missing_value_tracks_true");
    const struct accel_attr *modes = accel_attr(n, "nodes_modes");
    struct numbers values;
    int rc = numbers_of(n, "nodes_values", "nodes_values_as_tensor", &values, err);

    if (rc == ACCEL_OK)
        rc = check_count(yes.name, yes.count, trees.name, count, err);
    if (rc == ACCEL_OK)
        rc = check_count(no.name, no.count, trees.name, count, err);
    if (rc == ACCEL_OK)
        rc = check_count(features.name, features.count, trees.name, count, err);
    if (rc == ACCEL_OK && missing.count > 0)
        rc = check_count(missing.name, missing.count, trees.name, count, err);
    if (rc == ACCEL_OK)
        rc = check_count("nodes_modes", modes != NULL ? modes->count : 0, trees.name, count, err);
    if (rc == ACCEL_OK)
        rc = check_count(values.name, values.count, trees.name, count, err);
    for (size_t i = 0; i < count && rc == ACCEL_OK; i++) {
        struct accel_tree_node *t = &nodes[i];

        rc = mode_of(&modes->strings[i], i, &t->mode, err);
        if (rc != ACCEL_OK || t->mode == ACCEL_TREE_LEAF)
            continue;
        t->value = number_at(&values, i);
        t->missing = missing.count > 0 && missing.at[i] == 1;
        rc = check_entry(&features, i, INT32_MAX, err);
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
    const struct ints targets = ints_of(n, names[0]), ids = ints_of(n, names[1]),
                      trees = ints_of(n, names[2]);
    struct numbers weights;
    uint32_t at = 0;
    bool one = true;
    int rc = numbers_of(n, names[3], names[4], &weights, err);

    if (rc == ACCEL_OK)
        rc = check_count(ids.name, ids.count, targets.name, targets.count, err);
    if (rc == ACCEL_OK)
        rc = check_count(trees.name, trees.count, targets.name, targets.count, err);
    if (rc == ACCEL_OK)
        rc = check_count(weights.name, weights.count, targets.name, targets.count, err);
    if (rc != ACCEL_OK)
        return rc;
    if (targets.count > UINT32_MAX)
        return accel_fail(err, ACCEL_E_LIMIT, "%s has %zu entries", targets.name, targets.count);
    ACCEL_CLEANUP(accel_freep) uint32_t *leaf = accel_calloc(targets.count, sizeof(*leaf));
    struct accel_tree_weight *w = accel_bump_alloc(mem, targets.count + 1, sizeof(*w));
    if (leaf == NULL || w == NULL)
        return no_memory(err);
    p->positive = true;
    for (size_t i = 0; i < targets.count; i++) {
        const struct node_key *k = find_node(keys, count, trees.at[i], ids.at[i]);

        if (k == NULL)
            return accel_fail(err, ACCEL_E_INVALID,
                              "%s: entry %zu names node %" PRId64 " of tree %" PRId64
                              ", which there is not",
                              ids.name, i, ids.at[i], trees.at[i]);
        rc = check_entry(&targets, i, (int64_t)p->targets, err);
        if (rc != ACCEL_OK)
            return rc;
        leaf[i] = k->index;
        p->positive = p->positive && !(number_at(&weights, i) < 0);
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
            w[l->yes + l->no++] = (struct accel_tree_weight){.target = (uint32_t)targets.at[i],
                                                             .value = number_at(&weights, i)};
    }
    p->trees.weights = w;
    return ACCEL_OK;
}

static int parse_base(const struct accel_node *n, struct accel_bump *mem, struct tree_params *p,
                      struct accel_error *err)
{
    struct numbers base;
    const int rc = numbers_of(n, "base_values", "base_values_as_tensor", &base, err);

    if (rc != ACCEL_OK)
        return rc;
    if (base.count > p->targets)
        return accel_fail(err, ACCEL_E_INVALID, "%s has %zu entries for %zu targets", base.name,
                          base.count, p->targets);
    double *copy = accel_bump_alloc(mem, base.count + 1, sizeof(*copy));
    if (copy == NULL)
        return no_memory(err);
    for (size_t i = 0; i < base.count; i++)
        copy[i] = number_at(&base, i);
    p->base = copy;
    p->base_count = base.count;
    return ACCEL_OK;
}

static int parse_listed(const struct accel_node *n, const char *const weights[5],
                        struct accel_bump *mem, struct tree_params *p, struct accel_error *err)
{
    const struct ints trees = ints_of(n, "nodes_treeids"), ids = ints_of(n, "nodes_nodeids");
    const size_t count = trees.count;

    if (count == 0 || count >= UINT32_MAX)
        return accel_fail(err, ACCEL_E_INVALID, "nodes_treeids has %zu entries", count);
    int rc = check_count(ids.name, ids.count, trees.name, count, err);
    if (rc != ACCEL_OK)
        return rc;
    ACCEL_CLEANUP(accel_freep) struct node_key *keys = accel_calloc(count, sizeof(*keys));
    struct accel_tree_node *nodes = accel_bump_alloc(mem, count, sizeof(*nodes));
    uint32_t *roots = accel_bump_alloc(mem, count, sizeof(*roots));
    if (keys == NULL || nodes == NULL || roots == NULL)
        return no_memory(err);
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
    return check_forest(p, count, "nodes_truenodeids, nodes_falsenodeids", err);
}

static int classifier_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                            struct accel_error *err)
{
    static const char *const weights[] = {"class_ids", "class_nodeids", "class_treeids",
                                          "class_weights", "class_weights_as_tensor"};
    struct tree_params *p = accel_bump_alloc(mem, 1, sizeof(*p));

    if (p == NULL)
        return no_memory(err);
    *params = p;
    int rc = accel_ml_labels_of(n, "classlabels_int64s", "classlabels_strings", &p->labels, err);
    if (rc == ACCEL_OK)
        rc = accel_ml_post_of(n, &p->post, err);
    if (rc == ACCEL_OK)
        rc = accel_ml_keep_tensors(n, mem, err);
    p->targets = p->labels.count;
    return rc == ACCEL_OK ? parse_listed(n, weights, mem, p, err) : rc;
}

static int targets_of(const struct accel_node *n, struct tree_params *p, struct accel_error *err)
{
    const int64_t targets = accel_attr_int(n, "n_targets", 1);

    if (targets < 1 || targets > INT32_MAX)
        return accel_fail(err, ACCEL_E_INVALID, "n_targets is %" PRId64, targets);
    p->targets = (size_t)targets;
    return ACCEL_OK;
}

static int regressor_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                           struct accel_error *err)
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
        return no_memory(err);
    *params = p;
    while (a < ACCEL_COUNT(names) && strcmp(names[a], aggregate) != 0)
        a++;
    if (a == ACCEL_COUNT(names))
        return accel_fail(err, ACCEL_E_INVALID, "aggregate_function is '%s'", aggregate);
    p->trees.aggregate = (enum accel_tree_aggregate)a;
    int rc = accel_ml_keep_tensors(n, mem, err);
    if (rc == ACCEL_OK)
        rc = targets_of(n, p, err);
    if (rc == ACCEL_OK)
        rc = accel_ml_post_of(n, &p->post, err);
    return rc == ACCEL_OK ? parse_listed(n, weights, mem, p, err) : rc;
}

/* ---------------------------------------------------------------- version 5 */

/* membership_values: the members of each BRANCH_MEMBER node in turn, each list ended by a NaN. */
static int parse_members(const struct accel_node *n, struct accel_tree_node *nodes, size_t inner,
                         struct accel_bump *mem, struct tree_params *p, struct accel_error *err)
{
    struct numbers list;
    size_t at = 0;
    const int rc = numbers_of_tensor(n, "membership_values", &list, err);

    if (rc != ACCEL_OK)
        return rc;
    double *members = accel_bump_alloc(mem, list.count + 1, sizeof(*members));
    if (members == NULL)
        return no_memory(err);
    for (size_t i = 0; i < list.count; i++)
        members[i] = number_at(&list, i);
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
static int parse_child(const struct ints *list, const struct ints *is_leaf, size_t i, size_t inner,
                       size_t leaves, uint32_t *out, struct accel_error *err)
{
    const bool leaf = is_leaf->at[i] != 0;
    const int rc = check_entry(list, i, (int64_t)(leaf ? leaves : inner), err);

    if (rc == ACCEL_OK)
        *out = (uint32_t)((size_t)list->at[i] + (leaf ? inner : 0));
    return rc;
}

static int parse_inner(const struct accel_node *n, struct accel_tree_node *nodes, size_t inner,
                       size_t leaves, struct tree_params *p, struct accel_error *err)
{
    static const uint8_t modes[] = {ACCEL_TREE_LEQ, ACCEL_TREE_LT,  ACCEL_TREE_GTE,   ACCEL_TREE_GT,
                                    ACCEL_TREE_EQ,  ACCEL_TREE_NEQ, ACCEL_TREE_MEMBER};
    const struct ints features = ints_of(n, "nodes_featureids"),
                      yes = ints_of(n, "nodes_truenodeids"), no = ints_of(n, "nodes_falsenodeids"),
                      yes_leaf = ints_of(n, "nodes_trueleafs"),
                      no_leaf = ints_of(n, "nodes_falseleafs"),
                      missing = ints_of(n, "nodes_missing_value_tracks_true");
    const struct ints *const lists[] = {&yes, &no, &yes_leaf, &no_leaf};
    const struct accel_tensor *mode = accel_attr_tensor(n, "nodes_modes");
    struct numbers splits;
    int rc = numbers_of_tensor(n, "nodes_splits", &splits, err);

    if (rc == ACCEL_OK)
        rc = check_count(splits.name, splits.count, features.name, inner, err);
    if (rc == ACCEL_OK && mode->dtype != ACCEL_DTYPE_UINT8)
        rc = accel_fail(err, ACCEL_E_INVALID, "nodes_modes of type %s",
                        accel_dtype_name(mode->dtype));
    if (rc == ACCEL_OK)
        rc = check_count("nodes_modes", mode->size_bytes, features.name, inner, err);
    for (size_t l = 0; l < ACCEL_COUNT(lists) && rc == ACCEL_OK; l++)
        rc = check_count(lists[l]->name, lists[l]->count, features.name, inner, err);
    if (rc == ACCEL_OK && missing.count > 0)
        rc = check_count(missing.name, missing.count, features.name, inner, err);
    for (size_t i = 0; i < inner && rc == ACCEL_OK; i++) {
        const uint8_t m = ((const uint8_t *)mode->data)[i];

        if (m >= ACCEL_COUNT(modes))
            return accel_fail(err, ACCEL_E_INVALID, "nodes_modes: entry %zu is %u", i, m);
        nodes[i].mode = modes[m];
        nodes[i].value = number_at(&splits, i);
        nodes[i].missing = missing.count > 0 && missing.at[i] == 1;
        rc = check_entry(&features, i, INT32_MAX, err);
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
    const struct ints targets = ints_of(n, "leaf_targetids");
    struct numbers weights;
    int rc = numbers_of_tensor(n, "leaf_weights", &weights, err);

    if (rc == ACCEL_OK)
        rc = check_count(weights.name, weights.count, targets.name, leaves, err);
    struct accel_tree_weight *w = accel_bump_alloc(mem, leaves + 1, sizeof(*w));
    if (w == NULL)
        return no_memory(err);
    for (size_t i = 0; i < leaves && rc == ACCEL_OK; i++) {
        rc = check_entry(&targets, i, (int64_t)p->targets, err);
        if (rc != ACCEL_OK)
            return rc;
        w[i] = (struct accel_tree_weight){.target = (uint32_t)targets.at[i],
                                          .value = number_at(&weights, i)};
        leaf[i] = (struct accel_tree_node){.mode = ACCEL_TREE_LEAF, .yes = (uint32_t)i, .no = 1};
    }
    p->trees.weights = w;
    return rc;
}

static int ensemble_parse(const struct accel_node *n, struct accel_bump *mem, const void **params,
                          struct accel_error *err)
{
    static const enum accel_tree_aggregate aggregates[] = {ACCEL_TREE_AVERAGE, ACCEL_TREE_SUM,
                                                           ACCEL_TREE_MIN, ACCEL_TREE_MAX};
    static const enum accel_ml_post posts[] = {ACCEL_ML_NONE, ACCEL_ML_SOFTMAX, ACCEL_ML_LOGISTIC,
                                               ACCEL_ML_SOFTMAX_ZERO, ACCEL_ML_PROBIT};
    const struct ints roots = ints_of(n, "tree_roots");
    const size_t inner = ints_of(n, "nodes_featureids").count,
                 leaves = ints_of(n, "leaf_targetids").count;
    const int64_t aggregate = accel_attr_int(n, "aggregate_function", 1);
    const int64_t post = accel_attr_int(n, "post_transform", 0);
    struct tree_params *p = accel_bump_alloc(mem, 1, sizeof(*p));

    if (p == NULL)
        return no_memory(err);
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
        return no_memory(err);
    p->trees.nodes = nodes;
    p->trees.roots = root;
    p->trees.roots_count = roots.count;
    int rc = accel_ml_keep_tensors(n, mem, err);
    if (rc == ACCEL_OK)
        rc = targets_of(n, p, err);
    if (rc == ACCEL_OK)
        rc = parse_inner(n, nodes, inner, leaves, p, err);
    if (rc == ACCEL_OK)
        rc = parse_members(n, nodes, inner, mem, p, err);
    if (rc == ACCEL_OK)
        rc = parse_leaves(n, nodes + inner, leaves, mem, p, err);
    for (size_t r = 0; r < roots.count && rc == ACCEL_OK; r++) {
        rc = check_entry(&roots, r, (int64_t)inner, err);
        root[r] = (uint32_t)roots.at[r];
    }
    if (rc != ACCEL_OK)
        return rc;
    return check_forest(p, inner + leaves, "nodes_truenodeids, nodes_falsenodeids", err);
}

/* ---------------------------------------------------------------- running */

static int tree_infer(struct accel_infer *in, struct accel_error *err)
{
    const struct tree_params *p = in->node->params;
    int64_t rows, features;
    const int rc = accel_ml_rows(&in->in[0]->shape, &rows, &features, err);

    if (rc != ACCEL_OK)
        return rc;
    if (features >= 0 && features < (int64_t)p->features)
        return accel_fail(err, ACCEL_E_INVALID,
                          "nodes_featureids names feature %u, the input has %" PRId64 " features",
                          p->features - 1, features);
    if (p->labels.count > 0) {
        accel_ml_shape(in->out[0], accel_ml_label_type(&p->labels), 1, rows, 0);
        if (in->node->outputs_count > 1)
            accel_ml_shape(in->out[1], ACCEL_DTYPE_FLOAT, 2, rows, (int64_t)p->targets);
        return ACCEL_OK;
    }
    /* TreeEnsemble's output has its input's type, the others' is float. */
    accel_ml_shape(in->out[0],
                   in->node->op->since == 5 && strcmp(in->node->op_type, "TreeEnsemble") == 0
                       ? in->in[0]->dtype
                       : ACCEL_DTYPE_FLOAT,
                   2, rows, (int64_t)p->targets);
    return ACCEL_OK;
}

/* Per thread: scores, the same as floats (with room for two), and whether there are any. */
static size_t row_bytes(const struct tree_params *p)
{
    return ACCEL_ROUND_UP(p->targets * (sizeof(double) + 1) + (p->targets + 2) * sizeof(float), 64);
}

static int tree_prepare(struct accel_prepare *prep, struct accel_error *err)
{
    const struct accel_type *x = prep->in[0];

    (void)err;
    prep->scratch_bytes = row_bytes(prep->node->params) * ACCEL_MAX(prep->threads, 1u);
    if (x->dtype != ACCEL_DTYPE_DOUBLE)
        prep->scratch_bytes += accel_ml_floats_bytes(x);
    return ACCEL_OK;
}

struct job {
    const struct tree_params *p;
    const struct accel_run *run;
    const float *x; /* one of the two is set */
    const double *x_double;
    size_t features;
    char *scratch; /* row_bytes() per thread */
};

static double rounded(const struct job *j, double v)
{
    return j->x != NULL ? (double)(float)v : v;
}

/* Score of one target on its own. */
static void finish_one(const struct job *j, double score, float *z)
{
    const struct tree_params *p = j->p;

    if (p->trees.aggregate == ACCEL_TREE_AVERAGE)
        score = rounded(j, score / (double)p->trees.roots_count);
    if (p->base_count == 1)
        score = rounded(j, score + p->base[0]);
    accel_ml_post_one(p->post, ACCEL_ML_ALONE, (float)score, z);
}

static void finish_targets(const struct job *j, double *score, const uint8_t *seen, float *z)
{
    const struct tree_params *p = j->p;

    if (p->targets == 1) {
        finish_one(j, score[0], z);
        return;
    }
    for (size_t k = 0; k < p->targets; k++) {
        if (p->trees.aggregate == ACCEL_TREE_AVERAGE)
            score[k] = rounded(j, score[k] / (double)p->trees.roots_count);
        if (p->base_count == p->targets)
            score[k] = rounded(j, score[k] + p->base[k]);
        /* As in ONNX Runtime: a target that no leaf spoke of is 0, whatever its base value. */
        score[k] = seen[k] ? score[k] : 0;
        z[k] = (float)score[k];
    }
    accel_ml_post_row(p->post, p->targets, z);
}

/* Two classes; *which: the label. One score alone speaks for both. With a score for each the label
 * is the sign of the second, not the larger of the two: so does ONNX Runtime, though it then writes
 * 0 and 1 whatever the labels are called, which is not followed here. */
static void finish_binary(const struct job *j, double *score, uint8_t *seen, float *z,
                          size_t *which)
{
    const struct tree_params *p = j->p;
    bool both = true;

    if (p->base_count == 2) {
        if (seen[1]) {
            score[1] = rounded(j, p->base[1] + score[0]);
            score[0] = -score[1];
        } else {
            score[1] = rounded(j, score[1] + p->base[1]);
            score[0] = rounded(j, score[0] + p->base[0]);
        }
    } else {
        if (p->base_count == 1)
            score[0] = rounded(j, score[0] + p->base[0]);
        both = seen[1] != 0;
    }
    const double positive = both && seen[1] ? score[1] : seen[0] ? score[0] : 0;
    const bool halves = p->binary && p->positive;

    *which = positive > (halves ? 0.5 : 0) ? 1 : 0;
    if (both) {
        z[0] = seen[0] ? (float)score[0] : 0;
        z[1] = seen[1] ? (float)score[1] : 0;
        accel_ml_post_row(p->post, 2, z);
        return;
    }
    z[1] = 0;
    accel_ml_post_one(p->post, halves ? ACCEL_ML_COMPLEMENT : ACCEL_ML_OPPOSITE, (float)score[0],
                      z);
}

static void finish_classes(const struct job *j, double *score, uint8_t *seen, float *z,
                           size_t *which)
{
    const struct tree_params *p = j->p;
    bool any = false;

    *which = 0;
    if (p->targets == 1) {
        finish_one(j, score[0], z);
        return;
    }
    if (p->targets == 2) {
        finish_binary(j, score, seen, z, which);
        return;
    }
    for (size_t k = 0; k < p->targets; k++) {
        if (k < p->base_count) {
            score[k] = seen[k] ? rounded(j, score[k] + p->base[k]) : p->base[k];
            seen[k] = 1;
        }
        if (seen[k] && (!any || score[k] > score[*which])) {
            *which = k;
            any = true;
        }
        z[k] = seen[k] ? (float)score[k] : 0;
    }
    accel_ml_post_row(p->post, p->targets, z);
}

static void tree_rows(void *context, size_t begin, size_t end, unsigned thread)
{
    const struct job *j = context;
    const struct tree_params *p = j->p;
    const bool classify = p->labels.count > 0;
    struct accel_tensor *const *out = j->run->out;
    const struct accel_tensor *y =
        classify ? j->run->node->outputs_count > 1 ? out[1] : NULL : out[0];
    double *score = (double *)(void *)(j->scratch + thread * row_bytes(p));
    float *z = (float *)(void *)(score + p->targets);
    uint8_t *seen = (uint8_t *)(z + p->targets + 2);

    for (size_t r = begin; r < end; r++) {
        size_t which = 0;

        memset(score, 0, p->targets * sizeof(*score));
        memset(seen, 0, p->targets);
        if (j->x != NULL)
            accel_trees_row_f32(&p->trees, j->x + r * j->features, score, seen);
        else
            accel_trees_row_f64(&p->trees, j->x_double + r * j->features, score, seen);
        if (classify)
            finish_classes(j, score, seen, z, &which);
        else
            finish_targets(j, score, seen, z);
        if (classify && out[0] != NULL)
            accel_ml_label_write(&p->labels, which, out[0], r);
        for (size_t k = 0; k < p->targets && y != NULL; k++) {
            if (y->dtype == ACCEL_DTYPE_DOUBLE) /* finished in double but for the transform */
                ((double *)y->data)[r * p->targets + k] =
                    p->post == ACCEL_ML_NONE ? score[k] : (double)z[k];
            else
                ((float *)y->data)[r * p->targets + k] = z[k];
        }
    }
}

static int tree_run(struct accel_run *run, struct accel_error *err)
{
    const struct accel_tensor *x = run->in[0];
    const size_t rows = x->rank == 2 ? (size_t)x->dims[0] : 1;
    struct job j = {.p = run->node->params,
                    .run = run,
                    .features = (size_t)x->dims[x->rank - 1],
                    .scratch = run->scratch};

    (void)err;
    if (x->dtype == ACCEL_DTYPE_DOUBLE) {
        j.x_double = x->data;
    } else {
        j.x = accel_ml_floats(run, x);
        if (x->dtype != ACCEL_DTYPE_FLOAT)
            j.scratch += ACCEL_ROUND_UP(rows * j.features * sizeof(float), 64);
    }
    accel_pool_run(run->pool, rows, 16, tree_rows, &j);
    return ACCEL_OK;
}

static void tree_cost(const struct accel_prepare *prep, struct accel_cost *cost)
{
    const struct tree_params *p = prep->node->params;
    const struct accel_shape *x = &prep->in[0]->shape;
    const double rows = x->rank == 2 ? (double)x->dims[0] : 1;

    cost->flops = rows * (double)p->trees.roots_count * (p->depth + 1);
}

/* ---------------------------------------------------------------- the entries */

#define NODE_ATTRS                                                                        \
    {"nodes_falsenodeids", ACCEL_ATTR_INTS, 0}, {"nodes_featureids", ACCEL_ATTR_INTS, 0}, \
        {"nodes_hitrates", ACCEL_ATTR_FLOATS, ACCEL_ATTR_IGNORED},                        \
        {"nodes_missing_value_tracks_true", ACCEL_ATTR_INTS, 0},                          \
        {"nodes_modes", ACCEL_ATTR_STRINGS, 0}, {"nodes_nodeids", ACCEL_ATTR_INTS, 0},    \
        {"nodes_treeids", ACCEL_ATTR_INTS, 0}, {"nodes_truenodeids", ACCEL_ATTR_INTS, 0}, \
        {"nodes_values", ACCEL_ATTR_FLOATS, 0}, {"base_values", ACCEL_ATTR_FLOATS, 0},    \
    {                                                                                     \
        "post_transform", ACCEL_ATTR_STRING, 0                                            \
    }
#define NODE_TENSORS                                                      \
    {"nodes_values_as_tensor", ACCEL_ATTR_TENSOR, 0},                     \
        {"base_values_as_tensor", ACCEL_ATTR_TENSOR, 0},                  \
    {                                                                     \
        "nodes_hitrates_as_tensor", ACCEL_ATTR_TENSOR, ACCEL_ATTR_IGNORED \
    }
#define CLASS_ATTRS                                                                     \
    {"class_ids", ACCEL_ATTR_INTS, 0}, {"class_nodeids", ACCEL_ATTR_INTS, 0},           \
        {"class_treeids", ACCEL_ATTR_INTS, 0}, {"class_weights", ACCEL_ATTR_FLOATS, 0}, \
        {"classlabels_int64s", ACCEL_ATTR_INTS, 0},                                     \
    {                                                                                   \
        "classlabels_strings", ACCEL_ATTR_STRINGS, 0                                    \
    }
#define TARGET_ATTRS                                                                      \
    {"target_ids", ACCEL_ATTR_INTS, 0}, {"target_nodeids", ACCEL_ATTR_INTS, 0},           \
        {"target_treeids", ACCEL_ATTR_INTS, 0}, {"target_weights", ACCEL_ATTR_FLOATS, 0}, \
        {"n_targets", ACCEL_ATTR_INT, 0},                                                 \
    {                                                                                     \
        "aggregate_function", ACCEL_ATTR_STRING, 0                                        \
    }

static const struct accel_attr_rule classifier_attrs[] = {NODE_ATTRS, CLASS_ATTRS, {0}};
static const struct accel_attr_rule classifier3_attrs[] = {
    NODE_ATTRS, NODE_TENSORS, CLASS_ATTRS, {"class_weights_as_tensor", ACCEL_ATTR_TENSOR, 0}, {0}};
static const struct accel_attr_rule regressor_attrs[] = {NODE_ATTRS, TARGET_ATTRS, {0}};
static const struct accel_attr_rule regressor3_attrs[] = {NODE_ATTRS,
                                                          NODE_TENSORS,
                                                          TARGET_ATTRS,
                                                          {"target_weights_as_tensor",
                                                           ACCEL_ATTR_TENSOR, 0},
                                                          {0}};
static const struct accel_attr_rule ensemble_attrs[] = {
    {"aggregate_function", ACCEL_ATTR_INT, 0},
    {"leaf_targetids", ACCEL_ATTR_INTS, ACCEL_ATTR_REQUIRED},
    {"leaf_weights", ACCEL_ATTR_TENSOR, ACCEL_ATTR_REQUIRED},
    {"membership_values", ACCEL_ATTR_TENSOR, 0},
    {"n_targets", ACCEL_ATTR_INT, 0},
    {"nodes_falseleafs", ACCEL_ATTR_INTS, ACCEL_ATTR_REQUIRED},
    {"nodes_falsenodeids", ACCEL_ATTR_INTS, ACCEL_ATTR_REQUIRED},
    {"nodes_featureids", ACCEL_ATTR_INTS, ACCEL_ATTR_REQUIRED},
    {"nodes_hitrates", ACCEL_ATTR_TENSOR, ACCEL_ATTR_IGNORED},
    {"nodes_missing_value_tracks_true", ACCEL_ATTR_INTS, 0},
    {"nodes_modes", ACCEL_ATTR_TENSOR, ACCEL_ATTR_REQUIRED},
    {"nodes_splits", ACCEL_ATTR_TENSOR, ACCEL_ATTR_REQUIRED},
    {"nodes_trueleafs", ACCEL_ATTR_INTS, ACCEL_ATTR_REQUIRED},
    {"nodes_truenodeids", ACCEL_ATTR_INTS, ACCEL_ATTR_REQUIRED},
    {"post_transform", ACCEL_ATTR_INT, 0},
    {"tree_roots", ACCEL_ATTR_INTS, ACCEL_ATTR_REQUIRED},
    {0}};

#define TREE                                                                 \
    .domain = "ai.onnx.ml", .kind = ACCEL_KIND_CLASSIC, .infer = tree_infer, \
    .prepare = tree_prepare, .run = tree_run, .cost = tree_cost
#define CLASSIFIER(version, rules)                                                           \
    {                                                                                        \
        .name = "TreeEnsembleClassifier", .since = version, TREE,                            \
        .in = {{"X", ACCEL_ML_IN, 0, 0}},                                                    \
        .out = {{"Y", ACCEL_T(INT64) | ACCEL_T(STRING), 0, 0}, {"Z", ACCEL_T(FLOAT), 0, 0}}, \
        .attrs = rules, .parse = classifier_parse                                            \
    }
#define REGRESSOR(version, rules)                                                                  \
    {                                                                                              \
        .name = "TreeEnsembleRegressor", .since = version, TREE, .in = {{"X", ACCEL_ML_IN, 0, 0}}, \
        .out = {{"Y", ACCEL_T(FLOAT), 0, 0}}, .attrs = rules, .parse = regressor_parse             \
    }

const struct accel_op accel_ops_ml_tree[] = {
    CLASSIFIER(1, classifier_attrs),
    CLASSIFIER(3, classifier3_attrs),
    REGRESSOR(1, regressor_attrs),
    REGRESSOR(3, regressor3_attrs),
    {.name = "TreeEnsemble",
     .since = 5,
     TREE,
     .in = {{"X", ACCEL_T_FLOATS, 'T', 0}},
     .out = {{"Y", ACCEL_T_FLOATS, 'T', 0}},
     .attrs = ensemble_attrs,
     .parse = ensemble_parse},
    {0},
};
