"""Samples joined with conntrack entries and accept logs."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from testbed.traffic import accept_log, conntrack
from testbed.traffic.ledger import ACCOUNTS, join, ledger

CLIENT, NODE_IP = "10.244.1.9", "172.18.0.2"
WEB_0, WEB_1 = "10.244.2.2", "10.244.3.2"
PODS = {WEB_0: "web-0", WEB_1: "web-1"}
VIP = "10.96.0.3:80"
S = 1_000_000_000


def sample(begin_s: float, port: int, outcome: str = "ok", **more: Any) -> dict[str, Any]:
    """A request from the client on n1 to the service; `backend` as the outcome lets it be."""
    start_ns = round(begin_s * S)
    return {
        "stream": "main",
        "client": "client-0",
        "client_node": "n1",
        "connection": port,
        "start_ns": start_ns,
        "resolved_ns": None,
        "connected_ns": start_ns + 1000,
        "src_ip": CLIENT,
        "src_port": port,
        "target": VIP,
        "backend": None,
        "outcome": outcome,
    } | more


def entry(t_s: float, port: int, backend: str, **more: Any) -> dict[str, Any]:
    """What n1's kernel made of a connection to the service."""
    return {
        "t_ns": round(t_s * S),
        "node": "n1",
        "protocol": 6,
        "src_ip": CLIENT,
        "src_port": port,
        "dst_ip": "10.96.0.3",
        "dst_port": 80,
        "reply_src_ip": backend,
        "reply_src_port": 8080,
        "reply_dst_ip": CLIENT,
        "reply_dst_port": port,
        "event": "new",
    } | more


def samples_of(*rows: dict[str, Any]) -> pd.DataFrame:
    times = ("start_ns", "resolved_ns", "connected_ns")
    texts = ("backend", "outcome", "src_ip", "target", "client_node")
    return pd.DataFrame(rows).astype(dict.fromkeys(times, "Int64") | dict.fromkeys(texts, "string"))


def entries_of(*rows: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(conntrack.COLUMNS)).astype(conntrack.COLUMNS)


def accepts(*rows: tuple[float, int], ip: str = CLIENT) -> pd.DataFrame:
    return pd.DataFrame(
        [(round(t_s * S), ip, port, accept_log.TCP) for t_s, port in rows],
        columns=["t_ns", "src_ip", "src_port", "protocol"],
    )


def picks(samples: pd.DataFrame, entries: pd.DataFrame) -> list[Any]:
    picked = join(samples, entries, PODS)["picked_backend"]
    return [None if value is pd.NA else value for value in picked]


def test_the_kernels_pick_stands_beside_every_request_of_the_connection() -> None:
    samples = samples_of(
        sample(1, 40000, backend="web-0"),
        sample(2, 40000, backend="web-0", connected_ns=None),
        sample(1.5, 40001, "timeout"),
        sample(1.6, 40002, "refused", src_ip=None, src_port=0),
    )
    entries = entries_of(entry(1.001, 40000, WEB_0), entry(1.501, 40001, WEB_1))
    joined = join(samples, entries, PODS)
    assert picks(samples, entries) == ["web-0", "web-0", "web-1", None]
    assert joined["picked_ns"].dropna().tolist() == [1_001_000_000, 1_001_000_000, 1_501_000_000]
    assert joined["outcome"].tolist() == samples["outcome"].tolist()


def test_an_ipv6_target_is_spelled_with_brackets() -> None:
    ends = {"src_ip": "fd00:10:244::5", "dst_ip": "fd00:10:96::3"}
    seen = {"reply_src_ip": "fd00:10:244:1::2", "reply_dst_ip": ends["src_ip"]}
    samples = samples_of(
        sample(1, 40000, backend="web-0", src_ip=ends["src_ip"], target="[fd00:10:96::3]:80"),
        sample(1, 40001, backend="web-0"),
    )
    entries = entries_of(entry(1.001, 40000, "", **ends, **seen), entry(1.002, 40001, WEB_0))
    joined = join(samples, entries, PODS | {"fd00:10:244:1::2": "web-0"})
    assert list(joined["picked_backend"]) == ["web-0", "web-0"]
    assert list(joined["outcome"]) == ["ok", "ok"]


def test_a_port_that_comes_round_again_is_told_apart_by_time() -> None:
    samples = samples_of(
        sample(1, 40000, "timeout", connection=1),
        sample(61, 40000, "timeout", connection=2),
        sample(121, 40000, "timeout", connection=3),
    )
    entries = entries_of(
        entry(1.5, 40000, WEB_0), entry(61.5, 40000, WEB_1), entry(121.5, 40000, WEB_0)
    )
    assert picks(samples, entries) == ["web-0", "web-1", "web-0"]
    assert picks(samples, entries.iloc[[0, 2]]) == ["web-0", None, "web-0"]


