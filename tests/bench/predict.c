/* SPDX-License-Identifier: Apache-2.0 */
/* Predicted against measured: calibrates this machine as the daemon's workers do, then for each
 * model compares what accel_match_predict says (the analysis and the rates, no runs of the model)
 * with the median of real runs. One line of JSON per model; predict.py reads them. */

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/run.h"
#include "match/match.h"

#define RUNS_MAX 200
#define RUNS_MIN 5

struct trial {
    struct accel_run_options o;
    struct accel_model *model;
    struct accel_session *session;
    size_t inputs_count, outputs_count;
    struct accel_owned_tensor *owned;
    struct accel_named_tensor *inputs, *outputs;
    int64_t ns[RUNS_MAX];
    size_t runs;
    double *op_ns;
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
    accel_free(t->op_ns);
    accel_run_options_free(&t->o);
}

static int by_value(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static int prepare(struct trial *t, struct accel_error *err)
{
    t->inputs_count = accel_model_input_count(t->model);
    t->outputs_count = accel_model_output_count(t->model);
    t->owned = accel_calloc(t->inputs_count + 1, sizeof(*t->owned));
    t->inputs = accel_calloc(t->inputs_count + 1, sizeof(*t->inputs));
    t->outputs = accel_calloc(t->outputs_count + 1, sizeof(*t->outputs));
    t->op_ns = accel_calloc(accel_model_analysis(t->model)->ops_count + 1, sizeof(*t->op_ns));
    if (t->owned == NULL || t->inputs == NULL || t->outputs == NULL || t->op_ns == NULL)
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

static int run(struct trial *t, int64_t enough_ns, struct accel_error *err)
{
    int64_t spent = 0;

    for (int warm = -2; t->runs < RUNS_MAX && (t->runs < RUNS_MIN || spent < enough_ns); warm++) {
        const int64_t *op_ns;

        for (size_t i = 0; i < t->outputs_count; i++)
            t->outputs[i] =
                (struct accel_named_tensor){.name = accel_model_output(t->model, i)->name};
        const int64_t begin = accel_now_ns();
        if (accel_session_run(t->session, t->inputs, t->inputs_count, t->outputs, t->outputs_count,
                              err) != ACCEL_OK)
            return err->code;
        const int64_t ns = accel_now_ns() - begin;
        if (warm < 0)
            continue;
        t->ns[t->runs++] = ns;
        spent += ns;
        const size_t ops = accel_session_profile(t->session, &op_ns);
        for (size_t i = 0; i < ops && i < accel_model_analysis(t->model)->ops_count; i++)
            t->op_ns[i] += (double)op_ns[i];
    }
    qsort(t->ns, t->runs, sizeof(*t->ns), by_value);
    return ACCEL_OK;
}

/* What the cost model says of one operator by itself. */
static double predict_op(const struct accel_resource *r, const struct accel_op_analysis *op)
{
    const struct accel_analysis one = {
        .precision = op->precision, .runnable = true, .ops_count = 1, .ops = op};
    struct accel_prediction p;
    const char *reason;

    return accel_match_predict(&one, r, 0, &p, &reason) ? p.latency_s : 0;
}

static json_t *compare(const char *path, const struct accel_resource *r, unsigned threads,
                       int64_t enough_ns, struct accel_error *err)
{
    ACCEL_CLEANUP(trial_free) struct trial t = {0};
    const struct accel_session_options so = {
        .struct_size = sizeof(so), .threads = threads, .profile = true};
    struct accel_prediction p;
    const char *reason = "";

    if (accel_run_load(&t.o, path, &t.model, err) != ACCEL_OK || prepare(&t, err) != ACCEL_OK ||
        accel_session_new(t.model, &so, &t.session, err) != ACCEL_OK ||
        run(&t, enough_ns, err) != ACCEL_OK)
        return NULL;
    const struct accel_analysis *a = accel_model_analysis(t.model);
    if (!accel_match_predict(a, r, 0, &p, &reason)) {
        accel_fail(err, ACCEL_E_UNSUPPORTED, "no prediction: %s", reason);
        return NULL;
    }
    json_t *ops = json_array();
    for (size_t i = 0; i < a->ops_count; i++)
        json_array_append_new(
            ops, json_pack("{s:s, s:s, s:s, s:s, s:f, s:f, s:f, s:f}", "op", a->ops[i].op, "kind",
                           accel_kind_name(a->ops[i].kind), "precision",
                           accel_dtype_name(a->ops[i].precision), "shape", a->ops[i].shape, "flops",
                           a->ops[i].flops, "bytes",
                           a->ops[i].bytes_read + a->ops[i].bytes_written + a->ops[i].bytes_weights,
                           "predicted_us", predict_op(r, &a->ops[i]) * 1e6, "measured_us",
                           t.op_ns[i] / (double)t.runs / 1e3));
    return json_pack("{s:s, s:i, s:s, s:f, s:f, s:f, s:f, s:f, s:o}", "model", path, "threads",
                     (int)threads, "basis", accel_prediction_basis_name(p.basis), "predicted_ms",
                     p.latency_s * 1e3, "low_ms", p.latency_low_s * 1e3, "high_ms",
                     p.latency_high_s * 1e3, "measured_ms", (double)t.ns[t.runs / 2] / 1e6,
                     "fastest_ms", (double)t.ns[0] / 1e6, "ops", ops);
}

static void print(json_t *line)
{
    json_dumpf(line, stdout, JSON_COMPACT);
    printf("\n");
    fflush(stdout);
    json_decref(line);
}

int main(int argc, char **argv)
{
    struct accel_rate *rates = NULL;
    struct accel_error err;
    size_t count = 0;

    if (argc < 4) {
        fprintf(stderr, "usage: predict THREADS CALIBRATION_MS MS_PER_MODEL MODEL.onnx ...\n");
        return 2;
    }
    const unsigned threads = (unsigned)strtoul(argv[1], NULL, 10);
    const int64_t begin = accel_now_ns();
    if (accel_calibrate(threads, ACCEL_CPU_ALL, strtol(argv[2], NULL, 10), NULL, NULL, &rates,
                        &count, &err) != ACCEL_OK) {
        fprintf(stderr, "predict: %s\n", err.msg);
        return 1;
    }
    json_t *points = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(
            points,
            json_pack("{s:s, s:s, s:f, s:f, s:f, s:f, s:f}", "kind", accel_kind_name(rates[i].kind),
                      "precision", accel_dtype_name(rates[i].precision), "flops", rates[i].flops,
                      "bytes", rates[i].bytes, "us",
                      (rates[i].bytes_per_s > 0 ? rates[i].bytes / rates[i].bytes_per_s : 0) * 1e6,
                      "launch_us", rates[i].overhead_s * 1e6, "spread", rates[i].spread));
    print(json_pack("{s:f, s:i, s:o}", "calibration_s", (double)(accel_now_ns() - begin) * 1e-9,
                    "threads", (int)threads, "rates", points));
    const struct accel_device device = {
        .identity = "cpu:0", .type = "CPU", .vendor = "", .runnable = true};
    const struct accel_resource resource = {
        .device = &device, .rates = rates, .rates_count = count, .rates_threads = threads};
    for (int i = 4; i < argc; i++) {
        json_t *line =
            compare(argv[i], &resource, threads, strtol(argv[3], NULL, 10) * 1000000, &err);
        if (line == NULL)
            line = json_pack("{s:s, s:s}", "model", argv[i], "error", err.msg);
        print(line);
    }
    accel_rates_free(rates);
    return 0;
}
