/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/tensors.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "tap.h"

static uint8_t bytes[256];

struct one_input {
    Accel__Ipc__Infer infer;
    Accel__Ipc__TensorRef ref, *list[1];
    int64_t dims[32];
};

static void make(struct one_input *one, uint32_t dtype, size_t rank, int64_t dim, uint64_t offset,
                 uint64_t size)
{
    accel__ipc__infer__init(&one->infer);
    accel__ipc__tensor_ref__init(&one->ref);
    one->ref.name = (char *)"x";
    one->ref.dtype = dtype;
    one->ref.n_dims = rank;
    one->ref.dims = one->dims;
    for (size_t i = 0; i < rank; i++)
        one->dims[i] = dim;
    one->ref.offset = offset;
    one->ref.size_bytes = size;
    one->list[0] = &one->ref;
    one->infer.n_inputs = 1;
    one->infer.inputs = one->list;
}

static void refuses(uint32_t dtype, size_t rank, int64_t dim, uint64_t offset, uint64_t size,
                    const char *what)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    const struct accel_mapping mapping = {bytes, sizeof(bytes)};
    struct accel_named_tensor *inputs;
    struct accel_error err = {0};
    struct one_input one;

    make(&one, dtype, rank, dim, offset, size);
    ok(accel_tensors_in(&one.infer, &mapping, &mem, &inputs, &err) == ACCEL_E_INVALID,
       "refuses %s: %s", what, err.msg);
}

static void refuses_what_lies(void)
{
    refuses(ACCEL_DTYPE_FLOAT, 1, 4, 248, 16, "a tensor that ends past the memory file");
    refuses(ACCEL_DTYPE_FLOAT, 1, 4, UINT64_MAX - 4, 16, "an offset that wraps");
    refuses(ACCEL_DTYPE_FLOAT, 1, 4, 0, UINT64_MAX, "a size that wraps");
    refuses(ACCEL_DTYPE_FLOAT, 1, 4, 0, 12, "fewer bytes than elements");
    refuses(ACCEL_DTYPE_FLOAT, 1, 4, 0, 20, "more bytes than elements");
    refuses(ACCEL_DTYPE_FLOAT, 1, -4, 0, 16, "a negative dimension");
    refuses(ACCEL_DTYPE_FLOAT, 8, 65536, 0, 0, "dimensions whose product wraps to 0");
    refuses(ACCEL_DTYPE_FLOAT, 17, 1, 0, 4, "rank 17");
    refuses(ACCEL_DTYPE_UNDEFINED, 1, 4, 0, 16, "no type");
    refuses(999, 1, 4, 0, 16, "a type that is none");
    refuses(ACCEL_DTYPE_STRING, 1, 1000000, 0, 16, "a million strings in 16 bytes");
    memcpy(bytes, "\377\377\377\377", 4);
    refuses(ACCEL_DTYPE_STRING, 1, 1, 0, 16, "a string longer than its bytes");
    memcpy(bytes, "\002\000\000\000a\000", 6);
    refuses(ACCEL_DTYPE_STRING, 1, 1, 0, 6, "a NUL in a string");
    memcpy(bytes, "\001\000\000\000a", 5);
    refuses(ACCEL_DTYPE_STRING, 1, 1, 0, 8, "bytes after the last string");
}

static void reads_what_is_true(void)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    _Alignas(16) uint8_t aligned[64];
    const struct accel_mapping mapping = {aligned, sizeof(aligned)};
    struct accel_named_tensor *in;
    struct accel_error err;
    struct one_input one;
    const float two[] = {1.5f, -2};

    memcpy(aligned + 16, two, 8);
    make(&one, ACCEL_DTYPE_FLOAT, 1, 2, 16, 8);
    ok(accel_tensors_in(&one.infer, &mapping, &mem, &in, &err) == ACCEL_OK &&
           in[0].tensor.data == aligned + 16 && in[0].tensor.size_bytes == 8 &&
           in[0].tensor.rank == 1 && in[0].tensor.dims[0] == 2,
       "an aligned tensor is read where it lies");
    memcpy(aligned + 3, two, 8);
    make(&one, ACCEL_DTYPE_FLOAT, 1, 2, 3, 8);
    ok(accel_tensors_in(&one.infer, &mapping, &mem, &in, &err) == ACCEL_OK &&
           (uintptr_t)in[0].tensor.data % 4 == 0 && memcmp(in[0].tensor.data, two, 8) == 0,
       "one that is not is copied to where it is");
    make(&one, ACCEL_DTYPE_FLOAT, 0, 0, 16, 4);
    ok(accel_tensors_in(&one.infer, &mapping, &mem, &in, &err) == ACCEL_OK &&
           in[0].tensor.rank == 0,
       "a scalar");
    make(&one, ACCEL_DTYPE_FLOAT, 2, 0, 64, 0);
    ok(accel_tensors_in(&one.infer, &mapping, &mem, &in, &err) == ACCEL_OK &&
           in[0].tensor.size_bytes == 0,
       "an empty tensor at the very end");
    memcpy(aligned, "\002\000\000\000hi\000\000\000\000", 10);
    make(&one, ACCEL_DTYPE_STRING, 1, 2, 0, 10);
    ok(accel_tensors_in(&one.infer, &mapping, &mem, &in, &err) == ACCEL_OK &&
           strcmp(((char **)in[0].tensor.data)[0], "hi") == 0 &&
           ((char **)in[0].tensor.data)[1][0] == '\0',
       "two strings");
}

