"""Whether a document has the shape of a containerlab file; what one says of its nodes, and where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from testbed.model.clab_nodes import ROLE_LABEL, ROLES
from testbed.model.fields import Mistake, Path, kind_of

Json = Mapping[str, Any]
_SHAPES: tuple[tuple[str, type, str], ...] = (
    ("labels", dict, "a mapping"),
    ("sysctls", dict, "a mapping"),
    ("exec", list, "a list"),
)


def is_clab(value: Any) -> bool:
    """Whether a document looks like containerlab's, and not like a Kubernetes object."""
    return isinstance(value, Mapping) and "kind" not in value and "topology" in value


def malformed(value: Json) -> Iterator[Mistake]:
    """Where the file has not the shape of a containerlab file."""
    topology = value.get("topology")
    if not isinstance(topology, Mapping):
        yield Mistake(("topology",), f"must be a mapping, not {kind_of(topology)}")
        return
    if not isinstance(topology.get("nodes"), Mapping) or not topology["nodes"]:
        yield Mistake(("topology", "nodes"), "a lab has nodes", "as in nodes: {n1: {kind: linux}}")
    if not isinstance(topology.get("links") or [], list):
        yield Mistake(("topology", "links"), "must be a list")
    for path, definition in definitions(topology):
        if definition is None:
            continue
        if not isinstance(definition, Mapping):
            yield Mistake(path, f"must be a mapping, not {kind_of(definition)}")
            continue
        for key, kind, word in _SHAPES:
            if not isinstance(definition.get(key) or kind(), kind):
                yield Mistake((*path, key), f"must be {word}, not {kind_of(definition[key])}")
        labels = definition.get("labels")
        role = labels.get(ROLE_LABEL) if isinstance(labels, Mapping) else None
        if role is not None and role not in ROLES:
            hint = f"one of {', '.join(ROLES)}"
            yield Mistake((*path, "labels", ROLE_LABEL), f"{role!r} is no role", hint)


def definitions(topology: Json) -> Iterator[tuple[Path, Any]]:
    """Everything that says what nodes are, and where."""
    if "defaults" in topology:
        yield ("topology", "defaults"), topology["defaults"]
    for section in ("kinds", "groups", "nodes"):
        entries = topology.get(section)
        for name, definition in entries.items() if isinstance(entries, Mapping) else ():
            yield ("topology", section, name), definition
