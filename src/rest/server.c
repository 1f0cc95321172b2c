/* SPDX-License-Identifier: Apache-2.0 */
#include "rest/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "rest/exchange.h"

#define QUICK_THREADS    8
#define LONG_THREADS     16
#define CACHE_BYTES      (4u << 20)  /* of answers that are kept until the store changes */
#define CONNECTION_BYTES (64u << 10) /* libmicrohttpd's memory for headers and read buffer */

/* Start and stop: the daemons of libmicrohttpd, their sockets, and what all exchanges share. */

ACCEL_PRINTF(2, 0) static void on_log(void *cls, const char *fmt, va_list args)
{
    char text[256];

    (void)cls;
    vsnprintf(text, sizeof(text), fmt, args);
    accel_log_debug("libmicrohttpd", "text=\"%s\"", text);
}

static bool is_loopback(const struct sockaddr_storage *address)
{
    const struct sockaddr_in *four = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;

    switch (address->ss_family) {
    case AF_UNIX:
        return true;
    case AF_INET:
        return ntohl(four->sin_addr.s_addr) >> 24 == 127;
    case AF_INET6:
        return IN6_IS_ADDR_LOOPBACK(&six->sin6_addr);
    default:
        return false;
    }
}

static int check_socket(int fd, struct accel_error *err)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof(address);
    int listening = 0;

    if (getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        return accel_fail_errno(err, errno, "descriptor %d to listen on", fd);
    size = sizeof(listening);
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0 || !listening)
        return accel_fail(err, ACCEL_E_INVALID, "descriptor %d is no listening socket", fd);
    if (!is_loopback(&address))
        return accel_fail(err, ACCEL_E_DENIED,
                          "api.tcp: listening beyond loopback needs authentication, which is not "
                          "there yet: use 127.0.0.1 or the unix socket");
    return ACCEL_OK;
}

static int start_daemon(struct accel_rest *rest, const struct accel_config *config, int fd,
                        struct accel_error *err)
{
    const unsigned flags =
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    struct MHD_Daemon *daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, accel_exchange_on_request, rest, MHD_OPTION_EXTERNAL_LOGGER, on_log,
        NULL, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_URI_LOG_CALLBACK, accel_exchange_on_uri,
        rest, MHD_OPTION_NOTIFY_COMPLETED, accel_exchange_on_completed, rest,
        MHD_OPTION_NOTIFY_CONNECTION, accel_exchange_on_connection, rest,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S, MHD_OPTION_CONNECTION_LIMIT,
        config->limits.connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
        MHD_OPTION_END);

    if (daemon == NULL)
        return accel_fail(err, ACCEL_E_IO, "cannot serve on descriptor %d: %s", fd,
                          strerrordesc_np(errno));
    rest->daemons[rest->daemons_count++] = daemon;
    return ACCEL_OK;
}

/* Ends the daemons that were started and frees everything. close_sockets: they are ours. */
static void rest_free(struct accel_rest *rest, int *sockets)
{
    for (size_t i = 0; i < rest->daemons_count; i++) {
        const int fd = sockets[i];

        MHD_stop_daemon(rest->daemons[i]);
        if (fd >= 0)
            close(fd);
    }
    accel_task_pool_free(rest->quick);
    accel_task_pool_free(rest->slow);
    accel_watch_free(rest->watch); /* it pokes the streams */
    accel_streams_free(rest->streams);
    accel_cache_free(rest->cache);
    pthread_cond_destroy(&rest->fewer);
    pthread_mutex_destroy(&rest->lock);
    accel_free(rest);
}

/* What waits in the service looks whether it was cancelled. */
static void on_hang_up(void *context)
{
    struct accel_rest *rest = context;

    accel_service_poke(rest->service);
    accel_streams_poke(rest->streams);
}

int accel_rest_start(const struct accel_config *config, struct accel_store *store,
                     struct accel_service *service, const int *sockets, size_t count,
                     struct accel_rest **rest, struct accel_error *err)
{
    struct accel_rest *made;
    pthread_condattr_t monotonic;
    int none[DAEMONS_MAX];

