/* SPDX-License-Identifier: Apache-2.0 */
#include "core/ipc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"

/* A packet up to this size is encoded on the stack: nearly all are. */
#define SMALL_PACKET   2048
/* How long a send waits for a reader whose socket buffer is full before it is called hung. */
#define SEND_TIMEOUT_S 10

/* protobuf-c allocates through base/mem.h, so that its out-of-memory paths can be tested too. */
static void *proto_alloc(void *context, size_t size)
{
    (void)context;
    return accel_malloc(size);
}

static void proto_free(void *context, void *pointer)
{
    (void)context;
    accel_free(pointer);
}

static ProtobufCAllocator proto_allocator = {.alloc = proto_alloc, .free = proto_free};

int accel_ipc_pair(int fds[2], struct accel_error *err)
{
    const struct timeval timeout = {.tv_sec = SEND_TIMEOUT_S};

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
        return accel_fail_errno(err, errno, "socket pair");
    for (int i = 0; i < 2; i++)
        if (setsockopt(fds[i], SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) != 0) {
            const int saved = errno;
            close(fds[0]);
            close(fds[1]);
            return accel_fail_errno(err, saved, "socket pair: send timeout");
        }
    return ACCEL_OK;
}

static int send_failed(int errnum, size_t size, struct accel_error *err)
{
    switch (errnum) {
    case EPIPE:
    case ECONNRESET:
    case ENOTCONN:
        return accel_fail(err, ACCEL_E_UNAVAILABLE, "the process at the other end is gone");
    case EAGAIN:
        return accel_fail(err, ACCEL_E_UNAVAILABLE,
                          "the process at the other end has not read its messages for %d s",
                          SEND_TIMEOUT_S);
    case EMSGSIZE:
        return accel_fail(err, ACCEL_E_LIMIT, "message of %zu bytes is too long for a packet",
                          size);
    default:
        return accel_fail_errno(err, errnum, "send message of %zu bytes", size);
    }
}

int accel_ipc_send(int socket, const Accel__Ipc__Message *message, const int *fds, size_t fds_count,
                   struct accel_error *err)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int) * ACCEL_IPC_FDS_MAX)];
        struct cmsghdr align;
    } control = {0};
    const size_t size = accel__ipc__message__get_packed_size(message);
    uint8_t small[SMALL_PACKET];
    ACCEL_CLEANUP(accel_freep) uint8_t *large = NULL;
    uint8_t *bytes = small;

    if (size == 0 || message->body_case == ACCEL__IPC__MESSAGE__BODY__NOT_SET)
        return accel_fail(err, ACCEL_E_INTERNAL, "message without a body");
    if (size > ACCEL_IPC_PACKET_MAX)
        return accel_fail(err, ACCEL_E_LIMIT, "message of %zu bytes is over the packet's %u", size,
                          ACCEL_IPC_PACKET_MAX);
    if (fds_count > ACCEL_IPC_FDS_MAX)
        return accel_fail(err, ACCEL_E_LIMIT, "%zu descriptors are over the packet's %d", fds_count,
                          ACCEL_IPC_FDS_MAX);
    if (size > sizeof(small)) {
        large = accel_malloc(size);
        if (large == NULL)
            return accel_fail(err, ACCEL_E_NOMEM, "no memory to encode a message of %zu bytes",
                              size);
        bytes = large;
    }
    accel__ipc__message__pack(message, bytes);

    struct iovec iov = {.iov_base = bytes, .iov_len = size};
    struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fds_count > 0) {
        header.msg_control = control.bytes;
        header.msg_controllen = CMSG_SPACE(sizeof(int) * fds_count);
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&header);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int) * fds_count);
        memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * fds_count);
    }
    /* A packet goes whole or not at all; concurrent senders do not mix. */
    while (sendmsg(socket, &header, MSG_NOSIGNAL) < 0)
        if (errno != EINTR)
            return send_failed(errno, size, err);
    return ACCEL_OK;
}

int accel_ipc_send_error(int socket, uint64_t id, const struct accel_error *what,
                         struct accel_error *err)
{
    Accel__Ipc__Error body = ACCEL__IPC__ERROR__INIT;
    Accel__Ipc__Message message = ACCEL__IPC__MESSAGE__INIT;

    body.code = (uint32_t)what->code;
    body.msg = (char *)what->msg;
    message.id = id;
    message.body_case = ACCEL__IPC__MESSAGE__BODY_ERROR;
    message.error = &body;
    return accel_ipc_send(socket, &message, NULL, 0, err);
}

/* Every descriptor of every control message goes to `packet`, or is closed when there is no room.
 * Returns how many there were. */
static size_t collect_fds(struct msghdr *header, struct accel_ipc_packet *packet)
{
    size_t total = 0;

    for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(header); cmsg != NULL;
         cmsg = CMSG_NXTHDR(header, cmsg)) {
        if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
            continue;
        const size_t count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++, total++) {
            int fd;
            memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(int));
            if (packet->fds_count < ACCEL_IPC_FDS_MAX)
                packet->fds[packet->fds_count++] = fd;
            else
                accel_closep(&fd);
        }
    }
    return total;
}

