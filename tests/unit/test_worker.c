/* SPDX-License-Identifier: Apache-2.0 */
/* A worker at the end of a channel, as control sees it: the same code as the process, without its
 * sandbox. Models and expected outputs: tests/fixtures. */
#include "worker/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/mem.h"
#include "cli/tensor_compare.h"
#include "cli/tensor_file.h"
#include "core/analysis_json.h"
#include "core/ipc.h"
#include "core/rates_json.h"
#include "tap.h"
#include "worker/tensors.h"

struct worker {
    struct accel_config *config;
    int channel, theirs;
    pthread_t thread;
    int rc;
    uint64_t id;
};

static void *worker_main(void *context)
{
    struct worker *w = context;
    struct accel_error err;

    w->rc = accel_worker_run(w->config, w->theirs, &err);
    return NULL;
}

static void start(struct worker *w, const char *config)
{
    struct accel_error err;
    int pair[2];

    *w = (struct worker){0};
    ok(accel_config_parse(config, strlen(config), "test", &w->config, &err) == ACCEL_OK &&
           accel_ipc_pair(pair, &err) == ACCEL_OK,
       "a worker");
    w->channel = pair[0];
    w->theirs = pair[1];
    pthread_create(&w->thread, NULL, worker_main, w);
}

static void end(struct worker *w)
{
    close(w->channel);
    pthread_join(w->thread, NULL);
    ok(w->rc == ACCEL_OK, "it ends well when its channel does");
    accel_config_free(w->config);
}

/* Sends and waits for the final answer; Progress is passed over. An Error becomes *err. */
static int ask(struct worker *w, Accel__Ipc__Message *m, const int *fds, size_t count,
               struct accel_ipc_packet *answer, struct accel_error *err)
{
    m->id = ++w->id;
    int rc = accel_ipc_send(w->channel, m, fds, count, err);
    while (rc == ACCEL_OK) {
        rc = accel_ipc_receive(w->channel, answer, err);
        if (rc != ACCEL_OK)
            break;
        if (answer->message->id == m->id &&
            answer->message->body_case != ACCEL__IPC__MESSAGE__BODY_PROGRESS)
            break;
        accel_ipc_packet_free(answer);
    }
    if (rc == ACCEL_OK && answer->message->body_case == ACCEL__IPC__MESSAGE__BODY_ERROR) {
        rc = accel_ipc_to_error(answer->message->error, err);
        accel_ipc_packet_free(answer);
    }
    return rc;
}

static int load(struct worker *w, int file, uint64_t size, bool analyse_only,
                struct accel_ipc_packet *answer, struct accel_error *err)
{
    Accel__Ipc__Message m = ACCEL__IPC__MESSAGE__INIT;
    Accel__Ipc__Load body = ACCEL__IPC__LOAD__INIT;

    m.body_case = ACCEL__IPC__MESSAGE__BODY_LOAD;
    m.load = &body;
    body.model = (char *)"m/1";
    body.size_bytes = size;
    body.analyse_only = analyse_only;
    return ask(w, &m, &file, file >= 0 ? 1 : 0, answer, err);
}

static int open_file(const char *path, uint64_t *size)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;

    if (!ok(fd >= 0 && fstat(fd, &st) == 0, "%s is there", path))
        return -1;
    *size = (uint64_t)st.st_size;
    return fd;
}

static void check_analysis(int fd, uint64_t size, const char *what)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_mapping mapping;
    struct accel_analysis *analysis = NULL;
    struct accel_error err;
    json_error_t why;

    if (!ok(accel_mapping_new(fd, size, "analysis", &mapping, &err) == ACCEL_OK,
            "%s: the analysis is a sealed file", what))
        return;
    json_t *json = json_loadb((const char *)mapping.bytes, mapping.size, 0, &why);
    ok(json != NULL && accel_analysis_from_json(json, &mem, &analysis, &err) == ACCEL_OK &&
           analysis->runnable && analysis->ops_count > 3 && analysis->flops > 1e5 &&
           analysis->inputs_count == 1,
       "%s: it says what running the model takes", what);
    json_decref(json);
    accel_mapping_free(&mapping);
}