    if (count > DAEMONS_MAX)
        return accel_fail(err, ACCEL_E_LIMIT, "%zu sockets to listen on, at most %d", count,
                          DAEMONS_MAX);
    for (size_t i = 0; i < count; i++)
        if (check_socket(sockets[i], err) != ACCEL_OK)
            return (int)err->code;
    made = accel_calloc(1, sizeof(*made));
    if (made == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for the server");
    atomic_store(&made->config, config);
    made->store = store;
    made->service = service;
    made->figures.started_ms = accel_now_ms();
    made->has_admin_gid = accel_identity_admin_group(config, &made->admin_gid);
    pthread_mutex_init(&made->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&made->fewer, &monotonic);
    pthread_condattr_destroy(&monotonic);
    made->cache = accel_cache_new(CACHE_BYTES);
    if (made->cache == NULL) {
        (void)accel_fail(err, ACCEL_E_NOMEM, "no memory for the server");
        goto undo;
    }
    if (accel_task_pool_new(QUICK_THREADS, &made->quick, err) != ACCEL_OK ||
        accel_task_pool_new(LONG_THREADS, &made->slow, err) != ACCEL_OK ||
        accel_streams_new(store, ACCEL_HEARTBEAT_MS, &made->streams, err) != ACCEL_OK ||
        accel_watch_new(on_hang_up, made, &made->watch, err) != ACCEL_OK)
        goto undo;
    for (size_t i = 0; i < count; i++)
        if (start_daemon(made, config, sockets[i], err) != ACCEL_OK)
            goto undo;
    *rest = made;
    return ACCEL_OK;

undo:
    /* The sockets stay the caller's: quiesced daemons do not close them. */
    for (size_t i = 0; i < made->daemons_count; i++) {
        MHD_quiesce_daemon(made->daemons[i]);
        none[i] = -1;
    }
    rest_free(made, none);
    return (int)err->code;
}

void accel_rest_reload(struct accel_rest *rest, const struct accel_config *config)
{
    atomic_store(&rest->config, config);
    atomic_fetch_add(&rest->reloads, 1);
}

/* Waits until no exchange is left or until the deadline; false: some are left. */
static bool wait_for_none(struct accel_rest *rest, const struct timespec *until)
{
    int rc = 0;

    pthread_mutex_lock(&rest->lock);
    while (rest->first != NULL && rc == 0)
        rc = until != NULL ? pthread_cond_timedwait(&rest->fewer, &rest->lock, until)
                           : pthread_cond_wait(&rest->fewer, &rest->lock);
    const bool none = rest->first == NULL;
    pthread_mutex_unlock(&rest->lock);
    return none;
}

void accel_rest_stop(struct accel_rest *rest, int64_t deadline_ms)
{
    const int64_t until_ns = accel_now_ns() + deadline_ms * 1000000;
    const struct timespec until = {until_ns / 1000000000, until_ns % 1000000000};
    int sockets[DAEMONS_MAX];

    if (rest == NULL)
        return;
    atomic_store(&rest->stopping, true);
    for (size_t i = 0; i < rest->daemons_count; i++)
        sockets[i] = MHD_quiesce_daemon(rest->daemons[i]);
    accel_streams_end(rest->streams);
    if (!wait_for_none(rest, &until)) {
        /* Handlers end by themselves once told; a body that is still coming is cut off. */
        pthread_mutex_lock(&rest->lock);
        for (struct exchange *ex = rest->first; ex != NULL; ex = ex->next) {
            atomic_store(&ex->cancelled, true);
            if (ex->connection != NULL)
                shutdown(ex->connection->watched.fd, SHUT_RDWR);
        }
        pthread_mutex_unlock(&rest->lock);
        accel_service_poke(rest->service);
        accel_streams_poke(rest->streams);
        wait_for_none(rest, NULL);
    }
    /* Nothing is suspended any more: libmicrohttpd may stop. */
    rest_free(rest, sockets);
}
