/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "rest/handlers.h"
#include "rest/models.h"
#include "rest/tensors.h"

/* Open Inference Protocol: POST /v2/models/{model}/infer. */

/* ---------------------------------------------------------------- in */

static bool is_aligned(const struct accel_oip_request *oip,
                       const struct accel_infer_tensor *tensors)
{
    for (size_t i = 0; i < oip->inputs_count; i++)
        if (!oip->inputs[i].binary ||
            (tensors[i].offset & (accel_dtype_size(tensors[i].dtype) - 1)) != 0)
            return false;
    return true;
}

/* Fills a mapped memory file with every input at an aligned place. */
static int fill(const struct accel_oip_request *oip, struct accel_infer_tensor *tensors,
                const char *binary, char *to, struct accel_error *err)
{
    for (size_t i = 0; i < oip->inputs_count; i++) {
        const struct accel_oip_input *input = &oip->inputs[i];

        if (!input->binary) {
            if (accel_oip_read_data(input, to + tensors[i].offset, err) != ACCEL_OK)
                return (int)err->code;
        } else if (input->size_bytes > 0) {
            memcpy(to + tensors[i].offset, binary, input->size_bytes);
            binary += input->size_bytes;
        }
    }
    return ACCEL_OK;
}

static int repack(const struct accel_request *req, const struct accel_oip_request *oip,
                  struct accel_infer_tensor *tensors, int *fd, size_t *total,
                  struct accel_error *err)
{
    void *from = NULL, *to;
    int rc;

    *total = 0;
    for (size_t i = 0; i < oip->inputs_count; i++) {
        tensors[i].offset = *total;
        *total += ACCEL_ROUND_UP(tensors[i].size_bytes, 64);
        /* Numbers as JSON may be one character each, as tensors eight bytes. */
        if (*total > 8 * req->config->limits.infer_bytes)
            return accel_fail(err, ACCEL_E_LIMIT,
                              "the inputs take more than limits.infer_bytes allows");
    }
    *total = ACCEL_MAX(*total, 64);
    if (accel_memfd_new("inputs", *total, fd, err) != ACCEL_OK)
        return (int)err->code;
    to = mmap(NULL, *total, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
    if (to == MAP_FAILED)
        return accel_fail_errno(err, errno, "map %zu bytes of inputs", *total);
    if (oip->binary_bytes > 0)
        from = mmap(NULL, oip->binary_bytes, PROT_READ, MAP_SHARED, req->body_fd, 0);
    rc = from == MAP_FAILED ? accel_fail_errno(err, errno, "map the body")
                            : fill(oip, tensors, from, to, err);
    if (from != NULL && from != MAP_FAILED)
        munmap(from, oip->binary_bytes);
    munmap(to, *total);
    return rc;
}

/* The memory file that a worker maps: the body's own when every tensor lies aligned in it. */
static int gather(const struct accel_request *req, const struct accel_oip_request *oip,
                  struct accel_infer_tensor *tensors, int *own, int *fd, size_t *total,
                  struct accel_error *err)
{
    size_t offset = 0;

