/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_BASE_FD_H
#define ACCEL_BASE_FD_H

/* File descriptors: whole reads and writes, sealed memory files, closing at end of scope. */

#include "acceld/error.h"
#include "base/util.h"

/* For ACCEL_CLEANUP: closes *fd if it is not negative and sets it to -1; keeps errno. */
void accel_closep(int *fd);

/* Gives up ownership of a descriptor: returns it and leaves -1 behind. */
static inline int accel_steal_fd(int *fd)
{
    const int taken = *fd;

    *fd = -1;
    return taken;
}

/* Writes all of it, across short writes and EINTR. `name` is for the message. */
int accel_write_all(int fd, const void *bytes, size_t size, const char *name,
                    struct accel_error *err);
/* Makes or replaces a file (mode 0666 less the umask). Errors: as errno says. */
int accel_write_file(const char *path, const void *bytes, size_t size, struct accel_error *err);
/* Reads until `size` bytes or end of file; *got is what came. */
int accel_read_full(int fd, void *bytes, size_t size, size_t *got, const char *name,
                    struct accel_error *err);
/* Reads a whole file into a new NUL-terminated string (*size may be NULL) to be freed by
 * accel_free. Errors: as errno says; LIMIT when it holds more than `max` bytes. */
int accel_read_file(const char *path, size_t max, char **text, size_t *size,
                    struct accel_error *err);

/* Bytes of a file or memory file. Errors: as errno says; INVALID when it is none of both. */
int accel_fd_size(int fd, size_t *size, struct accel_error *err);

/* A memory file (memfd_create, close-on-exec, sealable) of `size` zero bytes. */
int accel_memfd_new(const char *name, size_t size, int *fd, struct accel_error *err);
/* A sealed memory file holding the bytes. */
int accel_memfd_of(const char *name, const void *bytes, size_t size, int *fd,
                   struct accel_error *err);
/* Nobody can write, shrink or grow it from here on. No writable mapping may be left. */
int accel_memfd_seal(int fd, struct accel_error *err);
/* True when all four seals are on: the only memory files whose content cannot change under us. */
bool accel_memfd_is_sealed(int fd);

#endif
