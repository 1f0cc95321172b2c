/* SPDX-License-Identifier: Apache-2.0 */
#include "core/peer.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "tap.h"

/* The far end: answers Ping by Done; Load by two Progress and a Loaded with a descriptor; Drop by
 * an Error; keeps Infer until it is cancelled; ends at Stop; answers Discover by garbage. */
static void *far_main(void *context)
{
    const int socket = (int)(intptr_t)context;
    struct accel_ipc_packet p;
    struct accel_error err;
    uint64_t held = 0;

    while (accel_ipc_receive(socket, &p, &err) == ACCEL_OK) {
        Accel__Ipc__Message m = ACCEL__IPC__MESSAGE__INIT;
        Accel__Ipc__Done done = ACCEL__IPC__DONE__INIT;
        Accel__Ipc__Progress progress = ACCEL__IPC__PROGRESS__INIT;
        Accel__Ipc__Loaded loaded = ACCEL__IPC__LOADED__INIT;
        Accel__Ipc__Changed changed = ACCEL__IPC__CHANGED__INIT;
        bool stop = false;

        m.id = p.message->id;
        switch (p.message->body_case) {
        case ACCEL__IPC__MESSAGE__BODY_PING:
            m.body_case = ACCEL__IPC__MESSAGE__BODY_DONE;
            m.done = &done;
            (void)accel_ipc_send(socket, &m, NULL, 0, &err);
            break;
        case ACCEL__IPC__MESSAGE__BODY_LOAD: {
            int file = -1;
            m.body_case = ACCEL__IPC__MESSAGE__BODY_PROGRESS;
            m.progress = &progress;
            for (progress.percent = 50; progress.percent <= 100; progress.percent += 50)
                (void)accel_ipc_send(socket, &m, NULL, 0, &err);
            (void)accel_memfd_of("t", "abc", 3, &file, &err);
            m.body_case = ACCEL__IPC__MESSAGE__BODY_LOADED;
            m.loaded = &loaded;
            loaded.packed_bytes = p.message->load->size_bytes;
            (void)accel_ipc_send(socket, &m, &file, 1, &err);
            close(file);
            break;
        }
        case ACCEL__IPC__MESSAGE__BODY_DROP: {
            const struct accel_error what = {ACCEL_E_NOT_FOUND, "no such model"};
            (void)accel_ipc_send_error(socket, m.id, &what, &err);
            break;
        }
        case ACCEL__IPC__MESSAGE__BODY_INFER:
            held = m.id;
            break;
        case ACCEL__IPC__MESSAGE__BODY_CANCEL: {
            const struct accel_error what = {ACCEL_E_CANCELLED, "cancelled as asked"};
            if (m.id == held)
                (void)accel_ipc_send_error(socket, m.id, &what, &err);
            break;
        }
        case ACCEL__IPC__MESSAGE__BODY_SET_LOG_LEVEL: /* a tell: answered by news */
            m.id = 0;
            m.body_case = ACCEL__IPC__MESSAGE__BODY_CHANGED;
            m.changed = &changed;
            (void)accel_ipc_send(socket, &m, NULL, 0, &err);
            break;
        case ACCEL__IPC__MESSAGE__BODY_DISCOVER:
            (void)!send(socket, "\x5a\xc8\x01", 3, MSG_NOSIGNAL);
            break;
        default:
            stop = true;
        }
        accel_ipc_packet_free(&p);
        if (stop)
            break;
    }
    close(socket);
    return NULL;
}

struct far {
    struct accel_peer *peer;
    pthread_t thread;
    sem_t news;
};

static void on_news(void *context, struct accel_peer *peer, struct accel_ipc_packet *packet)
{
    struct far *far = context;

    (void)peer;
    if (packet->message->body_case == ACCEL__IPC__MESSAGE__BODY_CHANGED)
        sem_post(&far->news);
}

static void far_start(struct far *far)
{
    int pair[2];
    struct accel_error err;

    sem_init(&far->news, 0, 0);
    ok(accel_ipc_pair(pair, &err) == ACCEL_OK, "a channel");
    pthread_create(&far->thread, NULL, far_main, (void *)(intptr_t)pair[1]);
    ok(accel_peer_new(pair[0], "worker-cpu 1", on_news, far, &far->peer, &err) == ACCEL_OK,
       "a peer");
}

static void far_end(struct far *far)
{
    accel_peer_unref(far->peer);
    pthread_join(far->thread, NULL);
    sem_destroy(&far->news);
}

