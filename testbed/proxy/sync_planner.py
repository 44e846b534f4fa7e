"""One node's next sync: planned where its access says, from what it left or else from what the node holds."""

from __future__ import annotations

from dataclasses import replace

from testbed.proxy.access import NodeAccess
from testbed.proxy.draining import Draining
from testbed.proxy.programme import (
    Plan,
    Programme,
    Step,
    Sync,
    starting_point,
    step,
    step_if_known,
)
from testbed.proxy.ruleset import Backend
from testbed.store import Snapshot


class SyncPlanner:
    """Of one back end on one node; it decides nothing, and remembers nothing."""

    def __init__(
        self, backend: Backend, access: NodeAccess, draining: Draining, plan: Plan
    ) -> None:
        self._backend = backend
        self._access = access
        self._draining = draining
        self._next_programme = plan

    async def sync(
        self, snapshot: Snapshot, node: str, before: Programme | None, *, trusted: bool
    ) -> Sync:
        """From `before` to the snapshot; `trusted`: the node holds what `before` says. Raises CommandFailed."""
        backend = self._backend
        known = before.rules if before and trusted else None

        def decide() -> tuple[Programme, Step | None]:
            following = self._next_programme(snapshot, node, before)
            return following, step_if_known(known, following.rules, backend)

        following, found = await self._access.compute(decide)
        want = following.rules
        if found is None:
            text = await self._access.read(backend.observe())
            found = await self._access.compute(
                lambda: step(starting_point(backend.parse(text), want, backend), want, backend)
            )
        return Sync(
            next=replace(following, rules=self._draining.begun(found.have, want)),
            commands=found.commands,
            full=not trusted or found.have is None,
            changed_chains=found.changed_chains,
        )
