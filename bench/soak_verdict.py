"""What a soak's events, samples and recorded picks say: who was sent to a backend that had been withdrawn."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from testbed.events import Event
from testbed.lab.recording import Recording
from testbed.proxy.userspace_picks import PROTOCOLS, picks
from testbed.traffic import samples as sample_file
from testbed.traffic.conntrack import read_entries


@dataclass(frozen=True, slots=True)
class Offer:
    """A pod that services may offer."""

    ip: str
    node: str


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """From when until when a node's rules offered a backend of a service to nobody."""

    from_ns: int
    until_ns: int


@dataclass(frozen=True, slots=True)
class Connection:
    """Where a node sent a client: it had not begun before `start_ns`, and its pick is known at `picked_ns`."""

    node: str
    service: str
    backend_ip: str
    start_ns: int
    picked_ns: int


Gone = Mapping[tuple[str, str], Mapping[str, Sequence[Withdrawn]]]
"""(node, service) -> address of a backend -> when it was withdrawn there."""

FOREVER_NS = 2**63 - 1


def withdrawals(events: Iterable[Event], nodes: Sequence[str]) -> Gone:
    """When each node had programmed that a backend is withdrawn, until it began to program its return."""
    events = list(events)
    syncs: dict[str, list[Event]] = {node: [] for node in nodes}
    offers: dict[tuple[str, str], list[tuple[int, bool]]] = defaultdict(list)
    for event in events:
        if event.kind == "sync" and not event.detail["error"]:
            syncs[event.node].append(event)
        elif event.kind in {"endpoint-ready", "endpoint-not-ready"}:
            change = (event.resource_version, event.kind == "endpoint-ready")
            offers[event.object, event.detail["pod_ip"]].append(change)
    gone: dict[tuple[str, str], dict[str, list[Withdrawn]]] = defaultdict(dict)
    for (service, ip), changes in offers.items():
        changes.sort()
        for node in nodes:
            gone[node, service][ip] = list(_on_node(changes, syncs[node]))
    return gone


def _on_node(changes: list[tuple[int, bool]], syncs: list[Event]) -> Iterable[Withdrawn]:
    for index, (version, offered) in enumerate(changes):
        if offered:
            continue
        programmed = _first(syncs, version)
        if programmed is None:
            continue
        again = next((back for back, ready in changes[index + 1 :] if ready), None)
        returned = _first(syncs, again) if again is not None else None
        until_ns = returned.detail["start_ns"] if returned else FOREVER_NS
        if until_ns > programmed.detail["end_ns"]:
            yield Withdrawn(programmed.detail["end_ns"], until_ns)


def _first(syncs: list[Event], version: int) -> Event | None:
    """The sync that first put a version of the store in force."""
    return next((sync for sync in syncs if sync.resource_version >= version), None)


def connections(
    samples: Iterable[tuple[str, Path]],
    recording: Recording,
    services: Mapping[str, str],
    pods: Mapping[str, Offer],
) -> list[Connection]:
    """Every new connection of the loads whose pick was recorded. `samples` with their protocol, `services` by
    `host:port` as dialled.
    """
    tables = [sample_file.read(path).assign(protocol=PROTOCOLS[name]) for name, path in samples]
    joined = with_picks(pd.concat(tables), _picked(recording))
    joined = joined[joined["target"].isin(list(services))]
    # A pick is noted a moment after it was made: by then its port may be another connection's.
    answered = joined["backend"].map({name: pod.ip for name, pod in pods.items()})
    joined = joined[answered.isna() | (answered == joined["backend_ip"])]
    columns = (
        joined[name].tolist() for name in ("node", "target", "backend_ip", "start_ns", "t_ns")
    )
    return [
        Connection(node, services[target], backend_ip, int(start_ns), int(picked_ns))
        for node, target, backend_ip, start_ns, picked_ns in zip(*columns, strict=True)
    ]


def with_picks(dialled: pd.DataFrame, picked: pd.DataFrame) -> pd.DataFrame:
    """Each pick with the sample of its client's port that had begun last."""
    kinds = {
        "start_ns": "int64",
        "src_ip": "object",
        "src_port": "int64",
        "protocol": "int64",
        "target": "object",
        "backend": "object",
    }
    dialled = dialled.loc[dialled["src_port"] > 0, list(kinds)].astype(kinds)
    return pd.merge_asof(
        picked.astype({"src_ip": "object"}).sort_values("t_ns"),
        dialled.sort_values("start_ns"),
        left_on="t_ns",
        right_on="start_ns",
        by=["protocol", "src_ip", "src_port"],
    ).dropna(subset=["target"])


_COLUMNS = ["node", "protocol", "src_ip", "src_port", "backend_ip", "t_ns"]


def _picked(recording: Recording) -> pd.DataFrame:
    """_COLUMNS of every pick: the proxy process's own, where it is one."""
    if recording.picks:
        rows = [
            (node, one.protocol, one.client_ip, one.client_port, one.endpoint_ip, one.t_ns)
            for node, path in recording.picks
            for one in picks(path.read_bytes())
        ]
        return pd.DataFrame(rows, columns=_COLUMNS)
    entries = read_entries(recording.entries)
    # Only the node that rewrote the destination has picked.
    entries = entries[entries["dst_ip"] != entries["reply_src_ip"]]
    return entries.rename(columns={"reply_src_ip": "backend_ip"})[_COLUMNS]


def stray_connections(made: Iterable[Connection], gone: Gone) -> tuple[list[str], int]:
    """What each connection to a withdrawn backend did; and how many began while their service had one."""
    strays, after = [], 0
    for one in made:
        of_service = gone.get((one.node, one.service), {})
        withdrawn = {
            ip
            for ip, spans in of_service.items()
            if any(span.from_ns < one.start_ns and one.picked_ns < span.until_ns for span in spans)
        }
        after += bool(withdrawn)
        if one.backend_ip in withdrawn:
            strays.append(
                f"{one.node} sent a connection of {one.start_ns} ns to {one.backend_ip},"
                f" which {one.service} had withdrawn"
            )
    return strays, after
