/* SPDX-License-Identifier: Apache-2.0 */
/* accel-run pack: the optimised graph, its plan and packed weights as one file to be mapped. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "cli/ctl.h"
#include "cli/run.h"
#include "cli/waiting.h"

/* Written beside its name and renamed: whoever maps the old file keeps a whole one. */
static int write_packed(const struct accel_model *model, const char *path, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_freep) char *part = accel_asprintf("%s.XXXXXX", path);

    if (part == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a name");
    ACCEL_CLEANUP(accel_closep) int fd = mkostemp(part, O_CLOEXEC);
    if (fd < 0)
        return accel_fail_errno(err, errno, "create %s", part);
    accel_waiting_unfinished(part);
    int rc = accel_model_pack(model, fd, err);
    if (rc == ACCEL_OK && (fchmod(fd, 0644) != 0 || rename(part, path) != 0))
        rc = accel_fail_errno(err, errno, "rename %s to %s", part, path);
    if (rc != ACCEL_OK)
        unlink(part);
    accel_waiting_unfinished(NULL);
    return rc;
}

int accel_run_pack(int argc, char **argv, int *status, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_run_options_free) struct accel_run_options o = {0};
    ACCEL_CLEANUP(accel_run_unref) struct accel_model *model = NULL;
    ACCEL_CLEANUP(accel_waiting_end) struct accel_waiting waiting = {0};
    const char *output = NULL;
    const struct accel_opt opts[] = {
        {"output", 'o', ACCEL_OPT_STRING, &output, "FILE", "the file to write"},
        ACCEL_RUN_OPT_LOAD(&o),
        ACCEL_RUN_OPT_SHAPES(&o),
        {0},
    };
    int operands;
    int rc = accel_run_parse(
        "pack MODEL --output FILE",
        "Writes the optimised graph with its plan and packed weights, for `accel-run bench "
        "--packed`\n"
        "and the other verbs that take --packed. It fits this CPU's instruction sets.",
        opts, &o, argc, argv, 1, 1, &operands, status, err);

    if (rc != ACCEL_OK)
        return rc;
    if (output == NULL || output[0] == '\0') {
        *status = 2;
        return accel_fail(err, ACCEL_E_INVALID, "where to? --output FILE");
    }
    accel_waiting_begin(&waiting, "load");
    rc = accel_run_load(&o, argv[0], &model, err);
    accel_waiting_say(&waiting, "pack");
    if (rc == ACCEL_OK)
        rc = write_packed(model, output, err);
    accel_waiting_end(&waiting);
    if (rc != ACCEL_OK)
        return rc;
    printf("%s: %s\n", output, accel_ctl_bytes((double)accel_model_packed_bytes(model)));
    *status = 0;
    return ACCEL_OK;
}
