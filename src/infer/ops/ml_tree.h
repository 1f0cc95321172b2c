/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_OPS_ML_TREE_H
#define ACCEL_INFER_OPS_ML_TREE_H

/* The parts of the ensembles of trees: tree_listed.c and tree_ensemble.c read the attributes of a
 * node, with what tree_attrs.c has for both; ml_tree.c walks. */

#include "infer/kernels/trees.h"
#include "infer/ops/ml.h"

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

/* For the entries' parse: *params becomes a struct tree_params. Errors: INVALID, UNSUPPORTED,
 * LIMIT, NOMEM. */
int accel_tree_classifier_parse(const struct accel_node *n, struct accel_bump *mem,
                                const void **params, struct accel_error *err);
int accel_tree_regressor_parse(const struct accel_node *n, struct accel_bump *mem,
                               const void **params, struct accel_error *err);
int accel_tree_ensemble_parse(const struct accel_node *n, struct accel_bump *mem,
                              const void **params, struct accel_error *err);

/* ---------------------------------------------------------------- reading attributes */

/* Numbers given as a list of floats or as a tensor. */
struct tree_numbers {
    const char *name;
    enum accel_dtype dtype;
    const void *data; /* aligned or not: a tensor may be a slice of the file */
    size_t count;
};

double accel_tree_number_at(const struct tree_numbers *n, size_t i);
/* *out: count 0 when absent. Errors: INVALID, UNSUPPORTED (their type). */
int accel_tree_numbers_of_tensor(const struct accel_node *node, const char *name,
                                 struct tree_numbers *out, struct accel_error *err);
/* The same of two attributes of which at most one is given. */
int accel_tree_numbers_of(const struct accel_node *node, const char *name, const char *as_tensor,
                          struct tree_numbers *out, struct accel_error *err);

struct tree_ints {
    const char *name;
    const int64_t *at;
    size_t count;
};

struct tree_ints accel_tree_ints_of(const struct accel_node *node, const char *name);
/* Errors: INVALID: the list `name` is not as long as the list `of`. */
int accel_tree_check_count(const char *name, size_t count, const char *of, size_t want,
                           struct accel_error *err);
/* Errors: INVALID: entry i is not in [0, below). */
int accel_tree_check_entry(const struct tree_ints *list, size_t i, int64_t below,
                           struct accel_error *err);
int accel_tree_no_memory(struct accel_error *err);
/* Of attribute n_targets. Errors: INVALID. */
int accel_tree_targets_of(const struct accel_node *n, struct tree_params *p,
                          struct accel_error *err);
/* No inner node is reached twice: neither by a cycle nor by two ways. Leaves may be shared. Also
 * counts the comparisons of a mean walk. Errors: INVALID, NOMEM. */
int accel_tree_check_forest(struct tree_params *p, size_t nodes, const char *name,
                            struct accel_error *err);

#endif
