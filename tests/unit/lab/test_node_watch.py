"""What a node hears of the store: at once, late, out of order, and at once again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from testbed.faults.watch_delay import WatchDelay
from testbed.lab.node_watch import NodeWatch
from testbed.model.objects.metadata import ObjectMeta
from testbed.model.objects.services import Service
from testbed.store import Change, Create, Store

LONG = WatchDelay(1000.0)


class Bench:
    """A store, a node's watch, and the versions that it has been told of."""

    def __init__(self, delay_s: Callable[[], float] | None = None) -> None:
        self.store = Store(lambda: 0.0)
        self.watch = NodeWatch(self.store, delay_s)
        self.told: list[int] = []
        self.news = asyncio.Event()
        self.cancel = self.watch.watch(self._hear)

    def write(self, *names: str) -> None:
        self.store.apply([Create(Service(ObjectMeta(name, "default"))) for name in names])

    @property
    def known(self) -> int:
        return self.watch.snapshot().resource_version

    def _hear(self, changes: tuple[Change, ...]) -> None:
        self.told += [change.resource_version for change in changes]
        self.news.set()


def on_bench(scenario: Callable[[Bench], Awaitable[None]]) -> Callable[[], None]:
    async def run() -> None:
        await scenario(Bench())

    def test() -> None:
        asyncio.run(run())

    test.__doc__ = scenario.__doc__
    return test


@on_bench
async def test_by_default_within_the_write_itself(bench: Bench) -> None:
    bench.write("a", "b")
    assert (bench.told, bench.known) == ([1, 2], 2)
    assert bench.watch.snapshot().tables["Service"] is bench.store.snapshot().tables["Service"]


@on_bench
async def test_a_delay_holds_back_what_is_written_from_then_on(bench: Bench) -> None:
    bench.write("a")
    bench.watch.delay(LONG, seed=1)
    bench.write("b")
    assert (bench.told, bench.known) == ([1], 1)


@on_bench
async def test_what_is_late_arrives(bench: Bench) -> None:
    bench.watch.delay(WatchDelay(0.001), seed=1)
    bench.write("a", "b")
    while len(bench.told) < 2:
        bench.news.clear()
        await asyncio.wait_for(bench.news.wait(), 60)
    assert (bench.told, bench.known) == ([1, 2], 2)


@on_bench
async def test_the_end_of_a_delay_brings_everything_at_once_and_in_order(bench: Bench) -> None:
    bench.watch.delay(WatchDelay(1000.0, jitter_s=999.0), seed=1)
    for name in "abcdef":
        bench.write(name)
    assert bench.watch.restore()
    assert (bench.told, bench.known) == ([1, 2, 3, 4, 5, 6], 6)
    bench.write("g")
    assert bench.told[-1] == bench.known == 7
    assert not bench.watch.restore()


@on_bench
async def test_a_share_overtakes_and_the_version_says_what_is_missing(bench: Bench) -> None:
    bench.watch.delay(WatchDelay(1000.0, reorder=0.5), seed=1)
    for number in range(40):
        bench.write(f"s{number}")
    assert 10 <= len(bench.told) <= 30
    missing = min(set(range(1, 41)) - set(bench.told))
    assert bench.known == missing - 1
    assert len(list(bench.watch.snapshot().list(Service))) == len(bench.told)


@on_bench
async def test_a_new_process_lists_and_hears_nothing_twice(bench: Bench) -> None:
    bench.watch.delay(LONG, seed=1)
    bench.write("a")
    bench.watch.relist()
    assert (bench.told, bench.known) == ([], 1)
    bench.watch.restore()
    assert bench.told == []
    bench.write("b")
    assert bench.told == [2]


@on_bench
async def test_nobody_is_told_after_the_cancel(bench: Bench) -> None:
    bench.cancel()
    bench.write("a")
    assert bench.told == []


@pytest.mark.parametrize("fault", [None, LONG], ids=["the lab's own delay", "and a fault's"])
def test_the_labs_own_delay_stays(fault: WatchDelay | None) -> None:
    async def main() -> None:
        bench = Bench(lambda: 1000.0)
        if fault is not None:
            bench.watch.delay(fault, seed=1)
            bench.watch.restore()
        bench.write("a")
        assert (bench.told, bench.known) == ([], 0)

    asyncio.run(main())


@on_bench
async def test_a_broken_connection_delivers_nothing_and_lists_anew(bench: Bench) -> None:
    bench.watch.hold()
    bench.write("a")
    bench.write("b")
    assert (bench.told, bench.known) == ([], 0)
    bench.watch.relist()  # a new process has no connection either
    assert bench.known == 0
    bench.watch.release()
    assert (bench.told, bench.known) == ([1, 2], 2)
    bench.write("c")
    assert bench.told == [1, 2, 3]


@on_bench
async def test_a_broken_connection_outlasts_a_delay(bench: Bench) -> None:
    bench.watch.delay(LONG, seed=1)
    bench.write("a")
    bench.watch.hold()
    bench.watch.restore()
    bench.write("b")
    assert bench.told == []
    bench.watch.release()
    assert bench.told == [1, 2]
