/* SPDX-License-Identifier: Apache-2.0 */
#include "rest/handlers.h"

/* Version discovery, contract 2. GET /v2 is also the Open Inference Protocol's server metadata:
 * one object says both. */

static json_t *version_links(const struct accel_request *req, const char *base, const char *tail)
{
    const char *href = accel_bump_printf(req->mem, "%s/accelerator/v2%s", base, tail);

    return href == NULL ? NULL : json_pack("[{s:s, s:s}]", "href", href, "rel", "self");
}

static json_t *version_entry(const struct accel_request *req)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:o}", "id", "v2", "status", "CURRENT", "max_version",
                     "2.3", "min_version", "2.0", "links", version_links(req, req->base, ""));
}

/* GET / -> 200. Never uses api.public_endpoint, as the original does not. */
int accel_get_root(const struct accel_request *req, struct accel_response *res,
                   struct accel_error *err)
{
    return accel_respond(
        res, 200,
        json_pack("{s:s, s:s, s:[o], s:o}", "name", "OpenStack Cyborg API", "description",
                  "Accelerators of one node, managed by acceld: Cyborg's API v2 "
                  "and the Open Inference Protocol",
                  "versions", version_entry(req), "default_version", version_entry(req)),
        err);
}

/* GET /v2 -> 200 */
int accel_get_v2(const struct accel_request *req, struct accel_response *res,
                 struct accel_error *err)
{
    const char *base =
        req->config->api.public_endpoint != NULL ? req->config->api.public_endpoint : req->base;

    return accel_respond(res, 200,
                         json_pack("{s:s, s:o, s:s, s:s, s:s, s:s, s:s, s:[s, s]}", "id", "v2.0",
                                   "links", version_links(req, base, "/"), "max_version", "2.3",
                                   "min_version", "2.0", "status", "CURRENT", "name", "acceld",
                                   "version", ACCELD_VERSION, "extensions", "binary_tensor_data",
                                   "model_repository"),
                         err);
}
