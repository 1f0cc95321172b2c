/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_SUPERVISOR_SPAWN_H
#define ACCEL_SUPERVISOR_SPAWN_H

/* Starting one child with exactly the descriptors it is to have. */

#include "core/privileges.h"

#define ACCEL_SPAWN_FDS_MAX 8
#define ACCEL_SPAWN_FD      3 /* fds[i] becomes descriptor ACCEL_SPAWN_FD + i */

struct accel_spawn {
    const char *program;
    char *const *argv;
    const int *fds;
    size_t fds_count;
    const struct accel_identity *identity; /* to become first; NULL: stays who we are */
};

/* Returns when the program is running (its exec has succeeded). Errors: those of exec and of
 * accel_identity_become. Single-threaded callers only. */
int accel_spawn(const struct accel_spawn *spawn, pid_t *pid, struct accel_error *err);

/* A program's arguments and descriptors, put together one by one. */
#define ACCEL_SPAWN_ARGS_MAX 32

struct accel_spawn_args {
    char *argv[ACCEL_SPAWN_ARGS_MAX];
    size_t argc;
    char numbers[ACCEL_SPAWN_ARGS_MAX][12];
    int fds[ACCEL_SPAWN_FDS_MAX];
    size_t fds_count;
};

/* Adds `name value`, or `value` alone; both are kept by reference. */
void accel_spawn_add(struct accel_spawn_args *a, const char *name, const char *value);
/* Passes a descriptor and says which number it will have. */
void accel_spawn_add_fd(struct accel_spawn_args *a, const char *name, int fd);

/* "killed by signal 9 (Killed)", "exit status 3". */
const char *accel_wait_status_text(int status, char *text, size_t size);

#endif
