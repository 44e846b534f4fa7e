"""The soak's verdict on simulated events: it must be able to find what it looks for."""

from __future__ import annotations

import pandas as pd
import pytest

from bench.soak import AT_ONCE, SERVICES, rounds
from bench.soak_verdict import (
    FOREVER_NS,
    Connection,
    Withdrawn,
    stray_connections,
    with_picks,
    withdrawals,
)
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


TCP, UDP = 6, 17


def test_a_pick_is_the_connection_s_whose_protocol_and_port_it_has() -> None:
    """The recorder hears of a pick late: by then the client may use the port again, by another protocol too."""
    dialled = pd.DataFrame(
        [
            (100, "10.244.0.9", 4000, UDP, "udp-service", "web-0"),
            (150, "10.244.0.9", 4000, TCP, "tcp-service", "web-1"),
            (400, "10.244.0.9", 4000, TCP, "tcp-service", "web-2"),
        ],
        columns=["start_ns", "src_ip", "src_port", "protocol", "target", "backend"],
    )
    picked = pd.DataFrame(
        [
            ("n1", UDP, "10.244.0.9", 4000, "10.244.0.2", 160),
            ("n1", TCP, "10.244.0.9", 4000, "10.244.1.2", 170),
            ("n1", TCP, "10.244.0.9", 4001, "10.244.1.2", 180),
        ],
        columns=["node", "protocol", "src_ip", "src_port", "backend_ip", "t_ns"],
    )
    joined = with_picks(dialled, picked)
    assert list(zip(joined["start_ns"], joined["backend"], strict=True)) == [
        (100, "web-0"),
        (150, "web-1"),
    ]


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
