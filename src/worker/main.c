/* SPDX-License-Identifier: Apache-2.0 */
/* acceld-worker: parses, packs and runs models behind a sandbox. Started by the supervisor
 * (core/roles.h). */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/pool.h"
#include "core/roles.h"
#include "worker/sandbox.h"
#include "worker/worker.h"

static int read_config(int fd, struct accel_config **config, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_freep) char *text = NULL;
    struct stat st;
    size_t got;

    if (fd < 0 || fstat(fd, &st) != 0 || (text = accel_malloc((size_t)st.st_size + 1)) == NULL ||
        pread(fd, text, (size_t)st.st_size, 0) != st.st_size)
        return accel_fail(err, ACCEL_E_INVALID, "--config-fd: cannot be read");
    got = (size_t)st.st_size;
    return accel_config_parse(text, got, "configuration", config, err);
}

static int start(int argc, char **argv, struct accel_config **config, int *channel,
                 struct accel_error *err)
{
    const char *name = "?";
    int config_fd = -1;

    *channel = -1;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--name") == 0)
            name = argv[i + 1];
        else if (strcmp(argv[i], "--config-fd") == 0)
            config_fd = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--channel-fd") == 0)
            *channel = atoi(argv[i + 1]);
        else
            return accel_fail(err, ACCEL_E_INVALID, "unknown option %s", argv[i]);
    }
    char role[32];
    snprintf(role, sizeof(role), "worker-cpu-%s", name);
    accel_log_init(role, ACCEL_LOG_INFO);
    int rc = read_config(config_fd, config, err);
    if (rc != ACCEL_OK)
        return rc;
    close(config_fd);
    accel_log_set_level((*config)->log_level);
    (void)accel_usable_cpus(); /* reads the CPU quota while files can still be opened */
    return accel_worker_sandbox((*config)->workers.memory_bytes, err);
}

int main(int argc, char **argv)
{
    struct accel_config *config = NULL;
    struct accel_error err;
    int channel;

    prctl(PR_SET_NAME, "acceld-worker"); /* it was started by descriptor: that has no name */
    if (start(argc, argv, &config, &channel, &err) != ACCEL_OK) {
        accel_log_error("cannot start", "error=\"%s\" note=\"acceld starts this program\"",
                        err.msg);
        return ACCEL_EXIT_CONFIG;
    }
    const int rc = accel_worker_run(config, channel, &err);
    if (rc != ACCEL_OK)
        accel_log_error("ends", "error=\"%s\"", err.msg);
    accel_config_free(config);
    return rc == ACCEL_OK ? 0 : 1;
}
