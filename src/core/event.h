/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_CORE_EVENT_H
#define ACCEL_CORE_EVENT_H

#include <stdint.h>

/* One thing that happened, committed together with the state it tells of: the outbox. */
struct accel_event {
    int64_t sequence; /* per node, without gaps a reader needs to care about */
    const char *node;
    const char *at;
    const char *kind;       /* "device.added" "device.changed" "device.gone" "device.back"
                               "arq.bound" "arq.bind_failed" "arq.unbound" "arq.deleted" "model.added"
                               "model.deleted" "job.changed" "profile.created" ... */
    const char *subject;    /* uuid or name of what it is about */
    const char *project_id; /* who may see it; NULL: everybody */
    const char *data;       /* JSON object text */
};

#endif
