/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tensor_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tap.h"

static bool same(const struct accel_tensor *a, const struct accel_tensor *b)
{
    return a->dtype == b->dtype && a->rank == b->rank && a->size_bytes == b->size_bytes &&
           memcmp(a->dims, b->dims, a->rank * sizeof(a->dims[0])) == 0 &&
           memcmp(a->data, b->data, a->size_bytes) == 0;
}

static const enum accel_dtype numbers[] = {
    ACCEL_DTYPE_FLOAT,      ACCEL_DTYPE_UINT8,    ACCEL_DTYPE_INT8,
    ACCEL_DTYPE_UINT16,     ACCEL_DTYPE_INT16,    ACCEL_DTYPE_INT32,
    ACCEL_DTYPE_INT64,      ACCEL_DTYPE_FLOAT16,  ACCEL_DTYPE_DOUBLE,
    ACCEL_DTYPE_UINT32,     ACCEL_DTYPE_UINT64,   ACCEL_DTYPE_COMPLEX64,
    ACCEL_DTYPE_BOOL,       ACCEL_DTYPE_BFLOAT16, ACCEL_DTYPE_FLOAT8E4M3FN,
    ACCEL_DTYPE_FLOAT8E8M0, ACCEL_DTYPE_UINT4,    ACCEL_DTYPE_INT4,
    ACCEL_DTYPE_UINT2,      ACCEL_DTYPE_INT2,     ACCEL_DTYPE_FLOAT4E2M1,
    ACCEL_DTYPE_FLOAT6E2M3,
};

/* numpy has no such type. */
static bool only_onnx(enum accel_dtype dtype)
{
    return dtype >= ACCEL_DTYPE_BFLOAT16;
}

static void what_is_written_is_read_again(void)
{
    _Alignas(16) char data[6 * 16];

    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (char)(i * 37 + 1);
    for (size_t i = 0; i < ACCEL_COUNT(numbers); i++) {
        struct accel_tensor t = {.dtype = numbers[i], .rank = 3, .dims = {2, 1, 3}, .data = data};
        struct accel_owned_tensor back = {0};
        struct accel_error err = {0};
        struct accel_buf pb = {0}, npy = {0};

        t.size_bytes = 6 * accel_dtype_size(t.dtype);
        if (t.dtype == ACCEL_DTYPE_BOOL || accel_dtype_bits(t.dtype) < 8)
            memcpy(data, "\0\1\1\0\1\0", 6);
        ok(accel_tensor_to_pb(&t, "x", &pb, &err) == ACCEL_OK &&
               accel_tensor_from_pb(pb.data, pb.size, &back, &err) == ACCEL_OK &&
               same(&t, &back.tensor) && strcmp(back.name, "x") == 0,
           "%s survives .pb", accel_dtype_name(t.dtype));
        accel_owned_tensor_free(&back);
        if (only_onnx(t.dtype))
            ok(accel_tensor_to_npy(&t, &npy, &err) == ACCEL_E_UNSUPPORTED, ".npy has no %s",
               accel_dtype_name(t.dtype));
        else
            ok(accel_tensor_to_npy(&t, &npy, &err) == ACCEL_OK &&
                   accel_tensor_from_npy(npy.data, npy.size, &back, &err) == ACCEL_OK &&
                   same(&t, &back.tensor),
               "%s survives .npy", accel_dtype_name(t.dtype));
        accel_owned_tensor_free(&back);
        accel_buf_free(&pb);
        accel_buf_free(&npy);
    }
}

