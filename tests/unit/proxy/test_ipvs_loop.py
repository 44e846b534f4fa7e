"""The proxy loop with a back end that drains, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from testbed.command import Command
from testbed.errors import CommandFailed
from testbed.model.objects.endpoint_slices import EndpointSlice
from testbed.proxy.access import NodeAccess
from testbed.proxy.loop import ProxyLoop
from testbed.proxy.pace import Periods
from testbed.store import Create, Store, Update
from tests.addresses import PLAN, WEB
from tests.flows import NAMESPACE, cluster, nodes
from tests.unit.proxy.ipvs_interpreter import Kernel
from tests.unit.proxy.states import CONFIG
from tests.unit.proxy.test_ipvs_properties import BACKEND
from tests.unit.proxy.virtual_node import VirtualClock

SERVER = f"-t {WEB}:80"
GONE = f"{PLAN.pods['web-1']}:8080"


class IpvsNode:
    """A virtual node whose kernel has IPVS."""

    def __init__(self) -> None:
        self.kernel = Kernel()
        self.busy: set[str] = set()
        self.refuses = False

    async def run(self, commands: Sequence[Command]) -> None:
        for command in commands:
            if command.argv[0] == "conntrack":
                raise CommandFailed(str(command), 1, "0 flow entries have been deleted.")
            if self.refuses and command.stdin.startswith("-d "):
                raise CommandFailed("ipvsadm --restore", 3, "No such process")
        self.kernel.run(commands)

    async def read(self, command: Command) -> str:
        if command.argv[0] == "xargs":
            return self.kernel.listed(command, self.busy)
        return "" if command.argv[0] == "conntrack" else self.kernel.observed()

    @property
    def destinations(self) -> dict[str, int]:
        """Weights of web's destinations."""
        return self.kernel.servers[SERVER][1]


def on_node(case: Callable[[IpvsNode, VirtualClock, Store, ProxyLoop], object]) -> None:
    """Runs a coroutine function on a node in step with a store."""

    async def all_of_it() -> None:
        node, clock = IpvsNode(), VirtualClock()
        clock.flows = True
        store = Store(lambda: clock.now_s)
        store.apply(Create(item) for item in (*nodes(PLAN), *cluster(PLAN)))
        access = NodeAccess(node.run, node.read)
        loop = ProxyLoop(
            *(store, "n1", BACKEND, access, lambda event: None),
            config=CONFIG,
            periods=Periods(),
            clock=clock,
        )
        loop.start()
        await loop.synced(store.resource_version)
        await case(node, clock, store, loop)  # type: ignore[misc]
        await loop.stop()

    asyncio.run(all_of_it())


async def withdrawn(store: Store, loop: ProxyLoop) -> None:
    """web-1 is no endpoint of web any more."""
    item = store.get(EndpointSlice, NAMESPACE, "web-a")
    store.apply([Update(replace(item, endpoints=item.endpoints[:1]))])
    await loop.synced(store.resource_version)


async def until(holds: Callable[[], bool]) -> None:
    while not holds():
        await asyncio.sleep(0)


def test_an_idle_destination_goes_right_after_the_sync() -> None:
    async def case(node: IpvsNode, clock: VirtualClock, store: Store, loop: ProxyLoop) -> None:
        before_s = clock.now_s
        await withdrawn(store, loop)
        await until(lambda: GONE not in node.destinations)
        assert clock.now_s < before_s + 30

    on_node(case)


def test_a_busy_one_is_looked_at_every_minute() -> None:
    async def case(node: IpvsNode, clock: VirtualClock, store: Store, loop: ProxyLoop) -> None:
        node.busy.add(f"{SERVER} -r {GONE}")
        await withdrawn(store, loop)
        await until(lambda: loop.rules is not None and len(loop.rules.lingering) == 1)
        synced_s = clock.now_s
        clock.at(synced_s + 150, node.busy.clear)
        await until(lambda: GONE not in node.destinations)
        assert synced_s + 150 <= clock.now_s <= synced_s + 181
        assert loop.rules is not None
        assert loop.rules.lingering == frozenset()

    on_node(case)


def test_a_removal_that_fails_is_followed_by_a_sync_that_looks() -> None:
    async def case(node: IpvsNode, clock: VirtualClock, store: Store, loop: ProxyLoop) -> None:
        node.refuses = True
        await withdrawn(store, loop)
        await until(lambda: "No such process" in loop.error)
        node.refuses = False
        await until(lambda: GONE not in node.destinations)
        await until(lambda: not loop.error)

    on_node(case)


def test_a_restarted_proxy_finishes_what_the_one_before_began() -> None:
    async def case(node: IpvsNode, clock: VirtualClock, store: Store, loop: ProxyLoop) -> None:
        node.busy.add(f"{SERVER} -r {GONE}")
        await withdrawn(store, loop)
        await until(lambda: loop.rules is not None and len(loop.rules.lingering) == 1)
        await loop.restart()
        node.busy.clear()
        await until(lambda: GONE not in node.destinations)

    on_node(case)
