/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_ONNX_ONNX_H
#define ACCEL_INFER_ONNX_ONNX_H

/* An ONNX file -> the graph. Everything in the file is a stranger's: counts, lengths, nesting and
 * names are checked, and what is wrong is said with the node's or tensor's name. */

#include "infer/graph/graph.h"
#include "infer/onnx/wire.h"

/* Reads a ModelProto. The ir's large constants are slices of `bytes` and of what `external` gave,
 * both of which must outlive it or until each was packed (accel_value_constant copies).
 * Nodes without an entry in the operator table, or which an entry refuses, are marked
 * `unsupported`. The ir comes linked (sorted), without shapes.
 * Functions of the model are inlined. Errors: INVALID, UNSUPPORTED (tensor types), LIMIT, NOMEM. */
int accel_onnx_read(const void *bytes, size_t size, accel_external_fn *external, void *context,
                    const struct accel_limits *limits, struct accel_ir **ir,
                    struct accel_error *err);

/* A model handed over as one piece of bytes: an .onnx, or a plain (ustar) tar that holds model.onnx
 * (else its only .onnx) and the files its external data names. */
struct accel_bundle {
    struct accel_slice model;
    struct accel_slice tar; /* size 0: it was an .onnx */
};
/* Errors: INVALID (a tar without a model, a broken header). */
int accel_bundle_open(const void *bytes, size_t size, struct accel_bundle *bundle,
                      struct accel_error *err);
/* An accel_external_fn; context: the bundle. */
int accel_bundle_external(void *context, const char *location, const void **bytes, size_t *size,
                          struct accel_error *err);

/* Resolves external data to files beside a model, never outside its folder. */
struct accel_folder;
int accel_folder_new(const char *model_path, size_t max_bytes, struct accel_folder **folder,
                     struct accel_error *err);
void accel_folder_freep(struct accel_folder **folder); /* unmaps: the slices end here */
int accel_folder_external(void *context, const char *location, const void **bytes, size_t *size,
                          struct accel_error *err);
/* True for a location that stays inside: relative, no "..", no empty part, no backslash. */
bool accel_location_inside(const char *location);

#endif
