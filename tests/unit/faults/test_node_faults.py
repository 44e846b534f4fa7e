"""Faults of a node's proxy: how late a change is, and what an injection does and says."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from testbed.errors import CheckFailed
from testbed.events import Event
from testbed.faults.fault import NodeFault
from testbed.faults.inject_node import NodeReach, inject_node
from testbed.faults.watch_delay import Arrival, WatchDelay
from testbed.model.objects.metadata import ObjectMeta
from testbed.model.objects.pods import Pod, PodSpec, PodStatus


def arrivals(how: WatchDelay, seed: int, count: int = 4000) -> list[Arrival]:
    chance = random.Random(seed).random
    return [how.draw(chance) for _ in range(count)]


def test_a_delay_without_jitter_is_the_delay() -> None:
    assert set(arrivals(WatchDelay(0.5), 1)) == {Arrival(0.5)}


def test_jitter_spreads_evenly_around_the_delay() -> None:
    delays_s = [one.delay_s for one in arrivals(WatchDelay(0.5, 0.1), 1)]
    assert 0.4 <= min(delays_s) < 0.41
    assert 0.59 < max(delays_s) <= 0.6
    assert sum(delays_s) / len(delays_s) == pytest.approx(0.5, abs=0.01)
    assert not any(one.overtakes for one in arrivals(WatchDelay(0.5, 0.1), 1))


def test_a_share_overtakes_without_any_delay() -> None:
    found = arrivals(WatchDelay(0.5, 0.1, reorder=0.25), 1)
    overtaking = [one for one in found if one.overtakes]
    assert {one.delay_s for one in overtaking} == {0.0}
    assert len(overtaking) / len(found) == pytest.approx(0.25, abs=0.03)


def test_the_seed_fixes_what_happens_and_reorder_changes_only_who_overtakes() -> None:
    plain = arrivals(WatchDelay(0.5, 0.1), 7)
    assert plain == arrivals(WatchDelay(0.5, 0.1), 7)
    assert plain != arrivals(WatchDelay(0.5, 0.1), 8)
    some = arrivals(WatchDelay(0.5, 0.1, 0.1), 7)
    assert all(one == other or one.overtakes for one, other in zip(some, plain, strict=True))


# Injection

POD = Pod(
    ObjectMeta("web-0", "default", uid="u0"),
    PodSpec((), node_name="n1"),
    PodStatus(pod_ips=("10.244.0.2",)),
)


@dataclass
class Proxy:
    """A node whose proxy notes what is done to it; a wait takes 500 ns."""

    delayed: bool = False
    stalled: bool = False
    off: bool = False
    cordoned: bool = False
    links: tuple[str, ...] = ()
    done: list[Any] = field(default_factory=list)
    t_ns: int = 1000

    def inject(self, fault: NodeFault) -> Event:
        return asyncio.run(inject_node(fault, self.reach()))

    def reach(self) -> NodeReach:
        return NodeReach(
            delay_watch=lambda how, seed: self.done.append((how, seed)),
            restore_watch=lambda: self.delayed,
            stall=lambda: self._wait("stall"),
            resume=lambda: self.stalled,
            restart=lambda: self._wait("restart"),
            stop=lambda: self._wait("stop"),
            boot=self._booted,
            drain=lambda fault: (43, [POD]),
            uncordon=lambda: self.cordoned,
            mend_links=self._mended,
            pods=lambda: [POD],
            resource_version=lambda: 42,
            now_ns=lambda: self.t_ns,
        )

    async def _booted(self) -> bool:
        return self.off

    async def _mended(self) -> tuple[str, ...]:
        return self.links

    async def _wait(self, what: str) -> int:
        self.done.append(what)
        self.t_ns += 900
        return self.t_ns - 400


def test_a_delay_is_effective_at_once_and_its_event_says_how_much() -> None:
    proxy = Proxy()
    how = WatchDelay(0.5, 0.1, 0.05)
    event = proxy.inject(NodeFault("delay-watch", "n1", how, 7))
    assert proxy.done == [(how, 7)]
    assert (event.t_ns, event.source, event.kind) == (1000, "fault", "delay-watch")
    assert (event.node, event.object, event.resource_version) == ("n1", "n1", 42)
    assert event.detail == {
        "level": "delay-watch",
        "delay_s": 0.5,
        "jitter_s": 0.1,
        "reorder": 0.05,
        "seed": 7,
    }


@pytest.mark.parametrize("what", ["stall", "restart"])
def test_what_waits_for_a_sync_is_effective_afterwards(what: str) -> None:
    proxy = Proxy()
    event = proxy.inject(NodeFault(f"{what}-proxy", "n1"))
    assert (proxy.done, event.t_ns) == ([what], 1500)


@pytest.mark.parametrize(
    ("delayed", "stalled", "healed"),
    [
        (True, False, ["delay-watch"]),
        (False, True, ["stall-proxy"]),
        (True, True, ["delay-watch", "stall-proxy"]),
    ],
)
def test_healing_ends_whatever_there_is(delayed: bool, stalled: bool, healed: list[str]) -> None:
    event = Proxy(delayed, stalled).inject(NodeFault("heal", "n1"))
    assert event.detail["healed"] == healed


def test_a_stopped_node_says_which_pods_went_with_it() -> None:
    proxy = Proxy()
    event = proxy.inject(NodeFault("stop-node", "n1"))
    assert (proxy.done, event.t_ns) == (["stop"], 1500)
    assert event.detail["pods"] == [{"pod": "default/web-0", "uid": "u0", "pod_ip": "10.244.0.2"}]


def test_a_stopped_node_boots_and_knows_nothing_of_what_was_done_to_it() -> None:
    event = Proxy(delayed=True, off=True).inject(NodeFault("heal", "n1"))
    assert event.detail["healed"] == ["stop-node"]


def test_a_healthy_node_cannot_be_healed() -> None:
    with pytest.raises(CheckFailed, match="nothing is wrong with n1"):
        Proxy().inject(NodeFault("heal", "n1"))


def test_a_node_is_healed_with_its_links_and_takes_pods_again() -> None:
    event = Proxy(stalled=True, cordoned=True, links=("cut", "impair")).inject(
        NodeFault("heal", "n1")
    )
    assert event.detail["healed"] == ["cut", "impair", "stall-proxy", "drain"]


def test_a_drain_says_which_pods_it_evicts() -> None:
    event = Proxy().inject(NodeFault("drain", "n1", force=True))
    assert (event.kind, event.resource_version) == ("drain", 43)
    assert [row["pod"] for row in event.detail["pods"]] == ["default/web-0"]
