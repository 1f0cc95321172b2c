/* SPDX-License-Identifier: Apache-2.0 */
/* accel-run: the inference library without the daemon. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/run.h"

static const struct verb {
    const char *name, *operands, *about;
    accel_run_verb_fn *run;
} verbs[] = {
    {"test", "DIR...", "run ONNX test folders and compare the outputs", accel_run_test},
    {"bench", "MODEL", "measure latency, GFLOP/s and memory", accel_run_bench},
    {"analyse", "MODEL", "list operators with FLOPs, bytes and shapes", accel_run_analyse},
    {"run", "MODEL --input NAME=FILE --output DIR", "run once on tensors from files",
     accel_run_run},
    {"pack", "MODEL --output FILE", "write the optimised graph and packed weights", accel_run_pack},
    {"ops", "", "list the operators that models may use", accel_run_ops},
};

static void print_help(FILE *out)
{
    fputs("usage: accel-run VERB ...\n\nRuns ONNX models without the daemon.\n\n", out);
    for (size_t i = 0; i < ACCEL_COUNT(verbs); i++)
        fprintf(out, "  %-8s %-38s %s\n", verbs[i].name, verbs[i].operands, verbs[i].about);
    fputs(
        "\naccel-run VERB --help lists the options of a verb; --version prints the version.\n"
        "Exit status: 0 good, 1 a test failed or something cannot be read, run or written, 2 wrong "
        "usage.\n",
        out);
}

/* A message may quote names from a stranger's file: shown, not obeyed by the terminal. */
static void print_error(const char *verb, const struct accel_error *err)
{
    fprintf(stderr, "accel-run %s: ", verb);
    for (const char *c = err->msg; *c != '\0'; c++)
        fputc((unsigned char)*c < 0x20 && *c != '\n' ? '?' : *c, stderr);
    fputc('\n', stderr);
}

/* What was printed must have gone out: a full disk is no success, and its file no whole one. */
static int flush_output(const char *verb, int status)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    fprintf(stderr, "accel-run %s: write to the standard output: %s\n", verb,
            errno != 0 ? strerror(errno) : "it failed");
    return 1;
}

int main(int argc, char **argv)
{
    const char *names[ACCEL_COUNT(verbs)], *name = argc > 1 ? argv[1] : "";
    struct accel_error err = {0};
    int status = 2;

    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_help(stdout);
        return flush_output(name, 0);
    }
    if (strcmp(name, "--version") == 0) {
        char cpu[64];

        printf("accel-run %s (%s)\n", accel_infer_version(),
               accel_cpu_mask_text(accel_cpu_features(), cpu, sizeof(cpu)));
        return flush_output(name, 0);
    }
    for (size_t i = 0; i < ACCEL_COUNT(verbs); i++) {
        names[i] = verbs[i].name;
        if (strcmp(name, verbs[i].name) != 0)
            continue;
        const int rc = verbs[i].run(argc - 2, argv + 2, &status, &err);
        if (rc == ACCEL_OK)
            return flush_output(name, status);
        if (rc == ACCEL_E_CANCELLED && err.msg[0] == '\0') /* --help */
            return flush_output(name, 0);
        print_error(name, &err);
        return status;
    }
    if (argc < 2) {
        print_help(stderr);
        return 2;
    }
    const char *nearest = accel_nearest_name(name, names, ACCEL_COUNT(verbs));
    fprintf(stderr, "accel-run: no verb \"%s\"%s%s; accel-run --help lists them\n", name,
            nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "");
    return 2;
}
