/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_OPS_OP_H
#define ACCEL_INFER_OPS_OP_H

/* The operator table. docs/adding-an-operator.md walks through an example.
 *
 * An operator family is one file, src/infer/ops/NAME.c, which defines
 *
 *     const struct accel_op accel_ops_NAME[] = { {...}, {...}, {0} };
 *
 * and nothing else has to be touched: the build collects the families from the folder.
 * One entry describes one meaning of one operator: (domain, name, since). A node gets the entry
 * with the greatest `since` not above the version of the domain that its model imports. Add an
 * entry when a version changes what the operator means or accepts; entries may share functions.
 *
 * The table says what this core runs, not what ONNX allows: leave a type or an attribute out of an
 * entry and a model that needs it is refused at load with node, operator and reason, together with
 * all others that are.
 *
 * In the life of a node its callbacks are called so:
 *
 *   parse     once at load: attributes -> a params struct of the operator's own. The framework has
 *             checked number of inputs and outputs, attribute names and attribute types.
 *   infer     any number of times, for symbolic and for concrete shapes: types of the inputs ->
 *             types of the outputs. Every check of shapes belongs here, and with concrete shapes it
 *             must be complete: what infer let pass, run can rely on.
 *   prepack   once at load: constant inputs -> blobs in the layout the kernels like. Must not
 *             depend on the shapes of inputs that are not constant. Blobs go into the pack file.
 *   prepare   once per plan (set of concrete shapes): choose the kernel, say what scratch it needs.
 *   run       every time. Allocates nothing, cannot fail for its input's values unless the standard
 *             says so (an index out of range: INVALID).
 *   cost      once per plan, for the analysis.
 *
 * Only `infer` and `run` are required. Callbacks are called on one thread at a time for a node, but
 * by several sessions at once for the same node: what they leave behind is theirs alone (prepare's
 * state belongs to a plan), node and params are read-only.
 *
 * Errors: return accel_fail(err, ...) with what is wrong; the caller puts the node's name, its
 * operator and "input 1 'B'" style context in front.
 *
 * Operators know tensors and nodes; loops over elements that matter live in kernels/, which knows
 * pointers, sizes and strides only. */

#include "base/pool.h"
#include "infer/graph/graph.h"

/* ---------------------------------------------------------------- the entry */

#define ACCEL_T(name)    (1u << ACCEL_DTYPE_##name)
#define ACCEL_T_FLOATS   (ACCEL_T(FLOAT) | ACCEL_T(DOUBLE))
#define ACCEL_T_HALVES   (ACCEL_T(FLOAT16) | ACCEL_T(BFLOAT16))
#define ACCEL_T_SIGNED   (ACCEL_T(INT8) | ACCEL_T(INT16) | ACCEL_T(INT32) | ACCEL_T(INT64))
#define ACCEL_T_UNSIGNED (ACCEL_T(UINT8) | ACCEL_T(UINT16) | ACCEL_T(UINT32) | ACCEL_T(UINT64))
#define ACCEL_T_INTS     (ACCEL_T_SIGNED | ACCEL_T_UNSIGNED)
#define ACCEL_T_NUMBERS  (ACCEL_T_FLOATS | ACCEL_T_INTS)
#define ACCEL_T_COMPLEX  (ACCEL_T(COMPLEX64) | ACCEL_T(COMPLEX128))
/* Eight bits and less: see infer.h for how they lie in memory. */
#define ACCEL_T_FLOAT8                                                       \
    (ACCEL_T(FLOAT8E4M3FN) | ACCEL_T(FLOAT8E4M3FNUZ) | ACCEL_T(FLOAT8E5M2) | \
     ACCEL_T(FLOAT8E5M2FNUZ))
#define ACCEL_T_FLOAT6     (ACCEL_T(FLOAT6E2M3) | ACCEL_T(FLOAT6E3M2))
#define ACCEL_T_SMALL_INTS (ACCEL_T(UINT4) | ACCEL_T(INT4) | ACCEL_T(UINT2) | ACCEL_T(INT2))
#define ACCEL_T_SMALL                                                             \
    (ACCEL_T_FLOAT8 | ACCEL_T_FLOAT6 | ACCEL_T_SMALL_INTS | ACCEL_T(FLOAT4E2M1) | \
     ACCEL_T(FLOAT8E8M0))
