/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_REST_EXCHANGE_H
#define ACCEL_REST_EXCHANGE_H

/* One request and its answer, on their way through libmicrohttpd: exchange_head.c reads who asks
 * for what, exchange_body.c takes the body, exchange_run.c says what comes when and where the
 * handler runs, exchange_answer.c makes and sends the answer, exchange.c begins and ends it all. */

#include <microhttpd.h>
#include <pthread.h>
#include <sys/types.h>

#include "rest/cache.h"
#include "rest/identity.h"
#include "rest/pool.h"
#include "rest/rest.h"
#include "rest/router.h"
#include "rest/server.h"
#include "rest/streams.h"
#include "rest/watch.h"

#define DAEMONS_MAX   8
#define IDLE_S        60          /* a kept-alive connection without a request */
#define SWALLOW_BYTES (16u << 20) /* of a refused body: read on, so that the answer is seen */
#define CHUNK_BYTES   (1u << 20)  /* an upload is written in pieces of this size */

struct accel_rest {
    const struct accel_config *_Atomic config;
    struct accel_store *store;
    struct accel_service *service;
    struct MHD_Daemon *daemons[DAEMONS_MAX];
    size_t daemons_count;
    struct accel_task_pool *quick, *slow;
    struct accel_watch *watch;
    struct accel_streams *streams;
    struct accel_cache *cache;
    _Atomic unsigned reloads; /* of the configuration: part of the cache's keys */
    gid_t admin_gid;
    bool has_admin_gid;
    _Atomic bool stopping;
    struct accel_rest_figures figures;

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t fewer;
    struct exchange *first; /* exchanges under way */
};

/* One accepted connection. */
struct connection {
    struct accel_watched watched;
    struct accel_peer_identity peer;
    bool known;
};

enum phase {
    PHASE_NEW,     /* request line is there, headers are coming */
    PHASE_BODY,    /* routed; the body is coming */
    PHASE_SWALLOW, /* refused; the rest of the body is read and dropped */
    PHASE_WRITING, /* suspended while a piece of an upload is written */
    PHASE_RUNNING, /* suspended while the handler runs on a pool */
    PHASE_DONE,    /* the answer is ready */
};

/* One request and its answer. Only one thread has it at a time: the event loop, or a pool's thread
 * between suspend and resume. */
struct exchange {
    struct accel_task task; /* first: the pool hands it back */
    struct exchange *next, *previous;
    struct accel_rest *rest;
    struct connection *connection;
    struct MHD_Connection *mhd;
    _Atomic enum phase phase; /* the loop may look while a pool has the exchange */
    bool listed, counted, too_large;
    _Atomic bool cancelled;
    char *target;
    const char *method;
    char request_id[48];
    int64_t started_ns;

    struct accel_bump mem;
    struct accel_target parsed;
    struct accel_routed routed;
    struct accel_request req;
    struct accel_response res;
    struct accel_error err;
    int rc;

    size_t received, limit;
    struct accel_buf text; /* JSON */
    size_t text_wanted;    /* TENSORS: bytes of JSON in front; SIZE_MAX: all of it */
    int body_fd;           /* TENSORS */
    struct accel_upload upload;
    bool uploading;
    struct accel_stream *stream; /* the answer is one */

    char *chunk; /* CHUNK_BYTES, filled up to chunk_size */
    size_t chunk_size;

    struct accel_buf out; /* encoded answer */
    const char *out_type;
    char etag[32];
    int status;
    unsigned reloads;
    const char *cache_key; /* NULL: the answer is not to be kept */
    uint64_t generation;   /* of the store, before anything was read */
    const struct accel_cached *cached;
};

/* ---------------------------------------------------------------- exchange.c */

/* libmicrohttpd's: a request line is there, a request has ended, a connection begins or ends. */
void *accel_exchange_on_uri(void *cls, const char *uri, struct MHD_Connection *mhd);
void accel_exchange_on_completed(void *cls, struct MHD_Connection *mhd, void **con_cls,
                                 enum MHD_RequestTerminationCode why);
void accel_exchange_on_connection(void *cls, struct MHD_Connection *mhd, void **context,
                                  enum MHD_ConnectionNotificationCode what);
/* From here on a stop waits for it. */
void accel_exchange_list(struct exchange *ex);

/* ---------------------------------------------------------------- exchange_head.c */

/* All headers are there: routes, identifies, authorises, checks versions and types, and prepares
 * for the body. Errors are in ex->err. */
int accel_exchange_begin(struct exchange *ex);

/* ---------------------------------------------------------------- exchange_body.c */

/* A piece of the body; *taken (out): so many bytes of it. An upload may leave the exchange
 * PHASE_WRITING, suspended. Errors are in ex->err. */
int accel_exchange_take_body(struct exchange *ex, const char *data, size_t size, size_t *taken);
/* The whole body is there: ready for the handler. Errors are in ex->err. */
int accel_exchange_parse_body(struct exchange *ex);

/* ---------------------------------------------------------------- exchange_run.c */

/* libmicrohttpd's: the head is there, then each piece of the body, then the end. */
enum MHD_Result accel_exchange_on_request(void *cls, struct MHD_Connection *mhd, const char *url,
                                          const char *method, const char *version, const char *data,
                                          size_t *size, void **con_cls);

/* ---------------------------------------------------------------- exchange_answer.c */

/* True: the answer is there. Else what its key and generation are, for when it is. */
bool accel_exchange_from_cache(struct exchange *ex);
/* ex->res becomes what is sent. Errors are in ex->err. */
int accel_exchange_encode_body(struct exchange *ex);
/* ex->err becomes what is sent. */
void accel_exchange_encode_error(struct exchange *ex);
/* Sends it; on the event loop. */
enum MHD_Result accel_exchange_respond(struct exchange *ex);

#endif
