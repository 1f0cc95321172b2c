/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_HARDWARE_HOST_H
#define ACCEL_HARDWARE_HOST_H

/* The three makers of the host object of acceld/driver.h: the machine itself (or a recorded tree),
 * a host that writes down what another one answers, and one that answers from such a tape.
 *
 * A tape is a text file of JSON lines, the first {"acceld_tape": 1}, each other one
 * {"op": ..., "args": {...}, "code": 0, ...results} for one operation in the order they were asked.
 * What cannot be taped: mappings (mmap) and the moments at which a watch fires. */

#include "acceld/driver.h"
#include "base/util.h"

/* Everything below `sysroot`; "/" is the machine itself. In another root no path leads out (.. and
 * absolute links stay inside), there are no uevents and no tools, and CPUID comes from the file
 * <sysroot>/acceld/cpuid: lines of hexadecimal numbers "leaf subleaf eax ebx ecx edx" and
 * "xcr0 value"; # begins a comment. Not there: cpuid answers UNSUPPORTED.
 * `name` goes into log lines. Errors: NOT_FOUND, DENIED, UNSUPPORTED (a kernel before 5.6), NOMEM.
 */
int accel_host_live_new(const char *sysroot, const char *name, struct accel_host **host,
                        struct accel_error *err);

/* Writes a tape beside what `inner` answers; owns `inner` from then on, in any case. The tape is
 * complete when the host is freed. */
int accel_host_record_new(struct accel_host *inner, const char *tape, struct accel_host **host,
                          struct accel_error *err);

/* Answers from a tape: equal questions get their answers in the order of the tape, the last one
 * again and again. A question that the tape does not hold fails with NOT_FOUND and says so in a
 * sentence that begins "the tape holds no". Errors: as for reading a file; CORRUPT with the line.
 */
int accel_host_replay_new(const char *tape, struct accel_host **host, struct accel_error *err);

/* Fails with the first question that a tape could not answer; always ACCEL_OK for other hosts. */
int accel_host_check(const struct accel_host *host, struct accel_error *err);

void accel_host_free(struct accel_host *host);
void accel_host_freep(struct accel_host **host); /* for ACCEL_CLEANUP */

/* The descriptor to poll for kernel events and changes of watched files, -1: none; and what to do
 * when it is readable: takes all that came and, 200 ms after the first of a burst, lets the
 * descriptor that the module was given become readable. */
int accel_host_event_fd(const struct accel_host *host);
void accel_host_take_events(struct accel_host *host);
/* Makes a descriptor given out by uevents() or watch_file() unreadable again. False when it is none
 * of them: then it is the module's own. */
bool accel_host_drain(struct accel_host *host, int fd);

/* Writes this machine's CPUID leaves and xcr0 as the text of an acceld/cpuid file. */
struct accel_buf;
int accel_host_cpuid_text(struct accel_buf *out, struct accel_error *err);

/* Between the makers and the functions above: what lies behind accel_host.self. */
struct accel_host_ops {
    void (*free)(struct accel_host *host);
    int (*event_fd)(const struct accel_host *host);
    void (*take_events)(struct accel_host *host);
    bool (*drain)(struct accel_host *host, int fd);
    int (*check)(const struct accel_host *host, struct accel_error *err); /* NULL: nothing to say */
};
struct accel_host_self {
    const struct accel_host_ops *ops;
};

#endif
