/* SPDX-License-Identifier: Apache-2.0 */
/* Times of a run's steps, each where the model's analysis has the same node: which nodes are steps
 * hangs on the shapes of the run, and the analysis is of the declared ones. */
#include "infer/run/session.h"

/* Operator k of the analysis. As the steps of a run these go by accel_node.order. */
static const struct accel_node *analysed(const struct accel_model *m, size_t k)
{
    return m->plan != NULL && !m->every_node ? m->plan->steps[k].node : m->ir->main->nodes[k];
}

int accel_profile_reserve(struct accel_session *s, struct accel_error *err)
{
    return s->profile ? accel_grow(&s->times, &s->times_capacity, s->model->analysis->ops_count,
                                   sizeof(*s->times), err)
                      : ACCEL_OK;
}

void accel_profile_begin(struct accel_session *s)
{
    s->times_count = 0;
    s->times_at = 0;
    for (size_t i = 0; s->profile && i < s->times_capacity; i++)
        s->times[i] = 0;
}

void accel_profile_note(struct accel_session *s, const struct accel_node *node, int64_t ns)
{
    const size_t count = s->model->analysis->ops_count;

    while (s->times_at < count && analysed(s->model, s->times_at)->order < node->order)
        s->times_at++;
    if (s->times_at < count && analysed(s->model, s->times_at) == node)
        s->times[s->times_at++] = ns;
}

void accel_profile_end(struct accel_session *s)
{
    s->times_count = s->profile ? s->model->analysis->ops_count : 0;
}
