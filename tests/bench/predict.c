/* SPDX-License-Identifier: Apache-2.0 */
/* Predicted against measured: calibrates this machine as the daemon's workers do, then for each
 * model compares what accel_match_predict says (the analysis and the rates, no runs of the model)
 * with real runs. Both sides are measured in turn, round by round, and of both the quietest counts,
 * so that a neighbour's burst spoils neither alone. One line of JSON per model; predict.py reads
 * them. */

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/run.h"
#include "match/match.h"

#define RUNS_MIN 3

/* What is kept of a model over the rounds: seconds of its quickest run by the clock on the wall and
 * by the calling thread's own, and of each operator's quickest. */
struct figures {
    double wall_s, thread_s;
    double *ops_s;
    size_t runs;
    char error[512];
};

struct trial {
    struct accel_run_options o;
    struct accel_model *model;
    struct accel_session *session;
    size_t inputs_count, outputs_count;
    struct accel_owned_tensor *owned;
    struct accel_named_tensor *inputs, *outputs;
};

static void trial_free(struct trial *t)
{
    accel_session_free(t->session);
    accel_model_unref(t->model);
    for (size_t i = 0; t->owned != NULL && i < t->inputs_count; i++)
        accel_owned_tensor_free(&t->owned[i]);
    accel_free(t->owned);
    accel_free(t->inputs);
    accel_free(t->outputs);
    accel_run_options_free(&t->o);
}