/* Every type whose elements are fixed-size bytes: for operators that only move data. */
#define ACCEL_T_FIXED \
    (ACCEL_T_NUMBERS | ACCEL_T_HALVES | ACCEL_T_COMPLEX | ACCEL_T(BOOL) | ACCEL_T_SMALL)
/* The same and strings, which move as pointers: accel_element_bytes() is their size. */
#define ACCEL_T_ALL (ACCEL_T_FIXED | ACCEL_T(STRING))

#define ACCEL_ARG_OPTIONAL 0x1u  /* may be left out (an empty name, or a shorter list) */
#define ACCEL_ARG_VARIADIC 0x2u  /* the last argument: one or more of these */
#define ACCEL_ARG_MIXED    0x8u  /* with VARIADIC: each may have a type of its own */
#define ACCEL_ARG_ANY_KIND 0x10u /* may be a sequence or optional, not only a tensor */
#define ACCEL_ARG_INTERNAL 0x20u /* not in the standard: only a pass adds it (a residual) */
#define ACCEL_ARG_MAPS     0x40u /* is a map or a sequence of maps */

struct accel_arg {
    const char *name; /* the standard's: "X", "scales" */
    uint32_t types;   /* ACCEL_T() bits */
    /* Arguments with the same letter have the same type: the standard's 'T'. 0: on its own. */
    char var;
    uint8_t flags;
};

#define ACCEL_ATTR_REQUIRED 0x1u
#define ACCEL_ATTR_IGNORED \
    0x2u /* accepted, without effect on results (consumed_inputs, layout hints) */

struct accel_attr_rule {
    const char *name;
    enum accel_attr_type type;
    unsigned flags;
};

#define ACCEL_OP_VIEW     0x1u /* output 0 is input 0's bytes under another shape: no run if shared */
#define ACCEL_OP_EPILOGUE 0x2u   /* honours node->epilogue.act */
#define ACCEL_OP_RESIDUAL 0x100u /* honours node->epilogue.add */
#define ACCEL_OP_RANDOM   0x4u   /* never folded: another result each run */
#define ACCEL_OP_DYNAMIC  0x8u   /* output shapes depend on data: run calls accel_run_output() */
#define ACCEL_OP_REMOVED  0x10u  /* from `since` on the standard no longer has it */
#define ACCEL_OP_PLACED   0x20u  /* Concat: inputs may already lie inside the output (plan/) */
#define ACCEL_OP_CONTROL  0x40u  /* runs subgraphs: ops/control.h */
/* Split: outputs are the pieces of input 0 along the attribute `axis` (0), in order, and may lie
 * inside it where those are contiguous; run then leaves them alone. */
#define ACCEL_OP_PIECES   0x1000u
/* ZipMap: output 0 is input 0 in other words, and as a result of the model goes by that name too.
 */
#define ACCEL_OP_REWORDS  0x200u
/* infer copes with inputs of unknown rank. Without it the framework then sets the outputs' types
 * from the table, leaves their shapes open and does not call infer. */
#define ACCEL_OP_ANY_RANK 0x80u

#define ACCEL_OP_INPUTS     16 /* that lie in an entry */
#define ACCEL_OP_INPUTS_MAX 24 /* with those of `in_more` */
#define ACCEL_OP_OUTPUTS    8

struct accel_infer;
struct accel_prepack;
struct accel_prepare;
struct accel_run;
struct accel_cost;

struct accel_op {
    const char *domain; /* "" is ai.onnx */
    const char *name;   /* NULL ends a family */
    int since;
    unsigned flags;
    enum accel_kind kind;   /* for the analysis, unless cost says otherwise */
    double flops_per_value; /* per element of output 0, unless cost says otherwise */
    /* Inputs (bit i) whose buffer output 0 may take over when nobody reads it later: element k of
     * the output is written after element k of that input was read and before none that is needed.
     */
    unsigned in_place;
    struct accel_arg in[ACCEL_OP_INPUTS]; /* up to the first without a name */
    struct accel_arg out[ACCEL_OP_OUTPUTS];
    /* For the few that take more: what comes after a full `in`, up to the first without a name and
     * at most up to ACCEL_OP_INPUTS_MAX in all. NULL: none. */
    const struct accel_arg *in_more;
    const struct accel_attr_rule *attrs; /* up to the first without a name; NULL: takes none */

