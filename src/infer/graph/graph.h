/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_GRAPH_GRAPH_H
#define ACCEL_INFER_GRAPH_GRAPH_H

/* A model in memory: values and nodes. The loader builds it, the passes (graph/passes/) rewrite it,
 * and from then on it is immutable and shared by every session.
 *
 * Everything here is allocated from ir->mem and freed with it; a pass that drops a node or a value
 * just unlinks it. Pointers between the parts stay valid until accel_ir_free. */

#include "acceld/infer.h"
#include "base/bump.h"
#include "infer/kernels/kernels.h"

struct accel_graph;
struct accel_node;
struct accel_op;

/* ---------------------------------------------------------------- shapes and types */

/* dims[i] < 0: unknown. has_rank false: not even the rank is known (then rank is 0). */
struct accel_shape {
    bool has_rank;
    uint32_t rank;
    int64_t dims[ACCEL_RANK_MAX];
};

#define ACCEL_DIM_ANY ((int64_t)-1)

/* An element of `ints` that is not known. */
#define ACCEL_INT_ANY  INT64_MIN
/* Integer tensors of at most so many elements have their values propagated by shape inference. */
#define ACCEL_INTS_MAX 256

/* Constants of up to so many bytes are copied when they are read; larger ones are slices of the
 * file until they are packed or kept. */
#define ACCEL_CONSTANT_SMALL ((size_t)4096)

/* What is known of a value under one set of input shapes. Shape inference makes one of these per
 * value: once for the declared (perhaps symbolic) shapes, on which the passes rely, and once more
 * for each concrete set of shapes that is planned. */
struct accel_type {
    enum accel_value_kind kind;
    enum accel_dtype dtype;   /* UNDEFINED: unknown; of maps: their values' */
    enum accel_dtype keys;    /* of maps */
    struct accel_shape shape; /* of a sequence: of its tensors; of maps: none */
    /* The whole value, when it is known before running: a constant, or what follows from shapes.
     * NULL: not known. Borrowed. */
    const struct accel_tensor *data;
    /* Value propagation: an INT32 or INT64 tensor of rank 0 or 1 of which some elements are known
     * (Shape of a tensor with a free batch dimension); ints_count elements, ACCEL_INT_ANY where
     * unknown. NULL: nothing known, or all is (see data). */
    const int64_t *ints;
    size_t ints_count;
};

/* May maps have keys and values of these types? */
bool accel_map_types(enum accel_dtype keys, enum accel_dtype values);

/* ---------------------------------------------------------------- values and nodes */

/* One edge of the graph. Written once: by its producer, by the caller (an input), or constant. */
struct accel_value {
    uint32_t id; /* index into arrays over all values of the ir, those of subgraphs included */
    const char *name;
    struct accel_graph *graph;       /* that defines it */
    struct accel_node *producer;     /* NULL: graph input or constant */
    uint32_t output;                 /* which output of its producer */
    const struct accel_tensor *data; /* not NULL: a constant (initialiser, or folded) */
    bool is_input;                   /* of its graph (an initialiser may be one too: a default) */
    /* Declared (inputs) or inferred for the declared shapes. */
    struct accel_type type;
    const char **dim_names;    /* of a declared input or output; NULL: none are named */
    enum accel_dtype declared; /* of an output, as the file says; UNDEFINED: it does not */
    enum accel_value_kind declared_kind; /* likewise, where `declared` is said */
    /* Maintained by accel_ir_link(). */
    uint32_t uses;               /* node inputs, graph outputs and subgraphs that read it */
    struct accel_node *reader;   /* the only user, when uses is 1 and that is a node's input */
    struct accel_value *forward; /* set by accel_value_replace(); NULL after linking */
    struct accel_owned *owned;   /* memory of data->data that this value may free; NULL: borrowed */
};

/* The numbers are those of onnx.AttributeProto.AttributeType. */
enum accel_attr_type {
    ACCEL_ATTR_NONE = 0,
    ACCEL_ATTR_FLOAT = 1,
    ACCEL_ATTR_INT = 2,
    ACCEL_ATTR_STRING = 3,
    ACCEL_ATTR_TENSOR = 4,
    ACCEL_ATTR_GRAPH = 5,
    ACCEL_ATTR_FLOATS = 6,
    ACCEL_ATTR_INTS = 7,
    ACCEL_ATTR_STRINGS = 8,
    ACCEL_ATTR_TENSORS = 9,
    ACCEL_ATTR_GRAPHS = 10,
    ACCEL_ATTR_SPARSE_TENSOR = 11,
    ACCEL_ATTR_SPARSE_TENSORS = 12,
    ACCEL_ATTR_TYPE = 13,
    ACCEL_ATTR_TYPES = 14,
};

