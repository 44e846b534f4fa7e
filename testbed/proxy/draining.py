"""Finishing what a back end withdraws in two steps (see `Drains`)."""

from __future__ import annotations

from dataclasses import replace

from testbed.proxy.access import NodeAccess
from testbed.proxy.ruleset import Backend, Drains, Ruleset


class Draining:
    """Looks after a sync, and then again and again while something lingers."""

    def __init__(self, backend: Backend, access: NodeAccess) -> None:
        self._backend = backend if isinstance(backend, Drains) else None
        self._access = access
        self.due_s: float | None = None
        """When to look next; None: nothing lingers."""

    def begun(self, have: Ruleset | None, want: Ruleset) -> Ruleset:
        """`want`, with what the commands of a sync leave lingering."""
        if self._backend is None:
            return want
        return replace(want, lingering=self._backend.lingering(have, want))

    async def finish(self, rules: Ruleset, now_s: float) -> Ruleset:
        """Removes what has ended; the rules with what has not. Raises CommandFailed."""
        self.due_s = None
        if self._backend is None or not rules.lingering:
            return rules
        text = await self._access.read(self._backend.look(rules))
        commands, left = self._backend.finish(text, rules)
        if commands:
            await self._access.run(commands)
        if left.lingering:
            self.due_s = now_s + self._backend.drain_check_s
        return left
