"""OpenAPI's documents of what is served: version 2 as one document, version 3 as one per group and version.

kubectl explains fields, checks manifests and merges patches by them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from testbed.apiserver.definitions import Definitions, Json, group_version, reachable
from testbed.apiserver.openapi_operations import Operation, operations
from testbed.apiserver.openapi_parameters import PARAMETERS, PATH_PARAMETERS, Parameter
from testbed.apiserver.resources import RESOURCES
from testbed.apiserver.validation.choices import CHOICES

_TITLE = "Kubernetes"
_UTIL = "io.k8s.apimachinery.pkg."
_INT_OR_STRING = _UTIL + "util.intstr.IntOrString"
_QUANTITY = _UTIL + "api.resource.Quantity"
_PATCHES = (
    *("application/json-patch+json", "application/merge-patch+json"),
    *("application/strategic-merge-patch+json", "application/apply-patch+yaml"),
)
_JSON = ("application/json",)
_WORDS = {200: "OK", 201: "Created", 202: "Accepted"}


def version_2(definitions: Definitions, version: str) -> Json:
    """The one document; `version` is the server's."""
    schemas = {
        name: _schema_2(name, _with_choices(name, found))
        for name, found in definitions.schemas.items()
    }
    return {
        "swagger": "2.0",
        "info": {"title": _TITLE, "version": version},
        "paths": _paths(definitions, _operation_2, _parameter_2, operations(RESOURCES)),
        "definitions": schemas,
    }


def version_3(definitions: Definitions, version: str, root: str) -> Json:
    """The document of the group and version whose resources are at `root`, as in `apis/apps/v1`."""
    mine = [resource for resource in RESOURCES if resource.root == f"/{root}"]
    paths = _paths(definitions, _operation_3, _parameter_3, operations(mine))
    own = group_version(mine[0].group_version)
    roots = [name for (*gv, _kind), name in definitions.names.items() if tuple(gv) == own]
    roots += _named(paths)
    schemas = definitions.schemas
    components = {
        name: _schema_3(name, _with_choices(name, schemas[name]))
        for name in reachable(schemas, roots)
    }
    return {
        "openapi": "3.0.0",
        "info": {"title": _TITLE, "version": version},
        "paths": paths,
        "components": {"schemas": components},
    }


def roots() -> list[str]:
    """Of every group and version that has a document."""
    return sorted({resource.root.removeprefix("/") for resource in RESOURCES})


# Paths


def _paths(
    definitions: Definitions, operation: Any, parameter: Any, rows: Iterable[Operation]
) -> dict[str, Any]:
    paths: dict[str, Any] = {}
    for row in rows:
        item = paths.setdefault(row.path, {"parameters": _of_path(row, parameter)})
        item[row.method] = operation(row, definitions)
    return paths


def _of_path(row: Operation, parameter: Any) -> list[Json]:
    names = [*(["name"] if row.named else []), *(["namespace"] if row.namespaced else [])]
    found = [parameter(name, PATH_PARAMETERS[name], "path") for name in names]
    return [*found, parameter("pretty", PARAMETERS["pretty"], "query")]


def _parameter_2(name: str, parameter: Parameter, where: str) -> Json:
    return {
        "name": name,
        "in": where,
        "type": parameter.type,
        "description": parameter.description,
        **({"required": True} if where == "path" else {}),
    }


def _parameter_3(name: str, parameter: Parameter, where: str) -> Json:
    return {
        "name": name,
        "in": where,
        "description": parameter.description,
        "schema": {"type": parameter.type},
        **({"required": True} if where == "path" else {}),
    }


def _operation(row: Operation) -> dict[str, Any]:
    """What both versions say alike."""
    group, version, kind = row.kind
    return {
        "operationId": row.id,
        "tags": [row.tag],
        "x-kubernetes-action": row.action,
        "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind},
    }