static void maps_only_sealed_files(void)
{
    struct accel_mapping mapping;
    struct accel_error err;
    int file;

    ok(accel_memfd_new("t", 100, &file, &err) == ACCEL_OK, "a memory file");
    ok(accel_mapping_new(file, 100, "inputs", &mapping, &err) == ACCEL_E_INVALID,
       "one that could change under us is refused: %s", err.msg);
    ok(accel_memfd_seal(file, &err) == ACCEL_OK &&
           accel_mapping_new(file, 100, "inputs", &mapping, &err) == ACCEL_OK &&
           mapping.size == 100,
       "a sealed one is mapped");
    accel_mapping_free(&mapping);
    ok(accel_mapping_new(file, 101, "inputs", &mapping, &err) == ACCEL_E_INVALID,
       "a byte more than it has is refused: %s", err.msg);
    ok(accel_mapping_new(-1, 1, "inputs", &mapping, &err) == ACCEL_E_INVALID,
       "no descriptor is refused: %s", err.msg);
    close(file);
}

static void writes_outputs(void)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    float values[] = {1, 2, 3};
    char *words[] = {(char *)"cat", (char *)""};
    const struct accel_named_tensor outputs[] = {
        {"y", {ACCEL_DTYPE_FLOAT, 2, {1, 3}, values, sizeof(values)}},
        {"w", {ACCEL_DTYPE_STRING, 1, {2}, words, sizeof(words)}},
        {"e", {ACCEL_DTYPE_FLOAT, 1, {0}, NULL, 0}},
    };
    Accel__Ipc__Inferred inferred = ACCEL__IPC__INFERRED__INIT;
    struct accel_mapping mapping;
    struct accel_error err;
    int file;

    ok(accel_tensors_out(outputs, 3, &mem, &inferred, &file, &err) == ACCEL_OK &&
           inferred.n_outputs == 3 && accel_memfd_is_sealed(file),
       "three outputs in one sealed file");
    ok(accel_mapping_new(file, inferred.output_bytes, "outputs", &mapping, &err) == ACCEL_OK &&
           memcmp(mapping.bytes + inferred.outputs[0]->offset, values, sizeof(values)) == 0 &&
           inferred.outputs[0]->dims[1] == 3 && inferred.outputs[1]->size_bytes == 11 &&
           inferred.outputs[1]->offset % 64 == 0 &&
           memcmp(mapping.bytes + inferred.outputs[1]->offset, "\003\000\000\000cat\000\000\000",
                  11) == 0 &&
           inferred.outputs[2]->size_bytes == 0,
       "each where the message says");
    accel_mapping_free(&mapping);
    close(file);
    ok(accel_tensors_out(&outputs[2], 1, &mem, &inferred, &file, &err) == ACCEL_OK &&
           inferred.output_bytes == 0,
       "an empty output alone");
    close(file);

    for (long nth = 0;; nth++) {
        ACCEL_CLEANUP(accel_bump_free) struct accel_bump other = {0};
        file = -1;
        accel_fault_arm(nth);
        const int rc = accel_tensors_out(outputs, 3, &other, &inferred, &file, &err);
        const bool reached = accel_fault_disarm();
        if (file >= 0)
            close(file);
        if (!reached) {
            ok(rc == ACCEL_OK && nth > 0, "works when no allocation fails");
            break;
        }
        ok(rc == ACCEL_E_NOMEM, "reports that allocation %ld failed", nth);
    }
}

int main(void)
{
    refuses_what_lies();
    reads_what_is_true();
    maps_only_sealed_files();
    writes_outputs();
    return tap_done();
}
