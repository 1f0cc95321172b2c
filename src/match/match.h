/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_MATCH_MATCH_H
#define ACCEL_MATCH_MATCH_H

/* Model meets resource: which devices could run this model, how fast, in how much memory, at how
 * much energy. Pure functions over core's structs: no SQL, no HTTP, no graph. */

#include "acceld/infer.h"
#include "base/bump.h"
#include "core/device.h"

/* The resource representation of one device, as the matcher sees it. */
struct accel_resource {
    const struct accel_device *device;
    const struct accel_fact *facts;
    size_t facts_count;
    const struct accel_deployable *deployables;
    size_t deployables_count;
    const struct accel_rate *rates; /* calibration for the present driver version; none: NULL */
    size_t rates_count;
    unsigned rates_threads;
    const char *holder; /* uuid of the ARQ that holds it, or NULL */
    /* Real runs of this very model on this device. */
    int64_t measured_count;
    double measured_mean_s, measured_sd_s;
};

enum accel_objective {
    ACCEL_OBJECTIVE_LATENCY,    /* seconds of one inference */
    ACCEL_OBJECTIVE_THROUGHPUT, /* seconds per inference when kept busy */
    ACCEL_OBJECTIVE_ENERGY,     /* joules of one inference */
    ACCEL_OBJECTIVE_COST,       /* the least capable device that will do: its peak flop/s; prices
                                   are not known to a node */
};

struct accel_constraints {
    enum accel_objective objective;
    double max_latency_s; /* 0: any */
    double max_memory_bytes;
    double max_power_w;
    int precision;      /* FLOAT, FLOAT16, BFLOAT16 or INT8 of enum accel_dtype, in which the
                           device must compute; 0: the model's own */
    bool runnable_only; /* leave out predicted-only devices */
    const char *const *required_traits, *const *forbidden_traits;
    size_t required_count, forbidden_count;
    const char *const *devices; /* uuid, identity or PCI address; none: all */
    size_t devices_count;
    const char *const *types; /* "GPU", "CPU"; none: all */
    size_t types_count;
    bool include_held;
};

/* Where a prediction comes from, the best first: runs of this model here, calibration of this
 * device, its driver's figures, a data sheet. */
enum accel_prediction_basis {
    ACCEL_PREDICTED_FROM_RUNS,
    ACCEL_PREDICTED_FROM_CALIBRATION,
    ACCEL_PREDICTED_FROM_REPORTED,
    ACCEL_PREDICTED_FROM_CATALOGUE,
};
const char *accel_prediction_basis_name(
    enum accel_prediction_basis basis); /* "measured-runs" "calibrated"
                                           "reported" "catalogue" */

struct accel_kind_share {
    enum accel_kind kind;
    double latency_s, flops, bytes;
    size_t ops;
};

struct accel_prediction {
    double latency_s, latency_low_s, latency_high_s; /* one inference; the interval */
    double throughput_per_s;
    double memory_bytes; /* packed weights + arena + inputs and outputs */
    double energy_j;     /* 0: unknown */
    double energy_low_j, energy_high_j;
    double transfer_s; /* part of latency_s spent on the link */
    enum accel_prediction_basis basis;
    struct accel_kind_share kinds[ACCEL_KIND_COUNT]; /* where the time goes */
};

struct accel_candidate {
    const struct accel_resource *resource;
    bool accepted;
    const char *reason; /* why not; for people, names the figure ("needs 1.2 GiB, has 512 MiB") */
    const char *code;   /* why not; for programs: "memory" "operators" "precision" "traits" "health"
                           "in-use" "maintenance" "gone" "type" "latency" "power" "unknown-rate"
                           "not-runnable" "excluded" */
    bool runnable;      /* "core"; else "predicted-only" */
    struct accel_prediction prediction; /* also of a refused one when it could be computed */
    double score;                       /* the objective's figure: smaller is better */
};

/* Every resource comes back once: the accepted ones first, best first, then the refused ones.
 * Deterministic: ties go by identity. Errors: NOMEM, INVALID. */
int accel_match_place(const struct accel_analysis *analysis, const struct accel_resource *resources,
                      size_t count, const struct accel_constraints *constraints,
                      struct accel_bump *mem, struct accel_candidate **candidates,
                      struct accel_error *err);

/* True when the deployable carries every required trait and no forbidden one: of a device that was
 * accepted, which of its deployables is meant. */
bool accel_match_deployable_fits(const struct accel_deployable *deployable,
                                 const struct accel_constraints *constraints);

/* One device's prediction by itself; what accel_match_place uses. precision as in
 * accel_constraints. Returns false, with a constant sentence, when no rate is known. */
bool accel_match_predict(const struct accel_analysis *analysis,
                         const struct accel_resource *resource, int precision,
                         struct accel_prediction *prediction, const char **reason);

#endif
