"""From what probes, kernels and rules say to observations."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.analysis.run import Verdict
from testbed.claims import edges, failures
from testbed.claims.balance import probabilities
from testbed.claims.claim import Observation
from testbed.claims.entries import Entry, entry_of, knowing, parse
from testbed.claims.judging import always
from testbed.claims.rules_read import tracer
from testbed.events import Event
from testbed.proxy.packet import Packet, UnknownRuleError

LISTING = """\
tcp      6 119 TIME_WAIT src=10.244.0.9 dst=10.96.0.7 sport=4000 dport=80 src=10.244.1.2 \
dst=10.244.0.9 sport=8080 dport=4000 [ASSURED] mark=0 use=1
tcp      6 60 SYN_SENT src=10.244.0.9 dst=10.244.1.2 sport=4001 dport=8080 [UNREPLIED] \
src=10.244.1.2 dst=10.244.0.9 sport=8080 dport=4001 mark=0 use=1
tcp      6 9 CLOSE src=198.51.100.9 dst=192.0.2.2 sport=5000 dport=30080 src=10.244.1.2 \
dst=192.0.2.2 sport=8080 dport=6000 [ASSURED] use=1
icmp     1 29 src=10.244.0.9 dst=10.244.1.2 type=8 code=0 id=1 src=10.244.1.2 dst=10.244.0.9 type=0 \
code=0 id=1 use=1
conntrack v1.4.7: 4 flow entries have been shown.
"""


def test_entries_of_a_kernel() -> None:
    service, direct, node_port = parse(LISTING)
    assert service == Entry(
        "10.244.0.9:4000", "10.96.0.7:80", "10.244.1.2:8080", "10.244.0.9:4000", True
    )
    assert service.translated
    assert (direct.translated, direct.replied) == (False, False)
    assert node_port.reply_dst == "192.0.2.2:6000"
    assert entry_of([service, direct], "10.244.0.9:4001", "10.244.1.2:8080") == direct
    assert entry_of([service, direct], "10.244.0.9:4001", "10.96.0.7:80") is None
    assert knowing({"n1": [service], "n2": [direct]}, "10.96.0.7:80") == {"n1": 1}


FAULT_NS = 1_000_000_000
SECOND_NS = 1_000_000_000


def rows(*failed_ms: float, until_ms: float = 2000.0) -> list[list[Any]]:
    """A request each 10 ms from 100 ms before the crash; those within a failed time were refused."""
    found = []
    for at_ms in range(-100, int(until_ms), 10):
        error = "refused" if at_ms in failed_ms else ""
        found.append([FAULT_NS + at_ms * 1_000_000, "" if error else "frail-1", error])
    return found


@pytest.mark.parametrize(
    ("flows", "verdict", "says"),
    [
        ([rows()], "holds", "requests was lost in 1 trial"),
        ([rows(0, 10, 50)], "holds", "3 requests lost in 1 trial, the last one 50 ms"),
        ([rows(), rows(10, 900)], "does not hold", "the last one 900 ms after the crash"),
        ([[], []], "undecided", "No flow led to the pod"),
    ],
    ids=["nothing lost", "lost at once", "lost later", "no flow"],
)
def test_a_crash(flows: list[list[list[Any]]], verdict: Verdict, says: str) -> None:
    seen = failures.lost(flows, FAULT_NS, FAULT_NS + SECOND_NS)
    judged = failures.judge_crash([seen], "nftables")
    assert judged.verdict == verdict
    assert says in judged.answer


@pytest.mark.parametrize(
    ("failed_ms", "verdict"),
    [((100, 490), "holds"), ((100, 510), "does not hold")],
    ids=["before the sync", "after the sync"],
)
def test_nobody_goes_to_a_pod_that_the_rules_have_lost(
    failed_ms: tuple[float, ...], verdict: Verdict
) -> None:
    written = Event(FAULT_NS + 400_000_000, "store", "", "endpoint-not-ready", "", 7, {})
    synced = {"n1": Event(FAULT_NS + 500_000_000, "proxy", "n1", "sync", "", 7, {})}
    seen = failures.after_sync({"n1": rows(*failed_ms)}, "frail-0", written, synced)
    assert seen["window_ms"] == 100.0
    assert always([seen], "nftables").verdict == verdict


def test_a_pod_that_is_back_may_be_picked_again() -> None:
    assert failures.before(rows(100, 490), FAULT_NS + 200_000_000) == [
        row for row in rows(100, 490) if row[0] < FAULT_NS + 200_000_000
    ]
    assert failures.before(rows(100, 490), None) == rows(100, 490)


def test_silence_on_tcp_tells_of_the_machine_not_of_the_pod() -> None:
    silent = [[FAULT_NS, "", "timeout"], [FAULT_NS, "", "refused"]]
    assert failures.telling(silent) == silent[1:]


@pytest.mark.parametrize(
    ("error", "verdict", "says"),
    [
        ("closed", "holds", "1 connection closed in 1 trial, the last one 900 ms"),
        ("timeout", "does not hold", "1 request lost in 1 trial, the last one 900 ms"),
    ],
)
def test_a_kept_connection_that_is_closed_tells_its_client(
    error: str, verdict: Verdict, says: str
) -> None:
    flow = [[FAULT_NS + 900_000_000, "", error]]
    seen = failures.lost([flow], FAULT_NS, None, closes=True)
    judged = failures.judge_crash([seen], "nftables")
    assert judged.verdict == verdict
    assert says in judged.answer


SAVED = """\
*nat
:KUBE-SERVICES - [0:0]
:KUBE-SVC-LOLE4ISW44XBNF3G - [0:0]
-A KUBE-SERVICES -d 10.96.0.7/32 -p tcp -m comment --comment "default/web cluster IP" -m tcp \
--dport 80 -j KUBE-SVC-LOLE4ISW44XBNF3G
-A KUBE-SVC-LOLE4ISW44XBNF3G -m comment --comment "default/web -> 10.244.0.3:8080" -m statistic \
--mode random --probability 0.33333333349 -j KUBE-SEP-A
-A KUBE-SVC-LOLE4ISW44XBNF3G -m comment --comment "default/web -> 10.244.1.2:8080" -m statistic \
--mode random --probability 0.50000000000 -j KUBE-SEP-B
-A KUBE-SVC-LOLE4ISW44XBNF3G -m comment --comment "default/web -> 10.244.2.2:8080" -j KUBE-SEP-C
COMMIT
"""


def test_probabilities_are_read_from_the_rules() -> None:
    found = probabilities("iptables-nft", SAVED)
    assert [round(chance, 6) for chance in found] == [0.333333, 0.5, 1.0]
    with pytest.raises(UnknownRuleError, match="default/other"):
        probabilities("iptables-nft", SAVED, "default/other")


DIALLED = {
    "host": "192.0.2.2",
    "port": 30080,
    "node": "n1",
    "own": "198.51.100.9:5000",
    "who": "web-0",
}


def test_a_node_port_goes_to_the_pod_without_the_cluster_address() -> None:
    known = {"n1": parse(LISTING)}
    seen: Observation = edges.by_cluster_address(
        [DIALLED], known, "10.96.0.7", ("KUBE-EXT → DNAT", True)
    )
    judged = always([seen], "iptables-nft")
    assert judged.verdict == "does not hold"
    assert "192.0.2.2:30080 became 10.244.1.2:8080" in judged.answer


def test_a_node_port_that_does_go_by_it() -> None:
    entry = Entry("198.51.100.9:5000", "192.0.2.2:30080", "10.96.0.7:80", "192.0.2.2:6000", True)
    seen = edges.by_cluster_address([DIALLED], {"n1": [entry]}, "10.96.0.7", ("to 10.96.0.7", True))
    assert always([seen], "").verdict == "holds"


@pytest.mark.parametrize("mode", ["iptables-nft", "nftables"])
def test_rules_of_nothing_let_packets_pass(mode: str) -> None:
    text = "" if mode == "nftables" else "*nat\nCOMMIT\n*filter\nCOMMIT\n"
    (outcome,) = tracer(mode, text, ["192.0.2.2"]).from_wire(
        Packet("tcp", "198.51.100.9", "192.0.2.2", 30080)
    )
    assert outcome.verdict == "accepted"
