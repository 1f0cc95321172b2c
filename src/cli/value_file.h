/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_CLI_VALUE_FILE_H
#define ACCEL_CLI_VALUE_FILE_H

/* Inputs and outputs of a model as files, whatever they are: tensors (tensor_file.h), sequences,
 * maps and optionals (ONNX's SequenceProto, MapProto and OptionalProto, .pb, as its test data has
 * them). */

#include "cli/tensor_compare.h"
#include "cli/tensor_file.h"

struct accel_owned_value {
    enum accel_value_kind kind; /* as of an accel_named_value */
    char *name;                 /* as the file says; "" when it does not */
    struct accel_owned_tensor tensor;
    struct accel_owned_tensor *items;
    struct accel_tensor *tensors; /* of items */
    size_t count, capacity;
};

void accel_owned_value_free(struct accel_owned_value *v); /* fits ACCEL_CLEANUP; empties it */

/* One value of a kind, as accel_model_input_kind says it; where a sequence of maps is called for
 * the bytes may also be a tensor's. Maps' keys are put in ascending order. Errors: INVALID,
 * UNSUPPORTED (a sequence of what is no tensor, keys of another type), NOMEM. */
int accel_value_from_pb(const void *bytes, size_t size, enum accel_value_kind kind,
                        struct accel_owned_value *v, struct accel_error *err);
/* `kind` says whether it is wrapped as an optional. */
int accel_value_to_pb(const struct accel_named_value *v, enum accel_value_kind kind,
                      struct accel_buf *out, struct accel_error *err);

/* By the file's suffix: .npy is a tensor. Errors: as above, and those of opening and reading. */
int accel_value_read(const char *path, enum accel_value_kind kind, struct accel_owned_value *v,
                     struct accel_error *err);
int accel_value_write(const char *path, const struct accel_named_value *v,
                      enum accel_value_kind kind, struct accel_error *err);

/* What accel_session_run_values takes; borrows from v. */
struct accel_named_value accel_value_named(const struct accel_owned_value *v, const char *name);

/* accel_tensor_compare over all tensors; of a sequence the worst is told. */
void accel_value_compare(const struct accel_named_value *got, const struct accel_named_value *want,
                         enum accel_rule rule, struct accel_comparison *result);

#endif
