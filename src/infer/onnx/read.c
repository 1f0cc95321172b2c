/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/onnx/onnx.h"
#include "infer/onnx/reader.h"
#include "infer/ops/op.h"

#include <inttypes.h>
#include <string.h>

int accel_onnx_opset(struct reader *r, struct accel_slice proto, struct accel_opset *opset,
                     struct accel_error *err)
{
    struct accel_wire w = accel_wire_of(proto);
    struct accel_wire_field f;
    int more, rc = ACCEL_OK;

    opset->domain = "";
    while (rc == ACCEL_OK && (more = accel_wire_next(&w, &f, err)) != 0) {
        if (more < 0)
            return -more;
        if (f.number == 1)
            rc = accel_onnx_text(r, &f, "a domain", &opset->domain, err);
        else if (f.number == 2)
            opset->version = (int64_t)f.value;
    }
    opset->domain = accel_onnx_domain(opset->domain);
    if (rc == ACCEL_OK && strcmp(opset->domain, ACCEL_DOMAIN_OWN) == 0)
        return accel_fail(
            err, ACCEL_E_INVALID,
            "operator set '%s': its operators are made by graph passes and none can be "
            "imported: use those of ai.onnx or com.microsoft",
            opset->domain);
    return rc;
}

static int check_model(const struct accel_ir *ir, struct accel_error *err)
{
    const int64_t version = accel_ir_opset(ir, ""), newest = accel_opset_newest("");

    if (ir->ir_version < 3)
        return accel_fail(err, ACCEL_E_UNSUPPORTED,
                          "IR version %" PRId64 ": 3 is the oldest that is read", ir->ir_version);
    if (ir->ir_version > 1000)
        return accel_fail(err, ACCEL_E_INVALID, "IR version %" PRId64 " is none", ir->ir_version);
    if (version < 0 || version > newest)
        return accel_fail(err, version < 0 ? ACCEL_E_INVALID : ACCEL_E_UNSUPPORTED,
                          "opset %" PRId64 " of ai.onnx: 7 to %" PRId64 " are read", version,
                          newest);
    return ACCEL_OK;
}

static int model_of(struct reader *r, struct accel_slice proto, struct accel_error *err)
{
    struct accel_ir *ir = r->ir;
    struct accel_wire w = accel_wire_of(proto);
    struct accel_wire_field f;
    struct accel_slice graph = {0};
    const char *producer = "", *producer_version = "";
    size_t graphs = 0, functions = 0, opsets;
    int more, rc = accel_onnx_count_fields(proto, 8, &opsets, err);

    if (rc != ACCEL_OK)
        return rc;
    if (opsets > 1024)
        return accel_fail(err, ACCEL_E_INVALID, "%zu operator sets", opsets);
    ir->opsets = accel_bump_alloc(&ir->mem, opsets + 1, sizeof(*ir->opsets));
    if (ir->opsets == NULL)
        return accel_onnx_no_memory(err);
    while (rc == ACCEL_OK && (more = accel_wire_next(&w, &f, err)) > 0) {
        if (f.number == 1)
            ir->ir_version = (int64_t)f.value;
        else if (f.number == 2)
            rc = accel_onnx_text(r, &f, "the producer's name", &producer, err);
        else if (f.number == 3)
            rc = accel_onnx_text(r, &f, "the producer's version", &producer_version, err);
        else if (f.number == 7 && f.type == ACCEL_WIRE_BYTES) {
            graph = f.bytes;
            graphs++;
        } else if (f.number == 8 && f.type == ACCEL_WIRE_BYTES)
            rc = accel_onnx_opset(r, f.bytes, &ir->opsets[ir->opsets_count++], err);
        else if (f.number == 25)
            functions++;
    }
    if (rc != ACCEL_OK)
        return rc;
    if (graphs != 1)
        return accel_fail(err, ACCEL_E_INVALID, "not an ONNX model: it holds %zu graphs", graphs);
    rc = check_model(ir, err);
    if (rc == ACCEL_OK && functions > 0)
        rc = accel_onnx_functions(r, proto, functions, err);
    if (rc != ACCEL_OK)
        return rc;
    ir->producer = accel_bump_printf(&ir->mem, "%s%s%s", producer,
                                     producer_version[0] != '\0' && producer[0] != '\0' ? " " : "",
                                     producer_version);
    if (ir->producer == NULL)
        return accel_onnx_no_memory(err);
    return accel_onnx_graph(r, graph, NULL, NULL, 1, &ir->main, err);
}

int accel_onnx_read(const void *bytes, size_t size, accel_external_fn *external, void *context,
                    const struct accel_limits *limits, struct accel_ir **out,
                    struct accel_error *err)
{
    ACCEL_CLEANUP(accel_ir_freep) struct accel_ir *ir = accel_ir_new(limits, err);
    struct reader r = {.ir = ir, .external = external, .context = context};

    if (ir == NULL)
        return ACCEL_E_NOMEM;
    ir->loading = true;
    if (size > ir->limits.model_bytes)
        return accel_fail(err, ACCEL_E_LIMIT, "the model has %zu bytes, over the limit of %zu",
                          size, ir->limits.model_bytes);
    if (size == 0)
        return accel_fail(err, ACCEL_E_INVALID, "the model is empty");
    int rc = model_of(&r, (struct accel_slice){.data = bytes, .size = size}, err);
    if (rc != ACCEL_OK)
        return rc;
    ir->nodes_in_file = r.nodes - r.graphs;
    rc = accel_ir_link(ir, err);
    if (rc == ACCEL_OK)
        *out = accel_steal(&ir);
    return rc;
}
