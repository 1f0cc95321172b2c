/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_ONNX_READER_H
#define ACCEL_INFER_ONNX_READER_H

/* The parts of accel_onnx_read, a file for each kind of message, over the fields that wire.h hands
 * out. Field numbers: schemas/onnx.proto. All of them return an error that names what is wrong by
 * the name it has in the model: INVALID, UNSUPPORTED, LIMIT, NOMEM. */

#include "infer/onnx/onnx.h"

#define NAME_MAX_BYTES 4096
/* Attributes, inputs and outputs of one node, dims of one tensor, strings of one list. */
#define LIST_MAX       65536

struct scope_entry;

/* Names of one graph, or of one function's body within a graph; open addressing. */
struct scope {
    struct scope *parent;
    struct accel_graph *graph;
    const struct call *call; /* of a function's body: what it is called with */
    /* What was found in `parent` so far, and the inputs of `graph` that stand for it. */
    struct accel_value **outer, **captured;
    size_t captures, outer_capacity, captured_capacity;
    struct scope_entry *slots;
    size_t size; /* a power of two */
    size_t used;
};

/* A function that the model defines: its nodes take the place of each node that calls it. */
struct function {
    const char *domain, *name, *overload;
    struct accel_slice proto;
};

/* One call of one, while its body is read. */
struct call {
    const struct call *outer; /* it is called in the body of another */
    const struct function *function;
    const struct accel_node *node; /* that stands for the call; in no graph */
    const struct accel_opset *opsets;
    size_t opsets_count;
    const struct accel_attr *defaults; /* of its attributes */
    size_t defaults_count;
    const char **outputs; /* names, as many as the node has outputs */
    unsigned depth;
};

struct reader {
    struct accel_ir *ir;
    struct function *functions; /* sorted */
    size_t functions_count;
    size_t functions_bytes;  /* read so far, each call counted in */
    const struct call *call; /* at work; NULL: no function's body is being read */
    accel_external_fn *external;
    void *context;
    size_t nodes;          /* so far, subgraphs and what is in them counted in */
    size_t graphs;         /* subgraphs among them */
    size_t captures;       /* likewise */
    size_t external_bytes; /* of external data, copied so far */
    size_t dense_bytes;    /* that sparse tensors became */
};

/* What the second walk over a graph needs of a node read in the first. */
struct pending {
    struct accel_node *node;
    struct accel_slice proto;
    const struct function *function; /* not NULL: the node calls it and is in no graph */
};

/* ---------------------------------------------------------------- text.c */

int accel_onnx_no_memory(struct accel_error *err);
/* A name: UTF-8 without control characters, in memory of the ir. what: its place in a message. */
int accel_onnx_text(struct reader *r, const struct accel_wire_field *f, const char *what,
                    const char **out, struct accel_error *err);
/* "" and "ai.onnx" are one domain. */
const char *accel_onnx_domain(const char *domain);
/* Counts the fields of one number, to size arrays; the wire is checked on the way. */
int accel_onnx_count_fields(struct accel_slice proto, uint32_t number, size_t *count,
                            struct accel_error *err);
/* Adds the numbers of one field (packed or one by one) of int64 type. */
int accel_onnx_int64s(const struct accel_wire_field *f, int64_t *out, size_t max, size_t *count,
                      struct accel_error *err);

/* ---------------------------------------------------------------- scope.c */

/* What the name of a function's input means that its caller left out. */
extern struct accel_value accel_onnx_left_out;

int accel_onnx_scope_reserve(struct scope *s, size_t count, struct accel_error *err);
void accel_onnx_scope_free(struct scope *s);
int accel_onnx_scope_add(struct scope *s, const char *name, struct accel_value *v,
                         struct accel_error *err);
/* Of this scope alone; NULL: it has none of that name. */
struct accel_value *accel_onnx_scope_value(const struct scope *s, const char *name);
/* A name of the graph or of one around it, in which case every graph on the way gets an input that
 * stands for it. *out NULL: there is none. */
