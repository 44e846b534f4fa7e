"""The edge matrix: who gets in by which door, whom the pod sees, by whose hands the reply comes back.

What is promised is a pure function of the row and the lab's setting. Sources: kubernetes.io, "Using Source IP"
and "Virtual IPs and Service Proxies"; KEP-1860 (ipMode); for who is inside the cluster, kube-proxy's chains.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Door = Literal["NodePort", "LoadBalancer"]
Kind = Literal["outside", "node", "pod"]
Source = Literal["client", "entry", "balancer"]
OUTSIDE = "client"
BALANCER = "balancer"
BESIDE, APART = "n1", "n3"
"""A node with an endpoint of its own, and one without."""
NODES = ("n1", "n2", "n3")
BACKENDS = {"web-n1-0": "n1", "web-n2-0": "n2"}
"""Pod -> its node."""
FIRST_TTL = 64
PROXIED = ("haproxy",)
"""Providers that end connections: what they pass on is their own."""


@dataclass(frozen=True, slots=True)
class Row:
    """Who dials what. `at`: the node that a pod is on, or the client itself; "" of an outside client."""

    door: Door
    policy: Literal["Cluster", "Local"]
    client: Kind
    at: str = ""
    to: str = ""
    """The node whose port is dialled; "" at a load balancer's address."""

    @property
    def name(self) -> str:
        """As people read it."""
        who = {"outside": "outside client", "node": self.at, "pod": f"pod on {self.at}"}[
            self.client
        ]
        where = f"{self.to}'s port" if self.to else "the address"
        return f"{self.door} {self.policy}: {who} to {where}"

    @property
    def caller(self) -> str:
        """The place that dials."""
        return {"outside": OUTSIDE, "node": self.at, "pod": f"caller-{self.at}-0"}[self.client]

    @property
    def service(self) -> str:
        """The service that is dialled: of each policy there is one."""
        return self.policy.lower()


def _rows() -> tuple[Row, ...]:
    found: list[Row] = []
    for policy in ("Cluster", "Local"):
        for to in (BESIDE, APART):
            found += [
                Row("NodePort", policy, "outside", "", to),
                Row("NodePort", policy, "node", to, to),
                Row("NodePort", policy, "node", APART if to == BESIDE else BESIDE, to),
                Row("NodePort", policy, "pod", to, to),
            ]
        found.append(Row("LoadBalancer", policy, "outside"))
        found += [
            Row("LoadBalancer", policy, kind, at)
            for kind in ("node", "pod")
            for at in (BESIDE, APART)
        ]
    return tuple(found)


ROWS = _rows()


@dataclass(frozen=True, slots=True)
class Setting:
    """`provider`: l2, bgp, or the program of a cloud's balancer. `routers`: how many a reply passes between the
    nodes' segment and the outside client's.
    """

    mode: str
    provider: str
    routers: int = 0

    @property
    def userspace(self) -> bool:
        """Whether a process on the node dials for its clients."""
        return self.mode.startswith("userspace")


@dataclass(frozen=True, slots=True)
class Promise:
    """What every attempt of a row gets."""

    pods: Literal["all", "entry", "none"]
    """All endpoints take turns, or those of the node that the packet enters the cluster by."""
    source: Source = "client"
    """Whose address the pod sees."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One connection: who answered ("": nobody), whom it saw, who handed the reply over, routed how often."""

    who: str
    seen: str = ""
    handed: str = ""
    hops: int = 0
    error: str = ""


def promise(row: Row, setting: Setting) -> Promise:
    """What Kubernetes promises of a row."""
    source: Source = "entry" if setting.userspace else "client"
    if row.door == "LoadBalancer" and setting.provider in PROXIED:
        # It dials node ports, and only those of nodes with endpoints where the policy is Local.
        local = row.policy == "Local"
        return Promise("entry" if local else "all", _proxied_source(setting, local=local))
    inside = row.client == "pod" or (row.client == "node" and row.at == (row.to or row.at))
    if row.policy == "Cluster":
        return Promise("all", "entry")
    if inside:  # whoever is in the cluster is not bound by the external policy
        return Promise("all", "entry" if row.client == "node" else source)
    if row.to == APART:
        return Promise("none")
    return Promise("entry", source)


def _proxied_source(setting: Setting, *, local: bool) -> Source:
    return "balancer" if local and not setting.userspace else "entry"


def wrong(row: Row, attempts: tuple[Attempt, ...], own: str, setting: Setting) -> str:
    """What is wrong with a row's attempts; "": nothing. `own`: the caller's name, as pods see it."""
    promised = promise(row, setting)
    for one in attempts:
        if promised.pods == "none":
            if one.who:
                return f"{one.who} answered, where nobody should"
        elif not one.who:
            return f"no answer: {one.error}"
        elif trouble := _trouble(row, promised, one, own, setting):
            return trouble
    answered = {one.who for one in attempts}
    if promised.pods == "entry" and row.to and answered != _on(row.to):
        return f"{', '.join(sorted(answered))} answered, not those on {row.to}"
    return ""


def _trouble(row: Row, promised: Promise, one: Attempt, own: str, setting: Setting) -> str:
    if one.who not in BACKENDS:
        return f"{one.who} answered, which is no endpoint"
    home = BACKENDS[one.who]
    entries = _entries(row, promised, home, setting)
    seen = {"client": {own}, "balancer": {BALANCER}, "entry": entries}[promised.source]
    if one.seen not in seen:
        return f"{one.who} saw {one.seen}, not {' or '.join(sorted(seen))}"
    if row.client != "outside":
        return ""
    entry = one.seen if promised.source == "entry" else home
    return _way_back(row, one, entry, home, setting)


def _entries(row: Row, promised: Promise, home: str, setting: Setting) -> set[str]:
    """The nodes whose rules may have met the packet first."""
    if row.to:
        return {row.to}
    proxied = setting.provider in PROXIED
    if row.at and not proxied:
        return {row.at}
    return {home} if promised.pods == "entry" else set(NODES)


def _way_back(row: Row, one: Attempt, entry: str, home: str, setting: Setting) -> str:
    """What is wrong with the reply's way: it leaves the cluster where the request came in, from its address."""
    hops = 0 if setting.userspace else 1 + (entry != home)
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


def _on(node: str) -> set[str]:
    return {pod for pod, home in BACKENDS.items() if home == node}


def attempts_of(
    found: list[dict[str, object]], ips: Mapping[str, str], macs: Mapping[str, str]
) -> tuple[Attempt, ...]:
    """What `claims.way_probe` printed of one target, with names for addresses."""
    return tuple(
        Attempt(
            str(one["who"]),
            ips.get(str(one["seen"]), str(one["seen"])),
            macs.get(str(one["mac"]), str(one["mac"])),
            FIRST_TTL - int(str(one["ttl"])) if one["ttl"] else 0,
            str(one["error"]),
        )
        for one in found
    )