/* The bytes are those of onnx.numpy_helper.from_array. */
static void small_elements_are_packed(void)
{
    static const struct {
        enum accel_dtype dtype;
        uint8_t elements[5];
        const char *raw;
        size_t size;
    } cases[] = {
        {ACCEL_DTYPE_INT4, {1, 0xfe, 3, 0xf8, 7}, "\xe1\x83\x07", 3},
        {ACCEL_DTYPE_UINT2, {3, 0, 1, 2, 3}, "\x93\x03", 2},
        {ACCEL_DTYPE_INT2, {0xfe, 1, 0xff, 0, 1}, "\x36\x01", 2},
        {ACCEL_DTYPE_FLOAT6E2M3, {1, 62, 33, 63, 5}, "\x81\x1f\xfe\x05", 4},
    };

    for (size_t i = 0; i < ACCEL_COUNT(cases); i++) {
        uint8_t data[5];
        const struct accel_tensor t = {.dtype = cases[i].dtype,
                                       .rank = 1,
                                       .dims = {5},
                                       .data = memcpy(data, cases[i].elements, 5),
                                       .size_bytes = 5};
        struct accel_owned_tensor back = {0};
        struct accel_buf pb = {0};

        ok(accel_tensor_to_pb(&t, "", &pb, NULL) == ACCEL_OK &&
               memmem(pb.data, pb.size, cases[i].raw, cases[i].size) != NULL &&
               accel_tensor_from_pb(pb.data, pb.size, &back, NULL) == ACCEL_OK &&
               same(&t, &back.tensor),
           "%s is packed as ONNX does it", accel_dtype_name(cases[i].dtype));
        accel_owned_tensor_free(&back);
        accel_buf_free(&pb);
    }
}

static void strings_survive_pb(void)
{
    static char zero[] = "zero", none[] = "", two[] = "two";
    char *texts[] = {zero, none, two};
    struct accel_tensor t = {.dtype = ACCEL_DTYPE_STRING, .rank = 1, .dims = {3}, .data = texts};
    struct accel_owned_tensor back = {0};
    struct accel_buf pb = {0};
    struct accel_error err;

    t.size_bytes = sizeof(texts);
    ok(accel_tensor_to_pb(&t, "labels", &pb, &err) == ACCEL_OK &&
           accel_tensor_from_pb(pb.data, pb.size, &back, &err) == ACCEL_OK,
       "strings are written and read");
    char *const *got = back.tensor.data;
    ok(got != NULL && strcmp(got[0], "zero") == 0 && got[1][0] == '\0' &&
           strcmp(got[2], "two") == 0,
       "each as it was");
    accel_owned_tensor_free(&back);
    accel_buf_free(&pb);
}

/* Wire bytes: dims [2] (08 02), data_type (10 ..), the typed field. */
static void typed_fields_are_read(void)
{
    static const struct {
        const char *what, *bytes, *data;
        size_t size, data_size;
    } cases[] = {
#define CASE(what, bytes, data) {what, bytes, data, sizeof(bytes) - 1, sizeof(data) - 1}
        CASE("packed float_data", "\x08\x02\x10\x01\x22\x08\0\0\x80\x3f\0\0\0\x40",
             "\0\0\x80\x3f\0\0\0\x40"),
        CASE("unpacked float_data", "\x08\x02\x10\x01\x25\0\0\x80\x3f\x25\0\0\0\x40",
             "\0\0\x80\x3f\0\0\0\x40"),
        CASE("int32_data of int8",
             "\x08\x02\x10\x03\x2a\x0b\x05\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x05\xff"),
        CASE("int32_data of half precision", "\x08\x02\x10\x0a\x2a\x05\x80\x78\x80\x80\x01",
             "\0\x3c\0\x40"),
        CASE("int64_data", "\x08\x02\x10\x07\x3a\x02\x01\x02", "\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0"),
        CASE("uint64_data of uint32", "\x08\x02\x10\x0c\x5a\x02\x01\x02", "\1\0\0\0\2\0\0\0"),
    };

    for (size_t i = 0; i < ACCEL_COUNT(cases); i++) {
        struct accel_owned_tensor t = {0};
        struct accel_error err = {0};

        ok(accel_tensor_from_pb(cases[i].bytes, cases[i].size, &t, &err) == ACCEL_OK &&
               t.tensor.size_bytes == cases[i].data_size &&
               memcmp(t.tensor.data, cases[i].data, cases[i].data_size) == 0,
           "%s is read %s", cases[i].what, err.msg);
        accel_owned_tensor_free(&t);
    }
}

