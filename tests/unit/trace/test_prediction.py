"""The ways that rules foretell, from node to node."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import pytest

from testbed.proxy.packet import Outcome, Packet
from testbed.trace.prediction import World, kept_ways, ways
from tests.addresses import PLAN

POD, WEB, OTHER = PLAN.pods["web-1"], PLAN.pods["web-0"], PLAN.pods["web-2"]
N1, N2, HOST = PLAN.nodes["n1"], PLAN.nodes["n2"], PLAN.hosts["client"]
SERVICE = PLAN.target("web")
BALANCED, PROXIED = "203.0.113.7", "203.0.113.8"
WORLD = World(
    pods={POD: "client", WEB: "web-0", OTHER: "web-2"},
    pod_nodes={"client": "n1", "web-0": "n1", "web-2": "n2"},
    nodes={"n1": (N1,), "n2": (N2,)},
    hosts={"outside": (HOST,)},
    balanced={BALANCED: ("n1", "n2"), PROXIED: ()},
)


@dataclass(frozen=True)
class Rules:
    """A node that sends what is for the service to either pod, and masquerades what a host asks."""

    kept: str = "list-of-web-2"

    def from_wire(self, packet: Packet, recent: Iterable[str] = ()) -> tuple[Outcome, ...]:
        if packet.dst not in (SERVICE, N1, BALANCED):
            return (Outcome(1.0, "accepted", packet, ("passes",)),)
        targets = [OTHER] if self.kept in recent else [WEB, OTHER]
        return tuple(
            Outcome(
                1 / len(targets),
                "accepted",
                Packet(
                    "tcp",
                    packet.src,
                    ip,
                    8080,
                    translated=True,
                    masqueraded=packet.src == HOST,
                    remembered=(f"list-of-{WORLD.pods[ip]}",),
                ),
                (f"to {ip}",),
            )
            for ip in targets
        )

    from_node = from_wire


TRACERS = {"n1": Rules(), "n2": Rules()}


def shown(source: str, start: str, dst: str) -> list[tuple[float, str, str, str]]:
    found = ways(Packet("tcp", source, dst, 80), start, WORLD, TRACERS)
    return [(way.probability, way.verdict, way.who, way.source) for way in found]


@pytest.mark.parametrize(
    ("source", "start", "dst", "expected"),
    [
        (POD, "client", SERVICE, [(0.5, "web-0", POD), (0.5, "web-2", POD)]),
        (HOST, "outside", N1, [(0.5, "web-0", N1), (0.5, "web-2", N1)]),
        (
            HOST,
            "outside",
            BALANCED,
            [(0.25, "web-0", N1), (0.25, "web-2", N1), (0.25, "web-0", N2), (0.25, "web-2", N2)],
        ),
        (POD, "client", WEB, [(1.0, "web-0", POD)]),
        (N1, "n1", SERVICE, [(0.5, "web-0", N1), (0.5, "web-2", N1)]),
        (POD, "client", HOST, [(1.0, "outside", POD)]),
        (POD, "client", N2, [(1.0, "n2", POD)]),
    ],
)
def test_who_is_reached_and_whom_they_see(
    source: str, start: str, dst: str, expected: list[tuple[float, str, str]]
) -> None:
    assert shown(source, start, dst) == [(p, "delivered", who, src) for p, who, src in expected]


def test_every_node_s_rules_are_on_the_way() -> None:
    _, far = ways(Packet("tcp", POD, SERVICE, 80), "client", WORLD, TRACERS)
    assert far.steps == (("n1", (f"to {OTHER}",)), ("n2", ("passes",)))


@pytest.mark.parametrize(
    ("source", "start", "dst"), [(HOST, "outside", SERVICE), (POD, "client", "203.0.113.9")]
)
def test_what_nobody_has_is_unreachable(source: str, start: str, dst: str) -> None:
    assert [row[1] for row in shown(source, start, dst)] == ["unreachable"]


@pytest.mark.parametrize(("source", "start"), [(HOST, "outside"), (POD, "client")])
def test_where_a_balancer_dials_itself_nothing_is_foretold(source: str, start: str) -> None:
    assert [row[1] for row in shown(source, start, PROXIED)] == ["unknown"]


def test_what_a_pod_has_that_is_not_there_is_dropped() -> None:
    ghost = "198.51.100.77"
    world = replace(
        WORLD,
        pods={**WORLD.pods, ghost: "crowd-0"},
        pod_nodes={**WORLD.pod_nodes, "crowd-0": "ghost"},
    )
    (way,) = ways(Packet("tcp", POD, ghost, 80), "client", world, TRACERS)
    assert (way.verdict, way.reason) == ("dropped", "crowd-0 is fake")


@pytest.mark.parametrize(
    ("start", "to", "share"),
    [("client", OTHER, 1.0), ("outside", N2, 1.0), ("outside", BALANCED, 0.75)],
)
def test_what_leads_to_a_stopped_node_is_dropped(start: str, to: str, share: float) -> None:
    world, rules = replace(WORLD, stopped=frozenset({"n2"})), {"n1": Rules()}
    packet = Packet("tcp", POD if start == "client" else HOST, to, 80)
    found = ways(packet, start, world, rules)
    dropped = [way.probability for way in found if way.reason == "n2 is stopped"]
    assert sum(dropped) == share


def test_a_client_that_affinity_knows_has_one_way() -> None:
    found = kept_ways(Packet("tcp", POD, SERVICE, 80), "client", WORLD, TRACERS)
    assert ("web-2", 1.0) in {(way.who, way.probability) for way in found}


@pytest.mark.parametrize(
    ("links", "here", "there"),
    [
        ({"overlay": {"n1": "10.244.0.1"}}, N1, "10.244.0.1"),
        ({"gateways": {"n1": "10.244.0.1"}}, "10.244.0.1", N1),
        (
            {"overlay": {"n1": "10.244.0.1"}, "gateways": {"n1": "10.244.0.1"}},
            *("10.244.0.1", "10.244.0.1"),
        ),
    ],
    ids=["own link for tunnels", "a plug-in's bridge", "one bridge for all"],
)
def test_a_node_hides_others_behind_its_address_on_the_link_they_leave_by(
    links: dict[str, dict[str, str]], here: str, there: str
) -> None:
    world = replace(WORLD, **links)
    found = ways(Packet("tcp", HOST, N1, 80), "outside", world, TRACERS)
    assert {way.who: way.source for way in found} == {"web-0": here, "web-2": there}
