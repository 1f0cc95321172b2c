/* SPDX-License-Identifier: Apache-2.0 */
/* A packet from a child. When the first byte is 'F', the rest is the memory file beside a Discovery
 * that is not inlined; else the packet itself. */
#include <sys/socket.h>

#include "base/fd.h"
#include "core/ipc.h"
#include "core/scan.h"

#include "fuzz/fuzz.h"

static void receive(int socket)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_ipc_packet packet;
    struct accel_scan scan;
    struct accel_error err, theirs;

    if (accel_ipc_receive(socket, &packet, &err) != ACCEL_OK)
        return;
    if (packet.message->body_case == ACCEL__IPC__MESSAGE__BODY_DISCOVERY)
        (void)accel_scan_decode(&packet, "fuzz", 1, &mem, &scan, &err);
    if (packet.message->body_case == ACCEL__IPC__MESSAGE__BODY_ERROR)
        FUZZ_MUST(accel_ipc_to_error(packet.message->error, &theirs) != ACCEL_OK);
    accel_ipc_packet_free(&packet);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ACCEL_CLEANUP(accel_closep) int ours = -1;
    ACCEL_CLEANUP(accel_closep) int theirs = -1;
    ACCEL_CLEANUP(accel_closep) int file = -1;
    struct accel_error err;
    int fds[2];

    if (size > ACCEL_IPC_PACKET_MAX)
        return 0;
    FUZZ_MUST(accel_ipc_pair(fds, &err) == ACCEL_OK);
    ours = fds[0];
    theirs = fds[1];
    if (size > 0 && data[0] == 'F') {
        Accel__Ipc__Message message = ACCEL__IPC__MESSAGE__INIT;
        Accel__Ipc__Discovery discovery = ACCEL__IPC__DISCOVERY__INIT;

        message.body_case = ACCEL__IPC__MESSAGE__BODY_DISCOVERY;
        message.discovery = &discovery;
        FUZZ_MUST(accel_memfd_of("list", data + 1, size - 1, &file, &err) == ACCEL_OK);
        FUZZ_MUST(accel_ipc_send(theirs, &message, &file, 1, &err) == ACCEL_OK);
    } else if (send(theirs, data, size, MSG_NOSIGNAL) != (ssize_t)size) {
        return 0;
    }
    accel_closep(&theirs);
    receive(ours);
    return 0;
}