static void bad_pb_is_refused(void)
{
    static const struct {
        const char *what, *bytes;
        size_t size;
    } cases[] = {
#define BAD(what, bytes) {what, bytes, sizeof(bytes) - 1}
        BAD("garbage", "\xff\xff\xff\xff garbage"),
        BAD("an empty float tensor that says [2]", "\x08\x02\x10\x01"),
        BAD("no data type", "\x08\x02\x4a\x01z"),
        BAD("data type 77", "\x08\x02\x10\x4d\x4a\x01z"),
        BAD("raw_data one byte short", "\x08\x02\x10\x01\x4a\x07QRSTUVW"),
        BAD("a length beyond the end", "\x08\x02\x10\x01\x4a\x7f\x01"),
        BAD("dims of 2^62 * 2^62", "\x08\x80\x80\x80\x80\x80\x80\x80\x80\x40\x08\x80\x80\x80"
                                   "\x80\x80\x80\x80\x80\x40\x10\x01"),
        BAD("a claim of 2^40 elements", "\x08\x80\x80\x80\x80\x80\x20\x10\x01\x22\x04\0\0\0\0"),
        BAD("a claim of 2^40 strings", "\x08\x80\x80\x80\x80\x80\x20\x10\x08\x32\x01z"),
        BAD("a negative dimension", "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x10\x01"),
        BAD("rank 17", "\x0a\x11\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\x10\x02\x4a\x01z"),
        BAD("int8 of 300", "\x08\x01\x10\x03\x2a\x02\xac\x02"),
        BAD("a bool of 2", "\x08\x01\x10\x09\x4a\x01\x02"),
        BAD("values in the wrong field", "\x08\x02\x10\x01\x3a\x02\x01\x02"),
        BAD("external data", "\x08\x01\x10\x02\x6a\x02\x0a\0\x4a\x01z"),
    };

    for (size_t i = 0; i < ACCEL_COUNT(cases); i++) {
        struct accel_owned_tensor t = {0};
        struct accel_error err = {0};
        /* A block of just this size: the sanitizer sees a read beyond it. */
        char *copy = malloc(cases[i].size);

        memcpy(copy, cases[i].bytes, cases[i].size);
        const int rc = accel_tensor_from_pb(copy, cases[i].size, &t, &err);
        ok((rc == ACCEL_E_INVALID || rc == ACCEL_E_UNSUPPORTED) && t.tensor.data == NULL,
           "%s is refused: %s", cases[i].what, err.msg);
        free(copy);
    }
}

/* An .npy of a given version around a header text. */
static struct accel_buf npy_of(int version, const char *header, const void *data, size_t size)
{
    struct accel_buf buf = {0};
    const size_t n = strlen(header);
    const char head[12] = {
        (char)0x93,     'N', 'U', 'M', 'P', 'Y', (char)version, 0, (char)(n & 255),
        (char)(n >> 8), 0,   0};

    accel_buf_append(&buf, head, version == 1 ? 10 : 12);
    accel_buf_puts(&buf, header);
    accel_buf_append(&buf, data, size);
    return buf;
}

