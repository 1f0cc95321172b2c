/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/onnx/tar.h"
#include "infer/onnx/onnx.h"

#include "tap.h"

#include <string.h>

static int first(const char *bytes, size_t size, struct accel_wire_field *f,
                 struct accel_error *err)
{
    struct accel_wire w =
        accel_wire_of((struct accel_slice){.data = (const uint8_t *)bytes, .size = size});

    return accel_wire_next(&w, f, err);
}

static void reads_each_wire_type(void)
{
    struct accel_wire_field f;
    struct accel_error err;

    ok(first("\x08\x96\x01", 3, &f, &err) == 1 && f.number == 1 && f.value == 150,
       "a varint of two bytes is 150");
    ok(first("\x12\x03"
             "abc",
             5, &f, &err) == 1 &&
           f.bytes.size == 3 && memcmp(f.bytes.data, "abc", 3) == 0,
       "bytes are a slice of the input");
    ok(first("\x1d\x00\x00\x80\x3f", 5, &f, &err) == 1 && f.value == 0x3f800000, "32 bits");
    ok(first("\x19\x01\0\0\0\0\0\0\x80", 9, &f, &err) == 1 && f.value == 0x8000000000000001u,
       "64 bits");
    ok(first("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, &f, &err) == 1 &&
           f.value == UINT64_MAX,
       "the longest varint");
    ok(first("", 0, &f, &err) == 0, "nothing is the end");
}

static void refuses_what_is_broken(void)
{
    static const struct {
        const char *bytes;
        size_t size;
        const char *what;
    } cases[] = {
        {"\x08", 1, "a value that is missing"},
        {"\x08\x80", 2, "a varint that is cut off"},
        {"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11, "a varint over 64 bits"},
        {"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 12, "a varint of eleven bytes"},
        {"\x12\x04"
         "abc",
         5, "a length beyond the end"},
        {"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, "a length of 2^64 - 1"},
        {"\x1d\x00\x00\x80", 4, "32 bits cut off"},
        {"\x19\x01", 2, "64 bits cut off"},
        {"\x0b", 1, "a group"},
        {"\x0f\x01", 2, "wire type 7"},
        {"\x00\x01", 2, "field number 0"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct accel_wire_field f;
        struct accel_error err = {0};

        ok(first(cases[i].bytes, cases[i].size, &f, &err) == -ACCEL_E_INVALID && err.msg[0] != '\0',
           "refuses %s: %s", cases[i].what, err.msg);
    }
}

static void knows_what_lies_inside(void)
{
    static const char *const in[] = {"a", "a/b.bin", "..a", "a..", "a/..b"};
    static const char *const out[] = {"", "/a", "..", "../a", "a/../b", "a//b", "a/", "a\\b"};

    for (size_t i = 0; i < sizeof(in) / sizeof(in[0]); i++)
        ok(accel_location_inside(in[i]), "'%s' is inside the folder", in[i]);
    for (size_t i = 0; i < sizeof(out) / sizeof(out[0]); i++)
        ok(!accel_location_inside(out[i]), "'%s' is not", out[i]);
}

/* One ustar member at `at`; returns where the next begins. */
static size_t add_member(uint8_t *tar, size_t at, const char *name, const char *data, char type)
{
    uint8_t *h = tar + at;
    unsigned sum = 0;

    memset(h, 0, 512);
    snprintf((char *)h, 100, "%s", name);
    snprintf((char *)h + 124, 12, "%011o", (unsigned)strlen(data));
    memcpy(h + 257, "ustar\00000", 8);
    h[156] = (uint8_t)type;
    memset(h + 148, ' ', 8);
    for (int i = 0; i < 512; i++)
        sum += h[i];
    snprintf((char *)h + 148, 8, "%06o", sum);
    memset(h + 512, 0, (strlen(data) + 511) / 512 * 512);
    memcpy(h + 512, data, strlen(data));
    return at + 512 + (strlen(data) + 511) / 512 * 512;
}

static void reads_a_tar(void)
{
    static uint8_t tar[16384];
    struct accel_bundle b;
    struct accel_error err = {0};
    const void *bytes;
    size_t size, end = 0;

    end = add_member(tar, end, "dir/", "", '5');
    end = add_member(tar, end, "./model.onnx", "the model", '0');
    end = add_member(tar, end, "weights.bin", "the weights", '0');
    memset(tar + end, 0, 1024);
    ok(accel_is_tar(tar, end + 1024), "a ustar header is seen");
    ok(accel_bundle_open(tar, end + 1024, &b, &err) == ACCEL_OK && b.model.size == 9 &&
           memcmp(b.model.data, "the model", 9) == 0,
       "finds model.onnx");
    ok(accel_bundle_external(&b, "weights.bin", &bytes, &size, &err) == ACCEL_OK && size == 11,
       "finds external data");
    ok(accel_bundle_external(&b, "other.bin", &bytes, &size, &err) == ACCEL_E_INVALID,
       "says what is not in it: %s", err.msg);
    ok(accel_bundle_open(tar, 1030, &b, &err) == ACCEL_E_INVALID, "refuses a tar cut off: %s",
       err.msg);
    tar[512 + 124] = '7';
    ok(accel_bundle_open(tar, end + 1024, &b, &err) == ACCEL_E_INVALID,
       "refuses a header that does not add up: %s", err.msg);
    end = add_member(tar, 0, "readme", "no model", '0');
    ok(accel_bundle_open(tar, end, &b, &err) == ACCEL_E_INVALID, "refuses one without a model: %s",
       err.msg);
    end = add_member(tar, 0, "a.onnx", "x", '0');
    end = add_member(tar, end, "b.onnx", "y", '0');
    ok(accel_bundle_open(tar, end, &b, &err) == ACCEL_E_INVALID, "refuses two models: %s", err.msg);
    ok(accel_bundle_open("\x08\x08", 2, &b, &err) == ACCEL_OK && b.tar.size == 0,
       "anything else is taken for an .onnx");
}

int main(void)
{
    reads_each_wire_type();
    refuses_what_is_broken();
    knows_what_lies_inside();
    reads_a_tar();
    return tap_done();
}
