"""Blocks on the workers of Dask.distributed: each whole on one machine, a lost worker's again elsewhere."""

from __future__ import annotations

import queue
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from testbed.errors import CheckFailed
from testbed.experiment.dask_cluster import Cluster, Lost, answer_of
from testbed.experiment.dask_roster import Roster
from testbed.experiment.executor import Blocks, Executor
from testbed.experiment.machines import Worker
from testbed.experiment.order import Order, Work

if TYPE_CHECKING:
    from distributed import Future

Say = Callable[[str], None]

MOST_LOSSES = 3
"""So often a block may lose its worker; then it may be the block that ends them."""
_LOOK_S = 1.0
_END_S = 120.0
"""How long workers may take to take their labs down."""


@dataclass(frozen=True, slots=True)
class _Placed:
    """A block under way."""

    number: int
    worker: Worker


@dataclass(slots=True)
class _State:
    """Where a run's blocks are; what is in none of these has not begun, or is done."""

    under_way: dict[Future, _Placed] = field(default_factory=dict)
    again: deque[int] = field(default_factory=deque)
    losses: Counter[int] = field(default_factory=Counter)


def on_cluster(cluster: Cluster, roster: Roster, work: Work, say: Say) -> Executor:
    """One block at a time on each worker of the roster; what a block raised ends the others."""

    def run_all(numbers: Iterator[int], blocks: Blocks) -> Iterator[int]:
        state = _State()
        ended: queue.SimpleQueue[Future] = queue.SimpleQueue()
        try:
            while True:
                workers = roster.at_work()
                for placed in _gone(state, workers):
                    _lose(state, placed, say)
                for worker, number in _next(state, workers, numbers):
                    order = Order(work, number, blocks.finished(number), roster.machine(worker))
                    future = cluster.send(order.to_json(), worker.address)
                    state.under_way[future] = _Placed(number, worker)
                    future.add_done_callback(ended.put)
                if workers and not state.under_way:
                    return
                if (back := _first_ended(state, ended)) is not None:
                    future, block = back
                    try:
                        _take_in(future, f"block {block.number} on {block.worker.host}", blocks)
                    except Lost:
                        _lose(state, block, say)
                    else:
                        yield block.number
        finally:
            _stop(cluster, state)

    return run_all


def _gone(state: _State, workers: Sequence[Worker]) -> list[_Placed]:
    """Blocks whose worker is no more; they are not waited for."""
    found = [future for future, placed in state.under_way.items() if placed.worker not in workers]
    return [state.under_way.pop(future) for future in found]


def _lose(state: _State, placed: _Placed, say: Say) -> None:
    """Have a block run again. Raises CheckFailed when that has happened too often."""
    number, host = placed.number, placed.worker.host
    state.losses[number] += 1
    if state.losses[number] == MOST_LOSSES:
        raise CheckFailed(
            f"block {number} lost its worker {MOST_LOSSES} times, at last on {host}",
            "does it need more memory than they have? go on with --resume",
        )
    state.again.append(number)
    say(f"block {number} lost its worker on {host}: it is run again")


def _next(
    state: _State, workers: Sequence[Worker], numbers: Iterator[int]
) -> Iterator[tuple[Worker, int]]:
    """Workers that are free, each with the block that it is to run."""
    busy = [placed.worker for placed in state.under_way.values()]
    for worker in workers:
        if worker not in busy:
            number = state.again.popleft() if state.again else next(numbers, None)
            if number is None:
                return
            yield worker, number


def _first_ended(state: _State, ended: queue.SimpleQueue[Future]) -> tuple[Future, _Placed] | None:
    """A block that has come back; None after a while."""
    with suppress(queue.Empty):
        future = ended.get(timeout=_LOOK_S)
        if (placed := state.under_way.pop(future, None)) is not None:
            return future, placed
    return None


def _take_in(future: Future, where: str, blocks: Blocks) -> None:
    """Store what came back. Raises Lost, and what the block raised."""
    answer = answer_of(future, where)
    blocks.take_in(answer["trials"])
    if error := answer.get("error"):
        raise error


def _stop(cluster: Cluster, state: _State) -> None:
    """Cancel what is under way; returns when no worker is at it any more."""
    with suppress(Exception):  # a scheduler that is gone has cancelled everything
        for future in state.under_way:
            future.cancel()
        until = time.monotonic() + _END_S
        while state.under_way and cluster.at_work() and time.monotonic() < until:
            time.sleep(0.2)
