"""What a proxy says that cannot program its node."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from testbed.command import Command
from testbed.errors import CommandFailed, MissingFeature, TestbedError
from testbed.proxy.access import NodeAccess
from testbed.proxy.iptables import IptablesBackend
from testbed.proxy.loop import ProxyLoop
from testbed.proxy.pace import Periods
from testbed.store import Create, Store
from tests.addresses import PLAN
from tests.flows import cluster, nodes
from tests.unit.proxy.states import CONFIG
from tests.unit.proxy.virtual_node import VirtualClock, VirtualNode


def proxy(trouble: TestbedError) -> ProxyLoop:
    """A proxy all of whose rule commands fail."""

    async def run(commands: Sequence[Command]) -> None:
        raise trouble

    clock = VirtualClock()
    store = Store(lambda: clock.now_s)
    store.apply(Create(item) for item in (*nodes(PLAN), *cluster(PLAN)))
    return ProxyLoop(
        store,
        "n1",
        IptablesBackend("nft"),
        NodeAccess(run, VirtualNode(clock).read),
        lambda event: None,
        config=CONFIG,
        periods=Periods(),
        clock=clock,
    )


def test_a_tool_that_is_missing_ends_the_proxy_and_whoever_waits_hears_why() -> None:
    async def main() -> None:
        loop = proxy(MissingFeature("iptables-nft-restore is not installed", "apt-get install it"))
        loop.start()
        for _ in range(2):  # the one who waits meanwhile, and the one who asks afterwards
            with pytest.raises(MissingFeature, match="is not installed"):
                await loop.synced(1)

    asyncio.run(main())


def test_a_refusal_is_the_last_error_until_a_sync_succeeds() -> None:
    async def main() -> None:
        loop = proxy(CommandFailed("iptables-nft-restore", 4, "no"))
        assert loop.error == ""
        loop.start()
        while not loop.error:
            await asyncio.sleep(0)
        assert "ended with code 4: no" in loop.error
        await loop.stop()

    asyncio.run(main())
