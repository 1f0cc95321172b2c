/* SPDX-License-Identifier: Apache-2.0 */
/* A recorded tape: read, then asked for what the seeds hold. */
#include <stdio.h>

#include "base/fd.h"
#include "hardware/host.h"

#include "fuzz/fuzz.h"

static int each(void *context, const char *name)
{
    *(size_t *)context += strlen(name);
    return ACCEL_OK;
}

static void ask(const struct accel_host *host)
{
    struct accel_value result = {0}, args[3] = {0};
    char text[64], buffer[16] = "";
    struct accel_error err;
    uint32_t regs[4];
    uint64_t xcr0;
    unsigned cpus;
    size_t got;
    int handle, status;

    for (int i = 0; i < 2; i++) {
        (void)host->read(host, "/a", text, sizeof(text), &err);
        (void)host->read_bytes(host, "/a", text, sizeof(text), &got, &err);
        (void)host->write(host, "/a", "x", 1, &err);
        got = 0;
        (void)host->list(host, "/a", each, &got, &err);
        (void)host->readlink(host, "/a", text, sizeof(text), &err);
        if (host->open_node(host, "/a", 0, &handle, &err) == ACCEL_OK) {
            (void)host->ioctl(host, handle, 1, buffer, 4, &err);
            host->close_node(host, handle);
        }
        (void)host->pci_config(host, "0000:3b:00.0", 0, text, sizeof(text), &got, &err);
        (void)host->cpuid(host, 1, 0, regs, &err);
        (void)host->xgetbv(host, &xcr0, &err);
        (void)host->usable_cpus(host, &cpus, &err);
        (void)host->now_ns(host);
        (void)host->run_tool(host, (const char *const[]){"/a", NULL}, 1000, text, sizeof(text),
                             &status, &err);
        args[0].value.integer = 1;
        args[1].value.buffer.bytes = buffer;
        args[1].value.buffer.size = sizeof(buffer);
        (void)host->call(host, "/a", "f", "iib", &result, args, &err);
    }
    (void)accel_host_check(host, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ACCEL_CLEANUP(accel_closep) int fd = -1;
    struct accel_host *host = NULL;
    struct accel_error err;
    char path[64];

    FUZZ_MUST(accel_memfd_of("tape", data, size, &fd, &err) == ACCEL_OK);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (accel_host_replay_new(path, &host, &err) == ACCEL_OK) {
        ask(host);
        accel_host_free(host);
    }
    return 0;
}
