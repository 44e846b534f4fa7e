"""OpenAPI's documents: complete, consistent, and of the form that clients look for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from testbed.apiserver import openapi, schema
from testbed.apiserver.openapi_protobuf import encoded
from testbed.apiserver.protobuf_wire import fields
from testbed.apiserver.resources import RESOURCES, Resource

from .objects import VALID, resource_of

Json = dict[str, Any]
_V2: Any = openapi.version_2(schema.served(), "v1.36.0")
_V3: dict[str, Any] = {
    root: openapi.version_3(schema.served(), "v1.36.0", root) for root in openapi.roots()
}
_KUBERNETES = "x-kubernetes-group-version-kind"
_WRITTEN = [resource for resource in RESOURCES if "patch" in resource.verbs]


def _kind(resource: Resource) -> Json:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def _operations(document: Any) -> list[Any]:
    items = document["paths"].values()
    return [one for item in items for method, one in item.items() if method != "parameters"]


def test_every_reference_of_version_2_leads_somewhere() -> None:
    wanted = {reference.removeprefix("#/definitions/") for reference in _references(_V2)}
    assert wanted <= _V2["definitions"].keys()


@pytest.mark.parametrize("root", _V3)
def test_every_reference_of_version_3_leads_somewhere(root: str) -> None:
    found = _V3[root]["components"]["schemas"]
    wanted = {one.removeprefix("#/components/schemas/") for one in _references(_V3[root])}
    assert wanted
    assert wanted <= found.keys()


def test_every_operation_has_an_id_of_its_own_in_kubernetes_words() -> None:
    ids = [operation["operationId"] for operation in _operations(_V2)]
    assert len(ids) == len({*ids})
    assert {
        "listCoreV1PodForAllNamespaces",
        "replaceAppsV1NamespacedDeploymentScale",
        "deleteCoreV1CollectionNamespacedPod",
        "readDiscoveryV1NamespacedEndpointSlice",
        "connectGetCoreV1NamespacedPodExec",
    } <= {*ids}


@pytest.mark.parametrize("resource", _WRITTEN, ids=lambda one: f"{one.group}/{one.kind}")
def test_kubectl_finds_that_a_kind_can_be_checked_by_the_server(resource: Resource) -> None:
    """As its verifiers of query parameters look for it."""
    for document in (_V2, _V3[resource.root.removeprefix("/")]):
        patches = [
            item["patch"]
            for item in document["paths"].values()
            if item.get("patch", {}).get(_KUBERNETES) == _kind(resource)
        ]
        names = {parameter["name"] for parameter in patches[0]["parameters"]}
        assert {"fieldValidation", "dryRun", "fieldManager", "force"} <= names


@pytest.mark.parametrize("resource", _WRITTEN, ids=lambda one: f"{one.group}/{one.kind}")
def test_kubectl_explain_finds_the_kind_by_its_path(resource: Resource) -> None:
    document = _V3[resource.root.removeprefix("/")]
    operation = document["paths"][f"{resource.root}/{resource.plural}"]["get"]
    assert operation[_KUBERNETES] == _kind(resource)
    schemas = document["components"]["schemas"].values()
    assert any(_kind(resource) in one.get(_KUBERNETES, ()) for one in schemas)


@pytest.mark.parametrize("kind", VALID)
def test_ordinary_objects_are_of_their_schema(kind: str) -> None:
    """By a validator that is not ours."""
    resource = resource_of(VALID[kind])
    document = _V3[resource.root.removeprefix("/")]
    name = schema.served().of(resource.group, resource.version, kind)
    root = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    Draft202012Validator(root).validate(schema.defaulted(VALID[kind]))


def test_merge_keys_are_in_both() -> None:
    name = "io.k8s.api.core.v1.PodSpec"
    for found in (_V2["definitions"][name], _V3["api/v1"]["components"]["schemas"][name]):
        containers = found["properties"]["containers"]
        assert containers["x-kubernetes-patch-merge-key"] == "name"
        assert containers["x-kubernetes-patch-strategy"] == "merge"


def test_a_port_of_a_service_may_be_a_number_or_a_name() -> None:
    name = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
    assert _V2["definitions"][name]["format"] == "int-or-string"
    found = _V3["api/v1"]["components"]["schemas"][name]
    assert found["oneOf"] == [{"type": "integer"}, {"type": "string"}]


# The protobuf form


def _first(message: bytes, number: int) -> bytes:
    return next(_each(message, number))


def _each(message: bytes, number: int) -> Iterator[bytes]:
    return (value for key, value in fields(message) if key == number and isinstance(value, bytes))


def _named(message: bytes, number: int) -> dict[str, bytes]:
    """A repeated field of (name, value) pairs."""
    pairs = _each(message, number)
    return {_first(pair, 1).decode(): _first(pair, 2) for pair in pairs}


def test_the_protobuf_form_says_the_same() -> None:
    message = encoded(_V2)
    assert _first(message, 1) == b"2.0"
    definitions = _named(_first(message, 9), 1)
    assert definitions.keys() == _V2["definitions"].keys()
    for name, found in _V2["definitions"].items():
        body = definitions[name]
        assert [one.decode() for one in _each(body, 19)] == found.get("required", [])
        assert [one.decode() for one in _each(body, 4)] == [
            found[key] for key in ("description",) if key in found
        ]
        properties = _named(_first(body, 25), 1) if "properties" in found else {}
        assert properties.keys() == found.get("properties", {}).keys()
        for key, inner in found.get("properties", {}).items():
            types = [_first(one, 1).decode() for one in _each(properties[key], 22)]
            assert types == ([inner["type"]] if "type" in inner else [])
            references = [one.decode() for one in _each(properties[key], 1)]
            assert references == ([inner["$ref"]] if "$ref" in inner else [])


def test_the_protobuf_form_has_all_paths_with_their_kinds() -> None:
    paths = _named(_first(encoded(_V2), 8), 2)
    assert paths.keys() == _V2["paths"].keys()
    numbers = {"get": 2, "put": 3, "post": 4, "delete": 5, "patch": 8}
    for path, item in _V2["paths"].items():
        for method, operation in item.items():
            if method == "parameters":
                continue
            found = _first(paths[path], numbers[method])
            assert _first(found, 5).decode() == operation["operationId"]
            extension = _named(found, 13)[_KUBERNETES]
            assert json.loads(_first(extension, 2)) == operation[_KUBERNETES]
            assert len(list(_each(found, 8))) == len(operation["parameters"])


def test_what_the_protobuf_form_has_no_place_for_is_our_mistake() -> None:
    with pytest.raises(ValueError, match="oneOf"):
        encoded({"swagger": "2.0", "definitions": {"a": {"oneOf": []}}})


def test_fields_with_a_choice_say_so() -> None:
    for found in (_V2["definitions"], _V3["api/v1"]["components"]["schemas"]):
        port = found["io.k8s.api.core.v1.ServicePort"]["properties"]["protocol"]
        assert port["enum"] == ["SCTP", "TCP", "UDP"]
        service = found["io.k8s.api.core.v1.Service"]["properties"]
        assert "enum" not in service["kind"]