struct accel_bytes {
    const char *data; /* NUL-terminated beyond size */
    size_t size;
};

/* A scalar attribute is an array of one. */
struct accel_attr {
    const char *name;
    enum accel_attr_type type;
    size_t count;
    union {
        const float *floats;
        const int64_t *ints;
        const struct accel_bytes *strings;
        const struct accel_tensor *tensors;
        struct accel_graph *const *graphs;
        const struct accel_type *types;
    };
};

/* Of one element of an attribute of this type; 0: no such type. */
size_t accel_attr_bytes(unsigned type);

/* What a node does to its result before storing it; set by the fusion passes. Order: result +
 * inputs[add] (operators with ACCEL_OP_RESIDUAL), then the activation (ACCEL_OP_EPILOGUE). */
struct accel_node_epilogue {
    struct accel_activation act; /* IDENTITY: none */
    int32_t add;                 /* index into inputs of a tensor of the output's shape; -1: none */
};

struct accel_node {
    const char *name; /* as in the file, else "Conv_12": never empty, unique not guaranteed */
    const char *op_type;
    const char *domain; /* "" is ai.onnx */
    int64_t opset;      /* imported version of the domain */
    struct accel_graph *graph;
    const struct accel_op *op; /* NULL: not in the table; `unsupported` says why */
    const char *unsupported;   /* NULL: runnable as far as is known */
    /* What op->parse made of the attributes: a struct of the operator's own file. */
    const void *params;

    size_t inputs_count, outputs_count, attrs_count;
    struct accel_value **inputs;  /* [i] NULL: an optional input left out */
    struct accel_value **outputs; /* [i] NULL: an optional output not wanted */
    const struct accel_attr *attrs;
    /* The last so many of `inputs` are what the subgraphs in attrs read of this graph beside their
     * formal inputs: no operator's table knows of them. */
    size_t captures_count;

    struct accel_node_epilogue epilogue;
    const char *fused;         /* "BatchNormalization+Relu": operators folded in; "" for none */
    struct accel_blobs *blobs; /* packed weights (plan/eval.h), once the model is packed */
    bool dead;                 /* unlinked; dropped from graph->nodes by accel_ir_link() */
    uint32_t order;            /* position in graph->nodes */
};

struct accel_graph {
    const char *name;
    struct accel_ir *ir;
    struct accel_graph *parent; /* NULL: the model's main graph */
    size_t nodes_count, inputs_count, outputs_count;
    /* The last so many of `inputs` stand for values of `parent`: number k for the node's captured
     * input number capture[k]. */
    size_t captures_count;
    uint32_t *capture;
    struct accel_value **outer;   /* what they stand for, until accel_node_capture() */
    struct accel_node **nodes;    /* in an order in which each finds its inputs ready */
    size_t nodes_room;            /* of `nodes`, while it is read */
    struct accel_value **inputs;  /* initialisers that merely have a default are not among them */
    struct accel_value **outputs; /* the same value may be named twice; may be input or constant */
    const char **output_names;    /* as declared, whatever the passes make of the values */
    const char **input_names;
};

struct accel_opset {
    const char *domain;
    int64_t version;
};

/* A whole model; or one subgraph of it, which is as closed as a model: what it reads of the graph
 * around it comes in as inputs (accel_graph.captures_count), so that passes, plans and runs need
 * not know that there is anything around it. A value's id is one of its own ir. */
struct accel_ir {
    struct accel_bump mem;
    struct accel_ir *root;      /* the model; itself for the model */
    struct accel_ir *subs;      /* of a root: all others, freed with it */
    struct accel_ir *next;      /* in that list */
    uint32_t index, depth;      /* index: 0 for the root; depth: subgraphs around it */
    uint32_t irs_count;         /* of a root: itself and its subs */
    struct accel_limits limits; /* defaults filled in: no zeros but run_ms */
    int64_t ir_version;
    const char *producer; /* "pytorch 1.10" */
    struct accel_opset *opsets;
    size_t opsets_count;
    size_t nodes_in_file;
    size_t parameters; /* elements of all initialisers */
    size_t values_count;
    size_t values_capacity;
    struct accel_value **values; /* by id, those no longer used included */
    struct accel_graph *main;
    /* The loader's thread is at work: reasons against a node are noted in it and all reported
     * together. Afterwards the ir is read-only and they are errors of whoever met them. */
    bool loading;
    struct accel_kernels *kernels; /* for computing constants; plain C until the model chooses */
    /* Of a root. */
    size_t owned_bytes;        /* constants allocated, held against limits.model_bytes */
    struct accel_owned *owned; /* all of them, freed with the ir */
};

/* ---------------------------------------------------------------- building and rewriting */

