/* SPDX-License-Identifier: Apache-2.0 */
/* Rates of this machine: small graphs of the operators that models have (points.c), run as a model
 * is run, each operator timed. */
#include "infer/calibrate/graph.h"
#include "infer/calibrate/points.h"

#include "base/clock.h"
#include "base/mem.h"
#include "infer/ops/op.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a part of accel_calibrate takes: progress is told in between. */
#define PART_MS 100

/* Share of the budget that is for measuring; the rest goes into loading the graphs. */
#define MEASURING 0.7

/* Runs of a point at least, and by how much a busy machine may stretch its share of time. */
#define RUNS_MIN 4
#define PATIENCE 4

/* A batch of runs that the clock's grain (tens of nanoseconds) does not show in, and that fits well
 * into a time slice. */
#define BATCH_NS 2000

#define INPUTS_MAX 8
#define OPS_MAX    32

/* One graph at work. */
struct bench {
    struct accel_bump mem;
    struct accel_model *model;
    struct accel_session *timed, *plain; /* with and without a clock around each operator */
    struct accel_named_tensor inputs[INPUTS_MAX], outputs[INPUTS_MAX];
    size_t inputs_count, outputs_count;
};

static void bench_free(struct bench *b)
{
    accel_session_free(b->timed);
    accel_session_free(b->plain);
    accel_model_unref(b->model);
    for (size_t i = 0; i < b->inputs_count; i++)
        accel_free(b->inputs[i].tensor.data);
    accel_bump_free(&b->mem);
}

static int make_input(struct accel_named_tensor *input, const struct accel_tensor_info *info,
                      struct accel_error *err)
{
    struct accel_tensor *t = &input->tensor;
    size_t bytes = accel_dtype_size(info->dtype);

    for (uint32_t d = 0; d < info->rank; d++)
        bytes *= (size_t)info->dims[d];
    input->name = info->name;
    t->dtype = info->dtype;
    t->rank = info->rank;
    memcpy(t->dims, info->dims, sizeof(t->dims));
    t->size_bytes = bytes;
    t->data = accel_aligned_alloc(64, bytes + 64);
    if (t->data == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to measure");
    accel_calibration_fill((int)info->dtype, bytes, t->data);
    return ACCEL_OK;
}

static int bench_new(const char *text, unsigned threads, unsigned cpu_mask, struct bench *b,
                     struct accel_error *err)
{
    struct accel_load_options options;
    struct accel_session_options so = {
        .struct_size = sizeof(so), .threads = threads, .profile = true};
    void *bytes;
    size_t size;

    accel_load_options_init(&options);
    options.cpu_mask = cpu_mask;
    int rc = accel_calibration_graph(text, &b->mem, &bytes, &size, err);
    if (rc == ACCEL_OK)
        rc = accel_model_load_memory(bytes, size, NULL, NULL, &options, &b->model, err);
    if (rc == ACCEL_OK)
        rc = accel_session_new(b->model, &so, &b->timed, err);
    so.profile = false;
    if (rc == ACCEL_OK)
        rc = accel_session_new(b->model, &so, &b->plain, err);
    if (rc != ACCEL_OK)
        return rc;
    b->outputs_count = ACCEL_MIN(accel_model_output_count(b->model), (size_t)INPUTS_MAX);
    for (size_t i = 0; rc == ACCEL_OK && i < accel_model_input_count(b->model); i++)
        rc = make_input(&b->inputs[b->inputs_count++], accel_model_input(b->model, i), err);
    return rc;
}

static int run_once(struct bench *b, struct accel_session *session, struct accel_error *err)
{
    for (size_t o = 0; o < b->outputs_count; o++)
        b->outputs[o] = (struct accel_named_tensor){.name = accel_model_output(b->model, o)->name};
    return accel_session_run(session, b->inputs, b->inputs_count, b->outputs, b->outputs_count,
                             err);
}

/* What others take of the machine is not spent, up to a limit. */
static bool has_time(int64_t begin_ns, int64_t own_ns, int64_t share_ns)
{
    return accel_thread_ns() - own_ns < share_ns && accel_now_ns() - begin_ns < PATIENCE * share_ns;
}

/* The quietest of many runs, per operator: relative to each other only, as the clock is in them. */
static int measure_ops(struct bench *b, int64_t share_ns, double *ops, size_t count,
                       struct accel_error *err)
{
    const int64_t begin = accel_now_ns(), own = accel_thread_ns();

