/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCELD_INFER_H
#define ACCELD_INFER_H

/* libaccelinfer: reads an ONNX model, says what running it takes, and runs it.
 *
 *   struct accel_model *model;      immutable once loaded, may be shared by threads
 *   struct accel_session *session;  one run at a time; make one per concurrent run
 *
 *   accel_model_load_file("model.onnx", NULL, &model, &err);
 *   accel_session_new(model, NULL, &session, &err);
 *   accel_session_run(session, inputs, 1, outputs, 1, &err);
 *
 * Every call that can fail returns ACCEL_OK or a code and fills *err (which may be NULL). */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "acceld/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------- tensors */

/* The numbers are those of onnx.TensorProto.DataType. */
enum accel_dtype {
    ACCEL_DTYPE_UNDEFINED = 0,
    ACCEL_DTYPE_FLOAT = 1,
    ACCEL_DTYPE_UINT8 = 2,
    ACCEL_DTYPE_INT8 = 3,
    ACCEL_DTYPE_UINT16 = 4,
    ACCEL_DTYPE_INT16 = 5,
    ACCEL_DTYPE_INT32 = 6,
    ACCEL_DTYPE_INT64 = 7,
    ACCEL_DTYPE_STRING = 8, /* data: char *const *, one NUL-terminated string per element */
    ACCEL_DTYPE_BOOL = 9,   /* one byte, 0 or 1 */
    ACCEL_DTYPE_FLOAT16 = 10,
    ACCEL_DTYPE_DOUBLE = 11,
    ACCEL_DTYPE_UINT32 = 12,
    ACCEL_DTYPE_UINT64 = 13,
    ACCEL_DTYPE_COMPLEX64 = 14,
    ACCEL_DTYPE_COMPLEX128 = 15,
    ACCEL_DTYPE_BFLOAT16 = 16,
    ACCEL_DTYPE_FLOAT8E4M3FN = 17,
    ACCEL_DTYPE_FLOAT8E4M3FNUZ = 18,
    ACCEL_DTYPE_FLOAT8E5M2 = 19,
    ACCEL_DTYPE_FLOAT8E5M2FNUZ = 20,
    /* Below eight bits an element still takes a byte of its own in memory, here and everywhere in
     * this library: integers extended (INT4 -1 is 0xff, UINT4 15 is 0x0f), floats as their code in
     * the low bits. Only ONNX's files pack them. */
    ACCEL_DTYPE_UINT4 = 21,
    ACCEL_DTYPE_INT4 = 22,
    ACCEL_DTYPE_FLOAT4E2M1 = 23,
    ACCEL_DTYPE_FLOAT8E8M0 = 24, /* a power of two: 2^(code - 127), 0xff is NaN */
    ACCEL_DTYPE_UINT2 = 25,
    ACCEL_DTYPE_INT2 = 26,
    ACCEL_DTYPE_FLOAT6E2M3 = 27,
    ACCEL_DTYPE_FLOAT6E3M2 = 28,
};
#define ACCEL_DTYPE_LAST ACCEL_DTYPE_FLOAT6E3M2

#define ACCEL_RANK_MAX 16

/* Bytes per element in memory; 0 for a type without a fixed size (STRING) and for a number that is
 * none. */
ACCEL_EXPORT size_t accel_dtype_size(enum accel_dtype dtype);
/* Bits per element in ONNX's files, where 2, 4 and 6 are packed from the low end of each byte on;
 * 8 * accel_dtype_size() for all others. */
ACCEL_EXPORT unsigned accel_dtype_bits(enum accel_dtype dtype);
/* "float16", "int64": ONNX's lower-case names. "?" for a number that is none. */
ACCEL_EXPORT const char *accel_dtype_name(enum accel_dtype dtype);

/* The number at `at`, one element of that type; 64-bit integers lose what a double cannot hold.
 * NaN for STRING, the complex types and a number that is none. */
ACCEL_EXPORT double accel_dtype_number(enum accel_dtype dtype, const void *at);

/* Dense, row-major, little-endian. */
struct accel_tensor {
    enum accel_dtype dtype;
    uint32_t rank; /* 0: a scalar */
    int64_t dims[ACCEL_RANK_MAX];
    void *data;        /* owned by whoever made the tensor; aligned to the element */
    size_t size_bytes; /* product of dims times the element's size */
};

