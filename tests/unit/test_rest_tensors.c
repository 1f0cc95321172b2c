/* SPDX-License-Identifier: Apache-2.0 */
#include "rest/tensors.h"

#include <math.h>
#include <string.h>

#include "tap.h"

static struct accel_error err;
static struct accel_bump mem;
static struct accel_oip_request oip;

static int parse(const char *text)
{
    accel_bump_free(&mem);
    return accel_oip_parse(text, strlen(text), 4096, &mem, &oip, &err);
}

static void reads_a_request(void)
{
    ok(parse("{\"id\":\"42\",\"parameters\":{\"acceld_device\":\"cpu:0\"},\"inputs\":[{\"data\":"
             "[[1,2],[3.5,-4e1]],\"name\":\"x\",\"shape\":[2,2],\"datatype\":\"FP32\"}],"
             "\"outputs\":[{\"name\":\"y\",\"parameters\":{\"binary_data\":true}}]}") == ACCEL_OK,
       "takes a request whose data comes before its type");
    ok(strcmp(oip.id, "42") == 0 && strcmp(oip.device, "cpu:0") == 0 && oip.inputs_count == 1 &&
           oip.outputs_count == 1 && oip.outputs[0].binary && !oip.binary_outputs,
       "finds what it says");
    float x[4] = {0};
    ok(accel_oip_read_data(&oip.inputs[0], x, &err) == ACCEL_OK && x[0] == 1 && x[1] == 2 &&
           x[2] == 3.5f && x[3] == -40,
       "reads nested numbers row by row");
}

static void keeps_integers_exact(void)
{
    int64_t x[3];
    uint64_t u[1];
    int8_t small[2];

    ok(parse("{\"inputs\":[{\"name\":\"x\",\"shape\":[3],\"datatype\":\"INT64\",\"data\":"
             "[9007199254740993,-9223372036854775808,9223372036854775807]}]}") == ACCEL_OK &&
           accel_oip_read_data(&oip.inputs[0], x, &err) == ACCEL_OK && x[0] == 9007199254740993 &&
           x[1] == INT64_MIN && x[2] == INT64_MAX,
       "64-bit integers keep every digit");
    ok(parse("{\"inputs\":[{\"name\":\"x\",\"shape\":[1],\"datatype\":\"UINT64\",\"data\":"
             "[18446744073709551615]}]}") == ACCEL_OK &&
           accel_oip_read_data(&oip.inputs[0], u, &err) == ACCEL_OK && u[0] == UINT64_MAX,
       "so do unsigned ones");
    ok(parse("{\"inputs\":[{\"name\":\"x\",\"shape\":[2],\"datatype\":\"INT8\",\"data\":[-128,128]"
             "}]}") == ACCEL_OK &&
           accel_oip_read_data(&oip.inputs[0], small, &err) == ACCEL_E_INVALID,
       "one out of its type's range is refused: %s", err.msg);
}

static void refuses_data_that_is_not_its_shape(void)
{
    static const char *const data[] = {"[1,2]",         "[1,2,3,4]",   "[1,,2]",    "[1 2 3]",
                                       "[1,2,3",        "[NaN,1,2]",   "[0x1,2,3]", "[1,2,true]",
                                       "[1,2,1e99]",    "[1,2,\"3\"]", "[1,2,{}]",  "[1,2,3]]",
                                       "[[],1,2,3,[]]x"};
    char text[256];
    float x[8];

    for (size_t i = 0; i < ACCEL_COUNT(data); i++) {
        snprintf(text, sizeof(text),
                 "{\"inputs\":[{\"name\":\"x\",\"shape\":[3],\"datatype\":\"FP32\",\"data\":%s}]}",
                 data[i]);
        ok(parse(text) != ACCEL_OK || accel_oip_read_data(&oip.inputs[0], x, &err) != ACCEL_OK,
           "refuses %s for three floats", data[i]);
    }
}

static void refuses_contradictions(void)
{
    static const char *const inputs[] = {
        "{\"shape\":[1],\"datatype\":\"FP32\",\"data\":[1]}",
        "{\"name\":\"x\",\"datatype\":\"FP32\",\"data\":[1]}",
        "{\"name\":\"x\",\"shape\":[1],\"data\":[1]}",
        "{\"name\":\"x\",\"shape\":[1],\"datatype\":\"FP12\",\"data\":[1]}",
        "{\"name\":\"x\",\"shape\":[1],\"datatype\":\"BYTES\",\"data\":[1]}",
        "{\"name\":\"x\",\"shape\":[1],\"datatype\":\"FP16\",\"data\":[1]}",
        "{\"name\":\"x\",\"shape\":[1],\"datatype\":\"FP32\"}",
        "{\"name\":\"x\",\"shape\":[-1],\"datatype\":\"FP32\",\"data\":[1]}",
        "{\"name\":\"x\",\"shape\":[4294967296,4294967296,8],\"datatype\":\"FP64\",\"data\":[1]}",
        "{\"name\":\"x\",\"shape\":[2305843009213693952],\"datatype\":\"FP64\",\"data\":[1]}",
        "{\"name\":\"x\",\"shape\":[1000000],\"datatype\":\"FP32\",\"data\":[1]}",
        "{\"name\":\"x\",\"shape\":[1],\"datatype\":\"FP32\",\"parameters\":{\"binary_data_size\":"
        "5}}",
        "{\"name\":\"x\",\"shape\":[1],\"datatype\":\"FP32\",\"data\":[1],\"parameters\":{\"binary_"
        "data_size\":4}}",
        "{\"name\":\"x\",\"shape\":[1],\"datatype\":\"FP32\",\"data\":[1],\"data\":[2]}",
        "7",
        "{\"name\":\"x\",\"shape\":[1],\"datatype\":\"FP32\",\"data\":[1]},{\"name\":\"x\","
        "\"shape\":[1],\"datatype\":\"FP32\",\"data\":[1]}",
    };
    char text[400];

    for (size_t i = 0; i < ACCEL_COUNT(inputs); i++) {
        snprintf(text, sizeof(text), "{\"inputs\":[%s]}", inputs[i]);
        const int rc = parse(text);
        ok(rc == ACCEL_E_INVALID || rc == ACCEL_E_UNSUPPORTED, "refuses %s: %s", inputs[i],
           err.msg);
    }
    ok(parse("{\"inputs\":{}}") == ACCEL_E_INVALID && parse("[]") == ACCEL_E_INVALID &&
           parse("{\"inputs\":[]} x") == ACCEL_E_INVALID && parse("") == ACCEL_E_INVALID,
       "refuses other documents");
}

