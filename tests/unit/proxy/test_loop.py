"""The loop on a virtual node, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from testbed.errors import TestbedError
from testbed.events import Event
from testbed.model.containers import Container
from testbed.model.objects.endpoint_slices import (
    SERVICE_NAME_LABEL,
    Endpoint,
    EndpointPort,
    EndpointSlice,
)
from testbed.model.objects.metadata import ObjectMeta
from testbed.model.objects.pods import Pod, PodSpec
from testbed.model.objects.services import Service, ServicePort
from testbed.proxy.access import NodeAccess
from testbed.proxy.iptables import IptablesBackend
from testbed.proxy.loop import ProxyLoop
from testbed.proxy.pace import Periods
from testbed.proxy.ruleset import Ruleset
from testbed.store import Create, Delete, Store, Update
from tests import addresses as a
from tests.addresses import PLAN
from tests.flows import NAMESPACE, cluster, nodes
from tests.unit.proxy.restore_interpreter import as_text
from tests.unit.proxy.states import CONFIG
from tests.unit.proxy.virtual_node import RESTORE_S, VirtualClock, VirtualNode

BACKEND = IptablesBackend("nft")


class Bench:
    """A store, a node and its loop."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.node = VirtualNode(self.clock)
        self.store = Store(lambda: self.clock.now_s)
        self.store.apply(Create(item) for item in (*nodes(PLAN), *cluster(PLAN)))
        self.events: list[Event] = []
        access = NodeAccess(self.node.run, self.node.read)
        self.loop = ProxyLoop(
            self.store,
            "n1",
            BACKEND,
            access,
            self.events.append,
            config=CONFIG,
            periods=Periods(),
            clock=self.clock,
        )

    @property
    def held(self) -> Ruleset:
        """What the node's kernel holds."""
        return BACKEND.parse(as_text(self.node.tables)).own

    def starts_s(self) -> list[float]:
        return [event.detail["start_ns"] / 1e9 for event in self.events]

    def withdraw(self, service: str, *, keep: int = 0) -> int:
        """Empties a service's slice, but for the last so many endpoints; returns the store's version."""
        item = self.store.get(EndpointSlice, NAMESPACE, f"{service}-a")
        kept = item.endpoints[len(item.endpoints) - keep :]
        self.store.apply([Update(replace(item, endpoints=kept))])
        return self.store.resource_version

    async def settled(self) -> None:
        """Everything that the store holds is in force."""
        self.clock.flows = True
        await self.loop.synced(self.store.resource_version)
        self.clock.flows = False

    async def until(self, holds: Callable[[], bool]) -> None:
        """Time passes until something holds."""
        self.clock.flows = True
        while not holds():
            await asyncio.sleep(0)
        self.clock.flows = False


def on_bench(scenario: Callable[[Bench], Awaitable[None]]) -> Callable[[], None]:
    """A test that runs a scenario on a bench whose first sync is done."""

    def test() -> None:
        async def main() -> None:
            bench = Bench()
            bench.loop.start()
            await bench.settled()
            await scenario(bench)
            await bench.loop.stop()

        asyncio.run(main())

    test.__doc__ = scenario.__doc__
    return test


@on_bench
async def test_the_first_sync_is_immediate_full_and_without_noflush(bench: Bench) -> None:
    (event,) = bench.events
    assert bench.starts_s() == [100.0]
    assert event.detail["full"] is True
    assert event.detail["error"] == ""
    assert event.t_ns == event.detail["end_ns"] == round((100.0 + RESTORE_S) * 1e9)
    assert event.resource_version == bench.store.resource_version
    assert bench.node.commands[0].argv == ("iptables-nft-restore",)
    assert bench.held == Ruleset({**bench.held.tables, **(bench.loop.rules or Ruleset({})).tables})


@on_bench
async def test_a_change_after_a_pause_is_synced_at_once(bench: Bench) -> None:
    bench.clock.at(200.0, lambda: bench.withdraw("web") and None)
    await bench.until(lambda: len(bench.events) == 2)
    assert bench.starts_s()[1] == 200.0
    assert bench.events[1].detail["full"] is False
    assert bench.events[1].detail["changed_chains"] > 0