/* What a model says of one of its inputs or outputs. Borrowed from the model. */
struct accel_tensor_info {
    const char *name;
    enum accel_dtype dtype;
    bool has_rank; /* false: the model leaves even the rank open */
    uint32_t rank;
    int64_t dims[ACCEL_RANK_MAX];          /* -1: any */
    const char *dim_names[ACCEL_RANK_MAX]; /* symbolic name ("N") or NULL */
};

/* ---------------------------------------------------------------- loading */

/* What a stranger's model may cost. 0 means the default in brackets. */
struct accel_limits {
    size_t model_bytes;  /* size of the .onnx with its external data  [2 GiB] */
    size_t nodes;        /* nodes, those of subgraphs counted in       [50,000] */
    size_t nesting;      /* graphs within graphs                       [32] */
    size_t arena_bytes;  /* intermediate tensors of one run; likewise its work space  [8 GiB] */
    size_t tensor_bytes; /* any single tensor; of an empty one, the elements that its dimensions
                          * above 0 make                               [2 GiB] */
    int64_t run_ms;      /* one run's deadline, which also ends what is long within an operator: a
                          * fraction of a second later, with tensors of GiB some  [none] */
};

struct accel_load_options {
    size_t struct_size; /* sizeof(struct accel_load_options) */
    struct accel_limits limits;
    /* Instruction sets to use, ACCEL_CPU_* bits; those the CPU lacks are dropped. 0 means plain C:
     * say ACCEL_CPU_ALL for the best. */
    unsigned cpu_mask;
    /* Graph passes to leave out, comma-separated names ("fold-constants,fuse-activation"), or
     * "all" that a model can do without (halves need widen-f16); NULL: run all. An unknown name is
     * INVALID. */
    const char *passes_off;
    /* Fixes symbolic and free dimensions before planning: "N" or "input:axis" = value. */
    const struct accel_dim_binding {
        const char *name;
        int64_t value;
    } * dims;
    size_t dims_count;
    /* Of accel_analyse_*: list every node of the graph, not only the steps of a run: what follows
     * from shapes and views that cost nothing are nodes too. With passes_off "all" these are the
     * nodes of the file. */
    bool every_node;
    /* Also take a model whose inputs or outputs are sequences, maps or optionals: for who runs it
     * by accel_session_run_values. Without it such a model is UNSUPPORTED, but for maps that a
     * ZipMap makes of rows of scores at its end: the output then is the rows, a tensor. */
    bool values;
};

#define ACCEL_CPU_AVX2   0x1u /* AVX2, FMA, F16C */
#define ACCEL_CPU_AVX512 0x2u /* AVX-512 F, BW, DQ, VL */
#define ACCEL_CPU_VNNI   0x4u /* AVX-512 VNNI */
#define ACCEL_CPU_BF16   0x8u /* AVX-512 BF16 */
#define ACCEL_CPU_ALL    0xffffffffu

/* The ACCEL_CPU_* bits that this CPU and its operating system (xgetbv) support. */
ACCEL_EXPORT unsigned accel_cpu_features(void);
/* "avx2+avx512+vnni", "plain" for 0: into `text`, which is returned. */
ACCEL_EXPORT const char *accel_cpu_mask_text(unsigned mask, char *text, size_t size);
/* Fills defaults, cpu_mask ACCEL_CPU_ALL. */
ACCEL_EXPORT void accel_load_options_init(struct accel_load_options *options);
/* Name of graph pass i, in running order, as accel_load_options.passes_off takes it; NULL past the
 * last. *about (may be NULL): what it does, in one line. */
ACCEL_EXPORT const char *accel_pass_name(size_t i, const char **about);

struct accel_model;

/* Parses, checks, optimises, plans and packs. options NULL: defaults. External data is looked for
 * in the model's own folder and nowhere else. The files are mapped while the call lasts, not
 * copied: who cuts one short meanwhile ends the process (SIGBUS). Errors: NOT_FOUND or IO (the
 * file), INVALID (not ONNX, broken graph: names the node), UNSUPPORTED (names every node the core
 * cannot run, with operator, domain, opset and reason), LIMIT, NOMEM. */
ACCEL_EXPORT int accel_model_load_file(const char *path, const struct accel_load_options *options,
                                       struct accel_model **model, struct accel_error *err);

/* As accel_model_load_file from bytes that stay the caller's and may be freed after the call.
 * `external` resolves the location of external data ("weights.bin") to bytes that live until the
 * call returns; NULL: a model with external data is INVALID. */
