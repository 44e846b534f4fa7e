"""A glance as lines of text: for whoever pipes them, and for the cells of the terminal view."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from testbed.live.tally import EndpointRow, PortRow
from testbed.live.watcher import Glance, Happened
from testbed.picture.shapes import percent
from testbed.units import pretty_s

_HIDDEN = frozenset({"uid", "pod_ips", "ip_family", "full", "level"})
"""Of an event's details: what tells a person nothing at a glance."""
_SHOWN = 3


def rate(per_s: float) -> str:
    """`12.3/s`, `1234/s`; `-` for none."""
    if not per_s:
        return "-"
    return f"{per_s:.0f}/s" if per_s >= 100 else f"{per_s:.3g}/s"


def share(row: EndpointRow) -> str:
    """`33.3 %`; `-` before anybody was picked."""
    return percent(row.share) if row.connections or row.share else "-"


def short(name: str) -> str:
    """The default namespace goes without saying."""
    return name.removeprefix("default/")


def pod_state(pod: Mapping[str, Any]) -> str:
    """`ready`; `not ready`; `Pending`; `CrashLoopBackOff, 2 restarts`."""
    word = pod["reason"] or ("not ready" if pod["phase"] == "Running" else pod["phase"])
    word = "ready" if pod["ready"] else word
    restarts = pod["restarts"]
    return f"{word}, {restarts} restart{'s' * (restarts != 1)}" if restarts else word


def time_of_day(at_s: float) -> str:
    """`15:04:05.678`, of this machine's time zone."""
    return datetime.fromtimestamp(at_s).strftime("%H:%M:%S.%f")[:-3]


def event_text(event: Happened) -> str:
    """`proxy sync n1 3.2 ms`, `kubelet container-died default/web-1 exit_code=137`."""
    words = (event.source, event.kind, short(event.object), event.node)
    what = " ".join(dict.fromkeys(filter(None, words)))
    if event.kind == "sync":
        taken = pretty_s((event.detail["end_ns"] - event.detail["start_ns"]) / 1e9)
        error = event.detail.get("error")
        return f"{what} {taken}" + (f" {error}" if error else "")
    return " ".join((what, *_told(event.detail)))


def _told(detail: Mapping[str, Any]) -> Iterator[str]:
    plain = [
        f"{key}={value}"
        for key, value in detail.items()
        if key not in _HIDDEN and isinstance(value, str | int | float) and value != ""
    ]
    yield from plain[:_SHOWN]


def glance_lines(glance: Glance, *, first: bool) -> Iterator[str]:
    """What happened and who was picked since the last glance, each line with its time of day."""
    clock = time_of_day(glance.at_s)
    if first:
        ready = sum(pod["ready"] for pod in glance.pods)
        yield (
            f"{clock} lab {glance.name}, kernel {glance.kernel}, proxy {glance.proxy}: "
            f"{len(glance.nodes)} nodes, {ready} of {len(glance.pods)} pods ready"
        )
    for event in glance.events:
        yield f"{time_of_day(event.at_s)} {event_text(event)}"
    for port in glance.ports:
        if port.rate_per_s:
            yield f"{clock} {short(port.name)} {rate(port.rate_per_s)}: {_picked(port)}"


def _picked(port: PortRow) -> str:
    busiest = sorted(port.endpoints, key=lambda row: -row.rate_per_s)[:8]
    return ", ".join(
        f"{row.pod or row.endpoint} {rate(row.rate_per_s)} ({share(row)})" for row in busiest
    )