    /* *params: from accel_bump_alloc(mem), may stay NULL. Errors: INVALID, UNSUPPORTED (what this
     * core lacks: collected with those of other nodes), NOMEM. */
    int (*parse)(const struct accel_node *node, struct accel_bump *mem, const void **params,
                 struct accel_error *err);
    int (*infer)(struct accel_infer *in, struct accel_error *err);
    int (*prepack)(struct accel_prepack *pack, struct accel_error *err);
    int (*prepare)(struct accel_prepare *prep, struct accel_error *err);
    int (*run)(struct accel_run *run, struct accel_error *err);
    /* From shapes and params alone: an analysis asks without prepare, with state NULL. */
    void (*cost)(const struct accel_prepare *prep, struct accel_cost *cost);
};

/* The entry for a node, or NULL. *oldest (may be NULL): 0 when the operator is not known at all,
 * else the lowest `since` it is known from. */
const struct accel_op *accel_op_find(const char *domain, const char *name, int64_t opset,
                                     int *oldest);
/* The domain of operators that graph passes alone make: no model may import it. */
#define ACCEL_DOMAIN_OWN "acceld"
/* Every entry, in no particular order: i counts from 0, NULL ends. */
const struct accel_op *accel_op_at(size_t i);
/* The same for the coverage table: those that a model can name. */
const struct accel_op *accel_op_public_at(size_t i);
/* The description of argument i (a variadic one repeats); NULL: the operator has not so many. */
const struct accel_arg *accel_op_arg(const struct accel_arg *args, size_t max, size_t i);
/* The same for the inputs of an entry. */
const struct accel_arg *accel_op_input(const struct accel_op *op, size_t i);
/* Highest version of the domain that this core knows; 0: an unknown domain. */
int64_t accel_opset_newest(const char *domain);

/* ---------------------------------------------------------------- attributes */

/* Value of an attribute, or the default when it is absent. Types were checked by the rules. */
const struct accel_attr *accel_attr(const struct accel_node *node, const char *name);
int64_t accel_attr_int(const struct accel_node *node, const char *name, int64_t otherwise);
float accel_attr_float(const struct accel_node *node, const char *name, float otherwise);
const char *accel_attr_string(const struct accel_node *node, const char *name,
                              const char *otherwise);
/* NULL and *count 0 when absent. */
const int64_t *accel_attr_ints(const struct accel_node *node, const char *name, size_t *count);
const float *accel_attr_floats(const struct accel_node *node, const char *name, size_t *count);
const struct accel_tensor *accel_attr_tensor(const struct accel_node *node, const char *name);

/* ---------------------------------------------------------------- infer */

/* in[i]: NULL for an input left out; i < node->inputs_count. out[i] is zeroed, set dtype and shape;
 * NULL for an output not wanted. Leave has_rank false or a dimension ACCEL_DIM_ANY when it depends
 * on what is not known; with every input's shape (and data, where needed) known the outputs must
 * be complete unless the entry is ACCEL_OP_DYNAMIC. */
struct accel_infer {
    const struct accel_node *node;
    const struct accel_type *const *in;
    struct accel_type *const *out;
    struct accel_bump *mem;
};

/* Value of input i as integers when every element is known (from INT32, INT64, INT8..UINT8, BOOL);
 * at most `max` elements. false: left out, not (wholly) known, or too long. */
bool accel_infer_ints(const struct accel_infer *in, size_t i, int64_t *values, size_t max,
                      size_t *count);
/* The same, but elements may be ACCEL_INT_ANY. */
bool accel_infer_partial(const struct accel_infer *in, size_t i, int64_t *values, size_t max,
                         size_t *count);
/* Value of input i as floats (from FLOAT, DOUBLE, FLOAT16 or an integer type), as above. */
bool accel_infer_floats(const struct accel_infer *in, size_t i, float *values, size_t max,
                        size_t *count);