static void answers_and_refuses(void)
{
    struct worker w;
    Accel__Ipc__Message m = ACCEL__IPC__MESSAGE__INIT;
    Accel__Ipc__Ping ping = ACCEL__IPC__PING__INIT;
    Accel__Ipc__Discover discover = ACCEL__IPC__DISCOVER__INIT;
    struct accel_ipc_packet answer;
    struct accel_error err;
    int file;

    start(&w, "workers: {threads: 1}\nlimits: {model_bytes: 1KiB}\n");
    m.body_case = ACCEL__IPC__MESSAGE__BODY_PING;
    m.ping = &ping;
    ok(ask(&w, &m, NULL, 0, &answer, &err) == ACCEL_OK &&
           answer.message->body_case == ACCEL__IPC__MESSAGE__BODY_DONE,
       "Ping is answered by Done");
    accel_ipc_packet_free(&answer);
    m.body_case = ACCEL__IPC__MESSAGE__BODY_DISCOVER;
    m.discover = &discover;
    ok(ask(&w, &m, NULL, 0, &answer, &err) == ACCEL_E_UNSUPPORTED,
       "a message for others is refused: %s", err.msg);
    ok(accel_memfd_of("model", "this is no ONNX file", 20, &file, &err) == ACCEL_OK, "a file");
    ok(load(&w, file, 20, false, &answer, &err) == ACCEL_E_INVALID, "no model: %s", err.msg);
    ok(load(&w, file, 21, false, &answer, &err) == ACCEL_E_INVALID, "a size that lies: %s",
       err.msg);
    ok(load(&w, -1, 20, false, &answer, &err) == ACCEL_E_INVALID, "no descriptor: %s", err.msg);
    close(file);
    ok(accel_memfd_new("model", 2000, &file, &err) == ACCEL_OK &&
           load(&w, file, 2000, false, &answer, &err) == ACCEL_E_LIMIT,
       "more than limits.model_bytes: %s", err.msg);
    close(file);
    ok(load(&w, w.channel, 20, false, &answer, &err) == ACCEL_E_INVALID, "a socket for a file: %s",
       err.msg);
    end(&w);
}

static void analyses(void)
{
    struct worker w;
    struct accel_ipc_packet answer;
    struct accel_error err;
    uint64_t size;

    start(&w, "workers: {threads: 1}\n");
    const int file = open_file("tests/fixtures/mnist-8/model.onnx", &size);
    if (ok(load(&w, file, size, true, &answer, &err) == ACCEL_OK && answer.fds_count == 1 &&
               answer.message->loaded->packed_bytes == 0,
           "analyse_only sends an analysis alone")) {
        ok(answer.message->loaded->sha256.len == 32, "and the file's SHA-256");
        check_analysis(answer.fds[0], answer.message->loaded->analysis_bytes, "mnist-8");
        accel_ipc_packet_free(&answer);
    }
    close(file);
    end(&w);
}

/* One model packed by a worker, and one input of it. */
struct packed {
    int fd, input_fd;
    uint64_t bytes;
    struct accel_owned_tensor input, expected;
};

static bool pack(struct worker *w, const char *folder, struct packed *p)
{
    struct accel_ipc_packet answer;
    struct accel_error err;
    char path[256];
    uint64_t size;

    *p = (struct packed){.fd = -1, .input_fd = -1};
    snprintf(path, sizeof(path), "%s/model.onnx", folder);
    const int file = open_file(path, &size);
    const int rc = load(w, file, size, false, &answer, &err);
    close(file);
    if (!ok(rc == ACCEL_OK && answer.fds_count == 2, "%s is packed %s", folder,
            rc != ACCEL_OK ? err.msg : ""))
        return false;
    check_analysis(answer.fds[1], answer.message->loaded->analysis_bytes, folder);
    p->bytes = answer.message->loaded->packed_bytes;
    p->fd = accel_ipc_take_fd(&answer, 0);
    accel_ipc_packet_free(&answer);
    ok(accel_memfd_is_sealed(p->fd) && p->bytes > 0, "the packed model is a sealed memory file");
    snprintf(path, sizeof(path), "%s/test_data_set_0/input_0.pb", folder);
    bool good = accel_tensor_read(path, &p->input, &err) == ACCEL_OK;
    snprintf(path, sizeof(path), "%s/test_data_set_0/output_0.pb", folder);
    good = good && accel_tensor_read(path, &p->expected, &err) == ACCEL_OK;
    good = good && accel_memfd_of("inputs", p->input.tensor.data, p->input.tensor.size_bytes,
                                  &p->input_fd, &err) == ACCEL_OK;
    return ok(good, "its test data is read");
}

