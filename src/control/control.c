/* SPDX-License-Identifier: Apache-2.0 */

/* The control process: configuration -> store -> service -> REST, then whatever the supervisor says
 * until it says Stop. How it is started: core/roles.h. */

#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "config/config.h"
#include "control/control.h"
#include "control/sandbox.h"
#include "core/ipc.h"
#include "core/roles.h"
#include "rest/rest.h"
#include "service/service.h"
#include "store/store.h"

#define LISTEN_MAX      8
#define CONFIG_MAX      (2u << 20)
/* What jobs and scans get to end after the last request is answered. */
#define SERVICE_STOP_MS 3000

/* Configurations in use: REST's requests under way read the one they began with. */
struct kept_config {
    struct kept_config *next;
    struct accel_config *config;
};

struct control {
    int supervisor; /* channel */
    int listen[LISTEN_MAX];
    size_t listen_count;
    int config_fd, restore_fd;
    const char *database; /* to be restored from restore_fd */
    const char *config_path;
    int64_t watchdog_ms;
    struct kept_config *configs; /* the newest first */
    struct accel_store *store;
    struct accel_service *service;
    struct accel_rest *rest;
    pthread_t watchdog;
    bool watchdog_started;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stopping; /* under lock */
};

/* ---------------------------------------------------------------- to the supervisor */

static void tell(struct control *c, Accel__Ipc__Message *message)
{
    struct accel_error err;

    if (accel_ipc_send(c->supervisor, message, NULL, 0, &err) != ACCEL_OK)
        accel_log_debug("supervisor not told", "error=\"%s\"", err.msg);
}

static void tell_ready(struct control *c)
{
    Accel__Ipc__Message message = ACCEL__IPC__MESSAGE__INIT;
    Accel__Ipc__Ready ready = ACCEL__IPC__READY__INIT;

    message.body_case = ACCEL__IPC__MESSAGE__BODY_READY;
    message.ready = &ready;
    tell(c, &message);
}

static void tell_alive(struct control *c)
{
    Accel__Ipc__Message message = ACCEL__IPC__MESSAGE__INIT;
    Accel__Ipc__Watchdog watchdog = ACCEL__IPC__WATCHDOG__INIT;

    message.body_case = ACCEL__IPC__MESSAGE__BODY_WATCHDOG;
    message.watchdog = &watchdog;
    tell(c, &message);
}

static void tell_status(struct control *c, char *text)
{
    Accel__Ipc__Message message = ACCEL__IPC__MESSAGE__INIT;
    Accel__Ipc__Status status = ACCEL__IPC__STATUS__INIT;

    message.body_case = ACCEL__IPC__MESSAGE__BODY_STATUS;
    message.status = &status;
    status.text = text;
    tell(c, &message);
}

static void on_hung_peer(void *context, Accel__Ipc__Role role, const char *name, const char *reason)
{
    Accel__Ipc__Message message = ACCEL__IPC__MESSAGE__INIT;
    Accel__Ipc__RestartPeer restart = ACCEL__IPC__RESTART_PEER__INIT;

    message.body_case = ACCEL__IPC__MESSAGE__BODY_RESTART_PEER;
    message.restart_peer = &restart;
    restart.role = role;
    restart.name = (char *)name;
    restart.reason = (char *)reason;
    tell(context, &message);
}

/* ---------------------------------------------------------------- watchdog */

/* Says that the store's writer is alive, which is what every request that matters needs; a listener
 * that answers over a dead store would fool nobody but the watchdog. */
static void *watchdog_main(void *context)
{
    struct control *c = context;
    char last[ACCEL_ERROR_MSG_MAX] = "";

    pthread_mutex_lock(&c->lock);
    while (!c->stopping) {
        struct accel_error err;
        struct timespec until;
        char reason[ACCEL_ERROR_MSG_MAX] = "";

        pthread_mutex_unlock(&c->lock);
        if (accel_store_ping(c->store, &err) == ACCEL_OK)
            tell_alive(c);
        else
            accel_log_error("the store's writer does not answer", "error=\"%s\"", err.msg);
        if (accel_service_ready(c->service, reason, sizeof(reason)))
            snprintf(reason, sizeof(reason), "Serving");
        if (strcmp(reason, last) != 0)
            tell_status(c, reason);
        memcpy(last, reason, sizeof(last));
        pthread_mutex_lock(&c->lock);
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += c->watchdog_ms / 1000;
        until.tv_nsec += c->watchdog_ms % 1000 * 1000000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
        while (!c->stopping && pthread_cond_timedwait(&c->wake, &c->lock, &until) != ETIMEDOUT)
            ;
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

static void watchdog_start(struct control *c)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&c->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&c->lock, NULL);
    if (c->watchdog_ms <= 0)
        return;
    c->watchdog_started = pthread_create(&c->watchdog, NULL, watchdog_main, c) == 0;
    if (!c->watchdog_started)
        accel_log_error("no thread for the watchdog", "%s", "");
}

