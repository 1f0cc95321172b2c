/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/tensors.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/fd.h"

#define ALIGN 64

int accel_mapping_new(int fd, uint64_t size, const char *name, struct accel_mapping *mapping,
                      struct accel_error *err)
{
    struct stat st;

    *mapping = (struct accel_mapping){0};
    if (fd < 0 || fstat(fd, &st) != 0)
        return accel_fail(err, ACCEL_E_INVALID, "%s: no memory file came", name);
    if (!accel_memfd_is_sealed(fd))
        return accel_fail(err, ACCEL_E_INVALID, "%s: the memory file is not sealed", name);
    if (size > (uint64_t)st.st_size)
        return accel_fail(err, ACCEL_E_INVALID, "%s: %llu bytes were promised, %llu came", name,
                          (unsigned long long)size, (unsigned long long)st.st_size);
    if (size == 0)
        return ACCEL_OK;
    void *at = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        return accel_fail_errno(err, errno, "map %s", name);
    *mapping = (struct accel_mapping){at, size};
    return ACCEL_OK;
}

void accel_mapping_free(struct accel_mapping *mapping)
{
    if (mapping->bytes != NULL)
        munmap((void *)mapping->bytes, mapping->size);
    *mapping = (struct accel_mapping){0};
}

static int shape_in(const Accel__Ipc__TensorRef *ref, struct accel_tensor *tensor, uint64_t *count,
                    struct accel_error *err)
{
    if (ref->n_dims > ACCEL_RANK_MAX)
        return accel_fail(err, ACCEL_E_INVALID, "input %.64s: rank %zu is over %d", ref->name,
                          ref->n_dims, ACCEL_RANK_MAX);
    tensor->dtype = (enum accel_dtype)ref->dtype;
    tensor->rank = (uint32_t)ref->n_dims;
    *count = 1;
    for (size_t i = 0; i < ref->n_dims; i++) {
        tensor->dims[i] = ref->dims[i];
        if (ref->dims[i] < 0 || __builtin_mul_overflow(*count, (uint64_t)ref->dims[i], count))
            return accel_fail(err, ACCEL_E_INVALID, "input %.64s: dimension %zu is %lld", ref->name,
                              i, (long long)ref->dims[i]);
    }
    return ACCEL_OK;
}

/* u32 length and bytes, per element -> an array of strings. */
static int strings_in(const char *name, const uint8_t *at, size_t size, uint64_t count,
                      struct accel_bump *mem, struct accel_tensor *tensor, struct accel_error *err)
{
    /* Each element takes four bytes at least, which bounds what a count may make us allocate. */
    if (count > size / 4)
        return accel_fail(err, ACCEL_E_INVALID, "input %.64s: %llu strings do not fit %zu bytes",
                          name, (unsigned long long)count, size);
    char **strings = accel_bump_alloc(mem, count + 1, sizeof(*strings));
    if (strings == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "input %.64s: no memory", name);
    for (uint64_t i = 0; i < count; i++) {
        uint32_t length;
        if (size < 4)
            return accel_fail(err, ACCEL_E_INVALID, "input %.64s: string %llu is cut off", name,
                              (unsigned long long)i);
        memcpy(&length, at, 4);
        at += 4;
        size -= 4;
        if (length > size)
            return accel_fail(err, ACCEL_E_INVALID, "input %.64s: string %llu is cut off", name,
                              (unsigned long long)i);
        strings[i] = accel_bump_alloc(mem, (size_t)length + 1, 1);
        if (strings[i] == NULL)
            return accel_fail(err, ACCEL_E_NOMEM, "input %.64s: no memory", name);
        memcpy(strings[i], at, length);
        if (memchr(at, '\0', length) != NULL)
            return accel_fail(err, ACCEL_E_INVALID, "input %.64s: string %llu holds a NUL", name,
                              (unsigned long long)i);
        at += length;
        size -= length;
    }
    if (size > 0)
        return accel_fail(err, ACCEL_E_INVALID, "input %.64s: %zu bytes too many", name, size);
    tensor->data = strings;
    tensor->size_bytes = count * sizeof(*strings);
    return ACCEL_OK;
}

static int tensor_in(const Accel__Ipc__TensorRef *ref, const struct accel_mapping *mapping,
                     struct accel_bump *mem, struct accel_named_tensor *into,
                     struct accel_error *err)
{
    struct accel_tensor *tensor = &into->tensor;
    const size_t element = accel_dtype_size((enum accel_dtype)ref->dtype);
    uint64_t count = 0, need;
    const int rc = shape_in(ref, tensor, &count, err);

