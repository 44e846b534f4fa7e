"""The edge matrix: who gets in by which door, whom the endpoint sees, by whose hands the reply comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from testbed.edge.doors import ADDRESS, BACKENDS, BALANCER, NODES, Row
from testbed.edge.promises import PROXIED, Promise, Setting, promise

FIRST_TTL = 64


@dataclass(frozen=True, slots=True)
class Attempt:
    """One connection: who took it ("": nobody), whom it saw, who handed the reply over, routed how often."""

    who: str
    seen: str = ""
    handed: str = ""
    hops: int = 0
    error: str = ""
    behind: str = ""
    """The pod that an ingress controller passed the request to."""


def wrong(row: Row, attempts: tuple[Attempt, ...], own: str, setting: Setting) -> str:
    """What is wrong with a row's attempts; "": nothing. `own`: the caller's name, as pods see it."""
    promised = promise(row, setting)
    for one in attempts:
        if promised.ends == "none":
            if one.who:
                return f"{one.who} answered, where nobody should"
        elif not one.who:
            return f"no answer: {one.error}"
        elif trouble := _trouble(row, promised, one, own, setting):
            return trouble
    answered = {one.who for one in attempts}
    entry = _entry(row, setting)
    if promised.ends == "entry" and entry and not answered <= _on(entry, row):
        return f"{', '.join(sorted(answered))} answered, not those on {entry}"
    return ""


def keeps(row: Row, setting: Setting) -> bool:
    """Whether the endpoint is promised to see the caller's own address."""
    source = promise(row, setting).source
    return source == "client" or (source == "entry" and _entry(row, setting) == row.caller)


def _trouble(row: Row, promised: Promise, one: Attempt, own: str, setting: Setting) -> str:
    if one.who not in row.ends:
        return f"{one.who} answered, which is no endpoint"
    if row.ingress and one.behind not in BACKENDS:
        return f"{one.who} passed it to {one.behind or 'nobody'}, which is no endpoint"
    home = row.ends[one.who]
    entries = _entries(row, promised, home, setting)
    seen = {
        "client": {own},
        "balancer": {BALANCER},
        "address": {ADDRESS},
        "entry": entries,
    }[promised.source]
    if one.seen not in seen:
        return f"{one.who} saw {one.seen}, not {' or '.join(sorted(seen))}"
    if row.client != "outside":
        return ""
    entry = one.seen if promised.source == "entry" else home
    return _way_back(row, one, entry, home, setting)


def _entries(row: Row, promised: Promise, home: str, setting: Setting) -> set[str]:
    """The nodes whose rules may have met the packet first."""
    if entry := _entry(row, setting):
        return {entry}
    return {home} if promised.ends == "entry" else set(NODES)


def _entry(row: Row, setting: Setting) -> str:
    """The one node whose rules meet the packet first; "": whichever the way in leads to."""
    return row.to or ("" if setting.provider in PROXIED else row.at)


def _way_back(row: Row, one: Attempt, entry: str, home: str, setting: Setting) -> str:
    """What is wrong with the reply's way: it leaves the cluster where the request came in, from its address."""
    own = setting.userspace or row.door == "hostNetwork"  # it is the node itself that answers
    hops = 0 if own else 1 + (entry != home)
    handed = entry
    if row.door == "LoadBalancer" and setting.provider in PROXIED:
        handed, hops = BALANCER, 0
    if setting.routers:
        handed, hops = "router", hops + setting.routers
    if one.handed != handed:
        return f"the reply came by {one.handed or 'nobody'}, not {handed}"
    if one.hops != hops:
        return f"the reply was routed {one.hops} times, not {hops}"
    return ""


def _on(node: str, row: Row) -> set[str]:
    return {end for end, home in row.ends.items() if home == node}


def attempts_of(
    found: list[dict[str, object]], ips: Mapping[str, str], macs: Mapping[str, str]
) -> tuple[Attempt, ...]:
    """What `claims.way_probe` printed of one target, with names for addresses."""
    return tuple(
        Attempt(
            ips.get(str(one["who"]), str(one["who"])),
            ips.get(str(one["seen"]), str(one["seen"])),
            macs.get(str(one["mac"]), str(one["mac"])),
            FIRST_TTL - int(str(one["ttl"])) if one["ttl"] else 0,
            str(one["error"]),
            str(one["behind"]),
        )
        for one in found
    )