typedef int accel_external_fn(void *context, const char *location, const void **bytes, size_t *size,
                              struct accel_error *err);
ACCEL_EXPORT int accel_model_load_memory(const void *bytes, size_t size,
                                         accel_external_fn *external, void *context,
                                         const struct accel_load_options *options,
                                         struct accel_model **model, struct accel_error *err);

/* One piece of bytes as a client uploads it: an .onnx, or a plain tar (ustar) of model.onnx and the
 * files its external data names. Otherwise as accel_model_load_memory.
 * Errors: INVALID for a broken tar and for external data that is not in it. */
ACCEL_EXPORT int accel_model_load_bundle(const void *bytes, size_t size,
                                         const struct accel_load_options *options,
                                         struct accel_model **model, struct accel_error *err);

/* Writes the optimised graph, its plan and its packed weights to fd (a file or memory file, from
 * offset 0), for accel_model_open_packed. */
ACCEL_EXPORT int accel_model_pack(const struct accel_model *model, int fd, struct accel_error *err);

/* Maps what accel_model_pack wrote, read-only and shared: many processes hold the weights once.
 * Every offset is validated; the descriptor may be closed afterwards. A memory file must be sealed
 * (F_SEAL_WRITE and F_SEAL_SHRINK); an ordinary file must stay as it is while the model lives.
 * Errors: INVALID (a memory file that can still change), CORRUPT, UNSUPPORTED (packed for
 * instruction sets this CPU lacks), IO, NOMEM. */
ACCEL_EXPORT int accel_model_open_packed(int fd, const struct accel_load_options *options,
                                         struct accel_model **model, struct accel_error *err);

ACCEL_EXPORT struct accel_model *accel_model_ref(struct accel_model *model);
ACCEL_EXPORT void accel_model_unref(struct accel_model *model); /* NULL is fine */

ACCEL_EXPORT size_t accel_model_input_count(const struct accel_model *model);
ACCEL_EXPORT size_t accel_model_output_count(const struct accel_model *model);
ACCEL_EXPORT const struct accel_tensor_info *accel_model_input(const struct accel_model *model,
                                                               size_t i);
ACCEL_EXPORT const struct accel_tensor_info *accel_model_output(const struct accel_model *model,
                                                                size_t i);
/* Bytes mapped for packed weights and graph. */
ACCEL_EXPORT size_t accel_model_packed_bytes(const struct accel_model *model);

/* ---------------------------------------------------------------- analysis: the IR side */

/* What kind of work an operator is: the cost model has one rate per kind. */
#define ACCEL_KIND_MAP(X)                                                             \
    X(CONV, "conv")           /* convolution, any kernel larger than 1x1 */           \
    X(POINTWISE, "conv1x1")   /* 1x1 convolution, which is a matrix product */        \
    X(DEPTHWISE, "depthwise") /* groups = channels */                                 \
    X(GEMM, "gemm")           /* Gemm, MatMul and their quantised forms */            \
    X(GEMV, "gemv")           /* the same with one row: bound by weight traffic */    \
    X(POOL, "pool")                                                                   \
    X(ELEMENTWISE, "elementwise")       /* one pass over the data, few flops */       \
    X(TRANSCENDENTAL, "transcendental") /* exp, tanh, erf, ... per element */         \
    X(NORM, "norm")                     /* softmax, layer, batch and instance norm */ \
    X(REDUCE, "reduce")                                                               \
    X(MOVE, "move") /* copies, transposes, slices, gathers, casts */                  \
    X(RECURRENT, "recurrent")                                                         \
    X(CLASSIC, "classic") /* ai.onnx.ml: trees, SVM, linear */                        \
    X(OTHER, "other")

enum accel_kind {
#define ACCEL_KIND_ENUM(name, text) ACCEL_KIND_##name,
    ACCEL_KIND_MAP(ACCEL_KIND_ENUM)
#undef ACCEL_KIND_ENUM
        ACCEL_KIND_COUNT
};
ACCEL_EXPORT const char *accel_kind_name(enum accel_kind kind);

/* One fused operator of the optimised graph, or one node that cannot be run. */
struct accel_op_analysis {
    const char *name;   /* the node's name in the file, else "Conv_12" */
    const char *op;     /* "Conv" */
    const char *fused;  /* what was folded into it, "BatchNormalization+Relu", or "" */
    const char *domain; /* "" is ai.onnx */
    int64_t opset;
    enum accel_kind kind;
    enum accel_dtype precision;       /* of its arithmetic */
    const char *shape;                /* "1x3x224x224 -> 1x64x112x112" */
    double flops;                     /* 2 per multiply-add */
    double bytes_read, bytes_written; /* activations; weights apart */
    double bytes_weights;
    double items; /* what takes time beside these, counted: patches gathered, steps, stretches */
    const char *unsupported; /* NULL: the core runs it; else the reason it does not */
};

