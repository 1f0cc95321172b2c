/* SPDX-License-Identifier: Apache-2.0 */
#include "core/ipc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "tap.h"

static size_t open_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    size_t count = 0;

    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

static void make_load(Accel__Ipc__Message *m, Accel__Ipc__Load *load, char *name)
{
    accel__ipc__message__init(m);
    accel__ipc__load__init(load);
    m->id = 7;
    m->request_id = (char *)"req-1";
    m->body_case = ACCEL__IPC__MESSAGE__BODY_LOAD;
    m->load = load;
    load->model = name;
    load->size_bytes = 3;
}

static void carries_a_message_and_its_descriptors(void)
{
    int pair[2], file, back;
    Accel__Ipc__Message m;
    Accel__Ipc__Load load;
    struct accel_ipc_packet p;
    struct accel_error err;
    char text[4] = {0};
    const size_t before = open_fds();

    ok(accel_ipc_pair(pair, &err) == ACCEL_OK && (fcntl(pair[0], F_GETFD) & FD_CLOEXEC) != 0,
       "a pair is made and closes on exec");
    ok(accel_memfd_of("t", "abc", 3, &file, &err) == ACCEL_OK, "a memory file to send");
    make_load(&m, &load, (char *)"squeezenet/1");
    ok(accel_ipc_send(pair[0], &m, &file, 1, &err) == ACCEL_OK, "a message is sent");
    ok(accel_ipc_receive(pair[1], &p, &err) == ACCEL_OK && p.message->id == 7 &&
           strcmp(p.message->request_id, "req-1") == 0 &&
           p.message->body_case == ACCEL__IPC__MESSAGE__BODY_LOAD &&
           strcmp(p.message->load->model, "squeezenet/1") == 0 && p.fds_count == 1,
       "it arrives as it was sent");
    ok((fcntl(p.fds[0], F_GETFD) & FD_CLOEXEC) != 0, "a received descriptor closes on exec");
    back = accel_ipc_take_fd(&p, 0);
    ok(back >= 0 && accel_ipc_take_fd(&p, 0) == -1 && accel_ipc_take_fd(&p, 1) == -1,
       "a descriptor is taken once");
    accel_ipc_packet_free(&p);
    ok(pread(back, text, 3, 0) == 3 && strcmp(text, "abc") == 0,
       "a taken descriptor outlives its packet");
    close(back);
    close(file);
    close(pair[0]);
    ok(accel_ipc_receive(pair[1], &p, &err) == ACCEL_E_UNAVAILABLE,
       "a closed channel is UNAVAILABLE to the reader");
    ok(accel_ipc_send(pair[1], &m, NULL, 0, &err) == ACCEL_E_UNAVAILABLE,
       "and to the writer, without a signal");
    close(pair[1]);
    ok(open_fds() == before, "no descriptor is left open");
}

static void carries_errors(void)
{
    int pair[2];
    struct accel_ipc_packet p;
    struct accel_error err, got;
    const struct accel_error what = {ACCEL_E_LIMIT, "too many nodes: 60000"};

    ok(accel_ipc_pair(pair, &err) == ACCEL_OK, "a pair");
    ok(accel_ipc_send_error(pair[0], 9, &what, &err) == ACCEL_OK, "an error is sent");
    ok(accel_ipc_receive(pair[1], &p, &err) == ACCEL_OK && p.message->id == 9 &&
           accel_ipc_to_error(p.message->error, &got) == ACCEL_E_LIMIT &&
           strcmp(got.msg, what.msg) == 0,
       "it arrives with its code and its sentence");
    p.message->error->code = 4711;
    ok(accel_ipc_to_error(p.message->error, &got) == ACCEL_E_INTERNAL,
       "a code that is none of ours becomes INTERNAL");
    p.message->error->code = 0;
    ok(accel_ipc_to_error(p.message->error, &got) == ACCEL_E_INTERNAL,
       "an Error without a code is no success");
    accel_ipc_packet_free(&p);
    close(pair[0]);
    close(pair[1]);
}

static void refuses_what_does_not_fit(void)
{
    int pair[2];
    int fds[ACCEL_IPC_FDS_MAX + 1] = {0};
    Accel__Ipc__Message m;
    Accel__Ipc__Load load;
    struct accel_ipc_packet p;
    struct accel_error err;
    char *big = accel_calloc(1, ACCEL_IPC_PACKET_MAX + 1);

    memset(big, 'x', ACCEL_IPC_PACKET_MAX);
    ok(accel_ipc_pair(pair, &err) == ACCEL_OK, "a pair");
    make_load(&m, &load, big);
    ok(accel_ipc_send(pair[0], &m, NULL, 0, &err) == ACCEL_E_LIMIT,
       "a message over the packet's size is LIMIT: %s", err.msg);
    big[ACCEL_IPC_PACKET_MAX - 64] = '\0';
    ok(accel_ipc_send(pair[0], &m, NULL, 0, &err) == ACCEL_OK &&
           accel_ipc_receive(pair[1], &p, &err) == ACCEL_OK &&
           strcmp(p.message->load->model, big) == 0,
       "one just below it arrives whole");
    accel_ipc_packet_free(&p);
    make_load(&m, &load, (char *)"m");
    ok(accel_ipc_send(pair[0], &m, fds, ACCEL_IPC_FDS_MAX + 1, &err) == ACCEL_E_LIMIT,
       "too many descriptors are LIMIT");
    m.body_case = ACCEL__IPC__MESSAGE__BODY__NOT_SET;
    ok(accel_ipc_send(pair[0], &m, NULL, 0, &err) == ACCEL_E_INTERNAL,
       "a message without a body is our own mistake");
    close(pair[0]);
    close(pair[1]);
    accel_free(big);
}

