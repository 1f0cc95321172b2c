/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "rest/handlers.h"
#include "rest/server.h"

/* GET /metrics: Prometheus' text format 0.0.4. Figures come from memory and the store; a scrape
 * never touches hardware. What is unknown is left out. */

static void family(struct accel_buf *out, const char *name, const char *type, const char *help)
{
    accel_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void label_text(struct accel_buf *out, const char *text)
{
    accel_buf_puts(out, "\"");
    for (const char *p = text != NULL ? text : ""; *p != '\0'; p++) {
        if (*p == '\\' || *p == '"')
            accel_buf_printf(out, "\\%c", *p);
        else if (*p == '\n')
            accel_buf_puts(out, "\\n");
        else
            accel_buf_append(out, p, 1);
    }
    accel_buf_puts(out, "\"");
}

static void put_label(struct accel_buf *out, const char *comma, const char *name, const char *text)
{
    accel_buf_printf(out, "%s%s=", comma, name);
    label_text(out, text);
}

static void simple(struct accel_buf *out, const char *name, const char *type, const char *help,
                   double value)
{
    family(out, name, type, help);
    accel_buf_printf(out, "%s %.15g\n", name, value);
}

struct scene {
    const struct accel_device *devices;
    size_t devices_count;
    const struct accel_fact **facts; /* by device */
    size_t *facts_count;
    const struct accel_deployable *deployables;
    size_t deployables_count;
    const struct accel_sample *samples;
    size_t samples_count;
};

static const struct accel_fact *fact(const struct scene *scene, size_t device, const char *name)
{
    for (size_t i = 0; i < scene->facts_count[device]; i++)
        if (strcmp(scene->facts[device][i].name, name) == 0)
            return &scene->facts[device][i];
    return NULL;
}

static void put_devices(struct accel_buf *out, const struct scene *scene)
{
    family(out, "accel_device_info", "gauge", "A device and what it is.");
    for (size_t i = 0; i < scene->devices_count; i++) {
        const struct accel_device *device = &scene->devices[i];
        const struct accel_fact *driver = fact(scene, i, ACCEL_FACT_DRIVER_VERSION);
        char numa[16] = "";

        if (device->numa_node >= 0)
            snprintf(numa, sizeof(numa), "%d", device->numa_node);
        accel_buf_puts(out, "accel_device_info{");
        put_label(out, "", "device", device->identity);
        put_label(out, ",", "kind", device->type);
        put_label(out, ",", "vendor", device->vendor);
        put_label(out, ",", "model", device->model);
        put_label(out, ",", "driver_version",
                  driver != NULL && driver->is_text ? driver->text : "");
        put_label(out, ",", "pci", device->pci_address);
        put_label(out, ",", "numa", numa);
        accel_buf_puts(out, "} 1\n");
    }
    family(out, "accel_memory_total_bytes", "gauge", "Memory of a device.");
    for (size_t i = 0; i < scene->devices_count; i++) {
        const struct accel_fact *memory = fact(scene, i, ACCEL_FACT_MEMORY_BYTES);

        if (memory == NULL || memory->is_text)
            continue;
        accel_buf_puts(out, "accel_memory_total_bytes{");
        put_label(out, "", "device", scene->devices[i].identity);
        accel_buf_printf(out, "} %.15g\n", memory->number);
    }
}

static void put_health(struct accel_buf *out, const struct scene *scene)
{
    static const char *const states[] = {"ok", "degraded", "failed"};

    family(out, "accel_health", "gauge", "1 for the state of health a device is in.");
    for (size_t i = 0; i < scene->devices_count; i++)
        for (size_t s = 0; s < ACCEL_COUNT(states); s++) {
            const char *health = scene->devices[i].health;

            accel_buf_puts(out, "accel_health{");
            put_label(out, "", "device", scene->devices[i].identity);
            put_label(out, ",", "state", states[s]);
            accel_buf_printf(out, "} %d\n", health != NULL && strcmp(health, states[s]) == 0);
        }
    family(out, "accel_handles", "gauge", "Attach handles of a deployable.");
    for (size_t i = 0; i < scene->deployables_count; i++) {
        accel_buf_puts(out, "accel_handles{");
        put_label(out, "", "deployable", scene->deployables[i].name);
        accel_buf_printf(out, "} %u\n", scene->deployables[i].num_accelerators);
    }
    family(out, "accel_handles_in_use", "gauge", "Attach handles that accelerator requests hold.");
    for (size_t i = 0; i < scene->deployables_count; i++) {
        accel_buf_puts(out, "accel_handles_in_use{");
        put_label(out, "", "deployable", scene->deployables[i].name);
        accel_buf_printf(out, "} %u\n", scene->deployables[i].in_use);
    }
}

/* Readings by their plain name: temperature_celsius becomes accel_temperature_celsius. */
static void put_samples(struct accel_buf *out, const struct scene *scene)
{
    static const struct {
        const char *reading, *name, *type, *help;
    } known[] = {
        {"temperature_celsius", "accel_temperature_celsius", "gauge", "Temperature of a device."},
        {"power_watts", "accel_power_watts", "gauge", "Power a device draws."},
        {"energy_joules", "accel_energy_joules_total", "counter", "Energy a device has used."},
        {"utilization_ratio", "accel_utilization_ratio", "gauge", "Part of the time it was busy."},
        {"memory_used_bytes", "accel_memory_used_bytes", "gauge", "Memory in use on a device."},
        {"ecc_errors", "accel_ecc_errors_total", "counter", "Memory errors of a device."},
    };

    for (size_t k = 0; k < ACCEL_COUNT(known); k++) {
        bool any = false;

        for (size_t i = 0; i < scene->samples_count; i++) {
            const struct accel_sample *sample = &scene->samples[i];

            if (strcmp(sample->name, known[k].reading) != 0)
                continue;
            if (!any)
                family(out, known[k].name, known[k].type, known[k].help);
            any = true;
            accel_buf_printf(out, "%s{", known[k].name);
            put_label(out, "", "device", sample->identity);
            accel_buf_printf(out, "} %.15g\n", sample->value);
        }
    }
}

static void put_requests(struct accel_buf *out, const struct accel_rest_figures *figures)
{
    static const char *const families[] = {[ACCEL_FAMILY_CYBORG] = "cyborg",
                                           [ACCEL_FAMILY_OIP] = "inference",
                                           [ACCEL_FAMILY_OWN] = "acceld"};
    double count = 0;

    family(out, "acceld_http_requests_total", "counter", "Answers by API and class of status.");
    for (size_t f = 0; f < ACCEL_COUNT(families); f++)
        for (int s = 1; s < 6; s++) {
            const uint64_t n = atomic_load(&figures->answers[f][s]);

            count += (double)n;
            if (n > 0)
                accel_buf_printf(out,
                                 "acceld_http_requests_total{api=\"%s\",status=\"%dxx\"} %llu\n",
                                 families[f], s, (unsigned long long)n);
        }
    family(out, "acceld_http_request_seconds", "summary", "Time from request line to last byte.");
    accel_buf_printf(
        out, "acceld_http_request_seconds_sum %.9g\nacceld_http_request_seconds_count %.15g\n",
        (double)atomic_load(&figures->seconds_ns) / 1e9, count);
    simple(out, "acceld_http_requests_refused_total", "counter",
           "Requests answered 429 as too many were under way.",
           (double)atomic_load(&figures->refused));
    simple(out, "acceld_http_requests_running", "gauge", "Requests under way.",
           (double)atomic_load(&figures->under_way));
    simple(out, "acceld_http_connections", "gauge", "Open connections.",
           (double)atomic_load(&figures->connections));
}

static void put_service(struct accel_buf *out, const struct accel_service_metrics *m,
                        const struct accel_counts *counts)
{
    simple(out, "acceld_inferences_total", "counter", "Inferences that were asked for.",
           (double)m->infers);
    simple(out, "acceld_inferences_failed_total", "counter", "Inferences that failed.",
           (double)m->infers_failed);
    simple(out, "acceld_inference_seconds_total", "counter", "Time spent running models.",
           m->infer_seconds_sum);
    simple(out, "acceld_inferences_running", "gauge", "Inferences under way.", m->infers_running);
    simple(out, "acceld_inferences_queued", "gauge", "Inferences that wait.", m->infers_queued);
    simple(out, "acceld_scans_total", "counter", "Discoveries of driver modules.",
           (double)m->scans);
    simple(out, "acceld_scans_failed_total", "counter", "Discoveries that failed.",
           (double)m->scans_failed);
    simple(out, "acceld_models_packed", "gauge", "Models held ready to run.", m->models_packed);
    simple(out, "acceld_models_packed_bytes", "gauge", "Memory of models held ready to run.",
           (double)m->packed_bytes);
    simple(out, "acceld_models", "gauge", "Model versions stored.", (double)counts->models);
    simple(out, "acceld_devices", "gauge", "Devices recorded.", (double)counts->devices);
    simple(out, "acceld_accelerator_requests", "gauge", "Accelerator requests.",
           (double)counts->arqs);
    simple(out, "acceld_jobs_open", "gauge", "Jobs queued or running.", (double)counts->jobs_open);
}

/* Of this process; the children have their own accounts under systemd. */
static void put_process(struct accel_buf *out)
{
    ACCEL_CLEANUP(accel_freep) char *text = NULL;
    unsigned long long user, system, pages;
    const double ticks = (double)sysconf(_SC_CLK_TCK);
    const char *after;

    if (accel_read_file("/proc/self/stat", 4096, &text, NULL, NULL) != ACCEL_OK)
        return; /* a sandbox may hide it: unknown is left out */
    after = strrchr(text, ')');
    /* Fields 14, 15 and 24 of proc(5), counted from behind the name, which is field 2. */
    if (after == NULL || sscanf(after + 2,
                                "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d "
                                "%*d %*d %*d %*u %*u %llu",
                                &user, &system, &pages) != 3)
        return;
    simple(out, "process_cpu_seconds_total", "counter", "CPU time of the control process.",
           (double)(user + system) / ticks);
    simple(out, "process_resident_memory_bytes", "gauge", "Memory of the control process.",
           (double)pages * (double)sysconf(_SC_PAGESIZE));
}

static int read_scene(const struct accel_request *req, struct scene *scene, struct accel_error *err)
{
    const struct accel_device_filter any = {0};
    const struct accel_deployable_filter any_deployable = {0};
    const struct accel_page all = {0};
    struct accel_deployable *deployables;
    struct accel_device *devices;
    struct accel_sample *samples = NULL;

    if (accel_store_list_devices(req->store, &any, &all, req->mem, &devices, &scene->devices_count,
                                 err) != ACCEL_OK ||
        accel_store_list_deployables(req->store, &any_deployable, &all, req->mem, &deployables,
                                     &scene->deployables_count, err) != ACCEL_OK ||
        accel_service_get_telemetry(req->service, req->mem, &samples, &scene->samples_count, err) !=
            ACCEL_OK)
        return (int)err->code;
    scene->devices = devices;
    scene->deployables = deployables;
    scene->samples = samples;
    scene->facts = accel_bump_alloc(req->mem, scene->devices_count + 1, sizeof(*scene->facts));
    scene->facts_count =
        accel_bump_alloc(req->mem, scene->devices_count + 1, sizeof(*scene->facts_count));
    if (scene->facts == NULL || scene->facts_count == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for the metrics");
    for (size_t i = 0; i < scene->devices_count; i++) {
        struct accel_fact *facts;

        if (accel_store_list_facts(req->store, devices[i].id, req->mem, &facts,
                                   &scene->facts_count[i], err) != ACCEL_OK)
            return (int)err->code;
        scene->facts[i] = facts;
    }
    return ACCEL_OK;
}

static void text_free(void *context)
{
    accel_buf_free(context);
}

/* GET /metrics -> 200 */
int accel_get_metrics(const struct accel_request *req, struct accel_response *res,
                      struct accel_error *err)
{
    struct accel_service_metrics service = {0};
    struct accel_counts counts = {0};
    struct scene scene = {0};
    struct accel_buf *out = accel_bump_alloc(req->mem, 1, sizeof(*out));

    if (out == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for the metrics");
    if (read_scene(req, &scene, err) != ACCEL_OK ||
        accel_store_counts(req->store, &counts, err) != ACCEL_OK)
        return (int)err->code;
    accel_service_get_metrics(req->service, &service);
    res->release = text_free;
    res->context = out;
    family(out, "acceld_build_info", "gauge", "The version that runs.");
    accel_buf_puts(out, "acceld_build_info{version=\"" ACCELD_VERSION "\"} 1\n");
    simple(out, "acceld_up", "gauge", "1 while the daemon serves.", 1);
    if (req->figures != NULL) {
        simple(out, "acceld_uptime_seconds", "gauge", "Since the API came up.",
               (double)(accel_now_ms() - req->figures->started_ms) / 1e3);
        put_requests(out, req->figures);
    }
    put_devices(out, &scene);
    put_health(out, &scene);
    put_samples(out, &scene);
    put_service(out, &service, &counts);
    put_process(out);
    if (accel_buf_failed(out))
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for the metrics");
    res->status = 200;
    res->text = out->data;
    res->text_size = out->size;
    res->content_type = "text/plain; version=0.0.4; charset=utf-8";
    res->no_etag = true;
    return ACCEL_OK;
}