struct accel_ir *accel_ir_new(const struct accel_limits *limits, struct accel_error *err);
/* The ir of a subgraph of a graph of `outer`; freed with the root. */
struct accel_ir *accel_ir_new_sub(struct accel_ir *outer, struct accel_error *err);
void accel_ir_free(struct accel_ir *ir);   /* a root; NULL is fine */
void accel_ir_freep(struct accel_ir **ir); /* for ACCEL_CLEANUP */

/* Version of the domain that the model imports; 0: none. */
int64_t accel_ir_opset(const struct accel_ir *ir, const char *domain);

/* All of the following return NULL (or a code) with *err filled when memory is out. */
struct accel_value *accel_value_new(struct accel_graph *graph, const char *name,
                                    struct accel_error *err);
/* A value of a subgraph becomes one of this graph, under a new id. Errors: NOMEM. */
int accel_value_adopt(struct accel_graph *graph, struct accel_value *value,
                      struct accel_error *err);
/* A constant whose data the caller fills: tensor->data points to size_bytes zeroed bytes,
 * 64-aligned. Errors: LIMIT (over limits.tensor_bytes), INVALID (dims overflow), NOMEM. */
struct accel_value *accel_constant_new(struct accel_graph *graph, const char *name,
                                       enum accel_dtype dtype, const struct accel_shape *shape,
                                       void **data, struct accel_error *err);
struct accel_graph *accel_graph_new(struct accel_ir *ir, struct accel_graph *parent,
                                    const char *name, struct accel_error *err);
/* A node not yet in graph->nodes, with room for the counts given. */
struct accel_node *accel_node_new(struct accel_graph *graph, const char *op_type,
                                  const char *domain, size_t inputs, size_t outputs,
                                  struct accel_error *err);

/* Looks the node up in the operator table and lets its entry parse the attributes: fills op, opset
 * and params, or `unsupported`. For whoever makes nodes. Errors: INVALID (attributes or number of
 * arguments that the operator cannot have: names the node), NOMEM. */
int accel_node_bind(struct accel_node *node, struct accel_error *err);
/* Follows replacements, sorts nodes so that producers come first (stable), drops dead ones,
 * recounts uses and readers; in the ir and in all subgraphs. Call after every rewrite.
 * Errors: INVALID (a cycle: names a node on it), NOMEM. */
int accel_ir_link(struct accel_ir *ir, struct accel_error *err);
/* Every use of `from` in its graph (graph outputs included) reads `to` from the next link on. */
void accel_value_replace(struct accel_value *from, struct accel_value *to);
/* A pass calls this on each node it comes to: inputs replaced so far become what they stand for. */
void accel_node_resolve(struct accel_node *node);
/* `node` takes over output 0 of its only reader `gone`, which is dead from here on: how a follower
 * is fused into the node that feeds it. */
void accel_node_absorb(struct accel_node *node, struct accel_node *gone);
/* The value becomes a constant of the static shape given; it has no producer any more.
 * *data: zeroed bytes to fill. Errors: LIMIT, INVALID, NOMEM. */
int accel_value_make_constant(struct accel_value *value, enum accel_dtype dtype,
                              const struct accel_shape *shape, void **data,
                              struct accel_error *err);
/* The plain bytes of a constant, aligned to 16 at least (a slice of the file is copied the first
 * time). NULL: out of memory. */
const struct accel_tensor *accel_value_constant(struct accel_ir *ir, struct accel_value *value,
                                                struct accel_error *err);
/* Sees to it that the plain bytes of a constant are memory of the ir. Errors: LIMIT, NOMEM. */
int accel_value_keep(struct accel_ir *ir, struct accel_value *value, struct accel_error *err);
/* Frees what a value owned before it was given other bytes; NULL is fine. */
void accel_owned_release(struct accel_ir *ir, struct accel_owned *owned);
/* Frees the plain bytes of a constant: dims and dtype stay, data becomes NULL. */
void accel_value_drop_bytes(struct accel_ir *ir, struct accel_value *value);
/* Appends "+name" to what the node says it has folded in. */
int accel_node_fused(struct accel_node *node, const char *name, struct accel_error *err);

/* ---------------------------------------------------------------- subgraphs */

/* Walks the graphs among a node's attributes: {.node = n} first; NULL: no more. */
struct accel_subgraphs {
    const struct accel_node *node;
    size_t attr, at;
};
struct accel_graph *accel_subgraph_next(struct accel_subgraphs *it);
/* Inputs of a node without, of a subgraph without what is captured. */
static inline size_t accel_node_formal(const struct accel_node *n)
{
    return n->inputs_count - n->captures_count;
}
static inline size_t accel_graph_formal(const struct accel_graph *g)
{
    return g->inputs_count - g->captures_count;
}
/* The `outer` values of its subgraphs become the node's captured inputs, each once. For whoever
 * reads a model. Errors: LIMIT, NOMEM. */