def test_other_nodes_other_services_and_ends_are_not_picks() -> None:
    samples = samples_of(sample(1, 40000, "timeout"))
    entries = entries_of(
        entry(1.1, 40000, WEB_0, event="destroy"),
        entry(1.2, 40000, WEB_0, node="n2"),
        entry(1.3, 40000, WEB_0, dst_ip="10.96.0.99"),
        entry(1.4, 40000, WEB_1),
    )
    assert picks(samples, entries) == ["web-1"]


def test_an_outside_clients_pick_is_that_of_the_node_it_dialled() -> None:
    target = f"{NODE_IP}:30080"
    samples = samples_of(sample(1, 40000, "timeout", client_node="", target=target))
    entries = entries_of(
        entry(1.1, 40000, WEB_1, node="n2", dst_ip=NODE_IP, dst_port=30080),
    )
    assert picks(samples, entries) == ["web-1"]


def test_streams_may_number_their_connections_alike() -> None:
    samples = samples_of(
        sample(1, 40000, "timeout", connection=1),
        sample(1, 40001, "timeout", connection=1, stream="control"),
    )
    entries = entries_of(entry(1.1, 40000, WEB_0), entry(1.2, 40001, WEB_1))
    assert picks(samples, entries) == ["web-0", "web-1"]


@pytest.mark.parametrize(
    ("answered", "outcome"), [("web-0", "ok"), ("web-1", "wrong_backend"), (None, "ok")]
)
def test_an_answer_from_another_pod_than_the_picked_one(answered: str | None, outcome: str) -> None:
    samples = samples_of(sample(1, 40000, backend=answered))
    assert join(samples, entries_of(entry(1.1, 40000, WEB_0)), PODS)["outcome"].tolist() == [
        outcome
    ]


LEDGER_ROWS = [
    ("accepted", sample(1, 40000), True, "accepted"),
    ("accepted, then silence", sample(1, 40000, "timeout"), True, "accepted"),
    ("handshake, never accepted", sample(1, 40000, "timeout"), False, "backlog"),
    ("killed in the backlog", sample(1, 40000, "reset"), False, "backlog"),
    ("no handshake", sample(1, 40000, "timeout", connected_ns=None), False, "unanswered"),
    ("no route", sample(1, 40000, "unreachable", connected_ns=None), False, "unanswered"),
    ("refused", sample(1, 40000, "refused", connected_ns=None), False, "refused"),
    ("in flight at the end", sample(1, 40000, "censored"), False, "censored"),
    ("answered by a server that noted nothing", sample(1, 40000), False, None),
]


@pytest.mark.parametrize(("name", "row", "noted", "account"), LEDGER_ROWS)
def test_accounts(name: str, row: dict[str, Any], noted: bool, account: str | None) -> None:
    accepted = {"web-0": accepts((1.2, 40000))} if noted else {}
    table = ledger(samples_of(row), entries_of(entry(1.1, 40000, WEB_0)), accepted, PODS)
    assert len(table) == 1, name
    found = table.iloc[0]
    assert (found["client_node"], found["backend"], found["kernel"]) == ("n1", "web-0", 1)
    assert {column: found[column] for column in ACCOUNTS} == {
        column: int(column == account) for column in ACCOUNTS
    }, name
    assert found["residual"] == int(account is None), name


def test_an_entry_that_no_sample_explains_is_a_residual() -> None:
    entries = entries_of(entry(0.5, 39999, WEB_0), entry(1.1, 40000, WEB_0))
    table = ledger(samples_of(sample(1, 40000)), entries, {"web-0": accepts((1.2, 40000))}, PODS)
    assert table[["kernel", "accepted", "residual"]].to_numpy().tolist() == [[2, 1, 1]]


def test_a_masqueraded_client_is_found_by_what_the_server_saw() -> None:
    target = f"{NODE_IP}:30080"
    samples = samples_of(sample(1, 40000, client_node="", target=target))
    entries = entries_of(
        entry(
            1.1, 40000, WEB_0, dst_ip=NODE_IP, dst_port=30080,
            reply_dst_ip=NODE_IP, reply_dst_port=61234,
        )
    )  # fmt: skip
    as_itself = {"web-0": accepts((1.2, 40000))}
    as_the_node = {"web-0": accepts((1.2, 61234), ip=NODE_IP)}
    assert ledger(samples, entries, as_itself, PODS)["residual"].tolist() == [1]
    assert ledger(samples, entries, as_the_node, PODS)["accepted"].tolist() == [1]