static void unpack(struct packed *p)
{
    accel_closep(&p->fd);
    accel_closep(&p->input_fd);
    accel_owned_tensor_free(&p->input);
    accel_owned_tensor_free(&p->expected);
}

struct asked {
    Accel__Ipc__Message message;
    Accel__Ipc__Infer infer;
    Accel__Ipc__TensorRef ref, *refs[1];
    int fds[2];
};

static void make_infer(struct asked *a, const struct packed *p, const char *key)
{
    accel__ipc__message__init(&a->message);
    accel__ipc__infer__init(&a->infer);
    accel__ipc__tensor_ref__init(&a->ref);
    a->message.body_case = ACCEL__IPC__MESSAGE__BODY_INFER;
    a->message.infer = &a->infer;
    a->infer.model_key = (char *)key;
    a->infer.packed_bytes = p->bytes;
    a->infer.n_inputs = 1;
    a->infer.inputs = a->refs;
    a->refs[0] = &a->ref;
    a->infer.input_bytes = p->input.tensor.size_bytes;
    a->ref.name = p->input.name;
    a->ref.dtype = p->input.tensor.dtype;
    a->ref.n_dims = p->input.tensor.rank;
    a->ref.dims = (int64_t *)p->input.tensor.dims;
    a->ref.size_bytes = p->input.tensor.size_bytes;
    a->fds[0] = p->fd;
    a->fds[1] = p->input_fd;
}

static void check_output(const struct accel_ipc_packet *answer, const struct packed *p)
{
    const Accel__Ipc__Inferred *inferred = answer->message->inferred;
    struct accel_comparison how = {.pass = false, .why = "no output"};
    struct accel_mapping mapping = {0};
    struct accel_error err;

    if (inferred->n_outputs == 1 && answer->fds_count == 1 &&
        accel_mapping_new(answer->fds[0], inferred->output_bytes, "outputs", &mapping, &err) ==
            ACCEL_OK) {
        const Accel__Ipc__TensorRef *ref = inferred->outputs[0];
        struct accel_tensor got = {.dtype = (enum accel_dtype)ref->dtype,
                                   .rank = (uint32_t)ref->n_dims,
                                   .data = (void *)(mapping.bytes + ref->offset),
                                   .size_bytes = ref->size_bytes};
        memcpy(got.dims, ref->dims, ref->n_dims * sizeof(*ref->dims));
        accel_tensor_compare(&got, &p->expected.tensor, ACCEL_RULE_FLOAT, &how);
    }
    ok(how.pass, "the output is ONNX Runtime's: relative L2 %.2g %s", how.rel_l2,
       how.pass ? "" : how.why);
    accel_mapping_free(&mapping);
}

