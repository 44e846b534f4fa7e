"""BGP speakers as values, and each one's configuration in BIRD 2's words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from testbed.ip import IPAddress, IPNetwork

CONNECT_DELAY_S, CONNECT_RETRY_S = 1, 3
ERROR_WAIT_S = (5, 60)
"""Calico's, as those of the graceful restart: BIRD's own would keep a new node waiting for minutes."""
SCAN_S = 2
"""Between looks at the kernel's routes and links, as in Calico. The kernel tells of changes at once anyway, but
BIRD 2.0 may leave work of its own undone until something wakes it.
"""


class Reach(StrEnum):
    """Where a peer is."""

    ANYWHERE = "anywhere"
    """Routers may lie between: next hops are looked up among the other routes."""
    LINK = "link"
    """On the same link: the session ends with it."""


@dataclass(frozen=True, slots=True)
class Bfd:
    """A peer is lost that was not heard for `multiplier` times `interval_ms`."""

    interval_ms: int
    multiplier: int


@dataclass(frozen=True, slots=True)
class Timers:
    """What all sessions of a cluster share. Seconds are whole: BGP sends them so."""

    hold_s: int
    keepalive_s: int
    restart_s: int | None
    """How long peers keep the routes of a speaker that restarts; None: no graceful restart."""
    bfd: Bfd | None


@dataclass(frozen=True, slots=True)
class Session:
    """With one peer, for one IP family."""

    peer: str
    """The machine's name."""
    address: IPAddress
    """Of the peer."""
    source: IPAddress
    """Of the speaker."""
    asn: int
    """Of the peer."""
    reach: Reach
    passive: bool = False
    """The peer connects."""
    client: bool = False
    """Routes of other internal peers are reflected to it, and its own to them."""

    @property
    def name(self) -> str:
        """As Calico names it: by whom it is with."""
        kind = "Mesh" if self.reach is Reach.ANYWHERE else "Node"
        return f"{kind}_{str(self.address).replace('.', '_').replace(':', '_')}"


@dataclass(frozen=True, slots=True)
class Speaker:
    """A machine that speaks BGP."""

    name: str
    router_id: str
    asn: int
    ranges: tuple[IPNetwork, ...]
    """Of its pods; a router has none."""
    pools: tuple[IPNetwork, ...]
    """Where all pods are: other routes are neither told nor believed."""
    sessions: tuple[Session, ...]
    transit: bool
    """Passes on what it has learned: routers do, and route reflectors. Nodes are no way."""
    local_asns: int = 0
    """How often its own number may stand in a path that it believes."""
    services: tuple[IPNetwork, ...] | None = None
    """Addresses of load balancers that it tells its peers of; None: it never has any."""
    service_pools: tuple[IPNetwork, ...] = ()
    """Where such addresses are: a router tells and believes these, too; nodes need no routes to them."""


def configuration(speaker: Speaker, timers: Timers) -> str:
    """Text of its bird.conf."""
    return "\n".join(_lines(speaker, timers)) + "\n"


def _lines(speaker: Speaker, timers: Timers) -> Iterator[str]:
    yield f"# {speaker.name}: written by testbed, and again whenever the cluster changes"
    yield 'log "bird.log" all;'
    yield "log stderr { info, trace, warning, error, auth, fatal, bug };"
    yield "timeformat log iso long us;"
    yield f"router id {speaker.router_id};"
    yield "debug protocols { states };"
    yield from _block("protocol device", [f"scan time {SCAN_S};"])
    if timers.bfd is not None:
        each = [f"interval {timers.bfd.interval_ms} ms;", f"multiplier {timers.bfd.multiplier};"]
        yield from _block(
            "protocol bfd",
            [*_block('interface "*"', each, "};"), *_block("multihop", each, "};")],
        )
    everybody = (*speaker.pools, *(session.address for session in speaker.sessions))
    for number in dict.fromkeys(one.version for one in everybody):
        yield from _family(speaker, timers, number)


def _family(speaker: Speaker, timers: Timers, number: int) -> Iterator[str]:
    """All that concerns one IP family."""
    channel = f"ipv{number}"
    own = _of(number, speaker.ranges)
    yield ""
    yield from _to_kernel(speaker, number)
    yield from _to_peers(speaker, number)
    # Pods' routes are learned from the kernel; as link routes they would be known twice.
    yield from _block(f"protocol direct direct{number}", [f"{channel};", 'interface -"pod*", "*";'])
    yield from _block(
        f"protocol kernel kernel{number}",
        [
            "learn;",
            "persist;",
            f"scan time {SCAN_S};",
            *(["graceful restart;"] if timers.restart_s is not None else []),
            "merge paths on;",
            *_block(channel, ["import all;", f"export filter to_kernel{number};"], "};"),
        ],
    )
    if own:
        routes = [f"route {network} blackhole;" for network in own]
        yield from _block(f"protocol static ranges{number}", [f"{channel};", *routes])
    if speaker.services is not None:
        routes = [f"route {network} unreachable;" for network in _of(number, speaker.services)]
        yield from _block(f"protocol static services{number}", [f"{channel};", *routes])
    yield from _template(speaker, timers, number)
    for session in speaker.sessions:
        if session.address.version == number:
            yield from _session(speaker, session)


