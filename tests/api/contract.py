"""api/openapi.yaml as a judge: every answer of the tests goes through check()."""

import json
import pathlib
import re

import jsonschema
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENT = yaml.safe_load((ROOT / "api" / "openapi.yaml").read_text())
CYBORG = ("devices", "deployables", "device_profiles", "accelerator_requests", "attributes")


def _pattern(template):
    return re.compile("^" + re.sub(r"\\{[^/]+?\\}", "[^/]+", re.escape(template)) + "$")


PATHS = [(_pattern(template), template, operations)
         for template, operations in sorted(DOCUMENT["paths"].items(), key=lambda p: "{" in p[0])]
seen = set()  # (method, template, status) that a test has met


def normalise(target):
    """The path as the document has it: no query, no /accelerator, no slash or .json at the end."""
    path = target.split("?")[0]
    if path == "/accelerator" or path.startswith("/accelerator/"):
        path = path[len("/accelerator"):]
    path = path.rstrip("/") or "/"
    first = path.split("/")[1].removesuffix(".json")
    if first not in ("", "v2", "healthz", "readyz", "metrics") and path != "/openapi.json":
        path = "/v2" + path
    kind = (path + "//").split("/")[2].removesuffix(".json")
    if path == "/v2.json" or kind in CYBORG:
        path = path.removesuffix(".json")
    return path


def operation(method, target):
    path = normalise(target)
    for pattern, template, operations in PATHS:
        if pattern.match(path):
            method = method.lower()
            if method == "head" and "get" in operations and not _is_cyborg(template):
                method = "get"
            return template, operations.get(method)
    return None, None


def _is_cyborg(path):
    return path in ("/", "/v2") or path.split("/")[2:3] and path.split("/")[2] in CYBORG


def _resolve(node):
    while "$ref" in node:
        at = DOCUMENT
        for part in node["$ref"].removeprefix("#/").split("/"):
            at = at[part]
        node = at
    return node


def validate(value, schema):
    whole = dict(schema, components=DOCUMENT["components"])
    jsonschema.Draft202012Validator(whole).validate(value)


def _check_error(path, answer):
    """One of the three shapes, by who reads it."""
    kind = path.split("/")[2] if path.count("/") > 1 else ""
    body = answer.json()
    if "error_message" in body:
        assert _is_cyborg(path), (path, body)
        if answer.status == 423:
            assert body == {"error_message": "null"}
            return
        inner = json.loads(body["error_message"])
        assert inner["faultcode"] == ("Client" if answer.status < 500 else "Server")
        assert inner["faultstring"] and inner["debuginfo"] is None
    elif "error" in body:
        assert kind in ("models", "health", "repository"), (path, body)
        validate(body, {"$ref": "#/components/schemas/OipError"})
    else:
        assert answer.headers["content-type"] == "application/problem+json"
        assert not _is_cyborg(path), (path, body)
        validate(body, {"$ref": "#/components/schemas/Problem"})
        assert body["status"] == answer.status
        assert body["request_id"] == answer.headers["x-openstack-request-id"]


def check(method, target, answer):
    path = normalise(target)
    assert re.match(r"^req-[0-9a-f-]{36}$", answer.headers["x-openstack-request-id"])
    template, found = operation(method, target)
    if method == "HEAD" or answer.status == 304:
        assert answer.body == b""
    elif answer.status >= 400 and not (template == "/readyz" and answer.status == 503):
        _check_error(path, answer)
    if found is None:
        assert answer.status >= 400, f"{method} {target}: {answer.status}, and is not documented"
        return
    seen.add((method, template, answer.status))
    documented = found["responses"].get(str(answer.status))
    if documented is None:
        assert answer.status >= 400, f"{method} {template}: {answer.status} is not documented"
        return
    content = _resolve(documented).get("content")
    if answer.status == 304 or method == "HEAD":
        return
    if content is None:
        assert answer.body == b"", f"{method} {template}: {answer.status} has no body"
        return
    media = answer.headers["content-type"].split(";")[0]
    assert media in content, f"{method} {template}: {media} is not documented"
    if media.endswith("json"):
        validate(answer.json(), content[media]["schema"])
