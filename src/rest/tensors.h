/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_REST_TENSORS_H
#define ACCEL_REST_TENSORS_H

/* The JSON of an Open Inference request and the numbers in it. Pure parsers: a test or a fuzzer
 * calls them with bytes. The arrays called "data" are read straight from the text into tensors:
 * as JSON values they would take thirty times their size. */

#include <jansson.h>

#include "acceld/infer.h"
#include "base/buf.h"
#include "base/bump.h"

struct accel_oip_input {
    const char *name;
    enum accel_dtype dtype;
    uint32_t rank;
    int64_t dims[ACCEL_RANK_MAX];
    size_t elements, size_bytes;
    bool binary; /* its bytes follow the JSON; else `data` holds its numbers */
    const char *data;
    size_t data_size;
};

struct accel_oip_output {
    const char *name;
    bool binary;
};

struct accel_oip_request {
    const char *id;     /* or NULL */
    const char *device; /* parameters.acceld_device, or NULL */
    bool binary_outputs;
    size_t inputs_count, outputs_count;
    struct accel_oip_input *inputs;
    struct accel_oip_output *outputs; /* none: all */
    size_t binary_bytes;              /* sum over the binary inputs */
};

/* json_max bounds what is not tensor data. `text` must live as long as *out.
 * Errors: INVALID (names the input and the member), LIMIT, UNSUPPORTED (BYTES), NOMEM. */
int accel_oip_parse(const char *text, size_t size, size_t json_max, struct accel_bump *mem,
                    struct accel_oip_request *out, struct accel_error *err);

/* Writes the numbers of a JSON input, nested or flat, row-major, to `to` (size_bytes, aligned).
 * Errors: INVALID (count, no number, out of the type's range). */
int accel_oip_read_data(const struct accel_oip_input *input, void *to, struct accel_error *err);

/* Appends [1,2,...]. Errors: UNSUPPORTED (a type or value that JSON lacks: ask for binary), NOMEM.
 */
int accel_oip_write_data(enum accel_dtype dtype, const void *from, size_t size_bytes,
                         const char *name, struct accel_buf *out, struct accel_error *err);

/* "FP32"; NULL for a type the protocol lacks. */
const char *accel_oip_datatype(enum accel_dtype dtype);
/* From ONNX's lower-case name ("float"); NULL as above. */
const char *accel_oip_datatype_of_name(const char *name);

#endif
