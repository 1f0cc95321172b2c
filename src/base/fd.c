/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"

#define ALL_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

void accel_closep(int *fd)
{
    const int saved = errno;

    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    errno = saved;
}

int accel_write_all(int fd, const void *bytes, size_t size, const char *name,
                    struct accel_error *err)
{
    const char *at = bytes;

    while (size > 0) {
        const ssize_t n = write(fd, at, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return accel_fail_errno(err, errno, "write %s", name);
        at += n;
        size -= (size_t)n;
    }
    return ACCEL_OK;
}

int accel_write_file(const char *path, const void *bytes, size_t size, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_closep)
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

    if (fd < 0)
        return accel_fail_errno(err, errno, "create %s", path);
    return accel_write_all(fd, bytes, size, path, err);
}

int accel_read_full(int fd, void *bytes, size_t size, size_t *got, const char *name,
                    struct accel_error *err)
{
    *got = 0;
    while (*got < size) {
        const ssize_t n = read(fd, (char *)bytes + *got, size - *got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return accel_fail_errno(err, errno, "read %s", name);
        if (n == 0)
            break;
        *got += (size_t)n;
    }
    return ACCEL_OK;
}

int accel_read_file(const char *path, size_t max, char **text, size_t *size,
                    struct accel_error *err)
{
    ACCEL_CLEANUP(accel_closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
    ACCEL_CLEANUP(accel_freep) char *data = NULL;
    size_t capacity = 0, used = 0, got;

    if (fd < 0)
        return accel_fail_errno(err, errno, "open %s", path);
    /* Files of /sys and /proc say size 0: read until the end instead of trusting it. */
    do {
        if (accel_grow(&data, &capacity, used + 4096, 1, err) != ACCEL_OK)
            return accel_fail_in(err, "read %s", path);
        const size_t room = capacity - used - 1;
        if (accel_read_full(fd, data + used, room, &got, path, err) != ACCEL_OK)
            return err != NULL ? (int)err->code : ACCEL_E_IO;
        used += got;
        if (used > max)
            return accel_fail(err, ACCEL_E_LIMIT, "%s holds more than %zu bytes", path, max);
    } while (got > 0);
    data[used] = '\0';
    *text = accel_steal(&data);
    if (size != NULL)
        *size = used;
    return ACCEL_OK;
}

int accel_fd_size(int fd, size_t *size, struct accel_error *err)
{
    struct stat about;

    if (fstat(fd, &about) != 0)
        return accel_fail_errno(err, errno, "size of descriptor %d", fd);
    if (!S_ISREG(about.st_mode))
        return accel_fail(err, ACCEL_E_INVALID, "descriptor %d is no file", fd);
    *size = (size_t)about.st_size;
    return ACCEL_OK;
}

int accel_memfd_new(const char *name, size_t size, int *fd, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_closep) int made = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (made < 0)
        return accel_fail_errno(err, errno, "memory file %s", name);
    if (size > INT64_MAX || ftruncate(made, (off_t)size) != 0)
        return accel_fail_errno(err, size > INT64_MAX ? EFBIG : errno,
                                "memory file %s of %zu bytes", name, size);
    *fd = accel_steal_fd(&made);
    return ACCEL_OK;
}

int accel_memfd_of(const char *name, const void *bytes, size_t size, int *fd,
                   struct accel_error *err)
{
    ACCEL_CLEANUP(accel_closep) int made = -1;
    int rc = accel_memfd_new(name, 0, &made, err);

    if (rc == ACCEL_OK)
        rc = accel_write_all(made, bytes, size, name, err);
    /* The offset goes along with the descriptor: a reader begins at the beginning. */
    if (rc == ACCEL_OK && lseek(made, 0, SEEK_SET) != 0)
        rc = accel_fail_errno(err, errno, "rewind memory file %s", name);
    if (rc == ACCEL_OK)
        rc = accel_memfd_seal(made, err);
    if (rc == ACCEL_OK)
        *fd = accel_steal_fd(&made);
    return rc;
}

int accel_memfd_seal(int fd, struct accel_error *err)
{
    if (fcntl(fd, F_ADD_SEALS, ALL_SEALS) != 0)
        return accel_fail_errno(err, errno, "seal memory file");
    return ACCEL_OK;
}

bool accel_memfd_is_sealed(int fd)
{
    const int seals = fcntl(fd, F_GET_SEALS);

    return seals >= 0 && (seals & ALL_SEALS) == ALL_SEALS;
}
