/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_PLAN_ITEMS_H
#define ACCEL_INFER_PLAN_ITEMS_H

#include "infer/ops/op.h"

/* accel_cost.items where the operator's entry does not say it: the separate stretches of memory
 * that an operator goes through, by its shapes. A transpose of the last axis has as many as
 * elements, a Concat of whole tensors one per tensor, a Softmax one per row. 0: neither such an
 * operator. */
double accel_node_items(const struct accel_prepare *prep, const struct accel_cost *cost);

#endif
