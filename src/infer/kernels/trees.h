/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_KERNELS_TREES_H
#define ACCEL_INFER_KERNELS_TREES_H

/* Ensembles of decision trees as one flat array of nodes. Whoever builds one makes sure that every
 * index is in range and that no inner node is reached twice from the roots: then a walk ends. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum accel_tree_mode {
    ACCEL_TREE_LEQ, /* x <= value: on to `yes` */
    ACCEL_TREE_LT,
    ACCEL_TREE_GTE,
    ACCEL_TREE_GT,
    ACCEL_TREE_EQ,
    ACCEL_TREE_NEQ,
    ACCEL_TREE_MEMBER, /* x is one of members[value...], up to a NaN */
    ACCEL_TREE_LEAF,   /* weights[yes...yes + no) */
};

struct accel_tree_node {
    double value;
    uint32_t yes, no;
    uint32_t feature;
    uint8_t mode;
    bool missing; /* a NaN goes on to `yes` whatever the comparison says */
};

struct accel_tree_weight {
    uint32_t target;
    double value;
};

enum accel_tree_aggregate {
    ACCEL_TREE_SUM,
    ACCEL_TREE_AVERAGE, /* summed here, divided by whoever asked */
    ACCEL_TREE_MIN,
    ACCEL_TREE_MAX,
};

struct accel_trees {
    const struct accel_tree_node *nodes;
    const uint32_t *roots;
    size_t roots_count;
    const struct accel_tree_weight *weights;
    const double *members;
    enum accel_tree_aggregate aggregate;
};

/* What the trees say of one row: score[targets], and seen[targets], whether any leaf spoke of it;
 * both are zero at entry. The first adds up in float, as ONNX Runtime does for float inputs. */
void accel_trees_row_f32(const struct accel_trees *trees, const float *row, double *score,
                         uint8_t *seen);
void accel_trees_row_f64(const struct accel_trees *trees, const double *row, double *score,
                         uint8_t *seen);

#endif