int accel_onnx_scope_find(struct reader *r, struct scope *s, const char *name,
                          struct accel_value **out, struct accel_error *err);

/* ---------------------------------------------------------------- the messages */

/* TensorProto -> tensor. The data is a slice of the file where the file holds it plainly and it is
 * large, else memory of the ir. */
int accel_onnx_tensor(struct reader *r, struct accel_slice proto, struct accel_tensor *t,
                      const char **name, struct accel_error *err);
/* SparseTensorProto -> dense tensor in memory of the ir; all of these together are held against the
 * limit of the model's size, whatever few bytes the file spends on them. */
int accel_onnx_sparse(struct reader *r, struct accel_slice proto, struct accel_tensor *t,
                      const char **name, struct accel_error *err);
/* TypeProto. Sequences, optionals, optional sequences, maps and sequences of maps keep their
 * element's type; deeper nesting is OTHER. depth: 0 at the outermost. */
int accel_onnx_type(struct reader *r, struct accel_slice proto, unsigned depth,
                    struct accel_type *type, const char ***dim_names, struct accel_error *err);
/* ValueInfoProto. what: "input" or "output". */
int accel_onnx_value_info(struct reader *r, struct accel_slice proto, const char *what,
                          const char **name, struct accel_type *type, const char ***dim_names,
                          struct accel_error *err);
/* AttributeProto. *inner: what is wrong lies inside a subgraph, which has said where. Proto2 writes
 * no scalar that is absent; proto3 none that is zero: an attribute of a scalar type without its
 * field is the zero of the type. */
int accel_onnx_attribute(struct reader *r, struct accel_slice proto, struct accel_node *node,
                         struct scope *scope, unsigned depth, struct accel_attr *attr, bool *inner,
                         struct accel_error *err);
/* OperatorSetIdProto. */
int accel_onnx_opset(struct reader *r, struct accel_slice proto, struct accel_opset *opset,
                     struct accel_error *err);

/* First walk: name, operator, outputs. Inputs and attributes need all names of the graph. */
int accel_onnx_node(struct reader *r, struct accel_slice proto, struct accel_graph *graph,
                    struct scope *scope, size_t index, struct pending *pending,
                    struct accel_error *err);
/* Second walk: inputs by name, attributes, subgraphs. */
int accel_onnx_node_finish(struct reader *r, const struct pending *p, struct scope *scope,
                           unsigned depth, struct accel_error *err);
int accel_onnx_append_node(struct accel_graph *g, struct accel_node *node, struct accel_error *err);

int accel_onnx_graph(struct reader *r, struct accel_slice proto, struct accel_graph *parent,
                     struct scope *outer, unsigned depth, struct accel_graph **out,
                     struct accel_error *err);
/* A graph in an ir of its own. It counts as a node: empty ones are not for free either. */
int accel_onnx_subgraph(struct reader *r, struct accel_slice proto, struct accel_graph *parent,
                        struct scope *outer, unsigned depth, struct accel_graph **out,
                        struct accel_error *err);

/* Reads the heads of the `count` functions of a ModelProto. */
int accel_onnx_functions(struct reader *r, struct accel_slice model, size_t count,
                         struct accel_error *err);
/* NULL: the model defines none of that name. */
const struct function *accel_onnx_function(const struct reader *r, const char *domain,
                                           const char *name, const char *overload);
/* The version that the function, not the model, imports. */
int accel_onnx_function_opset(const struct call *call, struct accel_node *node,
                              struct accel_error *err);
/* The nodes of a function's body in place of the node that calls it. Its inputs and attributes are
 * read, its outputs have their values, whose producers the body's nodes become. */
int accel_onnx_inline_call(struct reader *r, const struct pending *p, struct scope *scope,
                           unsigned depth, struct accel_error *err);

#endif
