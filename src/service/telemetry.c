/* SPDX-License-Identifier: Apache-2.0 */

/* The last sample of every module, so that asking for figures never touches hardware. */

#include <math.h>
#include <sys/mman.h>

#include "base/fd.h"
#include "base/mem.h"
#include "service/service_internal.h"

#define READ_DEADLINE_MS 6000 /* driver.h gives read() 5 s */
#define READINGS_MAX     16384
#define READINGS_BYTES   ((size_t)16 << 20) /* of a memory file beside the answer */

static int take_readings(struct module *m, const Accel__Ipc__Telemetry *t, struct accel_error *err)
{
    struct accel_bump mem = {0};
    const size_t n = ACCEL_MIN(t->n_readings, (size_t)READINGS_MAX);
    struct accel_sample *samples = accel_bump_alloc(&mem, ACCEL_MAX(n, 1), sizeof(*samples));
    size_t count = 0;

    for (size_t i = 0; samples != NULL && i < n; i++) {
        const Accel__Ipc__Reading *r = t->readings[i];
        struct accel_sample *s = &samples[count];
        if (!isfinite(r->value))
            continue;
        s->identity = accel_bump_strdup(&mem, r->identity);
        s->name = accel_bump_strdup(&mem, r->name);
        s->value = r->value;
        if (s->identity == NULL || s->name == NULL)
            samples = NULL;
        else
            count++;
    }
    if (samples == NULL) {
        accel_bump_free(&mem);
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for %zu readings", n);
    }
    pthread_mutex_lock(&m->service->lock);
    struct accel_bump old = m->samples_mem;
    m->samples_mem = mem;
    m->samples = samples;
    m->samples_count = count;
    pthread_mutex_unlock(&m->service->lock);
    accel_bump_free(&old);
    return ACCEL_OK;
}

/* Many readings lie in a sealed memory file beside the answer. */
static int take_readings_beside(struct module *m, int fd, struct accel_error *err)
{
    size_t size;

    if (fd < 0 || !accel_memfd_is_sealed(fd) || accel_fd_size(fd, &size, err) != ACCEL_OK ||
        size == 0 || size > READINGS_BYTES)
        return accel_fail(err, ACCEL_E_CORRUPT, "no sealed readings beside the answer");
    void *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to map readings");
    Accel__Ipc__Telemetry *t = accel__ipc__telemetry__unpack(NULL, size, bytes);
    munmap(bytes, size);
    if (t == NULL)
        return accel_fail(err, ACCEL_E_CORRUPT, "readings do not decode");
    const int rc = take_readings(m, t, err);
    accel__ipc__telemetry__free_unpacked(t, NULL);
    return rc;
}

int service_read_telemetry(struct module *m, struct accel_error *err)
{
    Accel__Ipc__Message request = ACCEL__IPC__MESSAGE__INIT;
    Accel__Ipc__ReadTelemetry body = ACCEL__IPC__READ_TELEMETRY__INIT;
    const struct accel_call call = {.request = &request, .deadline_ms = READ_DEADLINE_MS};
    struct accel_ipc_packet answer;
    struct accel_peer *peer = NULL;

    if (service_module_peer(m, &peer, err) != ACCEL_OK)
        return err->code;
    request.body_case = ACCEL__IPC__MESSAGE__BODY_READ_TELEMETRY;
    request.read_telemetry = &body;
    int rc = accel_peer_call(peer, &call, &answer, err);
    accel_peer_unref(peer);
    if (rc == ACCEL_E_TIMEOUT)
        service_hung(m->service, ACCEL__IPC__ROLE__HARDWARE, m->name, err->msg);
    if (rc != ACCEL_OK)
        return rc;
    if (answer.message->body_case != ACCEL__IPC__MESSAGE__BODY_TELEMETRY)
        rc = accel_fail(err, ACCEL_E_CORRUPT, "answer to ReadTelemetry is no Telemetry");
    else if (answer.message->telemetry->beside)
        rc = take_readings_beside(m, answer.fds_count > 0 ? answer.fds[0] : -1, err);
    else
        rc = take_readings(m, answer.message->telemetry, err);
    accel_ipc_packet_free(&answer);
    return rc;
}

int accel_service_get_telemetry(struct accel_service *service, struct accel_bump *mem,
                                struct accel_sample **samples, size_t *count,
                                struct accel_error *err)
{
    size_t n = 0, i = 0;
    bool complete = true;

    pthread_mutex_lock(&service->lock);
    for (const struct module *m = service->modules; m != NULL; m = m->next)
        n += m->samples_count;
    struct accel_sample *made = accel_bump_alloc(mem, ACCEL_MAX(n, 1), sizeof(*made));
    for (const struct module *m = service->modules; made != NULL && m != NULL; m = m->next)
        for (size_t k = 0; k < m->samples_count; k++, i++) {
            made[i].identity = accel_bump_strdup(mem, m->samples[k].identity);
            made[i].name = accel_bump_strdup(mem, m->samples[k].name);
            made[i].value = m->samples[k].value;
            complete = complete && made[i].identity != NULL && made[i].name != NULL;
        }
    pthread_mutex_unlock(&service->lock);
    if (made == NULL || !complete)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for %zu samples", n);
    *samples = made;
    *count = n;
    return ACCEL_OK;
}
