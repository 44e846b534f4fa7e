"""The DNS bench's rows: every figure of ours beside each peer's, of the same condition."""

from __future__ import annotations

from bench.dns import PEERS, compared
from bench.dns_race import Seen


def seen(server: str, rate_rps: float, p99_us: float) -> Seen:
    return Seen(server, "a process", False, rate_rps, 1, 0, 2 * p99_us, p99_us, 5.0, 30.0)


def test_rates_have_to_reach_dnsmasqs_and_percentiles_twice_anybodys() -> None:
    rows = [seen("testbed", 90.0, 30.0), seen("dnsmasq", 100.0, 20.0), seen("unbound", 120.0, 10.0)]
    found = list(compared("DNS", rows))
    assert [row.peer.name for row in found if row.peer] == [PEERS[0]] * 3 + [PEERS[1]] * 3
    assert [row.met for row in found] == [False, True, True, True, False, False]
    assert [row.figure for row in found] == [0.9, 1.5, 1.5, 0.75, 3.0, 3.0]
    assert "1 lost" in found[0].note
