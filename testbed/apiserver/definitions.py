"""Kubernetes' own schemas of its objects, as the library kubernetes-validate carries them for each version.

They say of every field its type, its description and how strategic merge patches treat it. They are read when
the first client writes or asks for them: a lab that nobody talks to does not pay for them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from testbed.errors import MissingFeature

Json = Mapping[str, Any]
Gvk = tuple[str, str, str]
"""Group ("" is the core group), version, kind."""

VERSION = "1.36.0"
"""Of Kubernetes: whose schemas are taken."""
_REFERENCE = "#/$defs/"
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_ALWAYS = tuple(_META + name for name in ("DeleteOptions", "Status", "Patch", "WatchEvent"))
"""What no resource refers to and requests and answers are made of."""
_GVK = "x-kubernetes-group-version-kind"


@dataclass(frozen=True, slots=True, eq=False)
class Definitions:
    """Schemas by their names, such as `io.k8s.api.core.v1.ServicePort`; a reference is `{"$ref": name}`.

    What is derived of them is kept for each (`cache`).
    """

    schemas: Mapping[str, Json]
    names: Mapping[Gvk, str]

    def of(self, group: str, version: str, kind: str) -> str | None:
        """The name of a kind's schema; None: there is none."""
        return self.names.get((group, version, kind))

    def resolved(self, schema: Json) -> tuple[str, Json]:
        """A schema and its name, "" for one that is written where it is used."""
        name = schema.get("$ref", "")
        return (name, self.schemas[name]) if name else ("", schema)


def group_version(api_version: str) -> tuple[str, str]:
    """`apps/v1` -> ("apps", "v1"), `v1` -> ("", "v1")."""
    group, _, version = api_version.rpartition("/")
    return group, version


@cache
def load(kinds: frozenset[Gvk]) -> Definitions:
    """The schemas of these kinds and of their lists, and of whatever they refer to."""
    found = _read()
    names = {gvk: name for name, schema in found.items() for gvk in _kinds(schema)}
    wanted = {*kinds, *((group, version, f"{kind}List") for group, version, kind in kinds)}
    roots = [names[gvk] for gvk in sorted(wanted) if gvk in names]
    roots += [name for name in _ALWAYS if name in found]
    schemas = {name: _plain(found[name]) for name in reachable(found, roots)}
    return Definitions(schemas, {gvk: name for gvk, name in names.items() if name in schemas})


def _read() -> Mapping[str, Json]:
    path = _folder() / f"v{VERSION}-local" / "_definitions.json"
    if not path.is_file():
        raise MissingFeature(
            f"kubernetes-validate has no schemas of Kubernetes {VERSION}",
            "pip install 'kubernetes-validate>=1.36'",
        )
    with path.open(encoding="utf-8") as file:
        schemas: Mapping[str, Json] = json.load(file)["$defs"]
    return schemas


def _folder() -> Path:
    """Where the library keeps its schemas; importing it would load a validator that nobody needs here."""
    spec = find_spec("kubernetes_validate")
    if spec is None or not spec.submodule_search_locations:
        raise MissingFeature(
            "Kubernetes' schemas are not installed", "pip install kubernetes-validate"
        )
    return Path(spec.submodule_search_locations[0]) / "kubernetes-json-schema"


def _kinds(schema: Json) -> Iterator[Gvk]:
    for one in schema.get(_GVK, ()):
        yield one["group"], one["version"], one["kind"]


def reachable(schemas: Mapping[str, Json], roots: Iterable[str]) -> list[str]:
    """The names of these schemas and of all that they refer to."""
    found: dict[str, None] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = None
            waiting += _references(schemas[name])
    return sorted(found)


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key == "$ref" and isinstance(inner, str):
                yield inner.removeprefix(_REFERENCE)
            else:
                yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def _plain(value: Any) -> Any:
    """A schema without the `null` that the library admits everywhere, and with bare names as references."""
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if not isinstance(value, Mapping):
        return value
    plain = {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value.get("$ref"), str):
        plain["$ref"] = value["$ref"].removeprefix(_REFERENCE)
    kinds = value.get("type")
    if isinstance(kinds, list):
        (plain["type"],) = (kind for kind in kinds if kind != "null")
    return plain
