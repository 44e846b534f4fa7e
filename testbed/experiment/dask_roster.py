"""Which workers of a cluster a run has: they introduce themselves, and may come and go."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from testbed.errors import OutOfTimeOrRoom, TestbedError
from testbed.experiment import machines
from testbed.experiment.dask_cluster import Cluster, Lost, answer_of
from testbed.experiment.machines import Terms, Worker
from testbed.experiment.order import Order, Work

if TYPE_CHECKING:
    from distributed import Future

Say = Callable[[str], None]

INTRODUCTION_S = 180.0
"""How long workers may take to say who they are: a guest kernel boots first, others' trials may be ahead."""
PATIENCE_S = 60.0
"""How long a run without any worker waits for one."""


class Roster:
    """The workers of a run. Those that are there at the start must suit; of those that come later, one that
    does not is left out.
    """

    def __init__(self, cluster: Cluster, work: Work, terms: Terms, say: Say) -> None:
        self._cluster = cluster
        self._order = Order(work).to_json()
        self._terms = terms
        self._say = say
        self._known: list[Worker] = []
        """All that were ever admitted, in that order."""
        self._asked: dict[str, Future] = {}
        self._left_out: set[str] = set()
        self._seen_s = time.monotonic()

    def introduce(self) -> None:
        """Learn who is there. Raises OutOfTimeOrRoom where nobody is or one does not answer; UsageError and
        MissingFeature for one that does not suit.
        """
        until = time.monotonic() + INTRODUCTION_S
        while not self._known or self._asked:
            for _, error in self._newcomers(self._present()):
                if error:
                    raise error
            if not self._known and not self._asked:
                self._require_patience()
            if time.monotonic() > until:
                raise OutOfTimeOrRoom(
                    f"workers do not say who they are: {', '.join(sorted(self._asked))}",
                    "are they busy? wait for what they do, or end it",
                )
            time.sleep(0.1)

    def at_work(self) -> list[Worker]:
        """Those that are there and are to be given blocks. Raises OutOfTimeOrRoom where there is none for
        long, or the scheduler has gone.
        """
        present = self._present()
        for address, error in self._newcomers(present):
            if error:
                self._left_out.add(address)
                self._say(f"left out: {error}")
        found: list[Worker] = []
        for worker in self._known:
            if worker.address in present and not machines.spare(worker, found, self._terms):
                found.append(worker)
        if found:
            self._seen_s = time.monotonic()
        else:
            self._require_patience()
        return found

    def machine(self, worker: Worker) -> str:
        """What the run calls a worker's machine."""
        return machines.machine_of(worker, self._known)

    @property
    def kernel(self) -> dict[str, str]:
        """The one that carries the labs on all of them."""
        return machines.common_kernel(self._known)

    def environments(self) -> dict[str, Mapping[str, Any]]:
        """What each machine is, by its name."""
        return machines.environments(self._known)

    def _present(self) -> dict[str, int]:
        try:
            return self._cluster.threads()
        except ConnectionError as error:
            raise OutOfTimeOrRoom(str(error), "start it again, then go on with --resume") from error

    def _require_patience(self) -> None:
        if time.monotonic() > self._seen_s + PATIENCE_S:
            raise OutOfTimeOrRoom(
                f"the scheduler at {self._cluster.address} has no worker for this run",
                "start some: dask worker --nthreads 1 ADDRESS",
            )

    def _newcomers(self, present: Mapping[str, int]) -> Iterator[tuple[str, TestbedError | None]]:
        """Asks those that are new; admits who has answered, or tells why not."""
        for address in self._asked.keys() - present.keys():
            del self._asked[address]
        met = {one.address for one in self._known} | self._asked.keys() | self._left_out
        for address in sorted(present.keys() - met):
            self._asked[address] = self._cluster.send(self._order, address)
        for address, future in sorted(self._asked.items()):
            if future.done():
                del self._asked[address]
                try:
                    self._admit(address, present[address], answer_of(future, f"worker {address}"))
                except Lost:
                    continue
                except TestbedError as error:
                    yield address, error
                else:
                    yield address, None

    def _admit(self, address: str, threads: int, answer: Mapping[str, Any]) -> None:
        """Raises TestbedError where it does not suit."""
        if error := answer.get("error"):
            raise error
        worker = Worker(address, threads, answer["boot_id"], answer["environment"])
        if objection := machines.objection(worker, self._known, self._terms):
            raise objection
        self._known.append(worker)
        self._say(f"worker {address} on {self.machine(worker)}")