    if (rc != ACCEL_OK)
        return rc;
    if (ref->offset > mapping->size || ref->size_bytes > mapping->size - ref->offset)
        return accel_fail(err, ACCEL_E_INVALID,
                          "input %.64s: %llu bytes from %llu on are not all there (%zu)", ref->name,
                          (unsigned long long)ref->size_bytes, (unsigned long long)ref->offset,
                          mapping->size);
    into->name = ref->name;
    const uint8_t *at = mapping->bytes != NULL ? mapping->bytes + ref->offset : (const uint8_t *)"";
    if (tensor->dtype == ACCEL_DTYPE_STRING)
        return strings_in(ref->name, at, ref->size_bytes, count, mem, tensor, err);
    if (element == 0)
        return accel_fail(err, ACCEL_E_INVALID, "input %.64s: type %u is none that can be sent",
                          ref->name, ref->dtype);
    if (__builtin_mul_overflow(count, (uint64_t)element, &need) || need != ref->size_bytes)
        return accel_fail(err, ACCEL_E_INVALID,
                          "input %.64s: %llu bytes came, %llu elements of %s need %llu", ref->name,
                          (unsigned long long)ref->size_bytes, (unsigned long long)count,
                          accel_dtype_name(tensor->dtype), (unsigned long long)(count * element));
    tensor->data = (void *)at; /* an input is only read */
    tensor->size_bytes = need;
    if ((uintptr_t)at % ACCEL_MIN(element, (size_t)16) != 0) {
        tensor->data = accel_bump_alloc(mem, 1, need);
        if (tensor->data == NULL)
            return accel_fail(err, ACCEL_E_NOMEM, "input %.64s: no memory", ref->name);
        memcpy(tensor->data, at, need);
    }
    return ACCEL_OK;
}

int accel_tensors_in(const Accel__Ipc__Infer *infer, const struct accel_mapping *mapping,
                     struct accel_bump *mem, struct accel_named_tensor **inputs,
                     struct accel_error *err)
{
    struct accel_named_tensor *made = accel_bump_alloc(mem, infer->n_inputs + 1, sizeof(*made));
    int rc = ACCEL_OK;

    if (made == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for %zu inputs", infer->n_inputs);
    for (size_t i = 0; rc == ACCEL_OK && i < infer->n_inputs; i++)
        rc = tensor_in(infer->inputs[i], mapping, mem, &made[i], err);
    *inputs = made;
    return rc;
}

/* ---------------------------------------------------------------- outputs */

static size_t element_count(const struct accel_tensor *tensor)
{
    size_t count = 1;

    for (uint32_t i = 0; i < tensor->rank; i++)
        count *= (size_t)tensor->dims[i];
    return count;
}

static size_t size_out(const struct accel_tensor *tensor)
{
    const char *const *strings = tensor->data;
    size_t size = 0;

    if (tensor->dtype != ACCEL_DTYPE_STRING)
        return tensor->size_bytes;
    for (size_t i = 0; i < element_count(tensor); i++)
        size += 4 + strlen(strings[i]);
    return size;
}

static void write_out(const struct accel_tensor *tensor, uint8_t *to)
{
    const char *const *strings = tensor->data;

    if (tensor->dtype != ACCEL_DTYPE_STRING) {
        if (tensor->size_bytes > 0)
            memcpy(to, tensor->data, tensor->size_bytes);
        return;
    }
    for (size_t i = 0; i < element_count(tensor); i++) {
        const uint32_t length = (uint32_t)strlen(strings[i]);
        memcpy(to, &length, 4);
        memcpy(to + 4, strings[i], length);
        to += 4 + length;
    }
}

static int describe(const struct accel_named_tensor *output, uint64_t offset,
                    struct accel_bump *mem, Accel__Ipc__TensorRef **made, struct accel_error *err)
{
    const struct accel_tensor *tensor = &output->tensor;
    Accel__Ipc__TensorRef *ref = accel_bump_alloc(mem, 1, sizeof(*ref));
    int64_t *dims = accel_bump_alloc(mem, tensor->rank + 1, sizeof(*dims));

    if (ref == NULL || dims == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for the outputs");
    accel__ipc__tensor_ref__init(ref);
    memcpy(dims, tensor->dims, tensor->rank * sizeof(*dims));
    ref->name = (char *)output->name;
    ref->dtype = tensor->dtype;
    ref->n_dims = tensor->rank;
    ref->dims = dims;
    ref->offset = offset;
    ref->size_bytes = size_out(tensor);
    *made = ref;
    return ACCEL_OK;
}

int accel_tensors_out(const struct accel_named_tensor *outputs, size_t count,
                      struct accel_bump *mem, Accel__Ipc__Inferred *inferred, int *fd,
                      struct accel_error *err)
{
    Accel__Ipc__TensorRef **refs = accel_bump_alloc(mem, count + 1, sizeof(*refs));
    ACCEL_CLEANUP(accel_closep) int file = -1;
    size_t total = 0;
    int rc = ACCEL_OK;

    if (refs == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for %zu outputs", count);
    for (size_t i = 0; rc == ACCEL_OK && i < count; i++) {
        rc = describe(&outputs[i], total, mem, &refs[i], err);
        if (rc == ACCEL_OK)
            total = ACCEL_ROUND_UP(total + refs[i]->size_bytes, ALIGN);
    }
    if (rc == ACCEL_OK)
        rc = accel_memfd_new("outputs", total, &file, err);
    if (rc == ACCEL_OK && total > 0) {
        uint8_t *at = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (at == MAP_FAILED)
            return accel_fail_errno(err, errno, "map %zu bytes of outputs", total);
        for (size_t i = 0; i < count; i++)
            write_out(&outputs[i].tensor, at + refs[i]->offset);
        munmap(at, total); /* a writable mapping would keep the file from being sealed */
    }
    if (rc == ACCEL_OK)
        rc = accel_memfd_seal(file, err);
    if (rc != ACCEL_OK)
        return rc;
    inferred->n_outputs = count;
    inferred->outputs = refs;
    inferred->output_bytes = total;
    *fd = accel_steal_fd(&file);
    return ACCEL_OK;
}