static void bounds_what_is_no_tensor(void)
{
    static char text[8192];
    size_t n;

    n = (size_t)snprintf(text, sizeof(text), "{\"inputs\":[],\"pad\":\"");
    memset(text + n, 'x', 5000);
    strcpy(text + n + 5000, "\"}");
    ok(parse(text) == ACCEL_E_LIMIT, "JSON beside the tensors is bounded");
    n = 0;
    while (n < 200)
        text[n++] = '[';
    text[n] = '\0';
    ok(parse(text) == ACCEL_E_INVALID, "nesting is bounded: %s", err.msg);
    n = (size_t)snprintf(text, sizeof(text),
                         "{\"inputs\":[{\"name\":\"x\",\"shape\":[2000],\"datatype\":\"INT8\","
                         "\"data\":[0");
    for (int i = 1; i < 2000; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, ",1");
    snprintf(text + n, sizeof(text) - n, "]}]}");
    int8_t x[2000];
    ok(parse(text) == ACCEL_OK && accel_oip_read_data(&oip.inputs[0], x, &err) == ACCEL_OK &&
           x[0] == 0 && x[1999] == 1,
       "tensor data is not counted in");
}

static void survives_every_cut(void)
{
    static const char text[] =
        "{\"id\":\"a\\\"b\",\"inputs\":[{\"name\":\"x\",\"shape\":[2],\"datatype\":\"FP32\","
        "\"data\":[1.5,2]},{\"name\":\"y\",\"shape\":[1],\"datatype\":\"INT8\",\"parameters\":{"
        "\"binary_data_size\":1}}],\"outputs\":[{\"name\":\"z\"}]}";
    int refused = 0;

    for (size_t size = 0; size < sizeof(text) - 1; size++) {
        accel_bump_free(&mem);
        refused += accel_oip_parse(text, size, 4096, &mem, &oip, &err) != ACCEL_OK;
    }
    ok(refused == sizeof(text) - 1, "every cut-off request is refused");
    ok(parse(text) == ACCEL_OK && oip.binary_bytes == 1, "the whole one is taken");
}

static void survives_every_failed_allocation(void)
{
    static const char text[] = "{\"id\":\"1\",\"inputs\":[{\"name\":\"x\",\"shape\":[2],"
                               "\"datatype\":\"FP32\",\"data\":[1.5,2]}],\"outputs\":[{\"name\":"
                               "\"z\"}]}";

    for (long nth = 0;; nth++) {
        accel_bump_free(&mem);
        accel_fault_arm(nth);
        const int rc = accel_oip_parse(text, strlen(text), 4096, &mem, &oip, &err);
        if (!accel_fault_disarm()) {
            ok(rc == ACCEL_OK, "parses a request");
            return;
        }
        ok(rc == ACCEL_E_NOMEM || rc == ACCEL_E_LIMIT, "reports that allocation %ld failed", nth);
    }
}

static void writes_numbers(void)
{
    ACCEL_CLEANUP(accel_buf_free) struct accel_buf out = {0};
    const float f[] = {0.1f, -1e30f}, bad[] = {NAN};
    const int16_t i[] = {-2, 32767};
    const uint64_t u[] = {UINT64_MAX};
    const bool b[] = {true, false};

    ok(accel_oip_write_data(ACCEL_DTYPE_FLOAT, f, sizeof(f), "y", &out, &err) == ACCEL_OK &&
           strcmp(out.data, "[0.100000001,-1.00000002e+30]") == 0,
       "floats keep their nine digits");
    accel_buf_free(&out);
    accel_oip_write_data(ACCEL_DTYPE_INT16, i, sizeof(i), "y", &out, &err);
    accel_oip_write_data(ACCEL_DTYPE_UINT64, u, sizeof(u), "y", &out, &err);
    accel_oip_write_data(ACCEL_DTYPE_BOOL, b, sizeof(b), "y", &out, &err);
    ok(strcmp(out.data, "[-2,32767][18446744073709551615][true,false]") == 0,
       "integers and truths are exact");
    ok(accel_oip_write_data(ACCEL_DTYPE_FLOAT, bad, sizeof(bad), "y", &out, &err) ==
           ACCEL_E_UNSUPPORTED,
       "NaN is refused: %s", err.msg);
    ok(accel_oip_write_data(ACCEL_DTYPE_FLOAT16, f, 2, "y", &out, &err) == ACCEL_E_UNSUPPORTED,
       "half precision is refused: %s", err.msg);
}

int main(void)
{
    reads_a_request();
    keeps_integers_exact();
    refuses_data_that_is_not_its_shape();
    refuses_contradictions();
    bounds_what_is_no_tensor();
    survives_every_cut();
    survives_every_failed_allocation();
    writes_numbers();
    accel_bump_free(&mem);
    return tap_done();
}
