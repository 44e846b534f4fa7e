"""kube-proxy's conntrack reconciler: after a sync, UDP flows to endpoints that are gone are forgotten."""

from __future__ import annotations

from dataclasses import dataclass

from testbed.errors import CommandFailed
from testbed.proxy import stale
from testbed.proxy.access import Clock, NodeAccess
from testbed.proxy.table import ForwardingTable


@dataclass(frozen=True, slots=True)
class Reconciled:
    """One look through a node's entries."""

    duration_s: float
    deleted: int
    """Flows."""


class ConntrackReconciler:
    """Of one node and IP family; what it has seen to it remembers, so that a failure is made up for."""

    def __init__(self, access: NodeAccess, clock: Clock) -> None:
        self._access = access
        self._clock = clock
        self._looked: ForwardingTable | None = None

    def forget(self) -> None:
        """Begin anew, like a new process."""
        self._looked = None

    async def reconcile(self, now: ForwardingTable) -> Reconciled | None:
        """Returns what was done; None: no entry can be stale. Raises CommandFailed, and the next call looks
        again.
        """
        done = None
        if stale.needs_look(self._looked, now):
            begun_ns, deleted = self._clock.now_ns(), 0
            flows = stale.parse_flows(await self._access.read(stale.listing(now)))
            for flow in stale.stale_flows(flows, self._looked, now):
                await self._delete(flow)
                deleted += 1
            done = Reconciled((self._clock.now_ns() - begun_ns) / 1e9, deleted)
        self._looked = now
        return done

    async def _delete(self, flow: stale.Flow) -> None:
        try:
            await self._access.run([stale.deletion(flow)])
        except CommandFailed as failure:
            if stale.NOTHING_DELETED not in failure.stderr:
                raise
