"""What passes between a runtime and a CNI plug-in, as values. Pure.

Source: the CNI specification 1.1.0, sections 2 (execution protocol), 3 and 5 (result types); results as old as
0.1.0 are read, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_interface
from typing import Any

from testbed.errors import TestbedError
from testbed.ip import IPInterface
from testbed.model.conflist import Plugin, at_least

Json = Mapping[str, Any]
ADD, DEL, CHECK, VERSION, GC, STATUS = "ADD", "DEL", "CHECK", "VERSION", "GC", "STATUS"
VALID_ATTACHMENTS = ("cni.dev/valid-attachments", "cni.dev/attachments")
"""The key of GC, and what the text of 1.1.0 says in one place: as libcni does, both are sent."""

INCOMPATIBLE, UNSUPPORTED_FIELD, UNKNOWN_CONTAINER, BAD_ENVIRONMENT = 1, 2, 3, 4
IO_FAILURE, NOT_DECODED, BAD_CONFIG, TRY_AGAIN, NOT_AVAILABLE = 5, 6, 7, 11, 50
"""Well-known error codes."""


class PluginFailed(TestbedError):
    """A plug-in said no, in its own words; `code` is CNI's (None: it said nothing that is JSON)."""

    def __init__(self, plugin: str, command: str, said: Json) -> None:
        self.plugin, self.command = plugin, command
        code = said.get("code")
        self.code: int | None = code if isinstance(code, int) else None
        text = "; ".join(str(said[key]) for key in ("msg", "details") if said.get(key))
        super().__init__(f'plugin type="{plugin}" failed ({command.lower()}): {text}')


@dataclass(frozen=True, slots=True)
class Container:
    """What is attached: the sandbox of a pod."""

    id: str
    netns: str
    """Path of its network namespace; "" where that is gone."""
    interface: str
    args: tuple[tuple[str, str], ...] = ()
    """CNI_ARGS."""
    capabilities: Json = field(default_factory=dict)
    """By the name of a capability, what a plug-in that has it is told."""


def environment(command: str, path: str, container: Container | None = None) -> dict[str, str]:
    """The CNI_… variables of a call; `container` is that of ADD, DEL and CHECK."""
    variables = {"CNI_COMMAND": command, "CNI_PATH": path}
    if container is None:
        return variables
    return variables | {
        "CNI_CONTAINERID": container.id,
        "CNI_NETNS": container.netns,
        "CNI_IFNAME": container.interface,
        "CNI_ARGS": ";".join(f"{key}={value}" for key, value in container.args),
    }


@dataclass(frozen=True, slots=True)
class Network:
    """What all configurations of a list share."""

    name: str
    version: str


def configuration(
    plugin: Plugin, network: Network, container: Container | None = None, **further: Any
) -> dict[str, Any]:
    """A plug-in's standard input: its configuration as written, but for what the runtime fills in.

    `further`: prevResult, and what GC is told.
    """
    told = {**plugin, "cniVersion": network.version, "name": network.name}
    wanted = told.pop("capabilities", None) or {}
    offered = dict(container.capabilities) if container is not None else {}
    asked = {name: offered[name] for name, on in wanted.items() if on and name in offered}
    if asked:
        told["runtimeConfig"] = asked
    return told | {key: value for key, value in further.items() if value is not None}


def common_version(
    listed: Iterable[str], supported: Mapping[str, tuple[str, ...]]
) -> tuple[str, str]:
    """(the newest of the list's versions that every plug-in knows, ""); else ("", why there is none)."""
    versions = tuple(listed)
    why = ""
    for version in versions:
        missing = [plugin for plugin, known in supported.items() if version not in known]
        if not missing:
            return version, ""
        why = f"{missing[0]} does not speak CNI {version}, only {', '.join(supported[missing[0]])}"
    return "", why


@dataclass(frozen=True, slots=True)
class Attached:
    """What a result says of a container."""

    addresses: tuple[IPInterface, ...]
    """Of its interface, in the plug-in's order."""
    node_interface: str
    """The node's end; "" where the result names none."""


def attached(result: Json, version: str, interface: str) -> Attached:
    """Read a result of ADD. Raises ValueError for what is none."""
    if not at_least(version, "0.3.0"):
        families = (result.get(key) for key in ("ip4", "ip6"))
        return Attached(tuple(ip_interface(one["ip"]) for one in families if one), "")
    interfaces = result.get("interfaces") or []
    inside = {
        index
        for index, one in enumerate(interfaces)
        if one.get("sandbox") and one.get("name") == interface
    }
    addresses = tuple(
        ip_interface(one["address"])
        for one in result.get("ips") or []
        if one.get("interface") is None or one["interface"] in inside
    )
    # A bridge is named before the port that was added to it.
    outside = [str(one.get("name", "")) for one in interfaces if not one.get("sandbox")]
    return Attached(addresses, outside[-1] if outside else "")