struct accel_analysis {
    const char *producer;       /* "pytorch 1.10", "" if the file does not say */
    int64_t ir_version, opset;  /* opset of ai.onnx */
    enum accel_dtype precision; /* that carries most of the flops */
    size_t nodes_in_file;
    size_t parameters;    /* elements of all initialisers */
    size_t weights_bytes; /* as packed */
    size_t arena_bytes;   /* intermediate tensors of one run: known, not guessed */
    size_t scratch_bytes; /* work space of kernels, with as many threads as CPUs may be used */
    size_t io_bytes;      /* inputs and outputs of one run */
    double flops, bytes;  /* sums over ops */
    bool runnable;        /* no op is unsupported */
    size_t ops_count;
    const struct accel_op_analysis *ops;
    size_t inputs_count, outputs_count;
    const struct accel_tensor_info *inputs, *outputs;
};

/* Of a loaded model; free dimensions count as 1 unless options.dims said otherwise.
 * Borrowed: lives as long as the model. */
ACCEL_EXPORT const struct accel_analysis *accel_model_analysis(const struct accel_model *model);

/* Analyses a model that may hold nodes the core cannot run: every such node is in `ops` with its
 * reason and `runnable` is false. Same errors as loading but for UNSUPPORTED. */
ACCEL_EXPORT int accel_analyse_memory(const void *bytes, size_t size, accel_external_fn *external,
                                      void *context, const struct accel_load_options *options,
                                      struct accel_analysis **analysis, struct accel_error *err);
ACCEL_EXPORT int accel_analyse_file(const char *path, const struct accel_load_options *options,
                                    struct accel_analysis **analysis, struct accel_error *err);
/* Of an .onnx or a tar, as accel_model_load_bundle. */
ACCEL_EXPORT int accel_analyse_bundle(const void *bytes, size_t size,
                                      const struct accel_load_options *options,
                                      struct accel_analysis **analysis, struct accel_error *err);
ACCEL_EXPORT void accel_analysis_free(struct accel_analysis *analysis);
/* What it is an analysis of, to look at: it may hold what cannot be run. Lives as long as the
 * analysis. */
ACCEL_EXPORT const struct accel_model *accel_analysis_model(const struct accel_analysis *analysis);

/* Draws the graph that an analysis of this library was made from, in the language of Graphviz:
 * nodes with what was fused into them and the sizes of their constants, edges with types and
 * shapes, subgraphs as clusters. Errors: IO, NOSPACE and their like (what writing to `out` said).
 */
ACCEL_EXPORT int accel_analysis_dot(const struct accel_analysis *analysis, FILE *out,
                                    struct accel_error *err);

/* ---------------------------------------------------------------- running */

struct accel_session;

struct accel_session_options {
    size_t struct_size;
    unsigned threads; /* 0: as many as this process may use (affinity and cgroup) */
    bool profile;     /* keep times per operator */
};

/* Options NULL: defaults. Allocates everything a run of the model's declared shapes needs.
 * Errors: NOMEM, LIMIT. */
ACCEL_EXPORT int accel_session_new(struct accel_model *model,
                                   const struct accel_session_options *options,
                                   struct accel_session **session, struct accel_error *err);
ACCEL_EXPORT void accel_session_free(struct accel_session *session); /* NULL is fine */

struct accel_named_tensor {
    const char *name;
    struct accel_tensor tensor;
};

/* Runs the model once. Inputs: every input of the model without a default, by name, in any order;
 * data stays the caller's and is not written. Outputs: the caller sets `name`; with tensor.data
 * NULL the result is lent (to be read, until the session's next run or end), else it is copied to
 * the caller's buffer, whose size_bytes must suffice (else INVALID names the bytes needed); dtype,
 * rank and dims are filled in. Either way the elements of a STRING point at characters that live as
 * long as what is lent; those that the model hands on from an input are the caller's own. Errors:
 * INVALID (which input, what was expected), TIMEOUT, CANCELLED, LIMIT, NOMEM. */
