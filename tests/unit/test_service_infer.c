/* SPDX-License-Identifier: Apache-2.0 */
#include "service_fixture.h"

/* One request on a thread of its own. */
struct asker {
    struct world *world;
    const char *model, *device;
    _Atomic bool cancelled;
    int64_t timeout_ms;
    pthread_t thread;
    int rc;
    struct accel_error err;
    struct accel_infer_reply reply;
    struct accel_bump mem;
    float y[2];
};

static void *ask_main(void *context)
{
    struct asker *a = context;
    const float x[2] = {0, 1};
    int fd = -1;
    const struct accel_infer_tensor input = {
        .name = "x", .dtype = ACCEL_DTYPE_FLOAT, .rank = 1, .dims = {2}, .size_bytes = sizeof(x)};

    (void)accel_memfd_of("x", x, sizeof(x), &fd, &a->err);
    const struct accel_infer_request request = {.model = a->model,
                                                .device = a->device,
                                                .input_fd = fd,
                                                .input_bytes = sizeof(x),
                                                .inputs = &input,
                                                .inputs_count = 1,
                                                .timeout_ms = a->timeout_ms,
                                                .cancelled = &a->cancelled};
    a->rc = accel_service_infer(a->world->service, &alice, &request, &a->mem, &a->reply, &a->err);
    if (a->rc == ACCEL_OK) {
        (void)!pread(a->reply.output_fd, a->y, sizeof(a->y), 0);
        close(a->reply.output_fd);
    }
    close(fd);
    return NULL;
}

static void ask_start(struct asker *a, struct world *w, const char *model, const char *device)
{
    a->world = w;
    a->model = model;
    a->device = device;
    pthread_create(&a->thread, NULL, ask_main, a);
}

static int ask_end(struct asker *a)
{
    pthread_join(a->thread, NULL);
    accel_bump_free(&a->mem);
    return a->rc;
}

static int ask(struct asker *a, struct world *w, const char *model, const char *device)
{
    ask_start(a, w, model, device);
    return ask_end(a);
}

static void add_model(struct node *n, const char *name)
{
    struct accel_bump mem = {0};
    struct accel_model_record m;
    struct accel_error err = {0};

    ok(put_text(&n->world, &alice, name, 0, false, "good", &mem, &m, &err) == ACCEL_OK,
       "model %s %s", name, err.msg);
    accel_bump_free(&mem);
}

static void runs_and_learns(struct node *n)
{
    struct accel_bump mem = {0};
    struct accel_model_record m;
    struct accel_device cpu;
    struct accel_measured measured = {0};
    struct accel_error err = {0};
    struct asker a = {0}, named = {0}, foreign = {0}, nobody = {0};

    ok(ask(&a, &n->world, "net", NULL) == ACCEL_OK && a.y[0] == 1 && a.y[1] == 2,
       "an inference without a named device runs %s", a.err.msg);
    ok(a.reply.run_s == 0.002 && a.reply.outputs_count == 1, "with its time and its outputs");
    ok(ask(&named, &n->world, "net", "cpu:0") == ACCEL_OK, "and on the CPU by name %s",
       named.err.msg);
    ok(accel_service_get_model(n->world.service, &alice, "net", 0, &mem, &m, &err) == ACCEL_OK &&
           service_find_device(n->world.service, "cpu:0", &mem, &cpu, &err) == ACCEL_OK &&
           accel_store_get_measured(n->world.store, &m.uuid, cpu.id, 2, "x=2", &measured, &err) ==
               ACCEL_OK &&
           measured.count == 2,
       "both were measured (%lld) %s", (long long)measured.count, err.msg);
    ok(ask(&foreign, &n->world, "net", "fake:0") == ACCEL_E_UNSUPPORTED,
       "a device the core does not run on is refused: %s", foreign.err.msg);
    ok(ask(&nobody, &n->world, "net", "gpu:7") == ACCEL_E_NOT_FOUND, "so is an unknown one: %s",
       nobody.err.msg);
    accel_bump_free(&mem);
}

