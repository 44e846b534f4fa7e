"""Nodes of a containerlab file: what each inherits, and what part each could have in a lab.

A node's own key comes before its group's, that before its kind's, that before `defaults`; labels and sysctls
are merged in the same order, and `exec` lines are added up (containerlab's manual, "Nodes", "Groups", "Kinds").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

Json = Mapping[str, Any]
Role = Literal["node", "host", "router", "switch", "none"]
ROLES: tuple[Role, ...] = ("node", "host", "router", "switch", "none")
ROLE_LABEL, ZONE_LABEL, ASN_LABEL = "testbed.role", "testbed.zone", "testbed.asn"
OUR_LABELS = (ROLE_LABEL, ZONE_LABEL, ASN_LABEL)

_SWITCHES = frozenset({"bridge", "ovs-bridge"})
_LINUX = frozenset({"linux", "ext-container"})
_NO_MACHINE = {
    "host": "is the machine that runs containerlab",
    "k8s-kind": "makes a kind cluster; its machines are the ext-container nodes",
}
_ROUTING_SUITES = ("frr", "bird", "quagga", "gobgp", "vyos", "exabgp", "openbgpd", "holo")
_FORWARDS = re.compile(r"ip_forward\s*=?\s*1|ipv6[./]conf[./]all[./]forwarding\s*=?\s*1")


@dataclass(frozen=True, slots=True)
class ClabNode:
    """A node with all that it inherits."""

    name: str
    kind: str
    image: str
    labels: Mapping[str, str]
    sysctls: Mapping[str, str]
    commands: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """The part that a node takes, and why where that needs saying."""

    role: Role
    why: str = ""


def node_of(name: str, topology: Json) -> ClabNode:
    """A node of `topology`, the mapping of that name in a containerlab file that has been checked."""
    own, defaults = _mapping(topology["nodes"][name]), _mapping(topology.get("defaults"))
    kinds, groups = _mapping(topology.get("kinds")), _mapping(topology.get("groups"))
    kind = _first(
        own.get("kind"),
        _mapping(groups.get(str(own.get("group")))).get("kind"),
        _mapping(groups.get(str(defaults.get("group")))).get("kind"),
        defaults.get("kind"),
    )
    group = _first(own.get("group"), _mapping(kinds.get(kind)).get("group"), defaults.get("group"))
    layers = (defaults, _mapping(kinds.get(kind)), _mapping(groups.get(group)), own)
    return ClabNode(
        name,
        kind,
        _first(*(layer.get("image") for layer in reversed(layers))),
        _merged("labels", layers),
        _merged("sysctls", layers),
        tuple(str(line) for layer in layers for line in layer.get("exec") or ()),
    )


def part_of(node: ClabNode, overrides: tuple[tuple[str, Role], ...] = ()) -> Part:
    """What a node is in the lab: by `overrides` (pattern of its name, role; the last one that fits), else by
    its label, else by its kind and by what it runs.
    """
    for pattern, role in reversed(overrides):
        if fnmatchcase(node.name, pattern):
            return Part(role)
    labelled = node.labels.get(ROLE_LABEL)
    if labelled in ROLES:
        return Part(labelled)
    if node.kind in _SWITCHES:
        return Part("switch")
    if node.kind in _NO_MACHINE:
        return Part("none", f"kind {node.kind} {_NO_MACHINE[node.kind]}: left out")
    if node.kind in _LINUX:
        return Part("router" if _forwards(node) else "node")
    kind = f"kind {node.kind}" if node.kind else "a node without a kind"
    return Part("router", f"{kind} is taken as a plain Linux router: its own software is not run")


def _forwards(node: ClabNode) -> bool:
    """Whether a Linux node is a router: it says so, or it runs a routing suite."""
    image = node.image.rpartition("/")[2].partition(":")[0].lower()
    suite = any(word in _ROUTING_SUITES for word in re.split(r"[^a-z]+", image))
    said = (*(f"{key}={value}" for key, value in node.sysctls.items()), *node.commands)
    return suite or any(_FORWARDS.search(line) for line in said)


def _first(*values: Any) -> str:
    return next((str(value) for value in values if value), "")


def _merged(key: str, layers: tuple[Json, ...]) -> dict[str, str]:
    return {
        str(name): str(value)
        for layer in layers
        for name, value in _mapping(layer.get(key)).items()
    }


def _mapping(value: Any) -> Json:
    return value if isinstance(value, Mapping) else {}