    for (size_t i = 0; i < count; i++)
        ops[i] = DBL_MAX;
    for (int runs = 0; runs < RUNS_MIN || has_time(begin, own, share_ns); runs++) {
        const int64_t *ns;

        if (run_once(b, b->timed, err) != ACCEL_OK)
            return err->code;
        const size_t n = accel_session_profile(b->timed, &ns);
        for (size_t i = 0; i < ACCEL_MIN(n, count); i++)
            ops[i] = fmin(ops[i], (double)ns[i] * 1e-9);
    }
    return ACCEL_OK;
}

/* Seconds of one run: the quietest of batches well over the clock's grain. */
static int measure_run(struct bench *b, int64_t share_ns, double *seconds, struct accel_error *err)
{
    int64_t begin = accel_now_ns();
    int batch = 1;

    if (run_once(b, b->plain, err) != ACCEL_OK || run_once(b, b->plain, err) != ACCEL_OK)
        return err->code; /* pages, caches, the pool's threads */
    *seconds = DBL_MAX;
    const int64_t own = accel_thread_ns();
    begin = accel_now_ns();
    for (int batches = 0; batches < RUNS_MIN || has_time(begin, own, share_ns); batches++) {
        const int64_t from = accel_now_ns();
        for (int i = 0; i < batch; i++)
            if (run_once(b, b->plain, err) != ACCEL_OK)
                return err->code;
        const int64_t took = accel_now_ns() - from;
        *seconds = fmin(*seconds, (double)took * 1e-9 / batch);
        if (took < BATCH_NS && batch < BATCH_NS / 100)
            batch *= 2;
    }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- a list that grows */

struct rates {
    struct accel_rate *items;
    size_t count, capacity;
};

static void rates_free(struct rates *r)
{
    accel_free(r->items);
}

static int add_rate(struct rates *r, const struct accel_rate *rate, struct accel_error *err)
{
    if (accel_grow(&r->items, &r->capacity, r->count + 1, sizeof(*r->items), err) != ACCEL_OK)
        return err->code;
    r->items[r->count++] = *rate;
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- one point */

/* The quickest run of a graph that does nothing: every run costs that much. */
static int empty_run(unsigned threads, unsigned cpu_mask, int64_t share_ns, double *seconds,
                     struct accel_error *err)
{
    ACCEL_CLEANUP(bench_free) struct bench b = {0};
    const int rc = bench_new("Identity(f1)", threads, cpu_mask, &b, err);

    return rc == ACCEL_OK ? measure_run(&b, share_ns, seconds, err) : rc;
}

static struct accel_rate rate_of(const struct accel_op_analysis *op, uint32_t point, double seconds)
{
    const double bytes = op->bytes_read + op->bytes_written + op->bytes_weights;
    struct accel_rate rate = {.kind = op->kind,
                              .precision = op->precision,
                              .flops = op->flops,
                              .bytes = bytes,
                              .flops_per_s = op->flops / seconds,
                              .bytes_per_s = bytes / seconds,
                              .bytes_written = op->bytes_written,
                              .bytes_weights = op->bytes_weights,
                              .items = op->items,
                              .point = point};

    snprintf(rate.op, sizeof(rate.op), "%s", op->op);
    return rate;
}

/* The operators' shares of the whole run's time, which no clock is in, without what each run costs.
 */
static int measure_point(uint32_t point, unsigned threads, unsigned cpu_mask, int64_t share_ns,
                         double empty_s, struct rates *rates, struct accel_error *err)
{
    ACCEL_CLEANUP(bench_free) struct bench b = {0};
    double ops[OPS_MAX], whole_s, sum = 0;
    int rc = bench_new(accel_calibration_points[point], threads, cpu_mask, &b, err);

    if (rc != ACCEL_OK)
        return rc;
    const struct accel_analysis *a = accel_model_analysis(b.model);
    const size_t count = ACCEL_MIN(a->ops_count, (size_t)OPS_MAX);
    rc = measure_run(&b, count > 1 ? share_ns * 3 / 4 : share_ns, &whole_s, err);
    if (rc == ACCEL_OK && count > 1)
        rc = measure_ops(&b, share_ns / 4, ops, count, err);
    else
        ops[0] = 1;
    for (size_t i = 0; i < count; i++)
        sum += ops[i];
    for (size_t i = 0; i < count && rc == ACCEL_OK; i++) {
        const struct accel_op_analysis *op = &a->ops[i];
        /* Less than a nanosecond cannot be told from nothing. */
        const double seconds = fmax((whole_s - empty_s) * ops[i] / fmax(sum, 1e-9), 1e-9);
        const struct accel_rate rate = rate_of(op, (point + 1) * OPS_MAX + (uint32_t)i, seconds);

        if (rate.flops > 0 || rate.bytes > 0)
            rc = add_rate(rates, &rate, err);
    }
    return rc;
}

/* ---------------------------------------------------------------- parts and rounds */

uint32_t accel_calibration_count(void)
{
    return (uint32_t)accel_calibration_points_count;
}

int accel_calibrate_part(unsigned threads, unsigned cpu_mask, int64_t point_us, int64_t part_ms,
                         uint32_t first, uint32_t *next, struct accel_rate **out, size_t *count,
                         struct accel_error *err)
{
    ACCEL_CLEANUP(rates_free) struct rates rates = {0};
    const int64_t share_ns = ACCEL_MIN(point_us, INT64_MAX / 1000000) * 1000;
    const int64_t begin = accel_now_ns();
    double empty_s;

    if (first > accel_calibration_count() || point_us <= 0)
        return accel_fail(err, ACCEL_E_INVALID,
                          "calibration from point %u for %lld us: there are"
                          " %u points",
                          first, (long long)point_us, accel_calibration_count());
    if (threads == 0)
        threads = accel_usable_cpus();
    int rc = empty_run(threads, cpu_mask, share_ns, &empty_s, err);
    if (rc == ACCEL_OK && first == 0) {
        const struct accel_rate run = {
            .kind = ACCEL_KIND_OTHER, .precision = ACCEL_DTYPE_FLOAT, .overhead_s = empty_s};
        rc = add_rate(&rates, &run, err);
    }
    uint32_t p = first;
    while (rc == ACCEL_OK && p < accel_calibration_count()) {
        rc = measure_point(p++, threads, cpu_mask, share_ns, empty_s, &rates, err);
        /* The largest need some hundred megabytes, which a worker may not be granted. */
        if (rc == ACCEL_E_NOMEM)
            rc = ACCEL_OK;
        if ((accel_now_ns() - begin) / 1000000 >= part_ms)
            break;
    }
    if (rc != ACCEL_OK)
        return p > first ? accel_fail_in(err, "point %u", p - 1) : rc;
    *next = p;
    *count = rates.count;
    *out = accel_steal(&rates.items);
    return ACCEL_OK;
}

static double seconds_of(const struct accel_rate *r)
{
    return r->overhead_s + (r->bytes_per_s > 0   ? r->bytes / r->bytes_per_s
                            : r->flops_per_s > 0 ? r->flops / r->flops_per_s
                                                 : 0);
}

void accel_rates_merge(struct accel_rate *rates, size_t count, const struct accel_rate *more,
                       size_t more_count)
{
    for (size_t i = 0, k = 0; i < count && k < more_count;) {
        struct accel_rate *r = &rates[i];
        const struct accel_rate *m = &more[k];

        if (r->point != m->point) { /* one round lacks it */
            i += r->point < m->point;
            k += r->point > m->point;
            continue;
        }
        i++;
        k++;
        const double a = seconds_of(r), b = seconds_of(m);
        const double slowest = fmax(a * (1 + r->spread), b * (1 + m->spread));
        if (b < a)
            *r = *m;
        r->spread = fmin(a, b) > 0 ? slowest / fmin(a, b) - 1 : 0;
    }
}

int accel_calibrate(unsigned threads, unsigned cpu_mask, int64_t budget_ms,
                    accel_progress_fn *progress, void *context, struct accel_rate **out,
                    size_t *count, struct accel_error *err)
{
    ACCEL_CLEANUP(rates_free) struct rates all = {0};
    const uint32_t n = accel_calibration_count();
    const int64_t point_us = accel_calibration_point_us(budget_ms);

    if (budget_ms <= 0)
        return accel_fail(err, ACCEL_E_INVALID, "a budget of %lld ms", (long long)budget_ms);
    const int64_t begin_ms = accel_now_ms();
    /* A busy machine stretches a round: then fewer are better than late ones. */
    for (int round = 0;
         round < ACCEL_CALIBRATION_ROUNDS && (round == 0 || accel_now_ms() - begin_ms < budget_ms);
         round++) {
        ACCEL_CLEANUP(rates_free) struct rates one = {0};

        for (uint32_t next = 0; next < n;) {
            const double done =
                ((double)round + (double)next / (double)n) / ACCEL_CALIBRATION_ROUNDS;
            struct accel_rate *part;
            size_t part_count;

            if (progress != NULL && !progress(context, done, accel_calibration_points[next]))
                return accel_fail(err, ACCEL_E_CANCELLED, "the calibration was cancelled");
            int rc = accel_calibrate_part(threads, cpu_mask, point_us, PART_MS, next, &next, &part,
                                          &part_count, err);
            if (rc != ACCEL_OK)
                return rc;
            for (size_t i = 0; rc == ACCEL_OK && i < part_count; i++)
                rc = add_rate(&one, &part[i], err);
            accel_rates_free(part);
            if (rc != ACCEL_OK)
                return rc;
        }
        if (round == 0) {
            all = one;
            one = (struct rates){0};
        } else {
            accel_rates_merge(all.items, all.count, one.items, one.count);
        }
    }
    if (progress != NULL)
        progress(context, 1, "done");
    *count = all.count;
    *out = accel_steal(&all.items);
    return ACCEL_OK;
}

int64_t accel_calibration_point_us(int64_t budget_ms)
{
    const double each = (double)budget_ms * 1000 * MEASURING /
                        (ACCEL_CALIBRATION_ROUNDS * (double)accel_calibration_points_count);

    return each < 1 ? 1 : (int64_t)each;
}

void accel_rates_free(struct accel_rate *rates)
{
    accel_free(rates);
}
