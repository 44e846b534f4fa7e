"""The event that tells of a sync: when its rules were true, and what it took to make them so."""

from __future__ import annotations

from testbed.events import Event
from testbed.proxy.programme import Sync, Taken


def sync_event(
    place: tuple[str, str], sync: Sync, taken: Taken, interval_ns: tuple[int, int], error: str
) -> Event:
    """`place`: (node, IP family, as in IPv4); `interval_ns`: of its commands; `error`: why they failed."""
    node, ip_family = place
    start_ns, end_ns = interval_ns
    detail = {
        "ip_family": ip_family,
        "queued_ns": taken.queued_ns,
        "sync_start_ns": taken.start_ns,
        "start_ns": start_ns,
        "end_ns": end_ns,
        "full": sync.full,
        "service_changes": taken.service_changes,
        "endpoint_changes": taken.endpoint_changes,
        "changed_chains": sync.changed_chains,
        "commands": len(sync.commands),
        "error": error,
    }
    version = sync.next.table.resource_version
    return Event(end_ns, "proxy", node, "sync", "", version, detail)
