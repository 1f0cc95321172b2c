/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_CORE_IPC_H
#define ACCEL_CORE_IPC_H

/* Packets between processes (schemas/ipc.proto) over a SOCK_SEQPACKET socket. Every size, count and
 * descriptor that arrives is checked here; the content is the reader's to check. */

#include "acceld/error.h"
#include "base/util.h"
#include "ipc.pb-c.h"

#define ACCEL_IPC_FDS_MAX    4
#define ACCEL_IPC_PACKET_MAX (128u * 1024u) /* encoded bytes of one Message */

/* One message as it came, with the descriptors beside it (close-on-exec). */
struct accel_ipc_packet {
    Accel__Ipc__Message *message;
    int fds[ACCEL_IPC_FDS_MAX];
    size_t fds_count;
};

/* A connected pair, close-on-exec. */
int accel_ipc_pair(int fds[2], struct accel_error *err);

/* Sends one message; the descriptors stay the caller's. Safe from several threads. Errors: LIMIT
 * (does not fit a packet), UNAVAILABLE (the other side is gone), IO. */
int accel_ipc_send(int socket, const Accel__Ipc__Message *message, const int *fds, size_t fds_count,
                   struct accel_error *err);
/* accel_ipc_send of an Error body that answers `id`. */
int accel_ipc_send_error(int socket, uint64_t id, const struct accel_error *what,
                         struct accel_error *err);

/* Waits for one message. Errors: UNAVAILABLE at end of file, CORRUPT (does not decode, too many
 * descriptors), IO, NOMEM. */
int accel_ipc_receive(int socket, struct accel_ipc_packet *packet, struct accel_error *err);
void accel_ipc_packet_free(struct accel_ipc_packet *packet); /* closes descriptors not taken */
/* Takes descriptor i out of the packet; -1 when there is none. */
int accel_ipc_take_fd(struct accel_ipc_packet *packet, size_t i);

/* Copies an Error body into *err and returns its code (INTERNAL for a code that is none of ours).
 */
int accel_ipc_to_error(const Accel__Ipc__Error *from, struct accel_error *err);

#endif