def _of(number: int, networks: Iterable[IPNetwork]) -> list[IPNetwork]:
    return [network for network in networks if network.version == number]


def _to_kernel(speaker: Speaker, number: int) -> Iterator[str]:
    lines = []
    if speaker.services is not None:
        # Rules take a service's packets before they are routed.
        lines.append(f'if proto = "services{number}" then reject;')
    lines += [
        "if source = RTS_BGP then accept;",
        "if source = RTS_STATIC then accept;  # packets for a pod that is gone end here",
        "reject;",
    ]
    yield from _block(f"filter to_kernel{number}", lines)


def _to_peers(speaker: Speaker, number: int) -> Iterator[str]:
    lines = []
    if speaker.services is not None:
        lines.append(f'if proto = "services{number}" then accept;')
    for network in _of(number, speaker.ranges):
        lines.append(f"if net = {network} then accept;")
        lines.append(f"if net ~ {network} then reject;  # the range stands for its pods")
    if not speaker.transit:
        lines.append("if source = RTS_BGP then reject;")
    # Pods' too: one that has taken its address along from another node's range.
    lines += [f"if net ~ {pool} then accept;" for pool in _told(speaker, number)]
    lines.append("reject;")
    yield from _block(f"filter to_peers{number}", lines)


def _told(speaker: Speaker, number: int) -> list[IPNetwork]:
    """Where whatever it passes on is, and believes."""
    return _of(number, (*speaker.pools, *speaker.service_pools))


def _template(speaker: Speaker, timers: Timers, number: int) -> list[str]:
    """What all sessions of a family have in common."""
    lines = [
        f"connect delay time {CONNECT_DELAY_S};",
        f"connect retry time {CONNECT_RETRY_S};",
        "error wait time {}, {};".format(*ERROR_WAIT_S),
        f"hold time {timers.hold_s};",
        f"keepalive time {timers.keepalive_s};",
    ]
    if timers.restart_s is None:
        lines.append("graceful restart off;")
    else:
        lines += ["graceful restart;", f"graceful restart time {timers.restart_s};"]
    if timers.bfd is not None:
        lines.append("bfd;")
    if speaker.local_asns:
        lines.append(f"allow local as {speaker.local_asns};")
    believed = " || ".join(f"net ~ {pool}" for pool in _told(speaker, number))
    heard = f"import where {believed};" if believed else "import none;"
    lines += _block(f"ipv{number}", [heard, f"export filter to_peers{number};"], "};")
    return _block(f"template bgp session{number}", lines)


def _session(speaker: Speaker, session: Session) -> list[str]:
    number = session.address.version
    lines = [
        f'description "{session.peer}";',
        f"local {session.source} as {speaker.asn};",
        f"neighbor {session.address} as {session.asn};",
        "multihop;" if session.reach is Reach.ANYWHERE else "direct;",
    ]
    if session.passive:
        lines.append("passive;")
    if session.client:
        lines.append("rr client;")
    if session.asn == speaker.asn and not speaker.ranges:
        lines.append(f"ipv{number} {{ next hop self ebgp; }};")
    return _block(f"protocol bgp {session.name} from session{number}", lines)


def _block(head: str, lines: Iterable[str], end: str = "}") -> list[str]:
    return [f"{head} {{", *(f"  {line}" for line in lines), end]


STARTED = "<INFO> Started"
"""What it logs once it takes signals."""
_STATE = re.compile(r"(\S+ [\d:.]+) <TRACE> (\S+): State changed to (\w+)")


@dataclass(frozen=True, slots=True)
class StateChange:
    """A session's, as BIRD logs it. `since_epoch_us` counts as clocks on walls do."""

    since_epoch_us: int
    session: str
    state: str

    @property
    def is_up(self) -> bool:
        """Routes are told and heard."""
        return self.state == "up"


def state_change(line: str) -> StateChange | None:
    """What a line of its log tells of a session; None where it tells something else."""
    found = _STATE.fullmatch(line)
    if found is None:
        return None
    when = datetime.fromisoformat(found[1]).replace(tzinfo=UTC)
    return StateChange((when - _EPOCH) // timedelta(microseconds=1), found[2], found[3])


_EPOCH = datetime.fromtimestamp(0, UTC)