static int ask(struct accel_peer *peer, Accel__Ipc__Message__BodyCase which,
               struct accel_call *call, struct accel_ipc_packet *answer, struct accel_error *err)
{
    Accel__Ipc__Message m = ACCEL__IPC__MESSAGE__INIT;
    Accel__Ipc__Ping ping = ACCEL__IPC__PING__INIT;
    Accel__Ipc__Load load = ACCEL__IPC__LOAD__INIT;
    Accel__Ipc__Drop drop = ACCEL__IPC__DROP__INIT;
    Accel__Ipc__Infer infer = ACCEL__IPC__INFER__INIT;
    Accel__Ipc__Stop stop = ACCEL__IPC__STOP__INIT;
    Accel__Ipc__Discover discover = ACCEL__IPC__DISCOVER__INIT;

    m.body_case = which;
    switch (which) {
    case ACCEL__IPC__MESSAGE__BODY_PING:
        m.ping = &ping;
        break;
    case ACCEL__IPC__MESSAGE__BODY_LOAD:
        m.load = &load;
        load.size_bytes = 4711;
        break;
    case ACCEL__IPC__MESSAGE__BODY_DROP:
        m.drop = &drop;
        break;
    case ACCEL__IPC__MESSAGE__BODY_INFER:
        m.infer = &infer;
        break;
    case ACCEL__IPC__MESSAGE__BODY_DISCOVER:
        m.discover = &discover;
        break;
    default:
        m.stop = &stop;
    }
    call->request = &m;
    return accel_peer_call(peer, call, answer, err);
}

static void on_progress(void *context, double percent, const char *text)
{
    (void)text;
    *(double *)context += percent;
}

static void asks_and_is_answered(void)
{
    struct far far;
    struct accel_ipc_packet answer;
    struct accel_error err;
    double progress = 0;
    struct accel_call load = {.progress = on_progress, .context = &progress}, plain = {0};

    far_start(&far);
    ok(ask(far.peer, ACCEL__IPC__MESSAGE__BODY_PING, &plain, &answer, &err) == ACCEL_OK &&
           answer.message->body_case == ACCEL__IPC__MESSAGE__BODY_DONE,
       "a Ping is answered by Done");
    accel_ipc_packet_free(&answer);
    ok(ask(far.peer, ACCEL__IPC__MESSAGE__BODY_LOAD, &load, &answer, &err) == ACCEL_OK &&
           answer.message->loaded->packed_bytes == 4711 && answer.fds_count == 1,
       "a Load is answered with its descriptor");
    ok(progress == 150, "progress was told on the way");
    accel_ipc_packet_free(&answer);
    ok(ask(far.peer, ACCEL__IPC__MESSAGE__BODY_DROP, &plain, &answer, &err) == ACCEL_E_NOT_FOUND &&
           strcmp(err.msg, "no such model") == 0 && answer.message == NULL,
       "an Error becomes the call's error");

    Accel__Ipc__Message m = ACCEL__IPC__MESSAGE__INIT;
    Accel__Ipc__SetLogLevel level = ACCEL__IPC__SET_LOG_LEVEL__INIT;
    m.body_case = ACCEL__IPC__MESSAGE__BODY_SET_LOG_LEVEL;
    m.set_log_level = &level;
    ok(accel_peer_tell(far.peer, &m, NULL, 0, &err) == ACCEL_OK, "a message without an answer");
    sem_wait(&far.news);
    ok(accel_peer_calls(far.peer) == 0, "news arrive; no call is left");
    far_end(&far);
}

static void deadlines_and_cancels(void)
{
    struct far far;
    struct accel_ipc_packet answer;
    struct accel_error err;
    _Atomic bool yes = true;
    struct accel_call late = {.deadline_ms = 20}, cancelled = {.cancelled = &yes}, plain = {0};

    far_start(&far);
    ok(ask(far.peer, ACCEL__IPC__MESSAGE__BODY_INFER, &late, &answer, &err) == ACCEL_E_TIMEOUT,
       "a call past its deadline is TIMEOUT: %s", err.msg);
    ok(ask(far.peer, ACCEL__IPC__MESSAGE__BODY_INFER, &cancelled, &answer, &err) ==
           ACCEL_E_CANCELLED,
       "a cancelled call ends as the other side answers");
    ok(ask(far.peer, ACCEL__IPC__MESSAGE__BODY_PING, &plain, &answer, &err) == ACCEL_OK,
       "late answers to calls given up disturb nothing");
    accel_ipc_packet_free(&answer);
    far_end(&far);
}

struct asker {
    struct accel_peer *peer;
    const _Atomic bool *cancelled;
    pthread_t thread;
    int rc;
    struct accel_error err;
};

static void *asker_main(void *context)
{
    struct asker *asker = context;
    struct accel_call call = {.cancelled = asker->cancelled};
    struct accel_ipc_packet answer;

    asker->rc = ask(asker->peer, ACCEL__IPC__MESSAGE__BODY_INFER, &call, &answer, &asker->err);
    accel_ipc_packet_free(&answer);
    return NULL;
}

