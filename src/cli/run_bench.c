/* SPDX-License-Identifier: Apache-2.0 */
/* accel-run bench: latency, GFLOP/s and memory of one model on made-up inputs. */

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"
#include "cli/ctl.h"
#include "cli/run.h"
#include "cli/waiting.h"

#define AUTO_RUNS_MIN 5
#define AUTO_RUNS_MAX 1000
#define AUTO_NS       INT64_C(2000000000)

struct bench {
    struct accel_run_options o;
    struct accel_waiting waiting;
    unsigned runs, warmup; /* runs 0: by the clock */
    bool json, profile;
    struct accel_model *model;
    struct accel_session *session;
    const struct accel_analysis *analysis;
    size_t inputs_count, outputs_count;
    struct accel_owned_tensor *owned;
    struct accel_named_value *inputs, *outputs;
    int64_t *ns; /* of each run, sorted in the end */
    size_t ns_count, ns_capacity;
    int64_t load_ns, first_ns;
    double *op_ns; /* sum over the runs */
    size_t ops_count;
};

static void free_bench(struct bench *b)
{
    accel_waiting_end(&b->waiting);
    accel_session_free(b->session);
    accel_model_unref(b->model);
    for (size_t i = 0; b->owned != NULL && i < b->inputs_count; i++)
        accel_owned_tensor_free(&b->owned[i]);
    accel_free(b->owned);
    accel_free(b->inputs);
    accel_free(b->outputs);
    accel_free(b->ns);
    accel_free(b->op_ns);
    accel_run_options_free(&b->o);
}