ACCEL_EXPORT int accel_session_run(struct accel_session *session,
                                   const struct accel_named_tensor *inputs, size_t inputs_count,
                                   struct accel_named_tensor *outputs, size_t outputs_count,
                                   struct accel_error *err);

/* From another thread: the run in progress ends with CANCELLED, as soon as at a deadline. One that
 * begins later is not meant. */
ACCEL_EXPORT void accel_session_cancel(struct accel_session *session);

/* Nanoseconds of each operator in the last run, in the order of accel_analysis.ops: 0 for one that
 * these shapes made no step of the run; a step that only these shapes need is in none. Needs
 * options.profile. Borrowed until the next run. Returns accel_analysis.ops_count, 0 without a
 * profile or when the run failed. */
ACCEL_EXPORT size_t accel_session_profile(const struct accel_session *session,
                                          const int64_t **ns_per_op);
/* Bytes of arena the last run used; equals accel_analysis.arena_bytes for the planned shapes. */
ACCEL_EXPORT size_t accel_session_arena_bytes(const struct accel_session *session);
/* Work space of kernels, over that; grows with the session's threads. */
ACCEL_EXPORT size_t accel_session_scratch_bytes(const struct accel_session *session);
ACCEL_EXPORT unsigned accel_session_threads(const struct accel_session *session);

/* ---------------------------------------------------------------- calibration: measured rates */

/* One point of the cost model, measured on this machine: an operator of this kind, precision and
 * size ran at these rates. Time = max(flops / flops_per_s, bytes / bytes_per_s) + overhead_s. The
 * one of kind OTHER without flops and bytes is what a run costs beside its operators. */
#define ACCEL_RATE_OP 40
struct accel_rate {
    enum accel_kind kind;
    enum accel_dtype precision;
    double flops; /* size of the measured operator */
    double bytes; /* traffic of the measured operator, all of it */
    double flops_per_s;
    double bytes_per_s;
    double overhead_s;      /* launch */
    double spread;          /* relative: (slowest - quietest) / quietest of the rounds */
    char op[ACCEL_RATE_OP]; /* "Conv"; "": any of its kind */
    /* As in accel_op_analysis; the first two are part of `bytes`. */
    double bytes_written, bytes_weights, items;
    uint32_t point; /* which measured operator it is: the same in every round */
};

/* Called between measurements: fraction done in 0..1. Return false to stop (CANCELLED). */
typedef bool accel_progress_fn(void *context, double fraction, const char *what);

/* How many points calibration has. */
ACCEL_EXPORT uint32_t accel_calibration_count(void);
/* Measures points from `first` on, in order, about `point_us` each, until `part_ms` have passed or
 * none is left; *next is the first one left, accel_calibration_count() at the end. So a calibration
 * may be cut into parts between which others have their turn. `threads` 0: as many as CPUs may be
 * used. *rates, one per operator measured, is freed by accel_rates_free; a point for which memory
 * does not suffice is left out. */
ACCEL_EXPORT int accel_calibrate_part(unsigned threads, unsigned cpu_mask, int64_t point_us,
                                      int64_t part_ms, uint32_t first, uint32_t *next,
                                      struct accel_rate **rates, size_t *count,
                                      struct accel_error *err);
/* Rounds, so that a neighbour's burst spoils one of several figures, and the time for each point
 * that lets so many rounds over all of them fit a budget. */
#define ACCEL_CALIBRATION_ROUNDS 3
ACCEL_EXPORT int64_t accel_calibration_point_us(int64_t budget_ms);
/* Takes in another round's rates of the same points, both in the order of `point`: the quietest of
 * each is kept, `spread` grows by what lies between. Of those that one round lacks `rates`' stay.
 */
ACCEL_EXPORT void accel_rates_merge(struct accel_rate *rates, size_t count,
                                    const struct accel_rate *more, size_t more_count);
/* Three rounds over all points, the quietest of each taken. Takes about `budget_ms`; on a busy
 * machine longer, and then with fewer rounds. */
ACCEL_EXPORT int accel_calibrate(unsigned threads, unsigned cpu_mask, int64_t budget_ms,
                                 accel_progress_fn *progress, void *context,
                                 struct accel_rate **rates, size_t *count, struct accel_error *err);
ACCEL_EXPORT void accel_rates_free(struct accel_rate *rates);

/* ---------------------------------------------------------------- the operator table */

