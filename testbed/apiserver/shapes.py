"""What the schemas say of a place in an object: how patches and applies treat its lists and mappings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from testbed.apiserver.definitions import Definitions

Json = Mapping[str, Any]

_DEFAULTED_KEYS = {"protocol": "TCP"}
"""What identifies a list's item and need not be written: its default, which the schemas keep to themselves."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A place in objects of a kind; one that no schema describes has an empty `schema`."""

    definitions: Definitions
    schema: Json

    def field(self, name: str) -> Shape:
        """What is under a key."""
        inner = self.schema.get("properties", {}).get(name)
        if inner is None:
            inner = self.schema.get("additionalProperties")
        return self._inner(inner)

    def item(self) -> Shape:
        """Each item of a list."""
        return self._inner(self.schema.get("items"))

    def _inner(self, schema: Any) -> Shape:
        if not isinstance(schema, Mapping):
            return Shape(self.definitions, {})
        resolved = self.definitions.resolved(schema)[1]
        if resolved is schema:
            return Shape(self.definitions, schema)
        return Shape(self.definitions, {**resolved, **schema})

    def declares(self, name: str) -> bool:
        """Whether the key is one of the schema's, not of a mapping that takes any."""
        return name in self.schema.get("properties", {})

    @property
    def merges(self) -> bool:
        """A strategic merge patch merges this list, and does not replace it."""
        return "merge" in self._strategies

    @property
    def replaces(self) -> bool:
        """A strategic merge patch replaces this mapping, and does not merge it."""
        return "replace" in self._strategies

    @property
    def _strategies(self) -> list[str]:
        strategies: str = self.schema.get("x-kubernetes-patch-strategy", "")
        return strategies.split(",")

    @property
    def merge_key(self) -> str:
        """What tells the items of a merged list apart in a strategic merge patch; "": they are plain."""
        return str(self.schema.get("x-kubernetes-patch-merge-key", ""))

    @property
    def atomic(self) -> bool:
        """Has one owner as a whole: a list that is neither a map nor a set, or a mapping that says so."""
        if "properties" in self.schema or "additionalProperties" in self.schema:
            return bool(self.schema.get("x-kubernetes-map-type") == "atomic")
        if "items" in self.schema:
            return bool(self.schema.get("x-kubernetes-list-type", "atomic") == "atomic")
        return True

    @property
    def is_set(self) -> bool:
        """A list of which each item has owners of its own."""
        return bool(self.schema.get("x-kubernetes-list-type") == "set")

    def keys_of(self, item: Json) -> dict[str, Any]:
        """What tells this item of a list from others in an apply, defaults included."""
        names = self.schema.get("x-kubernetes-list-map-keys", ())
        found = {name: item.get(name, _DEFAULTED_KEYS.get(name)) for name in sorted(names)}
        return {name: value for name, value in found.items() if value is not None}


def shape_of(definitions: Definitions, group: str, version: str, kind: str) -> Shape:
    """Of the whole object; an empty one for a kind that the schemas do not know."""
    name = definitions.of(group, version, kind)
    return Shape(definitions, definitions.schemas[name] if name else {})
