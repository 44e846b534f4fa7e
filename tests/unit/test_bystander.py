"""The bystander's states and verdict, on made-up samples: it must be able to find what it looks for."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pandas as pd
import pytest

from bench.bystander import Plan, failures, judged
from bench.neighbours import AT_ONCE, NEIGHBOURS, cluster_ip, objects, rounds
from bench.soak_verdict import Offer
from testbed.events import Event

Request = tuple[int, str, str]
"""(connection, who answered, outcome)."""

VERDICTS: list[tuple[str, list[Request], list[str]]] = [
    ("answered", [(1, "subject-0", "ok"), (2, "subject-1", "ok")], []),
    ("refused", [(1, "subject-0", "ok"), (2, "", "refused")], ["refused"]),
    ("never answered", [(1, "", "timeout")], ["timeout"]),
    ("cut off at the end", [(1, "", "censored")], ["censored"]),
    ("a neighbour's pod", [(1, "other-2", "ok")], ["answered by other-2"]),
    (
        "a kept flow that moved once",
        [(1, "subject-0", "ok"), (1, "subject-1", "ok"), (1, "subject-1", "ok")],
        ["answered by subject-1, before by subject-0"],
    ),
]


def samples(requests: Sequence[Request]) -> pd.DataFrame:
    """A request each 10 ns, of 5 ns."""
    return pd.DataFrame(
        [
            (10 * n, 10 * n + 5, connection, 40_000 + connection, backend, outcome)
            for n, (connection, backend, outcome) in enumerate(requests)
        ],
        columns=["start_ns", "end_ns", "connection", "src_port", "backend", "outcome"],
    )


@pytest.mark.parametrize(
    ("name", "requests", "expected"), VERDICTS, ids=[row[0] for row in VERDICTS]
)
def test_what_counts_as_a_failure(name: str, requests: list[Request], expected: list[str]) -> None:
    found = [text.partition("ns: ")[2] for text in failures("kept udp", samples(requests))]
    assert found == expected


def sync(start_ns: int, end_ns: int, *, full: bool = False, error: str = "") -> Event:
    detail = {"start_ns": start_ns, "end_ns": end_ns, "full": full, "error": error}
    return Event(end_ns, "proxy", "n1", "sync", "", 1, detail)


def test_a_result_tells_syncs_and_the_requests_beside_them() -> None:
    rows = samples([(n, "subject-0", "ok") for n in range(10)])
    syncs = [sync(0, 3, full=True), sync(31, 44), sync(46, 49), sync(95, 99, error="no room")]
    result = judged(Plan("nftables", 1), {"new tcp": rows}, syncs)
    assert (result.syncs, result.full_syncs) == ({"n1": 3}, 1)
    assert result.beside_a_sync == 3  # of 0-5, 30-35, 40-45; not of 50-55
    assert result.failures == ["n1 could not sync: no room"]
    assert not result.right


PODS = {
    f"{name}-{n}": Offer(f"10.244.{n}.2", f"n{n}") for name in ("subject", "other") for n in (1, 2)
}


def test_neighbours_come_change_and_go() -> None:
    states = list(rounds(tuple(PODS), 40, crowd=50, seed=1))
    assert states == list(rounds(tuple(PODS), 40, crowd=50, seed=1))
    assert states != list(rounds(tuple(PODS), 40, crowd=50, seed=2))
    sizes = [len(state) for state in states]
    assert [size > NEIGHBOURS for size in sizes].count(True) == 1
    small = [{one.number: one for one in state if one.number < NEIGHBOURS} for state in states]
    for before, after in pairwise(small):
        changed = [n for n in range(NEIGHBOURS) if before.get(n) != after.get(n)]
        assert 0 < len(changed) <= AT_ONCE
    seen = [one for state in small for one in state.values()]
    for trait in ("node_port", "sticky", "local", "pods"):
        assert {bool(getattr(one, trait)) for one in seen} == {True, False}
    assert {one.port for one in seen if one.number == 1} == {80, 81}


def test_every_neighbour_has_addresses_of_its_own() -> None:
    (state,) = rounds(tuple(PODS), 1, crowd=500, seed=3)
    services = objects(state, PODS)[::2]
    addresses = {service.cluster_ip for service in services}  # type: ignore[attr-defined]
    assert len(addresses) == len(services) > 500
    assert cluster_ip(0) != cluster_ip(250)
