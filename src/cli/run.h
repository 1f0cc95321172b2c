/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_CLI_RUN_H
#define ACCEL_CLI_RUN_H

/* accel-run: what its verbs share. A verb is one file, run_<verb>.c, over acceld/infer.h. */

#include "acceld/infer.h"
#include "base/bump.h"
#include "cli/opts.h"
#include "cli/tensor_file.h"

/* argv[0..argc) is what follows the verb. *status is the exit status, 2 (wrong usage) at first;
 * *err is for a verb that could not do its work. */
typedef int accel_run_verb_fn(int argc, char **argv, int *status, struct accel_error *err);
accel_run_verb_fn accel_run_test, accel_run_bench, accel_run_analyse, accel_run_run, accel_run_pack,
    accel_run_ops;

/* The options that say how a model is loaded and run. Zero-initialise. */
struct accel_run_options {
    unsigned threads;                   /* 0: all there are */
    const char *cpu_mask;               /* "avx2+avx512", "plain", a number; NULL: all */
    const char *passes;                 /* the only ones to run; NULL: all */
    const char *passes_off;             /* those to leave out; NULL: none. Never both */
    bool packed;                        /* the file is one that `pack` wrote */
    unsigned memory_mib;                /* 0: the library's limit */
    double deadline_s;                  /* of one run; 0: none */
    struct accel_opt_list dims;         /* "N=4" */
    struct accel_opt_list input_shapes; /* "x:1x3x224x224" */
    struct accel_load_options load;     /* what accel_run_parse made of all these */
    struct accel_bump mem;              /* what that points at */
};
void accel_run_options_free(struct accel_run_options *o); /* for ACCEL_CLEANUP */

/* Rows of an option table: which verbs have them is each verb's choice. */
#define ACCEL_RUN_OPT_THREADS(o)                            \
    {                                                       \
        "threads", 't', ACCEL_OPT_UINT, &(o)->threads, "N", \
            "threads; default: all this process may use"    \
    }
#define ACCEL_RUN_OPT_DEADLINE(o)                                     \
    {                                                                 \
        "deadline", 0, ACCEL_OPT_NUMBER, &(o)->deadline_s, "SECONDS", \
            "end a run that takes longer; default: none"              \
    }
#define ACCEL_RUN_OPT_LOAD(o)                                                                        \
    {"cpu-mask",     0,      ACCEL_OPT_STRING,                                                       \
     &(o)->cpu_mask, "MASK", "instruction sets to use: plain, avx2+avx512, 0x3; default: all"},      \
        {"passes",     0,        ACCEL_OPT_STRING,                                                   \
         &(o)->passes, "PASSES", "the only graph passes to run, comma-separated; list: names them"}, \
        {"passes-off",     0,        ACCEL_OPT_STRING,                                               \
         &(o)->passes_off, "PASSES", "graph passes to leave out, comma-separated, or all"},          \
    {                                                                                                \
        "memory-limit", 0, ACCEL_OPT_UINT, &(o)->memory_mib, "MIB",                                  \
            "refuse what needs more for tensors, or for work space; default: 8192"                   \
    }
#define ACCEL_RUN_OPT_SHAPES(o)                                                   \
    {"dim", 0, ACCEL_OPT_LIST, &(o)->dims, "NAME=N", "fix a symbolic dimension"}, \
    {                                                                             \
        "input-shape", 0, ACCEL_OPT_LIST, &(o)->input_shapes, "NAME:DIMS",        \
            "shape of an input, x:1x3x224x224; free dimensions are 1 otherwise"   \
    }
#define ACCEL_RUN_OPT_PACKED(o)                                                            \
    {                                                                                      \
        "packed", 0, ACCEL_OPT_FLAG, &(o)->packed, NULL, "MODEL is a file that pack wrote" \
    }

/* Parses a verb's options, those of `o` into o->load too (NULL: it has none of them), and checks
 * how many operands there are; argv begins with them afterwards. `usage`: "bench MODEL", `about`:
 * what the verb does, for --help, which it prints itself: then it returns ACCEL_E_CANCELLED with an
 * empty message (so it does for `--passes list`, which takes no operands either). at_most < 0: any
 * number. From its success on *status is 1, until the verb says otherwise. */
int accel_run_parse(const char *usage, const char *about, const struct accel_opt *opts,
                    struct accel_run_options *o, int argc, char **argv, int at_least, int at_most,
                    int *operands, int *status, struct accel_error *err);

int accel_run_load(struct accel_run_options *o, const char *path, struct accel_model **model,
                   struct accel_error *err);
void accel_run_unref(struct accel_model **model);           /* for ACCEL_CLEANUP */
void accel_run_end_session(struct accel_session **session); /* for ACCEL_CLEANUP */

/* The shape that input has for these options: --input-shape, else what the model declares with
 * --dim put in and free dimensions 1. Errors: INVALID (rank unknown, or another than declared). */
int accel_run_input_shape(struct accel_run_options *o, const struct accel_tensor_info *info,
                          uint32_t *rank, int64_t *dims, struct accel_error *err);
/* A new tensor of random elements: floats in -1..1, 8-bit integers over their range, others 0 and
 * 1 (they tend to be indices). The same `seed` makes the same. */
int accel_run_random(enum accel_dtype dtype, uint32_t rank, const int64_t *dims, uint64_t seed,
                     struct accel_owned_tensor *t, struct accel_error *err);

#endif
