/* SPDX-License-Identifier: Apache-2.0 */
#include "core/analysis_json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"

static const struct accel_op_analysis ops[] = {
    {.name = "Conv_0",
     .op = "Conv",
     .fused = "BatchNormalization+Relu",
     .domain = "",
     .opset = 13,
     .kind = ACCEL_KIND_CONV,
     .precision = ACCEL_DTYPE_FLOAT,
     .shape = "1x3x8x8 -> 1x4x8x8",
     .flops = 13824,
     .bytes_read = 768,
     .bytes_written = 1024,
     .bytes_weights = 432},
    {.name = "caf\xe9",
     .op = "Frobnicate",
     .fused = "",
     .domain = "org.example",
     .opset = 1,
     .kind = ACCEL_KIND_OTHER,
     .precision = ACCEL_DTYPE_FLOAT16,
     .shape = "",
     .unsupported = "no such operator"},
};
static const struct accel_tensor_info tensors[] = {
    {.name = "x",
     .dtype = ACCEL_DTYPE_FLOAT,
     .has_rank = true,
     .rank = 2,
     .dims = {-1, 3},
     .dim_names = {"N", NULL}},
    {.name = "free", .dtype = ACCEL_DTYPE_INT64},
};
static const struct accel_analysis sample = {
    .producer = "pytorch 1.10",
    .ir_version = 8,
    .opset = 13,
    .precision = ACCEL_DTYPE_FLOAT,
    .nodes_in_file = 4,
    .parameters = 108,
    .weights_bytes = 432,
    .arena_bytes = 4096,
    .scratch_bytes = 8192,
    .io_bytes = 100,
    .flops = 13824.5,
    .bytes = 2224,
    .runnable = false,
    .ops_count = 2,
    .ops = ops,
    .inputs_count = 2,
    .inputs = tensors,
    .outputs_count = 1,
    .outputs = tensors + 1,
};

static bool same_tensor(const struct accel_tensor_info *a, const struct accel_tensor_info *b)
{
    if (strcmp(a->name, b->name) != 0 || a->dtype != b->dtype || a->has_rank != b->has_rank ||
        a->rank != b->rank || memcmp(a->dims, b->dims, sizeof(a->dims)) != 0)
        return false;
    for (uint32_t i = 0; i < a->rank; i++)
        if ((a->dim_names[i] == NULL) != (b->dim_names[i] == NULL) ||
            (a->dim_names[i] != NULL && strcmp(a->dim_names[i], b->dim_names[i]) != 0))
            return false;
    return true;
}

static bool same_op(const struct accel_op_analysis *a, const struct accel_op_analysis *b)
{
    return strcmp(a->op, b->op) == 0 && strcmp(a->fused, b->fused) == 0 &&
           strcmp(a->domain, b->domain) == 0 && a->opset == b->opset && a->kind == b->kind &&
           a->precision == b->precision && strcmp(a->shape, b->shape) == 0 &&
           a->flops == b->flops && a->bytes_read == b->bytes_read &&
           a->bytes_written == b->bytes_written && a->bytes_weights == b->bytes_weights &&
           (a->unsupported == NULL) == (b->unsupported == NULL);
}

static void what_is_encoded_is_decoded(void)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_error err = {0};
    struct accel_analysis *a = NULL;
    json_t *json = accel_analysis_to_json(&sample, &err);
    /* Through text, as the processes exchange it. */
    char *text = json_dumps(json, 0);
    json_t *again = json_loads(text != NULL ? text : "", 0, NULL);

    ok(text != NULL && again != NULL, "an analysis becomes JSON");
    if (!ok(accel_analysis_from_json(again, &mem, &a, &err) == ACCEL_OK, "and back %s", err.msg))
        return;
    ok(strcmp(a->producer, sample.producer) == 0 && a->ir_version == 8 && a->opset == 13 &&
           a->precision == ACCEL_DTYPE_FLOAT && !a->runnable && a->nodes_in_file == 4 &&
           a->parameters == 108 && a->weights_bytes == 432 && a->arena_bytes == 4096 &&
           a->scratch_bytes == 8192 && a->io_bytes == 100 && a->flops == 13824.5 &&
           a->bytes == 2224,
       "every figure is the same");
    ok(a->inputs_count == 2 && a->outputs_count == 1 && same_tensor(&a->inputs[0], &tensors[0]) &&
           same_tensor(&a->inputs[1], &tensors[1]) && same_tensor(&a->outputs[0], &tensors[1]),
       "every input and output is the same");
    ok(a->ops_count == 2 && same_op(&a->ops[0], &ops[0]) && same_op(&a->ops[1], &ops[1]) &&
           strcmp(a->ops[0].name, "Conv_0") == 0,
       "every operator is the same");
    ok(strcmp(a->ops[1].name, "caf?") == 0, "a byte that is no UTF-8 became a question mark");
    free(text);
    json_decref(json);
    json_decref(again);
}