/* Says that output o is this (partly known) integer vector or scalar. Errors: NOMEM. */
int accel_infer_set_ints(struct accel_infer *in, size_t o, const int64_t *values, size_t count,
                         struct accel_error *err);
/* Ready-made infer functions: the output has input 0's type; the broadcast of all inputs. */
int accel_infer_same(struct accel_infer *in, struct accel_error *err);
int accel_infer_broadcast(struct accel_infer *in, struct accel_error *err);

/* ---------------------------------------------------------------- prepack */

#define ACCEL_BLOBS 4 /* per node */

struct accel_prepack {
    const struct accel_node *node;
    const struct accel_kernels *kernels;
    /* Inputs (bit i) that run reads from its blobs alone: their plain bytes may be dropped. */
    unsigned consumed;
    void *framework;
};

/* Makes blob `slot` of the node: `bytes` zeroed bytes, 64-aligned, to be filled by the caller. When
 * the model was opened from a pack the blob is there already: *fill is false and nothing may be
 * written. Errors: LIMIT, NOMEM; CORRUPT when the pack's blob has another size. */
int accel_prepack_blob(struct accel_prepack *pack, unsigned slot, size_t bytes, void **blob,
                       bool *fill, struct accel_error *err);
/* Input i when it is a constant, else NULL. data is NULL when the model came from a pack that
 * dropped the plain bytes: dims and dtype are there, the bytes are in the blob. */
const struct accel_tensor *accel_prepack_input(const struct accel_prepack *pack, size_t i);

/* ---------------------------------------------------------------- prepare and run */

struct accel_prepare {
    const struct accel_node *node;
    const struct accel_type *const *in; /* static shapes; NULL: left out */
    const struct accel_type *const *out;
    const struct accel_kernels *kernels;
    const void *const *blobs; /* [ACCEL_BLOBS], NULL where none */
    struct accel_bump *mem;
    unsigned threads; /* that will run it */
    /* To fill in, 0 at entry. */
    void *state;          /* from mem */
    size_t scratch_bytes; /* lent to run, 64-aligned, for the time of the call */
};

/* Makes `bytes` zeroed bytes the state. Errors: NULL (NOMEM). */
void *accel_prepare_state(struct accel_prepare *prep, size_t bytes, struct accel_error *err);

/* A place without room, whose address may be added to. */
extern char accel_no_scratch[];

struct accel_run {
    const struct accel_node *node;
    struct accel_tensor *const *in;  /* NULL: left out */
    struct accel_tensor *const *out; /* NULL: not wanted */
    const void *state;               /* prepare's */
    const void *const *blobs;
    void *scratch;           /* 64-aligned, prepare's scratch_bytes; for none accel_no_scratch */
    struct accel_pool *pool; /* NULL: one thread */
    const struct accel_kernels *kernels;
    void *framework;
};

/* For ACCEL_OP_DYNAMIC: gives output o its shape and memory. Errors: LIMIT, NOMEM. */
int accel_run_output(struct accel_run *run, size_t o, const struct accel_shape *shape,
                     struct accel_error *err);
/* Zeroed memory that outlives the call as the outputs do: for the characters of strings that an
 * operator makes (an output of type STRING holds pointers). Freed with the run after the next.
 * Errors: LIMIT (limits.arena_bytes over a run), NOMEM. */
int accel_run_memory(struct accel_run *run, size_t bytes, void **memory, struct accel_error *err);
/* Memory of the node's own, zeroed at first, for as long as the session's run: what a node in a
 * loop leaves for the next iteration. `bytes` is the same each time. Errors: as above. */
int accel_run_keep(struct accel_run *run, size_t bytes, void **memory, struct accel_error *err);

/* ---------------------------------------------------------------- cost */

/* Preset from the entry and the shapes; change what is otherwise. */
struct accel_cost {
    enum accel_kind kind;
    enum accel_dtype precision;
    double flops; /* 2 per multiply-add */
    double bytes_read, bytes_written, bytes_weights;
    /* What takes time beside arithmetic and traffic, counted: elements of the patches that a
     * convolution gathers, taps of windows over the border, steps of a recurrence, exponentials of
     * a kernel machine; else the stretches of memory that are gone through (plan/items.h). */
    double items;
};

#endif
