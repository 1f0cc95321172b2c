/* SPDX-License-Identifier: Apache-2.0 */

/* Packed models in memory files, least recently used ones going first; packed again from the file
 * when one is asked for that is not there. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "service/service_internal.h"

/* Each costs a descriptor, however small it is. */
#define PACKED_MAX 128

/* Lock held. */
static struct packed *find(struct accel_service *service, const struct accel_uuid *model)
{
    struct packed *p = service->packed;

    while (p != NULL && strcmp(p->model.text, model->text) != 0)
        p = p->next;
    return p;
}

/* Lock held. */
static void unlink_packed(struct accel_service *service, struct packed *packed)
{
    struct packed **slot = &service->packed;

    while (*slot != packed)
        slot = &(*slot)->next;
    *slot = packed->next;
    packed->next = NULL;
}

/* Lock held: takes what must go out of the list; free it with free_chain without the lock. */
static struct packed *evict(struct accel_service *service)
{
    struct packed *gone = NULL;

    for (;;) {
        struct packed *oldest = NULL;
        uint64_t bytes = 0;
        size_t count = 0;
        for (struct packed *p = service->packed; p != NULL; p = p->next) {
            bytes += p->fd >= 0 ? p->bytes : 0;
            count++;
            if (p->users == 0 && (oldest == NULL || p->used_at_ms < oldest->used_at_ms))
                oldest = p;
        }
        if (oldest == NULL || (bytes <= service->limits.packed_cache_bytes && count <= PACKED_MAX))
            return gone;
        unlink_packed(service, oldest);
        oldest->next = gone;
        gone = oldest;
    }
}

static void free_chain(struct accel_service *service, struct packed *gone)
{
    for (struct packed *next; gone != NULL; gone = next) {
        next = gone->next;
        if (gone->fd >= 0)
            service_workers_drop(service, gone->key);
        accel_closep(&gone->fd);
        accel_free(gone);
    }
}

/* Lock held. */
static struct packed *add(struct accel_service *service, const struct accel_uuid *model)
{
    struct packed *p = accel_calloc(1, sizeof(*p));

    if (p == NULL)
        return NULL;
    p->model = *model;
    p->fd = -1;
    p->next = service->packed;
    service->packed = p;
    return p;
}

/* Lock held. */
static void fill(struct accel_service *service, struct packed *p, int fd, uint64_t bytes)
{
    p->fd = fd;
    p->bytes = bytes;
    p->used_at_ms = accel_now_ms();
    snprintf(p->key, sizeof(p->key), "%s.%llu", p->model.text,
             (unsigned long long)atomic_fetch_add(&service->last_packing, 1));
}

static int pack_again(struct accel_service *service, const struct accel_model_record *model,
                      struct loaded *loaded, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    ACCEL_CLEANUP(accel_closep) int fd =
        openat(service->models_fd, model->file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    char label[192];

    if (fd < 0 || fstat(fd, &st) != 0)
        return accel_fail(err, ACCEL_E_CORRUPT, "file %s of the model: %s", model->file,
                          strerrordesc_np(errno));
    snprintf(label, sizeof(label), "%.128s/%lld", model->name, (long long)model->model_version);
    if (service_load_model(service, fd, (uint64_t)st.st_size, label, false, &mem, loaded, err) !=
        ACCEL_OK)
        return err->code;
    if (strcmp(loaded->sha256, model->sha256) != 0) {
        service_loaded_free(loaded);
        return accel_fail(err, ACCEL_E_CORRUPT,
                          "file %s has changed on disk: its SHA-256 is %s, recorded is %s",
                          model->file, loaded->sha256, model->sha256);
    }
    return ACCEL_OK;
}

int service_packed_acquire(struct accel_service *service, const struct accel_model_record *model,
                           struct packed **packed, struct accel_error *err)
{
    struct loaded loaded = {.fd = -1};
    struct packed *gone = NULL;
    int rc = ACCEL_OK;

    pthread_mutex_lock(&service->lock);
    struct packed *p = find(service, &model->uuid);
    if (p == NULL && (p = add(service, &model->uuid)) == NULL) {
        pthread_mutex_unlock(&service->lock);
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for model %s", model->name);
    }
    p->users++;
    /* One loads for all; when it fails the next one tries, and gets the reason for itself. */
    while (p->loading)
        (void)service_wait(service, &service->changed, 0);
    if (p->fd < 0) {
        p->loading = true;
        pthread_mutex_unlock(&service->lock);
        rc = pack_again(service, model, &loaded, err);
        pthread_mutex_lock(&service->lock);
        p->loading = false;
        if (rc == ACCEL_OK)
            fill(service, p, accel_steal_fd(&loaded.fd), loaded.bytes);
        else
            p->users--;
        if (rc != ACCEL_OK && p->users == 0) {
            unlink_packed(service, p);
            accel_free(p);
        }
        gone = evict(service);
        pthread_cond_broadcast(&service->changed);
    } else {
        p->used_at_ms = accel_now_ms();
    }
    pthread_mutex_unlock(&service->lock);
    free_chain(service, gone);
    if (rc == ACCEL_OK)
        *packed = p;
    return rc;
}

void service_packed_release(struct accel_service *service, struct packed *packed)
{
    pthread_mutex_lock(&service->lock);
    packed->users--;
    packed->used_at_ms = accel_now_ms();
    struct packed *gone = evict(service);
    pthread_mutex_unlock(&service->lock);
    free_chain(service, gone);
}

void service_packed_put(struct accel_service *service, const struct accel_uuid *model,
                        struct loaded *loaded)
{
    pthread_mutex_lock(&service->lock);
    struct packed *p = add(service, model); /* the uuid is new: nobody has it */
    if (p != NULL)
        fill(service, p, accel_steal_fd(&loaded->fd), loaded->bytes);
    struct packed *gone = evict(service);
    pthread_mutex_unlock(&service->lock);
    service_loaded_free(loaded); /* no memory: it is packed again when asked for */
    free_chain(service, gone);
}

void service_packed_forget(struct accel_service *service, const struct accel_uuid *model)
{
    pthread_mutex_lock(&service->lock);
    struct packed *p = find(service, model);
    if (p != NULL && p->users == 0)
        unlink_packed(service, p);
    else if (p != NULL) {
        p->used_at_ms = 0; /* it runs now, and is the first to go when memory is short */
        p = NULL;
    }
    pthread_mutex_unlock(&service->lock);
    free_chain(service, p);
}

void service_packed_trim(struct accel_service *service)
{
    pthread_mutex_lock(&service->lock);
    struct packed *gone = evict(service);
    pthread_mutex_unlock(&service->lock);
    free_chain(service, gone);
}

void service_packed_free_all(struct accel_service *service)
{
    while (service->packed != NULL) {
        struct packed *p = service->packed;
        service->packed = p->next;
        accel_closep(&p->fd);
        accel_free(p);
    }
}
