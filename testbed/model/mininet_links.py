"""Putting the Mininet Topo that a topology names in place of its links."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from testbed.model.document import Document
from testbed.model.fields import Mistake
from testbed.model.mininet_topo import TopoError, TopoPlan, load_topo
from testbed.model.mininet_underlay import MininetUnderlay
from testbed.spelling import nearest

_MACHINES = ("nodes", "hosts", "routers")


def read_topo(document: Document, directory: Path) -> list[Mistake]:
    """Put `links` in place of the Topo that a document names, and its hosts under `nodes` where there are none.

    Returns what is wrong with it, or with what the document calls its hosts.
    """
    value = document.value
    underlay = value.get("underlay")
    reference = underlay.get("mininet") if isinstance(underlay, Mapping) else None
    if not isinstance(reference, str) or not reference:
        return []  # said when the key is read
    here = ("underlay", "mininet")
    if value.get("links"):
        return [Mistake(("links",), "the links are the Topo's", "leave them out", at_key=True)]
    try:
        plan = load_topo(reference, underlay.get("args") or {}, directory)
    except TopoError as error:
        value.setdefault("nodes", {"unnamed": {}})  # that it has none is no news
        key = error.key if error.key in underlay else "mininet"
        return [Mistake(("underlay", key), error.message, error.hint)]
    at = document.positions.find(here, at_key=False)
    value["links"] = [dict(link) for link in plan.links]
    document.positions.keys["links",] = document.positions.values["links",] = at
    if "nodes" not in value:
        elsewhere = {name for section in _MACHINES for name in value.get(section) or ()}
        value["nodes"] = {name: {} for name in plan.hosts if name not in elsewhere}
        document.positions.keys["nodes",] = document.positions.values["nodes",] = at
    value.setdefault("runtime", "mininet")
    if (
        set(underlay) <= MininetUnderlay.model_fields.keys()
    ):  # else what is wrong is said when it is read
        del value["underlay"]
    return list(_misnamed(value, plan))


def _misnamed(value: Mapping[str, Any], plan: TopoPlan) -> Iterator[Mistake]:
    """Machines that only one of the two has."""
    named = {
        name: section
        for section in _MACHINES
        if isinstance(value.get(section), Mapping)
        for name, spec in value[section].items()
        if not (isinstance(spec, Mapping) and spec.get("fake"))
    }
    for name, section in named.items():
        if name in plan.hosts:
            continue
        if name in plan.switches:
            yield Mistake((section, name), f"{name} is a switch of the Topo", at_key=True)
            continue
        meant = nearest(str(name), plan.hosts)
        hint = f"did you mean {meant}?" if meant else f"it has {_some(plan.hosts)}"
        yield Mistake((section, name), f"the Topo has no host {name}", hint, at_key=True)
    missing = [name for name in plan.hosts if name not in named]
    if missing:
        message = f"the Topo's {_some(missing)} is nothing in the lab"
        hint = "put it under nodes:, hosts: or routers:"
        yield Mistake(("underlay", "mininet"), message, hint)
    for name, kind in plan.special.items():
        if named.get(name) != "routers":
            hint = "what forwards packets belongs under routers:, all others are plain hosts"
            yield Mistake(("underlay", "mininet"), f"the Topo's host {name} is a {kind}", hint)


def _some(names: list[str] | tuple[str, ...], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