static void watchdog_stop(struct control *c)
{
    if (!c->watchdog_started)
        return;
    pthread_mutex_lock(&c->lock);
    c->stopping = true;
    pthread_cond_broadcast(&c->wake);
    pthread_mutex_unlock(&c->lock);
    pthread_join(c->watchdog, NULL);
    c->watchdog_started = false;
}

/* ---------------------------------------------------------------- configuration */

static int read_config(int fd, const char *path, struct accel_config **config,
                       struct accel_error *err)
{
    struct stat st;
    size_t size = 0;

    if (fstat(fd, &st) != 0)
        return accel_fail_errno(err, errno, "configuration of %s", path);
    if (st.st_size < 0 || st.st_size > CONFIG_MAX)
        return accel_fail(err, ACCEL_E_LIMIT, "configuration of %s: %lld bytes", path,
                          (long long)st.st_size);
    ACCEL_CLEANUP(accel_freep) char *text = accel_malloc((size_t)st.st_size + 1);
    if (text == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for the configuration");
    /* The descriptor is shared with others that read it: its offset is nobody's. */
    while (size < (size_t)st.st_size) {
        const ssize_t got = pread(fd, text + size, (size_t)st.st_size - size, (off_t)size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return accel_fail_errno(err, got < 0 ? errno : EIO, "configuration of %s", path);
        size += (size_t)got;
    }
    text[size] = '\0';
    return accel_config_parse(text, size, path, config, err);
}

static int keep_config(struct control *c, struct accel_config *config, struct accel_error *err)
{
    struct kept_config *kept = accel_calloc(1, sizeof(*kept));

    if (kept == NULL) {
        accel_config_free(config);
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for the configuration");
    }
    kept->config = config;
    kept->next = c->configs;
    c->configs = kept;
    return ACCEL_OK;
}

static void reload(struct control *c, struct accel_ipc_packet *packet)
{
    ACCEL_CLEANUP(accel_closep) int fd = accel_ipc_take_fd(packet, 0);
    struct accel_config *config;
    struct accel_error err;

    if (fd < 0 || read_config(fd, packet->message->reload->path, &config, &err) != ACCEL_OK ||
        keep_config(c, config, &err) != ACCEL_OK) {
        accel_log_error("configuration not taken", "error=\"%s\"",
                        fd < 0 ? "no descriptor came with it" : err.msg);
    } else {
        (void)accel_service_set_log_level(c->service, config->log_level);
        accel_service_reload(c->service, config);
        accel_rest_reload(c->rest, config);
        accel_log_info("configuration taken over", "path=\"%s\"", config->path);
    }
    tell_ready(c);
}

/* ---------------------------------------------------------------- life */

static int start(struct control *c, struct accel_error *err)
{
    const struct accel_config *config = c->configs->config;
    ACCEL_CLEANUP(accel_freep) char *path = accel_asprintf("%s/acceld.db", config->state_dir);
    const struct accel_store_options options = {.path = path, .hostname = config->hostname};

    if (path == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to start");
    if (mkdir(config->state_dir, 0750) != 0 && errno != EEXIST)
        return accel_fail_errno(err, errno, "make the state folder %s", config->state_dir);
    if (accel_store_open(&options, &c->store, err) != ACCEL_OK ||
        accel_service_new(config, c->store, &c->service, err) != ACCEL_OK)
        return err->code;
    accel_service_on_hung_peer(c->service, on_hung_peer, c);
    if (accel_service_start(c->service, err) != ACCEL_OK ||
        accel_rest_start(config, c->store, c->service, c->listen, c->listen_count, &c->rest, err) !=
            ACCEL_OK)
        return err->code;
    return ACCEL_OK;
}

/* In this order nothing is asked that cannot be answered any more. */
static void stop(struct control *c)
{
    const struct accel_config *config = c->configs != NULL ? c->configs->config : NULL;

    accel_rest_stop(c->rest, config != NULL ? config->limits.request_ms : 0);
    if (c->service != NULL)
        accel_service_stop(c->service, SERVICE_STOP_MS);
    watchdog_stop(c);
    accel_service_free(c->service);
    if (c->store != NULL)
        accel_store_close(c->store);
    for (struct kept_config *kept = c->configs, *next; kept != NULL; kept = next) {
        next = kept->next;
        accel_config_free(kept->config);
        accel_free(kept);
    }
}

/* One message of the supervisor; false at Stop. */
static bool take(struct control *c, struct accel_ipc_packet *packet)
{
    const Accel__Ipc__Message *m = packet->message;
    enum accel_log_level level;

    switch (m->body_case) {
    case ACCEL__IPC__MESSAGE__BODY_PEER_UP: {
        const int fd = accel_ipc_take_fd(packet, 0);
        if (fd < 0)
            accel_log_error("a process without a channel", "name=%s", m->peer_up->name);
        else
            accel_service_peer_up(c->service, m->peer_up->role, m->peer_up->name,
                                  m->peer_up->instance, m->peer_up->pid, fd);
        return true;
    }
    case ACCEL__IPC__MESSAGE__BODY_PEER_DOWN:
        accel_service_peer_down(c->service, m->peer_down);
        return true;
    case ACCEL__IPC__MESSAGE__BODY_RELOAD:
        reload(c, packet);
        return true;
    case ACCEL__IPC__MESSAGE__BODY_SET_LOG_LEVEL:
        if (accel_log_level_parse(m->set_log_level->level, &level))
            (void)accel_service_set_log_level(c->service, level);
        return true;
    case ACCEL__IPC__MESSAGE__BODY_STOP:
        return false;
    default:
        accel_log_debug("message of the supervisor passed over", "kind=%d", (int)m->body_case);
        return true;
    }
}

static int serve(struct control *c)
{
    struct accel_ipc_packet packet;
    struct accel_error err;
    bool going = true;

    while (going) {
        const int rc = accel_ipc_receive(c->supervisor, &packet, &err);
        if (rc == ACCEL_E_NOMEM)
            continue; /* that message is lost, the channel is not */
        if (rc != ACCEL_OK) {
            accel_log_error("the supervisor is gone", "error=\"%s\"", err.msg);
            return 1;
        }
        going = take(c, &packet);
        accel_ipc_packet_free(&packet);
    }
    return 0;
}

static bool parse_arguments(int argc, char **argv, struct control *c)
{
    static const struct option options[] = {
        {"config-fd", required_argument, NULL, 'c'},
        {"config-path", required_argument, NULL, 'p'},
        {"supervisor-fd", required_argument, NULL, 's'},
        {"listen-fd", required_argument, NULL, 'l'},
        {"watchdog-ms", required_argument, NULL, 'w'},
        {"restore-fd", required_argument, NULL, 'r'},
        {"database", required_argument, NULL, 'd'},
        {0},
    };
    int which;

    c->supervisor = c->config_fd = c->restore_fd = -1;
    c->config_path = "acceld.yaml";
    while ((which = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (which) {
        case 'c':
            c->config_fd = atoi(optarg);
            break;
        case 'p':
            c->config_path = optarg;
            break;
        case 's':
            c->supervisor = atoi(optarg);
            break;
        case 'l':
            if (c->listen_count == LISTEN_MAX)
                return false;
            c->listen[c->listen_count++] = atoi(optarg);
            break;
        case 'w':
            c->watchdog_ms = atoll(optarg);
            break;
        case 'r':
            c->restore_fd = atoi(optarg);
            break;
        case 'd':
            c->database = optarg;
            break;
        default:
            return false;
        }
    }
    if (c->restore_fd >= 0)
        return optind == argc && c->database != NULL;
    return optind == argc && c->supervisor >= 0 && c->config_fd >= 0;
}

/* Will another attempt end the same way? */
static int exit_status(const struct accel_error *err)
{
    switch (err->code) {
    case ACCEL_E_CONFLICT:
    case ACCEL_E_DENIED:
    case ACCEL_E_INVALID:
    case ACCEL_E_CORRUPT:
    case ACCEL_E_UNSUPPORTED:
        return ACCEL_EXIT_CONFIG;
    default:
        return 1;
    }
}

/* Run by an operator, by way of the supervisor: it speaks to a person. */
static int restore(const struct control *c)
{
    struct accel_error err;
    char kept[600];

    if (accel_control_sandbox(&err) != ACCEL_OK ||
        accel_store_restore(c->database, c->restore_fd, kept, sizeof(kept), &err) != ACCEL_OK) {
        fprintf(stderr, "acceld: %s\n", err.msg);
        return 1;
    }
    printf("restored %s%s%s\n", c->database, kept[0] != '\0' ? "; the database before it is " : "",
           kept);
    return fflush(stdout) == 0 ? 0 : 1;
}

int accel_control_main(int argc, char **argv)
{
    struct control control = {0};
    struct accel_config *config;
    struct accel_error err = {0};

    accel_log_init("control", ACCEL_LOG_INFO);
    if (!parse_arguments(argc, argv, &control)) {
        accel_log_error("started by hand: acceld starts it", "program=\"%s\"", argv[0]);
        return ACCEL_EXIT_CONFIG;
    }
    umask(0077);
    if (control.restore_fd >= 0)
        return restore(&control);
    (void)prctl(PR_SET_NAME, "acceld-control");
    /* Before anything that starts a thread or parses what others wrote. */
    if (accel_control_sandbox(&err) != ACCEL_OK ||
        read_config(control.config_fd, control.config_path, &config, &err) != ACCEL_OK ||
        keep_config(&control, config, &err) != ACCEL_OK) {
        accel_log_error("cannot start", "error=\"%s\"", err.msg);
        return exit_status(&err);
    }
    close(control.config_fd);
    accel_log_set_level(config->log_level);
    if (start(&control, &err) != ACCEL_OK) {
        accel_log_error("cannot start", "error=\"%s\"", err.msg);
        stop(&control);
        return exit_status(&err);
    }
    watchdog_start(&control);
    tell_ready(&control);
    const int status = serve(&control);
    accel_log_debug("stopping", "%s", "");
    stop(&control);
    return status;
}
