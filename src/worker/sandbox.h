/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_WORKER_SANDBOX_H
#define ACCEL_WORKER_SANDBOX_H

#include "acceld/error.h"

/* Before the first byte of a stranger's model is read: from here on the process (its present thread
 * and all that it starts) may compute, use memory and memory files, and talk on the descriptors it
 * has. It can open no file, make no socket, run no program, map no code. What a library does in
 * passing (opening /sys files, asking for a terminal) fails with EACCES; all else ends the
 * process. memory_bytes: RLIMIT_AS, 0: none. Read what you need of /proc and /sys before. */
int accel_worker_sandbox(size_t memory_bytes, struct accel_error *err);

#endif