static int prepare(struct trial *t, struct accel_error *err)
{
    t->inputs_count = accel_model_input_count(t->model);
    t->outputs_count = accel_model_output_count(t->model);
    t->owned = accel_calloc(t->inputs_count + 1, sizeof(*t->owned));
    t->inputs = accel_calloc(t->inputs_count + 1, sizeof(*t->inputs));
    t->outputs = accel_calloc(t->outputs_count + 1, sizeof(*t->outputs));
    if (t->owned == NULL || t->inputs == NULL || t->outputs == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for %zu inputs", t->inputs_count);
    for (size_t i = 0; i < t->inputs_count; i++) {
        const struct accel_tensor_info *info = accel_model_input(t->model, i);
        int64_t dims[ACCEL_RANK_MAX];
        uint32_t rank;

        if (accel_run_input_shape(&t->o, info, &rank, dims, err) != ACCEL_OK ||
            accel_run_random(info->dtype, rank, dims, i + 1, &t->owned[i], err) != ACCEL_OK)
            return accel_fail_in(err, "input %s", info->name);
        t->inputs[i] =
            (struct accel_named_tensor){.name = info->name, .tensor = t->owned[i].tensor};
    }
    return ACCEL_OK;
}

static int load(struct trial *t, const char *path, struct accel_error *err)
{
    return accel_run_load(&t->o, path, &t->model, err) != ACCEL_OK ? (int)err->code
                                                                   : prepare(t, err);
}

/* Runs for `share_ns`, with times per operator or without: the clock costs a tiny one its like. */
static int run(struct trial *t, unsigned threads, bool profile, int64_t share_ns, struct figures *f,
               struct accel_error *err)
{
    const struct accel_session_options so = {
        .struct_size = sizeof(so), .threads = threads, .profile = profile};
    const int64_t start = accel_now_ns();

    accel_session_free(t->session);
    t->session = NULL;
    if (accel_session_new(t->model, &so, &t->session, err) != ACCEL_OK)
        return err->code;
    for (int i = -1; i < RUNS_MIN || accel_now_ns() - start < share_ns; i++) {
        const int64_t *op_ns;

        for (size_t o = 0; o < t->outputs_count; o++)
            t->outputs[o] =
                (struct accel_named_tensor){.name = accel_model_output(t->model, o)->name};
        const int64_t own = accel_thread_ns(), begin = accel_now_ns();
        if (accel_session_run(t->session, t->inputs, t->inputs_count, t->outputs, t->outputs_count,
                              err) != ACCEL_OK)
            return err->code;
        const double wall = (double)(accel_now_ns() - begin) * 1e-9;
        const double thread = (double)(accel_thread_ns() - own) * 1e-9;
        if (i < 0)
            continue;
        const size_t ops = accel_session_profile(t->session, &op_ns);
        for (size_t k = 0; k < ops && k < accel_model_analysis(t->model)->ops_count; k++)
            f->ops_s[k] = fmin(f->ops_s[k], (double)op_ns[k] * 1e-9);
        if (profile)
            continue;
        f->wall_s = fmin(f->wall_s, wall);
        f->thread_s = fmin(f->thread_s, thread);
        f->runs++;
    }
    return ACCEL_OK;
}

/* One round of one model. */
static void measure(const char *path, unsigned threads, int64_t share_ns, struct figures *f)
{
    ACCEL_CLEANUP(trial_free) struct trial t = {0};
    struct accel_error err;

    if (f->error[0] != '\0')
        return;
    int rc = load(&t, path, &err);
    if (rc == ACCEL_OK && f->ops_s == NULL) {
        const size_t ops = accel_model_analysis(t.model)->ops_count;
        f->ops_s = accel_calloc(ops + 1, sizeof(*f->ops_s));
        f->wall_s = f->thread_s = INFINITY;
        for (size_t k = 0; f->ops_s != NULL && k < ops; k++)
            f->ops_s[k] = INFINITY;
        if (f->ops_s == NULL)
            rc = accel_fail(&err, ACCEL_E_NOMEM, "no memory for %zu operators", ops);
    }
    if (rc == ACCEL_OK)
        rc = run(&t, threads, false, share_ns / 2, f, &err);
    if (rc == ACCEL_OK)
        rc = run(&t, threads, true, share_ns / 2, f, &err);
    if (rc != ACCEL_OK)
        snprintf(f->error, sizeof(f->error), "%s", err.msg);
}

/* ---------------------------------------------------------------- the other side */

struct rates {
    struct accel_rate *items;
    size_t count, capacity;
};

static int calibrate_round(unsigned threads, int64_t point_us, struct rates *all,
                           struct accel_error *err)
{
    struct rates one = {0};
    int rc = ACCEL_OK;

    for (uint32_t next = 0; rc == ACCEL_OK && next < accel_calibration_count();) {
        struct accel_rate *part;
        size_t count;

        rc = accel_calibrate_part(threads, ACCEL_CPU_ALL, point_us, 100, next, &next, &part, &count,
                                  err);
        if (rc != ACCEL_OK)
            break;
        rc = accel_grow(&one.items, &one.capacity, one.count + count + 1, sizeof(*part), err);
        if (rc == ACCEL_OK && count > 0)
            memcpy(&one.items[one.count], part, count * sizeof(*part));
        one.count += count;
        accel_rates_free(part);
    }
    if (rc == ACCEL_OK && all->count > 0) {
        accel_rates_merge(all->items, all->count, one.items, one.count);
    } else if (rc == ACCEL_OK) {
        *all = one;
        return ACCEL_OK;
    }
    accel_free(one.items);
    return rc;
}

/* What the cost model says of one operator by itself. */
static double predict_op(const struct accel_resource *r, const struct accel_analysis *whole,
                         const struct accel_op_analysis *op)
{
    struct accel_analysis one = *whole;
    struct accel_prediction p;
    const char *reason;

    one.ops_count = 1;
    one.ops = op;
    return accel_match_predict(&one, r, 0, &p, &reason)
               ? p.latency_s - p.kinds[ACCEL_KIND_OTHER].latency_s
               : 0;
}

static json_t *compare(const char *path, const struct accel_resource *r, const struct figures *f,
                       struct accel_error *err)
{
    ACCEL_CLEANUP(trial_free) struct trial t = {0};
    struct accel_prediction p;
    const char *reason = "";

    if (f->error[0] != '\0') {
        accel_fail(err, ACCEL_E_INVALID, "%s", f->error);
        return NULL;
    }
    if (load(&t, path, err) != ACCEL_OK)
        return NULL;
    const struct accel_analysis *a = accel_model_analysis(t.model);
    if (!accel_match_predict(a, r, 0, &p, &reason)) {
        accel_fail(err, ACCEL_E_UNSUPPORTED, "no prediction: %s", reason);
        return NULL;
    }
    json_t *ops = json_array();
    double sum = 0;
    for (size_t i = 0; i < a->ops_count; i++) {
        const struct accel_op_analysis *op = &a->ops[i];
        const double bytes = op->bytes_read + op->bytes_written + op->bytes_weights;

        sum += f->ops_s[i];
        json_array_append_new(
            ops, json_pack("{s:s, s:s, s:s, s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:f}", "op", op->op,
                           "kind", accel_kind_name(op->kind), "precision",
                           accel_dtype_name(op->precision), "shape", op->shape, "fused", op->fused,
                           "flops", op->flops, "bytes", bytes, "weights", op->bytes_weights,
                           "items", op->items, "predicted_us", predict_op(r, a, op) * 1e6,
                           "measured_us", f->ops_s[i] * 1e6));
    }
    return json_pack("{s:s, s:i, s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:i, s:o}", "model", path,
                     "threads", (int)r->rates_threads, "basis",
                     accel_prediction_basis_name(p.basis), "predicted_ms", p.latency_s * 1e3,
                     "low_ms", p.latency_low_s * 1e3, "high_ms", p.latency_high_s * 1e3,
                     "measured_ms", f->wall_s * 1e3, "thread_ms", f->thread_s * 1e3, "ops_ms",
                     sum * 1e3, "runs", (int)f->runs, "ops", ops);
}

static void print(json_t *line)
{
    json_dumpf(line, stdout, JSON_COMPACT);
    printf("\n");
    fflush(stdout);
    json_decref(line);
}

static json_t *points_of(const struct rates *rates)
{
    json_t *points = json_array();

    for (size_t i = 0; i < rates->count; i++) {
        const struct accel_rate *r = &rates->items[i];

        json_array_append_new(
            points,
            json_pack("{s:s, s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "op", r->op, "kind",
                      accel_kind_name(r->kind), "precision", accel_dtype_name(r->precision),
                      "flops", r->flops, "bytes", r->bytes, "written", r->bytes_written, "weights",
                      r->bytes_weights, "items", r->items, "us",
                      (r->overhead_s + (r->bytes_per_s > 0 ? r->bytes / r->bytes_per_s : 0)) * 1e6,
                      "spread", r->spread));
    }
    return points;
}

int main(int argc, char **argv)
{
    struct rates rates = {0};
    struct accel_error err;
    int64_t calibration_ns = 0;

    if (argc < 5) {
        fprintf(stderr, "usage: predict THREADS CALIBRATION_MS MS_PER_MODEL MODEL.onnx ...\n");
        return 2;
    }
    const unsigned threads = (unsigned)strtoul(argv[1], NULL, 10);
    const int64_t point_us = accel_calibration_point_us(strtol(argv[2], NULL, 10));
    const int64_t share_ns = strtol(argv[3], NULL, 10) * 1000000 / ACCEL_CALIBRATION_ROUNDS;
    const int models = argc - 4;
    struct figures *figures = accel_calloc((size_t)models, sizeof(*figures));
    if (figures == NULL)
        return 1;
    for (int round = 0; round < ACCEL_CALIBRATION_ROUNDS; round++) {
        const int64_t begin = accel_now_ns();
        if (calibrate_round(threads, point_us, &rates, &err) != ACCEL_OK) {
            fprintf(stderr, "predict: %s\n", err.msg);
            return 1;
        }
        calibration_ns += accel_now_ns() - begin;
        for (int i = 0; i < models; i++)
            measure(argv[4 + i], threads, share_ns, &figures[i]);
    }
    print(json_pack("{s:f, s:i, s:o}", "calibration_s", (double)calibration_ns * 1e-9, "threads",
                    (int)threads, "rates", points_of(&rates)));
    const struct accel_device device = {
        .identity = "cpu:0", .type = "CPU", .vendor = "", .runnable = true};
    const struct accel_resource resource = {.device = &device,
                                            .rates = rates.items,
                                            .rates_count = rates.count,
                                            .rates_threads = threads};
    for (int i = 0; i < models; i++) {
        json_t *line = compare(argv[4 + i], &resource, &figures[i], &err);
        if (line == NULL)
            line = json_pack("{s:s, s:s}", "model", argv[4 + i], "error", err.msg);
        print(line);
        accel_free(figures[i].ops_s);
    }
    accel_free(figures);
    accel_free(rates.items);
    return 0;
}