int accel_node_capture(struct accel_node *node, struct accel_error *err);
/* Lets the subgraphs of an ir know what the passes found out around them: captured values that are
 * constants are constants in there too, and what is no longer read is no longer captured. Follows
 * a link and an inference of the ir, and asks for another link when *changes grew. */
int accel_subgraphs_refresh(struct accel_ir *ir, size_t *changes, struct accel_error *err);

/* ---------------------------------------------------------------- shapes */

/* Dimensions all known? */
bool accel_shape_static(const struct accel_shape *shape);
bool accel_shape_equal(const struct accel_shape *a, const struct accel_shape *b);
static inline struct accel_shape accel_shape_of(const struct accel_tensor *t)
{
    struct accel_shape s = {.has_rank = true, .rank = t->rank};

    for (uint32_t i = 0; i < t->rank; i++)
        s.dims[i] = t->dims[i];
    return s;
}
/* "1x3x224x224", "Nx?" style with "?" for unknown, "scalar"; returns `text`. */
#define ACCEL_SHAPE_TEXT 160
const char *accel_shape_format(const struct accel_shape *shape, char text[ACCEL_SHAPE_TEXT]);
/* Bytes per element in memory: of STRING a pointer. */
static inline size_t accel_element_bytes(enum accel_dtype dtype)
{
    return dtype == ACCEL_DTYPE_STRING ? sizeof(char *) : accel_dtype_size(dtype);
}
/* Elements and bytes of a static shape; false when they overflow size_t. */
bool accel_shape_elements(const struct accel_shape *shape, size_t *elements);
bool accel_shape_bytes(const struct accel_shape *shape, enum accel_dtype dtype, size_t *bytes);
/* Type, dimensions and bytes of a tensor of static shape; its data stays as it is. */
void accel_tensor_describe(struct accel_tensor *t, enum accel_dtype dtype,
                           const struct accel_shape *shape);
/* ONNX's multidirectional broadcasting; unknown against known n > 1 gives n, against 1 unknown.
 * Errors: INVALID. */
int accel_shape_broadcast(const struct accel_shape *a, const struct accel_shape *b,
                          struct accel_shape *out, struct accel_error *err);
/* Negative axes count from the end. Errors: INVALID when outside [-rank, rank). */
int accel_axis(int64_t axis, uint32_t rank, uint32_t *out, struct accel_error *err);
/* Product of dims[begin..end). The shape is static and its elements do not overflow. */
size_t accel_dims_product(const int64_t *dims, uint32_t begin, uint32_t end);

/* ---------------------------------------------------------------- inference over a graph */

/* Fills types[0..ir->values_count): constants and declared inputs are known, nothing else is. */
void accel_types_init(const struct accel_ir *ir, struct accel_type *types);
/* Infers types[] (by value id) of all that the graph's nodes produce, from those of its inputs.
 * Values that follow from shapes alone are computed and left in type.data. `mem` owns what is
 * found. A node that the table lacks, or that is marked unsupported, has outputs of unknown type.
 * Errors: INVALID (names the node, what was expected and found), LIMIT, NOMEM. */
int accel_graph_infer(struct accel_graph *graph, struct accel_type *types, struct accel_bump *mem,
                      struct accel_error *err);
/* One node of it. */
int accel_graph_infer_node(struct accel_node *node, struct accel_type *types,
                           struct accel_bump *mem, struct accel_error *err);
/* One node given its types, without the node's name in front of what is wrong. */
int accel_node_infer(const struct accel_node *node, const struct accel_type *const *in,
                     struct accel_type *const *out, struct accel_bump *mem,
                     struct accel_error *err);
/* True when everything the node reads is known, it always gives the same, and its outputs take
 * at most max_bytes: it can be computed before running. */
bool accel_node_computable(const struct accel_node *node, const struct accel_type *const *in,
                           struct accel_type *const *out, size_t max_bytes);
/* The same with the declared types of the inputs, into value->type. */
int accel_ir_infer(struct accel_ir *ir, struct accel_error *err);

/* ---------------------------------------------------------------- passes */

struct accel_pass {
    const char *name;  /* "fold-batchnorm" */
    const char *about; /* one line for people; NULL: the pass is in the table before */
    /* *changes counts rewrites. */
    int (*run)(struct accel_ir *ir, size_t *changes, struct accel_error *err);
};
/* In running order; ends with name NULL. */
extern const struct accel_pass accel_passes[];
/* On the ir, then on its subgraphs.
 * `off`: comma-separated names or "all"; NULL: none. Errors: INVALID (unknown name), those of the
 * passes. */
int accel_passes_run(struct accel_ir *ir, const char *off, struct accel_error *err);

#endif
