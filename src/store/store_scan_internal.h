/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_STORE_SCAN_INTERNAL_H
#define ACCEL_STORE_SCAN_INTERNAL_H

/* What the files share that make the record of devices agree with a scan. */

#include "store/store_internal.h"

/* A fact of the scan and the device it is about. */
struct noted {
    const char *identity;
    const struct accel_fact *fact;
};

struct scanning {
    struct accel_tx *tx;
    const struct accel_scan *scan;
    struct accel_bump mem;     /* for the whole scan */
    struct accel_bump scratch; /* for one device */
    const char **identities;   /* of the scan's devices, sorted */
    const char **troubled;     /* where the scan had problems, and the last word of that, sorted */
    struct noted *facts;       /* by identity, then name, one of each */
    size_t facts_count;
    struct accel_scan_result *result;
};

struct accel_device_row {
    int64_t id, priority;
    struct accel_uuid uuid;
    const char *identity, *hostname, *module;
    bool gone;
};
#define ACCEL_DEVICE_ROW "id, uuid, identity, hostname, module, priority, gone"

/* ---- store_scan.c */

/* First fact about the device; *end is one behind its last. */
size_t accel_scan_facts(const struct scanning *s, const char *identity, size_t *end);
/* Did the last statement change a row? */
bool accel_scan_wrote(const struct scanning *s);

/* ---- store_scan_parts.c; *changed is set where something was written, else left alone */

int accel_scan_diff_facts(struct scanning *s, int64_t device_id, const char *identity,
                          bool *changed, struct accel_error *err);
int accel_scan_diff_deployables(struct scanning *s, int64_t device_id,
                                const struct accel_scan_device *device, bool *changed,
                                struct accel_error *err);
/* One per device with a PCI function; the text is what Cyborg's agent would report. */
int accel_scan_diff_controlpath(struct scanning *s, int64_t device_id,
                                const struct accel_scan_device *device, bool *changed,
                                struct accel_error *err);

/* ---- store_tombstones.c */

/* Of a row selected as ACCEL_DEVICE_ROW. Errors: NOMEM. */
int accel_store_device_row(sqlite3_stmt *stmt, struct accel_bump *mem,
                           struct accel_device_row *row);
/* note: NULL for none. */
int accel_store_device_event(struct accel_tx *tx, const char *kind, const char *uuid,
                             const char *identity, const char *module, const char *note,
                             struct accel_error *err);
/* The uuid that the device, or deployable, had before it vanished, else a new one. *status (may be
 * NULL) is in scratch memory, NULL unless it came back. */
int accel_scan_revive(struct scanning *s, const char *noun, const char *key,
                      struct accel_uuid *uuid, const char **status, bool *back,
                      struct accel_error *err);
/* Deletes a deployable and remembers its uuid. */
int accel_store_bury_deployable(struct accel_tx *tx, int64_t id, struct accel_error *err);
/* Deletes a device and all that is its own, and remembers the uuids. */
int accel_store_bury_device(struct accel_tx *tx, int64_t id, struct accel_error *err);

#endif
