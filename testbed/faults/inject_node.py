"""Making a fault of a node happen, and saying when it was effective."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from testbed.errors import CheckFailed
from testbed.events import Event
from testbed.faults.fault import NodeFault
from testbed.faults.watch_delay import WatchDelay
from testbed.model.objects.metadata import name_of
from testbed.model.objects.pods import Pod


@dataclass(frozen=True, slots=True)
class NodeReach:
    """What a fault may touch on its node."""

    delay_watch: Callable[[WatchDelay, int], None]
    """(how, seed): of every change from now on."""
    restore_watch: Callable[[], bool]
    """Whether there was a delay; what is under way is delivered at once."""
    stall: Callable[[], Awaitable[int]]
    """Returns once no sync is under way, with the instant (ns)."""
    resume: Callable[[], bool]
    """Whether the proxy was stalled."""
    restart: Callable[[], Awaitable[int]]
    """Returns when the old process is gone, after a sync that is under way, with the instant (ns)."""
    stop: Callable[[], Awaitable[int]]
    """Returns when the node has lost its power and what ran on it has ended, with the instant (ns) of
    the one. Raises CheckFailed where it has none."""
    boot: Callable[[], Awaitable[bool]]
    """Whether the node had no power; it boots."""
    drain: Callable[[NodeFault], tuple[int, Sequence[Pod]]]
    """The version that was written, and the pods that are evicted. Raises CheckFailed."""
    uncordon: Callable[[], bool]
    """Whether it was cordoned, against the topology."""
    mend_links: Callable[[], Awaitable[Sequence[str]]]
    """What its links suffered (cut, impair), and do no more."""
    pods: Callable[[], Sequence[Pod]]
    """Those that are bound to the node."""
    resource_version: Callable[[], int]
    """The newest version of the state that the node has been told of."""
    now_ns: Callable[[], int]


async def inject_node(fault: NodeFault, reach: NodeReach) -> Event:
    """Do what the fault says, now; returns its event, whose `t_ns` is when it was effective.

    stop-node: when its link was down; drain: when the evictions were written; `detail` says which pods went.
    Raises CheckFailed where there is nothing to heal, or the node is stopped.
    """
    detail: dict[str, Any] = {"level": fault.level}
    if fault.kind == "stop-node":
        version = reach.resource_version()
        detail["pods"] = list(map(_named, reach.pods()))
        t_ns = await reach.stop()
        return Event(t_ns, "fault", fault.node, fault.kind, fault.node, version, detail)
    if fault.kind == "drain":
        version, leaving = reach.drain(fault)
        detail["pods"] = list(map(_named, leaving))
        return Event(reach.now_ns(), "fault", fault.node, fault.kind, fault.node, version, detail)
    match fault.kind:
        case "delay-watch":
            assert fault.watch is not None
            reach.delay_watch(fault.watch, fault.seed)
            t_ns = reach.now_ns()
            detail |= asdict(fault.watch) | {"seed": fault.seed}
        case "stall-proxy":
            t_ns = await reach.stall()
        case "restart-proxy":
            t_ns = await reach.restart()
        case _:  # heal
            detail["healed"] = await _healed(fault.node, reach)
            t_ns = reach.now_ns()
    version = reach.resource_version()
    return Event(t_ns, "fault", fault.node, fault.kind, fault.node, version, detail)


async def _healed(node: str, reach: NodeReach) -> list[str]:
    """What is over now. A machine that boots knows nothing of what was done to the one before."""
    booted = ["stop-node"] if await reach.boot() else []
    mended = list(await reach.mend_links())
    undone = {} if booted else {"delay-watch": reach.restore_watch(), "stall-proxy": reach.resume()}
    undone["drain"] = reach.uncordon()
    healed = [*booted, *mended, *(kind for kind, was in undone.items() if was)]
    if not healed:
        raise CheckFailed(
            f"nothing is wrong with {node}",
            "heal ends stop-node, drain, delay-watch, stall-proxy, and what cut and impair did to its links;"
            " `heal partition` ends a partition",
        )
    return healed


def _named(pod: Pod) -> dict[str, str]:
    return {"pod": name_of(pod), "uid": pod.meta.uid, "pod_ip": pod.status.pod_ip}