struct accel_operator_arg {
    const char *name; /* the standard's: "X" */
    uint64_t types;   /* bit d: may be of accel_dtype d */
    char group;       /* arguments with the same letter have the same type; 0: on its own */
    bool optional, variadic;
};

#define ACCEL_OPERATOR_ARGS_MAX 24

/* One meaning of one operator: what a node of this name means in a model that imports a version of
 * the domain from `since` on, up to the next entry's. A node that needs what is not in its entry is
 * UNSUPPORTED when the model is loaded. Strings are the library's own. */
struct accel_operator {
    const char *domain; /* "" is ai.onnx */
    const char *name;
    int since;
    bool removed; /* from `since` on the standard no longer has it */
    size_t inputs_count, outputs_count;
    struct accel_operator_arg inputs[ACCEL_OPERATOR_ARGS_MAX], outputs[ACCEL_OPERATOR_ARGS_MAX];
};

/* Entry i of those that a model can name, counted from 0, in no particular order; false: there are
 * not so many. */
ACCEL_EXPORT bool accel_operator_at(size_t i, struct accel_operator *op);

/* ---------------------------------------------------------------- values that are no tensors */

/* What an input or output of a model is. A sequence is of tensors of one element type and of any
 * shapes, or (SEQUENCE | MAP) of maps; an optional (OPTIONAL, or OPTIONAL | SEQUENCE) may be
 * absent. A map's keys are INT64 or STRING, its values INT64, FLOAT, DOUBLE or STRING. */
enum accel_value_kind {
    ACCEL_VALUE_TENSOR = 0,
    ACCEL_VALUE_SEQUENCE = 1,
    ACCEL_VALUE_OPTIONAL = 2, /* a bit: of a tensor, or of a sequence */
    ACCEL_VALUE_OTHER = 4,    /* a sparse tensor, deeper nesting: not runnable */
    ACCEL_VALUE_MAP = 8,      /* a bit: one map, or a sequence of maps */
};

/* The info of such an input or output (accel_model_input) describes its tensors; its dtype is that
 * of a map's values. ACCEL_VALUE_OTHER when there is no such input or output. */
ACCEL_EXPORT enum accel_value_kind accel_model_input_kind(const struct accel_model *model,
                                                          size_t i);
ACCEL_EXPORT enum accel_value_kind accel_model_output_kind(const struct accel_model *model,
                                                           size_t i);
/* Type of the keys of maps; UNDEFINED when there are none. */
ACCEL_EXPORT enum accel_dtype accel_model_input_keys(const struct accel_model *model, size_t i);
ACCEL_EXPORT enum accel_dtype accel_model_output_keys(const struct accel_model *model, size_t i);
/* "a tensor", "an optional sequence", "a sequence of maps": for messages. */
ACCEL_EXPORT const char *accel_value_kind_text(enum accel_value_kind kind);

/* One input or output of accel_session_run_values. */
struct accel_named_value {
    const char *name;
    /* What is here: TENSOR, SEQUENCE, MAP, SEQUENCE | MAP, or OPTIONAL alone for an optional that
     * is absent. A present optional is given and handed back as the tensor or sequence that it
     * holds. */
    enum accel_value_kind kind;
    struct accel_tensor tensor; /* TENSOR; its dtype alone for an empty SEQUENCE */
    /* SEQUENCE: `count` tensors of one dtype. MAP: two vectors of one length, the keys and what
     * each stands for; SEQUENCE | MAP: these of each map in turn, so that `count` is twice that of
     * the maps. No key may be there twice (INVALID); what is handed back has them in ascending
     * order, strings by their bytes. */
    const struct accel_tensor *items;
    size_t count;
};

/* As accel_session_run, for models that take or give what is no tensor; loading one needs
 * accel_load_options.values. Inputs: everything stays the caller's, the array of items too, and a
 * sequence's tensors are copied. Outputs: the caller sets `name` and may set kind TENSOR with a
 * buffer in tensor.data (else zeroes); all that is lent, items included, lives until the session's
 * next run or end. `value_size` is sizeof(struct accel_named_value), by which later versions know
 * what the caller's holds. */
ACCEL_EXPORT int accel_session_run_values(struct accel_session *session,
                                          const struct accel_named_value *inputs,
                                          size_t inputs_count, struct accel_named_value *outputs,
                                          size_t outputs_count, size_t value_size,
                                          struct accel_error *err);

/* Version of the library, "0.1.0". */
ACCEL_EXPORT const char *accel_infer_version(void);

#ifdef __cplusplus
}
#endif

#endif
