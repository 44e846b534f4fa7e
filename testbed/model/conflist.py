"""A CNI network configuration list as a value, and what is wrong with one.

Source: the CNI specification 1.1.0, section 1 (configuration format); earlier versions where they differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from testbed.model.fields import Fields, Mistake, Path, kind_of
from testbed.spelling import nearest

VERSIONS = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
"""Of the specification, the oldest first: all that have been."""
_KEYS = (
    *("cniVersion", "cniVersions", "name", "plugins"),
    *("disableCheck", "disableGC", "loadOnlyInlinedPlugins"),
)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]*")
_TYPE = re.compile(r"[^/\s\0]+")
_RANGED = frozenset({"host-local", "testbed-local"})
"""IPAM plug-ins whose configuration says which addresses they give out."""

Plugin = Mapping[str, Any]
"""A plug-in's configuration, as it is written."""


@dataclass(frozen=True, slots=True)
class NetworkList:
    """What a runtime goes by."""

    name: str
    versions: tuple[str, ...]
    """Of the specification that it may be used with, the newest first."""
    plugins: tuple[Plugin, ...]
    """In the order of ADD."""
    disable_check: bool = False
    disable_gc: bool = False


def at_least(version: str, least: str) -> bool:
    """Whether a known version is not older than another one."""
    return VERSIONS.index(version) >= VERSIONS.index(least)


def network_list(value: Mapping[str, Any]) -> NetworkList:
    """The list that is written; raises ValueError with the first mistake."""
    mistakes: list[Mistake] = []
    found = _read(value, mistakes)
    if mistakes:
        raise ValueError(str(mistakes[0]))
    return found


def mistakes_of(value: Mapping[str, Any]) -> list[Mistake]:
    """What a runtime could not work with; paths begin at the list."""
    mistakes: list[Mistake] = []
    _read(value, mistakes)
    return mistakes


def types_of(plugins: Sequence[Plugin]) -> tuple[str, ...]:
    """The executables that a list's plug-ins are, each once, with those that they delegate to."""
    named = (
        str(kind)
        for plugin in plugins
        for kind in (plugin.get("type"), (plugin.get("ipam") or {}).get("type"))
        if kind
    )
    return tuple(dict.fromkeys(named))


def same_everywhere(plugins: Sequence[Plugin]) -> Iterator[tuple[Path, str]]:
    """(path, subnet) of each range of addresses that every node would give out."""
    for index, plugin in enumerate(plugins):
        ipam = plugin.get("ipam")
        if not isinstance(ipam, dict) or ipam.get("type") not in _RANGED:
            continue
        for path, subnet in _subnets(ipam):
            if isinstance(subnet, str) and "{{" not in subnet:
                yield ("plugins", index, "ipam", *path), subnet


def _subnets(ipam: Mapping[str, Any]) -> Iterator[tuple[Path, Any]]:
    yield ("subnet",), ipam.get("subnet")
    ranges = ipam.get("ranges")
    for outer, one in enumerate(ranges if isinstance(ranges, list) else ()):
        for inner, part in enumerate(one if isinstance(one, list) else ()):
            if isinstance(part, dict):
                yield ("ranges", outer, inner, "subnet"), part.get("subnet")


def _read(value: Mapping[str, Any], mistakes: list[Mistake]) -> NetworkList:
    fields = Fields(value, (), mistakes, open=True)
    versions = _versions(fields)
    value = _as_list(fields, versions)
    fields = Fields(value, (), mistakes, open=True)
    for key in value:
        if key not in _KEYS and (meant := nearest(str(key), _KEYS)):
            unknown = f"unknown key {str(key)[:60]!r}"
            fields.wrong(str(key), unknown, f"did you mean {meant}?", at_key=True)
    name = fields.text("name", required=True)
    if name and not _NAME.fullmatch(name):
        hint = "letters and digits, then also _, . and -"
        fields.wrong("name", f"{name[:60]!r} is no name of a network", hint)
    plugins = tuple(_plugins(fields))
    if len(plugins) > 1 and versions and not at_least(versions[0], "0.3.0"):
        message = "plug-ins hear of the result of the one before them from 0.3.0 on"
        fields.wrong("cniVersion", message, "use 1.0.0")
    return NetworkList(
        name, versions, plugins, _flag(fields, "disableCheck"), _flag(fields, "disableGC")
    )


def _as_list(fields: Fields, versions: tuple[str, ...]) -> Mapping[str, Any]:
    """What is written; one plug-in alone, as it could be before 1.0.0, as a list of one."""
    value = fields.values
    if "type" not in value or "plugins" in value:
        return value
    if versions and at_least(versions[0], "1.0.0"):
        fields.wrong(
            "type", "one plug-in's configuration is no list", "put it under plugins: [ … ]"
        )
    own = {key: value[key] for key in ("cniVersion", "name") if key in value}
    return {**own, "plugins": [dict(value)]}


def _versions(fields: Fields) -> tuple[str, ...]:
    written = [fields.text("cniVersion", required=not fields.has("cniVersions"))]
    written += fields.texts("cniVersions")
    for version in filter(None, written):
        if version not in VERSIONS:
            key = "cniVersion" if version == written[0] else "cniVersions"
            hint = f"there are {', '.join(VERSIONS)}"
            fields.wrong(key, f"{version[:20]!r} is no version of the CNI specification", hint)
    known = {version for version in written if version in VERSIONS}
    return tuple(sorted(known, key=VERSIONS.index, reverse=True))


def _plugins(fields: Fields) -> Iterator[Plugin]:
    written = fields.children("plugins")
    if not written and not any(mistake.path == ("plugins",) for mistake in fields.mistakes):
        fields.wrong("plugins" if fields.has("plugins") else None, "a list needs plugins")
    for plugin in written:
        kind = plugin.text("type", required=True)
        if kind and not _TYPE.fullmatch(kind):
            plugin.wrong("type", f"{kind[:60]!r} is no name of an executable", "no folders")
        capabilities = plugin.child("capabilities")
        for key in capabilities.values:
            capabilities.boolean(key)
        ipam = plugin.child("ipam")
        if ipam.values:
            ipam.text("type", required=True)
        yield plugin.values


def _flag(fields: Fields, key: str) -> bool:
    """A boolean; older lists have it as a text."""
    value = fields.values.get(key)
    if isinstance(value, str) and value in ("true", "false"):
        return value == "true"
    if value is not None and not isinstance(value, bool):
        fields.wrong(key, f"must be true or false, not {kind_of(value)}")
    return value is True
