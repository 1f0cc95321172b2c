/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_HARDWARE_HOST_LIVE_H
#define ACCEL_HARDWARE_HOST_LIVE_H

/* The parts of the live host, one file each. */

#include <sys/socket.h>

#include "hardware/host.h"

/* host_live.c: the open(2) of the host's root. Returns a descriptor or -1 with errno. */
struct accel_live;
int accel_live_open(const struct accel_live *live, const char *path, int flags);
bool accel_live_is_machine(const struct accel_live *live); /* rooted at "/" */

/* host_events.c */
struct accel_events;
int accel_events_uevents(struct accel_events **events, const char *subsystem, int *fd,
                         struct accel_error *err);
/* `folder_fd` stays the caller's; `file` is the name in it. */
int accel_events_file(struct accel_events **events, int folder_fd, const char *file, int *fd,
                      struct accel_error *err);
int accel_events_fd(const struct accel_events *events); /* -1 when nothing is watched */
void accel_events_take(struct accel_events *events);
bool accel_events_drain(struct accel_events *events, int fd);
void accel_events_free(struct accel_events *events);
/* True when the packet comes from the kernel (nl_pid 0) and, by its credentials, from uid 0. */
bool accel_uevent_is_kernel(const struct msghdr *header);
/* True for a kernel uevent ("add@/devices/...\0ACTION=add\0...") of the subsystem; NULL: any. */
bool accel_uevent_matches(const char *message, size_t size, const char *subsystem);

/* host_cpuid.c */
struct accel_cpuid_table;
/* From the text of an acceld/cpuid file. Errors: CORRUPT with the line, NOMEM. */
int accel_cpuid_table_parse(const char *text, struct accel_cpuid_table **table,
                            struct accel_error *err);
void accel_cpuid_table_free(struct accel_cpuid_table *table);
/* NULL table: the machine's own. */
int accel_cpuid_get(const struct accel_cpuid_table *table, uint32_t leaf, uint32_t subleaf,
                    uint32_t regs[4], struct accel_error *err);
int accel_cpuid_xcr0(const struct accel_cpuid_table *table, uint64_t *xcr0,
                     struct accel_error *err);

/* host_tool.c */
int accel_tool_run(const char *const argv[], int64_t deadline_ms, char *text, size_t size,
                   int *status, struct accel_error *err);

/* host_call.c */
struct accel_libraries;
/* `file` is what dlopen is given for `library` (the same, or where it lies below the root). */
int accel_libraries_call(struct accel_libraries **libraries, const char *library, const char *file,
                         const char *symbol, const char *signature, struct accel_value *result,
                         struct accel_value *args, struct accel_error *err);
bool accel_libraries_has(const struct accel_libraries *libraries, const char *library);
void accel_libraries_free(struct accel_libraries *libraries);
/* Checks a signature: INVALID names what is wrong. *args: how many arguments. */
int accel_signature_check(const char *signature, size_t *args, struct accel_error *err);

#endif
