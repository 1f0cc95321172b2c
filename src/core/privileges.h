/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_CORE_PRIVILEGES_H
#define ACCEL_CORE_PRIVILEGES_H

/* Becoming an ordinary user for good. */

#include <sys/types.h>

#include "acceld/error.h"
#include "base/util.h"

#define ACCEL_GROUPS_MAX 64

struct accel_identity {
    uid_t uid;
    gid_t gid;
    gid_t groups[ACCEL_GROUPS_MAX]; /* supplementary */
    int groups_count;
};

/* Looks the user up. Errors: NOT_FOUND with the cure; INVALID (root itself); IO. */
int accel_identity_find(const char *user, struct accel_identity *identity, struct accel_error *err);

/* Groups, user, capabilities (all sets and the bounding set) and PR_SET_NO_NEW_PRIVS; then checks
 * that it is so and cannot be undone. Allocates nothing: may run between fork and exec. Errors:
 * DENIED. */
int accel_identity_become(const struct accel_identity *identity, struct accel_error *err);

/* Takes root's home and name out of the environment: vendor code that looks there for its cache
 * would find it closed, and give up. */
void accel_forget_home(void);

/* The process dies when the thread that forked it does; a change of user clears this, so it comes
 * last. Returns false when the parent is dead already. */
bool accel_die_with_parent(pid_t parent);

#endif