static int make_tensors(struct bench *b, struct accel_error *err)
{
    b->inputs_count = accel_model_input_count(b->model);
    b->outputs_count = accel_model_output_count(b->model);
    b->owned = accel_calloc(b->inputs_count, sizeof(*b->owned));
    b->inputs = accel_calloc(b->inputs_count, sizeof(*b->inputs));
    b->outputs = accel_calloc(b->outputs_count, sizeof(*b->outputs));
    if (b->owned == NULL || b->inputs == NULL || b->outputs == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for %zu inputs", b->inputs_count);
    for (size_t i = 0; i < b->outputs_count; i++)
        b->outputs[i].name = accel_model_output(b->model, i)->name;
    for (size_t i = 0; i < b->inputs_count; i++) {
        const struct accel_tensor_info *info = accel_model_input(b->model, i);

        if (accel_model_input_kind(b->model, i) != ACCEL_VALUE_TENSOR)
            return accel_fail(err, ACCEL_E_UNSUPPORTED,
                              "input '%s' is no tensor: bench makes up tensors only", info->name);
        int64_t dims[ACCEL_RANK_MAX];
        uint32_t rank;

        b->inputs[i].name = info->name;
        if (accel_run_input_shape(&b->o, info, &rank, dims, err) != ACCEL_OK)
            return ACCEL_E_INVALID;
        const int rc = accel_run_random(info->dtype, rank, dims, i + 1, &b->owned[i], err);
        if (rc != ACCEL_OK)
            return accel_fail_in(err, "input %s", info->name);
        b->inputs[i].tensor = b->owned[i].tensor;
    }
    return ACCEL_OK;
}

static int run_once(struct bench *b, int64_t *ns, struct accel_error *err)
{
    /* NULL data each time: the result is lent, nothing is copied. */
    for (size_t i = 0; i < b->outputs_count; i++)
        b->outputs[i] = (struct accel_named_value){.name = b->outputs[i].name};
    const int64_t begin = accel_now_ns();
    const int rc = accel_session_run_values(b->session, b->inputs, b->inputs_count, b->outputs,
                                            b->outputs_count, sizeof(*b->inputs), err);
    *ns = accel_now_ns() - begin;
    return rc;
}

static int keep_profile(struct bench *b, struct accel_error *err)
{
    const int64_t *ns;
    const size_t count = accel_session_profile(b->session, &ns);

    if (b->op_ns == NULL) {
        b->op_ns = accel_calloc(count, sizeof(*b->op_ns));
        b->ops_count = ACCEL_MIN(count, b->analysis->ops_count);
    }
    if (b->op_ns == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a profile");
    for (size_t i = 0; i < b->ops_count; i++)
        b->op_ns[i] += (double)ns[i];
    return ACCEL_OK;
}

static void say_how_far(struct bench *b, int64_t spent)
{
    const double n = (double)b->ns_count;
    const double part =
        b->runs > 0 ? n / b->runs : ACCEL_MIN((double)spent / (double)AUTO_NS, n / AUTO_RUNS_MIN);
    char text[32];

    snprintf(text, sizeof(text), "bench %.0f %%", 100 * ACCEL_MIN(part, 1.0));
    accel_waiting_say(&b->waiting, text);
}

static int measure(struct bench *b, struct accel_error *err)
{
    int64_t ns, spent = 0;

    accel_waiting_say(&b->waiting, "warm up");
    int rc = run_once(b, &b->first_ns, err);
    for (unsigned i = 1; rc == ACCEL_OK && i < b->warmup; i++)
        rc = run_once(b, &ns, err);
    while (rc == ACCEL_OK) {
        const size_t n = b->ns_count;
        const bool enough = b->runs > 0
                                ? n >= b->runs
                                : (n >= AUTO_RUNS_MIN && spent >= AUTO_NS) || n >= AUTO_RUNS_MAX;
        if (enough)
            break;
        say_how_far(b, spent);
        rc = accel_grow(&b->ns, &b->ns_capacity, n + 1, sizeof(*b->ns), err);
        if (rc == ACCEL_OK)
            rc = run_once(b, &b->ns[n], err);
        if (rc != ACCEL_OK)
            break;
        spent += b->ns[n];
        b->ns_count++;
        if (b->profile)
            rc = keep_profile(b, err);
    }
    return rc;
}

static int by_value(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* The largest resident size this process ever had, weights and inputs counted; 0 if unknown. */
static size_t peak_rss_bytes(void)
{
    ACCEL_CLEANUP(accel_freep) char *text = NULL;
    unsigned long long kib = 0;

    if (accel_read_file("/proc/self/status", 1 << 16, &text, NULL, NULL) != ACCEL_OK)
        return 0;
    const char *line = strstr(text, "VmHWM:");
    if (line == NULL || sscanf(line, "VmHWM: %llu kB", &kib) != 1)
        return 0;
    return (size_t)kib * 1024;
}

static double ms(int64_t ns)
{
    return (double)ns / 1e6;
}

struct figures {
    double min_ms, median_ms, p90_ms, mean_ms, gflop, gflop_per_s;
    size_t rss;
};

static struct figures figures_of(struct bench *b)
{
    struct figures f = {.gflop = b->analysis->flops / 1e9, .rss = peak_rss_bytes()};
    const size_t n = b->ns_count;

    qsort(b->ns, n, sizeof(*b->ns), by_value);
    for (size_t i = 0; i < n; i++)
        f.mean_ms += ms(b->ns[i]) / (double)n;
    f.min_ms = ms(b->ns[0]);
    f.median_ms = n % 2 == 1 ? ms(b->ns[n / 2]) : (ms(b->ns[n / 2 - 1]) + ms(b->ns[n / 2])) / 2;
    f.p90_ms = ms(b->ns[(n * 9 + 9) / 10 - 1]);
    f.gflop_per_s = f.median_ms > 0 ? f.gflop / (f.median_ms / 1e3) : 0;
    return f;
}

static int print_bench_json(struct bench *b, const char *path, const char *cpu,
                            const struct figures *f, struct accel_error *err)
{
    json_t *ops = json_array();

    for (size_t i = 0; i < b->ops_count; i++) {
        const struct accel_op_analysis *op = &b->analysis->ops[i];

        json_array_append_new(
            ops, json_pack("{s:s, s:s, s:s, s:s, s:f, s:f}", "name", op->name, "op", op->op,
                           "fused", op->fused, "kind", accel_kind_name(op->kind), "ms",
                           b->op_ns[i] / (double)b->ns_count / 1e6, "gflop", op->flops / 1e9));
    }
    json_t *all = json_pack("{s:s, s:i, s:s, s:I, s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, "
                            "s:I, s:I, s:I, s:I, s:o}",
                            "model", path, "threads", (int)accel_session_threads(b->session), "cpu",
                            cpu, "runs", (json_int_t)b->ns_count, "warmup", (int)b->warmup,
                            "load_ms", ms(b->load_ns), "first_ms", ms(b->first_ns), "min_ms",
                            f->min_ms, "median_ms", f->median_ms, "p90_ms", f->p90_ms, "mean_ms",
                            f->mean_ms, "gflop", f->gflop, "gflop_per_s", f->gflop_per_s,
                            "weights_bytes", (json_int_t)accel_model_packed_bytes(b->model),
                            "arena_bytes", (json_int_t)accel_session_arena_bytes(b->session),
                            "scratch_bytes", (json_int_t)accel_session_scratch_bytes(b->session),
                            "peak_rss_bytes", (json_int_t)f->rss, "ops", ops);
    if (all == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for the figures, or a name is no UTF-8");
    accel_ctl_print_json(all);
    json_decref(all);
    return ACCEL_OK;
}

static void print_profile(const struct bench *b)
{
    static const char *const titles[] = {"operator", "fused",   "kind",  "ms",
                                         "share",    "GFLOP/s", "shape", "name"};
    ACCEL_CLEANUP(accel_table_free)
    struct accel_table *table = accel_table_new(titles, ACCEL_COUNT(titles));
    double total = 0;

    for (size_t c = 3; c <= 5; c++)
        accel_table_align_right(table, c);
    for (size_t i = 0; i < b->ops_count; i++)
        total += b->op_ns[i];
    for (size_t i = 0; i < b->ops_count; i++) {
        const struct accel_op_analysis *op = &b->analysis->ops[i];
        const double ns = b->op_ns[i] / (double)b->ns_count;

        accel_table_cell(table, "%s", op->op);
        accel_table_cell(table, "%s", op->fused);
        accel_table_cell(table, "%s", accel_kind_name(op->kind));
        accel_table_cell(table, "%.3f", ns / 1e6);
        accel_table_cell(table, "%.1f %%", total > 0 ? 100 * b->op_ns[i] / total : 0);
        accel_table_cell(table, "%.1f", ns > 0 ? op->flops / ns : 0);
        accel_table_cell(table, "%s", op->shape);
        accel_table_cell(table, "%s", op->name);
    }
    accel_table_print(table, stdout);
    printf("\n");
}

static void print_bench(const struct bench *b, const char *path, const char *cpu,
                        const struct figures *f)
{
    if (b->profile)
        print_profile(b);
    printf("%s, %u thread%s, %s, %zu runs after %u\n", path, accel_session_threads(b->session),
           accel_session_threads(b->session) == 1 ? "" : "s", cpu, b->ns_count, b->warmup);
    printf("latency  min %.3f ms, median %.3f ms, p90 %.3f ms\n", f->min_ms, f->median_ms,
           f->p90_ms);
    printf("rate     %.1f GFLOP/s (%.4g GFLOP)\n", f->gflop_per_s, f->gflop);
    printf("memory   weights %s, arena %s, work space %s, peak of the process %s\n",
           accel_ctl_bytes((double)accel_model_packed_bytes(b->model)),
           accel_ctl_bytes((double)accel_session_arena_bytes(b->session)),
           accel_ctl_bytes((double)accel_session_scratch_bytes(b->session)),
           accel_ctl_bytes((double)f->rss));
    printf("load     %.1f ms, first run %.3f ms\n", ms(b->load_ns), ms(b->first_ns));
}

int accel_run_bench(int argc, char **argv, int *status, struct accel_error *err)
{
    ACCEL_CLEANUP(free_bench) struct bench b = {.warmup = 3};
    const struct accel_opt opts[] = {
        ACCEL_RUN_OPT_THREADS(&b.o),
        {"runs", 'n', ACCEL_OPT_UINT, &b.runs, "N", "runs to measure; default: 2 s, at least 5"},
        {"warmup", 0, ACCEL_OPT_UINT, &b.warmup, "N", "runs before those; default 3, at least 1"},
        {"profile", 'p', ACCEL_OPT_FLAG, &b.profile, NULL, "time of each operator"},
        {"json", 'j', ACCEL_OPT_FLAG, &b.json, NULL, "print JSON"},
        ACCEL_RUN_OPT_LOAD(&b.o),
        ACCEL_RUN_OPT_DEADLINE(&b.o),
        ACCEL_RUN_OPT_SHAPES(&b.o),
        ACCEL_RUN_OPT_PACKED(&b.o),
        {0},
    };
    char cpu[64];
    int operands;
    int rc = accel_run_parse("bench MODEL [--threads N] [--runs N] [--json]",
                             "Runs a model on random inputs of its declared shapes and measures.",
                             opts, &b.o, argc, argv, 1, 1, &operands, status, err);

    if (rc != ACCEL_OK)
        return rc;
    b.warmup = ACCEL_MAX(b.warmup, 1u);
    accel_waiting_begin(&b.waiting, "load");
    const int64_t begin = accel_now_ns();
    rc = accel_run_load(&b.o, argv[0], &b.model, err);
    b.load_ns = accel_now_ns() - begin;
    const struct accel_session_options so = {
        .struct_size = sizeof(so), .threads = b.o.threads, .profile = b.profile};
    if (rc == ACCEL_OK)
        rc = make_tensors(&b, err);
    if (rc == ACCEL_OK)
        rc = accel_session_new(b.model, &so, &b.session, err);
    if (rc == ACCEL_OK) {
        b.analysis = accel_model_analysis(b.model);
        rc = measure(&b, err);
    }
    accel_waiting_end(&b.waiting);
    if (rc != ACCEL_OK)
        return rc;
    if (b.o.packed) /* the file knows, the library does not tell */
        snprintf(cpu, sizeof(cpu), "instruction sets as packed");
    else
        accel_cpu_mask_text(b.o.load.cpu_mask & accel_cpu_features(), cpu, sizeof(cpu));
    const struct figures f = figures_of(&b);
    if (b.json)
        rc = print_bench_json(&b, argv[0], cpu, &f, err);
    else
        print_bench(&b, argv[0], cpu, &f);
    *status = rc == ACCEL_OK ? 0 : 1;
    return rc;
}
