/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_WORKER_HELD_H
#define ACCEL_WORKER_HELD_H

/* Models this worker keeps ready to run, by key; the least recently used goes when there are too
 * many or they are too big. Used by the running thread alone. */

#include "acceld/infer.h"
#include "base/util.h"

struct accel_held_model {
    char key[128];
    struct accel_model *model;
    struct accel_session *session; /* for `threads` and `profile` */
    unsigned threads;
    bool profile;
    size_t bytes;  /* mapped and allocated */
    uint64_t used; /* when, on the clock below */
    uint64_t uses; /* of this session: 1 the first time */
};

struct accel_held {
    struct accel_held_model *models;
    size_t count, max_count;
    size_t bytes, max_bytes;
    uint64_t clock;
};

int accel_held_init(struct accel_held *held, size_t max_count, size_t max_bytes,
                    struct accel_error *err);
void accel_held_free(struct accel_held *held);

/* The model of this key with a session for so many threads; opened from packed_fd if it is not
 * held. Borrowed: valid until the next call. Errors: those of accel_model_open_packed and
 * accel_session_new; memory that runs out is first sought by dropping what else is held. */
int accel_held_get(struct accel_held *held, const char *key, int packed_fd,
                   const struct accel_load_options *options, unsigned threads, bool profile,
                   struct accel_held_model **found, struct accel_error *err);
void accel_held_drop(struct accel_held *held, const char *key);

#endif
