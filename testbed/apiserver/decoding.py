"""A client's JSON as the fields of a Kubernetes type: wrong types are refused, unknown fields are dropped.

Source: Go's `encoding/json` and apimachinery's strict decoding, whose messages clients see.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from testbed.apiserver.definitions import Definitions, Json, group_version
from testbed.apiserver.failure import bad_request

Level = Literal["Strict", "Warn", "Ignore"]
"""The query parameter fieldValidation: what becomes of unknown fields, which are dropped in any case."""
LEVELS: tuple[Level, ...] = ("Strict", "Warn", "Ignore")

_QUANTITY = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[numkMGTPE]|[KMGTPE]i|[eE][+-]?\d+)?")
_QUANTITY_RULE = "^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_SPECIAL = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "int-or-string",
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "quantity",
    _META + "Time": "time",
    _META + "MicroTime": "time",
}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_LINE_ENDS = {ord("\r"): None, ord("\n"): None}
"""Go's decoder passes over them in base64."""
_INTEGERS = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}


class _Undecodable(Exception):
    """What Go's decoder says; it stops at the first."""


@dataclass(slots=True)
class _Decoder:
    definitions: Definitions
    unknown: list[str] = field(default_factory=list)
    """Paths of unknown fields."""

    def object(self, value: Json, name: str, path: str, dotted: str) -> dict[str, Any]:
        """The known fields of a value of type `name`; `path` has indices, `dotted`, as Go says it, has none."""
        properties = self.definitions.schemas[name].get("properties", {})
        found = {}
        for key, inner in value.items():
            here = f"{path}.{key}" if path else str(key)
            schema = properties.get(key)
            if schema is None:
                self.unknown.append(here)
            elif inner is not None:
                where = _Where(name, here, f"{dotted}.{key}" if dotted else str(key))
                found[key] = self.value(inner, schema, where)
        return found

    def value(self, value: Any, schema: Json, where: _Where) -> Any:
        name, schema = self.definitions.resolved(schema)
        special = _SPECIAL.get(name)
        if special is not None:
            return _special(value, special, where)
        kind = schema.get("type")
        if kind == "object":
            return self._mapping(value, name, schema, where)
        if kind == "array":
            return self._list(value, schema, where)
        return value if kind is None else _scalar(value, kind, schema.get("format", ""), where)

    def _mapping(self, value: Any, name: str, schema: Json, where: _Where) -> Any:
        if not isinstance(value, Mapping):
            raise where.wrong(value, _go_type(name) if name else "map[string]string")
        if "properties" in schema and name:
            return self.object(value, name, where.path, where.dotted)
        inner = schema.get("additionalProperties")
        if not isinstance(inner, Mapping):
            return value
        return {
            str(key): self.value(one, inner, where.at(f"{where.path}.{key}"))
            for key, one in value.items()
            if one is not None
        }

    def _list(self, value: Any, schema: Json, where: _Where) -> Any:
        item = schema["items"]
        if not isinstance(value, list | tuple):
            raise where.wrong(value, f"[]{_go_type(item.get('$ref', '')) or item.get('type', '')}")
        empty: dict[str, Any] | str = {} if "$ref" in item else ""
        return [
            self.value(empty if one is None else one, item, where.at(f"{where.path}[{index}]"))
            for index, one in enumerate(value)
        ]


@dataclass(frozen=True, slots=True)
class _Where:
    """A field: the type that has it, and its path with and without indices."""

    struct: str
    path: str
    dotted: str

    def at(self, path: str) -> _Where:
        """An item of it."""
        return _Where(self.struct, path, self.dotted)

    def wrong(self, value: Any, wanted: str) -> _Undecodable:
        field = f"{self.struct.rpartition('.')[2]}.{self.dotted}"
        return _Undecodable(
            f"json: cannot unmarshal {_json_kind(value, wanted)} into Go struct field {field} "
            f"of type {wanted}"
        )


def _special(value: Any, kind: str, where: _Where) -> Any:
    if kind == "int-or-string":
        if isinstance(value, str):
            return value
        return _scalar(value, "integer", "int32", where)
    if kind == "quantity":
        text = str(value) if isinstance(value, int | float) and not _is_bool(value) else value
        if not isinstance(text, str) or not _QUANTITY.fullmatch(text):
            raise _Undecodable(f"quantities must match the regular expression '{_QUANTITY_RULE}'")
        return text
    return _scalar(value, "string", "date-time", where)


def _scalar(value: Any, kind: str, form: str, where: _Where) -> Any:
    if kind == "boolean":
        if not _is_bool(value):
            raise where.wrong(value, "bool")
    elif kind == "integer":
        low, high = _INTEGERS.get(form, _INTEGERS["int64"])
        if _is_bool(value) or not isinstance(value, int) or not low <= value <= high:
            raise where.wrong(value, form or "int64")
    elif kind == "number":
        if _is_bool(value) or not isinstance(value, int | float):
            raise where.wrong(value, "float64")
    elif not isinstance(value, str):
        raise where.wrong(value, "[]uint8" if form == "byte" else "string")
    elif form:
        _text(value, form)
    return value


def _text(value: str, form: str) -> None:
    if form == "byte":
        try:
            b64decode(value.translate(_LINE_ENDS), validate=True)
        except (binascii.Error, ValueError):
            raise _Undecodable(f"illegal base64 data at input byte {_first_wrong(value)}") from None
    elif form == "date-time" and not _is_time(value):
        layout = "2006-01-02T15:04:05Z07:00"
        raise _Undecodable(
            f'parsing time "{value}" as "{layout}": cannot parse "{value}" as "2006"'
        )


def _is_time(text: str) -> bool:
    """Of RFC 3339, which is a part of what Python takes."""
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return _TIME.fullmatch(text) is not None


def _first_wrong(text: str) -> int:
    wrong = re.search(r"[^A-Za-z0-9+/\r\n]", text.rstrip("="))
    return wrong.start() if wrong else len(text)


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def _go_type(name: str) -> str:
    """`io.k8s.api.core.v1.ServiceSpec` -> `v1.ServiceSpec`."""
    return ".".join(name.split(".")[-2:])


def _json_kind(value: Any, wanted: str) -> str:
    if _is_bool(value):
        return "bool"
    if isinstance(value, str):
        return "string"
    if isinstance(value, int | float):
        is_number = wanted.startswith(("int", "float"))
        return f"number {value}" if is_number else "number"
    return "object" if isinstance(value, Mapping) else "array"


def decoded(
    manifest: Json, name: str, definitions: Definitions, level: Level = "Warn"
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The manifest without what the type `name` has no field for, and warnings. Raises ApiFailure (400) where a
    value is of the wrong type and, if Strict, where a field is unknown.
    """
    decoder = _Decoder(definitions)
    try:
        body = decoder.object(manifest, name, "", "")
    except _Undecodable as error:
        raise bad_request(_sentence(manifest, name, str(error))) from None
    unknown = tuple(f'unknown field "{path}"' for path in decoder.unknown)
    if unknown and level == "Strict":
        message = f"strict decoding error: {', '.join(unknown)}"
        raise bad_request(_sentence(manifest, name, message))
    return body, unknown if level == "Warn" else ()


def _sentence(manifest: Json, name: str, message: str) -> str:
    kind, version = name.rpartition(".")[2], group_version(str(manifest.get("apiVersion", "v1")))[1]
    return f'{kind} in version "{version}" cannot be handled as a {kind}: {message}'