static void the_queue_is_bounded(struct node *n)
{
    struct asker a[3] = {{0}}, over = {0};

    fake_set(&n->worker, &n->worker.hold, true);
    const unsigned before = fake_count(&n->worker, &n->worker.infers);
    ask_start(&a[0], &n->world, "net", NULL);
    fake_wait(&n->worker, &n->worker.infers, before + 1);
    struct accel_service_metrics metrics;
    for (unsigned i = 1; i < 3; i++) {
        ask_start(&a[i], &n->world, "net", NULL);
        until((accel_service_get_metrics(n->world.service, &metrics), metrics.infers_queued == i));
    }
    ok(ask(&over, &n->world, "net", NULL) == ACCEL_E_BUSY, "the third that waits is refused: %s",
       over.err.msg);
    fake_release(&n->worker);
    ok(ask_end(&a[0]) == ACCEL_OK && ask_end(&a[1]) == ACCEL_OK && ask_end(&a[2]) == ACCEL_OK,
       "those before it are served");
}

/* One worker is all there is. A calibration asks for its parts one after the other, quicker than
 * one who waits wakes up: who waits goes first all the same. */
static void an_inference_goes_between_parts_of_a_calibration(struct node *n)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct asker a = {0};
    struct accel_job job = {0};
    struct accel_error err = {0};
    struct accel_service_metrics metrics;

    fake_set(&n->worker, &n->worker.hold, true);
    pthread_mutex_lock(&n->worker.lock);
    memset(n->worker.order, 0, sizeof(n->worker.order));
    pthread_mutex_unlock(&n->worker.lock);
    ok(accel_service_calibrate(n->world.service, &alice, "cpu:0", 600000, &mem, &job, &err) ==
           ACCEL_OK,
       "a calibration begins %s", err.msg);
    fake_wait(&n->worker, &n->worker.held_count, 1);
    ask_start(&a, &n->world, "net", NULL);
    until((accel_service_get_metrics(n->world.service, &metrics), metrics.infers_queued == 1));
    pthread_mutex_lock(&n->worker.lock);
    n->worker.hold = false;
    fake_calibrated(&n->worker, n->worker.held[0]);
    n->worker.held_count = 0;
    pthread_mutex_unlock(&n->worker.lock);
    ok(ask_end(&a) == ACCEL_OK, "an inference that came meanwhile runs %s", a.err.msg);
    until(accel_store_get_job(n->world.store, &job.uuid, &mem, &job, &err) != ACCEL_OK ||
          strcmp(job.state, "succeeded") == 0);
    pthread_mutex_lock(&n->worker.lock);
    ok(strcmp(n->worker.order, "CICCCCC") == 0,
       "right after the part under way, before the five others: %s", n->worker.order);
    pthread_mutex_unlock(&n->worker.lock);
}

static void cancel_ends_waiting_and_running(struct node *n)
{
    struct asker running = {0}, waiting = {0};
    struct accel_service_metrics metrics;

    fake_set(&n->worker, &n->worker.hold, true);
    const unsigned before = fake_count(&n->worker, &n->worker.infers);
    ask_start(&running, &n->world, "net", NULL);
    fake_wait(&n->worker, &n->worker.infers, before + 1);
    ask_start(&waiting, &n->world, "net", NULL);
    until((accel_service_get_metrics(n->world.service, &metrics), metrics.infers_queued == 1));
    atomic_store(&waiting.cancelled, true);
    accel_service_poke(n->world.service);
    ok(ask_end(&waiting) == ACCEL_E_CANCELLED, "one that waits for a worker: %s", waiting.err.msg);
    atomic_store(&running.cancelled, true);
    accel_service_poke(n->world.service);
    ok(ask_end(&running) == ACCEL_E_CANCELLED, "one that runs: %s", running.err.msg);
    fake_set(&n->worker, &n->worker.hold, false);

    struct asker late = {.timeout_ms = 30}, holder = {0};
    fake_set(&n->worker, &n->worker.hold, true);
    const unsigned now = fake_count(&n->worker, &n->worker.infers);
    ask_start(&holder, &n->world, "net", NULL);
    fake_wait(&n->worker, &n->worker.infers, now + 1);
    ok(ask(&late, &n->world, "net", NULL) == ACCEL_E_TIMEOUT, "one that waits too long: %s",
       late.err.msg);
    fake_release(&n->worker);
    (void)ask_end(&holder);
}

