"""What was seen, beside what the rules foretell."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.cli.trace_text import seen_ways
from testbed.trace.comparison import disagreements, handed_up, is_foretold, observed_end
from testbed.trace.evidence import Evidence, Told
from testbed.trace.hits import Met
from testbed.trace.prediction import Way, World
from testbed.trace.sightings import Leg, sightings
from tests.addresses import PLAN
from tests.unit.packets.frames import ethernet, icmp, ip, tcp
from tests.unit.trace.test_sightings import seen

POD, WEB, NODE = PLAN.pods["web-1"], PLAN.pods["web-0"], PLAN.nodes["n1"]
WORLD = World({POD: "client", WEB: "web-0"}, {"client": "n1", "web-0": "n1"}, {"n1": (NODE,)})
RULE = "-A KUBE-SERVICES -j KUBE-SVC-A"
DUMP = "*nat\n:KUBE-SERVICES - [0:0]\n"
TO_WEB = Way(1.0, "delivered", "web-0", POD, steps=(("n1", (RULE,)),))
DELIVERED = {"verdict": "delivered", "who": "web-0", "source": POD}


def evidence(lost: int = 0, deaf: dict[str, str] | None = None) -> Evidence:
    told = Told(DUMP, "iptables-nft", "", (), None, 0, "")
    return Evidence(
        proxy="iptables-nft",
        source={"kind": "pod", "name": "client", "node": "n1"},
        protocol="tcp",
        lookup=None,
        bound=(POD, 40000, WEB, 8080),
        dialled=WEB,
        dialled_port=8080,
        outcome="ok",
        report={},
        told={"n1": told},
        deaf=deaf or {},
        lost=lost,
        realtime_offset_ns=0,
        services=(),
        world=WORLD,
    )


def met(*rules: str) -> dict[str, list[Met]]:
    return {"n1": [Met("nat", "KUBE-SERVICES", rule, "", None) for rule in rules]}


@pytest.mark.parametrize(
    ("observed", "rules", "expected"),
    [
        (DELIVERED, met(RULE), []),
        (DELIVERED, met(RULE, "-A FORWARD -j DROP"), ["n1: met, not foretold: -A FORWARD -j DROP"]),
        (
            DELIVERED,
            met("-A X -j Y"),
            [f"n1: foretold, not met: {RULE}", "n1: met, not foretold: -A X -j Y"],
        ),
        (
            {"verdict": "dropped", "who": "n1", "source": ""},
            met(RULE),
            [f"it was dropped; the rules say delivered to web-0, which sees {POD}"],
        ),
        (
            {"verdict": "delivered", "who": "web-0", "source": NODE},
            met(RULE),
            [
                f"it was delivered to web-0, which sees {NODE};"
                f" the rules say delivered to web-0, which sees {POD}"
            ],
        ),
    ],
)
def test_differences_are_told(
    observed: dict[str, Any], rules: dict[str, list[Met]], expected: list[str]
) -> None:
    assert disagreements(observed, rules, [TO_WEB], evidence()) == expected


def test_rules_are_not_held_against_a_kernel_that_told_less() -> None:
    assert disagreements(DELIVERED, met("-A X -j Y"), [TO_WEB], evidence(lost=1)) == []
    assert disagreements(DELIVERED, met("-A X -j Y"), [TO_WEB], evidence(deaf={"n1": "why"})) == []


def test_behind_a_bridge_only_what_was_told_is_compared() -> None:
    sent = [("client/eth0", "out", SYN), ("n1/pod1", "in", SYN)]
    passed_on = Leg(tuple(sightings(seen([*sent, ("n1/tunnel", "out", SYN)]))), ())
    routed = Leg(tuple(sightings(seen([*sent, ("n1/cni0", "in", SYN)]))), ())
    assert (handed_up([passed_on]), handed_up([routed])) == (frozenset(), {"n1"})
    assert disagreements(DELIVERED, met(), [TO_WEB], evidence(), {"n1"}) == []
    expected = ["n1: met, not foretold: -A X -j Y"]
    assert disagreements(DELIVERED, met("-A X -j Y"), [TO_WEB], evidence(), {"n1"}) == expected


def test_where_a_rule_is_not_understood_nothing_is_foretold() -> None:
    unknown = Way(1.0, "unknown", reason="a rule")
    assert not is_foretold([TO_WEB, unknown])
    assert disagreements(DELIVERED, met(RULE), [unknown], evidence()) == []


SYN = ethernet(ip(POD, WEB, "tcp", tcp(40000, 8080, "S")))
REFUSAL = ethernet(ip(NODE, POD, "icmp", icmp(3, 3, SYN[14:42])))
LOST = ethernet(ip(POD, PLAN.addresses["web"], "tcp", tcp(40000, 8080, "S")))
"""To an address that no machine has."""
SENT = ("client/eth0", "out", SYN)
ENDS = (
    (
        "a pod got it",
        [SENT, ("n1/pod1", "in", SYN), ("web-0/eth0", "in", SYN)],
        [],
        "delivered",
        "web-0",
    ),
    ("it went no further", [SENT, ("n1/pod1", "in", SYN)], [], "dropped", "n1"),
    (
        "the node refused it",
        [SENT, ("n1/pod1", "in", SYN)],
        [("n1/pod1", "out", REFUSAL)],
        "rejected",
        "n1",
    ),
    (
        "a router on the way knows no way",
        [("client/eth0", "out", LOST)],
        [("client/eth0", "in", ethernet(ip(NODE, POD, "icmp", icmp(3, 0, LOST[14:42]))))],
        "unreachable",
        "",
    ),
)


@pytest.mark.parametrize(
    ("request_", "reply", "verdict", "who"), [row[1:] for row in ENDS], ids=[row[0] for row in ENDS]
)
def test_where_it_ended(request_: Any, reply: Any, verdict: str, who: str) -> None:
    leg = Leg(tuple(sightings(seen(request_))), tuple(sightings(seen(reply))))
    found = observed_end(evidence(), [leg])
    assert (found["verdict"], found["who"]) == (verdict, who)


def test_of_ways_to_one_pod_that_one_is_marked_whose_source_it_saw() -> None:
    here, there = ({"verdict": "delivered", "who": "web-0", "source": ip} for ip in (POD, NODE))
    closed = {"verdict": "closed", "who": "web-0", "source": POD}
    assert seen_ways([here, there, closed], here) == [here]
    assert seen_ways([here, there], {**here, "source": WEB}) == [here, there]
    assert seen_ways([here, there], closed) == []