def test_a_server_that_hung_accepts_late() -> None:
    samples = samples_of(
        sample(1, 40000, "timeout", connection=1), sample(100, 40000, "timeout", connection=2)
    )
    entries = entries_of(entry(1.1, 40000, WEB_0), entry(100.1, 40000, WEB_0))
    table = ledger(samples, entries, {"web-0": accepts((90, 40000))}, PODS)
    assert table[["kernel", "accepted", "backlog"]].to_numpy().tolist() == [[2, 1, 1]]


def test_a_handshake_that_met_an_old_connection_makes_two_entries_and_one_pick() -> None:
    samples = samples_of(sample(1, 40000))
    entries = entries_of(entry(1.1, 40000, WEB_1), entry(1.112, 40000, WEB_0))
    assert picks(samples, entries) == ["web-0"]
    table = ledger(samples, entries, {"web-0": accepts((1.12, 40000))}, PODS)
    assert table[["backend", "accepted", "unanswered", "residual"]].to_numpy().tolist() == [
        ["web-0", 1, 0, 0],
        ["web-1", 0, 1, 0],
    ]


def test_a_connection_that_comes_by_another_node_later_is_that_of_the_first_one() -> None:
    target = f"{NODE_IP}:30080"
    samples = samples_of(sample(1, 40000, client_node="", target=target, backend="web-1"))
    there = {"dst_ip": NODE_IP, "dst_port": 30080}
    entries = entries_of(
        entry(1.0, 40000, WEB_1, node="n2", **there), entry(9.0, 40000, WEB_0, node="n3", **there)
    )
    assert picks(samples, entries) == ["web-1"]
    table = ledger(samples, entries, {"web-1": accepts((1.001, 40000))}, PODS)
    assert table[["backend", "accepted", "unanswered", "residual"]].to_numpy().tolist() == [
        ["web-0", 0, 1, 0],
        ["web-1", 1, 0, 0],
    ]


@pytest.mark.parametrize(("protocol", "second"), [(accept_log.UDP, "web-0"), (6, None)])
def test_a_udp_port_whose_flow_lives_goes_where_the_flow_went(
    protocol: int, second: str | None
) -> None:
    samples = samples_of(sample(1, 40000, connection=1), sample(5, 40000, connection=2))
    entries = entries_of(entry(1.1, 40000, WEB_0, protocol=protocol))
    assert picks(samples, entries) == ["web-0", second]


def test_a_udp_socket_whose_flow_is_picked_anew_has_a_pick_per_request() -> None:
    udp = {"protocol": accept_log.UDP}
    samples = samples_of(
        sample(1, 40000, backend="web-0", end_ns=round(1.1 * S)),
        sample(2, 40000, "timeout", end_ns=round(2.5 * S)),
        sample(3, 40000, backend="web-1", end_ns=round(3.1 * S)),
    )
    entries = entries_of(entry(1.001, 40000, WEB_0, **udp), entry(3.001, 40000, WEB_1, **udp))
    assert picks(samples, entries) == ["web-0", "web-0", "web-1"]
    assert join(samples, entries, PODS)["outcome"].tolist() == ["ok", "timeout", "ok"]
    read = {"web-0": accepts((1.002, 40000)), "web-1": accepts((3.002, 40000))}
    heard = {pod: log.assign(protocol=accept_log.UDP) for pod, log in read.items()}
    table = ledger(samples, entries, heard, PODS).set_index("backend")
    assert table["accepted"].to_dict() == {"web-0": 1, "web-1": 1}
    assert (table["residual"] == 0).all()


def test_a_flow_goes_on_to_whoever_has_the_address_now() -> None:
    shared = {f"{WEB_0}@u0": "web-0", f"{WEB_0}@u3": "web-3", WEB_1: "web-1"}
    samples = samples_of(
        sample(1, 40000, backend="web-0"),
        sample(2, 40000, backend="web-3"),
        sample(3, 40000, backend="web-1"),
    )
    entries = entries_of(entry(1.001, 40000, f"{WEB_0}@u0", protocol=accept_log.UDP))
    joined = join(samples, entries, shared)
    assert joined["outcome"].tolist() == ["ok", "ok", "wrong_backend"]
    assert joined["picked_backend"].tolist() == ["web-0", "web-3", "web-0"]


def test_a_replaced_pod_keeps_its_own_log() -> None:
    samples = samples_of(sample(1, 40000), sample(2, 40001))
    entries = entries_of(entry(1.1, 40000, WEB_0), entry(2.1, 40001, "10.244.2.7"))
    logs = {"web-0": accepts((1.2, 40000)), "web-0@5f3c": accepts((2.2, 40001))}
    table = ledger(samples, entries, logs, PODS | {"10.244.2.7": "default/web-0"})
    assert table["accepted"].tolist() == [1, 1]


def test_nothing_recorded() -> None:
    samples = samples_of(sample(1, 40000))
    assert picks(samples, entries_of()) == [None]
    assert ledger(samples, entries_of(), {}, PODS).empty
