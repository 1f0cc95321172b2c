/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_CORE_MODEL_H
#define ACCEL_CORE_MODEL_H

/* A served model: an ONNX file as uploaded, owned by a project, with what its analysis found. */

#include "core/uuid.h"

struct accel_model_record {
    int64_t id;
    struct accel_uuid uuid; /* of this version; the key of its packed form */
    const char *name;
    int64_t model_version; /* 1, 2, ... */
    const char *project_id;
    const char *sha256; /* hex, of the file as uploaded */
    int64_t size_bytes;
    const char *file;     /* name below <state>/models */
    const char *analysis; /* JSON text (core/analysis_json.h) */
    bool runnable;
    const char *created_at;
};

#endif