static void send_raw(int socket, const void *bytes, size_t size, int fd, size_t times)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int) * 16)];
        struct cmsghdr align;
    } control = {0};
    struct iovec iov = {.iov_base = (void *)bytes, .iov_len = size};
    struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};

    if (times > 0) {
        header.msg_control = control.bytes;
        header.msg_controllen = CMSG_SPACE(sizeof(int) * times);
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&header);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int) * times);
        for (size_t i = 0; i < times; i++)
            memcpy(CMSG_DATA(cmsg) + i * sizeof(int), &fd, sizeof(int));
    }
    ok(sendmsg(socket, &header, MSG_NOSIGNAL) == (ssize_t)size, "sends %zu raw bytes", size);
}

/* What a process that was taken over might send. */
static void survives_damaged_packets(void)
{
    int pair[2];
    struct accel_ipc_packet p;
    struct accel_error err;
    Accel__Ipc__Message m;
    Accel__Ipc__Load load;
    uint8_t good[128];
    /* Field 11 (progress) claims 200 bytes and has two; an unknown field only; a packet over size.
     */
    const uint8_t lies[] = {0x5a, 0xc8, 0x01, 0, 0}, unknown[] = {0xf8, 0x7f, 1};
    static const uint8_t huge[ACCEL_IPC_PACKET_MAX + 100];
    const size_t before = open_fds();

    ok(accel_ipc_pair(pair, &err) == ACCEL_OK, "a pair");
    send_raw(pair[0], lies, sizeof(lies), pair[0], 2);
    ok(accel_ipc_receive(pair[1], &p, &err) == ACCEL_E_CORRUPT && p.fds_count == 0,
       "a length that lies is CORRUPT: %s", err.msg);
    send_raw(pair[0], unknown, sizeof(unknown), pair[0], 1);
    ok(accel_ipc_receive(pair[1], &p, &err) == ACCEL_E_CORRUPT, "no known body is CORRUPT: %s",
       err.msg);
    send_raw(pair[0], huge, sizeof(huge), pair[0], 4);
    ok(accel_ipc_receive(pair[1], &p, &err) == ACCEL_E_CORRUPT, "too long is CORRUPT: %s", err.msg);
    make_load(&m, &load, (char *)"m");
    const size_t size = accel__ipc__message__pack(&m, good);
    send_raw(pair[0], good, size, pair[0], 12);
    ok(accel_ipc_receive(pair[1], &p, &err) == ACCEL_E_CORRUPT && p.message == NULL,
       "twelve descriptors are CORRUPT: %s", err.msg);
    ok(accel_ipc_send(pair[0], &m, NULL, 0, &err) == ACCEL_OK &&
           accel_ipc_receive(pair[1], &p, &err) == ACCEL_OK && p.message->id == 7,
       "the next good message is read all the same");
    accel_ipc_packet_free(&p);
    /* Every prefix and every single flipped byte either decodes or is refused. */
    unsigned decoded = 0, refused = 0;
    for (size_t i = 0; i < size; i++) {
        uint8_t bent[sizeof(good)];
        memcpy(bent, good, size);
        bent[i] ^= 0x55;
        (void)!send(pair[0], bent, size, MSG_NOSIGNAL);
        if (accel_ipc_receive(pair[1], &p, &err) == ACCEL_OK)
            decoded++;
        else
            refused++;
        accel_ipc_packet_free(&p);
    }
    ok(decoded + refused == size && refused > 0, "%u bent packets refused, %u read", refused,
       decoded);
    close(pair[0]);
    close(pair[1]);
    ok(open_fds() == before, "every descriptor of a damaged packet was closed");
}

static void survives_every_failed_allocation(void)
{
    int pair[2], file;
    Accel__Ipc__Message m;
    Accel__Ipc__Load load;
    struct accel_ipc_packet p;
    struct accel_error err;
    const size_t before = open_fds();

    ok(accel_ipc_pair(pair, &err) == ACCEL_OK &&
           accel_memfd_of("t", "abc", 3, &file, &err) == ACCEL_OK,
       "a pair and a file");
    make_load(&m, &load, (char *)"squeezenet/1");
    for (long nth = 0;; nth++) {
        ok(accel_ipc_send(pair[0], &m, &file, 1, &err) == ACCEL_OK, "sends");
        accel_fault_arm(nth);
        const int rc = accel_ipc_receive(pair[1], &p, &err);
        const bool reached = accel_fault_disarm();
        accel_ipc_packet_free(&p);
        if (!reached) {
            ok(rc == ACCEL_OK && nth > 0, "receives when no allocation fails");
            break;
        }
        ok(rc != ACCEL_OK, "reports that allocation %ld failed: %s", nth, err.msg);
    }
    close(file);
    close(pair[0]);
    close(pair[1]);
    ok(open_fds() == before, "and leaves no descriptor open");
}

int main(void)
{
    carries_a_message_and_its_descriptors();
    carries_errors();
    refuses_what_does_not_fit();
    survives_damaged_packets();
    survives_every_failed_allocation();
    return tap_done();
}
