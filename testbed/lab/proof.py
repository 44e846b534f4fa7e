"""Ready means proven by a packet: who pings whom before `up` returns."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from testbed.ip import IPAddress
from testbed.kernel.ping import ping


def sources(
    nodes: Sequence[str], pods: Mapping[str, Sequence[IPAddress]]
) -> dict[str, list[IPAddress]]:
    """Which pods each node pings: its right neighbour's, so that every pod is reached by a route between
    nodes (on a single node its own). Pure.
    """
    return {
        node: list(pods.get(nodes[(index + 1) % len(nodes)], ()))
        for index, node in enumerate(nodes)
    }


async def unanswered(
    plan: Mapping[int, Iterable[IPAddress]], timeout_s: float
) -> frozenset[IPAddress]:
    """`plan`: namespace -> whom it pings. Who has not answered within the time."""
    silent = await asyncio.gather(
        *(ping(namespace, targets, timeout_s) for namespace, targets in plan.items())
    )
    return frozenset().union(*silent)
