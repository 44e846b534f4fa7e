"""Making a fault of a node happen, and saying when it was effective."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any

from testbed.errors import CheckFailed
from testbed.events import Event
from testbed.faults.fault import NodeFault
from testbed.faults.watch_delay import WatchDelay


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
    resource_version: Callable[[], int]
    """The newest version of the state that the node has been told of."""
    now_ns: Callable[[], int]


async def inject_node(fault: NodeFault, reach: NodeReach) -> Event:
    """Do what the fault says, now; returns its event, whose `t_ns` is when it was effective.

    Raises CheckFailed where there is nothing to heal.
    """
    detail: dict[str, Any] = {"level": fault.level}
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
            undone = {"delay-watch": reach.restore_watch(), "stall-proxy": reach.resume()}
            t_ns = reach.now_ns()
            detail["healed"] = [kind for kind, was in undone.items() if was]
            if not detail["healed"]:
                raise CheckFailed(
                    f"nothing is wrong with {fault.node}", "heal ends delay-watch and stall-proxy"
                )
    version = reach.resource_version()
    return Event(t_ns, "fault", fault.node, fault.kind, fault.node, version, detail)
