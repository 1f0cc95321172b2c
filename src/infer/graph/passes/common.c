/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/graph/passes.h"

#include <string.h>

bool accel_node_is(const struct accel_node *node, const char *op_type)
{
    return node->op != NULL && node->unsupported == NULL && node->domain[0] == '\0' &&
           strcmp(node->op_type, op_type) == 0;
}

struct accel_node *accel_node_follower(const struct accel_node *node)
{
    const struct accel_value *v = node->outputs_count > 0 ? node->outputs[0] : NULL;

    if (v == NULL || v->uses != 1 || v->reader == NULL || v->reader->dead)
        return NULL;
    for (size_t o = 1; o < node->outputs_count; o++)
        if (node->outputs[o] != NULL && node->outputs[o]->uses > 0)
            return NULL;
    return v->reader;
}
