/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/kernels/trees.h"

#include <math.h>

static bool is_member(const double *members, double value, double x)
{
    for (const double *m = members + (size_t)value; !isnan(*m); m++)
        if (*m == x)
            return true;
    return false;
}

/* A float's comparison with a float gives the same in double. */
static inline bool goes_yes(const struct accel_trees *t, const struct accel_tree_node *n, double x)
{
    bool yes = false;

    switch ((enum accel_tree_mode)n->mode) {
    case ACCEL_TREE_LEQ:
        yes = x <= n->value;
        break;
    case ACCEL_TREE_LT:
        yes = x < n->value;
        break;
    case ACCEL_TREE_GTE:
        yes = x >= n->value;
        break;
    case ACCEL_TREE_GT:
        yes = x > n->value;
        break;
    case ACCEL_TREE_EQ:
        yes = x == n->value;
        break;
    case ACCEL_TREE_NEQ:
        yes = x != n->value;
        break;
    case ACCEL_TREE_MEMBER:
        yes = is_member(t->members, n->value, x);
        break;
    case ACCEL_TREE_LEAF:
        break;
    }
    return yes || (n->missing && isnan(x));
}

static inline void add(const struct accel_trees *t, const struct accel_tree_weight *w,
                       bool in_float, double *score, uint8_t *seen)
{
    double *s = &score[w->target];

    switch (t->aggregate) {
    case ACCEL_TREE_SUM:
    case ACCEL_TREE_AVERAGE:
        /* Rounded each time: the sum of two floats, rounded from double, is the float sum. */
        *s = in_float ? (double)(float)(*s + w->value) : *s + w->value;
        break;
    case ACCEL_TREE_MIN:
        if (!seen[w->target] || w->value < *s)
            *s = w->value;
        break;
    case ACCEL_TREE_MAX:
        if (!seen[w->target] || w->value > *s)
            *s = w->value;
        break;
    }
    seen[w->target] = 1;
}

#define ROW(name, type, in_float)                                                         \
    void name(const struct accel_trees *t, const type *row, double *score, uint8_t *seen) \
    {                                                                                     \
        for (size_t r = 0; r < t->roots_count; r++) {                                     \
            const struct accel_tree_node *n = &t->nodes[t->roots[r]];                     \
                                                                                          \
            while (n->mode != ACCEL_TREE_LEAF)                                            \
                n = &t->nodes[goes_yes(t, n, (double)row[n->feature]) ? n->yes : n->no];  \
            for (uint32_t w = 0; w < n->no; w++)                                          \
                add(t, &t->weights[n->yes + w], in_float, score, seen);                   \
        }                                                                                 \
    }

ROW(accel_trees_row_f32, float, true)
ROW(accel_trees_row_f64, double, false)