    for (size_t i = 0; i < oip->inputs_count; i++) {
        const struct accel_oip_input *input = &oip->inputs[i];

        tensors[i] = (struct accel_infer_tensor){.name = input->name,
                                                 .dtype = input->dtype,
                                                 .rank = input->rank,
                                                 .offset = offset,
                                                 .size_bytes = input->size_bytes};
        memcpy(tensors[i].dims, input->dims, sizeof(input->dims));
        offset += input->binary ? input->size_bytes : 0;
    }
    if (req->body_bytes != oip->binary_bytes)
        return accel_fail(err, ACCEL_E_INVALID,
                          "%zu bytes follow the JSON, binary_data_size adds up to %zu%s",
                          req->body_bytes, oip->binary_bytes,
                          req->body_fd < 0 ? " (Inference-Header-Content-Length is missing)" : "");
    if (oip->inputs_count > 0 && offset > 0 && is_aligned(oip, tensors)) {
        *fd = req->body_fd;
        *total = offset;
    } else {
        if (repack(req, oip, tensors, own, total, err) != ACCEL_OK)
            return (int)err->code;
        *fd = *own;
    }
    return accel_memfd_seal(*fd, err);
}

/* ---------------------------------------------------------------- out */

struct answer {
    struct accel_buf json;
    void *map;
    size_t map_bytes;
};

static void answer_free(void *context)
{
    struct answer *answer = context;

    accel_buf_free(&answer->json);
    if (answer->map != NULL)
        munmap(answer->map, answer->map_bytes);
}

static int into_buf(const char *bytes, size_t size, void *buf)
{
    accel_buf_append(buf, bytes, size);
    return accel_buf_failed(buf) ? -1 : 0;
}

/* "key": value, with what JSON demands escaped; steals value. */
static void put(struct accel_buf *out, const char *comma, const char *key, json_t *value)
{
    accel_buf_printf(out, "%s\"%s\":", comma, key);
    if (value == NULL ||
        json_dump_callback(value, into_buf, out,
                           JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(9)) != 0)
        out->failed = true;
    json_decref(value);
}

static bool wants_binary(const struct accel_oip_request *oip, const char *name)
{
    for (size_t i = 0; i < oip->outputs_count; i++)
        if (strcmp(oip->outputs[i].name, name) == 0)
            return oip->outputs[i].binary;
    return oip->binary_outputs;
}

static int put_output(struct accel_buf *out, const struct accel_infer_tensor *tensor, bool binary,
                      const char *bytes, struct accel_error *err)
{
    json_t *shape = json_array();

    for (uint32_t i = 0; i < tensor->rank; i++)
        json_array_append_new(shape, json_integer(tensor->dims[i]));
    put(out, "{", "name", accel_json_text(tensor->name));
    put(out, ",", "datatype", accel_json_text(accel_oip_datatype(tensor->dtype)));
    put(out, ",", "shape", shape);
    if (binary) {
        accel_buf_printf(out, ",\"parameters\":{\"binary_data_size\":%zu}}", tensor->size_bytes);
        return ACCEL_OK;
    }
    accel_buf_puts(out, ",\"data\":");
    if (accel_oip_write_data(tensor->dtype, bytes, tensor->size_bytes, tensor->name, out, err) !=
        ACCEL_OK)
        return (int)err->code;
    accel_buf_puts(out, "}");
    return ACCEL_OK;
}

static void put_head(struct accel_buf *out, const struct accel_oip_request *oip,
                     const struct accel_infer_reply *reply)
{
    char version[24];

    snprintf(version, sizeof(version), "%lld", (long long)reply->model.model_version);
    put(out, "{", "model_name", accel_json_text(reply->model.name));
    put(out, ",", "model_version", json_string(version));
    if (oip->id != NULL)
        put(out, ",", "id", accel_json_text(oip->id));
    put(out, ",", "parameters",
        json_pack("{s:o, s:s, s:f, s:f, s:f, s:f, s:I}", "acceld_device",
                  accel_json_text(reply->device_identity), "acceld_device_uuid", reply->device.text,
                  "acceld_run_s", reply->run_s, "acceld_load_s", reply->load_s, "acceld_queue_s",
                  reply->queue_s, "acceld_predicted_s", reply->predicted_s, "acceld_arena_bytes",
                  (json_int_t)reply->arena_bytes));
    accel_buf_puts(out, ",\"outputs\":[");
}

static int respond(const struct accel_request *req, const struct accel_oip_request *oip,
                   const struct accel_infer_reply *reply, struct accel_response *res,
                   struct accel_error *err)
{
    struct answer *answer = accel_bump_alloc(req->mem, 1, sizeof(*answer));
    struct accel_piece *pieces =
        accel_bump_alloc(req->mem, reply->outputs_count + 1, sizeof(*pieces));
    size_t count = 1;