@on_bench
async def test_changes_soon_after_a_sync_wait_and_share_one(bench: Bench) -> None:
    bench.withdraw("web")
    bench.withdraw("solo")
    await bench.settled()
    end_s = 100.0 + RESTORE_S
    assert bench.starts_s() == [100.0, end_s + 1.0]
    assert bench.events[1].resource_version == bench.store.resource_version


@on_bench
async def test_a_failed_sync_is_retried_and_mends_what_was_half_done(bench: Bench) -> None:
    bench.node.failures = 1
    bench.withdraw("web")
    await bench.settled()
    failed, retried = bench.events[1:]
    assert "Resource temporarily unavailable" in failed.detail["error"]
    assert retried.detail["error"] == ""
    assert retried.detail["full"] is True
    assert retried.detail["start_ns"] - failed.t_ns == 30 * 10**9
    assert bench.loop.rules is not None
    assert bench.held.tables["nat"] == bench.loop.rules.tables["nat"]
    assert bench.loop.metrics.sync_failures_total == 1


@on_bench
async def test_pods_and_other_nodes_are_no_reason_to_sync(bench: Bench) -> None:
    pod = Pod(ObjectMeta("idle", "default"), PodSpec((Container("main", "echo"),)))
    bench.store.apply([Create(pod)])
    await bench.settled()
    assert len(bench.events) == 1


@on_bench
async def test_a_restart_reads_the_kernel_and_repairs_it(bench: Bench) -> None:
    bench.node.tables["nat"]["KUBE-SERVICES"].clear()
    await bench.loop.restart()
    bench.withdraw("web")
    await bench.settled()
    assert bench.events[-1].detail["full"] is True
    assert bench.loop.rules is not None
    assert bench.held.tables["nat"] == bench.loop.rules.tables["nat"]


@on_bench
async def test_a_restart_without_damage_writes_nothing(bench: Bench) -> None:
    await bench.loop.restart()
    await bench.until(lambda: len(bench.events) == 2)
    assert bench.events[1].detail["commands"] == 0
    assert bench.events[1].detail["full"] is True


@on_bench
async def test_a_stalled_proxy_changes_nothing_until_it_resumes(bench: Bench) -> None:
    await bench.loop.stall()
    bench.withdraw("web")
    bench.clock.at(500.0, bench.loop.resume)
    await bench.settled()
    assert bench.starts_s() == [100.0, 500.0]


@on_bench
async def test_a_stalled_proxy_has_something_pending_until_it_has_synced(bench: Bench) -> None:
    assert bench.loop.status.oldest_pending_ns is None
    await bench.loop.stall()
    bench.withdraw("web")
    assert bench.loop.status.oldest_pending_ns == bench.clock.now_ns()
    assert bench.loop.metrics.endpoint_changes_pending == 1
    bench.loop.resume()
    await bench.settled()
    assert bench.loop.status.oldest_pending_ns is None
    assert bench.loop.metrics.endpoint_changes_pending == 0


@on_bench
async def test_a_sync_says_what_it_took_and_since_when(bench: Bench) -> None:
    bench.clock.at(200.0, lambda: bench.withdraw("web") and None)
    await bench.until(lambda: len(bench.events) == 2)
    detail = bench.events[1].detail
    assert (detail["endpoint_changes"], detail["service_changes"]) == (1, 0)
    assert detail["queued_ns"] == detail["sync_start_ns"] == detail["start_ns"] == 200 * 10**9
    assert detail["ip_family"] == "IPv4"


@on_bench
async def test_programming_is_timed_from_the_write_of_the_slice(bench: Bench) -> None:
    bench.withdraw("web")
    bench.withdraw("solo")
    await bench.settled()
    programming = bench.loop.metrics.network_programming_duration
    waited_s = 2 * RESTORE_S + 1.0 - RESTORE_S
    assert (programming.count, programming.sum_s) == (2, pytest.approx(2 * waited_s))


