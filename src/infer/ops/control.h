/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_OPS_CONTROL_H
#define ACCEL_INFER_OPS_CONTROL_H

/* For operators that run subgraphs (ACCEL_OP_CONTROL) or work on sequences and optionals. Their
 * `run` gives every wanted output a value by one of the calls below; a control operator's `infer`
 * is not asked again while a model runs, so its run checks what it needs of its inputs. */

#include "infer/ops/op.h"
#include "infer/run/list.h"

/* Every type there is: for operators that hand values on. */
#define ACCEL_T_EVERY        (~0u & ~ACCEL_T(UNDEFINED))
/* All that comes after the arguments of a fixed meaning. */
#define ACCEL_ARG_REST       (ACCEL_ARG_VARIADIC | ACCEL_ARG_OPTIONAL | ACCEL_ARG_MIXED)
/* In the entry of an operator with subgraphs. */
#define ACCEL_OP_RUNS_GRAPHS .flags = ACCEL_OP_CONTROL | ACCEL_OP_ANY_RANK, .kind = ACCEL_KIND_OTHER

/* The graph in an attribute of the node, or NULL. */
struct accel_graph *accel_attr_graph(const struct accel_node *node, const char *name);
/* For parse: the graph in attribute `what` has so many formal inputs, and at least so many outputs.
 * Errors: INVALID. */
int accel_subgraph_check(const struct accel_graph *g, const char *what, size_t inputs,
                         size_t outputs, struct accel_error *err);

/* ---------------------------------------------------------------- infer */

/* Types through a subgraph of the node: of its formal inputs -> of all its outputs. Where its
 * inside does not fit these types outputs stay open: only running it would be an error. The last
 * call of an infer must be with types that hold for every time the graph runs.
 * Errors: NOMEM. */
int accel_infer_subgraph(struct accel_infer *in, struct accel_graph *graph,
                         const struct accel_type *inputs, struct accel_type *outputs,
                         struct accel_error *err);
/* Types through a body that is run again on what it gave: `states` of its inputs from `first` on
 * become general enough to hold for every run, then out[0..g->outputs_count) are those of its
 * outputs, states from `first_out` on. Errors: NOMEM; INVALID (a state changes its type). */
int accel_infer_carried(struct accel_infer *in, struct accel_graph *g, struct accel_type *inputs,
                        size_t first, size_t states, size_t first_out, struct accel_type *out,
                        struct accel_error *err);
struct accel_type accel_type_without_value(const struct accel_type *t);
/* A shape with one more dimension. false: it has no rank or the highest, and becomes open. */
bool accel_shape_insert(struct accel_shape *s, uint32_t axis, int64_t dim);
/* The type of what may be either. */
void accel_type_merge(struct accel_type *into, const struct accel_type *other);

/* Input i is a sequence, as far as is known. Errors: INVALID. */
int accel_infer_sequence(const struct accel_infer *in, size_t i, struct accel_error *err);
/* The tensor of a sequence, as a type. */
struct accel_type accel_type_element(const struct accel_type *t);

/* ---------------------------------------------------------------- run */

/* Runs a subgraph of the node; `inputs` are its formal inputs, in order, and outputs[i] are lent
 * until the subgraph runs again. Captured values are found by themselves.
 * Errors: those of the nodes, TIMEOUT, CANCELLED, LIMIT. */
int accel_run_subgraph(struct accel_run *run, struct accel_graph *graph,
                       const struct accel_tensor *inputs, struct accel_tensor *outputs,
                       struct accel_error *err);

/* An input of one element. *data NULL: left out. Errors: INVALID. */
int accel_run_one_element(const struct accel_run *run, size_t i, enum accel_dtype dtype,
                          const void **data, struct accel_error *err);

/* Input i as a sequence. Errors: INVALID. */
int accel_run_list(const struct accel_run *run, size_t i, struct accel_list **list,
                   struct accel_error *err);

/* Type that output o was inferred to have for the shapes of this run; perhaps open. */
const struct accel_type *accel_run_output_type(const struct accel_run *run, size_t o);
/* Output o becomes a copy of what a slot holds. Errors: LIMIT, NOMEM, INVALID (what was planned for
 * is of another shape). */
int accel_run_give(struct accel_run *run, size_t o, const struct accel_tensor *slot,
                   struct accel_error *err);
/* Output o becomes the list, whose reference is taken over, also on failure. */
int accel_run_give_list(struct accel_run *run, size_t o, struct accel_list *list,
                        struct accel_error *err);
struct accel_session *accel_run_session(const struct accel_run *run);

/* A value that an operator keeps while its subgraph runs again. Zeroed at first. */
struct accel_held {
    struct accel_tensor value;
    void *data;
    size_t capacity;
};
/* Copies what the slot holds. Errors: LIMIT, NOMEM. */
int accel_run_hold(struct accel_run *run, struct accel_held *held, const struct accel_tensor *slot,
                   struct accel_error *err);
/* Makes room for `bytes`, keeping what is there. Errors: LIMIT, NOMEM. */
int accel_run_held_reserve(struct accel_run *run, struct accel_held *held, size_t bytes,
                           struct accel_error *err);
/* Output o becomes what is held, which is empty after it. Errors: as accel_run_give. */
int accel_run_give_held(struct accel_run *run, size_t o, struct accel_held *held,
                        struct accel_error *err);
void accel_run_release(struct accel_run *run, struct accel_held *held);

#endif