static void what_json_cannot_hold_is_refused(void)
{
    struct accel_analysis bad = sample;
    struct accel_op_analysis op = ops[0];
    struct accel_error err = {0};

    bad.flops = NAN;
    ok(accel_analysis_to_json(&bad, &err) == NULL && err.code == ACCEL_E_INVALID,
       "a total that is no number: %s", err.msg);
    bad = sample;
    op.bytes_read = INFINITY;
    bad.ops = &op;
    bad.ops_count = 1;
    ok(accel_analysis_to_json(&bad, &err) == NULL && strstr(err.msg, "Conv_0") != NULL,
       "an infinite figure names its operator: %s", err.msg);
}

/* Merges `change` into the document, or into the first member of `list`, and expects a refusal
 * that names the key. */
static void refuses(const char *list, const char *change, const char *named)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_analysis *a = NULL;
    struct accel_error err = {0};
    json_t *json = accel_analysis_to_json(&sample, &err);
    json_t *edit = json_loads(change, 0, NULL);
    json_t *at = list != NULL ? json_array_get(json_object_get(json, list), 0) : json;

    json_object_update(at, edit);
    const int rc = accel_analysis_from_json(json, &mem, &a, &err);
    ok(rc == ACCEL_E_INVALID && a == NULL && strstr(err.msg, named) != NULL, "%s is refused: %s",
       change, err.msg);
    json_decref(edit);
    json_decref(json);
}

static void every_lie_is_refused(void)
{
    ACCEL_CLEANUP(accel_bump_free) struct accel_bump mem = {0};
    struct accel_analysis *a = NULL;

    refuses(NULL, "{\"producer\": 7}", "producer");
    refuses(NULL, "{\"opset\": \"13\"}", "opset");
    refuses(NULL, "{\"precision\": \"float7\"}", "precision");
    refuses(NULL, "{\"runnable\": 1}", "runnable");
    refuses(NULL, "{\"runnable\": true}", "runnable");
    refuses(NULL, "{\"parameters\": -1}", "parameters");
    refuses(NULL, "{\"weights_bytes\": 1.5}", "weights_bytes");
    refuses(NULL, "{\"flops\": -1}", "flops");
    refuses(NULL, "{\"flops\": null}", "flops");
    refuses(NULL, "{\"ops\": {}}", "ops");
    refuses(NULL, "{\"ops\": [7]}", "ops[0]");
    refuses(NULL, "{\"inputs\": [null]}", "inputs[0]");
    refuses("ops", "{\"kind\": \"magic\"}", "ops[0].kind");
    refuses("ops", "{\"name\": null}", "ops[0].name");
    refuses("ops", "{\"bytes_read\": \"many\"}", "ops[0].bytes_read");
    refuses("ops", "{\"unsupported\": 3}", "ops[0].unsupported");
    refuses("inputs", "{\"shape\": [1, -2]}", "inputs[0]");
    refuses("inputs", "{\"shape\": [1, 2, 3]}", "inputs[0]");
    refuses("inputs", "{\"shape\": [1, 2.5]}", "inputs[0]");
    refuses("inputs", "{\"dim_names\": [1, 2]}", "inputs[0]");
    refuses("inputs", "{\"shape\": \"2x3\"}", "inputs[0]");
    refuses("outputs", "{\"dtype\": \"\"}", "outputs[0].dtype");
    ok(accel_analysis_from_json(NULL, &mem, &a, NULL) == ACCEL_E_INVALID, "nothing is refused");
}

/* jansson's allocations fail too. */
static void survives_every_failed_allocation(void)
{
    size_t refused = 0;

    json_set_alloc_funcs(accel_malloc, accel_free);
    for (long nth = 0;; nth++) {
        struct accel_bump mem = {0};
        struct accel_error err = {0};
        struct accel_analysis *a = NULL;

        accel_fault_arm(nth);
        json_t *json = accel_analysis_to_json(&sample, &err);
        const int rc =
            json != NULL ? accel_analysis_from_json(json, &mem, &a, &err) : (int)err.code;
        const bool reached = accel_fault_disarm();
        json_decref(json);
        accel_bump_free(&mem);
        if (!reached) {
            ok(rc == ACCEL_OK && refused > 0, "needs %ld allocations, %zu failures were reported",
               nth, refused);
            return;
        }
        /* A string that jansson could not copy is tried once more, and may then succeed. */
        if (rc != ACCEL_E_NOMEM && rc != ACCEL_OK) {
            ok(false, "reports that allocation %ld failed: %d %s", nth, rc, err.msg);
            return;
        }
        refused += rc == ACCEL_E_NOMEM;
    }
}

int main(void)
{
    what_is_encoded_is_decoded();
    what_json_cannot_hold_is_refused();
    every_lie_is_refused();
    survives_every_failed_allocation();
    return tap_done();
}