static void wait_for_calls(struct accel_peer *peer, unsigned count)
{
    while (accel_peer_calls(peer) != count)
        usleep(100);
}

static void poke_wakes_a_call_to_be_cancelled(void)
{
    struct far far;
    _Atomic bool cancelled = false;
    struct asker asker = {.cancelled = &cancelled};

    far_start(&far);
    asker.peer = far.peer;
    pthread_create(&asker.thread, NULL, asker_main, &asker);
    wait_for_calls(far.peer, 1);
    atomic_store(&cancelled, true);
    accel_peer_poke(far.peer);
    pthread_join(asker.thread, NULL);
    ok(asker.rc == ACCEL_E_CANCELLED, "a poke lets a waiting call see that it is cancelled");
    far_end(&far);
}

static void death_fails_all_calls_with_the_reason(void)
{
    struct far far;
    struct asker askers[3];
    struct accel_call plain = {0};
    struct accel_ipc_packet answer;
    struct accel_error err;
    unsigned right = 0;

    far_start(&far);
    for (int i = 0; i < 3; i++) {
        askers[i] = (struct asker){.peer = far.peer};
        pthread_create(&askers[i].thread, NULL, asker_main, &askers[i]);
    }
    wait_for_calls(far.peer, 3);
    accel_peer_down(far.peer, "killed by signal 9 (Killed)");
    for (int i = 0; i < 3; i++) {
        pthread_join(askers[i].thread, NULL);
        right += askers[i].rc == ACCEL_E_UNAVAILABLE &&
                 strcmp(askers[i].err.msg, "worker-cpu 1: killed by signal 9 (Killed)") == 0;
    }
    ok(right == 3, "all calls under way fail and say why: %s", askers[0].err.msg);
    bool sent = true;
    plain.sent = &sent;
    ok(accel_peer_is_down(far.peer) &&
           ask(far.peer, ACCEL__IPC__MESSAGE__BODY_PING, &plain, &answer, &err) ==
               ACCEL_E_UNAVAILABLE &&
           strstr(err.msg, "signal 9") != NULL && !sent,
       "new calls are refused for the same reason, and were never sent");
    far_end(&far);

    far_start(&far);
    ok(ask(far.peer, ACCEL__IPC__MESSAGE__BODY_STOP, &plain, &answer, &err) ==
               ACCEL_E_UNAVAILABLE &&
           sent,
       "a channel that ends fails the call without a word from the supervisor: %s", err.msg);
    far_end(&far);

    far_start(&far);
    ok(ask(far.peer, ACCEL__IPC__MESSAGE__BODY_DISCOVER, &plain, &answer, &err) ==
           ACCEL_E_UNAVAILABLE,
       "so does a damaged answer: %s", err.msg);
    far_end(&far);
}

static void *pings(void *context)
{
    struct accel_call plain = {0};
    struct accel_ipc_packet answer;
    struct accel_error err;
    intptr_t good = 0;

    for (int i = 0; i < 200; i++) {
        good += ask(context, ACCEL__IPC__MESSAGE__BODY_PING, &plain, &answer, &err) == ACCEL_OK;
        accel_ipc_packet_free(&answer);
    }
    return (void *)good;
}

static void many_threads_ask_at_once(void)
{
    struct far far;
    pthread_t threads[4];
    intptr_t good = 0;

    far_start(&far);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, pings, far.peer);
    for (int i = 0; i < 4; i++) {
        void *result;
        pthread_join(threads[i], &result);
        good += (intptr_t)result;
    }
    ok(good == 800, "each of 800 calls of four threads got its own answer");
    far_end(&far);
}

static void survives_every_failed_allocation(void)
{
    struct accel_peer *peer;
    struct accel_error err;
    int pair[2];

    ok(accel_ipc_pair(pair, &err) == ACCEL_OK, "a channel");
    accel_fault_arm(0);
    const int rc = accel_peer_new(pair[0], "x", NULL, NULL, &peer, &err);
    ok(accel_fault_disarm() && rc == ACCEL_E_NOMEM, "no memory for a peer is NOMEM");
    char byte;
    ok(recv(pair[1], &byte, 1, 0) == 0, "its socket was taken over and closed all the same");
    close(pair[1]);
}

int main(void)
{
    accel_log_init("test", ACCEL_LOG_ERROR);
    asks_and_is_answered();
    deadlines_and_cancels();
    poke_wakes_a_call_to_be_cancelled();
    death_fails_all_calls_with_the_reason();
    many_threads_ask_at_once();
    survives_every_failed_allocation();
    return tap_done();
}
