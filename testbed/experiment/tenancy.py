"""Addresses that several pods had in turn (`network.stickyIPs`): whose one was at the time. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed.events import Event

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Tenant:
    """A pod that had an address from `from_ns` on."""

    pod: str
    uid: str
    from_ns: int


def tenants(events: Sequence[Event]) -> dict[str, tuple[Tenant, ...]]:
    """Of each address that more than one pod had, its pods in their order.

    A pod has its address from the end of the one before it: its removal, or its node's loss of power;
    where neither was seen, from when it was ready.
    """
    found: dict[str, list[Tenant]] = {}
    for event in sorted(events, key=lambda event: event.t_ns):
        if (event.source, event.kind) != ("store", "pod-ready"):
            continue
        pod, uid = event.object.rpartition("/")[2], str(event.detail.get("uid", ""))
        for ip in event.detail.get("pod_ips", ()):
            before = found.setdefault(str(ip), [])
            if before and before[-1].uid == uid:
                continue
            since = _end_of(before[-1], event.t_ns, events) if before else 0
            before.append(Tenant(pod, uid, since))
    return {ip: tuple(several) for ip, several in found.items() if len(several) > 1}


def _end_of(tenant: Tenant, latest_ns: int, events: Sequence[Event]) -> int:
    ends = [
        event.t_ns
        for event in events
        if tenant.from_ns < event.t_ns <= latest_ns and _ends(event, tenant)
    ]
    return max(ends, default=latest_ns)


def _ends(event: Event, tenant: Tenant) -> bool:
    if event.kind == "pod-removed":
        return event.object.rpartition("/")[2] == tenant.pod
    return any(one.get("uid") == tenant.uid for one in event.detail.get("pods", ()))


def told_apart(
    entries: pd.DataFrame, of_address: Mapping[str, Sequence[Tenant]]
) -> tuple[pd.DataFrame, dict[str, str]]:
    """The kernel's entries with `ip@uid` in `reply_src_ip` where several pods had the address in turn, and
    the pod's name behind each such text.
    """
    names = {f"{ip}@{one.uid}": one.pod for ip, several in of_address.items() for one in several}
    if not names or entries.empty:
        return entries, names
    replied = entries["reply_src_ip"].astype("object").copy()
    for ip, several in of_address.items():
        for one in several:
            theirs = (entries["reply_src_ip"] == ip) & (entries["t_ns"] >= one.from_ns)
            replied = replied.mask(theirs, f"{ip}@{one.uid}")
    return entries.assign(reply_src_ip=replied.astype(entries["reply_src_ip"].dtype)), names
