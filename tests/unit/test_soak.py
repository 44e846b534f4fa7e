"""The soak's verdict on simulated events: it must be able to find what it looks for."""

from __future__ import annotations

import pytest

from bench.ipvs_choices import Look, parse, read, stood_still
from bench.soak import AT_ONCE, SERVICES, rounds
from bench.soak_verdict import FOREVER_NS, Connection, Withdrawn, stray_connections, withdrawals
from testbed.events import Event

SERVICE, POD = "default/svc-0", "10.244.0.2"


def endpoint(version: int, ready: bool) -> Event:
    kind = "endpoint-ready" if ready else "endpoint-not-ready"
    return Event(version, "store", "n1", kind, SERVICE, version, {"pod_ip": POD})


def sync(version: int, start_ns: int, end_ns: int, node: str = "n1", error: str = "") -> Event:
    detail = {"start_ns": start_ns, "end_ns": end_ns, "error": error}
    return Event(end_ns, "proxy", node, "sync", "", version, detail)


GONE, BACK = endpoint(10, False), endpoint(20, True)

TIMELINES: list[tuple[str, list[Event], list[Withdrawn]]] = [
    ("for good, from the sync's end", [GONE, sync(12, 100, 150)], [Withdrawn(150, FOREVER_NS)]),
    ("an older version's sync does not count", [sync(9, 50, 60), GONE], []),
    ("a failed sync does not count", [GONE, sync(12, 100, 150, error="x")], []),
    ("another node's sync does not count", [GONE, sync(12, 100, 150, "n2")], []),
    (
        "until the return begins to be programmed",
        [GONE, sync(12, 100, 150), BACK, sync(21, 200, 250)],
        [Withdrawn(150, 200)],
    ),
    ("gone and back in one sync: never withdrawn", [GONE, BACK, sync(21, 200, 250)], []),
    ("never gone", [BACK, sync(21, 200, 250)], []),
]


@pytest.mark.parametrize(
    ("name", "events", "expected"), TIMELINES, ids=[row[0] for row in TIMELINES]
)
def test_when_a_node_has_withdrawn_a_backend(
    name: str, events: list[Event], expected: list[Withdrawn]
) -> None:
    gone = withdrawals(events, ["n1", "n2"])
    assert gone.get(("n1", SERVICE), {}).get(POD, []) == expected


@pytest.mark.parametrize(
    ("name", "made", "strays"),
    [
        ("begun after it", Connection("n1", SERVICE, POD, 160, 170), 1),
        ("begun before it", Connection("n1", SERVICE, POD, 140, 170), 0),
        ("another backend", Connection("n1", SERVICE, "10.244.0.3", 160, 170), 0),
        ("another node", Connection("n2", SERVICE, POD, 160, 170), 0),
        ("another service", Connection("n1", "default/svc-1", POD, 160, 170), 0),
        ("picked when it was back", Connection("n1", SERVICE, POD, 160, 210), 0),
    ],
)
def test_who_reached_a_withdrawn_backend(name: str, made: Connection, strays: int) -> None:
    gone = withdrawals([GONE, sync(12, 100, 150), BACK, sync(21, 200, 250)], ["n1", "n2"])
    assert len(stray_connections([made], gone)[0]) == strays


def test_rounds_change_as_many_endpoints_as_they_are_asked_for() -> None:
    pods = ("a", "b", "c")
    states = list(rounds(pods, 500, seed=1))
    assert states == list(rounds(pods, 500, seed=1)) != list(rounds(pods, 500, seed=2))
    before, done = tuple(pods for _ in range(SERVICES)), 0
    for state, total in states:
        moved = [set(old) ^ set(new) for old, new in zip(before, state, strict=True)]
        assert sum(bool(one) for one in moved) <= AT_ONCE
        done += sum(map(len, moved))
        assert total == done
        assert all(state)
        before = state
    assert done >= 500


LISTED = """\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes
  -> RemoteAddress:Port
TCP  10.96.250.1:80                     14       90       72     5000     4800
  -> 10.244.0.2:8080                     9       60       48     3000     2900
  -> 10.244.1.2:8080                     5       30       24     2000     1900
UDP  10.96.250.20:80                     0        0        0        0        0
"""
KEY = "10.96.250.1:80 10.244.0.2:8080"


def test_what_ipvs_lists_is_read() -> None:
    assert parse(LISTED) == {KEY: 9, "10.96.250.1:80 10.244.1.2:8080": 5}
    assert read(['{"began_ns": 1, "ended_ns": 2, "changed": {"a b": null}}']) == [
        Look(1, 2, {"a b": None})
    ]


FIRST = Look(100, 110, {KEY: 9})


@pytest.mark.parametrize(
    ("name", "later", "proven"),
    [
        ("not chosen", [Look(200, 210, {})], True),
        ("chosen", [Look(200, 210, {KEY: 10})], False),
        ("another was chosen", [Look(200, 210, {"other": 4})], True),
        ("chosen, later", [Look(200, 210, {}), Look(300, 310, {KEY: 10})], True),
        ("removed meanwhile", [Look(200, 210, {KEY: None})], False),
        ("no look after it", [], False),
        ("looked while it began", [Look(119, 121, {})], False),
        ("chosen between two looks", [Look(130, 131, {KEY: 10}), Look(200, 210, {})], False),
    ],
)
def test_a_count_that_stood_still_proves_that_nobody_was_chosen(
    name: str, later: list[Look], proven: bool
) -> None:
    assert stood_still([FIRST, *later], KEY, 120, 140) is proven
    assert not stood_still(later, KEY, 120, 140), "without a look before it"


def test_a_destination_that_is_not_there_cannot_be_chosen() -> None:
    gone = [FIRST, Look(111, 112, {KEY: None}), Look(200, 210, {})]
    assert stood_still(gone, KEY, 120, 140)