def _operation_2(row: Operation, definitions: Definitions) -> Json:
    body, answer = (_schema_name(row, definitions, name) for name in (row.body, row.answer))
    parameters = [_parameter_2(name, PARAMETERS[name], "query") for name in row.parameters]
    if body:
        ref = {"$ref": f"#/definitions/{body}"}
        parameters.insert(0, {"name": "body", "in": "body", "required": True, "schema": ref})
    schema = {"$ref": f"#/definitions/{answer}"} if answer else {"type": "string"}
    return {
        **_operation(row),
        "consumes": list(_PATCHES if row.action == "patch" else _JSON),
        "produces": list(_JSON) if answer else ["*/*"],
        "schemes": ["https"],
        "parameters": parameters,
        "responses": {
            str(code): {"description": _WORDS[code], "schema": schema} for code in row.codes
        },
    }


def _operation_3(row: Operation, definitions: Definitions) -> Json:
    body, answer = (_schema_name(row, definitions, name) for name in (row.body, row.answer))
    schema = {"$ref": _reference_3(answer)} if answer else {"type": "string"}
    content = {media_type: {"schema": schema} for media_type in (_JSON if answer else ("*/*",))}
    operation = {
        **_operation(row),
        "parameters": [_parameter_3(name, PARAMETERS[name], "query") for name in row.parameters],
        "responses": {
            str(code): {"description": _WORDS[code], "content": content} for code in row.codes
        },
    }
    if body:
        ref = {"schema": {"$ref": _reference_3(body)}}
        types = _PATCHES if row.action == "patch" else ("*/*",)
        operation["requestBody"] = {"content": dict.fromkeys(types, ref), "required": True}
    return operation


def _schema_name(row: Operation, definitions: Definitions, name: str) -> str:
    if not name.startswith("*"):
        return name
    group, version, kind = row.kind
    return definitions.of(group, version, kind + name[1:]) or ""


def _named(paths: Any) -> set[str]:
    """The schemas that paths refer to."""
    if isinstance(paths, Mapping):
        found = {name for value in paths.values() for name in _named(value)}
        if isinstance(paths.get("$ref"), str):
            found.add(paths["$ref"].rpartition("/")[2])
        return found
    return {name for value in paths for name in _named(value)} if isinstance(paths, list) else set()


# Schemas


def _with_choices(name: str, schema: Json) -> Json:
    choices = CHOICES.get(name, {})
    if not choices:
        return schema
    properties = schema["properties"]
    told = {key: {**properties[key], "enum": sorted(choices[key])} for key in choices}
    return {**schema, "properties": {**properties, **told}}


def _reference_3(name: str) -> str:
    return f"#/components/schemas/{name}"


def _schema_2(name: str, schema: Json) -> Json:
    if name == _INT_OR_STRING:
        return {**_less(schema, "oneOf"), "type": "string", "format": "int-or-string"}
    if name == _QUANTITY:
        return {**_less(schema, "oneOf"), "type": "string"}
    plain: Json = _referring(schema, lambda one: {"$ref": f"#/definitions/{one}"})
    return plain


def _schema_3(name: str, schema: Json) -> Json:
    if name == _INT_OR_STRING:
        kinds = [{"type": "integer"}, {"type": "string"}]
        return {**_less(schema, "oneOf"), "format": "int-or-string", "oneOf": kinds}
    plain: Json = _referring(schema, lambda one: {"allOf": [{"$ref": _reference_3(one)}]})
    return plain


def _less(schema: Json, key: str) -> dict[str, Any]:
    return {name: value for name, value in schema.items() if name != key}


def _referring(schema: Any, refer: Any, inside: str = "") -> Any:
    """A schema with references written as a document wants them. `inside` is the key that it is under."""
    if isinstance(schema, list):
        return [_referring(one, refer) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    found = {key: _referring(value, refer, key) for key, value in schema.items()}
    if inside != "properties":
        if inside in {"apiVersion", "kind"}:
            # The library adds what they say in each kind, which Kubernetes' own documents do not.
            found.pop("enum", None)
        if isinstance(found.get("$ref"), str):
            found |= refer(found.pop("$ref"))
    return found