static void packs_and_runs(void)
{
    struct worker w;
    struct packed p;
    struct asked a;
    struct accel_ipc_packet answer;
    struct accel_error err;
    Accel__Ipc__Message drop_message = ACCEL__IPC__MESSAGE__INIT;
    Accel__Ipc__Drop drop = ACCEL__IPC__DROP__INIT;

    start(&w, "workers: {threads: 2}\n");
    if (!pack(&w, "tests/fixtures/mnist-8", &p)) {
        unpack(&p);
        end(&w);
        return;
    }
    make_infer(&a, &p, "m/1#1");
    ok(ask(&w, &a.message, a.fds, 2, &answer, &err) == ACCEL_OK &&
           answer.message->inferred->load_ns > 0,
       "the first run maps the model");
    check_output(&answer, &p);
    accel_ipc_packet_free(&answer);
    a.infer.profile = true;
    ok(ask(&w, &a.message, a.fds, 2, &answer, &err) == ACCEL_OK &&
           answer.message->inferred->n_ns_per_op > 3 && answer.message->inferred->threads == 2,
       "a run with a profile has a time per operator");
    accel_ipc_packet_free(&answer);
    ok(ask(&w, &a.message, a.fds, 2, &answer, &err) == ACCEL_OK &&
           answer.message->inferred->load_ns == 0,
       "the next finds the model held");
    check_output(&answer, &p);
    accel_ipc_packet_free(&answer);
    drop_message.body_case = ACCEL__IPC__MESSAGE__BODY_DROP;
    drop_message.drop = &drop;
    drop.model_key = (char *)"m/1#1";
    ok(ask(&w, &drop_message, NULL, 0, &answer, &err) == ACCEL_OK, "it is dropped");
    accel_ipc_packet_free(&answer);
    ok(ask(&w, &a.message, a.fds, 2, &answer, &err) == ACCEL_OK &&
           answer.message->inferred->load_ns > 0,
       "and mapped again after that");
    accel_ipc_packet_free(&answer);

    /* What a client, or a control process gone wrong, may get wrong. */
    char *outputs[] = {(char *)"no-such-output"};
    a.infer.n_outputs = 1;
    a.infer.outputs = outputs;
    ok(ask(&w, &a.message, a.fds, 2, &answer, &err) == ACCEL_E_INVALID,
       "an unknown output is refused: %s", err.msg);
    a.infer.n_outputs = 0;
    a.ref.name = (char *)"no-such-input";
    ok(ask(&w, &a.message, a.fds, 2, &answer, &err) == ACCEL_E_INVALID,
       "an unknown input is refused: %s", err.msg);
    a.ref.name = p.input.name;
    a.ref.offset = 1000000;
    ok(ask(&w, &a.message, a.fds, 2, &answer, &err) == ACCEL_E_INVALID,
       "an offset past the inputs is refused: %s", err.msg);
    a.ref.offset = 0;
    a.infer.input_bytes++;
    ok(ask(&w, &a.message, a.fds, 2, &answer, &err) == ACCEL_E_INVALID,
       "more input bytes than came are refused: %s", err.msg);
    a.infer.input_bytes--;
    a.infer.model_key = (char *)"m/1#2";
    const int swapped[2] = {p.input_fd, p.input_fd};
    ok(ask(&w, &a.message, swapped, 2, &answer, &err) == ACCEL_E_CORRUPT,
       "inputs for a packed model are refused: %s", err.msg);
    ok(ask(&w, &a.message, a.fds, 2, &answer, &err) == ACCEL_OK,
       "after all that it serves as before");
    check_output(&answer, &p);
    accel_ipc_packet_free(&answer);
    unpack(&p);
    end(&w);
}

static void send_infer(struct worker *w, struct asked *a, uint64_t id)
{
    struct accel_error err;

    a->message.id = id;
    ok(accel_ipc_send(w->channel, &a->message, a->fds, 2, &err) == ACCEL_OK, "request %d is sent",
       (int)id);
}

/* The answer to `id` as a code; every other answer is passed over. */
static int wait_for(struct worker *w, uint64_t id, struct accel_error *err)
{
    for (;;) {
        struct accel_ipc_packet answer;
        int rc = accel_ipc_receive(w->channel, &answer, err);
        if (rc != ACCEL_OK)
            return rc;
        const bool mine = answer.message->id == id &&
                          answer.message->body_case != ACCEL__IPC__MESSAGE__BODY_PROGRESS;
        if (answer.message->body_case == ACCEL__IPC__MESSAGE__BODY_ERROR)
            rc = accel_ipc_to_error(answer.message->error, err);
        accel_ipc_packet_free(&answer);
        if (mine)
            return rc;
    }
}

