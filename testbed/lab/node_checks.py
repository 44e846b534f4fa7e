"""A balancer's questions to nodes, asked from its own namespace: who is well, and who is not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace

from testbed.clock import now_s
from testbed.controllers.asking import MakeSocket, Outcome, ask
from testbed.controllers.probe_tally import ProbeTally
from testbed.controllers.probes import keep_asking
from testbed.edge.cloud import Check, Target
from testbed.model.cloud import Cadence
from testbed.model.containers import Container, HTTPGetAction, Probe, TCPSocketAction

Asked = tuple[Target, Check]
_NOBODY = Container("", "")
"""A node is no container: its ports have no names."""


class NodeChecks:
    """A task for each question. `hear` is told of each change: who, how, whether well now, and why not.

    As HAProxy's, a new node is taken for well until its first answer, which decides at once.
    """

    def __init__(
        self, make_socket: MakeSocket, hear: Callable[[Target, Check, bool, str], None]
    ) -> None:
        self._make_socket = make_socket
        self._hear = hear
        self._tasks: dict[Asked, asyncio.Task[None]] = {}
        self._cadence: Cadence | None = None
        self.ill: set[Asked] = set()
        self._first: set[Asked] = set()
        """Those with an answer."""

    def follow(self, wanted: Iterable[Asked], cadence: Cadence) -> None:
        """Ask these from now on, at this pace; what is known of those that stay stays."""
        asked = set(wanted)
        if cadence != self._cadence:
            self._stop(self._tasks)
            self._cadence = cadence
        self._stop(self._tasks.keys() - asked)
        self.ill &= asked
        self._first &= asked
        for one in sorted(asked - self._tasks.keys(), key=str):
            self._tasks[one] = asyncio.create_task(self._keep(one, cadence))

    def unasked(self) -> int:
        """How many have not answered yet, not even by silence."""
        return len(self._tasks.keys() - self._first)

    def stop(self) -> None:
        """Ask nobody."""
        self._stop(self._tasks)

    def _stop(self, gone: Iterable[Asked]) -> None:
        for one in list(gone):
            self._tasks.pop(one).cancel()

    async def _keep(self, asked: Asked, cadence: Cadence) -> None:
        target, check = asked
        port = check.port
        action = HTTPGetAction(check.path, port) if check.path else TCPSocketAction(port)
        probe = Probe(
            action,
            period_s=cadence.interval_s,
            timeout_s=cadence.timeout_s,
            success_threshold=cadence.healthy_threshold,
            failure_threshold=cadence.unhealthy_threshold,
        )
        tally = ProbeTally(asked not in self.ill)

        def report(outcome: Outcome) -> None:
            nonlocal tally
            before, tally = tally, tally.after(outcome.ok, probe)
            if asked not in self._first and not outcome.ok:
                tally = replace(tally, verdict=False)
            self._first.add(asked)
            if tally.verdict != before.verdict:
                (self.ill.discard if tally.verdict else self.ill.add)(asked)
                self._hear(target, check, bool(tally.verdict), outcome.message)

        async def once() -> Outcome:
            return await ask(self._make_socket, target.ip, _NOBODY, probe)

        await keep_asking(probe, once, report, now_s)