static void death_costs_the_request_it_served(struct node *n)
{
    struct asker a = {0}, b = {0};

    fake_set(&n->worker, &n->worker.hold, true);
    const unsigned before = fake_count(&n->worker, &n->worker.infers);
    ask_start(&a, &n->world, "net", NULL);
    fake_wait(&n->worker, &n->worker.infers, before + 1);
    fake_kill(&n->worker, "killed by signal 9 (Killed)");
    ok(ask_end(&a) == ACCEL_E_UNAVAILABLE && strstr(a.err.msg, "signal 9") != NULL,
       "UNAVAILABLE, with the reason: %s", a.err.msg);
    n->worker.hold = false;
    /* Nobody is there yet: the request waits for the worker that the supervisor starts. */
    ask_start(&b, &n->world, "net", NULL);
    struct accel_service_metrics metrics;
    until((accel_service_get_metrics(n->world.service, &metrics), metrics.infers_queued == 1));
    worker_start(&n->worker, &n->world, "1");
    ok(ask_end(&b) == ACCEL_OK, "the next request is served by the next worker %s", b.err.msg);
}

static void note_hung(void *context, Accel__Ipc__Role role, const char *name, const char *reason)
{
    atomic_store((_Atomic bool *)context, role == ACCEL__IPC__ROLE__WORKER_CPU &&
                                              strcmp(name, "1") == 0 && reason[0] != '\0');
}

/* It neither answers in time nor when it is told to stop. */
static void a_hung_worker_is_reported(struct node *n)
{
    _Atomic bool hung = false;
    struct asker a = {.timeout_ms = 20};

    accel_service_on_hung_peer(n->world.service, note_hung, &hung);
    n->world.service->hung_grace_ms = 20;
    pthread_mutex_lock(&n->worker.lock);
    n->worker.hold = n->worker.ignore_cancel = true;
    pthread_mutex_unlock(&n->worker.lock);
    ok(ask(&a, &n->world, "net", NULL) == ACCEL_E_TIMEOUT, "the request times out: %s", a.err.msg);
    ok(atomic_load(&hung), "and the worker is reported, to be killed");
    accel_service_on_hung_peer(n->world.service, NULL, NULL);
    n->world.service->hung_grace_ms = 5000;
    fake_kill(&n->worker, "it passed its deadline");
    n->worker.hold = n->worker.ignore_cancel = false;
    worker_start(&n->worker, &n->world, "1");
}

static void a_request_that_never_began_goes_to_another_worker(struct node *n)
{
    struct fake second = {0};
    struct asker a = {0};

    /* The first dies idle: its channel is closed, the supervisor has not said so yet. */
    worker_start(&second, &n->world, "2");
    shutdown(n->worker.socket, SHUT_RDWR);
    pthread_join(n->worker.thread, NULL);
    ok(ask(&a, &n->world, "net", NULL) == ACCEL_OK && fake_count(&second, &second.infers) == 1,
       "it is asked of the living one %s", a.err.msg);
    fake_report_down(&n->worker, "killed by signal 9 (Killed)", false);
    worker_start(&n->worker, &n->world, "1");
    fake_kill(&second, "no longer wanted");
}