/* tbefn takes a good part of a second: the messages below arrive while it runs. */
static void answers_during_a_run(void)
{
    struct worker w;
    struct packed p;
    struct asked a;
    struct accel_error err;
    Accel__Ipc__Message m = ACCEL__IPC__MESSAGE__INIT;
    Accel__Ipc__Ping ping = ACCEL__IPC__PING__INIT;
    Accel__Ipc__Cancel cancel = ACCEL__IPC__CANCEL__INIT;
    struct accel_ipc_packet answer;

    start(&w, "workers: {threads: 1}\n");
    if (!pack(&w, "tests/fixtures/tbefn-180x320", &p)) {
        unpack(&p);
        end(&w);
        return;
    }
    make_infer(&a, &p, "t/1#1");
    send_infer(&w, &a, 100);
    send_infer(&w, &a, 101);
    m.id = 102;
    m.body_case = ACCEL__IPC__MESSAGE__BODY_PING;
    m.ping = &ping;
    ok(accel_ipc_send(w.channel, &m, NULL, 0, &err) == ACCEL_OK &&
           accel_ipc_receive(w.channel, &answer, &err) == ACCEL_OK && answer.message->id == 102,
       "Ping is answered while a run is under way");
    accel_ipc_packet_free(&answer);
    m.body_case = ACCEL__IPC__MESSAGE__BODY_CANCEL;
    m.cancel = &cancel;
    m.id = 101;
    ok(accel_ipc_send(w.channel, &m, NULL, 0, &err) == ACCEL_OK, "cancels the one that waits");
    m.id = 100;
    ok(accel_ipc_send(w.channel, &m, NULL, 0, &err) == ACCEL_OK, "and the one that runs");
    ok(wait_for(&w, 100, &err) == ACCEL_E_CANCELLED, "the one that ran is CANCELLED");
    ok(wait_for(&w, 101, &err) == ACCEL_E_CANCELLED, "the one that waited is CANCELLED");
    a.infer.deadline_ms = 1;
    send_infer(&w, &a, 103);
    ok(wait_for(&w, 103, &err) == ACCEL_E_TIMEOUT, "a run past its deadline is TIMEOUT: %s",
       err.msg);
    a.infer.deadline_ms = 60000;
    send_infer(&w, &a, 104);
    ok(wait_for(&w, 104, &err) == ACCEL_OK, "one within its deadline ends well");
    a.infer.deadline_ms = 0;
    send_infer(&w, &a, 105);
    unpack(&p);
    end(&w); /* with a run under way */
}

/* One part of a calibration; the answer's rates are measured, so only their form is known. */
static void calibrates(void)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct worker w;
    Accel__Ipc__Message m = ACCEL__IPC__MESSAGE__INIT;
    Accel__Ipc__Calibrate body = ACCEL__IPC__CALIBRATE__INIT;
    struct accel_ipc_packet answer;
    struct accel_mapping mapping = {0};
    struct accel_rate *rates;
    struct accel_error err;
    size_t count = 0;

    start(&w, "workers: {threads: 1}\n");
    m.id = 1;
    m.body_case = ACCEL__IPC__MESSAGE__BODY_CALIBRATE;
    m.calibrate = &body;
    body.point_us = 10;
    body.part_ms = 1;
    ok(accel_ipc_send(w.channel, &m, NULL, 0, &err) == ACCEL_OK, "a short part is asked for");
    ok(accel_ipc_receive(w.channel, &answer, &err) == ACCEL_OK &&
           answer.message->body_case == ACCEL__IPC__MESSAGE__BODY_CALIBRATED &&
           accel_mapping_new(answer.fds[0], answer.message->calibrated->json_bytes, "rates",
                             &mapping, &err) == ACCEL_OK,
       "rates come in a sealed file");
    ok(accel_rates_from_json((const char *)mapping.bytes, mapping.size, &mem, &rates, &count,
                             &err) == ACCEL_OK &&
           count >= 2 && rates[0].overhead_s > 0 && rates[1].flops_per_s > 0,
       "%zu rates are read: what a run costs, and operators", count);
    const uint32_t next = answer.message->calibrated->next;
    ok(next > 0 && next < answer.message->calibrated->count, "and which point comes next: %u of %u",
       next, answer.message->calibrated->count);
    accel_mapping_free(&mapping);
    accel_ipc_packet_free(&answer);

    m.id = 2;
    body.first = 1000000;
    ok(accel_ipc_send(w.channel, &m, NULL, 0, &err) == ACCEL_OK &&
           wait_for(&w, 2, &err) == ACCEL_E_INVALID,
       "a part that begins after the last point is refused: %s", err.msg);
    end(&w);
}

int main(void)
{
    accel_log_init("test", ACCEL_LOG_WARNING);
    answers_and_refuses();
    analyses();
    packs_and_runs();
    answers_during_a_run();
    calibrates();
    return tap_done();
}