    if (answer == NULL || pieces == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for the answer");
    res->release = answer_free;
    res->context = answer;
    if (reply->output_bytes > 0) {
        void *map = mmap(NULL, reply->output_bytes, PROT_READ, MAP_SHARED, reply->output_fd, 0);

        if (map == MAP_FAILED)
            return accel_fail_errno(err, errno, "map %zu bytes of outputs", reply->output_bytes);
        answer->map = map;
        answer->map_bytes = reply->output_bytes;
    }
    put_head(&answer->json, oip, reply);
    for (size_t i = 0; i < reply->outputs_count; i++) {
        const struct accel_infer_tensor *tensor = &reply->outputs[i];
        const bool binary = wants_binary(oip, tensor->name);
        const char *bytes = (const char *)answer->map + tensor->offset;

        /* What a worker says is checked again by who reads its memory. */
        if (tensor->offset > reply->output_bytes ||
            tensor->size_bytes > reply->output_bytes - tensor->offset ||
            tensor->rank > ACCEL_RANK_MAX)
            return accel_fail(err, ACCEL_E_INTERNAL, "output %.80s lies outside its memory",
                              tensor->name);
        if (i > 0)
            accel_buf_puts(&answer->json, ",");
        if (put_output(&answer->json, tensor, binary, bytes, err) != ACCEL_OK)
            return (int)err->code;
        if (binary && tensor->size_bytes > 0)
            pieces[count++] = (struct accel_piece){bytes, tensor->size_bytes};
    }
    accel_buf_puts(&answer->json, "]}");
    if (accel_buf_failed(&answer->json))
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for the answer");
    pieces[0] = (struct accel_piece){answer->json.data, answer->json.size};
    if (count > 1) {
        res->content_type = "application/octet-stream";
        accel_response_header(res, "Inference-Header-Content-Length",
                              accel_bump_printf(req->mem, "%zu", answer->json.size));
    }
    res->pieces = pieces;
    res->pieces_count = count;
    res->status = 200;
    return ACCEL_OK;
}

/* POST /v2/models/{model}[/versions/{version}]/infer -> 200 */
int accel_infer(const struct accel_request *req, struct accel_response *res,
                struct accel_error *err)
{
    struct accel_infer_request request = {.cancelled = req->cancelled};
    struct accel_infer_reply reply = {.output_fd = -1};
    ACCEL_CLEANUP(accel_closep) int own = -1;
    struct accel_infer_tensor *tensors;
    struct accel_oip_request oip;
    const char **names;
    int rc;

    if (accel_model_of_path(req, &request.model, &request.version, err) != ACCEL_OK ||
        /* What is not tensor data is bounded; the data arrays are part of the text. */
        accel_oip_parse(req->text, req->text_size, req->config->limits.json_bytes, req->mem, &oip,
                        err) != ACCEL_OK)
        return (int)err->code;
    tensors = accel_bump_alloc(req->mem, oip.inputs_count + 1, sizeof(*tensors));
    names = accel_bump_alloc(req->mem, oip.outputs_count + 1, sizeof(*names));
    if (tensors == NULL || names == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory for the tensors");
    for (size_t i = 0; i < oip.outputs_count; i++)
        names[i] = oip.outputs[i].name;
    if (gather(req, &oip, tensors, &own, &request.input_fd, &request.input_bytes, err) != ACCEL_OK)
        return (int)err->code;
    request.device = oip.device;
    request.inputs = tensors;
    request.inputs_count = oip.inputs_count;
    request.outputs = names;
    request.outputs_count = oip.outputs_count;
    if (accel_service_infer(req->service, &req->caller, &request, req->mem, &reply, err) !=
        ACCEL_OK)
        return (int)err->code;
    rc = respond(req, &oip, &reply, res, err);
    accel_closep(&reply.output_fd);
    return rc;
}