static void the_cache_is_bounded(struct node *n)
{
    struct asker a = {0}, b = {0}, c = {0};
    struct accel_service_metrics metrics;

    /* Room for one packed model of 1000 bytes. */
    add_model(n, "other");
    const unsigned loads = fake_count(&n->worker, &n->worker.loads);
    accel_service_get_metrics(n->world.service, &metrics);
    ok(metrics.models_packed == 1 && metrics.packed_bytes == 1000, "one packed model is held");
    ok(ask(&a, &n->world, "other", NULL) == ACCEL_OK &&
           fake_count(&n->worker, &n->worker.loads) == loads,
       "the newest runs without loading");
    ok(ask(&b, &n->world, "net", NULL) == ACCEL_OK &&
           fake_count(&n->worker, &n->worker.loads) == loads + 1,
       "the one that went is packed again");
    fake_wait(&n->worker, &n->worker.drops, 1);
    ok(ask(&c, &n->world, "other", NULL) == ACCEL_OK &&
           fake_count(&n->worker, &n->worker.loads) == loads + 2 &&
           fake_count(&n->worker, &n->worker.drops) >= 1,
       "and workers are told to forget what went");
}

static void draining_refuses_and_waits(struct node *n)
{
    struct accel_bump mem = {0};
    struct accel_device cpu;
    struct accel_error err = {0};
    struct asker a = {0}, refused = {0};

    (void)service_find_device(n->world.service, "cpu:0", &mem, &cpu, &err);
    fake_set(&n->worker, &n->worker.hold, true);
    const unsigned before = fake_count(&n->worker, &n->worker.infers);
    ask_start(&a, &n->world, "net", NULL);
    fake_wait(&n->worker, &n->worker.infers, before + 1);
    ok(service_gate_drain(n->world.service, cpu.id, accel_now_ms() + 20, &err) == ACCEL_E_TIMEOUT,
       "a drain waits for what runs: %s", err.msg);
    fake_release(&n->worker);
    ok(ask_end(&a) == ACCEL_OK &&
           service_gate_drain(n->world.service, cpu.id, accel_now_ms() + 2000, &err) == ACCEL_OK,
       "and ends with it");
    ok(ask(&refused, &n->world, "net", NULL) == ACCEL_E_CONFLICT, "nothing new begins: %s",
       refused.err.msg);
    service_gate_open(n->world.service, cpu.id);
    struct asker again = {0};
    ok(ask(&again, &n->world, "net", NULL) == ACCEL_OK, "until the gate is open");
    accel_bump_free(&mem);
}

static void stop_lets_what_runs_end(void)
{
    struct node n;
    struct asker a = {0};

    node_new(&n, "", 0);
    add_model(&n, "net");
    fake_set(&n.worker, &n.worker.hold, true);
    ask_start(&a, &n.world, "net", NULL);
    fake_wait(&n.worker, &n.worker.infers, 1);
    accel_service_stop(n.world.service, 20);
    ok(ask_end(&a) == ACCEL_E_UNAVAILABLE, "past the deadline it is cut off: %s", a.err.msg);
    struct asker late = {0};
    ok(ask(&late, &n.world, "net", NULL) == ACCEL_E_UNAVAILABLE, "nothing new is taken: %s",
       late.err.msg);
    node_free(&n);
}

int main(void)
{
    struct node n;

    accel_log_init("test", ACCEL_LOG_ERROR);
    node_new(&n, "limits: {infer_queue: 2}\nmodels: {cache: 1500B}\n", 1);
    add_model(&n, "net");
    runs_and_learns(&n);
    the_queue_is_bounded(&n);
    an_inference_goes_between_parts_of_a_calibration(&n);
    cancel_ends_waiting_and_running(&n);
    death_costs_the_request_it_served(&n);
    a_hung_worker_is_reported(&n);
    a_request_that_never_began_goes_to_another_worker(&n);
    the_cache_is_bounded(&n);
    draining_refuses_and_waits(&n);
    node_free(&n);
    stop_lets_what_runs_end();
    return tap_done();
}