static void npy_is_read_in_all_its_forms(void)
{
    static const uint8_t rows[] = {1, 2, 3, 4, 5, 6}, columns[] = {1, 4, 2, 5, 3, 6};
    static const uint8_t big[] = {0, 1, 0, 2, 0, 3};
    static const struct {
        const char *what, *header;
        int version;
        const void *data;
        int64_t dim;
        uint32_t rank;
    } cases[] = {
        {"version 1", "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), }  \n", 1, rows, 2,
         2},
        {"version 2", "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3)}", 2, rows, 2, 2},
        {"version 3, other key order", "{\"shape\": (2,3), 'fortran_order':False,'descr':'|u1',}",
         3, rows, 2, 2},
        {"Fortran order", "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }", 1, columns,
         2, 2},
        {"one dimension, as Python 2 wrote it",
         "{'descr': '|u1', 'fortran_order': False, 'shape': (6L,), }", 1, rows, 6, 1},
    };

    for (size_t i = 0; i < ACCEL_COUNT(cases); i++) {
        struct accel_buf file = npy_of(cases[i].version, cases[i].header, cases[i].data, 6);
        struct accel_owned_tensor t = {0};
        struct accel_error err = {0};

        ok(accel_tensor_from_npy(file.data, file.size, &t, &err) == ACCEL_OK &&
               t.tensor.rank == cases[i].rank && t.tensor.dims[0] == cases[i].dim &&
               memcmp(t.tensor.data, rows, 6) == 0,
           ".npy: %s is read %s", cases[i].what, err.msg);
        accel_owned_tensor_free(&t);
        accel_buf_free(&file);
    }
    struct accel_buf file =
        npy_of(1, "{'descr': '>i2', 'fortran_order': False, 'shape': (3,), }", big, 6);
    struct accel_owned_tensor t = {0};
    ok(accel_tensor_from_npy(file.data, file.size, &t, NULL) == ACCEL_OK &&
           memcmp(t.tensor.data, (const int16_t[]){1, 2, 3}, 6) == 0,
       ".npy: big-endian numbers are turned");
    accel_owned_tensor_free(&t);
    accel_buf_free(&file);
    file = npy_of(1, "{'descr': '<f8', 'fortran_order': False, 'shape': (), }", "\0\0\0\0\0\0\xf0?",
                  8);
    ok(accel_tensor_from_npy(file.data, file.size, &t, NULL) == ACCEL_OK && t.tensor.rank == 0 &&
           *(double *)t.tensor.data == 1.0,
       ".npy: a scalar is read");
    accel_owned_tensor_free(&t);
    accel_buf_free(&file);
}

static void bad_npy_is_refused(void)
{
    static const char *const headers[] = {
        "",
        "{",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)",
        "{'descr': '<f4', 'fortran_order': Maybe, 'shape': (6,), }",
        "{'descr': '<f4', 'shape': (6,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-6,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (7,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (6 6), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (6,), }",
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (6,), }",
        "{'descr': '', 'fortran_order': False, 'shape': (6,), }",
        "{'descr': '<f4', 'evil': False, 'shape': (6,), }",
        "{'a-key-that-is-longer-than-any-we-know-of': False}",
    };
    static const char data[24];

    for (size_t i = 0; i < ACCEL_COUNT(headers); i++) {
        struct accel_buf file = npy_of(1, headers[i], data, sizeof(data));
        struct accel_owned_tensor t = {0};
        struct accel_error err = {0};
        const int rc = accel_tensor_from_npy(file.data, file.size, &t, &err);

        ok((rc == ACCEL_E_INVALID || rc == ACCEL_E_UNSUPPORTED) && t.tensor.data == NULL,
           ".npy header %zu is refused: %s", i, err.msg);
        accel_buf_free(&file);
    }
    struct accel_buf file =
        npy_of(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }", data, 24);
    size_t refused = 0;
    for (size_t cut = 0; cut < file.size; cut++) {
        struct accel_owned_tensor t = {0};
        char *copy = malloc(cut > 0 ? cut : 1);

        memcpy(copy, file.data, cut);
        refused += accel_tensor_from_npy(copy, cut, &t, NULL) != ACCEL_OK;
        accel_owned_tensor_free(&t);
        free(copy);
    }
    ok(refused == file.size, "an .npy cut off anywhere is refused");
    accel_buf_free(&file);
}

