/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "cli/ctl.h"

/* It holds what projects own: for its owner's eyes. It appears under its name when it is whole. */
static int write_file(const char *path, const struct accel_buf *bytes, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_freep) char *part = accel_asprintf("%s.part", path);
    ACCEL_CLEANUP(accel_closep) int fd = -1;

    if (part == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a backup");
    fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return accel_fail_errno(err, errno, "make %s", part);
    int rc = accel_write_all(fd, bytes->data, bytes->size, part, err);
    if (rc == ACCEL_OK && (fsync(fd) != 0 || rename(part, path) != 0))
        rc = accel_fail_errno(err, errno, "write %s", path);
    if (rc != ACCEL_OK)
        unlink(part);
    return rc;
}

int accel_ctl_backup(struct accel_ctl *ctl, int argc, char **argv, struct accel_error *err)
{
    static const char usage[] =
        "backup FILE\n"
        "Everything but the files of the models. `acceld --restore FILE` puts it back.";
    ACCEL_CLEANUP(accel_ctl_reply_free) struct accel_ctl_reply reply = {0};
    struct stat about;
    bool force = false;
    const struct accel_opt opts[] = {
        {"force", 'f', ACCEL_OPT_FLAG, &force, NULL, "replace a FILE that is there"},
        {NULL, 0, ACCEL_OPT_FLAG, NULL, NULL, NULL},
    };
    int operands, rc = accel_ctl_options(usage, opts, argc, argv, 1, 1, &operands, err);

    if (rc != ACCEL_OK)
        return rc;
    if (!force && lstat(argv[0], &about) == 0)
        return accel_fail(err, ACCEL_E_EXISTS, "%s is there already; --force replaces it", argv[0]);
    rc = accel_ctl_send(ctl, &(struct accel_ctl_request){.method = "GET", .path = "/v2/backup"},
                        &reply, err);
    if (rc == ACCEL_OK)
        rc = write_file(argv[0], &reply.body, err);
    if (rc == ACCEL_OK)
        printf("%s: %s\n", argv[0], accel_ctl_bytes((double)reply.body.size));
    return rc;
}
