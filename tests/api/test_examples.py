"""api/examples replayed, and the examples inside the contract held against their own schemas."""

import json

import pytest

import contract

EXAMPLES = sorted((contract.ROOT / "api" / "examples").glob("*.json"))


def filled(value, kept):
    text = json.dumps(value)
    for name, found in kept.items():
        text = text.replace("{" + name + "}", found)
    return json.loads(text)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(api, path):
    kept = {}
    for step in json.loads(path.read_text()):
        step = filled(step, kept)
        if "file" in step:
            kwargs = {"body": (contract.ROOT / step["file"]).read_bytes()}
        else:
            kwargs = {"json": step["body"]} if "body" in step else {}
        answer = api.request(step["method"], step["path"], **kwargs)
        assert answer.status == step["status"], (step["says"], answer)
        for name, place in step.get("keep", {}).items():
            found = answer.json()
            for key in place:
                found = found[key]
            kept[name] = found


def test_examples_of_the_contract():
    checked = 0
    for name, schema in contract.DOCUMENT["components"]["schemas"].items():
        for example in schema.get("examples", []):
            contract.validate(example, {"$ref": f"#/components/schemas/{name}"})
            checked += 1
    assert checked >= 7


def test_requests_of_our_own_take_no_unknown_members():
    for path, operations in contract.DOCUMENT["paths"].items():
        for operation in operations.values():
            content = operation.get("requestBody", {}).get("content", {})
            reference = content.get("application/json", {}).get("schema", {}).get("$ref", "")
            if reference and not contract._is_cyborg(path) and "infer" not in path:
                schema = contract.DOCUMENT["components"]["schemas"][reference.split("/")[-1]]
                assert schema["additionalProperties"] is False, reference
