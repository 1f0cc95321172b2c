/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_RUN_SESSION_H
#define ACCEL_INFER_RUN_SESSION_H

/* What a session is made of: one unit per graph of the model, each with its plans, its arena and
 * memory of its own for what has no shape before it runs. No graph runs within itself, so one of
 * each is enough. */

#include "infer/model.h"
#include "infer/run/list.h"

#include <stddef.h>

/* Shape sets a unit keeps ready. */
#define ACCEL_PLANS_MAX 4

/* What a node keeps between its executions in a run. */
struct accel_kept {
    struct accel_kept *next;
    const struct accel_node *node;
    max_align_t memory[];
};

struct accel_session {
    struct accel_model *model;
    struct accel_pool *pool;
    unsigned threads;
    bool profile;
    atomic_bool cancelled;
    atomic_bool given_up;      /* a kernel saw that, or the deadline, and left its work undone */
    struct accel_unit **units; /* by ir index; NULL: not run yet. The first is the model's graph */
    void *scratch;
    size_t scratch_size;
    /* Bytes beside the main arena: subgraphs' arenas, values without a planned place, sequences,
     * what loops carry. Held against limits.arena_bytes. */
    size_t own_bytes;
    int64_t deadline_ns; /* 0: none */
    int64_t *times;      /* by operator of the model's analysis */
    size_t times_capacity, times_count, times_at;
    /* Strings made by this run and by the one before: its outputs may be this one's inputs. */
    struct accel_bump texts, old_texts;
    size_t texts_bytes;
    struct accel_kept *kept;          /* of this run, among its texts */
    struct accel_tensor *given_lists; /* inputs of this run that are no tensors, by input */
    struct accel_bump lent;           /* arrays of items in outputs of the last run */
};

/* A plan with addresses filled in. */
struct accel_bound {
    struct accel_plan *plan;
    bool shared; /* the model's own */
    struct accel_bump mem;
    struct accel_tensor *tensors; /* by value id */
    struct accel_run *runs;       /* by step */
    uint32_t *given;              /* ids of values that lie with the caller */
    size_t given_count;
    void *arena;   /* the addresses are of this arena */
    uint64_t used; /* for throwing out the one unused longest */
};

/* Memory of one value whose shape is known only when it is run; kept for the next run. */
struct accel_own {
    void *data;
    size_t capacity;
    struct accel_list *list; /* the value is a sequence: this one */
};

struct accel_unit {
    struct accel_session *session;
    struct accel_ir *ir;
    bool active; /* it runs, or what it gave is still looked at */
    struct accel_bound *plans[ACCEL_PLANS_MAX];
    struct accel_bound *now; /* of the last run */
    uint64_t runs;
    void *arena;
    size_t arena_size;
    struct accel_own *own;      /* by value id, allocated when first needed */
    struct accel_bump step_mem; /* of the dynamic step at work */
    /* Of this run's inputs. */
    struct accel_type *types;
    const struct accel_tensor **given;
};

/* The unit of a graph, made when it is not there yet. Errors: NOMEM. */
int accel_unit_of(struct accel_session *session, struct accel_ir *ir, struct accel_unit **unit,
                  struct accel_error *err);
void accel_unit_free(struct accel_unit *unit); /* NULL is fine */
/* Takes a plan over (unless shared, also on failure) and keeps it. Errors: NOMEM, LIMIT. */
int accel_unit_adopt(struct accel_unit *unit, struct accel_plan *plan, bool shared,
                     struct accel_error *err);
/* Runs it on unit->types and unit->given. Outputs: unit->now->tensors. Errors: as
 * accel_session_run.
 */
int accel_unit_run(struct accel_unit *unit, struct accel_error *err);
/* The tensor that value v of the last run is, in memory of the session: bytes of the caller's input
 * that the graph hands on are copied. Errors: LIMIT, NOMEM. */
int accel_unit_lend(struct accel_unit *unit, const struct accel_value *v,
                    struct accel_tensor *tensor, struct accel_error *err);
/* Lets go of the sequences that values of it hold. */
void accel_unit_drop_lists(struct accel_unit *unit);

/* Shall the run under way be given up, as it was cancelled or its deadline has passed? Asked by
 * kernels (base/pool.h), whose results are none from then on. context: the session. */
bool accel_session_stops(void *context);

/* Notes `bytes` more of own memory, for `what`; lets go of memory of graphs that are not running
 * when the limit is near. Errors: LIMIT. */
int accel_session_take(struct accel_session *session, size_t bytes, const char *what,
                       struct accel_error *err);

/* In profile.c: times of a run's steps, noted in their order. Errors: NOMEM. */
int accel_profile_reserve(struct accel_session *session, struct accel_error *err);
void accel_profile_begin(struct accel_session *session);
void accel_profile_note(struct accel_session *session, const struct accel_node *node, int64_t ns);
void accel_profile_end(struct accel_session *session);

/* What a slot holds, as a type; data for a tensor. */
struct accel_type accel_type_of_slot(const struct accel_tensor *slot);

#endif
