/* SPDX-License-Identifier: Apache-2.0 */
/* accel-run test: standard ONNX test folders, DIR/model.onnx with
 * DIR/test_data_set_<k>/{input,output}_<i>.pb, run and compared. */

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fd.h"
#include "cli/ctl.h"
#include "cli/run.h"
#include "cli/value_file.h"
#include "cli/waiting.h"

#define DEPTH_MAX   16
#define TENSORS_MAX 256 /* per data set */

struct tally {
    struct accel_run_options o;
    bool verbose, via_pack;
    unsigned passed, failed, skipped;
    struct accel_waiting waiting;
};

/* The tensors of one data set: input_<i>.pb or output_<i>.pb. */
struct tensors {
    size_t count;
    struct accel_owned_value owned[TENSORS_MAX];
    unsigned index[TENSORS_MAX]; /* the <i> */
    struct accel_named_value named[TENSORS_MAX];
};

static void free_tensors(struct tensors **t)
{
    if (*t == NULL)
        return;
    for (size_t i = 0; i < (*t)->count; i++)
        accel_owned_value_free(&(*t)->owned[i]);
    accel_freep(t);
}

/* ---------------------------------------------------------------- lines */

ACCEL_PRINTF(4, 5)
static void line(struct tally *t, const char *verdict, const char *name, const char *fmt, ...)
{
    char text[ACCEL_ERROR_MSG_MAX + 256];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    /* Names out of a model are shown, not obeyed by the terminal. */
    for (char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20)
            *c = ' ';
    accel_waiting_hide(&t->waiting);
    printf("%-4s %s: %s\n", verdict, name, text);
    fflush(stdout);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

/* ---------------------------------------------------------------- reading a data set */

/* "input_3.pb" -> 3; -1 for another name. */
static int index_of(const char *file, const char *prefix)
{
    const size_t length = strlen(prefix);
    char *end;

    if (strncmp(file, prefix, length) != 0 || file[length] < '0' || file[length] > '9')
        return -1;
    const long n = strtol(file + length, &end, 10);
    return strcmp(end, ".pb") == 0 && n < TENSORS_MAX ? (int)n : -1;
}

static void free_names(struct dirent **names, int count)
{
    for (int i = 0; i < count; i++)
        free(names[i]); /* scandir's own */
    free(names);
}

/* What the file of number i holds; one that the model does not have is compared as a tensor. */
static enum accel_value_kind kind_of(const struct accel_model *model, bool inputs, size_t i)
{
    const enum accel_value_kind kind =
        inputs ? accel_model_input_kind(model, i) : accel_model_output_kind(model, i);

    return kind == ACCEL_VALUE_OTHER ? ACCEL_VALUE_TENSOR : kind;
}

/* All <prefix><i>.pb of a folder, in the order of i, whatever is missing between. */
static int read_tensors(const struct accel_model *model, const char *folder, bool inputs,
                        struct tensors **out, struct accel_error *err)
{
    const char *prefix = inputs ? "input_" : "output_";
    ACCEL_CLEANUP(free_tensors) struct tensors *t = accel_calloc(1, sizeof(*t));
    struct dirent **names = NULL;
    int rc = ACCEL_OK;

    if (t == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for the tensors of %s", folder);
    const int found = scandir(folder, &names, NULL, versionsort);
    if (found < 0)
        return accel_fail_errno(err, errno, "read folder %s", folder);
    for (int i = 0; rc == ACCEL_OK && i < found; i++) {
        const int index = index_of(names[i]->d_name, prefix);

        if (index < 0 || t->count == TENSORS_MAX)
            continue;
        ACCEL_CLEANUP(accel_freep)
        char *path = accel_asprintf("%s/%s", folder, names[i]->d_name);
        if (path == NULL)
            rc = accel_fail(err, ACCEL_E_NOMEM, "no memory for a name");
        else
            rc = accel_value_read(path, kind_of(model, inputs, (size_t)index), &t->owned[t->count],
                                  err);
        if (rc == ACCEL_OK)
            t->index[t->count++] = (unsigned)index;
    }
    free_names(names, found);
    if (rc == ACCEL_OK)
        *out = accel_steal(&t);
    return rc;
}

/* Names each tensor as the model does: by the name in the file, else by its number. A name that
 * the model does not know stays, for an output: it is then an inner tensor that was stored (what
 * enters a ZipMap), and the library is asked for it by that name. */
static int name_tensors(const struct accel_model *model, bool inputs, struct tensors *t,
                        struct accel_error *err)
{
    const size_t known = inputs ? accel_model_input_count(model) : accel_model_output_count(model);

    for (size_t i = 0; i < t->count; i++) {
        struct accel_named_value *named = &t->named[i];
        const char *name = t->owned[i].name;
        bool is_known = false;

        for (size_t k = 0; k < known && !is_known; k++)
            is_known =
                strcmp(
                    name,
                    (inputs ? accel_model_input(model, k) : accel_model_output(model, k))->name) ==
                0;
        if (!is_known && (inputs || name[0] == '\0')) {
            if (t->index[i] >= known)
                return accel_fail(err, ACCEL_E_INVALID, "the model has no %s %u (\"%s\")",
                                  inputs ? "input" : "output", t->index[i], name);
            name = (inputs ? accel_model_input(model, t->index[i])
                           : accel_model_output(model, t->index[i]))
                       ->name;
        }
        *named = inputs ? accel_value_named(&t->owned[i], name)
                        : (struct accel_named_value){.name = name};
    }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- one data set */

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* Which of the three rules a model is held to. */
static enum accel_rule rule_of(const struct accel_model *model)
{
    const struct accel_analysis *a = accel_model_analysis(model);
    bool half = a->precision == ACCEL_DTYPE_FLOAT16 || a->precision == ACCEL_DTYPE_BFLOAT16;

    for (size_t i = 0; i < a->ops_count; i++) {
        const char *op = a->ops[i].op;

        if (begins(op, "QLinear") || begins(op, "QuantizeLinear") ||
            begins(op, "DequantizeLinear") || begins(op, "DynamicQuantize") ||
            begins(op, "MatMulInteger") || begins(op, "ConvInteger"))
            return ACCEL_RULE_QUANTISED;
    }
    for (size_t i = 0; i < a->inputs_count; i++)
        half = half || a->inputs[i].dtype == ACCEL_DTYPE_FLOAT16;
    return half ? ACCEL_RULE_HALF : ACCEL_RULE_FLOAT;
}

/* Compares all outputs; *worst is the one to report: the first that fails, else the farthest. */
static bool compare_outputs(struct tally *t, enum accel_rule rule, const struct tensors *out,
                            struct accel_comparison *worst, const char **worst_name)
{
    bool pass = true;

    *worst = (struct accel_comparison){.pass = true, .cosine = 1};
    for (size_t i = 0; i < out->count; i++) {
        struct accel_comparison r;

        const struct accel_named_value want = accel_value_named(&out->owned[i], "");
        accel_value_compare(&out->named[i], &want, rule, &r);
        if (t->verbose)
            line(t, "", out->named[i].name,
                 "%g of the bound, largest |a-b| %.3g, L2 %.3g, cosine %.7f", r.worst, r.max_abs,
                 r.rel_l2, r.cosine);
        if (*worst_name == NULL || (pass && (!r.pass || r.worst > worst->worst))) {
            *worst = r;
            *worst_name = out->named[i].name;
        }
        pass = pass && r.pass;
    }
    return pass;
}

/* Counts and prints what came of it. Errors: it could not be run; then it did neither. */
static int run_data_set(struct tally *t, struct accel_model *model, struct accel_session *session,
                        const char *folder, const char *name, struct accel_error *err)
{
    ACCEL_CLEANUP(free_tensors) struct tensors *in = NULL;
    ACCEL_CLEANUP(free_tensors) struct tensors *out = NULL;
    struct accel_comparison worst;
    const char *worst_name = NULL;
    int rc = read_tensors(model, folder, true, &in, err);

    if (rc == ACCEL_OK)
        rc = read_tensors(model, folder, false, &out, err);
    if (rc == ACCEL_OK && out->count == 0)
        rc = accel_fail(err, ACCEL_E_NOT_FOUND, "no output_<i>.pb to compare with");
    if (rc == ACCEL_OK)
        rc = name_tensors(model, true, in, err);
    if (rc == ACCEL_OK)
        rc = name_tensors(model, false, out, err);
    const int64_t begin = accel_now_ns();
    if (rc == ACCEL_OK)
        rc = accel_session_run_values(session, in->named, in->count, out->named, out->count,
                                      sizeof(in->named[0]), err);
    const double ms = (double)(accel_now_ns() - begin) / 1e6;
    if (rc != ACCEL_OK)
        return rc;
    if (compare_outputs(t, rule_of(model), out, &worst, &worst_name)) {
        line(t, "ok", name, "%.3g of the bound, largest |a-b| %.3g, L2 %.3g, %.1f ms", worst.worst,
             worst.max_abs, worst.rel_l2, ms);
        t->passed++;
    } else {
        line(t, "FAIL", name,
             "output %s: %s; %.3g of the bound, largest |a-b| %.3g, L2 %.3g, cosine %.7f",
             worst_name, worst.why, worst.worst, worst.max_abs, worst.rel_l2, worst.cosine);
        t->failed++;
    }
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- one model */

static int load(struct tally *t, const char *path, struct accel_model **model,
                struct accel_error *err)
{
    ACCEL_CLEANUP(accel_run_unref) struct accel_model *loaded = NULL;
    int rc = accel_model_load_file(path, &t->o.load, &loaded, err);

    if (rc != ACCEL_OK || !t->via_pack) {
        *model = accel_steal(&loaded);
        return rc;
    }
    /* As a worker hands it to another: through a sealed memory file. */
    ACCEL_CLEANUP(accel_closep) int fd = -1;
    rc = accel_memfd_new("packed", 0, &fd, err);
    if (rc == ACCEL_OK)
        rc = accel_model_pack(loaded, fd, err);
    if (rc == ACCEL_OK)
        rc = accel_memfd_seal(fd, err);
    if (rc == ACCEL_OK)
        rc = accel_model_open_packed(fd, &t->o.load, model, err);
    return rc == ACCEL_OK ? rc : accel_fail_in(err, "packed");
}

static int is_data_set(const struct dirent *entry)
{
    return begins(entry->d_name, "test_data_set_");
}

/* Every data set of a model that cannot be loaded is a failure: the totals stay comparable. */
static int test_model(struct tally *t, const char *folder, struct accel_error *err)
{
    ACCEL_CLEANUP(accel_freep) char *path = accel_asprintf("%s/model.onnx", folder);
    ACCEL_CLEANUP(accel_run_unref) struct accel_model *model = NULL;
    ACCEL_CLEANUP(accel_run_end_session) struct accel_session *session = NULL;
    const struct accel_session_options so = {.struct_size = sizeof(so), .threads = t->o.threads};
    struct dirent **sets = NULL;

    if (path == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for a name");
    const int count = scandir(folder, &sets, is_data_set, versionsort);
    if (count <= 0) {
        line(t, "skip", base_name(folder), "no test_data_set_* beside the model");
        t->skipped++;
        free(sets);
        return ACCEL_OK;
    }
    struct accel_error why = {0};
    int rc = load(t, path, &model, &why);
    if (rc == ACCEL_OK)
        rc = accel_session_new(model, &so, &session, &why);
    for (int i = 0; i < count; i++) {
        ACCEL_CLEANUP(accel_freep) char *set = accel_asprintf("%s/%s", folder, sets[i]->d_name);
        ACCEL_CLEANUP(accel_freep)
        char *name = accel_asprintf("%s/%s", base_name(folder), sets[i]->d_name);

        if (set == NULL || name == NULL) {
            free_names(sets, count);
            return accel_fail(err, ACCEL_E_NOMEM, "no memory for a name");
        }
        if (rc != ACCEL_OK || run_data_set(t, model, session, set, name, &why) != ACCEL_OK) {
            line(t, "FAIL", name, "%s: %s", accel_code_name((int)why.code), why.msg);
            t->failed++;
        }
    }
    free_names(sets, count);
    return ACCEL_OK;
}

/* ---------------------------------------------------------------- folders */

static bool is_folder(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool holds_model(const char *folder)
{
    ACCEL_CLEANUP(accel_freep) char *path = accel_asprintf("%s/model.onnx", folder);
    struct stat st;

    return path != NULL && stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* The folders that hold a model, in order, found before the first runs: then progress is known. */
struct found {
    struct accel_bump mem;
    const char **folders;
    size_t count, capacity;
};

static void free_found(struct found *f)
{
    accel_bump_free(&f->mem);
    accel_free(f->folders);
}

static int find_models(struct found *f, const char *folder, int depth, struct accel_error *err)
{
    struct dirent **names = NULL;
    int rc = ACCEL_OK;

    if (holds_model(folder)) {
        rc = accel_grow(&f->folders, &f->capacity, f->count + 1, sizeof(*f->folders), err);
        if (rc == ACCEL_OK && (f->folders[f->count] = accel_bump_strdup(&f->mem, folder)) == NULL)
            rc = accel_fail(err, ACCEL_E_NOMEM, "no memory for a name");
        f->count += rc == ACCEL_OK;
        return rc;
    }
    if (depth == DEPTH_MAX)
        return ACCEL_OK;
    const int count = scandir(folder, &names, NULL, versionsort);
    if (count < 0)
        return accel_fail_errno(err, errno, "read folder %s", folder);
    for (int i = 0; rc == ACCEL_OK && i < count; i++) {
        ACCEL_CLEANUP(accel_freep)
        char *path = accel_asprintf("%s/%s", folder, names[i]->d_name);

        if (path == NULL)
            rc = accel_fail(err, ACCEL_E_NOMEM, "no memory for a name");
        else if (names[i]->d_name[0] != '.' && is_folder(path))
            rc = find_models(f, path, depth + 1, err);
    }
    free_names(names, count);
    return rc;
}

static void free_tally(struct tally *t)
{
    accel_waiting_end(&t->waiting);
    accel_run_options_free(&t->o);
}

int accel_run_test(int argc, char **argv, int *status, struct accel_error *err)
{
    ACCEL_CLEANUP(free_tally) struct tally t = {0};
    ACCEL_CLEANUP(free_found) struct found found = {0};
    const struct accel_opt opts[] = {
        ACCEL_RUN_OPT_THREADS(&t.o),
        ACCEL_RUN_OPT_LOAD(&t.o),
        ACCEL_RUN_OPT_DEADLINE(&t.o),
        {"via-pack", 0, ACCEL_OPT_FLAG, &t.via_pack, NULL,
         "pack each model and run what was packed"},
        {"verbose", 'v', ACCEL_OPT_FLAG, &t.verbose, NULL, "a line per output"},
        {0},
    };
    int operands;
    int rc = accel_run_parse(
        "test DIR... [--threads N] [--verbose]",
        "Runs standard ONNX test folders: DIR/model.onnx with DIR/test_data_set_<k>/input_<i>.pb\n"
        "and output_<i>.pb, or a folder above such. An output passes when every element has\n"
        "|a-b| <= 1e-4 + 1e-3 |b| (\"the bound\"), or its relative L2 error is at most 1e-5 (1e-3 "
        "for\n"
        "half precision); quantised models at cosine 0.9999 or within two steps; integers, "
        "booleans\n"
        "and strings when equal. Exit status 0 when none failed and at least one ran.",
        opts, &t.o, argc, argv, 1, -1, &operands, status, err);

    for (int i = 0; rc == ACCEL_OK && i < operands; i++) {
        if (!is_folder(argv[i]))
            rc = accel_fail(err, ACCEL_E_NOT_FOUND, "%s is no folder", argv[i]);
        else
            rc = find_models(&found, argv[i], 0, err);
    }
    accel_waiting_begin(&t.waiting, "test");
    for (size_t i = 0; rc == ACCEL_OK && i < found.count; i++) {
        char text[96];

        snprintf(text, sizeof(text), "test %zu of %zu, %.30s", i + 1, found.count,
                 base_name(found.folders[i]));
        accel_waiting_say(&t.waiting, text);
        rc = test_model(&t, found.folders[i], err);
    }
    accel_waiting_end(&t.waiting);
    if (rc != ACCEL_OK)
        return rc;
    printf("%u passed, %u failed, %u skipped\n", t.passed, t.failed, t.skipped);
    *status = t.failed == 0 && t.passed > 0 ? 0 : 1;
    return ACCEL_OK;
}