/* Any bytes: no crash, no read beyond the end (under the sanitizers), no allocation on a claim. */
static void flipped_bytes_do_no_harm(void)
{
    float data[] = {1, 2, 3, 4, 5, 6};
    const struct accel_tensor t = {
        .dtype = ACCEL_DTYPE_FLOAT, .rank = 2, .dims = {2, 3}, .data = data, .size_bytes = 24};
    struct accel_buf files[2] = {{0}, {0}};
    size_t sound = 0;

    accel_tensor_to_pb(&t, "x", &files[0], NULL);
    accel_tensor_to_npy(&t, &files[1], NULL);
    for (int form = 0; form < 2; form++) {
        struct accel_buf *file = &files[form];

        for (size_t bit = 0; bit < 8 * file->size; bit++) {
            struct accel_owned_tensor got = {0};
            int rc;

            file->data[bit / 8] ^= (char)(1 << bit % 8);
            if (form == 0)
                rc = accel_tensor_from_pb(file->data, file->size, &got, NULL);
            else
                rc = accel_tensor_from_npy(file->data, file->size, &got, NULL);
            sound += rc != ACCEL_OK || got.tensor.size_bytes <= 8 * file->size;
            accel_owned_tensor_free(&got);
            file->data[bit / 8] ^= (char)(1 << bit % 8);
        }
    }
    ok(sound == 8 * (files[0].size + files[1].size), "%zu flipped bits are read or refused", sound);
    accel_buf_free(&files[0]);
    accel_buf_free(&files[1]);
}

static void survives_every_failed_allocation(void)
{
    float data[] = {1, 2, 3, 4, 5, 6};
    const struct accel_tensor t = {
        .dtype = ACCEL_DTYPE_FLOAT, .rank = 2, .dims = {2, 3}, .data = data, .size_bytes = 24};

    for (long nth = 0;; nth++) {
        struct accel_owned_tensor a = {0}, b = {0};
        struct accel_buf pb = {0}, npy = {0};

        accel_fault_arm(nth);
        const bool good = accel_tensor_to_pb(&t, "x", &pb, NULL) == ACCEL_OK &&
                          accel_tensor_from_pb(pb.data, pb.size, &a, NULL) == ACCEL_OK &&
                          accel_tensor_to_npy(&t, &npy, NULL) == ACCEL_OK &&
                          accel_tensor_from_npy(npy.data, npy.size, &b, NULL) == ACCEL_OK;
        const bool reached = accel_fault_disarm();
        accel_owned_tensor_free(&a);
        accel_owned_tensor_free(&b);
        accel_buf_free(&pb);
        accel_buf_free(&npy);
        ok(good != reached, reached ? "reports that allocation %ld failed" : "needs %ld", nth);
        if (!reached)
            return;
    }
}

static void files_are_told_by_their_suffix(void)
{
    static const char *const suffixes[] = {"pb", "npy"};
    char folder[] = "/tmp/tensor_file.XXXXXX", path[64];
    int64_t data[] = {7, -7};
    const struct accel_tensor t = {
        .dtype = ACCEL_DTYPE_INT64, .rank = 1, .dims = {2}, .data = data, .size_bytes = 16};
    struct accel_owned_tensor back = {0};
    struct accel_error err = {0};

    if (!ok(mkdtemp(folder) != NULL, "a folder to write to"))
        return;
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/t.%s", folder, suffixes[i]);
        ok(accel_tensor_write(path, "t", &t, &err) == ACCEL_OK &&
               accel_tensor_read(path, &back, &err) == ACCEL_OK && same(&t, &back.tensor),
           "a .%s file is written and read %s", suffixes[i], err.msg);
        accel_owned_tensor_free(&back);
        unlink(path);
    }
    ok(accel_tensor_read(path, &back, &err) == ACCEL_E_NOT_FOUND, "a missing one: %s", err.msg);
    ok(accel_tensor_read("tensor.txt", &back, &err) == ACCEL_E_INVALID, "another: %s", err.msg);
    rmdir(folder);
}

int main(void)
{
    what_is_written_is_read_again();
    small_elements_are_packed();
    strings_survive_pb();
    typed_fields_are_read();
    bad_pb_is_refused();
    npy_is_read_in_all_its_forms();
    bad_npy_is_refused();
    flipped_bytes_do_no_harm();
    survives_every_failed_allocation();
    files_are_told_by_their_suffix();
    return tap_done();
}