@on_bench
async def test_changes_of_a_sync_that_failed_are_timed_when_they_are_in_force(
    bench: Bench,
) -> None:
    bench.node.failures = 1
    bench.withdraw("web")
    await bench.settled()
    metrics = bench.loop.metrics
    assert metrics.network_programming_duration.count == 1
    assert metrics.network_programming_duration.sum_s > 30
    assert metrics.sync_failures_total == metrics.partial_sync_failures_total == 1
    assert metrics.sync_proxy_rules_duration.count == 3


@on_bench
async def test_a_restart_starts_counting_anew(bench: Bench) -> None:
    bench.withdraw("web")
    await bench.settled()
    await bench.loop.restart()
    assert bench.loop.metrics.sync_proxy_rules_duration.count == 0
    await bench.settled()
    await bench.until(lambda: len(bench.events) == 3)
    assert bench.loop.metrics.sync_full_proxy_rules_duration.count == 1


@on_bench
async def test_each_table_in_force_is_told(bench: Bench) -> None:
    told: list[int] = []
    bench.loop.on_programmed = lambda table: told.append(table.resource_version)
    version = bench.withdraw("web")
    await bench.settled()
    assert told == [version]


@on_bench
async def test_waiting_ends_with_the_proxy(bench: Bench) -> None:
    await bench.loop.stall()
    waiting = asyncio.ensure_future(bench.loop.synced(bench.withdraw("web")))
    await asyncio.sleep(0)
    await bench.loop.stop()
    with pytest.raises(TestbedError, match="n1"):
        await waiting
    with pytest.raises(TestbedError, match="n1"):
        await bench.settled()


@on_bench
async def test_udp_flows_to_a_withdrawn_endpoint_are_deleted(bench: Bench) -> None:
    pod = PLAN.pods["web-0"]
    bench.node.flows = (
        f"udp      17 20 src={PLAN.pods['dialer-3']} dst={a.DATAGRAM} sport=4001 dport=53"
        f" src={pod} dst={PLAN.pods['dialer-3']} sport=8080 dport=4001 mark=0 use=1\n"
    )
    bench.withdraw("datagram", keep=1)
    await bench.settled()
    await bench.until(lambda: bench.loop.metrics.conntrack_reconciler_deleted_entries_total == 1)
    assert bench.node.commands[-1].argv[:2] == ("conntrack", "-D")
    assert pod in bench.node.commands[-1].argv
    assert [event.detail["error"] for event in bench.events] == ["", ""]


def crowd(size: int) -> list[Create]:
    """Services with one endpoint each."""
    writes: list[Create] = []
    for index in range(size):
        meta = ObjectMeta(f"crowd-{index}", NAMESPACE)
        labelled = ObjectMeta(meta.name, NAMESPACE, labels={SERVICE_NAME_LABEL: meta.name})
        service = Service(meta, (ServicePort(80),), cluster_ips=(a.crowd_ip(index),))
        endpoint = Endpoint((PLAN.pods["web-0"],), node_name="n1")
        writes += [
            Create(service),
            Create(EndpointSlice(labelled, (endpoint,), (EndpointPort(8080),))),
        ]
    return writes


@on_bench
async def test_a_large_change_replaces_everything(bench: Bench) -> None:
    bench.store.apply(crowd(700))
    await bench.settled()
    assert bench.node.commands[-1].argv == ("iptables-nft-restore",)


@on_bench
async def test_a_large_change_spares_the_rules_of_others(bench: Bench) -> None:
    foreign = "-A POSTROUTING -s 10.244.0.0/16 -j MASQUERADE"
    bench.node.tables["nat"]["POSTROUTING"].append(foreign)
    bench.store.apply(crowd(700))
    await bench.settled()
    assert bench.node.commands[-1].argv == ("iptables-nft-restore", "--noflush")
    assert foreign in bench.node.tables["nat"]["POSTROUTING"]


@on_bench
async def test_a_deleted_service_takes_its_chains_along(bench: Bench) -> None:
    bench.store.apply(
        [Delete("Service", NAMESPACE, "solo"), Delete("EndpointSlice", NAMESPACE, "solo-a")]
    )
    await bench.settled()
    assert not any(
        "flows/solo" in rule for rules in bench.held.tables["nat"].values() for rule in rules
    )