static int receive_failed(int errnum, struct accel_error *err)
{
    if (errnum == ECONNRESET || errnum == ENOTCONN)
        return accel_fail(err, ACCEL_E_UNAVAILABLE, "the process at the other end is gone");
    return accel_fail_errno(err, errnum, "receive message");
}

/* Reads the waiting packet of `size` bytes into `bytes`. */
static int receive_into(int socket, uint8_t *bytes, size_t size, struct accel_ipc_packet *packet,
                        struct accel_error *err)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int) * ACCEL_IPC_FDS_MAX)];
        struct cmsghdr align;
    } control;
    struct iovec iov = {.iov_base = bytes, .iov_len = size};
    struct msghdr header = {.msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = control.bytes,
                            .msg_controllen = sizeof(control.bytes)};
    ssize_t got;

    while ((got = recvmsg(socket, &header, MSG_CMSG_CLOEXEC)) < 0)
        if (errno != EINTR)
            return receive_failed(errno, err);
    const size_t fds = collect_fds(&header, packet);
    /* MSG_CTRUNC: more descriptors than our room, or than our own limit of open files. */
    if (fds > ACCEL_IPC_FDS_MAX || (header.msg_flags & MSG_CTRUNC) != 0)
        return accel_fail(err, ACCEL_E_CORRUPT,
                          "message with more than %d descriptors, or than may be open",
                          ACCEL_IPC_FDS_MAX);
    if (got == 0 && fds == 0)
        return accel_fail(err, ACCEL_E_UNAVAILABLE, "the other end of the channel was closed");
    if ((header.msg_flags & MSG_TRUNC) != 0 || (size_t)got != size)
        return accel_fail(err, ACCEL_E_CORRUPT, "message of more than %zu bytes", size);
    packet->message = accel__ipc__message__unpack(&proto_allocator, size, bytes);
    if (packet->message == NULL)
        return accel_fail(err, ACCEL_E_CORRUPT, "message of %zu bytes cannot be decoded", size);
    if (packet->message->body_case == ACCEL__IPC__MESSAGE__BODY__NOT_SET)
        return accel_fail(err, ACCEL_E_CORRUPT, "message of an unknown kind");
    return ACCEL_OK;
}

int accel_ipc_receive(int socket, struct accel_ipc_packet *packet, struct accel_error *err)
{
    uint8_t small[SMALL_PACKET];
    ACCEL_CLEANUP(accel_freep) uint8_t *large = NULL;
    uint8_t *bytes = small;
    ssize_t size;

    *packet = (struct accel_ipc_packet){0};
    /* Looking first keeps an idle reader from holding a whole packet's room. */
    while ((size = recv(socket, NULL, 0, MSG_PEEK | MSG_TRUNC)) < 0)
        if (errno != EINTR)
            return receive_failed(errno, err);
    if ((size_t)size > sizeof(small) && (size_t)size <= ACCEL_IPC_PACKET_MAX) {
        large = accel_malloc((size_t)size);
        bytes = large;
    }
    if (bytes == NULL || (size_t)size > ACCEL_IPC_PACKET_MAX) {
        /* Take it off the queue, so that its descriptors are closed and the next one can come. */
        (void)receive_into(socket, small, 1, packet, NULL);
        accel_ipc_packet_free(packet);
        if (bytes == NULL)
            return accel_fail(err, ACCEL_E_NOMEM, "no memory for a message of %zd bytes", size);
        return accel_fail(err, ACCEL_E_CORRUPT, "message of %zd bytes is over the packet's %u",
                          size, ACCEL_IPC_PACKET_MAX);
    }
    const int rc = receive_into(socket, bytes, (size_t)size, packet, err);
    if (rc != ACCEL_OK)
        accel_ipc_packet_free(packet);
    return rc;
}

void accel_ipc_packet_free(struct accel_ipc_packet *packet)
{
    if (packet->message != NULL)
        accel__ipc__message__free_unpacked(packet->message, &proto_allocator);
    for (size_t i = 0; i < packet->fds_count; i++)
        accel_closep(&packet->fds[i]);
    *packet = (struct accel_ipc_packet){0};
}

int accel_ipc_take_fd(struct accel_ipc_packet *packet, size_t i)
{
    return i < packet->fds_count ? accel_steal_fd(&packet->fds[i]) : -1;
}

int accel_ipc_to_error(const Accel__Ipc__Error *from, struct accel_error *err)
{
    enum accel_code code = ACCEL_E_INTERNAL;

    switch (from->code) {
#define KNOWN(name, number, text)         \
    case (number):                        \
        code = (enum accel_code)(number); \
        break;
        ACCEL_ERROR_MAP(KNOWN)
#undef KNOWN
    default:
        break;
    }
    return accel_fail(err, code, "%s", from->msg[0] != '\0' ? from->msg : accel_code_text(code));
}
